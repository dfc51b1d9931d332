/* SPDX-License-Identifier: MIT */
/*
 * What recording costs: one record of each kind against the floor, which is the
 * clock and the same plain stores into a buffer that goes round.
 */
#include "record_cases.h"

#include <stdlib.h>

enum {
	EMPTY,
	TICKS,
	FLOOR16,
	RECORD16,
	CALL_RECORD16,
	WRITE16,
	CALL_WRITE16,
	SQUASH16,
	ALONE_EMPTY,
	ALONE_FLOOR16,
	ALONE_RECORD16,
	ALONE_CALL_RECORD16,
	FLOOR64,
	RECORD64,
	CALL_RECORD64,
	WRITE64,
	WRITEV1,
	WRITEV2,
	WRITEV4,
	CALL_WRITE64,
	CALL_WRITEV1,
	CALL_WRITEV2,
	CALL_WRITEV4,
	FLOOR256,
	RECORD256,
	CALL_RECORD256,
	ATOMIC16,
	CALL_ATOMIC16,
	FULL16,
	CALL_FULL16,
	COUNT16,
	STOPPED16,
	CALL_STOPPED16,
	CROSSING,
	LEAST_CROSSING,
	LARGE16,
	MONOTONIC16,
	CASES,
};

static struct bench_case cases[CASES];

#define CASE(i, k, n, o, b) [i] = {.key = k, .name = n, .op = o, .base = b}

static struct bench_case cases[CASES] = {
	CASE(EMPTY, "empty", "an empty function", operation_empty, NULL),
	CASE(TICKS, "ticks", "the clock alone", operation_ticks, NULL),
	CASE(FLOOR16, "floor-16", "floor: clock, header, 16 B",
	     operation_floor16, NULL),
	CASE(RECORD16, "inline-16", "reserve, 16 B, commit; inline",
	     operation_record16, &cases[FLOOR16]),
	CASE(CALL_RECORD16, "call-16", "  the same; through the .so",
	     operation_call_record16, &cases[FLOOR16]),
	CASE(WRITE16, "write-16", "write 16 B; inline", operation_write16,
	     &cases[FLOOR16]),
	CASE(CALL_WRITE16, "call-write-16", "  the same; through the .so",
	     operation_call_write16, &cases[FLOOR16]),
	CASE(SQUASH16, "squash-16", "reserve, 16 B, commit, squash",
	     operation_squash16, &cases[FLOOR16]),
	CASE(ALONE_EMPTY, "alone-empty", "between fences: an empty function",
	     operation_alone_empty, NULL),
	CASE(ALONE_FLOOR16, "alone-floor-16", "  floor, 16 B",
	     operation_alone_floor16, NULL),
	CASE(ALONE_RECORD16, "alone-inline-16",
	     "  reserve, 16 B, commit; inline", operation_alone_record16,
	     &cases[ALONE_FLOOR16]),
	CASE(ALONE_CALL_RECORD16, "alone-call-16",
	     "  the same; through the .so", operation_alone_call_record16,
	     &cases[ALONE_FLOOR16]),
	CASE(FLOOR64, "floor-64", "floor: clock, header, 64 B",
	     operation_floor64, NULL),
	CASE(RECORD64, "inline-64", "reserve, 64 B, commit; inline",
	     operation_record64, &cases[FLOOR64]),
	CASE(CALL_RECORD64, "call-64", "  the same; through the .so",
	     operation_call_record64, &cases[FLOOR64]),
	CASE(WRITE64, "write-64", "write 64 B; inline", operation_write64,
	     &cases[FLOOR64]),
	CASE(WRITEV1, "writev-1", "writev of 1 piece, 64 B; inline",
	     operation_writev1, &cases[WRITE64]),
	CASE(WRITEV2, "writev-2", "writev of 2 pieces, 64 B; inline",
	     operation_writev2, &cases[WRITE64]),
	CASE(WRITEV4, "writev-4", "writev of 4 pieces, 64 B; inline",
	     operation_writev4, &cases[WRITE64]),
	CASE(CALL_WRITE64, "call-write-64", "write 64 B; through the .so",
	     operation_call_write64, &cases[FLOOR64]),
	CASE(CALL_WRITEV1, "call-writev-1", "writev of 1 piece; .so",
	     operation_call_writev1, &cases[CALL_WRITE64]),
	CASE(CALL_WRITEV2, "call-writev-2", "writev of 2 pieces; .so",
	     operation_call_writev2, &cases[CALL_WRITE64]),
	CASE(CALL_WRITEV4, "call-writev-4", "writev of 4 pieces; .so",
	     operation_call_writev4, &cases[CALL_WRITE64]),
	CASE(FLOOR256, "floor-256", "floor: clock, header, 256 B",
	     operation_floor256, NULL),
	CASE(RECORD256, "inline-256", "reserve, 256 B, commit; inline",
	     operation_record256, &cases[FLOOR256]),
	CASE(CALL_RECORD256, "call-256", "  the same; through the .so",
	     operation_call_record256, &cases[FLOOR256]),
	CASE(ATOMIC16, "atomic-16", "atomic mode, 16 B; inline",
	     operation_atomic16, &cases[FLOOR16]),
	CASE(CALL_ATOMIC16, "call-atomic-16", "  the same; through the .so",
	     operation_call_atomic16, &cases[FLOOR16]),
	CASE(FULL16, "full-16", "refused because full; inline",
	     operation_full16, &cases[FLOOR16]),
	CASE(CALL_FULL16, "call-full-16", "  the same; through the .so",
	     operation_call_full16, &cases[FLOOR16]),
	CASE(COUNT16, "count-16", "  a call that counts, no more",
	     operation_count16, &cases[FLOOR16]),
	CASE(STOPPED16, "stopped-16", "refused: stopped; inline",
	     operation_stopped16, &cases[EMPTY]),
	CASE(CALL_STOPPED16, "call-stopped-16", "  the same; through the .so",
	     operation_call_stopped16, &cases[EMPTY]),
	CASE(CROSSING, "crossing", "every record crosses", operation_crossing,
	     &cases[FLOOR16]),
	CASE(LEAST_CROSSING, "least-crossing",
	     "  its swaps, sequences and stores", operation_least_crossing,
	     &cases[FLOOR16]),
	CASE(LARGE16, "large-16", "full record headers, 16 B",
	     operation_large16, &cases[FLOOR16]),
	CASE(MONOTONIC16, "monotonic-16", "monotonic clock, 16 B",
	     operation_monotonic16, &cases[FLOOR16]),
};

#define EFFECT(i, c, b, o) [i] = {&operations.c, b, o}

static const struct record_effect effects[CASES] = {
	EFFECT(RECORD16, ring, 16, RECORD_KEPT),
	EFFECT(CALL_RECORD16, ring, 16, RECORD_KEPT),
	EFFECT(WRITE16, ring, 16, RECORD_KEPT),
	EFFECT(CALL_WRITE16, ring, 16, RECORD_KEPT),
	EFFECT(SQUASH16, ring, 16, RECORD_SQUASHED),
	EFFECT(ALONE_RECORD16, ring, 16, RECORD_KEPT),
	EFFECT(ALONE_CALL_RECORD16, ring, 16, RECORD_KEPT),
	EFFECT(RECORD64, ring, 64, RECORD_KEPT),
	EFFECT(CALL_RECORD64, ring, 64, RECORD_KEPT),
	EFFECT(WRITE64, ring, 64, RECORD_KEPT),
	EFFECT(WRITEV1, ring, 64, RECORD_KEPT),
	EFFECT(WRITEV2, ring, 64, RECORD_KEPT),
	EFFECT(WRITEV4, ring, 64, RECORD_KEPT),
	EFFECT(CALL_WRITE64, ring, 64, RECORD_KEPT),
	EFFECT(CALL_WRITEV1, ring, 64, RECORD_KEPT),
	EFFECT(CALL_WRITEV2, ring, 64, RECORD_KEPT),
	EFFECT(CALL_WRITEV4, ring, 64, RECORD_KEPT),
	EFFECT(RECORD256, ring, 256, RECORD_KEPT),
	EFFECT(CALL_RECORD256, ring, 256, RECORD_KEPT),
	EFFECT(ATOMIC16, atomic, 16, RECORD_KEPT),
	EFFECT(CALL_ATOMIC16, atomic, 16, RECORD_KEPT),
	EFFECT(FULL16, full, 16, RECORD_REFUSED),
	EFFECT(CALL_FULL16, full, 16, RECORD_REFUSED),
	EFFECT(STOPPED16, stopped, 16, RECORD_NOTHING),
	EFFECT(CALL_STOPPED16, stopped, 16, RECORD_NOTHING),
	EFFECT(CROSSING, crossing, 2032, RECORD_KEPT),
	EFFECT(LARGE16, large, 16, RECORD_KEPT),
	EFFECT(MONOTONIC16, monotonic, 16, RECORD_KEPT),
};

#define TARGET(n, t, how, o, f, m)                                       \
	{                                                                \
		.number = n, .text = t, .measure = how, .of = &cases[o], \
		.to = f, .limit = m, .needs_rseq = true                  \
	}
#define RATIO(n, t, o, f, m) TARGET(n, t, BENCH_RATIO, o, &cases[f], m)
#define DIFFERENCE(n, t, o, f, m) \
	TARGET(n, t, BENCH_DIFFERENCE, o, &cases[f], m)

#define REFUSED(t, o)                                                    \
	{                                                                \
		.number = "12", .text = t, .measure = BENCH_TIME,        \
		.of = &cases[o], .best_of = &cases[COUNT16], .limit = 4, \
		.needs_rseq = true                                       \
	}

static const struct bench_target targets[] = {
	RATIO("1", "reserve, 16 B, commit inline / floor", RECORD16, FLOOR16,
	      1.25),
	RATIO("2", "the same through the .so / floor", CALL_RECORD16, FLOOR16,
	      1.55),
	RATIO("3", "write 16 B inline / floor", WRITE16, FLOOR16, 1.30),
	RATIO("3", "write 16 B through the .so / floor", CALL_WRITE16, FLOOR16,
	      1.45),
	RATIO("4", "64 B inline / floor of 64 B", RECORD64, FLOOR64, 1.27),
	RATIO("4", "256 B inline / floor of 256 B", RECORD256, FLOOR256, 1.20),
	REFUSED("refused because full, counted; inline", FULL16),
	REFUSED("  the same through the .so", CALL_FULL16),
	DIFFERENCE("13", "refused: stopped, inline - empty", STOPPED16, EMPTY,
		   0.3),
	{.number = "18",
	 .text = "atomic mode inline / floor",
	 .measure = BENCH_RATIO,
	 .of = &cases[ATOMIC16],
	 .to = &cases[FLOOR16],
	 .limit = 3.5},
	{.number = "21",
	 .text = "a crossing, nobody waits",
	 .measure = BENCH_DIFFERENCE,
	 .of = &cases[CROSSING],
	 .to = &cases[RECORD16],
	 .best_of = &cases[LEAST_CROSSING],
	 .limit = 40,
	 .needs_rseq = true},
};

static void skip_bounds(void)
{
	cases[COUNT16].sample = bench_sample_nothing;
	cases[LEAST_CROSSING].sample = bench_sample_nothing;
}

static int check_count(void)
{
	if (operations_counted() == cases[COUNT16].calls)
		return 0;
	return bench_fail("a call that counts does not");
}

int main(int argc, char **argv)
{
	struct bench bench = {
		.name = "record",
		.question = "What does recording cost, next to reading the "
			    "clock and storing as much?",
		.cases = cases,
		.case_count = CASES,
		.targets = targets,
		.target_count = sizeof(targets) / sizeof(targets[0]),
	};
	int status = bench_options(&bench, argc, argv);

	if (status >= 0)
		return status;
	status = record_set_up(&bench, effects);
	if (status == 0) {
		if (!bench.has_rseq)
			skip_bounds();
		bench_measure(&bench);
		status = record_check(&bench, effects) || check_count();
	}
	if (status == 0)
		status = bench_report(&bench);
	bench_end(&bench);
	record_tear_down();
	return status;
}
