/* SPDX-License-Identifier: MIT */
/*
 * A thread that stops at a spot, in a handler, while others go on.
 */
#ifndef RONDO_TESTS_FAULT_PARK_H
#define RONDO_TESTS_FAULT_PARK_H

#include <stdbool.h>
#include <stdint.h>

#include "scenarios.h"

struct park_figures {
	uint64_t parks;
	uint64_t committed;   /* records of others meanwhile */
	uint64_t refused;     /* ... and those that there was no room for */
	uint64_t quarantined; /* sub-buffers that came out that way */
};

extern struct park_figures park_figures;

/* The thread that is parked. False: with a message. */
bool park_open(void);
void park_close(void);

/*
 * Another thread plays the scenario and stops at the spot. This one records,
 * and consumes unless the other one does, for some laps of the ring; then the
 * other one goes on. False: the spot was not reached.
 */
bool park_at(const struct scenario *scenario, uint32_t spot);

/* Per mille of their rate that the others shall keep. */
#define PARK_RATE_WANTED 900u

/*
 * Records per second of processor time, in per mille of what they are with
 * nobody parked: the best of some rounds of both, in turn; of more rounds where
 * that is less than wanted, since a busy machine slows either. 0: it was not
 * reached.
 */
uint32_t park_rate(const struct scenario *scenario, uint32_t spot);

#endif
