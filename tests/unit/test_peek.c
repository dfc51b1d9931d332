/* SPDX-License-Identifier: MIT */
/*
 * Looking into open sub-buffers, and moving closed ones without copying.
 */
#include "support/consume.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static char buffer[4096] __attribute__((aligned(16)));

static uint32_t open_ring(const struct consume *c)
{
	for (uint32_t i = 0; i < c->map->ring_count; i++) {
		struct rondo_stats stats;

		rondo_ring_stats(c->channel, i, &stats);
		if (stats.open_bytes)
			return i;
	}
	fail_msg("nothing is open");
	return 0;
}

static uint32_t peek(struct consume *c, uint64_t *out, uint32_t limit)
{
	struct rondo_view view;

	assert_int_equal(rondo_consumer_peek(c->consumer, open_ring(c), buffer,
					     sizeof(buffer), &view),
			 0);
	consume_check(c, &view);
	assert_int_equal(view.flags, RONDO_VIEW_PEEKED);
	assert_int_equal(view.offset, UINT64_MAX);
	assert_ptr_equal(view.data, buffer);
	assert_int_equal(rondo_consumer_release(c->consumer, &view), -EINVAL);
	return consume_numbers(&view, out, limit);
}

static void a_peek_shows_what_is_committed(void **state)
{
	for (uint32_t full = 0; full < 2; full++) {
		struct rondo_config config = CONSUME_CONFIG;
		struct rondo_record record;
		uint64_t numbers[8];
		struct consume c;

		(void)state;
		config.record_max = full * 3000;
		c = consume_start(&config);
		consume_record(&c);
		assert_int_equal(peek(&c, numbers, 8), 1);
		record = consume_reserve(&c);
		consume_record(&c);
		assert_int_equal(peek(&c, numbers, 8), 2);
		assert_int_equal(numbers[0], 1);
		assert_int_equal(numbers[1], 3);
		rondo_commit(&record);
		assert_int_equal(peek(&c, numbers, 8), 3);
		assert_int_equal(numbers[1], 2);
		/* And takes nothing. */
		consume_nothing(&c, -EAGAIN);
		rondo_channel_flush(c.channel);
		consume_expect(&c, 1, 3);
		consume_end(&c);
	}
}

static void a_peek_does_not_show_what_was_squashed(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	struct rondo_record record;
	uint64_t numbers[8];

	(void)state;
	consume_record(&c);
	record = consume_reserve(&c);
	rondo_commit(&record);
	assert_int_equal(peek(&c, numbers, 8), 2);
	assert_int_equal(rondo_squash(c.channel, rondo_mark(&record)), 0);
	assert_int_equal(peek(&c, numbers, 8), 1);
	consume_end(&c);
}

static void a_peek_ends_at_the_last_field(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	struct rondo_view view;

	(void)state;
	assert_int_equal(rondo_write(c.channel, c.id, "thirteen byte", 13), 0);
	assert_int_equal(rondo_consumer_peek(c.consumer, open_ring(&c), buffer,
					     sizeof(buffer), &view),
			 0);
	consume_check(&c, &view);
	assert_int_equal(view.content, 128 + c.map->header_bytes + 13);
	consume_end(&c);
}

/* Names the same pages and number as the loan does, later. */
static void a_peeked_view_gives_back_no_loan(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	struct rondo_view peeked, taken;

	(void)state;
	consume_record(&c);
	assert_int_equal(rondo_consumer_peek(c.consumer, open_ring(&c), buffer,
					     sizeof(buffer), &peeked),
			 0);
	assert_int_equal(rondo_channel_flush(c.channel), 1);
	taken = consume_take(&c);
	assert_int_equal(taken.pages, peeked.pages);
	assert_true(taken.number == peeked.number);
	assert_int_equal(rondo_consumer_release(c.consumer, &peeked), -EINVAL);
	consume_release(&c, &taken);
	consume_end(&c);
}

static void a_peek_says_why_it_cannot(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	struct rondo_view view;
	uint32_t ring;

	(void)state;
	assert_int_equal(rondo_consumer_peek(c.consumer, 0, buffer, 4096,
					     &view),
			 -EAGAIN);
	consume_record(&c);
	ring = open_ring(&c);
	assert_int_equal(rondo_consumer_peek(c.consumer, ring, buffer, 4095,
					     &view),
			 -EINVAL);
	assert_int_equal(rondo_consumer_peek(c.consumer, ring, buffer + 4, 4096,
					     &view),
			 -EINVAL);
	assert_int_equal(rondo_consumer_peek(c.consumer, c.map->ring_count,
					     buffer, 4096, &view),
			 -ENOENT);
	rondo_channel_flush(c.channel);
	assert_int_equal(rondo_consumer_peek(c.consumer, ring, buffer, 4096,
					     &view),
			 -EAGAIN);
	consume_end(&c);
}

/* Peeks where the next sub-buffer is claimed, and the head has not come to it:
 * what the caller's buffer held before is no packet. */
static struct consume *claimed;
static int peeked;

static void peek_at_claim(enum rondo_testpoint at)
{
	struct rondo_packet packet;
	struct rondo_view view;
	uint32_t ring;

	if (at != RONDO_AT_CLAIMED || !claimed)
		return;
	memcpy(&packet, buffer, sizeof(packet));
	ring = (uint32_t)packet.stream_instance_id;
	packet.number++;
	memcpy(buffer, &packet, sizeof(packet));
	peeked = rondo_consumer_peek(claimed->consumer, ring, buffer,
				     sizeof(buffer), &view);
	claimed = NULL;
}

static void a_peek_believes_nothing_that_was_in_the_buffer(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	uint64_t numbers[8];

	(void)state;
	consume_record(&c);
	assert_int_equal(peek(&c, numbers, 8), 1);
	rondo_channel_flush(c.channel);
	claimed = &c;
	rondo_testpoint_hook = peek_at_claim;
	consume_record(&c);
	rondo_testpoint_hook = NULL;
	assert_null(claimed);
	assert_int_equal(peeked, -EAGAIN);
	consume_end(&c);
}

static void a_peek_tells_what_was_refused_so_far(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	struct rondo_packet packet;
	struct rondo_view view;
	uint64_t value = 0;

	(void)state;
	while (rondo_write(c.channel, c.id, &value, 8) == 0)
		;
	assert_int_equal(rondo_consumer_peek(c.consumer, open_ring(&c), buffer,
					     sizeof(buffer), &view),
			 0);
	assert_int_equal(view.lost[RONDO_REFUSED_FULL], 1);
	memcpy(&packet, view.data, sizeof(packet));
	assert_int_equal(packet.events_discarded, 1);
	consume_end(&c);
}

/* In atomic mode the head moves before the header is there. */
static void a_header_that_is_not_there_yet_is_not_shown(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	struct rondo_packet *packet;
	struct rondo_view view;
	uint64_t slot;
	uint32_t ring;

	(void)state;
	consume_record(&c);
	ring = open_ring(&c);
	slot = *rondo_map_slot(
		c.map, ring,
		rondo_head_number(rondo_map_ring(c.map, ring)->head,
				  c.map->order));
	packet = rondo_map_packet(c.map, ring, rondo_slot_pages(slot));
	packet->number -= 4;
	assert_int_equal(rondo_consumer_peek(c.consumer, ring, buffer,
					     sizeof(buffer), &view),
			 -EAGAIN);
	packet->number += 4;
	assert_int_equal(rondo_consumer_peek(c.consumer, ring, buffer,
					     sizeof(buffer), &view),
			 0);
	consume_end(&c);
}

/* What happens once while a peek copies. */
static struct consume *raced;
static struct rondo_record open_one;
static void (*race_step)(struct consume *c);

static void race(enum rondo_testpoint at)
{
	void (*step)(struct consume * c) = race_step;

	if (at != RONDO_AT_PEEK || !step)
		return;
	race_step = NULL;
	step(raced);
}

static int peek_racing(struct consume *c, void (*step)(struct consume *c),
		       struct rondo_view *out)
{
	uint32_t ring = open_ring(c);
	int result;

	raced = c;
	race_step = step;
	rondo_testpoint_hook = race;
	result = rondo_consumer_peek(c->consumer, ring, buffer, sizeof(buffer),
				     out);
	rondo_testpoint_hook = NULL;
	assert_null(race_step);
	return result;
}

static void discard_it(struct consume *c)
{
	(void)c;
	rondo_discard(&open_one);
}

static void squash_it(struct consume *c)
{
	rondo_commit(&open_one);
	assert_int_equal(rondo_squash(c->channel, rondo_mark(&open_one)), 0);
}

static void flush_it(struct consume *c)
{
	rondo_commit(&open_one);
	rondo_channel_flush(c->channel);
}

static void a_peek_starts_again_when_something_is_taken_back(void **state)
{
	void (*const steps[])(struct consume *) = {discard_it, squash_it};
	const struct rondo_config config = CONSUME_CONFIG;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct consume c = consume_start(&config);
		struct rondo_view view;
		uint64_t number;

		consume_record(&c);
		open_one = consume_reserve(&c);
		assert_int_equal(peek_racing(&c, steps[i], &view), 0);
		consume_check(&c, &view);
		assert_int_equal(view.content, 128 + 8 + 8);
		assert_int_equal(consume_numbers(&view, &number, 1), 1);
		consume_end(&c);
	}
}

static void a_peek_of_what_is_closed_meanwhile_shows_nothing(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	struct rondo_view view;

	(void)state;
	consume_record(&c);
	open_one = consume_reserve(&c);
	assert_int_equal(peek_racing(&c, flush_it, &view), -EAGAIN);
	consume_expect(&c, 1, 2);
	consume_end(&c);
}

static uint32_t finished;

static void *record_on(void *argument)
{
	struct consume *c = argument;

	consume_pin(0);
	while (!rondo_load_relaxed(&finished))
		consume_record(c);
	return NULL;
}

/* What one thread records is without holes, whenever one looks. */
static void a_peek_while_others_record_is_whole(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	uint64_t numbers[512], last = 0;
	struct rondo_view view;
	pthread_t thread;
	struct consume c;
	int peeks = 0;
	uint32_t ring;

	(void)state;
	config.flags = RONDO_OVERWRITE;
	c = consume_start(&config);
	consume_record(&c);
	ring = open_ring(&c);
	consume_pin(1);
	rondo_store_relaxed(&finished, 0);
	pthread_create(&thread, NULL, record_on, &c);
	for (int tries = 0; tries < 20000 && peeks < 1000; tries++) {
		uint32_t count;

		if (rondo_consumer_peek(c.consumer, ring, buffer,
					sizeof(buffer), &view))
			continue;
		consume_check(&c, &view);
		count = consume_numbers(&view, numbers, 512);
		for (uint32_t i = 1; i < count; i++)
			assert_int_equal(numbers[i], numbers[0] + i);
		if (count) {
			assert_true(numbers[count - 1] >= last);
			last = numbers[count - 1];
			peeks++;
		}
	}
	rondo_store_relaxed(&finished, 1);
	pthread_join(thread, NULL);
	assert_true(peeks > 0);
	consume_end(&c);
}

/* ---- splicing ---- */

static void read_back(int fd, char *out, uint64_t bytes)
{
	uint64_t done = 0;

	while (done < bytes) {
		ssize_t got = read(fd, out + done, bytes - done);

		assert_true(got > 0);
		done += (uint64_t)got;
	}
}

static void a_spliced_file_has_the_same_bytes(void **state)
{
	struct rondo_config config = CONSUME_CONFIG;
	int file = memfd_create("out", MFD_CLOEXEC);
	struct rondo_view view;
	uint64_t bytes = 0;
	char *back;
	struct consume c;

	(void)state;
	/* Larger than a pipe: several splices for each. */
	config.subbuf_bytes = 1 << 20;
	config.record_max = 2000;
	c = consume_start(&config);
	back = malloc(1 << 20);
	assert_non_null(back);
	for (int i = 0; i < 3; i++) {
		consume_fill(&c);
		view = consume_take(&c);
		assert_int_equal(rondo_consumer_splice(c.consumer, &view, file),
				 (int64_t)view.bytes);
		assert_int_equal(lseek(file, (off_t)bytes, SEEK_SET), bytes);
		read_back(file, back, view.bytes);
		assert_memory_equal(back, view.data, view.bytes);
		bytes += view.bytes;
		consume_release(&c, &view);
	}
	assert_int_equal(lseek(file, 0, SEEK_END), bytes);
	free(back);
	close(file);
	consume_end(&c);
}

static void a_spliced_pipe_has_the_same_bytes(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	struct rondo_view view;
	char back[4096];
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	consume_deliver(&c, 20);
	view = consume_take(&c);
	assert_int_equal(rondo_consumer_splice(c.consumer, &view, fds[1]),
			 (int64_t)view.bytes);
	read_back(fds[0], back, view.bytes);
	assert_memory_equal(back, view.data, view.bytes);
	close(fds[0]);
	close(fds[1]);
	consume_end(&c);
}

static void a_pipe_that_nobody_reads_is_an_error_and_no_signal(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	struct rondo_view view;
	sigset_t pipes, before, pending;
	int fds[2], number;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	consume_deliver(&c, 1);
	view = consume_take(&c);
	assert_int_equal(rondo_consumer_splice(c.consumer, &view, fds[1]),
			 -EPIPE);
	/* What the program keeps for later is left to it. */
	sigemptyset(&pipes);
	sigaddset(&pipes, SIGPIPE);
	sigprocmask(SIG_BLOCK, &pipes, &before);
	assert_int_equal(rondo_consumer_splice(c.consumer, &view, fds[1]),
			 -EPIPE);
	sigpending(&pending);
	assert_false(sigismember(&pending, SIGPIPE));
	raise(SIGPIPE);
	assert_int_equal(rondo_consumer_splice(c.consumer, &view, fds[1]),
			 -EPIPE);
	sigpending(&pending);
	assert_true(sigismember(&pending, SIGPIPE));
	assert_int_equal(sigwait(&pipes, &number), 0);
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(fds[1]);
	consume_end(&c);
}

static void a_file_at_its_limit_is_an_error_and_no_signal(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	int file = memfd_create("out", MFD_CLOEXEC);
	struct rlimit before, limit;
	struct rondo_view view;
	int64_t result;

	(void)state;
	consume_deliver(&c, 1);
	view = consume_take(&c);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 1000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	result = rondo_consumer_splice(c.consumer, &view, file);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(result, -EFBIG);
	assert_int_equal(ftruncate(file, 0), 0);
	lseek(file, 0, SEEK_SET);
	assert_int_equal(rondo_consumer_splice(c.consumer, &view, file),
			 (int64_t)view.bytes);
	close(file);
	consume_end(&c);
}

static void bytes_of_a_failed_splice_do_not_come_later(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	int file = memfd_create("out", MFD_CLOEXEC);
	int unwritable = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct rondo_view a, b;
	char back[4096];

	(void)state;
	consume_deliver(&c, 1);
	consume_deliver(&c, 2);
	a = consume_take(&c);
	b = consume_take(&c);
	assert_int_equal(rondo_consumer_splice(c.consumer, &a, unwritable),
			 -EBADF);
	assert_int_equal(rondo_consumer_splice(c.consumer, &a, -1), -EBADF);
	assert_int_equal(rondo_consumer_splice(c.consumer, &b, file),
			 (int64_t)b.bytes);
	assert_int_equal(lseek(file, 0, SEEK_CUR), b.bytes);
	lseek(file, 0, SEEK_SET);
	read_back(file, back, b.bytes);
	assert_memory_equal(back, b.data, b.bytes);
	close(file);
	close(unwritable);
	consume_end(&c);
}

/* Calls that answer as this list says first, then as the system does. */
static const int64_t *answers;
static int answer_count;
static bool pipe_fails;

int64_t __real_rondo_os_splice(int from, int64_t *from_offset, int to,
			       uint64_t bytes);
int64_t __wrap_rondo_os_splice(int from, int64_t *from_offset, int to,
			       uint64_t bytes);
int __real_rondo_os_pipe(int fds[2]);
int __wrap_rondo_os_pipe(int fds[2]);

int64_t __wrap_rondo_os_splice(int from, int64_t *from_offset, int to,
			       uint64_t bytes)
{
	if (!answer_count || *answers > 0) {
		answers += answer_count && answer_count--;
		return __real_rondo_os_splice(from, from_offset, to, bytes);
	}
	answer_count--;
	return *answers++;
}

int __wrap_rondo_os_pipe(int fds[2])
{
	return pipe_fails ? -EMFILE : __real_rondo_os_pipe(fds);
}

#define AS_ALWAYS 1

static int64_t splice_with(struct consume *c, const struct rondo_view *view,
			   int file, const int64_t *list, int count)
{
	answers = list;
	answer_count = count;
	return rondo_consumer_splice(c->consumer, view, file);
}

static void an_interrupted_splice_goes_on(void **state)
{
	const int64_t both[] = {-EINTR, AS_ALWAYS, -EINTR, AS_ALWAYS};
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	int file = memfd_create("out", MFD_CLOEXEC);
	struct rondo_view view;

	(void)state;
	consume_deliver(&c, 1);
	view = consume_take(&c);
	assert_int_equal(splice_with(&c, &view, file, both, TEST_COUNT(both)),
			 (int64_t)view.bytes);
	assert_int_equal(answer_count, 0);
	assert_int_equal(lseek(file, 0, SEEK_CUR), view.bytes);
	close(file);
	consume_end(&c);
}

static void a_splice_that_moves_nothing_is_an_error(void **state)
{
	const int64_t first[] = {0}, second[] = {AS_ALWAYS, 0};
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	int file = memfd_create("out", MFD_CLOEXEC);
	struct rondo_view view;

	(void)state;
	consume_deliver(&c, 1);
	view = consume_take(&c);
	pipe_fails = true;
	assert_int_equal(rondo_consumer_splice(c.consumer, &view, file),
			 -EMFILE);
	pipe_fails = false;
	assert_int_equal(splice_with(&c, &view, file, first, 1), -EIO);
	assert_int_equal(splice_with(&c, &view, file, second, 2), -EIO);
	assert_int_equal(rondo_consumer_splice(c.consumer, &view, file),
			 (int64_t)view.bytes);
	assert_int_equal(lseek(file, 0, SEEK_END), view.bytes);
	close(file);
	consume_end(&c);
}

static void a_copy_cannot_be_spliced(void **state)
{
	const struct rondo_config config = CONSUME_CONFIG;
	struct consume c = consume_start(&config);
	int file = memfd_create("out", MFD_CLOEXEC);
	struct rondo_view view;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	consume_record(&c);
	assert_int_equal(rondo_consumer_peek(c.consumer, open_ring(&c), buffer,
					     sizeof(buffer), &view),
			 0);
	assert_int_equal(rondo_consumer_splice(c.consumer, &view, file),
			 -EINVAL);
	/* Into a pipe it would be what the channel's memory begins with. */
	assert_int_equal(rondo_consumer_splice(c.consumer, &view, fds[1]),
			 -EINVAL);
	assert_int_equal(read(fds[0], buffer, sizeof(buffer)), -1);
	close(fds[0]);
	close(fds[1]);
	close(file);
	consume_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peek_shows_what_is_committed),
		cmocka_unit_test(a_peek_does_not_show_what_was_squashed),
		cmocka_unit_test(a_peek_ends_at_the_last_field),
		cmocka_unit_test(a_peeked_view_gives_back_no_loan),
		cmocka_unit_test(a_peek_says_why_it_cannot),
		cmocka_unit_test(
			a_peek_believes_nothing_that_was_in_the_buffer),
		cmocka_unit_test(a_peek_tells_what_was_refused_so_far),
		cmocka_unit_test(a_header_that_is_not_there_yet_is_not_shown),
		cmocka_unit_test(
			a_peek_starts_again_when_something_is_taken_back),
		cmocka_unit_test(
			a_peek_of_what_is_closed_meanwhile_shows_nothing),
		cmocka_unit_test(a_peek_while_others_record_is_whole),
		cmocka_unit_test(a_spliced_file_has_the_same_bytes),
		cmocka_unit_test(a_spliced_pipe_has_the_same_bytes),
		cmocka_unit_test(
			a_pipe_that_nobody_reads_is_an_error_and_no_signal),
		cmocka_unit_test(a_file_at_its_limit_is_an_error_and_no_signal),
		cmocka_unit_test(bytes_of_a_failed_splice_do_not_come_later),
		cmocka_unit_test(an_interrupted_splice_goes_on),
		cmocka_unit_test(a_splice_that_moves_nothing_is_an_error),
		cmocka_unit_test(a_copy_cannot_be_spliced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
