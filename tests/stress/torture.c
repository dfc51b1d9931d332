/* SPDX-License-Identifier: MIT */
/*
 * Producers whose signal handlers record too, thrown from CPU to CPU, flushed
 * and interrupted inside the library, against a consumer; then every record
 * and every packet is accounted for. See usage().
 *
 * --planted: the harness itself spoils one record, in each of several ways, and
 * it must be noticed: a blind harness would pass everything.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <rondo/rondo.h>

#include "control.h"
#include "ring.h"
#include "support/gather.h"
#include "support/lanes.h"
#include "support/random.h"
#include "testpoint.h"

#define DEPTHS 8u     /* of nesting that a thread has lanes for */
#define HOOK_DEPTH 4u /* of nesting by test points */
#define PRODUCERS 16u /* at most */
#define STALLER 17u   /* worker */
#define FLUSHERS 2u
#define WORKERS (LANES / DEPTHS)
#define HELD 2u /* loans at once, less one */
#define RINGS_MAX 1024u

/* What one run is like. */
struct setup {
	const char *name;
	uint32_t threads;
	uint32_t flags;
	uint32_t order; /* of a sub-buffer */
	uint32_t count;
	uint32_t record_max;
	uint32_t rings;
	uint32_t clock;
	bool stalls; /* a thread sits on open records; nothing moves back */
};

static const struct setup setups[] = {
	{"keep oldest", 1, 0, 12, 4, 2032, 0, 0, false},
	{"keep newest", 1, RONDO_OVERWRITE, 16, 8, 2032, 0, 0, false},
	{"keep oldest", 2, 0, 16, 8, 2032, 0, 0, false},
	{"keep newest", 2, RONDO_OVERWRITE, 12, 4, 2032, 0, 0, false},
	{"keep oldest", 4, 0, 12, 4, 2032, 0, 0, false},
	{"keep newest", 4, RONDO_OVERWRITE, 12, 8, 2032, 0, 0, false},
	{"keep oldest", 16, 0, 12, 8, 2032, 0, 0, false},
	{"keep newest", 16, RONDO_OVERWRITE, 12, 4, 2032, 0, 0, false},
	{"full headers", 4, 0, 14, 4, 4000, 0, 0, false},
	{"full headers, keep newest", 4, RONDO_OVERWRITE, 13, 4, 4000, 0, 0,
	 false},
	{"monotonic clock", 4, RONDO_OVERWRITE, 12, 4, 2032, 0,
	 RONDO_CLOCK_MONOTONIC, false},
	{"by concurrency", 16, 0, 12, 8, 2032, RONDO_RINGS_BY_CONCURRENCY, 0,
	 false},
	{"by concurrency, keep newest", 16, RONDO_OVERWRITE, 12, 4, 2032,
	 RONDO_RINGS_BY_CONCURRENCY, 0, false},
	{"stalled writers", 4, 0, 12, 8, 2032, 0, 0, true},
};

enum plant {
	PLANT_NONE,
	PLANT_BIT,
	PLANT_LOST,
	PLANT_GHOST,
	PLANT_LOAN,
	PLANTS
};

struct worker {
	uint64_t random;
	uint32_t depth; /* how many of its own handlers it is in */
	uint32_t index;
	bool records; /* a producer: its handlers may record */
	timer_t timer;
	struct gathered gathered[DEPTHS];
	pthread_t thread;
};

/* A packet as it was taken. */
struct shipped {
	uint64_t number; /* from the first of the ring on */
	uint64_t begin, end;
	uint64_t lost[RONDO_CAUSES];
	uint32_t ring;
	uint32_t flags;
};

struct held {
	struct rondo_view view;
	uint64_t sum;
};

static const struct setup *setup;
static struct rondo_channel *channel;
static struct rondo_consumer *consumer;
static uint16_t class_id;
static uint32_t cpus;
static uint32_t stop, stop_consumer;
static uint32_t planted; /* enum plant, until it was done */
static uint64_t heads[RINGS_MAX];
static struct worker workers[WORKERS];
static __thread struct worker *self;

static struct {
	struct shipped *packets;
	uint64_t count, room;
	uint64_t expected_seq[RINGS_MAX];
	uint64_t last_number[RINGS_MAX];
	uint64_t overwritten; /* as views told */
	uint64_t last_sum;
	struct held held[HELD];
	uint32_t held_count;
	uint64_t random;
} reader;

static bool chance(uint64_t *random, uint64_t one_in)
{
	return test_random_below(random, one_in) == 0;
}

static bool take_plant(enum plant which)
{
	return rondo_load_relaxed(&planted) == which &&
	       rondo_cas32(&planted, which, PLANT_NONE);
}

static void hop(uint64_t *random)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(test_random_below(random, cpus), &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

/* ---- one record ---- */

enum act {
	ACT_COMMIT,
	ACT_WRITE,
	ACT_SHRINK,
	ACT_DISCARD,
	ACT_SQUASH
};

struct plan {
	enum act act;
	uint32_t bytes; /* asked for */
	uint32_t used;	/* committed */
	uint32_t align;
	uint32_t lane;
	uint32_t sequence;
};

static void disturb(struct worker *w);

static enum act choose_act(uint64_t dice)
{
	switch (dice & 31) {
	case 0:
	case 1:
		return setup->stalls ? ACT_COMMIT : ACT_DISCARD;
	case 2:
	case 3:
	case 4:
		return ACT_SHRINK;
	case 5:
	case 6:
	case 7:
	case 8:
		return setup->stalls ? ACT_COMMIT : ACT_SQUASH;
	case 9:
	case 10:
		return ACT_WRITE;
	default:
		return ACT_COMMIT;
	}
}

static struct plan make_plan(struct worker *w)
{
	uint64_t dice = test_random(&w->random);
	struct plan plan = {.act = choose_act(dice)};
	uint32_t most = 64;

	if ((dice >> 8 & 15) == 0)
		most = setup->record_max;
	else if ((dice >> 8 & 15) == 1)
		most = 512;
	plan.bytes = LANE_BYTES_MIN +
		     (uint32_t)((dice >> 16) % (most - LANE_BYTES_MIN + 1));
	if ((dice >> 12 & 15) == 0 && plan.bytes <= 512)
		plan.align = 8u << (dice >> 60 & 7);
	plan.used = plan.bytes;
	if (plan.act == ACT_SHRINK)
		plan.used = LANE_BYTES_MIN +
			    (uint32_t)((dice >> 40) %
				       (plan.bytes - LANE_BYTES_MIN + 1));
	plan.lane = w->index * DEPTHS + w->depth;
	return plan;
}

/* By the inlined code, by the call, or aligned. */
static int reserve(struct worker *w, const struct plan *plan,
		   struct rondo_record *out)
{
	if (plan->align)
		return rondo_reserve_aligned(channel, class_id, plan->bytes,
					     plan->align, out);
	if (chance(&w->random, 2))
		return rondo_reserve_call(channel, class_id, plan->bytes, out);
	return rondo_reserve(channel, class_id, plan->bytes, out);
}

static void refused(const struct plan *plan, int result)
{
	if (result != -ENOBUFS && result != -EBUSY)
		violation(BAD_ERROR, (uint64_t)-result, plan->bytes);
	lane_refused(plan->lane, plan->sequence, plan->bytes);
}

static void finish(struct rondo_record *record, const struct plan *plan)
{
	enum lane_outcome outcome = LANE_COMMITTED;
	int result = 0;

	if (plan->act == ACT_DISCARD || take_plant(PLANT_LOST)) {
		result = rondo_discard(record);
		if (plan->act == ACT_DISCARD)
			outcome = LANE_DISCARDED;
	} else if (plan->used != plan->bytes) {
		result = rondo_commit_len(record, plan->used);
	} else {
		result = rondo_commit(record);
	}
	if (result)
		violation(BAD_ERROR, (uint64_t)-result, plan->act);
	if (plan->act == ACT_SQUASH &&
	    rondo_squash(channel, rondo_mark(record)) == 0)
		outcome = LANE_SQUASHED;
	if (outcome == LANE_COMMITTED && take_plant(PLANT_GHOST))
		outcome = LANE_DISCARDED;
	lane_end(plan->lane, plan->sequence, outcome);
}

static void write_whole(const struct plan *plan)
{
	char bytes[4096];
	int result;

	lane_fill(bytes, plan->lane, plan->sequence, plan->bytes);
	result = rondo_write(channel, class_id, bytes, plan->bytes);
	if (result)
		refused(plan, result);
	else
		lane_end(plan->lane, plan->sequence, LANE_COMMITTED);
}

/* False: this lane is full. */
static bool record(struct worker *w)
{
	struct plan plan = make_plan(w);
	struct rondo_record record;
	int result;

	plan.sequence = lane_begin(plan.lane);
	if (plan.sequence == LANE_RECORDS)
		return false;
	if (plan.act == ACT_WRITE) {
		write_whole(&plan);
		return true;
	}
	result = reserve(w, &plan, &record);
	if (result) {
		refused(&plan, result);
		return true;
	}
	lane_fill(record.data, plan.lane, plan.sequence, plan.used);
	if (plan.act == ACT_COMMIT && take_plant(PLANT_BIT))
		((char *)record.data)[plan.used - 1] ^= 4;
	if (chance(&w->random, 128))
		disturb(w);
	finish(&record, &plan);
	return true;
}

/* ---- disturbances ---- */

static void record_nested(struct worker *w)
{
	w->depth++;
	if (w->records)
		(void)record(w);
	w->depth--;
}

static void disturb(struct worker *w)
{
	if (w->depth >= HOOK_DEPTH)
		return;
	switch (test_random_below(&w->random, 8)) {
	case 0:
	case 1:
		sched_yield();
		break;
	case 2:
		hop(&w->random);
		break;
	case 3:
		raise(SIGRTMIN);
		break;
	case 4:
	case 5:
	case 6:
		record_nested(w);
		break;
	default:
		for (uint64_t i = test_random_below(&w->random, 500); i; i--)
			__asm__ volatile("");
	}
}

static void on_signal(int signal)
{
	struct worker *w = self;
	int saved = errno;

	(void)signal;
	if (w && w->depth < DEPTHS - 1)
		record_nested(w);
	errno = saved;
}

static int pretended_aborts(void)
{
	return self && chance(&self->random, 64) ? 8 : 0;
}

/* ---- what is overwritten ---- */

static void before_overwrite(const struct rondo_map *map, uint32_t ring,
			     uint64_t slot)
{
	struct worker *w = self;

	if (w)
		gather(&w->gathered[w->depth], map,
		       rondo_map_pages(map, ring, rondo_slot_pages(slot)));
}

static void on_testpoint(enum rondo_testpoint at)
{
	struct worker *w = self;

	if (!w)
		return;
	if (at == RONDO_AT_OVERWRITE)
		gathered_overwritten(&w->gathered[w->depth]);
	if (chance(&w->random, 64))
		disturb(w);
}

/* ---- threads ---- */

static void sleep_us(uint64_t us)
{
	const struct timespec time = {0, (long)us * 1000};

	nanosleep(&time, NULL);
}

static void start_timer(struct worker *w)
{
	long period = 150000 + (long)test_random_below(&w->random, 300000);
	const struct itimerspec every = {{0, period}, {0, period}};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
				 .sigev_signo = SIGRTMIN};

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &w->timer))
		abort();
	timer_settime(w->timer, 0, &every, NULL);
}

static void *run_producer(void *argument)
{
	struct worker *w = argument;

	self = w;
	start_timer(w);
	while (!rondo_load_relaxed(&stop)) {
		/* A full lane: its handlers go on. */
		if (!record(w) || chance(&w->random, 64))
			sched_yield();
		if (chance(&w->random, 1024))
			hop(&w->random);
	}
	timer_delete(w->timer);
	self = NULL;
	return NULL;
}

static void *run_flusher(void *argument)
{
	struct worker *w = argument;

	self = w;
	while (!rondo_load_relaxed(&stop)) {
		if (rondo_channel_flush(channel) < 0)
			violation(BAD_ERROR, 0, 0);
		sleep_us(1 + test_random_below(&w->random, 1500));
		if (chance(&w->random, 16))
			hop(&w->random);
	}
	self = NULL;
	return NULL;
}

/* Long enough to be quarantined. */
static void *run_staller(void *argument)
{
	struct worker *w = argument;

	self = w;
	while (!rondo_load_relaxed(&stop)) {
		struct plan plan = {
			.bytes = 40, .used = 40, .lane = w->index * DEPTHS};
		struct rondo_record record;
		int result;

		plan.sequence = lane_begin(plan.lane);
		result = rondo_reserve(channel, class_id, 40, &record);
		if (result) {
			refused(&plan, result);
			continue;
		}
		lane_fill(record.data, plan.lane, plan.sequence, 40);
		sleep_us(20000 + test_random_below(&w->random, 40000));
		finish(&record, &plan);
		hop(&w->random);
	}
	self = NULL;
	return NULL;
}

/* ---- the consumer ---- */

static uint64_t sum_of(const struct rondo_view *view)
{
	const uint64_t *words = (const void *)view->data;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < view->bytes / 8; i++)
		sum = (sum ^ words[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static void release_held(uint32_t index)
{
	struct held *held = &reader.held[index];

	if (take_plant(PLANT_LOAN))
		((char *)(uintptr_t)held->view.data)[200] ^= 1;
	if (sum_of(&held->view) != held->sum)
		violation(LOAN_CHANGED, held->view.ring, held->view.number);
	if (rondo_consumer_release(consumer, &held->view))
		violation(BAD_ERROR, held->view.ring, held->view.number);
	*held = reader.held[--reader.held_count];
}

static void read_records(const struct rondo_view *view)
{
	struct rondo_item item;
	struct lane_payload payload;
	uint64_t time = view->time_begin;
	int result;

	memset(&item, 0, sizeof(item));
	while ((result = rondo_view_next(view, &item)) > 0) {
		if (item.id != class_id)
			violation(BAD_CLASS, item.id, view->number);
		else if (!lane_read(item.data, item.bytes, &payload))
			violation(BAD_PAYLOAD, LANE_DELIVERED, view->number);
		else
			lane_see(&payload, LANE_DELIVERED);
		if (item.time < time)
			violation(TIME_BACKWARDS, item.time, time);
		if (item.time > view->time_end)
			violation(TIME_OUTSIDE, item.time, view->time_end);
		time = item.time;
	}
	if (result < 0)
		violation(BAD_PACKET, view->ring, view->number);
}

static void check_order(const struct rondo_view *view, uint64_t number)
{
	if (view->flags & RONDO_VIEW_LATE)
		return;
	if (view->seq != reader.expected_seq[view->ring] + view->overwritten)
		violation(BAD_SEQUENCE, view->seq,
			  reader.expected_seq[view->ring]);
	reader.expected_seq[view->ring] = view->seq + 1;
	if (number + 1 <= reader.last_number[view->ring])
		violation(BAD_NUMBER, number, reader.last_number[view->ring]);
	reader.last_number[view->ring] = number + 1;
	reader.overwritten += view->overwritten;
}

static void note_packet(const struct rondo_view *view)
{
	const struct rondo_control *control = channel->control;
	const uint64_t first = control->map.count + rondo_testpoint_start;
	struct shipped *packet;

	if (reader.count == reader.room) {
		reader.room = reader.room ? reader.room * 2 : 4096;
		reader.packets =
			realloc(reader.packets, reader.room * sizeof(*packet));
		if (!reader.packets)
			abort();
	}
	packet = &reader.packets[reader.count++];
	packet->ring = view->ring;
	packet->flags = view->flags;
	packet->number = (view->number - first) & RONDO_NUMBER_MASK;
	packet->begin = view->time_begin;
	packet->end = view->time_end;
	memcpy(packet->lost, view->lost, sizeof(packet->lost));
	check_order(view, packet->number);
}

/* False: nothing to take. */
static bool take_one(void)
{
	struct held held;
	int result = rondo_consumer_take(consumer, &held.view);

	if (result == -ENOSPC && reader.held_count) {
		release_held(0);
		return true;
	}
	if (result) {
		if (result != -EAGAIN && result != -ENODATA)
			violation(BAD_ERROR, (uint64_t)-result, 0);
		return false;
	}
	note_packet(&held.view);
	read_records(&held.view);
	held.sum = sum_of(&held.view);
	if (reader.held_count == HELD)
		release_held(0);
	reader.held[reader.held_count++] = held;
	return true;
}

static void *run_consumer(void *argument)
{
	(void)argument;
	while (!rondo_load_relaxed(&stop_consumer)) {
		if (!take_one())
			(void)rondo_consumer_wait(consumer, 2000000);
		else if (setup->flags & RONDO_OVERWRITE &&
			 chance(&reader.random, 4))
			sleep_us(1000);
		while (reader.held_count && chance(&reader.random, 3))
			release_held(0);
	}
	return NULL;
}

/* ---- accounts ---- */

static int compare_packets(const void *left, const void *right)
{
	const struct shipped *a = left, *b = right;

	if (a->ring != b->ring)
		return a->ring < b->ring ? -1 : 1;
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return 0;
}

static void check_packets(void)
{
	qsort(reader.packets, reader.count, sizeof(*reader.packets),
	      compare_packets);
	for (uint64_t i = 0; i < reader.count; i++) {
		const struct shipped *b = &reader.packets[i], *a = b - 1;

		if (b->end < b->begin)
			violation(TIME_OUTSIDE, b->end, b->begin);
		if (i == 0 || a->ring != b->ring)
			continue;
		if (a->number == b->number)
			violation(SEEN_TWICE, b->ring, b->number);
		if (b->begin < a->end)
			violation(TIME_BACKWARDS, b->begin, a->end);
		/* What is quarantined tells them as of then. */
		if ((a->flags | b->flags) & RONDO_VIEW_STALLED)
			continue;
		for (unsigned k = 0; k < RONDO_CAUSES; k++)
			if (b->lost[k] < a->lost[k])
				violation(REFUSED_DECREASES, b->lost[k],
					  a->lost[k]);
	}
}

static void expect_sum(uint64_t library, uint64_t ours)
{
	if (library != ours)
		violation(BAD_SUM, library, ours);
}

static void check_rings(void)
{
	struct rondo_control *control = channel->control;
	uint32_t touched = 0;
	const char *why;

	for (uint32_t i = 0; i < control->map.ring_count; i++) {
		const struct rondo_ring *ring =
			rondo_map_ring(&control->map, i);

		touched += rondo_load_relaxed(&ring->head) != heads[i];
		if (rondo_ring_check(control, i, &why)) {
			fprintf(stderr, "ring %u: %s\n", i, why);
			violation(NOT_QUIET, i,
				  rondo_load_relaxed(&ring->head));
		}
	}
	if (touched > cpus)
		violation(RINGS_TOUCHED, touched, cpus);
}

static void check_sums(const struct rondo_stats *stats,
		       const struct lane_totals *totals)
{
	uint64_t records = 0, bytes = 0;

	for (unsigned i = 0; i < RONDO_CAUSES; i++) {
		records += stats->refused_records[i];
		bytes += stats->refused_bytes[i];
	}
	expect_sum(records, totals->outcomes[LANE_REFUSED]);
	expect_sum(bytes, totals->refused_bytes);
	expect_sum(stats->squashed, totals->outcomes[LANE_SQUASHED]);
	expect_sum(stats->discarded, totals->outcomes[LANE_DISCARDED]);
	expect_sum(stats->delivered, stats->taken + stats->overwritten);
	if (reader.overwritten > stats->overwritten)
		violation(BAD_SUM, reader.overwritten, stats->overwritten);
	if (totals->outcomes[LANE_COMMITTED] !=
	    totals->delivered + totals->overwritten + totals->unseen)
		violation(BAD_SUM, totals->outcomes[LANE_COMMITTED],
			  totals->delivered + totals->overwritten);
}

static void report(const struct rondo_stats *stats,
		   const struct lane_totals *totals)
{
	printf("%-28s %2u threads, 2^%u x %u, %s: attempted %" PRIu64
	       " committed %" PRIu64 " delivered %" PRIu64
	       " overwritten %" PRIu64 " refused %" PRIu64 " discarded %" PRIu64
	       " squashed %" PRIu64 " abandoned %" PRIu64 " | crossed %" PRIu64
	       " flushed %" PRIu64 " revoked %" PRIu64 " passed over %" PRIu64
	       " late commits %" PRIu64 " aborts %" PRIu64
	       " quarantined %" PRIu64 "\n",
	       setup->name, setup->threads, setup->order, setup->count,
	       stats->reason == RONDO_MODE_RSEQ ? "rseq" : "atomic",
	       totals->attempted, totals->outcomes[LANE_COMMITTED],
	       totals->delivered, totals->overwritten,
	       totals->outcomes[LANE_REFUSED], totals->outcomes[LANE_DISCARDED],
	       totals->outcomes[LANE_SQUASHED], stats->abandoned,
	       stats->delivered, stats->flushes, stats->revocations,
	       stats->passed_over, stats->late_commits, stats->aborts,
	       stats->quarantined);
	fflush(stdout);
}

static void account(void)
{
	struct lane_totals totals;
	struct rondo_stats stats;

	check_packets();
	check_rings();
	rondo_channel_stats(channel, &stats);
	/* A record whose writer sat between head and header (atomic mode) is
	 * abandoned without having been seen open. */
	lanes_account(&totals);
	if (setup->stalls ? totals.unseen < stats.abandoned : totals.unseen)
		violation(COMMITTED_NOT_SEEN, totals.unseen, stats.abandoned);
	check_sums(&stats, &totals);
	report(&stats, &totals);
}

/* ---- a run ---- */

/* Just before some counter wraps. */
static uint64_t random_start(uint64_t *random)
{
	const unsigned bits = rondo_number_bits(setup->order);
	const uint64_t wraps[] = {0, UINT64_C(1) << (bits - 1),
				  UINT64_C(1) << bits, UINT64_C(1) << 45,
				  UINT64_C(1) << 46};
	uint64_t wrap = wraps[test_random_below(random, 5)];

	return (wrap - setup->count - test_random_below(random, 64)) &
	       RONDO_NUMBER_MASK;
}

static void open_channel(uint64_t *random)
{
	const struct rondo_config config = {
		.size = sizeof(config),
		.flags = setup->flags,
		.subbuf_bytes = UINT64_C(1) << setup->order,
		.subbuf_count = setup->count,
		.spare_count = HELD + 1,
		.record_max = setup->record_max,
		.rings = setup->rings,
		.clock = setup->clock,
		.stall_ms = setup->stalls ? 3 : 1000000,
	};
	const struct rondo_event_class record = {
		.size = sizeof(record),
		.name = "test:record",
		.field_size = sizeof(struct rondo_field),
	};
	const struct rondo_map *map;

	rondo_testpoint_start = random_start(random);
	if (rondo_channel_create(&config, &channel) ||
	    rondo_event_register(channel, &record, &class_id) ||
	    rondo_consumer_open(channel, &consumer))
		abort();
	map = &channel->control->map;
	for (uint32_t i = 0; i < map->ring_count && i < RINGS_MAX; i++)
		heads[i] = rondo_load_relaxed(&rondo_map_ring(map, i)->head);
}

static struct worker *start(uint32_t index, bool records, void *(*run)(void *),
			    uint64_t *random)
{
	struct worker *w = &workers[index];

	w->random = test_random(random);
	w->index = index;
	w->records = records;
	w->depth = 0;
	for (uint32_t i = 0; i < DEPTHS; i++)
		gathered_create(&w->gathered[i], UINT64_C(1) << setup->order);
	if (pthread_create(&w->thread, NULL, run, w))
		abort();
	return w;
}

static void run_threads(uint64_t *random, uint64_t ms)
{
	uint32_t count = setup->threads;
	pthread_t thread;

	stop = stop_consumer = 0;
	if (pthread_create(&thread, NULL, run_consumer, NULL))
		abort();
	for (uint32_t i = 0; i < setup->threads; i++)
		start(i, true, run_producer, random);
	for (uint32_t i = 0; i < FLUSHERS; i++)
		start(count++, false, run_flusher, random);
	if (setup->stalls)
		start(count++, false, run_staller, random);
	for (; ms; ms--)
		sleep_us(999);
	rondo_store_relaxed(&stop, 1u);
	while (count--)
		pthread_join(workers[count].thread, NULL);
	rondo_store_relaxed(&stop_consumer, 1u);
	pthread_join(thread, NULL);
}

static void run(uint64_t *random, uint64_t ms)
{
	struct shipped *packets = reader.packets;
	uint64_t room = reader.room;

	memset(&reader, 0, sizeof(reader));
	reader.packets = packets;
	reader.room = room;
	reader.random = test_random(random);
	lanes_reset();
	open_channel(random);
	run_threads(random, ms);
	rondo_channel_stop(channel);
	if (rondo_channel_flush(channel) < 0)
		violation(BAD_ERROR, 1, 1);
	while (take_one())
		continue;
	while (reader.held_count)
		release_held(0);
	account();
	rondo_consumer_close(consumer);
	rondo_channel_destroy(channel);
}

/* ---- command line ---- */

static int usage(const char *program)
{
	fprintf(stderr,
		"usage: %s [--ms MS] [--rounds N] [--only NAME] [--seed N]\n"
		"       %s --planted\n"
		"--ms: length of each run; --only: runs whose name begins so\n",
		program, program);
	return 2;
}

/* Every plant must be noticed. */
static int run_planted(uint64_t *random)
{
	int blind = 0;

	setup = &setups[4];
	for (uint32_t plant = PLANT_NONE + 1; plant < PLANTS; plant++) {
		planted = plant;
		run(random, 100);
		if (planted != PLANT_NONE || violations() == 0) {
			printf("plant %u was not noticed\n", plant);
			blind = 1;
		}
		violations_report(stdout);
	}
	return blind;
}

static int run_all(uint64_t *random, uint64_t ms, uint64_t rounds,
		   const char *only)
{
	int bad = 0;

	for (uint64_t round = 0; round < rounds; round++)
		for (size_t i = 0; i < sizeof(setups) / sizeof(setups[0]);
		     i++) {
			setup = &setups[i];
			if (only && strncmp(only, setup->name, strlen(only)))
				continue;
			run(random, ms);
			bad |= violations() != 0;
			violations_report(stdout);
		}
	return bad;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"ms", required_argument, NULL, 'm'},
		{"rounds", required_argument, NULL, 'r'},
		{"only", required_argument, NULL, 'o'},
		{"seed", required_argument, NULL, 's'},
		{"planted", no_argument, NULL, 'p'},
		{NULL, 0, NULL, 0},
	};
	const struct sigaction action = {.sa_handler = on_signal,
					 .sa_flags = SA_RESTART};
	uint64_t ms = 800, rounds = 1, random;
	const char *only = NULL;
	bool plant = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'm':
			ms = strtoull(optarg, NULL, 0);
			break;
		case 'r':
			rounds = strtoull(optarg, NULL, 0);
			break;
		case 'o':
			only = optarg;
			break;
		case 's':
			setenv("RONDO_TEST_SEED", optarg, 1);
			break;
		case 'p':
			plant = true;
			break;
		default:
			return usage(argv[0]);
		}
	}
	random = test_seed();
	cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	sigaction(SIGRTMIN, &action, NULL);
	rondo_testpoint_hook = on_testpoint;
	rondo_testpoint_aborts = pretended_aborts;
	rondo_testpoint_overwrite = before_overwrite;
	return plant ? run_planted(&random) :
		       run_all(&random, ms, rounds, only);
}
