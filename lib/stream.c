/* SPDX-License-Identifier: MIT */
/*
 * Stream files. A reader refuses a trace with half a packet in it, so what a
 * failed write leaves is cut off at once, or before the next append.
 */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define FILE_MODE 0600u

/* 1: it still is; 0: it was closed, or is another; -errno: who knows. */
static int same_file(int fd, const struct rondo_file_id *id)
{
	struct rondo_file_id now;
	int result = fd < 0 ? -EBADF : rondo_os_file_id(fd, &now);

	if (result < 0)
		return result == -EBADF ? 0 : result;
	return now.device == id->device && now.inode == id->inode;
}

void rondo_stream_init(struct rondo_stream *stream, char *path)
{
	*stream = (struct rondo_stream){.path = path, .fd = -1};
}

static int open_file(struct rondo_stream *stream, int flags)
{
	struct rondo_file_id id;
	int fd, result;

	fd = rondo_os_open(stream->path,
			   O_WRONLY | O_APPEND | O_NOFOLLOW | flags, FILE_MODE);
	if (fd < 0)
		return fd;
	fd = rondo_os_move_up(fd);
	result = rondo_os_file_id(fd, &id);
	if (result < 0) {
		rondo_os_close(fd);
		/* It is ours to make again. */
		if (flags & O_EXCL)
			rondo_os_unlink(stream->path);
		return result;
	}
	stream->fd = fd;
	stream->id = id;
	return 0;
}

/* The number belongs to somebody else now: it is not ours to close. */
static int open_again(struct rondo_stream *stream)
{
	struct rondo_file_id id = stream->id;
	int result;

	stream->fd = -1;
	result = open_file(stream, 0);
	if (result)
		stream->id = id;
	else if (stream->id.device != id.device || stream->id.inode != id.inode)
		result = -ESTALE;
	return result;
}

static int make_ready(struct rondo_stream *stream)
{
	int result;

	if (!stream->id.inode)
		return open_file(stream, O_CREAT | O_EXCL);
	result = same_file(stream->fd, &stream->id);
	if (!result)
		result = open_again(stream);
	if (result < 0)
		return result;
	if (!stream->torn)
		return 0;
	result = rondo_os_truncate(stream->fd, stream->bytes);
	stream->torn = result != 0;
	return result;
}

static int write_all(int fd, const char *data, uint64_t bytes)
{
	int64_t written;

	while (bytes) {
		written = rondo_os_write(fd, data, bytes);
		if (written == -EINTR)
			continue;
		if (written <= 0)
			return written ? (int)written : -ENOSPC;
		data += written;
		bytes -= (uint64_t)written;
	}
	return 0;
}

/* Of its own file, which is still open. */
static void cut_off(struct rondo_stream *stream)
{
	if (!rondo_os_truncate(stream->fd, stream->bytes))
		stream->torn = false;
	/* Without a packet it is no stream, and is made anew. */
	if (stream->bytes || stream->torn || rondo_os_unlink(stream->path))
		return;
	rondo_os_close(stream->fd);
	rondo_stream_init(stream, stream->path);
}

int rondo_stream_append(struct rondo_stream *stream, const void *packet,
			uint64_t bytes)
{
	int result;

	if (rondo_os_beyond_file_limit(stream->bytes + bytes))
		return -EFBIG;
	result = make_ready(stream);
	if (result)
		return result;
	result = write_all(stream->fd, packet, bytes);
	if (!result) {
		stream->bytes += bytes;
		return 0;
	}
	stream->torn = true;
	if (same_file(stream->fd, &stream->id) > 0)
		cut_off(stream);
	return result;
}

void rondo_stream_close(struct rondo_stream *stream)
{
	if (stream->id.inode && (stream->torn || !stream->bytes) &&
	    !make_ready(stream) && !stream->bytes)
		rondo_os_unlink(stream->path);
	rondo_stream_abandon(stream);
}

void rondo_stream_abandon(struct rondo_stream *stream)
{
	if (same_file(stream->fd, &stream->id) > 0)
		rondo_os_close(stream->fd);
	free(stream->path);
	rondo_stream_init(stream, NULL);
}

int rondo_stream_replace(const char *path, const char *temporary,
			 const char *text, uint64_t bytes)
{
	int fd, result;

	if (rondo_os_beyond_file_limit(bytes))
		return -EFBIG;
	fd = rondo_os_open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW,
			   FILE_MODE);
	if (fd < 0)
		return fd;
	fd = rondo_os_move_up(fd);
	result = write_all(fd, text, bytes);
	rondo_os_close(fd);
	if (!result)
		result = rondo_os_rename(AT_FDCWD, temporary, path);
	if (result)
		rondo_os_unlink(temporary);
	return result;
}
