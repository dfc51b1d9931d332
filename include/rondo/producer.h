/* SPDX-License-Identifier: MIT */
/*
 * Recording: reserve, write in place, commit; discard, shrink, squash; write.
 *
 * All of it may be called from any thread and any signal handler, one that
 * interrupted these very functions included, nested to any depth. Nothing here
 * waits, allocates, locks, or touches errno.
 *
 * Each sub-buffer of a ring may hold 256 open records: so many for each are
 * open at once, nested or of threads that were stopped, before one is refused.
 *
 * Stack on x86-64, at most: 512 bytes for a commit, 2 KiB for everything else
 * (200 bytes for a compact record that fits). A handler that records in the
 * middle of it needs as much once more, and the kernel's signal frame.
 *
 * The hot ones are inlined. Compile with RONDO_NO_INLINE to use the exported
 * functions of the same names instead, as dlsym and other languages do.
 */
#ifndef RONDO_PRODUCER_H
#define RONDO_PRODUCER_H

#include <string.h>
#include <sys/uio.h>

#include <rondo/channel.h>
#include <rondo/detail/fast.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Names a committed record, for rondo_squash. */
struct rondo_mark {
	uint64_t head;
	uint64_t before;
	uint32_t ring;
	uint32_t reserved_;
};

/*
 * What the inlined ones call when the fast path does not apply.
 *
 * Results: as rondo_reserve and rondo_commit; rondo_refuse_full: -ENOBUFS,
 *   counted; or 1, it is not as simple as that.
 * Context: any. Progress: as theirs. Cost: a call. Ordering: as theirs.
 */
RONDO_API int rondo_reserve_call(struct rondo_channel *channel,
				 uint16_t event_id, uint32_t bytes,
				 struct rondo_record *out);
RONDO_API int rondo_refuse_full(struct rondo_channel *channel, uint32_t bytes,
				uint64_t head, uint32_t ring_id);
RONDO_API int rondo_commit_call(struct rondo_channel *channel, void *data,
				uint64_t head, uint32_t ring_id,
				uint16_t event_id);
#ifdef RONDO_IN_LIBRARY /* the first two in one: its rondo_reserve's end */
int rondo_reserve_full(struct rondo_channel *channel, uint16_t event_id,
		       uint32_t bytes, struct rondo_record *out, uint64_t head,
		       uint32_t ring_id);
#endif

/*
 * Reserves like rondo_reserve, data at a multiple of align.
 *
 * align: a power of two, 8 to 4096 (64 for XSAVE areas).
 * Results: as rondo_reserve; -EINVAL also for an alignment that is none.
 * Context: any. Progress: lock-free. Cost: a call. Ordering: as rondo_reserve.
 */
RONDO_API int rondo_reserve_aligned(struct rondo_channel *channel,
				    uint16_t event_id, uint32_t bytes,
				    uint32_t align, struct rondo_record *out);

/*
 * Commits the first used bytes and gives the rest back, or leaves a gap where
 * others reserved since. data stays where it is.
 *
 * Results: 0; -EINVAL used is more than was reserved: the record is still open.
 * Context: any. Progress: wait-free. Cost: a call. Ordering: as rondo_commit.
 */
RONDO_API int rondo_commit_len(struct rondo_record *record, uint32_t used);

/*
 * Gives up one's own open record. Its room is free again when nobody reserved
 * since; otherwise it becomes a gap that readers skip.
 *
 * Results: 0. Context: any. Progress: wait-free. Cost: a call.
 * Ordering: none.
 */
RONDO_API int rondo_discard(struct rondo_record *record);

/*
 * Undoes a committed record that is still the newest of its ring: the head goes
 * back to where it was. So a ring is a call stack: record at entry, squash at
 * return, and a flush at any moment delivers what is on it. A mark is good for
 * one squash.
 *
 * Results: 0; -EBUSY somebody wrote after it; -ESTALE its sub-buffer was
 *   switched since (record the return instead); -EXDEV this thread is on
 *   another CPU, in rseq mode (with atomics it may be on any); -ESHUTDOWN a
 *   child of fork.
 * Context: any. Progress: lock-free, bounded. Cost: a call. Ordering: none.
 */
RONDO_API int rondo_squash(struct rondo_channel *channel,
			   struct rondo_mark mark);

#ifdef RONDO_NO_INLINE
#define RONDO_INLINE_BODY 0
#define RONDO_INLINE RONDO_API
#else
#define RONDO_INLINE_BODY 1
#ifndef RONDO_INLINE
#define RONDO_INLINE \
	static inline __attribute__((always_inline)) __attribute__((unused))
#endif
#endif

/*
 * Reserves room for a record of a registered class.
 *
 * event_id: from rondo_event_register. bytes: of payload, 0 and more.
 * out: data points to bytes of room, aligned to 8 (16 with full headers), in
 *   the ring itself: write it there, then commit or discard, on any thread.
 * Results: 0; -ENOBUFS no room (discard mode), counted full; -EBUSY every free
 *   slot is held by a stalled writer, counted stalled; -EMSGSIZE larger than
 *   record_max, counted big; -EINVAL no such class; -ESHUTDOWN stopped, or a
 *   child of fork. The last two are not counted.
 * Context: any. Progress: lock-free. Cost: about that of reading the TSC.
 * Ordering: none. The clock is read without a fence: within a ring times never
 *   go back, but a time may lie some ns before a load that comes before the
 *   call. Whoever must be later than what another CPU has recorded and handed
 *   over puts a fence (lfence, isb) before the call: examples/alloc_trace.
 */
RONDO_INLINE int rondo_reserve(struct rondo_channel *channel, uint16_t event_id,
			       uint32_t bytes, struct rondo_record *out);

/*
 * Commits: from now on the record is whole, and whoever closes the sub-buffer
 * may deliver it. The handle stays valid for rondo_mark only.
 *
 * Results: 0.
 * Context: any. Progress: wait-free: two steps, no loop. Cost: 2 ns.
 * Ordering: the payload is visible to whoever takes the sub-buffer.
 */
RONDO_INLINE int rondo_commit(struct rondo_record *record);

/*
 * Reserves, copies bytes from data, commits.
 *
 * Results: as rondo_reserve.
 * Context: any. Progress: lock-free. Cost: theirs and the copy's.
 * Ordering: as rondo_commit.
 */
RONDO_INLINE int rondo_write(struct rondo_channel *channel, uint16_t event_id,
			     const void *data, uint32_t bytes);

/*
 * The same, gathered from count pieces, without allocation at any count.
 *
 * Results: as rondo_write; -EMSGSIZE also when the sum is beyond 32 bits;
 *   -EINVAL a negative count.
 * Context: any. Progress: lock-free. Cost: a look at each piece more.
 * Ordering: as rondo_commit.
 */
RONDO_INLINE int rondo_writev(struct rondo_channel *channel, uint16_t event_id,
			      const struct iovec *pieces, int count);

/*
 * The mark of a record just committed.
 *
 * Results: the mark.
 * Context: any. Progress: wait-free. Cost: some moves. Ordering: none.
 */
RONDO_INLINE struct rondo_mark rondo_mark(const struct rondo_record *record);

#if RONDO_INLINE_BODY
/* Copies unit to 2 x unit bytes: both ends, which may overlap. unit is a
 * constant, 32 or less. */
static inline __attribute__((always_inline)) __attribute__((unused)) void
rondo_copy_ends(char *to, const char *from, size_t bytes, size_t unit)
{
	char first[32], last[32];

	__builtin_memcpy(first, from, unit);
	__builtin_memcpy(last, from + bytes - unit, unit);
	__builtin_memcpy(to, first, unit);
	__builtin_memcpy(to + bytes - unit, last, unit);
}

/* A piece of a vector: most are too short for a call. */
static inline __attribute__((always_inline)) __attribute__((unused)) void
rondo_copy_piece(char *to, const char *from, size_t bytes)
{
	if (bytes - 8 <= 8) {
		rondo_copy_ends(to, from, bytes, 8);
	} else if (bytes - 16 <= 16) {
		rondo_copy_ends(to, from, bytes, 16);
	} else if (bytes - 32 <= 32) {
		rondo_copy_ends(to, from, bytes, 32);
	} else if (bytes - 4 <= 4) {
		rondo_copy_ends(to, from, bytes, 4);
	} else if (bytes > 3) {
		memcpy(to, from, bytes);
	} else if (bytes) { /* one to three: first, middle, last */
		to[0] = from[0];
		to[bytes / 2] = from[bytes / 2];
		to[bytes - 1] = from[bytes - 1];
	}
}

RONDO_INLINE int rondo_reserve(struct rondo_channel *channel, uint16_t event_id,
			       uint32_t bytes, struct rondo_record *out)
{
	struct rondo_seen seen = {0, 0};
	int result = rondo_fast_reserve(channel, event_id, bytes, out, &seen);

	if (rondo_likely(result <= 0))
		return result;
#ifdef RONDO_IN_LIBRARY
	if (result == RONDO_FAST_NO_ROOM)
		return rondo_reserve_full(channel, event_id, bytes, out,
					  seen.head, seen.ring_id);
	if (result == RONDO_FAST_LOST)
		return rondo_reserve_call(out->channel, out->event_id,
					  out->bytes, out);
	return rondo_reserve_call(channel, event_id, bytes, out);
#else
	if (result == RONDO_FAST_NO_ROOM &&
	    rondo_refuse_full(channel, bytes, seen.head, seen.ring_id) < 0)
		return -ENOBUFS;
	/* A handle of its own: the caller's stays in registers. */
	struct rondo_record slow;
	result = rondo_reserve_call(channel, event_id, bytes, &slow);
	if (rondo_likely(result == 0)) {
		*out = slow;
		/* As after the fast path: known to whoever compiles this. */
		out->channel = channel;
		out->event_id = event_id;
	}
	return result;
#endif
}

RONDO_INLINE int rondo_commit(struct rondo_record *record)
{
	if (rondo_unlikely(rondo_fast_commit(record)))
		return rondo_commit_call(record->channel, record->data,
					 record->head, record->ring_id,
					 record->event_id);
	return 0;
}

RONDO_INLINE int rondo_write(struct rondo_channel *channel, uint16_t event_id,
			     const void *data, uint32_t bytes)
{
	struct rondo_record record;
	int result = rondo_reserve(channel, event_id, bytes, &record);

	if (rondo_unlikely(result))
		return result;
	if (bytes)
		memcpy(record.data, data, bytes);
	return rondo_commit(&record);
}

RONDO_INLINE int rondo_writev(struct rondo_channel *channel, uint16_t event_id,
			      const struct iovec *pieces, int count)
{
	struct rondo_record record;
	uint64_t bytes = 0, large = 0;
	char *to;
	int result, i;

	if (rondo_unlikely(count < 0))
		return -EINVAL;
	/* Pieces of 32 bits each sum up to less than 64. */
	for (i = 0; i < count; i++) {
		bytes += pieces[i].iov_len;
		large |= pieces[i].iov_len;
	}
	if (rondo_unlikely((bytes | large) > UINT32_MAX))
		bytes = UINT32_MAX; /* beyond every record_max */
	result = rondo_reserve(channel, event_id, (uint32_t)bytes, &record);
	if (rondo_unlikely(result))
		return result;
	to = (char *)record.data;
	for (i = 0; i < count; i++) {
		const size_t length = pieces[i].iov_len;

		rondo_copy_piece(to, (const char *)pieces[i].iov_base, length);
		to += length;
	}
	return rondo_commit(&record);
}

RONDO_INLINE struct rondo_mark rondo_mark(const struct rondo_record *record)
{
	struct rondo_mark mark;

	mark.head = record->head;
	mark.before = record->before;
	mark.ring = record->ring_id;
	mark.reserved_ = 0;
	return mark;
}
#endif

#ifdef __cplusplus
}
#endif

#endif
