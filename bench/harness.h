/* SPDX-License-Identifier: MIT */
/*
 * What the benchmarks share: options, pinning, calibration, measuring in turn,
 * medians and paired ratios, targets, the table and the JSON file.
 *
 * A case is a function that is called in a loop with arguments that change. All
 * cases run in turn, in one process on one CPU, in short bursts: a host
 * preempts for milliseconds, and the burst that it hits is an outlier alone.
 * The value of a repetition is the median of its bursts; what is reported is
 * the median of the repetitions. Ratios are of values of one repetition, so
 * that a clock speed that drifts cancels.
 *
 * What a loop of calls cannot tell (threads, percentiles, counts) is told by a
 * case's sample function, which measures a burst by itself.
 */
#ifndef RONDO_BENCH_HARNESS_H
#define RONDO_BENCH_HARNESS_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Keeps an operation a function of its own, at the start of a line of cache,
 * so that costs compare: where code lies makes 2 % of a difference. */
#define BENCH_OP __attribute__((noinline, aligned(64)))

/* One operation. The harness passes b = a ^ BENCH_MIX, a one more each call. */
typedef void bench_op(uint64_t a, uint64_t b);
#define BENCH_MIX UINT64_C(3)

/* Of the repetitions' values. */
struct bench_numbers {
	double median;
	double min;
	double max;
	double p10;
	double p90;
};

struct bench_case;
/* Before or after a burst, not measured. */
typedef void bench_hook(struct bench_case *one);
/* A burst, measured by the program: its value. */
typedef double bench_sample(struct bench_case *one);

struct bench_case {
	const char *key;  /* in the JSON file */
	const char *name; /* in the table */
	bench_op *op;
	const struct bench_case *base; /* what its ratio is to, or NULL */
	bench_hook *enter;	       /* or NULL */
	bench_hook *leave;	       /* or NULL */
	bench_sample *sample;	       /* instead of op, or NULL */
	const char *unit;	       /* of its values, NULL: ns */
	void *context;		       /* the program's */
	/* The harness's: */
	uint64_t calls; /* made so far, the measured and the others */
	uint64_t burst; /* calls in a burst */
	double *values; /* ns a call or units, one for each repetition */
};

enum bench_measure {
	BENCH_RATIO,	  /* of / to */
	BENCH_DIFFERENCE, /* of - to, in their unit */
	BENCH_TIME,	  /* of, in its unit, the loop included */
};

/* A line of the list of targets that these cases can decide. */
struct bench_target {
	const char *number;
	const char *text;
	enum bench_measure measure;
	const struct bench_case *of;
	const struct bench_case *to; /* not for BENCH_TIME */
	/* What takes the place of one, or of both, in the figure of somebody
	 * who pays for nothing but what cannot be avoided; or NULL. */
	const struct bench_case *best_of;
	const struct bench_case *best_to;
	double limit;	       /* met up to this */
	bool needs_rseq;       /* else not decided where there is none */
	bool at_least;	       /* met from the limit up */
	const char *undecided; /* why it cannot be here, or NULL */
};

struct bench {
	const char *name;
	const char *question; /* one sentence for --help */
	const char *help;     /* more lines for it, or NULL */
	const char *heading;  /* of the table, NULL: ns a call */
	struct bench_case *cases;
	size_t case_count;
	const struct bench_target *targets;
	size_t target_count;
	bool has_rseq;	   /* the program's to set */
	const char *modes; /* a line on what is in force; likewise */
	/* Options, filled by bench_options. */
	const char *json; /* file to write, or NULL */
	int cpu;
	bool is_short;
	/* Set by bench_options; the program may change them. */
	unsigned repetitions;
	unsigned bursts; /* in a repetition */
};

/*
 * Reads the options and pins the process to a CPU. Negative: go on; else the
 * program is over and this is its exit status (0 after --help, 2 for wrong
 * arguments, 1 when it cannot be pinned).
 */
int bench_options(struct bench *bench, int argc, char **argv);

/* CPUs that this process was allowed before it was pinned. */
unsigned bench_cpu_count(void);

/* One of these: 0 is the one it is pinned to, the others follow in turn. */
int bench_cpu_at(const struct bench *bench, unsigned index);

/* Pins the calling thread; negative: to all that the process was allowed. */
bool bench_pin(int cpu);

/* Calls a case count times, as it is called when it is measured. */
void bench_call(struct bench_case *one, uint64_t count);

/* Measures all cases. */
void bench_measure(struct bench *bench);

/* Prints the tables and writes the JSON file. 0, or an exit status. */
int bench_report(const struct bench *bench);

/* For what cannot be measured here: nan. */
bench_sample bench_sample_nothing;

/* Gives back what bench_measure allocated. */
void bench_end(struct bench *bench);

/* Says on stderr what is wrong. Returns 1, the exit status for it. */
int bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Zeroed memory. Without any the program ends. */
void *bench_allocate(size_t count, size_t bytes);

/* Nanoseconds of the monotonic clock. */
uint64_t bench_now_ns(void);

#endif
