/* SPDX-License-Identifier: MIT */
/*
 * See snapshot_trace.h. The records are those of bench_fill, whose first word
 * counts up.
 */
#include "snapshot_trace.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rondo/abi.h>

#include "harness.h"

static char home[256];
static unsigned serial;

static const char *parent(void)
{
	const char *asked = getenv("TMPDIR");

	if (asked && *asked)
		return asked;
	return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

const char *trace_name(void)
{
	static char name[300];

	if (!*home) {
		snprintf(home, sizeof(home), "%s/bench-snapshot-XXXXXX",
			 parent());
		if (!mkdtemp(home))
			exit(bench_fail("%s: %s", home, strerror(errno)));
	}
	snprintf(name, sizeof(name), "%s/%u", home, serial++);
	return name;
}

void trace_end(void)
{
	if (*home)
		rmdir(home);
}

/* Records with compact headers. False: the rest makes no sense. */
static void read_records(const char *at, const char *end, struct trace *sum)
{
	uint64_t expected = 0;
	bool is_first = true;

	while (at + 8 <= end) {
		uint64_t word[3];
		uint64_t bytes;

		memcpy(word, at, 8);
		bytes = 8 + (word[0] >> 40 & 0xff) * 8;
		if (bytes > (uint64_t)(end - at)) {
			sum->wrong++;
			return;
		}
		if (word[0] >> 48 >= RONDO_ID_FIRST && bytes >= sizeof(word)) {
			memcpy(word, at, sizeof(word));
			if ((!is_first && word[1] != expected) ||
			    word[2] != (word[1] ^ BENCH_MIX))
				sum->wrong++;
			is_first = false;
			expected = word[1] + 1;
			sum->records++;
		}
		at += bytes;
	}
}

static void read_packets(const char *data, uint64_t bytes, struct trace *sum)
{
	uint64_t at = 0;

	while (at + RONDO_PACKET_BYTES <= bytes) {
		struct rondo_packet packet;

		memcpy(&packet, data + at, sizeof(packet));
		if (packet.magic != RONDO_PACKET_MAGIC ||
		    packet.packet_bits / 8 < RONDO_PACKET_BYTES ||
		    packet.packet_bits / 8 > bytes - at ||
		    packet.content_bits > packet.packet_bits) {
			sum->wrong++;
			return;
		}
		sum->packets++;
		read_records(data + at + RONDO_PACKET_BYTES,
			     data + at + packet.content_bits / 8, sum);
		at += packet.packet_bits / 8;
	}
}

static int read_stream(const char *path, struct trace *sum)
{
	FILE *file = fopen(path, "rb");
	long bytes = -1;
	char *data;

	if (file && fseek(file, 0, SEEK_END) == 0)
		bytes = ftell(file);
	if (bytes < 0) {
		if (file)
			fclose(file);
		return bench_fail("%s: %s", path, strerror(errno));
	}
	rewind(file);
	data = bench_allocate((size_t)bytes + 1, 1);
	if (fread(data, 1, (size_t)bytes, file) == (size_t)bytes)
		read_packets(data, (uint64_t)bytes, sum);
	else
		sum->wrong++;
	free(data);
	fclose(file);
	return 0;
}

int trace_read(const char *directory, struct trace *out)
{
	struct trace sum = {0};
	DIR *open = opendir(directory);
	struct dirent *entry;
	char path[600];
	int status = 0;

	if (!open)
		return bench_fail("%s: %s", directory, strerror(errno));
	while ((entry = readdir(open))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		if (strcmp(entry->d_name, "metadata") && !status)
			status = read_stream(path, &sum);
		unlink(path);
	}
	closedir(open);
	rmdir(directory);
	*out = sum;
	return status;
}
