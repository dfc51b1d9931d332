/* SPDX-License-Identifier: MIT */
/*
 * How bench-drain ships a view: the ways from a sub-buffer into a descriptor.
 */
#ifndef RONDO_BENCH_DRAIN_SHIP_H
#define RONDO_BENCH_DRAIN_SHIP_H

#include <rondo/rondo.h>

#include "drain_sink.h"

/* A view to a sink. False: it failed, errno says why. */
typedef bool ship_view(struct rondo_consumer *consumer,
		       const struct rondo_view *view, struct sink *sink);

/* A pipe of our own, for what goes through one. */
bool ship_open(int memory);
void ship_close(void);

ship_view ship_write, ship_splice, ship_vmsplice, ship_sendfile, ship_direct;

/* Looks at each record's header once, as somebody must who vouches for what is
 * written; then ship_write. */
ship_view ship_headers;

/* io_uring: queued, then all done. */
ship_view ship_uring;
bool ship_uring_finish(void);
/* What its buffers will be in is registered. NULL, or why it cannot be. */
const char *ship_uring_open(const char *from, const char *to);
void ship_uring_close(void);

#endif
