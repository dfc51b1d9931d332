/* SPDX-License-Identifier: MIT */
/*
 * Channels: configuration, life, event classes, statistics, ports.
 *
 * Every function that can fail returns 0 or a count on success and a negative
 * errno on failure; errno itself is neither set nor disturbed. Outputs come
 * last, are called out, and are untouched on failure. The library never prints,
 * aborts or exits.
 */
#ifndef RONDO_CHANNEL_H
#define RONDO_CHANNEL_H

#include <stdint.h>

#include <rondo/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RONDO_API __attribute__((visibility("default")))

struct rondo_channel;

/* rondo_config.flags */
#define RONDO_OVERWRITE 0x1u /* full: the oldest goes; else the newest */
#define RONDO_PREFAULT 0x2u  /* every page resident before create returns, */
#define RONDO_MLOCK 0x4u     /* ... and locked, */
#define RONDO_HUGE 0x8u	     /* huge pages: best effort, see stats.granted */
#define RONDO_NO_RSEQ 0x10u  /* atomic mode from the start */

/* rondo_config.rings */
#define RONDO_RINGS_BY_CPU 0u
#define RONDO_RINGS_BY_CONCURRENCY 1u /* Linux 6.3; else by CPU */

/* rondo_config.clock */
#define RONDO_CLOCK_FASTEST 0u /* TSC where invariant, else monotonic */
#define RONDO_CLOCK_MONOTONIC 1u
#define RONDO_CLOCK_REALTIME 2u
#define RONDO_CLOCK_NONE 3u /* every time is 0 */

/* Zero means default; a NULL config means all defaults. */
struct rondo_config {
	uint32_t size;	       /* sizeof(struct rondo_config) */
	uint32_t flags;	       /* RONDO_OVERWRITE and so on, or-ed */
	uint64_t subbuf_bytes; /* [256 KiB] power of two, 4 KiB to 1 GiB */
	uint32_t subbuf_count; /* [8] power of two, 4 or more */
	uint32_t spare_count;  /* [1] sub-buffers on loan at once */
	uint32_t record_max;   /* [2032] largest payload, bytes */
	uint32_t rings;	       /* RONDO_RINGS_BY_CPU or _BY_CONCURRENCY */
	uint32_t clock;	       /* RONDO_CLOCK_* */
	uint32_t flush_ms;     /* [0: never] a waiting consumer flushes */
	uint32_t wake_subbufs; /* [1] ready ones that wake a consumer */
	uint32_t stall_ms;     /* [100] wait behind a stalled sub-buffer */
	const char *name;      /* ["rondo"] up to 63 bytes */
	const char *path;      /* [NULL: memfd] a new file to map instead */
};

/* rondo_field.type */
#define RONDO_FIELD_U8 1u
#define RONDO_FIELD_U16 2u
#define RONDO_FIELD_U32 3u
#define RONDO_FIELD_U64 4u
#define RONDO_FIELD_I8 5u
#define RONDO_FIELD_I16 6u
#define RONDO_FIELD_I32 7u
#define RONDO_FIELD_I64 8u
#define RONDO_FIELD_F32 9u
#define RONDO_FIELD_F64 10u
#define RONDO_FIELD_PTR 11u	 /* 64 bits, shown in hexadecimal */
#define RONDO_FIELD_STRING 12u	 /* inline, ends in NUL; the last ones only */
#define RONDO_FIELD_BYTES 13u	 /* count bytes */
#define RONDO_FIELD_ENUM 14u	 /* u32 with labels */
#define RONDO_FIELD_SEQUENCE 15u /* bytes; length_field tells how many */

struct rondo_label {
	const char *name;
	int64_t value;
};

/* A member of the C struct that a record's payload is. */
struct rondo_field {
	const char *name;
	uint32_t type;	 /* RONDO_FIELD_* */
	uint32_t offset; /* in the payload; fields in ascending order */
	uint32_t count;	 /* [0 and 1: no array] elements; BYTES: bytes */
	const char *length_field; /* SEQUENCE: an unsigned field before it */
	const struct rondo_label *labels; /* ENUM */
	uint32_t label_count;
	uint32_t reserved_;
};

struct rondo_event_class {
	uint32_t size;	   /* sizeof(struct rondo_event_class) */
	uint32_t loglevel; /* as in CTF and syslog; 0 emergency .. 14 debug */
	const char *name;  /* "provider:event" */
	const struct rondo_field *fields;
	uint32_t field_count;
	uint32_t field_size; /* sizeof(struct rondo_field) */
};

/* Why a channel or ring records with atomics. */
enum rondo_mode_reason {
	RONDO_MODE_RSEQ = 0,	      /* it does not: sequences are in force */
	RONDO_MODE_ASKED = 1,	      /* RONDO_NO_RSEQ */
	RONDO_MODE_ENVIRONMENT = 2,   /* RONDO_RSEQ=0 */
	RONDO_MODE_NOT_BUILT = 3,     /* no sequences for this build */
	RONDO_MODE_UNREGISTERED = 4,  /* no rseq in this thread or kernel */
	RONDO_MODE_NO_MEMBARRIER = 5, /* its fence is refused */
	RONDO_MODE_SELF_TEST = 6,     /* a preempted section did not abort */
	RONDO_MODE_EXTRA_RING = 7,    /* the ring for ids without one */
	RONDO_MODE_REVOKED = 8,	      /* a flush or aborts; until a crossing */
};

/* rondo_stats.granted */
#define RONDO_GRANTED_PREFAULT RONDO_PREFAULT
#define RONDO_GRANTED_MLOCK RONDO_MLOCK
#define RONDO_GRANTED_HUGE RONDO_HUGE

/* Counters only grow. Exact when nobody records; else each is a moment old. */
struct rondo_stats {
	uint32_t rings;	  /* rings of the channel; of one ring: 1 */
	uint32_t granted; /* RONDO_GRANTED_* of what was asked */
	uint32_t mode;	 /* enum rondo_head_mode; of the channel: at creation */
	uint32_t reason; /* enum rondo_mode_reason */
	uint64_t refused_records[RONDO_CAUSES];
	uint64_t refused_bytes[RONDO_CAUSES]; /* payload as asked for */
	uint64_t discarded;		      /* records */
	uint64_t squashed;		      /* records */
	uint64_t overwritten;		      /* sub-buffers */
	uint64_t overwritten_bytes; /* of their records with headers */
	uint64_t delivered;	    /* sub-buffers */
	uint64_t passed_over;	    /* slots of stalled writers */
	uint64_t flushes;	    /* sub-buffers that a flush closed */
	uint64_t aborts;	    /* of slow-path sequences */
	uint64_t late_commits;	    /* records committed off the head */
	uint64_t revocations;
	uint64_t taken;	      /* sub-buffers */
	uint64_t quarantined; /* sub-buffers taken with records open */
	uint64_t abandoned;   /* records that were open in those */
	uint64_t open_bytes;  /* records in the open sub-buffer, headers too */
	uint64_t reserved_[8];
};

/*
 * Checks a configuration without creating anything.
 *
 * config: as for rondo_channel_create; NULL is fine.
 * out_why: when not NULL, receives a constant sentence that names the field, or
 *   "" when all is well.
 * Results: 0; -EINVAL a field is out of its range; -E2BIG a larger struct with
 *   unknown bytes that are not zero; -EOVERFLOW the product is too large;
 *   -ENAMETOOLONG name or path.
 * Context: thread (reads the CPU ids from sysfs). Progress: blocking.
 * Cost: a file read. Ordering: none.
 */
RONDO_API int rondo_config_check(const struct rondo_config *config,
				 const char **out_why);

/*
 * What a channel of this configuration costs on this machine, in bytes of
 * memory once every page has been touched.
 *
 * Results: bytes (over 0), or what rondo_config_check returns.
 * Context: thread (reads the CPU ids from sysfs). Progress: blocking.
 * Cost: a file read. Ordering: none.
 */
RONDO_API int64_t rondo_config_bytes(const struct rondo_config *config);

/*
 * Creates a channel: its memory, its rings, its handle, in running state.
 *
 * out: the channel; the caller owns it and gives it to rondo_channel_destroy.
 * Prefaulting, memory locking, huge pages and rseq are best effort: without
 * what is refused the channel works all the same, and rondo_channel_stats says
 * what was granted. With a path the file must not exist; it is created
 * with mode 0600, survives the process, and is removed when creation fails.
 * Results: 0; what rondo_config_check returns; -EEXIST path; -ENOSPC file
 *   system full; -EFBIG a file size limit; -ENOMEM, -EMFILE, -ENFILE, and what
 *   open(2), ftruncate(2), fallocate(2), mmap(2) and madvise(2) return.
 * Context: thread. Progress: blocking. Cost: milliseconds (the first of a
 *   process tests rseq). Ordering: a thread that got the handle may record.
 */
RONDO_API int rondo_channel_create(const struct rondo_config *config,
				   struct rondo_channel **out);

/*
 * Maps a channel that another process (or this one) created, to consume from
 * it. Producers of other processes cannot be told apart by rseq, so reserve
 * through an attached channel is refused with -ESHUTDOWN.
 *
 * fd: the channel's descriptor; it is duplicated, the caller keeps its own.
 * Results: 0; -EPROTO not a rondo channel, damaged, or of another layout;
 *   -EBADF; -ENOMEM; -EACCES; what fcntl(2), fstat(2), read(2) and mmap(2)
 *   return.
 * Context: thread. Progress: blocking. Cost: an mmap. Ordering: none.
 */
RONDO_API int rondo_channel_attach(int fd, struct rondo_channel **out);

/*
 * The same by the path of a file-backed channel.
 *
 * Results: as rondo_channel_attach, and what open(2) returns.
 * Context: thread. Progress: blocking. Cost: an mmap. Ordering: none.
 */
RONDO_API int rondo_channel_attach_path(const char *path,
					struct rondo_channel **out);

/*
 * Stops the channel, waits for nobody and gives its memory back. No thread may
 * be recording: see rondo_port_publish for a way to know. Open consumers and
 * writers are closed before. NULL is fine.
 *
 * Results: 0; -EBUSY a consumer is open: nothing was done; -EINVAL no channel
 *   of this process, or no longer. A child of fork may destroy what it
 *   inherits, consumers or not; its parent notices nothing.
 * Context: thread. Progress: blocking. Cost: an munmap. Ordering: none.
 */
RONDO_API int rondo_channel_destroy(struct rondo_channel *channel);

/*
 * The descriptor of the channel's memory, for splice, for another process.
 * It stays the channel's.
 *
 * Results: the descriptor; -EINVAL no channel of this process.
 * Context: any. Progress: wait-free. Cost: a load. Ordering: none.
 */
RONDO_API int rondo_channel_fd(const struct rondo_channel *channel);

/*
 * The configuration in force, every default filled in. Strings in it live as
 * long as the channel.
 *
 * Results: 0; -EINVAL a size that no version had, no channel of this process.
 * Context: any. Progress: wait-free. Cost: a copy. Ordering: none.
 */
RONDO_API int rondo_channel_config(const struct rondo_channel *channel,
				   struct rondo_config *out);

/*
 * Sums of all rings, and what the channel was granted.
 *
 * Results: 0; -EINVAL no channel of this process.
 * Context: any. Progress: wait-free. Cost: some loads per ring. Ordering: none.
 */
RONDO_API int rondo_channel_stats(const struct rondo_channel *channel,
				  struct rondo_stats *out);

/*
 * The same of one ring. The last ring is the extra one, for threads whose id
 * is missing or beyond the others.
 *
 * Results: 0; -ENOENT no such ring.
 * Context: any. Progress: wait-free. Cost: some loads. Ordering: none.
 */
RONDO_API int rondo_ring_stats(const struct rondo_channel *channel,
			       uint32_t ring, struct rondo_stats *out);

/*
 * Opens or shuts the gate. A record reserved before stop may still be
 * committed; reserve after it is refused with -ESHUTDOWN and not counted.
 *
 * Results: 0; -ESHUTDOWN start in a process that cannot record here (a fork's
 *   child, or an attached channel).
 * Context: any. Progress: wait-free. Cost: a store. Ordering: none: a thread
 *   that reserves at the same time may still succeed.
 */
RONDO_API int rondo_channel_start(struct rondo_channel *channel);
RONDO_API int rondo_channel_stop(struct rondo_channel *channel);

/*
 * Closes the open sub-buffer of every ring that has records in it, while
 * producers run. Those with open records are delivered when these commit.
 *
 * An attached channel is flushed from the CPU of each ring, to which the
 * calling thread moves for the moment; rings by concurrency id cannot be.
 *
 * Results: how many it closed; when none: -EPERM and what else membarrier(2)
 *   returns where it was forbidden since creation; attached: -EAGAIN a ring
 *   did not hold still, -EINVAL a CPU where this thread may not go,
 *   -EOPNOTSUPP; -EPROTO the memory is damaged.
 * Context: thread. Progress: blocking (one flusher at a time; producers never
 *   wait for it). Cost: about 1 us for the rings of an idle process, some
 *   hundred ns for one of another CPU that is being written to, which is asked
 *   to close itself; a fence of its CPU (membarrier) where nobody answers.
 * Ordering: what was committed before the call is in closed sub-buffers when it
 *   returns. They are delivered, but for those with open records, and for one
 *   whose closer, a producer, was stopped just before it delivers.
 */
RONDO_API int rondo_channel_flush(struct rondo_channel *channel);

/*
 * Gives an event class its id. The same class again (same name, level and
 * fields) gives the same id. Nothing of the class is kept: it is copied into
 * the channel's memory, for whoever reads that alone.
 *
 * event_class: its name is printable ASCII without quote or backslash, up to
 *   255 bytes; field names are C identifiers, each once, 512 fields at most.
 *   They lie as in the C struct: ascending, each at a multiple of its size,
 *   within record_max.
 *   STRING and SEQUENCE come last, one behind the other: the first at its
 *   offset (0: right behind the fixed fields), the offsets of the others are
 *   ignored. Labels have values of 32 bits, unsigned.
 * Results: 0; -EINVAL a name, type, offset, count, label or length_field is
 *   wrong; -EEXIST the name is taken by a class with other fields; -ENOSPC no
 *   room for more classes; -E2BIG class or fields from a newer header; -EACCES
 *   an attached channel: its creator registers; -ESHUTDOWN a child of fork;
 *   -EPROTO the channel's memory is damaged; -ENOMEM.
 * Context: thread. Progress: blocking. Cost: microseconds. Ordering: a thread
 *   that got the id may record with it.
 */
RONDO_API int rondo_event_register(struct rondo_channel *channel,
				   const struct rondo_event_class *event_class,
				   uint16_t *out);

/*
 * A port is where producers find a channel that may be swapped or taken away
 * while they run (RCU, liburcu). Zero-initialized is empty.
 */
struct rondo_port {
	struct rondo_channel *channel;
	void *reserved_[3];
};

/*
 * The channel behind the port, or NULL. In force until rondo_port_leave, which
 * must be called either way. Calls nest.
 *
 * Results: the channel, or NULL.
 * Context: any (a thread's first call registers it with RCU: a mutex and an
 *   mmap, signals blocked meanwhile). Progress: wait-free after that.
 * Cost: some ns. Ordering: what was done before publish is seen.
 */
RONDO_API struct rondo_channel *rondo_port_enter(struct rondo_port *port);
RONDO_API void rondo_port_leave(struct rondo_port *port);

/*
 * Puts a channel (or NULL) behind the port and waits until nobody uses the one
 * before: the caller may then destroy it.
 *
 * A child of fork may publish while it has one thread. For later, its program
 * gives liburcu's urcu_bp_before_fork and its like to pthread_atfork: liburcu
 * would otherwise wait for readers that were threads of the parent.
 *
 * Results: the channel that was there.
 * Context: thread, and not between enter and leave. Progress: blocking.
 * Cost: a grace period. Ordering: a full fence.
 */
RONDO_API struct rondo_channel *
rondo_port_publish(struct rondo_port *port, struct rondo_channel *channel);

#ifdef __cplusplus
}
#endif

#endif
