/* SPDX-License-Identifier: MIT */
/*
 * Channels: what is in force and why, the gate, sums, attaching, and what a
 * child of fork may do with what it inherits.
 */
#include "support/test.h"
#include "support/process.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include <rondo/rondo.h>

#include "control.h"
#include "os.h"
#include "registry.h"

#define SIZE sizeof(struct rondo_config)

/* A channel with a class for it. */
struct fixture {
	struct rondo_channel *channel;
	uint16_t id;
};

static int fixture_make(const struct rondo_config *config, struct fixture *out)
{
	struct rondo_event_class class = {.size = sizeof(class),
					  .name = "test:empty",
					  .field_size =
						  sizeof(struct rondo_field)};
	int result = rondo_channel_create(config, &out->channel);

	return result ? result :
			rondo_event_register(out->channel, &class, &out->id);
}

static struct fixture fixture_new(const struct rondo_config *config)
{
	struct fixture fixture;

	assert_int_equal(fixture_make(config, &fixture), 0);
	return fixture;
}

static int record(const struct fixture *fixture)
{
	return rondo_write(fixture->channel, fixture->id, "12345678", 8);
}

/* Records that a flush of the whole channel finds to deliver, as bytes. */
static uint64_t open_bytes(const struct rondo_channel *channel)
{
	struct rondo_stats stats;

	assert_int_equal(rondo_channel_stats(channel, &stats), 0);
	return stats.open_bytes;
}

/* ---- modes ---- */

static uint32_t reason_of(const struct rondo_config *config)
{
	struct rondo_channel *channel;
	struct rondo_stats stats;

	if (rondo_channel_create(config, &channel))
		return UINT32_MAX;
	rondo_channel_stats(channel, &stats);
	rondo_channel_destroy(channel);
	return stats.reason;
}

static uint32_t expected_reason(void)
{
	struct rondo_os_rseq rseq;
	const char *variable = getenv("RONDO_RSEQ");

	rondo_os_rseq(&rseq);
	if (variable && !strcmp(variable, "0"))
		return RONDO_MODE_ENVIRONMENT;
	if (!RONDO_HAVE_RSEQ)
		return RONDO_MODE_NOT_BUILT;
	return rseq.registered ? RONDO_MODE_RSEQ : RONDO_MODE_UNREGISTERED;
}

static void the_mode_in_force_is_told_with_its_reason(void **state)
{
	struct rondo_config asked = {.size = SIZE, .flags = RONDO_NO_RSEQ};
	struct rondo_channel *channel;
	struct rondo_stats stats;

	(void)state;
	assert_int_equal(reason_of(NULL), expected_reason());
	assert_int_equal(reason_of(&asked), RONDO_MODE_ASKED);
	assert_int_equal(rondo_channel_create(NULL, &channel), 0);
	assert_int_equal(rondo_channel_stats(channel, &stats), 0);
	assert_int_equal(stats.mode, stats.reason == RONDO_MODE_RSEQ ?
					     RONDO_HEAD_RSEQ :
					     RONDO_HEAD_ATOMIC);
	rondo_channel_destroy(channel);
}

/* All of them, of a channel that has no sequences, and the extra one. */
static void a_ring_says_why_it_is_atomic(void **state)
{
	const struct rondo_config asked = {.size = SIZE,
					   .flags = RONDO_NO_RSEQ};
	struct fixture fixture = fixture_new(&asked);
	struct rondo_stats ring;
	uint32_t rings = 0;

	(void)state;
	while (rondo_ring_stats(fixture.channel, rings, &ring) == 0) {
		assert_int_equal(ring.mode, RONDO_HEAD_ATOMIC);
		assert_int_equal(ring.reason, RONDO_MODE_ASKED);
		rings++;
	}
	assert_true(rings > 1);
	rondo_channel_destroy(fixture.channel);
	fixture = fixture_new(NULL);
	assert_int_equal(rondo_ring_stats(fixture.channel, rings - 1, &ring),
			 0);
	assert_int_equal(ring.mode, RONDO_HEAD_ATOMIC);
	assert_int_equal(ring.reason, expected_reason() == RONDO_MODE_RSEQ ?
					      RONDO_MODE_EXTRA_RING :
					      expected_reason());
	rondo_channel_destroy(fixture.channel);
}

static int create_without_membarrier(void *argument)
{
	uint32_t expected = expected_reason();
	struct fixture fixture;

	(void)argument;
	if (test_refuse(SYS_membarrier, -1, 0, EPERM) ||
	    rondo_os_fence_register() != -EPERM)
		return TEST_CHILD_SKIP;
	if (expected == RONDO_MODE_RSEQ)
		expected = RONDO_MODE_NO_MEMBARRIER;
	TEST_CHILD_CHECK(reason_of(NULL) == expected);
	TEST_CHILD_CHECK(!fixture_make(NULL, &fixture));
	TEST_CHILD_CHECK(!record(&fixture));
	TEST_CHILD_CHECK(rondo_channel_flush(fixture.channel) == 1);
	TEST_CHILD_CHECK(!rondo_channel_destroy(fixture.channel));
	return 0;
}

static void without_membarrier_rings_are_atomic_and_work(void **state)
{
	int status = test_in_child(create_without_membarrier, NULL);

	(void)state;
	if (status == TEST_CHILD_SKIP)
		skip();
	assert_int_equal(status, 0);
}

/* What a thread may ask to know its ring; pretended to be missing. */
static bool no_rseq_area, no_cheap_cpu;
static int pretended_cpu = -1;

void __real_rondo_os_rseq(struct rondo_os_rseq *out);
void __wrap_rondo_os_rseq(struct rondo_os_rseq *out);
int __real_rondo_os_cpu_cheap(void);
int __wrap_rondo_os_cpu_cheap(void);

void __wrap_rondo_os_rseq(struct rondo_os_rseq *out)
{
	__real_rondo_os_rseq(out);
	if (no_rseq_area)
		memset(out, 0, sizeof(*out));
}

int __wrap_rondo_os_cpu_cheap(void)
{
	if (pretended_cpu >= 0)
		return pretended_cpu;
	return no_cheap_cpu ? -1 : __real_rondo_os_cpu_cheap();
}

/* After membarrier had been registered it is refused. */
static bool fence_fails;

int __real_rondo_os_fence(int cpu);
int __wrap_rondo_os_fence(int cpu);

int __wrap_rondo_os_fence(int cpu)
{
	return fence_fails ? -EPERM : __real_rondo_os_fence(cpu);
}

/* Some records, all of them to one ring, and found there. */
static bool can_record(const struct fixture *fixture)
{
	uint64_t bytes = 0;

	for (int i = 0; i < 10; i++) {
		if (record(fixture))
			return false;
		if (open_bytes(fixture->channel) <= bytes)
			return false;
		bytes = open_bytes(fixture->channel);
	}
	return rondo_channel_flush(fixture->channel) == 1;
}

/* rings in force * 16 + reason */
static int rings_and_reason(void)
{
	struct rondo_config config = {.size = SIZE,
				      .rings = RONDO_RINGS_BY_CONCURRENCY};
	struct rondo_config in_force = {.size = SIZE};
	struct rondo_stats stats;
	struct fixture fixture;

	if (fixture_make(&config, &fixture) ||
	    rondo_channel_config(fixture.channel, &in_force) ||
	    rondo_channel_stats(fixture.channel, &stats) ||
	    !can_record(&fixture) || rondo_channel_destroy(fixture.channel))
		return 255;
	return (int)(in_force.rings * 16 + stats.reason);
}

static void a_thread_that_cannot_ask_where_it_is_has_a_ring(void **state)
{
	struct fixture fixture;

	(void)state;
	no_rseq_area = no_cheap_cpu = true;
	fixture = fixture_new(NULL);
	assert_false(fixture.channel->control->by_id);
	assert_true(can_record(&fixture));
	assert_int_equal(rondo_channel_destroy(fixture.channel), 0);
	no_rseq_area = no_cheap_cpu = false;
}

/* A CPU that was added, say. Its ring is none of the others'. */
static void
a_thread_on_a_cpu_without_a_ring_records_in_the_extra_one(void **state)
{
	struct rondo_stats stats;
	struct fixture fixture;
	int rings;

	(void)state;
	no_rseq_area = true;
	fixture = fixture_new(NULL);
	rings = (int)fixture.channel->control->map.ring_count;
	for (pretended_cpu = rings - 1; pretended_cpu < 4 * rings;
	     pretended_cpu++)
		assert_int_equal(record(&fixture), 0);
	pretended_cpu = -1;
	no_rseq_area = false;
	assert_int_equal(rondo_ring_stats(fixture.channel, (uint32_t)rings - 1,
					  &stats),
			 0);
	assert_int_equal(stats.open_bytes, (3 * rings + 1) * (8 + 8));
	assert_int_equal(open_bytes(fixture.channel), stats.open_bytes);
	assert_int_equal(rondo_channel_destroy(fixture.channel), 0);
}

/* This program again, on one CPU; see main. */
static int exec_modes(void)
{
	rondo_os_pin(sched_getcpu());
	execl("/proc/self/exe", "test", "modes", (char *)NULL);
	return TEST_CHILD_SKIP;
}

/* rseq turned off in its libc. */
static int exec_without_rseq(void *argument)
{
	(void)argument;
	setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1);
	return exec_modes();
}

/* Where the self-test cannot go to a CPU. */
static int exec_where_none_is_pinned(void *argument)
{
	(void)argument;
	rondo_os_pin(sched_getcpu());
	if (test_refuse(SYS_sched_setaffinity, -1, 0, EPERM))
		return TEST_CHILD_SKIP;
	return exec_modes();
}

static void a_self_test_that_cannot_be_made_accuses_nobody(void **state)
{
	int status;

	(void)state;
	if (expected_reason() != RONDO_MODE_RSEQ)
		skip();
	status = test_in_child(exec_where_none_is_pinned, NULL);
	if (status == TEST_CHILD_SKIP)
		skip();
	assert_int_equal(status % 16, RONDO_MODE_RSEQ);
}

static void without_registration_rings_are_atomic(void **state)
{
	(void)state;
	if (expected_reason() != RONDO_MODE_RSEQ)
		skip();
	/* As main says it: rings by CPU, since there are no other ids. */
	assert_int_equal(test_in_child(exec_without_rseq, NULL),
			 RONDO_RINGS_BY_CPU * 16 + RONDO_MODE_UNREGISTERED);
}

static void inlined_code_is_let_in_only_where_it_is_right(void **state)
{
	const struct rondo_config slow[] = {
		{.size = SIZE, .record_max = 4096},
		{.size = SIZE, .clock = RONDO_CLOCK_MONOTONIC},
		{.size = SIZE, .clock = RONDO_CLOCK_NONE},
		{.size = SIZE, .flags = RONDO_NO_RSEQ},
	};
	struct rondo_channel *channel;

	(void)state;
	for (size_t i = 0; i < TEST_COUNT(slow); i++) {
		assert_int_equal(rondo_channel_create(&slow[i], &channel), 0);
		assert_int_equal(channel->span, 0);
		rondo_channel_destroy(channel);
	}
	assert_int_equal(rondo_channel_create(NULL, &channel), 0);
	if (channel->control->reason != RONDO_MODE_RSEQ ||
	    !channel->control->clock_in_sequence)
		assert_int_equal(channel->span, 0);
	else
		assert_int_equal(channel->span,
				 (UINT64_C(262144) - RONDO_TAIL_BYTES)
					 << RONDO_POSITION_SHIFT);
	assert_int_equal(channel->magic, RONDO_MAGIC);
	assert_int_equal(channel->layout, RONDO_LAYOUT);
	assert_int_equal(channel->gate[RONDO_GATE],
			 channel->control->map.ring_count - 1);
	assert_int_equal(channel->gate[!RONDO_GATE], 0);
	rondo_channel_destroy(channel);
}

static void rings_by_concurrency_are_there_or_said_not_to_be(void **state)
{
	struct rondo_config config = {.size = SIZE,
				      .rings = RONDO_RINGS_BY_CONCURRENCY};
	struct rondo_config in_force = {.size = SIZE};
	struct rondo_os_rseq rseq;
	struct fixture fixture = fixture_new(&config);
	const struct rondo_channel *handle = fixture.channel;

	(void)state;
	rondo_os_rseq(&rseq);
	assert_int_equal(rondo_channel_config(handle, &in_force), 0);
	if (rseq.concurrency_ids) {
		assert_int_equal(in_force.rings, RONDO_RINGS_BY_CONCURRENCY);
		assert_int_equal(handle->offsets.id, handle->offsets.rseq + 24);
	} else {
		assert_int_equal(in_force.rings, RONDO_RINGS_BY_CPU);
	}
	assert_int_equal(record(&fixture), 0);
	assert_int_equal(rondo_channel_flush(fixture.channel), 1);
	rondo_channel_destroy(fixture.channel);
}

/* ---- gate, config, sums ---- */

static void a_stopped_channel_refuses_and_does_not_count(void **state)
{
	struct fixture fixture = fixture_new(NULL);
	struct rondo_stats stats;
	struct rondo_record open = {0};

	(void)state;
	assert_int_equal(rondo_reserve(fixture.channel, fixture.id, 8, &open),
			 0);
	assert_int_equal(rondo_channel_stop(fixture.channel), 0);
	assert_int_equal(rondo_channel_stop(fixture.channel), 0);
	assert_int_equal(record(&fixture), -ESHUTDOWN);
	/* What was reserved before may still be committed. */
	memset(open.data, 0, 8);
	assert_int_equal(rondo_commit(&open), 0);
	assert_int_equal(rondo_channel_stats(fixture.channel, &stats), 0);
	for (int i = 0; i < (int)RONDO_CAUSES; i++)
		assert_int_equal(stats.refused_records[i], 0);
	assert_int_equal(rondo_channel_flush(fixture.channel), 1);
	assert_int_equal(rondo_channel_start(fixture.channel), 0);
	assert_int_equal(record(&fixture), 0);
	rondo_channel_destroy(fixture.channel);
}

static void the_config_in_force_is_told_to_old_and_new_callers(void **state)
{
	struct rondo_config config = {.size = SIZE,
				      .flags = RONDO_OVERWRITE,
				      .subbuf_bytes = 65536,
				      .subbuf_count = 16,
				      .spare_count = 3,
				      .record_max = 5000,
				      .clock = RONDO_CLOCK_MONOTONIC,
				      .flush_ms = 7,
				      .wake_subbufs = 4,
				      .stall_ms = 55,
				      .name = "all set"};
	struct {
		struct rondo_config config;
		char later[16];
	} newer;
	struct rondo_config out;
	struct rondo_channel *channel;

	(void)state;
	assert_int_equal(rondo_channel_create(&config, &channel), 0);
	memset(&out, 0xff, sizeof(out));
	out.size = SIZE;
	assert_int_equal(rondo_channel_config(channel, &out), 0);
	assert_string_equal(out.name, "all set");
	assert_ptr_not_equal(out.name, config.name);
	out.name = config.name;
	assert_memory_equal(&out, &config, SIZE);

	memset(&out, 0xff, sizeof(out));
	out.size = 16;
	assert_int_equal(rondo_channel_config(channel, &out), 0);
	assert_int_equal(out.size, 16);
	assert_int_equal(out.subbuf_bytes, 65536);
	assert_int_equal(out.subbuf_count, UINT32_MAX); /* untouched */

	memset(&newer, 0xff, sizeof(newer));
	newer.config.size = sizeof(newer);
	assert_int_equal(rondo_channel_config(channel, &newer.config), 0);
	assert_int_equal(newer.config.stall_ms, 55);
	assert_int_equal(newer.later[0], 0);

	out.size = 0;
	assert_int_equal(rondo_channel_config(channel, &out), -EINVAL);
	rondo_channel_destroy(channel);
}

static void what_is_no_channel_is_refused(void **state)
{
	const struct rondo_event_class class = {.size = sizeof(class)};
	struct rondo_channel stranger = {.magic = 0}, *channel = NULL;
	struct rondo_writer *writer;
	struct rondo_record out;
	struct rondo_stats stats;
	uint16_t id;

	(void)state;
	for (int i = 0; i < 2; i++, channel = &stranger) {
		assert_int_equal(rondo_event_register(channel, &class, &id),
				 -EINVAL);
		assert_int_equal(rondo_writer_open(channel, "/x", &writer),
				 -EINVAL);
		assert_int_equal(rondo_snapshot(channel, "/x"), -EINVAL);
	}
	assert_null(rondo_registry_find(NULL));
	/* As one that has been wiped, in a child. */
	assert_int_equal(rondo_reserve_aligned(&stranger, 16, 8, 8, &out),
			 -ESHUTDOWN);
	assert_int_equal(rondo_squash(&stranger, (struct rondo_mark){0}),
			 -ESHUTDOWN);
	assert_int_equal(rondo_channel_flush(&stranger), 0);
	assert_int_equal(rondo_channel_stats(&stranger, &stats), -EINVAL);
	assert_int_equal(rondo_channel_destroy(&stranger), -EINVAL);
	assert_int_equal(rondo_channel_destroy(NULL), 0);
}

/* ---- flushes from elsewhere ---- */

static void anothers_idle_rings_are_left_alone(void **state)
{
	struct fixture fixture = fixture_new(NULL);
	struct rondo_channel *attached;

	(void)state;
	assert_int_equal(rondo_channel_attach(rondo_channel_fd(fixture.channel),
					      &attached),
			 0);
	assert_int_equal(rondo_channel_flush(attached), 0);
	rondo_channel_destroy(attached);
	rondo_channel_destroy(fixture.channel);
}

/* A ring of a concurrency id has no CPU that one could go to. */
static void anothers_rings_by_concurrency_cannot_be_flushed(void **state)
{
	const struct rondo_config config = {
		.size = SIZE, .rings = RONDO_RINGS_BY_CONCURRENCY};
	struct rondo_config in_force = {.size = SIZE};
	struct fixture fixture = fixture_new(&config);
	struct rondo_channel *attached;

	(void)state;
	assert_int_equal(rondo_channel_config(fixture.channel, &in_force), 0);
	assert_int_equal(rondo_channel_attach(rondo_channel_fd(fixture.channel),
					      &attached),
			 0);
	assert_int_equal(record(&fixture), 0);
	if (in_force.rings == RONDO_RINGS_BY_CONCURRENCY &&
	    reason_of(&config) == RONDO_MODE_RSEQ)
		assert_int_equal(rondo_channel_flush(attached), -EOPNOTSUPP);
	rondo_channel_destroy(attached);
	rondo_channel_destroy(fixture.channel);
}

static void *flush_from_afar(void *argument)
{
	const struct fixture *fixture = argument;
	int result = rondo_os_pin(1);

	if (!result)
		result = rondo_channel_flush(fixture->channel);
	/* One's own ring needs none: what was closed is told, not the other. */
	if (!record(fixture) && rondo_channel_flush(fixture->channel) != 1)
		result = 1;
	return (void *)(intptr_t)result;
}

static void a_fence_that_is_refused_costs_the_flush_alone(void **state)
{
	struct rondo_stats ring;
	struct fixture fixture;
	pthread_t thread;
	cpu_set_t before;
	void *result;

	(void)state;
	sched_getaffinity(0, sizeof(before), &before);
	if (expected_reason() != RONDO_MODE_RSEQ || !CPU_ISSET(1, &before) ||
	    rondo_os_pin(0))
		skip();
	fixture = fixture_new(NULL);
	assert_int_equal(record(&fixture), 0);
	fence_fails = true;
	pthread_create(&thread, NULL, flush_from_afar, &fixture);
	pthread_join(thread, &result);
	fence_fails = false;
	assert_int_equal((intptr_t)result, -EPERM);
	/* Who is in the middle of a sequence was not told to leave it. */
	assert_int_equal(rondo_ring_stats(fixture.channel, 0, &ring), 0);
	assert_int_equal(ring.mode, RONDO_HEAD_RSEQ);
	assert_int_equal(record(&fixture), 0);
	assert_int_equal(rondo_channel_flush(fixture.channel), 1);
	rondo_channel_destroy(fixture.channel);
	sched_setaffinity(0, sizeof(before), &before);
}

static int flush_where_one_may_not_go(void *argument)
{
	struct fixture fixture;
	struct rondo_channel *attached;

	TEST_CHILD_CHECK(!fixture_make(argument, &fixture));
	TEST_CHILD_CHECK(!rondo_channel_attach(
		rondo_channel_fd(fixture.channel), &attached));
	TEST_CHILD_CHECK(!record(&fixture));
	if (test_refuse(SYS_sched_getaffinity, -1, 0, EPERM))
		return TEST_CHILD_SKIP;
	TEST_CHILD_CHECK(rondo_channel_flush(attached) == -EPERM);
	TEST_CHILD_CHECK(rondo_channel_flush(fixture.channel) == 1);
	return 0;
}

static void a_flush_that_may_not_go_there_says_so(void **state)
{
	struct rondo_config config = {.size = SIZE};
	int status;

	(void)state;
	if (expected_reason() != RONDO_MODE_RSEQ)
		skip();
	status = test_in_child(flush_where_one_may_not_go, &config);
	if (status == TEST_CHILD_SKIP)
		skip();
	assert_int_equal(status, 0);
}

/* Its rings are moved by swaps, from wherever one is. */
static int flush_atomic_where_one_may_not_go(void *argument)
{
	struct fixture fixture;
	struct rondo_channel *attached;

	TEST_CHILD_CHECK(!fixture_make(argument, &fixture));
	TEST_CHILD_CHECK(!rondo_channel_attach(
		rondo_channel_fd(fixture.channel), &attached));
	TEST_CHILD_CHECK(!record(&fixture));
	if (test_refuse(SYS_sched_getaffinity, -1, 0, EPERM))
		return TEST_CHILD_SKIP;
	TEST_CHILD_CHECK(rondo_channel_flush(attached) == 1);
	TEST_CHILD_CHECK(rondo_channel_flush(fixture.channel) == 0);
	return 0;
}

static void a_flush_of_anothers_atomic_rings_goes_nowhere(void **state)
{
	struct rondo_config config = {.size = SIZE, .flags = RONDO_NO_RSEQ};
	int status;

	(void)state;
	status = test_in_child(flush_atomic_where_one_may_not_go, &config);
	if (status == TEST_CHILD_SKIP)
		skip();
	assert_int_equal(status, 0);
}

static void a_channels_numbers_are_the_sum_of_its_rings(void **state)
{
	struct fixture fixture = fixture_new(NULL);
	static const char large[2033];
	struct rondo_stats sum, ring;
	uint64_t big = 0, big_bytes = 0, delivered = 0, flushes = 0;

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(record(&fixture), 0);
		assert_int_equal(rondo_channel_flush(fixture.channel), 1);
		assert_int_equal(rondo_write(fixture.channel, fixture.id, large,
					     sizeof(large)),
				 -EMSGSIZE);
	}
	assert_int_equal(record(&fixture), 0);
	assert_int_equal(open_bytes(fixture.channel), 8 + 8);
	assert_int_equal(record(&fixture), 0);
	assert_int_equal(open_bytes(fixture.channel), 2 * (8 + 8));
	assert_int_equal(rondo_channel_stats(fixture.channel, &sum), 0);
	assert_int_equal(sum.rings, rondo_os_cpu_ids() + 1);
	for (uint32_t i = 0; i < sum.rings; i++) {
		assert_int_equal(rondo_ring_stats(fixture.channel, i, &ring),
				 0);
		assert_int_equal(ring.rings, 1);
		big += ring.refused_records[RONDO_REFUSED_BIG];
		big_bytes += ring.refused_bytes[RONDO_REFUSED_BIG];
		delivered += ring.delivered;
		flushes += ring.flushes;
	}
	assert_int_equal(big, 5);
	assert_int_equal(big_bytes, 5 * 2033);
	assert_int_equal(delivered, 5);
	assert_int_equal(flushes, 5);
	assert_int_equal(sum.refused_records[RONDO_REFUSED_BIG], big);
	assert_int_equal(sum.refused_bytes[RONDO_REFUSED_BIG], big_bytes);
	assert_int_equal(sum.delivered, delivered);
	assert_int_equal(sum.flushes, flushes);
	assert_int_equal(rondo_ring_stats(fixture.channel, sum.rings, &ring),
			 -ENOENT);
	rondo_channel_destroy(fixture.channel);
}

static void only_ours_can_be_destroyed_and_only_once(void **state)
{
	struct rondo_channel *channel;
	char other[256];

	(void)state;
	assert_int_equal(rondo_channel_destroy(NULL), 0);
	assert_int_equal(rondo_channel_destroy((void *)other), -EINVAL);
	assert_int_equal(rondo_channel_create(NULL, &channel), 0);
	assert_int_equal(rondo_channel_destroy(channel), 0);
	assert_int_equal(rondo_channel_destroy(channel), -EINVAL);
}

static void a_channel_with_a_consumer_stays(void **state)
{
	struct fixture fixture = fixture_new(NULL);
	struct rondo_consumer *consumer;

	(void)state;
	assert_int_equal(rondo_consumer_open(fixture.channel, &consumer), 0);
	assert_int_equal(rondo_channel_destroy(fixture.channel), -EBUSY);
	assert_int_equal(record(&fixture), 0);
	assert_int_equal(rondo_consumer_close(consumer), 0);
	assert_int_equal(rondo_channel_destroy(fixture.channel), 0);
}

static void many_channels_come_and_go_and_leave_nothing(void **state)
{
	struct rondo_config config = {.size = SIZE, .subbuf_bytes = 65536};
	struct rondo_channel *channels[10], *again[10];
	struct test_holdings before, after;

	(void)state;
	before = test_holdings();
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 10; i++)
			assert_int_equal(
				rondo_channel_create(&config, &channels[i]), 0);
		for (int i = 0; i < 10; i++)
			assert_int_equal(rondo_channel_attach(
						 rondo_channel_fd(channels[i]),
						 &again[i]),
					 0);
		for (int i = 0; i < 10; i++) {
			assert_ptr_equal(rondo_registry_find(channels[i]),
					 channels[i]->control);
			assert_int_equal(rondo_channel_destroy(channels[i]), 0);
			assert_null(rondo_registry_find(channels[i]));
			assert_int_equal(rondo_channel_destroy(again[i]), 0);
		}
	}
	after = test_holdings();
	assert_int_equal(before.descriptors, after.descriptors);
	assert_int_equal(before.shared_maps, after.shared_maps);
}

static void errno_is_nobodys_business_here(void **state)
{
	struct rondo_channel *channel, *attached;
	struct rondo_config config = {.size = SIZE,
				      .flags = RONDO_HUGE | RONDO_MLOCK};
	struct rondo_stats stats;

	(void)state;
	errno = 1234;
	assert_int_equal(rondo_channel_create(&config, &channel), 0);
	assert_int_equal(
		rondo_channel_attach(rondo_channel_fd(channel), &attached), 0);
	rondo_channel_stats(channel, &stats);
	rondo_channel_flush(channel);
	rondo_channel_stop(channel);
	rondo_channel_start(channel);
	assert_true(rondo_config_bytes(NULL) > 0);
	rondo_channel_destroy(attached);
	rondo_channel_destroy(channel);
	assert_int_equal(rondo_channel_attach(-1, &attached), -EBADF);
	assert_int_equal(errno, 1234);
}

/* ---- attached ---- */

static void an_attached_channel_shows_but_does_not_record(void **state)
{
	struct fixture fixture = fixture_new(NULL), attached;
	struct rondo_stats ours, theirs;

	(void)state;
	assert_int_equal(rondo_channel_attach(rondo_channel_fd(fixture.channel),
					      &attached.channel),
			 0);
	attached.id = fixture.id;
	assert_int_equal(record(&attached), -ESHUTDOWN);
	assert_int_equal(rondo_channel_start(attached.channel), -ESHUTDOWN);
	assert_int_equal(record(&attached), -ESHUTDOWN);
	assert_int_equal(rondo_channel_stop(attached.channel), 0);
	assert_int_equal(record(&fixture), 0);
	assert_true(open_bytes(attached.channel) > 0);
	assert_int_equal(rondo_channel_stats(fixture.channel, &ours), 0);
	assert_int_equal(rondo_channel_stats(attached.channel, &theirs), 0);
	assert_int_equal(ours.reason, theirs.reason);
	assert_int_equal(ours.mode, theirs.mode);
	assert_int_equal(rondo_channel_destroy(attached.channel), 0);
	assert_int_equal(record(&fixture), 0);
	rondo_channel_destroy(fixture.channel);
}

/* ---- children ---- */

static int use_what_is_inherited(void *argument)
{
	const struct fixture *inherited = argument;
	struct rondo_channel *channel = inherited->channel;
	struct rondo_config config = {.size = SIZE};
	struct rondo_record open = {0};
	struct rondo_stats stats;
	struct fixture own;

	TEST_CHILD_CHECK(record(inherited) == -ESHUTDOWN);
	TEST_CHILD_CHECK(rondo_reserve_call(channel, inherited->id, 8, &open) ==
			 -ESHUTDOWN);
	TEST_CHILD_CHECK(rondo_channel_start(channel) == -ESHUTDOWN);
	TEST_CHILD_CHECK(record(inherited) == -ESHUTDOWN);
	TEST_CHILD_CHECK(rondo_channel_stop(channel) == 0);
	TEST_CHILD_CHECK(rondo_channel_flush(channel) == 0);
	TEST_CHILD_CHECK(rondo_channel_stats(channel, &stats) == 0);
	TEST_CHILD_CHECK(rondo_channel_config(channel, &config) == 0);
	TEST_CHILD_CHECK(!strcmp(config.name, "rondo"));
	TEST_CHILD_CHECK(rondo_channel_fd(channel) >= 0);
	TEST_CHILD_CHECK(fixture_make(NULL, &own) == 0);
	TEST_CHILD_CHECK(record(&own) == 0);
	TEST_CHILD_CHECK(rondo_channel_destroy(channel) == 0);
	TEST_CHILD_CHECK(record(&own) == 0);
	TEST_CHILD_CHECK(rondo_channel_destroy(own.channel) == 0);
	return 0;
}

static void a_child_has_no_channel_but_may_make_its_own(void **state)
{
	struct fixture fixture = fixture_new(NULL);
	uint64_t before;

	(void)state;
	assert_int_equal(record(&fixture), 0);
	before = open_bytes(fixture.channel);
	assert_int_equal(test_in_child(use_what_is_inherited, &fixture), 0);
	assert_int_equal(open_bytes(fixture.channel), before);
	assert_int_equal(record(&fixture), 0);
	/* In one ring, or in two when this thread has moved. */
	assert_true(rondo_channel_flush(fixture.channel) > 0);
	rondo_channel_destroy(fixture.channel);
}

static int fork_again(void *argument)
{
	return test_in_child(use_what_is_inherited, argument);
}

static void a_childs_child_is_no_better_off(void **state)
{
	struct fixture fixture = fixture_new(NULL);

	(void)state;
	assert_int_equal(test_in_child(fork_again, &fixture), 0);
	assert_int_equal(record(&fixture), 0);
	rondo_channel_destroy(fixture.channel);
}

/* Every word of the memory that is not a record's. */
static uint64_t fingerprint(const struct rondo_channel *channel)
{
	const struct rondo_map *map = &channel->control->map;
	const char *end = map->base + map->pages_offset;
	uint64_t sum = 0, word;

	for (const char *at = map->base; at < end; at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sum = (sum ^ word) * UINT64_C(0x100000001b3);
	}
	return sum;
}

static int end_what_is_open(void *argument)
{
	struct rondo_record *open = argument;
	struct rondo_record copy = *open, shorter = *open;

	memset(open->data, 'c', open->bytes);
	TEST_CHILD_CHECK(rondo_commit(open) == 0);
	TEST_CHILD_CHECK(rondo_discard(&copy) == 0);
	TEST_CHILD_CHECK(rondo_commit_len(&shorter, 0) == 0);
	return 0;
}

static void a_child_cannot_end_its_parents_record(void **state)
{
	struct fixture fixture = fixture_new(NULL);
	struct rondo_record open = {0};
	uint64_t before;

	(void)state;
	assert_int_equal(rondo_reserve(fixture.channel, fixture.id, 8, &open),
			 0);
	memset(open.data, 'p', 8);
	before = fingerprint(fixture.channel);
	assert_int_equal(test_in_child(end_what_is_open, &open), 0);
	assert_int_equal(fingerprint(fixture.channel), before);
	assert_memory_equal(open.data, "pppppppp", 8);
	assert_int_equal(rondo_commit(&open), 0);
	assert_int_equal(rondo_channel_flush(fixture.channel), 1);
	rondo_channel_destroy(fixture.channel);
}

static int scribble(void *argument)
{
	const struct rondo_map *map = argument;

	memset(map->base + 4096, 0xee, map->bytes - 4096);
	return 0;
}

static void what_a_child_writes_its_parent_does_not_see(void **state)
{
	struct fixture fixture = fixture_new(NULL);
	uint64_t before = fingerprint(fixture.channel);

	(void)state;
	assert_int_equal(
		test_in_child(scribble, &fixture.channel->control->map), 0);
	assert_int_equal(fingerprint(fixture.channel), before);
	rondo_channel_destroy(fixture.channel);
}

/* Programs that close what they do not know, and get the numbers again. */
static void a_lost_descriptor_does_not_endanger_a_child(void **state)
{
	struct fixture fixture = fixture_new(NULL);
	int own = rondo_channel_fd(fixture.channel);
	int kept = dup(own), other = rondo_os_memfd("other");
	uint64_t before = fingerprint(fixture.channel);

	(void)state;
	assert_int_equal(dup2(other, own), own);
	assert_int_equal(
		test_in_child(scribble, &fixture.channel->control->map), 0);
	assert_int_equal(rondo_os_size(other), 0);
	close(own);
	assert_int_equal(
		test_in_child(scribble, &fixture.channel->control->map), 0);
	assert_int_equal(fingerprint(fixture.channel), before);
	assert_int_equal(dup2(kept, own), own);
	close(kept);
	close(other);
	rondo_channel_destroy(fixture.channel);
}

/* A child whose fork handlers do not run; only the kernel wipes its handle. */
static int clone_without_handlers(int (*what)(void *), void *argument)
{
	int status;
	long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		_exit(what(argument));
	if (pid < 0 || waitpid((pid_t)pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int use_what_is_wiped(void *argument)
{
	const struct fixture *inherited = argument;
	struct rondo_channel *channel = inherited->channel;
	struct rondo_stats stats;

	TEST_CHILD_CHECK(channel->magic == 0);
	TEST_CHILD_CHECK(record(inherited) == -ESHUTDOWN);
	TEST_CHILD_CHECK(rondo_channel_start(channel) == -ESHUTDOWN);
	TEST_CHILD_CHECK(record(inherited) == -ESHUTDOWN);
	TEST_CHILD_CHECK(rondo_channel_stop(channel) == 0);
	TEST_CHILD_CHECK(rondo_channel_flush(channel) == 0);
	TEST_CHILD_CHECK(rondo_channel_stats(channel, &stats) == 0);
	TEST_CHILD_CHECK(rondo_channel_destroy(channel) == 0);
	return 0;
}

/* Its memory is its parent's, which may take it for open still. */
static int end_what_is_wiped(void *argument)
{
	struct rondo_record *inherited = argument;

	TEST_CHILD_CHECK(rondo_commit(inherited) == 0);
	return 0;
}

static void a_child_without_fork_handlers_is_shut_out_too(void **state)
{
	struct rondo_record open = {0};
	struct fixture fixture;
	uint64_t before;
	uint8_t state_byte;

	(void)state;
	if (test_is_emulated())
		skip();
	fixture = fixture_new(NULL);
	before = fingerprint(fixture.channel);
	assert_int_equal(clone_without_handlers(use_what_is_wiped, &fixture),
			 0);
	assert_int_equal(fingerprint(fixture.channel), before);
	assert_int_equal(record(&fixture), 0);
	assert_int_equal(rondo_reserve(fixture.channel, fixture.id, 8, &open),
			 0);
	before = fingerprint(fixture.channel);
	state_byte = ((uint8_t *)open.data)[-1];
	assert_int_equal(clone_without_handlers(end_what_is_wiped, &open), 0);
	assert_int_equal(fingerprint(fixture.channel), before);
	assert_int_equal(((uint8_t *)open.data)[-1], state_byte);
	assert_int_equal(rondo_commit(&open), 0);
	rondo_channel_destroy(fixture.channel);
}

/* ---- fork while others record ---- */

#define FORKS 20

static struct {
	struct fixture fixture;
	uint32_t stop;
	uint64_t recorded;
} busy;

static void *record_until_stopped(void *argument)
{
	while (!rondo_load_relaxed(&busy.stop)) {
		int result = record(&busy.fixture);

		if (!result)
			rondo_add_relaxed(&busy.recorded, 1);
		else if (result != -ENOBUFS && result != -EBUSY)
			break;
	}
	return argument;
}

static int destroy_inherited(void *argument)
{
	const struct fixture *fixture = argument;

	TEST_CHILD_CHECK(record(fixture) == -ESHUTDOWN);
	TEST_CHILD_CHECK(rondo_channel_destroy(fixture->channel) == 0);
	return 0;
}

static void forks_while_others_record_disturb_nobody(void **state)
{
	struct rondo_config config = {
		.size = SIZE, .subbuf_bytes = 65536, .flags = RONDO_OVERWRITE};
	pthread_t threads[2];
	uint64_t before;

	(void)state;
	busy.fixture = fixture_new(&config);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						record_until_stopped, NULL),
				 0);
	for (int i = 0; i < FORKS; i++)
		assert_int_equal(
			test_in_child(destroy_inherited, &busy.fixture), 0);
	/* They still do. */
	before = rondo_load_relaxed(&busy.recorded);
	while (rondo_load_relaxed(&busy.recorded) == before)
		sched_yield();
	rondo_store_relaxed(&busy.stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(rondo_channel_destroy(busy.fixture.channel), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_mode_in_force_is_told_with_its_reason),
		cmocka_unit_test(a_ring_says_why_it_is_atomic),
		cmocka_unit_test(without_membarrier_rings_are_atomic_and_work),
		cmocka_unit_test(without_registration_rings_are_atomic),
		cmocka_unit_test(
			a_thread_that_cannot_ask_where_it_is_has_a_ring),
		cmocka_unit_test(what_is_no_channel_is_refused),
		cmocka_unit_test(anothers_idle_rings_are_left_alone),
		cmocka_unit_test(
			anothers_rings_by_concurrency_cannot_be_flushed),
		cmocka_unit_test(a_flush_that_may_not_go_there_says_so),
		cmocka_unit_test(a_flush_of_anothers_atomic_rings_goes_nowhere),
		cmocka_unit_test(a_fence_that_is_refused_costs_the_flush_alone),
		cmocka_unit_test(
			a_self_test_that_cannot_be_made_accuses_nobody),
		cmocka_unit_test(
			a_thread_on_a_cpu_without_a_ring_records_in_the_extra_one),
		cmocka_unit_test(inlined_code_is_let_in_only_where_it_is_right),
		cmocka_unit_test(
			rings_by_concurrency_are_there_or_said_not_to_be),
		cmocka_unit_test(a_stopped_channel_refuses_and_does_not_count),
		cmocka_unit_test(
			the_config_in_force_is_told_to_old_and_new_callers),
		cmocka_unit_test(a_channels_numbers_are_the_sum_of_its_rings),
		cmocka_unit_test(only_ours_can_be_destroyed_and_only_once),
		cmocka_unit_test(a_channel_with_a_consumer_stays),
		cmocka_unit_test(many_channels_come_and_go_and_leave_nothing),
		cmocka_unit_test(errno_is_nobodys_business_here),
		cmocka_unit_test(an_attached_channel_shows_but_does_not_record),
		cmocka_unit_test(a_child_has_no_channel_but_may_make_its_own),
		cmocka_unit_test(a_childs_child_is_no_better_off),
		cmocka_unit_test(a_child_cannot_end_its_parents_record),
		cmocka_unit_test(what_a_child_writes_its_parent_does_not_see),
		cmocka_unit_test(a_lost_descriptor_does_not_endanger_a_child),
		cmocka_unit_test(a_child_without_fork_handlers_is_shut_out_too),
		cmocka_unit_test(forks_while_others_record_disturb_nobody),
	};

	/* exec_without_rseq */
	if (argc > 1 && !strcmp(argv[1], "modes"))
		return rings_and_reason();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
