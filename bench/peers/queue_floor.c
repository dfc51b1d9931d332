/* SPDX-License-Identifier: MIT */
/*
 * The floor of shared queues, which is none: each producer stores its records
 * in an array of its own. See queue.h.
 */
#include "queue.h"

#include <stdlib.h>
#include <string.h>

static struct queue_record *array[QUEUE_PRODUCERS];
static uint64_t stored[QUEUE_PRODUCERS];

static int create(void)
{
	for (unsigned i = 0; i < QUEUE_PRODUCERS; i++)
		array[i] = bench_allocate(QUEUE_BURST, sizeof(*array[i]));
	return 0;
}

static uint64_t record(unsigned producer, uint64_t a)
{
	struct queue_record *to = &array[producer][a % QUEUE_BURST];

	for (uint64_t i = 0; i < QUEUE_CHUNK; i++)
		to[i] = queue_make(a + i);
	stored[producer] += QUEUE_CHUNK;
	return 0;
}

/* Each is looked at once: what stays behind would be wrong the next time. */
static void drain(struct queue_found *found)
{
	for (unsigned i = 0; i < QUEUE_PRODUCERS; i++) {
		for (uint64_t k = 0; k < stored[i]; k++)
			queue_look(&array[i][k], found);
		memset(array[i], 0, stored[i] * sizeof(*array[i]));
		stored[i] = 0;
	}
}

static void destroy(void)
{
	for (unsigned i = 0; i < QUEUE_PRODUCERS; i++)
		free(array[i]);
}

const struct queue queue_floor = {
	.create = create,
	.record = record,
	.drain = drain,
	.destroy = destroy,
};
