/* SPDX-License-Identifier: MIT */
/*
 * One random record after another, each accounted for in its lane (lanes.h):
 * every way to reserve, to commit and to take back; refused ones and wrong ones
 * among them. For threads and, one depth further, their signal handlers.
 */
#ifndef RONDO_TESTS_SUPPORT_RECORDING_H
#define RONDO_TESTS_SUPPORT_RECORDING_H

#include <stdbool.h>
#include <stdint.h>

#include <rondo/rondo.h>

#define RECORDER_CLASSES 64u

/* Event classes that may be used so far. */
struct recorder_classes {
	uint32_t count; /* grows */
	uint16_t ids[RECORDER_CLASSES];
};

struct recorder {
	struct rondo_channel *channel;
	struct recorder_classes *classes;
	uint64_t random;
	uint32_t lane; /* of its depth 0 */
	uint32_t depth;
	uint32_t record_max;
	bool forward; /* nothing is taken back */
	bool stops;   /* the channel may be stopped */
	/* Now and then, while a record is open. */
	void (*disturb)(struct recorder *r);
};

/* Faults that the harness plants itself. Each must be noticed: see
 * recording_plants. */
enum plant {
	PLANT_NONE,
	PLANT_BIT,	 /* one bit of a record is another */
	PLANT_TORN,	 /* its second half is missing */
	PLANT_LOST,	 /* said to be committed, and is not */
	PLANT_GHOST,	 /* committed, and said to be discarded */
	PLANT_DOUBLED,	 /* written once more */
	PLANT_SWAPPED,	 /* two records in the wrong order */
	PLANT_REFUSAL,	 /* the library counts one that nobody knows of */
	PLANT_FORGOTTEN, /* ... and one that the library did not count */
	PLANT_LOAN,	 /* a byte of a loan changes: the reader's */
	PLANT_PACKET,	 /* a packet is read and not told: the reader's */
	PLANTS,
};

/* To be planted once; PLANT_NONE again when it was. */
extern uint32_t recording_plant;
bool recording_take_plant(enum plant which);

/* False: its lane is full. */
bool recorder_record(struct recorder *r);

/* The same in a handler: a depth further. */
void recorder_record_nested(struct recorder *r);

/* A record that is reserved and filled, for recorder_end; false: refused. */
bool recorder_begin(struct recorder *r, uint32_t bytes,
		    struct rondo_record *out, uint32_t *out_sequence);
void recorder_end(struct recorder *r, struct rondo_record *record,
		  uint32_t sequence);

#endif
