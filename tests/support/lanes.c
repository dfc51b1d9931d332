/* SPDX-License-Identifier: MIT */
/*
 * See lanes.h.
 */
#include "support/lanes.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include <rondo/detail/atomics.h>

#include "support/random.h"

struct lane {
	uint32_t attempted;
	uint64_t refused_bytes;
	uint8_t *outcomes;
	uint8_t *seen;
};

struct report {
	uint64_t count;
	uint64_t a, b; /* of the first */
};

static struct lane lanes[LANES];
static struct report reports[VIOLATIONS];

static const char *const names[VIOLATIONS] = {
	[BAD_PAYLOAD] = "a record's bytes are not what was written",
	[BAD_LENGTH] = "a record's length is not what was committed",
	[BAD_CLASS] = "a record has a foreign class",
	[SEEN_TWICE] = "I-once: a record was found twice",
	[SEEN_NOT_COMMITTED] = "I-once: found, but it was not committed",
	[COMMITTED_NOT_SEEN] = "I-count: committed, but found nowhere",
	[WITHOUT_OUTCOME] = "a record without outcome",
	[BAD_ERROR] = "a call failed",
	[BAD_SUM] = "I-count: the library's sums are others",
	[BAD_PACKET] = "I-alone: a packet's header makes no sense",
	[BAD_SEQUENCE] = "packet_seq_num is not the next one",
	[BAD_NUMBER] = "sub-buffers out of order",
	[TIME_BACKWARDS] = "I-time: time goes backwards",
	[TIME_OUTSIDE] = "I-time: a time outside of its packet",
	[REFUSED_DECREASES] = "refused records decrease",
	[LOAN_CHANGED] = "I-own: a sub-buffer changed while on loan",
	[NOT_QUIET] = "rondo_ring_check",
	[RINGS_TOUCHED] = "more rings are in use than CPUs",
};

void violation(enum violation what, uint64_t a, uint64_t b)
{
	struct report *report = &reports[what];

	if (__atomic_fetch_add(&report->count, 1, __ATOMIC_RELAXED) == 0) {
		report->a = a;
		report->b = b;
	}
}

uint64_t violations(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < VIOLATIONS; i++)
		sum += rondo_load_relaxed(&reports[i].count);
	return sum;
}

void violations_report(FILE *to)
{
	for (int i = 0; i < VIOLATIONS; i++) {
		struct report *report = &reports[i];

		if (report->count)
			fprintf(to,
				"VIOLATION %s: %" PRIu64
				" times, first %#" PRIx64 " %#" PRIx64 "\n",
				names[i], report->count, report->a, report->b);
	}
	memset(reports, 0, sizeof(reports));
}

/* Pages that were never touched cost nothing. */
static uint8_t *fresh(uint8_t *at)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

	return mmap(at, LANE_RECORDS, PROT_READ | PROT_WRITE,
		    at ? flags | MAP_FIXED : flags, -1, 0);
}

void lanes_reset(void)
{
	for (uint32_t i = 0; i < LANES; i++) {
		if (lanes[i].outcomes && !lanes[i].attempted)
			continue;
		lanes[i].outcomes = fresh(lanes[i].outcomes);
		lanes[i].seen = fresh(lanes[i].seen);
		lanes[i].attempted = 0;
		lanes[i].refused_bytes = 0;
		if (lanes[i].outcomes == MAP_FAILED ||
		    lanes[i].seen == MAP_FAILED)
			abort();
	}
}

uint32_t lane_begin(uint32_t lane)
{
	uint32_t sequence = lanes[lane].attempted;

	if (sequence == LANE_RECORDS)
		return sequence;
	rondo_store_relaxed(&lanes[lane].attempted, sequence + 1);
	return sequence;
}

void lane_end(uint32_t lane, uint32_t sequence, enum lane_outcome outcome)
{
	lanes[lane].outcomes[sequence] = (uint8_t)outcome;
}

void lane_refused(uint32_t lane, uint32_t sequence, uint32_t bytes)
{
	lane_end(lane, sequence, LANE_REFUSED);
	lanes[lane].refused_bytes += bytes;
}

static uint64_t pattern(uint32_t lane, uint32_t sequence)
{
	return test_mix((uint64_t)lane << 32 | sequence);
}

static uint32_t check_of(const struct lane_payload *payload)
{
	uint64_t mixed = pattern(payload->lane, payload->sequence);

	return (uint32_t)test_mix(mixed ^ payload->bytes);
}

void lane_fill(void *data, uint32_t lane, uint32_t sequence, uint32_t bytes)
{
	struct lane_payload payload = {lane, sequence, bytes, 0};
	const uint64_t mixed = pattern(lane, sequence);
	uint8_t *to = data;

	payload.check = check_of(&payload);
	memcpy(to, &payload, sizeof(payload));
	for (uint32_t i = sizeof(payload); i < bytes; i++)
		to[i] = (uint8_t)((mixed >> 8 * (i & 7)) + i);
}

/* Who reads what is being overwritten races, and knows it. */
__attribute__((no_sanitize("thread"))) bool
lane_read(const void *data, uint32_t bytes, struct lane_payload *out)
{
	const uint8_t *from = data;
	const volatile uint32_t *words = data;
	uint64_t mixed;

	if (bytes < LANE_BYTES_MIN)
		return false;
	out->lane = words[0];
	out->sequence = words[1];
	out->bytes = words[2];
	out->check = words[3];
	if (out->lane >= LANES || out->sequence >= LANE_RECORDS ||
	    out->bytes > bytes || bytes - out->bytes > 7 ||
	    out->check != check_of(out))
		return false;
	mixed = pattern(out->lane, out->sequence);
	for (uint32_t i = sizeof(*out); i < bytes; i++) {
		uint8_t expected = (uint8_t)((mixed >> 8 * (i & 7)) + i);

		if (from[i] != (i < out->bytes ? expected : 0))
			return false;
	}
	return true;
}

void lane_see(const struct lane_payload *payload, enum lane_seen where)
{
	struct lane *lane = &lanes[payload->lane];

	if (payload->sequence >= rondo_load_relaxed(&lane->attempted))
		violation(SEEN_NOT_COMMITTED, payload->lane, payload->sequence);
	else if (__atomic_exchange_n(&lane->seen[payload->sequence],
				     (uint8_t)where, __ATOMIC_RELAXED))
		violation(SEEN_TWICE, payload->lane, payload->sequence);
}

static void account_record(const struct lane *lane, uint32_t sequence,
			   struct lane_totals *out)
{
	const uint8_t outcome = lane->outcomes[sequence];
	const uint8_t seen = lane->seen[sequence];
	const uint64_t index = (uint64_t)(lane - lanes);

	out->outcomes[outcome]++;
	out->delivered += seen == LANE_DELIVERED;
	out->overwritten += seen == LANE_OVERWRITTEN;
	if (outcome == LANE_NOTHING)
		violation(WITHOUT_OUTCOME, index, sequence);
	else if (outcome != LANE_COMMITTED && seen)
		violation(SEEN_NOT_COMMITTED, index << 8 | outcome, sequence);
	else if (outcome == LANE_COMMITTED && !seen)
		out->unseen++;
}

void lanes_account(struct lane_totals *out)
{
	memset(out, 0, sizeof(*out));
	for (uint32_t i = 0; i < LANES; i++) {
		out->attempted += lanes[i].attempted;
		out->refused_bytes += lanes[i].refused_bytes;
		for (uint32_t k = 0; k < lanes[i].attempted; k++)
			account_record(&lanes[i], k, out);
	}
}
