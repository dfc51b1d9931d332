/* SPDX-License-Identifier: MIT */
/*
 * What a live consumer costs the producer: rondo, and buffers in the style of
 * perf, each without a consumer, with one that sleeps and one that polls.
 */
#include "consumer_subject.h"

#include <stdio.h>

#define BURST 24000u /* records, less than a buffer holds */
#define LAPS 6	     /* bursts that touch every page */
#define TRIES 5	     /* until the consumer ran during a burst */
#define LOOKS 50     /* of a consumer that ran */
#define FILL16 10917 /* records of 16 bytes that fill a sub-buffer */
#define FILL64 3639  /* of 64 bytes */

enum {
	RONDO_OVER,
	RONDO_OVER_SLEEPY,
	RONDO_OVER_EAGER,
	RONDO_NONE,
	RONDO_SLEEPY,
	RONDO_EAGER,
	RONDO_WOKEN4,
	RONDO64_OVER,
	RONDO64_SLEEPY,
	RONDO64_EAGER,
	RONDO64_WOKEN4,
	PLAIN_OVER,
	PLAIN_NONE,
	PLAIN_SLEEPY,
	PLAIN_EAGER,
	LOCKED_OVER,
	LOCKED_NONE,
	LOCKED_SLEEPY,
	LOCKED_EAGER,
	PACKED_OVER,
	PACKED_NONE,
	PACKED_SLEEPY,
	PACKED_EAGER,
	RSEQ_OVER,
	RSEQ_NONE,
	RSEQ_SLEEPY,
	RSEQ_EAGER,
	RONDO_WOKEN,
	RONDO64_WOKEN,
	SUBJECTS,
	/* Bounds that are no buffers. */
	FLOOR16 = SUBJECTS,
	FLOOR64,
	CASES,
};

/* ---- the operations; the subject comes from memory, as in a program ---- */

static struct subject *here;
static struct bench_floor ground;

BENCH_OP static void record_rondo16(uint64_t a, uint64_t b)
{
	if (!bench_record(here->channel, 2, a, b))
		here->refused++;
}

BENCH_OP static void record_rondo64(uint64_t a, uint64_t b)
{
	if (!bench_record(here->channel, 8, a, b))
		here->refused++;
}

/* As often as a sub-buffer fills a sleeper is woken, by a call. */
BENCH_OP static void record_woken16(uint64_t a, uint64_t b)
{
	if (!bench_record(here->channel, 2, a, b))
		here->refused++;
	if (a % FILL16 == 0)
		subject_wake();
}

BENCH_OP static void record_woken64(uint64_t a, uint64_t b)
{
	if (!bench_record(here->channel, 8, a, b))
		here->refused++;
	if (a % FILL64 == 0)
		subject_wake();
}

BENCH_OP static void record_floor16(uint64_t a, uint64_t b)
{
	bench_floor_record(&ground, 2, a, b);
}

BENCH_OP static void record_floor64(uint64_t a, uint64_t b)
{
	bench_floor_record(&ground, 8, a, b);
}

BENCH_OP static void record_plain(uint64_t a, uint64_t b)
{
	const uint64_t pair[2] = {a, b};

	if (perf_plain_record(here->rings->ring, pair, sizeof(pair)))
		here->refused++;
}

BENCH_OP static void record_locked(uint64_t a, uint64_t b)
{
	const uint64_t pair[2] = {a, b};

	if (perf_locked_record(here->rings, pair, sizeof(pair)))
		here->refused++;
}

BENCH_OP static void record_packed(uint64_t a, uint64_t b)
{
	const uint64_t pair[2] = {a, b};

	if (perf_packed_record(here->rings, pair, sizeof(pair)))
		here->refused++;
}

BENCH_OP static void record_rseq(uint64_t a, uint64_t b)
{
	const uint64_t pair[2] = {a, b};

	if (perf_rseq_record(here->rings, pair, sizeof(pair)))
		here->refused++;
}

/* ---- a burst ---- */

static double time_burst(struct bench_case *one)
{
	uint64_t began;

	began = bench_now_ns();
	bench_call(one, BURST);
	return (double)(bench_now_ns() - began) / BURST;
}

static double sample_alone(struct bench_case *one)
{
	here = one->context;
	while (!here->overwrites && subject_take(here))
		;
	return time_burst(one);
}

/* Again when others had the consumer's CPU: then there was no consumer. */
static double sample_with_consumer(struct bench_case *one)
{
	double ns = 0;

	here = one->context;
	for (int tries = 0; tries < TRIES; tries++) {
		uint64_t refused = here->refused, looks;

		consumer_attend(here);
		looks = consumer_looks();
		ns = time_burst(one);
		looks = consumer_looks() - looks;
		consumer_leave();
		if (here->refused == refused &&
		    (here->pace != PACE_EAGER || looks >= LOOKS))
			return ns;
	}
	here->unattended++;
	return ns;
}

/* ---- cases and targets ---- */

#define RONDO(i, p, o, b)         \
	[i] = {                   \
		.is_rondo = true, \
		.pace = p,        \
		.overwrites = o,  \
		.bytes = b,       \
	}
#define WOKEN4(i, b)                 \
	[i] = {                      \
		.is_rondo = true,    \
		.pace = PACE_SLEEPY, \
		.bytes = b,          \
		.wake_subbufs = 4,   \
	}
#define PERF(i, v, p, o) \
	[i] = {.variant = v, .pace = p, .overwrites = o, .bytes = 16}

static struct subject subjects[SUBJECTS] = {
	RONDO(RONDO_OVER, PACE_NONE, true, 16),
	RONDO(RONDO_OVER_SLEEPY, PACE_SLEEPY, true, 16),
	RONDO(RONDO_OVER_EAGER, PACE_EAGER, true, 16),
	RONDO(RONDO_NONE, PACE_NONE, false, 16),
	RONDO(RONDO_SLEEPY, PACE_SLEEPY, false, 16),
	RONDO(RONDO_EAGER, PACE_EAGER, false, 16),
	RONDO(RONDO64_OVER, PACE_NONE, true, 64),
	RONDO(RONDO64_SLEEPY, PACE_SLEEPY, false, 64),
	RONDO(RONDO64_EAGER, PACE_EAGER, false, 64),
	WOKEN4(RONDO_WOKEN4, 16),
	WOKEN4(RONDO64_WOKEN4, 64),
	PERF(PLAIN_OVER, PERF_PLAIN, PACE_NONE, true),
	PERF(PLAIN_NONE, PERF_PLAIN, PACE_NONE, false),
	PERF(PLAIN_SLEEPY, PERF_PLAIN, PACE_SLEEPY, false),
	PERF(PLAIN_EAGER, PERF_PLAIN, PACE_EAGER, false),
	PERF(LOCKED_OVER, PERF_LOCKED, PACE_NONE, true),
	PERF(LOCKED_NONE, PERF_LOCKED, PACE_NONE, false),
	PERF(LOCKED_SLEEPY, PERF_LOCKED, PACE_SLEEPY, false),
	PERF(LOCKED_EAGER, PERF_LOCKED, PACE_EAGER, false),
	PERF(PACKED_OVER, PERF_PACKED, PACE_NONE, true),
	PERF(PACKED_NONE, PERF_PACKED, PACE_NONE, false),
	PERF(PACKED_SLEEPY, PERF_PACKED, PACE_SLEEPY, false),
	PERF(PACKED_EAGER, PERF_PACKED, PACE_EAGER, false),
	PERF(RSEQ_OVER, PERF_RSEQ, PACE_NONE, true),
	PERF(RSEQ_NONE, PERF_RSEQ, PACE_NONE, false),
	PERF(RSEQ_SLEEPY, PERF_RSEQ, PACE_SLEEPY, false),
	PERF(RSEQ_EAGER, PERF_RSEQ, PACE_EAGER, false),
	RONDO(RONDO_WOKEN, PACE_WOKEN, true, 16),
	RONDO(RONDO64_WOKEN, PACE_WOKEN, true, 64),
};

static struct bench_case cases[CASES];

#define CASE(i, k, n, o, b) \
	[i] = {.key = k, .name = n, .op = o, .base = &cases[b]}

static struct bench_case cases[CASES] = {
	CASE(RONDO_OVER, "rondo-overwrite", "rondo, overwrite: no consumer",
	     record_rondo16, RONDO_OVER),
	CASE(RONDO_OVER_SLEEPY, "rondo-overwrite-sleepy", "  a sleepy one",
	     record_rondo16, RONDO_OVER),
	CASE(RONDO_OVER_EAGER, "rondo-overwrite-eager", "  an eager one",
	     record_rondo16, RONDO_OVER),
	CASE(RONDO_NONE, "rondo", "rondo, discard: no consumer", record_rondo16,
	     RONDO_OVER),
	CASE(RONDO_SLEEPY, "rondo-sleepy", "  a sleepy one", record_rondo16,
	     RONDO_OVER),
	CASE(RONDO_EAGER, "rondo-eager", "  an eager one", record_rondo16,
	     RONDO_OVER),
	CASE(RONDO_WOKEN4, "rondo-sleepy-4",
	     "  a sleepy one, woken by every 4th", record_rondo16, RONDO_OVER),
	CASE(RONDO64_OVER, "rondo-64-overwrite",
	     "rondo, overwrite, 64 B: no consumer", record_rondo64,
	     RONDO64_OVER),
	CASE(RONDO64_SLEEPY, "rondo-64-sleepy",
	     "rondo, discard, 64 B: a sleepy one", record_rondo64,
	     RONDO64_OVER),
	CASE(RONDO64_EAGER, "rondo-64-eager", "  an eager one", record_rondo64,
	     RONDO64_OVER),
	CASE(RONDO64_WOKEN4, "rondo-64-sleepy-4",
	     "  a sleepy one, woken by every 4th", record_rondo64,
	     RONDO64_OVER),
	CASE(PLAIN_OVER, "plain-overwrite", "perf, one thread, overwrite: none",
	     record_plain, RONDO_OVER),
	CASE(PLAIN_NONE, "plain", "perf, one thread: no consumer", record_plain,
	     RONDO_NONE),
	CASE(PLAIN_SLEEPY, "plain-sleepy", "  a sleepy one", record_plain,
	     RONDO_SLEEPY),
	CASE(PLAIN_EAGER, "plain-eager", "  an eager one", record_plain,
	     RONDO_EAGER),
	CASE(LOCKED_OVER, "locked-overwrite", "perf, locked, overwrite: none",
	     record_locked, RONDO_OVER),
	CASE(LOCKED_NONE, "locked", "perf, locked: no consumer", record_locked,
	     RONDO_NONE),
	CASE(LOCKED_SLEEPY, "locked-sleepy", "  a sleepy one", record_locked,
	     RONDO_SLEEPY),
	CASE(LOCKED_EAGER, "locked-eager", "  an eager one", record_locked,
	     RONDO_EAGER),
	CASE(PACKED_OVER, "packed-overwrite",
	     "perf, locked, one word, overwrite: none", record_packed,
	     RONDO_OVER),
	CASE(PACKED_NONE, "packed", "perf, locked, one word: no consumer",
	     record_packed, RONDO_NONE),
	CASE(PACKED_SLEEPY, "packed-sleepy", "  a sleepy one", record_packed,
	     RONDO_SLEEPY),
	CASE(PACKED_EAGER, "packed-eager", "  an eager one", record_packed,
	     RONDO_EAGER),
	CASE(RSEQ_OVER, "rseq-overwrite", "perf, rseq, overwrite: none",
	     record_rseq, RONDO_OVER),
	CASE(RSEQ_NONE, "rseq", "perf, rseq: no consumer", record_rseq,
	     RONDO_NONE),
	CASE(RSEQ_SLEEPY, "rseq-sleepy", "  a sleepy one", record_rseq,
	     RONDO_SLEEPY),
	CASE(RSEQ_EAGER, "rseq-eager", "  an eager one", record_rseq,
	     RONDO_EAGER),
	CASE(RONDO_WOKEN, "rondo-woken", "rondo, overwrite: one is but woken",
	     record_woken16, RONDO_OVER),
	CASE(RONDO64_WOKEN, "rondo-64-woken",
	     "rondo, overwrite, 64 B: but woken", record_woken64, RONDO64_OVER),
	CASE(FLOOR16, "floor-16", "floor: clock, header, 16 B", record_floor16,
	     RONDO_OVER),
	CASE(FLOOR64, "floor-64", "floor: clock, header, 64 B", record_floor64,
	     RONDO64_OVER),
};

/* Perf's buffers are compared with rondo, at best with the floor; rondo with a
 * consumer with rondo without. */
#define AGAINST(n, t, o, f, m)                                            \
	{                                                                 \
		.number = n, .text = t, .of = &cases[o], .to = &cases[f], \
		.best_to = &cases[FLOOR16], .limit = m, .at_least = true, \
		.needs_rseq = true                                        \
	}
#define WITH(t, o, f, best)                                                  \
	{                                                                    \
		.number = "11", .text = t, .of = &cases[o], .to = &cases[f], \
		.best_of = best, .limit = 1.10, .needs_rseq = true           \
	}

static struct bench_target targets[] = {
	AGAINST("6", "perf-style locked / rondo, no consumer", LOCKED_OVER,
		RONDO_OVER, 2.9),
	AGAINST("6", "  the same in one word / rondo", PACKED_OVER, RONDO_OVER,
		2.9),
	AGAINST("7", "perf-style rseq / rondo, no consumer", RSEQ_OVER,
		RONDO_OVER, 1.0),
	AGAINST("8", "perf-style rseq / rondo, eager consumers", RSEQ_EAGER,
		RONDO_EAGER, 4),
	WITH("discard, sleepy consumer / overwrite, 16 B", RONDO_SLEEPY,
	     RONDO_OVER, &cases[RONDO_WOKEN]),
	WITH("  64 B", RONDO64_SLEEPY, RONDO64_OVER, &cases[RONDO64_WOKEN]),
	WITH("  16 B, woken by every fourth sub-buffer", RONDO_WOKEN4,
	     RONDO_OVER, NULL),
	WITH("  64 B, woken by every fourth sub-buffer", RONDO64_WOKEN4,
	     RONDO64_OVER, NULL),
};
#define TARGETS (sizeof(targets) / sizeof(targets[0]))

/* Once round the buffer, so that nothing measured faults. */
static void touch(struct bench_case *one)
{
	for (int lap = 0; lap < LAPS; lap++)
		sample_alone(one);
}

static bool has_consumer(const struct bench_target *target)
{
	const struct subject *subject = target->of->context;

	return subject->pace != PACE_NONE;
}

static int set_up(struct bench *bench)
{
	const bool alone = bench_cpu_count() < 2;

	if (bench_floor_create(&ground))
		return 1;
	for (size_t i = 0; i < SUBJECTS; i++) {
		struct subject *subject = &subjects[i];

		cases[i].context = subject;
		if (subject_create(subject, bench))
			return 1;
		cases[i].sample = subject->pace == PACE_NONE ?
					  sample_alone :
					  sample_with_consumer;
		if (subject->is_missing || (alone && subject->pace))
			cases[i].sample = bench_sample_nothing;
		else
			touch(&cases[i]);
	}
	for (size_t i = 0; i < TARGETS; i++)
		if (alone && has_consumer(&targets[i]))
			targets[i].undecided = "not decided: one CPU";
	return bench_describe(bench, subjects[RONDO_OVER].channel);
}

static int measure(struct bench *bench)
{
	int status = consumer_start(bench_cpu_at(bench, 1));

	if (status)
		return status;
	bench_measure(bench);
	consumer_end();
	for (size_t i = 0; i < SUBJECTS && !status; i++)
		if (cases[i].calls)
			status = subject_check(&subjects[i], &cases[i]);
	return status;
}

static void print_unattended(void)
{
	uint64_t bursts = 0;

	for (size_t i = 0; i < SUBJECTS; i++)
		bursts += subjects[i].unattended;
	if (bursts)
		printf("\n%llu bursts in which the consumer did not run\n",
		       (unsigned long long)bursts);
}

int main(int argc, char **argv)
{
	struct bench bench = {
		.name = "consumer",
		.question = "What does a live consumer cost the producer, with "
			    "sub-buffers and with\na single head?",
		.help = "Records of 16 bytes where nothing else is said. The "
			"consumer runs on another\nCPU, sleeps until a "
			"sub-buffer (or as many bytes) is ready, or polls, and "
			"copies\nout what there is. Overwrite: a flight "
			"recorder; else a full buffer refuses\nrecords. A "
			"case that cannot be measured here (no rseq, one CPU) "
			"is nan. A ratio\nis to rondo with the same "
			"consumer; rondo's own to rondo without one.",
		.cases = cases,
		.case_count = CASES,
		.targets = targets,
		.target_count = TARGETS,
	};
	int status = bench_options(&bench, argc, argv);

	if (status >= 0)
		return status;
	bench.repetitions = bench.is_short ? 5 : 101;
	bench.bursts = bench.is_short ? 1 : 3;
	status = set_up(&bench);
	if (status == 0)
		status = measure(&bench);
	if (status == 0)
		status = bench_report(&bench);
	if (status == 0)
		print_unattended();
	bench_end(&bench);
	for (size_t i = 0; i < SUBJECTS; i++)
		subject_destroy(&subjects[i]);
	bench_floor_destroy(&ground);
	return status;
}
