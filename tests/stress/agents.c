/* SPDX-License-Identifier: MIT */
/*
 * Threads that disturb those who record: flushers, a writer that stalls, a
 * storm of signals, threads that come and go, forks, stops, registrations,
 * memory that is taken away.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
#include "os.h"
#include "ring.h"
#include "support/process.h"
#include "torture.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define AGENTS_MAX 16u
#define SPAWNERS 2u

static uint64_t done[AGENTS_MAX]; /* by agent's kind */

static void did(uint32_t kind)
{
	rondo_add_relaxed(&done[kind], 1);
}

enum kind {
	FLUSHER,
	MORE_FLUSHERS,
	STALLER,
	STORMER,
	SPAWNER,
	FORKER,
	STOPPER,
	REGISTRAR,
	STATISTICIAN,
	EVICTOR,
	KINDS,
};

/* ---- flushing ---- */

/* All rings; or one, this CPU's or not: asked, revoked, or closed here. */
static int flush_some(uint64_t *random)
{
	struct rondo_control *control = torture.channel->control;
	uint32_t rings = control->map.ring_count;

	if (chance(random, 2))
		return rondo_channel_flush(torture.channel);
	return rondo_ring_flush(control,
				(uint32_t)test_random_below(random, rings));
}

static void *run_flusher(void *argument)
{
	struct worker *w = argument;
	uint64_t *random = &w->recorder.random;

	worker_become(w);
	while (!stopped()) {
		if (flush_some(random) < 0)
			violation(BAD_ERROR, 0, 0);
		did(FLUSHER);
		did(MORE_FLUSHERS);
		if (!with(WITH_FLUSHERS) || chance(random, 4))
			sleep_us(1 + test_random_below(random, 1500));
		if (chance(random, 16))
			worker_hop(w);
	}
	worker_become(NULL);
	return NULL;
}

/* ---- a writer that stalls, long enough to be quarantined ---- */

static void *run_staller(void *argument)
{
	struct worker *w = argument;
	struct recorder *r = &w->recorder;

	worker_become(w);
	while (!stopped()) {
		struct rondo_record record;
		uint32_t sequence;

		if (!recorder_begin(r, 40, &record, &sequence)) {
			sched_yield();
			continue;
		}
		sleep_us(20000 + test_random_below(&r->random, 40000));
		recorder_end(r, &record, sequence);
		did(STALLER);
		worker_hop(w);
	}
	worker_become(NULL);
	return NULL;
}

/* ---- signals ---- */

static void *run_stormer(void *argument)
{
	struct worker *w = argument;
	const pid_t own = (pid_t)syscall(SYS_getpid);

	while (!stopped()) {
		uint64_t which =
			test_random_below(&w->recorder.random, WORKERS);
		uint32_t tid = rondo_load_relaxed(&torture.workers[which].tid);

		if (tid)
			syscall(SYS_tgkill, own, tid, SIGNAL_STORM);
		if (rondo_load_relaxed(&torture.storms))
			did(STORMER);
		if (chance(&w->recorder.random, 256))
			sched_yield();
	}
	return NULL;
}

/* ---- threads that come and go ---- */

static pthread_key_t leaving;

/* The last that a thread does of its own: it records, and so do handlers. */
static void on_leaving(void *argument)
{
	struct worker *w = argument;

	(void)recorder_record(&w->recorder);
	raise(SIGNAL_TIMER);
	(void)recorder_record(&w->recorder);
	did(SPAWNER);
	rondo_store_relaxed(&w->tid, 0u);
	worker_become(NULL);
}

static void *run_transient(void *argument)
{
	struct worker *w = argument;
	struct recorder *r = &w->recorder;
	uint64_t records = test_random_below(&r->random, 64);

	worker_become(w);
	rondo_store_relaxed(&w->tid, (uint32_t)syscall(SYS_gettid));
	if (pthread_setspecific(leaving, w))
		abort();
	while (records--)
		(void)recorder_record(r);
	return NULL;
}

static void *run_spawner(void *argument)
{
	struct worker *w = argument;
	/* Its threads, one after the other, are this worker. */
	const uint32_t index = WORKERS - 1 - w->index % SPAWNERS;

	worker_prepare(index, test_random(&w->recorder.random));
	while (!stopped()) {
		worker_start(index, run_transient);
		pthread_join(torture.workers[index].thread, NULL);
	}
	return NULL;
}

/* ---- fork ---- */

/*
 * A channel of the child's own, alone in its process. 0, or a line. Not with
 * gcc 12's sanitizers: the allocator of the one keeps the locks that other
 * threads held, and the other takes no more threads.
 */
static int record_in_child(void)
{
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
	const struct rondo_event_class class = {
		.size = sizeof(class),
		.name = "test:child",
		.field_size = sizeof(struct rondo_field),
	};
	struct rondo_channel *channel;
	struct rondo_consumer *consumer;
	struct rondo_view view;
	struct rondo_item item = {0};
	unsigned found = 0;
	uint16_t id;

	TEST_CHILD_CHECK(!rondo_channel_create(NULL, &channel));
	TEST_CHILD_CHECK(!rondo_event_register(channel, &class, &id));
	TEST_CHILD_CHECK(!rondo_consumer_open(channel, &consumer));
	for (unsigned i = 0; i < 100; i++)
		TEST_CHILD_CHECK(!rondo_write(channel, id, &i, sizeof(i)));
	TEST_CHILD_CHECK(rondo_channel_flush(channel) > 0);
	while (!rondo_consumer_take(consumer, &view)) {
		memset(&item, 0, sizeof(item));
		while (rondo_view_next(&view, &item) > 0)
			found++;
		TEST_CHILD_CHECK(!rondo_consumer_release(consumer, &view));
	}
	TEST_CHILD_CHECK(found == 100);
	TEST_CHILD_CHECK(!rondo_consumer_close(consumer));
	TEST_CHILD_CHECK(!rondo_channel_destroy(channel));
#endif
	return 0;
}

/* With what its parent had in hand: nothing of it comes to the parent. libc: the
 * child has one that knows of the fork. */
static int run_child(struct rondo_record *held, bool libc)
{
	struct rondo_record record;

	worker_become(NULL);
	memset(held->data, 0, libc ? held->bytes : 0);
	TEST_CHILD_CHECK(rondo_commit(held) == 0);
	TEST_CHILD_CHECK(rondo_reserve(torture.channel, torture.classes.ids[0],
				       16, &record) == -ESHUTDOWN);
	TEST_CHILD_CHECK(rondo_squash(torture.channel, rondo_mark(held)) ==
			 -ESHUTDOWN);
	return libc ? record_in_child() : 0;
}

/* By fork(); or by a call that no handler of fork sees. */
static pid_t fork_child(struct rondo_record *held, bool libc)
{
#ifdef __SANITIZE_THREAD__ /* which must know of each */
	libc = true;
#endif
	/* No emulator empties a page in the child because it was told to. */
	libc = libc || test_is_emulated();
	pid_t pid = libc ? fork() :
			   (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid)
		return pid;
	signal(SIGALRM, SIG_DFL);
	alarm(TEST_HANG_SECONDS);
	_exit(run_child(held, libc));
}

static void *run_forker(void *argument)
{
	struct worker *w = argument;
	struct recorder *r = &w->recorder;

	worker_become(w);
	while (!stopped()) {
		struct rondo_record record;
		uint32_t sequence;
		int status = 0;
		pid_t pid;

		if (!recorder_begin(r, 40, &record, &sequence)) {
			sched_yield();
			continue;
		}
		pid = fork_child(&record, !chance(&r->random, 2));
		recorder_end(r, &record, sequence);
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			violation(BAD_CHILD, (uint64_t)pid, (uint64_t)status);
		did(FORKER);
		sleep_us(test_random_below(&r->random, 20000));
	}
	worker_become(NULL);
	return NULL;
}

/* ---- the channel ---- */

static void *run_stopper(void *argument)
{
	struct worker *w = argument;
	uint64_t *random = &w->recorder.random;

	while (!stopped()) {
		rondo_channel_stop(torture.channel);
		sleep_us(test_random_below(random, 100));
		if (rondo_channel_start(torture.channel))
			violation(BAD_ERROR, 0, 0);
		did(STOPPER);
		sleep_us(test_random_below(random, 1000));
	}
	return NULL;
}

static void *run_registrar(void *argument)
{
	struct worker *w = argument;
	struct recorder_classes *classes = &torture.classes;
	char name[32];
	const struct rondo_event_class class = {
		.size = sizeof(class),
		.name = name,
		.field_size = sizeof(struct rondo_field),
	};

	while (!stopped()) {
		uint32_t count = classes->count;
		uint16_t first, again;

		snprintf(name, sizeof(name), "test:class%u",
			 count % RECORDER_CLASSES);
		if (rondo_event_register(torture.channel, &class, &first) ||
		    rondo_event_register(torture.channel, &class, &again) ||
		    first != again)
			violation(BAD_ERROR, count, 0);
		if (count < RECORDER_CLASSES) {
			classes->ids[count] = first;
			/* pairs with make_plan's acquire: the id before it is
			 * one of the classes. */
			rondo_store_release(&classes->count, count + 1);
		}
		did(REGISTRAR);
		sleep_us(test_random_below(&w->recorder.random, 5000));
	}
	return NULL;
}

/* Counters only grow. */
static void *run_statistician(void *argument)
{
	struct worker *w = argument;
	struct rondo_stats before = {0}, now;

	while (!stopped()) {
		rondo_channel_stats(torture.channel, &now);
		for (unsigned i = 0; i < RONDO_CAUSES; i++)
			if (now.refused_records[i] < before.refused_records[i])
				violation(REFUSED_DECREASES,
					  now.refused_records[i],
					  before.refused_records[i]);
		if (now.delivered < before.delivered ||
		    now.overwritten < before.overwritten)
			violation(BAD_SUM, now.delivered, before.delivered);
		before = now;
		did(STATISTICIAN);
		if (chance(&w->recorder.random, 16))
			sched_yield();
	}
	return NULL;
}

/* Pages faulted in again in the middle of a record, or of a sequence. */
static void *run_evictor(void *argument)
{
	struct worker *w = argument;
	uint64_t *random = &w->recorder.random;
	const struct rondo_map *map = &torture.channel->control->map;
	const uint64_t page = rondo_os_page_bytes();

	while (!stopped()) {
		uint64_t from = test_random_below(random, map->bytes / page);

		/* Shared memory keeps what it holds either way. */
		if (madvise(map->base + from * page, map->bytes - from * page,
			    chance(random, 2) ? MADV_PAGEOUT : MADV_DONTNEED) &&
		    errno != EINVAL)
			violation(BAD_ERROR, (uint64_t)errno, 0);
		did(EVICTOR);
		sleep_us(test_random_below(random, 200));
	}
	return NULL;
}

/* ---- all of them ---- */

static const struct {
	uint32_t with; /* 0: always */
	uint32_t count;
	void *(*run)(void *);
} agents[KINDS] = {
	[FLUSHER] = {0, 2, run_flusher},
	[MORE_FLUSHERS] = {WITH_FLUSHERS, 4, run_flusher},
	[STALLER] = {WITH_STALLER, 1, run_staller},
	[STORMER] = {WITH_STORM, 1, run_stormer},
	[SPAWNER] = {WITH_TRANSIENTS, SPAWNERS, run_spawner},
	[FORKER] = {WITH_FORKS, 1, run_forker},
	[STOPPER] = {WITH_STOPS, 1, run_stopper},
	[REGISTRAR] = {WITH_CLASSES, 1, run_registrar},
	[STATISTICIAN] = {WITH_STATISTICS, 1, run_statistician},
	[EVICTOR] = {WITH_EVICTION, 1, run_evictor},
};

static bool takes_part(uint32_t kind)
{
	return !agents[kind].with || with(agents[kind].with);
}

uint32_t agents_start(uint32_t first, uint64_t *random)
{
	static bool have_key;
	uint32_t count = 0;

	if (!have_key && pthread_key_create(&leaving, on_leaving))
		abort();
	have_key = true;
	memset(done, 0, sizeof(done));
	for (uint32_t kind = 0; kind < KINDS; kind++)
		for (uint32_t i = 0; takes_part(kind) && i < agents[kind].count;
		     i++) {
			struct worker *w = &torture.workers[first + count];

			worker_prepare(first + count, test_random(random));
			/* Those who record do it where they want. */
			w->records = false;
			worker_start(first + count, agents[kind].run);
			count++;
		}
	return count;
}

bool agents_have_worked(void)
{
	for (uint32_t kind = 0; kind < KINDS; kind++)
		if (takes_part(kind) && !rondo_load_relaxed(&done[kind]))
			return false;
	return true;
}
