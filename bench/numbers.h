/* SPDX-License-Identifier: MIT */
/*
 * Medians and percentiles, and the same of ratios that are paired.
 */
#ifndef RONDO_BENCH_NUMBERS_H
#define RONDO_BENCH_NUMBERS_H

#include "harness.h"

/* Sorts values. */
double bench_median(double *values, size_t count);

/* Of count values, which stay as they are. */
void bench_summarize(const double *values, size_t count,
		     struct bench_numbers *out);

/* What a target's measure says of each repetition, summarized. */
void bench_compare(const struct bench *bench, const struct bench_target *target,
		   struct bench_numbers *out);

#endif
