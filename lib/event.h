/* SPDX-License-Identifier: MIT */
/*
 * Event classes: checked, copied into the channel's catalog (shared memory,
 * append-only, self-describing), and read back from it by whoever has only
 * that memory.
 */
#ifndef RONDO_LIB_EVENT_H
#define RONDO_LIB_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include <rondo/channel.h>

#include "map.h"

/* Of one element of a type; 1 for those of any length; 0: no such type. */
uint32_t rondo_field_bytes(uint32_t type);

/* Strings and sequences: as long as the record makes them. */
bool rondo_field_is_inline(uint32_t type);

/* Elements in the record; 1 for those of any length. */
uint32_t rondo_field_elements(const struct rondo_field *field);

/*
 * Walks the catalog as it was when the reader was opened. Everything handed out
 * is a copy and was checked like a registration; strings and arrays live until
 * the next call on the same reader.
 * 1: a class; 0: the end; -EPROTO: damaged; -ENOMEM.
 */
struct rondo_catalog_reader;
int rondo_catalog_open(const struct rondo_map *map,
		       struct rondo_catalog_reader **out);
int rondo_catalog_next(struct rondo_catalog_reader *reader, uint16_t *out_id,
		       struct rondo_event_class *out);
void rondo_catalog_close(struct rondo_catalog_reader *reader);

#endif
