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
};

struct report {
	uint64_t count;
	uint64_t a, b; /* of the first */
};

/* Shared with children of fork. */
static struct {
	struct lane lanes[LANES];
	struct report reports[VIOLATIONS];
} * shared;
static uint8_t *outcomes; /* of lane 0's records, of lane 1's, ... */
static uint8_t *seen;

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
	[BAD_ORDER] = "one thread's records out of order",
	[TIME_BACKWARDS] = "I-time: time goes backwards",
	[TIME_OUTSIDE] = "I-time: a time outside of its packet",
	[REFUSED_DECREASES] = "refused records decrease",
	[LOAN_CHANGED] = "I-own: a sub-buffer changed while on loan",
	[NOT_QUIET] = "rondo_ring_check",
	[RINGS_TOUCHED] = "more rings are in use than CPUs",
	[BAD_CHILD] = "a child of fork",
};

/* Zero, in the place of what was there, or (null) anywhere. Pages that were never
 * touched cost nothing. */
static void *fresh(void *where, size_t bytes)
{
	void *at = mmap(where, bytes, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE |
				(where ? MAP_FIXED : 0),
			-1, 0);

	if (at == MAP_FAILED)
		abort();
	return at;
}

static __attribute__((constructor)) void lanes_create(void)
{
	shared = fresh(NULL, sizeof(*shared));
	outcomes = fresh(NULL, (size_t)LANES * LANE_RECORDS);
	seen = fresh(NULL, (size_t)LANES * LANE_RECORDS);
}

void violation(enum violation what, uint64_t a, uint64_t b)
{
	struct report *report = &shared->reports[what];

	if (__atomic_fetch_add(&report->count, 1, __ATOMIC_RELAXED) == 0) {
		report->a = a;
		report->b = b;
	}
}

uint64_t violations_of(enum violation what)
{
	return rondo_load_relaxed(&shared->reports[what].count);
}

uint64_t violations(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < VIOLATIONS; i++)
		sum += violations_of((enum violation)i);
	return sum;
}

void violations_report(FILE *to)
{
	for (int i = 0; i < VIOLATIONS; i++) {
		struct report *report = &shared->reports[i];

		if (report->count)
			fprintf(to,
				"VIOLATION %s: %" PRIu64
				" times, first %#" PRIx64 " %#" PRIx64 "\n",
				names[i], report->count, report->a, report->b);
	}
	memset(shared->reports, 0, sizeof(shared->reports));
}

static uint8_t *of(uint8_t *base, uint32_t lane)
{
	return base + (size_t)lane * LANE_RECORDS;
}

void lanes_reset(void)
{
	for (uint32_t i = 0; i < LANES; i++) {
		struct lane *lane = &shared->lanes[i];

		/* Not by advice, which emulators ignore. */
		if (lane->attempted) {
			fresh(of(outcomes, i), LANE_RECORDS);
			fresh(of(seen, i), LANE_RECORDS);
		}
		memset(lane, 0, sizeof(*lane));
	}
}

uint32_t lane_begin(uint32_t lane)
{
	uint32_t sequence = shared->lanes[lane].attempted;

	if (sequence == LANE_RECORDS)
		return sequence;
	rondo_store_relaxed(&shared->lanes[lane].attempted, sequence + 1);
	return sequence;
}

void lane_end(uint32_t lane, uint32_t sequence, enum lane_outcome outcome)
{
	of(outcomes, lane)[sequence] = (uint8_t)outcome;
}

void lane_refused(uint32_t lane, uint32_t sequence, uint32_t bytes)
{
	lane_end(lane, sequence, LANE_REFUSED);
	shared->lanes[lane].refused_bytes += bytes;
}

static uint64_t pattern(uint32_t lane, uint32_t sequence)
{
	return test_mix((uint64_t)lane << 32 | sequence);
}

static uint32_t check_of(const struct lane_payload *payload)
{
	uint64_t mixed = pattern(payload->lane, payload->sequence);

	return (uint32_t)test_mix(mixed ^ payload->bytes ^
				  (uint64_t)payload->id << 32);
}

/* A word of the pattern behind the payload's start. */
static uint64_t pattern_word(uint64_t mixed, uint32_t offset)
{
	return mixed + offset * UINT64_C(0x9e3779b97f4a7c15);
}

void lane_fill_as(void *data, const struct lane_payload *what)
{
	struct lane_payload payload = *what;
	const uint64_t mixed = pattern(payload.lane, payload.sequence);
	uint8_t *to = data;

	payload.check = check_of(&payload);
	memcpy(to, &payload, sizeof(payload));
	for (uint32_t i = sizeof(payload); i < payload.bytes; i += 8) {
		const uint64_t word = pattern_word(mixed, i);
		const uint32_t rest = payload.bytes - i;

		memcpy(to + i, &word, rest < 8 ? rest : 8);
	}
}

void lane_fill(void *data, uint32_t lane, uint32_t sequence, uint32_t bytes)
{
	const struct lane_payload payload = {
		.lane = lane, .sequence = sequence, .bytes = (uint16_t)bytes};

	lane_fill_as(data, &payload);
}

/* What the last word holds: as many bytes as were committed, then zeros. */
static uint64_t cut(uint64_t word, uint32_t bytes)
{
	if (bytes >= 8)
		return word;
	return bytes ? word & (UINT64_MAX >> (64 - 8 * bytes)) : 0;
}

/* Who reads what is being overwritten races, and knows it. */
__attribute__((no_sanitize("thread"))) bool
lane_read(const void *data, uint32_t bytes, struct lane_payload *out)
{
	const volatile uint64_t *words = data;
	const volatile uint8_t *from = data;
	uint64_t mixed, word;

	if (bytes < LANE_BYTES_MIN)
		return false;
	word = words[0];
	memcpy(out, &word, 8);
	word = words[1];
	memcpy((char *)out + 8, &word, 8);
	if (out->lane >= LANES || out->sequence >= LANE_RECORDS ||
	    out->bytes > bytes || bytes - out->bytes > 7 ||
	    out->check != check_of(out))
		return false;
	mixed = pattern(out->lane, out->sequence);
	for (uint32_t i = sizeof(*out); i < bytes; i += 8) {
		const uint32_t rest = out->bytes > i ? out->bytes - i : 0;
		const uint64_t expected = cut(pattern_word(mixed, i), rest);

		if (bytes - i >= 8) {
			if (words[i / 8] != expected)
				return false;
			continue;
		}
		for (uint32_t k = 0; i + k < bytes; k++)
			if (from[i + k] != (uint8_t)(expected >> 8 * k))
				return false;
	}
	return true;
}

void lane_see(const struct lane_payload *payload, enum lane_seen where)
{
	struct lane *lane = &shared->lanes[payload->lane];
	uint8_t *mark = &of(seen, payload->lane)[payload->sequence];

	if (payload->sequence >= rondo_load_relaxed(&lane->attempted))
		violation(SEEN_NOT_COMMITTED, payload->lane, payload->sequence);
	else if (__atomic_exchange_n(mark, (uint8_t)where, __ATOMIC_RELAXED))
		violation(SEEN_TWICE, payload->lane, payload->sequence);
}

static void account_record(uint32_t lane, uint32_t sequence,
			   struct lane_totals *out)
{
	const uint8_t outcome = of(outcomes, lane)[sequence];
	const uint8_t where = of(seen, lane)[sequence];

	out->outcomes[outcome]++;
	out->delivered += where == LANE_DELIVERED;
	out->overwritten += where == LANE_OVERWRITTEN;
	if (outcome == LANE_NOTHING)
		violation(WITHOUT_OUTCOME, lane, sequence);
	else if (outcome != LANE_COMMITTED && where)
		violation(SEEN_NOT_COMMITTED, lane << 8 | outcome, sequence);
	else if (outcome == LANE_COMMITTED && !where)
		out->unseen++;
}

uint64_t lanes_attempted(void)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < LANES; i++)
		sum += rondo_load_relaxed(&shared->lanes[i].attempted);
	return sum;
}

void lanes_account(struct lane_totals *out)
{
	memset(out, 0, sizeof(*out));
	for (uint32_t i = 0; i < LANES; i++) {
		out->attempted += shared->lanes[i].attempted;
		out->refused_bytes += shared->lanes[i].refused_bytes;
		for (uint32_t k = 0; k < shared->lanes[i].attempted; k++)
			account_record(i, k, out);
	}
}
