/* SPDX-License-Identifier: MIT */
/*
 * Single interleavings that were, or would have been, mistakes: what happens at
 * one point, and what must hold after it.
 */
#include <errno.h>

#include "support/one_ring.h"

static struct test_ring ring;

static const struct rondo_config keeps_oldest = {
	.size = sizeof(struct rondo_config),
	.subbuf_bytes = 4096,
	.subbuf_count = 4,
};

/* Its clock is read by the call, which passes a point there. */
static const struct rondo_config kernel_clock = {
	.size = sizeof(struct rondo_config),
	.subbuf_bytes = 4096,
	.subbuf_count = 4,
	.clock = RONDO_CLOCK_MONOTONIC,
};

/* ---- once at a point ---- */

static enum rondo_testpoint point;
static void (*what_happens)(void);
static bool happened;
static uint32_t to_skip; /* hits of the point before the one meant */

static void on_testpoint(enum rondo_testpoint at)
{
	if (at != point || happened)
		return;
	if (to_skip) {
		to_skip--;
		return;
	}
	happened = true;
	what_happens();
}

static void let_happen(enum rondo_testpoint at, void (*what)(void))
{
	point = at;
	what_happens = what;
	happened = false;
	rondo_testpoint_hook = on_testpoint;
}

static void it_has_happened(void)
{
	rondo_testpoint_hook = NULL;
	assert_true(happened);
}

/* By the call, which passes the points. */
static void record_by_call(uint32_t bytes)
{
	struct rondo_record record = {0};
	uint32_t tag = test_expect(&ring, bytes);

	assert_int_equal(
		rondo_reserve_call(ring.channel, ring.id, bytes, &record), 0);
	test_fill(record.data, tag, bytes);
	assert_int_equal(rondo_commit(&record), 0);
}

static void fill_sub_buffer(void)
{
	test_leave_room(&ring, 0);
	test_record(&ring, 0);
}

/* ---- commits off the head while a closer is at work ---- */

static struct rondo_record early;

static void discard_early_one(void)
{
	assert_int_equal(rondo_discard(&early), 0);
	/* The head is still in it, though its slot says OPEN. */
	assert_null(test_oldest(&ring));
}

/* The closer has not added what it saw pending: a sum below 0 is not 0. */
static void a_late_commit_before_the_closer_adds_delivers_nothing(void **state)
{
	const enum rondo_testpoint points[] = {RONDO_AT_FLUSH, RONDO_AT_CLOSED,
					       RONDO_AT_BEFORE_LATE_ADD};

	(void)state;
	for (size_t i = 0; i < TEST_COUNT(points); i++) {
		test_ring_create(&ring, &keeps_oldest);
		test_record(&ring, 30);
		assert_int_equal(
			rondo_reserve(ring.channel, ring.id, 16, &early), 0);
		test_record(&ring, 30);
		let_happen(points[i], discard_early_one);
		assert_int_equal(rondo_channel_flush(ring.channel), 1);
		it_has_happened();
		assert_non_null(test_oldest(&ring));
		test_take_all(&ring);
		test_ring_destroy(&ring);
	}
}

/* ---- claims in vain ---- */

static struct rondo_record stalled;

/* Past the stalled slot, which then becomes free. */
static void cross_past_the_stalled_one(void)
{
	uint64_t number = test_number(&ring);

	record_by_call(8);
	assert_true(test_number(&ring) == number + 2);
	assert_int_equal(rondo_commit(&stalled), 0);
	test_take_all(&ring);
}

/*
 * A crossing that read an old head claims a number that the head has passed.
 * Nobody will ever open it: the next lap takes the slot over.
 */
static void a_claim_in_vain_costs_no_room(void **state)
{
	struct rondo_stats stats;
	uint64_t in_vain, claimed;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	ring.any_order = true;
	test_reserve(&ring, 8, &stalled);
	in_vain = test_number(&ring) + ring.map->count;
	for (int i = 0; i < 4; i++) {
		fill_sub_buffer();
		if (i < 3)
			test_take_all(&ring);
	}
	/* In the last slot; the next one is the stalled writer's. */
	test_take_all(&ring);
	let_happen(RONDO_AT_RESERVE_HEAD_READ, cross_past_the_stalled_one);
	to_skip = 1; /* by the quick path, which sees that it must cross */
	record_by_call(100);
	it_has_happened();
	claimed = *rondo_map_slot(ring.map, ring.index, in_vain);
	assert_int_equal(rondo_slot_state(claimed), RONDO_SLOT_CLAIMED);
	assert_true(rondo_slot_number(claimed) == in_vain);
	for (int i = 0; i < 12; i++) {
		fill_sub_buffer();
		test_take_all(&ring);
	}
	test_drain(&ring);
	test_stats(&ring, &stats);
	assert_int_equal(stats.refused_records[RONDO_REFUSED_FULL], 0);
	assert_int_equal(stats.refused_records[RONDO_REFUSED_STALLED], 0);
	test_ring_destroy(&ring);
}

/*
 * A lap behind the closer's back, but for one sub-buffer; somebody else has
 * claimed the slot that the closer leaves, for the lap to come.
 */
static void the_next_lap_is_claimed(void)
{
	uint64_t number = test_number(&ring), slot, *at;

	for (int i = 0; i < 3; i++) {
		fill_sub_buffer();
		test_record(&ring, 0);
		test_take_all(&ring);
	}
	at = rondo_map_slot(ring.map, ring.index, number);
	slot = *at;
	assert_int_equal(rondo_slot_state(slot), RONDO_SLOT_EMPTY);
	*at = rondo_slot(rondo_slot_pages(slot), RONDO_SLOT_CLAIMED,
			 rondo_slot_number(slot) + ring.map->count);
}

static void
a_closer_that_was_overtaken_opens_nothing_of_the_next_lap(void **state)
{
	struct rondo_stats stats;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	ring.any_order = true;
	test_leave_room(&ring, 0);
	let_happen(RONDO_AT_CLAIMED, the_next_lap_is_claimed);
	record_by_call(40);
	it_has_happened();
	for (int i = 0; i < 4; i++) {
		fill_sub_buffer();
		test_take_all(&ring);
	}
	test_stats(&ring, &stats);
	assert_int_equal(stats.passed_over, 0);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

/* ---- slots that somebody scribbled on ---- */

static uint64_t scribbled;

static void scribble(void)
{
	*rondo_map_slot(ring.map, ring.index, scribbled) = scribbled;
}

/* A record is open in what was closed, and the last share is given back. */
static void commit_what_was_scribbled_on(enum rondo_testpoint at,
					 unsigned slot_state)
{
	struct rondo_record open = {0};
	uint64_t slot;

	test_ring_create(&ring, &keeps_oldest);
	test_reserve(&ring, 16, &open);
	assert_int_equal(rondo_channel_flush(ring.channel), 1);
	slot = *rondo_map_slot(ring.map, ring.index, test_number(&ring) - 1);
	scribbled = rondo_slot(rondo_slot_pages(slot), slot_state,
			       rondo_slot_number(slot) + ring.map->count);
	let_happen(at, scribble);
	assert_int_equal(rondo_commit(&open), 0);
	it_has_happened();
	assert_true(*rondo_map_slot(ring.map, ring.index, scribbled) ==
		    scribbled);
	assert_int_equal(rondo_channel_destroy(ring.channel), 0);
}

static void a_slot_that_somebody_scribbled_on_is_not_delivered(void **state)
{
	(void)state;
	commit_what_was_scribbled_on(RONDO_AT_BEFORE_LATE_ADD, RONDO_SLOT_OPEN);
	commit_what_was_scribbled_on(RONDO_AT_BEFORE_LATE_ADD,
				     RONDO_SLOT_CLAIMED);
	commit_what_was_scribbled_on(RONDO_AT_BEFORE_DELIVER, RONDO_SLOT_OPEN);
}

/* ---- a crossing that is moved to another CPU ---- */

static int eight_aborts(void)
{
	return happened ? 0 : 8;
}

static void go_elsewhere(void)
{
	assert_true(test_pin(1));
}

/*
 * Back to plain stores goes a ring on its own CPU only: the times of others are
 * read behind the head by atomic moves alone.
 */
static void a_crossing_on_another_cpu_leaves_the_ring_atomic(void **state)
{
	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	test_needs_rseq(&ring);
	test_needs_two_cpus(&ring);
	test_leave_room(&ring, 0);
	rondo_testpoint_aborts = eight_aborts;
	let_happen(RONDO_AT_CLAIMED, go_elsewhere);
	record_by_call(40);
	rondo_testpoint_aborts = NULL;
	it_has_happened();
	assert_int_equal(rondo_head_mode(test_head(&ring)), RONDO_HEAD_ATOMIC);
	assert_true(test_pin(0));
	fill_sub_buffer();
	test_record(&ring, 8);
	assert_int_equal(rondo_head_mode(test_head(&ring)), RONDO_HEAD_RSEQ);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

/* The sequence of the one ring aborts, once, and is begun again in the other's. */
static void a_record_goes_to_the_ring_of_where_its_thread_has_come(void **state)
{
	struct rondo_record record = {0};
	struct rondo_stats left, come_to;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	test_needs_rseq(&ring);
	test_needs_two_cpus(&ring);
	let_happen(RONDO_AT_RESERVE_HEAD_READ, go_elsewhere);
	to_skip = 1; /* the quick path's, which has its ring for itself */
	assert_int_equal(rondo_reserve_call(ring.channel, ring.id, 40, &record),
			 0);
	it_has_happened();
	memset(record.data, 0, record.bytes);
	assert_int_equal(rondo_commit(&record), 0);
	assert_int_not_equal(record.ring_id, ring.index);
	assert_int_equal(
		rondo_ring_stats(ring.channel, record.ring_id, &come_to), 0);
	test_stats(&ring, &left);
	assert_int_equal(left.aborts, 1);
	assert_int_equal(left.open_bytes, 0);
	assert_int_equal(come_to.aborts, 0);
	assert_int_equal(come_to.open_bytes, 8 + 40);
	assert_true(test_pin(0));
	test_ring_destroy(&ring);
}

/* ---- a crossing that another overtakes ---- */

static void record_a_big_one(void)
{
	struct rondo_record record = {0};
	uint32_t tag = test_expect(&ring, 1500);
	uint64_t start;

	assert_int_equal(
		rondo_reserve_call(ring.channel, ring.id, 1500, &record), 0);
	start = (uint64_t)((char *)record.data - ring.map->pages) %
		ring.map->subbuf_bytes;
	assert_true(start >= RONDO_PACKET_BYTES);
	assert_true(start + 1500 <= ring.map->subbuf_bytes);
	test_fill(record.data, tag, 1500);
	assert_int_equal(rondo_commit(&record), 0);
}

/* A hint from a crossing that did not come to pass would let it write across
 * the end of a page set. */
static void a_crossing_that_was_overtaken_leaves_no_hint(void **state)
{
	const enum rondo_testpoint points[] = {RONDO_AT_RESERVE_HEAD_READ,
					       RONDO_AT_TARGET_FOUND,
					       RONDO_AT_CLAIMED,
					       RONDO_AT_RESERVE_CLOCK_READ,
					       RONDO_AT_CROSSED};

	(void)state;
	for (size_t i = 0; i < TEST_COUNT(points); i++) {
		test_ring_create(&ring, &keeps_oldest);
		ring.any_order = true;
		for (int64_t room = 0; room < 256; room += 16) {
			test_leave_room(&ring, room);
			let_happen(points[i], record_a_big_one);
			record_by_call(300);
			/* The clock is read by the call in atomic mode. */
			if (points[i] != RONDO_AT_RESERVE_CLOCK_READ)
				it_has_happened();
			rondo_testpoint_hook = NULL;
			record_a_big_one();
			test_drain(&ring);
		}
		test_ring_destroy(&ring);
	}
}

/* ---- refused, or not ---- */

static void take_one(void)
{
	assert_true(test_take(&ring));
}

/* Room that appears before the record is counted as refused is used. */
static void room_that_appears_while_refusing_is_no_loss_of_count(void **state)
{
	struct rondo_record record = {0};
	struct rondo_stats stats;
	int result;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	for (int i = 0; i < 4; i++)
		fill_sub_buffer();
	let_happen(RONDO_AT_REFUSE, take_one);
	result = rondo_reserve_call(ring.channel, ring.id, 40, &record);
	it_has_happened();
	test_stats(&ring, &stats);
	assert_int_equal(stats.refused_records[RONDO_REFUSED_FULL],
			 result ? 1 : 0);
	if (result) {
		assert_int_equal(result, -ENOBUFS);
	} else {
		test_fill(record.data, test_expect(&ring, 40), 40);
		assert_int_equal(rondo_commit(&record), 0);
	}
	test_record(&ring, 5);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

static void take_one_and_move_the_head(void)
{
	take_one();
	test_record(&ring, 8);
}

/* In every mode: what had no room was looked for at a head that is gone. */
static void a_record_is_not_refused_for_a_head_that_has_moved(void **state)
{
	struct rondo_stats stats;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	for (int i = 0; i < 4; i++)
		fill_sub_buffer();
	let_happen(RONDO_AT_REFUSE, take_one_and_move_the_head);
	record_by_call(40);
	it_has_happened();
	test_stats(&ring, &stats);
	assert_int_equal(stats.refused_records[RONDO_REFUSED_FULL], 0);
	ring.any_order = true;
	test_drain(&ring);
	test_ring_destroy(&ring);
}

/* As a thread does that the closer's interrupted, and that found all full. */
static void refuse_one(void)
{
	const struct rondo_place place = {ring.control, ring.ring, ring.index,
					  ring.index};

	assert_true(rondo_ring_refuse(&place, test_head(&ring),
				      RONDO_REFUSED_FULL, 40));
}

static void a_packet_tells_what_was_refused_while_it_was_closed(void **state)
{
	(void)state;
	test_ring_create(&ring, &kernel_clock);
	test_needs_rseq(&ring);
	test_leave_room(&ring, 0);
	let_happen(RONDO_AT_RESERVE_CLOCK_READ, refuse_one);
	record_by_call(40);
	it_has_happened();
	assert_true(test_take(&ring));
	assert_int_equal(ring.packet.refused[RONDO_REFUSED_FULL], 1);
	assert_int_equal(ring.packet.events_discarded, 1);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

/* ---- a flush that meets others ---- */

static void the_lock_is_held(void)
{
	assert_false(rondo_os_try_lock_word(&ring.control->flush_lock));
}

/* One revoker at a time: the fence of another is not one's own. */
static uint64_t unmarked; /* the head before it was revoked */

static void the_mark_is_a_gen_of_its_own(void)
{
	assert_int_equal(rondo_head_mode(test_head(&ring)),
			 RONDO_HEAD_REVOKING);
	assert_true((test_head(&ring) & RONDO_GEN_MASK) ==
		    ((unmarked + RONDO_GEN_ONE) & RONDO_GEN_MASK));
}

/* The ring's own CPU makes the mark atomic, and crosses back to plain stores. */
static void the_owner_goes_on(void)
{
	assert_true(test_pin(0));
	fill_sub_buffer();
	test_record(&ring, 9);
	assert_int_equal(rondo_head_mode(test_head(&ring)), RONDO_HEAD_RSEQ);
	assert_true(test_pin(1));
}

/* A fence is good for the mark that was made before it, and for no other. */
static void a_mark_that_others_took_away_is_made_again(void **state)
{
	static const struct {
		void (*what)(void);
		uint64_t revocations;
	} cases[] = {{the_mark_is_a_gen_of_its_own, 1}, {the_owner_goes_on, 2}};
	struct rondo_stats stats;

	(void)state;
	for (size_t i = 0; i < TEST_COUNT(cases); i++) {
		test_ring_create(&ring, &keeps_oldest);
		test_needs_rseq(&ring);
		test_needs_two_cpus(&ring);
		test_record(&ring, 30);
		unmarked = test_head(&ring);
		assert_true(test_pin(1));
		let_happen(RONDO_AT_REVOKING, cases[i].what);
		assert_int_equal(rondo_channel_flush(ring.channel), 1);
		it_has_happened();
		test_stats(&ring, &stats);
		assert_int_equal(stats.revocations, cases[i].revocations);
		assert_true(test_pin(0));
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

static void it_is_the_rings_cpu(void)
{
	assert_int_equal(sched_getcpu(), ring.ring->cpu);
}

/* No fence of ours reaches the sequences of another process: a sequence does,
 * on the CPU that they are on. */
static void anothers_ring_is_closed_on_its_own_cpu(void **state)
{
	struct rondo_channel *attached;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	test_needs_rseq(&ring);
	test_needs_two_cpus(&ring);
	test_record(&ring, 30);
	assert_int_equal(rondo_channel_attach(rondo_channel_fd(ring.channel),
					      &attached),
			 0);
	assert_true(test_pin(1));
	let_happen(RONDO_AT_FLUSH, it_is_the_rings_cpu);
	assert_int_equal(rondo_channel_flush(attached), 1);
	it_has_happened();
	assert_int_equal(sched_getcpu(), 1);
	assert_true(test_pin(0));
	assert_int_equal(rondo_channel_destroy(attached), 0);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

static void a_head_is_revoked_under_the_flush_lock(void **state)
{
	const enum rondo_testpoint points[] = {RONDO_AT_REVOKING,
					       RONDO_AT_FENCED};
	const bool elsewhere = test_pin(1);

	(void)state;
	for (size_t i = 0; i < TEST_COUNT(points); i++) {
		test_ring_create(&ring, &keeps_oldest);
		test_record(&ring, 30);
		let_happen(points[i], the_lock_is_held);
		(void)test_pin(1);
		assert_int_equal(rondo_channel_flush(ring.channel), 1);
		assert_true(test_pin(0));
		assert_true(happened == (elsewhere && !ring.ring->atomic_only));
		rondo_testpoint_hook = NULL;
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

static void flush_is_overtaken(void)
{
	fill_sub_buffer();
	test_record(&ring, 9);
}

static void a_flush_that_was_overtaken_closes_what_is_open_then(void **state)
{
	const enum rondo_testpoint points[] = {
		RONDO_AT_FLUSH, RONDO_AT_REVOKING, RONDO_AT_FENCED};

	(void)state;
	for (size_t i = 0; i < TEST_COUNT(points); i++) {
		test_ring_create(&ring, &keeps_oldest);
		test_record(&ring, 30);
		let_happen(points[i], flush_is_overtaken);
		assert_int_equal(rondo_channel_flush(ring.channel), 1);
		rondo_testpoint_hook = NULL;
		assert_int_equal(test_offset(&ring), 0);
		test_take_all(&ring);
		test_ring_destroy(&ring);
	}
}

/* ---- stopped, and moved for ever ---- */

static void stop_and_close(void)
{
	assert_int_equal(rondo_channel_flush(ring.channel), 1);
	assert_int_equal(rondo_channel_stop(ring.channel), 0);
}

static void a_stop_reaches_who_is_about_to_try_again(void **state)
{
	struct rondo_record record;

	(void)state;
	test_ring_create(&ring, &kernel_clock);
	test_record(&ring, 8);
	let_happen(RONDO_AT_RESERVE_HEAD_READ, stop_and_close);
	assert_int_equal(rondo_reserve_call(ring.channel, ring.id, 8, &record),
			 -ESHUTDOWN);
	it_has_happened();
	test_take_all(&ring);
	test_ring_destroy(&ring);
}

static void revoke_again(enum rondo_testpoint at)
{
	if (at == RONDO_AT_BACK)
		ring.ring->head = rondo_head_with_mode(ring.ring->head,
						       RONDO_HEAD_REVOKING);
}

static void a_squash_that_is_revoked_for_ever_gives_up(void **state)
{
	struct rondo_record record;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	test_needs_rseq(&ring); /* or nobody revokes it */
	test_record(&ring, 8);	/* what opens a sub-buffer is not squashed */
	test_reserve(&ring, 8, &record);
	assert_int_equal(rondo_commit(&record), 0);
	rondo_testpoint_hook = revoke_again;
	assert_int_equal(rondo_squash(ring.channel, rondo_mark(&record)),
			 -EBUSY);
	rondo_testpoint_hook = NULL;
	test_drain(&ring);
	test_ring_destroy(&ring);
}

static void undo_the_revocation(enum rondo_testpoint at)
{
	if (at == RONDO_AT_FENCED)
		ring.ring->head =
			rondo_head_with_mode(ring.ring->head, RONDO_HEAD_RSEQ);
}

static void a_revocation_that_is_undone_for_ever_gives_up(void **state)
{
	struct rondo_place place;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	test_needs_rseq(&ring);
	test_record(&ring, 8);
	place = (struct rondo_place){ring.control, ring.ring, ring.index,
				     ring.index};
	rondo_testpoint_hook = undo_the_revocation;
	assert_false(rondo_ring_try_revoke(&place));
	rondo_testpoint_hook = NULL;
	assert_true(rondo_ring_try_revoke(&place));
	test_drain(&ring);
	test_ring_destroy(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_late_commit_before_the_closer_adds_delivers_nothing),
		cmocka_unit_test(a_claim_in_vain_costs_no_room),
		cmocka_unit_test(
			a_closer_that_was_overtaken_opens_nothing_of_the_next_lap),
		cmocka_unit_test(
			a_slot_that_somebody_scribbled_on_is_not_delivered),
		cmocka_unit_test(
			a_crossing_on_another_cpu_leaves_the_ring_atomic),
		cmocka_unit_test(
			a_record_goes_to_the_ring_of_where_its_thread_has_come),
		cmocka_unit_test(a_crossing_that_was_overtaken_leaves_no_hint),
		cmocka_unit_test(
			room_that_appears_while_refusing_is_no_loss_of_count),
		cmocka_unit_test(
			a_record_is_not_refused_for_a_head_that_has_moved),
		cmocka_unit_test(
			a_packet_tells_what_was_refused_while_it_was_closed),
		cmocka_unit_test(a_mark_that_others_took_away_is_made_again),
		cmocka_unit_test(a_head_is_revoked_under_the_flush_lock),
		cmocka_unit_test(anothers_ring_is_closed_on_its_own_cpu),
		cmocka_unit_test(
			a_flush_that_was_overtaken_closes_what_is_open_then),
		cmocka_unit_test(a_stop_reaches_who_is_about_to_try_again),
		cmocka_unit_test(a_squash_that_is_revoked_for_ever_gives_up),
		cmocka_unit_test(a_revocation_that_is_undone_for_ever_gives_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
