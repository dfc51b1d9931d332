/* SPDX-License-Identifier: MIT */
/*
 * What a process keeps of a channel in memory of its own. Inlined code reaches
 * everything through this handle and names no variable of the library. The
 * page it lies in is wiped in a child made by fork, by whatever means, so a
 * child finds every gate shut.
 */
#ifndef RONDO_DETAIL_HANDLE_H
#define RONDO_DETAIL_HANDLE_H

#include <rondo/abi.h>

struct rondo_control;

/* In struct rseq, Linux ABI: the CPU, or negative: the kernel does not know the
 * thread; what the thread is in the middle of; the concurrency id. */
#define RONDO_RSEQ_CPU_ID 4
#define RONDO_RSEQ_CS 8
#define RONDO_RSEQ_MM_CID 24

/* From the thread pointer. */
struct rondo_offsets {
	int32_t rseq; /* struct rseq */
	int32_t id;   /* the word that picks the ring */
};

struct rondo_channel {
	/* Frozen for ever: what code of any layout may look at. */
	uint32_t magic;
	uint32_t layout;
	uint32_t gate[2]; /* ids below it may record; [layout & 1]; 0: stopped */
	/* Of RONDO_LAYOUT from here; one cache line with the above. */
	char *rings;	/* control pages */
	char *pages;	/* page sets */
	uint64_t span;	/* what hint - head must be below; 0: never */
	uint32_t mask;	/* subbuf_bytes - 1 */
	uint32_t order; /* log2 of subbuf_bytes */
	struct rondo_offsets offsets;
	uint32_t record_max;  /* bytes of payload */
	uint32_t class_count; /* registered ids: RONDO_ID_FIRST and on */
	/* The calls only. */
	struct rondo_control *control;
	/* From a control page to its ring's slots; 0: they are elsewhere, or the
	 * ring overwrites, so no refusal is told by one slot. */
	uint32_t slots_offset;
	uint32_t slot_mask; /* subbuf_count - 1 */
};

RONDO_STATIC_ASSERT(offsetof(struct rondo_channel, rings) == 16, "frozen");
RONDO_STATIC_ASSERT(offsetof(struct rondo_channel, control) == 64,
		    "the fast path reads one line");

#define RONDO_GATE (RONDO_LAYOUT & 1u)

#endif
