/* SPDX-License-Identifier: MIT */
/*
 * The fast path: reserve and commit in the sub-buffer that is open, in rseq
 * mode, with a compact header and the TSC. Everything else is a call into the
 * library (the *_call functions). docs/design.md explains each check.
 */
#ifndef RONDO_DETAIL_FAST_H
#define RONDO_DETAIL_FAST_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include <rondo/detail/sequence.h>

/*
 * A reserved record. The caller allocates it, usually on the stack, and may
 * look at data and bytes; the rest is rondo's.
 */
struct rondo_record {
	void *data;		       /* where to write */
	struct rondo_channel *channel; /* that it is in */
	struct rondo_ring *ring;
	uint64_t head;	   /* as reserve left it, or of mode NEVER */
	uint64_t before;   /* the head that reserve found */
	uint32_t bytes;	   /* room at data */
	uint32_t ring_id;  /* CPU or concurrency id of the ring */
	uint16_t event_id; /* class */
	uint16_t reserved16_;
	uint32_t reserved32_;
	uint64_t reserved_[2];
};
RONDO_STATIC_ASSERT(sizeof(struct rondo_record) == 72, "frozen");

/* Bytes of the payload that no field fills are zero, not what was there. */
static inline __attribute__((always_inline)) void
rondo_zero_tail(char *payload, uint32_t bytes)
{
	if (bytes & 7) {
		char *word = payload + (bytes & ~UINT32_C(7));

		__builtin_memset(word, 0, 8);
	}
}

/* What the fast path saw, for the call that goes on from there. */
struct rondo_seen {
	uint64_t head;
	uint32_t ring_id;
};

/* RONDO_FAST_DONE, or a negative errno, or which call to make. */
enum rondo_fast {
	RONDO_FAST_DONE = 0,
	RONDO_FAST_CALL = 1,	/* rondo_reserve_call */
	RONDO_FAST_NO_ROOM = 2, /* rondo_refuse_full, else the same */
	RONDO_FAST_LOST = 3,	/* rondo_reserve_call, with what out says */
};

#if RONDO_HAVE_RSEQ
static inline __attribute__((always_inline)) int
rondo_fast_reserve(struct rondo_channel *channel, uint16_t event_id,
		   uint32_t bytes, struct rondo_record *out,
		   struct rondo_seen *seen)
{
	const uint32_t gate = rondo_load_relaxed(&channel->gate[RONDO_GATE]);
	const uint64_t id = rondo_thread_id(channel->offsets.id);
	struct rondo_ring *ring;
	uint64_t head, hint, base, wanted, position;
	char *header;

	if (rondo_unlikely(id >= gate))
		return gate ? RONDO_FAST_CALL : -ESHUTDOWN;
	if (rondo_unlikely((uint32_t)(event_id - RONDO_ID_FIRST) >=
				   rondo_load_relaxed(&channel->class_count) ||
			   bytes > channel->record_max))
		return RONDO_FAST_CALL;
	ring = (struct rondo_ring *)(void *)(channel->rings +
					     (id << RONDO_RING_SHIFT));
	head = rondo_load_relaxed(&ring->head);
	hint = rondo_load_relaxed(&ring->hint);
	base = head & ~RONDO_SLACK_MASK;
	position = rondo_position_of_end(8 + (uint64_t)bytes);
	wanted = base + rondo_head_at(position, RONDO_PENDING_ONE);
	if (rondo_unlikely(head & (RONDO_MODE_MASK | RONDO_PENDING_FULL)))
		return RONDO_FAST_CALL;
	seen->head = head;
	seen->ring_id = (uint32_t)id;
	if (rondo_unlikely(hint - wanted >= channel->span))
		return RONDO_FAST_NO_ROOM;
	header = channel->pages + ((hint & RONDO_HEAD_LOW) << channel->order) +
		 (rondo_head_position(base) & channel->mask);
	/* Before the sequence, so that a function has less to keep across it. */
	out->data = header + 8;
	out->channel = channel;
	out->ring = ring;
	out->head = wanted;
	out->before = head;
	out->bytes = bytes;
	out->ring_id = (uint32_t)id;
	out->event_id = event_id;
	out->reserved16_ = 0;
	out->reserved32_ = 0;
	out->reserved_[0] = out->reserved_[1] = 0;
	if (rondo_unlikely(rondo_seq_reserve(
		    ring, &channel->offsets, (uint32_t)id, head, wanted, header,
		    0xff000000u | (uint32_t)(event_id & 0xff) << 16 |
			    (uint32_t)((bytes + 7) >> 3) << 8)))
		return RONDO_FAST_LOST;
	rondo_zero_tail((char *)out->data, out->bytes);
	return RONDO_FAST_DONE;
}

/* 0: committed. 1: call. */
static inline __attribute__((always_inline)) int
rondo_fast_commit(const struct rondo_record *record)
{
	const struct rondo_channel *channel = record->channel;

	if (rondo_unlikely(record->head & RONDO_MODE_MASK) ||
	    rondo_unlikely(!channel->rings))
		return 1;
	/* pairs(committed) release: the payload before the state that tells
	 * readers of open sub-buffers that it is there. */
	rondo_store_release((uint8_t *)record->data - 1,
			    (uint8_t)(record->event_id >> 8));
	return rondo_seq_commit(record->ring, &channel->offsets,
				record->ring_id, record->head,
				record->head - RONDO_PENDING_ONE);
}
#else
static inline int rondo_fast_reserve(struct rondo_channel *channel,
				     uint16_t event_id, uint32_t bytes,
				     struct rondo_record *out,
				     struct rondo_seen *seen)
{
	(void)event_id, (void)bytes, (void)out, (void)seen;
	return rondo_load_relaxed(&channel->gate[RONDO_GATE]) ?
		       RONDO_FAST_CALL :
		       -ESHUTDOWN;
}

static inline int rondo_fast_commit(const struct rondo_record *record)
{
	(void)record;
	return 1;
}
#endif

#endif
