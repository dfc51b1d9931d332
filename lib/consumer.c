/* SPDX-License-Identifier: MIT */
/*
 * The consumer of a channel: takes sub-buffers by exchange, in turn; reads by
 * copy what a stalled writer holds back; peeks; sleeps; splices. It owns the
 * page sets that are in no slot, the consumer's words of each ring and the
 * states table. It may assume that it is the only one (rondo_wait.consumer says
 * so) and that a slot's page set changes by its own hand alone; whatever else
 * it reads from the channel's memory is copied, then checked, then used.
 *
 * Quarantine works in place: when a sub-buffer has been closed for stall_ms and
 * still has open records, what is committed in it is copied and shipped, and
 * its page set stays in its slot, marked, until its last writer delivers it.
 * Producers pass over such a slot, so it costs one sub-buffer of room and no
 * spare. Its pages are never handed on before that delivery: a closer that is
 * stopped just before its late add has left no sign of how many it will add.
 */
#include "consumer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "control.h"
#include "os.h"
#include "ring.h"
#include "testpoint.h"
#include "walk.h"

#define NEVER INT64_MAX
#define LOST_RACE 1 /* a producer was first: look again */
#define MAX_TAKE_TRIES 16
#define MAX_PEEK_TRIES 8
#define NS_IN_MS INT64_C(1000000)
/* How often a sleeper looks whether another process still lives. */
#define LIVENESS_NS (1000 * NS_IN_MS)
/* Clocks of CPUs may differ, by much less than this many ticks. */
#define CLOCK_SLACK (UINT64_C(1) << 24)

/* A page set that is in no slot. */
struct loan {
	uint64_t number;
	uint32_t pages;
	bool out;
};

/* What the consumer keeps of a ring for itself. */
struct reader {
	struct rondo_ring *ring;
	struct loan *loans;
	char *copy;		 /* of a quarantined one, on loan; or NULL */
	uint64_t cursor;	 /* next number in turn */
	uint64_t overwritten;	 /* as told in packet_seq_num so far */
	uint64_t delivered;	 /* at the last flush period */
	uint64_t last_end;	 /* ticks: end of what was shipped last */
	uint64_t stalled_newest; /* those up to it stall since deadline was set */
	int64_t deadline;	 /* when they are quarantined, monotonic */
	uint32_t marked;	 /* slots whose sub-buffer was copied out */
	uint32_t index;
	bool settled; /* nothing before the cursor is left to take */
};

struct rondo_consumer {
	struct rondo_control *control;
	const struct rondo_map *map;
	uint64_t identity; /* as in rondo_wait.consumer */
	int64_t flush_at;  /* monotonic */
	uint32_t pid;
	uint32_t next;	/* ring that is asked first */
	uint32_t woken; /* 1: rondo_consumer_wake was called; any thread */
	bool orphaned;	/* the channel's process is gone */
	bool told_over; /* a wait has said that nothing more will come */
	int pipe[2];	/* for splices to files; -1: none */
	struct loan *loans;
	struct reader readers[];
};

/* ---- words ---- */

static int64_t ahead(uint64_t number, uint64_t of)
{
	return rondo_number_distance(number, of, RONDO_NUMBER_BITS);
}

static uint64_t load_slot(const struct rondo_consumer *consumer,
			  const struct reader *reader, uint64_t number)
{
	/* pairs(delivered) acquire: the state before what the pages hold. */
	return rondo_load_acquire(
		rondo_map_slot(consumer->map, reader->index, number));
}

static bool slot_says(uint64_t slot, unsigned state, uint64_t number)
{
	return rondo_slot_state(slot) == state &&
	       rondo_slot_number(slot) == number;
}

static void set_state(const struct rondo_consumer *consumer,
		      const struct reader *reader, uint32_t pages,
		      uint64_t state)
{
	rondo_store_relaxed(
		rondo_map_state(consumer->map, reader->index, pages), state);
}

static uint64_t state_with(enum rondo_pages_state state, uint64_t number)
{
	return (uint64_t)state | number << 8;
}

/* Whether the sub-buffer of a slot was copied out by quarantine. */
static bool is_marked(const struct rondo_map *map, uint32_t ring, uint64_t slot)
{
	uint64_t *state = rondo_map_state(map, ring, rondo_slot_pages(slot));

	return rondo_load_relaxed(state) ==
	       state_with(RONDO_PAGES_QUARANTINED, rondo_slot_number(slot));
}

/* The consumer alone writes these: no add is needed. */
static void count(uint64_t *word, uint64_t more)
{
	rondo_store_relaxed(word, rondo_load_relaxed(word) + more);
}

/* All before number was dealt with. */
static void move_cursor(struct reader *reader, uint64_t number)
{
	number &= RONDO_NUMBER_MASK;
	if (ahead(number, reader->cursor) <= 0)
		return;
	reader->cursor = number;
	rondo_store_relaxed(&reader->ring->cursor, number);
}

/* ---- opening, closing ---- */

static void *allocate(size_t alignment, size_t bytes)
{
	int saved = errno;
	void *at = NULL;

	if (posix_memalign(&at, alignment, bytes))
		at = NULL;
	errno = saved;
	return at;
}

static struct rondo_consumer *allocate_consumer(struct rondo_control *control)
{
	const struct rondo_map *map = &control->map;
	size_t bytes = sizeof(struct rondo_consumer) +
		       (size_t)map->ring_count * sizeof(struct reader);
	size_t loans = (size_t)map->ring_count * map->spares;
	struct rondo_consumer *consumer = allocate(sizeof(void *), bytes);

	if (!consumer)
		return NULL;
	memset(consumer, 0, bytes);
	consumer->loans =
		allocate(sizeof(void *), (loans + 1) * sizeof(struct loan));
	if (!consumer->loans) {
		free(consumer);
		return NULL;
	}
	consumer->control = control;
	consumer->map = map;
	consumer->flush_at = NEVER;
	consumer->pipe[0] = consumer->pipe[1] = -1;
	for (uint32_t i = 0; i < map->ring_count; i++) {
		consumer->readers[i].ring = rondo_map_ring(map, i);
		consumer->readers[i].index = i;
		consumer->readers[i].loans =
			consumer->loans + (size_t)i * map->spares;
		consumer->readers[i].deadline = NEVER;
	}
	return consumer;
}

static void free_consumer(struct rondo_consumer *consumer)
{
	for (uint32_t i = 0; i < consumer->map->ring_count; i++)
		free(consumer->readers[i].copy);
	for (unsigned i = 0; i < 2; i++)
		if (consumer->pipe[i] >= 0)
			(void)rondo_os_close(consumer->pipe[i]);
	free(consumer->loans);
	free(consumer);
}

/* Writes our name where the channel's consumer stands, unless that one lives */
static int become_consumer(struct rondo_consumer *consumer)
{
	uint64_t *word = &consumer->map->wait->consumer;

	consumer->pid = rondo_os_pid();
	consumer->identity = (uint64_t)consumer->pid << 32 |
			     (uint32_t)rondo_os_pid_start(consumer->pid);
	for (;;) {
		/* pairs(consumer) acquire: what the one before left. */
		uint64_t old = rondo_load_acquire(word);
		uint64_t start = rondo_os_pid_start((uint32_t)(old >> 32));

		if (old && start && (uint32_t)start == (uint32_t)old)
			return -EBUSY;
		/* pairs(consumer) acquire: one of those who see it dead. */
		if (rondo_cas(word, old, consumer->identity))
			return 0;
	}
}

/*
 * Which page sets a ring's slots hold, so which ones are ours. What another
 * consumer had on loan when it died is a spare now; what it copied out stays
 * marked.
 */
static int adopt_ring(struct rondo_consumer *consumer, struct reader *reader,
		      bool *used)
{
	const struct rondo_map *map = consumer->map;
	uint32_t spares = 0;

	memset(used, 0, rondo_map_page_sets(map) * sizeof(*used));
	for (uint32_t k = 0; k < map->count; k++) {
		uint64_t slot = load_slot(consumer, reader, k);
		uint32_t pages = rondo_slot_pages(slot);

		if (pages >= rondo_map_page_sets(map) || used[pages])
			return -EPROTO;
		used[pages] = true;
		if (is_marked(map, reader->index, slot))
			reader->marked++;
		else
			set_state(consumer, reader, pages, RONDO_PAGES_IN_SLOT);
	}
	for (uint32_t pages = 0; pages < rondo_map_page_sets(map); pages++) {
		if (used[pages])
			continue;
		set_state(consumer, reader, pages, RONDO_PAGES_SPARE);
		reader->loans[spares++] = (struct loan){.pages = pages};
	}
	return 0;
}

/* Overwritten sub-buffers that the numbers shipped so far account for: those
 * numbers count them, and what was taken in turn. */
static uint64_t overwritten_so_far(const struct rondo_ring *ring)
{
	uint64_t late = rondo_load_relaxed(&ring->shipped_late) -
			rondo_load_relaxed(&ring->quarantined);

	return rondo_load_relaxed(&ring->shipped) -
	       (rondo_load_relaxed(&ring->taken) - late);
}

static int adopt_rings(struct rondo_consumer *consumer)
{
	const struct rondo_map *map = consumer->map;
	bool *used = allocate(sizeof(void *),
			      rondo_map_page_sets(map) * sizeof(*used));
	int result = used ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < map->ring_count && !result; i++) {
		struct reader *reader = &consumer->readers[i];

		reader->cursor = rondo_load_relaxed(&reader->ring->cursor) &
				 RONDO_NUMBER_MASK;
		reader->overwritten = overwritten_so_far(reader->ring);
		result = adopt_ring(consumer, reader, used);
	}
	free(used);
	return result;
}

static void step_down(struct rondo_consumer *consumer)
{
	struct rondo_wait *wait = consumer->map->wait;

	rondo_store_relaxed(&wait->sleeping, 0u);
	/* pairs(consumer) release: all that was released, for the next one. */
	(void)rondo_cas(&wait->consumer, consumer->identity, 0);
}

int rondo_consumer_open(struct rondo_channel *channel,
			struct rondo_consumer **out)
{
	struct rondo_control *control = channel->control;
	struct rondo_consumer *consumer;
	int result;

	if (!control || control->forked)
		return -ESHUTDOWN;
	/* pairs(consumer) acquire: the same, within this process. */
	if (!rondo_cas32(&control->consumer_open, 0, 1))
		return -EBUSY;
	consumer = allocate_consumer(control);
	result = consumer ? become_consumer(consumer) : -ENOMEM;
	if (!result) {
		result = adopt_rings(consumer);
		if (result)
			step_down(consumer);
	}
	if (result) {
		if (consumer)
			free_consumer(consumer);
		/* pairs(consumer) release: nothing was left behind. */
		rondo_store_release(&control->consumer_open, 0u);
		return result;
	}
	*out = consumer;
	return 0;
}

int rondo_consumer_close(struct rondo_consumer *consumer)
{
	struct rondo_control *control;

	if (!consumer)
		return 0;
	control = consumer->control;
	/* In a child of fork it is its parent's: nothing shared is touched. */
	if (consumer->pid == rondo_os_pid()) {
		for (uint32_t i = 0; i < consumer->map->ring_count; i++) {
			struct reader *reader = &consumer->readers[i];

			for (uint32_t k = 0; k < consumer->map->spares; k++)
				set_state(consumer, reader,
					  reader->loans[k].pages,
					  RONDO_PAGES_SPARE);
		}
		step_down(consumer);
	}
	free_consumer(consumer);
	/* pairs(consumer) release: it is gone before another one opens. */
	rondo_store_release(&control->consumer_open, 0u);
	return 0;
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
			   const struct reader *reader,
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
static void set_refused(const struct reader *reader,
			struct rondo_packet *packet)
{
	struct rondo_refusals refusals;

	rondo_ring_refusals(reader->ring, &refusals);
	packet->events_discarded = 0;
	for (unsigned i = 0; i < RONDO_CAUSES; i++) {
		packet->refused[i] = refusals.records[i];
		packet->events_discarded += refusals.records[i];
	}
}

/*
 * Completes and writes the packet's header, from what is known rather than from
 * what stands there, clears what the last page has behind the content, and
 * fills the view.
 */
static void ship(const struct rondo_consumer *consumer, struct reader *reader,
		 struct parcel *parcel, struct rondo_view *out)
{
	const struct rondo_map *map = consumer->map;
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
static void repair(const struct rondo_consumer *consumer,
		   const struct reader *reader, struct parcel *parcel)
{
	const struct rondo_map *map = consumer->map;
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

/* One look at a ring. */
struct survey {
	uint64_t oldest;   /* slot word of what the head left first; 0: none */
	uint32_t readable; /* sub-buffers that can be taken now or next */
	bool unfinished;   /* something is recorded that cannot be taken yet */
	bool stalled;	   /* closed ones with open records: these numbers */
	uint64_t stalled_oldest;
	uint64_t stalled_newest;
};

/* The head's number in full. Slots keep full numbers, and the newest of them is
 * near the head, however long nobody has taken anything. */
static uint64_t number_of_head(const struct rondo_consumer *consumer,
			       const struct reader *reader, uint64_t head)
{
	const struct rondo_map *map = consumer->map;
	uint64_t newest = rondo_slot_number(load_slot(consumer, reader, 0));

	for (uint32_t k = 1; k < map->count; k++) {
		uint64_t number =
			rondo_slot_number(load_slot(consumer, reader, k));

		if (ahead(number, newest) > 0)
			newest = number;
	}
	return rondo_number_extend(rondo_head_number(head, map->order), newest,
				   rondo_number_bits(map->order));
}

/* The head is at the cursor, and all before that was dealt with. */
static bool is_idle(const struct rondo_consumer *consumer,
		    const struct reader *reader, uint64_t head)
{
	const struct rondo_map *map = consumer->map;
	uint64_t slot = load_slot(consumer, reader, reader->cursor);

	return reader->settled && !reader->marked &&
	       rondo_slot_state(slot) != RONDO_SLOT_READABLE &&
	       rondo_number_extend(rondo_head_number(head, map->order),
				   rondo_slot_number(slot),
				   rondo_number_bits(map->order)) ==
		       reader->cursor;
}

/* A marked page set whose writers are done, or which was overwritten after
 * that: it is like any other again. */
static void unmark(struct rondo_consumer *consumer, struct reader *reader,
		   uint32_t pages, uint64_t number)
{
	uint64_t *at = rondo_map_slot(consumer->map, reader->index, number);
	uint64_t slot = load_slot(consumer, reader, number);

	if (slot_says(slot, RONDO_SLOT_OPEN, number))
		return;
	/* pairs(licence) release: our copy was made before it is written. */
	if (slot_says(slot, RONDO_SLOT_READABLE, number) &&
	    rondo_cas(at, slot, rondo_slot(pages, RONDO_SLOT_EMPTY, number)))
		count(&reader->ring->taken, 1);
	else
		reader->overwritten++; /* shipped before, hence no loss */
	set_state(consumer, reader, pages, RONDO_PAGES_IN_SLOT);
	reader->marked--;
}

static void unmark_all(struct rondo_consumer *consumer, struct reader *reader)
{
	const struct rondo_map *map = consumer->map;

	for (uint32_t k = 0; k < map->count && reader->marked; k++) {
		uint32_t pages =
			rondo_slot_pages(load_slot(consumer, reader, k));
		uint64_t state;

		if (pages >= rondo_map_page_sets(map))
			continue;
		state = rondo_load_relaxed(
			rondo_map_state(map, reader->index, pages));
		if ((state & 0xff) == RONDO_PAGES_QUARANTINED)
			unmark(consumer, reader, pages, state >> 8);
	}
}

/* beyond: the number that the head is in. */
static void look_at_slot(const struct rondo_consumer *consumer,
			 const struct reader *reader, uint64_t beyond,
			 uint64_t slot, struct survey *out)
{
	const unsigned state = rondo_slot_state(slot);
	const uint64_t number = rondo_slot_number(slot);

	if ((state != RONDO_SLOT_READABLE && state != RONDO_SLOT_OPEN) ||
	    rondo_slot_pages(slot) >= rondo_map_page_sets(consumer->map) ||
	    is_marked(consumer->map, reader->index, slot))
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
static void note_stalls(const struct rondo_consumer *consumer,
			struct reader *reader, const struct survey *survey)
{
	if (!survey->stalled) {
		reader->deadline = NEVER;
		return;
	}
	if (reader->deadline != NEVER &&
	    ahead(survey->stalled_oldest, reader->stalled_newest) <= 0)
		return;
	reader->deadline =
		rondo_os_monotonic_ns() + consumer->map->stall_ms * NS_IN_MS;
	reader->stalled_newest = survey->stalled_newest;
}

/*
 * The head is read before the slots: a number below the head's that its slot
 * does not show as open or readable never will be; it was passed over, claimed
 * in vain, overwritten or taken. So what is oldest of those is next in turn.
 */
static void look(struct rondo_consumer *consumer, struct reader *reader,
		 struct survey *out)
{
	const struct rondo_map *map = consumer->map;
	/* pairs(head) acquire: what it has left, before what became of it. */
	uint64_t head = rondo_load_acquire(&reader->ring->head);
	uint64_t beyond;

	memset(out, 0, sizeof(*out));
	out->unfinished = (rondo_head_position(head) &
			   (map->subbuf_bytes - 1)) > RONDO_PACKET_BYTES;
	if (is_idle(consumer, reader, head)) {
		reader->deadline = NEVER;
		return;
	}
	unmark_all(consumer, reader);
	beyond = number_of_head(consumer, reader, head);
	for (uint32_t k = 0; k < map->count; k++)
		look_at_slot(consumer, reader, beyond,
			     load_slot(consumer, reader, k), out);
	note_stalls(consumer, reader, out);
	reader->settled = !out->oldest || ahead(rondo_slot_number(out->oldest),
						reader->cursor) >= 0;
	move_cursor(reader,
		    out->oldest ? rondo_slot_number(out->oldest) : beyond);
}

/* ---- taking ---- */

static struct loan *free_loan(const struct rondo_consumer *consumer,
			      const struct reader *reader)
{
	for (uint32_t i = 0; i < consumer->map->spares; i++)
		if (!reader->loans[i].out)
			return &reader->loans[i];
	return NULL;
}

/* The packet's number in its stream, and the ring's counts of it. overwritten:
 * as it was before the sub-buffer was taken. */
static void number_packet(struct reader *reader, struct parcel *parcel,
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

static void ship_taken(const struct rondo_consumer *consumer,
		       struct reader *reader, const struct loan *loan,
		       uint64_t overwritten, struct rondo_view *out)
{
	const struct rondo_map *map = consumer->map;
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
		repair(consumer, reader, &parcel);
	number_packet(reader, &parcel, overwritten, &view.overwritten);
	reader->last_end = parcel.packet.timestamp_end;
	ship(consumer, reader, &parcel, &view);
	*out = view;
}

static int take_slot(struct rondo_consumer *consumer, struct reader *reader,
		     uint64_t slot, struct rondo_view *out)
{
	struct loan *loan = free_loan(consumer, reader);
	const uint64_t number = rondo_slot_number(slot);
	uint64_t overwritten = rondo_load_relaxed(&reader->ring->overwritten);
	uint64_t spare;

	if (!loan)
		return -ENOSPC;
	spare = rondo_slot(loan->pages, RONDO_SLOT_EMPTY, number);
	RONDO_TESTPOINT(RONDO_AT_TAKE);
	/* pairs(delivered) acquire: all that was recorded in it.
	 * pairs(licence) release: whoever read what the spare held is done. */
	if (!rondo_cas(rondo_map_slot(consumer->map, reader->index, number),
		       slot, spare))
		return LOST_RACE;
	RONDO_TESTPOINT(RONDO_AT_TAKEN);
	set_state(consumer, reader, loan->pages, RONDO_PAGES_IN_SLOT);
	loan->pages = rondo_slot_pages(slot);
	loan->number = number;
	loan->out = true;
	set_state(consumer, reader, loan->pages,
		  state_with(RONDO_PAGES_ON_LOAN, number));
	count(&reader->ring->taken, 1);
	ship_taken(consumer, reader, loan, overwritten, out);
	move_cursor(reader, number + 1);
	return 0;
}

/* ---- quarantine ---- */

/*
 * Copies what is committed in a sub-buffer that was closed. Its end may not be
 * written yet: then it is where the records cease to make sense.
 */
static void copy_closed(const struct rondo_consumer *consumer,
			const struct reader *reader, struct parcel *parcel,
			struct rondo_copied *copied)
{
	const struct rondo_map *map = consumer->map;
	const char *from = rondo_map_pages(map, reader->index, parcel->pages);
	struct rondo_packet *packet = &parcel->packet;
	struct rondo_walk walk;
	uint64_t content;
	bool closed;

	load_packet(from, packet);
	if (!begin_is_sound(map, reader, packet, parcel->number) &&
	    packet->timestamp_begin < reader->last_end)
		packet->timestamp_begin = reader->last_end;
	closed = end_is_sound(map, packet);
	content = packet->content_bits / 8;
	rondo_walk_begin(&walk, from,
			 closed ? rondo_align(content, 8) : map->subbuf_bytes,
			 map->header_bytes, packet->timestamp_begin);
	walk.end_time = closed ? packet->timestamp_end :
				 time_limit(map, packet->timestamp_begin);
	rondo_walk_copy(&walk, parcel->data, copied);
	if (closed && !copied->last.gap && !copied->last.open &&
	    copied->last.next == rondo_align(content, map->header_bytes))
		parcel->content = content;
	else
		parcel->content =
			rondo_walk_seal(parcel->data, map->subbuf_bytes,
					map->header_bytes, &copied->last);
	if (closed)
		return;
	packet->timestamp_end = copied->last.next ? copied->last.time :
						    packet->timestamp_begin;
	set_refused(reader, packet);
}

static int quarantine(struct rondo_consumer *consumer, struct reader *reader,
		      uint64_t slot, struct rondo_view *out)
{
	struct rondo_ring *ring = reader->ring;
	struct rondo_view view = {.flags = 0};
	struct rondo_copied copied;
	struct parcel parcel = {
		.number = rondo_slot_number(slot),
		.pages = rondo_slot_pages(slot),
		.offset = UINT64_MAX,
		.flags = RONDO_VIEW_LATE | RONDO_VIEW_STALLED,
	};

	if (reader->copy)
		return -ENOSPC;
	parcel.data = allocate(4096, consumer->map->subbuf_bytes);
	if (!parcel.data)
		return -ENOMEM;
	copy_closed(consumer, reader, &parcel, &copied);
	RONDO_TESTPOINT(RONDO_AT_QUARANTINE);
	/* pairs(slot) full: the copy before the second look. A slot that is
	 * open still has been so all the time: nobody wrote over it. */
	rondo_fence();
	if (load_slot(consumer, reader, parcel.number) != slot) {
		free(parcel.data);
		return LOST_RACE;
	}
	set_state(consumer, reader, parcel.pages,
		  state_with(RONDO_PAGES_QUARANTINED, parcel.number));
	reader->marked++;
	reader->copy = parcel.data;
	count(&ring->quarantined, 1);
	count(&ring->abandoned, copied.open);
	number_packet(reader, &parcel, 0, &view.overwritten);
	ship(consumer, reader, &parcel, &view);
	reader->last_end = view.time_end;
	move_cursor(reader, parcel.number + 1);
	*out = view;
	return 0;
}

/* 0; -EAGAIN something is not ready; -ENODATA the ring is empty; ... */
static int take_from(struct rondo_consumer *consumer, struct reader *reader,
		     struct rondo_view *out)
{
	struct survey survey;
	uint64_t slot = load_slot(consumer, reader, reader->cursor);
	int result = LOST_RACE;

	/* What the cursor names is next, whatever else there is. */
	if (!reader->marked &&
	    slot_says(slot, RONDO_SLOT_READABLE, reader->cursor) &&
	    rondo_slot_pages(slot) < rondo_map_page_sets(consumer->map))
		result = take_slot(consumer, reader, slot, out);
	for (int i = 0; result == LOST_RACE && i < MAX_TAKE_TRIES; i++) {
		look(consumer, reader, &survey);
		slot = survey.oldest;
		if (!slot)
			return survey.unfinished ? -EAGAIN : -ENODATA;
		if (rondo_slot_state(slot) == RONDO_SLOT_READABLE)
			result = take_slot(consumer, reader, slot, out);
		else if (rondo_os_monotonic_ns() < reader->deadline)
			return -EAGAIN;
		else
			result = quarantine(consumer, reader, slot, out);
	}
	return result == LOST_RACE ? -EAGAIN : result;
}

/* As take_from, of all rings: the first that has something. */
static int take_any(struct rondo_consumer *consumer, struct rondo_view *out)
{
	const uint32_t rings = consumer->map->ring_count;
	uint32_t index = consumer->next;
	int result = -ENODATA;

	for (uint32_t i = 0; i < rings; i++) {
		int one = take_from(consumer, &consumer->readers[index], out);

		if (++index == rings)
			index = 0;
		if (!one) {
			consumer->next = index;
			return 0;
		}
		if (result == -ENODATA ||
		    (result == -EAGAIN && one != -ENODATA))
			result = one;
	}
	return result;
}

/* Whether the process lives that created the channel. */
static bool creator_lives(const struct rondo_consumer *consumer)
{
	const struct rondo_superblock *super = consumer->map->super;
	uint64_t start = rondo_os_pid_start(rondo_load_relaxed(&super->pid));
	uint8_t boot[16];

	rondo_os_boot_id(boot);
	return start && start == rondo_load_relaxed(&super->pid_start) &&
	       memcmp(boot, super->boot_id, sizeof(boot)) == 0;
}

/* Whether nothing more will be recorded, as far as is known. */
static bool is_over(const struct rondo_consumer *consumer)
{
	return consumer->control->attached ?
		       consumer->orphaned :
		       !rondo_load_relaxed(&consumer->control->running);
}

int rondo_consumer_take(struct rondo_consumer *consumer, struct rondo_view *out)
{
	/* Before the look: what was recorded until then is seen by it. */
	bool over = is_over(consumer);
	int result = take_any(consumer, out);

	if (result != -ENODATA)
		return result;
	if (over)
		return -ENODATA;
	if (!consumer->control->attached || creator_lives(consumer))
		return -EAGAIN;
	consumer->orphaned = true;
	return take_any(consumer, out);
}

int rondo_consumer_release(struct rondo_consumer *consumer,
			   struct rondo_view *view)
{
	const struct rondo_map *map = consumer->map;
	struct reader *reader;

	if (view->ring >= map->ring_count)
		return -EINVAL;
	reader = &consumer->readers[view->ring];
	if (view->data && view->data == reader->copy) {
		free(reader->copy);
		reader->copy = NULL;
		count(&map->wait->released, 1);
		return 0;
	}
	for (uint32_t i = 0; i < map->spares; i++) {
		struct loan *loan = &reader->loans[i];

		if (!loan->out || loan->pages != view->pages ||
		    loan->number != view->number || view->offset == UINT64_MAX)
			continue;
		/* pairs(licence) release: the producers' licence to overwrite;
		 * it reaches them with the take that puts the pages into a
		 * slot, and all that was read here comes before it. */
		rondo_store_release(rondo_map_state(map, reader->index,
						    loan->pages),
				    (uint64_t)RONDO_PAGES_SPARE);
		loan->out = false;
		count(&map->wait->released, 1);
		return 0;
	}
	return -EINVAL;
}

/* ---- peeking ---- */

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

/* The same sub-buffer, and nothing was taken back in it. */
static bool only_grew(const struct rondo_map *map, uint64_t before,
		      uint64_t now)
{
	return rondo_head_number(before, map->order) ==
		       rondo_head_number(now, map->order) &&
	       (before & RONDO_GEN_MASK) == (now & RONDO_GEN_MASK);
}

/* head: what is committed below it. parcel: number, pages, data are set. */
static void copy_open(const struct rondo_consumer *consumer,
		      const struct reader *reader, uint64_t head,
		      struct parcel *parcel)
{
	const struct rondo_map *map = consumer->map;
	const char *from = rondo_map_pages(map, reader->index, parcel->pages);
	const uint64_t mask = map->subbuf_bytes - 1;
	uint64_t position = rondo_head_position(head);
	uint64_t end = rondo_position_aligned(position) & mask;
	struct rondo_packet *packet = &parcel->packet;
	struct rondo_copied copied;
	struct rondo_walk walk;

	load_packet(from, packet);
	rondo_walk_begin(&walk, from, end, map->header_bytes,
			 packet->timestamp_begin);
	walk.end_time = time_limit(map, packet->timestamp_begin);
	rondo_walk_copy(&walk, parcel->data, &copied);
	parcel->content = rondo_position_exact(position) & mask;
	if (copied.last.open || copied.last.gap ||
	    copied.last.next != rondo_align(end, map->header_bytes))
		parcel->content =
			rondo_walk_seal(parcel->data, map->subbuf_bytes,
					map->header_bytes, &copied.last);
	packet->timestamp_end = copied.last.next ? copied.last.time :
						   packet->timestamp_begin;
	set_refused(reader, packet);
	packet->packet_seq_num = rondo_load_relaxed(&reader->ring->shipped);
}

/* 0; -EAGAIN nothing is open; LOST_RACE it changed meanwhile. */
static int peek_once(const struct rondo_consumer *consumer,
		     struct reader *reader, char *buffer,
		     struct rondo_view *out)
{
	const struct rondo_map *map = consumer->map;
	/* pairs(head) acquire: what lies below it. */
	uint64_t head = rondo_load_acquire(&reader->ring->head);
	uint64_t squashed = rondo_load_relaxed(&reader->ring->squashed);
	uint64_t slot = load_slot(consumer, reader,
				  rondo_head_number(head, map->order));
	struct rondo_view view = {.flags = 0};
	struct parcel parcel = {
		.data = buffer,
		.number = rondo_slot_number(slot),
		.pages = rondo_slot_pages(slot),
		.offset = UINT64_MAX,
		.flags = RONDO_VIEW_PEEKED,
	};

	if (!(rondo_head_position(head) & (map->subbuf_bytes - 1)))
		return -EAGAIN;
	if (!is_open_for(map, slot, head))
		return LOST_RACE;
	copy_open(consumer, reader, head, &parcel);
	/* pairs(head) full: the copy before the second look. */
	rondo_fence();
	if (!only_grew(map, head, rondo_load_relaxed(&reader->ring->head)) ||
	    rondo_load_relaxed(&reader->ring->squashed) != squashed ||
	    !begin_is_sound(map, reader, &parcel.packet, parcel.number))
		return LOST_RACE;
	ship(consumer, reader, &parcel, &view);
	*out = view;
	return 0;
}

int rondo_consumer_peek(struct rondo_consumer *consumer, uint32_t ring,
			void *buffer, uint64_t bytes, struct rondo_view *out)
{
	int result = LOST_RACE;

	if (ring >= consumer->map->ring_count)
		return -ENOENT;
	if (bytes < consumer->map->subbuf_bytes || (uintptr_t)buffer % 8)
		return -EINVAL;
	for (int i = 0; result == LOST_RACE && i < MAX_PEEK_TRIES; i++)
		result = peek_once(consumer, &consumer->readers[ring],
				   (char *)buffer, out);
	return result == LOST_RACE ? -EAGAIN : result;
}

/* ---- sleeping ---- */

/* What a wait looks for. */
struct outlook {
	uint64_t readable;
	int64_t deadline; /* of the stall that ends first */
	bool unfinished;
};

static void look_out(struct rondo_consumer *consumer, struct outlook *out)
{
	struct survey survey;

	memset(out, 0, sizeof(*out));
	out->deadline = NEVER;
	for (uint32_t i = 0; i < consumer->map->ring_count; i++) {
		struct reader *reader = &consumer->readers[i];

		look(consumer, reader, &survey);
		out->readable += survey.readable;
		out->unfinished |= survey.unfinished;
		if (reader->deadline < out->deadline)
			out->deadline = reader->deadline;
	}
}

static void say_sleeping(struct rondo_wait *wait, uint32_t how)
{
	uint32_t old;

	do
		old = rondo_load_relaxed(&wait->sleeping);
	/* pairs(asleep) release: who wakes us finds the descriptor. */
	while (!rondo_cas32(&wait->sleeping, old, old | how));
	RONDO_TESTPOINT(RONDO_AT_SLEEP);
	/* pairs(asleep) full: who sleeps, before the look at what is there;
	 * who delivers does it the other way round. */
	rondo_fence();
}

static void say_awake(struct rondo_wait *wait)
{
	uint32_t old;

	do
		old = rondo_load_relaxed(&wait->sleeping);
	/* pairs(asleep) release: as good as relaxed; nothing hangs on it. */
	while ((old & RONDO_SLEEP_FUTEX) &&
	       !rondo_cas32(&wait->sleeping, old, old & ~RONDO_SLEEP_FUTEX));
}

/* Closes what has been idle for flush_ms. True: that time has passed. */
static bool flush_idle(struct rondo_consumer *consumer, int64_t now)
{
	const struct rondo_map *map = consumer->map;
	const bool first = consumer->flush_at == NEVER;

	if (!map->flush_ms || (!first && now < consumer->flush_at))
		return false;
	consumer->flush_at = now + map->flush_ms * NS_IN_MS;
	for (uint32_t i = 0; i < map->ring_count; i++) {
		struct reader *reader = &consumer->readers[i];
		uint64_t *delivered = &reader->ring->delivered;

		/* A living process's producers cannot be fenced from here. */
		if (!first &&
		    rondo_load_relaxed(delivered) == reader->delivered &&
		    (!consumer->control->attached || consumer->orphaned))
			(void)rondo_ring_flush(consumer->control, i);
		reader->delivered = rondo_load_relaxed(delivered);
	}
	return !first;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Once, so that whoever waits for ever learns it, and does not spin. */
static bool tell_over(struct rondo_consumer *consumer, bool over)
{
	bool news = over && !consumer->told_over;

	consumer->told_over = over;
	return news;
}

/* 1 ready, 0 not, or -EAGAIN: sleep on, until *out_until. */
static int decide(struct rondo_consumer *consumer, uint64_t wanted, int64_t end,
		  int64_t *out_until)
{
	struct outlook outlook;
	bool over = is_over(consumer);
	int64_t now;

	look_out(consumer, &outlook);
	now = rondo_os_monotonic_ns();
	if (outlook.readable >= wanted || now >= outlook.deadline ||
	    (over && outlook.readable) ||
	    tell_over(consumer, over && !outlook.unfinished))
		return 1;
	if (now >= end)
		return outlook.readable != 0;
	*out_until = earlier(end, outlook.deadline);
	if (consumer->flush_at != NEVER)
		*out_until = earlier(*out_until, consumer->flush_at);
	if (consumer->control->attached && !consumer->orphaned)
		*out_until = earlier(*out_until, now + LIVENESS_NS);
	return -EAGAIN;
}

/* Until woken or the time until has come. 0 or -EINTR. */
static int sleep_until(struct rondo_consumer *consumer, uint32_t generation,
		       int64_t until)
{
	int64_t left = until == NEVER ? -1 : until - rondo_os_monotonic_ns();
	int result;

	if (until != NEVER && left <= 0)
		return 0;
	result = rondo_os_futex_wait(&consumer->map->wait->generation,
				     generation, left);
	if (result == -ETIMEDOUT && consumer->control->attached &&
	    !creator_lives(consumer))
		consumer->orphaned = true;
	return result == -EINTR ? -EINTR : 0;
}

int rondo_consumer_wait(struct rondo_consumer *consumer, int64_t timeout_ns)
{
	struct rondo_wait *wait = consumer->map->wait;
	uint64_t wanted = consumer->map->wake_subbufs;
	int64_t now = rondo_os_monotonic_ns();
	int64_t end = NEVER, until = NEVER;
	int result;

	if (timeout_ns >= 0 && timeout_ns < NEVER - now)
		end = now + timeout_ns;
	do {
		/* pairs(asleep) acquire: a wake after this ends the sleep. */
		uint32_t generation = rondo_load_acquire(&wait->generation);

		if (flush_idle(consumer, rondo_os_monotonic_ns()))
			wanted = 1;
		if (timeout_ns)
			say_sleeping(wait, RONDO_SLEEP_FUTEX);
		/* pairs(woken) acquire: after the generation. */
		if (rondo_exchange(&consumer->woken, 0u)) {
			result = 0;
			break;
		}
		result = decide(consumer, wanted, end, &until);
		if (result == -EAGAIN)
			result = sleep_until(consumer, generation, until) ?:
					 -EAGAIN;
	} while (result == -EAGAIN);
	if (timeout_ns)
		say_awake(wait);
	return result;
}

void rondo_consumer_wake(struct rondo_consumer *consumer)
{
	uint32_t *generation = &consumer->map->wait->generation;

	/* pairs(woken) release: before the generation, which ends the sleep. */
	(void)rondo_exchange(&consumer->woken, 1u);
	rondo_add_relaxed(generation, 1);
	(void)rondo_os_futex_wake(generation, 1);
}

int rondo_consumer_fd(struct rondo_consumer *consumer)
{
	struct rondo_control *control = consumer->control;
	int fd = rondo_load_relaxed(&control->event_fd);

	if (control->attached)
		return -EOPNOTSUPP;
	if (fd >= 0)
		return fd;
	fd = rondo_os_eventfd();
	if (fd >= 0)
		rondo_store_relaxed(&control->event_fd, fd);
	return fd;
}

int rondo_consumer_arm(struct rondo_consumer *consumer)
{
	const uint64_t one = 1;
	struct outlook outlook;
	uint64_t drained;
	int fd = rondo_consumer_fd(consumer);

	if (fd < 0)
		return fd;
	(void)rondo_os_read(fd, &drained, sizeof(drained));
	say_sleeping(consumer->map->wait, RONDO_SLEEP_POLL);
	look_out(consumer, &outlook);
	if (outlook.readable >= consumer->map->wake_subbufs)
		(void)rondo_os_write(fd, &one, sizeof(one));
	return 0;
}

/* ---- splicing ---- */

/* All bytes, from an offset of a file or, where that is negative, a pipe. */
static int64_t splice_all(int from, int64_t offset, int to, uint64_t bytes)
{
	uint64_t done = 0;

	while (done < bytes) {
		int64_t moved = rondo_os_splice(
			from, offset < 0 ? NULL : &offset, to, bytes - done);

		if (moved == -EINTR)
			continue;
		if (moved < 0)
			return moved;
		if (moved == 0)
			return -EIO;
		done += (uint64_t)moved;
	}
	return (int64_t)done;
}

/* Bytes that an error left in our pipe must not come out with the next view. */
static void close_pipe(struct rondo_consumer *consumer)
{
	for (unsigned i = 0; i < 2; i++) {
		(void)rondo_os_close(consumer->pipe[i]);
		consumer->pipe[i] = -1;
	}
}

static int64_t splice_to_file(struct rondo_consumer *consumer,
			      const struct rondo_view *view, int fd)
{
	int64_t offset = (int64_t)view->offset;
	uint64_t done = 0;

	if (consumer->pipe[0] < 0) {
		int result = rondo_os_pipe(consumer->pipe);

		if (result < 0) {
			consumer->pipe[0] = consumer->pipe[1] = -1;
			return result;
		}
	}
	while (done < view->bytes) {
		int64_t moved = rondo_os_splice(consumer->control->fd, &offset,
						consumer->pipe[1],
						view->bytes - done);

		if (moved == -EINTR)
			continue;
		if (moved > 0)
			done += (uint64_t)moved;
		if (moved > 0)
			moved = splice_all(consumer->pipe[0], -1, fd,
					   (uint64_t)moved);
		else if (moved == 0)
			moved = -EIO;
		if (moved < 0) {
			close_pipe(consumer);
			return moved;
		}
	}
	return (int64_t)done;
}

int64_t rondo_consumer_splice(struct rondo_consumer *consumer,
			      const struct rondo_view *view, int fd)
{
	if (view->offset == UINT64_MAX)
		return -EINVAL;
	if (rondo_os_is_pipe(fd))
		return splice_all(consumer->control->fd, (int64_t)view->offset,
				  fd, view->bytes);
	return splice_to_file(consumer, view, fd);
}

/* ---- walking a view ---- */

int rondo_view_next(const struct rondo_view *view, struct rondo_item *item)
{
	const uint64_t end = rondo_align(view->content, 8);
	struct rondo_found found;
	struct rondo_walk walk;
	int result;

	rondo_walk_begin(&walk, view->data,
			 end < view->bytes ? end : view->bytes,
			 (uint32_t)view->header_bytes_, view->time_begin);
	walk.end_time = view->time_end;
	if (item->next_) {
		walk.offset = item->next_;
		walk.previous_time = item->reserved_[0];
	}
	while ((result = rondo_walk_next(&walk, &found)) > 0) {
		if (found.gap || found.open) {
			item->skipped += found.next - found.offset;
			continue;
		}
		item->time = found.time;
		item->data = view->data + found.payload;
		item->bytes = found.bytes;
		item->id = found.id;
		break;
	}
	item->skipped += walk.skipped;
	item->next_ = walk.offset;
	item->reserved_[0] = walk.previous_time;
	return result;
}
