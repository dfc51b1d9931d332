/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target on files, on the files in folders, or on standard input:
 * for a corpus, for what a fuzzer has found, and for AFL++ without its driver.
 */
#include "hostile.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX (1u << 20)
#define ALARM_SECONDS 120 /* for one input: an endless loop, not a slow one */

static uint64_t executions;

static void run(FILE *file)
{
	uint8_t *data = malloc(INPUT_MAX), *exact;
	size_t bytes;

	HOSTILE_REQUIRE(data);
	bytes = fread(data, 1, INPUT_MAX, file);
	/* As long as it is: what is read behind it is seen. */
	exact = malloc(bytes ? bytes : 1);
	HOSTILE_REQUIRE(exact);
	memcpy(exact, data, bytes);
	free(data);
	alarm(ALARM_SECONDS);
	LLVMFuzzerTestOneInput(exact, bytes);
	free(exact);
	executions++;
}

static bool run_path(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	bool all = true;
	FILE *file;

	if (!directory) {
		file = fopen(path, "rb");
		if (file) {
			run(file);
			fclose(file);
		} else {
			perror(path);
		}
		return file;
	}
	while ((entry = readdir(directory))) {
		char inside[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(inside, sizeof(inside), "%s/%s", path, entry->d_name);
		all &= run_path(inside);
	}
	closedir(directory);
	return all;
}

int main(int argc, char **argv)
{
	uint64_t floor = 1;
	int at = 1;
	bool all = true;

	if (argc > 2 && !strcmp(argv[1], "--floor")) {
		floor = strtoull(argv[2], NULL, 10);
		at = 3;
	}
	if (at < argc && argv[at][0] == '-') {
		fprintf(stderr, "usage: %s [--floor INPUTS] [PATH...]\n",
			argv[0]);
		return 2;
	}
	if (at == argc)
		run(stdin);
	for (; at < argc; at++)
		all &= run_path(argv[at]);
	printf("%llu inputs\n", (unsigned long long)executions);
	if (executions < floor)
		printf("FAIL: fewer than %llu\n", (unsigned long long)floor);
	return all && executions >= floor ? 0 : 1;
}
