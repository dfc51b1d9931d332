/* SPDX-License-Identifier: MIT */
/*
 * See drain_ship.h. io_uring is in drain_uring.c.
 */
#include "drain_ship.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIPE_BYTES (1 << 20)

static int memory_fd = -1;
static int way[2] = {-1, -1};

bool ship_open(int memory)
{
	memory_fd = memory;
	if (pipe2(way, O_CLOEXEC))
		return false;
	fcntl(way[1], F_SETPIPE_SZ, PIPE_BYTES);
	return true;
}

void ship_close(void)
{
	for (int i = 0; i < 2; i++)
		if (way[i] >= 0)
			close(way[i]);
}

static bool write_all(int fd, const char *data, uint64_t bytes)
{
	while (bytes) {
		ssize_t done = write(fd, data, bytes);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		data += done;
		bytes -= (uint64_t)done;
	}
	return true;
}

bool ship_write(struct rondo_consumer *consumer, const struct rondo_view *view,
		struct sink *sink)
{
	(void)consumer;
	return write_all(sink->fd, view->data, view->bytes);
}

/* Records of one class and size, so that where the next one is does not hang on
 * what this one says. What the others differ in. */
static uint64_t look_at_headers(const struct rondo_view *view)
{
	const char *at = view->data + RONDO_PACKET_BYTES;
	const char *end = view->data + view->content;
	const uint64_t first = *(const uint64_t *)(const void *)at >> 40;
	const uint64_t bytes = 8 + (first & 0xff) * 8;
	uint64_t other = 0;

	for (; at < end; at += bytes)
		other |= first ^ *(const uint64_t *)(const void *)at >> 40;
	return other;
}

bool ship_headers(struct rondo_consumer *consumer,
		  const struct rondo_view *view, struct sink *sink)
{
	return look_at_headers(view) == 0 && ship_write(consumer, view, sink);
}

bool ship_direct(struct rondo_consumer *consumer, const struct rondo_view *view,
		 struct sink *sink)
{
	(void)consumer;
	return write_all(sink->direct, view->data, view->bytes);
}

/* What is in the pipe goes on. */
static bool empty_pipe(struct sink *sink, size_t bytes)
{
	while (bytes) {
		ssize_t done = splice(way[0], NULL, sink->fd, NULL, bytes,
				      SPLICE_F_MOVE);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		bytes -= (size_t)done;
	}
	return true;
}

/* Files and pipes as the library does it; sockets likewise by a pipe. */
bool ship_splice(struct rondo_consumer *consumer, const struct rondo_view *view,
		 struct sink *sink)
{
	return rondo_consumer_splice(consumer, view, sink->fd) ==
	       (int64_t)view->bytes;
}

bool ship_vmsplice(struct rondo_consumer *consumer,
		   const struct rondo_view *view, struct sink *sink)
{
	const bool is_pipe = sink->kind == SINK_PIPE;
	struct iovec piece = {(void *)(uintptr_t)view->data, view->bytes};

	(void)consumer;
	while (piece.iov_len) {
		ssize_t done =
			vmsplice(is_pipe ? sink->fd : way[1], &piece, 1, 0);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0 || (!is_pipe && !empty_pipe(sink, (size_t)done)))
			return false;
		piece.iov_base = (char *)piece.iov_base + done;
		piece.iov_len -= (size_t)done;
	}
	return true;
}

bool ship_sendfile(struct rondo_consumer *consumer,
		   const struct rondo_view *view, struct sink *sink)
{
	off_t at = (off_t)view->offset;
	uint64_t left = view->bytes;

	(void)consumer;
	while (left) {
		ssize_t done = sendfile(sink->fd, memory_fd, &at, left);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		left -= (uint64_t)done;
	}
	return true;
}
