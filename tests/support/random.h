/* SPDX-License-Identifier: MIT */
/*
 * Pseudo-random numbers for tests. Whoever starts a run prints its seed; the
 * same seed (RONDO_TEST_SEED) gives the same numbers again.
 */
#ifndef RONDO_TESTS_SUPPORT_RANDOM_H
#define RONDO_TESTS_SUPPORT_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Any input gives a different, well mixed output: splitmix64's last steps. */
static inline uint64_t test_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static inline uint64_t test_random(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	return test_mix(*state);
}

/* A number below limit. */
static inline uint64_t test_random_below(uint64_t *state, uint64_t limit)
{
	return test_random(state) % limit;
}

/* The seed of this run, printed. */
static inline uint64_t test_seed(void)
{
	const char *given = getenv("RONDO_TEST_SEED");
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = given ? strtoull(given, NULL, 0) :
		       test_mix((uint64_t)now.tv_sec * 1000000007u +
				(uint64_t)now.tv_nsec);
	printf("RONDO_TEST_SEED=%#llx\n", (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

#endif
