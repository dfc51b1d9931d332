/* SPDX-License-Identifier: MIT */
/*
 * Accounting for every single record (I-count): who wrote it, what became of
 * it, and where it was seen. A lane is one thread at one depth of nesting; it
 * numbers its records. All of it may be used in signal handlers, and by children
 * of fork: what is known of records is shared with them.
 */
#ifndef RONDO_TESTS_SUPPORT_LANES_H
#define RONDO_TESTS_SUPPORT_LANES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define LANES 1024u
#define LANE_RECORDS (UINT32_C(1) << 22)
#define LANE_BYTES_MIN 16u /* of a record's payload */

enum lane_outcome {
	LANE_NOTHING, /* attempted */
	LANE_REFUSED,
	LANE_DISCARDED,
	LANE_SQUASHED,
	LANE_COMMITTED,
	LANE_SHUT, /* the channel was stopped: counted by nobody */
	LANE_OUTCOMES,
};

/* Where a committed record was found. */
enum lane_seen {
	LANE_UNSEEN,
	LANE_DELIVERED,
	LANE_OVERWRITTEN,
};

/* What must never happen; each has a name in lanes.c. */
enum violation {
	BAD_PAYLOAD,
	BAD_LENGTH,
	BAD_CLASS,
	SEEN_TWICE,
	SEEN_NOT_COMMITTED,
	COMMITTED_NOT_SEEN,
	WITHOUT_OUTCOME,
	BAD_ERROR,
	BAD_SUM,
	BAD_PACKET,
	BAD_SEQUENCE,
	BAD_NUMBER,
	BAD_ORDER,
	TIME_BACKWARDS,
	TIME_OUTSIDE,
	REFUSED_DECREASES,
	LOAN_CHANGED,
	NOT_QUIET,
	RINGS_TOUCHED,
	BAD_CHILD,
	VIOLATIONS,
};

/* The start of a record's payload; a pattern follows. */
struct lane_payload {
	uint32_t lane;
	uint32_t sequence;
	uint16_t bytes; /* of the payload, as committed */
	uint16_t id;	/* of its event class; 0: not told */
	uint32_t check; /* of all of it */
};

struct lane_totals {
	uint64_t attempted;
	uint64_t outcomes[LANE_OUTCOMES];
	uint64_t refused_bytes;
	uint64_t delivered;
	uint64_t overwritten;
	uint64_t unseen; /* committed, found nowhere */
};

void violation(enum violation what, uint64_t a, uint64_t b);
uint64_t violations(void);
uint64_t violations_of(enum violation what);
/* Names, counts and first details of all so far; then there are none. */
void violations_report(FILE *to);

/* Forgets all records. */
void lanes_reset(void);

/* The sequence number of a new record; LANE_RECORDS: no more. */
uint32_t lane_begin(uint32_t lane);
void lane_end(uint32_t lane, uint32_t sequence, enum lane_outcome outcome);
void lane_refused(uint32_t lane, uint32_t sequence, uint32_t bytes);
void lane_fill(void *data, uint32_t lane, uint32_t sequence, uint32_t bytes);
/* The same of all that payload says, but for its check. */
void lane_fill_as(void *data, const struct lane_payload *payload);

/* A record as found, of bytes as the ring tells them. The words of its payload
 * may be written to meanwhile: false then, or when it is none. */
bool lane_read(const void *data, uint32_t bytes, struct lane_payload *out);
/* ... and it is certain that it was found: once, or it is a violation. */
void lane_see(const struct lane_payload *payload, enum lane_seen where);

/* Records begun so far, in all lanes. */
uint64_t lanes_attempted(void);

/* On quiet lanes. */
void lanes_account(struct lane_totals *out);

#endif
