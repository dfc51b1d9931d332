/* SPDX-License-Identifier: MIT */
/*
 * Backward moves of the head, one thread: discard, shrink, squash; of the last
 * record and of others, after a switch and from another CPU.
 */
#include <errno.h>
#include <unistd.h>

#include "support/one_ring.h"

static struct test_ring ring;

static const struct rondo_config geometries[] = {
	{.size = sizeof(struct rondo_config),
	 .subbuf_bytes = 4096,
	 .subbuf_count = 4},
	{.size = sizeof(struct rondo_config),
	 .subbuf_bytes = 16384,
	 .subbuf_count = 4,
	 .record_max = 4000},
	{.size = sizeof(struct rondo_config),
	 .subbuf_bytes = 4096,
	 .subbuf_count = 4,
	 .clock = RONDO_CLOCK_MONOTONIC},
};

#define FOR_EACH_GEOMETRY(config)                            \
	for (const struct rondo_config *config = geometries; \
	     config < geometries + TEST_COUNT(geometries); config++)

static bool in_rseq_mode(void)
{
	return rondo_head_mode(test_head(&ring)) == RONDO_HEAD_RSEQ;
}

/* The thread elsewhere; false where there is one CPU only. */
static bool go_to_another_cpu(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN) > 1 && test_pin(1);
}

static void come_back(void)
{
	assert_true(test_pin(0));
}

/* Marks what test_record records. */
static struct rondo_mark record_and_mark(uint32_t bytes)
{
	struct rondo_record record = {0};

	test_reserve(&ring, bytes, &record);
	assert_int_equal(rondo_commit(&record), 0);
	return rondo_mark(&record);
}

static uint64_t squashed(void)
{
	struct rondo_stats stats;

	test_stats(&ring, &stats);
	return stats.squashed;
}

static uint64_t discarded(void)
{
	struct rondo_stats stats;

	test_stats(&ring, &stats);
	return stats.discarded;
}

/* Some more, so that what is under test is not the first of its sub-buffer. */
static void record_some(void)
{
	test_record(&ring, 5);
	test_record(&ring, 24);
	test_record(&ring, 0);
}

/* ---- discard ---- */

static void a_discarded_last_record_leaves_the_head_where_it_was(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		record_some();
		for (uint32_t bytes = 0; bytes <= 200; bytes++) {
			struct rondo_record record;
			uint64_t before;

			test_record(&ring, bytes & 15);
			before = test_head(&ring);
			test_reserve(&ring, bytes, &record);
			if (rondo_head_number(test_head(&ring) ^ before,
					      ring.map->order)) {
				rondo_commit(&record);
				test_take_all(&ring);
				continue;
			}
			test_forget(&ring);
			assert_int_equal(rondo_discard(&record), 0);
			assert_true(rondo_head_bump(before) ==
				    test_head(&ring));
		}
		test_drain(&ring);
		test_no_gaps(&ring);
		test_ring_destroy(&ring);
	}
}

/* A discarded record among others; how many come between is after. */
static void discard_before_others(uint32_t bytes, int after)
{
	struct rondo_record record, other;

	assert_int_equal(rondo_reserve(ring.channel, ring.id, bytes, &record),
			 0);
	test_fill(record.data, 77, bytes);
	for (int i = 0; i < after; i++)
		test_record(&ring, (uint32_t)i);
	test_reserve(&ring, 3, &other);
	assert_int_equal(rondo_discard(&record), 0);
	test_record(&ring, 11);
	assert_int_equal(rondo_commit(&other), 0);
}

static void a_discarded_record_with_others_behind_it_becomes_a_gap(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		for (uint32_t bytes = 0; bytes <= 80; bytes++) {
			uint32_t gaps = ring.gaps;

			discard_before_others(bytes, (int)(bytes % 5));
			assert_int_equal(discarded(), bytes + 1);
			test_drain(&ring);
			assert_in_range(ring.gaps - gaps, 1, 2);
		}
		test_ring_destroy(&ring);
	}
}

static void a_record_discarded_after_a_flush_becomes_a_gap(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		for (uint32_t bytes = 0; bytes <= 80; bytes++) {
			struct rondo_record record;

			if (bytes & 1)
				record_some();
			assert_int_equal(rondo_reserve(ring.channel, ring.id,
						       bytes, &record),
					 0);
			assert_int_equal(rondo_channel_flush(ring.channel), 1);
			assert_int_equal(rondo_discard(&record), 0);
			test_take_all(&ring);
		}
		test_ring_destroy(&ring);
	}
}

static void a_record_may_be_discarded_on_another_cpu(void **state)
{
	struct rondo_record record;

	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		record_some();
		assert_int_equal(
			rondo_reserve(ring.channel, ring.id, 40, &record), 0);
		if (!go_to_another_cpu())
			print_message("one CPU: discarded where it was\n");
		assert_int_equal(rondo_discard(&record), 0);
		come_back();
		test_record(&ring, 9);
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

/* ---- shrink ---- */

enum when {
	AS_THE_LAST,
	BEHIND_ANOTHER,
	AFTER_A_FLUSH,
	ELSEWHERE,
	WHENS
};

static void shrink(uint32_t bytes, uint32_t used, enum when when)
{
	struct rondo_record record, other;
	uint32_t tag = test_expect(&ring, used);

	assert_int_equal(rondo_reserve(ring.channel, ring.id, bytes, &record),
			 0);
	test_fill(record.data, tag, used);
	if (when == BEHIND_ANOTHER)
		test_reserve(&ring, 2, &other);
	if (when == AFTER_A_FLUSH)
		assert_int_equal(rondo_channel_flush(ring.channel), 1);
	if (when == ELSEWHERE)
		go_to_another_cpu();
	assert_int_equal(rondo_commit_len(&record, used), 0);
	if (when == ELSEWHERE)
		come_back();
	if (when == BEHIND_ANOTHER)
		assert_int_equal(rondo_commit(&other), 0);
}

static void a_shrunk_record_has_the_length_it_was_committed_with(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		for (enum when when = AS_THE_LAST; when < WHENS; when++)
			for (uint32_t bytes = 0; bytes <= 40; bytes++)
				for (uint32_t used = 0; used <= bytes; used++) {
					shrink(bytes, used, when);
					if (used & 1)
						test_record(&ring, used);
					test_drain(&ring);
				}
		test_ring_destroy(&ring);
	}
}

static void a_shrunk_last_record_gives_its_room_to_the_next(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		uint64_t offset;

		test_ring_create(&ring, config);
		record_some();
		offset = test_offset(&ring);
		shrink(1000, 30, AS_THE_LAST);
		assert_true(test_offset(&ring) ==
			    rondo_align(offset + ring.map->header_bytes + 30,
					ring.map->header_bytes));
		test_drain(&ring);
		test_no_gaps(&ring);
		test_ring_destroy(&ring);
	}
}

static void more_than_was_reserved_is_invalid_and_leaves_it_open(void **state)
{
	struct rondo_record record;

	(void)state;
	test_ring_create(&ring, &geometries[0]);
	test_reserve(&ring, 12, &record);
	assert_int_equal(rondo_commit_len(&record, 13), -EINVAL);
	assert_int_equal(rondo_commit_len(&record, UINT32_MAX), -EINVAL);
	assert_int_equal(rondo_head_pending(test_head(&ring)), 1);
	assert_int_equal(rondo_commit_len(&record, 12), 0);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

static void a_shrunk_record_can_be_squashed(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		record_some();
		for (uint32_t used = 0; used <= 64; used++) {
			uint64_t offset = test_offset(&ring);
			struct rondo_record record;

			assert_int_equal(rondo_reserve(ring.channel, ring.id,
						       64, &record),
					 0);
			assert_int_equal(rondo_commit_len(&record, used), 0);
			assert_int_equal(rondo_squash(ring.channel,
						      rondo_mark(&record)),
					 0);
			assert_true(test_offset(&ring) == offset);
		}
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

/* Seen: a record that ends where a shrunk one did was squashed while open. */
static void
a_record_behind_a_shrunk_one_is_not_squashed_in_its_place(void **state)
{
	struct rondo_record first, second;

	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		record_some();
		assert_int_equal(
			rondo_reserve(ring.channel, ring.id, 64, &first), 0);
		test_fill(first.data, test_expect(&ring, 16), 16);
		assert_int_equal(rondo_commit_len(&first, 16), 0);
		test_reserve(&ring, 48 - ring.map->header_bytes, &second);
		assert_int_equal(rondo_squash(ring.channel, rondo_mark(&first)),
				 -EBUSY);
		assert_int_equal(rondo_commit(&second), 0);
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

/* ---- squash ---- */

static void a_squashed_last_record_leaves_the_head_where_it_was(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		for (uint32_t bytes = 0; bytes < 100; bytes++) {
			struct rondo_mark mark;
			uint64_t before;

			test_record(&ring, bytes & 7);
			before = test_head(&ring);
			mark = record_and_mark(bytes);
			if (rondo_head_number(test_head(&ring) ^ before,
					      ring.map->order)) {
				test_take_all(&ring);
				continue;
			}
			test_forget(&ring);
			assert_int_equal(rondo_squash(ring.channel, mark), 0);
			assert_true(test_head(&ring) ==
				    rondo_head_bump(before));
		}
		assert_in_range(squashed(), 90, 100);
		test_drain(&ring);
		test_no_gaps(&ring);
		test_ring_destroy(&ring);
	}
}

static void a_record_with_another_behind_it_is_busy(void **state)
{
	struct rondo_record open;

	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		struct rondo_mark mark;

		test_ring_create(&ring, config);
		record_some();
		mark = record_and_mark(20);
		test_reserve(&ring, 0, &open);
		assert_int_equal(rondo_squash(ring.channel, mark), -EBUSY);
		assert_int_equal(rondo_commit(&open), 0);
		assert_int_equal(rondo_squash(ring.channel, mark), -EBUSY);
		assert_int_equal(squashed(), 0);
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

static void a_record_with_an_open_one_before_it_can_be_squashed(void **state)
{
	struct rondo_record open;

	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		struct rondo_mark mark;

		test_ring_create(&ring, config);
		test_reserve(&ring, 24, &open);
		mark = record_and_mark(20);
		test_forget(&ring);
		assert_int_equal(rondo_squash(ring.channel, mark), 0);
		assert_int_equal(rondo_head_pending(test_head(&ring)), 1);
		assert_int_equal(rondo_commit(&open), 0);
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

static void a_record_whose_sub_buffer_was_switched_is_stale(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		struct rondo_mark mark;

		test_ring_create(&ring, config);
		mark = record_and_mark(20);
		assert_int_equal(rondo_channel_flush(ring.channel), 1);
		assert_int_equal(rondo_squash(ring.channel, mark), -ESTALE);
		record_some();
		assert_int_equal(rondo_squash(ring.channel, mark), -ESTALE);
		test_leave_room(&ring, 0);
		mark = record_and_mark(20);
		test_leave_room(&ring, 0);
		test_record(&ring, 1);
		assert_int_equal(rondo_squash(ring.channel, mark), -ESTALE);
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

static void a_squash_on_another_cpu_is_refused_in_rseq_mode(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		struct rondo_mark mark;

		test_ring_create(&ring, config);
		record_some();
		mark = record_and_mark(20);
		if (!go_to_another_cpu()) {
			print_message("one CPU: there is no other\n");
		} else if (in_rseq_mode()) {
			assert_int_equal(rondo_squash(ring.channel, mark),
					 -EXDEV);
			assert_int_equal(squashed(), 0);
			come_back();
		}
		come_back();
		assert_int_equal(rondo_squash(ring.channel, mark), 0);
		test_forget(&ring);
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

static void the_first_record_of_a_sub_buffer_can_be_squashed(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		for (uint32_t round = 0; round < 6; round++) {
			struct rondo_mark mark = record_and_mark(round * 9);
			uint64_t number = test_number(&ring);

			test_forget(&ring);
			assert_int_equal(rondo_squash(ring.channel, mark), 0);
			assert_int_equal(test_offset(&ring),
					 RONDO_PACKET_BYTES);
			/* Nothing is in it, so nothing is flushed. */
			assert_int_equal(rondo_channel_flush(ring.channel), 0);
			if (round & 1) {
				test_record(&ring, 100);
				assert_true(test_number(&ring) == number);
				test_drain(&ring);
			}
		}
		test_ring_destroy(&ring);
	}
}

static void a_mark_is_good_for_one_squash(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		struct rondo_mark mark;

		test_ring_create(&ring, config);
		record_some();
		mark = record_and_mark(20);
		test_forget(&ring);
		assert_int_equal(rondo_squash(ring.channel, mark), 0);
		assert_int_equal(rondo_squash(ring.channel, mark), -EBUSY);
		assert_int_equal(squashed(), 1);
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

static void a_mark_of_no_ring_is_refused(void **state)
{
	struct rondo_mark mark;

	(void)state;
	test_ring_create(&ring, &geometries[0]);
	mark = record_and_mark(20);
	mark.ring = ring.map->ring_count;
	assert_int_equal(rondo_squash(ring.channel, mark), -EBUSY);
	mark.ring = UINT32_MAX;
	assert_int_equal(rondo_squash(ring.channel, mark), -EBUSY);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

/* NOGEN of the model: a gen that comes round would hide a backward move from
 * who read the clock before it. */
static void
gen_comes_round_only_where_the_clock_is_in_the_sequence(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		bool bounded;
		uint32_t round;

		test_ring_create(&ring, config);
		record_some();
		bounded = !in_rseq_mode() || !ring.control->clock_in_sequence;
		for (round = 0; round < 3000; round++) {
			struct rondo_mark mark = record_and_mark(8);
			int result = rondo_squash(ring.channel, mark);

			if (result) {
				assert_int_equal(result, -EBUSY);
				break;
			}
			test_forget(&ring);
		}
		assert_int_equal(round, bounded ? 1023 : 3000);
		/* A discard leaves a gap then, and the next one starts anew. */
		discard_before_others(16, 0);
		test_drain(&ring);
		test_record(&ring, 8);
		assert_int_equal(test_head(&ring) & RONDO_GEN_MASK, 0);
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

/* What is behind a gap goes: the gap is last then, and content that ended with
 * the record it was would cut the gap's text. */
static void uncover_gap(uint32_t bytes, bool discard)
{
	struct rondo_record first = {0}, second = {0};

	assert_int_equal(rondo_reserve(ring.channel, ring.id, bytes, &first),
			 0);
	test_fill(first.data, discard ? 0 : test_expect(&ring, 1), 1);
	assert_int_equal(rondo_reserve(ring.channel, ring.id, 20, &second), 0);
	assert_int_equal(rondo_commit(&second), 0);
	if (discard)
		assert_int_equal(rondo_discard(&first), 0);
	else
		assert_int_equal(rondo_commit_len(&first, 1), 0);
	assert_int_equal(rondo_squash(ring.channel, rondo_mark(&second)), 0);
}

static void content_never_ends_inside_a_gap(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		test_ring_create(&ring, config);
		for (uint32_t bytes = 1; bytes <= 64; bytes++) {
			test_record(&ring, bytes);
			uncover_gap(bytes, true);
			test_drain(&ring);
			uncover_gap(bytes, false);
			test_drain(&ring);
		}
		test_ring_destroy(&ring);
	}
}

/* ---- a ring as a call stack ---- */

#define DEPTH 40

/* Records at entry, squashes at return; a flush at flush_depth between. A call
 * that was delivered records its return too. */
static void call(uint32_t depth, uint32_t flush_depth)
{
	struct rondo_mark mark = record_and_mark(8 + depth % 9);
	uint32_t entry = ring.count;

	if (depth == flush_depth) {
		assert_int_equal(rondo_channel_flush(ring.channel), 1);
		test_take_all(&ring);
		assert_int_equal(ring.unseen, ring.count - 1);
	}
	if (depth < DEPTH)
		call(depth + 1, flush_depth);
	if (depth > flush_depth) {
		assert_int_equal(rondo_squash(ring.channel, mark), 0);
		assert_int_equal(ring.count, entry);
		test_forget(&ring);
	} else {
		assert_int_equal(rondo_squash(ring.channel, mark), -ESTALE);
		test_record(&ring, 1);
	}
}

static void a_flush_at_any_depth_delivers_the_calls_then_open(void **state)
{
	(void)state;
	FOR_EACH_GEOMETRY(config)
	{
		for (uint32_t depth = 1; depth <= DEPTH; depth += 13) {
			test_ring_create(&ring, config);
			call(1, depth);
			test_drain(&ring);
			assert_int_equal(ring.count, 2 * depth);
			assert_int_equal(squashed(), DEPTH - depth);
			test_ring_destroy(&ring);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_discarded_last_record_leaves_the_head_where_it_was),
		cmocka_unit_test(
			a_discarded_record_with_others_behind_it_becomes_a_gap),
		cmocka_unit_test(
			a_record_discarded_after_a_flush_becomes_a_gap),
		cmocka_unit_test(a_record_may_be_discarded_on_another_cpu),
		cmocka_unit_test(
			a_shrunk_record_has_the_length_it_was_committed_with),
		cmocka_unit_test(
			a_shrunk_last_record_gives_its_room_to_the_next),
		cmocka_unit_test(
			more_than_was_reserved_is_invalid_and_leaves_it_open),
		cmocka_unit_test(a_shrunk_record_can_be_squashed),
		cmocka_unit_test(
			a_record_behind_a_shrunk_one_is_not_squashed_in_its_place),
		cmocka_unit_test(
			a_squashed_last_record_leaves_the_head_where_it_was),
		cmocka_unit_test(a_record_with_another_behind_it_is_busy),
		cmocka_unit_test(
			a_record_with_an_open_one_before_it_can_be_squashed),
		cmocka_unit_test(
			a_record_whose_sub_buffer_was_switched_is_stale),
		cmocka_unit_test(
			a_squash_on_another_cpu_is_refused_in_rseq_mode),
		cmocka_unit_test(
			the_first_record_of_a_sub_buffer_can_be_squashed),
		cmocka_unit_test(a_mark_is_good_for_one_squash),
		cmocka_unit_test(a_mark_of_no_ring_is_refused),
		cmocka_unit_test(
			gen_comes_round_only_where_the_clock_is_in_the_sequence),
		cmocka_unit_test(content_never_ends_inside_a_gap),
		cmocka_unit_test(
			a_flush_at_any_depth_delivers_the_calls_then_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
