/* SPDX-License-Identifier: MIT */
/*
 * What the parts of torture share: a run, its threads, and what it is like.
 */
#ifndef RONDO_TESTS_STRESS_TORTURE_H
#define RONDO_TESTS_STRESS_TORTURE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <rondo/rondo.h>

#include "support/gather.h"
#include "support/lanes.h"
#include "support/recording.h"
#include "support/random.h"

#define DEPTHS 8u     /* of nesting that a thread has lanes for */
#define HOOK_DEPTH 4u /* of nesting by test points */
#define WORKERS (LANES / DEPTHS)
#define PRODUCERS_MAX 96u
#define HELD_MAX 16u /* loans at once */
#define RINGS_MAX 1024u
#define SIGNAL_TIMER SIGRTMIN
#define SIGNAL_STORM SIGUSR1

/* What joins the producers, the consumer and two flushers. */
enum with {
	WITH_STALLER = 0x1,    /* sits on open records; nothing moves back */
	WITH_STORM = 0x2,      /* signals from another thread, without pause */
	WITH_TRANSIENTS = 0x4, /* threads that live for some records */
	WITH_FORKS = 0x8,      /* while others record */
	WITH_SNAPSHOTS = 0x10, /* instead of consuming all the time */
	WITH_STOPS = 0x20,     /* of the channel, and starts */
	WITH_CLASSES = 0x40,   /* registered meanwhile */
	WITH_NO_RSEQ = 0x80,   /* every other thread has none: extra ring */
	WITH_FLUSHERS = 0x100, /* more of them */
	WITH_STATISTICS = 0x200, /* read by others */
	WITH_EVICTION = 0x400	 /* pages are gone until they are touched */
};

/* What one run is like. 0: what most of them have. */
struct setup {
	const char *name;
	uint32_t threads; /* [8 for each CPU] */
	uint32_t flags;
	uint32_t order;	     /* [12] of a sub-buffer */
	uint32_t count;	     /* [4] */
	uint32_t record_max; /* [2032] */
	uint32_t rings;
	uint32_t clock;
	uint32_t with;
};

extern const struct setup setups[];
extern const uint32_t setup_count;
extern const struct setup setup_for_plants;

/* A thread whose handlers may record. The recorder is first. */
struct worker {
	struct recorder recorder;
	uint32_t index;
	uint32_t tid; /* for the storm; 0: none */
	bool records;
	timer_t timer;
	struct gathered gathered[DEPTHS];
	pthread_t thread;
};

/* One run. */
struct torture {
	const struct setup *setup;
	struct rondo_channel *channel;
	struct rondo_consumer *consumer;
	struct recorder_classes classes;
	uint32_t threads;
	uint32_t cpus;
	uint32_t stop, stop_consumer;
	uint64_t heads[RINGS_MAX]; /* as the run begins */
	uint64_t storms;	   /* of signals handled */
	uint64_t strangers;	   /* threads that got rid of rseq */
	struct worker workers[WORKERS];
};

extern struct torture torture;

static inline bool chance(uint64_t *random, uint64_t one_in)
{
	return test_random_below(random, one_in) == 0;
}

static inline bool with(uint32_t what)
{
	return torture.setup->with & what;
}

static inline bool stopped(void)
{
	return rondo_load_relaxed(&torture.stop);
}

static inline void sleep_us(uint64_t us)
{
	const struct timespec time = {0, (long)us * 1000};

	nanosleep(&time, NULL);
}

/* ---- workers.c: those who record ---- */

void workers_install(void); /* handlers and test points */
void worker_prepare(uint32_t index, uint64_t random);
void worker_start(uint32_t index, void *(*run)(void *));
void *run_producer(void *worker);
/* This thread is the worker from now on, or nobody. */
void worker_become(struct worker *worker);
void worker_hop(struct worker *worker);

/* ---- agents.c: those who disturb ---- */

/* Starts those of the setup as workers from first on; how many. */
uint32_t agents_start(uint32_t first, uint64_t *random);
/* Each has done at least once what it is there for. */
bool agents_have_worked(void);

/* ---- reader.c: who consumes ---- */

void reader_reset(uint64_t random);
void *run_consumer(void *unused);
/* All that is left, and gives every loan back. */
void reader_finish(void);
/* Sub-buffers that views said were overwritten. */
uint64_t reader_overwritten(void);
void reader_check_packets(void);

/* ---- account.c: I-count ---- */

/* Everything that must hold of a quiet channel; prints a line. Verified
 * records: found once, as they were written. */
uint64_t account(void);

#endif
