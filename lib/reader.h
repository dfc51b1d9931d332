/* SPDX-License-Identifier: MIT */
/*
 * The consumer's side of one ring: what is there to take, taking it, reading by
 * copy what stalls or is open. One thread at a time.
 */
#ifndef RONDO_LIB_READER_H
#define RONDO_LIB_READER_H

#include <stdbool.h>
#include <stdint.h>

#include <rondo/consumer.h>

#include "map.h"

#define RONDO_NEVER INT64_MAX /* no deadline */

/* A page set that is in no slot. */
struct rondo_loan {
	uint64_t number;
	uint32_t pages;
	bool out;
};

/* A sub-buffer that was copied out, and whose writer has not delivered it. */
struct rondo_quarantined {
	uint64_t number;
	uint32_t pages;
	uint32_t told; /* records told of with the copy, as shipped or as
			* abandoned; UINT32_MAX: not by us */
};

/* What the consumer keeps of a ring for itself. */
struct rondo_reader {
	const struct rondo_map *map;
	struct rondo_ring *ring;
	struct rondo_loan *loans;	      /* as many as spares */
	struct rondo_quarantined *quarantine; /* room for one a slot */
	char *copy;		 /* of a quarantined one, on loan; or NULL */
	uint64_t cursor;	 /* next number in turn */
	uint64_t overwritten;	 /* as told in packet_seq_num so far */
	uint64_t delivered;	 /* at the last flush period; the consumer's */
	uint64_t last_end;	 /* ticks: end of what was shipped last */
	uint64_t stalled_newest; /* those up to it stall since deadline was set */
	int64_t deadline;	 /* when they are quarantined, monotonic */
	uint32_t quarantined;	 /* how many there are */
	uint32_t index;
	bool settled;	   /* nothing before the cursor is left to take */
	int64_t looked_at; /* monotonic; when the head was read last */
};

/* One look at a ring. */
struct rondo_survey {
	uint64_t oldest;   /* slot word of what the head left first; 0: none */
	uint32_t readable; /* sub-buffers that can be taken, now or next */
	bool unfinished;   /* something is recorded and not taken yet */
	bool stalled;	   /* closed ones with open records: these numbers */
	uint64_t stalled_oldest;
	uint64_t stalled_newest;
};

/*
 * Finds out which page sets the slots hold, so which ones are ours. What
 * another consumer had on loan when it died is a spare now; what it copied out
 * stays marked. used: room for all page sets of a ring. 0 or -EPROTO.
 */
int rondo_reader_adopt(struct rondo_reader *reader, uint32_t index, bool *used);

/* Ends all loans. abandon: this is a child of fork; nothing shared is touched. */
void rondo_reader_close(struct rondo_reader *reader, bool abandon);

void rondo_reader_look(struct rondo_reader *reader, struct rondo_survey *out);

/*
 * over: nothing is recorded any more, so the answer is final. 0; -EAGAIN
 * something is not ready; -ENODATA the ring is empty; -ENOSPC, -ENOMEM: as
 * rondo_consumer_take.
 */
int rondo_reader_take(struct rondo_reader *reader, bool over,
		      struct rondo_view *out);

/* 0 or -EINVAL. */
int rondo_reader_release(struct rondo_reader *reader,
			 const struct rondo_view *view);

/* buffer: of subbuf_bytes, aligned to 8. 0 or -EAGAIN. */
int rondo_reader_peek(const struct rondo_reader *reader, char *buffer,
		      struct rondo_view *out);

#endif
