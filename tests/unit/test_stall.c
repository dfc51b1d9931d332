/* SPDX-License-Identifier: MIT */
/*
 * Stalled writers: what is behind them, what they hold back, and what comes
 * back when they go on. The longest stall_ms is for ever here, one of a
 * millisecond is over when the take that asks says so.
 */
#include "support/consume.h"

#include <pthread.h>

#include "support/process.h"

static struct rondo_config patient(void)
{
	struct rondo_config config = CONSUME_CONFIG;

	return config;
}

static struct rondo_config hasty(void)
{
	struct rondo_config config = CONSUME_CONFIG;

	config.stall_ms = 1;
	return config;
}

/* Takes until something comes, which it does once stall_ms is over. */
static struct rondo_view take_in_time(struct consume *c)
{
	struct rondo_view view;
	int result;

	do
		result = rondo_consumer_take(c->consumer, &view);
	while (result == -EAGAIN);
	assert_int_equal(result, 0);
	consume_check(c, &view);
	return view;
}

/* A sub-buffer that is closed with one record open, between others. */
static struct rondo_record stall(struct consume *c)
{
	struct rondo_record record;

	consume_record(c);
	record = consume_reserve(c);
	consume_record(c);
	assert_int_equal(rondo_channel_flush(c->channel), 1);
	return record;
}

static void expect_stalled(struct consume *c, uint64_t first)
{
	struct rondo_view view = take_in_time(c);
	uint64_t numbers[4];

	assert_int_equal(view.flags, RONDO_VIEW_LATE | RONDO_VIEW_STALLED);
	assert_int_equal(view.offset, UINT64_MAX);
	assert_int_equal(consume_numbers(&view, numbers, 4), 2);
	assert_int_equal(numbers[0], first);
	assert_int_equal(numbers[1], first + 2);
	consume_release(c, &view);
	assert_int_equal(rondo_consumer_release(c->consumer, &view), -EINVAL);
}

static void behind_a_stalled_one_a_ring_waits(void **state)
{
	const struct rondo_config config = patient();
	struct consume c = consume_start(&config);
	struct rondo_record record = stall(&c);
	struct rondo_view view;

	(void)state;
	consume_deliver(&c, 2);
	for (int i = 0; i < 100; i++)
		consume_nothing(&c, -EAGAIN);
	rondo_commit(&record);
	view = consume_expect(&c, 1, 3);
	assert_int_equal(view.flags, 0);
	view = consume_expect(&c, 4, 2);
	assert_int_equal(view.seq, 1);
	assert_int_equal(consume_stats(&c).quarantined, 0);
	consume_end(&c);
}

static void other_rings_go_on_meanwhile(void **state)
{
	const struct rondo_config config = patient();
	struct consume c = consume_start(&config);
	struct rondo_record record = stall(&c);
	struct rondo_view view;

	(void)state;
	for (int i = 0; i < 3; i++) {
		if (consume_pin(1))
			break;
		consume_deliver(&c, 1);
		consume_pin(0);
		if (rondo_consumer_take(c.consumer, &view))
			break; /* CPUs are told apart nowhere here */
		assert_int_not_equal(view.ring, record.ring_id);
		consume_release(&c, &view);
	}
	consume_nothing(&c, -EAGAIN);
	rondo_commit(&record);
	consume_end(&c);
}

/* Or a loop of wait and take would spin until stall_ms are over. */
static void what_cannot_be_taken_yet_ends_no_wait(void **state)
{
	const struct rondo_config config = patient();
	struct consume c = consume_start(&config);
	struct rondo_record record = stall(&c);

	(void)state;
	consume_deliver(&c, 1);
	consume_nothing(&c, -EAGAIN);
	assert_int_equal(rondo_consumer_wait(c.consumer, 0), 0);
	rondo_commit(&record);
	assert_int_equal(rondo_consumer_wait(c.consumer, 0), 1);
	consume_end(&c);
}

/* One word each that nobody of us would write. */
static void a_damaged_ring_is_told_and_does_not_keep_anybody(void **state)
{
	const struct rondo_config config = patient();
	struct consume c = consume_start(&config);
	const struct rondo_record record = consume_reserve(&c);
	const uint32_t index = record.ring_id;
	struct rondo_ring *ring = rondo_map_ring(c.map, index);
	uint64_t *slot, number;

	(void)state;
	number = rondo_head_number(ring->head, c.map->order);
	ring->head = rondo_head_with_mode(ring->head, RONDO_HEAD_ATOMIC);
	slot = rondo_map_slot(c.map, index, number);
	*slot = rondo_slot(rondo_slot_pages(*slot), RONDO_SLOT_EMPTY, number);
	assert_int_equal(rondo_ring_flush(c.channel->control, index), -EPROTO);
	rondo_channel_stop(c.channel);
	consume_nothing(&c, -ENODATA);
	/* Slack that reaches into the packet's header. */
	ring->head =
		rondo_head_at((number << c.map->order) + RONDO_PACKET_BYTES + 7,
			      RONDO_HEAD_ATOMIC);
	assert_int_equal(consume_stats(&c).open_bytes, 0);
	consume_end(&c);
}

/* Said to be delivered, where nobody has been: it is not waited for. */
static void what_nobody_recorded_does_not_keep_anybody(void **state)
{
	const struct rondo_config config = patient();
	struct consume c = consume_start(&config);
	uint64_t *slot = rondo_map_slot(c.map, 0, 0);

	(void)state;
	*slot = rondo_slot(rondo_slot_pages(*slot), RONDO_SLOT_READABLE,
			   rondo_slot_number(*slot) + 2 * c.map->count);
	rondo_channel_stop(c.channel);
	consume_nothing(&c, -ENODATA);
	consume_end(&c);
}

static void after_stall_ms_what_is_committed_comes_out(void **state)
{
	const struct rondo_config config = hasty();
	struct consume c = consume_start(&config);
	struct rondo_record record = stall(&c);
	struct rondo_view view;

	(void)state;
	consume_deliver(&c, 2);
	expect_stalled(&c, 1);
	assert_int_equal(consume_stats(&c).quarantined, 1);
	assert_int_equal(consume_stats(&c).abandoned, 1);
	assert_int_equal(consume_stats(&c).taken, 0);
	/* The main stream has no hole: its first packet is the next one. */
	view = consume_expect(&c, 4, 2);
	assert_int_equal(view.flags, 0);
	assert_int_equal(view.seq, 0);
	assert_int_equal(view.overwritten, 0);
	rondo_commit(&record);
	consume_nothing(&c, -EAGAIN);
	consume_end(&c);
}

/* Flushes, and takes the copy, where a record has its room and no header. */
static struct consume *headless;
static uint64_t told;

static void take_headless(enum rondo_testpoint at)
{
	uint64_t numbers[8];
	struct rondo_view view;
	struct consume *c = headless;

	if (at != RONDO_AT_RESERVE_MOVED || !c)
		return;
	headless = NULL;
	assert_int_equal(rondo_channel_flush(c->channel), 1);
	view = take_in_time(c);
	assert_true(view.flags & RONDO_VIEW_STALLED);
	told = consume_numbers(&view, numbers, TEST_COUNT(numbers));
	consume_release(c, &view);
}

static void what_a_copy_could_not_know_of_is_counted_later(void **state)
{
	const struct rondo_config config = hasty();
	struct consume c = consume_start(&config);

	(void)state;
	consume_record(&c);
	told = UINT64_MAX; /* in rseq mode there is no such place */
	headless = &c;
	rondo_testpoint_hook = take_headless;
	consume_record(&c);
	rondo_testpoint_hook = NULL;
	if (told != UINT64_MAX) {
		assert_int_equal(told, 1);
		assert_int_equal(consume_stats(&c).abandoned, 0);
		consume_nothing(&c, -EAGAIN);
		assert_int_equal(consume_stats(&c).abandoned, 1);
	}
	consume_end(&c);
}

/* What is written over an end after the copy was made leads nobody beyond the
 * sub-buffer: records that lie behind it in memory are not counted. */
static void a_spoilt_end_of_what_was_copied_counts_nothing(void **state)
{
	const struct rondo_config config = hasty();
	struct consume c = consume_start(&config);
	struct rondo_record record = stall(&c);
	struct rondo_packet *packet;
	struct rondo_view view;

	(void)state;
	consume_deliver(&c, 1);
	view = take_in_time(&c);
	packet = rondo_map_packet(c.map, view.ring, view.pages);
	packet->content_bits = 2 * c.map->subbuf_bytes * 8;
	packet->timestamp_end = UINT64_MAX;
	rondo_commit(&record);
	consume_expect(&c, 4, 1);
	consume_nothing(&c, -EAGAIN);
	assert_int_equal(consume_stats(&c).abandoned, 1);
	consume_release(&c, &view);
	consume_end(&c);
}

static void a_loss_is_told_in_the_main_stream_alone(void **state)
{
	const struct rondo_config config = hasty();
	struct consume c = consume_start(&config);
	struct rondo_packet packet;
	struct rondo_record record;
	struct rondo_view view;

	(void)state;
	assert_int_equal(rondo_reserve(c.channel, c.id, 4000, &record),
			 -EMSGSIZE);
	stall(&c);
	view = take_in_time(&c);
	memcpy(&packet, view.data, sizeof(packet));
	assert_int_equal(view.lost[RONDO_REFUSED_BIG], 1);
	assert_int_equal(packet.events_discarded, 0);
	consume_release(&c, &view);
	consume_deliver(&c, 1);
	view = consume_take(&c);
	memcpy(&packet, view.data, sizeof(packet));
	assert_int_equal(view.lost[RONDO_REFUSED_BIG], 1);
	assert_int_equal(packet.events_discarded, 1);
	consume_end(&c);
}

/* I-pages, I-once */
static void its_pages_come_back_when_its_writer_commits(void **state)
{
	const struct rondo_config config = hasty();
	struct consume c = consume_start(&config);
	struct rondo_record record = stall(&c);
	const char *why;

	(void)state;
	expect_stalled(&c, 1);
	/* Three of four slots are left, one of them is to be open. */
	for (int i = 0; i < 3; i++)
		consume_deliver(&c, 1);
	rondo_commit(&record);
	for (uint64_t i = 4; i < 7; i++)
		consume_expect(&c, i, 1);
	consume_nothing(&c, -EAGAIN);
	assert_int_equal(rondo_rings_ready(c.map), 0);
	for (uint32_t i = 0; i < c.map->ring_count; i++)
		assert_int_equal(rondo_ring_check(c.channel->control, i, &why),
				 0);
	/* All four can be filled again. */
	for (int i = 0; i < 4; i++)
		consume_deliver(&c, 1);
	for (uint64_t i = 7; i < 11; i++)
		consume_expect(&c, i, 1);
	assert_int_equal(consume_stats(&c).quarantined, 1);
	consume_end(&c);
}

static void an_abandoned_record_costs_one_sub_buffer_and_no_spare(void **state)
{
	struct rondo_config config = hasty();
	struct rondo_view view;
	struct consume c;
	uint64_t seq = 0;

	(void)state;
	config.spare_count = 1;
	c = consume_start(&config);
	stall(&c);
	expect_stalled(&c, 1);
	for (int lap = 0; lap < 20; lap++) {
		consume_deliver(&c, 3);
		view = consume_expect(&c, c.recorded - 2, 3);
		assert_int_equal(view.seq, seq++);
	}
	rondo_channel_stop(c.channel);
	consume_nothing(&c, -ENODATA);
	consume_end(&c);
}

static void several_stalled_ones_wait_together(void **state)
{
	const struct rondo_config config = hasty();
	struct consume c = consume_start(&config);
	struct rondo_record records[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		records[i] = stall(&c);
	expect_stalled(&c, 1);
	/* The others have stalled as long. */
	for (uint64_t i = 1; i < 3; i++) {
		struct rondo_view view;

		assert_int_equal(rondo_consumer_take(c.consumer, &view), 0);
		assert_int_equal(view.seq, i);
		consume_release(&c, &view);
	}
	for (int i = 2; i >= 0; i--)
		rondo_commit(&records[i]);
	consume_nothing(&c, -EAGAIN);
	assert_int_equal(rondo_rings_ready(c.map), 0);
	consume_end(&c);
}

static void one_copy_of_a_ring_is_on_loan_at_a_time(void **state)
{
	const struct rondo_config config = hasty();
	struct consume c = consume_start(&config);
	struct rondo_view view, other;
	int result;

	(void)state;
	stall(&c);
	stall(&c);
	view = take_in_time(&c);
	do
		result = rondo_consumer_take(c.consumer, &other);
	while (result == -EAGAIN);
	assert_int_equal(result, -ENOSPC);
	consume_release(&c, &view);
	view = take_in_time(&c);
	consume_end(&c); /* a copy that is never released is freed */
}

static void overwriting_what_was_copied_is_no_loss(void **state)
{
	struct rondo_config config = hasty();
	struct rondo_view view;
	struct consume c;
	struct rondo_record record;

	(void)state;
	config.flags = RONDO_OVERWRITE;
	c = consume_start(&config);
	record = stall(&c);
	expect_stalled(&c, 1);
	rondo_commit(&record);
	/* The fourth of them goes where that one is. */
	for (int i = 0; i < 4; i++)
		consume_deliver(&c, 1);
	assert_int_equal(consume_stats(&c).overwritten, 1);
	for (uint64_t i = 0; i < 4; i++) {
		view = consume_expect(&c, 4 + i, 1);
		assert_int_equal(view.seq, i);
		assert_int_equal(view.overwritten, 0);
	}
	consume_end(&c);
}

/* Between a producer's claim and its count the count is too small. */
static struct consume *overwritten;
static struct rondo_view taken_meanwhile;

static void take_at_overwrite(enum rondo_testpoint at)
{
	if (at != RONDO_AT_OVERWRITE || !overwritten)
		return;
	taken_meanwhile = consume_take(overwritten);
	overwritten = NULL;
}

static void a_count_that_comes_later_makes_no_hole(void **state)
{
	struct rondo_config config = hasty();
	struct rondo_record record;
	struct consume c;

	(void)state;
	config.flags = RONDO_OVERWRITE;
	c = consume_start(&config);
	record = stall(&c);
	expect_stalled(&c, 1);
	rondo_commit(&record);
	for (int i = 0; i < 3; i++)
		consume_deliver(&c, 1);
	overwritten = &c;
	rondo_testpoint_hook = take_at_overwrite;
	consume_deliver(&c, 1);
	rondo_testpoint_hook = NULL;
	assert_null(overwritten);
	assert_int_equal(taken_meanwhile.seq, 0);
	assert_int_equal(taken_meanwhile.overwritten, 0);
	consume_release(&c, &taken_meanwhile);
	for (uint64_t i = 1; i < 4; i++)
		assert_int_equal(consume_expect(&c, 4 + i, 1).seq, i);
	consume_end(&c);
}

static void numbers_passed_over_do_not_hold_the_cursor_back(void **state)
{
	const struct rondo_config config = hasty();
	struct consume c = consume_start(&config);
	struct rondo_record record = stall(&c);
	struct rondo_ring *ring = rondo_map_ring(c.map, record.ring_id);

	(void)state;
	expect_stalled(&c, 1);
	for (uint64_t i = 4; i < 7; i++) {
		consume_deliver(&c, 1);
		consume_expect(&c, i, 1);
	}
	consume_record(&c); /* opens the one after that of the stalled slot */
	assert_int_not_equal(rondo_head_number(ring->head, c.map->order) & 3,
			     0);
	consume_nothing(&c, -EAGAIN);
	assert_int_equal(rondo_number_distance(
				 rondo_head_number(ring->head, c.map->order),
				 ring->cursor, rondo_number_bits(12)),
			 0);
	rondo_commit(&record);
	consume_end(&c);
}

static struct rondo_record *raced;

static void commit_at_quarantine(enum rondo_testpoint at)
{
	if (at != RONDO_AT_QUARANTINE || !raced)
		return;
	rondo_commit(raced);
	raced = NULL;
}

static void what_commits_while_it_is_copied_is_taken_in_turn(void **state)
{
	const struct rondo_config config = hasty();
	struct consume c = consume_start(&config);
	struct rondo_record record = stall(&c);
	struct rondo_view view;

	(void)state;
	raced = &record;
	rondo_testpoint_hook = commit_at_quarantine;
	view = take_in_time(&c);
	rondo_testpoint_hook = NULL;
	assert_null(raced);
	assert_int_equal(view.flags, 0);
	assert_int_equal(view.seq, 0);
	consume_release(&c, &view);
	assert_int_equal(consume_stats(&c).quarantined, 0);
	assert_int_equal(consume_stats(&c).taken, 1);
	consume_end(&c);
}

static void discards_and_shrinks_leave_gaps_in_the_copy(void **state)
{
	for (uint32_t full = 0; full < 2; full++) {
		struct rondo_config config = hasty();
		struct rondo_record a, b, open, last;
		struct rondo_view view;
		uint64_t numbers[4];
		struct consume c;

		(void)state;
		config.record_max = full * 3000;
		c = consume_start(&config);
		a = consume_reserve(&c);
		assert_int_equal(rondo_reserve(c.channel, c.id, 64, &b), 0);
		open = consume_reserve(&c);
		last = consume_reserve(&c);
		rondo_discard(&a);
		*(uint64_t *)b.data = 77;
		rondo_commit_len(&b, 8);
		rondo_commit(&last);
		rondo_channel_flush(c.channel);
		view = take_in_time(&c);
		assert_int_equal(consume_numbers(&view, numbers, 4), 2);
		assert_int_equal(numbers[0], 77);
		assert_int_equal(numbers[1], 3);
		consume_release(&c, &view);
		rondo_commit(&open);
		consume_nothing(&c, -EAGAIN);
		consume_end(&c);
	}
}

/* A closer that stops between moving the head and saying what it left: all is
 * committed, but nobody has delivered it, and late is 0. */
static struct consume *closing;
static pthread_barrier_t stopped, released;

/* ---- a ring that is asked ---- */

static struct {
	struct consume c;
	uint32_t flushing, stands, looked, delivered, returned, over;
} asked;
static __thread bool is_owner;

/* The owner stands between closing and delivering until the flusher has looked,
 * and the flusher then until it is delivered. */
static void stand_and_look(enum rondo_testpoint at)
{
	if (is_owner && at == RONDO_AT_CLOSED &&
	    rondo_load_relaxed(&asked.flushing)) {
		rondo_store_relaxed(&asked.flushing, 0u);
		rondo_store_relaxed(&asked.stands, 1u);
		while (!rondo_load_relaxed(&asked.looked) &&
		       !rondo_load_relaxed(&asked.returned))
			sched_yield();
	} else if (is_owner && at == RONDO_AT_DELIVERED) {
		rondo_store_relaxed(&asked.delivered,
				    rondo_load_relaxed(&asked.stands));
	} else if (!is_owner && at == RONDO_AT_AWAIT) {
		rondo_store_relaxed(&asked.looked, 1u);
		while (!rondo_load_relaxed(&asked.delivered))
			sched_yield();
	}
}

static void *own(void *unused)
{
	const uint64_t value = 0;

	(void)unused;
	is_owner = true;
	consume_pin(1);
	while (!rondo_load_relaxed(&asked.over))
		(void)rondo_write(asked.c.channel, asked.c.id, &value,
				  sizeof(value));
	return NULL;
}

/* True: it was closed by its owner, because it was asked. */
static bool flush_by_asking(uint32_t ring)
{
	const struct rondo_ring *of = rondo_map_ring(asked.c.map, ring);
	uint64_t before = rondo_load_relaxed(&of->revocations);
	bool by_asking;

	rondo_store_relaxed(&asked.looked, 0u);
	rondo_store_relaxed(&asked.delivered, 0u);
	rondo_store_relaxed(&asked.stands, 0u);
	rondo_store_relaxed(&asked.returned, 0u);
	rondo_store_relaxed(&asked.flushing, 1u);
	by_asking = rondo_ring_flush(asked.c.channel->control, ring) == 1 &&
		    rondo_load_relaxed(&asked.stands) &&
		    rondo_load_relaxed(&of->revocations) == before;
	if (by_asking)
		assert_true(rondo_load_relaxed(&asked.delivered));
	rondo_store_relaxed(&asked.flushing, 0u);
	rondo_store_relaxed(&asked.returned, 1u);
	return by_asking;
}

static void what_an_asked_owner_closes_is_delivered_by_then(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	pthread_t owner;

	(void)state;
	config.flags = RONDO_OVERWRITE;
	asked.c = consume_start(&config);
	if (asked.c.channel->control->reason != RONDO_MODE_RSEQ ||
	    asked.c.channel->control->map.rings_by != RONDO_RINGS_BY_CPU ||
	    test_is_emulated() || consume_pin(1)) {
		consume_end(&asked.c);
		skip();
	}
	consume_pin(0);
	rondo_testpoint_hook = stand_and_look;
	assert_int_equal(pthread_create(&owner, NULL, own, NULL), 0);
	while (!flush_by_asking(1))
		continue;
	rondo_store_relaxed(&asked.over, 1u);
	assert_int_equal(pthread_join(owner, NULL), 0);
	rondo_testpoint_hook = NULL;
	consume_end(&asked.c);
}

static void stop_before_late_add(enum rondo_testpoint at)
{
	if (at != RONDO_AT_CLOSED || !closing)
		return;
	closing = NULL;
	pthread_barrier_wait(&stopped);
	pthread_barrier_wait(&released);
}

static void *flush(void *argument)
{
	struct consume *c = argument;

	consume_pin(1);
	rondo_channel_flush(c->channel);
	return NULL;
}

static void a_stopped_closer_keeps_its_pages(void **state)
{
	const struct rondo_config config = hasty();
	struct consume c = consume_start(&config);
	struct rondo_view view;
	pthread_t closer;
	uint32_t ring;
	uint64_t slot;

	(void)state;
	consume_record(&c);
	consume_record(&c);
	closing = &c;
	pthread_barrier_init(&stopped, NULL, 2);
	pthread_barrier_init(&released, NULL, 2);
	rondo_testpoint_hook = stop_before_late_add;
	pthread_create(&closer, NULL, flush, &c);
	pthread_barrier_wait(&stopped);
	view = take_in_time(&c);
	assert_int_equal(view.flags, RONDO_VIEW_LATE | RONDO_VIEW_STALLED);
	ring = view.ring;
	consume_release(&c, &view);
	assert_int_equal(consume_stats(&c).abandoned, 0);
	/* Nobody else gets them: three laps of all that can be had. */
	slot = *rondo_map_slot(c.map, ring, view.number);
	for (int i = 0; i < 12; i++) {
		uint64_t value = ++c.recorded;

		/* Its number is free, the lock of flushes is not. */
		assert_int_equal(rondo_write(c.channel, c.id, &value, 8), 0);
		consume_fill(&c);
		while (rondo_consumer_take(c.consumer, &view) == 0) {
			assert_int_not_equal(view.pages,
					     rondo_slot_pages(slot));
			consume_release(&c, &view);
		}
	}
	assert_int_equal(*rondo_map_slot(c.map, ring, rondo_slot_number(slot)),
			 slot);
	pthread_barrier_wait(&released);
	pthread_join(closer, NULL);
	rondo_testpoint_hook = NULL;
	consume_nothing(&c, -EAGAIN);
	assert_int_equal(rondo_slot_state(*rondo_map_slot(
				 c.map, ring, rondo_slot_number(slot))),
			 RONDO_SLOT_EMPTY);
	pthread_barrier_destroy(&stopped);
	pthread_barrier_destroy(&released);
	consume_end(&c);
}

/* In a child: copies one out and dies. */
static int quarantine_and_die(void *argument)
{
	const struct consume *parents = argument;
	static struct rondo_channel *channel; /* left behind, not lost */
	static struct rondo_consumer *consumer;
	struct rondo_view view;
	int result;

	TEST_CHILD_CHECK(
		rondo_channel_attach(rondo_channel_fd(parents->channel),
				     &channel) == 0);
	TEST_CHILD_CHECK(rondo_consumer_open(channel, &consumer) == 0);
	do
		result = rondo_consumer_take(consumer, &view);
	while (result == -EAGAIN);
	TEST_CHILD_CHECK(result == 0);
	TEST_CHILD_CHECK(view.flags & RONDO_VIEW_STALLED);
	return 0;
}

static void what_a_dead_consumer_copied_is_not_copied_again(void **state)
{
	const struct rondo_config config = hasty();
	struct consume c = consume_channel(&config);
	struct rondo_record record = stall(&c);

	(void)state;
	assert_int_equal(test_in_child(quarantine_and_die, &c), 0);
	assert_int_equal(rondo_consumer_open(c.channel, &c.consumer), 0);
	consume_deliver(&c, 2);
	consume_expect(&c, 4, 2);
	consume_nothing(&c, -EAGAIN);
	rondo_commit(&record);
	consume_nothing(&c, -EAGAIN);
	assert_int_equal(consume_stats(&c).quarantined, 1);
	assert_int_equal(rondo_rings_ready(c.map), 0);
	consume_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(behind_a_stalled_one_a_ring_waits),
		cmocka_unit_test(other_rings_go_on_meanwhile),
		cmocka_unit_test(what_cannot_be_taken_yet_ends_no_wait),
		cmocka_unit_test(
			a_damaged_ring_is_told_and_does_not_keep_anybody),
		cmocka_unit_test(what_nobody_recorded_does_not_keep_anybody),
		cmocka_unit_test(after_stall_ms_what_is_committed_comes_out),
		cmocka_unit_test(
			what_a_copy_could_not_know_of_is_counted_later),
		cmocka_unit_test(
			a_spoilt_end_of_what_was_copied_counts_nothing),
		cmocka_unit_test(a_loss_is_told_in_the_main_stream_alone),
		cmocka_unit_test(its_pages_come_back_when_its_writer_commits),
		cmocka_unit_test(
			an_abandoned_record_costs_one_sub_buffer_and_no_spare),
		cmocka_unit_test(several_stalled_ones_wait_together),
		cmocka_unit_test(one_copy_of_a_ring_is_on_loan_at_a_time),
		cmocka_unit_test(overwriting_what_was_copied_is_no_loss),
		cmocka_unit_test(a_count_that_comes_later_makes_no_hole),
		cmocka_unit_test(
			numbers_passed_over_do_not_hold_the_cursor_back),
		cmocka_unit_test(
			what_commits_while_it_is_copied_is_taken_in_turn),
		cmocka_unit_test(discards_and_shrinks_leave_gaps_in_the_copy),
		cmocka_unit_test(
			what_an_asked_owner_closes_is_delivered_by_then),
		cmocka_unit_test(a_stopped_closer_keeps_its_pages),
		cmocka_unit_test(
			what_a_dead_consumer_copied_is_not_copied_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
