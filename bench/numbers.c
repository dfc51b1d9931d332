/* SPDX-License-Identifier: MIT */
/*
 * See numbers.h.
 */
#include "numbers.h"

#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), by_value);
	if (count % 2)
		return values[count / 2];
	return (values[count / 2 - 1] + values[count / 2]) / 2;
}

void bench_summarize(const double *values, size_t count,
		     struct bench_numbers *out)
{
	double *sorted = bench_allocate(count, sizeof(*sorted));

	memcpy(sorted, values, count * sizeof(*sorted));
	out->median = bench_median(sorted, count);
	out->min = sorted[0];
	out->max = sorted[count - 1];
	out->p10 = sorted[count / 10];
	out->p90 = sorted[count * 9 / 10];
	free(sorted);
}

static double compare_one(const struct bench_target *target, unsigned i)
{
	double of = target->of->values[i];

	switch (target->measure) {
	case BENCH_RATIO:
		return of / target->to->values[i];
	case BENCH_DIFFERENCE:
		return of - target->to->values[i];
	default:
		return of;
	}
}

void bench_compare(const struct bench *bench, const struct bench_target *target,
		   struct bench_numbers *out)
{
	double *values = bench_allocate(bench->repetitions, sizeof(*values));

	for (unsigned i = 0; i < bench->repetitions; i++)
		values[i] = compare_one(target, i);
	bench_summarize(values, bench->repetitions, out);
	free(values);
}
