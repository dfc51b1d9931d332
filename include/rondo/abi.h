/* SPDX-License-Identifier: MIT */
/*
 * The memory of a channel: what lies where, and who writes it. Everything here
 * is shared between processes and compiled into applications, hence frozen for
 * a RONDO_LAYOUT: explicit widths, little endian, offsets and never addresses.
 * docs/layout.md draws it.
 *
 *   offset 0        struct rondo_superblock, one page: geometry, identity, clock
 *   wait_offset     struct rondo_wait, one page: consumer's sleep and identity
 *   catalog_offset  event classes and strings, append-only
 *   rings_offset    ring_count control pages of 4096 bytes: struct rondo_ring
 *   tables_offset   per ring: slots, late counters, page set states
 *                   (inside the control pages where they fit)
 *   pages_offset    per ring: subbuf_count + spare_count page sets
 */
#ifndef RONDO_ABI_H
#define RONDO_ABI_H

#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus)
#define RONDO_STATIC_ASSERT(e, text) static_assert(e, text)
#else
#define RONDO_STATIC_ASSERT(e, text) _Static_assert(e, text)
#endif

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "rondo's shared memory and traces are little endian"
#endif

/* Bumped when anything in this file or in detail/ changes its place. */
#define RONDO_LAYOUT 1u
#define RONDO_MAGIC 0x6f646e6fu /* "ondo" */

/* Own record identifiers; classes of the user begin at RONDO_ID_FIRST. */
#define RONDO_ID_DISCARDED 0u /* u32 length, text: what became of a record */
#define RONDO_ID_GAP 1u	      /* a header and nothing else */
#define RONDO_ID_FIRST 2u
#define RONDO_ID_LIMIT 0xff00u /* an open record's id has 0xff on top */

/*
 * The head: where the next record goes, in one word.
 *
 *   63                      24 23   21 20     12 11      2 1    0
 *   | position, 8-byte units  | slack | pending |   gen   | mode |
 *
 *   position  aligned end of the last record, free running, truncated
 *   slack     bytes that the exact end lies before the aligned end
 *   pending   open records of the sub-buffer the head is in
 *   gen       bumped by each backward move and each revocation
 *   mode      who may move it, and how: enum rondo_head_mode
 */
#define RONDO_POSITION_SHIFT 21u
#define RONDO_POSITION_BITS 43u /* in bytes: slack is the low three */
#define RONDO_SLACK_MASK (UINT64_C(7) << RONDO_POSITION_SHIFT)
#define RONDO_MODE_MASK UINT64_C(3)
#define RONDO_GEN_ONE (UINT64_C(1) << 2)
#define RONDO_GEN_MASK (UINT64_C(0x3ff) << 2)
#define RONDO_PENDING_SHIFT 12u
#define RONDO_PENDING_ONE (UINT64_C(1) << RONDO_PENDING_SHIFT)
#define RONDO_PENDING_MASK (UINT64_C(0x1ff) << RONDO_PENDING_SHIFT)
#define RONDO_PENDING_FULL (UINT64_C(1) << 20) /* its top bit: cross */
#define RONDO_HEAD_LOW ((UINT64_C(1) << RONDO_POSITION_SHIFT) - 1)

enum rondo_head_mode {
	RONDO_HEAD_RSEQ = 0,	 /* plain stores of this CPU's sequences */
	RONDO_HEAD_REVOKING = 1, /* on its way to atomic; nobody moves it */
	RONDO_HEAD_ATOMIC = 2,	 /* locked compare-and-swap, from anywhere */
	RONDO_HEAD_NEVER = 3,	 /* in handles only: equals no head */
};

/*
 * A slot: which page set holds which sub-buffer, and how far it is.
 *
 *   63      48 47   46 45                0
 *   |  pages  | state |      number       |
 */
#define RONDO_NUMBER_BITS 46u
#define RONDO_NUMBER_MASK ((UINT64_C(1) << RONDO_NUMBER_BITS) - 1)
#define RONDO_SLOT_STATE_SHIFT 46u
#define RONDO_SLOT_PAGES_SHIFT 48u

enum rondo_slot_state {
	RONDO_SLOT_EMPTY = 0,	/* taken, or never used: free */
	RONDO_SLOT_CLAIMED = 1, /* ours for a number; head not yet past it */
	RONDO_SLOT_OPEN = 2, /* about to be left, or left with open records */
	RONDO_SLOT_READABLE = 3, /* every record committed: delivered */
};

/* Causes of a refused record. */
enum rondo_cause {
	RONDO_REFUSED_FULL = 0,
	RONDO_REFUSED_STALLED = 1,
	RONDO_REFUSED_BIG = 2,
	RONDO_CAUSES = 3,
};

/* What a ring counts where it must cost nothing: records by cause, then
 * sub-buffers. */
enum rondo_counted {
	RONDO_COUNT_OVERWRITTEN = RONDO_CAUSES, /* bytes: of their records */
	RONDO_COUNT_DELIVERED,			/* bytes: not counted */
	RONDO_COUNTS,
};

/*
 * A count, and bytes[count & 1] in what was counted: the other bytes are written
 * first, then the count moves, so that one store changes both.
 */
struct rondo_tally {
	uint64_t count;
	uint64_t bytes[2];
};

/* One control page. Each group of 128 bytes has one class of writers. */
struct rondo_ring {
	/* 0: the record path. Producers of this CPU, or atomic agents; an older
	 * hint or limit, which only refuses, may come late or from a flusher. */
	uint64_t head __attribute__((aligned(128)));
	uint64_t hint;	/* end of the open sub-buffer | its page set's index */
	uint64_t limit; /* clock: the last time its compact headers can tell */

	/* 128: counted in rseq mode: sequences of this CPU alone. */
	struct rondo_tally tally[RONDO_COUNTS] __attribute__((aligned(128)));

	/* 256: the same, counted otherwise. Anybody, by atomic add. */
	uint64_t aside[RONDO_COUNTS] __attribute__((aligned(128)));
	uint64_t aside_bytes[RONDO_COUNTS];

	/* 384: statistics. Any producer or flusher, by atomic add. */
	uint64_t discarded __attribute__((aligned(128))); /* records */
	uint64_t squashed;				  /* records */
	uint64_t passed_over;  /* slots of stalled writers, each time */
	uint64_t flushes;      /* sub-buffers closed by a flush */
	uint64_t aborts;       /* of slow-path sequences */
	uint64_t late_commits; /* records committed off the head */
	uint64_t revocations;  /* moves of the head out of rseq mode */
	uint64_t asked; /* 1: close, please. Flusher sets, either clears */

	/* 512: the consumer. */
	uint64_t cursor __attribute__((aligned(128))); /* next number */
	uint64_t taken;	      /* sub-buffers, in turn or late */
	uint64_t quarantined; /* sub-buffers taken with records open */
	uint64_t abandoned;   /* records that were open in those */
	uint64_t shipped; /* packet_seq_num of the next in the main stream */
	uint64_t shipped_late; /* the same, stream of those out of turn */

	/* 640: written at creation, read only. */
	uint32_t index __attribute__((aligned(128)));
	uint32_t atomic_only; /* 1: never in rseq mode */
	uint32_t cpu;	      /* UINT32_MAX where a ring is no CPU's */
	uint32_t reserved_;
	char reserved_end_[368];
	/* 1024: tables, where they fit. */
};

#define RONDO_RING_SHIFT 12u
RONDO_STATIC_ASSERT(offsetof(struct rondo_ring, head) == 0, "frozen");
RONDO_STATIC_ASSERT(offsetof(struct rondo_ring, tally) == 128, "frozen");
RONDO_STATIC_ASSERT(offsetof(struct rondo_ring, aside) == 256, "frozen");
RONDO_STATIC_ASSERT(offsetof(struct rondo_ring, discarded) == 384, "frozen");
RONDO_STATIC_ASSERT(offsetof(struct rondo_ring, cursor) == 512, "frozen");
RONDO_STATIC_ASSERT(offsetof(struct rondo_ring, index) == 640, "frozen");
RONDO_STATIC_ASSERT(sizeof(struct rondo_ring) == 1024, "frozen");

/* What a page set is used for. Consumer-written, one word for each. */
enum rondo_pages_state {
	RONDO_PAGES_IN_SLOT = 0, /* whatever the slots say has precedence */
	RONDO_PAGES_SPARE = 1,
	RONDO_PAGES_ON_LOAN = 2,
	RONDO_PAGES_QUARANTINED = 3, /* in its slot, but read by copy */
};

/*
 * The head of a sub-buffer is a CTF packet header and context, 128 bytes.
 * opener: the crossing that moved the head here. closer: the crossing or flush
 * that moved it away. They write disjoint fields.
 */
struct rondo_packet {
	uint32_t magic;			/* opener: 0xC1FC1FC1 */
	uint8_t uuid[16];		/* opener */
	uint32_t stream_id;		/* opener: 0, the channel */
	uint64_t stream_instance_id;	/* opener: the ring */
	uint64_t timestamp_begin;	/* opener, ticks */
	uint64_t timestamp_end;		/* closer, ticks */
	uint64_t content_bits;		/* closer, exact */
	uint64_t packet_bits;		/* closer, whole pages */
	uint64_t packet_seq_num;	/* consumer, at take */
	uint64_t events_discarded;	/* closer: sum of refused */
	uint32_t cpu_id;		/* opener */
	uint32_t flags;			/* consumer: RONDO_VIEW_* */
	uint64_t number;		/* opener: sub-buffer number */
	uint64_t previous;		/* opener: number that the head left */
	uint64_t refused[RONDO_CAUSES]; /* closer: records, cumulative */
};
RONDO_STATIC_ASSERT(sizeof(struct rondo_packet) == 128, "frozen");
RONDO_STATIC_ASSERT(offsetof(struct rondo_packet, timestamp_end) == 40,
		    "CTF packet");
RONDO_STATIC_ASSERT(offsetof(struct rondo_packet, cpu_id) == 80, "CTF packet");

#define RONDO_PACKET_MAGIC 0xC1FC1FC1u
#define RONDO_PACKET_BYTES 128u

/*
 * Record headers. Compact, one word, records start at multiples of 8:
 *   63    48 47     40 39                  0
 *   |  id   | len / 8 |     time, ticks     |
 * Full, two words, records start at multiples of 16:
 *   63             32 31     16 15      0
 *   |  length, bytes  |  state  |   id   |     then 64 bits of time
 * An open record has 0xff in the high byte of its id (compact) or 1 as its
 * state (full).
 */
#define RONDO_COMPACT_MAX 2032u /* bytes of payload */
#define RONDO_COMPACT_TIME_MASK ((UINT64_C(1) << 40) - 1)
#define RONDO_STATE_COMMITTED 0u
#define RONDO_STATE_OPEN 1u

/* Offset 0 of the memory. Written at creation, but for its last group. */
struct rondo_superblock {
	char magic[8]; /* "rondo\0\0\0" */
	uint32_t layout;
	uint32_t header_bytes; /* sizeof(struct rondo_superblock) */
	uint64_t total_bytes;
	uint64_t subbuf_bytes;
	uint32_t subbuf_count;
	uint32_t spare_count;
	uint32_t ring_count; /* the extra one included, which is the last */
	uint32_t record_max;
	uint32_t record_header_bytes; /* 8 compact, 16 full */
	uint32_t flags;		      /* of the config */
	uint32_t rings;		      /* RONDO_RINGS_* in force */
	uint32_t clock;		      /* RONDO_CLOCK_* in force */
	uint64_t wait_offset;
	uint64_t catalog_offset;
	uint64_t catalog_bytes;
	uint64_t rings_offset;
	uint64_t tables_offset; /* of ring 0 */
	uint64_t tables_stride;
	uint64_t slots_offset; /* these three within a ring's tables */
	uint64_t late_offset;
	uint64_t states_offset;
	uint64_t pages_offset;
	uint64_t pages_stride; /* of a ring */
	uint32_t wake_subbufs;
	uint32_t stall_ms;
	uint32_t flush_ms;
	uint32_t reason; /* enum rondo_mode_reason, at creation */
	uint8_t uuid[16];
	uint8_t boot_id[16];
	uint32_t pid;
	uint32_t pid_reserved_;
	uint64_t pid_start; /* clock ticks since boot, /proc/PID/stat field 22 */
	uint64_t clock_frequency;  /* Hz, the best known at creation */
	uint64_t clock_base_ticks; /* a pair read together at creation: */
	uint64_t clock_base_ns;	   /* ... CLOCK_REALTIME, ns since 1970 */
	char name[64];
	char process[64];
	char host[64];
	/* Registration writes these two, under the channel's lock. */
	uint64_t catalog_used __attribute__((aligned(128))); /* bytes */
	uint64_t class_count; /* own classes not counted */
};
RONDO_STATIC_ASSERT(sizeof(struct rondo_superblock) <= 1024, "one page");

/* The consumer's sleep, and who it is. */
struct rondo_wait {
	/* Consumer sets it before it sleeps, who delivers clears it. */
	uint32_t sleeping __attribute__((aligned(128))); /* RONDO_SLEEP_* */
	uint32_t generation; /* futex word: moved at each wake */
	/* The consumer alone. */
	uint64_t consumer __attribute__((aligned(128))); /* pid << 32 | start */
	uint64_t released; /* loans given back, all rings */
};

#define RONDO_SLEEP_FUTEX 1u
#define RONDO_SLEEP_POLL 2u

#endif
