/* SPDX-License-Identifier: MIT */
/*
 * What torture runs.
 */
#include "torture.h"

#define EVERYTHING                                                       \
	(WITH_STORM | WITH_TRANSIENTS | WITH_FORKS | WITH_STOPS |        \
	 WITH_CLASSES | WITH_NO_RSEQ | WITH_FLUSHERS | WITH_STATISTICS | \
	 WITH_EVICTION)

const struct setup setups[] = {
	{"keep oldest", .threads = 1},
	{"keep newest", .threads = 1, .flags = RONDO_OVERWRITE, .order = 16,
	 .count = 8},
	{"keep oldest", .threads = 2, .order = 16, .count = 8},
	{"keep newest", .threads = 2, .flags = RONDO_OVERWRITE},
	{"keep oldest", .threads = 4},
	{"keep newest", .threads = 4, .flags = RONDO_OVERWRITE, .count = 8},
	{"keep oldest", .count = 8},
	{"keep newest", .flags = RONDO_OVERWRITE},
	{"full headers", .threads = 4, .order = 14, .record_max = 4000},
	{"full headers, keep newest", .threads = 4, .flags = RONDO_OVERWRITE,
	 .order = 13, .record_max = 4000},
	{"monotonic clock", .threads = 4, .flags = RONDO_OVERWRITE,
	 .clock = RONDO_CLOCK_MONOTONIC},
	{"by concurrency", .count = 8, .rings = RONDO_RINGS_BY_CONCURRENCY},
	{"by concurrency, keep newest", .flags = RONDO_OVERWRITE,
	 .rings = RONDO_RINGS_BY_CONCURRENCY},
	{"stalled writers", .threads = 4, .count = 8, .with = WITH_STALLER},
	{"signal storm", .threads = 2, .with = WITH_STORM},
	{"signal storm, keep newest", .flags = RONDO_OVERWRITE, .count = 8,
	 .with = WITH_STORM},
	{"threads come and go", .threads = 2, .count = 8,
	 .with = WITH_TRANSIENTS | WITH_STORM},
	{"forks", .threads = 4, .count = 8, .with = WITH_FORKS},
	{"snapshots", .threads = 4, .flags = RONDO_OVERWRITE, .count = 8,
	 .with = WITH_SNAPSHOTS | WITH_STATISTICS},
	{"many flushers", .threads = 4, .count = 8,
	 .with = WITH_FLUSHERS | WITH_STATISTICS},
	{"pages go away", .threads = 4, .count = 8, .with = WITH_EVICTION},
	{"pages go away, keep newest", .flags = RONDO_OVERWRITE, .count = 8,
	 .with = WITH_EVICTION | WITH_SNAPSHOTS},
	{"stops and classes", .threads = 4, .count = 8,
	 .with = WITH_STOPS | WITH_CLASSES},
	{"without rseq", .threads = 4, .count = 8, .with = WITH_NO_RSEQ},
	{"without rseq, by concurrency", .threads = 4, .count = 8,
	 .rings = RONDO_RINGS_BY_CONCURRENCY, .with = WITH_NO_RSEQ},
	{"everything", .count = 8, .with = EVERYTHING},
	{"everything, keep newest", .flags = RONDO_OVERWRITE, .count = 8,
	 .with = EVERYTHING | WITH_SNAPSHOTS},
	{"everything, by concurrency", .count = 8,
	 .rings = RONDO_RINGS_BY_CONCURRENCY, .with = EVERYTHING},
};

const uint32_t setup_count = sizeof(setups) / sizeof(setups[0]);

const struct setup setup_for_plants = {"planted", .threads = 4, .count = 8};
