/* SPDX-License-Identifier: MIT */
/*
 * I-count, exactly: attempted = committed + refused + discarded + squashed, and
 * committed = delivered + overwritten, record by record, and the same by the
 * library's own counters.
 */
#include <inttypes.h>

#include "control.h"
#include "ring.h"
#include "torture.h"

static void expect_sum(uint64_t library, uint64_t ours)
{
	if (library != ours)
		violation(BAD_SUM, library, ours);
}

static bool extra_ring_is_used(const struct rondo_control *control)
{
	return torture.strangers && control->by_id;
}

static void check_rings(void)
{
	struct rondo_control *control = torture.channel->control;
	const uint32_t rings = control->map.ring_count;
	const bool extra = extra_ring_is_used(control);
	uint32_t touched = 0;
	const char *why;

	for (uint32_t i = 0; i < rings; i++) {
		const struct rondo_ring *ring =
			rondo_map_ring(&control->map, i);
		bool moved = rondo_load_relaxed(&ring->head) !=
			     torture.heads[i];

		touched += moved;
		if (i == rings - 1 && extra && !moved)
			violation(RINGS_TOUCHED, i, 0);
		if (rondo_ring_check(control, i, &why)) {
			fprintf(stderr, "ring %u: %s\n", i, why);
			violation(NOT_QUIET, i,
				  rondo_load_relaxed(&ring->head));
		}
	}
	if (touched > torture.cpus + extra)
		violation(RINGS_TOUCHED, touched, torture.cpus);
}

static void check_sums(const struct rondo_stats *stats,
		       const struct lane_totals *totals)
{
	const uint64_t *outcomes = totals->outcomes;
	uint64_t records = 0, bytes = 0;

	for (unsigned i = 0; i < RONDO_CAUSES; i++) {
		records += stats->refused_records[i];
		bytes += stats->refused_bytes[i];
	}
	expect_sum(records, outcomes[LANE_REFUSED]);
	expect_sum(bytes, totals->refused_bytes);
	expect_sum(stats->squashed, outcomes[LANE_SQUASHED]);
	expect_sum(stats->discarded, outcomes[LANE_DISCARDED]);
	expect_sum(stats->delivered, stats->taken + stats->overwritten);
	if (reader_overwritten() > stats->overwritten)
		violation(BAD_SUM, reader_overwritten(), stats->overwritten);
	expect_sum(totals->attempted,
		   outcomes[LANE_COMMITTED] + outcomes[LANE_REFUSED] +
			   outcomes[LANE_DISCARDED] + outcomes[LANE_SQUASHED] +
			   outcomes[LANE_SHUT]);
	expect_sum(outcomes[LANE_COMMITTED],
		   totals->delivered + totals->overwritten + totals->unseen);
}

static void report(const struct rondo_stats *stats,
		   const struct lane_totals *totals)
{
	const struct rondo_map *map = &torture.channel->control->map;

	printf("%-28s %2u threads, 2^%u x %u, %s: attempted %" PRIu64
	       " committed %" PRIu64 " delivered %" PRIu64
	       " overwritten %" PRIu64 " refused %" PRIu64 " discarded %" PRIu64
	       " squashed %" PRIu64 " abandoned %" PRIu64 " | crossed %" PRIu64
	       " flushed %" PRIu64 " revoked %" PRIu64 " passed over %" PRIu64
	       " late commits %" PRIu64 " aborts %" PRIu64
	       " quarantined %" PRIu64 " stormed %" PRIu64 "\n",
	       torture.setup->name, torture.threads, map->order, map->count,
	       stats->reason == RONDO_MODE_RSEQ ? "rseq" : "atomic",
	       totals->attempted, totals->outcomes[LANE_COMMITTED],
	       totals->delivered, totals->overwritten,
	       totals->outcomes[LANE_REFUSED], totals->outcomes[LANE_DISCARDED],
	       totals->outcomes[LANE_SQUASHED], stats->abandoned,
	       stats->delivered, stats->flushes, stats->revocations,
	       stats->passed_over, stats->late_commits, stats->aborts,
	       stats->quarantined, torture.storms);
	fflush(stdout);
}

uint64_t account(void)
{
	struct lane_totals totals;
	struct rondo_stats stats;

	reader_check_packets();
	check_rings();
	rondo_channel_stats(torture.channel, &stats);
	/* A record whose writer sat between head and header (atomic mode) is
	 * abandoned without having been seen open. */
	lanes_account(&totals);
	if (with(WITH_STALLER) ? totals.unseen < stats.abandoned :
				 totals.unseen)
		violation(COMMITTED_NOT_SEEN, totals.unseen, stats.abandoned);
	check_sums(&stats, &totals);
	report(&stats, &totals);
	return totals.delivered + totals.overwritten;
}
