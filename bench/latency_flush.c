/* SPDX-License-Identifier: MIT */
/*
 * See latency_flush.h. The busy ring's producer records without pause on
 * another CPU, from just before a sample to just after it.
 */
#include "latency_flush.h"

#include <inttypes.h>
#include <linux/membarrier.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "numbers.h"
#include "setup.h"

#define FLUSHES 31    /* in a sample */
#define TRIES 1000000 /* until a producer that should run has recorded */
#define BATCH 256     /* records between two words of the producer's */
#define APART __attribute__((aligned(128)))

static struct {
	const struct bench *bench;
	struct rondo_channel *idle;
	struct rondo_channel *busy;
	uint64_t closed, closed_busy; /* sub-buffers, by our calls */
	double rounds; /* of the last busy sample: fences for a flush */
	pthread_t producer;
	sem_t go;
	sem_t stopped;
	uint64_t records APART; /* producer */
	bool running APART;
	bool ending;
	bool has_producer;
} flush;

/* ---- the busy producer ---- */

static void *produce(void *argument)
{
	uint64_t i = 0;

	bench_pin(bench_cpu_at(argument, 1));
	while (true) {
		while (sem_wait(&flush.go))
			;
		if (rondo_load_relaxed(&flush.ending))
			return NULL;
		while (rondo_load_relaxed(&flush.running)) {
			for (int k = 0; k < BATCH; k++, i++)
				bench_record(flush.busy, 2, i, i ^ BENCH_MIX);
			rondo_store_relaxed(&flush.records, i);
		}
		sem_post(&flush.stopped);
	}
}

static void start_producer(void)
{
	const uint64_t before = rondo_load_relaxed(&flush.records);

	rondo_store_relaxed(&flush.running, true);
	sem_post(&flush.go);
	while (rondo_load_relaxed(&flush.records) == before)
		sched_yield();
}

static void stop_producer(void)
{
	rondo_store_relaxed(&flush.running, false);
	while (sem_wait(&flush.stopped))
		;
}

/* So that its ring is open, and it is running now. */
static void wait_for_records(void)
{
	const uint64_t before = rondo_load_relaxed(&flush.records);
	int tries = TRIES;

	while (rondo_load_relaxed(&flush.records) - before < 2 * BATCH &&
	       --tries)
		;
}

/* ---- samples ---- */

static double time_flush(struct rondo_channel *channel)
{
	const uint64_t began = bench_ticks_alone();
	const int closed = rondo_channel_flush(channel);
	const uint64_t ticks = bench_ticks_alone() - began;
	uint64_t *sum = channel == flush.idle ? &flush.closed :
						&flush.closed_busy;

	if (closed > 0)
		*sum += (uint64_t)closed;
	return (double)ticks * bench_ns_per_tick();
}

double flush_nothing(struct bench_case *one)
{
	double ns[FLUSHES];

	time_flush(flush.idle);
	for (int i = 0; i < FLUSHES; i++)
		ns[i] = time_flush(flush.idle);
	one->calls += FLUSHES;
	return bench_median(ns, FLUSHES);
}

static void open_every_ring(void)
{
	for (unsigned i = bench_cpu_count(); i-- > 0;) {
		bench_pin(bench_cpu_at(flush.bench, i));
		bench_record(flush.idle, 2, i, i ^ BENCH_MIX);
	}
}

double flush_idle(struct bench_case *one)
{
	double ns[FLUSHES];

	for (int i = 0; i < FLUSHES; i++) {
		open_every_ring();
		ns[i] = time_flush(flush.idle);
	}
	one->calls += FLUSHES;
	return bench_median(ns, FLUSHES);
}

double flush_busy(struct bench_case *one)
{
	struct rondo_stats before, after;
	double ns[FLUSHES];

	if (!flush.has_producer)
		return (double)NAN;
	rondo_channel_stats(flush.busy, &before);
	start_producer();
	for (int i = 0; i < FLUSHES; i++) {
		wait_for_records();
		ns[i] = time_flush(flush.busy);
	}
	stop_producer();
	rondo_channel_stats(flush.busy, &after);
	flush.rounds =
		(double)(after.revocations - before.revocations) / FLUSHES;
	one->calls += FLUSHES;
	return bench_median(ns, FLUSHES);
}

double flush_rounds(struct bench_case *one)
{
	(void)one;
	return flush.has_producer ? flush.rounds : (double)NAN;
}

double flush_fence(struct bench_case *one)
{
	const int cpu = bench_cpu_at(flush.bench, 1);
	double ns[FLUSHES];

	if (!flush.has_producer)
		return (double)NAN;
	start_producer();
	for (int i = 0; i < FLUSHES; i++) {
		uint64_t began;

		wait_for_records();
		began = bench_ticks_alone();
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
			MEMBARRIER_CMD_FLAG_CPU, cpu);
		ns[i] = (double)(bench_ticks_alone() - began) *
			bench_ns_per_tick();
	}
	stop_producer();
	one->calls += FLUSHES;
	return bench_median(ns, FLUSHES);
}

/* ---- life ---- */

int flush_set_up(const struct bench *bench)
{
	const struct rondo_config config = {.flags = RONDO_OVERWRITE};
	int result;

	flush.bench = bench;
	if (bench_channel(&config, "idle", 16, &flush.idle) ||
	    bench_channel(&config, "busy", 16, &flush.busy))
		return 1;
	if (bench_cpu_count() < 2)
		return 0;
	sem_init(&flush.go, 0, 0);
	sem_init(&flush.stopped, 0, 0);
	result = pthread_create(&flush.producer, NULL, produce,
				(void *)(uintptr_t)bench);
	if (result)
		return bench_fail("thread: %s", strerror(result));
	flush.has_producer = true;
	return 0;
}

int flush_check(void)
{
	struct rondo_stats idle, busy;

	if (rondo_channel_stats(flush.idle, &idle) ||
	    rondo_channel_stats(flush.busy, &busy))
		return bench_fail("no statistics");
	/* A busy ring may answer twice: when it is asked again before it was
	 * seen to have answered. */
	if (idle.flushes != flush.closed || !flush.closed ||
	    busy.flushes < flush.closed_busy)
		return bench_fail("%" PRIu64 " and %" PRIu64
				  " sub-buffers closed; counted %" PRIu64
				  " and %" PRIu64,
				  flush.closed, flush.closed_busy, idle.flushes,
				  busy.flushes);
	return 0;
}

void flush_tear_down(void)
{
	if (flush.has_producer) {
		rondo_store_relaxed(&flush.ending, true);
		sem_post(&flush.go);
		pthread_join(flush.producer, NULL);
	}
	rondo_channel_destroy(flush.idle);
	rondo_channel_destroy(flush.busy);
}
