/* SPDX-License-Identifier: MIT */
/*
 * A perf-style buffer: a single head in front of what goes round, copied out
 * by its consumer. What rondo's benchmarks compare with. See README.md.
 */
#ifndef RONDO_BENCH_PERF_RING_H
#define RONDO_BENCH_PERF_RING_H

#include "locked.h"
#include "one_word.h"
#include "plain.h"
#include "rings.h"

/* ---- the consumer of a ring that is not PERF_OVERWRITE ---- */

/* Copies whole records out, as many as fit, and gives their room back. The
 * bytes copied. One thread at a time. */
uint64_t perf_ring_read(struct perf_ring *ring, void *to, uint64_t bytes);

/* ---- the reader of a ring that is PERF_BACKWARD ---- */

/*
 * Copies what the ring holds, newest record first. to has room for the whole
 * data area. The bytes that nobody has written over meanwhile; the last record
 * in them is usually cut.
 */
uint64_t perf_ring_snapshot(const struct perf_ring *ring, void *to);

/* ---- walking what was copied ---- */

struct perf_cursor {
	const char *at;
	const char *end;
};

/* The next record, or NULL at the end: no whole record follows. */
const struct perf_header *perf_next(struct perf_cursor *cursor);

/* Records refused and in no PERF_TYPE_LOST record yet. */
uint64_t perf_rings_lost(const struct perf_rings *rings);

#endif
