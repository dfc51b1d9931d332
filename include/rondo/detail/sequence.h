/* SPDX-License-Identifier: MIT */
/*
 * Restartable sequences: a run of instructions that either reaches its last
 * one, a store, without this thread having been preempted, moved or interrupted
 * by a signal, or has not happened. (Linux rseq(2), which glibc 2.35 and later
 * register for each thread.) There are five:
 *
 *   rondo_seq_reserve  check id, head; read clock; record header; head  (inline)
 *   rondo_seq_commit   check id, head; head                             (inline)
 *   rondo_seq_count    check id, head; one more of a tally, and its bytes
 *   rondo_seq_list     check id; list of checks; clock; list of stores; a store
 *   rondo_seq_locked   check id; clock; lock cmpxchg of the word of the first check
 *
 * The first two are the record path, the others everything behind its exits.
 * Each also checks that the kernel knows the thread, which else has no id.
 * For each architecture the assembly stands in sequence_<arch>.h; the same in C
 * stands here, as the specification that a test compares it with.
 */
#ifndef RONDO_DETAIL_SEQUENCE_H
#define RONDO_DETAIL_SEQUENCE_H

#include <rondo/detail/handle.h>
#include <rondo/detail/machine.h>
#include <rondo/detail/position.h>

enum rondo_sequence_result {
	RONDO_SEQ_DONE = 0,
	RONDO_SEQ_CHANGED = 1, /* the head (or the word) is another one */
	RONDO_SEQ_ABORTED = 2, /* preempted, interrupted, or on another CPU */
	RONDO_SEQ_FAR = 3,     /* the time is beyond the limit */
};

/* One thing that must be so: *at == expected. */
struct rondo_check {
	uint64_t *at;
	uint64_t expected;
};

/* One store of a list: *at = value + (time & mask). */
struct rondo_store {
	uint64_t *at;
	uint64_t value;
	uint64_t mask;
};

enum rondo_sequence_clock {
	RONDO_SEQ_CLOCK_GIVEN = 0,  /* time is set by the caller */
	RONDO_SEQ_CLOCK_READ = 1,   /* read inside, into time */
	RONDO_SEQ_CLOCK_FENCED = 2, /* ... and after every load before it */
};

/* In and out of the slow sequences. The assembly knows the offsets. */
struct rondo_sequence {
	uint64_t *commit_at;	      /*  0: where the last store goes */
	uint64_t wanted;	      /*  8: ... and what */
	struct rondo_check *checks;   /* 16: the first is of the head */
	uint64_t check_count;	      /* 24: at least one */
	struct rondo_store *stores;   /* 32 */
	struct rondo_store *end;      /* 40: of the stores */
	uint64_t time;		      /* 48 */
	uint64_t limit;		      /* 56: a later time is far */
	uint32_t clock;		      /* 64: enum rondo_sequence_clock */
	uint32_t id;		      /* 68: CPU or concurrency id expected */
	struct rondo_offsets offsets; /* 72 */
};

RONDO_STATIC_ASSERT(sizeof(struct rondo_tally) == 24, "assembly");
RONDO_STATIC_ASSERT(sizeof(struct rondo_check) == 16, "assembly");
RONDO_STATIC_ASSERT(sizeof(struct rondo_store) == 24, "assembly");
RONDO_STATIC_ASSERT(offsetof(struct rondo_sequence, clock) == 64, "assembly");
RONDO_STATIC_ASSERT(offsetof(struct rondo_sequence, offsets.id) == 76,
		    "assembly");

#if defined(RONDO_NO_RSEQ_ASM)
#define RONDO_HAVE_RSEQ 0
#elif defined(__x86_64__) && !defined(__ILP32__)
#define RONDO_HAVE_RSEQ 1
#include <rondo/detail/sequence_x86_64.h>
#elif defined(__aarch64__)
#define RONDO_HAVE_RSEQ 1
#include <rondo/detail/sequence_aarch64.h>
#else
#define RONDO_HAVE_RSEQ 0
#endif

/* The thread's id, or UINT32_MAX when the kernel does not know the thread: then
 * no sequence of its reaches its end. */
static inline uint32_t rondo_sequence_id(const struct rondo_offsets *at)
{
	if ((int32_t)rondo_thread_id(at->rseq + RONDO_RSEQ_CPU_ID) < 0)
		return UINT32_MAX;
	return (uint32_t)rondo_thread_id(at->id);
}

/* Does what a list says, once time is known. */
static inline void rondo_store_list(const struct rondo_sequence *s)
{
	for (const struct rondo_store *i = s->stores; i != s->end; i++)
		rondo_store_relaxed(i->at, i->value + (s->time & i->mask));
}

/*
 * The specifications. Each access to shared memory is one call of atomics.h, in
 * the order of the assembly: who steps through them sees what others may see.
 * (Of x86-64's; aarch64's stores less on the way: no header before its time is
 * known to be near, and the upper half of it at once.)
 * id is what the thread's id word says; clock points to what its clock says.
 */

static inline bool rondo_spec_checks_hold(const struct rondo_sequence *s)
{
	for (uint64_t i = 0; i < s->check_count; i++)
		if (rondo_load_relaxed(s->checks[i].at) !=
		    s->checks[i].expected)
			return false;
	return true;
}

/* The specification of rondo_seq_list. */
static inline int rondo_spec_list(struct rondo_sequence *s, uint32_t id,
				  const uint64_t *clock)
{
	if (id != s->id)
		return RONDO_SEQ_ABORTED;
	if (!rondo_spec_checks_hold(s))
		return RONDO_SEQ_CHANGED;
	if (s->clock != RONDO_SEQ_CLOCK_GIVEN)
		s->time = rondo_load_relaxed(clock);
	if (s->time > s->limit)
		return RONDO_SEQ_FAR;
	rondo_store_list(s);
	/* pairs(head) release: all that was stored before the head says so. */
	rondo_store_release(s->commit_at, s->wanted);
	return RONDO_SEQ_DONE;
}

/* The specification of rondo_seq_locked. */
static inline int rondo_spec_locked(struct rondo_sequence *s, uint32_t id,
				    const uint64_t *clock)
{
	if (id != s->id)
		return RONDO_SEQ_ABORTED;
	if (s->clock != RONDO_SEQ_CLOCK_GIVEN)
		s->time = rondo_load_relaxed(clock);
	if (s->time > s->limit)
		return RONDO_SEQ_FAR;
	/* pairs(head) acquire and release: as move_by_swap. */
	return rondo_cas(s->commit_at, s->checks[0].expected, s->wanted) ?
		       RONDO_SEQ_DONE :
		       RONDO_SEQ_CHANGED;
}

/* The specification of rondo_seq_count: one more, of so many bytes. */
static inline int rondo_spec_count(struct rondo_ring *ring, uint32_t id,
				   uint32_t expected_id, uint64_t expected,
				   struct rondo_tally *tally, uint64_t bytes)
{
	uint64_t count, sum;

	if (id != expected_id)
		return RONDO_SEQ_ABORTED;
	if (rondo_load_relaxed(&ring->head) != expected)
		return RONDO_SEQ_CHANGED;
	count = rondo_load_relaxed(&tally->count);
	sum = rondo_load_relaxed(&tally->bytes[count & 1]) + bytes;
	rondo_store_relaxed(&tally->bytes[(count + 1) & 1], sum);
	/* pairs(tally) release: the bytes before the count they belong to. */
	rondo_store_release(&tally->count, count + 1);
	return RONDO_SEQ_DONE;
}

/* The specification of rondo_seq_reserve: a compact header, open. */
static inline int rondo_spec_reserve(struct rondo_ring *ring, uint32_t id,
				     const uint64_t *clock,
				     uint32_t expected_id, uint64_t expected,
				     uint64_t wanted, char *header,
				     uint32_t open)
{
	uint32_t *half = (uint32_t *)(void *)header;
	uint64_t now;

	if (id != expected_id)
		return RONDO_SEQ_ABORTED;
	if (rondo_load_relaxed(&ring->head) != expected)
		return RONDO_SEQ_CHANGED;
	now = rondo_load_relaxed(clock);
	rondo_store_relaxed(half, (uint32_t)now);
	if (now >> 32 > rondo_load_relaxed(&ring->limit) >> 32)
		return RONDO_SEQ_FAR;
	rondo_store_relaxed(half + 1, open);
	rondo_store_relaxed((uint8_t *)(half + 1), (uint8_t)(now >> 32));
	/* pairs(head) release: the header before the head that covers it. */
	rondo_store_release(&ring->head, wanted);
	return RONDO_SEQ_DONE;
}

/* The specification of rondo_seq_commit. */
static inline int rondo_spec_commit(struct rondo_ring *ring, uint32_t id,
				    uint32_t expected_id, uint64_t expected,
				    uint64_t wanted)
{
	if (id != expected_id)
		return RONDO_SEQ_ABORTED;
	if (rondo_load_relaxed(&ring->head) != expected)
		return RONDO_SEQ_CHANGED;
	/* pairs(head) release: the record before its share of pending. */
	rondo_store_release(&ring->head, wanted);
	return RONDO_SEQ_DONE;
}

#endif
