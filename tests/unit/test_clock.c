/* SPDX-License-Identifier: MIT */
/*
 * Clocks: they go on, agree with the kernel's, and are what was asked for.
 */
#include "support/test.h"

#include <rondo/channel.h>

#include "clock.h"
#include "os.h"

static const uint32_t clocks[] = {RONDO_CLOCK_FASTEST, RONDO_CLOCK_MONOTONIC,
				  RONDO_CLOCK_REALTIME};

static void only_the_fastest_may_become_another(void **state)
{
	uint32_t fastest = rondo_clock_choose(RONDO_CLOCK_FASTEST);

	(void)state;
	assert_true(fastest == RONDO_CLOCK_FASTEST ||
		    fastest == RONDO_CLOCK_MONOTONIC);
	for (uint32_t clock = 1; clock <= RONDO_CLOCK_NONE; clock++) {
		assert_int_equal(rondo_clock_choose(clock), clock);
		assert_false(rondo_clock_in_sequence(clock));
	}
}

static void a_clock_never_goes_back_in_one_thread(void **state)
{
	(void)state;
	/* But for the wall clock, which somebody may set. */
	for (uint32_t clock = 0; clock <= RONDO_CLOCK_MONOTONIC; clock++) {
		uint64_t before = rondo_clock_read(clock);

		for (int i = 0; i < 10000; i++) {
			uint64_t now = rondo_clock_read(clock);

			assert_true(now >= before);
			before = now;
		}
	}
}

static void no_clock_says_nothing_but_zero(void **state)
{
	struct rondo_clock_pair pair = {1, 0};

	(void)state;
	assert_int_equal(rondo_clock_read(RONDO_CLOCK_NONE), 0);
	rondo_clock_pair(RONDO_CLOCK_NONE, &pair);
	assert_int_equal(pair.ticks, 0);
	assert_true(pair.ns > 0);
}

static void a_pair_lies_between_what_was_read_around_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < TEST_COUNT(clocks); i++) {
		uint32_t clock = rondo_clock_choose(clocks[i]);
		uint64_t before = rondo_clock_read(clock);
		struct rondo_clock_pair pair;

		rondo_clock_pair(clock, &pair);
		assert_true(pair.ticks >= before);
		assert_true(pair.ticks <= rondo_clock_read(clock));
	}
}

/* Ticks and CLOCK_MONOTONIC, by the bracket of several that was narrowest. */
static struct rondo_clock_pair read_together(uint32_t clock)
{
	struct rondo_clock_pair pair = {0, 0};
	uint64_t narrowest = UINT64_MAX;

	for (int i = 0; i < 100; i++) {
		uint64_t before = rondo_clock_read(clock);
		uint64_t ns = (uint64_t)rondo_os_monotonic_ns();
		uint64_t width = rondo_clock_read(clock) - before;

		if (width < narrowest) {
			narrowest = width;
			pair.ticks = before + width / 2;
			pair.ns = ns;
		}
	}
	return pair;
}

static void the_frequency_is_right_within_a_hundredth(void **state)
{
	uint32_t clock = rondo_clock_choose(RONDO_CLOCK_FASTEST);
	uint64_t told = rondo_clock_frequency(clock);
	struct rondo_clock_pair begin = read_together(clock), end;
	double measured;

	(void)state;
	do
		end = read_together(clock);
	while (end.ns - begin.ns < 50000000);
	measured = (double)(end.ticks - begin.ticks) * 1e9 /
		   (double)(end.ns - begin.ns);
	assert_true((double)told > measured * 0.99);
	assert_true((double)told < measured * 1.01);
	assert_int_equal(rondo_clock_frequency(clock), told);
}

static void the_kernels_clocks_count_nanoseconds(void **state)
{
	(void)state;
	for (uint32_t clock = RONDO_CLOCK_MONOTONIC; clock <= RONDO_CLOCK_NONE;
	     clock++)
		assert_int_equal(rondo_clock_frequency(clock), 1000000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_fastest_may_become_another),
		cmocka_unit_test(a_clock_never_goes_back_in_one_thread),
		cmocka_unit_test(no_clock_says_nothing_but_zero),
		cmocka_unit_test(a_pair_lies_between_what_was_read_around_it),
		cmocka_unit_test(the_frequency_is_right_within_a_hundredth),
		cmocka_unit_test(the_kernels_clocks_count_nanoseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
