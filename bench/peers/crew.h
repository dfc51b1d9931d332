/* SPDX-License-Identifier: MIT */
/*
 * One or two producers, each on a CPU of its own, that record at the same
 * time: into a queue that they share, or into rondo.
 */
#ifndef RONDO_BENCH_PEERS_CREW_H
#define RONDO_BENCH_PEERS_CREW_H

#include "queue.h"

struct crew_subject {
	const struct queue *queue; /* NULL: the channel */
	struct rondo_channel *channel;
	uint64_t next[QUEUE_PRODUCERS]; /* numbers of records */
	uint64_t calls;
	uint64_t refused;
	struct queue_found found; /* of the queue */
};

/* What a case's context is. */
struct crew_job {
	struct crew_subject *subject;
	unsigned producers;
};

int crew_start(const struct bench *bench);
void crew_end(void);

/* Numbers of a subject begin, for each producer. */
void crew_number(struct crew_subject *subject);

/* bench_sample: ns a record, of chunks during which the others ran too. */
double crew_sample(struct bench_case *one);

/* Bursts in which others had one of the CPUs, again and again. */
uint64_t crew_disturbed(void);

#endif
