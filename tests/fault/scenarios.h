/* SPDX-License-Identifier: MIT */
/*
 * What is interrupted, and what interrupts it. Each scenario prepares the same
 * state in each run, and leaves nothing open.
 */
#ifndef RONDO_TESTS_FAULT_SCENARIOS_H
#define RONDO_TESTS_FAULT_SCENARIOS_H

#include <stdbool.h>
#include <stdint.h>

#include "stage.h"

/* scenario.flags */
#define NO_FLUSH 0x1u	  /* its handlers may not flush: it does */
#define IN_RSEQ 0x2u	  /* of channels with sequences only */
#define IN_ATOMIC 0x10u	  /* ... without */
#define IN_CONSUMER 0x4u  /* handlers interrupt the consumer */
#define KEEPS_ROOM 0x8u	  /* another thread may record before it ends */
#define SLOW 0x20u	  /* system calls: only where no other has led */
#define NO_RECORD 0x40u	  /* handlers cannot record here */
#define ALL_STALLED 0x80u /* so that nobody else can either */
#define BY_HAND 0x200u /* a state that others cannot meet: no kill, no park */
#define TAKES_BACK 0x400u /* handlers may discard what it left open */
#define MAY_END 0x100u	  /* handlers may commit what it left open */

struct scenario {
	const char *name;
	unsigned stages; /* bit of each enum stage_kind it plays on */
	void (*prepare)(void);
	void (*act)(void); /* what is interrupted */
	void (*after)(void);
	unsigned flags;
};

/* What a handler does. */
struct action {
	const char *name;
	void (*what)(void);
	unsigned wants, hates; /* flags of a scenario */
	bool long_form;	       /* leads nowhere that the others do not */
};

enum {
	ACTION_NOTHING,
	ACTION_RECORD,
	ACTION_CROSS,
	ACTION_DISCARD,
	ACTION_SHRINK,
	ACTION_SQUASH,
	ACTION_FILL,
	ACTION_FLUSH,
	ACTION_TAKE_BACK,
	ACTION_END,
	ACTION_STOP,
	ACTIONS,
};

extern const struct scenario scenarios[];
extern const uint32_t scenario_count;
extern const struct action actions[ACTIONS];

bool scenario_plays(const struct scenario *scenario);

/* Whether the head is moved by a swap in it, before what goes with it. */
bool scenario_swaps(const struct scenario *scenario);

/* A record of so many bytes, inlined. True: committed. */
bool put(uint32_t bytes);

#endif
