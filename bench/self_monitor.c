/* SPDX-License-Identifier: MIT */
/*
 * What a program pays that watches itself: 100,000 records of 32 bytes a
 * second, every sub-buffer taken and released; as a share of one CPU. And what
 * it would pay for the floor, with a thread that is woken as often.
 */
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "readback.h"
#include "setup.h"

#define RATE 100000u /* records a second */
#define BYTES 32u
#define BATCH 100u /* records at once, when paced */
#define BATCH_NS (1000000000u / RATE * BATCH)
#define LOOP 26000u /* records between two looks at the clock; 4 sub-buffers */
#define TAKE_EVERY 6500u
#define LAP 70000u	 /* more than all page sets hold */
#define FILL 6550u	 /* records that fill a sub-buffer */
#define OTHERS_NS 100000 /* longer: somebody else had the CPU */

enum {
	LOOPED,
	PRODUCER,
	CONSUMER,
	BOTH,
	FLOOR_PRODUCER,
	FLOOR_CONSUMER,
	FLOOR_BOTH,
	CASES
};

struct side {
	struct rondo_channel *channel;
	struct rondo_consumer *consumer;
	uint64_t taken; /* bytes of records */
	uint64_t calls;
};

static struct side looped, paced;

/* Records at a pace, and the thread that is woken by them. */
struct pace {
	uint64_t (*record_batch)(void); /* ticks */
	void *(*consume)(void *);
	pthread_t consumer;
	clockid_t consumer_clock;
	double producer_share, consumer_share; /* of the last window */
};

static struct bench_floor ground;
static uint64_t ground_calls;
static sem_t ground_filled;

static int consumer_cpu;
static bool ending;
static unsigned batches_in_window;
static uint64_t disturbed; /* batches */

static uint64_t clock_now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- in a loop, both sides one thread ---- */

static uint64_t take_all(struct rondo_consumer *from)
{
	struct rondo_view view;
	uint64_t bytes = 0;

	while (rondo_consumer_take(from, &view) == 0) {
		bytes += view.content - RONDO_PACKET_BYTES;
		rondo_consumer_release(from, &view);
	}
	return bytes;
}

BENCH_OP static void record_looped(uint64_t a, uint64_t b)
{
	bench_record(looped.channel, BYTES / 8, a, b);
}

/* In percent of a CPU, of ns a record. */
static double share_of(double ns)
{
	return ns * RATE / 1e9 * 100;
}

static double sample_looped(struct bench_case *one)
{
	uint64_t began = clock_now_ns(CLOCK_THREAD_CPUTIME_ID);

	for (unsigned done = 0; done < LOOP; done += TAKE_EVERY) {
		bench_call(one, TAKE_EVERY);
		looped.taken += take_all(looped.consumer);
	}
	began = clock_now_ns(CLOCK_THREAD_CPUTIME_ID) - began;
	looped.calls += LOOP;
	return share_of((double)began / LOOP);
}

/* ---- paced, the consumer a thread that sleeps ---- */

static void *consume(void *argument)
{
	(void)argument;
	bench_pin(consumer_cpu);
	while (!rondo_load_relaxed(&ending)) {
		rondo_consumer_wait(paced.consumer, -1);
		paced.taken += take_all(paced.consumer);
	}
	return NULL;
}

static __attribute__((noinline)) uint64_t record_batch(void)
{
	const uint64_t began = bench_ticks_alone();
	const uint64_t from = paced.calls;

	for (uint64_t i = from; i < from + BATCH; i++)
		bench_record(paced.channel, BYTES / 8, i, i ^ BENCH_MIX);
	paced.calls = from + BATCH;
	return bench_ticks_alone() - began;
}

/* ---- the same without a buffer: a floor, and somebody who is woken ---- */

static void *sleep_for_ever(void *argument)
{
	(void)argument;
	bench_pin(consumer_cpu);
	while (!rondo_load_relaxed(&ending))
		sem_wait(&ground_filled);
	return NULL;
}

static __attribute__((noinline)) uint64_t store_batch(void)
{
	const uint64_t began = bench_ticks_alone();
	const uint64_t from = ground_calls;

	for (uint64_t i = from; i < from + BATCH; i++)
		bench_floor_record(&ground, BYTES / 8, i, i ^ BENCH_MIX);
	ground_calls = from + BATCH;
	if (ground_calls / FILL != from / FILL)
		sem_post(&ground_filled);
	return bench_ticks_alone() - began;
}

/* ---- a window of either ---- */

static struct pace with_rondo = {
	.record_batch = record_batch,
	.consume = consume,
};
static struct pace with_floor = {
	.record_batch = store_batch,
	.consume = sleep_for_ever,
};

static void sleep_until(uint64_t ns)
{
	const struct timespec when = {(time_t)(ns / 1000000000u),
				      (long)(ns % 1000000000u)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL))
		;
}

/* A window of both sides; those that were interrupted count as the others. */
static double sample_producer(struct bench_case *one)
{
	struct pace *pace = one->context;
	const uint64_t began = bench_now_ns();
	const uint64_t consumed = clock_now_ns(pace->consumer_clock);
	unsigned counted = 0;
	double ns = 0;

	for (unsigned i = 0; i < batches_in_window; i++) {
		double batch;

		sleep_until(began + (uint64_t)i * BATCH_NS);
		batch = (double)pace->record_batch() * bench_ns_per_tick();
		if (batch < OTHERS_NS)
			ns += batch, counted++;
	}
	disturbed += batches_in_window - counted;
	pace->producer_share = counted ? share_of(ns / counted / BATCH) : 0;
	pace->consumer_share =
		(double)(clock_now_ns(pace->consumer_clock) - consumed) /
		((double)batches_in_window * BATCH_NS) * 100;
	return pace->producer_share;
}

static double sample_consumer(struct bench_case *one)
{
	const struct pace *pace = one->context;

	return pace->consumer_share;
}

static double sample_both(struct bench_case *one)
{
	const struct pace *pace = one->context;

	return pace->producer_share + pace->consumer_share;
}

/* ---- life and checks ---- */

/* Once round all page sets, so that nothing measured faults. */
static void touch(struct side *side)
{
	for (uint64_t i = 0; i < LAP; i++) {
		bench_record(side->channel, BYTES / 8, i, i ^ BENCH_MIX);
		if (i % TAKE_EVERY == 0)
			side->taken += take_all(side->consumer);
	}
	side->taken += take_all(side->consumer);
	side->calls += LAP;
}

static int start_consumer(struct pace *pace)
{
	int result = pthread_create(&pace->consumer, NULL, pace->consume, NULL);

	if (!result)
		result = pthread_getcpuclockid(pace->consumer,
					       &pace->consumer_clock);
	return result ? bench_fail("thread: %s", strerror(result)) : 0;
}

static int set_up(struct bench *bench)
{
	const struct rondo_config config = {0};
	int result;

	if (bench_channel(&config, "looped", BYTES, &looped.channel) ||
	    bench_channel(&config, "paced", BYTES, &paced.channel) ||
	    bench_describe(bench, paced.channel))
		return 1;
	result = rondo_consumer_open(looped.channel, &looped.consumer);
	if (!result)
		result = rondo_consumer_open(paced.channel, &paced.consumer);
	if (result)
		return bench_fail("open: %s", strerror(-result));
	touch(&looped);
	touch(&paced);
	consumer_cpu = bench_cpu_at(bench, 1);
	sem_init(&ground_filled, 0, 0);
	return bench_floor_create(&ground) || start_consumer(&with_rondo) ||
	       start_consumer(&with_floor);
}

/* Their last sub-buffer wakes them. */
static void end_consumers(void)
{
	rondo_store_relaxed(&ending, true);
	record_batch();
	rondo_channel_flush(paced.channel);
	sem_post(&ground_filled);
	pthread_join(with_rondo.consumer, NULL);
	pthread_join(with_floor.consumer, NULL);
}

static bool look(const struct rondo_item *item, void *context)
{
	(void)context;
	return bench_is_filled(item);
}

static int check(struct rondo_channel *channel, uint64_t calls, uint64_t taken)
{
	struct bench_readback found;
	struct rondo_stats stats;

	if (bench_read_back(channel, look, NULL, &found))
		return 1;
	rondo_channel_stats(channel, &stats);
	if (found.wrong)
		return bench_fail("%" PRIu64 " records are wrong", found.wrong);
	calls -= stats.refused_records[RONDO_REFUSED_FULL];
	return bench_all_there(channel, calls, BYTES, found.bytes + taken);
}

static int check_all(void)
{
	rondo_consumer_close(looped.consumer);
	rondo_consumer_close(paced.consumer);
	return check(looped.channel, looped.calls, looped.taken) ||
	       check(paced.channel, paced.calls, paced.taken);
}

/* ---- cases ---- */

static struct bench_case cases[CASES];

#define PACED(i, k, n, s, p)    \
	[i] = {.key = k,        \
	       .name = n,       \
	       .sample = s,     \
	       .unit = "%",     \
	       .context = &(p), \
	       .base = &cases[LOOPED]}

static struct bench_case cases[CASES] = {
	[LOOPED] = {.key = "looped",
		    .name = "without pause, one thread for both",
		    .op = record_looped,
		    .sample = sample_looped,
		    .unit = "%"},
	PACED(PRODUCER, "paced-producer", "100 each ms: producer",
	      sample_producer, with_rondo),
	PACED(CONSUMER, "paced-consumer",
	      "  consumer, woken by each sub-buffer", sample_consumer,
	      with_rondo),
	PACED(BOTH, "paced", "  both", sample_both, with_rondo),
	PACED(FLOOR_PRODUCER, "floor-producer", "100 floors each ms: producer",
	      sample_producer, with_floor),
	PACED(FLOOR_CONSUMER, "floor-consumer", "  somebody, woken as often",
	      sample_consumer, with_floor),
	PACED(FLOOR_BOTH, "floor", "  both", sample_both, with_floor),
};

static const struct bench_target targets[] = {
	{.number = "20",
	 .text = "share of a CPU, both sides, without pause",
	 .measure = BENCH_TIME,
	 .of = &cases[LOOPED],
	 .limit = 0.14,
	 .needs_rseq = true},
	{.number = "20",
	 .text = "  in batches after sleeps, caches as they are",
	 .measure = BENCH_TIME,
	 .of = &cases[BOTH],
	 .best_of = &cases[FLOOR_BOTH],
	 .limit = 0.14,
	 .needs_rseq = true},
};

static const char help[] = "In percent of one CPU; 0.10 is 10 ns a "
			   "record. First the CPU time of a loop\nthat "
			   "records and takes and releases each "
			   "sub-buffer, times the rate. Then at\nthat "
			   "rate in fact: 100 records, a sleep of the "
			   "rest of the millisecond; the\nconsumer is a "
			   "thread that sleeps until a sub-buffer is "
			   "ready, all its CPU time\ncounted, the "
			   "producer's sleeps not. Batches of over 100 us "
			   "were interrupted and\ncount as the mean of "
			   "the others. Floors: the same with stores and no "
			   "buffer, and a\nthread that is woken and does "
			   "nothing.";

int main(int argc, char **argv)
{
	struct bench bench = {
		.name = "self_monitor",
		.question = "What does a program pay that records 100,000 "
			    "events of 32 bytes a second?",
		.help = help,
		.heading = "percent of a CPU",
		.cases = cases,
		.case_count = CASES,
		.targets = targets,
		.target_count = sizeof(targets) / sizeof(targets[0]),
	};
	int status = bench_options(&bench, argc, argv);

	if (status >= 0)
		return status;
	bench.bursts = 1;
	bench.repetitions = bench.is_short ? 5 : 41;
	batches_in_window = bench.is_short ? 100 : 200;
	status = set_up(&bench);
	if (status)
		return status;
	bench_measure(&bench);
	end_consumers();
	status = check_all();
	if (status == 0)
		status = bench_report(&bench);
	if (status == 0 && disturbed)
		printf("\n%" PRIu64 " batches were interrupted\n", disturbed);
	bench_end(&bench);
	rondo_channel_destroy(looped.channel);
	rondo_channel_destroy(paced.channel);
	bench_floor_destroy(&ground);
	return status;
}
