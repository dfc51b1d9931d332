/* SPDX-License-Identifier: MIT */
/*
 * What it costs to get sub-buffers out: each way to each place, next to
 * write(2) of the same bytes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drain_ship.h"
#include "drain_sink.h"
#include "readback.h"
#include "setup.h"
#include "snapshot_trace.h"

#define SUBBUF_BYTES (UINT64_C(1) << 20)
#define SUBBUFS 8u /* a round of them is over before its turn on a CPU is */
#define ROUND_BYTES (SUBBUFS * SUBBUF_BYTES)
#define RECORD_BYTES 16u
#define LARGE_BYTES 2032u
#define RECORDS_MAX (2 * ROUND_BYTES / RECORD_BYTES)

/* When views are taken and given back. */
enum loan {
	LOAN_ONE,  /* each is taken, shipped and released */
	LOAN_ALL,  /* released when all have arrived */
	LOAN_NONE, /* taken and released outside of what is measured */
};

/* A way to a place. */
struct way {
	enum sink_kind to;
	enum loan loan;
	ship_view *ship; /* NULL: rondo_writer */
	const char *key;
	const char *name;
	double ns_per_kib; /* CPU time of the last round */
	bool is_checked;
	bool is_large; /* the writer's: records */
};

#define RAW(s)                                               \
	{                                                    \
		.to = s, .loan = LOAN_NONE, .key = "raw",    \
		.name = "write(2) alone", .ship = ship_write \
	}
#define WAY(s, l, f, k, n)                                              \
	{                                                               \
		.to = s, .loan = l, .ship = f, .key = k, .name = "  " n \
	}
#define WRITE(s) WAY(s, LOAN_ONE, ship_write, "write", "take, write, release")
#define HEADERS(s) \
	WAY(s, LOAN_ONE, ship_headers, "headers", "its headers read, write")
#define WRITER(s)                                                             \
	WAY(s, LOAN_ONE, NULL, "writer", "rondo_writer, records of 16 B"),    \
	{                                                                     \
		.to = s, .loan = LOAN_ONE, .key = "writer-large",             \
		.name = "  rondo_writer, records of 2032 B", .is_large = true \
	}

static struct way ways[] = {
	RAW(SINK_MEMORY),
	WRITE(SINK_MEMORY),
	WRITER(SINK_MEMORY),
	HEADERS(SINK_MEMORY),
	WAY(SINK_MEMORY, LOAN_ONE, ship_splice, "splice", "splice"),
	WAY(SINK_MEMORY, LOAN_ONE, ship_vmsplice, "vmsplice", "vmsplice"),
	WAY(SINK_MEMORY, LOAN_ONE, ship_sendfile, "sendfile", "sendfile"),
	WAY(SINK_MEMORY, LOAN_ALL, ship_uring, "uring", "io_uring"),
	RAW(SINK_DISK),
	WRITE(SINK_DISK),
	WRITER(SINK_DISK),
	HEADERS(SINK_DISK),
	WAY(SINK_DISK, LOAN_ONE, ship_splice, "splice", "splice"),
	WAY(SINK_DISK, LOAN_ONE, ship_vmsplice, "vmsplice", "vmsplice"),
	WAY(SINK_DISK, LOAN_ONE, ship_sendfile, "sendfile", "sendfile"),
	WAY(SINK_DISK, LOAN_ALL, ship_uring, "uring", "io_uring"),
	RAW(SINK_DURABLE),
	WRITE(SINK_DURABLE),
	WAY(SINK_DURABLE, LOAN_ONE, ship_splice, "splice", "splice"),
	WAY(SINK_DURABLE, LOAN_ONE, ship_direct, "direct", "O_DIRECT"),
	WAY(SINK_DURABLE, LOAN_ALL, ship_uring, "uring", "io_uring, O_DIRECT"),
	RAW(SINK_PIPE),
	WRITE(SINK_PIPE),
	WAY(SINK_PIPE, LOAN_ALL, ship_splice, "splice", "splice"),
	WAY(SINK_PIPE, LOAN_ALL, ship_vmsplice, "vmsplice", "vmsplice"),
	RAW(SINK_UNIX),
	WRITE(SINK_UNIX),
	WAY(SINK_UNIX, LOAN_ALL, ship_splice, "splice", "splice"),
	WAY(SINK_UNIX, LOAN_ALL, ship_vmsplice, "vmsplice", "vmsplice"),
	WAY(SINK_UNIX, LOAN_ALL, ship_sendfile, "sendfile", "sendfile"),
	RAW(SINK_TCP),
	WRITE(SINK_TCP),
	WAY(SINK_TCP, LOAN_ALL, ship_splice, "splice", "splice"),
	WAY(SINK_TCP, LOAN_ALL, ship_vmsplice, "vmsplice", "vmsplice"),
	WAY(SINK_TCP, LOAN_ALL, ship_sendfile, "sendfile", "sendfile"),
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static const char *const places[][2] = {
	[SINK_MEMORY] = {"memory", "tmpfs"},
	[SINK_DISK] = {"disk", "disk"},
	[SINK_DURABLE] = {"durable", "disk, fdatasync"},
	[SINK_PIPE] = {"pipe", "pipe"},
	[SINK_UNIX] = {"unix", "unix socket"},
	[SINK_TCP] = {"tcp", "127.0.0.1"},
};

static struct sink sinks[SINK_KINDS];
static struct rondo_channel *channel, *written, *written_large;
static struct rondo_consumer *consumer;
static struct rondo_view views[SUBBUFS];
static uint64_t records;
static bool failed;

static double fail(const struct way *way, const char *what)
{
	failed = true;
	bench_fail("%s, %s: %s%s%s", places[way->to][1], way->key, what,
		   errno ? ": " : "", errno ? strerror(errno) : "");
	return 0;
}

/* ---- sub-buffers, full ones ---- */

static bool record(struct rondo_channel *where)
{
	const unsigned words =
		(where == written_large ? LARGE_BYTES : RECORD_BYTES) / 8;

	if (!bench_record(where, words, records, records ^ BENCH_MIX))
		return false;
	records++;
	return true;
}

static bool fill(struct rondo_channel *where)
{
	uint64_t count = 0;

	while (count < RECORDS_MAX && record(where))
		count++;
	return rondo_channel_flush(where) >= 0 && count < RECORDS_MAX;
}

static void release_all(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		rondo_consumer_release(consumer, &views[i]);
}

static bool take(unsigned index)
{
	return rondo_consumer_take(consumer, &views[index]) == 0 &&
	       views[index].bytes == SUBBUF_BYTES;
}

/* ---- a round ---- */

/* With sum each view is added to it before it is shipped. */
static bool ship(const struct way *way, struct sink *sink, uint64_t *sum)
{
	for (unsigned i = 0; i < SUBBUFS; i++) {
		if (way->loan != LOAN_NONE && !take(i))
			return false;
		if (sum)
			*sum = sink_add(*sum, views[i].data, views[i].bytes);
		if (!way->ship(consumer, &views[i], sink))
			return false;
		if (way->loan == LOAN_ONE)
			rondo_consumer_release(consumer, &views[i]);
	}
	return way->ship != ship_uring || ship_uring_finish();
}

static bool take_before(const struct way *way)
{
	if (way->loan == LOAN_NONE)
		for (unsigned i = 0; i < SUBBUFS; i++)
			if (!take(i))
				return false;
	return true;
}

/* GB a second */
static double rate_of(struct way *way, uint64_t ns, uint64_t cpu_ns)
{
	way->ns_per_kib = (double)cpu_ns / ((double)ROUND_BYTES / 1024);
	return (double)ROUND_BYTES / (double)ns;
}

static double go_round(struct way *way, struct sink *sink)
{
	const bool is_checking = !way->is_checked;
	uint64_t sum = SINK_FNV;
	uint64_t ns, cpu_ns;

	if (!fill(channel) || !take_before(way))
		return fail(way, "filling");
	if (!sink_begin(sink, is_checking))
		return fail(way, "an empty file");
	cpu_ns = sink_cpu_ns(sink);
	ns = bench_now_ns();
	if (!ship(way, sink, is_checking ? &sum : NULL) || !sink_finish(sink))
		return fail(way, "shipping");
	ns = bench_now_ns() - ns;
	cpu_ns = sink_cpu_ns(sink) - cpu_ns;
	if (way->loan != LOAN_ONE)
		release_all(SUBBUFS);
	errno = 0;
	if (!sink_has(sink, sum))
		return fail(way, "not what was shipped");
	way->is_checked = true;
	return rate_of(way, ns, cpu_ns);
}

/* ---- the writer, which makes files of its own ---- */

/* A round before: the stream file is there, and described, and what follows
 * goes to where a large page of the cache may begin, as write(2)'s does. */
static bool write_first(struct rondo_channel *from, struct rondo_writer *writer)
{
	return fill(from) && rondo_writer_step(writer, 0) == (int)SUBBUFS;
}

static struct rondo_channel *source_of(const struct way *way)
{
	return way->is_large ? written_large : written;
}

static double write_round(struct way *way, struct rondo_writer *writer)
{
	const struct sink *sink = &sinks[way->to];
	uint64_t ns, cpu_ns;
	int packets;

	if (!write_first(source_of(way), writer) || !fill(source_of(way)))
		return fail(way, "filling");
	cpu_ns = sink_cpu_ns(sink);
	ns = bench_now_ns();
	packets = rondo_writer_step(writer, 0);
	ns = bench_now_ns() - ns;
	cpu_ns = sink_cpu_ns(sink) - cpu_ns;
	errno = packets < 0 ? -packets : 0;
	if (packets != (int)SUBBUFS)
		return fail(way, "writing");
	return rate_of(way, ns, cpu_ns);
}

static double run_writer(struct way *way)
{
	const uint64_t before = records;
	struct rondo_writer *writer;
	struct trace trace;
	char directory[300];
	double rate;

	snprintf(directory, sizeof(directory), "%.*s-trace-XXXXXX",
		 (int)strlen(sinks[way->to].path) - 7, sinks[way->to].path);
	if (!mkdtemp(directory))
		return fail(way, directory);
	errno = -rondo_writer_open(source_of(way), directory, &writer);
	if (errno)
		return fail(way, directory);
	rate = write_round(way, writer);
	rondo_writer_close(writer);
	if (trace_read(directory, &trace) || trace.wrong ||
	    trace.records != records - before)
		return failed ? 0 : fail(way, "not what was written");
	return rate;
}

/* ---- cases: GB/s of each way, then CPU time ---- */

static struct bench_case cases[2 * WAYS];
static char texts[2 * WAYS][2][64];

static double sample_rate(struct bench_case *one)
{
	struct way *way = one->context;

	if (failed)
		return 0;
	one->calls++;
	return way->ship ? go_round(way, &sinks[way->to]) : run_writer(way);
}

static double sample_cpu(struct bench_case *one)
{
	const struct way *way = one->context;

	return way->ns_per_kib;
}

static double sample_nothing(struct bench_case *one)
{
	(void)one;
	return 0;
}

static size_t raw_of(size_t index)
{
	while (ways[index].loan != LOAN_NONE)
		index--;
	return index;
}

static void name_case(size_t index)
{
	const bool is_cpu = index >= WAYS;
	const struct way *way = &ways[index % WAYS];
	char *key = texts[index][0], *name = texts[index][1];

	snprintf(key, sizeof(texts[0][0]), "%s-%s%s", places[way->to][0],
		 way->key, is_cpu ? "-cpu" : "");
	if (way->loan == LOAN_NONE)
		snprintf(name, sizeof(texts[0][1]), "%s: %s",
			 places[way->to][1], way->name);
	else
		snprintf(name, sizeof(texts[0][1]), "%s", way->name);
	cases[index] = (struct bench_case){
		.key = key,
		.name = name,
		.unit = is_cpu ? "ns/KiB" : "GB/s",
		.context = &ways[index % WAYS],
		.sample = is_cpu ? sample_cpu : sample_rate,
		.base = &cases[raw_of(index % WAYS) + (is_cpu ? WAYS : 0)],
	};
	if (way->loan == LOAN_NONE)
		cases[index].base = NULL;
}

/* Where in ways they stand. */
enum {
	MEMORY_RAW = 0,
	MEMORY_WRITE = 1,
	MEMORY_WRITER = 2,
	MEMORY_HEADERS = 4,
	DISK_RAW = 9,
	DISK_WRITE = 10,
	DISK_WRITER = 11,
	DISK_HEADERS = 13,
	UNIX_RAW = 27,
	UNIX_WRITE = 28,
};

#define TARGET(t, i, raw, best)                                                \
	{                                                                      \
		.number = "17", .text = t, .of = &cases[i], .to = &cases[raw], \
		.best_of = best, .limit = 0.95, .at_least = true               \
	}

static struct bench_target targets[] = {
	TARGET("take, write, release / write(2), tmpfs", MEMORY_WRITE,
	       MEMORY_RAW, NULL),
	TARGET("  disk", DISK_WRITE, DISK_RAW, NULL),
	TARGET("  unix socket", UNIX_WRITE, UNIX_RAW, NULL),
	TARGET("rondo_writer / write(2), tmpfs", MEMORY_WRITER, MEMORY_RAW,
	       &cases[MEMORY_HEADERS]),
	TARGET("  disk", DISK_WRITER, DISK_RAW, &cases[DISK_HEADERS]),
};
#define TARGETS (sizeof(targets) / sizeof(targets[0]))

/* ---- what cannot be ---- */

#define UNDECIDED "not decided: "
static char reasons[WAYS][240];

static void skip(size_t index, const char *reason)
{
	snprintf(reasons[index], sizeof(reasons[index]), UNDECIDED "%s",
		 reason);
	cases[index].sample = sample_nothing;
	printf("%s: skipped: %s\n", cases[index].key, reason);
}

static const char *reason_against(const struct way *way, const char *no_uring)
{
	const struct sink *sink = &sinks[way->to];
	const bool is_direct =
		way->ship == ship_direct ||
		(way->ship == ship_uring && way->to == SINK_DURABLE);

	if (*sink->missing)
		return sink->missing;
	if (sink_has_reader(sink) && bench_cpu_count() < 2)
		return "one CPU";
	if (way->ship == ship_uring && no_uring)
		return no_uring;
	return is_direct && sink->direct < 0 ? "no O_DIRECT there" : NULL;
}

static void skip_what_cannot_be(const char *no_uring)
{
	for (size_t i = 0; i < WAYS; i++) {
		const char *reason = reason_against(&ways[i], no_uring);

		if (reason)
			skip(i, reason);
	}
	for (size_t i = 0; i < TARGETS; i++) {
		const char *of = reasons[targets[i].of - cases];
		const char *to = reasons[targets[i].to - cases];

		if (*of || *to)
			targets[i].undecided = *of ? of : to;
	}
}

/* ---- life ---- */

/* Every page set once, so that nothing measured faults; and where they are. */
static bool touch(const char **from, const char **to)
{
	*from = (const char *)UINTPTR_MAX;
	*to = NULL;
	for (unsigned lap = 0; lap < 4; lap++) {
		if (!fill(channel))
			return false;
		for (unsigned i = 0; i < SUBBUFS; i++) {
			if (!take(i))
				return false;
			if (views[i].data < *from)
				*from = views[i].data;
			if (views[i].data + SUBBUF_BYTES > *to)
				*to = views[i].data + SUBBUF_BYTES;
		}
		release_all(SUBBUFS);
	}
	return true;
}

static int set_up_channels(struct bench *bench)
{
	const struct rondo_config config = {
		.subbuf_bytes = SUBBUF_BYTES,
		.subbuf_count = SUBBUFS,
		.spare_count = SUBBUFS,
	};
	int result;

	if (bench_channel(&config, "drain", RECORD_BYTES, &channel) ||
	    bench_channel(&config, "written", RECORD_BYTES, &written) ||
	    bench_channel(&config, "large", LARGE_BYTES, &written_large) ||
	    bench_describe(bench, channel))
		return 1;
	result = rondo_consumer_open(channel, &consumer);
	if (result)
		return bench_fail("consumer: %s", strerror(-result));
	if (!ship_open(rondo_channel_fd(channel)))
		return bench_fail("pipe: %s", strerror(errno));
	return 0;
}

static int set_up(struct bench *bench)
{
	const char *from, *to;

	if (set_up_channels(bench))
		return 1;
	if (!touch(&from, &to))
		return bench_fail("%u sub-buffers cannot be filled", SUBBUFS);
	for (size_t i = 0; i < 2 * WAYS; i++)
		name_case(i);
	for (unsigned i = 0; i < SINK_KINDS; i++)
		sink_open(&sinks[i], (enum sink_kind)i, bench, ROUND_BYTES);
	skip_what_cannot_be(ship_uring_open(from, to));
	return 0;
}

static void tear_down(void)
{
	for (unsigned i = 0; i < SINK_KINDS; i++)
		sink_close(&sinks[i]);
	ship_uring_close();
	ship_close();
	rondo_consumer_close(consumer);
	rondo_channel_destroy(channel);
	rondo_channel_destroy(written);
	rondo_channel_destroy(written_large);
}

int main(int argc, char **argv)
{
	struct bench bench = {
		.name = "drain",
		.question = "What does it cost to get sub-buffers into files, "
			    "pipes and sockets?",
		.help = "8 full sub-buffers of 1 MiB each time, records of 16 "
			"bytes. The ratio is to\nwrite(2) of such bytes by "
			"somebody who has nothing to take or release. Files "
			"are\nnew ones each time; disk: TMPDIR, or /var/tmp. "
			"Pipes and sockets are read on\nanother CPU; it is "
			"over when all was read. CPU time is that of the "
			"process without\nthe reader; the kernel's own threads "
			"are not in it. The first round of each way is\n"
			"compared with what was there.",
		.heading = "GB a second, then CPU time",
		.cases = cases,
		.case_count = 2 * WAYS,
		.targets = targets,
		.target_count = TARGETS,
	};
	int status = bench_options(&bench, argc, argv);

	if (status >= 0)
		return status;
	bench.bursts = bench.is_short ? 1 : 3;
	bench.repetitions = bench.is_short ? 2 : 21;
	status = set_up(&bench);
	if (status)
		return status;
	bench_measure(&bench);
	status = failed ? 1 : bench_report(&bench);
	bench_end(&bench);
	if (!failed)
		tear_down();
	return status;
}
