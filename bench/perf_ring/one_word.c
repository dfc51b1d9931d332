/* SPDX-License-Identifier: MIT */
/*
 * The slow paths of one_word.h.
 */
#include "one_word.h"

#define ABORTS_MAX 64 /* in a row: a debugger steps through */

/* Zero, or enum rondo_sequence_result. */
static int move_head(const struct perf_rings *rings,
		     const struct perf_move *move)
{
	if (rings->variant == PERF_RSEQ)
		return perf_seq_move(move);
	/* pairs(perf-open) full: as in perf_packed_begin and _end */
	return rondo_cas(move->head, move->expected, move->wanted) ?
		       RONDO_SEQ_DONE :
		       RONDO_SEQ_CHANGED;
}

/* perf_has_room; and lets the fast path go on up to there. */
static bool extend_limit(struct perf_ring *ring, uint64_t position,
			 uint64_t bytes)
{
	/* pairs(perf-tail) acquire: as in perf_has_room, for those who only
	 * see the limit, too. */
	const uint64_t tail = rondo_load_acquire(ring->tail);
	const uint64_t end = perf_directed(ring, tail) + ring->mask + 1;

	/* Any older tail makes a limit, too: stores may come in any order. */
	rondo_store_release(&ring->limit,
			    end << PERF_WORD_SHIFT |
				    (PERF_WORD_OPEN & ~ring->flip));
	return (int64_t)(end - perf_directed(ring, position)) >= (int64_t)bytes;
}

static int refuse(uint64_t *lost)
{
	PERF_POINT(PERF_AT_REFUSE);
	rondo_add_relaxed(lost, UINT64_C(1));
	return -ENOSPC;
}

static struct perf_ring *find_ring(struct perf_rings *rings, uint32_t *out)
{
	const uint64_t cpu = perf_rings_cpu(rings);

	*out = (uint32_t)cpu;
	if (rings->variant == PERF_PACKED)
		return perf_rings_any(rings);
	return cpu < rings->count ? &rings->ring[cpu] : NULL;
}

/* One attempt: 0, or enum rondo_sequence_result, or -ENOSPC. */
static int try_begin(const struct perf_rings *rings, uint64_t bytes,
		     struct perf_handle *out)
{
	struct perf_ring *ring = out->ring;
	const uint64_t lost = rondo_load_relaxed(&ring->lost);
	const uint64_t total = bytes + (lost ? sizeof(struct perf_lost) : 0);
	const uint64_t directed = perf_directed(ring, total);
	const uint64_t late = rondo_load_relaxed(&ring->late);
	const uint64_t word = rondo_load_relaxed(&ring->head);
	const struct perf_move move = {
		.head = &ring->head,
		.expected = word,
		.wanted = perf_word_next(word, directed, 1),
		.rseq_offset = rings->rseq_offset,
		.cpu = out->cpu,
	};
	int result;

	PERF_POINT(PERF_AT_HEAD_READ);
	if (((move.wanted - late) & PERF_WORD_OPEN) == 0 ||
	    !extend_limit(ring, perf_word_position(word), total))
		return refuse(&ring->lost);
	result = move_head(rings, &move);
	if (result)
		return result;
	PERF_POINT(PERF_AT_RESERVED);
	out->word = move.wanted;
	out->at = perf_word_position(word) + (directed & ring->flip);
	if (lost)
		perf_put_lost(out);
	return 0;
}

int perf_one_word_begin(struct perf_rings *rings, uint64_t bytes,
			struct perf_handle *out)
{
	unsigned aborts = 0;

	while (true) {
		int result;

		out->ring = find_ring(rings, &out->cpu);
		if (!out->ring)
			return refuse(&rings->lost);
		result = try_begin(rings, bytes, out);
		if (result <= 0)
			return result;
		if (result == RONDO_SEQ_ABORTED && ++aborts == ABORTS_MAX)
			return refuse(&out->ring->lost);
	}
}

void perf_packed_end_slow(struct perf_handle *handle)
{
	struct perf_ring *ring = handle->ring;
	uint64_t word;
	bool is_alone;

	do {
		/* pairs(perf-open) acquire: the records of all that left */
		word = rondo_load_acquire(&ring->head);
		PERF_POINT(PERF_AT_SLOW_END);
		is_alone = (word & PERF_WORD_OPEN) == 1;
		if (is_alone)
			/* pairs(perf-head) release: records before the head
			 * that says they are there. */
			rondo_store_release(&ring->page->data_head,
					    perf_word_position(word));
		PERF_POINT(PERF_AT_PUBLISHED);
		/* pairs(perf-open) release: this record before it is left */
	} while (!rondo_cas(&ring->head, word, perf_word_next(word, 0, -1)));
	PERF_POINT(PERF_AT_LEFT);
	if (is_alone)
		perf_wake_if_passed(ring, perf_word_position(word));
}

/* Publishes if nobody is open. A full fence lies between what made this record
 * not open and here. */
static void settle(struct perf_ring *ring)
{
	uint64_t late, word, position, head;

	PERF_POINT(PERF_AT_SETTLE);
	/* pairs(perf-late) acquire: late first; then the word may be newer */
	late = rondo_load_acquire(&ring->late);
	/* pairs(perf-open) acquire: the records of all that ended */
	word = rondo_load_acquire(&ring->head);
	if ((word - late) & PERF_WORD_OPEN)
		return;
	position = perf_word_position(word);
	do {
		PERF_POINT(PERF_AT_HEAD_SEEN);
		head = rondo_load_relaxed(&ring->page->data_head);
		if ((int64_t)perf_directed(ring, position - head) <= 0)
			break;
		/* pairs(perf-head) release: records before the head that says
		 * they are there. */
	} while (!rondo_cas(&ring->page->data_head, head, position));
	perf_wake_if_passed(ring, position);
}

/* One attempt by a sequence. *out: whether it was alone, and has published. */
static int try_end(const struct perf_rings *rings,
		   const struct perf_handle *handle, bool *out)
{
	struct perf_ring *ring = handle->ring;
	/* pairs(perf-late) acquire: late first, then who is open */
	const uint64_t late = rondo_load_acquire(&ring->late);
	const uint64_t word = rondo_load_relaxed(&ring->head);
	const struct perf_move move = {
		.head = &ring->head,
		.expected = word,
		.wanted = perf_word_next(word, 0, -1),
		.rseq_offset = rings->rseq_offset,
		.cpu = handle->cpu,
	};
	int result;

	PERF_POINT(PERF_AT_SLOW_END);
	if (((word - late) & PERF_WORD_OPEN) != 1) {
		*out = false;
		return perf_seq_move(&move);
	}
	result = perf_seq_publish(&move, &ring->page->data_head,
				  perf_word_position(word));
	if (!result)
		perf_wake_if_passed(ring, perf_word_position(word));
	*out = true;
	return result;
}

void perf_rseq_end_slow(const struct perf_rings *rings,
			struct perf_handle *handle)
{
	struct perf_ring *ring = handle->ring;
	unsigned aborts = 0;

	while (perf_rings_cpu(rings) == handle->cpu && aborts < ABORTS_MAX) {
		bool is_alone;
		int result = try_end(rings, handle, &is_alone);

		aborts += result == RONDO_SEQ_ABORTED;
		if (result)
			continue;
		if (!is_alone) {
			/* pairs(perf-late) full: not open, then who is? */
			rondo_fence();
			settle(ring);
		}
		return;
	}
	PERF_POINT(PERF_AT_LATE);
	/* pairs(perf-late) release: the record. */
	(void)rondo_add_fetch(&ring->late, UINT64_C(1));
	/* pairs(perf-late) full: not open, then who is? */
	rondo_fence_after_swap();
	settle(ring);
}
