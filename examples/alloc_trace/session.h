/* SPDX-License-Identifier: MIT */
/*
 * The trace of this process: started by its first allocation (or when the
 * library is loaded), finished as late as it can be, and begun anew in a child
 * of fork, which finds its parent's channel shut.
 */
#ifndef ALLOC_TRACE_SESSION_H
#define ALLOC_TRACE_SESSION_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "events.h"
#include "real.h"

/* Of each thread; in the static block, so that no first use allocates. */
struct thread {
	uint32_t own;	  /* over 0: in code of ours or of rondo's */
	uint32_t suspect; /* over 0: may be a child that borrowed us (vfork) */
	uint32_t generation; /* of the session that the thread may record in */
	uint32_t tid;	     /* read when generation was */
};
extern __thread struct thread thread __attribute__((tls_model("initial-exec")));

/* What of it the record path reads; all is written before generation. */
struct session {
	uint32_t generation; /* 1: before the first; moved by each start */
	uint16_t ids[EVENTS];
	struct rondo_channel *channel;
};
extern struct session session;

/* Reserves where the fast way does not apply. errno is left as it was. */
bool session_reserve_slow(enum event event, uint32_t bytes,
			  struct rondo_record *out);

static inline __attribute__((always_inline)) bool
session_reserve(enum event event, uint32_t bytes, struct rondo_record *out)
{
	int result = -ESHUTDOWN;

	if (LIKELY(thread.generation ==
		   __atomic_load_n(&session.generation, __ATOMIC_RELAXED)))
		result = rondo_reserve(session.channel, session.ids[event],
				       bytes, out);
	if (LIKELY(result == 0))
		return true;
	return result == -ESHUTDOWN && session_reserve_slow(event, bytes, out);
}

/* The process is about to end: completes the trace, if it is this one's. */
void session_finish(void);

/*
 * The process may be about to become another program, or to end where no hook
 * of ours is called: everything recorded goes to the files, and no thread of
 * ours runs. Resume: it did not; recording goes on in the same trace.
 */
void session_park(void);
void session_resume(void);

/* Brackets code during which a child may run on this thread's memory. */
void session_suspect(void);
void session_trust(void);

#endif
