/* SPDX-License-Identifier: MIT */
/*
 * How long one record takes, alone between fences: percentiles, hot and with
 * cold caches; crossings, refusals, flushes.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "latency_flush.h"
#include "numbers.h"
#include "record_cases.h"
#include "setup.h"

#define SINGLES 100000u /* in a sample; its p99.99 leaves out 10 */
#define SHORT_SINGLES 20000u
#define WARM 1000u
#define WALKS 3 /* over the caches, in a sample */
#define WALK_LEAST (UINT64_C(64) << 20)
#define LINE 64

/* What is said of the singles of an operation. */
enum {
	P50,
	MEAN,
	P99,
	P999,
	P9999,
	MOST,
	PARTS,
};

enum {
	EMPTY,
	FLOOR = EMPTY + PARTS,
	RECORD = FLOOR + PARTS,
	CALL_RECORD = RECORD + PARTS,
	ATOMIC = CALL_RECORD + PARTS,
	CROSSING = ATOMIC + PARTS,
	FULL = CROSSING + PARTS,
	LEAST_CROSSING = FULL + PARTS,
	COLD_EMPTY = LEAST_CROSSING + 2,
	COLD_FLOOR,
	COLD_TOUCH,
	COLD_RECORD,
	COLD_CALL_RECORD,
	FLUSH_NOTHING,
	FLUSH_IDLE,
	FLUSH_BUSY,
	FLUSH_ROUNDS,
	FLUSH_FENCE,
	CASES,
};

static uint32_t *singles; /* ticks; sorted after the first of a group */
static uint32_t single_count;
static const char *walk_memory;
static uint64_t walk_bytes;
static uint64_t walk_sum;

/* ---- samples ---- */

static __attribute__((noinline)) uint64_t time_single(bench_op *op, uint64_t a)
{
	const uint64_t began = bench_ticks_alone();

	op(a, a ^ BENCH_MIX);
	return bench_ticks_alone() - began;
}

static int by_ticks(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* All singles of a group; its other cases look at the same. */
static double sample_p50(struct bench_case *one)
{
	bench_call(one, WARM);
	for (uint32_t i = 0; i < single_count; i++) {
		uint64_t ticks = time_single(one->op, one->calls + i);

		singles[i] = ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
	}
	one->calls += single_count;
	qsort(singles, single_count, sizeof(*singles), by_ticks);
	return singles[single_count / 2] * bench_ns_per_tick();
}

static double part(uint32_t above)
{
	return singles[single_count - 1 - above] * bench_ns_per_tick();
}

/* Of all but the slowest in a hundred: finer than the steps of the clock, which
 * a percentile is a multiple of. */
static double sample_mean(struct bench_case *one)
{
	const uint32_t count = single_count - single_count / 100;
	double sum = 0;

	(void)one;
	for (uint32_t i = 0; i < count; i++)
		sum += singles[i];
	return sum / count * bench_ns_per_tick();
}

static double sample_p99(struct bench_case *one)
{
	(void)one;
	return part(single_count / 100);
}

static double sample_p999(struct bench_case *one)
{
	(void)one;
	return part(single_count / 1000);
}

static double sample_p9999(struct bench_case *one)
{
	(void)one;
	return part(single_count / 10000);
}

static double sample_max(struct bench_case *one)
{
	(void)one;
	return part(0);
}

static void walk_caches(void)
{
	uint64_t sum = 0;

	for (uint64_t at = 0; at < walk_bytes; at += LINE)
		sum += (unsigned char)walk_memory[at];
	walk_sum += sum;
}

/* What measures is warm again, what is measured is not. */
static double sample_cold(struct bench_case *one)
{
	double ns[WALKS];

	for (int i = 0; i < WALKS; i++) {
		walk_caches();
		time_single(operation_empty, 0);
		ns[i] = (double)time_single(one->op, one->calls++) *
			bench_ns_per_tick();
	}
	return bench_median(ns, WALKS);
}

/* ---- cases and targets ---- */

static struct bench_case cases[CASES];

#define ROW(i, n, k, t, s, b) \
	[(i) + (n)] = {.key = k, .name = t, .sample = s, .base = b}
#define BASE(i, n) ((i) == EMPTY ? NULL : &cases[EMPTY + (n)])
#define GROUP(i, k, t, o)                                                     \
	[i] = {.key = k "-p50",                                               \
	       .name = t ": p50",                                             \
	       .op = o,                                                       \
	       .sample = sample_p50,                                          \
	       .base = BASE(i, 0)},                                           \
	ROW(i, MEAN, k "-mean", "  mean of the faster 99 %", sample_mean,     \
	    BASE(i, MEAN)),                                                   \
	ROW(i, P99, k "-p99", "  p99", sample_p99, BASE(i, P99)),             \
	ROW(i, P999, k "-p99.9", "  p99.9", sample_p999, BASE(i, P999)),      \
	ROW(i, P9999, k "-p99.99", "  p99.99", sample_p9999, BASE(i, P9999)), \
	ROW(i, MOST, k "-max", "  most", sample_max, BASE(i, MOST))
#define COLD(i, k, t, o, b) \
	[i] = {.key = k, .name = t, .op = o, .sample = sample_cold, .base = b}

static struct bench_case cases[CASES] = {
	GROUP(EMPTY, "empty", "an empty function", operation_empty),
	GROUP(FLOOR, "floor-16", "floor: clock, header, 16 B",
	      operation_floor16),
	GROUP(RECORD, "inline-16", "reserve, 16 B, commit; inline",
	      operation_record16),
	GROUP(CALL_RECORD, "call-16", "the same; through the .so",
	      operation_call_record16),
	GROUP(ATOMIC, "atomic-16", "atomic mode, 16 B; inline",
	      operation_atomic16),
	GROUP(CROSSING, "crossing", "a record that crosses",
	      operation_crossing),
	GROUP(FULL, "full-16", "refused because full; inline",
	      operation_full16),
	[LEAST_CROSSING] = {.key = "least-crossing-p50",
			    .name = "swaps, sequences, stores of one: p50",
			    .op = operation_least_crossing,
			    .sample = sample_p50,
			    .base = &cases[EMPTY]},
	ROW(LEAST_CROSSING, MEAN, "least-crossing-mean",
	    "  mean of the faster 99 %", sample_mean, BASE(CROSSING, MEAN)),
	COLD(COLD_EMPTY, "cold-empty", "cold: an empty function",
	     operation_empty, NULL),
	COLD(COLD_FLOOR, "cold-floor-16", "  floor", operation_floor16, NULL),
	COLD(COLD_TOUCH, "cold-touch-16", "  the lines of a record, no more",
	     operation_touch16, &cases[COLD_FLOOR]),
	COLD(COLD_RECORD, "cold-inline-16", "  reserve, 16 B, commit; inline",
	     operation_record16, &cases[COLD_FLOOR]),
	COLD(COLD_CALL_RECORD, "cold-call-16", "  the same; through the .so",
	     operation_call_record16, &cases[COLD_FLOOR]),
	ROW(FLUSH_NOTHING, 0, "flush-nothing", "flush: nothing is open",
	    flush_nothing, NULL),
	ROW(FLUSH_IDLE, 0, "flush-idle", "  every ring open, none is busy",
	    flush_idle, NULL),
	ROW(FLUSH_BUSY, 0, "flush-busy", "  one ring, busy", flush_busy,
	    &cases[FLUSH_FENCE]),
	[FLUSH_ROUNDS] = {.key = "flush-rounds",
			  .name = "    tries, with a fence each",
			  .sample = flush_rounds,
			  .unit = "tries"},
	ROW(FLUSH_FENCE, 0, "flush-fence", "  the fence alone, CPU busy",
	    flush_fence, NULL),
};

static const struct record_effect effects[CASES] = {
	[RECORD] = {&operations.ring, 16, RECORD_KEPT},
	[CALL_RECORD] = {&operations.ring, 16, RECORD_KEPT},
	[ATOMIC] = {&operations.atomic, 16, RECORD_KEPT},
	[CROSSING] = {&operations.crossing, 2032, RECORD_KEPT},
	[FULL] = {&operations.full, 16, RECORD_REFUSED},
	[COLD_RECORD] = {&operations.ring, 16, RECORD_KEPT},
	[COLD_CALL_RECORD] = {&operations.ring, 16, RECORD_KEPT},
};

#define TARGET(n, t, how, o, f, best, m)                                 \
	{                                                                \
		.number = n, .text = t, .measure = how, .of = &cases[o], \
		.to = &cases[f], .best_of = best, .limit = m,            \
		.needs_rseq = true                                       \
	}

static struct bench_target targets[] = {
	TARGET("14", "p99.9 of one record / p50 of the empty bracket",
	       BENCH_RATIO, RECORD + P999, EMPTY, NULL, 3),
	TARGET("14", "  the same through the .so", BENCH_RATIO,
	       CALL_RECORD + P999, EMPTY, NULL, 3),
	TARGET("15", "cold record / cold floor", BENCH_RATIO, COLD_RECORD,
	       COLD_FLOOR, &cases[COLD_TOUCH], 2),
	TARGET("15", "  the same through the .so", BENCH_RATIO,
	       COLD_CALL_RECORD, COLD_FLOOR, &cases[COLD_TOUCH], 2),
	TARGET("21", "a crossing beyond a record, mean between fences",
	       BENCH_DIFFERENCE, CROSSING + MEAN, RECORD + MEAN,
	       &cases[LEAST_CROSSING + MEAN], 40),
	TARGET("21", "flush of all rings of an idle process", BENCH_TIME,
	       FLUSH_IDLE, FLUSH_IDLE, NULL, 1000),
	TARGET("21", "flush of one busy ring beyond the fence",
	       BENCH_DIFFERENCE, FLUSH_BUSY, FLUSH_FENCE, NULL, 500),
};
#define TARGETS (sizeof(targets) / sizeof(targets[0]))

/* ---- main ---- */

static int map_walk(void)
{
	long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
	void *at;

	walk_bytes = cache > 0 ? 2 * (uint64_t)cache : 0;
	if (walk_bytes < WALK_LEAST)
		walk_bytes = WALK_LEAST;
	at = mmap(NULL, walk_bytes, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return bench_fail("no memory to walk over");
	for (uint64_t page = 0; page < walk_bytes; page += 4096)
		((char *)at)[page] = 1;
	walk_memory = at;
	return 0;
}

static int set_up(struct bench *bench)
{
	bench->bursts = 1;
	bench->repetitions = bench->is_short ? 5 : 101;
	single_count = bench->is_short ? SHORT_SINGLES : SINGLES;
	singles = bench_allocate(single_count, sizeof(*singles));
	if (bench_cpu_count() < 2)
		targets[TARGETS - 1].undecided = "not decided: one CPU";
	return map_walk() || record_set_up(bench, effects) ||
	       flush_set_up(bench);
}

static void skip_bounds(void)
{
	cases[LEAST_CROSSING].sample = bench_sample_nothing;
	cases[LEAST_CROSSING + MEAN].sample = bench_sample_nothing;
	cases[COLD_TOUCH].sample = bench_sample_nothing;
}

static void tear_down(void)
{
	flush_tear_down();
	record_tear_down();
	free(singles);
	munmap((void *)(uintptr_t)walk_memory, walk_bytes);
}

int main(int argc, char **argv)
{
	struct bench bench = {
		.name = "latency",
		.question = "How long does a single record take, at worst?",
		.help = "One call between fences and two looks at the "
			"clock; the empty function says\nwhat these "
			"take, and on some machines the clock moves in "
			"steps of 10 ns. Of\neach repetition's calls "
			"the percentiles; then the median of those. "
			"Cold: after\na walk over more memory than the "
			"last cache holds. The host's own pauses are\n"
			"among the worst. A busy ring needs a second "
			"CPU: else nan.",
		.heading = "one call, between fences",
		.cases = cases,
		.case_count = CASES,
		.targets = targets,
		.target_count = TARGETS,
	};
	int status = bench_options(&bench, argc, argv);

	if (status >= 0)
		return status;
	status = set_up(&bench);
	if (status == 0) {
		if (!bench.has_rseq)
			skip_bounds();
		bench_measure(&bench);
		status = record_check(&bench, effects) || flush_check();
	}
	if (status == 0)
		status = bench_report(&bench);
	bench_end(&bench);
	tear_down();
	return status;
}
