/* SPDX-License-Identifier: MIT */
/*
 * What agents do. A script is a word; each letter is one operation:
 *
 *   w  write a record           2  two, open at once, the first committed last
 *   d  reserve and discard      s  reserve and shrink
 *   q  write and squash         a  write, aligned to 64
 *   b  one that is too big      m  write one of 16 bytes
 *   o  reserve, and leave it open
 *   f  flush                    F  flush it as another process does
 *   t  take, verify, release    h  take, verify, hold until the script ends
 *   u  take, when patience with stalled ones is at an end
 *   p  peek                     S  flush, then take what is there
 *   c  read what was refused
 */
#include "explore.h"

#include <errno.h>
#include <string.h>

#include "ring.h"

#define SMALL 16u

/* What a script keeps: on its agent's stack. */
struct actor {
	unsigned agent;
	struct ring_reader from;
	struct rondo_view held;
};

/* ---- producers ---- */

static int reserve(const struct actor *actor, uint32_t bytes, uint32_t align,
		   struct rondo_record *out)
{
	struct agent_words *me = &own->agents[actor->agent];
	const unsigned record = (unsigned)me->made;
	int result;

	if (record == RECORDS_MAX)
		violate("the ledger is full");
	set_own(&me->made, record + 1);
	ledger_set(actor->agent, record, RECORD_RESERVING);
	if (planted == PLANT_CLOCK) {
		set_own(&own->clock, own->clock + 1);
		set_own(&me->now_ns, own->clock);
	}
	result = align ? rondo_reserve_aligned(&world->handle, EVENT_ID, bytes,
					       align, out) :
			 rondo_reserve(&world->handle, EVENT_ID, bytes, out);
	if (result) {
		ledger_refused(actor->agent, record, result, bytes);
		return -1;
	}
	ledger_opened(actor->agent, record, out);
	ledger_payload(actor->agent, record, out->data, bytes);
	return (int)record;
}

static void commit(const struct actor *actor, int record,
		   struct rondo_record *handle)
{
	if (record < 0)
		return;
	ledger_set(actor->agent, (unsigned)record, RECORD_COMMITTING);
	(void)rondo_commit(handle);
	ledger_set(actor->agent, (unsigned)record, RECORD_COMMITTED);
}

static __attribute__((noinline)) void
write_record(const struct actor *actor, uint32_t bytes, uint32_t align)
{
	struct rondo_record handle;
	int record = reserve(actor, bytes, align, &handle);

	commit(actor, record, &handle);
}

static __attribute__((noinline)) void write_two(const struct actor *actor)
{
	struct rondo_record first, second;
	int one = reserve(actor, scenario->bytes, 0, &first);
	int two = reserve(actor, scenario->bytes, 0, &second);

	commit(actor, two, &second);
	commit(actor, one, &first);
}

static __attribute__((noinline)) void discard(const struct actor *actor)
{
	struct rondo_record handle;
	int record = reserve(actor, scenario->bytes, 0, &handle);

	if (record < 0)
		return;
	ledger_set(actor->agent, (unsigned)record, RECORD_DISCARDING);
	(void)rondo_discard(&handle);
	ledger_set(actor->agent, (unsigned)record, RECORD_DISCARDED);
	set_own(&own->discarded, own->discarded + 1);
}

static __attribute__((noinline)) void shrink(const struct actor *actor)
{
	struct rondo_record handle;
	int record = reserve(actor, scenario->bytes, 0, &handle);

	if (record < 0)
		return;
	ledger_set(actor->agent, (unsigned)record, RECORD_COMMITTING);
	(void)rondo_commit_len(&handle, SMALL);
	ledger_set(actor->agent, (unsigned)record, RECORD_COMMITTED);
}

static __attribute__((noinline)) void squash(const struct actor *actor)
{
	struct rondo_record handle;
	int record = reserve(actor, scenario->bytes, 0, &handle);
	int result;

	if (record < 0)
		return;
	commit(actor, record, &handle);
	ledger_set(actor->agent, (unsigned)record, RECORD_SQUASHING);
	result = rondo_squash(&world->handle, rondo_mark(&handle));
	ledger_set(actor->agent, (unsigned)record,
		   result ? RECORD_COMMITTED : RECORD_SQUASHED);
	if (!result)
		set_own(&own->squashed, own->squashed + 1);
}

static __attribute__((noinline)) void leave_open(const struct actor *actor)
{
	struct rondo_record handle;

	(void)reserve(actor, scenario->bytes, 0, &handle);
}

/* ---- who consumes ---- */

static void begin_reading(struct actor *actor)
{
	const bool was = raw;

	raw = true;
	ledger_read_ring(&actor->from, &world->control.map, scenario->ring);
	raw = was;
}

static void give_back(struct actor *actor)
{
	if (actor->held.data &&
	    rondo_reader_release(&actor->from.reader, &actor->held))
		violate("release fails");
	actor->held.data = NULL;
}

/* True: one was taken. */
static __attribute__((noinline)) bool take(struct actor *actor)
{
	struct ledger_before before;
	int result;

	if (actor->held.data)
		return false;
	ledger_before(&before);
	result = rondo_reader_take(&actor->from.reader, true, &actor->held);
	if (result == -EAGAIN || result == -ENODATA) {
		actor->held.data = NULL;
		return false;
	}
	if (result)
		violate("take says %d", result);
	ledger_view(&actor->held, &before);
	return true;
}

static void take_late(struct actor *actor)
{
	struct agent_words *me = &own->agents[actor->agent];

	if (take(actor)) {
		give_back(actor);
		return;
	}
	set_own(&me->now_ns, me->now_ns + UINT64_C(1000000000));
	if (take(actor))
		give_back(actor);
}

static __attribute__((noinline)) void peek(struct actor *actor)
{
	struct ledger_before before;
	struct rondo_view view;
	void *copy;

	if (explore_memalign(&copy, 8, SUBBUF_BYTES))
		violate("no memory for a peek");
	ledger_before(&before);
	if (rondo_reader_peek(&actor->from.reader, copy, &view) == 0)
		ledger_view(&view, &before);
	memset(copy, 0, SUBBUF_BYTES);
	explore_free(copy);
}

static void snapshot(struct actor *actor)
{
	if (rondo_ring_flush(&world->control, scenario->ring) < 0)
		violate("a flush fails");
	while (take(actor))
		give_back(actor);
}

/* Counted together, as long as one at most is refused meanwhile. */
static void read_counts(void)
{
	const struct rondo_ring *ring =
		rondo_map_ring(&world->control.map, scenario->ring);
	uint64_t count, bytes;

	rondo_ring_counted(ring, RONDO_REFUSED_FULL, &count, &bytes);
	if (bytes != count * scenario->bytes)
		violate("I-count: %u records refused of %u bytes",
			(unsigned)count, (unsigned)bytes);
}

/* ---- scripts ---- */

static void record_letter(struct actor *actor, char letter)
{
	switch (letter) {
	case 'w':
		write_record(actor, scenario->bytes, 0);
		break;
	case 'a':
		write_record(actor, scenario->bytes, 64);
		break;
	case 'm':
		write_record(actor, SMALL, 0);
		break;
	case 'b':
		write_record(actor, world->handle.record_max + 8, 0);
		break;
	case '2':
		write_two(actor);
		break;
	case 'd':
		discard(actor);
		break;
	case 's':
		shrink(actor);
		break;
	case 'q':
		squash(actor);
		break;
	case 'o':
		leave_open(actor);
		break;
	default:
		violate("no such letter: %c", letter);
	}
}

static void one_letter(struct actor *actor, char letter)
{
	switch (letter) {
	case 'f':
		if (rondo_ring_flush(&world->control, scenario->ring) < 0)
			violate("a flush fails");
		break;
	case 'F':
		(void)rondo_ring_flush(&world->foreign, scenario->ring);
		break;
	case 't':
		if (take(actor))
			give_back(actor);
		break;
	case 'h':
		(void)take(actor);
		break;
	case 'u':
		take_late(actor);
		break;
	case 'p':
		peek(actor);
		break;
	case 'S':
		snapshot(actor);
		break;
	case 'c':
		read_counts();
		break;
	default:
		record_letter(actor, letter);
	}
}

static void play(unsigned agent, const char *script)
{
	struct agent_words *me = &own->agents[agent];
	struct actor actor = {.agent = agent};

	if (strpbrk(script, "thupS"))
		begin_reading(&actor);
	for (const char *letter = script; *letter; letter++) {
		/* Laps of before the start are not of one moment. */
		if (agent == AGENT_SETUP)
			set_own(&own->clock_reader, NOBODY);
		set_own(&me->aborts, 0);
		one_letter(&actor, *letter);
		set_own(&me->operations, me->operations + 1);
	}
	give_back(&actor);
}

void script_agent(unsigned agent)
{
	play(agent, scenario->agents[agent].script);
}

void script_setup(const char *script)
{
	running = AGENT_SETUP;
	raw = true;
	play(AGENT_SETUP, script);
	raw = false;
	running = NOBODY;
}
