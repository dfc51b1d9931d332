/* SPDX-License-Identifier: MIT */
/*
 * See crew.h.
 */
#include "crew.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "../numbers.h"

#define TRIES 10
#define TRIES_SHORT 2
#define ENOUGH (QUEUE_CHUNKS / 4) /* chunks of each that count */

struct worker {
	pthread_t thread;
	sem_t go;
	unsigned index;
	uint64_t refused;
	uint64_t next;		 /* number of its next record */
	double ns[QUEUE_CHUNKS]; /* a record, those that count first */
	unsigned counted;
	/* Chunks done, read by the other. */
	unsigned done __attribute__((aligned(128)));
};

static struct {
	const struct bench *bench;
	const struct crew_job *job;
	struct worker worker[QUEUE_PRODUCERS];
	sem_t finished;
	unsigned arrived __attribute__((aligned(128)));
	bool ending;
	uint64_t disturbed;
} crew;

static __attribute__((noinline)) uint64_t
record_chunk(struct rondo_channel *channel, uint64_t a)
{
	uint64_t refused = 0;

	for (uint64_t i = a; i < a + QUEUE_CHUNK; i++)
		refused += !bench_record(channel, 2, i, i ^ BENCH_MIX);
	return refused;
}

static void record_one_chunk(struct worker *worker)
{
	const struct crew_subject *subject = crew.job->subject;
	const uint64_t a = worker->next;

	worker->next = a + QUEUE_CHUNK;
	worker->refused += subject->queue ?
				   subject->queue->record(worker->index, a) :
				   record_chunk(subject->channel, a);
}

/* Chunks that the other one has done; alone: it has itself. */
static unsigned progress_of_other(const struct worker *worker)
{
	if (crew.job->producers < 2)
		return worker->done;
	return rondo_load_relaxed(&crew.worker[!worker->index].done);
}

static bool is_recording(unsigned done)
{
	return done > 0 && done < QUEUE_CHUNKS;
}

/* Those that do not count are kept behind the others. */
static void keep(struct worker *worker, unsigned done, double ns)
{
	const unsigned counted = worker->counted;

	worker->ns[done] = ns;
	if (!is_recording(progress_of_other(worker)))
		return;
	worker->ns[done] = worker->ns[counted];
	worker->ns[counted] = ns;
	worker->counted = counted + 1;
}

/* A chunk counts when the other one was in the middle of its own. */
static void work(struct worker *worker)
{
	rondo_add_relaxed(&crew.arrived, 1u);
	while (rondo_load_relaxed(&crew.arrived) < crew.job->producers)
		sched_yield();
	for (unsigned i = 0; i < QUEUE_CHUNKS; i++) {
		const uint64_t began = bench_ticks();
		double ticks;

		record_one_chunk(worker);
		ticks = (double)(bench_ticks() - began);
		rondo_store_relaxed(&worker->done, i + 1);
		keep(worker, i, ticks * bench_ns_per_tick() / QUEUE_CHUNK);
	}
}

static void *run_worker(void *argument)
{
	struct worker *worker = argument;

	bench_pin(bench_cpu_at(crew.bench, worker->index));
	while (true) {
		while (sem_wait(&worker->go))
			;
		if (rondo_load_relaxed(&crew.ending))
			return NULL;
		work(worker);
		sem_post(&crew.finished);
	}
}

int crew_start(const struct bench *bench)
{
	crew.bench = bench;
	bench_ns_per_tick();
	sem_init(&crew.finished, 0, 0);
	for (unsigned i = 0; i < QUEUE_PRODUCERS; i++) {
		struct worker *worker = &crew.worker[i];
		int result;

		worker->index = i;
		sem_init(&worker->go, 0, 0);
		result = pthread_create(&worker->thread, NULL, run_worker,
					worker);
		if (result)
			return bench_fail("thread: %s", strerror(result));
	}
	return 0;
}

void crew_end(void)
{
	rondo_store_relaxed(&crew.ending, true);
	for (unsigned i = 0; i < QUEUE_PRODUCERS; i++)
		sem_post(&crew.worker[i].go);
	for (unsigned i = 0; i < QUEUE_PRODUCERS; i++)
		pthread_join(crew.worker[i].thread, NULL);
}

void crew_number(struct crew_subject *subject)
{
	for (uint64_t i = 0; i < QUEUE_PRODUCERS; i++) {
		subject->next[i] = i << QUEUE_PRODUCER_SHIFT;
		subject->found.next[i] = subject->next[i];
	}
}

static void run_once(const struct crew_job *job)
{
	struct crew_subject *subject = job->subject;

	crew.job = job;
	crew.arrived = 0;
	for (unsigned i = 0; i < job->producers; i++) {
		crew.worker[i].next = subject->next[i];
		crew.worker[i].refused = 0;
		crew.worker[i].counted = 0;
		crew.worker[i].done = 0;
	}
	for (unsigned i = 0; i < job->producers; i++)
		sem_post(&crew.worker[i].go);
	for (unsigned i = 0; i < job->producers; i++)
		while (sem_wait(&crew.finished))
			;
	for (unsigned i = 0; i < job->producers; i++) {
		subject->next[i] = crew.worker[i].next;
		subject->refused += crew.worker[i].refused;
	}
	subject->calls += job->producers * QUEUE_BURST;
	if (subject->queue)
		subject->queue->drain(&subject->found);
}

static bool has_run_together(const struct crew_job *job)
{
	for (unsigned i = 0; i < job->producers; i++)
		if (crew.worker[i].counted < ENOUGH)
			return false;
	return true;
}

/* The median of the chunks that count, or of all. */
static double median_of_chunks(const struct crew_job *job, bool all)
{
	double ns[QUEUE_PRODUCERS * QUEUE_CHUNKS];
	unsigned count = 0;

	for (unsigned i = 0; i < job->producers && i < QUEUE_PRODUCERS; i++) {
		const struct worker *worker = &crew.worker[i];
		const unsigned these = all ? QUEUE_CHUNKS : worker->counted;

		memcpy(&ns[count], worker->ns, these * sizeof(*worker->ns));
		count += these;
	}
	return bench_median(ns, count);
}

double crew_sample(struct bench_case *one)
{
	const struct crew_job *job = one->context;
	const int most = crew.bench->is_short ? TRIES_SHORT : TRIES;

	for (int tries = 0; tries < most; tries++) {
		run_once(job);
		one->calls = job->subject->calls;
		if (has_run_together(job))
			return median_of_chunks(job, false);
	}
	crew.disturbed++;
	return median_of_chunks(job, true);
}

uint64_t crew_disturbed(void)
{
	return crew.disturbed;
}
