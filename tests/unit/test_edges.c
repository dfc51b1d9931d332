/* SPDX-License-Identifier: MIT */
/*
 * Checks that matter seldom: what a scribbled word must not do, what a moment's
 * hesitation must not cost. Each was once taken out of the code, and no other
 * test noticed (tests/mutants).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "memory.h"
#include "os.h"
#include "reader.h"
#include "support/consume.h"
#include "support/one_ring.h"
#include "support/process.h"
#include "support/trace.h"

static struct test_ring ring;

static const struct rondo_config keeps_oldest = {
	.size = sizeof(struct rondo_config),
	.subbuf_bytes = 4096,
	.subbuf_count = 4,
	.name = "edges",
};

static const struct rondo_config keeps_newest = {
	.size = sizeof(struct rondo_config),
	.subbuf_bytes = 4096,
	.subbuf_count = 4,
	.spare_count = 2,
	.flags = RONDO_OVERWRITE,
};

static const struct rondo_config full_headers = {
	.size = sizeof(struct rondo_config),
	.subbuf_bytes = 8192,
	.subbuf_count = 4,
	.record_max = 4000,
};

static int unhook(void **state)
{
	(void)state;
	rondo_testpoint_hook = NULL;
	rondo_testpoint_move = NULL;
	rondo_testpoint_aborts = NULL;
	return 0;
}

/* The next record must not fit into what is open. */
static void fill_sub_buffer(void)
{
	test_leave_room(&ring, 0);
	test_record(&ring, 0);
}

static uint64_t *slot_of(uint64_t number)
{
	return rondo_map_slot(ring.map, ring.index, number);
}

/* ---- scribbled words ---- */

static void a_slot_that_names_no_page_set_is_not_claimed(void **state)
{
	struct rondo_record record;
	uint64_t *next, before;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	test_leave_room(&ring, 0);
	next = slot_of(test_number(&ring) + 1);
	before = *next;
	*next = rondo_slot(UINT16_MAX, rondo_slot_state(before),
			   rondo_slot_number(before));
	assert_int_equal(rondo_reserve(ring.channel, ring.id, 16, &record),
			 -EBUSY);
	*next = before;
	test_record(&ring, 16);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

static void bytes_are_not_counted_of_a_size_that_cannot_be(void **state)
{
	struct rondo_packet *oldest;
	struct rondo_stats stats;

	(void)state;
	test_ring_create(&ring, &keeps_newest);
	for (int i = 0; i < 4; i++)
		fill_sub_buffer();
	oldest = rondo_map_packet(ring.map, ring.index,
				  rondo_slot_pages(*test_oldest(&ring)));
	oldest->content_bits = UINT64_MAX;
	test_record(&ring, 16);
	test_stats(&ring, &stats);
	assert_int_equal(stats.overwritten, 1);
	assert_true(stats.overwritten_bytes == 0);
	assert_int_equal(rondo_channel_destroy(ring.channel), 0);
}

/* Number of the head in full: next to a slot of very long ago, too. */
static void a_slot_of_long_ago_is_not_where_the_head_is(void **state)
{
	const uint64_t long_ago = UINT64_C(3) << (rondo_number_bits(12) - 2);
	struct rondo_record stalled = {0};
	struct rondo_loan loans[16];
	struct rondo_quarantined quarantine[16];
	struct rondo_reader reader;
	struct rondo_survey survey;
	uint64_t number, before, *old;
	bool used[16];

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	ring.any_order = true;
	assert_in_range(rondo_map_page_sets(ring.map), 4, TEST_COUNT(used));
	reader = (struct rondo_reader){
		.map = ring.map, .loans = loans, .quarantine = quarantine};
	assert_int_equal(rondo_reader_adopt(&reader, ring.index, used), 0);
	number = test_number(&ring);
	test_reserve(&ring, 16, &stalled);
	fill_sub_buffer();
	test_record(&ring, 16);
	old = slot_of(number + 3);
	before = *old;
	*old = rondo_slot(rondo_slot_pages(before), RONDO_SLOT_EMPTY,
			  number + 3 - long_ago);
	rondo_reader_look(&reader, &survey);
	assert_true(survey.stalled);
	assert_true(rondo_slot_number(survey.oldest) == number);
	*old = before;
	assert_int_equal(rondo_commit(&stalled), 0);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

/* stall_ms runs for those that stall together from when the first was seen. */
static void a_newer_stall_does_not_put_off_an_older_one(void **state)
{
	struct rondo_record stalled[2];
	struct rondo_loan loans[16];
	struct rondo_quarantined quarantine[16];
	struct rondo_reader reader;
	struct rondo_survey survey;
	int64_t deadline;
	bool used[16];

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	ring.any_order = true;
	assert_in_range(rondo_map_page_sets(ring.map), 4, TEST_COUNT(used));
	reader = (struct rondo_reader){.map = ring.map,
				       .loans = loans,
				       .quarantine = quarantine,
				       .deadline = RONDO_NEVER};
	assert_int_equal(rondo_reader_adopt(&reader, ring.index, used), 0);
	for (int i = 0; i < 2; i++) {
		test_reserve(&ring, 16, &stalled[i]);
		assert_int_equal(rondo_channel_flush(ring.channel), 1);
		rondo_reader_look(&reader, &survey);
		assert_true(survey.stalled);
		assert_true(reader.deadline != RONDO_NEVER);
		if (i == 0)
			deadline = reader.deadline;
	}
	assert_true(reader.deadline == deadline);
	for (int i = 0; i < 2; i++)
		assert_int_equal(rondo_commit(&stalled[i]), 0);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

/* ---- heads and hints ---- */

/* Its flusher was stopped, for ever perhaps. */
static void a_revocation_that_is_left_unfinished_stops_nobody(void **state)
{
	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	test_needs_rseq(&ring);
	test_record(&ring, 16);
	rondo_store_relaxed(
		&ring.ring->head,
		rondo_head_with_mode(rondo_head_bump(test_head(&ring)),
				     RONDO_HEAD_REVOKING));
	test_record(&ring, 16);
	assert_int_equal(rondo_head_mode(test_head(&ring)), RONDO_HEAD_ATOMIC);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

static int aborts_pretended, fences;

static int eight_aborts(void)
{
	return aborts_pretended++ ? 0 : 8;
}

/* As a sequence does that was in flight: its head is the one of before. */
static void store_over_the_mark(enum rondo_testpoint at)
{
	if (at != RONDO_AT_REVOKING)
		return;
	fences++;
	rondo_store_relaxed(&ring.ring->head,
			    rondo_head_with_mode(test_head(&ring),
						 RONDO_HEAD_RSEQ));
}

/* Each is a system call, in a handler perhaps. */
static void
a_record_that_cannot_revoke_gives_up_after_eight_fences(void **state)
{
	struct rondo_record record;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	test_needs_rseq(&ring);
	test_record(&ring, 16);
	aborts_pretended = fences = 0;
	rondo_testpoint_aborts = eight_aborts;
	rondo_testpoint_hook = store_over_the_mark;
	assert_int_equal(rondo_reserve_call(ring.channel, ring.id, 16, &record),
			 -EBUSY);
	rondo_testpoint_hook = NULL;
	rondo_testpoint_aborts = NULL;
	assert_int_equal(fences, 8);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

/* An old hint says that there is none, and every other sub-buffer is full. */
static void room_in_what_is_open_is_used_whatever_the_hint(void **state)
{
	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	for (int i = 0; i < 3; i++)
		fill_sub_buffer();
	test_record(&ring, 16);
	rondo_store_relaxed(&ring.ring->hint, rondo_hint(test_number(&ring) - 1,
							 ring.map->order, 0));
	test_record(&ring, 16);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

static uint32_t clock_of_move;

static void note_clock(const struct rondo_sequence *move)
{
	clock_of_move = move->clock;
}

static void cross(uint32_t clock)
{
	clock_of_move = UINT32_MAX;
	rondo_testpoint_move = note_clock;
	test_record(&ring, 16);
	rondo_testpoint_move = NULL;
	assert_int_equal(clock_of_move, clock);
}

/* Whoever flushed may have been on another CPU: read ahead of the head, a time
 * could lie before the flush. */
static void the_first_time_after_a_flush_is_read_behind_a_fence(void **state)
{
	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	if (ring.control->clock_in_sequence) {
		cross(RONDO_SEQ_CLOCK_FENCED);
		test_leave_room(&ring, 0);
		cross(RONDO_SEQ_CLOCK_READ);
		test_drain(&ring);
		cross(RONDO_SEQ_CLOCK_FENCED);
	}
	test_drain(&ring);
	test_ring_destroy(&ring);
}

/* ---- commits ---- */

static void take_at_once(enum rondo_testpoint at)
{
	if (at == RONDO_AT_DELIVERED)
		test_take_all(&ring);
}

/* By a commit that is a call: the inlined one says it before it calls. */
static void what_is_delivered_says_that_it_is_committed(void **state)
{
	struct rondo_record open = {0};

	(void)state;
	test_ring_create(&ring, &full_headers);
	test_reserve(&ring, 16, &open);
	assert_int_equal(rondo_channel_flush(ring.channel), 1);
	rondo_testpoint_hook = take_at_once;
	assert_int_equal(rondo_commit(&open), 0);
	rondo_testpoint_hook = NULL;
	assert_int_equal(ring.taken, 1);
	test_ring_destroy(&ring);
}

static void late_commits_are_counted_for_ring_and_channel(void **state)
{
	struct rondo_stats one, all;
	struct rondo_record open = {0};

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	test_reserve(&ring, 16, &open);
	assert_int_equal(rondo_channel_flush(ring.channel), 1);
	assert_int_equal(rondo_commit(&open), 0);
	test_stats(&ring, &one);
	assert_int_equal(rondo_channel_stats(ring.channel, &all), 0);
	assert_int_equal(one.late_commits, 1);
	assert_int_equal(all.late_commits, 1);
	test_take_all(&ring);
	test_ring_destroy(&ring);
}

/* ---- consumers ---- */

static struct consume *taken_from;

static void overwrite_meanwhile(enum rondo_testpoint at)
{
	if (at != RONDO_AT_TAKEN)
		return;
	rondo_testpoint_hook = NULL;
	for (int i = 0; i < 3; i++)
		consume_fill(taken_from);
}

static void what_is_overwritten_after_a_take_is_told_by_the_next(void **state)
{
	struct consume c = consume_start(&keeps_newest);
	struct rondo_view view;

	(void)state;
	for (int i = 0; i < 3; i++)
		consume_fill(&c);
	taken_from = &c;
	rondo_testpoint_hook = overwrite_meanwhile;
	view = consume_take(&c);
	assert_true(consume_stats(&c).overwritten > 0);
	assert_true(view.overwritten == 0);
	assert_true(view.seq == 0);
	consume_release(&c, &view);
	view = consume_take(&c);
	assert_true(view.overwritten == consume_stats(&c).overwritten);
	consume_release(&c, &view);
	consume_end(&c);
}

static int heads_read;

/* As the second head is read, by which the record decides: a lap, and more. */
static void go_round(enum rondo_testpoint at)
{
	if (at != RONDO_AT_RESERVE_HEAD_READ || ++heads_read != 2)
		return;
	for (int i = 0; i < 7; i++)
		consume_fill(taken_from);
}

/* A head that is a lap old has no target: what is there is newer. */
static void an_old_head_overwrites_nothing_newer(void **state)
{
	struct consume c = consume_channel(&keeps_newest);
	struct rondo_record record = {0};
	uint32_t readable = 0;

	(void)state;
	assert_int_equal(rondo_reserve(c.channel, c.id, 2000, &record), 0);
	assert_int_equal(rondo_commit(&record), 0);
	taken_from = &c;
	heads_read = 0;
	rondo_testpoint_hook = go_round;
	assert_int_equal(rondo_reserve_call(c.channel, c.id, 2000, &record), 0);
	rondo_testpoint_hook = NULL;
	assert_true(heads_read > 2);
	assert_int_equal(rondo_commit(&record), 0);
	for (uint32_t k = 0; k < c.map->count; k++)
		readable += rondo_slot_state(*rondo_map_slot(
				    c.map, record.ring_id, k)) ==
			    RONDO_SLOT_READABLE;
	assert_int_equal(readable, c.map->count - 1);
	assert_int_equal(rondo_channel_destroy(c.channel), 0);
}

/* Its number is another process's by now: of which the start says so. */
static void a_consumer_whose_number_another_has_is_dead(void **state)
{
	struct consume c = consume_channel(&keeps_oldest);
	const uint32_t pid = rondo_os_pid();

	(void)state;
	c.map->wait->consumer = (uint64_t)pid << 32 |
				(uint32_t)(rondo_os_pid_start(pid) + 1);
	assert_int_equal(rondo_consumer_open(c.channel, &c.consumer), 0);
	consume_end(&c);
}

static void a_creator_whose_number_another_has_is_dead(void **state)
{
	struct consume c = consume_start(&keeps_oldest);

	(void)state;
	assert_true(rondo_memory_creator_lives(c.map));
	c.map->super->pid_start++;
	assert_false(rondo_memory_creator_lives(c.map));
	c.map->super->pid_start--;
	/* What was not known when it was made proves nothing. */
	c.map->super->pid_start = 0;
	assert_true(rondo_memory_creator_lives(c.map));
	c.map->super->boot_id[0]++;
	assert_false(rondo_memory_creator_lives(c.map));
	memset(c.map->super->boot_id, 0, sizeof(c.map->super->boot_id));
	assert_true(rondo_memory_creator_lives(c.map));
	consume_end(&c);
}

/* Neither will ever be taken: nobody waits for them. */
static void a_number_in_a_foreign_slot_is_nothing_to_wait_for(void **state)
{
	struct consume c = consume_start(&keeps_oldest);
	struct rondo_record record = consume_reserve(&c);
	uint64_t number, *at;

	(void)state;
	assert_int_equal(rondo_commit(&record), 0);
	assert_int_equal(rondo_channel_flush(c.channel), 1);
	number = consume_expect(&c, 1, 1).number;
	consume_record(&c);
	assert_int_equal(rondo_channel_stop(c.channel), 0);
	at = rondo_map_slot(c.map, record.ring_id, number + 2);
	*at = rondo_slot(rondo_slot_pages(*at), RONDO_SLOT_READABLE,
			 number - 3);
	/* And the head is in one that its slot has for another lap. */
	at = rondo_map_slot(c.map, record.ring_id, number + 1);
	*at = rondo_slot(rondo_slot_pages(*at), RONDO_SLOT_OPEN, number + 5);
	consume_nothing(&c, -ENODATA);
	consume_end(&c);
}

/* ---- children ---- */

/* A handler may have forked in the middle of a record: what it uses is there. */
static int look_at_handle(void *argument)
{
	const struct rondo_channel *before = argument;
	const struct rondo_channel *channel = ring.channel;

	TEST_CHILD_CHECK(channel->gate[RONDO_GATE] == 0);
	TEST_CHILD_CHECK(channel->span == 0);
	TEST_CHILD_CHECK(channel->rings == before->rings);
	TEST_CHILD_CHECK(channel->pages == before->pages);
	TEST_CHILD_CHECK(channel->offsets.rseq == before->offsets.rseq);
	TEST_CHILD_CHECK(channel->offsets.id == before->offsets.id);
	return 0;
}

static void a_childs_handle_leads_to_its_copy_and_lets_nobody_in(void **state)
{
	struct rondo_channel before;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	before = *ring.channel;
	assert_int_equal(test_in_child(look_at_handle, &before), 0);
	test_ring_destroy(&ring);
}

/* ---- traces ---- */

/* Readers take a count that goes back for 2^64 losses. */
static void
a_count_that_was_scribbled_on_does_not_go_back_in_a_trace(void **state)
{
	struct consume c = consume_channel(&keeps_oldest);
	struct rondo_record record = consume_reserve(&c);
	const uint64_t mask = c.map->subbuf_bytes - 1;
	uint64_t discarded = 0, offset = 0;
	char directory[512], path[600];
	struct rondo_packet packet, *open;
	struct rondo_writer *writer;
	char *stream;

	(void)state;
	trace_scratch(directory);
	assert_int_equal(rondo_writer_open(c.channel, directory, &writer), 0);
	open = (struct rondo_packet *)((uintptr_t)record.data & ~mask);
	assert_int_equal(rondo_commit(&record), 0);
	consume_fill(&c);
	open->refused[RONDO_REFUSED_FULL] = 5;
	consume_fill(&c);
	assert_int_equal(rondo_writer_close(writer), 0);
	snprintf(path, sizeof(path), "%s/edges_%u", directory, record.ring_id);
	stream = trace_slurp(path);
	for (int i = 0; i < 3; i++) {
		memcpy(&packet, stream + offset, sizeof(packet));
		assert_true(packet.events_discarded >= discarded);
		discarded = packet.events_discarded;
		offset += packet.packet_bits / 8;
	}
	assert_int_equal(discarded, 5);
	free(stream);
	trace_remove(directory);
	assert_int_equal(rondo_channel_destroy(c.channel), 0);
}

#define EDGE(test) cmocka_unit_test_teardown(test, unhook)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EDGE(a_slot_that_names_no_page_set_is_not_claimed),
		EDGE(bytes_are_not_counted_of_a_size_that_cannot_be),
		EDGE(a_slot_of_long_ago_is_not_where_the_head_is),
		EDGE(a_newer_stall_does_not_put_off_an_older_one),
		EDGE(a_revocation_that_is_left_unfinished_stops_nobody),
		EDGE(a_record_that_cannot_revoke_gives_up_after_eight_fences),
		EDGE(a_childs_handle_leads_to_its_copy_and_lets_nobody_in),
		EDGE(room_in_what_is_open_is_used_whatever_the_hint),
		EDGE(the_first_time_after_a_flush_is_read_behind_a_fence),
		EDGE(what_is_delivered_says_that_it_is_committed),
		EDGE(late_commits_are_counted_for_ring_and_channel),
		EDGE(what_is_overwritten_after_a_take_is_told_by_the_next),
		EDGE(an_old_head_overwrites_nothing_newer),
		EDGE(a_number_in_a_foreign_slot_is_nothing_to_wait_for),
		EDGE(a_consumer_whose_number_another_has_is_dead),
		EDGE(a_creator_whose_number_another_has_is_dead),
		EDGE(a_count_that_was_scribbled_on_does_not_go_back_in_a_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
