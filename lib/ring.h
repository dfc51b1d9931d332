/* SPDX-License-Identifier: MIT */
/*
 * One ring: claim, open, close, deliver; moving the head in its modes; revoke
 * and flush; counting. Producer and consumer stand on it. Nothing here waits,
 * allocates or prints, but rondo_ring_flush, which takes the flush lock.
 */
#ifndef RONDO_LIB_RING_H
#define RONDO_LIB_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "control.h"

/* Writes what a new ring's control page and tables hold. */
void rondo_ring_init(const struct rondo_control *control, uint32_t ring);

/* Closes what is open in the ring. 1: closed; 0: nothing was in it. */
int rondo_ring_flush(struct rondo_control *control, uint32_t ring);

/* The numbers of a ring, as of now. [any] */
void rondo_ring_read_stats(const struct rondo_control *control, uint32_t ring,
			   struct rondo_stats *out);

/* Sum over causes of records refused, from the ring's words. [any] */
void rondo_ring_refused(const struct rondo_ring *ring,
			uint64_t records[RONDO_CAUSES],
			uint64_t bytes[RONDO_CAUSES]);

/* Sub-buffers delivered and neither taken nor overwritten: the watermark. */
uint64_t rondo_ring_ready(const struct rondo_map *map);

/*
 * A gap record of exactly bytes, header included (a multiple of 8, or of 16
 * with full headers), committed, at the given time.
 */
void rondo_gap_write(char *at, uint64_t bytes, uint32_t header_bytes,
		     uint64_t time);

/*
 * Verifies the invariants that hold of a quiet ring: I-pages, late counters at
 * 0, no mode in between, slots consistent with the head. 0, or -EPROTO and the
 * name of the invariant with a sentence.
 */
int rondo_ring_check(const struct rondo_control *control, uint32_t ring,
		     const char **out_why);

#endif
