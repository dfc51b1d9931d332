/* SPDX-License-Identifier: MIT */
/*
 * How many records a second one producer gets into files, for as long as it
 * likes: rondo's writer and LTTng-UST's consumer, to memory and to disk; when
 * it waits for room, and what is lost when it does not.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "peers/lttng.h"
#include "readback.h"
#include "setup.h"
#include "snapshot_trace.h"

#define MEMORY "/dev/shm"
#define DISK "/var/tmp" /* unless TMPDIR says otherwise */

#define BATCH 1024u /* records between two looks at the clock */
#define RECORDS_MAX (UINT64_C(16) << 20) /* of a flood: 384 MiB of trace */
#define FLOOD_NS UINT64_C(500000000)
#define FLOOD_SHORT_NS UINT64_C(50000000)

enum tracer {
	RONDO,
	LTTNG
};

/* A producer that floods, and what of it arrived. */
struct flood {
	enum tracer tracer;
	bool waits; /* for room; otherwise what does not fit is lost */
	bool is_on_disk;
	const char *session; /* LTTng's */
	uint64_t attempts;
	uint64_t kept;
	double lost; /* percent */
};

static struct flood floods[] = {
	{RONDO, true, false, NULL, 0, 0, 0},
	{RONDO, true, true, NULL, 0, 0, 0},
	{RONDO, false, false, NULL, 0, 0, 0},
	{RONDO, false, true, NULL, 0, 0, 0},
	{LTTNG, true, false, "memory-waits", 0, 0, 0},
	{LTTNG, true, true, "disk-waits", 0, 0, 0},
	{LTTNG, false, false, "memory", 0, 0, 0},
	{LTTNG, false, true, "disk", 0, 0, 0},
};
#define FLOODS (sizeof(floods) / sizeof(floods[0]))

static const struct bench *bench_of;
static int failed; /* an exit status */

static const char *parent_of(const struct flood *flood)
{
	const char *asked = getenv("TMPDIR");

	if (!flood->is_on_disk)
		return MEMORY;
	return asked && *asked ? asked : DISK;
}

/* ---- the producer ---- */

static struct rondo_channel *channel;
static bool waits;

static __attribute__((noinline)) uint64_t record_rondo(uint64_t from)
{
	uint64_t refused = 0;

	for (uint64_t i = from; i < from + BATCH; i++)
		while (!bench_record(channel, 2, i, i ^ BENCH_MIX)) {
			refused++;
			if (!waits)
				break;
			sched_yield();
		}
	return refused;
}

/* It waits by itself when its session says so. */
static __attribute__((noinline)) uint64_t record_lttng(uint64_t from)
{
	for (uint64_t i = from; i < from + BATCH; i++)
		lttng_record_discard(i, i ^ BENCH_MIX);
	return 0;
}

/* ns it took. */
static uint64_t produce(struct flood *flood, uint64_t *refused)
{
	const uint64_t limit = bench_of->is_short ? FLOOD_SHORT_NS : FLOOD_NS;
	const uint64_t began = bench_now_ns();
	uint64_t passed, count = 0;

	waits = flood->waits;
	do {
		*refused += flood->tracer == RONDO ? record_rondo(count) :
						     record_lttng(count);
		count += BATCH;
		passed = bench_now_ns() - began;
	} while (passed < limit && count < RECORDS_MAX);
	flood->attempts = count;
	return passed;
}

/* ---- rondo ---- */

/* The writer's thread may run where it likes, as LTTng's consumer does. */
static int start_writer(const char *directory, struct rondo_writer **out)
{
	int result = rondo_writer_open(channel, directory, out);

	if (result)
		return bench_fail("%s: %s", directory, strerror(-result));
	bench_pin(-1);
	result = rondo_writer_start(*out);
	bench_pin(bench_of->cpu);
	if (!result)
		return 0;
	rondo_writer_close(*out);
	return bench_fail("writer: %s", strerror(-result));
}

static int check_trace(struct flood *flood, const char *directory,
		       uint64_t lost)
{
	struct trace trace;

	if (trace_read(directory, &trace))
		return 1;
	flood->kept = trace.records;
	/* The walk takes a number that is missing for a wrong one. */
	if (trace.records + lost == flood->attempts && (lost || !trace.wrong))
		return 0;
	return bench_fail("%" PRIu64 " records of %" PRIu64 " in %s, %" PRIu64
			  " were refused, %" PRIu64 " are wrong",
			  trace.records, flood->attempts, directory, lost,
			  trace.wrong);
}

static int flood_channel(struct flood *flood, const char *directory,
			 uint64_t *ns)
{
	struct rondo_writer *writer;
	uint64_t refused = 0;
	int result;

	if (start_writer(directory, &writer))
		return 1;
	*ns = produce(flood, &refused);
	rondo_writer_stop(writer);
	result = rondo_writer_close(writer);
	if (result)
		return bench_fail("%s: %s", directory, strerror(-result));
	return check_trace(flood, directory, flood->waits ? 0 : refused);
}

static int flood_rondo(struct flood *flood, uint64_t *ns)
{
	const struct rondo_config config = {.flags = RONDO_PREFAULT};
	char directory[300];
	int status;

	snprintf(directory, sizeof(directory), "%s/bench-sustained-XXXXXX",
		 parent_of(flood));
	if (!mkdtemp(directory))
		return bench_fail("%s: %s", directory, strerror(errno));
	status = bench_channel(&config, "flood", 16, &channel);
	if (!status) {
		status = flood_channel(flood, directory, ns);
		rondo_channel_destroy(channel);
	}
	rmdir(directory);
	return status;
}

/* ---- LTTng-UST ---- */

static int flood_lttng(struct flood *flood, uint64_t *ns)
{
	const struct lttng_session session = {
		.name = flood->session,
		.event = LTTNG_DISCARD,
		.waits = flood->waits,
		.parent = parent_of(flood),
	};
	struct lttng_found found;
	uint64_t refused = 0;

	if (lttng_begin(&session))
		return 1;
	*ns = produce(flood, &refused);
	if (lttng_end(&session, false, &found))
		return 1;
	flood->kept = found.records;
	if (found.records + found.discarded == flood->attempts &&
	    (!flood->waits || !found.discarded))
		return 0;
	return bench_fail("LTTng-UST, %s: %" PRIu64 " records of %" PRIu64
			  ", %" PRIu64 " discarded",
			  flood->session, found.records, flood->attempts,
			  found.discarded);
}

/* ---- cases: records a second for each flood, then what is lost ---- */

#define CASES (FLOODS + FLOODS / 2)
static struct bench_case cases[CASES];

/* Million records a second. Nothing has to be warmed up: the first call, which
 * is not measured, does nothing. */
static double sample_flood(struct bench_case *one)
{
	struct flood *flood = one->context;
	uint64_t ns = 1;
	int status;

	if (failed || !one->burst++)
		return 0;
	status = flood->tracer == RONDO ? flood_rondo(flood, &ns) :
					  flood_lttng(flood, &ns);
	if (status) {
		failed = status;
		return 0;
	}
	one->calls += flood->attempts;
	flood->lost = (double)(flood->attempts - flood->kept) /
		      (double)flood->attempts * 100;
	return (double)flood->kept / (double)ns * 1e3;
}

static double sample_lost(struct bench_case *one)
{
	const struct flood *flood = one->context;

	return flood->lost;
}

static double sample_nothing(struct bench_case *one)
{
	(void)one;
	return 0;
}

#define FLOOD(i, k, n, b)              \
	[i] = {.key = k,               \
	       .name = n,              \
	       .unit = "M/s",          \
	       .sample = sample_flood, \
	       .context = &floods[i],  \
	       .base = b}
#define LOST(i, f, k, n)              \
	[i] = {.key = k,              \
	       .name = n,             \
	       .unit = "%",           \
	       .sample = sample_lost, \
	       .context = &floods[f]}

static struct bench_case cases[CASES] = {
	FLOOD(0, "rondo-memory", "rondo, tmpfs: waits for room", NULL),
	FLOOD(1, "rondo-disk", "  disk", &cases[0]),
	FLOOD(2, "rondo-memory-lossy", "  tmpfs: does not wait, kept",
	      &cases[0]),
	FLOOD(3, "rondo-disk-lossy", "  disk", &cases[0]),
	FLOOD(4, "lttng-memory", "LTTng-UST, tmpfs: waits for room", &cases[0]),
	FLOOD(5, "lttng-disk", "  disk", &cases[1]),
	FLOOD(6, "lttng-memory-lossy", "  tmpfs: does not wait, kept",
	      &cases[2]),
	FLOOD(7, "lttng-disk-lossy", "  disk", &cases[3]),
	LOST(8, 2, "rondo-memory-lost", "rondo, tmpfs: lost"),
	LOST(9, 3, "rondo-disk-lost", "  disk"),
	LOST(10, 6, "lttng-memory-lost", "LTTng-UST, tmpfs: lost"),
	LOST(11, 7, "lttng-disk-lost", "  disk"),
};

#define TARGET(t, f)                                                         \
	{                                                                    \
		.number = "16", .text = t, .of = &cases[0], .to = &cases[f], \
		.limit = 4.5, .at_least = true, .needs_rseq = true           \
	}

static struct bench_target targets[] = {
	TARGET("to tmpfs, waiting for room / LTTng-UST", 4),
	TARGET("  / LTTng-UST that does not wait, its kept", 6),
};
#define TARGETS (sizeof(targets) / sizeof(targets[0]))

/* ---- what cannot be ---- */

static char reasons[CASES][200];
#define UNDECIDED "not decided: "

static void skip(size_t index, const char *reason)
{
	snprintf(reasons[index], sizeof(reasons[index]), UNDECIDED "%s",
		 reason);
	cases[index].sample = sample_nothing;
	printf("%s: skipped: %s\n", cases[index].key, reason);
}

static bool is_in_memory(const char *directory)
{
	struct statfs found;

	return statfs(directory, &found) == 0 &&
	       found.f_type == (__typeof__(found.f_type))TMPFS_MAGIC;
}

static const char *reason_against(const struct flood *flood)
{
	const char *parent = parent_of(flood);
	static char reason[180];

	if (flood->tracer == LTTNG && lttng_missing())
		return lttng_missing();
	if (flood->tracer == LTTNG && flood->is_on_disk && bench_of->is_short)
		return "not with --short";
	if (bench_cpu_count() < 2)
		return "one CPU";
	snprintf(reason, sizeof(reason), "%s cannot be written to", parent);
	if (access(parent, W_OK))
		return reason;
	snprintf(reason, sizeof(reason), "%s is %sin memory", parent,
		 flood->is_on_disk ? "" : "not ");
	return is_in_memory(parent) == flood->is_on_disk ? reason : NULL;
}

static int set_up(struct bench *bench)
{
	const struct rondo_config config = {0};

	bench_of = bench;
	for (size_t i = 0; i < CASES; i++) {
		const char *reason = reason_against(cases[i].context);

		if (reason)
			skip(i, reason);
	}
	for (size_t i = 0; i < TARGETS; i++) {
		const char *of = reasons[targets[i].of - cases];
		const char *to = reasons[targets[i].to - cases];

		if (*of || *to)
			targets[i].undecided = *of ? of : to;
	}
	if (bench_channel(&config, "mode", 16, &channel) ||
	    bench_describe(bench, channel))
		return 1;
	rondo_channel_destroy(channel);
	return 0;
}

int main(int argc, char **argv)
{
	struct bench bench = {
		.name = "sustained",
		.question = "How many records of 16 bytes a second does one "
			    "producer get into files?",
		.help = "Half a second of records without pause, 16 million "
			"at most, into 8 sub-buffers of\n256 KiB, which "
			"rondo's writer thread or LTTng-UST's consumer appends "
			"to a trace\nmeanwhile; every trace is read and "
			"counted. Waits: for room in the buffer, so\nthat "
			"nothing is lost (LTTng-UST: --blocking-timeout=inf). "
			"Otherwise what finds no\nroom is lost, and records "
			"that were kept count. Disk: TMPDIR, or /var/tmp; the\n"
			"page cache, nothing is synced.",
		.heading = "million records a second",
		.cases = cases,
		.case_count = CASES,
		.targets = targets,
		.target_count = TARGETS,
	};
	int status = bench_options(&bench, argc, argv);

	if (status >= 0)
		return status;
	status = lttng_enter(argv);
	if (status >= 0)
		return status;
	bench.bursts = 1;
	bench.repetitions = bench.is_short ? 1 : 7;
	status = set_up(&bench);
	if (status == 0) {
		bench_measure(&bench);
		status = failed;
	}
	if (status == 0)
		status = bench_report(&bench);
	bench_end(&bench);
	return status;
}
