/* SPDX-License-Identifier: MIT */
/*
 * Handlers inside the library: at every test point, in every operation, a
 * handler records, discards, shrinks, squashes, leaves records open, or fills
 * whole laps, and is itself interrupted, four deep. What the hook does there is
 * what a signal handler would do. Then every record is accounted for.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include <rondo/rondo.h>

#include "control.h"
#include "ring.h"
#include "support/gather.h"
#include "support/lanes.h"
#include "support/random.h"
#include "support/test.h"
#include "testpoint.h"

#define DEPTHS 6u /* 0: not in a handler; the last: in a signal of the fourth */
#define HOOK_DEPTH 4u
#define STEPS 96
#define OPEN_MAX 16u

enum action {
	RECORD,
	DISCARD,
	SHRINK,
	SQUASH,
	LEAVE_OPEN,
	FILL,
	SIGNAL
};

struct open_record {
	struct rondo_record record;
	uint32_t lane, sequence;
};

static struct {
	struct rondo_channel *channel;
	struct rondo_consumer *consumer;
	uint16_t id;
	uint32_t depth;
	uint32_t budget; /* actions until the next step */
	uint32_t every;	 /* how many hits make an action */
	uint32_t hits;
	enum rondo_testpoint at;
	enum action action;
	uint64_t random;
	struct open_record open[OPEN_MAX];
	uint32_t open_count;
	struct gathered gathered[DEPTHS];
} nest;

static uint64_t reached[RONDO_TESTPOINTS_COUNT];

static const struct rondo_config configs[] = {
	{.size = sizeof(struct rondo_config),
	 .subbuf_bytes = 4096,
	 .subbuf_count = 4,
	 .spare_count = 2,
	 .stall_ms = 1000000},
	{.size = sizeof(struct rondo_config),
	 .subbuf_bytes = 4096,
	 .subbuf_count = 4,
	 .spare_count = 2,
	 .stall_ms = 1000000,
	 .flags = RONDO_OVERWRITE},
	{.size = sizeof(struct rondo_config),
	 .subbuf_bytes = 8192,
	 .subbuf_count = 4,
	 .record_max = 4000,
	 .stall_ms = 1000000},
	{.size = sizeof(struct rondo_config),
	 .subbuf_bytes = 4096,
	 .subbuf_count = 4,
	 .clock = RONDO_CLOCK_MONOTONIC,
	 .stall_ms = 1000000,
	 .flags = RONDO_OVERWRITE},
};

/* ---- records ---- */

static uint32_t choose_bytes(void)
{
	uint64_t dice = test_random(&nest.random);

	if (dice % 8 == 0)
		return LANE_BYTES_MIN + (uint32_t)(dice >> 8) % 1900;
	return LANE_BYTES_MIN + (uint32_t)(dice >> 8) % 90;
}

/* By the inlined code or by the call, whose points it passes. */
static int reserve(uint32_t bytes, struct rondo_record *out)
{
	if (test_random_below(&nest.random, 3) == 0)
		return rondo_reserve(nest.channel, nest.id, bytes, out);
	return rondo_reserve_call(nest.channel, nest.id, bytes, out);
}

static int commit(struct rondo_record *record)
{
	if (test_random_below(&nest.random, 3) == 0)
		return rondo_commit(record);
	return rondo_commit_call(record->channel, record->data, record->head,
				 record->ring_id, record->event_id);
}

static void finish(struct rondo_record *record, enum action action,
		   uint32_t lane, uint32_t sequence)
{
	enum lane_outcome outcome = LANE_COMMITTED;
	uint32_t used = record->bytes;
	int result;

	if (action == SHRINK)
		used = LANE_BYTES_MIN + (used - LANE_BYTES_MIN) / 2;
	lane_fill(record->data, lane, sequence, used);
	if (action == DISCARD) {
		result = rondo_discard(record);
		outcome = LANE_DISCARDED;
	} else if (action == SHRINK) {
		result = rondo_commit_len(record, used);
	} else {
		result = commit(record);
	}
	assert_int_equal(result, 0);
	if (action == SQUASH) {
		result = rondo_squash(nest.channel, rondo_mark(record));
		if (result == 0)
			outcome = LANE_SQUASHED;
		else
			assert_true(result == -EBUSY || result == -ESTALE);
	}
	lane_end(lane, sequence, outcome);
}

/* In the lane of this depth. */
static void record(enum action action)
{
	const uint32_t lane = nest.depth, bytes = choose_bytes();
	uint32_t sequence = lane_begin(lane);
	struct rondo_record record;
	int result = reserve(bytes, &record);

	if (result) {
		assert_true(result == -ENOBUFS || result == -EBUSY);
		lane_refused(lane, sequence, bytes);
	} else if (action == LEAVE_OPEN && nest.open_count < OPEN_MAX) {
		struct open_record *open = &nest.open[nest.open_count++];

		open->record = record;
		open->lane = lane;
		open->sequence = sequence;
	} else {
		finish(&record, action, lane, sequence);
	}
}

/* What handlers left open, in an order that they did not have. */
static void finish_open(void)
{
	while (nest.open_count) {
		uint32_t which = (uint32_t)test_random_below(&nest.random,
							     nest.open_count);
		struct open_record open = nest.open[which];

		nest.open[which] = nest.open[--nest.open_count];
		finish(&open.record, which % 4 ? RECORD : DISCARD, open.lane,
		       open.sequence);
	}
}

/* ---- handlers ---- */

static void act(void)
{
	switch (nest.action) {
	case FILL:
		for (int i = 0; i < 12; i++)
			record(RECORD);
		break;
	case SIGNAL:
		raise(SIGUSR1);
		break;
	default:
		record(nest.action);
	}
}

static void on_testpoint(enum rondo_testpoint at)
{
	reached[at]++;
	if (at == RONDO_AT_OVERWRITE)
		gathered_overwritten(&nest.gathered[nest.depth]);
	if (at != nest.at || nest.depth >= HOOK_DEPTH || !nest.budget ||
	    ++nest.hits % nest.every)
		return;
	nest.budget--;
	nest.depth++;
	act();
	nest.depth--;
}

static void on_signal(int signal)
{
	(void)signal;
	nest.depth++;
	record(RECORD);
	record(SQUASH);
	nest.depth--;
}

static void before_overwrite(const struct rondo_map *map, uint32_t ring,
			     uint64_t slot)
{
	gather(&nest.gathered[nest.depth], map,
	       rondo_map_pages(map, ring, rondo_slot_pages(slot)));
}

static int pretended_aborts(void)
{
	return test_random_below(&nest.random, 24) ? 0 : 8;
}

/* ---- the victim ---- */

static void read_view(const struct rondo_view *view)
{
	struct lane_payload payload;
	struct rondo_item item;
	uint64_t time = view->time_begin;
	int result;

	memset(&item, 0, sizeof(item));
	while ((result = rondo_view_next(view, &item)) > 0) {
		assert_int_equal(item.id, nest.id);
		assert_true(time <= item.time && item.time <= view->time_end);
		assert_true(lane_read(item.data, item.bytes, &payload));
		lane_see(&payload, LANE_DELIVERED);
		time = item.time;
	}
	assert_int_equal(result, 0);
}

static void take_all(void)
{
	struct rondo_view view;

	while (rondo_consumer_take(nest.consumer, &view) == 0) {
		read_view(&view);
		assert_int_equal(rondo_consumer_release(nest.consumer, &view),
				 0);
	}
}

static void step(int i)
{
	static const enum action own[] = {RECORD, SQUASH, DISCARD,
					  SHRINK, RECORD, LEAVE_OPEN};

	nest.budget = 8;
	record(own[i % 6]);
	if (i % 11 == 10)
		assert_in_range(rondo_channel_flush(nest.channel), 0, 4);
	if (i % 5 == 4)
		finish_open();
	if (i % 9 == 8 || i % 16 > 12)
		take_all();
}

static void create(const struct rondo_config *config)
{
	const struct rondo_event_class class = {
		.size = sizeof(class),
		.name = "test:record",
		.field_size = sizeof(struct rondo_field),
	};

	assert_int_equal(rondo_channel_create(config, &nest.channel), 0);
	assert_int_equal(rondo_event_register(nest.channel, &class, &nest.id),
			 0);
	assert_int_equal(rondo_consumer_open(nest.channel, &nest.consumer), 0);
	for (uint32_t i = 0; i < DEPTHS; i++)
		gathered_create(&nest.gathered[i], config->subbuf_bytes);
	lanes_reset();
	nest.hits = nest.depth = nest.open_count = 0;
}

static void account(void)
{
	struct rondo_control *control = nest.channel->control;
	struct lane_totals totals;
	struct rondo_stats stats;
	const char *why;

	for (uint32_t i = 0; i < control->map.ring_count; i++)
		if (rondo_ring_check(control, i, &why))
			fail_msg("ring %u: %s", i, why);
	lanes_account(&totals);
	rondo_channel_stats(nest.channel, &stats);
	assert_int_equal(totals.unseen, 0);
	assert_int_equal(totals.outcomes[LANE_SQUASHED], stats.squashed);
	assert_int_equal(totals.outcomes[LANE_DISCARDED], stats.discarded);
	assert_int_equal(totals.outcomes[LANE_REFUSED],
			 stats.refused_records[RONDO_REFUSED_FULL] +
				 stats.refused_records[RONDO_REFUSED_STALLED]);
	assert_int_equal(totals.outcomes[LANE_COMMITTED],
			 totals.delivered + totals.overwritten);
	if (violations()) {
		violations_report(stdout);
		fail_msg("see above");
	}
}

static void run(const struct rondo_config *config, enum rondo_testpoint at,
		enum action action, uint32_t every)
{
	nest.at = at;
	nest.action = action;
	nest.every = every;
	create(config);
	rondo_testpoint_hook = on_testpoint;
	rondo_testpoint_aborts = pretended_aborts;
	rondo_testpoint_overwrite = before_overwrite;
	for (int i = 0; i < STEPS; i++)
		step(i);
	nest.budget = 8;
	finish_open();
	nest.budget = 0;
	assert_in_range(rondo_channel_flush(nest.channel), 0, 4);
	take_all();
	rondo_testpoint_hook = NULL;
	rondo_testpoint_aborts = NULL;
	rondo_testpoint_overwrite = NULL;
	account();
	assert_int_equal(rondo_consumer_close(nest.consumer), 0);
	assert_int_equal(rondo_channel_destroy(nest.channel), 0);
}

static void run_everywhere(enum action action)
{
	for (size_t c = 0; c < TEST_COUNT(configs); c++)
		for (uint32_t at = 0; at < RONDO_TESTPOINTS_COUNT; at++)
			for (uint32_t every = 1; every <= 4; every += 3)
				run(&configs[c], at, action, every);
}

/* ---- tests ---- */

static void a_handler_may_record_at_every_point(void **state)
{
	(void)state;
	run_everywhere(RECORD);
}

static void a_handler_may_discard_at_every_point(void **state)
{
	(void)state;
	run_everywhere(DISCARD);
}

static void a_handler_may_shrink_at_every_point(void **state)
{
	(void)state;
	run_everywhere(SHRINK);
}

static void a_handler_may_squash_at_every_point(void **state)
{
	(void)state;
	run_everywhere(SQUASH);
}

static void
a_thread_may_be_preempted_with_records_open_at_every_point(void **state)
{
	(void)state;
	run_everywhere(LEAVE_OPEN);
}

static void a_handler_may_fill_whole_laps_at_every_point(void **state)
{
	(void)state;
	run_everywhere(FILL);
}

static void a_signal_may_arrive_at_every_point(void **state)
{
	const struct sigaction handle = {.sa_handler = on_signal};

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &handle, NULL), 0);
	run_everywhere(SIGNAL);
}

/* Those that one thread and an undisturbed consumer come to. */
static void the_points_were_reached(void **state)
{
	const struct {
		enum rondo_testpoint at;
		bool rseq_only;
	} expected[] = {
		{RONDO_AT_RESERVE_HEAD_READ, false},
		{RONDO_AT_RESERVE_CLOCK_READ, false},
		{RONDO_AT_RESERVE_MOVED, false},
		{RONDO_AT_TARGET_FOUND, false},
		{RONDO_AT_CLAIMED, false},
		{RONDO_AT_CROSSED, false},
		{RONDO_AT_CLOSED, false},
		{RONDO_AT_BEFORE_LATE_ADD, false},
		{RONDO_AT_BEFORE_DELIVER, false},
		{RONDO_AT_DELIVERED, false},
		{RONDO_AT_COMMIT, false},
		{RONDO_AT_COMMIT_LATE, false},
		{RONDO_AT_REFUSE, false},
		{RONDO_AT_BACK, false},
		{RONDO_AT_REVOKING, true},
		{RONDO_AT_FENCED, true},
		{RONDO_AT_FLUSH, false},
		{RONDO_AT_TAKE, false},
		{RONDO_AT_TAKEN, false},
		{RONDO_AT_OVERWRITE, false},
	};
	struct rondo_stats stats;

	(void)state;
	create(&configs[0]);
	rondo_channel_stats(nest.channel, &stats);
	for (size_t i = 0; i < TEST_COUNT(expected); i++)
		if (!expected[i].rseq_only || stats.mode == RONDO_HEAD_RSEQ)
			assert_int_not_equal(reached[expected[i].at], 0);
	assert_int_equal(rondo_consumer_close(nest.consumer), 0);
	assert_int_equal(rondo_channel_destroy(nest.channel), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handler_may_record_at_every_point),
		cmocka_unit_test(a_handler_may_discard_at_every_point),
		cmocka_unit_test(a_handler_may_shrink_at_every_point),
		cmocka_unit_test(a_handler_may_squash_at_every_point),
		cmocka_unit_test(
			a_thread_may_be_preempted_with_records_open_at_every_point),
		cmocka_unit_test(a_handler_may_fill_whole_laps_at_every_point),
		cmocka_unit_test(a_signal_may_arrive_at_every_point),
		cmocka_unit_test(the_points_were_reached),
	};
	cpu_set_t first;

	nest.random = test_seed();
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	sched_setaffinity(0, sizeof(first), &first);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
