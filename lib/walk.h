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
	uint16_t id;
	bool open; /* reserved, not committed */
	bool gap;  /* one of rondo's own */
};

struct rondo_walk {
	const char *data;      /* the sub-buffer, packet header first */
	uint64_t end;	       /* bytes that may hold records */
	uint64_t begin_time;   /* of the packet, for compact times */
	uint64_t previous_time;
	uint64_t offset;       /* of the next header */
	uint64_t skipped;      /* bytes stepped over to resynchronise */
	uint32_t header_bytes; /* 8 or 16 */
};

void rondo_walk_begin(struct rondo_walk *walk, const char *data, uint64_t end,
		      uint32_t header_bytes, uint64_t begin_time);

/* 1: found; 0: the end; -EPROTO: the rest makes no sense. */
int rondo_walk_next(struct rondo_walk *walk, struct rondo_found *out);

#endif
