/* SPDX-License-Identifier: MIT */
/*
 * What bench_report prints and writes: machine, cases, targets; as a table for
 * people and as JSON for programs.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "harness.h"
#include "numbers.h"

struct machine {
	char processor[128];
	struct utsname system;
	long cpus;
	char clock_source[32];
};

static void cut_line(char *line)
{
	line[strcspn(line, "\n")] = '\0';
}

static void read_processor(char *out, size_t bytes)
{
	char line[256];
	FILE *file = fopen("/proc/cpuinfo", "r");

	snprintf(out, bytes, "unknown");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		char *value = strstr(line, ": ");

		if (strncmp(line, "model name", 10) || !value)
			continue;
		cut_line(value);
		snprintf(out, bytes, "%s", value + 2);
		break;
	}
	fclose(file);
}

static void read_clock_source(char *out, size_t bytes)
{
	FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/"
			   "current_clocksource",
			   "r");

	snprintf(out, bytes, "unknown");
	if (!file)
		return;
	if (fgets(out, (int)bytes, file))
		cut_line(out);
	fclose(file);
}

static void read_machine(struct machine *out)
{
	memset(out, 0, sizeof(*out));
	read_processor(out->processor, sizeof(out->processor));
	read_clock_source(out->clock_source, sizeof(out->clock_source));
	uname(&out->system);
	out->cpus = sysconf(_SC_NPROCESSORS_ONLN);
}

/* ---- for people ---- */

static void print_machine(const struct bench *bench,
			  const struct machine *machine)
{
	printf("%s, %ld CPUs, Linux %s, clock source %s\n", machine->processor,
	       machine->cpus, machine->system.release, machine->clock_source);
	printf("compiler %s; on CPU %d; %u repetitions of %u bursts\n",
	       __VERSION__, bench->cpu, bench->repetitions, bench->bursts);
	if (bench->modes)
		printf("%s\n", bench->modes);
}

static void compare_cases(const struct bench *bench,
			  const struct bench_case *one,
			  struct bench_numbers *out)
{
	struct bench_target ratio = {
		.measure = BENCH_RATIO, .of = one, .to = one->base};

	bench_compare(bench, &ratio, out);
}

static const char *unit_of_case(const struct bench_case *one)
{
	return one->unit ? one->unit : "ns";
}

static void print_case(const struct bench *bench, const struct bench_case *one)
{
	struct bench_numbers ns, ratio;

	bench_summarize(one->values, bench->repetitions, &ns);
	printf("%-36s %7.2f %7.2f %8.2f %-2s", one->name, ns.median, ns.min,
	       ns.max, unit_of_case(one));
	if (one->base) {
		compare_cases(bench, one, &ratio);
		printf(" %7.3f  %s", ratio.median, one->base->key);
	}
	putchar('\n');
}

static bool has_bound(const struct bench_target *target)
{
	return target->best_of || target->best_to;
}

/* The figure at best. */
static void compare_bound(const struct bench *bench,
			  const struct bench_target *target,
			  struct bench_numbers *out)
{
	struct bench_target bound = *target;

	if (target->best_of)
		bound.of = target->best_of;
	if (target->best_to)
		bound.to = target->best_to;
	bench_compare(bench, &bound, out);
}

/* The keys of the cases that are the bound. */
static const char *name_bound(const struct bench_target *target)
{
	static char name[96];

	snprintf(name, sizeof(name), "%s%s%s",
		 target->best_of ? target->best_of->key : "",
		 target->best_of && target->best_to ? " / " : "",
		 target->best_to ? target->best_to->key : "");
	return name;
}

static bool is_met(const struct bench_target *target, double value)
{
	return target->at_least ? value >= target->limit :
				  value <= target->limit;
}

/* A bound that was not measured is nan, and puts nothing out of reach. */
static bool is_out_of_reach(const struct bench *bench,
			    const struct bench_target *target)
{
	struct bench_numbers best;

	if (!has_bound(target))
		return false;
	compare_bound(bench, target, &best);
	return isfinite(best.median) && !is_met(target, best.median);
}

static const char *verdict(const struct bench *bench,
			   const struct bench_target *target, double value)
{
	if (target->needs_rseq && !bench->has_rseq)
		return "not decided: no rseq";
	if (target->undecided)
		return target->undecided;
	if (is_met(target, value))
		return "met";
	return is_out_of_reach(bench, target) ? "missed, out of reach" :
						"missed";
}

static const char *unit_of(const struct bench_target *target)
{
	if (target->measure == BENCH_RATIO)
		return "x";
	return unit_of_case(target->of);
}

static void print_target(const struct bench *bench,
			 const struct bench_target *target)
{
	struct bench_numbers numbers, best;

	bench_compare(bench, target, &numbers);
	printf("%3s  %-44s %7.3f %-2s %s %-5.4g %s", target->number,
	       target->text, numbers.median, unit_of(target),
	       target->at_least ? ">=" : "<=", target->limit,
	       verdict(bench, target, numbers.median));
	if (has_bound(target)) {
		compare_bound(bench, target, &best);
		printf("; at best %.3f, %s", best.median, name_bound(target));
	}
	putchar('\n');
}

static void print_tables(const struct bench *bench,
			 const struct machine *machine)
{
	print_machine(bench, machine);
	printf("\n%-36s %7s %7s %8s    %7s  %s\n",
	       bench->heading ? bench->heading : "a call, the loop included",
	       "median", "min", "max", "ratio", "to");
	for (size_t i = 0; i < bench->case_count; i++)
		print_case(bench, &bench->cases[i]);
	if (bench->target_count)
		printf("\ntargets\n");
	for (size_t i = 0; i < bench->target_count; i++)
		print_target(bench, &bench->targets[i]);
}

/* ---- for programs ---- */

static void write_text(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', file);
		if ((unsigned char)*text >= ' ')
			fputc(*text, file);
	}
	fputc('"', file);
}

static void write_member(FILE *file, const char *name, const char *text)
{
	fprintf(file, "\"%s\": ", name);
	write_text(file, text);
}

/* What was not measured, and what it is divided by, is no number in JSON. */
static void write_number(FILE *file, const char *name, double number)
{
	if (isfinite(number))
		fprintf(file, "\"%s\": %.4f", name, number);
	else
		fprintf(file, "\"%s\": null", name);
}

static void write_numbers(FILE *file, const char *name,
			  const struct bench_numbers *numbers)
{
	fprintf(file, "\"%s\": {", name);
	write_number(file, "median", numbers->median);
	fputs(", ", file);
	write_number(file, "min", numbers->min);
	fputs(", ", file);
	write_number(file, "max", numbers->max);
	fputs(", ", file);
	write_number(file, "p10", numbers->p10);
	fputs(", ", file);
	write_number(file, "p90", numbers->p90);
	fputc('}', file);
}

static void write_machine(FILE *file, const struct bench *bench,
			  const struct machine *machine)
{
	fputs("  \"machine\": {", file);
	write_member(file, "processor", machine->processor);
	fprintf(file, ", \"cpus\": %ld, ", machine->cpus);
	write_member(file, "kernel", machine->system.release);
	fputs(", ", file);
	write_member(file, "architecture", machine->system.machine);
	fputs(", ", file);
	write_member(file, "clock_source", machine->clock_source);
	fputs(", ", file);
	write_member(file, "compiler", __VERSION__);
	fprintf(file, "},\n  \"cpu\": %d,\n  \"repetitions\": %u,\n",
		bench->cpu, bench->repetitions);
	fprintf(file, "  \"bursts\": %u,\n  \"rseq\": %s,\n", bench->bursts,
		bench->has_rseq ? "true" : "false");
}

static void write_case(FILE *file, const struct bench *bench,
		       const struct bench_case *one)
{
	struct bench_numbers ns, ratio;

	bench_summarize(one->values, bench->repetitions, &ns);
	fputs("    {", file);
	write_member(file, "key", one->key);
	fputs(", ", file);
	write_member(file, "name", one->name);
	fputs(", ", file);
	write_member(file, "unit", unit_of_case(one));
	fputs(", ", file);
	write_numbers(file, "value", &ns);
	if (one->base) {
		compare_cases(bench, one, &ratio);
		fputs(", ", file);
		write_member(file, "base", one->base->key);
		fputs(", ", file);
		write_numbers(file, "ratio", &ratio);
	}
	fputc('}', file);
}

static void write_target(FILE *file, const struct bench *bench,
			 const struct bench_target *target)
{
	struct bench_numbers numbers, best;

	bench_compare(bench, target, &numbers);
	fputs("    {", file);
	write_member(file, "number", target->number);
	fputs(", ", file);
	write_member(file, "text", target->text);
	fputs(", ", file);
	write_numbers(file, "value", &numbers);
	if (has_bound(target)) {
		compare_bound(bench, target, &best);
		fputs(", ", file);
		write_numbers(file, "best", &best);
		fputs(", ", file);
		write_member(file, "best_by", name_bound(target));
	}
	fprintf(file,
		", \"unit\": \"%s\", \"limit\": %.4f, \"at_least\": %s, "
		"\"verdict\": \"%s\"}",
		unit_of(target), target->limit,
		target->at_least ? "true" : "false",
		verdict(bench, target, numbers.median));
}

static void write_json(FILE *file, const struct bench *bench,
		       const struct machine *machine)
{
	fputs("{\n  ", file);
	write_member(file, "benchmark", bench->name);
	fputs(",\n", file);
	write_machine(file, bench, machine);
	fputs("  \"cases\": [\n", file);
	for (size_t i = 0; i < bench->case_count; i++) {
		write_case(file, bench, &bench->cases[i]);
		fputs(i + 1 < bench->case_count ? ",\n" : "\n", file);
	}
	fputs("  ],\n  \"targets\": [\n", file);
	for (size_t i = 0; i < bench->target_count; i++) {
		write_target(file, bench, &bench->targets[i]);
		fputs(i + 1 < bench->target_count ? ",\n" : "\n", file);
	}
	fputs("  ]\n}\n", file);
}

static int write_file(const struct bench *bench, const struct machine *machine)
{
	FILE *file = fopen(bench->json, "w");
	bool failed;

	if (!file)
		return bench_fail("%s: %s", bench->json, strerror(errno));
	write_json(file, bench, machine);
	failed = ferror(file) != 0;
	if (fclose(file) || failed)
		return bench_fail("%s: %s", bench->json, strerror(errno));
	return 0;
}

int bench_report(const struct bench *bench)
{
	struct machine machine;

	read_machine(&machine);
	print_tables(bench, &machine);
	if (fflush(stdout))
		return bench_fail("standard output: %s", strerror(errno));
	return bench->json ? write_file(bench, &machine) : 0;
}
