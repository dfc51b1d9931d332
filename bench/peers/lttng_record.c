/* SPDX-License-Identifier: MIT */
/*
 * Recording with LTTng-UST: the probes, and the operations that are measured.
 */
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "lttng_events.h"

#include "lttng.h"

BENCH_OP void lttng_record_discard(uint64_t a, uint64_t b)
{
	lttng_ust_tracepoint(rondo_bench, discard, a, b);
}

BENCH_OP void lttng_record_overwrite(uint64_t a, uint64_t b)
{
	lttng_ust_tracepoint(rondo_bench, overwrite, a, b);
}
