/* SPDX-License-Identifier: MIT */
/*
 * Machines that lack something: descriptors, address space, rseq and its fence,
 * /proc, /sys and /dev/shm. Each in a child, which may not get it back.
 */
#include "support/process.h"
#include "support/test.h"
#include "support/trace.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <rondo/rondo.h>

#include "control.h"
#include "hostile/hostile.h"
#include "memory.h"

#define RECORDS 100u

/* What a program does with it, from one end to the other. The first error. */
struct life {
	char trace[512];
	struct rondo_channel *channel, *attached;
	struct rondo_writer *writer;
	uint64_t records; /* in the trace */
};

static int record(struct life *life)
{
	uint16_t ids[HOSTILE_CLASSES];

	hostile_register(life->channel, ids);
	for (unsigned i = 0; i < RECORDS; i++) {
		int result =
			hostile_record(life->channel, ids, HOSTILE_NUMBER, i);

		if (result)
			return result;
	}
	return 0;
}

static int count_records(struct life *life)
{
	struct hostile_schema *schema =
		hostile_schema_open(&life->channel->control->map);
	const char *why =
		hostile_read_trace(schema, life->trace, &life->records);

	hostile_schema_close(schema);
	return why || life->records != RECORDS ? -EBADMSG : 0;
}

static int write_all(struct life *life)
{
	int result = record(life);

	if (!result)
		result = rondo_writer_open(life->channel, life->trace,
					   &life->writer);
	if (result)
		return result;
	result = rondo_writer_start(life->writer);
	if (!result)
		result = rondo_writer_stop(life->writer);
	if (!result) {
		result = rondo_writer_close(life->writer);
		return result ? result : count_records(life);
	}
	(void)rondo_writer_close(life->writer);
	return result;
}

static int live(struct life *life)
{
	struct rondo_config config = hostile_config(0);
	int result;

	config.subbuf_count = 8;
	result = rondo_channel_create(&config, &life->channel);
	if (result)
		return result;
	result = rondo_channel_attach(rondo_channel_fd(life->channel),
				      &life->attached);
	if (!result) {
		result = write_all(life);
		(void)rondo_channel_destroy(life->attached);
	}
	(void)rondo_channel_destroy(life->channel);
	return result;
}

/* ---- little of something ---- */

static struct life begin_life(void)
{
	struct life life = {.records = 0};

	trace_scratch(life.trace);
	return life;
}

/* Every number of descriptors, from too few to enough. */
static int live_with_few_descriptors(void *argument)
{
	struct rlimit limit;
	unsigned refused = 0;
	int lowest = hostile_free_descriptor(), result;

	(void)argument;
	getrlimit(RLIMIT_NOFILE, &limit);
	for (rlim_t more = 0;; more++) {
		struct life life = begin_life();

		limit.rlim_cur = (rlim_t)lowest + more;
		setrlimit(RLIMIT_NOFILE, &limit);
		result = live(&life);
		TEST_CHILD_CHECK(hostile_free_descriptor() ==
					 (more ? lowest : -1) ||
				 !more);
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		hostile_remove(life.trace);
		if (!result)
			break;
		TEST_CHILD_CHECK(result == -EMFILE);
		refused++;
	}
	TEST_CHILD_CHECK(refused >= 3);
	return 0;
}

static void with_any_number_of_descriptors_it_works_or_says_so(void **state)
{
	(void)state;
	assert_int_equal(test_in_child(live_with_few_descriptors, NULL), 0);
}

static uint64_t address_space(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%lu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int live_with_little_space(void *argument)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	struct life life = begin_life();
	uint64_t before;
	int result;

	(void)argument;
	/* Once for what is done once. */
	TEST_CHILD_CHECK(live(&life) == 0);
	hostile_remove(life.trace);
	before = address_space();
	for (uint64_t more = 0;; more += 128 * 1024) {
		life = begin_life();
		limit.rlim_cur = before + more;
		TEST_CHILD_CHECK(!setrlimit(RLIMIT_AS, &limit));
		result = live(&life);
		limit.rlim_cur = RLIM_INFINITY;
		TEST_CHILD_CHECK(!setrlimit(RLIMIT_AS, &limit));
		hostile_remove(life.trace);
		if (!result && more >= 8 * 1024 * 1024)
			return 0;
		TEST_CHILD_CHECK(!result || result == -ENOMEM ||
				 result == -EAGAIN);
	}
}

static void with_any_address_space_it_works_or_says_so(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* whose shadow is larger than any limit */
#endif
	if (test_is_emulated())
		skip();
	assert_int_equal(test_in_child(live_with_little_space, NULL), 0);
}

/* ---- nothing of it ---- */

static int live_atomically(const char *trace, uint32_t reason)
{
	struct life life = {.records = 0};
	struct rondo_channel *channel;
	struct rondo_stats stats;

	snprintf(life.trace, sizeof(life.trace), "%s", trace);
	TEST_CHILD_CHECK(live(&life) == 0);
	TEST_CHILD_CHECK(rondo_channel_create(NULL, &channel) == 0);
	TEST_CHILD_CHECK(rondo_channel_stats(channel, &stats) == 0);
	TEST_CHILD_CHECK(stats.mode == RONDO_HEAD_ATOMIC);
	TEST_CHILD_CHECK(stats.reason == reason);
	TEST_CHILD_CHECK(rondo_channel_destroy(channel) == 0);
	return 0;
}

static int without_fences(void *argument)
{
	static const unsigned errors[] = {EPERM, ENOSYS, EINVAL};
	const char *trace = argument;

	for (size_t i = 0; i < TEST_COUNT(errors); i++) {
		if (test_refuse(SYS_membarrier, -1, 0, errors[i]))
			return TEST_CHILD_SKIP;
		TEST_CHILD_CHECK(
			!live_atomically(trace, RONDO_MODE_NO_MEMBARRIER));
		hostile_remove(trace);
	}
	return 0;
}

static void without_membarrier_it_is_atomic_and_says_why(void **state)
{
	struct rondo_channel *channel;
	struct rondo_stats stats;
	struct life life = begin_life();
	int status;

	(void)state;
	assert_int_equal(rondo_channel_create(NULL, &channel), 0);
	assert_int_equal(rondo_channel_stats(channel, &stats), 0);
	assert_int_equal(rondo_channel_destroy(channel), 0);
	status = test_in_child(without_fences, life.trace);
	hostile_remove(life.trace);
	if (status == TEST_CHILD_SKIP || stats.reason != RONDO_MODE_RSEQ)
		skip();
	assert_int_equal(status, 0);
}

/* The kernel refuses rseq to libc when the program starts; again from main. */
static int without_rseq(void *argument)
{
	if (test_refuse(SYS_rseq, -1, 0, ENOSYS))
		return TEST_CHILD_SKIP;
	execl("/proc/self/exe", "limits", "--atomic", (char *)argument,
	      (char *)NULL);
	return 1;
}

static void without_rseq_it_is_atomic_and_says_why(void **state)
{
	struct life life = begin_life();
	int status = test_in_child(without_rseq, life.trace);

	(void)state;
	hostile_remove(life.trace);
	if (status == TEST_CHILD_SKIP)
		skip();
	assert_int_equal(status, 0);
}

/* Who cannot see that the others live does not take them for dead. */
static int come_second(void *argument)
{
	struct rondo_channel *channel;
	struct rondo_consumer *consumer;

	TEST_CHILD_CHECK(rondo_channel_attach(*(int *)argument, &channel) == 0);
	TEST_CHILD_CHECK(rondo_memory_creator_lives(&channel->control->map));
	TEST_CHILD_CHECK(rondo_consumer_open(channel, &consumer) == -EBUSY);
	return 0;
}

static int keep_the_consumers_place(void)
{
	struct rondo_channel *channel;
	struct rondo_consumer *consumer;
	int fd;

	TEST_CHILD_CHECK(rondo_channel_create(NULL, &channel) == 0);
	TEST_CHILD_CHECK(rondo_consumer_open(channel, &consumer) == 0);
	fd = rondo_channel_fd(channel);
	TEST_CHILD_CHECK(test_in_child(come_second, &fd) == 0);
	TEST_CHILD_CHECK(rondo_consumer_close(consumer) == 0);
	TEST_CHILD_CHECK(rondo_channel_destroy(channel) == 0);
	return 0;
}

/* File systems of the kernel, under empty ones that nobody else sees. */
static int without_file_systems(void *argument)
{
	static const char *const hidden[] = {"/proc", "/sys", "/dev/shm"};
	struct life life = {.records = 0};

	snprintf(life.trace, sizeof(life.trace), "%s", (char *)argument);
	if (unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return TEST_CHILD_SKIP;
	if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL))
		return TEST_CHILD_SKIP;
	for (size_t i = 0; i < TEST_COUNT(hidden); i++)
		if (mount("none", hidden[i], "tmpfs", MS_RDONLY, "size=4k") &&
		    errno != ENOENT)
			return TEST_CHILD_SKIP;
	TEST_CHILD_CHECK(access("/proc/self", F_OK));
	TEST_CHILD_CHECK(live(&life) == 0);
	return keep_the_consumers_place();
}

static void without_proc_and_sys_it_works(void **state)
{
	struct life life = {.records = 0};
	char here[] = "./rondo-limits-XXXXXX"; /* not where tmpfs may be */
	int status;

	(void)state;
	assert_non_null(mkdtemp(here));
	assert_non_null(realpath(here, life.trace));
	status = test_in_child(without_file_systems, life.trace);
	hostile_remove(life.trace);
	if (status == TEST_CHILD_SKIP)
		skip();
	assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			with_any_number_of_descriptors_it_works_or_says_so),
		cmocka_unit_test(with_any_address_space_it_works_or_says_so),
		cmocka_unit_test(without_membarrier_it_is_atomic_and_says_why),
		cmocka_unit_test(without_rseq_it_is_atomic_and_says_why),
		cmocka_unit_test(without_proc_and_sys_it_works),
	};

	if (argc == 3 && !strcmp(argv[1], "--atomic"))
		return live_atomically(argv[2], RONDO_MODE_UNREGISTERED);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
