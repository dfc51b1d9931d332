/* SPDX-License-Identifier: MIT */
/*
 * Whether what bench-record measured has happened. Twice: all calls are
 * accounted for, as records, as overwritten bytes or in the statistics; then
 * each case runs a few times more on an empty channel, and what is in there
 * must be those calls, one by one.
 */
#include "record_cases.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rondo/rondo.h>

#include "readback.h"

#define CALLS 1000u
#define CALLS_THAT_CROSS 4u /* each fills a sub-buffer, and there are 8 */

static bool payload_is_whole(const struct rondo_item *item)
{
	const uint64_t *word = item->data;
	/* A large record is written at its beginning only. */
	const uint32_t words = item->bytes > 256 ? 2 : item->bytes / 8;

	if (words < 2 || word[1] != (word[0] ^ BENCH_MIX))
		return false;
	for (uint32_t i = 2; i < words; i++)
		if (word[i] != word[i & 1])
			return false;
	return true;
}

/* ---- all calls ---- */

static bool look_at_any(const struct rondo_item *item, void *context)
{
	(void)context;
	return payload_is_whole(item);
}

/* What the calls of all cases should have done to a channel. */
struct account {
	uint64_t kept_bytes; /* with headers */
	uint64_t refused;
	uint64_t refused_bytes;
	uint64_t squash_calls;
};

static void add_up(const struct bench *bench,
		   const struct record_effect *effects,
		   struct rondo_channel *channel, struct account *out)
{
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < bench->case_count; i++) {
		const struct record_effect *effect = &effects[i];
		const uint64_t calls = bench->cases[i].calls;

		if (!effect->channel || *effect->channel != channel)
			continue;
		if (effect->outcome == RECORD_KEPT)
			out->kept_bytes +=
				calls *
				bench_record_bytes(channel, effect->bytes);
		if (effect->outcome == RECORD_SQUASHED)
			out->squash_calls += calls;
		if (effect->outcome == RECORD_REFUSED) {
			out->refused += calls;
			out->refused_bytes += calls * effect->bytes;
		}
	}
}

static int check_refusals(const char *name, const struct account *account,
			  const struct rondo_stats *stats)
{
	const uint64_t records = stats->refused_records[RONDO_REFUSED_FULL];
	const uint64_t bytes = stats->refused_bytes[RONDO_REFUSED_FULL];

	if (stats->refused_records[RONDO_REFUSED_STALLED] ||
	    stats->refused_records[RONDO_REFUSED_BIG])
		return bench_fail("%s: refused, but not because full", name);
	if (records != account->refused || bytes != account->refused_bytes)
		return bench_fail("%s: %" PRIu64 " records, %" PRIu64
				  " bytes refused; not %" PRIu64 ", %" PRIu64,
				  name, records, bytes, account->refused,
				  account->refused_bytes);
	return 0;
}

/* A record that was interrupted while it was committed may leave a gap of the
 * size of a header, which counts as overwritten. */
static int check_bytes(const char *name, const struct account *account,
		       const struct rondo_stats *stats, uint64_t found)
{
	const uint64_t all = found + stats->overwritten_bytes;
	const uint64_t most = account->kept_bytes + 16 * stats->late_commits;

	if (all < account->kept_bytes || all > most)
		return bench_fail("%s: %" PRIu64 " bytes of records, %" PRIu64
				  " of them overwritten; not %" PRIu64,
				  name, all, stats->overwritten_bytes,
				  account->kept_bytes);
	return 0;
}

static int check_channel(const struct bench *bench,
			 const struct record_effect *effects,
			 struct rondo_channel *channel)
{
	struct rondo_config config = {.size = sizeof(config)};
	struct bench_readback found;
	struct account account;
	struct rondo_stats stats;

	add_up(bench, effects, channel, &account);
	if (rondo_channel_config(channel, &config) ||
	    rondo_channel_stats(channel, &stats))
		return bench_fail("no statistics");
	if (bench_read_back(channel, look_at_any, NULL, &found))
		return 1;
	if (found.wrong)
		return bench_fail("%s: %" PRIu64 " of %" PRIu64
				  " records are wrong",
				  config.name, found.wrong, found.records);
	/* In atomic mode a squash may be refused, and the record stays. */
	if (bench->has_rseq && stats.squashed != account.squash_calls)
		return bench_fail("%s: %" PRIu64 " squashed; not %" PRIu64,
				  config.name, stats.squashed,
				  account.squash_calls);
	account.kept_bytes += (account.squash_calls - stats.squashed) *
			      bench_record_bytes(channel, 16);
	if (channel == operations.full) {
		/* Filled at setup, and the try that found it full. */
		account.refused += 1;
		account.refused_bytes += 16;
		account.kept_bytes = found.bytes;
		if (found.records == 0)
			return bench_fail("full: it is empty");
	}
	if (check_refusals(config.name, &account, &stats))
		return 1;
	return check_bytes(config.name, &account, &stats, found.bytes);
}

/* ---- call by call ---- */

struct expected_call {
	uint64_t next; /* a of the next record */
	uint32_t bytes;
};

static bool look_at_next(const struct rondo_item *item, void *context)
{
	struct expected_call *expected = context;
	const uint64_t *word = item->data;

	return item->bytes == expected->bytes && payload_is_whole(item) &&
	       word[0] == expected->next++;
}

/* The channel has been emptied. */
static int check_case(struct bench_case *one,
		      const struct record_effect *effect)
{
	struct rondo_channel *channel = *effect->channel;
	struct expected_call expected = {one->calls, effect->bytes};
	const uint64_t calls = effect->bytes > 256 ? CALLS_THAT_CROSS : CALLS;
	struct rondo_stats before, after;
	struct bench_readback found;
	uint64_t wanted = effect->outcome == RECORD_KEPT ? calls : 0;

	if (rondo_channel_stats(channel, &before))
		return bench_fail("no statistics");
	bench_call(one, calls);
	if (rondo_channel_stats(channel, &after))
		return bench_fail("no statistics");
	if (effect->outcome == RECORD_SQUASHED)
		wanted = calls - (after.squashed - before.squashed);
	/* Refused ones were accounted for; a full channel is not full now. */
	if (effect->outcome == RECORD_REFUSED)
		wanted = calls;
	if (bench_read_back(channel, look_at_next, &expected, &found))
		return 1;
	if (found.records != wanted ||
	    (found.wrong && effect->outcome != RECORD_SQUASHED))
		return bench_fail("%s: %" PRIu64 " records, %" PRIu64
				  " wrong; not %" PRIu64,
				  one->key, found.records, found.wrong, wanted);
	return 0;
}

int record_check(struct bench *bench, const struct record_effect *effects)
{
	const struct operations_place *place = &operations;
	struct rondo_channel *const channels[] = {
		place->ring,	  place->atomic,   place->full,
		place->stopped,	  place->crossing, place->large,
		place->monotonic,
	};

	for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++)
		if (check_channel(bench, effects, channels[i]))
			return 1;
	for (size_t i = 0; i < bench->case_count; i++)
		if (effects[i].channel &&
		    check_case(&bench->cases[i], &effects[i]))
			return 1;
	return 0;
}
