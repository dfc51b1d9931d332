/* SPDX-License-Identifier: MIT */
/*
 * Records inside records: reserve and commit while others of the same thread
 * are open, by plain nesting and in signal handlers, 0 to 4 deep.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "numbers.h"
#include "readback.h"
#include "setup.h"

#define DEEPEST 4
#define DEPTHS (DEEPEST + 1)

enum {
	CALLS,			   /* depths 0 to 4 by plain nesting */
	QUIET = DEPTHS,		   /* 1 to 4 handlers that do not record */
	HANDLED = QUIET + DEEPEST, /* 1 to 4 handlers that do */
	CASES = HANDLED + DEEPEST,
};

static struct rondo_channel *channel;
static volatile sig_atomic_t deepest; /* of the handlers to come */
static volatile sig_atomic_t depth;
static bool handlers_record;
static uint64_t refused;

/* ---- plain nesting ---- */

BENCH_INLINE void nothing_inside(uint64_t a, uint64_t b)
{
	(void)a, (void)b;
}

/* A record, and what happens while it is open. */
BENCH_INLINE void record_with(bench_op *inside, uint64_t a, uint64_t b)
{
	struct rondo_record record;

	if (rondo_reserve(channel, BENCH_ID, 16, &record)) {
		refused++;
		return;
	}
	bench_fill((uint64_t *)record.data, 2, a, b);
	inside(a, b);
	rondo_commit(&record);
}

BENCH_INLINE void nested_0(uint64_t a, uint64_t b)
{
	record_with(nothing_inside, a, b);
}

BENCH_INLINE void nested_1(uint64_t a, uint64_t b)
{
	record_with(nested_0, a, b);
}

BENCH_INLINE void nested_2(uint64_t a, uint64_t b)
{
	record_with(nested_1, a, b);
}

BENCH_INLINE void nested_3(uint64_t a, uint64_t b)
{
	record_with(nested_2, a, b);
}

BENCH_INLINE void nested_4(uint64_t a, uint64_t b)
{
	record_with(nested_3, a, b);
}

BENCH_OP static void record_alone(uint64_t a, uint64_t b)
{
	nested_0(a, b);
}

BENCH_OP static void record_1_inside(uint64_t a, uint64_t b)
{
	nested_1(a, b);
}

BENCH_OP static void record_2_inside(uint64_t a, uint64_t b)
{
	nested_2(a, b);
}

BENCH_OP static void record_3_inside(uint64_t a, uint64_t b)
{
	nested_3(a, b);
}

BENCH_OP static void record_4_inside(uint64_t a, uint64_t b)
{
	nested_4(a, b);
}

/* ---- in handlers ---- */

/* Each level has a signal of its own; the next comes inside this record. */
static void go_deeper(uint64_t a, uint64_t b)
{
	(void)a, (void)b;
	if (depth == deepest)
		return;
	depth++;
	raise(SIGRTMIN + depth);
	depth--;
}

static void handle(int number)
{
	const uint64_t level = (uint64_t)number;

	if (handlers_record)
		record_with(go_deeper, level, level ^ BENCH_MIX);
	else
		go_deeper(level, level);
}

static void enter_quiet(struct bench_case *one)
{
	deepest = (sig_atomic_t)(uintptr_t)one->context;
	handlers_record = false;
}

static void enter_recording(struct bench_case *one)
{
	deepest = (sig_atomic_t)(uintptr_t)one->context;
	handlers_record = true;
}

BENCH_OP static void record_interrupted(uint64_t a, uint64_t b)
{
	record_with(go_deeper, a, b);
}

static int install(void)
{
	struct sigaction action = {.sa_handler = handle};

	for (int i = 1; i <= DEEPEST; i++)
		if (sigaction(SIGRTMIN + i, &action, NULL))
			return bench_fail("no handler for signal %d",
					  SIGRTMIN + i);
	return 0;
}

/* ---- cases ---- */

static struct bench_case cases[CASES];

#define NESTED(n, t, o)   \
	[CALLS + (n)] = { \
		.key = "calls-" #n, .name = t, .op = o, .base = &cases[CALLS]}
#define QUIET(n)                                                    \
	[QUIET + (n)-1] = {.key = "quiet-" #n,                      \
			   .name = #n " deep: handlers do nothing", \
			   .op = record_interrupted,                \
			   .enter = enter_quiet,                    \
			   .context = (void *)(n)}
#define HANDLED(n)                                             \
	[HANDLED + (n)-1] = {.key = "handlers-" #n,            \
			     .name = #n " deep: each records", \
			     .op = record_interrupted,         \
			     .base = &cases[QUIET + (n)-1],    \
			     .enter = enter_recording,         \
			     .context = (void *)(n)}

static struct bench_case cases[CASES] = {
	NESTED(0, "a record", record_alone),
	NESTED(1, "  with 1 inside", record_1_inside),
	NESTED(2, "  with 2, each in the other", record_2_inside),
	NESTED(3, "  with 3", record_3_inside),
	NESTED(4, "  with 4", record_4_inside),
	QUIET(1),
	QUIET(2),
	QUIET(3),
	QUIET(4),
	HANDLED(1),
	HANDLED(2),
	HANDLED(3),
	HANDLED(4),
};

/* ---- results ---- */

static bool look(const struct rondo_item *item, void *context)
{
	(void)context;
	return bench_is_filled(item);
}

static uint64_t records_of(size_t i)
{
	if (i < QUIET)
		return cases[i].calls * (i + 1);
	if (i < HANDLED)
		return cases[i].calls;
	return cases[i].calls * (i - HANDLED + 2);
}

static int check(void)
{
	struct bench_readback found;
	uint64_t records = 0;

	for (size_t i = 0; i < CASES; i++)
		records += records_of(i);
	if (bench_read_back(channel, look, NULL, &found))
		return 1;
	if (found.wrong || found.records == 0)
		return bench_fail("%" PRIu64 " records, %" PRIu64 " wrong",
				  found.records, found.wrong);
	return bench_all_there(channel, records - refused, 16, found.bytes);
}

static double difference(const struct bench *bench, size_t of, size_t to)
{
	const struct bench_target target = {.measure = BENCH_DIFFERENCE,
					    .of = &cases[of],
					    .to = &cases[to]};
	struct bench_numbers numbers;

	bench_compare(bench, &target, &numbers);
	return numbers.median;
}

static void print_each(const struct bench *bench)
{
	printf("\nns of one record more: by nesting, in a handler (beyond the "
	       "signal)\n");
	for (size_t n = 1; n <= DEEPEST; n++)
		printf("%zu deep  %6.2f %8.2f\n", n,
		       difference(bench, CALLS + n, CALLS) / (double)n,
		       difference(bench, HANDLED + n - 1, QUIET + n - 1) /
			       (double)n);
}

int main(int argc, char **argv)
{
	const struct rondo_config config = {.flags = RONDO_OVERWRITE};
	struct bench bench = {
		.name = "nesting",
		.question = "What do records inside records cost?",
		.help = "First reserve several times, then commit as "
			"often in the other order. Then by\nsignals "
			"that a thread raises inside its own record, 1 "
			"to 4 handlers deep, next\nto the same signals "
			"whose handlers do not record.",
		.heading = "all of it, ns",
		.cases = cases,
		.case_count = CASES,
	};
	int status = bench_options(&bench, argc, argv);

	if (status >= 0)
		return status;
	if (!bench.is_short)
		bench.repetitions = 101;
	status = bench_channel(&config, "nesting", 16, &channel) ||
		 bench_describe(&bench, channel) || install();
	if (status == 0) {
		bench_call(&cases[CALLS], 100000);
		bench_measure(&bench);
		status = check();
	}
	if (status == 0)
		status = bench_report(&bench);
	if (status == 0)
		print_each(&bench);
	bench_end(&bench);
	rondo_channel_destroy(channel);
	return status;
}
