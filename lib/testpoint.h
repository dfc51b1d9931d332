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
	RONDO_AT_AWAIT, /* flush: asked for, closed, not delivered */
	RONDO_TESTPOINTS_COUNT,
};

#ifdef RONDO_TESTPOINTS
#include <stdint.h>

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

/* A place in lib/os.c that makes a system call. All of them are in the section
 * of this name, from __start_rondo_os_sites to __stop_rondo_os_sites. */
struct rondo_os_site {
	const char *function;
	const char *call; /* as it is written */
	uint64_t reserved;
};

/* What becomes of a call: as it is; not made; made, and then it fails. A call
 * that fails does so with *out_error. */
enum rondo_os_fate {
	RONDO_OS_CALL,
	RONDO_OS_REFUSE,
	RONDO_OS_CALL_AND_FAIL
};

extern enum rondo_os_fate (*rondo_testpoint_os)(
	const struct rondo_os_site *site, int *out_error);
/* How much of so many bytes a transfer is asked for. */
extern uint64_t (*rondo_testpoint_part)(uint64_t bytes);

#define RONDO_TESTPOINT_OS(text_, call_)                                    \
	({                                                                  \
		static const struct rondo_os_site site_                     \
			__attribute__((section("rondo_os_sites"), used,     \
				       aligned(8))) = {__func__, text_, 0}; \
		int told_ = 0;                                              \
		enum rondo_os_fate fate_ =                                  \
			rondo_testpoint_os ?                                \
				rondo_testpoint_os(&site_, &told_) :        \
				RONDO_OS_CALL;                              \
		__typeof__(call_) given_ = -1;                              \
		if (fate_ != RONDO_OS_REFUSE)                               \
			given_ = (call_);                                   \
		if (fate_ != RONDO_OS_CALL) {                               \
			given_ = -1;                                        \
			errno = told_;                                      \
		}                                                           \
		given_;                                                     \
	})
#define RONDO_TESTPOINT_PART(bytes) \
	(size_t)(rondo_testpoint_part ? rondo_testpoint_part(bytes) : (bytes))

#define RONDO_TESTPOINT(at)                       \
	do {                                      \
		if (rondo_testpoint_hook)         \
			rondo_testpoint_hook(at); \
	} while (0)
#else
#define RONDO_TESTPOINT(at) ((void)0)
#define RONDO_TESTPOINT_OS(text, call) (call)
#define RONDO_TESTPOINT_PART(bytes) (size_t)(bytes)
#endif

#endif
