/* SPDX-License-Identifier: MIT */
/*
 * Positions, heads and slots: exhaustively where numbers are small, around
 * every wrap where they are not.
 */
#include "support/test.h"

#include <rondo/detail/position.h>

#define ORDER_MIN 12u
#define ORDER_MAX 30u

/* Units of 8 bytes at which something wraps, or nearly. */
static const uint64_t corners[] = {
	0,
	1,
	2,
	511,
	512,
	(UINT64_C(1) << 39) - 1,
	UINT64_C(1) << 39,
	(UINT64_C(1) << 39) + 1,
	(UINT64_C(1) << 40) - 512,
	(UINT64_C(1) << 40) - 2,
	(UINT64_C(1) << 40) - 1,
};

static const uint64_t position_mask = (UINT64_C(1) << RONDO_POSITION_BITS) - 1;

/* Every bit of the low part, alone and together. */
static const uint64_t lows[] = {
	0,
	RONDO_HEAD_ATOMIC,
	RONDO_GEN_ONE,
	RONDO_GEN_MASK,
	RONDO_GEN_MASK | RONDO_HEAD_REVOKING,
	RONDO_PENDING_ONE,
	RONDO_PENDING_MASK - RONDO_PENDING_ONE,
	RONDO_HEAD_LOW - RONDO_PENDING_ONE,
};

static void an_alignment_is_reached_and_not_passed(void **state)
{
	(void)state;
	for (uint64_t alignment = 1; alignment <= 4096; alignment *= 2) {
		for (uint64_t value = 0; value < 3 * 4096; value++) {
			uint64_t aligned = rondo_align(value, alignment);

			assert_true(aligned >= value);
			assert_true(aligned - value < alignment);
			assert_int_equal(aligned % alignment, 0);
		}
	}
}

static void a_position_tells_the_aligned_and_the_exact_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < TEST_COUNT(corners); i++) {
		for (uint64_t offset = 0; offset < 4096; offset++) {
			uint64_t end = corners[i] * 8 + offset;
			uint64_t position = rondo_position_of_end(end);

			assert_true(rondo_position_exact(position) == end);
			assert_true(rondo_position_aligned(position) ==
				    rondo_align(end, 8));
		}
	}
}

static void the_next_record_begins_at_the_aligned_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < TEST_COUNT(corners); i++) {
		for (uint64_t slack = 0; slack < 8; slack++) {
			uint64_t head =
				rondo_head_at(corners[i] * 8 | slack, 0);
			uint64_t base = head & ~RONDO_SLACK_MASK;

			for (uint64_t bytes = 0; bytes <= 4096; bytes++) {
				uint64_t next =
					base +
					rondo_head_at(
						rondo_position_of_end(bytes),
						0);
				uint64_t end = (corners[i] * 8 + bytes) &
					       position_mask;

				assert_true(
					(rondo_position_exact(
						 rondo_head_position(next)) &
					 position_mask) == end);
			}
		}
	}
}

/* Records of all lengths, one behind the other, in a ring of 4 x 64 bytes. */
static void
a_tiny_ring_simulated_in_full_agrees_with_the_arithmetic(void **state)
{
	const unsigned order = 6;

	(void)state;
	for (uint64_t start = 0; start < 256; start++) {
		for (uint64_t first = 0; first <= 64; first++) {
			uint64_t head =
				rondo_head_at(rondo_position_of_end(start), 0);
			uint64_t exact = start;

			for (uint64_t k = 0; k < 5; k++) {
				uint64_t bytes = (first + 13 * k) % 65;

				exact = rondo_align(exact, 8) + bytes;
				head = (head & ~RONDO_SLACK_MASK) +
				       rondo_head_at(
					       rondo_position_of_end(bytes),
					       RONDO_PENDING_ONE);
				assert_true(rondo_position_exact(
						    rondo_head_position(
							    head)) == exact);
				assert_true(rondo_head_number(head, order) ==
					    rondo_align(exact, 8) >> order);
				assert_int_equal(rondo_head_pending(head),
						 k + 1);
			}
		}
	}
}

static void the_parts_of_a_head_do_not_touch_each_other(void **state)
{
	(void)state;
	for (size_t i = 0; i < TEST_COUNT(corners); i++) {
		for (size_t k = 0; k < TEST_COUNT(lows); k++) {
			uint64_t position = corners[i] * 8 | (k & 7);
			uint64_t head = rondo_head_at(position, lows[k]);

			assert_true(rondo_head_position(head) == position);
			assert_true((head & RONDO_HEAD_LOW) == lows[k]);
			assert_int_equal(rondo_head_mode(head),
					 lows[k] & RONDO_MODE_MASK);
			assert_int_equal(rondo_head_pending(head),
					 lows[k] >> RONDO_PENDING_SHIFT);
			for (unsigned mode = 0; mode < 4; mode++) {
				uint64_t other =
					rondo_head_with_mode(head, mode);

				assert_int_equal(rondo_head_mode(other), mode);
				assert_true((other | RONDO_MODE_MASK) ==
					    (head | RONDO_MODE_MASK));
			}
		}
	}
}

static void a_pending_record_more_and_less_is_the_same_head(void **state)
{
	uint64_t head = rondo_head_at(corners[9] * 8 | 7, RONDO_GEN_MASK);

	(void)state;
	for (uint64_t open = 0; open < 511; open++) {
		uint64_t more = head + RONDO_PENDING_ONE;

		assert_int_equal(rondo_head_pending(more), open + 1);
		assert_int_equal(!!(more & RONDO_PENDING_FULL),
				 open + 1 >= 256);
		assert_true(rondo_head_position(more) ==
			    rondo_head_position(head));
		assert_true(more - RONDO_PENDING_ONE == head);
		head = more;
	}
}

static void
a_bumped_head_differs_in_gen_alone_and_comes_round_after_1024(void **state)
{
	(void)state;
	for (size_t k = 0; k < TEST_COUNT(lows); k++) {
		uint64_t first = rondo_head_at(corners[10] * 8 | 5, lows[k]);
		uint64_t head = first;

		for (int i = 1; i <= 1024; i++) {
			head = rondo_head_bump(head);
			assert_true((head | RONDO_GEN_MASK) ==
				    (first | RONDO_GEN_MASK));
			assert_true((head == first) == (i == 1024));
		}
	}
}

static void the_number_of_a_head_is_its_position_over_the_size(void **state)
{
	(void)state;
	for (unsigned order = ORDER_MIN; order <= ORDER_MAX; order++) {
		const uint64_t size = UINT64_C(1) << order;
		const uint64_t numbers = UINT64_C(1)
					 << rondo_number_bits(order);
		const uint64_t some[] = {
			0,	     1,		  numbers / 2 - 1,
			numbers / 2, numbers - 2, numbers - 1};

		for (size_t i = 0; i < TEST_COUNT(some); i++) {
			uint64_t start = some[i] << order;
			uint64_t last = start + size - 8;

			assert_true(
				rondo_head_number(rondo_head_at(start,
								RONDO_HEAD_LOW),
						  order) == some[i]);
			assert_true(
				rondo_head_number(rondo_head_at(last | 7,
								RONDO_HEAD_LOW),
						  order) == some[i]);
			assert_true(rondo_head_number(
					    rondo_head_at(start + size, 0),
					    order) == (some[i] + 1) % numbers);
		}
	}
}

/* By the definition: of all full numbers that truncate so, the nearest. */
static int64_t distance_counted(uint64_t a, uint64_t b, unsigned bits)
{
	const int64_t turn = INT64_C(1) << bits;
	int64_t distance = ((int64_t)a - (int64_t)b) % turn;

	if (distance < -turn / 2)
		distance += turn;
	if (distance >= turn / 2)
		distance -= turn;
	return distance;
}

static void a_distance_is_the_shorter_way_round(void **state)
{
	(void)state;
	for (unsigned bits = 2; bits <= 9; bits++) {
		const uint64_t turn = UINT64_C(1) << bits;

		for (uint64_t a = 0; a < turn; a++)
			for (uint64_t b = 0; b < turn; b++)
				assert_true(rondo_number_distance(a, b, bits) ==
					    distance_counted(a, b, bits));
	}
}

static void a_distance_holds_at_the_widths_that_rings_have(void **state)
{
	(void)state;
	for (unsigned order = ORDER_MIN; order <= ORDER_MAX; order++) {
		const unsigned bits = rondo_number_bits(order);
		const uint64_t turn = UINT64_C(1) << bits;
		const uint64_t centres[] = {0, turn / 2, turn - 1};
		const uint64_t mask = turn - 1;

		for (size_t i = 0; i < TEST_COUNT(centres); i++)
			for (int64_t x = -20; x <= 20; x++)
				for (int64_t y = -20; y <= 20; y++) {
					uint64_t a =
						(centres[i] + (uint64_t)x) &
						mask;
					uint64_t b =
						(centres[i] + (uint64_t)y) &
						mask;

					assert_true(rondo_number_distance(
							    a, b, bits) ==
						    x - y);
				}
	}
}

static void check_extend(uint64_t known, int64_t away, unsigned bits)
{
	uint64_t full = (known + (uint64_t)away) & RONDO_NUMBER_MASK;
	uint64_t narrow = full & ((UINT64_C(1) << bits) - 1);

	assert_true(rondo_number_extend(narrow, known, bits) == full);
}

static void an_extended_number_is_the_one_nearest_to_the_known_one(void **state)
{
	const uint64_t ends[] = {0, UINT64_C(1) << 31, UINT64_C(1) << 45,
				 UINT64_C(1) << 46};

	(void)state;
	for (unsigned bits = 3; bits <= 7; bits++) {
		int64_t half = INT64_C(1) << (bits - 1);

		for (size_t i = 0; i < TEST_COUNT(ends); i++)
			for (int64_t near = -300; near <= 300; near++)
				for (int64_t away = -half; away < half; away++)
					check_extend(
						(ends[i] + (uint64_t)near) &
							RONDO_NUMBER_MASK,
						away, bits);
	}
}

static void an_extended_number_holds_at_the_widths_that_rings_have(void **state)
{
	(void)state;
	for (unsigned order = ORDER_MIN; order <= ORDER_MAX; order++) {
		const unsigned bits = rondo_number_bits(order);
		const uint64_t half = UINT64_C(1) << (bits - 1);
		const int64_t ways[] = {
			-(int64_t)half, -(int64_t)half + 1, -65536, -1, 0, 1,
			65535,		(int64_t)half - 1};
		const uint64_t knowns[] = {0,
					   1,
					   half - 1,
					   half,
					   2 * half - 1,
					   2 * half,
					   RONDO_NUMBER_MASK - 1,
					   RONDO_NUMBER_MASK};

		for (size_t i = 0; i < TEST_COUNT(knowns); i++)
			for (size_t k = 0; k < TEST_COUNT(ways); k++)
				if (ways[k] >= -(int64_t)half &&
				    ways[k] < (int64_t)half)
					check_extend(knowns[i], ways[k], bits);
	}
}

static void a_slot_keeps_its_three_parts_apart(void **state)
{
	const uint64_t pages[] = {0, 1, 0x7fff, 0x8000, 0xffff};
	const uint64_t numbers[] = {0, 1, RONDO_NUMBER_MASK / 2,
				    RONDO_NUMBER_MASK};

	(void)state;
	for (size_t p = 0; p < TEST_COUNT(pages); p++)
		for (unsigned s = 0; s < 4; s++)
			for (size_t n = 0; n < TEST_COUNT(numbers); n++) {
				uint64_t slot =
					rondo_slot(pages[p], s, numbers[n]);

				assert_int_equal(rondo_slot_pages(slot),
						 pages[p]);
				assert_int_equal(rondo_slot_state(slot), s);
				assert_true(rondo_slot_number(slot) ==
					    numbers[n]);
				assert_true(rondo_slot(pages[p], s,
						       numbers[n] + (UINT64_C(1)
								     << 46)) ==
					    slot);
			}
}

/* What the fast path asks: is there room, in what is open? */
static bool lets_in(uint64_t hint, uint64_t wanted, uint64_t size)
{
	const uint64_t span = (size - RONDO_TAIL_BYTES) << RONDO_POSITION_SHIFT;

	return hint - wanted < span;
}

#define SMALL 12u /* order */

/* Every start, every length, each slack: by the hint, and by counting. */
static void check_hint(uint64_t number, uint64_t pages, uint64_t low)
{
	const uint64_t size = UINT64_C(1) << SMALL;
	const uint64_t hint = rondo_hint(number, SMALL, pages);

	for (uint64_t start = RONDO_PACKET_BYTES; start < size; start += 8) {
		uint64_t base = rondo_head_at((number << SMALL) + start, low);

		for (uint64_t bytes = 0; bytes <= RONDO_COMPACT_MAX; bytes++) {
			uint64_t position = rondo_position_of_end(8 + bytes);
			uint64_t end = rondo_align(start + 8 + bytes, 8);
			uint64_t left = end <= size ? size - end : 0;
			bool fits = left >= RONDO_TAIL_BYTES;
			bool in = lets_in(
				hint, base + rondo_head_at(position, 0), size);

			if (left == RONDO_TAIL_BYTES && (position & 7) == 7)
				assert_true(!in || fits);
			else
				assert_true(in == fits);
		}
	}
}

static void a_hint_lets_in_what_fits_and_nothing_else(void **state)
{
	const uint64_t numbers[] = {0, 1, (UINT64_C(1) << 30) - 1,
				    (UINT64_C(1) << 31) - 1};
	const uint64_t pages[] = {0, RONDO_HEAD_LOW - 1, RONDO_HEAD_LOW};
	const uint64_t low[] = {RONDO_PENDING_ONE,
				RONDO_PENDING_ONE | RONDO_GEN_MASK,
				RONDO_HEAD_LOW - RONDO_MODE_MASK};

	(void)state;
	for (size_t n = 0; n < TEST_COUNT(numbers); n++)
		for (size_t p = 0; p < TEST_COUNT(pages); p++)
			for (size_t k = 0; k < TEST_COUNT(low); k++)
				if (numbers[n] < 2 || p == k)
					check_hint(numbers[n], pages[p],
						   low[k]);
}

static void an_older_hint_lets_nothing_in(void **state)
{
	const uint64_t size = UINT64_C(1) << SMALL;
	const uint64_t mask = (UINT64_C(1) << rondo_number_bits(SMALL)) - 1;

	(void)state;
	for (uint64_t older = 1; older <= 3; older++)
		for (uint64_t number = 0; number < 4; number++)
			for (uint64_t start = 0; start < size; start += 8)
				for (uint64_t bytes = 0;
				     bytes <= RONDO_COMPACT_MAX; bytes += 5) {
					uint64_t hint = rondo_hint(
						(number - older) & mask, SMALL,
						RONDO_HEAD_LOW);
					uint64_t at = (number << SMALL) + start;

					assert_false(lets_in(
						hint,
						rondo_head_at(at, 0) +
							rondo_head_at(
								rondo_position_of_end(
									8 +
									bytes),
								0),
						size));
				}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_alignment_is_reached_and_not_passed),
		cmocka_unit_test(
			a_position_tells_the_aligned_and_the_exact_end),
		cmocka_unit_test(the_next_record_begins_at_the_aligned_end),
		cmocka_unit_test(
			a_tiny_ring_simulated_in_full_agrees_with_the_arithmetic),
		cmocka_unit_test(the_parts_of_a_head_do_not_touch_each_other),
		cmocka_unit_test(
			a_pending_record_more_and_less_is_the_same_head),
		cmocka_unit_test(
			a_bumped_head_differs_in_gen_alone_and_comes_round_after_1024),
		cmocka_unit_test(
			the_number_of_a_head_is_its_position_over_the_size),
		cmocka_unit_test(a_distance_is_the_shorter_way_round),
		cmocka_unit_test(
			a_distance_holds_at_the_widths_that_rings_have),
		cmocka_unit_test(
			an_extended_number_is_the_one_nearest_to_the_known_one),
		cmocka_unit_test(
			an_extended_number_holds_at_the_widths_that_rings_have),
		cmocka_unit_test(a_slot_keeps_its_three_parts_apart),
		cmocka_unit_test(a_hint_lets_in_what_fits_and_nothing_else),
		cmocka_unit_test(an_older_hint_lets_nothing_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
