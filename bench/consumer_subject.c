/* SPDX-License-Identifier: MIT */
/*
 * See consumer_subject.h. Both kinds of buffers are consumed alike: what is
 * ready is copied to memory of the consumer's, as much at once as there is,
 * though rondo's could be read where it is.
 */
#include "consumer_subject.h"

#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "readback.h"

/* As rondo's defaults: 8 sub-buffers, and a consumer that is woken by each. */
#define DATA_BYTES (UINT64_C(2) << 20)
#define WAKE_BYTES (UINT64_C(256) << 10)
#define NAP_NS 1000000 /* a sleeper looks that often whether to go on */

static struct {
	pthread_t thread;
	sem_t go;
	struct subject *wanted APART;	/* producer */
	struct subject *attended APART; /* consumer */
	uint64_t looks;
	bool ending;
	char copy[DATA_BYTES] APART;
} consumer;

/* A wakeup as rondo's: a system call only when somebody sleeps. */
static struct {
	uint32_t word;
	char rest[124];
} sleeping APART;

void subject_wake(void)
{
	/* pairs(bench-sleep) full: data_head, then who sleeps. */
	rondo_fence();
	if (rondo_load_relaxed(&sleeping.word) &&
	    rondo_exchange(&sleeping.word, UINT32_C(0)))
		syscall(SYS_futex, &sleeping.word, FUTEX_WAKE_PRIVATE, INT_MAX,
			NULL, NULL, 0);
}

static void wake(struct perf_ring *ring, void *context)
{
	(void)ring, (void)context;
	subject_wake();
}

/* ---- life ---- */

static int create_perf(struct subject *subject, const struct bench *bench)
{
	const struct perf_config config = {
		.data_bytes = DATA_BYTES,
		.watermark_bytes = WAKE_BYTES,
		.flags = subject->overwrites ? PERF_OVERWRITE : 0,
		.rings = subject->variant == PERF_PLAIN ?
				 1 :
				 (uint32_t)bench->cpu + 1,
		.wake = subject->pace == PACE_SLEEPY ? wake : NULL,
	};
	int result =
		perf_rings_create(subject->variant, &config, &subject->rings);

	if (result == -ENOTSUP && subject->variant == PERF_RSEQ) {
		subject->is_missing = true;
		return 0;
	}
	return result ? bench_fail("perf ring: %s", strerror(-result)) : 0;
}

int subject_create(struct subject *subject, const struct bench *bench)
{
	const struct rondo_config config = {
		.flags = subject->overwrites ? RONDO_OVERWRITE : 0,
		.wake_subbufs = subject->wake_subbufs,
	};
	int result;

	if (!subject->is_rondo)
		return create_perf(subject, bench);
	if (bench_channel(&config, "consumer", subject->bytes,
			  &subject->channel))
		return 1;
	if (subject->overwrites &&
	    (subject->pace == PACE_NONE || subject->pace == PACE_WOKEN))
		return 0;
	result = rondo_consumer_open(subject->channel, &subject->consumer);
	return result ? bench_fail("open: %s", strerror(-result)) : 0;
}

void subject_destroy(struct subject *subject)
{
	rondo_consumer_close(subject->consumer);
	rondo_channel_destroy(subject->channel);
	perf_rings_destroy(subject->rings);
}

/* ---- consuming ---- */

static void look_at_pair(struct subject *subject, uint64_t offset)
{
	uint64_t word[2];

	memcpy(word, consumer.copy + offset, sizeof(word));
	if (word[1] != (word[0] ^ BENCH_MIX))
		subject->wrong++;
}

static bool take_rondo(struct subject *subject)
{
	struct rondo_view view;

	if (rondo_consumer_take(subject->consumer, &view))
		return false;
	memcpy(consumer.copy, view.data, view.content);
	rondo_consumer_release(subject->consumer, &view);
	subject->consumed += view.content - RONDO_PACKET_BYTES;
	look_at_pair(subject, RONDO_PACKET_BYTES + 8);
	return true;
}

static bool take_perf(struct subject *subject)
{
	bool found = false;

	for (uint32_t i = 0; i < subject->rings->count; i++) {
		uint64_t bytes = perf_ring_read(&subject->rings->ring[i],
						consumer.copy, DATA_BYTES);

		if (!bytes)
			continue;
		subject->consumed += bytes;
		look_at_pair(subject, bytes - subject->bytes);
		found = true;
	}
	return found;
}

bool subject_take(struct subject *subject)
{
	if (subject->pace == PACE_WOKEN)
		return false;
	if (subject->is_rondo)
		return take_rondo(subject);
	return take_perf(subject);
}

static bool perf_is_empty(const struct perf_rings *rings)
{
	for (uint32_t i = 0; i < rings->count; i++)
		if (rondo_load_relaxed(&rings->ring[i].page->data_head) !=
		    rondo_load_relaxed(rings->ring[i].tail))
			return false;
	return true;
}

static void sleep_a_while(struct subject *subject)
{
	const struct timespec nap = {0, NAP_NS};

	if (subject->consumer) {
		rondo_consumer_wait(subject->consumer, NAP_NS);
		return;
	}
	rondo_store_relaxed(&sleeping.word, UINT32_C(1));
	/* pairs(bench-sleep) full: I sleep, then what is there. */
	rondo_fence();
	if (subject->pace == PACE_WOKEN || perf_is_empty(subject->rings))
		syscall(SYS_futex, &sleeping.word, FUTEX_WAIT_PRIVATE, 1, &nap,
			NULL, 0);
	rondo_store_relaxed(&sleeping.word, UINT32_C(0));
}

/* ---- the thread ---- */

static void consume(struct subject *subject)
{
	while (rondo_load_relaxed(&consumer.wanted) == subject) {
		rondo_store_relaxed(&consumer.looks, consumer.looks + 1);
		if (subject_take(subject))
			continue;
		/* pairs(bench-attend) release: it is empty, then I say so. */
		rondo_store_release(&consumer.attended, subject);
		if (subject->pace != PACE_EAGER)
			sleep_a_while(subject);
	}
}

static void *consume_in_turn(void *argument)
{
	bench_pin(*(const int *)argument);
	while (true) {
		struct subject *subject;

		while (sem_wait(&consumer.go))
			;
		if (rondo_load_relaxed(&consumer.ending))
			return NULL;
		/* pairs(bench-attend) acquire: what it is, before it. */
		subject = rondo_load_acquire(&consumer.wanted);
		consume(subject);
		/* pairs(bench-attend) release: done with it. */
		rondo_store_release(&consumer.attended, (struct subject *)NULL);
	}
}

int consumer_start(int cpu)
{
	static int where;
	int result;

	where = cpu;
	sem_init(&consumer.go, 0, 0);
	memset(consumer.copy, 1, sizeof(consumer.copy));
	result =
		pthread_create(&consumer.thread, NULL, consume_in_turn, &where);
	return result ? bench_fail("thread: %s", strerror(result)) : 0;
}

void consumer_end(void)
{
	rondo_store_relaxed(&consumer.ending, true);
	sem_post(&consumer.go);
	pthread_join(consumer.thread, NULL);
}

void consumer_attend(struct subject *subject)
{
	/* pairs(bench-attend) release: the subject, before it is wanted. */
	rondo_store_release(&consumer.wanted, subject);
	sem_post(&consumer.go);
	/* pairs(bench-attend) acquire: it is empty. */
	while (rondo_load_acquire(&consumer.attended) != subject)
		sched_yield();
}

void consumer_leave(void)
{
	rondo_store_relaxed(&consumer.wanted, (struct subject *)NULL);
	/* pairs(bench-attend) acquire: what it has consumed. */
	while (rondo_load_acquire(&consumer.attended))
		sched_yield();
}

uint64_t consumer_looks(void)
{
	return rondo_load_relaxed(&consumer.looks);
}

/* ---- whether the records are there ---- */

static bool look(const struct rondo_item *item, void *context)
{
	(void)context;
	return bench_is_filled(item);
}

static int check_rondo(struct subject *subject, const struct bench_case *one)
{
	struct bench_readback found;
	struct rondo_stats stats;

	rondo_consumer_close(subject->consumer);
	subject->consumer = NULL;
	if (bench_read_back(subject->channel, look, NULL, &found))
		return 1;
	rondo_channel_stats(subject->channel, &stats);
	if (stats.refused_records[RONDO_REFUSED_FULL] != subject->refused)
		return bench_fail("%s: refused %" PRIu64 ", counted %" PRIu64,
				  one->key, subject->refused,
				  stats.refused_records[RONDO_REFUSED_FULL]);
	if (found.wrong || found.records == 0)
		return bench_fail("%s: %" PRIu64 " records, %" PRIu64 " wrong",
				  one->key, found.records, found.wrong);
	return bench_all_there(subject->channel, one->calls - subject->refused,
			       subject->bytes, found.bytes + subject->consumed);
}

/* Lost records are told of by records. */
static int check_perf(struct subject *subject, const struct bench_case *one)
{
	const uint64_t least = (one->calls - subject->refused) *
			       perf_sample_bytes(subject->bytes);
	const uint64_t most =
		least + subject->refused * sizeof(struct perf_lost);
	uint64_t all = 0;

	while (!subject->overwrites && subject_take(subject))
		;
	for (uint32_t i = 0; i < subject->rings->count; i++)
		all += subject->rings->ring[i].page->data_head;
	if (all < least || all > most ||
	    (!subject->overwrites && subject->consumed != all))
		return bench_fail("%s: %" PRIu64 " bytes of records, %" PRIu64
				  " consumed; not %" PRIu64,
				  one->key, all, subject->consumed, least);
	return 0;
}

int subject_check(struct subject *subject, const struct bench_case *one)
{
	int status = subject->is_rondo ? check_rondo(subject, one) :
					 check_perf(subject, one);

	if (status == 0 && subject->wrong)
		return bench_fail("%s: %" PRIu64 " records are wrong", one->key,
				  subject->wrong);
	return status;
}
