/* SPDX-License-Identifier: MIT */
/*
 * One ring: slots claimed, opened, delivered; the head moved in each of its
 * modes; revoking and flushing; refusals counted. Producer and consumer stand
 * on it. Nothing here waits, allocates or prints, but rondo_ring_flush, which
 * takes the flush lock.
 *
 * Actors on the edges of a slot (docs/design.md has the pictures):
 *
 *            claim (P)            open (P, F)            last commit (P')
 *   EMPTY -------------> CLAIMED -------------> OPEN --------------------.
 *     ^                   ^   ^ |                                        v
 *     |     overwrite (P) |   '-' dead claim (P)                     READABLE
 *     |                   '----------------------------------------------|
 *     '------------------------------------------------- take (C) -------'
 *
 * A consumer copies what is OPEN for too long, and leaves the slot as it is.
 *
 *   P  the first producer that needs the slot    F  a flusher
 *   P' the one whose add makes late 0            C  the consumer
 */
#ifndef RONDO_LIB_RING_H
#define RONDO_LIB_RING_H

#include <stdbool.h>
#include <stdint.h>

#include <rondo/detail/sequence.h>

#include "control.h"
#include "testpoint.h"

/* A ring as a thread meets it: where it is, and by which id it got there. */
struct rondo_place {
	struct rondo_control *control;
	struct rondo_ring *ring;
	uint32_t index; /* of the ring */
	uint32_t id;	/* what the thread's id word must say in a sequence */
};

/*
 * A move of the head in preparation: stores that go with it and checks that
 * must hold. 24 words of packet and records and 8 of the ring are the most
 * that one move writes.
 */
#define RONDO_MOVE_STORES 32
#define RONDO_MOVE_CHECKS 3 /* the head, and the refusals full and stalled */
struct rondo_move {
	struct rondo_sequence sequence;
	struct rondo_check checks[RONDO_MOVE_CHECKS];
	struct rondo_store stores[RONDO_MOVE_STORES];
};

/* A field of a packet's header as the word that a store of a move fills. */
#define PACKET_WORD(packet, field)      \
	((uint64_t *)(void *)(packet) + \
	 offsetof(struct rondo_packet, field) / 8)

/* Writes what a new ring's control page and tables hold. */
void rondo_ring_init(const struct rondo_control *control, uint32_t ring);

/* Starts a move from head to wanted; the time is read with it, or not. */
void rondo_move_begin(struct rondo_move *move, const struct rondo_place *place,
		      uint64_t head, uint64_t wanted);
void rondo_move_with_time(struct rondo_move *move, uint64_t limit);

/* One more store at the end of a list; the new end. Who adds several keeps the
 * end in a variable, and puts it into the sequence when it is done. */
static inline struct rondo_store *rondo_put(struct rondo_store *end, void *at,
					    uint64_t value)
{
	*end = (struct rondo_store){(uint64_t *)at, value, 0};
	return end + 1;
}

/* The same where it is not there yet: most of a packet's header is what it was
 * a lap ago. Only for words that nobody else can change before the move. */
static inline struct rondo_store *
rondo_put_changed(struct rondo_store *end, uint64_t *at, uint64_t value)
{
	return rondo_load_relaxed(at) == value ? end :
						 rondo_put(end, at, value);
}

/* A store of value + (time & mask). */
static inline struct rondo_store *
rondo_put_time(struct rondo_store *end, void *at, uint64_t value, uint64_t mask)
{
	*end = (struct rondo_store){(uint64_t *)at, value, mask};
	return end + 1;
}

/* The move also needs *at to be expected. rseq mode only. */
static inline void rondo_move_check(struct rondo_move *move, uint64_t *at,
				    uint64_t expected)
{
	struct rondo_check *check = &move->checks[move->sequence.check_count++];

	check->at = at;
	check->expected = expected;
}

/*
 * Moves the head as its mode demands: a sequence, or a swap and the stores
 * after it. enum rondo_sequence_result.
 */
int rondo_move_head(struct rondo_move *move, const struct rondo_place *place);

/* Records of a gap of exactly bytes, as stores; the list's new end. */
struct rondo_store *rondo_put_gap(struct rondo_store *end,
				  const struct rondo_map *map, char *at,
				  uint64_t bytes);

/*
 * The slot of the number that the head is in, its state OPEN from now on.
 * False: the head has moved on (or the memory makes no sense).
 */
bool rondo_ring_open(const struct rondo_place *place, uint64_t number,
		     uint64_t *out_slot);

/* The same without changing its state. */
bool rondo_ring_find(const struct rondo_place *place, uint64_t number,
		     uint64_t *out_slot);

/* The end of the sub-buffer that head is in, as stores of the move. */
void rondo_move_end(struct rondo_move *move, const struct rondo_place *place,
		    uint32_t pages, uint64_t head);

/* The head was left, and is head now: the end of the sub-buffer in slot is
 * written. Delivers it, or leaves that to the last of those that still have a
 * record open in it. */
void rondo_ring_closed(const struct rondo_place *place, uint64_t slot,
		       uint64_t left, uint64_t head);

/* late[pages] += change; delivers number when that makes it 0. */
void rondo_ring_late(const struct rondo_place *place, uint32_t pages,
		     uint64_t number, int64_t change);

/* On the ring's own id: REVOKING becomes ATOMIC without a fence. */
void rondo_ring_help(const struct rondo_place *place, uint64_t head);

/* After too many aborts, if nobody else is at it. False: somebody is. */
bool rondo_ring_try_revoke(const struct rondo_place *place);

void rondo_ring_count_aside(struct rondo_ring *ring, unsigned what,
			    uint64_t bytes);

/*
 * One more of what (a cause, or enum rondo_counted), exactly once in every mode:
 * in a sequence if the head is still as given and in rseq mode, else aside.
 */
static inline __attribute__((always_inline)) void
rondo_ring_count(const struct rondo_place *place, uint64_t head, unsigned what,
		 uint64_t bytes)
{
	struct rondo_ring *ring = place->ring;

#if RONDO_HAVE_RSEQ
	if (rondo_head_mode(head) == RONDO_HEAD_RSEQ &&
	    rondo_seq_count(ring, &place->control->handle->offsets, place->id,
			    head, &ring->tally[what], bytes) == RONDO_SEQ_DONE)
		return;
#else
	(void)head;
#endif
	rondo_ring_count_aside(ring, what, bytes);
}

/*
 * Counts a refused record where nothing can come between. False: the head is
 * another one, and may have room: decide again.
 */
static inline bool rondo_ring_refuse(const struct rondo_place *place,
				     uint64_t head, enum rondo_cause cause,
				     uint64_t bytes)
{
	struct rondo_ring *ring = place->ring;

	RONDO_TESTPOINT(RONDO_AT_REFUSE);
#if RONDO_HAVE_RSEQ
	if (rondo_head_mode(head) == RONDO_HEAD_RSEQ) {
		return rondo_seq_count(ring, &place->control->handle->offsets,
				       place->id, head, &ring->tally[cause],
				       bytes) == RONDO_SEQ_DONE;
	}
#endif
	/* pairs(head) acquire: still the head that had no room. */
	if (rondo_load_acquire(&ring->head) != head)
		return false;
	rondo_ring_count_aside(ring, cause, bytes);
	return true;
}

/*
 * Does what a flusher of another CPU asked for: closes what is open, if this is
 * the ring's own. Bounded; for the record path.
 */
void rondo_ring_answer(const struct rondo_place *place);

static inline void rondo_ring_answer_if_asked(const struct rondo_place *place)
{
	if (rondo_unlikely(rondo_load_relaxed(&place->ring->asked)))
		rondo_ring_answer(place);
}

/* Closes what is open in the ring. 1: closed; 0: nothing was in it; what
 * membarrier(2) returned; or -EPROTO. */
int rondo_ring_flush(struct rondo_control *control, uint32_t ring);

/* Both ways of counting summed. [any] */
void rondo_ring_counted(const struct rondo_ring *ring, unsigned what,
			uint64_t *out_count, uint64_t *out_bytes);

/* The same without the bytes: nothing to be torn apart. [any] */
uint64_t rondo_ring_total(const struct rondo_ring *ring, unsigned what);

/* Refused records by cause. [any] */
void rondo_ring_refused(const struct rondo_ring *ring,
			uint64_t out_records[RONDO_CAUSES]);

/*
 * Sub-buffers delivered and neither taken nor overwritten; of all rings: what a
 * watermark is compared with. Never less than there are READABLE (I-ready);
 * more while one is being delivered, taken or overwritten. [any]
 */
uint64_t rondo_ring_ready(const struct rondo_ring *ring);
uint64_t rondo_rings_ready(const struct rondo_map *map);

/* The numbers of a ring, as of now. [any] */
void rondo_ring_read_stats(const struct rondo_control *control, uint32_t ring,
			   struct rondo_stats *out);

/*
 * A gap of exactly bytes, headers included (a multiple of 8, or of 16 with full
 * headers): as many records as it takes to tell its length, committed, at the
 * given time.
 */
void rondo_gap_write(char *at, uint64_t bytes, uint32_t header_bytes,
		     uint64_t time);

/*
 * Verifies the invariants that hold of a quiet ring: I-pages, late counters at
 * 0, no mode in between, nobody asked, slots consistent with the head. 0, or
 * -EPROTO and the name of the invariant with a sentence.
 */
int rondo_ring_check(const struct rondo_control *control, uint32_t ring,
		     const char **out_why);

#endif
