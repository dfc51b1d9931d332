/* SPDX-License-Identifier: MIT */
/*
 * The event classes of alloc_trace. Each payload is some 64-bit words, then
 * the thread's id in 32 bits; but that of a module, which ends in its path.
 */
#ifndef ALLOC_TRACE_EVENTS_H
#define ALLOC_TRACE_EVENTS_H

#include <rondo/rondo.h>

enum event {
	EVENT_MALLOC,	      /* size, result, caller */
	EVENT_CALLOC,	      /* count, size, result, caller */
	EVENT_REALLOC_BEGIN,  /* old */
	EVENT_REALLOC,	      /* old, size, result, caller */
	EVENT_REALLOCARRAY,   /* old, count, size, result, caller */
	EVENT_ALIGNED_ALLOC,  /* alignment, size, result, caller */
	EVENT_POSIX_MEMALIGN, /* alignment, size, result, caller */
	EVENT_MEMALIGN,	      /* alignment, size, result, caller */
	EVENT_VALLOC,	      /* size, result, caller */
	EVENT_PVALLOC,	      /* size, result, caller */
	EVENT_FREE,	      /* ptr, caller */
	EVENT_SKIPPED,	      /* count */
	EVENT_MODULE,	      /* base, bytes, path */
	EVENTS,
};

/* Registers them all in a channel. 0, or a negative errno. */
int events_register(struct rondo_channel *channel, uint16_t out[EVENTS]);

#endif
