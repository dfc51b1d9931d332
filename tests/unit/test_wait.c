/* SPDX-License-Identifier: MIT */
/*
 * Sleeping until something is ready: by futex and by eventfd. Where a test
 * waits for ever it passes by coming back.
 */
#include "support/consume.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "consumer.h"
#include "os.h"
#include "support/process.h"

#define FOR_EVER (-1)

static struct consume *sleeper;
static void (*when_asleep)(struct consume *c);
static int sleeps;

/* As late as a producer can be to be seen: sleeping is set, the look at what
 * is ready comes next. */
static void at_sleep(enum rondo_testpoint at)
{
	if (at != RONDO_AT_SLEEP)
		return;
	sleeps++;
	if (when_asleep)
		when_asleep(sleeper);
}

static void hook(struct consume *c, void (*step)(struct consume *c))
{
	sleeper = c;
	when_asleep = step;
	sleeps = 0;
	rondo_testpoint_hook = at_sleep;
}

static int looks;

/* Later than the look at what is ready, of the first ring at least. */
static void deliver_behind_a_look(enum rondo_testpoint at)
{
	if (at == RONDO_AT_LOOK && ++looks == (int)sleeper->map->count + 1)
		consume_deliver(sleeper, 1);
}

static void unhook(void)
{
	rondo_testpoint_hook = NULL;
}

static int teardown(void **state)
{
	(void)state;
	unhook();
	return 0;
}

static void deliver_once(struct consume *c)
{
	if (sleeps == 1)
		consume_deliver(c, 1);
}

static void deliver_twice(struct consume *c)
{
	if (sleeps <= 2)
		consume_deliver(c, 1);
}

static void a_wait_says_whether_something_is_ready(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);

	(void)state;
	assert_int_equal(rondo_consumer_wait(c.consumer, 0), 0);
	assert_int_equal(rondo_consumer_wait(c.consumer, 1000), 0);
	consume_record(&c); /* open: not ready */
	assert_int_equal(rondo_consumer_wait(c.consumer, 0), 0);
	rondo_channel_flush(c.channel);
	assert_int_equal(rondo_consumer_wait(c.consumer, 0), 1);
	assert_int_equal(rondo_consumer_wait(c.consumer, FOR_EVER), 1);
	assert_int_equal(rondo_consumer_wait(c.consumer, INT64_MAX), 1);
	consume_expect(&c, 1, 1);
	assert_int_equal(rondo_consumer_wait(c.consumer, 0), 0);
	assert_int_equal(c.map->wait->sleeping, 0);
	consume_end(&c);
}

static void a_delivery_just_before_the_sleep_is_not_slept_over(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);

	(void)state;
	hook(&c, deliver_once);
	assert_int_equal(rondo_consumer_wait(c.consumer, FOR_EVER), 1);
	assert_int_equal(sleeps, 1);
	consume_end(&c);
}

static void *deliver_later(void *argument)
{
	struct consume *c = argument;

	consume_pin(1);
	/* Once it says it sleeps; it may, or may be about to. */
	while (!(rondo_load_relaxed(&c->map->wait->sleeping) &
		 RONDO_SLEEP_FUTEX))
		sched_yield();
	consume_deliver(c, 1);
	return NULL;
}

static void a_delivery_behind_the_look_is_not_slept_over(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);

	(void)state;
	looks = 0;
	hook(&c, NULL);
	rondo_testpoint_hook = deliver_behind_a_look;
	assert_int_equal(rondo_consumer_wait(c.consumer, FOR_EVER), 1);
	assert_true(looks > (int)c.map->count);
	unhook();
	consume_end(&c);
}

static void a_sleeper_is_woken_by_a_delivery(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	pthread_t thread;

	(void)state;
	for (uint64_t i = 1; i <= 200; i++) {
		pthread_create(&thread, NULL, deliver_later, &c);
		assert_int_equal(rondo_consumer_wait(c.consumer, FOR_EVER), 1);
		pthread_join(thread, NULL);
		consume_expect(&c, i, 1);
	}
	consume_end(&c);
}

/* Of a wait that a signal ends, and nothing else: however slowly this runs, one
 * comes after it fell asleep. */
static int wait_for_a_signal(struct consume *c)
{
	int result;

	test_interrupt(true);
	result = rondo_consumer_wait(c->consumer, FOR_EVER);
	test_interrupt(false);
	return result;
}

static void a_watermark_keeps_it_asleep(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct consume c;

	(void)state;
	config.wake_subbufs = 2;
	c = consume_start(&config);
	hook(&c, deliver_once);
	/* One is not enough until the time has passed. */
	assert_int_equal(wait_for_a_signal(&c), -EINTR);
	assert_int_equal(rondo_consumer_wait(c.consumer, 1), 1);
	consume_expect(&c, 1, 1);
	hook(&c, deliver_twice);
	assert_int_equal(rondo_consumer_wait(c.consumer, 1), 1);
	consume_deliver(&c, 1);
	assert_int_equal(rondo_consumer_wait(c.consumer, FOR_EVER), 1);
	consume_end(&c);
}

static void producers_do_not_wake_below_the_watermark(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct rondo_wait *wait;
	struct consume c;

	(void)state;
	config.wake_subbufs = 2;
	c = consume_start(&config);
	wait = c.map->wait;
	assert_true(rondo_consumer_fd(c.consumer) >= 0);
	assert_int_equal(rondo_consumer_arm(c.consumer), 0);
	consume_deliver(&c, 1);
	assert_int_equal(wait->sleeping, RONDO_SLEEP_POLL);
	consume_deliver(&c, 1);
	assert_int_equal(wait->sleeping, 0);
	consume_end(&c);
}

static void flush_ms_closes_what_is_idle(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct consume c;

	(void)state;
	config.flush_ms = 1;
	config.wake_subbufs = 3; /* one is enough after that time */
	c = consume_start(&config);
	for (uint64_t i = 1; i < 5; i++) {
		consume_record(&c);
		assert_int_equal(rondo_consumer_wait(c.consumer, FOR_EVER), 1);
		consume_expect(&c, i, 1);
	}
	/* Whoever only looks gets it too. */
	consume_record(&c);
	while (rondo_consumer_wait(c.consumer, 0) == 0)
		;
	consume_expect(&c, 5, 1);
	consume_end(&c);
}

/* From the first look on, not from the start of time. */
static void what_was_never_seen_idle_is_not_flushed(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct consume c;

	(void)state;
	config.flush_ms = UINT32_MAX;
	c = consume_start(&config);
	consume_record(&c);
	for (int i = 0; i < 10; i++)
		assert_int_equal(rondo_consumer_wait(c.consumer, 0), 0);
	assert_int_equal(consume_stats(&c).flushes, 0);
	consume_end(&c);
}

/* Each time that is looked, something was delivered since. */
static void flush_ms_leaves_what_is_not_idle_alone(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	int64_t end = rondo_os_monotonic_ns() + 10000000;
	struct rondo_view view;
	struct consume c;

	(void)state;
	config.flush_ms = 1;
	c = consume_start(&config);
	while (rondo_os_monotonic_ns() < end) {
		consume_fill(&c);
		assert_int_equal(rondo_consumer_wait(c.consumer, 0), 1);
		view = consume_take(&c);
		consume_release(&c, &view);
	}
	assert_int_equal(consume_stats(&c).flushes, 0);
	consume_end(&c);
}

static void a_descriptor_that_was_polled_goes_with_its_channel(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	const int before = test_holdings().descriptors;
	struct consume c = consume_start(&config);

	(void)state;
	assert_true(rondo_consumer_fd(c.consumer) >= 0);
	assert_int_equal(test_holdings().descriptors, before + 2);
	consume_end(&c);
	assert_int_equal(test_holdings().descriptors, before);
}

static void a_stall_ends_a_wait(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct rondo_view view;
	struct consume c;

	(void)state;
	config.stall_ms = 1;
	c = consume_start(&config);
	consume_record(&c);
	consume_reserve(&c);
	rondo_channel_flush(c.channel);
	assert_int_equal(rondo_consumer_wait(c.consumer, FOR_EVER), 1);
	assert_int_equal(rondo_consumer_take(c.consumer, &view), 0);
	assert_true(view.flags & RONDO_VIEW_STALLED);
	consume_release(&c, &view);
	/* It is over: nothing of it wakes again. */
	assert_int_equal(rondo_consumer_wait(c.consumer, 0), 0);
	consume_end(&c);
}

static void a_signal_ends_a_wait(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);

	(void)state;
	assert_int_equal(wait_for_a_signal(&c), -EINTR);
	assert_int_equal(c.map->wait->sleeping, 0);
	consume_end(&c);
}

static void wake(struct consume *c)
{
	rondo_consumer_wake(c->consumer);
}

static void a_wake_ends_this_wait_or_the_next(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);

	(void)state;
	rondo_consumer_wake(c.consumer);
	assert_int_equal(rondo_consumer_wait(c.consumer, FOR_EVER), 0);
	hook(&c, wake);
	assert_int_equal(rondo_consumer_wait(c.consumer, FOR_EVER), 0);
	unhook();
	assert_int_equal(rondo_consumer_wait(c.consumer, 0), 0);
	consume_deliver(&c, 1);
	assert_int_equal(rondo_consumer_wait(c.consumer, 0), 1);
	consume_end(&c);
}

static void stop_once(struct consume *c)
{
	if (sleeps == 1)
		rondo_channel_stop(c->channel);
}

static void wait_in_between(enum rondo_testpoint at)
{
	if (at == RONDO_AT_WAKE)
		assert_int_equal(
			rondo_consumer_wait(sleeper->consumer, FOR_EVER), 0);
}

static void a_wait_that_meets_half_a_wake_is_woken(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);

	(void)state;
	hook(&c, NULL);
	rondo_testpoint_hook = wait_in_between;
	rondo_consumer_wake(c.consumer);
	unhook();
	consume_end(&c);
}

static void a_wait_tells_once_that_a_channel_has_stopped(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct consume c;

	(void)state;
	config.wake_subbufs = 3;
	c = consume_start(&config);
	hook(&c, stop_once);
	assert_int_equal(rondo_consumer_wait(c.consumer, FOR_EVER), 1);
	unhook();
	consume_nothing(&c, -ENODATA);
	assert_int_equal(rondo_consumer_wait(c.consumer, 0), 0);
	/* No watermark will be reached any more: what there is is enough. */
	rondo_channel_start(c.channel);
	consume_record(&c);
	rondo_channel_stop(c.channel);
	consume_deliver(&c, 0);
	assert_int_equal(rondo_consumer_wait(c.consumer, FOR_EVER), 1);
	consume_expect(&c, 1, 1);
	consume_end(&c);
}

static void a_stall_keeps_a_stopped_channel_from_being_over(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	struct rondo_record record = consume_reserve(&c);

	(void)state;
	rondo_channel_flush(c.channel);
	rondo_channel_stop(c.channel);
	assert_int_equal(rondo_consumer_wait(c.consumer, 0), 0);
	rondo_commit(&record);
	assert_int_equal(rondo_consumer_wait(c.consumer, 0), 1);
	consume_end(&c);
}

static void count_only(struct consume *c)
{
	(void)c;
}

static void a_wait_sleeps_and_does_not_spin(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);

	(void)state;
	rondo_consumer_wake(c.consumer);
	assert_int_equal(rondo_consumer_wait(c.consumer, 0), 0);
	hook(&c, count_only);
	assert_int_equal(rondo_consumer_wait(c.consumer, 20000000), 0);
	assert_in_range(sleeps, 1, 3);
	consume_end(&c);
}

static void *stop_later(void *argument)
{
	struct consume *c = argument;

	while (!(rondo_load_relaxed(&c->map->wait->sleeping) &
		 RONDO_SLEEP_FUTEX))
		sched_yield();
	rondo_channel_stop(c->channel);
	return NULL;
}

static void a_sleeper_is_woken_by_a_stop(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	pthread_t thread;

	(void)state;
	for (int i = 0; i < 100; i++) {
		rondo_channel_start(c.channel);
		consume_nothing(&c, -EAGAIN);
		assert_int_equal(rondo_consumer_wait(c.consumer, 0), 0);
		pthread_create(&thread, NULL, stop_later, &c);
		assert_int_equal(rondo_consumer_wait(c.consumer, FOR_EVER), 1);
		pthread_join(thread, NULL);
		consume_nothing(&c, -ENODATA);
	}
	consume_end(&c);
}

/* ---- the descriptor ---- */

static bool is_readable(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};

	return poll(&poller, 1, 0) == 1;
}

static void an_armed_descriptor_becomes_readable(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	int fd = rondo_consumer_fd(c.consumer);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(rondo_consumer_fd(c.consumer), fd);
	consume_deliver(&c, 1);
	assert_false(is_readable(fd)); /* nobody asked */
	consume_expect(&c, 1, 1);
	assert_int_equal(rondo_consumer_arm(c.consumer), 0);
	assert_false(is_readable(fd));
	consume_deliver(&c, 1);
	assert_true(is_readable(fd));
	/* Something is ready still: readable at once. */
	assert_int_equal(rondo_consumer_arm(c.consumer), 0);
	assert_true(is_readable(fd));
	consume_expect(&c, 2, 1);
	assert_int_equal(rondo_consumer_arm(c.consumer), 0);
	assert_false(is_readable(fd));
	consume_end(&c);
}

static void a_delivery_while_it_is_armed_is_not_missed(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);

	(void)state;
	hook(&c, deliver_once);
	assert_int_equal(rondo_consumer_arm(c.consumer), 0);
	assert_true(is_readable(rondo_consumer_fd(c.consumer)));
	consume_end(&c);
}

static void waiting_and_polling_do_not_disturb_each_other(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);

	(void)state;
	assert_int_equal(rondo_consumer_arm(c.consumer), 0);
	assert_int_equal(rondo_consumer_wait(c.consumer, 1000), 0);
	assert_int_equal(c.map->wait->sleeping, RONDO_SLEEP_POLL);
	consume_deliver(&c, 1);
	assert_true(is_readable(rondo_consumer_fd(c.consumer)));
	consume_end(&c);
}

static void an_attached_channel_has_no_descriptor(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_channel(&config), a = {.recorded = 0};

	(void)state;
	assert_int_equal(rondo_channel_attach(rondo_channel_fd(c.channel),
					      &a.channel),
			 0);
	assert_int_equal(rondo_consumer_open(a.channel, &a.consumer), 0);
	a.map = &a.channel->control->map;
	assert_int_equal(rondo_consumer_fd(a.consumer), -EOPNOTSUPP);
	assert_int_equal(rondo_consumer_arm(a.consumer), -EOPNOTSUPP);
	/* But it waits, and takes. */
	consume_deliver(&c, 1);
	assert_int_equal(rondo_consumer_wait(a.consumer, FOR_EVER), 1);
	consume_expect(&a, 1, 1);
	consume_nothing(&a, -EAGAIN);
	consume_end(&a);
	assert_int_equal(rondo_channel_destroy(c.channel), 0);
}

static void an_attached_consumer_closes_what_is_idle_too(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct consume c, a = {.recorded = 0};

	(void)state;
	config.flush_ms = 1;
	c = consume_channel(&config);
	assert_int_equal(rondo_channel_attach(rondo_channel_fd(c.channel),
					      &a.channel),
			 0);
	a.map = &a.channel->control->map;
	assert_int_equal(rondo_consumer_open(a.channel, &a.consumer), 0);
	for (uint64_t i = 1; i < 4; i++) {
		consume_record(&c);
		assert_int_equal(rondo_consumer_wait(a.consumer, FOR_EVER), 1);
		consume_expect(&a, i, 1);
	}
	consume_end(&a);
	assert_int_equal(rondo_channel_destroy(c.channel), 0);
}

/* In a child: a channel that it makes, and has until told to end. */
static pid_t start_creator(const char *path, int *out_finish)
{
	struct rondo_config config = CONSUME_CONFIG;
	int ready[2], finish[2];
	char byte;
	pid_t pid;

	config.path = path;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(finish), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rondo_channel *channel;

		close(finish[1]);
		if (rondo_channel_create(&config, &channel) ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		_exit((int)read(finish[0], &byte, 1));
	}
	close(ready[1]);
	close(finish[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	*out_finish = finish[1];
	return pid;
}

static int creators_end;
static pid_t creator;

static void end_the_creator(struct consume *c)
{
	int status;

	(void)c;
	if (sleeps != 1)
		return;
	close(creators_end);
	assert_int_equal(waitpid(creator, &status, 0), creator);
	assert_int_equal(status, 0);
}

static void a_sleeper_hears_that_the_channels_process_is_gone(void **state)
{
	char directory[256], path[300];
	struct consume c = {.recorded = 0};

	(void)state;
	assert_int_equal(test_directory(directory, sizeof(directory)), 0);
	snprintf(path, sizeof(path), "%s/channel", directory);
	creator = start_creator(path, &creators_end);
	assert_int_equal(rondo_channel_attach_path(path, &c.channel), 0);
	c.map = &c.channel->control->map;
	assert_int_equal(rondo_consumer_open(c.channel, &c.consumer), 0);
	hook(&c, end_the_creator);
	assert_int_equal(rondo_consumer_wait(c.consumer, FOR_EVER), 1);
	assert_true(sleeps > 1);
	unhook();
	consume_nothing(&c, -ENODATA);
	consume_end(&c);
	unlink(path);
	rmdir(directory);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_wait_says_whether_something_is_ready),
		TEST(a_delivery_just_before_the_sleep_is_not_slept_over),
		TEST(a_delivery_behind_the_look_is_not_slept_over),
		TEST(a_sleeper_is_woken_by_a_delivery),
		TEST(a_watermark_keeps_it_asleep),
		TEST(producers_do_not_wake_below_the_watermark),
		TEST(flush_ms_closes_what_is_idle),
		TEST(what_was_never_seen_idle_is_not_flushed),
		TEST(flush_ms_leaves_what_is_not_idle_alone),
		TEST(a_descriptor_that_was_polled_goes_with_its_channel),
		TEST(a_stall_ends_a_wait),
		TEST(a_signal_ends_a_wait),
		TEST(a_wake_ends_this_wait_or_the_next),
		TEST(a_wait_that_meets_half_a_wake_is_woken),
		TEST(a_wait_tells_once_that_a_channel_has_stopped),
		TEST(a_stall_keeps_a_stopped_channel_from_being_over),
		TEST(a_wait_sleeps_and_does_not_spin),
		TEST(a_sleeper_is_woken_by_a_stop),
		TEST(an_armed_descriptor_becomes_readable),
		TEST(a_delivery_while_it_is_armed_is_not_missed),
		TEST(waiting_and_polling_do_not_disturb_each_other),
		TEST(an_attached_channel_has_no_descriptor),
		TEST(an_attached_consumer_closes_what_is_idle_too),
		TEST(a_sleeper_hears_that_the_channels_process_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
