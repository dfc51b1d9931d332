/* SPDX-License-Identifier: MIT */
/*
 * Taking and releasing: order, numbers, losses, loans, who may consume, and
 * what damaged headers lead to.
 */
#include "support/consume.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory.h"
#include "support/process.h"
#include "support/random.h"

/* Everything recorded from first on, in however many sub-buffers. */
static uint64_t take_all(struct consume *c, uint64_t first)
{
	struct rondo_view view, last = {.time_end = 0};
	uint64_t numbers[512];

	while (rondo_consumer_take(c->consumer, &view) == 0) {
		uint32_t count;

		consume_check(c, &view);
		assert_int_equal(view.flags, 0);
		count = consume_numbers(&view, numbers, 512);
		for (uint32_t i = 0; i < count; i++)
			assert_int_equal(numbers[i], first++);
		if (last.time_end) {
			assert_int_equal(view.seq, last.seq + 1);
			assert_int_equal(view.number,
					 (last.number + 1) & RONDO_NUMBER_MASK);
			assert_true(view.time_begin >= last.time_end);
		}
		last = view;
		consume_release(c, &view);
	}
	return first;
}

static void record_and_take(const struct rondo_config *config)
{
	struct consume c = consume_start(config);
	uint64_t next = 1;

	consume_nothing(&c, -EAGAIN);
	for (int lap = 0; lap < 40; lap++) {
		consume_fill(&c);
		if (lap % 3 == 2)
			next = take_all(&c, next);
	}
	rondo_channel_flush(c.channel);
	assert_int_equal(take_all(&c, next), c.recorded + 1);
	assert_int_equal(consume_stats(&c).taken, consume_stats(&c).delivered);
	assert_int_equal(rondo_rings_ready(c.map), 0);
	consume_end(&c);
}

static void what_was_recorded_comes_out_in_order(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;

	(void)state;
	record_and_take(&config);
	config.record_max = 3000; /* full headers */
	record_and_take(&config);
	config.spare_count = 1;
	config.clock = RONDO_CLOCK_MONOTONIC;
	record_and_take(&config);
}

static void numbers_may_wrap(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	const unsigned bits = rondo_number_bits(12);
	const uint64_t starts[] = {
		(UINT64_C(1) << bits) - 20,
		(UINT64_C(1) << (bits - 1)) - 20,
		RONDO_NUMBER_MASK - 20 - 3,
		(RONDO_NUMBER_MASK >> 1) - 20,
	};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		rondo_testpoint_start = starts[i] & ~UINT64_C(3);
		config.flags = i & 1 ? RONDO_OVERWRITE : 0;
		record_and_take(&config);
	}
	rondo_testpoint_start = 0;
}

static void a_stopped_channel_ends_when_all_is_taken(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);

	(void)state;
	consume_deliver(&c, 3);
	consume_deliver(&c, 2);
	consume_record(&c);
	rondo_channel_stop(c.channel);
	consume_expect(&c, 1, 3);
	consume_expect(&c, 4, 2);
	consume_nothing(&c, -EAGAIN); /* one is in an open sub-buffer */
	assert_int_equal(rondo_channel_flush(c.channel), 1);
	consume_expect(&c, 6, 1);
	consume_nothing(&c, -ENODATA);
	rondo_channel_start(c.channel);
	consume_nothing(&c, -EAGAIN);
	consume_end(&c);
}

static void an_open_record_keeps_a_stopped_channel_from_its_end(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	struct rondo_record record = consume_reserve(&c);

	(void)state;
	rondo_channel_stop(c.channel);
	rondo_channel_flush(c.channel);
	consume_nothing(&c, -EAGAIN);
	rondo_commit(&record);
	consume_expect(&c, 1, 1);
	consume_nothing(&c, -ENODATA);
	consume_end(&c);
}

static void there_is_one_consumer(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	struct rondo_consumer *second = NULL;
	struct rondo_channel *attached;

	(void)state;
	assert_int_equal(rondo_consumer_open(c.channel, &second), -EBUSY);
	assert_int_equal(rondo_channel_attach(rondo_channel_fd(c.channel),
					      &attached),
			 0);
	assert_int_equal(rondo_consumer_open(attached, &second), -EBUSY);
	assert_null(second);
	assert_int_equal(rondo_channel_destroy(c.channel), -EBUSY);
	assert_int_equal(rondo_consumer_close(c.consumer), 0);
	assert_int_equal(rondo_consumer_open(attached, &second), 0);
	assert_int_equal(rondo_consumer_open(c.channel, &c.consumer), -EBUSY);
	assert_int_equal(rondo_consumer_close(second), 0);
	assert_int_equal(rondo_channel_destroy(attached), 0);
	assert_int_equal(rondo_consumer_close(NULL), 0);
	assert_int_equal(rondo_channel_destroy(c.channel), 0);
}

static void spares_bound_what_is_on_loan(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	struct rondo_view a, b, other;

	(void)state;
	for (int i = 0; i < 3; i++)
		consume_deliver(&c, 1);
	a = consume_take(&c);
	b = consume_take(&c);
	consume_nothing(&c, -ENOSPC);
	consume_release(&c, &a);
	assert_int_equal(rondo_consumer_release(c.consumer, &a), -EINVAL);
	consume_expect(&c, 3, 1);
	/* None left: that none is free is no answer any more. */
	a = b;
	consume_deliver(&c, 1);
	other = consume_take(&c);
	consume_nothing(&c, -EAGAIN);
	other.pages ^= 1;
	assert_int_equal(rondo_consumer_release(c.consumer, &other), -EINVAL);
	other.pages ^= 1;
	other.ring = UINT32_MAX;
	assert_int_equal(rondo_consumer_release(c.consumer, &other), -EINVAL);
	consume_end(&c);
}

/* I-own */
static void nobody_writes_to_what_is_on_loan(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct consume c;
	struct rondo_view view;
	char before[4096];

	(void)state;
	config.flags = RONDO_OVERWRITE;
	c = consume_start(&config);
	consume_fill(&c);
	consume_fill(&c);
	view = consume_take(&c);
	memcpy(before, view.data, view.bytes);
	for (int i = 0; i < 50; i++)
		consume_fill(&c);
	assert_memory_equal(view.data, before, view.bytes);
	consume_release(&c, &view);
	consume_end(&c);
}

static void what_was_overwritten_is_a_hole_in_the_numbers(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct rondo_view view;
	uint64_t seq = 0, told = 0;
	struct consume c;

	(void)state;
	config.flags = RONDO_OVERWRITE;
	c = consume_start(&config);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 2 + 4 * round; i++)
			consume_fill(&c);
		while (rondo_consumer_take(c.consumer, &view) == 0) {
			assert_int_equal(view.seq, seq + view.overwritten);
			seq = view.seq + 1;
			told += view.overwritten;
			consume_check(&c, &view);
			consume_release(&c, &view);
		}
		assert_int_equal(told, consume_stats(&c).overwritten);
		/* Nor does it reach a watermark any more. */
		assert_int_equal(rondo_rings_ready(c.map), 0);
	}
	assert_true(told > 20);
	consume_end(&c);
}

static void the_oldest_left_comes_first(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	uint64_t numbers[512], last;
	struct rondo_view view;
	struct consume c;

	(void)state;
	config.flags = RONDO_OVERWRITE;
	c = consume_start(&config);
	for (int i = 0; i < 11; i++)
		consume_fill(&c);
	rondo_channel_flush(c.channel);
	last = 0;
	while (rondo_consumer_take(c.consumer, &view) == 0) {
		uint32_t count = consume_numbers(&view, numbers, 512);

		if (last)
			assert_int_equal(numbers[0], last + 1);
		last = numbers[count - 1];
		consume_release(&c, &view);
	}
	assert_int_equal(last, c.recorded);
	consume_end(&c);
}

/* ---- races, made by hand ---- */

static struct consume *raced;
static enum rondo_testpoint race_at;
static int race_count;
static void (*race_step)(struct consume *c);

static void race(enum rondo_testpoint at)
{
	if (at != race_at || race_count == 0)
		return;
	race_count--;
	race_step(raced);
}

static void start_race(struct consume *c, enum rondo_testpoint at, int count,
		       void (*step)(struct consume *c))
{
	raced = c;
	race_at = at;
	race_count = count;
	race_step = step;
	rondo_testpoint_hook = race;
}

static void end_race(void)
{
	rondo_testpoint_hook = NULL;
}

static void lap_once(struct consume *c)
{
	for (int i = 0; i < 5; i++)
		consume_fill(c);
}

static void a_take_that_loses_to_an_overwrite_takes_the_next(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct rondo_view view;
	uint64_t numbers[512];
	struct consume c;

	(void)state;
	config.flags = RONDO_OVERWRITE;
	c = consume_start(&config);
	consume_fill(&c);
	consume_fill(&c);
	start_race(&c, RONDO_AT_TAKE, 3, lap_once);
	view = consume_take(&c);
	end_race();
	consume_numbers(&view, numbers, 512);
	assert_true(numbers[0] > 1);
	assert_int_equal(view.seq, view.overwritten);
	consume_release(&c, &view);
	consume_end(&c);
}

static void a_take_that_always_loses_gives_up(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct consume c;

	(void)state;
	config.flags = RONDO_OVERWRITE;
	c = consume_start(&config);
	consume_fill(&c);
	consume_fill(&c);
	start_race(&c, RONDO_AT_TAKE, -1, lap_once);
	consume_nothing(&c, -EAGAIN);
	end_race();
	consume_end(&c);
}

/* Delivered after the look began: what comes before it may not have been seen
 * yet, and its turn is not now. */
static int looks;
static struct rondo_record left_open;

static void close_behind_the_look(struct consume *c)
{
	if (++looks != 2)
		return;
	rondo_channel_flush(c->channel);
	consume_deliver(c, 1);
}

static void a_look_takes_nothing_newer_than_its_head(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);

	(void)state;
	for (uint64_t i = 1; i <= 4; i++) {
		consume_deliver(&c, 1);
		consume_expect(&c, i, 1);
	}
	/* Open in the first slot; the next one will be in the second. */
	left_open = consume_reserve(&c);
	/* A new consumer looks at every slot. */
	assert_int_equal(rondo_consumer_close(c.consumer), 0);
	assert_int_equal(rondo_consumer_open(c.channel, &c.consumer), 0);
	looks = 0;
	start_race(&c, RONDO_AT_LOOK, -1, close_behind_the_look);
	consume_nothing(&c, -EAGAIN);
	end_race();
	assert_true(looks >= 2);
	rondo_commit(&left_open);
	assert_int_equal(consume_expect(&c, 5, 1).flags, 0);
	assert_int_equal(consume_expect(&c, 6, 1).flags, 0);
	consume_end(&c);
}

/* ---- several rings ---- */

static void rings_are_served_in_turn(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	struct rondo_view view;
	uint32_t rings[4];

	(void)state;
	if (consume_pin(1)) {
		consume_end(&c);
		skip();
	}
	for (int i = 0; i < 2; i++)
		consume_deliver(&c, 1);
	assert_int_equal(consume_pin(0), 0);
	for (int i = 0; i < 2; i++)
		consume_deliver(&c, 1);
	for (int i = 0; i < 4; i++) {
		view = consume_take(&c);
		rings[i] = view.ring;
		consume_release(&c, &view);
	}
	consume_end(&c);
	if (rings[0] == rings[1] && rings[0] == rings[3])
		skip(); /* one ring only: nothing to take turns */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(rings[i], rings[i + 2]);
		assert_int_not_equal(rings[i], rings[i ^ 1]);
	}
}

static void a_ring_without_spares_does_not_hold_up_others(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct rondo_view view, other;
	struct consume c;

	(void)state;
	config.spare_count = 1;
	c = consume_start(&config);
	consume_deliver(&c, 1);
	consume_deliver(&c, 1);
	view = consume_take(&c);
	consume_nothing(&c, -ENOSPC);
	if (consume_pin(1) == 0) {
		consume_deliver(&c, 1);
		if (rondo_consumer_take(c.consumer, &other) == 0)
			assert_int_not_equal(other.ring, view.ring);
		/* Whatever the ring that is asked last says. */
		consume_record(&c);
	}
	consume_nothing(&c, -ENOSPC);
	consume_end(&c);
}

/* ---- taking over ---- */

/* In a child: becomes the consumer, takes one, leaves one, and dies. */
static int take_and_die(void *argument)
{
	const struct consume *parents = argument;
	static struct rondo_channel *channel; /* left behind, not lost */
	static struct rondo_consumer *consumer;
	struct rondo_view view;

	TEST_CHILD_CHECK(rondo_consumer_open(parents->channel, &consumer) ==
			 -ESHUTDOWN);
	TEST_CHILD_CHECK(
		rondo_channel_attach(rondo_channel_fd(parents->channel),
				     &channel) == 0);
	TEST_CHILD_CHECK(rondo_consumer_open(channel, &consumer) == 0);
	TEST_CHILD_CHECK(rondo_consumer_take(consumer, &view) == 0);
	TEST_CHILD_CHECK(rondo_consumer_take(consumer, &view) == 0);
	TEST_CHILD_CHECK(rondo_consumer_take(consumer, &view) == -ENOSPC);
	TEST_CHILD_CHECK(rondo_consumer_fd(consumer) == -EOPNOTSUPP);
	return 0;
}

static void a_dead_consumers_loans_are_spares_again(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_channel(&config);
	struct rondo_view a, b;

	(void)state;
	for (int i = 0; i < 4; i++)
		consume_deliver(&c, 1);
	assert_int_equal(test_in_child(take_and_die, &c), 0);
	assert_int_equal(rondo_consumer_open(c.channel, &c.consumer), 0);
	a = consume_take(&c);
	b = consume_take(&c);
	assert_int_equal(a.seq, 2);
	assert_int_equal(b.seq, 3);
	consume_deliver(&c, 1);
	consume_nothing(&c, -ENOSPC);
	consume_release(&c, &a);
	consume_release(&c, &b);
	assert_int_equal(consume_expect(&c, 5, 1).seq, 4);
	consume_end(&c);
}

static void a_consumer_that_is_a_zombie_is_dead(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_channel(&config);
	siginfo_t info;
	pid_t pid;

	(void)state;
	for (int i = 0; i < 4; i++)
		consume_deliver(&c, 1);
	pid = fork();
	if (pid == 0)
		_exit(take_and_die(&c));
	assert_true(pid > 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(info.si_status, 0);
	assert_int_equal(rondo_consumer_open(c.channel, &c.consumer), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	consume_end(&c);
}

/* In a child: is the consumer until told to end. */
static int consume_until_told(const struct consume *parents, int ready,
			      int finish)
{
	struct rondo_channel *channel;
	struct rondo_consumer *consumer;
	uint64_t start = rondo_os_pid_start(rondo_os_pid());
	char byte;

	TEST_CHILD_CHECK(
		rondo_channel_attach(rondo_channel_fd(parents->channel),
				     &channel) == 0);
	TEST_CHILD_CHECK(rondo_consumer_open(channel, &consumer) == 0);
	TEST_CHILD_CHECK(write(ready, &start, sizeof(start)) == sizeof(start));
	TEST_CHILD_CHECK(read(finish, &byte, 1) == 0);
	TEST_CHILD_CHECK(rondo_consumer_close(consumer) == 0);
	return 0;
}

static void a_living_consumer_elsewhere_is_not_replaced(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_channel(&config);
	struct rondo_consumer *consumer;
	int ready[2], finish[2], status;
	uint64_t start;
	bool same;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(finish), 0);
	pid = fork();
	if (pid == 0) {
		close(finish[1]);
		_exit(consume_until_told(&c, ready[1], finish[0]));
	}
	close(ready[1]);
	close(finish[0]);
	assert_int_equal(read(ready[0], &start, sizeof(start)), sizeof(start));
	/* An emulator may tell a process another start than it tells others. */
	same = rondo_os_pid_start((uint32_t)pid) == start;
	if (same)
		assert_int_equal(rondo_consumer_open(c.channel, &consumer),
				 -EBUSY);
	close(finish[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(rondo_consumer_open(c.channel, &c.consumer), 0);
	close(ready[0]);
	consume_end(&c);
	if (!same)
		skip();
}

/* Who has no descriptor left to look who lives. */
static int come_without_descriptors(void *argument)
{
	const struct consume *parents = argument;
	const struct rlimit none = {0, 0};
	struct rondo_channel *channel;
	struct rondo_consumer *consumer;

	TEST_CHILD_CHECK(
		rondo_channel_attach(rondo_channel_fd(parents->channel),
				     &channel) == 0);
	TEST_CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
	TEST_CHILD_CHECK(rondo_memory_creator_lives(&channel->control->map));
	TEST_CHILD_CHECK(rondo_consumer_open(channel, &consumer) == -EBUSY);
	return 0;
}

static void nobody_is_dead_because_he_cannot_be_seen(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c;

	(void)state;
	/* Which keeps descriptors for itself. */
	if (test_is_emulated())
		skip();
	c = consume_start(&config);
	assert_int_equal(test_in_child(come_without_descriptors, &c), 0);
	consume_end(&c);
}

/* Both of two who come at once, again and again: one of them is it. */
static int come_at_once(struct consume *c, uint32_t *word, uint32_t rounds)
{
	struct rondo_channel *channel;
	struct rondo_consumer *consumer;

	TEST_CHILD_CHECK(rondo_channel_attach(rondo_channel_fd(c->channel),
					      &channel) == 0);
	for (uint32_t i = 0; i < rounds; i++) {
		int result;

		rondo_add_relaxed(word, 1);
		while (rondo_load_acquire(word) < 4 * i + 2)
			sched_yield();
		result = rondo_consumer_open(channel, &consumer);
		TEST_CHILD_CHECK(result == 0 || result == -EBUSY);
		rondo_add_relaxed(&word[1], result == 0);
		rondo_add_relaxed(word, 1);
		while (rondo_load_acquire(word) < 4 * i + 4)
			sched_yield();
		if (result == 0)
			TEST_CHILD_CHECK(rondo_consumer_close(consumer) == 0);
	}
	return 0;
}

static void of_two_that_come_at_once_one_is_the_consumer(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	const uint32_t rounds = 1000;
	struct consume c = consume_channel(&config);
	uint32_t *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	(void)state;
	assert_ptr_not_equal(word, MAP_FAILED);
	/* Which may tell a process another start than it tells others. */
	if (test_is_emulated())
		skip();
	pid = fork();
	if (pid == 0)
		_exit(come_at_once(&c, word, rounds));
	assert_int_equal(come_at_once(&c, word, rounds), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(word[1], rounds);
	munmap(word, 4096);
	assert_int_equal(rondo_channel_destroy(c.channel), 0);
}

/* What a child of fork inherits is its parent's. */
static int close_inherited(void *argument)
{
	struct consume *c = argument;

	TEST_CHILD_CHECK(rondo_consumer_close(c->consumer) == 0);
	return 0;
}

static void a_childs_close_leaves_its_parents_consumer_alone(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	struct rondo_view view;

	(void)state;
	consume_deliver(&c, 1);
	view = consume_take(&c);
	assert_int_equal(test_in_child(close_inherited, &c), 0);
	consume_deliver(&c, 1);
	consume_expect(&c, 2, 1);
	consume_release(&c, &view);
	consume_end(&c);
}

/* The library does not hear of this fork: its memory stays shared. */
static void a_close_after_a_raw_clone_touches_nothing_either(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct consume c;
	struct rondo_consumer *second;
	pid_t pid;
	int status;

	(void)state;
	c = consume_start(&config);
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(close_inherited(&c));
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(c.map->wait->consumer >> 32, getpid());
	assert_int_equal(rondo_consumer_open(c.channel, &second), -EBUSY);
	consume_end(&c);
}

/* A process that is gone has left a file. */
static int record_and_die(void *argument)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct rondo_record record;
	uint64_t value = 1;
	static struct rondo_channel *channel; /* left behind, not lost */
	const struct rondo_event_class class = {
		.size = sizeof(class),
		.name = "test:number",
		.field_size = sizeof(struct rondo_field),
	};
	uint16_t id;

	config.path = argument;
	config.stall_ms = 1;
	TEST_CHILD_CHECK(rondo_channel_create(&config, &channel) == 0);
	TEST_CHILD_CHECK(rondo_event_register(channel, &class, &id) == 0);
	for (; value <= 3; value++)
		TEST_CHILD_CHECK(rondo_write(channel, id, &value, 8) == 0);
	rondo_channel_flush(channel);
	TEST_CHILD_CHECK(rondo_write(channel, id, &value, 8) == 0);
	TEST_CHILD_CHECK(rondo_reserve(channel, id, 8, &record) == 0);
	return 0;
}

static struct consume *dying;

/* The ring was looked at by then; nobody is after this. */
static void deliver_and_die(enum rondo_testpoint at)
{
	if (at != RONDO_AT_LOOK ||
	    ++looks != (int)(dying->map->ring_count * dying->map->count))
		return;
	consume_deliver(dying, 1);
	dying->map->super->pid_start++;
}

static void the_last_delivery_of_the_dead_is_not_missed(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume creator = consume_channel(&config), c = creator;

	(void)state;
	assert_int_equal(rondo_channel_attach(rondo_channel_fd(creator.channel),
					      &c.channel),
			 0);
	c.map = &c.channel->control->map;
	assert_int_equal(rondo_consumer_open(c.channel, &c.consumer), 0);
	dying = &creator;
	looks = 0;
	rondo_testpoint_hook = deliver_and_die;
	consume_expect(&c, 1, 1);
	rondo_testpoint_hook = NULL;
	consume_nothing(&c, -ENODATA);
	consume_end(&c);
	assert_int_equal(rondo_channel_destroy(creator.channel), 0);
}

static void what_a_dead_process_recorded_is_taken_to_the_end(void **state)
{
	char directory[200], path[256];
	struct consume c = {.recorded = 0};
	struct rondo_view view;
	uint64_t number;
	int result;

	(void)state;
	assert_int_equal(test_directory(directory, sizeof(directory)), 0);
	snprintf(path, sizeof(path), "%s/channel", directory);
	assert_int_equal(test_in_child(record_and_die, path), 0);
	assert_int_equal(rondo_channel_attach_path(path, &c.channel), 0);
	c.map = &c.channel->control->map;
	assert_int_equal(rondo_consumer_open(c.channel, &c.consumer), 0);
	consume_expect(&c, 1, 3);
	consume_nothing(&c, -EAGAIN);
	assert_int_equal(rondo_channel_flush(c.channel), 1);
	/* Its open record is nobody's: that sub-buffer is quarantined. */
	do
		result = rondo_consumer_take(c.consumer, &view);
	while (result == -EAGAIN);
	assert_int_equal(result, 0);
	assert_int_equal(view.flags, RONDO_VIEW_LATE | RONDO_VIEW_STALLED);
	assert_int_equal(consume_numbers(&view, &number, 1), 1);
	assert_int_equal(number, 4);
	consume_release(&c, &view);
	consume_nothing(&c, -ENODATA);
	assert_int_equal(rondo_consumer_wait(c.consumer, 0), 1); /* told */
	assert_int_equal(rondo_consumer_wait(c.consumer, 0), 0);
	consume_end(&c);
	unlink(path);
	rmdir(directory);
}

/* ---- words that say something else than expected ---- */

static void a_cursor_that_lags_for_ages_still_finds_the_oldest(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct consume c;

	(void)state;
	config.flags = RONDO_OVERWRITE;
	c = consume_channel(&config);
	for (int i = 0; i < 3; i++)
		consume_deliver(&c, 1);
	for (uint32_t i = 0; i < c.map->ring_count; i++)
		rondo_map_ring(c.map, i)->cursor -= UINT64_C(3) << 30;
	assert_int_equal(rondo_consumer_open(c.channel, &c.consumer), 0);
	for (uint64_t i = 1; i <= 3; i++)
		assert_int_equal(consume_expect(&c, i, 1).flags, 0);
	consume_nothing(&c, -EAGAIN);
	consume_end(&c);
}

static void numbers_below_the_cursor_come_out_late(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_channel(&config);
	struct rondo_view view;

	(void)state;
	for (int i = 0; i < 3; i++)
		consume_deliver(&c, 1);
	for (uint32_t i = 0; i < c.map->ring_count; i++)
		rondo_map_ring(c.map, i)->cursor += 2;
	assert_int_equal(rondo_consumer_open(c.channel, &c.consumer), 0);
	/* In turn first what the cursor names, else the oldest. */
	view = consume_expect(&c, 3, 1);
	assert_int_equal(view.flags, 0);
	assert_int_equal(view.seq, 0);
	for (uint64_t i = 0; i < 2; i++) {
		view = consume_expect(&c, i + 1, 1);
		assert_int_equal(view.flags, RONDO_VIEW_LATE);
		assert_int_equal(view.seq, i);
	}
	/* To whoever comes next they are neither lost nor in the way. */
	assert_int_equal(rondo_consumer_close(c.consumer), 0);
	assert_int_equal(rondo_consumer_open(c.channel, &c.consumer), 0);
	consume_deliver(&c, 1);
	view = consume_expect(&c, 4, 1);
	assert_int_equal(view.seq, 1);
	assert_int_equal(view.overwritten, 0);
	assert_int_equal(rondo_rings_ready(c.map), 0);
	consume_end(&c);
}

static void a_slot_that_names_no_page_set_is_left_alone(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	struct rondo_consumer *consumer;
	struct rondo_view view;
	uint64_t *slot, word;

	(void)state;
	consume_deliver(&c, 1);
	view = consume_expect(&c, 1, 1);
	consume_deliver(&c, 1);
	slot = rondo_map_slot(c.map, view.ring, view.number + 1);
	word = *slot;
	*slot = rondo_slot(6, RONDO_SLOT_READABLE, view.number + 1);
	consume_nothing(&c, -EAGAIN);
	assert_int_equal(rondo_consumer_close(c.consumer), 0);
	assert_int_equal(rondo_consumer_open(c.channel, &consumer), -EPROTO);
	/* Nor one that another slot has, too. */
	*slot = rondo_slot(rondo_slot_pages(slot[1]), RONDO_SLOT_READABLE,
			   view.number + 1);
	assert_int_equal(rondo_consumer_open(c.channel, &consumer), -EPROTO);
	*slot = word;
	assert_int_equal(rondo_consumer_open(c.channel, &c.consumer), 0);
	consume_expect(&c, 2, 1);
	consume_end(&c);
}

static struct rondo_packet *packet_of(const struct consume *c,
				      const struct rondo_view *before)
{
	uint64_t slot =
		*rondo_map_slot(c->map, before->ring, before->number + 1);

	return rondo_map_packet(c->map, before->ring, rondo_slot_pages(slot));
}

static void damage(struct rondo_packet *packet, int how)
{
	switch (how) {
	case 0:
		packet->magic++;
		break;
	case 1:
		packet->uuid[3]++;
		break;
	case 2:
		packet->content_bits = 0;
		break;
	case 3:
		packet->content_bits = UINT64_MAX;
		break;
	case 4:
		packet->content_bits++;
		break;
	case 5:
		packet->packet_bits = 0;
		break;
	case 6:
		packet->packet_bits = UINT64_MAX;
		break;
	case 7:
		packet->timestamp_end = 0;
		break;
	case 8:
		packet->timestamp_begin = UINT64_MAX;
		break;
	case 9:
		packet->number++;
		break;
	case 10:
		packet->stream_instance_id++;
		break;
	case 11:
		packet->content_bits += 4096 * 8;
		break;
	case 12:
		packet->timestamp_begin = 0;
		break;
	case 13:
		packet->content_bits = 8192 * 8;
		packet->packet_bits = 8192 * 8;
		break;
	default:
		memset(packet, 0, sizeof(*packet));
		break;
	}
}

static void a_damaged_header_is_repaired_from_the_records(void **state)
{
	(void)state;
	for (int how = 0; how < 15; how++) {
		const struct rondo_config config = CONSUME_CONFIG;
		struct consume c = consume_start(&config);
		struct rondo_view view;

		consume_deliver(&c, 1);
		view = consume_expect(&c, 1, 1);
		consume_deliver(&c, 5);
		damage(packet_of(&c, &view), how);
		view = consume_expect(&c, 2, 5);
		if (how != 12) /* a begin too early harms nobody */
			assert_int_equal(view.flags, RONDO_VIEW_DAMAGED);
		assert_int_equal(view.seq, 1);
		consume_end(&c);
	}
}

static void scribble(uint64_t *random, char *at, uint64_t bytes)
{
	for (uint64_t n = 1 + test_random_below(random, 60); n; n--) {
		uint64_t word = test_random(random);

		word >>= test_random_below(random, 64);
		memcpy(at + 8 * test_random_below(random, bytes / 8), &word, 8);
	}
}

static void a_scribbled_sub_buffer_is_a_safe_view(void **state)
{
	uint64_t random = test_seed();
	struct rondo_config config = CONSUME_CONFIG;
	struct consume c;
	struct rondo_view view;

	(void)state;
	for (int mode = 0; mode < 2; mode++) {
		config.record_max = mode ? 3000 : 0;
		c = consume_start(&config);
		consume_deliver(&c, 1);
		view = consume_expect(&c, 1, 1);
		for (int round = 0; round < 500; round++) {
			struct rondo_item item;

			consume_deliver(&c, 20);
			scribble(&random, (char *)packet_of(&c, &view),
				 round % 2 ? 4096 : 128);
			view = consume_take(&c);
			memset(&item, 0, sizeof(item));
			while (rondo_view_next(&view, &item) > 0)
				assert_true((const char *)item.data +
						    item.bytes <=
					    view.data + view.bytes);
			consume_release(&c, &view);
		}
		consume_end(&c);
	}
}

static void a_damaged_slot_does_not_disturb_a_quarantine(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct rondo_record record;
	struct rondo_view view;
	uint64_t *slot, word;
	struct consume c;
	int result;

	(void)state;
	config.stall_ms = 1;
	c = consume_start(&config);
	record = consume_reserve(&c);
	rondo_channel_flush(c.channel);
	do
		result = rondo_consumer_take(c.consumer, &view);
	while (result == -EAGAIN);
	assert_int_equal(result, 0);
	slot = rondo_map_slot(c.map, record.ring_id, view.number + 2);
	consume_release(&c, &view);
	word = *slot;
	*slot = rondo_slot(c.map->count + c.map->spares, RONDO_SLOT_EMPTY,
			   rondo_slot_number(word));
	consume_nothing(&c, -EAGAIN);
	*slot = word;
	rondo_commit(&record);
	consume_nothing(&c, -EAGAIN);
	assert_int_equal(rondo_rings_ready(c.map), 0);
	consume_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_recorded_comes_out_in_order),
		cmocka_unit_test(numbers_may_wrap),
		cmocka_unit_test(a_stopped_channel_ends_when_all_is_taken),
		cmocka_unit_test(
			an_open_record_keeps_a_stopped_channel_from_its_end),
		cmocka_unit_test(there_is_one_consumer),
		cmocka_unit_test(spares_bound_what_is_on_loan),
		cmocka_unit_test(nobody_writes_to_what_is_on_loan),
		cmocka_unit_test(what_was_overwritten_is_a_hole_in_the_numbers),
		cmocka_unit_test(the_oldest_left_comes_first),
		cmocka_unit_test(
			a_take_that_loses_to_an_overwrite_takes_the_next),
		cmocka_unit_test(a_take_that_always_loses_gives_up),
		cmocka_unit_test(a_look_takes_nothing_newer_than_its_head),
		cmocka_unit_test(rings_are_served_in_turn),
		cmocka_unit_test(a_ring_without_spares_does_not_hold_up_others),
		cmocka_unit_test(a_dead_consumers_loans_are_spares_again),
		cmocka_unit_test(a_consumer_that_is_a_zombie_is_dead),
		cmocka_unit_test(a_living_consumer_elsewhere_is_not_replaced),
		cmocka_unit_test(nobody_is_dead_because_he_cannot_be_seen),
		cmocka_unit_test(of_two_that_come_at_once_one_is_the_consumer),
		cmocka_unit_test(
			a_childs_close_leaves_its_parents_consumer_alone),
		cmocka_unit_test(
			a_close_after_a_raw_clone_touches_nothing_either),
		cmocka_unit_test(
			what_a_dead_process_recorded_is_taken_to_the_end),
		cmocka_unit_test(
			a_cursor_that_lags_for_ages_still_finds_the_oldest),
		cmocka_unit_test(the_last_delivery_of_the_dead_is_not_missed),
		cmocka_unit_test(numbers_below_the_cursor_come_out_late),
		cmocka_unit_test(a_slot_that_names_no_page_set_is_left_alone),
		cmocka_unit_test(a_damaged_header_is_repaired_from_the_records),
		cmocka_unit_test(a_scribbled_sub_buffer_is_a_safe_view),
		cmocka_unit_test(a_damaged_slot_does_not_disturb_a_quarantine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
