/* SPDX-License-Identifier: MIT */
/*
 * What the parts of bench-record share: its cases, and what each must leave in
 * its channel.
 */
#ifndef RONDO_BENCH_RECORD_CASES_H
#define RONDO_BENCH_RECORD_CASES_H

#include <stdint.h>

#include "harness.h"
#include "operations.h"

enum record_outcome {
	RECORD_NOTHING = 0, /* no channel, or a stopped one */
	RECORD_KEPT,
	RECORD_REFUSED,
	RECORD_SQUASHED,
};

/* What one call of a case leaves. */
struct record_effect {
	struct rondo_channel **channel;
	uint32_t bytes; /* of payload */
	enum record_outcome outcome;
};

/* effects[i] belongs to bench->cases[i]. */

/* Creates the channels, fills the full one, touches all pages. 0, or an exit
 * status. */
int record_set_up(struct bench *bench, const struct record_effect *effects);

/* Every call must have had its effect, and each record be there or be counted
 * as overwritten. 0, or an exit status, having said which is not. */
int record_check(struct bench *bench, const struct record_effect *effects);

void record_tear_down(void);

#endif
