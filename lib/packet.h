/* SPDX-License-Identifier: MIT */
/*
 * A packet that readers of CTF accept, whatever was recorded: a reader knows a
 * record's length from its class alone, so one that does not have it would
 * make nonsense of all that follows.
 */
#ifndef RONDO_LIB_PACKET_H
#define RONDO_LIB_PACKET_H

#include <stdint.h>

#include "map.h"

/* How long the records of each class are; private memory. */
struct rondo_schema;

/* The classes that the catalog has now. 0, -EPROTO, -ENOMEM. */
int rondo_schema_open(const struct rondo_map *map, struct rondo_schema **out);
void rondo_schema_close(struct rondo_schema *schema);

/* Its classes, own ones not counted. */
uint64_t rondo_schema_classes(const struct rondo_schema *schema);

/* A packet in memory that nobody else writes. */
struct rondo_contents {
	char *data;	     /* packet header first */
	uint64_t bytes;	     /* that it occupies */
	uint64_t content;    /* that mean something */
	uint64_t time_begin; /* ticks; of the packet */
	uint64_t time_end;
};

/*
 * Makes gaps of the records whose class is unknown, whose size their class does
 * not have, or that make no sense; sets content to where the last field ends,
 * which is before the padding of a C struct. The count of those records.
 */
uint64_t rondo_packet_mend(const struct rondo_schema *schema,
			   struct rondo_contents *contents);

#endif
