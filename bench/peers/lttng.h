/* SPDX-License-Identifier: MIT */
/*
 * LTTng-UST as a peer: a session daemon of our own, sessions, records of two
 * words, and what arrived of them. lttng_none.c stands in where the package is
 * missing.
 *
 * The daemon lives in a mount namespace of its own (root) or in a home of its
 * own (others), so that it neither meets nor leaves anything.
 */
#ifndef RONDO_BENCH_PEERS_LTTNG_H
#define RONDO_BENCH_PEERS_LTTNG_H

#include "../harness.h"

enum lttng_event {
	LTTNG_DISCARD,
	LTTNG_OVERWRITE,
};

/* A session with one channel of 8 sub-buffers of 256 KiB for each CPU. */
struct lttng_session {
	const char *name;
	enum lttng_event event; /* overwrite: a snapshot session */
	bool waits;		/* for room, instead of discarding */
	const char *parent; /* directory for its trace; NULL: the daemon's */
};

struct lttng_found {
	uint64_t records;
	uint64_t discarded;
	uint64_t wrong; /* contents, or one missing between two */
};

/*
 * Starts the daemon and, below it, this program again, since an application
 * registers when it starts. Negative: go on; else the exit status of the
 * program below. Before anything is set up, after bench_options.
 */
int lttng_enter(char **argv);

/* Why there is no LTTng-UST, or NULL. After lttng_enter. */
const char *lttng_missing(void);

/* 0, or an exit status. */
int lttng_begin(const struct lttng_session *session);

/* Stops, reads the trace with babeltrace2, removes it. With is_read each
 * record is looked at, otherwise they are counted. 0, or an exit status. */
int lttng_end(const struct lttng_session *session, bool is_read,
	      struct lttng_found *out);

/* Records two words. */
bench_op lttng_record_discard;
bench_op lttng_record_overwrite;

#endif
