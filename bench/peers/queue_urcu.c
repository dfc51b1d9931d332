/* SPDX-License-Identifier: MIT */
/*
 * liburcu's wait-free concurrent queue, inlined: a linked list, its nodes from
 * a pool of each producer's. See queue.h.
 */
#define _LGPL_SOURCE
#include "queue.h"

#include <stdlib.h>
#include <urcu/wfcqueue.h>

struct node {
	struct cds_wfcq_node link;
	struct queue_record record;
};

static struct {
	struct cds_wfcq_head head __attribute__((aligned(128)));
	struct cds_wfcq_tail tail __attribute__((aligned(128)));
	struct node *pool[QUEUE_PRODUCERS];
} here;

static int create(void)
{
	__cds_wfcq_init((struct __cds_wfcq_head *)&here.head, &here.tail);
	for (unsigned i = 0; i < QUEUE_PRODUCERS; i++)
		here.pool[i] = bench_allocate(QUEUE_BURST, sizeof(struct node));
	return 0;
}

static uint64_t record(unsigned producer, uint64_t a)
{
	struct node *node = &here.pool[producer][a % QUEUE_BURST];

	for (uint64_t i = 0; i < QUEUE_CHUNK; i++, node++) {
		node->record = queue_make(a + i);
		cds_wfcq_node_init(&node->link);
		cds_wfcq_enqueue(
			(cds_wfcq_head_ptr_t){._h = (void *)&here.head},
			&here.tail, &node->link);
	}
	return 0;
}

static void drain(struct queue_found *found)
{
	struct __cds_wfcq_head *head = (struct __cds_wfcq_head *)&here.head;
	struct cds_wfcq_node *link;

	while ((link = __cds_wfcq_dequeue_blocking(
			(cds_wfcq_head_ptr_t){._h = head}, &here.tail)))
		queue_look(&((struct node *)link)->record, found);
}

static void destroy(void)
{
	for (unsigned i = 0; i < QUEUE_PRODUCERS; i++)
		free(here.pool[i]);
}

const struct queue queue_urcu = {
	.create = create,
	.record = record,
	.drain = drain,
	.destroy = destroy,
};
