/* SPDX-License-Identifier: MIT */
/*
 * The operations that bench-record measures, each a function of its own, and
 * what they work on. Inlined ones and floors stand in operations_inline.c, the
 * same through the shared library in operations_calls.c, bounds in
 * operations_bounds.c.
 */
#ifndef RONDO_BENCH_OPERATIONS_H
#define RONDO_BENCH_OPERATIONS_H

#include <stdint.h>

#include "setup.h"

/* Where the operations record; written before they are measured. */
struct operations_place {
	struct rondo_channel *ring;   /* defaults, overwrite */
	struct rondo_channel *atomic; /* the same, RONDO_NO_RSEQ */
	struct rondo_channel *full;   /* discard mode, nothing taken */
	struct rondo_channel *stopped;
	struct rondo_channel *crossing;	 /* sub-buffers of two large records */
	struct rondo_channel *large;	 /* full record headers */
	struct rondo_channel *monotonic; /* its clock */
	struct rondo_channel *touched;	 /* as ring, one record in it */
	struct bench_floor floor;
	uint16_t id16, id64, id256, id2032;
};
extern struct operations_place operations;

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

/*
 * Bounds, in operations_bounds.c, for where there are sequences: a refusal
 * counted by a call, and nothing else; the lines of a record, without what
 * makes it one; a record that crosses by two locked swaps, a sequence and the
 * stores that it is about.
 */
bench_op operation_count16;
bench_op operation_touch16;
bench_op operation_least_crossing;

/* By operation_count16, all calls. */
uint64_t operations_counted(void);

#endif
