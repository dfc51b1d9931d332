/* SPDX-License-Identifier: MIT */
/*
 * Bounds: of what a record, a refusal or a crossing does, only what no design
 * that does it by restartable sequences can leave out. See operations.h.
 */
#include "operations.h"

#if RONDO_HAVE_RSEQ

#define SLOTS 8u
#define SETS (SLOTS + 1)
#define PAGE 4096u
#define COUNTED RONDO_REFUSED_FULL

/* A ring of nobody's, in rseq mode; laid out as a channel of these is. */
static struct {
	struct rondo_ring ring;
	uint64_t slots[(PAGE - sizeof(struct rondo_ring)) / 8];
	union {
		struct rondo_packet packet;
		char bytes[PAGE];
	} set[SETS];
} least __attribute__((aligned(PAGE)));

static inline uint32_t thread_id(void)
{
	return (uint32_t)rondo_thread_id(operations.ring->offsets.id);
}

static __attribute__((noinline)) void count_refused(uint64_t bytes)
{
	const struct rondo_offsets *offsets = &operations.ring->offsets;
	struct rondo_ring *ring = &least.ring;

	/* Again when it was interrupted, which is rare. */
	while (rondo_seq_count(ring, offsets, thread_id(), ring->head,
			       &ring->tally[COUNTED], bytes))
		;
}

BENCH_OP void operation_count16(uint64_t a, uint64_t b)
{
	(void)a, (void)b;
	count_refused(16);
}

uint64_t operations_counted(void)
{
	return least.ring.tally[COUNTED].count;
}

/* Where its record would go, which nobody ever makes. */
BENCH_OP void operation_touch16(uint64_t a, uint64_t b)
{
	const struct rondo_channel *channel = operations.touched;
	struct rondo_ring *ring =
		(struct rondo_ring *)(void *)(channel->rings +
					      ((uint64_t)thread_id()
					       << RONDO_RING_SHIFT));
	const uint64_t head = rondo_load_relaxed(&ring->head);
	const uint64_t pages = rondo_load_relaxed(&ring->hint) & RONDO_HEAD_LOW;
	uint64_t *to = (uint64_t *)(void *)(channel->pages +
					    (pages << channel->order) +
					    (rondo_head_position(head) &
					     channel->mask));
	uint64_t *rseq_cs =
		(uint64_t *)(uintptr_t)(rondo_thread_pointer() +
					(uint64_t)(int64_t)
						channel->offsets.rseq +
					RONDO_RSEQ_CS);

	rondo_store_relaxed(rseq_cs, UINT64_C(0));
	to[0] = bench_ticks() << 32;
	bench_fill(to + 1, 2, a, b);
	rondo_store_relaxed(&ring->head, head);
}

/* The stores that say what was left and what is entered. */
static inline void store_crossing(uint64_t number)
{
	struct rondo_packet *left = &least.set[number % SETS].packet;
	struct rondo_packet *entered = &least.set[(number + 1) % SETS].packet;

	rondo_store_relaxed(&left->timestamp_end, number);
	rondo_store_relaxed(&left->content_bits, number);
	rondo_store_relaxed(&entered->timestamp_begin, number);
	rondo_store_relaxed(&entered->number, number);
	rondo_store_relaxed(&entered->previous, number);
	rondo_store_relaxed(&least.slots[number % SLOTS], number);
	rondo_store_relaxed(&least.ring.hint, number);
}

BENCH_OP void operation_least_crossing(uint64_t a, uint64_t b)
{
	const struct rondo_offsets *offsets = &operations.ring->offsets;
	struct rondo_ring *ring = &least.ring;
	char *header = least.set[(a + 1) % SETS].bytes + RONDO_PACKET_BYTES;
	uint64_t *left = &least.slots[a % SLOTS];
	uint64_t *entered = &least.slots[(a + 1) % SLOTS];
	const uint64_t head = ring->head;
	const uint32_t id = thread_id();

	ring->limit = UINT64_MAX;
	rondo_cas(entered, *entered, a);
	store_crossing(a);
	rondo_seq_reserve(ring, offsets, id, head, head + 2, header, 0);
	rondo_cas(left, a, a + 1);
	bench_fill((uint64_t *)(void *)header + 1, 2, a, b);
	rondo_seq_commit(ring, offsets, id, head + 2, head + 1);
}

#else

BENCH_OP void operation_count16(uint64_t a, uint64_t b)
{
	operation_empty(a, b);
}

uint64_t operations_counted(void)
{
	return 0;
}

BENCH_OP void operation_touch16(uint64_t a, uint64_t b)
{
	operation_empty(a, b);
}

BENCH_OP void operation_least_crossing(uint64_t a, uint64_t b)
{
	operation_empty(a, b);
}

#endif
