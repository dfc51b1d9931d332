/* SPDX-License-Identifier: MIT */
/*
 * A build without kernel.c. See kernel.h.
 */
#include "kernel.h"

void kernel_open(int cpu)
{
	(void)cpu;
}

void kernel_close(void)
{
}

const char *kernel_missing(enum kernel_ring which)
{
	(void)which;
	return "built without libbpf-dev";
}

double kernel_sample_perf(struct bench_case *one)
{
	(void)one;
	return 0;
}

double kernel_sample_ringbuf(struct bench_case *one)
{
	(void)one;
	return 0;
}

int kernel_check(enum kernel_ring which, const struct bench_case *one)
{
	(void)which;
	(void)one;
	return 0;
}
