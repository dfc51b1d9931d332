/* SPDX-License-Identifier: MIT */
/*
 * The record path behind the exits of the fast one: reserve in any mode,
 * crossings, commits off the head, backward moves; and the exported twins of
 * what the header inlines. Context: any. Stack: one struct rondo_move, about
 * 1 KiB, and not two at a time; tests/record_path/stack checks.
 */
#define RONDO_INLINE RONDO_API
#define RONDO_IN_LIBRARY 1

#include <rondo/producer.h>

#include "clock.h"
#include "os.h"
#include "ring.h"
#include "testpoint.h"

#define MAX_ABORTS 8
#define MAX_BACK_TRIES 16

/* What reserve was asked for. */
struct request {
	struct rondo_channel *channel;
	uint32_t bytes;
	uint32_t align;
	uint16_t event_id;
};

/* Where a record goes, in bytes from the start of its sub-buffer. */
struct room {
	uint64_t gap;	 /* first byte of the gap before it */
	uint64_t header; /* of the record */
	uint64_t payload;
	uint64_t end; /* exact */
};

static struct room room_at(const struct rondo_map *map,
			   const struct request *request, uint64_t end)
{
	struct room room;
	uint64_t step = map->header_bytes;
	uint64_t align = request->align > step ? request->align : step;

	room.gap = rondo_align(end, step);
	room.payload = rondo_align(room.gap + step, align);
	room.header = room.payload - step;
	room.end = room.payload + request->bytes;
	return room;
}

/* What lies between a payload's last byte and where the next header may start
 * is zero, not what was there. */
static void zero_behind(const struct rondo_map *map, void *data, uint32_t bytes)
{
	uint64_t end = rondo_align(bytes, map->header_bytes);

	if (end > bytes)
		memset((char *)data + bytes, 0, end - bytes);
}

static bool room_fits(const struct rondo_map *map, const struct room *room)
{
	return rondo_align(room->end, 8) + RONDO_TAIL_BYTES <=
	       map->subbuf_bytes;
}

/* ---- which ring ---- */

static __attribute__((noinline, cold)) uint32_t
ring_of_thread(const struct rondo_control *control)
{
	int cpu = rondo_os_cpu_cheap();
	uint64_t mixed;

	if (cpu >= 0)
		return (uint32_t)cpu < control->gate ? (uint32_t)cpu :
						       control->gate;
	/* No way to ask without a system call: any ring is right, all of them
	 * are atomic, and threads should spread. */
	mixed = (rondo_thread_pointer() >> 8) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)((mixed >> 32) * control->gate >> 32);
}

static inline __attribute__((always_inline)) void
find_place(struct rondo_control *control, struct rondo_place *place)
{
	uint32_t id = UINT32_MAX;

	place->control = control;
#if RONDO_HAVE_RSEQ
	if (control->by_id)
		id = rondo_sequence_id(&control->handle->offsets);
#endif
	place->id = id;
	if (!control->by_id)
		place->index = ring_of_thread(control);
	else if (id < control->gate)
		place->index = id;
	else
		place->index = control->gate; /* the extra ring */
	place->ring = rondo_map_ring(&control->map, place->index);
}

static void place_of(struct rondo_control *control, uint32_t ring,
		     struct rondo_place *place)
{
	place->control = control;
	place->index = ring;
	place->id = ring;
	place->ring = rondo_map_ring(&control->map, ring);
}

/* ---- stores of a record ---- */

static uint64_t compact_open(const struct request *request)
{
	uint64_t id = request->event_id;
	uint64_t words = ((uint64_t)request->bytes + 7) / 8;

	return (0xff00 | (id & 0xff)) << 48 | words << 40;
}

/* The record, and the gap before it, in the page set at base. */
static struct rondo_store *put_record(struct rondo_store *end,
				      const struct rondo_map *map,
				      const struct request *request,
				      const struct room *room, char *base)
{
	char *header = base + room->header;

	if (room->header > room->gap)
		end = rondo_put_gap(end, map, base + room->gap,
				    room->header - room->gap);
	if (map->header_bytes == 8)
		return rondo_put_time(end, header, compact_open(request),
				      RONDO_COMPACT_TIME_MASK);
	end = rondo_put(end, header,
			(uint64_t)request->bytes << 32 |
				(uint64_t)RONDO_STATE_OPEN << 16 |
				request->event_id);
	return rondo_put_time(end, header + 8, 0, UINT64_MAX);
}

static void fill_handle(struct rondo_record *out, const struct rondo_place *at,
			const struct request *request, uint64_t head)
{
	bool swapped = rondo_head_mode(head) != RONDO_HEAD_RSEQ;

	/* The first try of commit stores plainly: never over a head that is
	 * atomic, and never for a header that it does not know. */
	if (swapped || at->control->map.header_bytes != 8)
		head = rondo_head_with_mode(head, RONDO_HEAD_NEVER);
	out->channel = request->channel;
	out->ring = at->ring;
	out->head = head;
	out->bytes = request->bytes;
	out->ring_id = at->index;
	out->event_id = request->event_id;
	out->reserved16_ = 0;
	out->reserved32_ = 0;
	out->reserved_[0] = out->reserved_[1] = 0;
}

/* ---- reserve in the sub-buffer that is open ---- */

static void heal_hint(const struct rondo_place *place, uint64_t number,
		      uint32_t pages)
{
	const struct rondo_map *map = &place->control->map;
	uint64_t hint =
		rondo_hint(number, map->order,
			   rondo_map_pages_index(map, place->index, pages));

	/* Whoever was late with an older one left it: a hint, no more. */
	if (rondo_load_relaxed(&place->ring->hint) != hint)
		rondo_store_relaxed(&place->ring->hint, hint);
}

/*
 * The fast path once more, for atomic mode: the same checks by the same hint,
 * then the clock, a swap, and the header after it.
 */
static __attribute__((noinline)) int
reserve_by_swap(const struct rondo_place *place, const struct request *request,
		uint64_t head, struct rondo_record *out)
{
	const struct rondo_map *map = &place->control->map;
	uint64_t hint = rondo_load_relaxed(&place->ring->hint);
	uint64_t base = head & ~RONDO_SLACK_MASK;
	uint64_t wanted =
		base + rondo_head_at(rondo_position_of_end(
					     8 + (uint64_t)request->bytes),
				     RONDO_PENDING_ONE);
	uint64_t time, room = (map->subbuf_bytes - 16) << RONDO_POSITION_SHIFT;
	char *header;

	if ((head & RONDO_PENDING_FULL) || hint - wanted >= room)
		return RONDO_SEQ_FAR;
	header = map->pages + ((hint & RONDO_HEAD_LOW) << map->order) +
		 (rondo_head_position(base) & (map->subbuf_bytes - 1));
	time = rondo_ticks_ordered();
	RONDO_TESTPOINT(RONDO_AT_RESERVE_CLOCK_READ);
	if (time > rondo_load_relaxed(&place->ring->limit))
		return RONDO_SEQ_FAR;
	/* pairs(head) acquire and release: as in rondo_move_head. */
	if (!rondo_cas(&place->ring->head, head, wanted))
		return RONDO_SEQ_CHANGED;
	RONDO_TESTPOINT(RONDO_AT_RESERVE_MOVED);
	rondo_store_relaxed((uint64_t *)(void *)header,
			    compact_open(request) |
				    (time & RONDO_COMPACT_TIME_MASK));
	out->data = header + 8;
	out->before = head;
	fill_handle(out, place, request, wanted);
	zero_behind(map, out->data, request->bytes);
	return RONDO_SEQ_DONE;
}

static inline bool has_room(const struct rondo_map *map,
			    const struct request *request, uint64_t head)
{
	uint64_t end = rondo_position_aligned(rondo_head_position(head)) &
		       (map->subbuf_bytes - 1);
	struct room room = room_at(map, request, end);

	return !(head & RONDO_PENDING_FULL) && room_fits(map, &room);
}

/* has_room says that it fits. */
static int reserve_here(const struct rondo_place *place,
			const struct request *request, uint64_t head,
			struct rondo_record *out)
{
	const struct rondo_map *map = &place->control->map;
	const uint64_t mask = map->subbuf_bytes - 1;
	uint64_t position = rondo_head_position(head);
	uint64_t number = rondo_head_number(head, map->order);
	struct room room =
		room_at(map, request, rondo_position_aligned(position) & mask);
	struct rondo_move move;
	uint64_t slot, wanted;
	char *base;
	int result;

	if (!rondo_ring_find(place, number, &slot))
		return RONDO_SEQ_CHANGED;
	heal_hint(place, number, rondo_slot_pages(slot));
	base = rondo_map_pages(map, place->index, rondo_slot_pages(slot));
	wanted = rondo_head_at((number << map->order) +
				       rondo_position_of_end(room.end),
			       (head & RONDO_HEAD_LOW) + RONDO_PENDING_ONE);
	rondo_move_begin(&move, place, head, wanted);
	rondo_move_with_time(&move, rondo_load_relaxed(&place->ring->limit));
	move.sequence.end = put_record(move.stores, map, request, &room, base);
	result = rondo_move_head(&move, place);
	if (result == RONDO_SEQ_DONE) {
		out->data = base + room.payload;
		out->before = head;
		fill_handle(out, place, request, move.sequence.wanted);
	}
	return result;
}

/* ---- crossing ---- */

struct target {
	uint64_t number; /* full */
	uint64_t slot;	 /* its word before the claim */
	uint32_t passed; /* slots of stalled writers on the way */
	enum rondo_cause cause;
};

/* Whether a slot's word lets distance (of the number wanted from its own) in:
 * 1 it does, 0 full, -1 a stalled writer holds it: try the next. */
static int slot_lets_in(const struct rondo_map *map, uint64_t slot,
			int64_t distance)
{
	switch (rondo_slot_state(slot)) {
	case RONDO_SLOT_OPEN:
		return -1;
	case RONDO_SLOT_CLAIMED:
		return distance >= 0;
	case RONDO_SLOT_EMPTY:
		return distance > 0;
	default:
		return distance > 0 && (map->flags & RONDO_OVERWRITE);
	}
}

/*
 * first: the number after the head's, or the head's own when nothing is open.
 * slots: not the one of the sub-buffer that is open, whose claim would look
 * like a dead one.
 */
static bool find_target(const struct rondo_place *place, uint64_t first,
			uint32_t slots, struct target *out)
{
	const struct rondo_map *map = &place->control->map;
	const unsigned bits = rondo_number_bits(map->order);

	for (uint32_t k = 0; k < slots; k++) {
		/* pairs(slot) acquire: taken, or complete, before it is ours */
		uint64_t slot = rondo_load_acquire(
			rondo_map_slot(map, place->index, first + k));
		int64_t distance = rondo_number_distance(
			first + k, rondo_slot_number(slot), bits);
		int lets_in = slot_lets_in(map, slot, distance);

		if (lets_in == 0) {
			out->cause = RONDO_REFUSED_FULL;
			return false;
		}
		if (lets_in > 0) {
			out->number =
				(rondo_slot_number(slot) + (uint64_t)distance) &
				RONDO_NUMBER_MASK;
			out->slot = slot;
			out->passed = k;
			return true;
		}
	}
	out->cause = RONDO_REFUSED_STALLED;
	return false;
}

static void count_overwritten(const struct rondo_place *place, uint64_t head,
			      uint64_t content)
{
	bool sound = content >= RONDO_PACKET_BYTES &&
		     content <= place->control->map.subbuf_bytes;

	rondo_ring_count(place, head, RONDO_COUNT_OVERWRITTEN,
			 sound ? content - RONDO_PACKET_BYTES : 0);
}

/*
 * How much a sub-buffer holds that is about to be overwritten. Who reads this
 * late, when it was taken already, reads what the consumer writes into its loan
 * and throws it away: the claim fails. Thread sanitizer cannot know that.
 */
static __attribute__((noinline, no_sanitize("thread"))) uint64_t
content_of(const struct rondo_packet *packet)
{
	return rondo_load_relaxed(&packet->content_bits) / 8;
}

static bool claim(const struct rondo_place *place, uint64_t head,
		  const struct target *target)
{
	const struct rondo_map *map = &place->control->map;
	uint64_t *at = rondo_map_slot(map, place->index, target->number);
	uint32_t pages = rondo_slot_pages(target->slot);
	uint64_t claimed =
		rondo_slot(pages, RONDO_SLOT_CLAIMED, target->number);
	bool overwrites = rondo_slot_state(target->slot) == RONDO_SLOT_READABLE;
	uint64_t content = 0;

	if (pages >= rondo_map_page_sets(map))
		return false;
	if (target->slot == claimed)
		return true;
	if (overwrites)
		content =
			content_of(rondo_map_packet(map, place->index, pages));
#ifdef RONDO_TESTPOINTS
	if (overwrites && rondo_testpoint_overwrite)
		rondo_testpoint_overwrite(map, place->index, target->slot);
#endif
	/* pairs(licence) acquire: the consumer's last look at what it gave us
	 * comes before our first store.
	 * pairs(slot) release: whoever finds it claimed finds the old use over.
	 */
	if (!rondo_cas(at, target->slot, claimed))
		return false;
	if (overwrites) {
		RONDO_TESTPOINT(RONDO_AT_OVERWRITE);
		count_overwritten(place, head, content);
	}
	return true;
}

/* The claim may be lost by now, and the packet a consumer's: as in content_of.
 */
static __attribute__((no_sanitize("thread"))) struct rondo_store *
put_opening(struct rondo_store *end, const struct rondo_place *place,
	    const struct target *target, uint64_t previous)
{
	const struct rondo_map *map = &place->control->map;
	const uint32_t pages = rondo_slot_pages(target->slot);
	struct rondo_packet *packet =
		rondo_map_packet(map, place->index, pages);

	for (unsigned i = 0; i < 3; i++)
		end = rondo_put_changed(end, (uint64_t *)(void *)packet + i,
					map->packet_start[i]);
	end = rondo_put_changed(end, PACKET_WORD(packet, stream_instance_id),
				place->index);
	end = rondo_put_time(end, PACKET_WORD(packet, timestamp_begin), 0,
			     UINT64_MAX);
	end = rondo_put_changed(end, PACKET_WORD(packet, cpu_id),
				place->ring->cpu);
	end = rondo_put(end, PACKET_WORD(packet, number), target->number);
	return rondo_put(end, PACKET_WORD(packet, previous), previous);
}

/*
 * After the head, never before it: an older hint or limit only sends the fast
 * path here, a newer one would let it write where the head is not.
 */
static void store_hint(const struct rondo_place *place, uint64_t number,
		       uint32_t pages, uint64_t time)
{
	const struct rondo_map *map = &place->control->map;
	uint64_t index = rondo_map_pages_index(map, place->index, pages);
	/* 40 bits of time, less what makes its high half a bound alone. */
	uint64_t limit = map->header_bytes == 8 ? time + (UINT64_C(1) << 40) -
							  (UINT64_C(1) << 33) :
						  UINT64_MAX;

	rondo_store_relaxed(&place->ring->limit, limit);
	rondo_store_relaxed(&place->ring->hint,
			    rondo_hint(number, map->order, index));
}

static unsigned mode_after(const struct rondo_place *place, uint64_t head)
{
	if (rondo_head_mode(head) == RONDO_HEAD_RSEQ ||
	    place->ring->atomic_only)
		return rondo_head_mode(head);
	return RONDO_HEAD_RSEQ;
}

/* A head that has a target, and what it leaves. */
struct crossing {
	struct target target;
	uint64_t head;
	uint64_t left; /* slot of what it leaves, 0: nothing is open */
	bool closes;
};

/*
 * The slot that the head leaves says OPEN before it does. In rseq mode nobody
 * but this CPU's crossings changes the slot that the head is in (taken over by
 * a flusher it is no longer that mode), so a store of the sequence will do.
 */
static void open_left(struct rondo_move *move, const struct rondo_place *place,
		      const struct crossing *crossing)
{
	const struct rondo_map *map = &place->control->map;
	const uint64_t slot = crossing->left;

	if (rondo_slot_state(slot) == RONDO_SLOT_CLAIMED)
		move->sequence.end = rondo_put(
			move->sequence.end,
			rondo_map_slot(map, place->index,
				       rondo_slot_number(slot)),
			rondo_slot(rondo_slot_pages(slot), RONDO_SLOT_OPEN,
				   rondo_slot_number(slot)));
}

/* What the head leaves: false, it has left already. */
static bool find_left(const struct rondo_place *place, uint64_t number,
		      struct crossing *crossing)
{
	if (rondo_head_mode(crossing->head) == RONDO_HEAD_RSEQ)
		return rondo_ring_find(place, number, &crossing->left);
	return rondo_ring_open(place, number, &crossing->left);
}

static int cross_to(const struct rondo_place *place,
		    const struct request *request,
		    const struct crossing *crossing, struct rondo_record *out)
{
	const struct rondo_map *map = &place->control->map;
	const uint64_t head = crossing->head;
	const uint64_t number =
		crossing->target.number &
		((UINT64_C(1) << rondo_number_bits(map->order)) - 1);
	struct room room = room_at(map, request, RONDO_PACKET_BYTES);
	char *base = rondo_map_pages(map, place->index,
				     rondo_slot_pages(crossing->target.slot));
	struct rondo_move move;
	int result;

	rondo_move_begin(&move, place, head,
			 rondo_head_at((number << map->order) +
					       rondo_position_of_end(room.end),
				       RONDO_PENDING_ONE |
					       mode_after(place, head)));
	rondo_move_with_time(&move, UINT64_MAX);
	/* Nothing open: the last to move the head may have been another CPU.
	 * Else it was this one, whose clock reads are in order. */
	if (!crossing->closes)
		move.sequence.clock = RONDO_SEQ_CLOCK_FENCED;
	if (crossing->closes) {
		open_left(&move, place, crossing);
		rondo_move_end(&move, place, rondo_slot_pages(crossing->left),
			       head);
	}
	move.sequence.end = put_record(
		put_opening(move.sequence.end, place, &crossing->target,
			    rondo_head_number(head, map->order)),
		map, request, &room, base);
	result = rondo_move_head(&move, place);
	if (result != RONDO_SEQ_DONE)
		return result;
	RONDO_TESTPOINT(RONDO_AT_CROSSED);
	store_hint(place, crossing->target.number,
		   rondo_slot_pages(crossing->target.slot), move.sequence.time);
	if (crossing->target.passed)
		rondo_add_relaxed(&place->ring->passed_over,
				  crossing->target.passed);
	if (crossing->closes)
		rondo_ring_closed(place, crossing->left, head,
				  move.sequence.wanted);
	out->data = base + room.payload;
	/* Where a squash leads: this sub-buffer, open and empty. */
	out->before =
		rondo_head_at((number << map->order) + RONDO_PACKET_BYTES, 0);
	fill_handle(out, place, request, move.sequence.wanted);
	return RONDO_SEQ_DONE;
}

/* enum rondo_sequence_result, or a negative errno: refused and counted. */
static int cross(const struct rondo_place *place, const struct request *request,
		 uint64_t head, struct rondo_record *out)
{
	const struct rondo_map *map = &place->control->map;
	uint64_t position = rondo_head_position(head);
	uint64_t number = rondo_head_number(head, map->order);
	struct crossing crossing = {.head = head};

	crossing.closes = (position & (map->subbuf_bytes - 1)) != 0;
	if (!find_target(place, number + crossing.closes,
			 map->count - crossing.closes, &crossing.target)) {
		enum rondo_cause cause = crossing.target.cause;

		if (!rondo_ring_refuse(place, head, cause, request->bytes))
			return RONDO_SEQ_CHANGED;
		return cause == RONDO_REFUSED_FULL ? -ENOBUFS : -EBUSY;
	}
	RONDO_TESTPOINT(RONDO_AT_TARGET_FOUND);
	if (!claim(place, head, &crossing.target))
		return RONDO_SEQ_CHANGED;
	RONDO_TESTPOINT(RONDO_AT_CLAIMED);
	if (crossing.closes && !find_left(place, number, &crossing))
		return RONDO_SEQ_CHANGED;
	return cross_to(place, request, &crossing, out);
}

/* ---- reserve ---- */

static int refuse_big(struct rondo_control *control,
		      const struct request *request)
{
	struct rondo_place place;

	find_place(control, &place);
	rondo_ring_count_aside(place.ring, RONDO_REFUSED_BIG, request->bytes);
	return -EMSGSIZE;
}

/* Aborts in a row, or a word that makes no sense twice: out of the sequences,
 * or out of the loop. 0: try again. */
static int give_way(const struct rondo_place *place,
		    const struct request *request, uint64_t head)
{
	if (rondo_head_mode(head) == RONDO_HEAD_RSEQ &&
	    rondo_ring_try_revoke(place))
		return 0;
	rondo_ring_count_aside(place->ring, RONDO_REFUSED_STALLED,
			       request->bytes);
	return -EBUSY;
}

static int reserve_once(const struct rondo_place *place,
			const struct request *request, uint64_t head,
			struct rondo_record *out)
{
	const uint64_t mask = place->control->map.subbuf_bytes - 1;
	int result = RONDO_SEQ_FAR;

	if (rondo_head_mode(head) == RONDO_HEAD_REVOKING) {
		rondo_ring_help(place, head);
		/* pairs(head) acquire: as in the caller. */
		return rondo_load_acquire(&place->ring->head) == head ?
			       RONDO_SEQ_ABORTED :
			       RONDO_SEQ_CHANGED;
	}
	if ((rondo_head_position(head) & mask) &&
	    has_room(&place->control->map, request, head))
		result = reserve_here(place, request, head, out);
	if (result == RONDO_SEQ_FAR)
		result = cross(place, request, head, out);
	return result;
}

/* Lock-free: a head that changed is another's success; aborts, and words that
 * make no sense, are bounded. */
static int reserve_in(struct rondo_control *control,
		      const struct request *request, struct rondo_record *out)
{
	struct rondo_place place;
	int aborts = 0, stuck = 0;

#ifdef RONDO_TESTPOINTS
	if (rondo_testpoint_aborts)
		aborts = rondo_testpoint_aborts();
#endif
	for (;;) {
		uint64_t head;
		int result;

		if (!rondo_load_relaxed(&control->running))
			return -ESHUTDOWN;
		find_place(control, &place);
		rondo_ring_answer_if_asked(&place);
		/* pairs(head) acquire: the head before all that hangs on it. */
		head = rondo_load_acquire(&place.ring->head);
		RONDO_TESTPOINT(RONDO_AT_RESERVE_HEAD_READ);
		if ((aborts >= MAX_ABORTS &&
		     rondo_head_mode(head) != RONDO_HEAD_ATOMIC) ||
		    stuck >= MAX_ABORTS) {
			result = give_way(&place, request, head);
			if (result)
				return result;
			aborts = stuck = 0;
			continue;
		}
		result = reserve_once(&place, request, head, out);
		if (result == RONDO_SEQ_DONE || result < 0)
			return result;
		if (result == RONDO_SEQ_ABORTED)
			aborts++;
		else if (rondo_load_relaxed(&place.ring->head) == head)
			stuck++;
		else
			stuck = 0;
	}
}

/* Everything, at leisure. */
static int reserve(const struct request *request, struct rondo_record *out)
{
	struct rondo_control *control = request->channel->control;
	const struct rondo_map *map = &control->map;
	int result;

	if (request->bytes > map->record_max ||
	    (request->align > 8 &&
	     !has_room(map, request, rondo_head_at(RONDO_PACKET_BYTES, 0))))
		return refuse_big(control, request);
	result = reserve_in(control, request, out);
	if (result == 0)
		zero_behind(map, out->data, request->bytes);
	return result;
}

static inline bool known_class(const struct rondo_channel *channel,
			       uint16_t event_id)
{
	return (uint32_t)(event_id - RONDO_ID_FIRST) <
	       rondo_load_relaxed(&channel->class_count);
}

static inline bool may_record(const struct rondo_channel *channel)
{
	const struct rondo_control *control = channel->control;

	return control && rondo_load_relaxed(&control->running);
}

int rondo_reserve_call(struct rondo_channel *channel, uint16_t event_id,
		       uint32_t bytes, struct rondo_record *out)
{
	const struct request request = {channel, bytes, 8, event_id};
	struct rondo_place place;

	if (rondo_unlikely(!may_record(channel)))
		return -ESHUTDOWN;
	if (rondo_unlikely(!known_class(channel, event_id)))
		return -EINVAL;
	if (rondo_likely(bytes <= channel->record_max &&
			 channel->control->quick)) {
		uint64_t head;

		find_place(channel->control, &place);
		/* pairs(head) acquire: the head before what hangs on it. */
		head = rondo_load_acquire(&place.ring->head);
		RONDO_TESTPOINT(RONDO_AT_RESERVE_HEAD_READ);
		if (rondo_head_mode(head) == RONDO_HEAD_ATOMIC &&
		    reserve_by_swap(&place, &request, head, out) ==
			    RONDO_SEQ_DONE)
			return 0;
	}
	return reserve(&request, out);
}

/*
 * The fast path found no room at head. Discard mode, and the slot that the
 * record's end is in not taken yet: the refusal that users meet by the million,
 * in a straight line. Whatever that slot's number is, a head that did not move
 * makes it right; the slot that such a head is in is not READABLE.
 */
static inline __attribute__((always_inline)) int
refuse_full(struct rondo_channel *channel, uint32_t bytes, uint64_t head,
	    uint32_t ring_id)
{
#if RONDO_HAVE_RSEQ
	char *page = channel->rings + ((uint64_t)ring_id << RONDO_RING_SHIFT);
	struct rondo_ring *ring = (struct rondo_ring *)(void *)page;
	uint64_t *slots = (uint64_t *)(void *)(page + channel->slots_offset);
	/* What needs room: the header, the payload up to a whole word, and the
	 * tail; its last word is where the sum of these, unrounded, ends. */
	uint64_t last = rondo_position_aligned(rondo_head_position(head)) + 8 +
			bytes + 7 + RONDO_TAIL_BYTES - 8;
	uint64_t number = last >> channel->order;

	RONDO_TESTPOINT(RONDO_AT_REFUSE);
	if (channel->slots_offset &&
	    /* pairs(slot) acquire: as in find_target. */
	    rondo_slot_state(
		    rondo_load_acquire(&slots[number & channel->slot_mask])) ==
		    RONDO_SLOT_READABLE &&
	    rondo_seq_count(ring, &channel->offsets, ring_id, head,
			    &ring->tally[RONDO_REFUSED_FULL],
			    bytes) == RONDO_SEQ_DONE)
		return -ENOBUFS;
#else
	(void)channel, (void)bytes, (void)head, (void)ring_id;
#endif
	return 1;
}

int rondo_refuse_full(struct rondo_channel *channel, uint32_t bytes,
		      uint64_t head, uint32_t ring_id)
{
	return refuse_full(channel, bytes, head, ring_id);
}

int rondo_reserve_full(struct rondo_channel *channel, uint16_t event_id,
		       uint32_t bytes, struct rondo_record *out, uint64_t head,
		       uint32_t ring_id)
{
	if (refuse_full(channel, bytes, head, ring_id) < 0)
		return -ENOBUFS;
	return rondo_reserve_call(channel, event_id, bytes, out);
}

int rondo_reserve_aligned(struct rondo_channel *channel, uint16_t event_id,
			  uint32_t bytes, uint32_t align,
			  struct rondo_record *out)
{
	struct request request = {channel, bytes, align, event_id};

	if (!may_record(channel))
		return -ESHUTDOWN;
	if (!known_class(channel, event_id) || align < 8 || align > 4096 ||
	    (align & (align - 1)))
		return -EINVAL;
	return reserve(&request, out);
}

/* ---- commit ---- */

static struct rondo_control *control_of(const struct rondo_channel *channel)
{
	struct rondo_control *control = channel->control;

	/* A fork's child has its parent's handle on its stack, perhaps, but
	 * no business in its parent's ring. */
	return control && !control->forked ? control : NULL;
}

static uint32_t pages_of(const struct rondo_map *map, uint32_t ring,
			 const void *data)
{
	uint64_t index = (uint64_t)((const char *)data - map->pages) >>
			 map->order;

	return (uint32_t)(index - (uint64_t)ring * rondo_map_page_sets(map));
}

/* Committed: the state says so from now on. id: the record's, or a gap's. */
static void store_state(const struct rondo_map *map, void *data, uint16_t id)
{
	if (map->header_bytes == 8) {
		/* pairs(committed) release: the payload before its state. */
		rondo_store_release((uint16_t *)data - 1, id);
		return;
	}
	rondo_store_relaxed((uint16_t *)data - 8, id);
	/* pairs(committed) release: the payload before its state. */
	rondo_store_release((uint16_t *)data - 7,
			    (uint16_t)RONDO_STATE_COMMITTED);
}

/*
 * Off the head: its share of pending stays there until the sub-buffer is
 * closed. That is also how a record that leaves a gap is committed: the closer
 * then puts an empty gap behind everything, and no content ends inside one.
 */
static void commit_late(const struct rondo_place *place, const void *data,
			uint64_t head)
{
	const struct rondo_map *map = &place->control->map;

	RONDO_TESTPOINT(RONDO_AT_COMMIT_LATE);
	rondo_add_relaxed(&place->ring->late_commits, 1);
	rondo_ring_late(place, pages_of(map, place->index, data),
			rondo_head_number(head, map->order), -1);
}

/* One less pending in the head, while it is in the sub-buffer of the record
 * that left the head at reserved. */
static bool commit_in_head(const struct rondo_place *place, uint64_t reserved)
{
	const unsigned order = place->control->map.order;
	/* pairs(head) acquire: the mode before what it allows. */
	uint64_t head = rondo_load_acquire(&place->ring->head);
	uint64_t wanted = head - RONDO_PENDING_ONE;

	if (rondo_head_number(head ^ reserved, order) ||
	    !rondo_head_pending(head))
		return false;
	if (rondo_head_mode(head) == RONDO_HEAD_ATOMIC)
		/* pairs(head) release: the record before its share. */
		return rondo_cas(&place->ring->head, head, wanted);
#if RONDO_HAVE_RSEQ
	if (rondo_head_mode(head) == RONDO_HEAD_RSEQ)
		return rondo_seq_commit(place->ring,
					&place->control->handle->offsets,
					place->id, head,
					wanted) == RONDO_SEQ_DONE;
#endif
	return false;
}

int rondo_commit_call(struct rondo_channel *channel, void *data, uint64_t head,
		      uint32_t ring_id, uint16_t event_id)
{
	struct rondo_control *control = control_of(channel);
	struct rondo_place place;

	if (!control)
		return 0;
	place_of(control, ring_id, &place);
	store_state(&control->map, data, event_id);
	RONDO_TESTPOINT(RONDO_AT_COMMIT);
	if (!commit_in_head(&place, head))
		commit_late(&place, data, head);
	return 0;
}

/* ---- backward moves ---- */

/* gen tells a thread that read the head and the clock before a backward move
 * that something moved. Where the clock is read outside of the sequence, a gen
 * that comes round would not. */
static bool gen_would_lie(const struct rondo_place *place, uint64_t head)
{
	return (head & RONDO_GEN_MASK) == RONDO_GEN_MASK &&
	       (rondo_head_mode(head) == RONDO_HEAD_ATOMIC ||
		!place->control->clock_in_sequence);
}

static bool elsewhere(const struct rondo_place *place)
{
	struct rondo_place here;

	find_place(place->control, &here);
	return here.index != place->index;
}

/* A head that shall go back. */
struct way_back {
	uint64_t from;	   /* the head that the record left */
	uint64_t position; /* where to */
	uint64_t pending;  /* how many less are open then */
};

/* enum rondo_sequence_result */
static int step_back(const struct rondo_place *place,
		     const struct way_back *way, uint64_t head)
{
	struct rondo_move move;

	rondo_move_begin(
		&move, place, head,
		rondo_head_at(way->position,
			      rondo_head_bump(head & RONDO_HEAD_LOW) -
				      way->pending * RONDO_PENDING_ONE));
	return rondo_move_head(&move, place);
}

/* Whether the record is still the last before this head: 0, -EBUSY, -ESTALE. */
static int may_go_back(const struct rondo_place *place,
		       const struct way_back *way, uint64_t head)
{
	const unsigned order = place->control->map.order;

	if (rondo_head_number(head ^ way->from, order))
		return -ESTALE;
	if (rondo_head_position(head) != rondo_head_position(way->from) ||
	    rondo_head_pending(head) < way->pending ||
	    gen_would_lie(place, head))
		return -EBUSY;
	return 0;
}

/* 0, -EBUSY, -ESTALE, -EXDEV. */
static int move_back(const struct rondo_place *place,
		     const struct way_back *way)
{
	for (int tries = 0; tries < MAX_BACK_TRIES; tries++) {
		/* pairs(head) acquire: the mode before what it allows. */
		uint64_t head = rondo_load_acquire(&place->ring->head);
		int result;

		RONDO_TESTPOINT(RONDO_AT_BACK);
		result = may_go_back(place, way, head);
		if (result)
			return result;
		if (rondo_head_mode(head) == RONDO_HEAD_REVOKING) {
			rondo_ring_help(place, head);
			continue;
		}
		result = step_back(place, way, head);
		if (result == RONDO_SEQ_DONE) {
			/* pairs(head) release: the move before what is written
			 * next where the record was; a peek that copied that
			 * finds the head moved. */
			rondo_fence_release();
			return 0;
		}
		if (result == RONDO_SEQ_ABORTED && elsewhere(place))
			return -EXDEV;
	}
	return -EBUSY;
}

int rondo_discard(struct rondo_record *record)
{
	struct rondo_control *control = control_of(record->channel);
	const struct way_back way = {record->head,
				     rondo_head_position(record->before), 1};
	struct rondo_place place;
	uint64_t room;

	if (!control)
		return 0;
	place_of(control, record->ring_id, &place);
	rondo_add_relaxed(&place.ring->discarded, 1);
	if (move_back(&place, &way) == 0)
		return 0;
	room = rondo_align(record->bytes, 8);
	if (room) {
		rondo_store_relaxed((uint64_t *)record->data, room - 4);
		store_state(&control->map, record->data, RONDO_ID_DISCARDED);
	} else {
		store_state(&control->map, record->data, RONDO_ID_GAP);
	}
	commit_late(&place, record->data, record->head);
	return 0;
}

/* The record's header says used bytes; what it gives up becomes a gap. */
static void shrink_in_place(const struct rondo_map *map,
			    const struct rondo_record *record, uint32_t used)
{
	const uint32_t header = map->header_bytes;
	char *data = (char *)record->data;
	uint64_t old_end = rondo_align(record->bytes, header);
	uint64_t new_end = rondo_align(used, header);
	uint64_t *word = (uint64_t *)(void *)(data - header);
	uint64_t time = header == 8 ? rondo_load_relaxed(&word[0]) &
					      RONDO_COMPACT_TIME_MASK :
				      rondo_load_relaxed(&word[1]);

	if (old_end > new_end)
		rondo_gap_write(data + new_end, old_end - new_end, header,
				time);
	zero_behind(map, data, used);
	if (header == 8)
		/* pairs(committed) release: the gap before what leads to it. */
		rondo_store_release((uint8_t *)data - 3,
				    (uint8_t)((used + 7) / 8));
	else
		/* pairs(committed) release: the gap before what leads to it. */
		rondo_store_release((uint32_t *)(void *)(data - 12), used);
}

int rondo_commit_len(struct rondo_record *record, uint32_t used)
{
	struct rondo_control *control = control_of(record->channel);
	struct way_back way = {.from = record->head, .pending = 1};
	struct rondo_place place;
	uint64_t start;

	if (used > record->bytes)
		return -EINVAL;
	/* Also a shortcut: there is nothing to give back. */
	if (used == record->bytes || !control)
		return rondo_commit(record);
	place_of(control, record->ring_id, &place);
	shrink_in_place(&control->map, record, used);
	store_state(&control->map, record->data, record->event_id);
	start = rondo_position_exact(rondo_head_position(record->head)) -
		record->bytes;
	way.position = rondo_position_of_end(start + used);
	if (move_back(&place, &way) == 0) {
		/* A later squash looks for the end that it has now. */
		record->head = rondo_head_at(way.position, RONDO_HEAD_NEVER);
		record->bytes = used;
		return 0;
	}
	commit_late(&place, record->data, record->head);
	return 0;
}

int rondo_squash(struct rondo_channel *channel, struct rondo_mark mark)
{
	struct rondo_control *control = control_of(channel);
	const struct way_back way = {mark.head,
				     rondo_head_position(mark.before), 0};
	struct rondo_place place;
	int result;

	if (!control)
		return -ESHUTDOWN;
	if (mark.ring >= control->map.ring_count)
		return -EBUSY;
	place_of(control, mark.ring, &place);
	result = move_back(&place, &way);
	if (result == 0)
		rondo_add_relaxed(&place.ring->squashed, 1);
	return result;
}
