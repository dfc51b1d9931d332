/* SPDX-License-Identifier: MIT */
/*
 * A snapshot of a flight recorder that goes on recording: how long it takes,
 * what it costs the producer meanwhile, and what is missing in it.
 */
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "numbers.h"
#include "readback.h"
#include "setup.h"
#include "snapshot_trace.h"

#define SUBBUFS 8
#define LAP 100000u /* records, more than the sub-buffers of a ring hold */
#define BATCH 256u  /* records that are timed together */
#define TIMES 4096  /* batches of a phase that are kept */
#define RUNS 20	    /* batches of a producer that ran */
#define TRIES 5	    /* until it ran during a snapshot */
#define PAUSE_NS 1000

enum pace {
	QUIET,
	MILLION,
	FLOOD,
	PACES
};

/* Rows of a channel: time and missing for each pace, then the producer's. */
enum {
	TIME,
	MISSING = PACES,
	BEFORE = 2 * PACES,
	DURING,
	ROWS,
};
#define CHANNELS 2
#define CASES (CHANNELS * ROWS)

/* A flight recorder and what became of its records. */
struct recorder {
	struct rondo_channel *channel;
	uint32_t spares;
	uint64_t attempts; /* producer's */
	uint64_t refused;
	uint64_t saved; /* records in snapshots */
	uint64_t wrong;
	double missing[PACES]; /* of the last snapshot, percent */
	double before, during; /* of the last flood, ns a record */
};

static struct recorder recorders[CHANNELS] = {
	{.spares = 1},
	{.spares = SUBBUFS},
};

enum phase {
	FILLING,
	RUNNING,
	SNAPPING,
	STOPPING
};

static struct {
	pthread_t thread;
	sem_t go, filled, stopped;
	struct recorder *recorder;
	enum pace pace;
	unsigned phase; /* enum phase, main's */
	unsigned times[2];
	double ns[2][TIMES]; /* of RUNNING, of SNAPPING */
	bool is_alone;	     /* on its CPU it is not: it must yield */
	bool ending;
	int cpu;
} producer;

/* ---- the producer ---- */

static __attribute__((noinline)) double record_batch(void)
{
	struct recorder *recorder = producer.recorder;
	const uint64_t from = recorder->attempts;
	const uint64_t began = bench_ticks();

	for (uint64_t i = from; i < from + BATCH; i++)
		if (!bench_record(recorder->channel, 2, i, i ^ BENCH_MIX))
			recorder->refused++;
	recorder->attempts = from + BATCH;
	if (!producer.is_alone)
		sched_yield();
	return (double)(bench_ticks() - began) * bench_ns_per_tick() / BATCH;
}

static void flood(void)
{
	const unsigned phase = rondo_load_relaxed(&producer.phase);
	const unsigned which = phase == SNAPPING;
	const double ns = record_batch();

	if (phase == rondo_load_relaxed(&producer.phase) &&
	    producer.times[which] < TIMES)
		producer.ns[which][producer.times[which]++] = ns;
}

/* One record for each microsecond that has passed. */
static void go_slowly(void)
{
	const uint64_t until = bench_now_ns() + PAUSE_NS;
	struct recorder *recorder = producer.recorder;
	const uint64_t i = recorder->attempts++;

	if (!bench_record(recorder->channel, 2, i, i ^ BENCH_MIX))
		recorder->refused++;
	while (bench_now_ns() < until)
		if (!producer.is_alone)
			sched_yield();
}

static void produce(void)
{
	for (unsigned done = 0; done < LAP; done += BATCH)
		record_batch();
	producer.times[0] = 0;
	producer.times[1] = 0;
	sem_post(&producer.filled);
	while (producer.pace != QUIET &&
	       rondo_load_relaxed(&producer.phase) != STOPPING) {
		if (producer.pace == FLOOD)
			flood();
		else
			go_slowly();
	}
	sem_post(&producer.stopped);
}

static void *run_producer(void *argument)
{
	(void)argument;
	bench_pin(producer.cpu);
	while (true) {
		while (sem_wait(&producer.go))
			;
		if (rondo_load_relaxed(&producer.ending))
			return NULL;
		produce();
	}
}

static int start_producer(const struct bench *bench)
{
	int result;

	producer.cpu = bench_cpu_at(bench, 1);
	producer.is_alone = bench_cpu_count() > 1;
	sem_init(&producer.go, 0, 0);
	sem_init(&producer.filled, 0, 0);
	sem_init(&producer.stopped, 0, 0);
	bench_ns_per_tick();
	result = pthread_create(&producer.thread, NULL, run_producer, NULL);
	return result ? bench_fail("thread: %s", strerror(result)) : 0;
}

static void end_producer(void)
{
	rondo_store_relaxed(&producer.ending, true);
	sem_post(&producer.go);
	pthread_join(producer.thread, NULL);
}

/* ---- a snapshot ---- */

static void wait_on(sem_t *semaphore)
{
	while (sem_wait(semaphore))
		;
}

/* So that there is something to compare with. */
static void let_it_run(void)
{
	const uint64_t until = bench_now_ns() + 1000000;

	while (bench_now_ns() < until)
		sched_yield();
}

/* Of packets that a full ring holds, those that are not in the trace. */
static void note_trace(struct recorder *recorder, enum pace pace,
		       const struct trace *trace)
{
	const double held = SUBBUFS;

	recorder->saved += trace->records;
	recorder->wrong += trace->wrong;
	recorder->missing[pace] = (held - (double)trace->packets) / held * 100;
	if (recorder->missing[pace] < 0)
		recorder->missing[pace] = 0;
}

static double median_of(unsigned which)
{
	if (!producer.times[which])
		return 0;
	return bench_median(producer.ns[which], producer.times[which]);
}

/* Whether the producer had its CPU meanwhile. */
static bool has_run(enum pace pace)
{
	return pace != FLOOD ||
	       (producer.times[0] >= RUNS && producer.times[1] >= RUNS);
}

/* ns it took. */
static double snap_once(struct recorder *recorder, enum pace pace)
{
	const char *directory = trace_name();
	struct trace trace = {0};
	uint64_t began;
	double ns;
	int result;

	producer.recorder = recorder;
	producer.pace = pace;
	rondo_store_relaxed(&producer.phase, (unsigned)RUNNING);
	sem_post(&producer.go);
	wait_on(&producer.filled);
	let_it_run();
	rondo_store_relaxed(&producer.phase, (unsigned)SNAPPING);
	began = bench_now_ns();
	result = rondo_snapshot(recorder->channel, directory);
	ns = (double)(bench_now_ns() - began);
	rondo_store_relaxed(&producer.phase, (unsigned)STOPPING);
	wait_on(&producer.stopped);
	if (trace_read(directory, &trace) || result < 0 ||
	    trace.packets != (uint64_t)result)
		recorder->wrong++;
	note_trace(recorder, pace, &trace);
	return ns;
}

static double snap(struct recorder *recorder, enum pace pace)
{
	double ns = snap_once(recorder, pace);

	for (int tries = 1; tries < TRIES && !has_run(pace); tries++)
		ns = snap_once(recorder, pace);
	if (pace == FLOOD) {
		recorder->before = median_of(0);
		recorder->during = median_of(1);
	}
	return ns;
}

/* ---- cases; which one it is says its place ---- */

static struct bench_case cases[CASES];

static double sample(struct bench_case *one)
{
	const size_t row = (size_t)(one - cases) % ROWS;
	struct recorder *recorder = one->context;

	if (row < MISSING)
		return snap(recorder, (enum pace)row) / 1e6;
	if (row < BEFORE)
		return recorder->missing[row - MISSING];
	return row == BEFORE ? recorder->before : recorder->during;
}

#define ROW(c, r, k, t, u)                    \
	[(c)*ROWS + (r)] = {.key = k,         \
			    .name = t,        \
			    .unit = u,        \
			    .sample = sample, \
			    .context = &recorders[c]}
#define RECORDER(c, k, t)                                                      \
	ROW(c, TIME + QUIET, k "-quiet", t ": nobody records", "ms"),          \
		ROW(c, TIME + MILLION, k "-million", "  1,000,000 records/s",  \
		    "ms"),                                                     \
		ROW(c, TIME + FLOOD, k "-flood", "  a producer without pause", \
		    "ms"),                                                     \
		ROW(c, MISSING + QUIET, k "-missing-quiet",                    \
		    "  missing: nobody", "%"),                                 \
		ROW(c, MISSING + MILLION, k "-missing-million",                \
		    "  missing: 1,000,000 records/s", "%"),                    \
		ROW(c, MISSING + FLOOD, k "-missing-flood",                    \
		    "  missing: without pause", "%"),                          \
		ROW(c, BEFORE, k "-before", "  a record before", "ns"),        \
		[(c)*ROWS + DURING] = {.key = k "-during",                     \
				       .name = "  a record meanwhile",         \
				       .unit = "ns",                           \
				       .base = &cases[(c)*ROWS + BEFORE],      \
				       .sample = sample,                       \
				       .context = &recorders[c]}

static struct bench_case cases[CASES] = {
	RECORDER(0, "1-spare", "1 spare"),
	RECORDER(1, "8-spares", "8 spares"),
};

/* ---- life and checks ---- */

static int set_up(struct bench *bench)
{
	for (size_t i = 0; i < CHANNELS; i++) {
		const struct rondo_config config = {
			.flags = RONDO_OVERWRITE,
			.subbuf_count = SUBBUFS,
			.spare_count = recorders[i].spares,
		};

		if (bench_channel(&config, "snapshot", 16,
				  &recorders[i].channel))
			return 1;
	}
	return bench_describe(bench, recorders[0].channel) ||
	       start_producer(bench);
}

static bool look(const struct rondo_item *item, void *context)
{
	(void)context;
	return bench_is_filled(item);
}

static int check(const struct recorder *recorder)
{
	const uint64_t saved_bytes =
		recorder->saved * bench_record_bytes(recorder->channel, 16);
	struct bench_readback found;

	if (bench_read_back(recorder->channel, look, NULL, &found))
		return 1;
	if (found.wrong || recorder->wrong || recorder->saved == 0)
		return bench_fail("%" PRIu64 " records and snapshots are wrong",
				  found.wrong + recorder->wrong);
	return bench_all_there(recorder->channel,
			       recorder->attempts - recorder->refused, 16,
			       found.bytes + saved_bytes);
}

static void tear_down(void)
{
	for (size_t i = 0; i < CHANNELS; i++)
		rondo_channel_destroy(recorders[i].channel);
	trace_end();
}

int main(int argc, char **argv)
{
	struct bench bench = {
		.name = "snapshot",
		.question = "What does a snapshot of a running flight recorder "
			    "take, and what does it miss?",
		.help = "One ring of 8 sub-buffers of 256 KiB, full; its "
			"producer runs on another CPU.\nThe trace goes to "
			"TMPDIR, else to memory. Missing: of the 8 "
			"sub-buffers those\nthat the producer wrote over "
			"before they were taken; 12.5 % are one, and the\n"
			"record after the flush takes the place of the "
			"oldest.",
		.heading = "a snapshot",
		.cases = cases,
		.case_count = CASES,
	};
	int status = bench_options(&bench, argc, argv);

	if (status >= 0)
		return status;
	bench.bursts = 1;
	bench.repetitions = bench.is_short ? 3 : 51;
	status = set_up(&bench);
	if (status)
		return status;
	bench_measure(&bench);
	end_producer();
	for (size_t i = 0; i < CHANNELS && !status; i++)
		status = check(&recorders[i]);
	if (status == 0)
		status = bench_report(&bench);
	bench_end(&bench);
	tear_down();
	return status;
}
