/* SPDX-License-Identifier: MIT */
/*
 * Memory that runs out: each allocation of a call fails once, alone. The call
 * says so or does without, and leaves nothing behind. Linked with --wrap of
 * what allocates.
 */
#include "support/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <rondo/rondo.h>

#include "support/process.h"
#include "support/trace.h"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
char *__real_strdup(const char *text);
int __real_posix_memalign(void **out, size_t alignment, size_t bytes);
int __real_pthread_atfork(void (*before)(void), void (*parent)(void),
			  void (*child)(void));
int __real_pthread_create(pthread_t *out, const pthread_attr_t *how,
			  void *(*run)(void *), void *argument);
void __real_free(void *block);

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
char *__wrap_strdup(const char *text);
int __wrap_posix_memalign(void **out, size_t alignment, size_t bytes);
int __wrap_pthread_atfork(void (*before)(void), void (*parent)(void),
			  void (*child)(void));
int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *how,
			  void *(*run)(void *), void *argument);
void __wrap_free(void *block);

static bool armed;
static int before_failure; /* allocations that succeed, once armed */
static int blocks;	   /* that were not freed */

static bool fails(void)
{
	if (!armed || before_failure--)
		return false;
	armed = false;
	return true;
}

static void *counted(void *block)
{
	if (block)
		blocks++;
	return block;
}

void *__wrap_malloc(size_t bytes)
{
	return fails() ? NULL : counted(__real_malloc(bytes));
}

static void (*at_calloc)(void);

void *__wrap_calloc(size_t count, size_t bytes)
{
	if (at_calloc)
		at_calloc();
	return fails() ? NULL : counted(__real_calloc(count, bytes));
}

void *__wrap_realloc(void *old, size_t bytes)
{
	void *block = fails() ? NULL : __real_realloc(old, bytes);

	return old ? block : counted(block);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : counted(__real_strdup(text));
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t bytes)
{
	if (fails())
		return ENOMEM;
	blocks++;
	return __real_posix_memalign(out, alignment, bytes);
}

int __wrap_pthread_atfork(void (*before)(void), void (*parent)(void),
			  void (*child)(void))
{
	return fails() ? ENOMEM : __real_pthread_atfork(before, parent, child);
}

int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *how,
			  void *(*run)(void *), void *argument)
{
	return fails() ? EAGAIN :
			 __real_pthread_create(out, how, run, argument);
}

void __wrap_free(void *block)
{
	if (block)
		blocks--;
	__real_free(block);
}

/* ---- every one in turn ---- */

static char scratch[512];

static void assert_same_holdings(const struct test_holdings *before)
{
	struct test_holdings now = test_holdings();

	assert_int_equal(now.descriptors, before->descriptors);
	assert_int_equal(now.shared_maps, before->shared_maps);
}

/* Of what(), which gives back all it took, but for what a process keeps, and
 * returns the first error it had. Returns how many failures it was told of. */
static int each_fails_once(int (*what)(void), int kept)
{
	struct test_holdings before = test_holdings();
	int told = 0;

	blocks = 0;
	for (int at = 0;; at++) {
		bool came_to_it;
		int result;

		before_failure = at;
		armed = true;
		result = what();
		came_to_it = !armed;
		armed = false;
		assert_in_range(blocks, 0, kept);
		assert_same_holdings(&before);
		if (!came_to_it) {
			assert_int_equal(result, 0);
			return told;
		}
		if (result)
			assert_true(result == -ENOMEM || result == -EAGAIN);
		told += result != 0;
	}
}

/* The first two errors, the first first. */
static int first_of(int a, int b)
{
	return a ? a : b;
}

/* ---- what may fail ---- */

static int with_channel(const struct rondo_config *config,
			int (*then)(struct rondo_channel *))
{
	struct rondo_channel *channel = NULL;
	int result = rondo_channel_create(config, &channel);

	if (result) {
		assert_null(channel);
		return result;
	}
	result = then ? then(channel) : 0;
	assert_int_equal(rondo_channel_destroy(channel), 0);
	return result;
}

static int create_and_destroy(void)
{
	struct rondo_config config = {.size = sizeof(config),
				      .flags = RONDO_NO_RSEQ};
	char path[600];
	int result;

	snprintf(path, sizeof(path), "%s/channel", scratch);
	config.path = path;
	result = with_channel(&config, NULL);
	/* The file stays, of a channel that was. */
	assert_int_equal(unlink(path), result ? -1 : 0);
	return result;
}

static int attach(struct rondo_channel *channel)
{
	struct rondo_channel *attached;
	int result = rondo_channel_attach(rondo_channel_fd(channel), &attached);

	return result ? result : rondo_channel_destroy(attached);
}

static int attach_and_detach(void)
{
	return with_channel(NULL, attach);
}

/* A class with something of each kind, whose text alone is pages long. */
static int add_classes(struct rondo_channel *channel, const char *prefix,
		       uint16_t *out)
{
	static const struct rondo_label labels[] = {
		{.name = "none", .value = 0}, {.name = "some", .value = 1}};
	static const struct rondo_field fields[] = {
		{.name = "bytes", .type = RONDO_FIELD_U32, .offset = 0},
		{.name = "kind",
		 .type = RONDO_FIELD_ENUM,
		 .offset = 4,
		 .labels = labels,
		 .label_count = TEST_COUNT(labels)},
		{.name = "list",
		 .type = RONDO_FIELD_SEQUENCE,
		 .offset = 8,
		 .length_field = "bytes"},
	};
	char name[32];

	for (int i = 0; i < 40; i++) {
		const struct rondo_event_class event_class = {
			.size = sizeof(event_class),
			.name = name,
			.fields = fields,
			.field_count = TEST_COUNT(fields),
			.field_size = sizeof(fields[0]),
		};
		int result;

		snprintf(name, sizeof(name), "%s%d", prefix, i);
		result = rondo_event_register(channel, &event_class, out);
		if (result)
			return result;
	}
	return 0;
}

static int record(struct rondo_channel *channel, uint16_t id)
{
	const uint32_t sample[] = {0, 1};

	return rondo_write(channel, id, sample, sizeof(sample));
}

static int open_consumer(struct rondo_channel *channel)
{
	struct rondo_consumer *consumer;
	int result = rondo_consumer_open(channel, &consumer);

	return result ? result : rondo_consumer_close(consumer);
}

static int consume(void)
{
	return with_channel(NULL, open_consumer);
}

static struct rondo_config small(uint32_t flags)
{
	return (struct rondo_config){
		.size = sizeof(struct rondo_config),
		.flags = flags,
		.subbuf_bytes = 4096,
		.subbuf_count = 4,
		.stall_ms = 1,
	};
}

static void trace_path(char out[600])
{
	static int number;

	snprintf(out, 600, "%s/%d", scratch, number++);
}

/* One in turn, and two out of turn that need streams of their own. */
static int write_packets(struct rondo_channel *channel,
			 struct rondo_writer *writer, uint16_t id)
{
	struct rondo_writer_stats stats;
	struct rondo_record stalled;
	int result = record(channel, id);

	/* Classes that the metadata does not have yet. */
	if (!result)
		result = add_classes(channel, "t:later", &id);
	for (unsigned late = 1; !result && late <= 2; late++) {
		assert_int_equal(rondo_reserve(channel, id, 8, &stalled), 0);
		memset(stalled.data, 0, 8);
		rondo_channel_flush(channel);
		assert_int_equal(record(channel, id), 0);
		rondo_channel_flush(channel);
		do {
			result = rondo_writer_step(writer, 0);
			rondo_writer_stats(writer, &stats);
		} while (result >= 0 && stats.late_packets < late);
		rondo_commit(&stalled);
		result = result < 0 ? result : 0;
	}
	return result;
}

static int write_trace(struct rondo_channel *channel)
{
	struct rondo_writer *writer = NULL;
	char directory[600];
	uint16_t id;
	int result = add_classes(channel, "t:class", &id);

	trace_path(directory);
	if (!result)
		result = rondo_writer_open(channel, directory, &writer);
	if (result) {
		assert_null(writer);
		return result;
	}
	result = write_packets(channel, writer, id);
	return first_of(result, rondo_writer_close(writer));
}

static int open_write_and_close(void)
{
	const struct rondo_config config = small(0);

	return with_channel(&config, write_trace);
}

/* Of an attached channel, which the writer copies from. */
static int write_from_outside(struct rondo_channel *channel)
{
	struct rondo_channel *attached;
	struct rondo_writer *writer;
	char directory[600];
	int result = rondo_channel_attach(rondo_channel_fd(channel), &attached);

	if (result)
		return result;
	trace_path(directory);
	result = rondo_writer_open(attached, directory, &writer);
	if (!result)
		result = rondo_writer_close(writer);
	assert_int_equal(rondo_channel_destroy(attached), 0);
	return result;
}

static int attach_write_and_close(void)
{
	const struct rondo_config config = small(0);

	return with_channel(&config, write_from_outside);
}

static int run_writer(struct rondo_channel *channel)
{
	struct rondo_writer *writer = NULL;
	char directory[600];
	int result;

	trace_path(directory);
	result = rondo_writer_open(channel, directory, &writer);
	if (result)
		return result;
	result = rondo_writer_start(writer);
	return first_of(result, rondo_writer_close(writer));
}

static int start_and_stop(void)
{
	return with_channel(NULL, run_writer);
}

static int record_and_snap(struct rondo_channel *channel)
{
	char directory[600];
	uint16_t id;
	int result = add_classes(channel, "t:class", &id);

	if (result)
		return result;
	assert_int_equal(record(channel, id), 0);
	trace_path(directory);
	result = rondo_snapshot(channel, directory);
	return result < 0 ? result : 0;
}

static int snap(void)
{
	const struct rondo_config config = small(RONDO_OVERWRITE);

	return with_channel(&config, record_and_snap);
}

/* ---- tests ---- */

/* The first of all channels: what there is once for a process comes here, and
 * its place among the process's channels stays. */
static int child_makes_a_channel(void *unused)
{
	struct rondo_channel *channel;

	(void)unused;
	TEST_CHILD_CHECK(rondo_channel_create(NULL, &channel) == 0);
	TEST_CHILD_CHECK(rondo_channel_destroy(channel) == 0);
	return 0;
}

static void fork_there(void)
{
	at_calloc = NULL;
	assert_int_equal(test_in_child(child_makes_a_channel, NULL), 0);
	at_calloc = fork_there;
}

/* A lock that a thread of the parent holds, none of the child's would ever give
 * back: entries of the list of channels are allocated under one. */
static void a_child_of_whoever_makes_a_channel_makes_its_own(void **state)
{
	struct rondo_channel *channels[3];

	(void)state;
	at_calloc = fork_there;
	for (size_t i = 0; i < TEST_COUNT(channels); i++)
		assert_int_equal(rondo_channel_create(NULL, &channels[i]), 0);
	at_calloc = NULL;
	for (size_t i = 0; i < TEST_COUNT(channels); i++)
		assert_int_equal(rondo_channel_destroy(channels[i]), 0);
}

static void a_channel_is_there_or_not_at_all(void **state)
{
	(void)state;
	assert_true(each_fails_once(create_and_destroy, 1) > 2);
	/* The self-test, which is made once, does without. */
	assert_true(each_fails_once(attach_and_detach, 1) > 0);
	assert_true(each_fails_once(attach_and_detach, 0) > 1);
}

static void a_consumer_is_there_or_not_at_all(void **state)
{
	(void)state;
	assert_true(each_fails_once(consume, 0) > 1);
}

static void a_writer_says_what_it_could_not_do(void **state)
{
	(void)state;
	assert_true(each_fails_once(open_write_and_close, 0) > 10);
	assert_true(each_fails_once(attach_write_and_close, 0) > 10);
	assert_true(each_fails_once(start_and_stop, 0) > 3);
}

static void a_snapshot_says_what_it_could_not_do(void **state)
{
	(void)state;
	assert_true(each_fails_once(snap, 0) > 10);
}

static int set_up(void **state)
{
	(void)state;
	trace_scratch(scratch);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	trace_remove(scratch);
	return 0;
}

/* ---- strings that do not hold still ---- */

static char growing[200];

/* Between the look at how long it is and the copy. */
static void grow(void)
{
	at_calloc = NULL;
	memset(growing, 'g', sizeof(growing) - 1);
}

static void
a_name_that_grows_is_not_copied_beyond_what_was_measured(void **state)
{
	struct rondo_field field = {.name = "field", .type = RONDO_FIELD_U64};
	struct rondo_event_class class = {
		.size = sizeof(class),
		.name = "test:name",
		.fields = &field,
		.field_count = 1,
		.field_size = sizeof(field),
	};
	const char **names[] = {&class.name, &field.name};
	struct rondo_channel *channel;
	uint16_t id = 0;

	(void)state;
	assert_int_equal(rondo_channel_create(NULL, &channel), 0);
	blocks = 0;
	for (size_t i = 0; i < TEST_COUNT(names); i++) {
		const char *before = *names[i];

		memset(growing, 0, sizeof(growing));
		growing[0] = 'g';
		*names[i] = growing;
		at_calloc = grow;
		assert_int_equal(rondo_event_register(channel, &class, &id),
				 -EINVAL);
		assert_null(at_calloc);
		assert_int_equal(blocks, 0);
		*names[i] = before;
	}
	assert_int_equal(rondo_event_register(channel, &class, &id), 0);
	assert_int_equal(id, RONDO_ID_FIRST);
	assert_int_equal(rondo_channel_destroy(channel), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_channel_is_there_or_not_at_all),
		cmocka_unit_test(
			a_child_of_whoever_makes_a_channel_makes_its_own),
		cmocka_unit_test(a_consumer_is_there_or_not_at_all),
		cmocka_unit_test(a_writer_says_what_it_could_not_do),
		cmocka_unit_test(a_snapshot_says_what_it_could_not_do),
		cmocka_unit_test(
			a_name_that_grows_is_not_copied_beyond_what_was_measured),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
