/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic of positions, heads and slots. Nothing here touches memory. All
 * numbers wrap: they are compared by difference, never by "<".
 */
#ifndef RONDO_DETAIL_POSITION_H
#define RONDO_DETAIL_POSITION_H

#include <rondo/abi.h>
#include <rondo/detail/atomics.h>

/* A position is in bytes: aligned end | slack (0..7). */
static inline uint64_t rondo_head_position(uint64_t head)
{
	return head >> RONDO_POSITION_SHIFT;
}

static inline uint64_t rondo_position_aligned(uint64_t position)
{
	return position & ~UINT64_C(7);
}

/* Where the last field ends. */
static inline uint64_t rondo_position_exact(uint64_t position)
{
	return rondo_position_aligned(position) - (position & 7);
}

static inline uint64_t rondo_align(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1) & ~(alignment - 1);
}

/* The position of something that ends exactly at end. */
static inline uint64_t rondo_position_of_end(uint64_t end)
{
	uint64_t aligned = rondo_align(end, 8);

	return aligned + (aligned - end);
}

static inline uint64_t rondo_head_pending(uint64_t head)
{
	return (head & RONDO_PENDING_MASK) >> RONDO_PENDING_SHIFT;
}

static inline unsigned rondo_head_mode(uint64_t head)
{
	return (unsigned)(head & RONDO_MODE_MASK);
}

static inline uint64_t rondo_head_with_mode(uint64_t head, unsigned mode)
{
	return (head & ~RONDO_MODE_MASK) | mode;
}

/* The same head, gen one further: no word read before equals it. */
static inline uint64_t rondo_head_bump(uint64_t head)
{
	return (head & ~RONDO_GEN_MASK) |
	       ((head + RONDO_GEN_ONE) & RONDO_GEN_MASK);
}

static inline uint64_t rondo_head_at(uint64_t position, uint64_t low)
{
	return position << RONDO_POSITION_SHIFT | low;
}

/* Bits of a sub-buffer number that the head can tell. */
static inline unsigned rondo_number_bits(unsigned order)
{
	return RONDO_POSITION_BITS - order;
}

/* The sub-buffer's number as the head tells it, truncated. */
static inline uint64_t rondo_head_number(uint64_t head, unsigned order)
{
	return head >> (RONDO_POSITION_SHIFT + order);
}

static inline uint64_t rondo_slot(uint64_t pages, unsigned state,
				  uint64_t number)
{
	return pages << RONDO_SLOT_PAGES_SHIFT |
	       (uint64_t)state << RONDO_SLOT_STATE_SHIFT |
	       (number & RONDO_NUMBER_MASK);
}

static inline uint32_t rondo_slot_pages(uint64_t slot)
{
	return (uint32_t)(slot >> RONDO_SLOT_PAGES_SHIFT);
}

static inline unsigned rondo_slot_state(uint64_t slot)
{
	return (unsigned)(slot >> RONDO_SLOT_STATE_SHIFT) & 3;
}

static inline uint64_t rondo_slot_number(uint64_t slot)
{
	return slot & RONDO_NUMBER_MASK;
}

/* How far truncated number a lies beyond b: negative when before it. */
static inline int64_t rondo_number_distance(uint64_t a, uint64_t b,
					    unsigned bits)
{
	return (int64_t)((a - b) << (64 - bits)) >> (64 - bits);
}

/*
 * The full number that truncates to narrow (bits wide) and lies nearest to
 * known, a full number.
 */
static inline uint64_t rondo_number_extend(uint64_t narrow, uint64_t known,
					   unsigned bits)
{
	int64_t distance = rondo_number_distance(narrow, known, bits);

	return (known + (uint64_t)distance) & RONDO_NUMBER_MASK;
}

/*
 * The hint: hint - wanted, as one unsigned number, is below span only when the
 * record that moves the head to wanted fits and the hint is of the sub-buffer
 * that is open. It is never newer than the head; an older one refuses
 * everything. Position part: nine bytes before the end. An aligned end that
 * leaves eight free is then refused whatever the low bits are; one that leaves
 * sixteen is accepted, but for a slack of seven, which the call accepts.
 */
static inline uint64_t rondo_hint(uint64_t number, unsigned order,
				  uint64_t pages_index)
{
	uint64_t end = ((number + 1) << order) - 9;

	return end << RONDO_POSITION_SHIFT | pages_index;
}

/* Room that stays free at the end: offset 0 then means nothing is open. */
#define RONDO_TAIL_BYTES 16u

#endif
