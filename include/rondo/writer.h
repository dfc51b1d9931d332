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
	uint64_t write_errors; /* packets that an error cost for good */
	int32_t last_error; /* negative errno of the last, or the last that kept
			     * a packet waiting; 0: there was none */
	uint32_t reserved32_;
	uint64_t reserved_[4];
};

/*
 * Opens a trace directory, makes it when missing (its parent must exist), and
 * becomes the channel's consumer.
 *
 * What the channel lost before is not in the trace's counts. The channel may be
 * an attached one: of a living program, whose open sub-buffers come when it
 * flushes them; or of a dead one, all of which is written by close.
 *
 * directory: empty or missing; made with mode 0700, and removed again when this
 *   fails. The path is kept, made absolute.
 * out: owned by the caller, for rondo_writer_close.
 * Results: 0; -EINVAL; -EBUSY the channel has a consumer; -ENOTEMPTY; what
 *   getcwd(2), mkdir(2), opendir(3), readdir(3), open(2), write(2) and
 *   rename(2) return; -EPROTO the channel's memory is damaged;
 *   -ESHUTDOWN a child of fork; -ENOMEM.
 * Context: thread. Progress: blocking. Cost: file system. Ordering: none.
 */
RONDO_API int rondo_writer_open(struct rondo_channel *channel,
				const char *directory,
				struct rondo_writer **out);

/*
 * Waits up to timeout_ns for sub-buffers and writes all that are ready.
 * Whole packets only: what an error cuts is truncated away. The trace can be
 * read after each step, and after a crash.
 *
 * Where the error may pass (-ENOSPC, -EDQUOT, -ENOMEM, -EMFILE, -ENFILE,
 * -EINTR, -EAGAIN), nothing is lost by it: the step ends with it, and the next
 * one, which does not wait, writes that packet before all others. Pause before
 * it. Meanwhile what comes stays in the rings, which refuse, or overwrite, and
 * count what they have no room for. Any other error costs its packet, which
 * readers are told of; the step goes on to the next, and returns the error.
 *
 * A record's payload must be as its class says: the C struct (with or without
 * the padding at its end), then the strings and sequences. One that is not
 * would spoil all behind it for readers; it becomes a gap, counted malformed.
 * Of an attached channel, whose memory others may write to meanwhile, that is
 * done in a copy.
 *
 * Results: packets written; -EINTR; -EBUSY the thread does it; -ESHUTDOWN a
 *   child of fork; what open(2), fstat(2), write(2), ftruncate(2) and rename(2)
 *   return, -EFBIG before a file size limit; -ENOMEM.
 * Context: owner. Progress: blocking. Cost: the copy into the page cache, and
 *   5 ns for each record. Ordering: none.
 */
RONDO_API int rondo_writer_step(struct rondo_writer *writer,
				int64_t timeout_ns);

/*
 * A thread that steps until rondo_writer_stop, all signals blocked in it. It
 * sleeps until something is ready, and 100 ms after an error that may pass.
 * stop waits for the step it is in, not for that; none is running: fine.
 *
 * Results: 0; -EALREADY; -ESHUTDOWN a child of fork; what pthread_create(3)
 *   returns.
 * Context: owner. Progress: blocking. Cost: a thread. Ordering: what the thread
 *   did is done when stop returns.
 */
RONDO_API int rondo_writer_start(struct rondo_writer *writer);
RONDO_API int rondo_writer_stop(struct rondo_writer *writer);

/*
 * What was written so far, by the thread too.
 *
 * Results: 0. Context: any. Progress: wait-free. Cost: loads. Ordering: none.
 */
RONDO_API int rondo_writer_stats(const struct rondo_writer *writer,
				 struct rondo_writer_stats *out);

/*
 * Flushes the channel, writes what is left, measures the clock once more,
 * completes the metadata and closes. NULL is fine. For records that are still
 * open it waits up to twice stall_ms. What a step could not write is tried
 * again, and no packet more than twice: what has no room then is lost. In a
 * child of fork it gives memory and descriptors back and leaves the trace to
 * the parent.
 *
 * Results: 0; the first error, as of rondo_writer_step, that cost a packet or
 *   the last metadata; -EPROTO the channel's classes were damaged meanwhile: the
 *   trace has those before. The writer is gone either way.
 * Context: owner. Progress: blocking. Cost: file system. Ordering: none.
 */
RONDO_API int rondo_writer_close(struct rondo_writer *writer);

/*
 * Writes what a running flight recorder holds, as a trace of its own: flushes,
 * then takes what is readable up to that moment, oldest first. Producers go on;
 * with fewer spares than sub-buffers they may overwrite some of it meanwhile.
 *
 * Results: packets written; else as rondo_writer_open and rondo_writer_close.
 * Context: thread. Progress: blocking. Cost: file system. Ordering: what was
 *   committed before the call, and not overwritten meanwhile, is in it.
 */
RONDO_API int rondo_snapshot(struct rondo_channel *channel,
			     const char *directory);

/* What rondo_recover found and wrote. */
struct rondo_report {
	const char *why;	/* a constant sentence where it failed, or "" */
	uint64_t packets;	/* written */
	uint64_t records;	/* committed ones in these */
	uint64_t abandoned;	/* reserved, and never committed: gaps */
	uint64_t malformed;	/* as in rondo_writer_stats */
	uint64_t damaged_bytes; /* between records, that made no sense */
	uint64_t reserved_[4];
};

/*
 * Makes the memory of a dead process a trace: every record that it committed
 * and nobody took, those of open sub-buffers too; and its losses. The memory
 * itself stays as it is: this can be done again.
 *
 * fd: the channel's memory, or a copy of it; may be read-only. It stays open.
 * directory: as for rondo_writer_open.
 * out: when not NULL, receives the report, on failure too.
 * Results: packets written; -EBUSY the process lives, or a consumer elsewhere;
 *   -EPROTO not a rondo channel, damaged, or of another layout; else as
 *   rondo_channel_attach, rondo_writer_open and rondo_writer_close.
 * Context: thread. Progress: blocking. Cost: file system, and memory for the
 *   first and the last page of each packet. Ordering: none.
 */
RONDO_API int rondo_recover(int fd, const char *directory,
			    struct rondo_report *out);

#ifdef __cplusplus
}
#endif

#endif
