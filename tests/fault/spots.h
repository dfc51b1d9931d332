/* SPDX-License-Identifier: MIT */
/*
 * The instructions under test, each a spot where a breakpoint (int3) can be
 * planted in this process's own text, and what happens when one is hit. The
 * kernel aborts a restartable sequence before it delivers a signal, so a fault
 * inside of one is its abort as well.
 */
#ifndef RONDO_TESTS_FAULT_SPOTS_H
#define RONDO_TESTS_FAULT_SPOTS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Breakpoints at the spots from first up to end; the first one that is hit
 * lifts all of them, and what is called in its signal's handler. Then inner, if
 * there is one, is planted: until what returns or, when it lingers, until it is
 * hit or lifted.
 */
struct fault {
	uint32_t first, end;
	void (*what)(void);
	struct fault *inner;
	bool lingers;
	bool fresh; /* only where no fault has been yet */
	/* So many aborts of the sequence, and nothing else. Inner is planted from
	 * the start then. */
	uint32_t storm;
	bool planted, hit, aborted; /* out; aborted: a sequence */
};

/* Reads a list of addresses (tests/fault/addresses makes it), makes the text
 * writable and handles SIGTRAP. False: with a message. */
bool spots_load(const char *path);
/* All of them as the list names them, behind 1 where one was hit, else 0. */
bool spots_write(const char *path);

uint32_t spots_count(void);
uint32_t spots_reached(void);
const char *spots_name(uint32_t spot);
/* Shared with children: a fault here was survived. */
void spots_mark(uint32_t spot);
bool spots_is_marked(uint32_t spot);
/* At each pause of a loop that waits for another CPU: what that one does. NULL:
 * nothing any more. */
void spots_cue(void (*what)(void));

void fault_plant(struct fault *fault);
/* After the operation, hit or not. */
void fault_lift(struct fault *fault);

/* How deep in handlers this thread is. */
extern __thread uint32_t fault_depth;

#endif
