/* SPDX-License-Identifier: MIT */
/*
 * What bench-consumer compares: buffers of both kinds, and the thread that
 * consumes from one of them at a time.
 */
#ifndef RONDO_BENCH_CONSUMER_SUBJECT_H
#define RONDO_BENCH_CONSUMER_SUBJECT_H

#include "perf_ring/perf_ring.h"
#include "setup.h"

enum pace {
	PACE_NONE,   /* nobody; a full buffer is emptied between bursts */
	PACE_SLEEPY, /* sleeps until it is woken */
	PACE_EAGER,  /* polls without pause */
	PACE_WOKEN,  /* sleeps until it is woken, and takes nothing */
};

/* On cache lines that the other side does not write. */
#define APART __attribute__((aligned(128)))

/* A buffer: rondo's, or one in the style of perf. */
struct subject {
	/* What it is to be. */
	bool is_rondo;
	enum perf_variant variant; /* of perf's */
	bool overwrites;
	uint32_t bytes; /* of payload */
	enum pace pace;
	uint32_t wake_subbufs; /* rondo's: that wake a sleeper [1] */
	/* What it has become; rondo's or perf's. */
	struct rondo_channel *channel;
	struct rondo_consumer *consumer;
	struct perf_rings *rings;
	bool is_missing; /* perf's, and there are no sequences */
	/* Producer. */
	uint64_t refused;
	uint64_t unattended; /* bursts in which the consumer did not run */
	/* Consumer. */
	uint64_t consumed APART; /* bytes of records */
	uint64_t wrong;		 /* records that nobody wrote */
};

/* 0, or an exit status. */
int subject_create(struct subject *subject, const struct bench *bench);
void subject_destroy(struct subject *subject);

/* Takes what is ready, by copying it out. False: nothing was. */
bool subject_take(struct subject *subject);

/* After a burst: every call must have left its record. 0, or an exit status. */
int subject_check(struct subject *subject, const struct bench_case *one);

/* Wakes the thread that consumes, if it sleeps as PACE_WOKEN. */
void subject_wake(void);

/* The thread that consumes, on the CPU. 0, or an exit status. */
int consumer_start(int cpu);
void consumer_end(void);

/* From here on it consumes this one, and has found it empty once. */
void consumer_attend(struct subject *subject);
/* ... and from here on none. */
void consumer_leave(void);

/* How often it has looked. */
uint64_t consumer_looks(void);

#endif
