/* SPDX-License-Identifier: MIT */
/*
 * A channel's memory object: laid out, created (memfd or file), sealed, mapped,
 * prefaulted, locked; or opened and checked when somebody else made it.
 */
#ifndef RONDO_LIB_MEMORY_H
#define RONDO_LIB_MEMORY_H

#include <rondo/channel.h>

#include "control.h"

/* Fills the geometry of map, base apart, for a complete config; nothing is
 * created. -EOVERFLOW when a product does not fit. */
int rondo_memory_lay_out(const struct rondo_config *complete,
			 uint32_t ring_count, struct rondo_map *map);

/*
 * Creates and maps; fills control->map, fd, file, granted, path, name. clock
 * and rings of the config are those in force; control->reason is set. Nobody
 * can attach before rondo_memory_publish.
 */
int rondo_memory_create(const struct rondo_config *complete,
			struct rondo_control *control);

/* The rings are written: whoever finds the memory may attach. */
void rondo_memory_publish(const struct rondo_control *control);

/* Maps what fd is, having checked all of it. fd becomes control's on success.
 * as_copy: nothing that is done to it reaches the memory of others. */
int rondo_memory_attach(int fd, bool as_copy, struct rondo_control *control);

/* A constant sentence: what makes attach say -EPROTO. */
const char *rondo_memory_why(int fd);

/* Whether the process that created the channel still runs. */
bool rondo_memory_creator_lives(const struct rondo_map *map);

/* Undoes either. keep_file: a file-backed channel stays on disk. */
void rondo_memory_destroy(struct rondo_control *control, bool keep_file);

#endif
