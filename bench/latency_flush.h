/* SPDX-License-Identifier: MIT */
/*
 * How long a flush takes: samples for bench-latency.
 */
#ifndef RONDO_BENCH_LATENCY_FLUSH_H
#define RONDO_BENCH_LATENCY_FLUSH_H

#include "harness.h"

/* Creates what the samples work on. 0, or an exit status. */
int flush_set_up(const struct bench *bench);
void flush_tear_down(void);

/* Every sub-buffer that was closed must have been counted. 0, or an exit
 * status. */
int flush_check(void);

bench_sample flush_nothing; /* no ring has anything open */
bench_sample flush_idle;    /* every ring has, and no producer runs */
bench_sample flush_busy;    /* one ring, whose producer never pauses */
bench_sample flush_rounds;  /* revocations for a flush of the last busy one */
bench_sample flush_fence;   /* no flush: the fence it needs of that CPU */

#endif
