/* SPDX-License-Identifier: MIT */
/*
 * Ports: what is behind one while somebody is between enter and leave.
 */
#include "support/test.h"
#include "support/process.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <rondo/rondo.h>

#define SIZE sizeof(struct rondo_config)

static struct rondo_channel *new_channel(void)
{
	struct rondo_config config = {.size = SIZE, .subbuf_bytes = 65536};
	struct rondo_channel *channel;

	assert_int_equal(rondo_channel_create(&config, &channel), 0);
	return channel;
}

static void a_zeroed_port_is_empty(void **state)
{
	struct rondo_port port = {0};

	(void)state;
	assert_null(rondo_port_enter(&port));
	rondo_port_leave(&port);
	assert_null(rondo_port_publish(&port, NULL));
}

static void what_is_published_is_found_and_given_back(void **state)
{
	struct rondo_channel *one = new_channel(), *two = new_channel();
	struct rondo_port port = {0};

	(void)state;
	assert_null(rondo_port_publish(&port, one));
	assert_ptr_equal(rondo_port_enter(&port), one);
	assert_ptr_equal(rondo_port_enter(&port), one); /* nested */
	rondo_port_leave(&port);
	rondo_port_leave(&port);
	assert_ptr_equal(rondo_port_publish(&port, two), one);
	assert_ptr_equal(rondo_port_enter(&port), two);
	rondo_port_leave(&port);
	assert_ptr_equal(rondo_port_publish(&port, NULL), two);
	assert_null(rondo_port_enter(&port));
	rondo_port_leave(&port);
	rondo_channel_destroy(one);
	rondo_channel_destroy(two);
}

static struct rondo_port handler_port;
static struct rondo_channel *handler_saw;

static void enter_in_handler(int signal)
{
	(void)signal;
	handler_saw = rondo_port_enter(&handler_port);
	rondo_port_leave(&handler_port);
}

static void a_handler_may_enter_where_its_victim_is(void **state)
{
	struct sigaction action = {.sa_handler = enter_in_handler}, before;
	struct rondo_channel *channel = new_channel();

	(void)state;
	rondo_port_publish(&handler_port, channel);
	sigaction(SIGUSR1, &action, &before);
	assert_ptr_equal(rondo_port_enter(&handler_port), channel);
	raise(SIGUSR1);
	rondo_port_leave(&handler_port);
	sigaction(SIGUSR1, &before, NULL);
	assert_ptr_equal(handler_saw, channel);
	rondo_port_publish(&handler_port, NULL);
	rondo_channel_destroy(channel);
}

/* ---- a reader stays inside until it is told to leave ---- */

static struct {
	struct rondo_port port;
	uint32_t inside, leave, left;
} slow;

static void *stay_inside(void *argument)
{
	rondo_port_enter(&slow.port);
	rondo_store_relaxed(&slow.inside, 1);
	while (!rondo_load_relaxed(&slow.leave))
		sched_yield();
	rondo_store_relaxed(&slow.left, 1);
	rondo_port_leave(&slow.port);
	return argument;
}

static void start_reader(pthread_t *thread)
{
	memset(&slow, 0, sizeof(slow));
	assert_int_equal(pthread_create(thread, NULL, stay_inside, NULL), 0);
	while (!rondo_load_relaxed(&slow.inside))
		sched_yield();
}

static void *let_leave(void *argument)
{
	for (int i = 0; i < 100; i++)
		sched_yield();
	rondo_store_relaxed(&slow.leave, 1);
	return argument;
}

static void publishing_ends_after_who_was_inside_has_left(void **state)
{
	pthread_t reader, helper;

	(void)state;
	start_reader(&reader);
	assert_int_equal(pthread_create(&helper, NULL, let_leave, NULL), 0);
	rondo_port_publish(&slow.port, NULL);
	assert_int_equal(rondo_load_relaxed(&slow.left), 1);
	pthread_join(reader, NULL);
	pthread_join(helper, NULL);
}

static int publish_alone(void *argument)
{
	struct rondo_channel *channel;

	(void)argument;
	TEST_CHILD_CHECK(!rondo_port_publish(&slow.port, NULL));
	TEST_CHILD_CHECK(!rondo_channel_create(NULL, &channel));
	TEST_CHILD_CHECK(!rondo_port_publish(&slow.port, channel));
	TEST_CHILD_CHECK(rondo_port_enter(&slow.port) == channel);
	rondo_port_leave(&slow.port);
	TEST_CHILD_CHECK(rondo_port_publish(&slow.port, NULL) == channel);
	TEST_CHILD_CHECK(!rondo_channel_destroy(channel));
	return 0;
}

/* The reader exists in the parent only, and never leaves in the child. */
static void a_child_does_not_wait_for_its_parents_threads(void **state)
{
	pthread_t reader;

	(void)state;
	if (test_is_emulated()) /* its own threads are in the child, too */
		skip();
	start_reader(&reader);
	assert_int_equal(test_in_child(publish_alone, NULL), 0);
	rondo_store_relaxed(&slow.leave, 1);
	pthread_join(reader, NULL);
}

/* ---- swapped while used ---- */

#define SWAPS 40

static struct {
	struct rondo_port port;
	uint32_t stop;
	uint64_t wrong;
} busy;

static void *use_what_is_there(void *argument)
{
	while (!rondo_load_relaxed(&busy.stop)) {
		struct rondo_channel *channel = rondo_port_enter(&busy.port);
		struct rondo_config config = {.size = SIZE};

		/* Gone memory would be a fault, or another name. */
		if (channel && (rondo_channel_config(channel, &config) ||
				strcmp(config.name, "rondo")))
			rondo_add_relaxed(&busy.wrong, 1);
		rondo_port_leave(&busy.port);
	}
	return argument;
}

static void
a_channel_may_be_swapped_and_destroyed_while_it_is_used(void **state)
{
	pthread_t threads[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						use_what_is_there, NULL),
				 0);
	for (int i = 0; i < SWAPS; i++)
		rondo_channel_destroy(
			rondo_port_publish(&busy.port, new_channel()));
	rondo_channel_destroy(rondo_port_publish(&busy.port, NULL));
	rondo_store_relaxed(&busy.stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(busy.wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_zeroed_port_is_empty),
		cmocka_unit_test(what_is_published_is_found_and_given_back),
		cmocka_unit_test(a_handler_may_enter_where_its_victim_is),
		cmocka_unit_test(publishing_ends_after_who_was_inside_has_left),
		cmocka_unit_test(a_child_does_not_wait_for_its_parents_threads),
		cmocka_unit_test(
			a_channel_may_be_swapped_and_destroyed_while_it_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
