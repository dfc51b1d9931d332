/* SPDX-License-Identifier: MIT */
/*
 * Those who leave in the middle of a record, and never come back or late: by a
 * jump out of a handler, cancelled, ended, stopped. What others record, before
 * and behind it, comes out once; what was left costs its sub-buffer.
 */
#include "support/consume.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/process.h"

#define NUMBERS 8192u
#define SUBBUFS 8u

static struct consume c;
static uint8_t expected[NUMBERS], seen[NUMBERS]; /* by number */
static uint32_t missing;			 /* expected, and not seen */

static void begin(void)
{
	struct rondo_config config = CONSUME_CONFIG;

	config.subbuf_count = SUBBUFS;
	config.stall_ms = 1;
	c = consume_start(&config);
	memset(expected, 0, sizeof(expected));
	memset(seen, 0, sizeof(seen));
	missing = 0;
}

static void take_all(void)
{
	uint64_t numbers[512];
	struct rondo_view view;

	while (rondo_consumer_take(c.consumer, &view) == 0) {
		uint32_t count = consume_numbers(&view, numbers, 512);

		consume_check(&c, &view);
		while (count--) {
			uint64_t number = numbers[count];

			assert_true(number <= c.recorded);
			assert_int_equal(seen[number], 0);
			seen[number] = 1;
			missing -= expected[number];
		}
		consume_release(&c, &view);
	}
}

/* The next number. What waits behind a stalled one may fill the ring until the
 * consumer's patience ends. */
static void record_one(void)
{
	uint64_t value = ++c.recorded;

	assert_true(value < NUMBERS);
	while (rondo_write(c.channel, c.id, &value, sizeof(value)))
		take_all();
	expected[value] = 1;
	missing++;
}

/* Laps of others, and then all there is. */
static void go_on_and_end(void)
{
	uint64_t last = c.recorded + 2 * SUBBUFS * 250;

	while (c.recorded < last)
		record_one();
	assert_true(rondo_channel_flush(c.channel) >= 0);
	while (missing)
		take_all();
	consume_end(&c);
}

/* ---- a jump ---- */

static sigjmp_buf outside;
static enum rondo_testpoint point;
static volatile bool jumped;

static void jump(int signal)
{
	(void)signal;
	siglongjmp(outside, 1);
}

static void jump_there(enum rondo_testpoint at)
{
	if (at != point || jumped)
		return;
	jumped = true;
	raise(SIGUSR1);
}

static void record_by_call(void)
{
	struct rondo_record record;
	uint64_t value = ++c.recorded;

	if (rondo_reserve_call(c.channel, c.id, 8, &record))
		return;
	memcpy(record.data, &value, 8);
	(void)rondo_commit(&record);
	expected[value] = 1;
	missing++;
}

/* Records, with one open over the crossings, until it comes there. */
static bool jump_out_at(enum rondo_testpoint at)
{
	struct rondo_record open;

	point = at;
	jumped = false;
	assert_int_equal(rondo_reserve(c.channel, c.id, 8, &open), 0);
	memset(open.data, 0, 8);
	rondo_testpoint_hook = jump_there;
	if (!sigsetjmp(outside, 1)) {
		for (uint32_t i = 0; i < 600 && !jumped; i++)
			record_by_call();
		if (!jumped)
			(void)rondo_discard(&open);
	}
	rondo_testpoint_hook = NULL;
	return jumped;
}

static void a_handler_may_jump_out_of_a_record_at_every_point(void **state)
{
	struct sigaction action = {.sa_handler = jump}, before;
	uint32_t points = 0;

	(void)state;
	sigaction(SIGUSR1, &action, &before);
	for (uint32_t at = 0; at < RONDO_TESTPOINTS_COUNT; at++) {
		begin();
		for (uint32_t i = 0; i < 20; i++)
			record_one();
		points += jump_out_at((enum rondo_testpoint)at);
		go_on_and_end();
	}
	sigaction(SIGUSR1, &before, NULL);
	assert_true(points >= 9);
}

/* ---- a thread that ends ---- */

static pthread_barrier_t reserved;

/* In a frame that is gone before the thread is: sanitizers watch frames. */
static __attribute__((noinline)) int reserve_one(void)
{
	struct rondo_record record;

	return rondo_reserve(c.channel, c.id, 8, &record);
}

static void *reserve_and_wait(void *unused)
{
	(void)unused;
	if (reserve_one() == 0)
		pthread_barrier_wait(&reserved);
	for (;;)
		pause();
	return NULL;
}

static void *reserve_and_end(void *unused)
{
	(void)unused;
	(void)reserve_one();
	pthread_exit(NULL);
}

static void a_thread_may_be_cancelled_in_a_record(void **state)
{
	pthread_t thread;

	(void)state;
	begin();
	pthread_barrier_init(&reserved, NULL, 2);
	for (uint32_t i = 0; i < 3; i++) {
		record_one();
		pthread_create(&thread, NULL, reserve_and_wait, NULL);
		pthread_barrier_wait(&reserved);
		pthread_cancel(thread);
		pthread_join(thread, NULL);
		record_one();
		assert_true(rondo_channel_flush(c.channel) >= 0);
	}
	pthread_barrier_destroy(&reserved);
	go_on_and_end();
}

static void a_thread_may_end_in_a_record(void **state)
{
	pthread_t thread;

	(void)state;
	begin();
	for (uint32_t i = 0; i < 3; i++) {
		record_one();
		pthread_create(&thread, NULL, reserve_and_end, NULL);
		pthread_join(thread, NULL);
		record_one();
		assert_true(rondo_channel_flush(c.channel) >= 0);
	}
	go_on_and_end();
}

/* ---- a process that is stopped ---- */

static int stop_in_a_record(void *argument)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct consume own = {.recorded = 0};
	struct rondo_record record;

	config.path = argument;
	config.stall_ms = 1;
	consume_pin(0);
	TEST_CHILD_CHECK(rondo_channel_create(&config, &own.channel) == 0);
	consume_register(&own);
	for (int i = 0; i < 10; i++)
		consume_record(&own);
	record = consume_reserve(&own);
	consume_record(&own);
	raise(SIGSTOP);
	TEST_CHILD_CHECK(rondo_commit(&record) == 0);
	consume_record(&own);
	TEST_CHILD_CHECK(rondo_channel_flush(own.channel) >= 0);
	return 0;
}

/* Ten before it, one behind it; and one when it goes on. */
static void consume_while_it_stops(pid_t pid)
{
	struct rondo_view view;
	uint64_t numbers[16];
	int status, result;

	assert_int_equal(rondo_channel_flush(c.channel), 1);
	while ((result = rondo_consumer_take(c.consumer, &view)) == -EAGAIN)
		(void)rondo_consumer_wait(c.consumer, 1000000);
	assert_int_equal(result, 0);
	assert_int_equal(view.flags, RONDO_VIEW_LATE | RONDO_VIEW_STALLED);
	assert_int_equal(consume_numbers(&view, numbers, 16), 11);
	assert_int_equal(numbers[9], 10);
	assert_int_equal(numbers[10], 12);
	consume_release(&c, &view);
	assert_int_equal(consume_stats(&c).abandoned, 1);
	assert_int_equal(kill(pid, SIGCONT), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	consume_expect(&c, 13, 1);
	consume_nothing(&c, -ENODATA);
}

static void a_stopped_process_costs_its_open_record_alone(void **state)
{
	char directory[256], path[300];
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(test_directory(directory, sizeof(directory)), 0);
	snprintf(path, sizeof(path), "%s/channel", directory);
	pid = fork();
	if (pid == 0)
		_exit(stop_in_a_record(path));
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(rondo_channel_attach_path(path, &c.channel), 0);
	c.map = &c.channel->control->map;
	assert_int_equal(rondo_consumer_open(c.channel, &c.consumer), 0);
	consume_while_it_stops(pid);
	consume_end(&c);
	unlink(path);
	rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_handler_may_jump_out_of_a_record_at_every_point),
		cmocka_unit_test(a_thread_may_be_cancelled_in_a_record),
		cmocka_unit_test(a_thread_may_end_in_a_record),
		cmocka_unit_test(a_stopped_process_costs_its_open_record_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
