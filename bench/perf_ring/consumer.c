/* SPDX-License-Identifier: MIT */
/*
 * The other side of the perf-style buffer: records are copied out, and their
 * room is given back.
 */
#include "perf_ring.h"

static void copy_out(const struct perf_ring *ring, uint64_t from, char *to,
		     uint64_t bytes)
{
	const uint64_t offset = from & ring->mask;
	const uint64_t room = ring->mask + 1 - offset;
	const uint64_t first = bytes < room ? bytes : room;

	memcpy(to, ring->data + offset, first);
	memcpy(to + first, ring->data, bytes - first);
}

const struct perf_header *perf_next(struct perf_cursor *cursor)
{
	const uint64_t left = (uint64_t)(cursor->end - cursor->at);
	const struct perf_header *header =
		(const struct perf_header *)(const void *)cursor->at;

	if (left < sizeof(*header) || header->size < sizeof(*header) ||
	    header->size & 7 || header->size > left)
		return NULL;
	cursor->at += header->size;
	return header;
}

static uint64_t whole_records(const char *at, uint64_t bytes)
{
	struct perf_cursor cursor = {at, at + bytes};

	while (perf_next(&cursor))
		;
	return (uint64_t)(cursor.at - at);
}

uint64_t perf_ring_read(struct perf_ring *ring, void *to, uint64_t bytes)
{
	/* pairs(perf-head) acquire: the head before the records it tells of */
	const uint64_t head = rondo_load_acquire(&ring->page->data_head);
	const uint64_t tail = rondo_load_relaxed(ring->tail);
	uint64_t count = head - tail;

	if (count == 0)
		return 0;
	if (count > bytes) {
		copy_out(ring, tail, to, bytes);
		count = whole_records(to, bytes);
	} else {
		copy_out(ring, tail, to, count);
	}
	/* pairs(perf-tail) release: records are read before their room is
	 * given back. */
	rondo_store_release(ring->tail, tail + count);
	return count;
}

/* How far producers may have written, published or not. */
static uint64_t reserved_position(const struct perf_ring *ring)
{
	const uint64_t head = rondo_load_relaxed(&ring->head);

	if (ring->variant == PERF_PACKED || ring->variant == PERF_RSEQ)
		return perf_word_position(head);
	return head;
}

uint64_t perf_ring_snapshot(const struct perf_ring *ring, void *to)
{
	const uint64_t size = ring->mask + 1;
	/* pairs(perf-head) acquire: the head before the records it tells of */
	const uint64_t head = rondo_load_acquire(&ring->page->data_head);
	const uint64_t written = perf_directed(ring, head);
	uint64_t since, held;

	copy_out(ring, head, to, size);
	/* The copy before the look at what was written over it. */
	rondo_fence();
	since = perf_directed(ring, reserved_position(ring) - head);
	held = since < size ? size - since : 0;
	return written < held ? written : held;
}
