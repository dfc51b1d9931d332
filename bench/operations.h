/* SPDX-License-Identifier: MIT */
/*
 * The operations that bench-record measures, each a function of its own, and
 * what they work on. Inlined ones and floors stand in operations_inline.c, the
 * same through the shared library in operations_calls.c.
 */
#ifndef RONDO_BENCH_OPERATIONS_H
#define RONDO_BENCH_OPERATIONS_H

#include <stdint.h>

#include "harness.h"

struct rondo_channel;

/* Where the operations record; written before they are measured. */
struct operations_place {
	struct rondo_channel *ring;   /* defaults, overwrite */
	struct rondo_channel *atomic; /* the same, RONDO_NO_RSEQ */
	struct rondo_channel *full;   /* discard mode, nothing taken */
	struct rondo_channel *stopped;
	struct rondo_channel *crossing;	 /* sub-buffers of two large records */
	struct rondo_channel *large;	 /* full record headers */
	struct rondo_channel *monotonic; /* its clock */
	char *floor;			 /* OPERATIONS_FLOOR_BYTES, and slack */
	uint16_t id16, id64, id256, id2032;
};
extern struct operations_place operations;

/* As large as the sub-buffers of one ring of the default configuration. */
#define OPERATIONS_FLOOR_BYTES (UINT64_C(2) << 20)
#define OPERATIONS_FLOOR_SLACK 4096

/* A record's payload: a, b, a, b and so on. */
static inline __attribute__((always_inline)) void
operations_fill(uint64_t *word, unsigned count, uint64_t a, uint64_t b)
{
	for (unsigned i = 0; i < count; i += 2) {
		word[i] = a;
		word[i + 1] = b;
	}
}

/*
 * Nothing that comes after starts before all that comes before is done. In a
 * plain loop the processor works on several records at once, and what is not
 * the clock may hide behind it.
 */
static inline __attribute__((always_inline)) void operations_alone(void)
{
#if defined(__x86_64__)
	__asm__ __volatile__("lfence" : : : "memory");
#elif defined(__aarch64__)
	__asm__ __volatile__("dsb ld\n\tisb" : : : "memory");
#else
	__sync_synchronize();
#endif
}

/* Nothing, the clock alone, and the clock with a copy: what nobody beats. */
bench_op operation_empty;
bench_op operation_ticks;
bench_op operation_floor16;
bench_op operation_alone_empty;
bench_op operation_alone_floor16;
bench_op operation_floor64;
bench_op operation_floor256;

/* reserve, payload in place, commit */
bench_op operation_record16;
bench_op operation_alone_record16;
bench_op operation_record64;
bench_op operation_record256;
bench_op operation_atomic16;
bench_op operation_large16;
bench_op operation_monotonic16;
bench_op operation_crossing;
bench_op operation_squash16;
bench_op operation_full16;
bench_op operation_stopped16;
bench_op operation_write16;
bench_op operation_write64;
bench_op operation_writev1;
bench_op operation_writev2;
bench_op operation_writev4;

bench_op operation_call_record16;
bench_op operation_alone_call_record16;
bench_op operation_call_record64;
bench_op operation_call_record256;
bench_op operation_call_atomic16;
bench_op operation_call_full16;
bench_op operation_call_stopped16;
bench_op operation_call_write16;
bench_op operation_call_write64;
bench_op operation_call_writev1;
bench_op operation_call_writev2;
bench_op operation_call_writev4;

#endif
