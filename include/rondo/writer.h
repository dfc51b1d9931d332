/* SPDX-License-Identifier: MIT */
/*
 * A writer makes a CTF trace of a channel: a directory with one stream file for
 * each ring that recorded, and a metadata file, that babeltrace2 reads.
 */
#ifndef RONDO_WRITER_H
#define RONDO_WRITER_H

#include <rondo/channel.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rondo_writer;

/* What a writer has written. Counters only grow. */
struct rondo_writer_stats {
	uint64_t packets;
	uint64_t bytes;
	uint64_t late_packets; /* to the stream files of those out of turn */
	uint64_t malformed; /* records that became gaps: not as their class says */
	uint64_t write_errors; /* packets that a full disk or the like cost */
	int32_t last_error;    /* negative errno of the last of them */
	uint32_t reserved32_;
	uint64_t reserved_[4];
};

/*
 * Opens a trace directory, makes it when missing (its parent must exist), and
 * becomes the channel's consumer.
 *
 * directory: empty or missing. The path is kept, made absolute.
 * out: owned by the caller, for rondo_writer_close.
 * Results: 0; -EBUSY the channel has a consumer; -ENOTEMPTY; what mkdir(2) and
 *   open(2) return; -ENOMEM.
 * Context: thread. Progress: blocking. Cost: file system. Ordering: none.
 */
RONDO_API int rondo_writer_open(struct rondo_channel *channel,
				const char *directory,
				struct rondo_writer **out);

/*
 * Waits up to timeout_ns for sub-buffers and writes all that are ready.
 * Whole packets only: what a full disk cuts is truncated away, counted, and
 * the step returns the error; the next step goes on.
 *
 * Results: packets written; -EINTR; what write(2) returns.
 * Context: owner. Progress: blocking. Cost: the copy into the page cache.
 */
RONDO_API int rondo_writer_step(struct rondo_writer *writer,
				int64_t timeout_ns);

/*
 * A thread that steps until rondo_writer_stop, all signals blocked in it.
 *
 * Results: 0; -EALREADY; what pthread_create(3) returns.
 * Context: owner. Progress: blocking.
 */
RONDO_API int rondo_writer_start(struct rondo_writer *writer);
RONDO_API int rondo_writer_stop(struct rondo_writer *writer);

/* Context: any. */
RONDO_API int rondo_writer_stats(const struct rondo_writer *writer,
				 struct rondo_writer_stats *out);

/*
 * Flushes the channel, writes what is left, measures the clock once more,
 * completes the metadata and closes. NULL is fine.
 *
 * Results: 0; the first error that cost a packet. The writer is gone either
 *   way.
 * Context: owner. Progress: blocking.
 */
RONDO_API int rondo_writer_close(struct rondo_writer *writer);

/*
 * Writes what a running flight recorder holds, as a trace of its own: flushes,
 * then takes what is readable up to that moment, oldest first. Producers go on;
 * with fewer spares than sub-buffers they may overwrite some of it meanwhile.
 *
 * Results: packets written; else as rondo_writer_open.
 * Context: thread. Progress: blocking.
 */
RONDO_API int rondo_snapshot(struct rondo_channel *channel,
			     const char *directory);

#ifdef __cplusplus
}
#endif

#endif
