/* SPDX-License-Identifier: MIT */
/*
 * The ledger: what was asked for, what became of it, and the invariants of
 * docs/design.md, checked where they would break: at the store, at the change
 * of a slot, at the view, and when all is quiet.
 */
#include "explore.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ring.h"
#include "walk.h"

#define NUMBER_DELIVERED 0x1u
#define NUMBER_TAKEN 0x2u
#define NUMBER_OVERWRITTEN 0x4u
#define NUMBER_COPIED 0x8u
#define NUMBER_IN_HAND 0x10u /* taken by who does not go on */

/* A record's word: state | times delivered << 8 | ring << 16 | number << 32 */
#define RECORD_STATE(word) ((enum record_state)((word)&0xff))
#define RECORD_DELIVERED UINT64_C(0x100)
#define RECORD_COPIED UINT64_C(0x200)
#define RECORD_RING(word) ((unsigned)((word) >> 16) & 0xff)
#define RECORD_NUMBER(word) ((word) >> 32)

/* The part of a number that a head tells. */
#define TOLD(number) \
	((number) & ((UINT64_C(1) << (RONDO_POSITION_BITS - 12)) - 1))

bool violated;
char violation[256];

/* ---- numbers ---- */

static struct number_words *number_words(unsigned ring, uint64_t number)
{
	return &own->numbers[ring][number % NUMBERS_MAX];
}

static void flag(unsigned ring, uint64_t number, uint64_t flags)
{
	struct number_words *words = number_words(ring, number);

	set_own(&words->flags, words->flags | flags);
}

static uint64_t flags_of(unsigned ring, uint64_t number)
{
	return number_words(ring, number)->flags;
}

/* ---- records ---- */

static uint64_t *record_word(unsigned agent, unsigned record)
{
	return &own->agents[agent].records[record];
}

void ledger_set(unsigned agent, unsigned record, enum record_state state)
{
	uint64_t *word = record_word(agent, record);

	set_own(word, (*word & ~UINT64_C(0xff)) | state);
}

void ledger_opened(unsigned agent, unsigned record,
		   const struct rondo_record *handle)
{
	const uint64_t number =
		rondo_head_number(handle->head, world->control.map.order);
	const unsigned ring = handle->ring_id;

	set_own(record_word(agent, record), RECORD_OPEN | (uint64_t)ring << 16 |
						    (number & UINT32_MAX)
							    << 32);
	if (flags_of(ring, number) & (NUMBER_DELIVERED | NUMBER_OVERWRITTEN))
		violate("I-once: %u was delivered before its record was open",
			(unsigned)number);
}

void ledger_refused(unsigned agent, unsigned record, int why, uint32_t bytes)
{
	unsigned cause;

	ledger_set(agent, record, RECORD_REFUSED);
	switch (-why) {
	case ENOBUFS:
		cause = RONDO_REFUSED_FULL;
		break;
	case EBUSY:
		cause = RONDO_REFUSED_STALLED;
		break;
	case EMSGSIZE:
		cause = RONDO_REFUSED_BIG;
		break;
	default:
		violate("reserve says %d", why);
	}
	if (cause != RONDO_REFUSED_BIG && !(scenario->flags & SCENARIO_REFUSES))
		violate("a record is refused (%d) although there is room", why);
	set_own(&own->refused[cause], own->refused[cause] + 1);
	set_own(&own->refused_bytes[cause], own->refused_bytes[cause] + bytes);
}

/* Neither this nor its complement passes for a header with a possible time. */
static uint64_t payload_word(unsigned agent, unsigned record)
{
	return UINT64_C(0x5ea100aa00000000) | agent << 8 | record;
}

static uint64_t check_word(uint64_t word)
{
	return (word ^ UINT64_C(0x1234567890abcdef)) *
	       UINT64_C(0x9e3779b97f4a7c15);
}

void ledger_payload(unsigned agent, unsigned record, uint64_t *at,
		    uint32_t bytes)
{
	uint64_t word = payload_word(agent, record);

	if (bytes < 16)
		return;
	memory_fill(&at[0], word);
	memory_fill(&at[1], check_word(word));
	if (bytes >= 24)
		memory_fill(&at[bytes / 8 - 1], ~word);
}

/* ---- slots: I-once, I-pages, I-ready ---- */

static void check_open_records(unsigned ring, uint64_t number)
{
	for (unsigned agent = 0; agent < AGENTS_MAX; agent++) {
		for (uint64_t i = 0; i < own->agents[agent].made; i++) {
			uint64_t word = *record_word(agent, (unsigned)i);

			if (RECORD_STATE(word) == RECORD_OPEN &&
			    RECORD_RING(word) == ring &&
			    RECORD_NUMBER(word) == TOLD(number))
				violate("I-once: %u is delivered with record "
					"%u of agent %u open",
					(unsigned)number, (unsigned)i, agent);
		}
	}
}

/* As everybody sees it, not only who delivers. */
static uint64_t counted_delivered(void)
{
	uint64_t counted = 0;

	for (uint32_t i = 0; i < RINGS; i++) {
		const struct rondo_ring *ring =
			rondo_map_ring(&world->control.map, i);

		counted += ring->tally[RONDO_COUNT_DELIVERED].count +
			   ring->aside[RONDO_COUNT_DELIVERED];
	}
	return counted;
}

static void slot_delivered(unsigned ring, uint64_t number)
{
	if (flags_of(ring, number) & NUMBER_DELIVERED)
		violate("I-once: %u is delivered twice", (unsigned)number);
	check_open_records(ring, number);
	flag(ring, number, NUMBER_DELIVERED);
	set_own(&own->delivered, own->delivered + 1);
	if (counted_delivered() < own->delivered)
		violate("I-ready: %u is delivered and not counted",
			(unsigned)number);
}

static void slot_taken(unsigned ring, uint64_t before, uint64_t now)
{
	const uint64_t loans = own->loans[ring];
	const uint64_t given = UINT64_C(1) << rondo_slot_pages(now);
	const uint64_t taken = UINT64_C(1) << rondo_slot_pages(before);

	flag(ring, rondo_slot_number(before), NUMBER_TAKEN);
	if (given == taken) {
		if (!(flags_of(ring, rondo_slot_number(before)) &
		      NUMBER_COPIED))
			violate("I-pages: taken, and left in its slot");
		return;
	}
	if (!(loans & given))
		violate("I-pages: page set %u is put into a second slot",
			rondo_slot_pages(now));
	set_own(&own->loans[ring], (loans & ~given) | taken);
}

static void slot_claimed(unsigned ring, uint64_t before, uint64_t now)
{
	if (rondo_number_distance(rondo_slot_number(now),
				  rondo_slot_number(before),
				  RONDO_NUMBER_BITS) <= 0)
		violate("a slot is claimed for an older number");
	if (rondo_slot_state(before) != RONDO_SLOT_READABLE)
		return;
	if (!(scenario->flags & SCENARIO_OVERWRITE))
		violate("a READABLE sub-buffer is overwritten in discard mode");
	flag(ring, rondo_slot_number(before), NUMBER_OVERWRITTEN);
	set_own(&own->overwritten, own->overwritten + 1);
}

static void slot_changed(unsigned ring, uint64_t before, uint64_t now)
{
	const bool same_number = rondo_slot_number(before) ==
				 rondo_slot_number(now);
	const bool same_pages = rondo_slot_pages(before) ==
				rondo_slot_pages(now);
	const unsigned from = rondo_slot_state(before);
	const unsigned to = rondo_slot_state(now);

	if (from == RONDO_SLOT_READABLE && to == RONDO_SLOT_EMPTY &&
	    same_number)
		slot_taken(ring, before, now);
	else if (!same_pages)
		violate("I-pages: a slot's page set changes without a take");
	else if (from == RONDO_SLOT_CLAIMED && to == RONDO_SLOT_OPEN &&
		 same_number)
		return;
	else if (from == RONDO_SLOT_OPEN && to == RONDO_SLOT_READABLE &&
		 same_number)
		slot_delivered(ring, rondo_slot_number(now));
	else if (from != RONDO_SLOT_OPEN && to == RONDO_SLOT_CLAIMED)
		slot_claimed(ring, before, now);
	else
		violate("a slot goes from state %u to %u", from, to);
}

/* ---- stores: I-own ---- */

static uint64_t slot_with(unsigned ring, uint32_t pages)
{
	for (uint32_t k = 0; k < SUBBUF_COUNT; k++) {
		uint64_t slot = *rondo_map_slot(&world->control.map, ring, k);

		if (rondo_slot_pages(slot) == pages)
			return slot;
	}
	return 0;
}

static bool is_consumer(unsigned agent)
{
	const char *script =
		agent < AGENT_SETUP ? scenario->agents[agent].script : NULL;

	return agent == AGENT_SETUP || agent == NOBODY ||
	       (script && strpbrk(script, "tThSu"));
}

static void pages_stored(unsigned ring, uint32_t pages, unsigned agent)
{
	uint64_t slot = slot_with(ring, pages);

	if (own->loans[ring] >> pages & 1) {
		if (!is_consumer(agent))
			violate("I-own: agent %u stores into page set %u, "
				"which is in no slot",
				agent, pages);
	} else if (rondo_slot_state(slot) != RONDO_SLOT_CLAIMED &&
		   rondo_slot_state(slot) != RONDO_SLOT_OPEN) {
		violate("I-own: agent %u stores into page set %u, whose slot "
			"is in state %u",
			agent, pages, rondo_slot_state(slot));
	}
}

void ledger_word_changed(uint64_t *word, uint64_t before, uint64_t now,
			 unsigned agent)
{
	const uintptr_t offset = (uintptr_t)word - (uintptr_t)world;
	uintptr_t at = offset - offsetof(struct world_words, rings_begin);
	unsigned ring;
	uint32_t pages;

	if (agent == NOBODY)
		return;
	if (at < RINGS * 4096) {
		if (at % 4096 >= 1024 && at % 4096 < 1024 + 8 * SUBBUF_COUNT &&
		    before != now)
			slot_changed((unsigned)(at / 4096), before, now);
		return;
	}
	if (memory_pages(word, &ring, &pages))
		pages_stored(ring, pages, agent);
}

/* ---- views: nothing torn, nothing invented, nothing missing ---- */

void ledger_before(struct ledger_before *out)
{
	memset(out, 0, sizeof(*out));
	/* What a CPU still holds back nobody needs to see. */
	for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++)
		if (own->cpus[cpu].count)
			return;
	for (unsigned agent = 0; agent < AGENTS_MAX; agent++) {
		for (unsigned i = 0; i < own->agents[agent].made; i++) {
			enum record_state state =
				RECORD_STATE(*record_word(agent, i));

			if (state == RECORD_COMMITTED)
				out->committed[agent] |= (uint8_t)(1u << i);
			if (state == RECORD_SQUASHED ||
			    state == RECORD_DISCARDED)
				out->gone[agent] |= (uint8_t)(1u << i);
		}
	}
}

/* What was taken back may come back in what a killed process left of an atomic
 * ring: docs/design.md, limits. */
static bool may_come_back(uint64_t word)
{
	return (scenario->flags & SCENARIO_CRASH) && running == AGENT_SETUP &&
	       ((scenario->flags & SCENARIO_ATOMIC) ||
		RECORD_RING(word) == RING_EXTRA);
}

/* before: of a copy, which may tell what has been taken back since. */
static void check_state(uint64_t word, unsigned agent, unsigned record,
			const struct ledger_before *before)
{
	switch (RECORD_STATE(word)) {
	case RECORD_COMMITTING:
	case RECORD_COMMITTED:
	case RECORD_SQUASHING:
		return;
	case RECORD_SQUASHED:
		if (before && (!(before->gone[agent] >> record & 1) ||
			       may_come_back(word)))
			return;
		break;
	default:
		break;
	}
	violate("record %u of agent %u is delivered in state %u", record, agent,
		(unsigned)RECORD_STATE(word));
}

/* The last whole word is filled, and what no field fills is zero. */
static void check_payload_end(const uint64_t *at, uint32_t found_bytes,
			      unsigned record, unsigned agent)
{
	const uint32_t bytes = scenario->bytes;

	if (found_bytes != bytes && found_bytes != rondo_align(bytes, 8))
		return;
	if (memory_peek(at + bytes / 8 - 1) != ~memory_peek(at) ||
	    (bytes % 8 && memory_peek(at + bytes / 8)))
		violate("torn: the end of record %u of agent %u", record,
			agent);
}

/* The ledger's word of a record that was found. */
static uint64_t *find_record(const struct rondo_view *view,
			     const struct rondo_found *found,
			     const struct ledger_before *before)
{
	const uint64_t *at =
		(const uint64_t *)(const void *)(view->data + found->payload);
	uint64_t first = memory_peek(at);
	unsigned agent = (unsigned)(first >> 8) & 0xff;
	unsigned record = (unsigned)first & 0xff;
	uint64_t *word;

	if (found->id != EVENT_ID || found->bytes < 16 || agent >= AGENTS_MAX ||
	    record >= own->agents[agent].made ||
	    first != payload_word(agent, record) ||
	    memory_peek(at + 1) != check_word(first))
		violate("torn: a record at %u of number %u is nobody's",
			(unsigned)found->offset, (unsigned)view->number);
	word = record_word(agent, record);
	if (RECORD_NUMBER(*word) != TOLD(view->number) ||
	    RECORD_RING(*word) != view->ring)
		violate("record %u of agent %u is found in another sub-buffer",
			record, agent);
	check_payload_end(at, found->bytes, record, agent);
	check_state(*word, agent, record, before);
	return word;
}

static void note_found(const struct rondo_view *view, uint64_t *word)
{
	if (view->flags & RONDO_VIEW_PEEKED)
		return;
	if (*word & (RECORD_DELIVERED | RECORD_COPIED))
		violate("I-once: a record is delivered twice");
	set_own(word,
		*word | (view->flags & RONDO_VIEW_STALLED ? RECORD_COPIED :
							    RECORD_DELIVERED));
}

/* Content ends where the last field does. */
static void check_content(const struct rondo_view *view,
			  const struct rondo_found *last)
{
	if (last->gap ? view->content != last->next :
			rondo_align(view->content, view->header_bytes_) !=
				rondo_align(last->next, view->header_bytes_))
		violate("I-alone: content ends at %u, the last record at %u",
			(unsigned)view->content, (unsigned)last->next);
}

static void walk_view(const struct rondo_view *view,
		      const struct ledger_before *before,
		      uint8_t *found_records)
{
	uint64_t end = rondo_align(view->content, 8), last = view->time_begin;
	struct rondo_found found = {.next = RONDO_PACKET_BYTES};
	struct rondo_walk walk;
	int result;

	rondo_walk_begin(&walk, view->data, end, view->header_bytes_,
			 view->time_begin);
	while ((result = rondo_walk_next(&walk, &found)) > 0) {
		if (found.time < last || found.time > view->time_end)
			violate("I-time: a record's time %u is not from %u to "
				"%u",
				(unsigned)found.time, (unsigned)last,
				(unsigned)view->time_end);
		last = found.time;
		if (found.open)
			violate("I-once: an open record is delivered");
		if (found.gap)
			continue;
		uint64_t *word = find_record(view, &found, before);
		unsigned index =
			(unsigned)((uintptr_t)word - (uintptr_t)own->agents) /
			(unsigned)sizeof(own->agents[0]);

		found_records[index] |=
			(uint8_t)(1u << (word - own->agents[index].records));
		note_found(view, word);
	}
	if (result < 0 || walk.skipped)
		violate("I-alone: a delivered sub-buffer does not parse");
	check_content(view, &found);
}

static void check_complete(const struct rondo_view *view, const uint8_t *found,
			   const struct ledger_before *before)
{
	for (unsigned agent = 0; agent < AGENTS_MAX; agent++) {
		for (unsigned i = 0; i < own->agents[agent].made; i++) {
			uint64_t word = *record_word(agent, i);
			bool must = RECORD_STATE(word) == RECORD_COMMITTED;

			if (before)
				must = must &&
				       (before->committed[agent] >> i & 1);
			if (must && RECORD_RING(word) == view->ring &&
			    RECORD_NUMBER(word) == TOLD(view->number) &&
			    !(found[agent] >> i & 1))
				violate("record %u of agent %u is missing from "
					"number %u",
					i, agent, (unsigned)view->number);
		}
	}
}

/* I-time between sub-buffers, whatever the order in which they came. */
static void check_times(const struct rondo_view *view)
{
	struct number_words *words = number_words(view->ring, view->number);

	if (view->flags & (RONDO_VIEW_STALLED | RONDO_VIEW_PEEKED))
		return;
	if (view->time_begin > view->time_end)
		violate("I-time: a packet ends before it begins");
	set_own(&words->begin, view->time_begin);
	set_own(&words->end, view->time_end);
	for (unsigned i = 0; i < NUMBERS_MAX; i++) {
		struct number_words *other = &own->numbers[view->ring][i];
		int distance = (int)((i - view->number) % NUMBERS_MAX);

		if (!other->end || !distance)
			continue;
		if (distance < (int)NUMBERS_MAX / 2 ?
			    other->begin < words->end :
			    other->end > words->begin)
			violate("I-time: packets %u and %u overlap",
				(unsigned)view->number, i);
	}
}

/* What stands in a copy behind something that was taken back may be hidden, in
 * atomic mode: docs/design.md, limits. */
static bool may_lack(const struct rondo_view *view)
{
	if (!(view->flags & (RONDO_VIEW_STALLED | RONDO_VIEW_PEEKED)))
		return false;
	for (unsigned i = 0; i < AGENT_SETUP; i++)
		if (scenario->agents[i].script &&
		    strpbrk(scenario->agents[i].script, "dsqQ"))
			return true;
	return false;
}

/* Only what the head has left is quarantined. */
static void check_left(const struct rondo_view *view)
{
	const struct rondo_map *map = &world->control.map;
	const uint64_t head = rondo_map_ring(map, view->ring)->head;

	if (rondo_head_number(head, map->order) == TOLD(view->number))
		violate("I-once: number %u is quarantined while it is open",
			(unsigned)view->number);
}

void ledger_view(const struct rondo_view *view,
		 const struct ledger_before *before)
{
	const bool was = raw;
	uint8_t found[AGENTS_MAX] = {0};
	const uint64_t flags = flags_of(view->ring, view->number);

	raw = true;
	if (!(view->flags & (RONDO_VIEW_STALLED | RONDO_VIEW_PEEKED)))
		before = NULL;
	if (view->flags & RONDO_VIEW_DAMAGED)
		violate("I-alone: a header made no sense");
	if (!(view->flags & (RONDO_VIEW_STALLED | RONDO_VIEW_PEEKED)) &&
	    !(flags & NUMBER_TAKEN))
		violate("I-once: what was taken was not delivered");
	if (view->flags & RONDO_VIEW_STALLED) {
		check_left(view);
		flag(view->ring, view->number, NUMBER_COPIED);
	}
	walk_view(view, before, found);
	if (!may_lack(view))
		check_complete(view, found, before);
	check_times(view);
	raw = was;
}

/* ---- in every state ---- */

/* I-pages: a page set is in one slot, or in none and the consumer's. */
void ledger_state(void)
{
	const struct rondo_map *map = &world->control.map;
	const uint64_t all = (UINT64_C(1) << rondo_map_page_sets(map)) - 1;

	for (uint32_t ring = 0; ring < RINGS; ring++) {
		uint64_t found = own->loans[ring];

		for (uint32_t k = 0; k < SUBBUF_COUNT; k++) {
			const uint64_t slot = *rondo_map_slot(map, ring, k);
			const uint64_t set = UINT64_C(1)
					     << rondo_slot_pages(slot);

			if (found & set)
				violate("I-pages: page set %u is in two places",
					rondo_slot_pages(slot));
			found |= set;
		}
		if (found != all)
			violate("I-pages: a page set of ring %u is nowhere",
				(unsigned)ring);
	}
}

/* ---- when all is quiet ---- */

static bool leaves_open(const char *script)
{
	return script && strchr(script, 'o');
}

/* Or left a record open, which is the same. */
static bool anybody_stopped(void)
{
	if (leaves_open(scenario->setup))
		return true;
	for (unsigned i = 0; i < AGENT_SETUP; i++)
		if (leaves_open(scenario->agents[i].script) ||
		    (scenario->agents[i].script &&
		     own->agents[i].state == AGENT_STOPPED))
			return true;
	return false;
}

/* What was taken by now goes with who took it, if that one is gone. */
static void note_in_hand(void)
{
	for (unsigned ring = 0; ring < RINGS; ring++)
		for (unsigned i = 0; i < NUMBERS_MAX; i++)
			if (flags_of(ring, i) & NUMBER_TAKEN)
				flag(ring, i, NUMBER_IN_HAND);
}

/* I-count */
static void check_record(unsigned agent, unsigned i)
{
	uint64_t word = *record_word(agent, i);
	uint64_t flags = flags_of(RECORD_RING(word), RECORD_NUMBER(word));

	switch (RECORD_STATE(word)) {
	case RECORD_COMMITTED:
		if (!(word & (RECORD_DELIVERED | RECORD_COPIED)) &&
		    !(flags &
		      (NUMBER_OVERWRITTEN | NUMBER_COPIED | NUMBER_IN_HAND)))
			violate("I-count: record %u of agent %u (number %u) "
				"is lost",
				i, agent, (unsigned)RECORD_NUMBER(word));
		break;
	case RECORD_DISCARDED:
	case RECORD_SQUASHED:
		if (word & RECORD_DELIVERED)
			violate("I-count: record %u of agent %u was taken "
				"back and delivered",
				i, agent);
		break;
	default:
		break;
	}
}

static void check_counts(void)
{
	uint64_t records[RONDO_CAUSES] = {0}, bytes[RONDO_CAUSES] = {0};
	uint64_t delivered = 0, overwritten = 0, discarded = 0, squashed = 0;
	struct rondo_stats stats;

	for (uint32_t i = 0; i < RINGS; i++) {
		rondo_ring_read_stats(&world->control, i, &stats);
		for (unsigned cause = 0; cause < RONDO_CAUSES; cause++) {
			records[cause] += stats.refused_records[cause];
			bytes[cause] += stats.refused_bytes[cause];
		}
		delivered += stats.delivered;
		overwritten += stats.overwritten;
		discarded += stats.discarded;
		squashed += stats.squashed;
	}
	for (unsigned cause = 0; cause < RONDO_CAUSES; cause++)
		if (records[cause] != own->refused[cause] ||
		    bytes[cause] != own->refused_bytes[cause])
			violate("I-count: refused %u, counted %u, cause %u",
				(unsigned)own->refused[cause],
				(unsigned)records[cause], cause);
	if (delivered != own->delivered)
		violate("I-count: %u delivered, %u counted",
			(unsigned)own->delivered, (unsigned)delivered);
	if (overwritten != own->overwritten)
		violate("I-count: %u overwritten, %u counted",
			(unsigned)own->overwritten, (unsigned)overwritten);
	if (discarded != own->discarded || squashed != own->squashed)
		violate("I-count: %u discarded, %u squashed, not as counted",
			(unsigned)discarded, (unsigned)squashed);
}

void ledger_read_ring(struct ring_reader *out, const struct rondo_map *map,
		      uint32_t ring)
{
	bool used[SUBBUF_COUNT + SPARES_MAX];

	memset(out, 0, sizeof(*out));
	out->reader.map = map;
	out->reader.loans = out->loans;
	out->reader.quarantine = out->quarantine;
	if (rondo_reader_adopt(&out->reader, ring, used))
		violate("I-pages: the slots make no sense");
}

/* Takes all there is, after its patience is at an end. */
static void take_all(struct rondo_control *control, uint32_t ring)
{
	struct ring_reader from;
	struct ledger_before before;
	struct rondo_view view;
	int result;

	ledger_read_ring(&from, &control->map, ring);
	ledger_before(&before);
	for (unsigned tries = 0; tries < 64; tries++) {
		result = rondo_reader_take(&from.reader, true, &view);
		if (result == -ENODATA)
			return;
		if (result == -EAGAIN) {
			if (tries > 32)
				return;
			set_own(&own->agents[running].now_ns,
				own->agents[running].now_ns + 1000000000);
			continue;
		}
		if (result)
			violate("take says %d", result);
		ledger_view(&view, &before);
		if (rondo_reader_release(&from.reader, &view))
			violate("release fails");
	}
	violate("I-progress: takes without an end");
}

static void peek_all(struct rondo_control *control, uint32_t ring)
{
	static uint64_t copy[SUBBUF_BYTES / 8];
	struct ring_reader from;
	struct ledger_before before;
	struct rondo_view view;

	ledger_read_ring(&from, &control->map, ring);
	ledger_before(&before);
	if (rondo_reader_peek(&from.reader, (char *)copy, &view) == 0) {
		flag(ring, view.number, NUMBER_COPIED);
		ledger_view(&view, &before);
	}
}

void ledger_final(void)
{
	const bool stopped = anybody_stopped();
	const char *why;

	running = AGENT_SETUP;
	raw = true;
	set_own(&own->agents[AGENT_SETUP].cpu, 0);
	if (stopped)
		note_in_hand();
	for (uint32_t i = 0; i < RINGS; i++) {
		/* A flusher that stopped may hold the lock: then by copy. */
		if (world->control.flush_lock)
			peek_all(&world->control, i);
		else if (rondo_ring_flush(&world->control, i) < 0)
			violate("the last flush fails");
		take_all(&world->control, i);
		if (!stopped && rondo_ring_check(&world->control, i, &why))
			violate("%s", why);
	}
	for (unsigned agent = 0; agent < AGENTS_MAX; agent++)
		for (unsigned i = 0; i < own->agents[agent].made; i++)
			check_record(agent, i);
	if (!stopped)
		check_counts();
	raw = false;
	running = NOBODY;
}

/* The process was killed; another one finds its memory. */
void ledger_crash(void)
{
	running = AGENT_SETUP;
	raw = true;
	note_in_hand();
	for (uint32_t i = 0; i < RINGS; i++) {
		(void)rondo_ring_flush(&world->foreign, i);
		take_all(&world->foreign, i);
	}
	for (unsigned agent = 0; agent < AGENTS_MAX; agent++)
		for (unsigned i = 0; i < own->agents[agent].made; i++)
			check_record(agent, i);
	raw = false;
	running = NOBODY;
}
