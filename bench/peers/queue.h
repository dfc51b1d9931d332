/* SPDX-License-Identifier: MIT */
/*
 * Queues that several producers share, as peers: a record is the clock and two
 * words, as a trace's is. Producers enqueue a burst, then one thread dequeues
 * and looks at all of it, outside of what is measured.
 */
#ifndef RONDO_BENCH_PEERS_QUEUE_H
#define RONDO_BENCH_PEERS_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "../setup.h"

#define QUEUE_PRODUCERS 2
#define QUEUE_CHUNK 1024u /* records between two looks at the clock */
#define QUEUE_CHUNKS 16u  /* in a burst of a producer */
#define QUEUE_BURST ((uint64_t)QUEUE_CHUNK * QUEUE_CHUNKS)
#define QUEUE_CAPACITY (2 * QUEUE_PRODUCERS * QUEUE_BURST)

struct queue_record {
	uint64_t time;
	uint64_t a, b;
};

/* What came out of it. */
struct queue_found {
	uint64_t records;
	uint64_t wrong;
	uint64_t next[QUEUE_PRODUCERS]; /* expected of each producer */
};

struct queue {
	const char *missing; /* why it is not in this build, or NULL */
	/* Made at the first of these, empty. 0, or an exit status. */
	int (*create)(void);
	/* Enqueues QUEUE_CHUNK records from a on. How many it did not take. */
	uint64_t (*record)(unsigned producer, uint64_t a);
	/* Dequeues all. */
	void (*drain)(struct queue_found *found);
	void (*destroy)(void);
};

extern const struct queue queue_urcu, queue_ck, queue_rte, queue_floor;

/* Producers' numbers do not meet. */
#define QUEUE_PRODUCER_SHIFT 48

BENCH_INLINE struct queue_record queue_make(uint64_t a)
{
	return (struct queue_record){bench_ticks(), a, a ^ BENCH_MIX};
}

BENCH_INLINE void queue_look(const struct queue_record *record,
			     struct queue_found *found)
{
	const uint64_t producer = record->a >> QUEUE_PRODUCER_SHIFT;

	found->records++;
	if (producer >= QUEUE_PRODUCERS ||
	    record->b != (record->a ^ BENCH_MIX) || !record->time ||
	    record->a != found->next[producer])
		found->wrong++;
	else
		found->next[producer]++;
}

#endif
