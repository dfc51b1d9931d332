/* SPDX-License-Identifier: MIT */
/*
 * The same buffer, one for each CPU, in user space: a thread may be preempted,
 * or moved, at any instruction, so head and nesting counter need locked
 * instructions, and writers overlap without being nested in one another.
 *
 * "Outermost" then means alone. A head may be published by a writer that read
 * it and then found nobody but itself open: whoever moved the head that far was
 * counted before and has left since. While it stays counted nobody else finds
 * itself alone, so the store of data_head needs no lock and never goes back.
 * A writer that leaves nobody behind checks that all is published, or enters
 * again; so at rest data_head is the head. While any writer is open, one that
 * was preempted in the middle of its record for instance, nothing of this CPU
 * is published: that is the price of a single head.
 */
#ifndef RONDO_BENCH_PERF_RING_LOCKED_H
#define RONDO_BENCH_PERF_RING_LOCKED_H

#include "buffer.h"
#include "rings.h"

/* Gives up what could not be reserved. -ENOSPC. */
int perf_locked_refuse(struct perf_handle *handle);

PERF_INLINE void perf_locked_end(struct perf_handle *handle)
{
	struct perf_ring *ring = handle->ring;
	uint64_t head, published;

	while (true) {
		/* pairs(perf-open) acquire: head first, then who is open. */
		head = rondo_load_acquire(&ring->head);
		PERF_POINT(PERF_AT_HEAD_SEEN);
		/* pairs(perf-open) acquire: others' records, too. */
		if (rondo_likely(rondo_load_acquire(&ring->nest) == 1)) {
			/* pairs(perf-head) release: records before the head
			 * that says they are there. */
			rondo_store_release(&ring->page->data_head, head);
			published = head;
		} else {
			published = rondo_load_relaxed(&ring->page->data_head);
		}
		PERF_POINT(PERF_AT_PUBLISHED);
		/* pairs(perf-open) release: this record before it is not open;
		 * acquire: the heads of all that left before. */
		if (rondo_add_fetch(&ring->nest, UINT64_MAX))
			return;
		PERF_POINT(PERF_AT_LEFT);
		if (rondo_likely(rondo_load_relaxed(&ring->head) == published))
			break;
		/* pairs(perf-open) full: open again, before the head is read */
		rondo_add_fetch(&ring->nest, UINT64_C(1));
	}
	perf_wake_if_passed(ring, head);
}

PERF_INLINE int perf_locked_begin(struct perf_rings *rings, uint64_t bytes,
				  struct perf_handle *out)
{
	struct perf_ring *ring = perf_rings_any(rings);
	uint64_t head, wanted, lost;

	out->ring = ring;
	/* pairs(perf-open) full: open before the head moves */
	rondo_add_fetch(&ring->nest, UINT64_C(1));
	PERF_POINT(PERF_AT_BEGIN);
	lost = rondo_load_relaxed(&ring->lost);
	if (rondo_unlikely(lost))
		bytes += sizeof(struct perf_lost);
	do {
		head = rondo_load_relaxed(&ring->head);
		PERF_POINT(PERF_AT_HEAD_READ);
		if (rondo_unlikely(!perf_has_room(ring, head, bytes)))
			return perf_locked_refuse(out);
		wanted = head + perf_directed(ring, bytes);
		/* pairs(perf-open) release: open before the head is seen */
	} while (rondo_unlikely(!rondo_cas(&ring->head, head, wanted)));
	PERF_POINT(PERF_AT_RESERVED);
	out->at = ring->flip ? wanted : head;
	if (rondo_unlikely(lost))
		perf_put_lost(out);
	return 0;
}

PERF_INLINE int perf_locked_record(struct perf_rings *rings,
				   const void *payload, uint32_t bytes)
{
	const uint64_t time = perf_time();
	struct perf_handle handle;

	if (perf_locked_begin(rings, perf_sample_bytes(bytes), &handle))
		return -ENOSPC;
	perf_put_sample(&handle, time, payload, bytes);
	PERF_POINT(PERF_AT_FILLED);
	perf_locked_end(&handle);
	return 0;
}

#endif
