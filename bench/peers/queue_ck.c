/* SPDX-License-Identifier: MIT */
/*
 * Concurrency Kit's ck_ring with several producers and one consumer; records
 * are copied into it. See queue.h.
 */
#include "queue.h"

#include <ck_ring.h>
#include <stdlib.h>

static struct ck_ring ring;
static struct queue_record *slots;

/* clang-format off */
CK_RING_PROTOTYPE(record, queue_record)
/* clang-format on */

static int create(void)
{
	slots = bench_allocate(QUEUE_CAPACITY, sizeof(*slots));
	ck_ring_init(&ring, QUEUE_CAPACITY);
	return 0;
}

static uint64_t record(unsigned producer, uint64_t a)
{
	uint64_t refused = 0;

	(void)producer;
	for (uint64_t i = 0; i < QUEUE_CHUNK; i++) {
		struct queue_record one = queue_make(a + i);

		refused += !ck_ring_enqueue_mpsc_record(&ring, slots, &one);
	}
	return refused;
}

static void drain(struct queue_found *found)
{
	struct queue_record one;

	while (ck_ring_dequeue_mpsc_record(&ring, slots, &one))
		queue_look(&one, found);
}

static void destroy(void)
{
	free(slots);
}

const struct queue queue_ck = {
	.create = create,
	.record = record,
	.drain = drain,
	.destroy = destroy,
};
