/* SPDX-License-Identifier: MIT */
/*
 * A build without drain_uring.c. See drain_ship.h.
 */
#include "drain_ship.h"

const char *ship_uring_open(const char *from, const char *to)
{
	(void)from;
	(void)to;
	return "built without liburing-dev";
}

void ship_uring_close(void)
{
}

bool ship_uring(struct rondo_consumer *consumer, const struct rondo_view *view,
		struct sink *sink)
{
	(void)consumer;
	(void)view;
	(void)sink;
	return false;
}

bool ship_uring_finish(void)
{
	return false;
}
