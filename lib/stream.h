/* SPDX-License-Identifier: MIT */
/*
 * A stream file: whole packets, one behind the other. It belongs to the thread
 * that owns the writer. Its descriptor may be closed behind our back (daemons
 * close all they find), and the number may be somebody else's file by now:
 * each use looks whether it still is the file, and opens it again by its path.
 */
#ifndef RONDO_LIB_STREAM_H
#define RONDO_LIB_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "os.h"

struct rondo_stream {
	char *path; /* absolute; the stream's own */
	int fd;	    /* -1: there is no file yet */
	struct rondo_file_id id;
	uint64_t bytes;	    /* of the whole packets in it */
	uint64_t end;	    /* ticks: of its last packet */
	uint64_t seq;	    /* of its last packet */
	uint64_t discarded; /* as its last packet said */
	bool torn;	    /* behind those bytes there may be others */
};

/* path: allocated; the stream's from now on. No file is made yet. */
void rondo_stream_init(struct rondo_stream *stream, char *path);

/*
 * Appends all bytes or none. A file that does not exist yet is made.
 * 0, or what open(2), write(2) and ftruncate(2) return.
 */
int rondo_stream_append(struct rondo_stream *stream, const void *packet,
			uint64_t bytes);

/* A file without a packet is removed: readers refuse it. */
void rondo_stream_close(struct rondo_stream *stream);

/* The same without touching the file: it is somebody else's now. */
void rondo_stream_abandon(struct rondo_stream *stream);

/* The whole text to path, by a rename from temporary. */
int rondo_stream_replace(const char *path, const char *temporary,
			 const char *text, uint64_t bytes);

#endif
