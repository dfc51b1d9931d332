/* SPDX-License-Identifier: MIT */
/*
 * Shipping by io_uring, from registered buffers. See drain_ship.h.
 */
#include "drain_ship.h"

#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>

#define DEPTH 64

static struct io_uring uring;
static bool is_open;
static unsigned queued;
static uint64_t offset; /* in the file */

static const char *reason_of(const char *what, int result)
{
	static char reason[160];

	snprintf(reason, sizeof(reason), "%s: %s", what, strerror(-result));
	return reason;
}

const char *ship_uring_open(const char *from, const char *to)
{
	struct iovec all = {(void *)(uintptr_t)from, (size_t)(to - from)};
	int result = io_uring_queue_init(DEPTH, &uring, 0);

	if (result)
		return reason_of("io_uring_setup", result);
	result = io_uring_register_buffers(&uring, &all, 1);
	is_open = result == 0;
	if (is_open)
		return NULL;
	io_uring_queue_exit(&uring);
	return reason_of("io_uring_register", result);
}

void ship_uring_close(void)
{
	if (is_open)
		io_uring_queue_exit(&uring);
}

/* At once, so that the device works while the next is taken. */
bool ship_uring(struct rondo_consumer *consumer, const struct rondo_view *view,
		struct sink *sink)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&uring);
	const int fd = sink->kind == SINK_DURABLE ? sink->direct : sink->fd;

	(void)consumer;
	if (!entry)
		return false;
	io_uring_prep_write_fixed(entry, fd, view->data, (unsigned)view->bytes,
				  offset, 0);
	io_uring_sqe_set_data64(entry, view->bytes);
	offset += view->bytes;
	queued++;
	return io_uring_submit(&uring) == 1;
}

bool ship_uring_finish(void)
{
	bool is_good = true;

	for (; queued; queued--) {
		struct io_uring_cqe *done;
		int result;

		do
			result = io_uring_wait_cqe(&uring, &done);
		while (result == -EINTR);
		if (result)
			return false;
		if (done->res < 0 ||
		    (uint64_t)done->res != io_uring_cqe_get_data64(done))
			is_good = false;
		errno = done->res < 0 ? -done->res : EIO;
		io_uring_cqe_seen(&uring, done);
	}
	offset = 0;
	return is_good;
}
