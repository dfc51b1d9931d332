/* SPDX-License-Identifier: MIT */
/*
 * What all variants of the perf-style buffer share: the control page, the
 * ring, records, and how one is written into memory that goes round.
 *
 * Positions are in bytes, multiples of 8, free running; a position's low bits
 * are where it lies in the data area. A ring that is written backward counts
 * down; "moved" is how far a position lies from the start, either way.
 */
#ifndef RONDO_BENCH_PERF_RING_BUFFER_H
#define RONDO_BENCH_PERF_RING_BUFFER_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "local.h"
#include "point.h"

/* The control page, its words where struct perf_event_mmap_page has them: the
 * head and the tail on one cache line. */
struct perf_page {
	uint32_t version;
	uint32_t compat_version;
	uint64_t unused_[127];
	uint64_t data_head; /* producers: all before it is there */
	uint64_t data_tail; /* consumer: all before it has been read */
	uint64_t data_offset;
	uint64_t data_size;
	uint64_t unused_between_[124];
	uint64_t tail_apart; /* data_tail on a line of its own: rseq, packed */
	uint64_t unused_after_[255];
};
_Static_assert(offsetof(struct perf_page, data_head) == 1024, "as perf");
_Static_assert(offsetof(struct perf_page, data_tail) == 1032, "as perf");
_Static_assert(offsetof(struct perf_page, tail_apart) == 2048, "own line");
_Static_assert(sizeof(struct perf_page) == 4096, "a page");

struct perf_header {
	uint32_t type;
	uint16_t misc;
	uint16_t size; /* bytes, the header included */
};

#define PERF_TYPE_LOST 2u   /* PERF_RECORD_LOST */
#define PERF_TYPE_SAMPLE 9u /* PERF_RECORD_SAMPLE */

struct perf_lost {
	struct perf_header header;
	uint64_t id;
	uint64_t lost; /* records refused since the last such record */
};

/* Before a sample's payload. */
struct perf_sample {
	struct perf_header header;
	uint64_t time;
};
_Static_assert(sizeof(struct perf_lost) == 24, "as perf");
_Static_assert(sizeof(struct perf_sample) == 16, "header and time");

#define PERF_PAYLOAD_MAX \
	(UINT16_MAX - 7u - (unsigned)sizeof(struct perf_sample))

#define PERF_OVERWRITE 1u /* nobody's tail is in the way */
#define PERF_BACKWARD 2u  /* the head moves down; only with PERF_OVERWRITE */

struct perf_ring;
typedef void perf_wake(struct perf_ring *ring, void *context);

struct perf_ring {
	/* Set at creation. */
	char *data;
	uint64_t mask; /* bytes of data - 1 */
	uint64_t flip; /* all ones: backward; else 0 */
	struct perf_page *page;
	uint64_t *tail; /* the consumer's; data_head in one that overwrites */
	uint64_t watermark; /* bytes between two wakeups */
	uint32_t flags;
	uint32_t variant;
	perf_wake *wake; /* or NULL */
	void *context;
	uint64_t unused_[7];
	/* Producers. head: a position (plain, locked) or one_word.h's. */
	uint64_t head;
	uint64_t limit;	  /* one word: from here on the slow path decides */
	uint64_t lost;	  /* records refused and not reported */
	uint64_t late;	  /* rseq: records that ended off the CPU */
	uint64_t nest;	  /* plain, locked: open records */
	uint64_t wakeup;  /* plain: moved, at the last watermark passed */
	uint64_t wake_at; /* others: moved, beyond which a wakeup is due */
	uint64_t lost_records; /* of PERF_TYPE_LOST, written */
	uint64_t unused_after_[8];
};
_Static_assert(offsetof(struct perf_ring, head) == 128, "a line apart");
_Static_assert(sizeof(struct perf_ring) == 256, "a power of two");

/* A record that is being written. The caller allocates it. */
struct perf_handle {
	struct perf_ring *ring;
	uint64_t at;	 /* position where the next byte goes */
	uint64_t word;	 /* one word: the head as begin left it */
	uint64_t wakeup; /* plain: ring->wakeup as begin found it */
	uint32_t cpu;	 /* rseq: whose ring it is */
};

/* Bytes in the direction of the ring; also a position as moved, and back. */
PERF_INLINE uint64_t perf_directed(const struct perf_ring *ring, uint64_t bytes)
{
	return (bytes ^ ring->flip) - ring->flip;
}

/* perf_put for data that meets the end. */
void perf_put_wrapped(struct perf_handle *handle, const void *from,
		      uint64_t bytes);

/* Appends to the record, as perf_output_put does. */
PERF_INLINE void perf_put(struct perf_handle *handle, const void *from,
			  uint64_t bytes)
{
	const struct perf_ring *ring = handle->ring;
	const uint64_t offset = handle->at & ring->mask;

	if (rondo_likely(offset + bytes <= ring->mask + 1))
		memcpy(ring->data + offset, from, bytes);
	else
		perf_put_wrapped(handle, from, bytes);
	handle->at += bytes;
}

PERF_INLINE uint64_t perf_sample_bytes(uint32_t payload_bytes)
{
	return sizeof(struct perf_sample) +
	       ((payload_bytes + UINT64_C(7)) & ~UINT64_C(7));
}

/* perf_put_sample for a sample that meets the end. */
void perf_put_sample_wrapped(struct perf_handle *handle,
			     const struct perf_sample *sample,
			     const void *payload, uint32_t bytes);

/* A whole sample: one look at the end of the data area, then plain stores. */
PERF_INLINE void perf_put_sample(struct perf_handle *handle, uint64_t time,
				 const void *payload, uint32_t bytes)
{
	const struct perf_ring *ring = handle->ring;
	const uint64_t total = perf_sample_bytes(bytes);
	const struct perf_sample sample = {
		.header = {.type = PERF_TYPE_SAMPLE, .size = (uint16_t)total},
		.time = time,
	};
	const uint64_t offset = handle->at & ring->mask;
	char *to = ring->data + offset;

	if (rondo_unlikely(offset + total > ring->mask + 1)) {
		perf_put_sample_wrapped(handle, &sample, payload, bytes);
		return;
	}
	memcpy(to, &sample, sizeof(sample));
	if (bytes & 7)
		memset(to + total - 8, 0, 8);
	memcpy(to + sizeof(sample), payload, bytes);
}

/*
 * Whether so many bytes can be written from head on. What is in the way is
 * what the consumer has not read, or, in a ring that overwrites, what is not
 * published: somebody who has been preempted may still write there.
 */
PERF_INLINE bool perf_has_room(const struct perf_ring *ring, uint64_t head,
			       uint64_t bytes)
{
	/* pairs(perf-tail) acquire: what the consumer has read is read, and
	 * what is published is written, before it is written over. */
	const uint64_t tail = rondo_load_acquire(ring->tail);

	return ring->mask + 1 - perf_directed(ring, head - tail) >= bytes;
}

/* Appends what perf appends before the first sample after a loss. */
void perf_put_lost(struct perf_handle *handle);

/* Wakes, unless somebody else has for this watermark. Not plain's. */
void perf_wake_once(struct perf_ring *ring, uint64_t moved);

/* Whoever published up to there calls this. Writers that overlap cannot tell
 * who notices a watermark at its begin and is still there at the end. */
PERF_INLINE void perf_wake_if_passed(struct perf_ring *ring, uint64_t position)
{
	const uint64_t moved = perf_directed(ring, position);

	if (rondo_unlikely(
		    (int64_t)(moved - rondo_load_relaxed(&ring->wake_at)) > 0))
		perf_wake_once(ring, moved);
}

#endif
