/* SPDX-License-Identifier: MIT */
/*
 * Measuring: see harness.h. Printing is in report.c.
 */
#include "harness.h"

#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "numbers.h"

#define BURST_NS 300000.0
#define FIRST_BURST_NS 50000u /* long enough to tell how long a call takes */
#define WARM_PART 16	      /* of a burst, called before it, not measured */

#define FULL_REPETITIONS 201
#define FULL_BURSTS 5
#define SHORT_REPETITIONS 41
#define SHORT_BURSTS 3

int bench_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return 1;
}

void *bench_allocate(size_t count, size_t bytes)
{
	void *memory = calloc(count, bytes);

	if (!memory)
		exit(bench_fail("out of memory"));
	return memory;
}

uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- options ---- */

static void print_usage(const struct bench *bench, FILE *to)
{
	fprintf(to, "usage: bench-%s [--short] [--cpu N] [--json FILE]\n",
		bench->name);
}

static void print_help(const struct bench *bench)
{
	print_usage(bench, stdout);
	printf("%s\n", bench->question);
	if (bench->help)
		printf("\n%s\n", bench->help);
	printf("\n"
	       "  --short      fewer repetitions: shows that it works\n"
	       "  --cpu N      runs on CPU N [the last one allowed]\n"
	       "  --json FILE  writes the results there as well\n"
	       "  --help       prints this\n\n"
	       "Exit status: 0 measured, whatever the times are; 1 it failed, "
	       "or records\nwere not there; 2 wrong arguments.\n");
}

static bool read_cpu(const char *text, int *out)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value < 0 || value >= CPU_SETSIZE)
		return false;
	*out = (int)value;
	return true;
}

/* ---- CPUs ---- */

static cpu_set_t allowed;

unsigned bench_cpu_count(void)
{
	return (unsigned)CPU_COUNT(&allowed);
}

static int last_allowed_cpu(void)
{
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--)
		if (CPU_ISSET(cpu, &allowed))
			return cpu;
	return -1;
}

int bench_cpu_at(const struct bench *bench, unsigned index)
{
	unsigned left = index % bench_cpu_count();
	int cpu = bench->cpu;

	while (left) {
		cpu = (cpu + 1) % CPU_SETSIZE;
		left -= CPU_ISSET(cpu, &allowed) ? 1 : 0;
	}
	return cpu;
}

bool bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (cpu >= 0)
		CPU_SET(cpu, &set);
	else
		set = allowed;
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}

/* ---- options, read ---- */

/* Negative: all read. */
static int read_options(struct bench *bench, int argc, char **argv)
{
	static const struct option options[] = {
		{"short", no_argument, NULL, 's'},
		{"cpu", required_argument, NULL, 'c'},
		{"json", required_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			bench->is_short = true;
			continue;
		case 'j':
			bench->json = optarg;
			continue;
		case 'h':
			print_help(bench);
			return 0;
		case 'c':
			if (read_cpu(optarg, &bench->cpu))
				continue;
			break;
		default:
			break;
		}
		print_usage(bench, stderr);
		return 2;
	}
	if (optind == argc)
		return -1;
	print_usage(bench, stderr);
	return 2;
}

int bench_options(struct bench *bench, int argc, char **argv)
{
	int status;

	bench->cpu = -1;
	status = read_options(bench, argc, argv);
	if (status >= 0)
		return status;
	bench->repetitions = bench->is_short ? SHORT_REPETITIONS :
					       FULL_REPETITIONS;
	bench->bursts = bench->is_short ? SHORT_BURSTS : FULL_BURSTS;
	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return bench_fail("no CPU is known");
	if (bench->cpu < 0)
		bench->cpu = last_allowed_cpu();
	/* A CPU outside of those it may use: then that one is allowed, too. */
	if (bench->cpu < 0 || !bench_pin(bench->cpu))
		return bench_fail("cannot run on CPU %d", bench->cpu);
	CPU_SET(bench->cpu, &allowed);
	return -1;
}

/* ---- measuring ---- */

static BENCH_OP void call_in_loop(bench_op *op, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++)
		op(i, i ^ BENCH_MIX);
}

void bench_call(struct bench_case *one, uint64_t count)
{
	uint64_t from = one->calls;

	one->calls += count;
	call_in_loop(one->op, from, one->calls);
}

/* ns a call */
static double time_burst(struct bench_case *one)
{
	uint64_t began, ended;

	if (one->enter)
		one->enter(one);
	bench_call(one, one->burst / WARM_PART);
	began = bench_now_ns();
	bench_call(one, one->burst);
	ended = bench_now_ns();
	if (one->leave)
		one->leave(one);
	return (double)(ended - began) / (double)one->burst;
}

static double measure_burst(struct bench_case *one)
{
	return one->sample ? one->sample(one) : time_burst(one);
}

/* How many calls a burst takes. The calls that tell also warm the case up. */
static void calibrate(struct bench_case *one)
{
	double ns;

	if (one->sample) {
		one->sample(one);
		return;
	}
	for (one->burst = 16;; one->burst *= 2) {
		ns = time_burst(one);
		if (ns * (double)one->burst >= FIRST_BURST_NS)
			break;
	}
	for (int tries = 0; tries < 3; tries++) {
		double again = time_burst(one);

		ns = again < ns ? again : ns;
	}
	one->burst = (uint64_t)(BURST_NS / ns) + 1;
}

static void show_progress(const struct bench *bench, unsigned repetition)
{
	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\rbench-%s: %u of %u", bench->name, repetition,
		bench->repetitions);
	if (repetition == bench->repetitions)
		fputs("\r\033[K", stderr);
	fflush(stderr);
}

static void measure_once(struct bench *bench, unsigned repetition, double *room)
{
	const unsigned bursts = bench->bursts;

	for (unsigned burst = 0; burst < bursts; burst++)
		for (size_t i = 0; i < bench->case_count; i++)
			room[i * bursts + burst] =
				measure_burst(&bench->cases[i]);
	for (size_t i = 0; i < bench->case_count; i++)
		bench->cases[i].values[repetition] =
			bench_median(&room[i * bursts], bursts);
}

void bench_measure(struct bench *bench)
{
	double *room = bench_allocate(bench->case_count * bench->bursts,
				      sizeof(*room));

	for (size_t i = 0; i < bench->case_count; i++) {
		struct bench_case *one = &bench->cases[i];

		one->values =
			bench_allocate(bench->repetitions, sizeof(double));
		calibrate(one);
	}
	for (unsigned repetition = 0; repetition < bench->repetitions;
	     repetition++) {
		measure_once(bench, repetition, room);
		show_progress(bench, repetition + 1);
	}
	free(room);
}

double bench_sample_nothing(struct bench_case *one)
{
	(void)one;
	return (double)NAN;
}

void bench_end(struct bench *bench)
{
	for (size_t i = 0; i < bench->case_count; i++) {
		free(bench->cases[i].values);
		bench->cases[i].values = NULL;
	}
}
