/* SPDX-License-Identifier: MIT */
/*
 * See recording.h.
 */
#include "support/recording.h"

#include <errno.h>
#include <string.h>

#include <rondo/detail/atomics.h>

#include "support/lanes.h"
#include "support/random.h"

uint32_t recording_plant;

enum act {
	ACT_COMMIT,
	ACT_WRITE,
	ACT_WRITEV,
	ACT_SHRINK,
	ACT_DISCARD,
	ACT_SQUASH,
	ACT_TOO_BIG,
};

struct plan {
	enum act act;
	uint32_t bytes; /* asked for */
	uint32_t used;	/* committed */
	uint32_t align;
	uint32_t lane;
	uint32_t sequence;
	uint16_t id;
};

bool recording_take_plant(enum plant which)
{
	return rondo_load_relaxed(&recording_plant) == which &&
	       rondo_cas32(&recording_plant, which, PLANT_NONE);
}

static bool chance(uint64_t *random, uint64_t one_in)
{
	return test_random_below(random, one_in) == 0;
}

/* ---- what to record ---- */

static enum act choose_act(const struct recorder *r, uint64_t dice)
{
	static const enum act acts[32] = {ACT_DISCARD, ACT_DISCARD, ACT_SHRINK,
					  ACT_SHRINK,  ACT_SHRINK,  ACT_SQUASH,
					  ACT_SQUASH,  ACT_SQUASH,  ACT_SQUASH,
					  ACT_WRITE,   ACT_WRITE,   ACT_WRITEV};
	enum act act = acts[dice & 31];

	if ((dice >> 5 & 127) == 0)
		return ACT_TOO_BIG;
	if (r->forward && (act == ACT_DISCARD || act == ACT_SQUASH))
		return ACT_COMMIT;
	return act;
}

static struct plan make_plan(struct recorder *r)
{
	uint64_t dice = test_random(&r->random);
	struct plan plan = {.act = choose_act(r, dice)};
	/* pairs with the release of who registered it. */
	uint32_t classes = rondo_load_acquire(&r->classes->count);
	uint32_t most = 64;

	if ((dice >> 12 & 15) == 0)
		most = r->record_max;
	else if ((dice >> 12 & 15) == 1)
		most = 512;
	plan.bytes = LANE_BYTES_MIN +
		     (uint32_t)((dice >> 16) % (most - LANE_BYTES_MIN + 1));
	if (plan.act == ACT_TOO_BIG)
		plan.bytes += r->record_max;
	if ((dice >> 20 & 15) == 0 && plan.bytes <= 512)
		plan.align = 8u << (dice >> 60 & 7);
	plan.used = plan.bytes;
	if (plan.act == ACT_SHRINK)
		plan.used = LANE_BYTES_MIN +
			    (uint32_t)((dice >> 40) %
				       (plan.bytes - LANE_BYTES_MIN + 1));
	plan.lane = r->lane + r->depth;
	plan.id = r->classes->ids[(dice >> 48) % classes];
	return plan;
}

static void fill(void *data, const struct plan *plan, uint32_t bytes)
{
	const struct lane_payload payload = {.lane = plan->lane,
					     .sequence = plan->sequence,
					     .bytes = (uint16_t)bytes,
					     .id = plan->id};

	lane_fill_as(data, &payload);
}

/* ---- one record ---- */

/* By the inlined code, by the call, or aligned. */
static int reserve(struct recorder *r, const struct plan *plan,
		   struct rondo_record *out)
{
	if (plan->align)
		return rondo_reserve_aligned(r->channel, plan->id, plan->bytes,
					     plan->align, out);
	if (chance(&r->random, 2))
		return rondo_reserve_call(r->channel, plan->id, plan->bytes,
					  out);
	return rondo_reserve(r->channel, plan->id, plan->bytes, out);
}

static void refused(const struct recorder *r, const struct plan *plan,
		    int result)
{
	const bool big = plan->bytes > r->record_max;

	if (result == -ESHUTDOWN && r->stops) {
		lane_end(plan->lane, plan->sequence, LANE_SHUT);
		return;
	}
	if (big ? result != -EMSGSIZE : result != -ENOBUFS && result != -EBUSY)
		violation(BAD_ERROR, (uint64_t)-result, plan->bytes);
	lane_refused(plan->lane, plan->sequence, plan->bytes);
	if (recording_take_plant(PLANT_FORGOTTEN))
		lane_refused(plan->lane, lane_begin(plan->lane), plan->bytes);
}

static void finish(struct recorder *r, struct rondo_record *record,
		   const struct plan *plan)
{
	enum lane_outcome outcome = LANE_COMMITTED;
	int result = 0;

	if (plan->act == ACT_DISCARD || recording_take_plant(PLANT_LOST)) {
		result = rondo_discard(record);
		if (plan->act == ACT_DISCARD)
			outcome = LANE_DISCARDED;
	} else if (plan->used != plan->bytes) {
		result = rondo_commit_len(record, plan->used);
	} else {
		result = rondo_commit(record);
	}
	if (result)
		violation(BAD_ERROR, (uint64_t)-result, plan->act);
	if (plan->act == ACT_SQUASH &&
	    rondo_squash(r->channel, rondo_mark(record)) == 0)
		outcome = LANE_SQUASHED;
	if (outcome == LANE_COMMITTED && recording_take_plant(PLANT_GHOST))
		outcome = LANE_DISCARDED;
	lane_end(plan->lane, plan->sequence, outcome);
}

static void write_whole(struct recorder *r, const struct plan *plan)
{
	char bytes[4096 + 64];
	const struct iovec pieces[3] = {
		{bytes, 7},
		{bytes + 7, 9},
		{bytes + LANE_BYTES_MIN, plan->bytes - LANE_BYTES_MIN},
	};
	int result;

	fill(bytes, plan, plan->bytes);
	if (plan->act == ACT_WRITE)
		result = rondo_write(r->channel, plan->id, bytes, plan->bytes);
	else
		result = rondo_writev(r->channel, plan->id, pieces, 3);
	if (result) {
		refused(r, plan, result);
		return;
	}
	lane_end(plan->lane, plan->sequence, LANE_COMMITTED);
	if (recording_take_plant(PLANT_DOUBLED) &&
	    rondo_write(r->channel, plan->id, bytes, plan->bytes))
		rondo_store_relaxed(&recording_plant, PLANT_DOUBLED);
}

/* Wrong in ways that nobody counts; and one that only the library counts. */
static void ask_for_nonsense(struct recorder *r)
{
	struct rondo_record record;
	int result = rondo_reserve(r->channel, 0, 16, &record);

	if (result != -EINVAL && !(r->stops && result == -ESHUTDOWN))
		violation(BAD_ERROR, (uint64_t)-result, 0);
	if (recording_take_plant(PLANT_REFUSAL))
		(void)rondo_reserve(r->channel, r->classes->ids[0],
				    r->record_max + 1, &record);
}

static void spoil(struct rondo_record *record, const struct plan *plan)
{
	char *data = record->data;

	if (plan->act != ACT_COMMIT || plan->used < 32)
		return;
	if (recording_take_plant(PLANT_BIT))
		data[plan->used - 1] ^= 4;
	else if (recording_take_plant(PLANT_TORN))
		memset(data + plan->used / 2, 0, plan->used / 2);
}

/* Two records of a lane in one ring, the second one's number first. */
static void plant_swapped(struct recorder *r)
{
	struct plan plan = {.bytes = 32, .used = 32};
	struct rondo_record first, second;
	uint32_t sequence;

	plan.lane = r->lane + r->depth;
	plan.id = r->classes->ids[0];
	if (rondo_reserve(r->channel, plan.id, 32, &first))
		return;
	if (rondo_reserve(r->channel, plan.id, 32, &second)) {
		(void)rondo_discard(&first);
	} else if (first.ring_id != second.ring_id ||
		   !recording_take_plant(PLANT_SWAPPED)) {
		(void)rondo_discard(&second);
		(void)rondo_discard(&first);
	} else {
		plan.sequence = lane_begin(plan.lane);
		sequence = lane_begin(plan.lane);
		fill(second.data, &plan, 32);
		lane_end(plan.lane, plan.sequence, LANE_COMMITTED);
		plan.sequence = sequence;
		fill(first.data, &plan, 32);
		lane_end(plan.lane, plan.sequence, LANE_COMMITTED);
		(void)rondo_commit(&second);
		(void)rondo_commit(&first);
	}
}

bool recorder_record(struct recorder *r)
{
	struct plan plan = make_plan(r);
	struct rondo_record record;
	int result;

	if (rondo_load_relaxed(&recording_plant) == PLANT_SWAPPED)
		plant_swapped(r);
	if (chance(&r->random, 256))
		ask_for_nonsense(r);
	plan.sequence = lane_begin(plan.lane);
	if (plan.sequence == LANE_RECORDS)
		return false;
	if (plan.act == ACT_WRITE || plan.act == ACT_WRITEV) {
		write_whole(r, &plan);
		return true;
	}
	result = reserve(r, &plan, &record);
	if (result) {
		refused(r, &plan, result);
		return true;
	}
	fill(record.data, &plan, plan.used);
	spoil(&record, &plan);
	if (r->disturb && chance(&r->random, 128))
		r->disturb(r);
	finish(r, &record, &plan);
	return true;
}

void recorder_record_nested(struct recorder *r)
{
	r->depth++;
	(void)recorder_record(r);
	r->depth--;
}

bool recorder_begin(struct recorder *r, uint32_t bytes,
		    struct rondo_record *out, uint32_t *out_sequence)
{
	struct plan plan = {.bytes = bytes, .used = bytes};
	int result;

	plan.lane = r->lane + r->depth;
	plan.id = r->classes->ids[0];
	plan.sequence = lane_begin(plan.lane);
	if (plan.sequence == LANE_RECORDS)
		return false;
	result = rondo_reserve(r->channel, plan.id, bytes, out);
	if (result) {
		refused(r, &plan, result);
		return false;
	}
	fill(out->data, &plan, bytes);
	*out_sequence = plan.sequence;
	return true;
}

void recorder_end(struct recorder *r, struct rondo_record *record,
		  uint32_t sequence)
{
	if (rondo_commit(record))
		violation(BAD_ERROR, 0, ACT_COMMIT);
	lane_end(r->lane + r->depth, sequence, LANE_COMMITTED);
}
