/* SPDX-License-Identifier: MIT */
/*
 * The buffer as the kernel has it: one thread and the signal handlers that
 * interrupt it, in the place of one CPU and its interrupts. Nesting is strict,
 * so the outermost writer, and nobody else, publishes. A ring that overwrites
 * looks at nothing, as in the kernel: handlers are taken not to fill it.
 */
#ifndef RONDO_BENCH_PERF_RING_PLAIN_H
#define RONDO_BENCH_PERF_RING_PLAIN_H

#include "buffer.h"

/* Gives up what could not be reserved. -ENOSPC. */
int perf_plain_refuse(struct perf_handle *handle);

/*
 * Ends a record. While nest counts this one, handlers do not publish; so a
 * head that moved since it was read is found by the last comparison, or by
 * the handler that moved it.
 */
PERF_INLINE void perf_plain_end(struct perf_handle *handle)
{
	struct perf_ring *ring = handle->ring;
	uint64_t head;

	if (rondo_load_relaxed(&ring->nest) > 1) {
		perf_local_add(&ring->nest, UINT64_MAX);
		return;
	}
	while (true) {
		head = rondo_load_relaxed(&ring->head);
		PERF_POINT(PERF_AT_HEAD_SEEN);
		/* pairs(perf-head) release: records before the head that says
		 * they are there. */
		rondo_store_release(&ring->page->data_head, head);
		PERF_POINT(PERF_AT_PUBLISHED);
		perf_local_add(&ring->nest, UINT64_MAX);
		PERF_POINT(PERF_AT_LEFT);
		if (rondo_likely(rondo_load_relaxed(&ring->head) == head))
			break;
		perf_local_add(&ring->nest, 1);
	}
	if (rondo_unlikely(rondo_load_relaxed(&ring->wakeup) !=
			   handle->wakeup)) {
		PERF_POINT(PERF_AT_WAKE);
		if (ring->wake)
			ring->wake(ring, ring->context);
	}
}

/* Makes room for bytes (a multiple of 8). 0, or -ENOSPC: counted as lost. */
PERF_INLINE int perf_plain_begin(struct perf_ring *ring, uint64_t bytes,
				 struct perf_handle *out)
{
	uint64_t head, wanted, lost;

	out->ring = ring;
	perf_local_add(&ring->nest, 1);
	PERF_POINT(PERF_AT_BEGIN);
	out->wakeup = rondo_load_relaxed(&ring->wakeup);
	lost = rondo_load_relaxed(&ring->lost);
	if (rondo_unlikely(lost))
		bytes += sizeof(struct perf_lost);
	do {
		head = rondo_load_relaxed(&ring->head);
		PERF_POINT(PERF_AT_HEAD_READ);
		if (rondo_unlikely(!(ring->flags & PERF_OVERWRITE) &&
				   !perf_has_room(ring, head, bytes)))
			return perf_plain_refuse(out);
		wanted = head + perf_directed(ring, bytes);
	} while (rondo_unlikely(!perf_local_swap(&ring->head, head, wanted)));
	PERF_POINT(PERF_AT_RESERVED);
	if (rondo_unlikely(perf_directed(ring, wanted) -
				   rondo_load_relaxed(&ring->wakeup) >
			   ring->watermark))
		perf_local_add(&ring->wakeup, ring->watermark);
	out->at = ring->flip ? wanted : head;
	if (rondo_unlikely(lost))
		perf_put_lost(out);
	return 0;
}

/* A whole sample. The clock is read first, as perf does. */
PERF_INLINE int perf_plain_record(struct perf_ring *ring, const void *payload,
				  uint32_t bytes)
{
	const uint64_t time = perf_time();
	struct perf_handle handle;

	if (perf_plain_begin(ring, perf_sample_bytes(bytes), &handle))
		return -ENOSPC;
	perf_put_sample(&handle, time, payload, bytes);
	PERF_POINT(PERF_AT_FILLED);
	perf_plain_end(&handle);
	return 0;
}

#endif
