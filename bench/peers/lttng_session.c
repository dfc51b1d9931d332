/* SPDX-License-Identifier: MIT */
/*
 * Sessions of LTTng, driven by its command, and what babeltrace2 finds in
 * their traces. See lttng.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "lttng.h"
#include "lttng_daemon.h"

#define PATH_BYTES 300
#define ARGUMENTS 16

static const char *const events[] = {
	[LTTNG_DISCARD] = "rondo_bench:discard",
	[LTTNG_OVERWRITE] = "rondo_bench:overwrite",
};

static void trace_path(const struct lttng_session *session, char *out)
{
	snprintf(out, PATH_BYTES, "%s/bench-lttng-%s-%ld",
		 session->parent ? session->parent : lttng_home(),
		 session->name, (long)getpid());
}

/* lttng and these words, up to NULL; empty ones are left out. */
static int lttng(const char *const *words, const char *output)
{
	const char *argv[ARGUMENTS] = {"lttng", "--no-sessiond"};
	char log[PATH_BYTES];
	size_t count = 2;

	for (const char *const *word = words; *word; word++)
		if (**word)
			argv[count++] = *word;
	snprintf(log, sizeof(log), "%s/log", lttng_home());
	if (command_run(argv, output ? output : log))
		return bench_fail("lttng %s %s failed", words[0], words[1]);
	return 0;
}

#define LTTNG(output, ...) \
	lttng((const char *const[]){__VA_ARGS__, NULL}, output)

int lttng_begin(const struct lttng_session *session)
{
	const bool overwrites = session->event == LTTNG_OVERWRITE;
	char path[PATH_BYTES];
	char output[PATH_BYTES + 16];

	trace_path(session, path);
	snprintf(output, sizeof(output), "--output=%s", path);
	return LTTNG(NULL, "create", session->name, output,
		     overwrites ? "--snapshot" : "") ||
	       LTTNG(NULL, "enable-channel", "c", "-u", "-s", session->name,
		     overwrites ? "--overwrite" : "--discard",
		     "--subbuf-size=256K", "--num-subbuf=8",
		     "--monitor-timer=0",
		     session->waits ? "--blocking-timeout=inf" : "") ||
	       LTTNG(NULL, "enable-event", events[session->event], "-u", "-s",
		     session->name, "-c", "c") ||
	       LTTNG(NULL, "start", session->name);
}

/* Of an element of the session's description; the sum of all. */
static int read_discarded(const struct lttng_session *session, uint64_t *out)
{
	static const char element[] = "<discarded_events>";
	char path[PATH_BYTES];
	char text[16384];
	size_t bytes;
	FILE *file;

	snprintf(path, sizeof(path), "%s/list", lttng_home());
	unlink(path);
	if (LTTNG(path, "--mi", "xml", "list", session->name))
		return 1;
	file = fopen(path, "r");
	if (!file)
		return bench_fail("%s: not there", path);
	bytes = fread(text, 1, sizeof(text) - 1, file);
	text[bytes] = '\0';
	fclose(file);
	for (const char *at = text; (at = strstr(at, element));) {
		at += sizeof(element) - 1;
		*out += strtoull(at, NULL, 10);
	}
	return 0;
}

/* A line: [time] ... { cpu_id = 0 }, { a = 17, b = 18 } */
static void read_line(const char *line, uint64_t *next,
		      struct lttng_found *found)
{
	const char *at = strstr(line, "{ a = ");
	uint64_t a, b;

	if (!at)
		return;
	if (sscanf(at, "{ a = %" SCNu64 ", b = %" SCNu64, &a, &b) != 2)
		a = b = 0;
	if (b != (a ^ BENCH_MIX) || a < *next)
		found->wrong++;
	*next = a + 1;
	found->records++;
}

static int read_records(const char *path, struct lttng_found *found)
{
	const char *argv[] = {"babeltrace2", path, NULL};
	uint64_t next = 0;
	char line[512];
	pid_t process;
	FILE *text = command_read(argv, &process);

	if (!text)
		return bench_fail("babeltrace2 does not start");
	while (fgets(line, sizeof(line), text))
		read_line(line, &next, found);
	fclose(text);
	return command_wait(process) ?
		       bench_fail("babeltrace2 %s failed", path) :
		       0;
}

/* Its counter says: "  17 Event messages". */
static int count_records(const char *path, struct lttng_found *found)
{
	const char *argv[] = {"babeltrace2", path, "-c", "sink.utils.counter",
			      NULL};
	char line[512];
	pid_t process;
	FILE *text = command_read(argv, &process);

	if (!text)
		return bench_fail("babeltrace2 does not start");
	while (fgets(line, sizeof(line), text))
		if (strstr(line, " Event messages"))
			found->records = strtoull(line, NULL, 10);
	fclose(text);
	return command_wait(process) ?
		       bench_fail("babeltrace2 %s failed", path) :
		       0;
}

int lttng_end(const struct lttng_session *session, bool is_read,
	      struct lttng_found *out)
{
	struct lttng_found found = {0};
	char path[PATH_BYTES];
	int status = LTTNG(NULL, "stop", session->name);

	trace_path(session, path);
	if (!status && session->event == LTTNG_OVERWRITE)
		status = LTTNG(NULL, "snapshot", "record", "-s", session->name);
	if (!status)
		status = read_discarded(session, &found.discarded);
	if (LTTNG(NULL, "destroy", session->name))
		status = 1;
	if (!status)
		status = is_read ? read_records(path, &found) :
				   count_records(path, &found);
	command_remove(path);
	if (!status)
		*out = found;
	return status;
}
