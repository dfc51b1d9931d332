/* SPDX-License-Identifier: MIT */
/*
 * Records in a ring, one thread: room, lengths, alignment, nesting, and what
 * is refused before a ring is looked at.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "support/one_ring.h"

static struct test_ring ring;

/* Compact headers where records fit 2032 bytes, full ones otherwise. */
static const struct rondo_config geometries[] = {
	{.size = sizeof(struct rondo_config),
	 .subbuf_bytes = 4096,
	 .subbuf_count = 4},
	{.size = sizeof(struct rondo_config),
	 .subbuf_bytes = 16384,
	 .subbuf_count = 8},
	{.size = sizeof(struct rondo_config),
	 .subbuf_bytes = 4096,
	 .subbuf_count = 4,
	 .record_max = 2033},
	{.size = sizeof(struct rondo_config),
	 .subbuf_bytes = 16384,
	 .subbuf_count = 4,
	 .record_max = 16000},
	{.size = sizeof(struct rondo_config),
	 .subbuf_bytes = 4096,
	 .subbuf_count = 4,
	 .clock = RONDO_CLOCK_NONE},
	{.size = sizeof(struct rondo_config),
	 .subbuf_bytes = 4096,
	 .subbuf_count = 4,
	 .clock = RONDO_CLOCK_MONOTONIC,
	 .flags = RONDO_NO_RSEQ},
};

#define FOR_EACH_GEOMETRY(config)                            \
	for (const struct rondo_config *config = geometries; \
	     config < geometries + TEST_COUNT(geometries); config++)

static const uint32_t rooms[] = {0, 16, 48, 1024, 2016};

static void a_record_of_exactly_the_room_left_stays(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		for (size_t i = 0; i < TEST_COUNT(rooms); i++) {
			uint64_t number;

			test_leave_room(&ring, rooms[i]);
			number = test_number(&ring);
			test_record(&ring, rooms[i]);
			assert_true(test_number(&ring) == number);
			assert_true(test_offset(&ring) ==
				    config->subbuf_bytes - RONDO_TAIL_BYTES);
			test_drain(&ring);
		}
		test_ring_destroy(&ring);
	}
}

static void one_byte_more_than_the_room_left_crosses(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		for (size_t i = 0; i < TEST_COUNT(rooms); i++) {
			uint64_t number;

			test_leave_room(&ring, rooms[i]);
			number = test_number(&ring);
			test_record(&ring, rooms[i] + 1);
			assert_true(test_number(&ring) == number + 1);
			test_drain(&ring);
		}
		test_ring_destroy(&ring);
	}
}

/* Every offset at which a record may begin near the end, every length there. */
/* Readers would find an event in what lies behind the last field. */
static void the_content_ends_where_the_last_record_does(void **state)
{
	struct rondo_stats stats;
	uint64_t late;

	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		late = 0;
		test_ring_create(&ring, config);
		for (uint32_t bytes = 0; bytes <= 40; bytes++) {
			test_record(&ring, 5);
			test_record(&ring, bytes);
			test_drain(&ring);
			test_stats(&ring, &stats);
			if (stats.late_commits > late) {
				late = stats.late_commits; /* test_no_gaps */
				continue;
			}
			assert_int_equal(
				ring.packet.content_bits,
				(RONDO_PACKET_BYTES +
				 rondo_align(ring.map->header_bytes + 5,
					     ring.map->header_bytes) +
				 ring.map->header_bytes + bytes) *
					8);
		}
		test_ring_destroy(&ring);
	}
}

/* The high byte of an id stands apart from the rest in either header. */
static void ids_beyond_one_byte_come_back_with_their_times(void **state)
{
	struct rondo_event_class class = {
		.size = sizeof(class),
		.field_size = sizeof(struct rondo_field),
	};
	struct rondo_record record = {0};
	char name[16];

	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		for (unsigned i = 0; ring.id < 300; i++) {
			snprintf(name, sizeof(name), "test:%u", i);
			class.name = name;
			assert_int_equal(rondo_event_register(ring.channel,
							      &class, &ring.id),
					 0);
		}
		test_reserve(&ring, 16, &record);
		assert_int_equal(rondo_commit(&record), 0);
		assert_int_equal(
			((uint16_t *)record
				 .data)[ring.map->header_bytes == 8 ? -1 : -8],
			300);
		test_record(&ring, 8);
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

static void near_the_end_each_length_stays_or_crosses_by_its_room(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		for (uint32_t room = 0; room <= 64; room += 16)
			for (uint32_t bytes = 0; bytes <= 72; bytes++) {
				uint64_t number;

				test_leave_room(&ring, room);
				number = test_number(&ring);
				test_record(&ring, bytes);
				assert_true(test_number(&ring) ==
					    number + (bytes > room));
				test_drain(&ring);
			}
		test_ring_destroy(&ring);
	}
}

static void records_without_payload_fill_a_sub_buffer(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		uint64_t number, count = 1;

		test_ring_create(&ring, config);
		test_record(&ring, 0);
		for (number = test_number(&ring);; count++) {
			test_record(&ring, 0);
			if (test_number(&ring) != number)
				break;
		}
		assert_true(count == (config->subbuf_bytes -
				      RONDO_PACKET_BYTES - RONDO_TAIL_BYTES) /
					     ring.map->header_bytes);
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

static void
a_record_of_every_length_comes_back_with_a_tail_of_zeroes(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		memset(ring.map->pages, TEST_CANARY,
		       ring.map->ring_count * ring.map->pages_stride);
		for (uint32_t bytes = 0; bytes <= ring.map->record_max;
		     bytes += bytes > 4096 ? 37 : 1) {
			test_record(&ring, bytes);
			test_take_all(&ring);
		}
		test_record(&ring, ring.map->record_max);
		test_drain(&ring);
		test_no_gaps(&ring);
		test_ring_destroy(&ring);
	}
}

/* ---- alignment ---- */

static void record_aligned(uint32_t bytes, uint32_t align)
{
	struct rondo_record record;
	uint32_t tag = test_expect(&ring, bytes);

	assert_int_equal(rondo_reserve_aligned(ring.channel, ring.id, bytes,
					       align, &record),
			 0);
	assert_int_equal((uintptr_t)record.data % align, 0);
	test_fill(record.data, tag, bytes);
	assert_int_equal(rondo_commit(&record), 0);
}

static void aligned_data_lies_at_its_multiple_from_any_start(void **state)
{
	const uint32_t most = 300;

	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		for (uint32_t align = 8; align <= 4096; align *= 2) {
			if (align + most + RONDO_TAIL_BYTES >
			    config->subbuf_bytes)
				continue;
			for (uint32_t before = 0; before < 520; before += 8) {
				test_record(&ring, before);
				record_aligned(before * 5 % most, align);
				record_aligned(0, align);
				test_take_all(&ring);
			}
		}
		test_drain(&ring);
		assert_true(ring.gaps > 0);
		test_ring_destroy(&ring);
	}
}

/* A compact header tells 2032 bytes at most: longer gaps are several. */
static void a_gap_longer_than_a_record_is_several(void **state)
{
	(void)state;
	test_ring_create(&ring, &geometries[1]);
	test_record(&ring, 0);
	record_aligned(16, 4096);
	test_drain(&ring);
	assert_int_equal(ring.gaps, 2);
	test_ring_destroy(&ring);
}

/* 512 before the end lies a multiple of 256; a gap leads there, or none. */
static void an_aligned_record_of_exactly_the_room_left_stays(void **state)
{
	const uint32_t room = 512 - RONDO_TAIL_BYTES;

	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		for (uint32_t gap = 0; gap <= 64; gap += 16) {
			for (uint32_t more = 0; more <= 1; more++) {
				uint64_t number;

				test_leave_room(&ring, room + gap);
				number = test_number(&ring);
				record_aligned(room + more, 256);
				assert_true(test_number(&ring) ==
					    number + more);
				test_drain(&ring);
			}
		}
		test_ring_destroy(&ring);
	}
}

static void what_can_never_fit_is_too_big_and_counted_so(void **state)
{
	struct rondo_record record;
	struct rondo_stats stats;

	(void)state;
	test_ring_create(&ring, &geometries[0]);
	assert_int_equal(rondo_reserve_aligned(ring.channel, ring.id, 0, 4096,
					       &record),
			 -EMSGSIZE);
	assert_int_equal(rondo_reserve(ring.channel, ring.id, 2033, &record),
			 -EMSGSIZE);
	assert_int_equal(rondo_reserve(ring.channel, ring.id, UINT32_MAX,
				       &record),
			 -EMSGSIZE);
	test_stats(&ring, &stats);
	assert_int_equal(stats.refused_records[RONDO_REFUSED_BIG], 3);
	assert_true(stats.refused_bytes[RONDO_REFUSED_BIG] ==
		    2033 + (uint64_t)UINT32_MAX);
	test_record(&ring, 1);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

static void an_alignment_that_is_none_is_invalid_and_not_counted(void **state)
{
	const uint32_t aligns[] = {
		0, 1, 4, 7, 12, 24, 4097, 8192, UINT32_C(1) << 31};
	struct rondo_record record;
	struct rondo_stats stats;

	(void)state;
	test_ring_create(&ring, &geometries[1]);
	for (size_t i = 0; i < TEST_COUNT(aligns); i++)
		assert_int_equal(rondo_reserve_aligned(ring.channel, ring.id, 8,
						       aligns[i], &record),
				 -EINVAL);
	test_stats(&ring, &stats);
	for (unsigned cause = 0; cause < RONDO_CAUSES; cause++)
		assert_int_equal(stats.refused_records[cause], 0);
	test_ring_destroy(&ring);
}

/* ---- before a ring is looked at ---- */

static void an_unknown_class_is_invalid_and_the_handle_untouched(void **state)
{
	const uint16_t ids[] = {0, 1, 3, 0xfeff, 0xff00, 0xffff};
	struct rondo_record record, before;

	(void)state;
	memset(&record, 0x5a, sizeof(record));
	before = record;
	test_ring_create(&ring, &geometries[0]);
	/* With something open the fast path gets as far as it can. */
	test_record(&ring, 8);
	for (size_t i = 0; i < TEST_COUNT(ids); i++) {
		assert_int_equal(rondo_reserve(ring.channel, ids[i], 8,
					       &record),
				 -EINVAL);
		assert_int_equal(rondo_write(ring.channel, ids[i], "x", 1),
				 -EINVAL);
	}
	assert_int_equal(rondo_reserve(ring.channel, ring.id, 5000, &record),
			 -EMSGSIZE);
	assert_memory_equal(&record, &before, sizeof(record));
	test_drain(&ring);
	test_ring_destroy(&ring);
}

static void
a_stopped_channel_refuses_without_counting_and_starts_again(void **state)
{
	struct rondo_record record;
	struct rondo_stats stats;

	(void)state;
	test_ring_create(&ring, &geometries[0]);
	test_reserve(&ring, 24, &record);
	assert_int_equal(rondo_channel_stop(ring.channel), 0);
	assert_int_equal(rondo_write(ring.channel, ring.id, "x", 1),
			 -ESHUTDOWN);
	assert_int_equal(rondo_commit(&record), 0);
	assert_int_equal(rondo_reserve_aligned(ring.channel, ring.id, 1, 64,
					       &record),
			 -ESHUTDOWN);
	assert_int_equal(rondo_channel_start(ring.channel), 0);
	test_record(&ring, 3);
	test_stats(&ring, &stats);
	assert_int_equal(stats.refused_records[RONDO_REFUSED_FULL], 0);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

/* ---- open records ---- */

static void three_hundred_records_may_be_open_at_once(void **state)
{
	static struct rondo_record open[300];
	uint64_t first = 0;

	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		for (size_t i = 0; i < TEST_COUNT(open); i++) {
			test_reserve(&ring, i % 24, &open[i]);
			if (i == 0)
				first = test_number(&ring);
		}
		assert_true(test_number(&ring) > first);
		assert_in_range(rondo_head_pending(test_head(&ring)), 1, 256);
		assert_null(test_oldest(&ring));
		for (size_t i = 0; i < TEST_COUNT(open); i++)
			assert_int_equal(rondo_commit(&open[i ^ 3]), 0);
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

static void
records_committed_in_any_order_are_delivered_by_the_last(void **state)
{
	struct rondo_record open[8];

	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		for (unsigned last = 0; last < 8; last++) {
			for (unsigned i = 0; i < 8; i++)
				test_reserve(&ring, 8 * i, &open[i]);
			assert_int_equal(rondo_channel_flush(ring.channel), 1);
			for (unsigned i = 1; i < 8; i++) {
				assert_null(test_oldest(&ring));
				rondo_commit(&open[(last + i) % 8]);
			}
			assert_null(test_oldest(&ring));
			rondo_commit(&open[last]);
			assert_non_null(test_oldest(&ring));
			test_take_all(&ring);
		}
		test_ring_destroy(&ring);
	}
}

/* ---- gathered records ---- */

static void write_in_pieces(int count, uint32_t each)
{
	static char bytes[4096];
	static struct iovec pieces[1024];
	uint32_t sum = 0;

	for (int i = 0; i < count; i++) {
		pieces[i].iov_len = (each + (uint32_t)i) % 3;
		pieces[i].iov_base = bytes + sum;
		sum += (uint32_t)pieces[i].iov_len;
	}
	test_fill(bytes, test_expect(&ring, sum), sum);
	assert_int_equal(rondo_writev(ring.channel, ring.id, pieces, count), 0);
}

static void a_record_is_gathered_from_any_number_of_pieces(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		for (int count = 0; count <= 1024; count++) {
			write_in_pieces(count, (uint32_t)count);
			test_take_all(&ring);
		}
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

/* Lengths that no compiler sees: it would copy by what it knows. */
static void a_piece_of_any_length_is_copied_whole(void **state)
{
	static char bytes[400];
	struct iovec pieces[3];

	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		for (volatile uint32_t length = 0; length < 132; length++) {
			const uint32_t sum = 3 * length + 1;

			for (uint32_t i = 0; i < 3; i++) {
				pieces[i].iov_base = bytes + i * length;
				pieces[i].iov_len = length + (i == 2);
			}
			test_fill(bytes, test_expect(&ring, sum), sum);
			assert_int_equal(rondo_writev(ring.channel, ring.id,
						      pieces, 3),
					 0);
			test_take_all(&ring);
		}
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

static void a_sum_of_pieces_that_overflows_is_too_big(void **state)
{
	/* Not inlined: the compiler sees that no array is so long. */
	int (*volatile gather)(struct rondo_channel *, uint16_t,
			       const struct iovec *, int) = rondo_writev;
	char byte = 0;
	struct iovec pieces[2] = {{&byte, SIZE_MAX}, {&byte, SIZE_MAX}};

	(void)state;
	test_ring_create(&ring, &geometries[0]);
	assert_int_equal(gather(ring.channel, ring.id, pieces, 2), -EMSGSIZE);
	pieces[0].iov_len = UINT64_C(1) << 32;
	assert_int_equal(gather(ring.channel, ring.id, pieces, 1), -EMSGSIZE);
	assert_int_equal(gather(ring.channel, ring.id, pieces, -1), -EINVAL);
	assert_int_equal(gather(ring.channel, ring.id, NULL, 0), 0);
	test_expect(&ring, 0);
	assert_int_equal(rondo_write(ring.channel, ring.id, NULL, 0), 0);
	test_expect(&ring, 0);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

/* ---- the checker ---- */

/* What the checker says of a word that is not what it was. */
static void with_another(uint64_t *word, uint64_t value, const char *said)
{
	uint64_t before = *word;
	const char *why;

	*word = value;
	assert_int_equal(rondo_ring_check(ring.control, ring.index, &why),
			 -EPROTO);
	if (strcmp(why, said) != 0)
		fail_msg("%s, not %s", why, said);
	*word = before;
	assert_int_equal(rondo_ring_check(ring.control, ring.index, &why), 0);
}

static void the_checker_sees_each_invariant_broken(void **state)
{
	uint64_t *slot, *other, number, head;

	(void)state;
	test_ring_create(&ring, &geometries[0]);
	test_record(&ring, 8);
	test_drain(&ring);
	number = test_number(&ring);
	head = test_head(&ring);
	slot = rondo_map_slot(ring.map, ring.index, number + 1);
	other = rondo_map_slot(ring.map, ring.index, number + 2);
	with_another(slot,
		     rondo_slot(rondo_slot_pages(*other), RONDO_SLOT_EMPTY,
				number + 1),
		     "I-pages: a page set is in no slot or in two");
	with_another(slot,
		     rondo_slot(ring.map->count + ring.map->spares,
				RONDO_SLOT_EMPTY, number + 1),
		     "I-pages: a page set is in no slot or in two");
	with_another((uint64_t *)rondo_map_late(ring.map, ring.index, 0), 1,
		     "I-once: a late counter is not 0");
	with_another(slot,
		     rondo_slot(rondo_slot_pages(*slot), RONDO_SLOT_EMPTY,
				number + 2),
		     "I-pages: a number is in a foreign slot");
	with_another(slot,
		     rondo_slot(rondo_slot_pages(*slot), RONDO_SLOT_OPEN,
				number + 1),
		     "I-once: closed, complete, not delivered");
	with_another(&ring.ring->head,
		     rondo_head_with_mode(head, RONDO_HEAD_REVOKING),
		     "I-progress: a revocation is left unfinished");
	with_another(&ring.ring->asked, 1,
		     "I-progress: a request to close is left standing");
	with_another(&ring.ring->head,
		     head + (UINT64_C(1) << RONDO_PENDING_SHIFT),
		     "I-count: records are open on a quiet ring");
	test_ring_destroy(&ring);
}

/* ---- words that were damaged ---- */

static uint64_t *spoilt, spoilt_word;

static void spoil_before_delivery(enum rondo_testpoint at)
{
	if (at != RONDO_AT_BEFORE_DELIVER || !spoilt)
		return;
	spoilt_word = *spoilt;
	*spoilt = 0;
	spoilt = NULL;
}

static void a_delivery_that_finds_another_word_leaves_it_alone(void **state)
{
	uint64_t *slot;

	(void)state;
	test_ring_create(&ring, &geometries[0]);
	test_record(&ring, 8);
	spoilt = slot =
		rondo_map_slot(ring.map, ring.index, test_number(&ring));
	rondo_testpoint_hook = spoil_before_delivery;
	assert_int_equal(rondo_channel_flush(ring.channel), 1);
	rondo_testpoint_hook = NULL;
	assert_null(spoilt);
	assert_int_equal(*slot, 0);
	*slot = rondo_slot(rondo_slot_pages(spoilt_word), RONDO_SLOT_READABLE,
			   rondo_slot_number(spoilt_word));
	test_take_all(&ring);
	test_ring_destroy(&ring);
}

static void a_slot_that_names_no_page_set_is_not_claimed(void **state)
{
	uint64_t *slot, before;
	uint32_t unseen;

	(void)state;
	test_ring_create(&ring, &geometries[0]);
	test_record(&ring, 8);
	slot = rondo_map_slot(ring.map, ring.index, test_number(&ring) + 1);
	before = *slot;
	*slot = rondo_slot(ring.map->count + ring.map->spares, RONDO_SLOT_EMPTY,
			   rondo_slot_number(before));
	unseen = ring.count;
	while (test_room(&ring) >= 0)
		test_record(&ring, 0);
	assert_true(ring.count > unseen);
	assert_true(rondo_write(ring.channel, ring.id, NULL, 0) < 0);
	*slot = before;
	test_drain(&ring);
	test_ring_destroy(&ring);
}

static void a_late_commit_of_no_page_set_changes_nothing(void **state)
{
	struct rondo_place place;
	int64_t before, *beyond;

	(void)state;
	test_ring_create(&ring, &geometries[0]);
	place = (struct rondo_place){ring.control, ring.ring, ring.index,
				     ring.index};
	beyond = rondo_map_late(ring.map, ring.index,
				rondo_map_page_sets(ring.map));
	before = *beyond;
	rondo_ring_late(&place, rondo_map_page_sets(ring.map),
			test_number(&ring), -1);
	assert_true(*beyond == before);
	test_record(&ring, 8);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_of_exactly_the_room_left_stays),
		cmocka_unit_test(one_byte_more_than_the_room_left_crosses),
		cmocka_unit_test(the_content_ends_where_the_last_record_does),
		cmocka_unit_test(
			ids_beyond_one_byte_come_back_with_their_times),
		cmocka_unit_test(
			near_the_end_each_length_stays_or_crosses_by_its_room),
		cmocka_unit_test(records_without_payload_fill_a_sub_buffer),
		cmocka_unit_test(
			a_record_of_every_length_comes_back_with_a_tail_of_zeroes),
		cmocka_unit_test(
			aligned_data_lies_at_its_multiple_from_any_start),
		cmocka_unit_test(a_gap_longer_than_a_record_is_several),
		cmocka_unit_test(
			an_aligned_record_of_exactly_the_room_left_stays),
		cmocka_unit_test(what_can_never_fit_is_too_big_and_counted_so),
		cmocka_unit_test(
			an_alignment_that_is_none_is_invalid_and_not_counted),
		cmocka_unit_test(
			an_unknown_class_is_invalid_and_the_handle_untouched),
		cmocka_unit_test(
			a_stopped_channel_refuses_without_counting_and_starts_again),
		cmocka_unit_test(three_hundred_records_may_be_open_at_once),
		cmocka_unit_test(
			records_committed_in_any_order_are_delivered_by_the_last),
		cmocka_unit_test(
			a_record_is_gathered_from_any_number_of_pieces),
		cmocka_unit_test(a_piece_of_any_length_is_copied_whole),
		cmocka_unit_test(a_sum_of_pieces_that_overflows_is_too_big),
		cmocka_unit_test(the_checker_sees_each_invariant_broken),
		cmocka_unit_test(
			a_delivery_that_finds_another_word_leaves_it_alone),
		cmocka_unit_test(a_slot_that_names_no_page_set_is_not_claimed),
		cmocka_unit_test(a_late_commit_of_no_page_set_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
