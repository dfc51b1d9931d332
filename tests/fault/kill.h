/* SPDX-License-Identifier: MIT */
/*
 * Processes that end, or become two, at a spot.
 */
#ifndef RONDO_TESTS_FAULT_KILL_H
#define RONDO_TESTS_FAULT_KILL_H

#include <stdbool.h>
#include <stdint.h>

#include "scenarios.h"

struct kill_figures {
	uint64_t kills;
	uint64_t recovered; /* records, of those killed */
	uint64_t in_flight; /* open when it was killed: seen or not */
	uint64_t lost; /* acknowledged ones that are missing: atomic mode */
	uint64_t most_lost; /* ... by one kill */
	uint64_t returned;  /* taken back, and there again: atomic mode */
	uint64_t forks;
};

extern struct kill_figures kill_figures;

/* Before anything else. False: with a message. */
bool kill_open(void);
void kill_close(void);

/*
 * A child with a channel in a file plays the scenario, and is killed at the
 * spot; behind: after it has recorded some more in a handler there. What is in
 * the file is recovered and compared with what was acknowledged. False: it was
 * not reached.
 */
bool kill_at(const struct scenario *scenario, uint32_t spot, bool behind);

/* The scenario is played on the stage, and at the spot a handler forks. */
bool fork_at(const struct scenario *scenario, uint32_t spot);

#endif
