/* SPDX-License-Identifier: MIT */
/*
 * Sub-buffers, one thread: full rings, flight recorders, flushes, stalled
 * writers, numbers that wrap, and hints and limits that are old.
 */
#include <errno.h>
#include <unistd.h>

#include "support/one_ring.h"

static struct test_ring ring;

static const struct rondo_config keeps_oldest = {
	.size = sizeof(struct rondo_config),
	.subbuf_bytes = 4096,
	.subbuf_count = 4,
};

static const struct rondo_config keeps_newest = {
	.size = sizeof(struct rondo_config),
	.subbuf_bytes = 4096,
	.subbuf_count = 4,
	.flags = RONDO_OVERWRITE,
};

static const struct rondo_config full_headers = {
	.size = sizeof(struct rondo_config),
	.subbuf_bytes = 8192,
	.subbuf_count = 4,
	.record_max = 4000,
};

static bool in_rseq_mode(void)
{
	return rondo_head_mode(test_head(&ring)) == RONDO_HEAD_RSEQ;
}

/* ---- no room ---- */

/* The next record must not fit into what is open. */
static void fill_sub_buffer(void)
{
	test_leave_room(&ring, 0);
	test_record(&ring, 0);
}

static void fill_ring(void)
{
	for (uint32_t i = 0; i < ring.map->count; i++)
		fill_sub_buffer();
}

/* Refused, count times; the sum of the lengths. */
static uint64_t refused(int result, uint32_t count)
{
	uint64_t bytes = 0;
	struct rondo_record record;

	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(rondo_reserve(ring.channel, ring.id, i % 90,
					       &record),
				 result);
		bytes += i % 90;
	}
	return bytes;
}

static void a_full_ring_refuses_and_counts_records_and_bytes(void **state)
{
	struct rondo_stats stats;
	uint64_t bytes;

	(void)state;
	for (uint32_t count = 1; count < 300; count += 149) {
		test_ring_create(&ring, &keeps_oldest);
		fill_ring();
		bytes = refused(-ENOBUFS, count);
		test_stats(&ring, &stats);
		assert_int_equal(stats.refused_records[RONDO_REFUSED_FULL],
				 count);
		assert_true(stats.refused_bytes[RONDO_REFUSED_FULL] == bytes);
		assert_int_equal(stats.refused_records[RONDO_REFUSED_STALLED],
				 0);
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

/* The library's own, beside the inlined one. */
int exported_reserve(struct rondo_channel *channel, uint16_t event_id,
		     uint32_t bytes,
		     struct rondo_record *out) __asm__("rondo_reserve");

static void
the_exported_reserve_crosses_and_refuses_as_the_inlined(void **state)
{
	struct rondo_stats before, after;
	struct rondo_record record;
	uint64_t number;
	uint32_t tag;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	test_record(&ring, 1);
	number = rondo_head_number(test_head(&ring), ring.map->order);
	ring.ring->limit = 0; /* no time can be told in what is open */
	tag = test_expect(&ring, 16);
	assert_int_equal(exported_reserve(ring.channel, ring.id, 16, &record),
			 0);
	test_fill(record.data, tag, 16);
	assert_int_equal(rondo_commit(&record), 0);
	assert_true(rondo_head_number(test_head(&ring), ring.map->order) ==
		    number + 1);
	test_drain(&ring);
	test_ring_destroy(&ring);
	test_ring_create(&ring, &keeps_oldest);
	fill_ring();
	test_stats(&ring, &before);
	assert_int_equal(exported_reserve(ring.channel, ring.id, 16, &record),
			 -ENOBUFS);
	test_stats(&ring, &after);
	assert_int_equal(after.refused_records[RONDO_REFUSED_FULL],
			 before.refused_records[RONDO_REFUSED_FULL] + 1);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

static void a_packet_tells_what_was_refused_before_it_was_closed(void **state)
{
	struct rondo_record record;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	fill_ring();
	refused(-ENOBUFS, 7);
	assert_int_equal(rondo_reserve(ring.channel, ring.id, 4000, &record),
			 -EMSGSIZE);
	for (int i = 0; i < 3; i++) {
		assert_true(test_take(&ring));
		assert_int_equal(ring.packet.events_discarded, 0);
	}
	test_record(&ring, 8);
	assert_true(test_take(&ring));
	assert_int_equal(ring.packet.events_discarded, 8);
	assert_int_equal(ring.packet.refused[RONDO_REFUSED_FULL], 7);
	assert_int_equal(ring.packet.refused[RONDO_REFUSED_STALLED], 0);
	assert_int_equal(ring.packet.refused[RONDO_REFUSED_BIG], 1);
	test_drain(&ring);
	assert_int_equal(ring.packet.events_discarded, 8);
	test_ring_destroy(&ring);
}

static void a_taken_sub_buffer_is_room_at_once(void **state)
{
	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	fill_ring();
	for (int i = 0; i < 20; i++) {
		refused(-ENOBUFS, 1);
		assert_true(test_take(&ring));
		fill_sub_buffer();
	}
	test_drain(&ring);
	test_ring_destroy(&ring);
}

/* ---- flight recorder ---- */

static uint64_t overwritten, overwritten_bytes;

/* What is about to be overwritten is read: seen, like what is taken. */
static void read_overwritten(const struct rondo_map *map, uint32_t index,
			     uint64_t slot)
{
	assert_int_equal(index, ring.index);
	test_read_packet(&ring,
			 rondo_map_pages(map, index, rondo_slot_pages(slot)));
	overwritten++;
	overwritten_bytes += ring.packet.content_bits / 8 - RONDO_PACKET_BYTES;
}

static void a_flight_recorder_overwrites_the_oldest_and_counts_it(void **state)
{
	struct rondo_stats stats;

	(void)state;
	overwritten = overwritten_bytes = 0;
	test_ring_create(&ring, &keeps_newest);
	rondo_testpoint_overwrite = read_overwritten;
	for (uint32_t i = 0; i < 3000; i++)
		test_record(&ring, i % 61);
	rondo_testpoint_overwrite = NULL;
	test_stats(&ring, &stats);
	assert_true(overwritten > 8);
	assert_int_equal(stats.overwritten, overwritten);
	assert_int_equal(stats.overwritten_bytes, overwritten_bytes);
	test_drain(&ring);
	assert_int_equal(ring.taken, 4);
	assert_int_equal(stats.refused_records[RONDO_REFUSED_FULL], 0);
	test_ring_destroy(&ring);
}

static void one_that_was_taken_is_not_overwritten(void **state)
{
	(void)state;
	overwritten = overwritten_bytes = 0;
	test_ring_create(&ring, &keeps_newest);
	rondo_testpoint_overwrite = read_overwritten;
	for (uint32_t i = 0; i < 30; i++) {
		fill_sub_buffer();
		if (i % 3 == 0)
			test_take(&ring);
	}
	rondo_testpoint_overwrite = NULL;
	test_drain(&ring);
	assert_true(overwritten > 0);
	test_ring_destroy(&ring);
}

/* ---- flush ---- */

static void a_flush_leaves_an_empty_ring_alone(void **state)
{
	struct rondo_stats stats;
	uint64_t before;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	before = test_head(&ring);
	assert_int_equal(rondo_channel_flush(ring.channel), 0);
	assert_true(test_head(&ring) == before);
	test_record(&ring, 1);
	assert_int_equal(rondo_channel_flush(ring.channel), 1);
	before = test_head(&ring);
	for (int i = 0; i < 3; i++)
		assert_int_equal(rondo_channel_flush(ring.channel), 0);
	assert_true(test_head(&ring) == before);
	test_stats(&ring, &stats);
	assert_int_equal(stats.flushes, 1);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

static void a_flush_leaves_what_is_open_and_empty_alone(void **state)
{
	struct rondo_record record;
	uint64_t before;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	assert_int_equal(rondo_reserve(ring.channel, ring.id, 16, &record), 0);
	memset(record.data, 0, 16);
	assert_int_equal(rondo_commit(&record), 0);
	assert_int_equal(rondo_squash(ring.channel, rondo_mark(&record)), 0);
	before = test_head(&ring);
	assert_int_equal(rondo_channel_flush(ring.channel), 0);
	assert_true(test_head(&ring) == before);
	test_ring_destroy(&ring);
}

/* What a flusher on another CPU does, done by hand: a request where the slow
 * path looks, and an older hint that sends the next record there. */
static void ask_to_close(void)
{
	uint64_t number = rondo_head_number(test_head(&ring), ring.map->order);

	ring.ring->asked = 1;
	ring.ring->hint = rondo_hint(number - 1, ring.map->order, 0);
}

static void a_ring_that_is_asked_closes_at_its_next_record(void **state)
{
	struct rondo_stats stats;
	struct rondo_record open = {0};
	uint64_t number;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	test_record(&ring, 9);
	number = rondo_head_number(test_head(&ring), ring.map->order);
	ask_to_close();
	test_record(&ring, 60);
	test_stats(&ring, &stats);
	assert_int_equal(ring.ring->asked, 0);
	assert_int_equal(stats.flushes, ring.ring->atomic_only ? 0 : 1);
	if (!ring.ring->atomic_only)
		assert_true(rondo_head_number(test_head(&ring),
					      ring.map->order) == number + 1);
	/* With a record open, and once more with nothing to close. */
	test_reserve(&ring, 17, &open);
	ask_to_close();
	test_record(&ring, 3);
	assert_int_equal(rondo_commit(&open), 0);
	assert_true(rondo_channel_flush(ring.channel) > 0);
	ask_to_close();
	test_record(&ring, 4);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

static void a_flush_with_an_open_record_delivers_at_its_commit(void **state)
{
	struct rondo_record record = {0};

	(void)state;
	for (uint32_t before = 0; before < 3; before++) {
		test_ring_create(&ring, &keeps_oldest);
		for (uint32_t i = 0; i < before; i++)
			test_record(&ring, 9);
		test_reserve(&ring, 17, &record);
		assert_int_equal(rondo_channel_flush(ring.channel), 1);
		assert_null(test_oldest(&ring));
		assert_int_equal(rondo_channel_flush(ring.channel), 0);
		assert_int_equal(rondo_commit(&record), 0);
		assert_non_null(test_oldest(&ring));
		test_take_all(&ring);
		test_ring_destroy(&ring);
	}
}

static void a_flush_needs_no_free_sub_buffer(void **state)
{
	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	fill_ring();
	refused(-ENOBUFS, 1);
	assert_int_equal(rondo_channel_flush(ring.channel), 1);
	assert_int_equal(rondo_channel_flush(ring.channel), 0);
	refused(-ENOBUFS, 3);
	test_take(&ring);
	test_record(&ring, 5);
	test_drain(&ring);
	assert_int_equal(ring.packet.refused[RONDO_REFUSED_FULL], 4);
	test_ring_destroy(&ring);
}

static void a_flush_from_another_cpu_leaves_the_mode_as_it_was(void **state)
{
	struct rondo_stats stats;
	unsigned mode;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	mode = rondo_head_mode(test_head(&ring));
	for (int i = 0; i < 20; i++) {
		test_record(&ring, 33);
		if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
			assert_true(test_pin(1));
		assert_int_equal(rondo_channel_flush(ring.channel), 1);
		assert_int_equal(rondo_head_mode(test_head(&ring)), mode);
		assert_true(test_pin(0));
		test_take_all(&ring);
	}
	test_stats(&ring, &stats);
	assert_int_equal(stats.flushes, 20);
	assert_int_equal(stats.revocations, in_rseq_mode() ? 20 : 0);
	assert_int_equal(stats.delivered, 20);
	test_ring_destroy(&ring);
}

/* ---- stalled writers ---- */

static void a_stalled_writer_costs_one_sub_buffer_and_nobody_else(void **state)
{
	const struct rondo_config *configs[] = {&keeps_oldest, &keeps_newest,
						&full_headers};
	struct rondo_record stalled;
	struct rondo_stats stats;

	(void)state;
	for (size_t c = 0; c < TEST_COUNT(configs); c++) {
		test_ring_create(&ring, configs[c]);
		ring.any_order = true;
		test_record(&ring, 40);
		test_reserve(&ring, 40, &stalled);
		for (int lap = 0; lap < 5; lap++) {
			for (int i = 0; i < 3; i++) {
				fill_sub_buffer();
				test_take_all(&ring);
			}
		}
		test_stats(&ring, &stats);
		assert_in_range(stats.passed_over, 4, 6);
		assert_int_equal(stats.overwritten, 0);
		assert_int_equal(stats.refused_records[RONDO_REFUSED_FULL], 0);
		assert_int_equal(rondo_commit(&stalled), 0);
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

/* Each sub-buffer has a record open; the last is still the head's. */
static void stall_all(struct rondo_record open[4])
{
	for (int i = 0; i < 4; i++) {
		test_reserve(&ring, 20, &open[i]);
		fill_sub_buffer();
	}
}

static void
when_every_slot_is_stalled_reserve_is_busy_and_counts_it(void **state)
{
	const struct rondo_config *configs[] = {&keeps_oldest, &keeps_newest,
						&full_headers};
	struct rondo_record open[4];
	struct rondo_stats stats;
	uint64_t bytes;

	(void)state;
	for (size_t c = 0; c < TEST_COUNT(configs); c++) {
		test_ring_create(&ring, configs[c]);
		ring.any_order = true;
		stall_all(open);
		bytes = refused(-EBUSY, 11);
		test_stats(&ring, &stats);
		assert_int_equal(stats.refused_records[RONDO_REFUSED_STALLED],
				 11);
		assert_true(stats.refused_bytes[RONDO_REFUSED_STALLED] ==
			    bytes);
		/* Two: one to be in, one to go on to. */
		assert_int_equal(rondo_commit(&open[2]), 0);
		assert_int_equal(rondo_commit(&open[0]), 0);
		test_take_all(&ring);
		for (int i = 0; i < 5; i++) {
			fill_sub_buffer();
			test_take_all(&ring);
		}
		assert_int_equal(rondo_commit(&open[3]), 0);
		assert_int_equal(rondo_commit(&open[1]), 0);
		test_drain(&ring);
		assert_int_equal(ring.packet.refused[RONDO_REFUSED_STALLED],
				 11);
		test_ring_destroy(&ring);
	}
}

static void a_flush_of_a_ring_whose_slots_are_all_stalled_succeeds(void **state)
{
	struct rondo_record open[4];

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	ring.any_order = true;
	stall_all(open);
	refused(-EBUSY, 1);
	assert_int_equal(rondo_channel_flush(ring.channel), 1);
	refused(-EBUSY, 1);
	for (int i = 3; i >= 0; i--)
		assert_int_equal(rondo_commit(&open[i]), 0);
	test_take_all(&ring);
	test_record(&ring, 3);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

/* ---- wraps ---- */

/* Laps of records, taken, overwritten, flushed, from a first number on. */
static void run_laps(const struct rondo_config *config, uint64_t first)
{
	rondo_testpoint_start = (first - config->subbuf_count) &
				RONDO_NUMBER_MASK;
	test_ring_create(&ring, config);
	rondo_testpoint_overwrite = read_overwritten;
	for (uint32_t i = 0; i < 900; i++) {
		test_record(&ring, i % 97);
		if (i % 50 == 0)
			assert_in_range(rondo_channel_flush(ring.channel), 0,
					1);
		if (!(config->flags & RONDO_OVERWRITE) || i % 100 == 0)
			test_take_all(&ring);
	}
	rondo_testpoint_overwrite = NULL;
	test_drain(&ring);
	test_ring_destroy(&ring);
	rondo_testpoint_start = 0;
}

/* A writer that stalls before the wrap, and comes back after it. */
static void stall_across(const struct rondo_config *config, uint64_t first)
{
	struct rondo_record stalled;

	rondo_testpoint_start = (first - config->subbuf_count) &
				RONDO_NUMBER_MASK;
	test_ring_create(&ring, config);
	ring.any_order = true;
	test_reserve(&ring, 30, &stalled);
	for (int i = 0; i < 9; i++) {
		fill_sub_buffer();
		test_take_all(&ring);
	}
	assert_int_equal(rondo_commit(&stalled), 0);
	test_drain(&ring);
	test_ring_destroy(&ring);
	rondo_testpoint_start = 0;
}

static void rings_work_across_the_wrap_of_every_counter(void **state)
{
	const struct rondo_config *configs[] = {&keeps_oldest, &keeps_newest,
						&full_headers};

	(void)state;
	for (size_t c = 0; c < TEST_COUNT(configs); c++) {
		const unsigned order =
			(unsigned)__builtin_ctzll(configs[c]->subbuf_bytes);
		const uint64_t turn = UINT64_C(1) << rondo_number_bits(order);
		const uint64_t wraps[] = {turn / 2, turn, 2 * turn,
					  UINT64_C(1) << 45, UINT64_C(1) << 46};

		for (size_t w = 0; w < TEST_COUNT(wraps); w++)
			for (uint64_t before = 1; before <= 5; before++) {
				run_laps(configs[c], wraps[w] - before);
				stall_across(configs[c], wraps[w] - before);
			}
	}
}

static void packets_name_their_number_and_the_one_before(void **state)
{
	uint64_t number;

	(void)state;
	rondo_testpoint_start = RONDO_NUMBER_MASK - 6;
	test_ring_create(&ring, &keeps_oldest);
	rondo_testpoint_start = 0;
	number = ring.map->count + RONDO_NUMBER_MASK - 6;
	for (int i = 0; i < 12; i++, number++) {
		const uint64_t told =
			(UINT64_C(1) << rondo_number_bits(ring.map->order)) - 1;

		test_record(&ring, 5);
		if (i & 1)
			test_leave_room(&ring, 0);
		test_drain(&ring);
		assert_true(ring.packet.number == (number & RONDO_NUMBER_MASK));
		/* Nothing was open: the head had reached it, not left one. */
		assert_true(ring.packet.previous == (number & told));
	}
	test_ring_destroy(&ring);
}

/* ---- old words ---- */

static void an_old_hint_costs_a_call_and_is_healed(void **state)
{
	uint64_t number, hint;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	fill_sub_buffer();
	test_record(&ring, 24);
	number = test_number(&ring);
	hint = rondo_load_relaxed(&ring.ring->hint);
	rondo_store_relaxed(&ring.ring->hint,
			    rondo_hint(number - 1, ring.map->order, 0));
	test_record(&ring, 24);
	assert_true(test_number(&ring) == number);
	assert_true(rondo_load_relaxed(&ring.ring->hint) == hint);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

static void a_time_that_compact_headers_cannot_tell_crosses(void **state)
{
	uint64_t number;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	test_record(&ring, 24);
	number = test_number(&ring);
	rondo_store_relaxed(&ring.ring->limit, 0);
	test_record(&ring, 24);
	assert_true(test_number(&ring) == number + 1);
	test_record(&ring, 24);
	assert_true(test_number(&ring) == number + 1);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

/* A compact header has 40 bits of time; a bound on their high half alone. */
static void the_limit_is_as_far_as_compact_headers_can_tell(void **state)
{
	uint64_t limit;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	for (int i = 0; i < 8; i++) {
		test_record(&ring, 24);
		limit = rondo_load_relaxed(&ring.ring->limit);
		test_leave_room(&ring, 0);
		test_drain(&ring);
		assert_true((limit | UINT32_MAX) - ring.packet.timestamp_begin <
			    UINT64_C(1) << 40);
		assert_true(limit - ring.packet.timestamp_begin >
			    UINT64_C(1) << 39);
	}
	test_ring_destroy(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_full_ring_refuses_and_counts_records_and_bytes),
		cmocka_unit_test(
			the_exported_reserve_crosses_and_refuses_as_the_inlined),
		cmocka_unit_test(
			a_packet_tells_what_was_refused_before_it_was_closed),
		cmocka_unit_test(a_taken_sub_buffer_is_room_at_once),
		cmocka_unit_test(
			a_flight_recorder_overwrites_the_oldest_and_counts_it),
		cmocka_unit_test(one_that_was_taken_is_not_overwritten),
		cmocka_unit_test(a_flush_leaves_an_empty_ring_alone),
		cmocka_unit_test(a_flush_leaves_what_is_open_and_empty_alone),
		cmocka_unit_test(
			a_ring_that_is_asked_closes_at_its_next_record),
		cmocka_unit_test(
			a_flush_with_an_open_record_delivers_at_its_commit),
		cmocka_unit_test(a_flush_needs_no_free_sub_buffer),
		cmocka_unit_test(
			a_flush_from_another_cpu_leaves_the_mode_as_it_was),
		cmocka_unit_test(
			a_stalled_writer_costs_one_sub_buffer_and_nobody_else),
		cmocka_unit_test(
			when_every_slot_is_stalled_reserve_is_busy_and_counts_it),
		cmocka_unit_test(
			a_flush_of_a_ring_whose_slots_are_all_stalled_succeeds),
		cmocka_unit_test(rings_work_across_the_wrap_of_every_counter),
		cmocka_unit_test(packets_name_their_number_and_the_one_before),
		cmocka_unit_test(an_old_hint_costs_a_call_and_is_healed),
		cmocka_unit_test(
			the_limit_is_as_far_as_compact_headers_can_tell),
		cmocka_unit_test(
			a_time_that_compact_headers_cannot_tell_crosses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
