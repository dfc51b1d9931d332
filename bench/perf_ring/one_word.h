/* SPDX-License-Identifier: MIT */
/*
 * A single head as fast as it can be made: head and nesting counter in one
 * word, moved by one locked instruction at each end of a record (packed) or by
 * one restartable sequence (rseq). The tail has a cache line of its own, and is
 * looked at again only when what was known of it stands in the way (limit).
 * Where a position would not fit, after 2 PiB, the ring has to be made anew.
 *
 *   | position / 8 : 48 | begun - ended on this CPU : 16 |
 *
 * Packed: a writer alone in the word publishes while it is still counted, so
 * nobody else does; that swap fails, and it starts again, if the word changed.
 *
 * Rseq: whoever has been moved off the CPU cannot move that CPU's head. It ends
 * late: one atomic add to ring->late, which counts up only. Open are the word's
 * counter - late, modulo 2^16. Who reads late and then finds the word, with
 * exactly n open, knows that there were n, for late only grows. A writer that
 * is alone publishes in the sequence that ends its record: as nobody else runs
 * on this CPU meanwhile, the position is the newest there is. All others, late
 * or not alone, look after a full fence whether nobody is open any more; the
 * last of them sees it, and publishes by a compare-and-swap that only goes
 * forward. (No sequence can undo that one: it stores a position that is newer
 * or the same.)
 */
#ifndef RONDO_BENCH_PERF_RING_ONE_WORD_H
#define RONDO_BENCH_PERF_RING_ONE_WORD_H

#include "buffer.h"
#include "rings.h"
#include "sequence.h"

#define PERF_WORD_SHIFT 13 /* of a position: its low 3 bits are 0 */
#define PERF_WORD_OPEN UINT64_C(0xffff)

PERF_INLINE uint64_t perf_word_position(uint64_t word)
{
	return (uint64_t)((int64_t)(word & ~PERF_WORD_OPEN) >> PERF_WORD_SHIFT);
}

/* With one record more, or less, and moved on; the counter wraps alone. */
PERF_INLINE uint64_t perf_word_next(uint64_t word, uint64_t moved, int more)
{
	return ((word & ~PERF_WORD_OPEN) + (moved << PERF_WORD_SHIFT)) |
	       ((word + (uint64_t)more) & PERF_WORD_OPEN);
}

/* Everything that does not happen all the time. 0 or -ENOSPC. */
int perf_one_word_begin(struct perf_rings *rings, uint64_t bytes,
			struct perf_handle *out);
void perf_packed_end_slow(struct perf_handle *handle);
void perf_rseq_end_slow(const struct perf_rings *rings,
			struct perf_handle *handle);

/*
 * What word becomes with a record more, in the common case: else 0, and
 * perf_one_word_begin must do it.
 */
PERF_INLINE uint64_t perf_word_fast(const struct perf_ring *ring, uint64_t word,
				    uint64_t directed)
{
	const uint64_t wanted = word + (directed << PERF_WORD_SHIFT) + 1;

	/* pairs(perf-tail) acquire: limit speaks for a tail that others saw. */
	if (rondo_unlikely((wanted & PERF_WORD_OPEN) == 0 ||
			   (wanted ^ ring->flip) >
				   rondo_load_acquire(&ring->limit) ||
			   rondo_load_relaxed(&ring->lost)))
		return 0;
	return wanted;
}

/* ---- packed ---- */

PERF_INLINE int perf_packed_begin(struct perf_rings *rings, uint64_t bytes,
				  struct perf_handle *out)
{
	struct perf_ring *ring = perf_rings_any(rings);
	const uint64_t directed = perf_directed(ring, bytes);
	const uint64_t word = rondo_load_relaxed(&ring->head);
	const uint64_t wanted = perf_word_fast(ring, word, directed);

	PERF_POINT(PERF_AT_HEAD_READ);
	/* pairs(perf-open) acquire: the head after those before it */
	if (rondo_unlikely(!wanted || !rondo_cas(&ring->head, word, wanted)))
		return perf_one_word_begin(rings, bytes, out);
	PERF_POINT(PERF_AT_RESERVED);
	out->ring = ring;
	out->word = wanted;
	out->at = perf_word_position(word) + (directed & ring->flip);
	return 0;
}

PERF_INLINE void perf_packed_end(struct perf_handle *handle)
{
	struct perf_ring *ring = handle->ring;
	const uint64_t word = handle->word;

	if (rondo_likely((word & PERF_WORD_OPEN) == 1)) {
		/* pairs(perf-head) release: records before the head that says
		 * they are there. */
		rondo_store_release(&ring->page->data_head,
				    perf_word_position(word));
		PERF_POINT(PERF_AT_PUBLISHED);
		/* pairs(perf-open) release: published before it is left */
		if (rondo_likely(rondo_cas(&ring->head, word, word - 1))) {
			PERF_POINT(PERF_AT_LEFT);
			perf_wake_if_passed(ring, perf_word_position(word));
			return;
		}
	}
	perf_packed_end_slow(handle);
}

PERF_INLINE int perf_packed_record(struct perf_rings *rings,
				   const void *payload, uint32_t bytes)
{
	const uint64_t time = perf_time();
	struct perf_handle handle;

	if (perf_packed_begin(rings, perf_sample_bytes(bytes), &handle))
		return -ENOSPC;
	perf_put_sample(&handle, time, payload, bytes);
	PERF_POINT(PERF_AT_FILLED);
	perf_packed_end(&handle);
	return 0;
}

/* ---- rseq ---- */

PERF_INLINE int perf_rseq_begin(struct perf_rings *rings, uint64_t bytes,
				struct perf_handle *out)
{
	const uint64_t cpu = perf_thread_word(rings->id_offset);
	struct perf_ring *ring = &rings->ring[cpu];
	uint64_t directed, word;
	struct perf_move move;

	if (rondo_unlikely(cpu >= rings->count))
		return perf_one_word_begin(rings, bytes, out);
	directed = perf_directed(ring, bytes);
	word = rondo_load_relaxed(&ring->head);
	PERF_POINT(PERF_AT_HEAD_READ);
	move.head = &ring->head;
	move.expected = word;
	move.wanted = perf_word_fast(ring, word, directed);
	move.rseq_offset = rings->rseq_offset;
	move.cpu = (uint32_t)cpu;
	if (rondo_unlikely(!move.wanted || perf_seq_move(&move)))
		return perf_one_word_begin(rings, bytes, out);
	PERF_POINT(PERF_AT_RESERVED);
	out->ring = ring;
	out->word = move.wanted;
	out->at = perf_word_position(word) + (directed & ring->flip);
	out->cpu = (uint32_t)cpu;
	return 0;
}

PERF_INLINE void perf_rseq_end(const struct perf_rings *rings,
			       struct perf_handle *handle)
{
	struct perf_ring *ring = handle->ring;
	const uint64_t word = handle->word;
	const struct perf_move move = {
		.head = &ring->head,
		.expected = word,
		.wanted = word - 1,
		.rseq_offset = rings->rseq_offset,
		.cpu = handle->cpu,
	};
	/* pairs(perf-late) acquire: records that ended late before data_head
	 * says that they are there. */
	const uint64_t late = rondo_load_acquire(&ring->late);

	if (rondo_unlikely((word & PERF_WORD_OPEN) !=
				   (late & PERF_WORD_OPEN) + 1 ||
			   perf_seq_publish(&move, &ring->page->data_head,
					    perf_word_position(word)))) {
		perf_rseq_end_slow(rings, handle);
		return;
	}
	PERF_POINT(PERF_AT_LEFT);
	perf_wake_if_passed(ring, perf_word_position(word));
}

PERF_INLINE int perf_rseq_record(struct perf_rings *rings, const void *payload,
				 uint32_t bytes)
{
	const uint64_t time = perf_time();
	struct perf_handle handle;

	if (perf_rseq_begin(rings, perf_sample_bytes(bytes), &handle))
		return -ENOSPC;
	perf_put_sample(&handle, time, payload, bytes);
	PERF_POINT(PERF_AT_FILLED);
	perf_rseq_end(rings, &handle);
	return 0;
}

#endif
