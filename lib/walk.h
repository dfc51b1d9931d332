/* SPDX-License-Identifier: MIT */
/*
 * The one parser of sub-buffers: for views, peeking and quarantine (and what
 * recovers a dead process's memory). It trusts nothing: a length or a state is
 * copied once, then checked, then used.
 */
#ifndef RONDO_LIB_WALK_H
#define RONDO_LIB_WALK_H

#include <stdbool.h>
#include <stdint.h>

/* A record as found; offsets from the start of the sub-buffer. */
struct rondo_found {
	uint64_t offset;  /* of its header */
	uint64_t payload; /* offset of its payload */
	uint64_t next;	  /* where the next header is looked for */
	uint64_t time;	  /* ticks, extended to 64 bits */
	uint32_t bytes;	  /* of payload; compact: a multiple of 8 */
	uint16_t id;	  /* compact, open: 0xff on top, its low byte below */
	bool open;	  /* reserved, not committed */
	bool gap;	  /* one of rondo's own */
};

struct rondo_walk {
	const char *data;    /* the sub-buffer, packet header first */
	uint64_t end;	     /* bytes that may hold records */
	uint64_t begin_time; /* of the packet, for compact times */
	uint64_t previous_time;
	uint64_t end_time;     /* no record is later; UINT64_MAX: not known */
	uint64_t offset;       /* of the next header */
	uint64_t skipped;      /* bytes stepped over to resynchronise */
	uint32_t header_bytes; /* 8 or 16 */
};

/*
 * data: aligned to 8, readable up to end. end: with compact headers a multiple
 * of 8, since only that much is known of where a record ends. Whoever knows a
 * time that no record is later than sets end_time after this: stale words are
 * told by their time. Without it a compact time more than 2^39 ticks after the
 * record before counts as one that lies in the past.
 */
void rondo_walk_begin(struct rondo_walk *walk, const char *data, uint64_t end,
		      uint32_t header_bytes, uint64_t begin_time);

/* 1: found; 0: the end; -EPROTO: the rest makes no sense (then the end). */
int rondo_walk_next(struct rondo_walk *walk, struct rondo_found *out);

/* What a copy holds. */
struct rondo_copied {
	struct rondo_found last; /* next 0: nothing was found */
	uint64_t records;	 /* committed, gaps not counted */
	uint64_t open;		 /* records that were open and became gaps */
	uint64_t skipped;	 /* bytes in between that became gaps */
};

/*
 * Copies what is committed, from where walk stands, to the same offsets in
 * memory of the caller's, which may be the same memory. What is open, and what
 * makes no sense between two records, is a gap there.
 */
void rondo_walk_copy(struct rondo_walk *walk, char *to,
		     struct rondo_copied *out);

/*
 * Where a packet whose last record is the given one ends. With compact headers
 * that is not told exactly by the record: an empty gap record is appended in
 * data (of bytes), or, without room for it, the last record made a gap.
 */
uint64_t rondo_walk_seal(char *data, uint64_t bytes, uint32_t header_bytes,
			 const struct rondo_found *last);

#endif
