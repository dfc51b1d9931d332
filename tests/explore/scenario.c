/* SPDX-License-Identifier: MIT */
/*
 * What is explored: who does what, where, and how the memory behaves. The
 * smallest channel that the library allows; records so large that one, two or
 * three fill a sub-buffer.
 */
#include "explore.h"

#include <string.h>

#include "ring.h"

/* None ends at a multiple of 8. */
#define ONE 2029u   /* fits once */
#define TWO 1957u   /* twice */
#define THREE 1301u /* three times */

#define SC (1u << MODEL_SC)
#define TSO (1u << MODEL_TSO)
#define WEAK (1u << MODEL_WEAK)
#define ALL (SC | TSO | WEAK)

/* clang-format off */
const struct scenario scenarios[] = {
	/* Flushing. */
	{"a flusher", .bytes = TWO, .models = ALL, .flags = SCENARIO_QUICK,
	 .agents = {{"w", 0}, {"f", 1}}},
	{"a flusher that asks", .bytes = TWO, .models = SC, .long_models = TSO,
	 .agents = {{"www", 0}, {"f", 1}}},
	{"a flusher here and one elsewhere", .bytes = TWO, .models = ALL,
	 .agents = {{"w", 0}, {"f", 1}, {"f", 0}}, .switches = 4},
	{"two flushers elsewhere", .bytes = TWO, .models = SC,
	 .agents = {{"ww", 0}, {"f", 1}, {"f", 2}}, .switches = 4},
	{"two flushers and crossings", .bytes = ONE, .flags = SCENARIO_QUICK, .models = SC,
	 .setup = "w", .agents = {{"ww", 0}, {"f", 1}, {"f", 2}},
	 .switches = 4},
	{"two open and a flusher", .bytes = THREE, .models = SC,
	 .flags = SCENARIO_QUICK, .agents = {{"2", 0}, {"f", 1}}},
	{"a flusher of another process", .bytes = TWO, .models = SC,
	 .long_models = TSO,
	 .agents = {{"ww", 0}, {"F", 1}}},
	{"a flusher that stops", .bytes = TWO, .flags = SCENARIO_QUICK, .models = SC,
	 .agents = {{"w", 0}, {"f", 1}}, .stops = 1},
	{"two flushers in atomic mode", .bytes = TWO, .models = SC | TSO,
	 .flags = SCENARIO_QUICK | SCENARIO_ATOMIC,
	 .agents = {{"w", 0}, {"f", 1}, {"f", 2}}, .switches = 4},

	/* Handlers. */
	{"a handler", .bytes = TWO, .models = SC, .flags = SCENARIO_QUICK,
	 .setup = "w", .agents = {{"w", 0}, {"w", 0, 1}, {"w", 0, 2}}},
	{"handlers that all cross", .bytes = ONE, .flags = SCENARIO_QUICK, .models = SC, .setup = "w",
	 .agents = {{"w", 0}, {"w", 0, 1}, {"w", 0, 2}}},
	{"a handler and a flusher", .bytes = TWO, .models = SC,
	 .agents = {{"w", 0}, {"w", 0, 1}, {"f", 1}}, .switches = 5},
	{"a handler that fills the ring", .bytes = ONE, .models = SC,
	 .flags = SCENARIO_QUICK | SCENARIO_REFUSES, .setup = "w",
	 .agents = {{"w", 0}, {"wwwww", 0, 1}}},
	{"a handler that goes round", .bytes = ONE, .models = SC,
	 .flags = SCENARIO_QUICK | SCENARIO_OVERWRITE | SCENARIO_REFUSES, .setup = "w",
	 .agents = {{"w", 0}, {"wwwww", 0, 1}}},

	/* Threads of one CPU. */
	{"two of a CPU", .bytes = TWO, .models = SC, .setup = "w",
	 .agents = {{"w", 0}, {"w", 0}}, .aborts = 1, .switches = 4},
	{"two of a CPU that both cross", .bytes = ONE, .flags = SCENARIO_QUICK, .models = SC,
	 .setup = "w", .agents = {{"w", 0}, {"w", 0}}, .switches = 4},
	{"three of a CPU", .bytes = THREE, .models = SC, .setup = "w",
	 .agents = {{"w", 0}, {"w", 0}, {"w", 0}}, .switches = 4},
	{"a move", .bytes = TWO, .models = SC, .setup = "w",
	 .agents = {{"w", 0}, {"w", 0}}, .moves = 1, .switches = 3},
	{"a move and a flusher", .bytes = TWO, .long_models = SC, .setup = "w",
	 .agents = {{"w", 0}, {"w", 0}, {"f", 1}}, .moves = 1, .switches = 3},
	{"a commit elsewhere and a flusher", .bytes = TWO, .flags = SCENARIO_QUICK, .models = SC,
	 .agents = {{"w", 0}, {"f", 1}}, .moves = 1},
	{"eight aborts", .bytes = TWO, .models = SC, .setup = "w",
	 .flags = SCENARIO_QUICK | SCENARIO_ABORTED | SCENARIO_REFUSES,
	 .agents = {{"w", 0}, {"f", 1}}, .aborts = 2},
	{"two of a CPU, a slow clock", .bytes = TWO, .models = SC,
	 .flags = SCENARIO_QUICK | SCENARIO_SLOW_CLOCK, .setup = "w",
	 .agents = {{"qw", 0}, {"w", 0}}, .switches = 3},
	{"two of a CPU, full headers", .bytes = 2597, .models = SC,
	 .flags = SCENARIO_QUICK | SCENARIO_FULL, .setup = "w",
	 .agents = {{"m", 0}, {"w", 0}}, .switches = 3},

	/* Atomic mode: one ring, several CPUs. */
	{"two in atomic mode", .bytes = TWO, .models = SC | TSO,
	 .long_models = WEAK,
	 .flags = SCENARIO_QUICK, .ring = RING_EXTRA,
	 .agents = {{"w", 2}, {"w", 3}}},
	{"two that cross in atomic mode", .bytes = ONE, .flags = SCENARIO_QUICK, .models = SC,
	 .long_models = TSO, .ring = RING_EXTRA, .agents = {{"ww", 2}, {"w", 3}}},
	{"three in atomic mode", .bytes = TWO, .long_models = SC, .ring = RING_EXTRA, .agents = {{"w", 2}, {"w", 3}, {"w", 2}},
	 .switches = 5},
	{"squash in atomic mode", .bytes = THREE, .models = SC,
	 .flags = SCENARIO_ATOMIC | SCENARIO_QUICK, .setup = "w",
	 .agents = {{"qw", 0}, {"w", 0}}, .switches = 4},
	{"a squash that wraps", .bytes = THREE, .models = SC,
	 .flags = SCENARIO_QUICK | SCENARIO_ATOMIC | SCENARIO_WRAPS, .setup = "w",
	 .agents = {{"qw", 0}, {"w", 0}}, .switches = 4},

	/* Giving back. */
	{"discard and a flusher", .bytes = THREE, .flags = SCENARIO_QUICK, .models = SC | TSO,
	 .agents = {{"dw", 0}, {"f", 1}}},
	{"shrink and a flusher", .bytes = THREE, .flags = SCENARIO_QUICK, .models = SC | TSO,
	 .agents = {{"sw", 0}, {"f", 1}}},
	{"squash and a flusher", .bytes = THREE, .flags = SCENARIO_QUICK, .models = SC | TSO,
	 .agents = {{"qw", 0}, {"f", 1}}},
	{"handlers behind what is given back", .bytes = THREE, .flags = SCENARIO_QUICK, .models = SC,
	 .agents = {{"dsq", 0}, {"m", 0, 1}, {"d", 0, 2}}},
	{"gaps", .bytes = TWO, .models = SC,
	 .agents = {{"ama", 0}, {"f", 1}}},

	/* The consumer. */
	{"a consumer", .bytes = ONE, .models = ALL, .flags = SCENARIO_QUICK,
	 .agents = {{"ww", 0}, {"tt", 1}}},
	{"a full ring", .bytes = ONE, .models = SC | TSO, .setup = "wwww",
	 .flags = SCENARIO_QUICK | SCENARIO_REFUSES, .agents = {{"ww", 0}, {"tt", 1}}},
	{"a ring that overwrites", .bytes = ONE, .models = SC | TSO,
	 .long_models = WEAK,
	 .flags = SCENARIO_QUICK | SCENARIO_OVERWRITE, .setup = "wwww",
	 .agents = {{"ww", 0}, {"ht", 1}}},
	{"a snapshot", .bytes = ONE, .models = SC, .long_models = TSO,
	 .flags = SCENARIO_OVERWRITE, .setup = "wwww",
	 .agents = {{"w", 0}, {"S", 1}}},
	{"a snapshot of a busy recorder", .bytes = ONE, .long_models = SC | TSO,
	 .flags = SCENARIO_OVERWRITE, .setup = "wwww",
	 .agents = {{"ww", 0}, {"S", 1}}},
	{"a snapshot and a handler", .bytes = ONE, .long_models = SC,
	 .flags = SCENARIO_OVERWRITE, .setup = "www",
	 .agents = {{"w", 0}, {"w", 0, 1}, {"S", 1}}, .switches = 4},
	{"a stalled writer", .bytes = ONE, .models = SC | TSO, .setup = "o",
	 .flags = SCENARIO_QUICK | SCENARIO_REFUSES, .agents = {{"www", 0}, {"uu", 1}}},
	{"a stalled writer in a recorder", .bytes = ONE, .models = SC,
	 .flags = SCENARIO_OVERWRITE | SCENARIO_QUICK, .setup = "o",
	 .agents = {{"wwwww", 0}, {"u", 1}}},
	{"laps during quarantine", .bytes = ONE, .models = SC,
	 .flags = SCENARIO_QUICK | SCENARIO_OVERWRITE, .agents = {{"2wwww", 0}, {"u", 1}}},
	{"refusals are counted", .bytes = ONE, .models = SC | WEAK,
	 .flags = SCENARIO_REFUSES | SCENARIO_QUICK, .setup = "wwww",
	 .agents = {{"w", 0}, {"c", 1}}},
	{"a late commit and quarantine", .bytes = ONE, .flags = SCENARIO_QUICK, .models = SC | TSO,
	 .agents = {{"2w", 0}, {"uu", 1}}},
	{"a writer that stops", .bytes = ONE, .models = SC,
	 .flags = SCENARIO_REFUSES, .agents = {{"w", 0}, {"ww", 0}, {"u", 1}},
	 .stops = 1, .switches = 2},
	{"a writer that stops anywhere", .bytes = ONE, .long_models = SC,
	 .flags = SCENARIO_REFUSES, .agents = {{"w", 0}, {"ww", 0}, {"u", 1}},
	 .stops = 1, .switches = 3},
	{"a peek", .bytes = TWO, .models = ALL, .flags = SCENARIO_QUICK,
	 .agents = {{"w", 0}, {"p", 1}}},
	{"a peek and a squash", .bytes = THREE, .models = ALL,
	 .flags = SCENARIO_QUICK, .setup = "w",
	 .agents = {{"qw", 0}, {"p", 1}}},

	/* In every state: killed; all others stopped. */
	{"killed", .bytes = TWO, .models = SC | TSO, .flags = SCENARIO_QUICK | SCENARIO_CRASH,
	 .setup = "w", .agents = {{"w", 0}, {"f", 1}}},
	{"killed at a crossing", .bytes = TWO, .long_models = SC | TSO,
	 .flags = SCENARIO_CRASH, .agents = {{"www", 0}, {"f", 1}}},
	{"killed in a handler", .bytes = TWO, .models = SC,
	 .flags = SCENARIO_QUICK | SCENARIO_CRASH, .setup = "w",
	 .agents = {{"w", 0}, {"w", 0, 1}}},
	{"killed in atomic mode", .bytes = TWO, .models = SC,
	 .flags = SCENARIO_QUICK | SCENARIO_CRASH, .ring = RING_EXTRA,
	 .agents = {{"w", 2}, {"w", 3}}},
	{"alone among two", .bytes = ONE, .models = SC,
	 .flags = SCENARIO_ALONE, .setup = "w",
	 .agents = {{"w", 0}, {"w", 0}, {"f", 1}}, .switches = 2},
	{"alone in atomic mode", .bytes = ONE, .models = SC,
	 .flags = SCENARIO_ALONE, .ring = RING_EXTRA,
	 .agents = {{"w", 2}, {"w", 3}, {"f", 1}}, .switches = 3},

	/* Every cell of a table: who is there x what a full ring does x how the
	 * head is moved, "revoked" being there and back again. */
	{"producers: keep, sequences", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .setup = "w", .aborts = 1, .switches = 1,
	 .buffered = {1, 4}, .agents = {{"w", 0}, {"w", 0}, {"t", 1}}},
	{"producers: keep, atomic", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .setup = "w", .ring = RING_EXTRA,
	 .switches = 2, .buffered = {1, 4},
	 .agents = {{"w", 2}, {"w", 3}, {"t", 1}}},
	{"producers: keep, revoked", .bytes = TWO, .models = SC,
	 .long_models = TSO | WEAK, .setup = "w", .switches = 2,
	 .buffered = {1, 4}, .agents = {{"w", 0}, {"w", 0}, {"f", 1}}},
	{"producers: overwrite, sequences", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .flags = SCENARIO_OVERWRITE,
	 .setup = "wwww", .aborts = 1, .switches = 1, .buffered = {1, 4},
	 .agents = {{"w", 0}, {"w", 0}, {"t", 1}}},
	{"producers: overwrite, atomic", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .flags = SCENARIO_OVERWRITE,
	 .setup = "wwww", .ring = RING_EXTRA, .switches = 2,
	 .buffered = {1, 4}, .agents = {{"w", 2}, {"w", 3}, {"t", 1}}},
	{"producers: overwrite, revoked", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .flags = SCENARIO_OVERWRITE,
	 .setup = "wwww", .switches = 2, .buffered = {1, 4},
	 .agents = {{"w", 0}, {"w", 0}, {"f", 1}}},
	{"handlers: keep, sequences", .bytes = TWO, .models = SC,
	 .long_models = TSO | WEAK, .setup = "w", .aborts = 1, .switches = 1,
	 .buffered = {1, 4},
	 .agents = {{"w", 0}, {"w", 0, 1}, {"w", 0, 2}, {"t", 1}}},
	{"handlers: keep, atomic", .bytes = TWO, .models = SC | TSO,
	 .long_models = WEAK, .setup = "w", .ring = RING_EXTRA, .switches = 2,
	 .buffered = {1, 4},
	 .agents = {{"w", 2}, {"w", 2, 1}, {"w", 2, 2}, {"w", 3}}},
	{"handlers: keep, revoked", .bytes = TWO, .models = SC,
	 .long_models = TSO | WEAK, .setup = "w", .switches = 2,
	 .buffered = {1, 4},
	 .agents = {{"w", 0}, {"w", 0, 1}, {"w", 0, 2}, {"f", 1}}},
	{"handlers: overwrite, sequences", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .flags = SCENARIO_OVERWRITE,
	 .setup = "wwww", .aborts = 1, .switches = 1, .buffered = {1, 4},
	 .agents = {{"w", 0}, {"w", 0, 1}, {"w", 0, 2}, {"t", 1}}},
	{"handlers: overwrite, atomic", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK,
	 .flags = SCENARIO_OVERWRITE | SCENARIO_REFUSES, .setup = "wwww",
	 .ring = RING_EXTRA, .switches = 1, .buffered = {1, 4},
	 .agents = {{"w", 2}, {"w", 2, 1}, {"w", 2, 2}, {"w", 3}}},
	{"handlers: overwrite, revoked", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .flags = SCENARIO_OVERWRITE,
	 .setup = "wwww", .switches = 1, .buffered = {1, 4},
	 .agents = {{"w", 0}, {"w", 0, 1}, {"w", 0, 2}, {"f", 1}}},
	{"flushers: keep, sequences", .bytes = TWO, .models = SC | TSO,
	 .long_models = WEAK, .setup = "w", .aborts = 1, .switches = 2,
	 .buffered = {1, 4}, .agents = {{"w", 0}, {"f", 0}, {"t", 1}}},
	{"flushers: keep, atomic", .bytes = TWO, .models = ALL,
	 .setup = "w", .ring = RING_EXTRA, .switches = 2, .buffered = {1, 4},
	 .agents = {{"w", 2}, {"f", 1}, {"f", 3}}},
	{"flushers: keep, revoked", .bytes = TWO, .models = ALL,
	 .setup = "w", .switches = 2, .buffered = {1, 4},
	 .agents = {{"w", 0}, {"f", 1}, {"f", 2}}},
	{"flushers: overwrite, sequences", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .flags = SCENARIO_OVERWRITE,
	 .setup = "wwww", .aborts = 1, .switches = 2, .buffered = {1, 4},
	 .agents = {{"w", 0}, {"f", 0}, {"t", 1}}},
	{"flushers: overwrite, atomic", .bytes = ONE, .models = ALL,
	 .flags = SCENARIO_OVERWRITE, .setup = "wwww", .ring = RING_EXTRA,
	 .switches = 2, .buffered = {1, 4},
	 .agents = {{"w", 2}, {"f", 1}, {"f", 3}}},
	{"flushers: overwrite, revoked", .bytes = ONE, .models = ALL,
	 .flags = SCENARIO_OVERWRITE, .setup = "wwww", .switches = 2,
	 .buffered = {1, 4}, .agents = {{"w", 0}, {"f", 1}, {"f", 2}}},
	{"consumer: keep, sequences", .bytes = ONE, .models = SC | TSO,
	 .long_models = WEAK, .setup = "ww", .aborts = 1, .switches = 2,
	 .buffered = {1, 4}, .agents = {{"ww", 0}, {"tt", 1}}},
	{"consumer: keep, atomic", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .setup = "ww", .ring = RING_EXTRA,
	 .switches = 2, .buffered = {1, 4},
	 .agents = {{"w", 2}, {"w", 3}, {"tt", 1}}},
	{"consumer: keep, revoked", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .setup = "ww", .switches = 2,
	 .buffered = {1, 4}, .agents = {{"w", 0}, {"f", 1}, {"tt", 2}}},
	{"consumer: overwrite, sequences", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .flags = SCENARIO_OVERWRITE,
	 .setup = "wwww", .aborts = 1, .switches = 2, .buffered = {1, 4},
	 .agents = {{"ww", 0}, {"ht", 1}}},
	{"consumer: overwrite, atomic", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .flags = SCENARIO_OVERWRITE,
	 .setup = "wwww", .ring = RING_EXTRA, .switches = 2,
	 .buffered = {1, 4}, .agents = {{"w", 2}, {"w", 3}, {"ht", 1}}},
	{"consumer: overwrite, revoked", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .flags = SCENARIO_OVERWRITE,
	 .setup = "wwww", .switches = 2, .buffered = {1, 4},
	 .agents = {{"w", 0}, {"f", 1}, {"ht", 2}}},
	{"snapshot: keep, sequences", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .setup = "w", .aborts = 1, .switches = 1,
	 .buffered = {1, 4}, .agents = {{"w", 0}, {"w", 0}, {"S", 0}}},
	{"snapshot: keep, atomic", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .setup = "w", .ring = RING_EXTRA,
	 .switches = 2, .buffered = {1, 4},
	 .agents = {{"w", 2}, {"w", 3}, {"S", 1}}},
	{"snapshot: keep, revoked", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .setup = "w", .switches = 1,
	 .buffered = {1, 4}, .agents = {{"w", 0}, {"w", 0}, {"S", 1}}},
	{"snapshot: overwrite, sequences", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .flags = SCENARIO_OVERWRITE,
	 .setup = "wwww", .aborts = 1, .switches = 1, .buffered = {1, 4},
	 .agents = {{"w", 0}, {"w", 0}, {"S", 0}}},
	{"snapshot: overwrite, atomic", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .flags = SCENARIO_OVERWRITE,
	 .setup = "wwww", .ring = RING_EXTRA, .switches = 1,
	 .buffered = {1, 4}, .agents = {{"w", 2}, {"w", 3}, {"S", 1}}},
	{"snapshot: overwrite, revoked", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .flags = SCENARIO_OVERWRITE,
	 .setup = "wwww", .switches = 1, .buffered = {1, 4},
	 .agents = {{"w", 0}, {"w", 0}, {"S", 1}}},
	{"squash: keep, sequences", .bytes = THREE, .models = SC,
	 .long_models = TSO | WEAK, .setup = "w", .aborts = 1, .switches = 1,
	 .buffered = {1, 4}, .agents = {{"qw", 0}, {"w", 0}, {"t", 1}}},
	{"squash: keep, atomic", .bytes = THREE, .models = ALL,
	 .setup = "w", .ring = RING_EXTRA, .switches = 2, .buffered = {1, 4},
	 .agents = {{"qw", 2}, {"w", 3}, {"t", 1}}},
	{"squash: keep, revoked", .bytes = THREE, .models = SC | TSO,
	 .long_models = WEAK, .setup = "w", .switches = 2, .buffered = {1, 4},
	 .agents = {{"qw", 0}, {"f", 1}, {"t", 2}}},
	{"squash: overwrite, sequences", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .flags = SCENARIO_OVERWRITE,
	 .setup = "wwww", .aborts = 1, .switches = 1, .buffered = {1, 4},
	 .agents = {{"qw", 0}, {"w", 0}, {"t", 1}}},
	{"squash: overwrite, atomic", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .flags = SCENARIO_OVERWRITE,
	 .setup = "wwww", .ring = RING_EXTRA, .switches = 2,
	 .buffered = {1, 4}, .agents = {{"qw", 2}, {"w", 3}, {"t", 1}}},
	{"squash: overwrite, revoked", .bytes = ONE, .models = SC,
	 .long_models = TSO | WEAK, .flags = SCENARIO_OVERWRITE,
	 .setup = "wwww", .switches = 2, .buffered = {1, 4},
	 .agents = {{"qw", 0}, {"f", 1}, {"t", 2}}},

	/* Killed in every state; a reader that is not there any more takes what
	 * it has in hand with it. */
	{"killed in a recorder", .bytes = ONE, .models = SC, .long_models = TSO | WEAK,
	 .flags = SCENARIO_CRASH | SCENARIO_OVERWRITE, .setup = "wwww",
	 .switches = 2, .buffered = {1, 4}, .agents = {{"w", 0}, {"t", 1}}},
	{"killed in an atomic recorder", .bytes = ONE, .models = SC, .long_models = TSO | WEAK,
	 .flags = SCENARIO_CRASH | SCENARIO_OVERWRITE, .ring = RING_EXTRA, .setup = "wwww",
	 .switches = 2, .buffered = {1, 4}, .agents = {{"w", 2}, {"w", 3}}},
	{"killed with a loan", .bytes = ONE, .models = SC, .long_models = TSO | WEAK,
	 .flags = SCENARIO_CRASH, .setup = "ww",
	 .switches = 3, .buffered = {1, 4}, .agents = {{"w", 0}, {"ht", 1}}},
	{"killed in a snapshot", .bytes = ONE, .models = SC, .long_models = TSO,
	 .flags = SCENARIO_CRASH | SCENARIO_OVERWRITE, .setup = "www",
	 .switches = 1, .buffered = {1, 4}, .agents = {{"w", 0}, {"S", 1}}},
	{"killed in a squash", .bytes = THREE, .models = SC, .long_models = TSO | WEAK,
	 .flags = SCENARIO_CRASH, .setup = "w",
	 .switches = 2, .buffered = {1, 4}, .agents = {{"qw", 0}, {"w", 0}}},
	{"killed in an atomic squash", .bytes = THREE, .models = SC, .long_models = TSO | WEAK,
	 .flags = SCENARIO_CRASH, .ring = RING_EXTRA, .setup = "w",
	 .switches = 2, .buffered = {1, 4}, .agents = {{"qw", 2}, {"w", 3}}},
	{"killed while it gives back", .bytes = THREE, .models = SC, .long_models = TSO | WEAK,
	 .flags = SCENARIO_CRASH,
	 .switches = 2, .buffered = {1, 4}, .agents = {{"ds", 0}, {"f", 1}}},

	/* Somebody stops in any state, for ever. */
	{"a writer that stops in a recorder", .bytes = ONE, .models = SC, .long_models = TSO,
	 .flags = SCENARIO_REFUSES | SCENARIO_OVERWRITE, .setup = "wwww", .stops = 1,
	 .switches = 1, .buffered = {1, 4}, .agents = {{"w", 0}, {"ww", 0}, {"u", 1}}},
	{"a writer that stops in atomic mode", .bytes = ONE, .models = SC, .long_models = TSO,
	 .flags = SCENARIO_REFUSES, .ring = RING_EXTRA, .setup = "w", .stops = 1,
	 .switches = 1, .buffered = {1, 4}, .agents = {{"w", 2}, {"w", 3}, {"u", 1}}},
	{"a handler that stops", .bytes = ONE, .models = SC, .long_models = TSO,
	 .flags = SCENARIO_REFUSES, .setup = "w", .stops = 1,
	 .switches = 1, .buffered = {1, 4}, .agents = {{"w", 0}, {"w", 0, 1}, {"w", 0}}},
	{"a consumer that stops", .bytes = ONE, .models = SC, .long_models = TSO | WEAK,
	 .flags = SCENARIO_REFUSES, .setup = "www", .stops = 1,
	 .switches = 3, .buffered = {1, 4}, .agents = {{"ww", 0}, {"tt", 1}}},
	{"a snapshot that stops", .bytes = ONE, .models = SC, .long_models = TSO,
	 .flags = SCENARIO_REFUSES | SCENARIO_OVERWRITE, .setup = "www", .stops = 1,
	 .switches = 1, .buffered = {1, 4}, .agents = {{"w", 0}, {"S", 1}}},
	{"a squash that stops", .bytes = THREE, .models = SC, .long_models = TSO | WEAK,
	 .flags = SCENARIO_REFUSES, .setup = "w", .stops = 1,
	 .switches = 2, .buffered = {1, 4}, .agents = {{"qw", 0}, {"w", 0}}},
	{"alone in a recorder", .bytes = ONE, .models = SC, .flags = SCENARIO_ALONE | SCENARIO_OVERWRITE,
	 .setup = "wwww", .switches = 1, .agents = {{"w", 0}, {"w", 0}, {"t", 1}}},
	{"alone beside what gives back", .bytes = THREE, .models = SC, .flags = SCENARIO_ALONE,
	 .switches = 1, .agents = {{"dsq", 0}, {"w", 0}, {"f", 1}}},
};
/* clang-format on */

const unsigned scenario_count = sizeof(scenarios) / sizeof(scenarios[0]);
const struct scenario *scenario;

bool is_producer(unsigned agent)
{
	const char *script = scenario->agents[agent].script;

	return script && !strpbrk(script, "thupSfFc");
}

/* As rondo_memory_create lays it out, without what nobody here needs. */
static void fill_map(struct rondo_map *map)
{
	struct rondo_packet packet = {.magic = RONDO_PACKET_MAGIC};

	memset(map, 0, sizeof(*map));
	map->base = (char *)world;
	map->bytes = sizeof(*world);
	map->wait = &world->wait;
	map->rings = (char *)&world->rings_begin;
	map->tables = map->rings + sizeof(struct rondo_ring);
	map->tables_stride = UINT64_C(1) << RONDO_RING_SHIFT;
	map->slots_offset = 0;
	map->late_offset = 128;
	map->states_offset = 256;
	map->pages = world->pages[0];
	map->subbuf_bytes = SUBBUF_BYTES;
	map->order = (uint32_t)__builtin_ctz(SUBBUF_BYTES);
	map->count = SUBBUF_COUNT;
	map->spares = scenario->spares ? scenario->spares : 1;
	map->pages_stride = (map->count + map->spares) * SUBBUF_BYTES;
	map->ring_count = RINGS;
	map->record_max = scenario->flags & SCENARIO_FULL ? 3000 :
							    RONDO_COMPACT_MAX;
	map->header_bytes = scenario->flags & SCENARIO_FULL ? 16 : 8;
	map->flags = scenario->flags & SCENARIO_OVERWRITE ? RONDO_OVERWRITE : 0;
	map->clock = scenario->flags & SCENARIO_SLOW_CLOCK ?
			     RONDO_CLOCK_MONOTONIC :
			     RONDO_CLOCK_FASTEST;
	map->rings_by = RONDO_RINGS_BY_CPU;
	map->wake_subbufs = 1;
	map->stall_ms = 100;
	memcpy(map->packet_start, &packet, sizeof(map->packet_start));
}

/* As rondo_channel_create leaves it. */
static void fill_control(struct rondo_control *control)
{
	const bool slow = scenario->flags & SCENARIO_SLOW_CLOCK;

	memset(control, 0, sizeof(*control));
	fill_map(&control->map);
	control->handle = &world->handle;
	control->by_id = true;
	control->clock_in_sequence = !slow;
	control->quick = !slow && control->map.header_bytes == 8;
	control->gate = RING_EXTRA;
	control->running = 1;
	control->reason = scenario->flags & SCENARIO_ATOMIC ? RONDO_MODE_ASKED :
							      RONDO_MODE_RSEQ;
	control->event_fd = -1;
}

static void fill_handle(struct rondo_channel *handle)
{
	const struct rondo_control *control = &world->control;
	const struct rondo_map *map = &control->map;

	memset(handle, 0, sizeof(*handle));
	handle->magic = RONDO_MAGIC;
	handle->layout = RONDO_LAYOUT;
	handle->gate[RONDO_GATE] = control->gate;
	handle->rings = map->rings;
	handle->pages = map->pages;
	if (control->reason == RONDO_MODE_RSEQ && control->quick)
		handle->span = (map->subbuf_bytes - RONDO_TAIL_BYTES)
			       << RONDO_POSITION_SHIFT;
	handle->mask = SUBBUF_BYTES - 1;
	handle->order = map->order;
	handle->record_max = map->record_max;
	handle->class_count = 1;
	handle->control = (struct rondo_control *)control;
	handle->slot_mask = map->count - 1;
	if (!(map->flags & RONDO_OVERWRITE))
		handle->slots_offset = sizeof(struct rondo_ring);
}

static uint64_t switches_at_most(void)
{
	return explore_model != MODEL_SC && scenario->buffered.switches ?
		       scenario->buffered.switches :
		       scenario->switches;
}

static void fill_own(void)
{
	own->clock = CLOCK_START;
	own->clock_reader = NOBODY;
	own->last = NOBODY;
	own->aborts_left = scenario->aborts;
	own->stops_left = scenario->stops;
	own->moves_left = scenario->moves;
	own->switches_left = switches_at_most();
	for (unsigned i = 0; i < AGENTS_MAX; i++) {
		own->agents[i].child = NOBODY;
		own->agents[i].cpu = i < AGENT_SETUP ? scenario->agents[i].cpu :
						       scenario->ring;
	}
	for (unsigned i = 0; i < CPUS_MAX; i++)
		own->cpus[i].current = NOBODY;
	for (unsigned i = 0; i < RINGS; i++)
		own->loans[i] = ((1u << world->control.map.spares) - 1)
				<< SUBBUF_COUNT;
}

/* One more, and a reserve gives way. */
static int seven_aborts(void)
{
	return raw ? 0 : 7;
}

/* The head's number wraps with the second sub-buffer from here. */
#define BEFORE_WRAP \
	((UINT64_C(1) << (RONDO_POSITION_BITS - 12)) - SUBBUF_COUNT - 2)

static struct rondo_ring *head_of(uint32_t ring)
{
	return rondo_map_ring(&world->control.map, ring);
}

void scenario_begin(const struct scenario *which)
{
	scenario = which;
	running = NOBODY;
	raw = false;
	memory_forget();
	fill_control(&world->control);
	fill_handle(&world->handle);
	world->foreign = world->control;
	world->foreign.attached = true;
	fill_own();
	rondo_testpoint_aborts =
		which->flags & SCENARIO_ABORTED ? seven_aborts : NULL;
	rondo_testpoint_start = which->flags & SCENARIO_WRAPS ? BEFORE_WRAP : 0;
	for (uint32_t i = 0; i < RINGS; i++)
		rondo_ring_init(&world->control, i);
	if (which->setup)
		script_setup(which->setup);
	if (which->flags & SCENARIO_WRAPS)
		head_of(which->ring)->head |= RONDO_GEN_MASK - RONDO_GEN_ONE;
}
