/* SPDX-License-Identifier: MIT */
/*
 * DPDK's rte_ring with several producers; records are copied into it. All of
 * it is inlined from its headers, in memory of our own: rte_ring_init would
 * bring the library and its huge pages along. See queue.h.
 */
#include "queue.h"

#include <rte_ring.h>
#include <stdlib.h>
#include <string.h>

static struct rte_ring *ring;

/* As rte_ring_init does with flags RING_F_SC_DEQ. */
static int create(void)
{
	const size_t bytes =
		sizeof(*ring) + QUEUE_CAPACITY * sizeof(struct queue_record);

	ring = aligned_alloc(RTE_CACHE_LINE_SIZE, bytes);
	if (!ring)
		return bench_fail("out of memory");
	memset(ring, 0, bytes);
	ring->flags = RING_F_SC_DEQ;
	ring->prod.sync_type = RTE_RING_SYNC_MT;
	ring->cons.sync_type = RTE_RING_SYNC_ST;
	ring->size = QUEUE_CAPACITY;
	ring->mask = QUEUE_CAPACITY - 1;
	ring->capacity = QUEUE_CAPACITY - 1;
	return 0;
}

static uint64_t record(unsigned producer, uint64_t a)
{
	uint64_t refused = 0;

	(void)producer;
	for (uint64_t i = 0; i < QUEUE_CHUNK; i++) {
		struct queue_record one = queue_make(a + i);

		refused += rte_ring_mp_enqueue_elem(ring, &one, sizeof(one)) !=
			   0;
	}
	return refused;
}

static void drain(struct queue_found *found)
{
	struct queue_record one;

	while (rte_ring_sc_dequeue_elem(ring, &one, sizeof(one)) == 0)
		queue_look(&one, found);
}

static void destroy(void)
{
	free(ring);
}

const struct queue queue_rte = {
	.create = create,
	.record = record,
	.drain = drain,
	.destroy = destroy,
};
