/* SPDX-License-Identifier: MIT */
/*
 * Threads that record, and are interrupted everywhere: by timers, by the storm,
 * at test points of the library, and while they have a record open.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "testpoint.h"
#include "torture.h"

static __thread struct worker *self;

void worker_become(struct worker *worker)
{
	self = worker;
}

void worker_hop(struct worker *worker)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(test_random_below(&worker->recorder.random, torture.cpus),
		&set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

/* ---- disturbances ---- */

static void record_nested(struct worker *w)
{
	if (w->records)
		recorder_record_nested(&w->recorder);
}

static void disturb(struct recorder *r)
{
	struct worker *w = (struct worker *)r;

	if (r->depth >= HOOK_DEPTH)
		return;
	switch (test_random_below(&r->random, 8)) {
	case 0:
	case 1:
		sched_yield();
		break;
	case 2:
		worker_hop(w);
		break;
	case 3:
		raise(SIGNAL_TIMER);
		break;
	case 4:
	case 5:
	case 6:
		record_nested(w);
		break;
	default:
		for (uint64_t i = test_random_below(&r->random, 500); i; i--)
			__asm__ volatile("");
	}
}

static void on_signal(int signal)
{
	struct worker *w = self;
	int saved = errno;

	if (signal == SIGNAL_STORM)
		rondo_add_relaxed(&torture.storms, 1);
	if (w && w->recorder.depth < DEPTHS - 1)
		record_nested(w);
	errno = saved;
}

static int pretended_aborts(void)
{
	return self && chance(&self->recorder.random, 64) ? 8 : 0;
}

static void before_overwrite(const struct rondo_map *map, uint32_t ring,
			     uint64_t slot)
{
	struct worker *w = self;

	if (w)
		gather(&w->gathered[w->recorder.depth], map,
		       rondo_map_pages(map, ring, rondo_slot_pages(slot)));
}

static void on_testpoint(enum rondo_testpoint at)
{
	struct worker *w = self;

	if (!w)
		return;
	if (at == RONDO_AT_OVERWRITE)
		gathered_overwritten(&w->gathered[w->recorder.depth]);
	if (chance(&w->recorder.random, 64))
		disturb(&w->recorder);
}

void workers_install(void)
{
	const struct sigaction action = {.sa_handler = on_signal,
					 .sa_flags = SA_RESTART};

	sigaction(SIGNAL_TIMER, &action, NULL);
	sigaction(SIGNAL_STORM, &action, NULL);
	rondo_testpoint_hook = on_testpoint;
	rondo_testpoint_aborts = pretended_aborts;
	rondo_testpoint_overwrite = before_overwrite;
}

/* ---- threads ---- */

static void start_timer(struct worker *w)
{
	long period =
		150000 + (long)test_random_below(&w->recorder.random, 300000);
	const struct itimerspec every = {{0, period}, {0, period}};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
				 .sigev_signo = SIGNAL_TIMER};

	event._sigev_un._tid = (pid_t)w->tid;
	if (timer_create(CLOCK_MONOTONIC, &event, &w->timer))
		abort();
	timer_settime(w->timer, 0, &every, NULL);
}

/* As on a kernel, or under a filter, that refused it to this thread. */
static void unregister_rseq(void)
{
	const uint64_t at = rondo_thread_pointer() + (uint64_t)__rseq_offset;

	/* glibc 2.36 tells 20 bytes of the 32 that it registers. */
	if (__rseq_size &&
	    syscall(SYS_rseq, at, __rseq_size < 32 ? 32 : __rseq_size,
		    RSEQ_FLAG_UNREGISTER, RSEQ_SIG) == 0)
		rondo_add_relaxed(&torture.strangers, 1);
}

void *run_producer(void *argument)
{
	struct worker *w = argument;
	struct recorder *r = &w->recorder;

	if (with(WITH_NO_RSEQ) && w->index % 2)
		unregister_rseq();
	worker_become(w);
	rondo_store_relaxed(&w->tid, (uint32_t)syscall(SYS_gettid));
	start_timer(w);
	while (!stopped()) {
		/* A full lane: its handlers go on. */
		if (!recorder_record(r) || chance(&r->random, 64))
			sched_yield();
		if (chance(&r->random, 1024))
			worker_hop(w);
	}
	timer_delete(w->timer);
	rondo_store_relaxed(&w->tid, 0u);
	worker_become(NULL);
	return NULL;
}

void worker_prepare(uint32_t index, uint64_t random)
{
	struct worker *w = &torture.workers[index];
	const uint32_t order = torture.setup->order ? torture.setup->order : 12;

	w->recorder = (struct recorder){
		.channel = torture.channel,
		.classes = &torture.classes,
		.random = random,
		.lane = index * DEPTHS,
		.record_max = torture.setup->record_max ?
				      torture.setup->record_max :
				      2032,
		.forward = with(WITH_STALLER),
		.stops = with(WITH_STOPS),
		.disturb = disturb,
	};
	w->index = index;
	w->records = true;
	rondo_store_relaxed(&w->tid, 0u);
	for (uint32_t i = 0; i < DEPTHS; i++)
		gathered_create(&w->gathered[i], UINT64_C(1) << order);
}

void worker_start(uint32_t index, void *(*run)(void *))
{
	struct worker *w = &torture.workers[index];

	if (pthread_create(&w->thread, NULL, run, w))
		abort();
}
