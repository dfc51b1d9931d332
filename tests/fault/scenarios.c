/* SPDX-License-Identifier: MIT */
/*
 * See scenarios.h. The exported functions are called here; the inlined ones are
 * those of inlined.h.
 */
#define RONDO_NO_INLINE 1

#include "scenarios.h"

#include <errno.h>
#include <string.h>

#include "inlined.h"
#include "support/test.h"

#define SMALL 24u
#define BIG 1600u

/* ---- records ---- */

static void expect(bool what, uint64_t a, uint64_t b)
{
	if (!what)
		violation(BAD_ERROR, a, b);
}

static void end_committed(struct entry *entry, int result)
{
	expect(result == 0, (uint64_t)-result, 2);
	entry->outcome = LANE_COMMITTED;
}

/* In the ledger, and left open. NULL: refused. */
static struct entry *open_one(uint32_t bytes)
{
	struct entry *entry = stage_entry(bytes);
	int result = inlined_reserve(stage->channel, stage->id, bytes,
				     &entry->record);

	return stage_reserved(entry, result) ? entry : NULL;
}

static struct entry *open_by_call(uint32_t bytes)
{
	struct entry *entry = stage_entry(bytes);
	int result = rondo_reserve_call(stage->channel, stage->id, bytes,
					&entry->record);

	return stage_reserved(entry, result) ? entry : NULL;
}

static bool is_open(const struct entry *entry)
{
	return entry && entry->outcome == LANE_NOTHING;
}

static void commit_one(struct entry *entry)
{
	if (is_open(entry))
		end_committed(entry, inlined_commit(&entry->record));
}

static void commit_by_call(struct entry *entry)
{
	if (is_open(entry))
		end_committed(entry, rondo_commit_call(entry->record.channel,
						       entry->record.data,
						       entry->record.head,
						       entry->record.ring_id,
						       entry->record.event_id));
}

static void discard_one(struct entry *entry)
{
	if (!is_open(entry))
		return;
	expect(rondo_discard(&entry->record) == 0, 3, 0);
	entry->outcome = LANE_DISCARDED;
	stage->discarded++;
}

static void shrink_one(struct entry *entry, uint32_t used)
{
	if (!is_open(entry))
		return;
	stage_fill(entry, used);
	end_committed(entry, rondo_commit_len(&entry->record, used));
}

static void squash_one(struct entry *entry)
{
	int result;

	if (!entry || entry->outcome != LANE_COMMITTED)
		return;
	result = rondo_squash(stage->channel, rondo_mark(&entry->record));
	if (result == 0) {
		entry->outcome = LANE_SQUASHED;
		stage->squashed++;
	} else {
		expect(result == -EBUSY || result == -ESTALE, (uint64_t)-result,
		       4);
	}
}

bool put(uint32_t bytes)
{
	struct entry *entry = open_one(bytes);

	commit_one(entry);
	return entry != NULL;
}

/* Until exactly so much room for a payload is left in what is open. */
static void leave_room(uint32_t room)
{
	const uint32_t header = stage->map->header_bytes;
	const uint64_t end = stage->map->subbuf_bytes - RONDO_TAIL_BYTES;

	if (!stage_offset())
		put(SMALL - 8 + header);
	while (end - stage_offset() > header + room) {
		uint64_t more = end - stage_offset() - header - room;

		if (more > BIG + 2 * (header + SMALL))
			more = BIG + header;
		put((uint32_t)more - header);
	}
}

/* So many sub-buffers, with a record each, delivered. */
static void deliver(int sub_buffers)
{
	while (sub_buffers-- > 0) {
		put(SMALL);
		expect(rondo_channel_flush(stage->channel) == 1, 5, 0);
	}
}

static void set_mode(unsigned mode)
{
	uint64_t head = rondo_head_bump(stage_head());

	rondo_store_relaxed(&stage->ring->head,
			    rondo_head_with_mode(head, mode));
}

/* ---- what is played ---- */

static struct entry *early, *second;
static struct entry *held[256];
static uint32_t held_count;

static void hold(uint32_t count, uint32_t bytes)
{
	for (held_count = 0; held_count < count; held_count++)
		held[held_count] = open_one(bytes);
}

static void commit_held(void)
{
	for (uint32_t i = 0; i < held_count; i++)
		commit_one(held[i]);
}

static void discard_held(void)
{
	for (uint32_t i = 0; i < held_count; i++)
		discard_one(held[i]);
}

static void play_nothing(void)
{
}

static void put_small(void)
{
	put(SMALL);
}

static void put_odd(void)
{
	put(SMALL + 3);
}

static void call_small(void)
{
	commit_by_call(open_by_call(SMALL + 3));
}

static void exported_small(void)
{
	struct entry *entry = stage_entry(SMALL);

	if (stage_reserved(entry, rondo_reserve(stage->channel, stage->id,
						SMALL, &entry->record)))
		end_committed(entry, rondo_commit(&entry->record));
}

/* Writes tell no handle: where such a record is is not known. */
static void written(struct entry *entry, int result)
{
	entry->number = STAGE_ANYWHERE;
	if (result == 0)
		entry->outcome = LANE_COMMITTED;
	else
		(void)stage_reserved(entry, result);
}

static void write_in_pieces(int (*writev)(struct rondo_channel *, uint16_t,
					  const struct iovec *, int))
{
	struct entry *entry = stage_entry(60);
	char payload[64];
	struct iovec pieces[4] = {{payload, 12},
				  {payload + 12, 0},
				  {payload + 12, 40},
				  {payload + 52, 8}};

	entry->record.data = payload;
	stage_fill(entry, 60);
	written(entry, writev(stage->channel, stage->id, pieces, 4));
}

static void write_whole(int (*write)(struct rondo_channel *, uint16_t,
				     const void *, uint32_t))
{
	struct entry *entry = stage_entry(SMALL);
	char payload[64];

	entry->record.data = payload;
	stage_fill(entry, SMALL);
	written(entry, write(stage->channel, stage->id, payload, SMALL));
}

static void write_all(void)
{
	write_whole(inlined_write);
	write_whole(rondo_write);
	write_in_pieces(inlined_writev);
	write_in_pieces(rondo_writev);
}

static void open_early(void)
{
	early = open_one(SMALL);
}

static void commit_early(void)
{
	commit_one(early);
}

static void at_the_end(void)
{
	leave_room(0);
}

static void early_at_the_end(void)
{
	open_early();
	leave_room(0);
}

static void closed_early(void)
{
	open_early();
	expect(rondo_channel_flush(stage->channel) == 1, 6, 0);
}

static void full_and_closed(void)
{
	deliver(4);
}

static void full_and_open(void)
{
	deliver(3);
	leave_room(0);
}

static void all_stalled(void)
{
	for (held_count = 0; held_count < 4; held_count++) {
		held[held_count] = open_one(SMALL);
		expect(rondo_channel_flush(stage->channel) == 1, 7, 0);
	}
}

/* In overwrite mode: the next slot is a stalled writer's. */
static void next_is_stalled(void)
{
	closed_early();
	deliver(3);
}

static void many_open(void)
{
	hold(256, 0);
}

static void put_big(void)
{
	put(stage->map->record_max + 1);
}

static void refused_for_other_reasons(void)
{
	struct rondo_record record;
	char byte = 0;
	const struct iovec pieces[2] = {{&byte, SIZE_MAX}, {&byte, 2}};

	expect(inlined_reserve(stage->channel, 0xfe00, 8, &record) == -EINVAL,
	       8, 0);
	expect(rondo_reserve(stage->channel, 0xfe00, 8, &record) == -EINVAL, 8,
	       1);
	expect(rondo_reserve_aligned(stage->channel, stage->id, 8, 7,
				     &record) == -EINVAL,
	       8, 2);
	expect(rondo_reserve_aligned(stage->channel, stage->id, 8, 8192,
				     &record) == -EINVAL,
	       8, 3);
	expect(rondo_reserve_aligned(stage->channel, stage->id, 8, 24,
				     &record) == -EINVAL,
	       8, 4);
	expect(rondo_reserve_aligned(stage->channel, 0xfe00, 8, 8, &record) ==
		       -EINVAL,
	       8, 5);
	expect(inlined_writev(stage->channel, stage->id, pieces, -1) == -EINVAL,
	       8, 6);
	expect(rondo_writev(stage->channel, stage->id, pieces, -1) == -EINVAL,
	       8, 7);
}

static void put_too_big(void)
{
	put_big();
	(void)open_by_call(stage->map->record_max + 1);
}

static void time_ran_out(void)
{
	put(SMALL);
	rondo_store_relaxed(&stage->ring->limit, 0);
}

static void two_open(void)
{
	early = open_one(SMALL + 5);
	second = open_one(SMALL);
}

static void discard_both(void)
{
	discard_one(early);
	discard_one(second);
}

static void discard_last_first(void)
{
	discard_one(second);
	discard_one(early);
}

static void two_empty_open(void)
{
	early = open_one(0);
	second = open_one(0);
}

static void two_wide_open(void)
{
	early = open_one(96);
	second = open_one(96);
}

static void shrink_both(void)
{
	shrink_one(early, 40);
	shrink_one(second, 21);
}

static void shrink_last_first(void)
{
	shrink_one(second, 41);
	shrink_one(early, 95);
}

static void shrink_not_at_all(void)
{
	if (early)
		expect(rondo_commit_len(&early->record, 97) == -EINVAL, 9, 0);
	shrink_one(early, 96);
	shrink_one(second, 96);
}

static void two_committed(void)
{
	two_open();
	commit_one(early);
	commit_one(second);
}

static void squash_both(void)
{
	squash_one(second);
	squash_one(early);
}

static void squash_the_first(void)
{
	squash_one(early);
}

static void committed_and_left(void)
{
	two_committed();
	expect(rondo_channel_flush(stage->channel) == 1, 10, 0);
	put(SMALL);
}

static void squash_elsewhere(void)
{
	struct rondo_mark mark = {stage_head(), stage_head(), 0, 0};

	mark.ring = stage->map->ring_count;
	expect(rondo_squash(stage->channel, mark) == -EBUSY, 11, 0);
	if (stage->atomic)
		return;
	/* Ring 1, as if this thread had moved. */
	mark.ring = 1;
	mark.head = rondo_load_relaxed(&rondo_map_ring(stage->map, 1)->head);
	mark.before = mark.head;
	expect(rondo_squash(stage->channel, mark) == -EXDEV, 11, 1);
}

static void align_wide(void)
{
	struct entry *entry = stage_entry(40);

	if (stage_reserved(entry, rondo_reserve_aligned(stage->channel,
							stage->id, 40, 256,
							&entry->record)))
		commit_by_call(entry);
}

static void revoking(void)
{
	put(SMALL);
	set_mode(RONDO_HEAD_REVOKING);
}

static void revoking_with_open(void)
{
	two_open();
	set_mode(RONDO_HEAD_REVOKING);
}

static void revoking_with_committed(void)
{
	two_committed();
	set_mode(RONDO_HEAD_REVOKING);
}

static void revoked(void)
{
	put(SMALL);
	set_mode(RONDO_HEAD_ATOMIC);
}

static void revoked_at_the_end(void)
{
	leave_room(0);
	set_mode(RONDO_HEAD_ATOMIC);
}

static void commit_both(void)
{
	commit_one(early);
	commit_by_call(second);
}

static void revoked_with_open(void)
{
	two_open();
	set_mode(RONDO_HEAD_ATOMIC);
}

/* As a thread whose id has no ring. */
static void beyond_the_rings(void)
{
	stage_pin(1);
	stage->control->gate = 1;
	stage->channel->gate[RONDO_GATE] = 1;
}

static void among_the_rings(void)
{
	stage->control->gate = stage->map->ring_count - 1;
	stage->channel->gate[RONDO_GATE] = stage->control->gate;
	stage_pin(0);
}

static void stopped(void)
{
	struct rondo_record record;

	rondo_channel_stop(stage->channel);
	expect(inlined_reserve(stage->channel, stage->id, 8, &record) ==
		       -ESHUTDOWN,
	       12, 0);
	expect(rondo_reserve(stage->channel, stage->id, 8, &record) ==
		       -ESHUTDOWN,
	       12, 1);
	expect(rondo_reserve_call(stage->channel, stage->id, 8, &record) ==
		       -ESHUTDOWN,
	       12, 2);
	expect(rondo_reserve_aligned(stage->channel, stage->id, 8, 8,
				     &record) == -ESHUTDOWN,
	       12, 3);
	rondo_channel_start(stage->channel);
}

/* ---- flushing ---- */

static void flush(void)
{
	expect(rondo_channel_flush(stage->channel) >= 0, 13, 0);
}

static void on_another_cpu(void)
{
	stage_pin(1);
	put(SMALL);
	stage_pin(0);
}

/* ---- consuming ---- */

static void one_to_take(void)
{
	deliver(1);
}

static void some_to_take(void)
{
	deliver(3);
	put(SMALL);
}

static void take_all(void)
{
	stage_take_all();
}

/* All others are delivered, and it is no longer waited for. */
static void stalled_behind(void)
{
	closed_early();
	deliver(2);
	((struct rondo_map *)stage->map)->stall_ms = 0;
}

static void stop_stalling(void)
{
	((struct rondo_map *)stage->map)->stall_ms = 1000000;
	commit_early();
}

static void commit_and_take(void)
{
	stage_take_all();
	commit_early();
	stage_take_all();
}

/* A sleeper who is not there: what wakes it is called all the same. */
static void say_asleep(void)
{
	put(SMALL);
	rondo_store_relaxed(&stage->map->wait->sleeping, RONDO_SLEEP_FUTEX);
}

static void polled(void)
{
	put(SMALL);
	expect(rondo_consumer_arm(stage->consumer) == 0, 14, 0);
}

static void say_awake(void)
{
	rondo_store_relaxed(&stage->map->wait->sleeping, 0u);
}

static void wait_and_take(void)
{
	expect(rondo_consumer_wait(stage->consumer, 0) >= 0, 15, 0);
	expect(rondo_consumer_wait(stage->consumer, 1) >= 0, 15, 1);
	stage_take_all();
}

static void peek(void)
{
	static char buffer[8192] __attribute__((aligned(8)));
	struct rondo_view view;
	int result = rondo_consumer_peek(stage->consumer, stage->index, buffer,
					 sizeof(buffer), &view);

	expect(result == 0 || result == -EAGAIN, (uint64_t)-result, 16);
}

#define DISCARD (1u << STAGE_DISCARD)
#define OVERWRITE (1u << STAGE_OVERWRITE)
#define FULL_HEADERS (1u << STAGE_FULL_HEADERS)
#define BOTH (DISCARD | OVERWRITE)
#define ALL (BOTH | FULL_HEADERS)

const struct scenario scenarios[] = {
	{"a record that fits", ALL, put_small, put_odd, NULL, KEEPS_ROOM},
	{"the same by the calls", ALL, put_small, call_small, NULL, KEEPS_ROOM},
	{"the same by what is exported", ALL, put_small, exported_small, NULL,
	 0},
	{"writes", DISCARD | FULL_HEADERS, put_small, write_all, NULL, 0},
	{"a record that opens", ALL, play_nothing, put_odd, NULL, KEEPS_ROOM},
	{"a record that crosses", ALL, at_the_end, put_odd, NULL, KEEPS_ROOM},
	{"a record that crosses, with one open", ALL, early_at_the_end,
	 call_small, commit_early, KEEPS_ROOM},
	{"a late commit", ALL, closed_early, commit_early, NULL, KEEPS_ROOM},
	{"a full ring", ALL, full_and_closed, put_small, NULL, 0},
	{"a full ring, one open", ALL, full_and_open, put_small, NULL, 0},
	{"a full ring, by the call", ALL, full_and_open, call_small, NULL, 0},
	{"stalled everywhere", ALL, all_stalled, put_small, commit_held, 0},
	{"a stalled slot", OVERWRITE, next_is_stalled, put_small, commit_early,
	 0},
	{"as many open as can be told", BOTH, many_open, put_small,
	 discard_held, 0},
	{"too big", ALL, play_nothing, put_too_big, NULL, 0},
	{"neither class nor alignment", ALL, play_nothing,
	 refused_for_other_reasons, NULL, 0},
	{"stopped", ALL, play_nothing, stopped, NULL, 0},
	{"times that cannot be told", BOTH, time_ran_out, put_small, NULL, 0},
	{"times that cannot be told, by the call", BOTH, time_ran_out,
	 call_small, NULL, 0},
	{"aligned", ALL, put_small, align_wide, NULL, 0},
	{"discards, in order", ALL, two_open, discard_both, NULL, KEEPS_ROOM},
	{"discards, the last first", ALL, two_open, discard_last_first, NULL,
	 KEEPS_ROOM},
	{"discards of nothing", ALL, two_empty_open, discard_both, NULL, 0},
	{"shrinks, in order", ALL, two_wide_open, shrink_both, NULL,
	 KEEPS_ROOM},
	{"shrinks, the last first", ALL, two_wide_open, shrink_last_first, NULL,
	 KEEPS_ROOM},
	{"shrinks to what it is", ALL, two_wide_open, shrink_not_at_all, NULL,
	 0},
	{"squashes", ALL, two_committed, squash_both, NULL, KEEPS_ROOM},
	{"a squash of what is not the last", ALL, two_committed,
	 squash_the_first, NULL, 0},
	{"a squash of what was left", ALL, committed_and_left, squash_both,
	 NULL, 0},
	{"a thread without a ring", ALL, beyond_the_rings, put_small,
	 among_the_rings, 0},
	{"a squash elsewhere", ALL, put_small, squash_elsewhere, NULL, 0},
	{"a record that finds it being revoked", ALL, revoking, put_small, NULL,
	 IN_RSEQ},
	{"a commit that finds it being revoked", ALL, revoking_with_open,
	 commit_both, NULL, IN_RSEQ},
	{"a squash that finds it being revoked", ALL, revoking_with_committed,
	 squash_both, NULL, IN_RSEQ},
	{"a record that finds it revoked", ALL, revoked, put_small, NULL,
	 IN_RSEQ},
	{"a record that ends revocation", ALL, revoked_at_the_end, put_small,
	 NULL, IN_RSEQ},
	{"a commit that finds it revoked", ALL, revoked_with_open, commit_both,
	 NULL, IN_RSEQ},
	{"a flush", ALL, put_small, flush, NULL, NO_FLUSH},
	{"a flush with one open", ALL, two_open, flush, commit_both, NO_FLUSH},
	{"a flush that finds it revoked", ALL, revoked, flush, NULL,
	 NO_FLUSH | IN_RSEQ},
	{"a flush that finds it being revoked", ALL, revoking, flush, NULL,
	 NO_FLUSH | IN_RSEQ},
	{"a flush from another CPU", BOTH, on_another_cpu, flush, NULL,
	 NO_FLUSH},
	{"a take", ALL, one_to_take, take_all, NULL, IN_CONSUMER},
	{"takes", ALL, some_to_take, take_all, NULL, IN_CONSUMER},
	{"a quarantine", ALL, stalled_behind, take_all, stop_stalling,
	 IN_CONSUMER},
	{"a quarantine that ends", ALL, stalled_behind, commit_and_take,
	 stop_stalling, IN_CONSUMER},
	{"a peek", ALL, two_open, peek, commit_both, IN_CONSUMER},
	{"a wait", ALL, some_to_take, wait_and_take, NULL, IN_CONSUMER},
	{"a delivery that wakes", ALL, say_asleep, flush, say_awake, NO_FLUSH},
	{"a delivery that is polled for", ALL, polled, flush, say_awake,
	 NO_FLUSH},
};

const uint32_t scenario_count = TEST_COUNT(scenarios);

bool scenario_plays(const struct scenario *scenario)
{
	return (scenario->stages >> stage->kind & 1) &&
	       !(scenario->flags & IN_RSEQ && stage->atomic);
}

/* ---- what handlers do ---- */

static void act_cross(void)
{
	put(BIG);
}

static void act_discard(void)
{
	discard_one(open_one(SMALL));
}

static void act_shrink(void)
{
	shrink_one(open_one(64), 33);
}

static void act_squash(void)
{
	struct entry *entry = open_one(SMALL);

	commit_one(entry);
	squash_one(entry);
}

static void act_fill(void)
{
	const uint64_t number = stage_number();

	for (int i = 0; i < 8 && stage_number() == number; i++)
		put(BIG);
	put(SMALL);
}

const struct action actions[ACTIONS] = {
	[ACTION_NOTHING] = {"nothing", play_nothing, false},
	[ACTION_RECORD] = {"record", put_odd, false},
	[ACTION_CROSS] = {"cross", act_cross, false},
	[ACTION_DISCARD] = {"discard", act_discard, false},
	[ACTION_SHRINK] = {"shrink", act_shrink, false},
	[ACTION_SQUASH] = {"squash", act_squash, false},
	[ACTION_FILL] = {"fill", act_fill, false},
	[ACTION_FLUSH] = {"flush", flush, true},
};
