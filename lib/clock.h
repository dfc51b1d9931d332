/* SPDX-License-Identifier: MIT */
/*
 * Clocks: which one a channel uses, reading it, and what its ticks are in
 * wall time.
 */
#ifndef RONDO_LIB_CLOCK_H
#define RONDO_LIB_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Ticks and CLOCK_REALTIME read together, error some tens of ns. */
struct rondo_clock_pair {
	uint64_t ticks;
	uint64_t ns;
};

/* In force: RONDO_CLOCK_FASTEST only where the tick counter is invariant,
 * otherwise RONDO_CLOCK_MONOTONIC in its place. */
uint32_t rondo_clock_choose(uint32_t asked);

/* Whether sequences can read it inside: the tick counter. */
bool rondo_clock_in_sequence(uint32_t clock);

/* Now, after every load before it. [any] */
uint64_t rondo_clock_read(uint32_t clock);

/* The best of several readings. */
void rondo_clock_pair(uint32_t clock, struct rondo_clock_pair *out);

/* Hz, the best known without waiting: 1e9 for the kernel's clocks. */
uint64_t rondo_clock_frequency(uint32_t clock);

#endif
