/* SPDX-License-Identifier: MIT */
/*
 * What the library asks of the machine, in the hands of scenarios: linked with
 * --wrap of each. It is this process's, and its children's.
 */
#ifndef RONDO_TESTS_FAULT_REFUSE_H
#define RONDO_TESTS_FAULT_REFUSE_H

#include <stdbool.h>
#include <stdint.h>

struct refuse {
	bool fence;	 /* membarrier is forbidden */
	bool affinity;	 /* ... and so is asking for this thread's CPUs */
	bool pin;	 /* ... and moving it */
	bool cpu;	 /* nothing but a system call would tell where it is */
	uint32_t memory; /* the so many-th allocation from here fails; 0: none */
	void (*at_fence)(void); /* behind a fence */
	void (*at_lives)(void); /* before it is told whether a process lives */
	uint32_t splice;	/* the so many-th from here moves nothing */
	int splice_says;
	bool pipe; /* there are no descriptors */
};

extern struct refuse refuse;

/* Nothing any more. */
void refuse_nothing(void);

#endif
