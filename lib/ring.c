/* SPDX-License-Identifier: MIT */
/*
 * One ring: see ring.h. The algorithm and why it is right: docs/design.md.
 * Who may store what, and when:
 *
 *   head       rseq mode: sequences of its own CPU. atomic mode: swaps.
 *   slots      swaps by all, and OPEN by the sequence that leaves it; each
 *              state says who may make the next one.
 *   late       atomic adds by producers and flushers; 0 exactly once a use.
 *   pages      who has a record open in them; the closer their end.
 */
#include "ring.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "memory.h"
#include "os.h"
#include "testpoint.h"

#ifdef RONDO_TESTPOINTS
void (*rondo_testpoint_hook)(enum rondo_testpoint at);
int (*rondo_testpoint_aborts)(void);
uint64_t rondo_testpoint_start;
void (*rondo_testpoint_overwrite)(const struct rondo_map *map, uint32_t ring,
				  uint64_t slot);
void (*rondo_testpoint_move)(const struct rondo_sequence *move);
#endif

#define NO_LIMIT UINT64_MAX

/* ---- moving the head ---- */

void rondo_move_begin(struct rondo_move *move, const struct rondo_place *place,
		      uint64_t head, uint64_t wanted)
{
	struct rondo_sequence *s = &move->sequence;

	s->commit_at = &place->ring->head;
	s->wanted = wanted;
	s->checks = move->checks;
	s->check_count = 1;
	move->checks[0].at = &place->ring->head;
	move->checks[0].expected = head;
	s->stores = move->stores;
	s->end = move->stores;
	s->time = 0;
	s->limit = NO_LIMIT;
	s->clock = RONDO_SEQ_CLOCK_GIVEN;
	s->id = place->id;
	s->offsets = place->control->handle->offsets;
}

/* A clock that sequences cannot read is read here: after the head, whose gen
 * tells a sequence if anything moved since. */
void rondo_move_with_time(struct rondo_move *move, uint64_t limit)
{
	move->sequence.limit = limit;
	move->sequence.clock = RONDO_SEQ_CLOCK_READ;
}

#if RONDO_HAVE_RSEQ
static int move_in_sequence(struct rondo_move *move,
			    const struct rondo_place *place)
{
	int result = rondo_seq_list(&move->sequence);

	if (result == RONDO_SEQ_ABORTED)
		rondo_add_relaxed(&place->ring->aborts, 1);
	return result;
}

static int move_locked(struct rondo_move *move)
{
	return rondo_seq_locked(&move->sequence);
}
#else
static int move_in_sequence(struct rondo_move *move,
			    const struct rondo_place *place)
{
	(void)move, (void)place;
	return RONDO_SEQ_ABORTED;
}

static int move_locked(struct rondo_move *move)
{
	(void)move;
	return RONDO_SEQ_ABORTED;
}
#endif

static int move_by_swap(struct rondo_move *move)
{
	struct rondo_sequence *s = &move->sequence;

	if (s->clock != RONDO_SEQ_CLOCK_GIVEN) {
		s->time = rondo_ticks_ordered();
		RONDO_TESTPOINT(RONDO_AT_RESERVE_CLOCK_READ);
	}
	if (s->time > s->limit)
		return RONDO_SEQ_FAR;
	/* pairs(head) acquire and release: what the ring looked like before the
	 * move, before the stores that the move licenses. */
	if (!rondo_cas(s->commit_at, s->checks[0].expected, s->wanted))
		return RONDO_SEQ_CHANGED;
	return RONDO_SEQ_DONE;
}

/* Atomic, and the wanted mode is rseq again: the ring's own id may do that, in
 * a sequence, for no plain store of its CPU is then under way. */
static int move_back_to_rseq(struct rondo_move *move)
{
	int result = move_locked(move);

	if (result != RONDO_SEQ_ABORTED)
		return result;
	move->sequence.wanted =
		rondo_head_with_mode(move->sequence.wanted, RONDO_HEAD_ATOMIC);
	return move_by_swap(move);
}

int rondo_move_head(struct rondo_move *move, const struct rondo_place *place)
{
	struct rondo_sequence *s = &move->sequence;
	const struct rondo_control *control = place->control;
	int result;

#ifdef RONDO_TESTPOINTS
	if (rondo_testpoint_move)
		rondo_testpoint_move(s);
#endif
	if (s->clock != RONDO_SEQ_CLOCK_GIVEN && !control->clock_in_sequence) {
		s->time = rondo_clock_read(control->map.clock);
		s->clock = RONDO_SEQ_CLOCK_GIVEN;
		RONDO_TESTPOINT(RONDO_AT_RESERVE_CLOCK_READ);
	}
	if (rondo_head_mode(move->checks[0].expected) == RONDO_HEAD_RSEQ)
		return move_in_sequence(move, place);
	if (rondo_head_mode(s->wanted) == RONDO_HEAD_RSEQ)
		result = move_back_to_rseq(move);
	else
		result = move_by_swap(move);
	if (result == RONDO_SEQ_DONE) {
		RONDO_TESTPOINT(RONDO_AT_RESERVE_MOVED);
		rondo_store_list(s);
	}
	return result;
}

/* ---- gaps ---- */

/* Gap records of at most this many bytes, header included. */
static uint64_t gap_max(uint32_t header_bytes)
{
	return header_bytes == 8 ? 8 + RONDO_COMPACT_MAX : UINT64_C(1) << 31;
}

/* The constant words of one gap record's header (and the text's length). */
struct gap_words {
	uint64_t header;  /* compact: to add the time to; full: first word */
	uint64_t payload; /* length of the text, its first bytes NUL */
	bool has_payload;
};

static struct gap_words gap_words(uint64_t bytes, uint32_t header_bytes)
{
	uint64_t payload = bytes - header_bytes;
	struct gap_words words = {0, payload - 4, payload != 0};
	uint64_t id = payload ? RONDO_ID_DISCARDED : RONDO_ID_GAP;

	if (header_bytes == 8)
		words.header = id << 48 | (payload / 8) << 40;
	else
		words.header = payload << 32 |
			       (uint64_t)RONDO_STATE_COMMITTED << 16 | id;
	return words;
}

struct rondo_store *rondo_put_gap(struct rondo_store *end,
				  const struct rondo_map *map, char *at,
				  uint64_t bytes)
{
	const uint32_t header = map->header_bytes;

	while (bytes) {
		uint64_t part = bytes;
		struct gap_words words;

		if (part > gap_max(header))
			part = gap_max(header);
		words = gap_words(part, header);
		if (header == 8) {
			end = rondo_put_time(end, at, words.header,
					     RONDO_COMPACT_TIME_MASK);
		} else {
			end = rondo_put(end, at, words.header);
			end = rondo_put_time(end, at + 8, 0, UINT64_MAX);
		}
		if (words.has_payload)
			end = rondo_put(end, at + header, words.payload);
		at += part;
		bytes -= part;
	}
	return end;
}

void rondo_gap_write(char *at, uint64_t bytes, uint32_t header_bytes,
		     uint64_t time)
{
	while (bytes) {
		uint64_t part = bytes;
		uint64_t *word = (uint64_t *)(void *)at;
		struct gap_words words;

		if (part > gap_max(header_bytes))
			part = gap_max(header_bytes);
		words = gap_words(part, header_bytes);
		if (words.has_payload)
			rondo_store_relaxed(&word[header_bytes / 8],
					    words.payload);
		if (header_bytes == 8)
			words.header |= time & RONDO_COMPACT_TIME_MASK;
		else
			rondo_store_relaxed(&word[1], time);
		/* pairs(committed) release: the gap's inside before the word
		 * that says what it is. */
		rondo_store_release(&word[0], words.header);
		at += part;
		bytes -= part;
	}
}

/* ---- slots ---- */

static bool slot_is(uint64_t slot, unsigned state, uint64_t number,
		    unsigned bits)
{
	return rondo_slot_state(slot) == state &&
	       rondo_number_distance(rondo_slot_number(slot), number, bits) ==
		       0;
}

bool rondo_ring_find(const struct rondo_place *place, uint64_t number,
		     uint64_t *out_slot)
{
	const struct rondo_map *map = &place->control->map;
	const unsigned bits = rondo_number_bits(map->order);
	/* pairs(slot) acquire: the slot's word before what its pages hold. */
	uint64_t slot =
		rondo_load_acquire(rondo_map_slot(map, place->index, number));

	*out_slot = slot;
	return (slot_is(slot, RONDO_SLOT_OPEN, number, bits) ||
		slot_is(slot, RONDO_SLOT_CLAIMED, number, bits)) &&
	       rondo_slot_pages(slot) < rondo_map_page_sets(map);
}

bool rondo_ring_open(const struct rondo_place *place, uint64_t number,
		     uint64_t *out_slot)
{
	const struct rondo_map *map = &place->control->map;
	uint64_t slot;

	if (!rondo_ring_find(place, number, &slot))
		return false;
	if (rondo_slot_state(slot) == RONDO_SLOT_CLAIMED) {
		uint64_t open = rondo_slot(rondo_slot_pages(slot),
					   RONDO_SLOT_OPEN,
					   rondo_slot_number(slot));

		/* pairs(slot) release: it says OPEN before the head leaves, so
		 * a dead claim can be told from a stalled writer. A lost race
		 * was with somebody who did the same. */
		if (!rondo_cas(rondo_map_slot(map, place->index, number), slot,
			       open) &&
		    !rondo_ring_find(place, number, &slot))
			return false;
	}
	*out_slot = slot;
	return true;
}

static void wake_consumer(const struct rondo_control *control)
{
	struct rondo_wait *wait = control->map.wait;
	uint32_t sleeping;

	sleeping = rondo_load_relaxed(&wait->sleeping);
	if (rondo_likely(!sleeping))
		return;
	if (rondo_rings_ready(&control->map) < control->map.wake_subbufs)
		return;
	/* pairs(asleep) acquire and release: one of us wakes it. */
	if (!rondo_cas32(&wait->sleeping, sleeping, 0))
		return;
	if (sleeping & RONDO_SLEEP_FUTEX) {
		rondo_add_relaxed(&wait->generation, 1);
		(void)rondo_os_futex_wake(&wait->generation, 1);
	}
	if (sleeping & RONDO_SLEEP_POLL) {
		int fd = rondo_load_relaxed(&control->event_fd);
		uint64_t one = 1;

		if (fd >= 0)
			(void)rondo_os_write(fd, &one, sizeof(one));
	}
}

/*
 * I-once: the last commit, or the closer that saw none pending, is the only one
 * that comes here. slot: the word, OPEN.
 * I-ready: it is counted by now, so that nobody finds less counted than there
 * is: of two who deliver at once, each looking whether a sleeper has enough,
 * the later one would find too little, and the earlier one has looked.
 */
static void deliver(const struct rondo_place *place, uint64_t slot)
{
	const struct rondo_map *map = &place->control->map;

	RONDO_TESTPOINT(RONDO_AT_BEFORE_DELIVER);
	/* pairs(delivered) release: every record, the end and the count, before
	 * the state that lets the consumer have them. Another word: the memory
	 * makes no sense. */
	if (!rondo_cas(rondo_map_slot(map, place->index,
				      rondo_slot_number(slot)),
		       slot,
		       rondo_slot(rondo_slot_pages(slot), RONDO_SLOT_READABLE,
				  rondo_slot_number(slot))))
		return;
	/* pairs(asleep) full: the count and the delivery before the look at who
	 * sleeps; the consumer says so before it looks at what is delivered. */
	rondo_fence_after_swap();
	RONDO_TESTPOINT(RONDO_AT_DELIVERED);
	wake_consumer(place->control);
}

/*
 * A closer that saw nothing pending need not add: a late commit leaves its
 * share of pending in the head, so there was none.
 */
void rondo_ring_closed(const struct rondo_place *place, uint64_t slot,
		       uint64_t left, uint64_t head)
{
	uint64_t pending = rondo_head_pending(left);

	RONDO_TESTPOINT(RONDO_AT_CLOSED);
	if (pending) {
		rondo_ring_late(place, rondo_slot_pages(slot),
				rondo_slot_number(slot), (int64_t)pending);
		return;
	}
	rondo_ring_count(place, head, RONDO_COUNT_DELIVERED, 0);
	deliver(place, rondo_slot(rondo_slot_pages(slot), RONDO_SLOT_OPEN,
				  rondo_slot_number(slot)));
}

void rondo_ring_late(const struct rondo_place *place, uint32_t pages,
		     uint64_t number, int64_t change)
{
	const struct rondo_map *map = &place->control->map;
	uint64_t slot;

	RONDO_TESTPOINT(RONDO_AT_BEFORE_LATE_ADD);
	if (pages >= rondo_map_page_sets(map))
		return; /* the memory makes no sense */
	/* pairs(late) acquire and release: each one's records before its add;
	 * all of them before the delivery by the last. */
	if (rondo_add_fetch(rondo_map_late(map, place->index, pages), change))
		return;
	/* pairs(slot) acquire: OPEN, before what follows. */
	slot = rondo_load_acquire(rondo_map_slot(map, place->index, number));
	if (slot_is(slot, RONDO_SLOT_OPEN, number,
		    rondo_number_bits(map->order)) &&
	    rondo_slot_pages(slot) == pages) {
		rondo_ring_count_aside(place->ring, RONDO_COUNT_DELIVERED, 0);
		deliver(place, slot);
	}
}

/* ---- what is counted ---- */

void rondo_ring_count_aside(struct rondo_ring *ring, unsigned what,
			    uint64_t bytes)
{
	if (bytes)
		rondo_add_relaxed(&ring->aside_bytes[what], bytes);
	rondo_add_relaxed(&ring->aside[what], 1);
}

static void read_tally(const struct rondo_tally *tally, uint64_t *out_count,
		       uint64_t *out_bytes)
{
	/* Bounded: a count that moves meanwhile may cost the bytes of one,
	 * which the next reading has. */
	for (int tries = 0; tries < 4; tries++) {
		/* pairs(tally) acquire: the count before its bytes. */
		uint64_t n = rondo_load_acquire(&tally->count);

		*out_count = n;
		/* pairs(tally) acquire: the bytes before the count again. */
		*out_bytes = rondo_load_acquire(&tally->bytes[n & 1]);
		if (rondo_load_relaxed(&tally->count) == n)
			return;
	}
}

void rondo_ring_counted(const struct rondo_ring *ring, unsigned what,
			uint64_t *out_count, uint64_t *out_bytes)
{
	read_tally(&ring->tally[what], out_count, out_bytes);
	*out_count += rondo_load_relaxed(&ring->aside[what]);
	*out_bytes += rondo_load_relaxed(&ring->aside_bytes[what]);
}

uint64_t rondo_ring_total(const struct rondo_ring *ring, unsigned what)
{
	return rondo_load_relaxed(&ring->tally[what].count) +
	       rondo_load_relaxed(&ring->aside[what]);
}

void rondo_ring_refused(const struct rondo_ring *ring,
			uint64_t out_records[RONDO_CAUSES])
{
	for (unsigned cause = 0; cause < RONDO_CAUSES; cause++)
		out_records[cause] = rondo_ring_total(ring, cause);
}

/* ---- closing ---- */

/*
 * content ends at the last field. Where records are still open one of them may
 * shrink, or become a gap, later: then an empty gap record stands behind them
 * all, so that whatever they leave ends before something readable.
 */
void rondo_move_end(struct rondo_move *move, const struct rondo_place *place,
		    uint32_t pages, uint64_t head)
{
	const struct rondo_map *map = &place->control->map;
	struct rondo_packet *packet =
		rondo_map_packet(map, place->index, pages);
	struct rondo_ring *ring = place->ring;
	struct rondo_store *end = move->sequence.end;
	uint64_t position = rondo_head_position(head);
	uint64_t content = rondo_position_exact(position) &
			   (map->subbuf_bytes - 1);
	uint64_t sum = 0;

	if (rondo_head_pending(head)) {
		content = rondo_align(rondo_position_aligned(position) &
					      (map->subbuf_bytes - 1),
				      map->header_bytes);
		end = rondo_put_gap(end, map, (char *)packet + content,
				    map->header_bytes);
		content += map->header_bytes;
	}
	end = rondo_put_time(end, PACKET_WORD(packet, timestamp_end), 0,
			     UINT64_MAX);
	end = rondo_put(end, PACKET_WORD(packet, content_bits), content * 8);
	end = rondo_put_changed(end, PACKET_WORD(packet, packet_bits),
				rondo_align(content, 4096) * 8);
	for (unsigned cause = 0; cause < RONDO_CAUSES; cause++) {
		uint64_t *words = &ring->tally[cause].count;
		uint64_t n = rondo_load_relaxed(words);
		uint64_t all = n + rondo_load_relaxed(&ring->aside[cause]);

		/* Too big a record has no head, and is counted aside. */
		if (cause != RONDO_REFUSED_BIG)
			rondo_move_check(move, words, n);
		end = rondo_put_changed(
			end, PACKET_WORD(packet, refused) + cause, all);
		sum += all;
	}
	move->sequence.end = rondo_put_changed(
		end, PACKET_WORD(packet, events_discarded), sum);
}

/* ---- revoking, flushing ---- */

void rondo_ring_help(const struct rondo_place *place, uint64_t head)
{
	struct rondo_move move;

	rondo_move_begin(&move, place, head,
			 rondo_head_with_mode(head, RONDO_HEAD_ATOMIC));
	(void)move_locked(&move);
}

static int fence(const struct rondo_place *place)
{
	uint32_t cpu = place->ring->cpu;

	return rondo_os_fence(cpu == UINT32_MAX ? -1 : (int)cpu);
}

/* Nobody is so busy: the memory makes no sense. */
#define MAX_ROUNDS 100000
/* Each is a fence: a record is not worth more. */
#define MAX_ROUNDS_OF_RECORD 8

/*
 * Until the head is ATOMIC. Under the flush lock: with several revokers a stale
 * fence would let one of them take the head while a sequence is in flight.
 */
static int revoke(const struct rondo_place *place, int max_rounds)
{
	struct rondo_ring *ring = place->ring;

	for (int rounds = 0; rounds < max_rounds; rounds++) {
		/* pairs(head) acquire: the mode before what it allows. */
		uint64_t head = rondo_load_acquire(&ring->head);
		int result;

		if (rondo_head_mode(head) == RONDO_HEAD_ATOMIC)
			return 0;
		if (rondo_head_mode(head) == RONDO_HEAD_RSEQ) {
			/* pairs(head) release: a sequence that stores over it
			 * makes this round void, nothing else. */
			if (!rondo_cas(
				    &ring->head, head,
				    rondo_head_with_mode(rondo_head_bump(head),
							 RONDO_HEAD_REVOKING)))
				continue;
			rondo_add_relaxed(&ring->revocations, 1);
		}
		RONDO_TESTPOINT(RONDO_AT_REVOKING);
		result = fence(place);
		/* pairs(head) acquire: what sequences left, after the fence. */
		head = rondo_load_acquire(&ring->head);
		RONDO_TESTPOINT(RONDO_AT_FENCED);
		if (rondo_head_mode(head) != RONDO_HEAD_REVOKING)
			continue;
		/* pairs(head) release: no sequence is in flight any more. */
		(void)rondo_cas(&ring->head, head,
				rondo_head_with_mode(
					head, result < 0 ? RONDO_HEAD_RSEQ :
							   RONDO_HEAD_ATOMIC));
		if (result < 0)
			return result;
	}
	return -EPROTO;
}

bool rondo_ring_try_revoke(const struct rondo_place *place)
{
	bool done;

	if (!rondo_os_try_lock_word(&place->control->flush_lock))
		return false;
	done = revoke(place, MAX_ROUNDS_OF_RECORD) == 0;
	rondo_os_unlock_word(&place->control->flush_lock);
	return done;
}

static bool nothing_in(const struct rondo_map *map, uint64_t head)
{
	uint64_t position = rondo_head_position(head);

	return (position & (map->subbuf_bytes - 1)) <= RONDO_PACKET_BYTES;
}

/* How a closer moves the head. */
enum closing {
	CLOSE_BY_SWAP,	   /* it is ATOMIC, or nobody is left to move it */
	CLOSE_IN_SEQUENCE, /* from its own CPU: no fence, no revoking */
};

/*
 * One try to close what head is in: enum rondo_sequence_result. Nothing stays
 * open, so whoever comes next crosses, and reads its clock after the head. On
 * the ring's own CPU the sequence keeps its producers out, and the lock those
 * who are atomic, wherever they run: so may a thread of another process.
 */
static int close_open(const struct rondo_place *place, uint64_t head,
		      enum closing how)
{
	const struct rondo_map *map = &place->control->map;
	const unsigned bits = rondo_number_bits(map->order);
	uint64_t next = (rondo_head_number(head, map->order) + 1) &
			((UINT64_C(1) << bits) - 1);
	struct rondo_move move;
	uint64_t slot;
	int result;

	if (!rondo_ring_open(place, rondo_head_number(head, map->order), &slot))
		return RONDO_SEQ_CHANGED;
	rondo_move_begin(&move, place, head,
			 rondo_head_at(next << map->order,
				       (head & RONDO_GEN_MASK) |
					       (place->ring->atomic_only ?
							RONDO_HEAD_ATOMIC :
							RONDO_HEAD_RSEQ)));
	rondo_move_with_time(&move, NO_LIMIT);
	rondo_move_end(&move, place, rondo_slot_pages(slot), head);
	if (!place->control->clock_in_sequence) {
		move.sequence.time = rondo_clock_read(map->clock);
		move.sequence.clock = RONDO_SEQ_CLOCK_GIVEN;
	}
	RONDO_TESTPOINT(RONDO_AT_FLUSH);
	result = how == CLOSE_BY_SWAP ? move_by_swap(&move) :
					move_locked(&move);
	if (result != RONDO_SEQ_DONE)
		return result;
	rondo_store_list(&move.sequence);
	rondo_add_relaxed(&place->ring->flushes, 1);
	rondo_ring_closed(place, slot, head, RONDO_HEAD_NEVER);
	return RONDO_SEQ_DONE;
}

#define MAX_FLUSH_TRIES 8

/*
 * From the ring's own CPU, wherever this thread's process is. 1: closed;
 * 0: nothing was in it; -EAGAIN: not on that CPU, or too much going on.
 */
static int flush_here(const struct rondo_place *place)
{
	for (int tries = 0; tries < MAX_FLUSH_TRIES; tries++) {
		/* pairs(head) acquire: what is closed is what is seen. */
		uint64_t head = rondo_load_acquire(&place->ring->head);

		if (nothing_in(&place->control->map, head))
			return 0;
		if (rondo_head_mode(head) == RONDO_HEAD_REVOKING)
			return -EAGAIN;
		if (close_open(place, head, CLOSE_IN_SEQUENCE) ==
		    RONDO_SEQ_DONE)
			return 1;
	}
	return -EAGAIN;
}

void rondo_ring_answer(const struct rondo_place *place)
{
	rondo_store_relaxed(&place->ring->asked, 0);
	if (!place->ring->atomic_only)
		(void)flush_here(place);
}

#ifndef MAX_ASK_LOOKS /* tests that step through each look want fewer */
#define MAX_ASK_LOOKS 256
#define FIRST_LOOKS 6
#endif

static bool is_busy(const struct rondo_ring *ring, uint64_t head)
{
	for (int looks = 0; looks < FIRST_LOOKS; looks++) {
		rondo_pause();
		if (rondo_load_relaxed(&ring->head) != head)
			return true;
	}
	return false;
}

/* Whoever closed a sub-buffer delivers it next: for a moment, or as long as
 * records are open in it. Waits for the moment. */
static void await_delivery(const struct rondo_place *place, uint64_t number)
{
	uint64_t slot;

	for (int looks = 0; looks < MAX_ASK_LOOKS; looks++) {
		if (!rondo_ring_find(place, number, &slot))
			return;
		RONDO_TESTPOINT(RONDO_AT_AWAIT);
		rondo_pause();
	}
}

/*
 * A ring that is being written to is closed by its own CPU, at its next record:
 * to revoke it from here takes a fence, and another one each time that a
 * sequence in flight stores over the mark. The request is put where the slow
 * path sees it, and an older hint sends everybody there. True: the sub-buffer
 * that was open has been left.
 */
static bool ask_owner(const struct rondo_place *place)
{
	const unsigned order = place->control->map.order;
	struct rondo_ring *ring = place->ring;
	/* pairs(head) acquire: what is closed is what is seen. */
	uint64_t head = rondo_load_acquire(&ring->head);
	uint64_t number = rondo_head_number(head, order);
	bool left = false;

	if (rondo_head_mode(head) != RONDO_HEAD_RSEQ || !is_busy(ring, head))
		return false;
	for (int looks = 0; looks < MAX_ASK_LOOKS && !left; looks++) {
		if (rondo_head_mode(head) != RONDO_HEAD_RSEQ)
			break;
		rondo_store_relaxed(&ring->asked, 1);
		rondo_store_relaxed(&ring->hint,
				    rondo_hint(number - 1, order, 0));
		rondo_pause();
		/* pairs(head) acquire: as above. */
		head = rondo_load_acquire(&ring->head);
		left = rondo_head_number(head, order) != number;
	}
	rondo_store_relaxed(&ring->asked, 0);
	if (left)
		await_delivery(place, number);
	return left;
}

/* From anywhere, under the flush lock. */
static int flush_revoked(const struct rondo_place *place)
{
	for (int rounds = 0; rounds < MAX_ROUNDS; rounds++) {
		/* pairs(head) acquire: what is closed is what is seen. */
		uint64_t head = rondo_load_acquire(&place->ring->head);

		if (nothing_in(&place->control->map, head))
			return 0;
		if (rondo_head_mode(head) != RONDO_HEAD_ATOMIC) {
			int result = revoke(place, MAX_ROUNDS);

			if (result < 0)
				return result;
		} else if (close_open(place, head, CLOSE_BY_SWAP) ==
			   RONDO_SEQ_DONE) {
			return 1;
		}
	}
	return -EPROTO;
}

/* Nobody else moves this head: the process is dead, and so are its sequences,
 * revocations and gates. */
static int flush_dead(const struct rondo_place *place)
{
	/* pairs(head) acquire: what is closed is what is seen. */
	uint64_t head = rondo_load_acquire(&place->ring->head);

	if (nothing_in(&place->control->map, head))
		return 0;
	return close_open(place, head, CLOSE_BY_SWAP) == RONDO_SEQ_DONE ?
		       1 :
		       -EPROTO;
}

/*
 * Of another, living process, whose sequences no fence of ours reaches: goes
 * to the ring's CPU. Rings of concurrency ids have none to go to.
 */
static int flush_foreign(const struct rondo_place *place)
{
	/* pairs(head) acquire: as in flush_here. */
	uint64_t head = rondo_load_acquire(&place->ring->head);
	struct rondo_os_affinity before;
	int result;

	if (nothing_in(&place->control->map, head))
		return 0;
	if (place->ring->atomic_only)
		return close_open(place, head, CLOSE_BY_SWAP) ==
				       RONDO_SEQ_DONE ?
			       1 :
			       -EAGAIN;
	if (place->ring->cpu == UINT32_MAX || !place->control->by_id)
		return -EOPNOTSUPP;
	result = rondo_os_affinity(&before);
	if (result)
		return result;
	result = rondo_os_pin((int)place->ring->cpu);
	if (result == 0) {
		result = flush_here(place);
		(void)rondo_os_set_affinity(&before);
	}
	return result;
}

int rondo_ring_flush(struct rondo_control *control, uint32_t ring)
{
	struct rondo_place place = {
		control, rondo_map_ring(&control->map, ring), ring, ring};
	int result;

	/* pairs(head) acquire: an idle ring costs this load. */
	if (nothing_in(&control->map, rondo_load_acquire(&place.ring->head)))
		return 0;
	if (control->attached)
		return rondo_memory_creator_lives(&control->map) ?
			       flush_foreign(&place) :
			       flush_dead(&place);
	if (!place.ring->atomic_only &&
	    rondo_sequence_id(&control->handle->offsets) == ring) {
		result = flush_here(&place);
		if (result != -EAGAIN)
			return result;
	}
	rondo_os_lock_word(&control->flush_lock);
	result = ask_owner(&place) ? 1 : flush_revoked(&place);
	rondo_os_unlock_word(&control->flush_lock);
	return result;
}

/* ---- creation, numbers, checks ---- */

void rondo_ring_init(const struct rondo_control *control, uint32_t index)
{
	const struct rondo_map *map = &control->map;
	const unsigned bits = rondo_number_bits(map->order);
	const uint64_t mask = (UINT64_C(1) << bits) - 1;
	struct rondo_ring *ring = rondo_map_ring(map, index);
	bool extra = index == map->ring_count - 1;
	uint64_t first = map->count;

#ifdef RONDO_TESTPOINTS
	first += rondo_testpoint_start;
#endif
	ring->index = index;
	ring->cpu = extra || map->rings_by != RONDO_RINGS_BY_CPU ? UINT32_MAX :
								   index;
	ring->atomic_only = extra || control->reason != RONDO_MODE_RSEQ;
	ring->cursor = first & RONDO_NUMBER_MASK;
	/* The end of the sub-buffer before the first: matches no head. */
	ring->hint = rondo_hint((first - 1) & mask, map->order, 0);
	ring->limit = 0;
	for (uint32_t k = 0; k < map->count; k++) {
		uint64_t number = first - map->count + k;

		rondo_store_relaxed(
			rondo_map_slot(map, index, number),
			rondo_slot((uint32_t)(number & (map->count - 1)),
				   RONDO_SLOT_EMPTY, number));
	}
	for (uint32_t k = 0; k < rondo_map_page_sets(map); k++)
		rondo_store_relaxed(rondo_map_state(map, index, k),
				    k < map->count ? RONDO_PAGES_IN_SLOT :
						     RONDO_PAGES_SPARE);
	rondo_store_relaxed(&ring->head,
			    rondo_head_at((first & mask) << map->order,
					  ring->atomic_only ?
						  RONDO_HEAD_ATOMIC :
						  RONDO_HEAD_RSEQ));
}

uint64_t rondo_ring_ready(const struct rondo_ring *ring)
{
	/* Delivered is read first: what is taken, or overwritten, meanwhile may
	 * be more than that. */
	int64_t ready = (int64_t)rondo_ring_total(ring, RONDO_COUNT_DELIVERED);

	ready -= (int64_t)rondo_ring_total(ring, RONDO_COUNT_OVERWRITTEN);
	ready -= (int64_t)rondo_load_relaxed(&ring->taken);
	return ready > 0 ? (uint64_t)ready : 0;
}

uint64_t rondo_rings_ready(const struct rondo_map *map)
{
	uint64_t ready = 0;

	for (uint32_t i = 0; i < map->ring_count; i++)
		ready += rondo_ring_ready(rondo_map_ring(map, i));
	return ready;
}

static uint32_t reason_of(const struct rondo_control *control, uint32_t index,
			  uint64_t head)
{
	if (control->reason != RONDO_MODE_RSEQ)
		return control->reason;
	if (index == control->map.ring_count - 1)
		return RONDO_MODE_EXTRA_RING;
	return rondo_head_mode(head) == RONDO_HEAD_RSEQ ? RONDO_MODE_RSEQ :
							  RONDO_MODE_REVOKED;
}

void rondo_ring_read_stats(const struct rondo_control *control, uint32_t index,
			   struct rondo_stats *out)
{
	const struct rondo_map *map = &control->map;
	const struct rondo_ring *ring = rondo_map_ring(map, index);
	uint64_t head = rondo_load_relaxed(&ring->head);

	memset(out, 0, sizeof(*out));
	out->rings = 1;
	out->granted = control->granted;
	out->mode = rondo_head_mode(head);
	out->reason = reason_of(control, index, head);
	for (unsigned cause = 0; cause < RONDO_CAUSES; cause++)
		rondo_ring_counted(ring, cause, &out->refused_records[cause],
				   &out->refused_bytes[cause]);
	out->discarded = rondo_load_relaxed(&ring->discarded);
	out->squashed = rondo_load_relaxed(&ring->squashed);
	rondo_ring_counted(ring, RONDO_COUNT_OVERWRITTEN, &out->overwritten,
			   &out->overwritten_bytes);
	out->delivered = rondo_ring_total(ring, RONDO_COUNT_DELIVERED);
	out->passed_over = rondo_load_relaxed(&ring->passed_over);
	out->flushes = rondo_load_relaxed(&ring->flushes);
	out->aborts = rondo_load_relaxed(&ring->aborts);
	out->late_commits = rondo_load_relaxed(&ring->late_commits);
	out->revocations = rondo_load_relaxed(&ring->revocations);
	out->taken = rondo_load_relaxed(&ring->taken);
	out->quarantined = rondo_load_relaxed(&ring->quarantined);
	out->abandoned = rondo_load_relaxed(&ring->abandoned);
	out->open_bytes = rondo_position_exact(rondo_head_position(head)) &
			  (map->subbuf_bytes - 1);
	/* Below it: nothing is open, or the head makes no sense. */
	out->open_bytes = out->open_bytes > RONDO_PACKET_BYTES ?
				  out->open_bytes - RONDO_PACKET_BYTES :
				  0;
}

static bool each_page_set_once(const struct rondo_map *map, uint32_t index)
{
	uint32_t in_slots = 0;

	for (uint32_t pages = 0; pages < rondo_map_page_sets(map); pages++) {
		uint32_t uses = 0;

		for (uint32_t k = 0; k < map->count; k++)
			if (rondo_slot_pages(rondo_load_relaxed(
				    rondo_map_slot(map, index, k))) == pages)
				uses++;
		if (uses > 1)
			return false;
		in_slots += uses;
	}
	return in_slots == map->count;
}

int rondo_ring_check(const struct rondo_control *control, uint32_t index,
		     const char **out_why)
{
	const struct rondo_map *map = &control->map;
	const unsigned bits = rondo_number_bits(map->order);
	struct rondo_ring *ring = rondo_map_ring(map, index);
	uint64_t head = rondo_load_relaxed(&ring->head);
	uint64_t number = rondo_head_number(head, map->order);

	*out_why = "";
	if (!each_page_set_once(map, index))
		*out_why = "I-pages: a page set is in no slot or in two";
	for (uint32_t pages = 0; pages < rondo_map_page_sets(map); pages++)
		if (rondo_load_relaxed(rondo_map_late(map, index, pages)))
			*out_why = "I-once: a late counter is not 0";
	for (uint32_t k = 0; k < map->count; k++) {
		uint64_t slot =
			rondo_load_relaxed(rondo_map_slot(map, index, k));

		if ((slot & (map->count - 1)) != k)
			*out_why = "I-pages: a number is in a foreign slot";
		if (rondo_slot_state(slot) == RONDO_SLOT_OPEN &&
		    rondo_number_distance(rondo_slot_number(slot), number,
					  bits) != 0)
			*out_why = "I-once: closed, complete, not delivered";
	}
	if (rondo_head_mode(head) == RONDO_HEAD_REVOKING)
		*out_why = "I-progress: a revocation is left unfinished";
	if (rondo_load_relaxed(&ring->asked))
		*out_why = "I-progress: a request to close is left standing";
	if (rondo_head_pending(head))
		*out_why = "I-count: records are open on a quiet ring";
	return **out_why ? -EPROTO : 0;
}
