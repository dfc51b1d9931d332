/* SPDX-License-Identifier: MIT */
/*
 * Consuming: sub-buffers are taken by exchange, read where they are (or
 * spliced, or written), and released. One consumer for a channel.
 */
#ifndef RONDO_CONSUMER_H
#define RONDO_CONSUMER_H

#include <rondo/channel.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rondo_consumer;

/* rondo_view.flags, and the packet's _flags */
#define RONDO_VIEW_LATE 0x1u	   /* out of turn: belongs to the late stream */
#define RONDO_VIEW_STALLED 0x2u	   /* quarantined: open records became gaps */
#define RONDO_VIEW_PEEKED 0x4u	   /* a copy of an open sub-buffer */
#define RONDO_VIEW_DAMAGED 0x8u	   /* its header made no sense; repaired */
#define RONDO_VIEW_SNAPSHOT 0x10u  /* in packets: of rondo_snapshot */
#define RONDO_VIEW_RECOVERED 0x20u /* in packets: of rondo_recover */

/* A sub-buffer on loan: one CTF packet. */
struct rondo_view {
	const char *data;	     /* the packet, header first */
	uint64_t bytes;		     /* of data: whole pages; what to ship */
	uint64_t content;	     /* of data: bytes that mean something */
	uint32_t ring;		     /* index */
	uint32_t cpu;		     /* UINT32_MAX where the ring is no CPU's */
	uint64_t seq;		     /* packet_seq_num within its stream */
	uint64_t number;	     /* of the sub-buffer */
	uint64_t time_begin;	     /* ticks */
	uint64_t time_end;	     /* ticks */
	uint64_t lost[RONDO_CAUSES]; /* refused in its ring, cumulative */
	uint64_t overwritten;	     /* sub-buffers lost just before this one */
	uint64_t offset;	/* of data in the memfd; UINT64_MAX: a copy */
	uint32_t flags;		/* RONDO_VIEW_* */
	uint32_t pages;		/* the page set */
	uint64_t header_bytes_; /* what follows is rondo_view_next's */
	uint64_t damaged;	/* bytes between records that made no sense */
	uint64_t reserved_[7];
};

/* A record in a view. Zero it before the first rondo_view_next. */
struct rondo_item {
	uint64_t next_;	  /* offset of the next; 0: at the start */
	uint64_t time;	  /* ticks of the channel's clock */
	const void *data; /* payload */
	uint32_t bytes;	  /* with compact headers a multiple of 8 */
	uint16_t id;	  /* class */
	uint16_t reserved16_;
	uint64_t skipped; /* gaps and damaged bytes stepped over so far */
	uint64_t reserved_[3];
};

/*
 * Opens the one consumer of a channel. A consumer that died is replaced: its
 * loans are found in the channel's memory and become spares.
 *
 * out: owned by the caller, for rondo_consumer_close.
 * Results: 0; -EBUSY the channel has a live consumer; -ENOMEM; -EPROTO its
 *   memory is damaged; -ESHUTDOWN a child of fork.
 * Context: thread. Progress: blocking. Cost: microseconds. Ordering: none.
 */
RONDO_API int rondo_consumer_open(struct rondo_channel *channel,
				  struct rondo_consumer **out);

/*
 * Gives back what is on loan and closes. NULL is fine.
 *
 * Results: 0.
 * Context: owner. Progress: blocking. Cost: microseconds. Ordering: as
 *   rondo_consumer_release, for each loan.
 */
RONDO_API int rondo_consumer_close(struct rondo_consumer *consumer);

/*
 * Sleeps until wake_subbufs sub-buffers are ready (or one, after flush_ms), the
 * timeout has passed, or a signal came. With flush_ms it closes idle
 * sub-buffers meanwhile.
 *
 * timeout_ns: 0 looks and returns; negative: for ever. Once it has passed, less
 *   than wake_subbufs is enough.
 * Results: 1 something is ready (or nothing ever will be: take says -ENODATA);
 *   0 not (timeout); -EINTR.
 * Context: owner. Progress: blocking. Cost: a futex wait. Ordering: a delivery
 *   before the call is seen.
 */
RONDO_API int rondo_consumer_wait(struct rondo_consumer *consumer,
				  int64_t timeout_ns);

/*
 * An eventfd for poll and its kin, the consumer's. It becomes readable once
 * rondo_consumer_arm was called and wake_subbufs sub-buffers are ready. It does
 * not tell that a stall or flush_ms has passed: poll with a timeout as short as
 * these, then rondo_consumer_wait(consumer, 0), which sees to them.
 *
 * Results: the descriptor, the channel's; -EMFILE, -ENFILE, -ENOMEM, -ENODEV;
 *   -EOPNOTSUPP an attached channel: its producers cannot reach it.
 * Context: owner. Progress: blocking. Cost: the first time eventfd(2).
 * Ordering: none.
 */
RONDO_API int rondo_consumer_fd(struct rondo_consumer *consumer);

/*
 * Drains the descriptor and asks for the next wakeup. When something is ready
 * already the descriptor is readable at once.
 *
 * Results: 0, or what rondo_consumer_fd returns.
 * Context: owner. Progress: wait-free. Cost: a fence and a read(2).
 * Ordering: full; pairs with the delivery.
 */
RONDO_API int rondo_consumer_arm(struct rondo_consumer *consumer);

/*
 * Takes the next sub-buffer: of each ring in number order, of the rings in
 * turn. Behind a stalled one the ring's others wait up to stall_ms; then it is
 * taken as it is, by copy, its open records as gaps (RONDO_VIEW_STALLED); what
 * is committed in it later is not seen. One such copy of a ring at a time.
 *
 * out: the loan, for rondo_consumer_release. Up to spare_count at once.
 * Results: 0; -EAGAIN nothing ready; -ENODATA nothing ready and never will be:
 *   the channel is stopped (or its process gone) and all is taken; -ENOSPC
 *   every spare is on loan: release one; -ENOMEM for the copy of a stalled one.
 * Context: owner. Progress: lock-free. Cost: about 100 ns. Ordering: all that
 *   was recorded in it is visible.
 */
RONDO_API int rondo_consumer_take(struct rondo_consumer *consumer,
				  struct rondo_view *out);

/*
 * Gives the loan back: its pages become a spare.
 *
 * Results: 0; -EINVAL not on loan.
 * Context: owner. Progress: wait-free. Cost: a store. Ordering: the reader's
 *   loads come before the producers' next stores.
 */
RONDO_API int rondo_consumer_release(struct rondo_consumer *consumer,
				     struct rondo_view *view);

/*
 * Copies what is committed in the open sub-buffer of a ring, as a packet:
 * nothing is taken, nothing is disturbed.
 *
 * buffer, bytes: where to, at least subbuf_bytes, aligned to 8.
 * out: a view of the copy; it needs no release.
 * Results: 0; -EAGAIN nothing is open; -ENOENT no such ring; -EINVAL a small or
 *   unaligned buffer.
 * Context: owner. Progress: lock-free, bounded tries (-EAGAIN). Cost: a copy.
 * Ordering: all that was recorded in what it shows is visible.
 */
RONDO_API int rondo_consumer_peek(struct rondo_consumer *consumer,
				  uint32_t ring, void *buffer, uint64_t bytes,
				  struct rondo_view *out);

/*
 * The view's packet to a pipe, by splice, or to a file, by a pipe of the
 * consumer's: no copy through user space. To a pipe the pages are on loan until
 * the reader has drained it: release no earlier.
 *
 * Results: bytes; or what splice(2) and pipe(2) return: then none, or a part,
 *   was written; -EPIPE nobody reads the pipe, -EFBIG a file size limit, both
 *   without their signals; -EINVAL a view that is a copy.
 * Context: owner. Progress: blocking. Cost: the kernel's. Ordering: none.
 */
RONDO_API int64_t rondo_consumer_splice(struct rondo_consumer *consumer,
					const struct rondo_view *view, int fd);

/*
 * Walks the committed records of a view. Trusts nothing in it: a damaged length
 * or number ends the walk or is stepped over, and never reads outside.
 *
 * item: zeroed before the first call. Its skipped counts bytes.
 * Results: 1 a record; 0 the end; -EPROTO the rest is damaged.
 * Context: owner. Progress: bounded. Cost: some ns. Ordering: none.
 */
RONDO_API int rondo_view_next(const struct rondo_view *view,
			      struct rondo_item *item);

#ifdef __cplusplus
}
#endif

#endif
