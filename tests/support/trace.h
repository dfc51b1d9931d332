/* SPDX-License-Identifier: MIT */
/*
 * Traces in tests: directories to put them in, and what babeltrace2 says of
 * them. A warning is a failure, unless the test asked for it.
 */
#ifndef RONDO_TESTS_SUPPORT_TRACE_H
#define RONDO_TESTS_SUPPORT_TRACE_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/test.h"

/* Exit status of a test that cannot run here. */
#define TEST_SKIP 77

/* A new directory below that of temporary files; out has room for a path. */
static inline void trace_scratch(char out[512])
{
	const char *top = getenv("TMPDIR");

	snprintf(out, 512, "%s/rondo-test-XXXXXX", top ? top : P_tmpdir);
	assert_non_null(mkdtemp(out));
}

__attribute__((format(printf, 1, 2))) static inline int
trace_shell(const char *format, ...)
{
	char command[4096];
	va_list list;

	va_start(list, format);
	vsnprintf(command, sizeof(command), format, list);
	va_end(list);
	return system(command);
}

static inline void trace_remove(const char *directory)
{
	assert_int_equal(trace_shell("rm -rf '%s'", directory), 0);
}

static inline bool trace_can_be_read(void)
{
	return trace_shell("babeltrace2 --version >%s 2>&1", "/dev/null") == 0;
}

/* The whole file, ended with a NUL; the caller frees it. */
static inline char *trace_slurp(const char *path)
{
	struct stat status;
	char *text;
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &status), 0);
	text = calloc(1, (size_t)status.st_size + 1);
	assert_int_equal(fread(text, 1, (size_t)status.st_size, file),
			 status.st_size);
	fclose(file);
	return text;
}

static inline void trace_put(const char *directory, const char *name,
			     const void *data, size_t bytes)
{
	char path[1024];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, bytes, file), bytes);
	assert_int_equal(fclose(file), 0);
}

/* What babeltrace2 prints, and on its standard error; the caller frees them. */
struct trace_text {
	char *events;
	char *warnings;
};

static inline struct trace_text trace_read(const char *directory,
					   const char *options)
{
	struct trace_text text;
	char path[1024];
	int status;

	status =
		trace_shell("LC_ALL=C babeltrace2 %s '%s' >'%s.out' 2>'%s.err'",
			    options, directory, directory, directory);
	snprintf(path, sizeof(path), "%s.err", directory);
	text.warnings = trace_slurp(path);
	unlink(path);
	snprintf(path, sizeof(path), "%s.out", directory);
	text.events = trace_slurp(path);
	unlink(path);
	if (status)
		printf("babeltrace2 says: %s\n", text.warnings);
	assert_int_equal(status, 0);
	return text;
}

static inline void trace_free(struct trace_text *text)
{
	free(text->events);
	free(text->warnings);
}

/* The events of a trace that is without fault; the caller frees them. */
static inline char *trace_read_clean(const char *directory, const char *options)
{
	struct trace_text text = trace_read(directory, options);

	if (strspn(text.warnings, " \n") != strlen(text.warnings))
		fail_msg("babeltrace2 warns: %s", text.warnings);
	free(text.warnings);
	return text.events;
}

/* How often word occurs. */
static inline unsigned trace_count(const char *text, const char *word)
{
	const char *end = text + strlen(text);
	unsigned count = 0;

	while ((text = memmem(text, (size_t)(end - text), word,
			      strlen(word))) != NULL) {
		text += strlen(word);
		count++;
	}
	return count;
}

#endif
