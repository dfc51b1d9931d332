/* SPDX-License-Identifier: MIT */
/*
 * The perf-style buffer that benchmarks compare with, by one thread and its
 * signal handlers: a baseline that loses or tears records proves nothing.
 */
#include "support/perf_ring.h"

#include <sched.h>
#include <signal.h>
#include <ucontext.h>

#define TAGS_MAX 8192u

/* What one test wrote and read. */
static struct {
	const struct perf_ops *ops;
	struct perf_rings *rings;
	uint64_t next_tag;
	uint64_t refused;
	bool kept[TAGS_MAX];
	bool seen[TAGS_MAX];
	uint64_t order[TAGS_MAX]; /* tags, as they were read */
	uint64_t samples;
	uint64_t lost; /* of PERF_TYPE_LOST records */
	uint64_t lost_records;
	uint64_t hits; /* of the point of the test */
	uint64_t handled;
	uint64_t wakes;
	int depth;
	int budget; /* signals left for this record: an end that is interrupted
		     * each time it looks never comes to an end */
} world;

static enum perf_point interrupted;
static unsigned every; /* so many hits make a signal */

static void start(void **state, uint32_t flags)
{
	memset(&world, 0, sizeof(world));
	perf_point_hook = NULL;
	world.ops = *state;
	world.rings = perf_test_create(world.ops, flags);
}

static void stop(void)
{
	perf_point_hook = NULL;
	perf_rings_destroy(world.rings);
}

static void record_next(void)
{
	const uint64_t tag = world.next_tag++;

	assert_true(tag < TAGS_MAX);
	if (perf_test_record(world.ops, world.rings, tag) == 0)
		world.kept[tag] = true;
	else
		world.refused++;
}

static void look_at(const struct perf_header *header)
{
	if (header->type == PERF_TYPE_LOST) {
		const struct perf_lost *lost =
			(const struct perf_lost *)(const void *)header;

		assert_int_equal(header->size, sizeof(*lost));
		world.lost += lost->lost;
		world.lost_records++;
	} else {
		const uint64_t tag = perf_test_check(header);

		assert_true(tag < TAGS_MAX);
		assert_false(world.seen[tag]);
		world.seen[tag] = true;
		world.order[world.samples++] = tag;
	}
}

static void look_at_all(const char *copy, uint64_t bytes)
{
	struct perf_cursor cursor = {copy, copy + bytes};
	const struct perf_header *header;

	while ((header = perf_next(&cursor)))
		look_at(header);
	assert_ptr_equal(cursor.at, cursor.end);
}

static void read_all(void)
{
	static char copy[PERF_TEST_DATA] __attribute__((aligned(8)));

	for (uint32_t i = 0; i < world.rings->count; i++)
		look_at_all(copy, perf_ring_read(&world.rings->ring[i], copy,
						 sizeof(copy)));
}

/* Kept ones were read, refused ones are counted, and nothing else was. */
static void check_accounts(void)
{
	perf_test_is_at_rest(world.rings);
	read_all();
	for (uint64_t i = 0; i < world.next_tag; i++)
		assert_int_equal(world.kept[i], world.seen[i]);
	assert_int_equal(world.lost + perf_rings_lost(world.rings),
			 world.refused);
	assert_int_equal(world.samples + world.refused, world.next_tag);
}

/* A record that is interrupted a few times at most. */
static void record_interrupted(void)
{
	world.budget = 5;
	record_next();
}

/* The ring of the CPU that this thread is on. */
static struct perf_ring *my_ring(void)
{
	if (world.ops->variant == PERF_PLAIN)
		return &world.rings->ring[0];
	return perf_rings_any(world.rings);
}

/* Stays where it is; else tests of one ring mean several. */
static int group_setup(void **state)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	(void)state;
	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
	return 0;
}

/* ---- interruptions ---- */

static void handle_signal(int number)
{
	(void)number;
	world.handled++;
	record_next();
}

/* Two handlers deep: the second interrupts the first at the same point. */
static void interrupt(enum perf_point at)
{
	if (at != interrupted || world.depth == 2 || world.budget == 0 ||
	    world.hits++ % every != 0)
		return;
	world.budget--;
	world.depth++;
	raise(SIGUSR1);
	world.depth--;
}

static void interrupt_at(enum perf_point at, unsigned each)
{
	struct sigaction action = {.sa_handler = handle_signal,
				   .sa_flags = SA_NODEFER};

	sigaction(SIGUSR1, &action, NULL);
	interrupted = at;
	every = each;
	world.hits = 0;
	world.handled = 0;
	perf_point_hook = interrupt;
}

/* Which points records of a variant come by, in one thread that stays. */
static bool comes_by(enum perf_variant variant, enum perf_point at)
{
	const bool is_one_word = variant == PERF_PACKED || variant == PERF_RSEQ;

	switch (at) {
	case PERF_AT_BEGIN:
	case PERF_AT_HEAD_SEEN:
		return !is_one_word;
	case PERF_AT_PUBLISHED:
		return variant != PERF_RSEQ;
	case PERF_AT_LEFT:
		return true;
	case PERF_AT_SLOW_END: /* only when something else interrupted */
	case PERF_AT_LATE:
	case PERF_AT_SETTLE:
		return false;
	default:
		return true;
	}
}

/* Full now and then, emptied now and then, interrupted at one point. */
static void run_interrupted(enum perf_point at, unsigned each)
{
	interrupt_at(at, each);
	for (unsigned i = 0; i < 90; i++) {
		record_interrupted();
		perf_test_is_at_rest(world.rings);
		if (i % 45 == 44)
			read_all();
	}
	perf_point_hook = NULL;
}

static void
handlers_record_at_every_point_and_nothing_is_lost_or_torn(void **state)
{
	for (int at = 0; at < PERF_POINTS_COUNT; at++) {
		for (unsigned each = 1; each <= 3; each++) {
			start(state, 0);
			run_interrupted((enum perf_point)at, each);
			if (comes_by(world.ops->variant, (enum perf_point)at))
				assert_true(world.handled > 0);
			check_accounts();
			stop();
		}
	}
}

/* Interrupted at FILLED, so that ends find the head moved; then again. */
static enum perf_point second;

static void interrupt_twice(enum perf_point at)
{
	if (at == PERF_AT_FILLED && world.depth == 0) {
		world.depth = 1;
		record_next();
		world.depth = 0;
	} else if (at == second && world.depth == 0) {
		world.depth = 1;
		world.handled++;
		record_next();
		world.depth = 0;
	}
}

static void handlers_record_while_an_end_catches_up_with_others(void **state)
{
	for (int at = 0; at < PERF_POINTS_COUNT; at++) {
		start(state, 0);
		second = (enum perf_point)at;
		perf_point_hook = interrupt_twice;
		for (unsigned i = 0; i < 90; i++) {
			record_next();
			perf_test_is_at_rest(world.rings);
			if (i % 10 == 9)
				read_all();
		}
		perf_point_hook = NULL;
		if (at == PERF_AT_SLOW_END &&
		    (world.ops->variant == PERF_PACKED ||
		     world.ops->variant == PERF_RSEQ))
			assert_true(world.handled > 0);
		if (at == PERF_AT_SETTLE && world.ops->variant == PERF_RSEQ)
			assert_int_equal(world.handled, 0);
		check_accounts();
		stop();
	}
}

static void records_come_out_in_the_order_of_their_reservation(void **state)
{
	static const enum perf_point points[] = {
		PERF_AT_HEAD_READ,
		PERF_AT_RESERVED,
		PERF_AT_FILLED,
		PERF_AT_LEFT,
	};

	for (unsigned i = 0; i < TEST_COUNT(points); i++) {
		const bool before = points[i] == PERF_AT_HEAD_READ;

		start(state, 0);
		interrupt_at(points[i], UINT32_MAX);
		record_interrupted(); /* 0, interrupted by 1 */
		perf_point_hook = NULL;
		record_next();
		check_accounts();
		assert_int_equal(world.samples, 3);
		assert_int_equal(world.order[0], before ? 1 : 0);
		assert_int_equal(world.order[1], before ? 0 : 1);
		assert_int_equal(world.order[2], 2);
		stop();
	}
}

static void
nothing_is_published_while_an_interrupted_record_is_open(void **state)
{
	struct perf_handle handle;
	struct perf_ring *ring;

	start(state, 0);
	ring = my_ring();
	assert_int_equal(world.ops->begin(world.rings, 32, &handle), 0);
	record_next();
	assert_int_equal(ring->page->data_head, 0);
	perf_put_sample(&handle, 0, "sixteen bytes...", 16);
	world.ops->end(world.rings, &handle);
	assert_true(ring->page->data_head > 32);
	perf_test_is_at_rest(world.rings);
	stop();
}

#if defined(__x86_64__)
#define TRAP_FLAG 0x100
#define STEPS_MAX 160 /* sequences start again and again when stepped */

static unsigned steps, target;

static void handle_step(int number, siginfo_t *info, void *context)
{
	ucontext_t *registers = context;

	(void)number, (void)info;
	if (++steps < target)
		return;
	registers->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	record_next();
}

/* Beyond the red zone. */
#define CHANGE_FLAGS(operation)                            \
	__asm__ __volatile__("leaq -128(%%rsp), %%rsp\n\t" \
			     "pushfq\n\t" operation "\n\t" \
			     "popfq\n\t"                   \
			     "leaq 128(%%rsp), %%rsp"      \
			     :                             \
			     :                             \
			     : "memory", "cc")

/* A trap after each instruction, and a record in the handler of one. */
static void record_stepped(void)
{
	const uint64_t tag = world.next_tag++;
	char payload[PERF_TEST_PAYLOAD_MAX];
	const uint32_t bytes = perf_test_payload(tag, payload);
	int result;

	steps = 0;
	CHANGE_FLAGS("orq $0x100, (%%rsp)");
	result = world.ops->record(world.rings, payload, bytes);
	CHANGE_FLAGS("andq $~0x100, (%%rsp)");
	assert_int_equal(result, 0);
	world.kept[tag] = true;
}

static void a_handler_may_record_after_any_instruction_of_a_record(void **state)
{
	struct sigaction action = {.sa_sigaction = handle_step,
				   .sa_flags = SA_SIGINFO};

	start(state, 0);
	sigaction(SIGTRAP, &action, NULL);
	for (target = 1; target < STEPS_MAX; target++) {
		record_stepped();
		perf_test_is_at_rest(world.rings);
		if (steps < target)
			break;
		if (target % 8 == 0)
			read_all();
	}
	signal(SIGTRAP, SIG_DFL);
	check_accounts();
	assert_int_equal(world.refused, 0);
	stop();
	/* Where nobody steps (valgrind) there is nothing to see. */
	if (target == 1)
		skip();
	assert_true(target > 30);
}
#else
static void a_handler_may_record_after_any_instruction_of_a_record(void **state)
{
	(void)state;
	skip();
}
#endif

/* ---- going round ---- */

/* An empty ring whose next record starts so many bytes before the end. */
static void start_before_end(void **state, uint64_t bytes)
{
	static char copy[PERF_TEST_DATA] __attribute__((aligned(8)));
	const uint64_t skipped = PERF_TEST_DATA - bytes;
	struct perf_header filler = {.type = 1, .size = (uint16_t)skipped};
	struct perf_handle handle;

	start(state, 0);
	assert_int_equal(world.ops->begin(world.rings, skipped, &handle), 0);
	perf_put(&handle, &filler, sizeof(filler));
	world.ops->end(world.rings, &handle);
	assert_int_equal(perf_ring_read(my_ring(), copy, sizeof(copy)),
			 skipped);
}

static void
a_sample_may_lie_on_both_sides_of_the_end_at_any_offset(void **state)
{
	/* Tags 0..7 have several lengths, not all multiples of 8. */
	for (uint64_t bytes = 8; bytes <= 160; bytes += 8) {
		start_before_end(state, bytes);
		for (unsigned i = 0; i < 8; i++)
			record_next();
		check_accounts();
		assert_int_equal(world.samples, 8);
		stop();
	}
}

static void pieces_may_lie_on_both_sides_of_the_end_at_any_offset(void **state)
{
	char payload[PERF_TEST_PAYLOAD_MAX] __attribute__((aligned(8))) = {0};
	const uint32_t bytes = perf_test_payload(5, payload);
	const uint64_t total = perf_sample_bytes(bytes);
	const struct perf_sample sample = {
		{PERF_TYPE_SAMPLE, 0, (uint16_t)total}, 0};

	memset(payload + bytes, 0, sizeof(payload) - bytes);
	for (uint64_t offset = 8; offset <= 160; offset += 8) {
		struct perf_handle handle;

		start_before_end(state, offset);
		assert_int_equal(world.ops->begin(world.rings, total, &handle),
				 0);
		perf_put(&handle, &sample, sizeof(sample));
		for (uint64_t i = 0; i < total - sizeof(sample); i++)
			perf_put(&handle, payload + i, 1);
		world.ops->end(world.rings, &handle);
		read_all();
		assert_int_equal(world.samples, 1);
		assert_int_equal(world.order[0], 5);
		stop();
	}
}

static void a_reader_with_little_room_takes_whole_records(void **state)
{
	static char copy[200] __attribute__((aligned(8)));
	uint64_t bytes;

	start_before_end(state, 72);
	for (unsigned i = 0; i < 20; i++)
		record_next();
	while ((bytes = perf_ring_read(my_ring(), copy, sizeof(copy))))
		look_at_all(copy, bytes);
	assert_int_equal(world.samples, 20);
	check_accounts();
	stop();
}

static void a_ring_may_be_full_to_the_last_byte(void **state)
{
	static char copy[PERF_TEST_DATA] __attribute__((aligned(8)));
	static const char payload[48] = "as long as 1 in 64 of all";

	start(state, 0);
	for (unsigned i = 0; i < PERF_TEST_DATA / 64; i++)
		assert_int_equal(world.ops->record(world.rings, payload, 48),
				 0);
	assert_int_equal(world.ops->record(world.rings, payload, 48), -ENOSPC);
	assert_int_equal(perf_ring_read(my_ring(), copy, sizeof(copy)),
			 PERF_TEST_DATA);
	stop();
}

/* ---- loss ---- */

static void lost_records_are_counted_in_the_next_that_fits(void **state)
{
	start(state, 0);
	while (world.refused < 7)
		record_next();
	assert_int_equal(perf_rings_lost(world.rings), 7);
	read_all();
	assert_int_equal(world.lost_records, 0);
	record_next();
	assert_int_equal(perf_rings_lost(world.rings), 0);
	read_all();
	assert_int_equal(world.lost_records, 1);
	assert_int_equal(world.lost, 7);
	check_accounts();
	stop();
}

static void
a_record_that_fits_only_without_the_count_of_lost_ones_is_lost(void **state)
{
	static const char payload[64];
	struct perf_handle handle;
	uint64_t room;

	start(state, 0);
	/* All but 48 bytes, and one that does not fit. */
	room = PERF_TEST_DATA - 48;
	assert_int_equal(world.ops->begin(world.rings, room, &handle), 0);
	world.ops->end(world.rings, &handle);
	assert_int_equal(world.ops->record(world.rings, payload, 64), -ENOSPC);
	assert_int_equal(world.ops->record(world.rings, payload, 16), -ENOSPC);
	assert_int_equal(perf_rings_lost(world.rings), 2);
	perf_test_is_at_rest(world.rings);
	stop();
}

/* ---- waking ---- */

static void count_wake(struct perf_ring *ring, void *context)
{
	assert_ptr_equal(context, &world);
	assert_ptr_equal(ring, my_ring());
	world.wakes++;
}

static void a_wakeup_comes_with_each_watermark_and_not_without(void **state)
{
	static char copy[PERF_TEST_DATA] __attribute__((aligned(8)));
	static const char payload[16];
	const struct perf_config config = {
		.data_bytes = PERF_TEST_DATA,
		.watermark_bytes = 1024,
		.wake = count_wake,
		.context = &world,
	};

	start(state, 0);
	perf_rings_destroy(world.rings);
	assert_int_equal(perf_rings_create(world.ops->variant, &config,
					   &world.rings),
			 0);
	for (uint64_t i = 1; i < 500; i++) {
		assert_int_equal(world.ops->record(world.rings, payload, 16),
				 0);
		assert_int_equal(world.wakes, (32 * i - 1) / 1024);
		if (i % 50 == 0)
			perf_ring_read(my_ring(), copy, sizeof(copy));
	}
	stop();
}

/* ---- overwriting ---- */

static uint64_t snapshot_newest(uint64_t *out)
{
	static char copy[PERF_TEST_DATA] __attribute__((aligned(8)));
	const uint64_t bytes = perf_ring_snapshot(my_ring(), copy);
	struct perf_cursor cursor = {copy, copy + bytes};
	const struct perf_header *header;
	uint64_t count = 0, last = 0;

	while ((header = perf_next(&cursor))) {
		const uint64_t tag = perf_test_check(header);

		if (count++ == 0)
			*out = tag;
		else
			assert_int_equal(tag, last - 1);
		last = tag;
	}
	/* All but one that is cut. */
	assert_true(cursor.end - cursor.at < 152);
	return count;
}

static void a_backward_ring_reads_from_its_head_newest_first(void **state)
{
	uint64_t newest, written = 0;

	start(state, PERF_OVERWRITE | PERF_BACKWARD);
	for (uint64_t i = 0; i < 500; i++) {
		const uint64_t before = my_ring()->page->data_head;
		uint64_t count;

		record_next();
		written += before - my_ring()->page->data_head;
		count = snapshot_newest(&newest);
		assert_int_equal(newest, i);
		if (written <= PERF_TEST_DATA)
			assert_int_equal(count, i + 1);
		else
			assert_true(count >= (PERF_TEST_DATA - 152) / 144);
	}
	assert_int_equal(world.refused, 0);
	assert_true(-my_ring()->page->data_head > 4 * PERF_TEST_DATA);
	perf_test_is_at_rest(world.rings);
	stop();
}

static void snapshot_in_handler(enum perf_point at)
{
	uint64_t newest;

	if (at != interrupted || world.next_tag < 2)
		return;
	world.handled++;
	snapshot_newest(&newest);
	assert_int_equal(newest, world.next_tag - 2);
}

static void
a_snapshot_beside_an_open_record_shows_what_was_before_it(void **state)
{
	start(state, PERF_OVERWRITE | PERF_BACKWARD);
	interrupted = PERF_AT_FILLED;
	perf_point_hook = snapshot_in_handler;
	for (unsigned i = 0; i < 200; i++)
		record_next();
	assert_int_equal(world.handled, 199);
	stop();
}

static void handlers_record_at_every_point_of_a_backward_ring(void **state)
{
	for (int at = 0; at < PERF_POINTS_COUNT; at++) {
		struct perf_cursor cursor;
		static char copy[PERF_TEST_DATA] __attribute__((aligned(8)));
		const struct perf_header *header;
		uint64_t bytes;

		start(state, PERF_OVERWRITE | PERF_BACKWARD);
		interrupt_at((enum perf_point)at, 2);
		for (unsigned i = 0; i < 100; i++)
			record_interrupted();
		perf_point_hook = NULL;
		perf_test_is_at_rest(world.rings);
		bytes = perf_ring_snapshot(my_ring(), copy);
		cursor = (struct perf_cursor){copy, copy + bytes};
		while ((header = perf_next(&cursor)))
			look_at(header);
		assert_true(world.samples >= (PERF_TEST_DATA - 152) / 144);
		assert_true(cursor.end - cursor.at < 152);
		assert_int_equal(world.refused, 0);
		stop();
	}
}

static void a_forward_ring_that_overwrites_refuses_nothing(void **state)
{
	uint64_t bytes = 0;

	start(state, PERF_OVERWRITE);
	for (uint64_t i = 0; i < 500; i++) {
		char payload[PERF_TEST_PAYLOAD_MAX];

		record_next();
		bytes += perf_sample_bytes(perf_test_payload(i, payload));
		assert_int_equal(my_ring()->page->data_head, bytes);
	}
	assert_int_equal(world.refused, 0);
	stop();
}

/* ---- what is asked for ---- */

static void configurations_that_cannot_be_are_refused(void **state)
{
	const struct perf_config wrong[] = {
		{.data_bytes = 0},
		{.data_bytes = 2048},
		{.data_bytes = 4096 + 8},
		{.data_bytes = 4096, .watermark_bytes = 8192},
		{.data_bytes = 4096, .flags = PERF_BACKWARD},
	};
	struct perf_rings *rings = NULL;

	(void)state;
	for (unsigned i = 0; i < TEST_COUNT(wrong); i++)
		assert_int_equal(perf_rings_create(PERF_PLAIN, &wrong[i],
						   &rings),
				 -EINVAL);
	assert_null(rings);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		PERF_TEST_ALL(
			a_handler_may_record_after_any_instruction_of_a_record),
		PERF_TEST_ALL(
			handlers_record_at_every_point_and_nothing_is_lost_or_torn),
		PERF_TEST_ALL(
			handlers_record_while_an_end_catches_up_with_others),
		PERF_TEST_ALL(
			records_come_out_in_the_order_of_their_reservation),
		PERF_TEST_ALL(
			nothing_is_published_while_an_interrupted_record_is_open),
		PERF_TEST_ALL(
			a_sample_may_lie_on_both_sides_of_the_end_at_any_offset),
		PERF_TEST_ALL(
			pieces_may_lie_on_both_sides_of_the_end_at_any_offset),
		PERF_TEST_ALL(a_reader_with_little_room_takes_whole_records),
		PERF_TEST_ALL(a_ring_may_be_full_to_the_last_byte),
		PERF_TEST_ALL(lost_records_are_counted_in_the_next_that_fits),
		PERF_TEST_ALL(
			a_record_that_fits_only_without_the_count_of_lost_ones_is_lost),
		PERF_TEST_ALL(
			a_wakeup_comes_with_each_watermark_and_not_without),
		PERF_TEST_ALL(a_backward_ring_reads_from_its_head_newest_first),
		PERF_TEST_ALL(
			a_snapshot_beside_an_open_record_shows_what_was_before_it),
		PERF_TEST_ALL(
			handlers_record_at_every_point_of_a_backward_ring),
		PERF_TEST_ALL(a_forward_ring_that_overwrites_refuses_nothing),
		cmocka_unit_test(configurations_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
