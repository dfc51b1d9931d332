/* SPDX-License-Identifier: MIT */
/*
 * Named places at which tests interrupt the library: in librondo_testing a
 * hook is called there, in the real one there is nothing.
 */
#ifndef RONDO_LIB_TESTPOINT_H
#define RONDO_LIB_TESTPOINT_H

enum rondo_testpoint {
	RONDO_AT_RESERVE_HEAD_READ,  /* head read, nothing moved */
	RONDO_AT_RESERVE_CLOCK_READ, /* atomic: clock read, before the swap */
	RONDO_AT_RESERVE_MOVED,	     /* atomic: head moved, header not yet */
	RONDO_AT_TARGET_FOUND,	     /* a slot for the crossing is known */
	RONDO_AT_CLAIMED,	     /* ... and claimed */
	RONDO_AT_CROSSED,	     /* head moved to it */
	RONDO_AT_CLOSED,	     /* end of the old one written */
	RONDO_AT_BEFORE_LATE_ADD,    /* before late += */
	RONDO_AT_BEFORE_DELIVER,     /* late reached 0 */
	RONDO_AT_DELIVERED,	     /* slot is READABLE, nobody woken yet */
	RONDO_AT_COMMIT,	     /* state stored, head not yet */
	RONDO_AT_COMMIT_LATE,	     /* about to commit off the head */
	RONDO_AT_REFUSE,	     /* about to count a refused record */
	RONDO_AT_BACK,		     /* before a backward move */
	RONDO_AT_REVOKING,	     /* REVOKING is set */
	RONDO_AT_FENCED,	     /* fence done, ATOMIC not yet set */
	RONDO_AT_FLUSH,		     /* flush: before its swap */
	RONDO_AT_TAKE,		     /* consumer: before its swap */
	RONDO_AT_TAKEN,		     /* consumer: after it */
	RONDO_AT_QUARANTINE,	     /* consumer: copied, about to look again */
	RONDO_AT_SLEEP,		     /* consumer: sleeping set, not asleep */
	RONDO_AT_OVERWRITE,	     /* claimed a READABLE slot (argument) */
	RONDO_AT_LOOK,		     /* consumer: head read, before each slot */
	RONDO_AT_PEEK,		     /* consumer: copied, about to look again */
	RONDO_AT_WAKE,		     /* wake: said, futex word not moved yet */
	RONDO_TESTPOINTS_COUNT,
};

#ifdef RONDO_TESTPOINTS
struct rondo_map;
struct rondo_sequence;

/* Null: nothing happens. Called in whatever context the library is in. */
extern void (*rondo_testpoint_hook)(enum rondo_testpoint at);
/* How many aborts a reserve pretends to have had; null: none. */
extern int (*rondo_testpoint_aborts)(void);
/* Number of the first sub-buffer of new channels; tests start before wraps. */
extern uint64_t rondo_testpoint_start;
/* Called with the slot's old word before its sub-buffer is overwritten. */
extern void (*rondo_testpoint_overwrite)(const struct rondo_map *map,
					 uint32_t ring, uint64_t slot);
/* Called with each move of a head before it is made. */
extern void (*rondo_testpoint_move)(const struct rondo_sequence *move);

#define RONDO_TESTPOINT(at)                       \
	do {                                      \
		if (rondo_testpoint_hook)         \
			rondo_testpoint_hook(at); \
	} while (0)
#else
#define RONDO_TESTPOINT(at) ((void)0)
#endif

#endif
