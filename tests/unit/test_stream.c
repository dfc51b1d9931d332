/* SPDX-License-Identifier: MIT */
/*
 * Stream files when writing fails half-way, in every way it can. Linked with
 * --wrap of the calls of os.h that the stream makes.
 */
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream.h"
#include "support/trace.h"

#define PACKET 4096

int64_t __real_rondo_os_write(int fd, const void *data, uint64_t bytes);
int __real_rondo_os_truncate(int fd, uint64_t bytes);
int __real_rondo_os_file_id(int fd, struct rondo_file_id *out);
int64_t __wrap_rondo_os_write(int fd, const void *data, uint64_t bytes);
int __wrap_rondo_os_truncate(int fd, uint64_t bytes);
int __wrap_rondo_os_file_id(int fd, struct rondo_file_id *out);

/* What the next writes answer: bytes at most, or an error; then as always. */
static const int64_t *answers;
static int answer_count;
static int truncate_fails, id_fails;

int64_t __wrap_rondo_os_write(int fd, const void *data, uint64_t bytes)
{
	int64_t answer;

	if (!answer_count)
		return __real_rondo_os_write(fd, data, bytes);
	answer_count--;
	answer = *answers++;
	return answer <= 0 ? answer :
			     __real_rondo_os_write(fd, data, (uint64_t)answer);
}

int __wrap_rondo_os_truncate(int fd, uint64_t bytes)
{
	if (truncate_fails) {
		truncate_fails--;
		return -EIO;
	}
	return __real_rondo_os_truncate(fd, bytes);
}

int __wrap_rondo_os_file_id(int fd, struct rondo_file_id *out)
{
	if (id_fails) {
		id_fails--;
		return -EIO;
	}
	return __real_rondo_os_file_id(fd, out);
}

static void answer(const int64_t *list, int count)
{
	answers = list;
	answer_count = count;
}

static char scratch[512], path[600];
static char packet[PACKET];
static struct rondo_stream stream;

static int set_up(void **state)
{
	(void)state;
	trace_scratch(scratch);
	snprintf(path, sizeof(path), "%s/stream", scratch);
	memset(packet, 7, sizeof(packet));
	rondo_stream_init(&stream, strdup(path));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	answer_count = truncate_fails = id_fails = 0;
	rondo_stream_close(&stream);
	trace_remove(scratch);
	return 0;
}

static int append(void)
{
	return rondo_stream_append(&stream, packet, sizeof(packet));
}

static void assert_packets(int count)
{
	struct stat status;

	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, count * PACKET);
	assert_int_equal(stream.bytes, count * PACKET);
}

static void a_packet_is_written_in_as_many_pieces_as_it_takes(void **state)
{
	const int64_t pieces[] = {-EINTR, 100, -EINTR, 1};

	(void)state;
	answer(pieces, TEST_COUNT(pieces));
	assert_int_equal(append(), 0);
	assert_packets(1);
}

static void what_was_traced_is_its_owners_alone(void **state)
{
	char temporary[640];
	struct stat status;

	(void)state;
	assert_int_equal(append(), 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	assert_int_equal(rondo_stream_replace(path, temporary, "text", 4), 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
}

static void what_a_failed_write_left_is_cut_off(void **state)
{
	const int64_t full[] = {100, -ENOSPC}, nothing[] = {200, 0};

	(void)state;
	assert_int_equal(append(), 0);
	answer(full, TEST_COUNT(full));
	assert_int_equal(append(), -ENOSPC);
	assert_packets(1);
	answer(nothing, TEST_COUNT(nothing));
	assert_int_equal(append(), -ENOSPC);
	assert_packets(1);
	assert_int_equal(append(), 0);
	assert_packets(2);
}

static void what_could_not_be_cut_off_is_cut_off_before_the_next(void **state)
{
	const int64_t full[] = {100, -ENOSPC};

	(void)state;
	assert_int_equal(append(), 0);
	answer(full, TEST_COUNT(full));
	truncate_fails = 2;
	assert_int_equal(append(), -ENOSPC);
	assert_int_equal(append(), -EIO);
	assert_int_equal(append(), 0);
	assert_packets(2);
}

static void a_file_without_a_packet_does_not_stay(void **state)
{
	const int64_t full[] = {100, -ENOSPC};

	(void)state;
	answer(full, TEST_COUNT(full));
	assert_int_equal(append(), -ENOSPC);
	assert_int_equal(access(path, F_OK), -1);
	answer(full, TEST_COUNT(full));
	truncate_fails = 1;
	assert_int_equal(append(), -ENOSPC);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(append(), 0);
	assert_packets(1);
}

static void closing_removes_a_file_without_a_packet(void **state)
{
	const int64_t full[] = {100, -ENOSPC};

	(void)state;
	answer(full, TEST_COUNT(full));
	truncate_fails = 1;
	assert_int_equal(append(), -ENOSPC);
	assert_int_equal(access(path, F_OK), 0);
	rondo_stream_close(&stream);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_file_that_is_gone_is_not_made_anew(void **state)
{
	(void)state;
	assert_int_equal(append(), 0);
	close(stream.fd);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(append(), -ENOENT);
	assert_int_equal(append(), -ENOENT);
	assert_int_equal(access(path, F_OK), -1);
}

static void somebody_elses_file_is_not_written_to(void **state)
{
	(void)state;
	assert_int_equal(append(), 0);
	close(stream.fd);
	assert_int_equal(unlink(path), 0);
	trace_put(scratch, "other", "theirs", 6); /* may have the same number */
	trace_put(scratch, "stream", "theirs", 6);
	assert_int_equal(append(), -ESTALE);
	assert_int_equal(trace_shell("test \"$(cat '%s')\" = theirs", path), 0);
}

static void a_file_that_cannot_be_told_from_others_is_not_used(void **state)
{
	(void)state;
	id_fails = 1;
	assert_int_equal(append(), -EIO);
	assert_int_equal(stream.fd, -1);
	/* Nor does it stand in the way for ever. */
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(append(), 0);
}

static void a_text_is_replaced_whole_or_not_at_all(void **state)
{
	const int64_t full[] = {1, -ENOSPC};
	char temporary[600];

	(void)state;
	snprintf(temporary, sizeof(temporary), "%s/no/where", scratch);
	assert_int_equal(rondo_stream_replace(path, temporary, "new", 3),
			 -ENOENT);
	snprintf(temporary, sizeof(temporary), "%s/temporary", scratch);
	trace_put(scratch, "stream", "old", 3);
	answer(full, TEST_COUNT(full));
	assert_int_equal(rondo_stream_replace(path, temporary, "new", 3),
			 -ENOSPC);
	assert_int_equal(access(temporary, F_OK), -1);
	assert_int_equal(trace_shell("test \"$(cat '%s')\" = old", path), 0);
	assert_int_equal(rondo_stream_replace(path, temporary, "new", 3), 0);
	assert_int_equal(trace_shell("test \"$(cat '%s')\" = new", path), 0);
}

static void a_text_beyond_the_file_limit_is_refused(void **state)
{
	struct rlimit limit, none;
	char temporary[600];

	(void)state;
	snprintf(temporary, sizeof(temporary), "%s/temporary", scratch);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	none = limit;
	none.rlim_cur = 2;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(rondo_stream_replace(path, temporary, "new", 3),
			 -EFBIG);
	assert_int_equal(append(), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(access(temporary, F_OK), -1);
	assert_int_equal(access(path, F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_packet_is_written_in_as_many_pieces_as_it_takes),
		TEST(what_was_traced_is_its_owners_alone),
		TEST(what_a_failed_write_left_is_cut_off),
		TEST(what_could_not_be_cut_off_is_cut_off_before_the_next),
		TEST(a_file_without_a_packet_does_not_stay),
		TEST(closing_removes_a_file_without_a_packet),
		TEST(a_file_that_is_gone_is_not_made_anew),
		TEST(somebody_elses_file_is_not_written_to),
		TEST(a_file_that_cannot_be_told_from_others_is_not_used),
		TEST(a_text_is_replaced_whole_or_not_at_all),
		TEST(a_text_beyond_the_file_limit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
