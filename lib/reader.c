/* SPDX-License-Identifier: MIT */
/*
 * Reading one ring. It owns the page sets that are in no slot, the consumer's
 * words of the ring and the states table. It may assume that it is alone and
 * that a slot's page set changes by its own hand only; whatever else it reads
 * from the channel's memory is copied, then checked, then used.
 *
 * Quarantine works in place: when a sub-buffer has been closed for stall_ms and
 * still has open records, what is committed in it is copied and shipped, and
 * its page set stays in its slot, marked, until its last writer delivers it.
 * Producers pass over such a slot, so it costs one sub-buffer of room and no
 * spare. Its pages are never handed on before that delivery: a closer that is
 * stopped just before its late add has left no sign of how many it will add.
 */
#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "os.h"
#include "ring.h"
#include "testpoint.h"
#include "walk.h"

#define LOST_RACE 1 /* a producer was first: look again */
#define MAX_TAKE_TRIES 16
#define MAX_PEEK_TRIES 8
#define NS_IN_MS INT64_C(1000000)
/* Clocks of CPUs may differ, by much less than this many ticks. */
#define CLOCK_SLACK (UINT64_C(1) << 24)

static int64_t ahead(uint64_t number, uint64_t of)
{
	return rondo_number_distance(number, of, RONDO_NUMBER_BITS);
}

static uint64_t load_slot(const struct rondo_reader *reader, uint64_t number)
{
	/* pairs(delivered) acquire: the state before what the pages hold. */
	return rondo_load_acquire(
		rondo_map_slot(reader->map, reader->index, number));
}

static bool slot_says(uint64_t slot, unsigned state, uint64_t number)
{
	return rondo_slot_state(slot) == state &&
	       rondo_slot_number(slot) == number;
}

static void set_state(const struct rondo_reader *reader, uint32_t pages,
		      uint64_t state)
{
	rondo_store_relaxed(rondo_map_state(reader->map, reader->index, pages),
			    state);
}

static uint64_t state_with(enum rondo_pages_state state, uint64_t number)
{
	return (uint64_t)state | number << 8;
}

/* Whether the sub-buffer of a slot was copied out by quarantine. */
static bool is_quarantined(const struct rondo_reader *reader, uint64_t slot)
{
	for (uint32_t i = 0; i < reader->quarantined; i++)
		if (reader->quarantine[i].number == rondo_slot_number(slot))
			return true;
	return false;
}

static void remember(struct rondo_reader *reader, uint64_t number,
		     uint32_t pages, uint64_t told)
{
	reader->quarantine[reader->quarantined++] = (struct rondo_quarantined){
		.number = number, .pages = pages, .told = (uint32_t)told};
}

/* The same, as the states table has it for the next consumer. */
static bool was_quarantined(const struct rondo_reader *reader, uint64_t slot)
{
	return rondo_load_relaxed(rondo_map_state(reader->map, reader->index,
						  rondo_slot_pages(slot))) ==
	       state_with(RONDO_PAGES_QUARANTINED, rondo_slot_number(slot));
}

/* The consumer alone writes these: no add is needed. */
static void count(uint64_t *word, uint64_t more)
{
	rondo_store_relaxed(word, rondo_load_relaxed(word) + more);
}

/* All before number was dealt with. */
static void move_cursor(struct rondo_reader *reader, uint64_t number)
{
	number &= RONDO_NUMBER_MASK;
	if (ahead(number, reader->cursor) <= 0)
		return;
	reader->cursor = number;
	rondo_store_relaxed(&reader->ring->cursor, number);
}

/* ---- opening, closing ---- */

/* Overwritten sub-buffers that the numbers shipped so far account for: those
 * numbers count them, and what was taken in turn. */
static uint64_t overwritten_so_far(const struct rondo_ring *ring)
{
	uint64_t late = rondo_load_relaxed(&ring->shipped_late) -
			rondo_load_relaxed(&ring->quarantined);

	return rondo_load_relaxed(&ring->shipped) -
	       (rondo_load_relaxed(&ring->taken) - late);
}

int rondo_reader_adopt(struct rondo_reader *reader, uint32_t index, bool *used)
{
	const struct rondo_map *map = reader->map;
	uint32_t spares = 0;

	reader->index = index;
	reader->ring = rondo_map_ring(map, index);
	reader->deadline = RONDO_NEVER;
	reader->cursor = rondo_load_relaxed(&reader->ring->cursor) &
			 RONDO_NUMBER_MASK;
	reader->overwritten = overwritten_so_far(reader->ring);
	memset(used, 0, rondo_map_page_sets(map) * sizeof(*used));
	for (uint32_t k = 0; k < map->count; k++) {
		uint64_t slot = load_slot(reader, k);
		uint32_t pages = rondo_slot_pages(slot);

		if (pages >= rondo_map_page_sets(map) || used[pages])
			return -EPROTO;
		used[pages] = true;
		if (was_quarantined(reader, slot))
			remember(reader, rondo_slot_number(slot), pages,
				 UINT32_MAX);
		else
			set_state(reader, pages, RONDO_PAGES_IN_SLOT);
	}
	for (uint32_t pages = 0; pages < rondo_map_page_sets(map); pages++) {
		if (used[pages])
			continue;
		set_state(reader, pages, RONDO_PAGES_SPARE);
		reader->loans[spares++] = (struct rondo_loan){.pages = pages};
	}
	return 0;
}

void rondo_reader_close(struct rondo_reader *reader, bool abandon)
{
	free(reader->copy);
	reader->copy = NULL;
	for (uint32_t i = 0; !abandon && i < reader->map->spares; i++)
		set_state(reader, reader->loans[i].pages, RONDO_PAGES_SPARE);
}

/* ---- packets ---- */

/* A packet on its way to a view. The rest of its header is set by ship. */
struct parcel {
	struct rondo_packet packet;
	char *data;
	uint64_t content; /* bytes */
	uint64_t number;
	uint64_t offset; /* in the memfd, or UINT64_MAX */
	uint32_t pages;
	uint32_t flags; /* RONDO_VIEW_* */
};

static void load_packet(const char *from, struct rondo_packet *out)
{
	uint64_t words[sizeof(*out) / 8];
	const void *at = from;

	for (unsigned i = 0; i < sizeof(*out) / 8; i++)
		words[i] = rondo_load_relaxed((const uint64_t *)at + i);
	memcpy(out, words, sizeof(*out));
}

static void store_packet(char *to, const struct rondo_packet *packet)
{
	uint64_t words[sizeof(*packet) / 8];
	void *at = to;

	memcpy(words, packet, sizeof(*packet));
	for (unsigned i = 0; i < sizeof(*packet) / 8; i++)
		rondo_store_relaxed((uint64_t *)at + i, words[i]);
}

/* What the closer writes makes sense together. */
static bool end_is_sound(const struct rondo_map *map,
			 const struct rondo_packet *packet)
{
	uint64_t content = packet->content_bits / 8;

	return packet->content_bits % 8 == 0 && content >= RONDO_PACKET_BYTES &&
	       content <= map->subbuf_bytes &&
	       packet->packet_bits == rondo_align(content, 4096) * 8 &&
	       packet->timestamp_end >= packet->timestamp_begin;
}

/* ... and what the opener writes belongs to this sub-buffer. */
static bool begin_is_sound(const struct rondo_map *map,
			   const struct rondo_reader *reader,
			   const struct rondo_packet *packet, uint64_t number)
{
	return packet->magic == RONDO_PACKET_MAGIC &&
	       memcmp(packet->uuid, map->uuid, sizeof(map->uuid)) == 0 &&
	       packet->stream_instance_id == reader->index &&
	       (packet->number & RONDO_NUMBER_MASK) == number;
}

/* A time that no record is later than; where clocks were reset there is none */
static uint64_t time_limit(const struct rondo_map *map, uint64_t begin)
{
	uint64_t now = rondo_clock_read(map->clock);

	return now >= begin ? now + CLOCK_SLACK : UINT64_MAX;
}

/* Where the closer has not said it: as of now. */
static void set_refused(const struct rondo_reader *reader,
			struct rondo_packet *packet)
{
	rondo_ring_refused(reader->ring, packet->refused);
	packet->events_discarded = 0;
	for (unsigned i = 0; i < RONDO_CAUSES; i++)
		packet->events_discarded += packet->refused[i];
}

/*
 * Completes and writes the packet's header, from what is known rather than from
 * what stands there, clears what the last page has behind the content, and
 * fills the view.
 */
static void ship(const struct rondo_reader *reader, struct parcel *parcel,
		 struct rondo_view *out)
{
	const struct rondo_map *map = reader->map;
	struct rondo_packet *packet = &parcel->packet;
	const bool late = parcel->flags & RONDO_VIEW_LATE;
	const uint64_t bytes = rondo_align(parcel->content, 4096);

	packet->magic = RONDO_PACKET_MAGIC;
	memcpy(packet->uuid, map->uuid, sizeof(map->uuid));
	packet->stream_id = 0;
	packet->stream_instance_id =
		reader->index + (late ? (uint64_t)map->ring_count : 0);
	packet->content_bits = parcel->content * 8;
	packet->packet_bits = bytes * 8;
	packet->cpu_id = rondo_load_relaxed(&reader->ring->cpu);
	packet->flags = parcel->flags;
	packet->number = parcel->number;
	/* The main stream tells the ring's losses; nothing is lost twice. */
	if (late)
		packet->events_discarded = 0;
	store_packet(parcel->data, packet);
	memset(parcel->data + parcel->content, 0, bytes - parcel->content);

	out->data = parcel->data;
	out->bytes = bytes;
	out->content = parcel->content;
	out->ring = reader->index;
	out->cpu = packet->cpu_id;
	out->seq = packet->packet_seq_num;
	out->number = parcel->number;
	out->time_begin = packet->timestamp_begin;
	out->time_end = packet->timestamp_end;
	memcpy(out->lost, packet->refused, sizeof(out->lost));
	out->offset = parcel->offset;
	out->flags = parcel->flags;
	out->pages = parcel->pages;
	out->header_bytes_ = map->header_bytes;
}

/*
 * A header that makes no sense, in pages that are ours: the records say what
 * they can. Nothing is shipped that could make a reader loop.
 */
static void repair(const struct rondo_reader *reader, struct parcel *parcel)
{
	const struct rondo_map *map = reader->map;
	struct rondo_packet *packet = &parcel->packet;
	struct rondo_found found, last = {.next = 0};
	struct rondo_walk walk;

	parcel->flags |= RONDO_VIEW_DAMAGED;
	if (packet->timestamp_begin < reader->last_end ||
	    packet->timestamp_begin > time_limit(map, reader->last_end))
		packet->timestamp_begin = reader->last_end;
	rondo_walk_begin(&walk, parcel->data, map->subbuf_bytes,
			 map->header_bytes, packet->timestamp_begin);
	walk.end_time = time_limit(map, packet->timestamp_begin);
	while (rondo_walk_next(&walk, &found) > 0 && !walk.skipped)
		last = found;
	parcel->content = rondo_walk_seal(parcel->data, map->subbuf_bytes,
					  map->header_bytes, &last);
	packet->timestamp_end = last.next ? last.time : packet->timestamp_begin;
}

/* ---- what is there to take ---- */

static bool is_open_for(const struct rondo_map *map, uint64_t slot,
			uint64_t head)
{
	unsigned state = rondo_slot_state(slot);

	return (state == RONDO_SLOT_CLAIMED || state == RONDO_SLOT_OPEN) &&
	       rondo_slot_pages(slot) < rondo_map_page_sets(map) &&
	       rondo_number_distance(rondo_slot_number(slot),
				     rondo_head_number(head, map->order),
				     rondo_number_bits(map->order)) == 0;
}

/* The number in slot k belongs there. */
static bool is_at_home(const struct rondo_map *map, uint64_t slot, uint32_t k)
{
	return (slot & (map->count - 1)) == k;
}

/* The head's number in full. Slots keep full numbers, and the newest of them is
 * near the head, however long nobody has taken anything. */
static uint64_t number_of_head(const struct rondo_reader *reader, uint64_t head)
{
	const struct rondo_map *map = reader->map;
	uint64_t newest = reader->cursor;
	bool known = false;

	for (uint32_t k = 0; k < map->count; k++) {
		uint64_t slot = load_slot(reader, k);
		uint64_t number = rondo_slot_number(slot);

		if (!is_at_home(map, slot, k) ||
		    (known && ahead(number, newest) <= 0))
			continue;
		newest = number;
		known = true;
	}
	return rondo_number_extend(rondo_head_number(head, map->order), newest,
				   rondo_number_bits(map->order));
}

/* The head is at the cursor, and all before that was dealt with. */
static bool is_idle(const struct rondo_reader *reader, uint64_t head)
{
	const struct rondo_map *map = reader->map;
	uint64_t slot = load_slot(reader, reader->cursor);

	return reader->settled &&
	       rondo_slot_state(slot) != RONDO_SLOT_READABLE &&
	       rondo_number_extend(rondo_head_number(head, map->order),
				   rondo_slot_number(slot),
				   rondo_number_bits(map->order)) ==
		       reader->cursor;
}

/* Records committed in a page set that was delivered. Who claims it meanwhile
 * makes this a number that nobody looks at. */
static uint64_t records_in(const struct rondo_reader *reader, uint32_t pages)
{
	const struct rondo_map *map = reader->map;
	const char *data = rondo_map_pages(map, reader->index, pages);
	struct rondo_packet packet;
	struct rondo_found found;
	struct rondo_walk walk;
	uint64_t records = 0;

	load_packet(data, &packet);
	if (!end_is_sound(map, &packet))
		return 0;
	rondo_walk_begin(&walk, data, rondo_align(packet.content_bits / 8, 8),
			 map->header_bytes, packet.timestamp_begin);
	walk.end_time = packet.timestamp_end;
	while (rondo_walk_next(&walk, &found) > 0)
		records += !found.gap && !found.open;
	return records;
}

/*
 * A marked page set whose writers are done is like any other again: taken, or,
 * if it was overwritten by now, no loss, having been shipped before. In atomic
 * mode the copy may have lacked the header of a record whose writer was stopped
 * before it: then more was committed than was told of.
 */
static void end_quarantine(struct rondo_reader *reader,
			   const struct rondo_quarantined *one, uint64_t slot)
{
	uint64_t *at = rondo_map_slot(reader->map, reader->index, one->number);
	uint64_t empty = rondo_slot(one->pages, RONDO_SLOT_EMPTY, one->number);
	uint64_t records = records_in(reader, one->pages);

	if (!slot_says(slot, RONDO_SLOT_READABLE, one->number) ||
	    /* pairs(licence) release: our copy came before what is written. */
	    !rondo_cas(at, slot, empty)) {
		reader->overwritten++;
	} else {
		count(&reader->ring->taken, 1);
		if (records > one->told)
			count(&reader->ring->abandoned, records - one->told);
	}
	set_state(reader, one->pages, RONDO_PAGES_IN_SLOT);
}

/* Before each take: one load for each that stalls. */
static void end_quarantines(struct rondo_reader *reader)
{
	for (uint32_t i = reader->quarantined; i > 0; i--) {
		struct rondo_quarantined one = reader->quarantine[i - 1];
		uint64_t slot = load_slot(reader, one.number);

		if (slot_says(slot, RONDO_SLOT_OPEN, one.number))
			continue;
		reader->quarantine[i - 1] =
			reader->quarantine[--reader->quarantined];
		end_quarantine(reader, &one, slot);
	}
}

/* beyond: the number that the head is in. */
static void look_at_slot(const struct rondo_reader *reader, uint64_t beyond,
			 uint64_t slot, struct rondo_survey *out)
{
	const unsigned state = rondo_slot_state(slot);
	const uint64_t number = rondo_slot_number(slot);

	if ((state != RONDO_SLOT_READABLE && state != RONDO_SLOT_OPEN) ||
	    rondo_slot_pages(slot) >= rondo_map_page_sets(reader->map) ||
	    is_quarantined(reader, slot))
		return;
	if (state == RONDO_SLOT_READABLE) {
		out->readable++;
		out->unfinished = true;
	}
	if (ahead(number, beyond) >= 0)
		return;
	if (state == RONDO_SLOT_OPEN) {
		if (!out->stalled || ahead(number, out->stalled_newest) > 0)
			out->stalled_newest = number;
		if (!out->stalled || ahead(number, out->stalled_oldest) < 0)
			out->stalled_oldest = number;
		out->stalled = out->unfinished = true;
	}
	if (!out->oldest || ahead(number, rondo_slot_number(out->oldest)) < 0)
		out->oldest = slot;
}

/* Those that stall get their stall_ms from when they are first seen. */
static void note_stalls(struct rondo_reader *reader,
			const struct rondo_survey *survey)
{
	if (!survey->stalled) {
		reader->deadline = RONDO_NEVER;
		return;
	}
	if (reader->deadline != RONDO_NEVER &&
	    ahead(survey->stalled_oldest, reader->stalled_newest) <= 0)
		return;
	reader->deadline =
		rondo_os_monotonic_ns() + reader->map->stall_ms * NS_IN_MS;
	reader->stalled_newest = survey->stalled_newest;
}

/* Something is recorded where the head is. A head that stays in a sub-buffer
 * that its slot does not have is damage: nothing will ever come of it. */
static bool is_unfinished(const struct rondo_reader *reader, uint64_t head)
{
	const struct rondo_map *map = reader->map;
	uint64_t offset = rondo_head_position(head) & (map->subbuf_bytes - 1);
	uint64_t slot = load_slot(reader, rondo_head_number(head, map->order));

	return offset > RONDO_PACKET_BYTES &&
	       (is_open_for(map, slot, head) ||
		rondo_load_relaxed(&reader->ring->head) != head);
}

/*
 * The head is read before the slots: a number below the head's that its slot
 * does not show as open or readable never will be; it was passed over, claimed
 * in vain, overwritten or taken. So what is oldest of those is next in turn.
 */
void rondo_reader_look(struct rondo_reader *reader, struct rondo_survey *out)
{
	const struct rondo_map *map = reader->map;
	/* pairs(head) acquire: what it has left, before what became of it. */
	uint64_t head = rondo_load_acquire(&reader->ring->head);
	uint64_t beyond, slot;

	memset(out, 0, sizeof(*out));
	out->unfinished = is_unfinished(reader, head);
	end_quarantines(reader);
	if (is_idle(reader, head)) {
		reader->deadline = RONDO_NEVER;
		return;
	}
	beyond = number_of_head(reader, head);
	for (uint32_t k = 0; k < map->count; k++) {
		RONDO_TESTPOINT(RONDO_AT_LOOK);
		slot = load_slot(reader, k);
		if (is_at_home(map, slot, k))
			look_at_slot(reader, beyond, slot, out);
	}
	note_stalls(reader, out);
	/* What is delivered behind one that stalls waits for it. */
	if (out->oldest && rondo_slot_state(out->oldest) == RONDO_SLOT_OPEN &&
	    rondo_os_monotonic_ns() < reader->deadline)
		out->readable = 0;
	/* Whoever is told of these takes them next: not by the shortcut, which
	 * adds up counts that move meanwhile. */
	if (out->readable)
		reader->looked_at = 0;
	reader->settled = !out->oldest || ahead(rondo_slot_number(out->oldest),
						reader->cursor) >= 0;
	move_cursor(reader,
		    out->oldest ? rondo_slot_number(out->oldest) : beyond);
}

/* ---- taking ---- */

static struct rondo_loan *free_loan(const struct rondo_reader *reader)
{
	for (uint32_t i = 0; i < reader->map->spares; i++)
		if (!reader->loans[i].out)
			return &reader->loans[i];
	return NULL;
}

/* The packet's number in its stream, and the ring's counts of it. overwritten:
 * as it was before the sub-buffer was taken. */
static void number_packet(struct rondo_reader *reader, struct parcel *parcel,
			  uint64_t overwritten, uint64_t *out_lost)
{
	struct rondo_ring *ring = reader->ring;
	uint64_t lost = overwritten - reader->overwritten;
	uint64_t seq;

	*out_lost = 0;
	if (parcel->flags & RONDO_VIEW_LATE) {
		parcel->packet.packet_seq_num =
			rondo_load_relaxed(&ring->shipped_late);
		count(&ring->shipped_late, 1);
		return;
	}
	if ((int64_t)lost < 0)
		lost = 0;
	reader->overwritten += lost;
	seq = rondo_load_relaxed(&ring->shipped) + lost;
	parcel->packet.packet_seq_num = seq;
	rondo_store_relaxed(&ring->shipped, seq + 1);
	*out_lost = lost;
}

static void ship_taken(struct rondo_reader *reader,
		       const struct rondo_loan *loan, uint64_t overwritten,
		       struct rondo_view *out)
{
	const struct rondo_map *map = reader->map;
	struct rondo_view view = {.flags = 0};
	struct parcel parcel = {
		.data = rondo_map_pages(map, reader->index, loan->pages),
		.number = loan->number,
		.pages = loan->pages,
		.flags = ahead(loan->number, reader->cursor) < 0 ?
				 RONDO_VIEW_LATE :
				 0,
	};

	parcel.offset =
		map->pages_offset + (uint64_t)(parcel.data - map->pages);
	load_packet(parcel.data, &parcel.packet);
	parcel.content = parcel.packet.content_bits / 8;
	if (!end_is_sound(map, &parcel.packet) ||
	    !begin_is_sound(map, reader, &parcel.packet, loan->number))
		repair(reader, &parcel);
	number_packet(reader, &parcel, overwritten, &view.overwritten);
	reader->last_end = parcel.packet.timestamp_end;
	ship(reader, &parcel, &view);
	*out = view;
}

static int take_slot(struct rondo_reader *reader, uint64_t slot,
		     struct rondo_view *out)
{
	struct rondo_loan *loan = free_loan(reader);
	const uint64_t number = rondo_slot_number(slot);
	uint64_t overwritten =
		rondo_ring_total(reader->ring, RONDO_COUNT_OVERWRITTEN);
	uint64_t spare;

	if (!loan)
		return -ENOSPC;
	spare = rondo_slot(loan->pages, RONDO_SLOT_EMPTY, number);
	RONDO_TESTPOINT(RONDO_AT_TAKE);
	/* pairs(delivered) acquire: all that was recorded in it.
	 * pairs(licence) release: whoever read what the spare held is done. */
	if (!rondo_cas(rondo_map_slot(reader->map, reader->index, number), slot,
		       spare))
		return LOST_RACE;
	RONDO_TESTPOINT(RONDO_AT_TAKEN);
	set_state(reader, loan->pages, RONDO_PAGES_IN_SLOT);
	loan->pages = rondo_slot_pages(slot);
	loan->number = number;
	loan->out = true;
	set_state(reader, loan->pages, state_with(RONDO_PAGES_ON_LOAN, number));
	count(&reader->ring->taken, 1);
	ship_taken(reader, loan, overwritten, out);
	move_cursor(reader, number + 1);
	return 0;
}

/* ---- copies ---- */

/*
 * Copies words of pages that producers may be writing to. In ascending order: a
 * header that says committed comes before its payload. The caller looks
 * afterwards what became of the pages, and may have to forget the copy; the
 * thread sanitizer cannot know.
 */
__attribute__((no_sanitize("thread"))) static void
copy_words(char *to, const char *from, uint64_t bytes)
{
	for (uint64_t done = 0; done < bytes; done += 8) {
		const void *source = from + done;
		void *target = to + done;

		/* pairs(committed) acquire: each word before the next. */
		*(uint64_t *)target =
			rondo_load_acquire((const uint64_t *)source);
	}
}

/* In a copy: gaps for what is open or makes no sense. content: where it ends
 * exactly, if that is known and the last record is whole; else 0. */
static void tidy(const struct rondo_reader *reader, struct parcel *parcel,
		 struct rondo_walk *walk, uint64_t content,
		 struct rondo_copied *copied)
{
	const struct rondo_map *map = reader->map;
	const struct rondo_found *last = &copied->last;

	rondo_walk_copy(walk, parcel->data, copied);
	if (content && !last->gap && !last->open &&
	    rondo_align(last->next, map->header_bytes) ==
		    rondo_align(content, map->header_bytes))
		parcel->content = content;
	else
		parcel->content = rondo_walk_seal(parcel->data,
						  map->subbuf_bytes,
						  map->header_bytes, last);
}

/* Times and counts of a packet that nobody has closed. */
static void end_now(const struct rondo_reader *reader,
		    struct rondo_packet *packet, const struct rondo_found *last)
{
	packet->timestamp_end = last->next ? last->time :
					     packet->timestamp_begin;
	set_refused(reader, packet);
}

/*
 * A copy of a sub-buffer that was closed. Its end may not be written yet: then
 * it is where the records cease to make sense.
 */
static void tidy_closed(const struct rondo_reader *reader,
			struct parcel *parcel, struct rondo_copied *copied)
{
	const struct rondo_map *map = reader->map;
	struct rondo_packet *packet = &parcel->packet;
	struct rondo_walk walk;
	uint64_t content;
	bool closed;

	load_packet(parcel->data, packet);
	if (!begin_is_sound(map, reader, packet, parcel->number) &&
	    packet->timestamp_begin < reader->last_end)
		packet->timestamp_begin = reader->last_end;
	closed = end_is_sound(map, packet);
	content = closed ? packet->content_bits / 8 : 0;
	rondo_walk_begin(&walk, parcel->data,
			 closed ? rondo_align(content, 8) : map->subbuf_bytes,
			 map->header_bytes, packet->timestamp_begin);
	walk.end_time = closed ? packet->timestamp_end :
				 time_limit(map, packet->timestamp_begin);
	tidy(reader, parcel, &walk, content, copied);
	if (!closed)
		end_now(reader, packet, &copied->last);
}

/* ---- quarantine ---- */

/* Aligned such that what is written from it needs no bounce. */
static void *allocate_pages(size_t bytes)
{
	int saved = errno;
	void *at = NULL;

	if (posix_memalign(&at, 4096, bytes))
		at = NULL;
	errno = saved;
	return at;
}

/* The copy is made, and the slot still was what it is: it goes out. */
static void ship_stalled(struct rondo_reader *reader, struct parcel *parcel,
			 struct rondo_view *out)
{
	struct rondo_view view = {.flags = 0};
	struct rondo_copied copied;

	tidy_closed(reader, parcel, &copied);
	view.damaged = copied.skipped;
	set_state(reader, parcel->pages,
		  state_with(RONDO_PAGES_QUARANTINED, parcel->number));
	remember(reader, parcel->number, parcel->pages,
		 copied.records + copied.open);
	reader->copy = parcel->data;
	count(&reader->ring->quarantined, 1);
	count(&reader->ring->abandoned, copied.open);
	number_packet(reader, parcel, 0, &view.overwritten);
	ship(reader, parcel, &view);
	reader->last_end = view.time_end;
	move_cursor(reader, parcel->number + 1);
	*out = view;
}

static int quarantine(struct rondo_reader *reader, uint64_t slot,
		      struct rondo_view *out)
{
	const struct rondo_map *map = reader->map;
	struct parcel parcel = {
		.number = rondo_slot_number(slot),
		.pages = rondo_slot_pages(slot),
		.offset = UINT64_MAX,
		.flags = RONDO_VIEW_LATE | RONDO_VIEW_STALLED,
	};

	/* As many as there are slots: somebody scribbles. */
	if (reader->copy || reader->quarantined == map->count)
		return -ENOSPC;
	parcel.data = allocate_pages(map->subbuf_bytes);
	if (!parcel.data)
		return -ENOMEM;
	copy_words(parcel.data,
		   rondo_map_pages(map, reader->index, parcel.pages),
		   map->subbuf_bytes);
	RONDO_TESTPOINT(RONDO_AT_QUARANTINE);
	/* pairs(slot) full: the copy before the second look. A slot that is
	 * open still has been so all the time: nobody wrote over it. */
	rondo_fence();
	if (load_slot(reader, parcel.number) != slot) {
		free(parcel.data);
		return LOST_RACE;
	}
	ship_stalled(reader, &parcel, out);
	return 0;
}

/*
 * Who asks in a loop shall not pull the head's cache line from the producers
 * each time: while nothing more is counted than was taken and nothing stalls, a
 * look that is LOOK_NS old will do.
 */
#define LOOK_NS 20000

static bool nothing_new(struct rondo_reader *reader)
{
	int64_t now = rondo_os_monotonic_ns();

	if (!rondo_ring_ready(reader->ring) && reader->settled &&
	    reader->deadline == RONDO_NEVER &&
	    now - reader->looked_at < LOOK_NS)
		return true;
	reader->looked_at = now;
	return false;
}

int rondo_reader_take(struct rondo_reader *reader, bool over,
		      struct rondo_view *out)
{
	struct rondo_survey survey;
	uint64_t slot;
	int result = LOST_RACE;

	if (reader->quarantined)
		end_quarantines(reader);
	/* What the cursor names is next, whatever else there is. */
	slot = load_slot(reader, reader->cursor);
	if (slot_says(slot, RONDO_SLOT_READABLE, reader->cursor) &&
	    rondo_slot_pages(slot) < rondo_map_page_sets(reader->map) &&
	    !is_quarantined(reader, slot))
		result = take_slot(reader, slot, out);
	/* A shortcut: the look would say the same. */
	if (result == LOST_RACE && !over && nothing_new(reader))
		return -EAGAIN;
	for (int i = 0; result == LOST_RACE && i < MAX_TAKE_TRIES; i++) {
		rondo_reader_look(reader, &survey);
		slot = survey.oldest;
		if (!slot && !survey.unfinished)
			return -ENODATA;
		/* Delivered, and not behind the head: closed since it was read,
		 * which the next look sees; or damage, of which nothing will
		 * ever come: no reason to ask again. */
		if (!slot && over && survey.readable)
			continue;
		if (!slot)
			return -EAGAIN;
		if (rondo_slot_state(slot) == RONDO_SLOT_READABLE)
			result = take_slot(reader, slot, out);
		else if (rondo_os_monotonic_ns() < reader->deadline)
			return -EAGAIN;
		else
			result = quarantine(reader, slot, out);
	}
	if (result != LOST_RACE)
		return result;
	return over && !slot ? -ENODATA : -EAGAIN;
}

int rondo_reader_release(struct rondo_reader *reader,
			 const struct rondo_view *view)
{
	if (view->data && view->data == reader->copy) {
		free(reader->copy);
		reader->copy = NULL;
		return 0;
	}
	for (uint32_t i = 0; i < reader->map->spares; i++) {
		struct rondo_loan *loan = &reader->loans[i];

		if (!loan->out || loan->pages != view->pages ||
		    loan->number != view->number || view->offset == UINT64_MAX)
			continue;
		/* pairs(licence) release: the producers' licence to overwrite;
		 * it reaches them with the take that puts the pages into a
		 * slot, and all that was read here comes before it. */
		rondo_store_release(rondo_map_state(reader->map, reader->index,
						    loan->pages),
				    (uint64_t)RONDO_PAGES_SPARE);
		loan->out = false;
		return 0;
	}
	return -EINVAL;
}

/* ---- peeking ---- */

/* The same sub-buffer, and nothing was taken back in it. */
static bool only_grew(const struct rondo_map *map, uint64_t before,
		      uint64_t now)
{
	return rondo_head_number(before, map->order) ==
		       rondo_head_number(now, map->order) &&
	       (before & RONDO_GEN_MASK) == (now & RONDO_GEN_MASK);
}

/* A copy of a sub-buffer up to head. Returns the bytes that made no sense. */
static uint64_t tidy_open(const struct rondo_reader *reader, uint64_t head,
			  struct parcel *parcel)
{
	const struct rondo_map *map = reader->map;
	const uint64_t mask = map->subbuf_bytes - 1;
	uint64_t position = rondo_head_position(head);
	struct rondo_packet *packet = &parcel->packet;
	struct rondo_copied copied;
	struct rondo_walk walk;

	rondo_walk_begin(&walk, parcel->data,
			 rondo_position_aligned(position) & mask,
			 map->header_bytes, packet->timestamp_begin);
	walk.end_time = time_limit(map, packet->timestamp_begin);
	tidy(reader, parcel, &walk, rondo_position_exact(position) & mask,
	     &copied);
	end_now(reader, packet, &copied.last);
	packet->packet_seq_num = rondo_load_relaxed(&reader->ring->shipped);
	return copied.skipped;
}

/* Copies up to head. LOST_RACE: somebody wrote to that meanwhile. */
static int copy_open(const struct rondo_reader *reader, uint64_t head,
		     struct parcel *parcel)
{
	const struct rondo_map *map = reader->map;
	uint64_t end = rondo_position_aligned(rondo_head_position(head)) &
		       (map->subbuf_bytes - 1);
	uint64_t squashed = rondo_load_relaxed(&reader->ring->squashed);

	copy_words(parcel->data,
		   rondo_map_pages(map, reader->index, parcel->pages), end);
	RONDO_TESTPOINT(RONDO_AT_PEEK);
	/* pairs(head) full: the copy before the second look. */
	rondo_fence();
	load_packet(parcel->data, &parcel->packet);
	if (!only_grew(map, head, rondo_load_relaxed(&reader->ring->head)) ||
	    rondo_load_relaxed(&reader->ring->squashed) != squashed ||
	    !begin_is_sound(map, reader, &parcel->packet, parcel->number))
		return LOST_RACE;
	return 0;
}

/* 0; -EAGAIN nothing is open; LOST_RACE it changed meanwhile. */
static int peek_once(const struct rondo_reader *reader, char *buffer,
		     struct rondo_view *out)
{
	const struct rondo_map *map = reader->map;
	/* pairs(head) acquire: what lies below it. */
	uint64_t head = rondo_load_acquire(&reader->ring->head);
	uint64_t slot = load_slot(reader, rondo_head_number(head, map->order));
	struct rondo_view view = {.flags = 0};
	struct parcel parcel = {
		.data = buffer,
		.number = rondo_slot_number(slot),
		.pages = rondo_slot_pages(slot),
		.offset = UINT64_MAX,
		.flags = RONDO_VIEW_PEEKED,
	};

	/* Nor would a copy of it hold a header: only what buffer held before. */
	if (!(rondo_head_position(head) & (map->subbuf_bytes - 1)))
		return -EAGAIN;
	if (!is_open_for(map, slot, head) || copy_open(reader, head, &parcel))
		return LOST_RACE;
	view.damaged = tidy_open(reader, head, &parcel);
	ship(reader, &parcel, &view);
	*out = view;
	return 0;
}

int rondo_reader_peek(const struct rondo_reader *reader, char *buffer,
		      struct rondo_view *out)
{
	int result = LOST_RACE;

	for (int i = 0; result == LOST_RACE && i < MAX_PEEK_TRIES; i++)
		result = peek_once(reader, buffer, out);
	return result == LOST_RACE ? -EAGAIN : result;
}
