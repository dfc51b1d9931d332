/* SPDX-License-Identifier: MIT */
/*
 * The perf-style buffers of a process: one, or one for each CPU, and how a
 * thread finds its own.
 */
#ifndef RONDO_BENCH_PERF_RING_RINGS_H
#define RONDO_BENCH_PERF_RING_RINGS_H

#include <sched.h>

#include "buffer.h"

enum perf_variant {
	PERF_PLAIN,  /* one thread, plain.h */
	PERF_LOCKED, /* locked head and counter, locked.h */
	PERF_PACKED, /* locked, both in one word, one_word.h */
	PERF_RSEQ,   /* restartable sequences, one_word.h */
};

struct perf_config {
	uint64_t data_bytes; /* of a ring; a power of two, a page or more */
	uint64_t watermark_bytes; /* [half of that] */
	uint32_t flags;
	uint32_t rings;	 /* [1 for PERF_PLAIN, else one for each CPU] */
	perf_wake *wake; /* called in the context of who records, or NULL */
	void *context;
};

struct perf_rings {
	struct perf_ring *ring; /* [count] */
	uint32_t count;
	uint32_t variant;
	int64_t rseq_offset; /* of struct rseq from the thread pointer */
	int64_t id_offset;   /* of its cpu_id */
	uint64_t lost;	     /* records of threads that no ring is for */
	uint64_t bytes;	     /* mapped */
};

/*
 * Zero, or -EINVAL, -ENOMEM, or -ENOTSUP: no sequences in this build, or not
 * registered in this thread.
 */
int perf_rings_create(enum perf_variant variant,
		      const struct perf_config *config,
		      struct perf_rings **out);
void perf_rings_destroy(struct perf_rings *rings);

/* The CPU that this thread is, or was, on. Beyond all: unknown. */
PERF_INLINE uint64_t perf_rings_cpu(const struct perf_rings *rings)
{
	if (rondo_likely(rings->id_offset))
		return perf_thread_word(rings->id_offset);
	return (uint64_t)sched_getcpu();
}

/* Locked rings are right for everybody: the CPU only says which is near. */
PERF_INLINE struct perf_ring *perf_rings_any(struct perf_rings *rings)
{
	uint64_t cpu = perf_rings_cpu(rings);

	if (rondo_unlikely(cpu >= rings->count))
		cpu %= rings->count;
	return &rings->ring[cpu];
}

#endif
