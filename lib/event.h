/* SPDX-License-Identifier: MIT */
/*
 * Event classes: checked, copied into the channel's catalog (shared memory,
 * append-only, self-describing), and read back from it by whoever has only
 * that memory.
 */
#ifndef RONDO_LIB_EVENT_H
#define RONDO_LIB_EVENT_H

#include <stdint.h>

#include <rondo/channel.h>

#include "map.h"

#define RONDO_CATALOG_BYTES (UINT64_C(1) << 20)

/*
 * Walks the catalog: position is 0 at first. Everything handed out is copied
 * and checked; strings and arrays live until the next call on the same reader.
 * 1: a class; 0: the end; -EPROTO: damaged; -ENOMEM.
 */
struct rondo_catalog_reader;
int rondo_catalog_open(const struct rondo_map *map,
		       struct rondo_catalog_reader **out);
int rondo_catalog_next(struct rondo_catalog_reader *reader, uint16_t *out_id,
		       struct rondo_event_class *out);
void rondo_catalog_close(struct rondo_catalog_reader *reader);

#endif
