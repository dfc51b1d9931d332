/* SPDX-License-Identifier: MIT */
/*
 * The perf-style buffer shared: writers that overlap without being nested, that
 * are moved from CPU to CPU in the middle of a record, that signals hit
 * anywhere, and a consumer beside them. Every record is accounted for.
 */
#include "support/perf_ring.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

static int cpus[2]; /* two that this process may use */
static bool has_two;

static bool move_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}

static int find_cpus(void **state)
{
	cpu_set_t set;
	int found = 0;

	(void)state;
	if (sched_getaffinity(0, sizeof(set), &set))
		return -1;
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[found++] = cpu;
	has_two = found == 2;
	if (!has_two)
		cpus[1] = cpus[0];
	return 0;
}

/* ---- one thread in the place of several ---- */

struct pair {
	const struct perf_ops *ops;
	struct perf_rings *rings;
	struct perf_handle a, b;
	struct perf_page *page;
	uint64_t bytes;
};

static void begin_pair(struct pair *pair, void **state, uint32_t flags)
{
	pair->ops = *state;
	pair->rings = perf_test_create(pair->ops, flags);
	assert_true(move_to(cpus[0]));
	assert_int_equal(pair->ops->begin(pair->rings, 32, &pair->a), 0);
	assert_int_equal(pair->ops->begin(pair->rings, 32, &pair->b), 0);
	assert_ptr_equal(pair->a.ring, pair->b.ring);
	pair->page = pair->a.ring->page;
	perf_put_sample(&pair->a, 0, "first, sixteen..", 16);
	perf_put_sample(&pair->b, 0, "second, sixteen.", 16);
	assert_int_equal(pair->page->data_head, 0);
}

/* One of them has ended: what lies before the other may be published. */
static void is_one_open(const struct pair *pair, bool is_second)
{
	const uint64_t head = pair->page->data_head;

	assert_true(head == 0 ||
		    (is_second && perf_directed(pair->a.ring, head) == 32));
}

static void end_pair(struct pair *pair)
{
	perf_test_is_at_rest(pair->rings);
	perf_rings_destroy(pair->rings);
}

static void the_one_that_ends_last_publishes_whichever_began_first(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct pair pair;

		begin_pair(&pair, state, 0);
		pair.ops->end(pair.rings, i ? &pair.a : &pair.b);
		is_one_open(&pair, i);
		pair.ops->end(pair.rings, i ? &pair.b : &pair.a);
		assert_int_equal(pair.page->data_head, 64);
		end_pair(&pair);
	}
}

/* far: 0 the first, 1 the second, of a pair ends on another CPU. */
static void end_far(struct pair *pair, bool far)
{
	assert_true(move_to(cpus[1]));
	pair->ops->end(pair->rings, far ? &pair->b : &pair->a);
	assert_true(move_to(cpus[0]));
}

static void end_near(struct pair *pair, bool near)
{
	pair->ops->end(pair->rings, near ? &pair->b : &pair->a);
}

static void a_writer_that_was_moved_may_end_before_or_after_others(void **state)
{
	static const uint32_t flags[] = {0, PERF_OVERWRITE | PERF_BACKWARD};

	if (!has_two)
		skip();
	for (unsigned i = 0; i < 8; i++) {
		const uint64_t all = i & 4 ? -UINT64_C(64) : 64;
		struct pair pair;

		begin_pair(&pair, state, flags[i >> 2]);
		if (i & 1) {
			end_far(&pair, i & 2);
			is_one_open(&pair, !(i & 2));
			end_near(&pair, !(i & 2));
		} else {
			end_near(&pair, !(i & 2));
			is_one_open(&pair, i & 2);
			end_far(&pair, i & 2);
		}
		assert_true(pair.page->data_head == all);
		assert_int_equal(perf_test_record(pair.ops, pair.rings, 1), 0);
		end_pair(&pair);
	}
}

static struct pair *interrupted;

/* The other one ends late just when this one has seen it open. */
static void end_first_far(enum perf_point at)
{
	if (at != PERF_AT_SLOW_END)
		return;
	perf_point_hook = NULL;
	end_far(interrupted, false);
}

static void two_that_end_at_once_do_not_leave_it_to_each_other(void **state)
{
	struct pair pair;

	if (!has_two)
		skip();
	begin_pair(&pair, state, 0);
	interrupted = &pair;
	perf_point_hook = end_first_far;
	end_near(&pair, true);
	assert_null(perf_point_hook);
	assert_int_equal(pair.page->data_head, 64);
	end_pair(&pair);
}

static void a_moved_writer_that_was_alone_publishes_its_record(void **state)
{
	const struct perf_ops *ops = *state;
	struct perf_handle handle;
	struct perf_rings *rings;

	if (!has_two)
		skip();
	rings = perf_test_create(ops, 0);
	for (uint64_t i = 1; i < 20; i++) {
		assert_true(move_to(cpus[0]));
		assert_int_equal(ops->begin(rings, 32, &handle), 0);
		assert_true(move_to(cpus[1]));
		ops->end(rings, &handle);
		assert_int_equal(handle.ring->page->data_head, 32 * i);
		assert_int_equal(handle.ring->late,
				 ops->variant == PERF_RSEQ ? i : 0);
		perf_test_is_at_rest(rings);
	}
	perf_rings_destroy(rings);
}

static void move_before_reserve(enum perf_point at)
{
	if (at != PERF_AT_HEAD_READ)
		return;
	perf_point_hook = NULL;
	assert_true(move_to(cpus[1]));
}

static void
who_is_moved_before_the_head_moves_takes_the_new_cpus_ring(void **state)
{
	const struct perf_ops *ops = *state;
	struct perf_handle handle;
	struct perf_rings *rings;

	if (!has_two)
		skip();
	rings = perf_test_create(ops, 0);
	assert_true(move_to(cpus[0]));
	perf_point_hook = move_before_reserve;
	assert_int_equal(ops->begin(rings, 32, &handle), 0);
	assert_null(perf_point_hook);
	assert_ptr_equal(handle.ring, &rings->ring[cpus[1]]);
	assert_int_equal(handle.cpu, cpus[1]);
	ops->end(rings, &handle);
	assert_int_equal(handle.ring->late, 0);
	perf_test_is_at_rest(rings);
	perf_rings_destroy(rings);
}

/* The word's counter only goes up where writers are moved. */
static void the_counters_of_open_and_of_late_records_may_wrap(void **state)
{
	const struct perf_ops *ops = *state;
	struct perf_rings *rings = perf_test_create(ops, 0);
	struct perf_handle handle, second;
	struct perf_ring *ring;

	assert_true(move_to(cpus[0]));
	ring = &rings->ring[cpus[0]];
	ring->head = PERF_WORD_OPEN - 2;
	ring->late = PERF_WORD_OPEN - 2;
	for (uint64_t i = 1; i < 8; i++) {
		assert_true(move_to(cpus[0]));
		assert_int_equal(ops->begin(rings, 32, &handle), 0);
		assert_int_equal(ops->begin(rings, 32, &second), 0);
		ops->end(rings, &second);
		assert_int_equal(ring->page->data_head, 96 * (i - 1));
		assert_true(move_to(cpus[1]));
		ops->end(rings, &handle);
		assert_int_equal(ring->page->data_head, 96 * i - 32);
		assert_true(move_to(cpus[0]));
		assert_int_equal(ops->begin(rings, 32, &handle), 0);
		ops->end(rings, &handle);
		assert_int_equal(ring->page->data_head, 96 * i);
		perf_test_is_at_rest(rings);
	}
	if (has_two)
		assert_int_equal(ring->late, PERF_WORD_OPEN - 2 + 7);
	perf_rings_destroy(rings);
}

static void
a_ring_that_overwrites_refuses_rather_than_go_over_an_open_record(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct pair pair;
		uint64_t tag = 0;

		begin_pair(&pair, state,
			   PERF_OVERWRITE | (i ? PERF_BACKWARD : 0));
		while (perf_test_record(pair.ops, pair.rings, tag) == 0)
			assert_true(++tag < 100);
		assert_true(tag > 20);
		pair.ops->end(pair.rings, &pair.b);
		assert_int_equal(perf_test_record(pair.ops, pair.rings, tag),
				 -ENOSPC);
		pair.ops->end(pair.rings, &pair.a);
		assert_int_equal(perf_test_record(pair.ops, pair.rings, tag),
				 0);
		assert_int_equal(perf_rings_lost(pair.rings), 0);
		end_pair(&pair);
	}
}

static void room_beside_an_open_record_is_exact_to_eight_bytes(void **state)
{
	static const uint32_t flags[] = {0, PERF_OVERWRITE,
					 PERF_OVERWRITE | PERF_BACKWARD};
	const struct perf_ops *ops = *state;

	assert_true(move_to(cpus[0]));
	for (unsigned i = 0; i < TEST_COUNT(flags); i++) {
		struct perf_rings *rings = perf_test_create(ops, flags[i]);
		const uint64_t room = PERF_TEST_DATA - 32;
		struct perf_handle first, second;

		assert_int_equal(ops->begin(rings, 32, &first), 0);
		assert_int_equal(ops->begin(rings, room + 8, &second), -ENOSPC);
		assert_int_equal(ops->begin(rings,
					    room - sizeof(struct perf_lost),
					    &second),
				 0);
		ops->end(rings, &second);
		ops->end(rings, &first);
		assert_int_equal(perf_rings_lost(rings), 0);
		perf_test_is_at_rest(rings);
		perf_rings_destroy(rings);
	}
}

/* ---- threads ---- */

#define THREADS 3u
#define RECORDS 600u
#define TAGS_MAX (4 * RECORDS) /* of a thread, its handlers' included */

struct writer {
	pthread_t thread;
	const struct perf_ops *ops;
	struct perf_rings *rings;
	uint64_t random;
	uint64_t next_tag;
	uint64_t refused;
	uint64_t late, moves, handled;
	uint64_t sent, answered; /* signals */
	uint32_t index;
	int depth;
	bool kept[TAGS_MAX];
};

static struct {
	struct writer writer[THREADS];
	bool seen[THREADS][TAGS_MAX];
	uint64_t samples;
	uint64_t lost;
	uint32_t running;
} run;

static __thread struct writer *self;

/* As an instruction that no handler comes between. */
static uint64_t count_up(uint64_t *counter)
{
	return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static void write_one(struct writer *writer)
{
	const uint64_t tag = count_up(&writer->next_tag);

	if (tag >= TAGS_MAX)
		return;
	if (perf_test_record(writer->ops, writer->rings,
			     (uint64_t)writer->index << 32 | tag) == 0)
		writer->kept[tag] = true;
	else
		count_up(&writer->refused);
}

static void interrupt_self(void)
{
	if (self->depth >= 2)
		return;
	self->depth++;
	count_up(&self->handled);
	write_one(self);
	self->depth--;
}

/* Sent by the consumer at any time. */
static void handle_signal(int number)
{
	(void)number;
	if (!self)
		return;
	count_up(&self->answered);
	interrupt_self();
}

/* One at a time: a storm would let a slow machine do nothing else. */
static void send_signal(struct writer *writer)
{
	if (rondo_load_relaxed(&writer->answered) != writer->sent)
		return;
	writer->sent++;
	pthread_kill(writer->thread, SIGUSR1);
}

/* Moves, gives way, or is interrupted, now and then, at any point. */
static void disturb(enum perf_point at)
{
	uint64_t random;

	if (!self)
		return;
	if (at == PERF_AT_LATE)
		count_up(&self->late);
	random = test_random(&self->random);
	if (random % 16 == 0 && has_two) {
		count_up(&self->moves);
		move_to(cpus[random >> 8 & 1]);
	} else if (random % 16 == 1) {
		sched_yield();
	} else if (random % 16 == 2) {
		interrupt_self();
	}
}

static void *write_all(void *argument)
{
	struct writer *writer = argument;

	self = writer;
	for (unsigned i = 0; i < RECORDS; i++)
		write_one(writer);
	self = NULL;
	rondo_add_fetch(&run.running, UINT32_MAX);
	return NULL;
}

static void look_at(const struct perf_header *header)
{
	uint64_t tag;

	if (header->type == PERF_TYPE_LOST) {
		run.lost +=
			((const struct perf_lost *)(const void *)header)->lost;
		return;
	}
	tag = perf_test_check(header);
	assert_true(tag >> 32 < THREADS && (uint32_t)tag < TAGS_MAX);
	assert_false(run.seen[tag >> 32][(uint32_t)tag]);
	run.seen[tag >> 32][(uint32_t)tag] = true;
	run.samples++;
}

static void read_all(struct perf_rings *rings)
{
	static char copy[PERF_TEST_DATA] __attribute__((aligned(8)));

	for (uint32_t i = 0; i < rings->count; i++) {
		const uint64_t bytes =
			perf_ring_read(&rings->ring[i], copy, sizeof(copy));
		struct perf_cursor cursor = {copy, copy + bytes};
		const struct perf_header *header;

		while ((header = perf_next(&cursor)))
			look_at(header);
		assert_ptr_equal(cursor.at, cursor.end);
	}
}

static void start_writers(const struct perf_ops *ops, struct perf_rings *rings,
			  uint64_t seed)
{
	struct sigaction action = {.sa_handler = handle_signal,
				   .sa_flags = SA_NODEFER | SA_RESTART};

	memset(&run, 0, sizeof(run));
	sigaction(SIGUSR1, &action, NULL);
	run.running = THREADS;
	perf_point_hook = disturb;
	for (uint32_t i = 0; i < THREADS; i++) {
		struct writer *writer = &run.writer[i];

		writer->ops = ops;
		writer->rings = rings;
		writer->random = seed + i;
		writer->index = i;
		assert_int_equal(pthread_create(&writer->thread, NULL,
						write_all, writer),
				 0);
	}
}

static void check_accounts(const struct perf_rings *rings)
{
	uint64_t refused = 0, late = 0, moves = 0, handled = 0;

	for (uint32_t i = 0; i < THREADS; i++) {
		const struct writer *writer = &run.writer[i];

		assert_memory_equal(writer->kept, run.seen[i],
				    sizeof(writer->kept));
		refused += writer->refused;
		late += writer->late;
		moves += writer->moves;
		handled += writer->handled;
	}
	assert_int_equal(run.lost + perf_rings_lost(rings), refused);
	assert_true(run.samples > 0 && handled > 0);
	assert_true(moves > 0 || !has_two);
	if (rings->variant == PERF_RSEQ && has_two)
		assert_true(late > 0);
}

static void
every_record_of_threads_that_are_moved_and_interrupted_is_there(void **state)
{
	struct perf_rings *rings = perf_test_create(*state, 0);
	uint64_t random = test_seed();

	start_writers(*state, rings, random);
	while (rondo_load_acquire(&run.running)) {
		const uint64_t next = test_random(&random);

		if (next % 4 == 0)
			send_signal(&run.writer[next % THREADS]);
		if (next % 8 != 1)
			read_all(rings);
		if (next % 16 == 1)
			sched_yield();
	}
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(run.writer[i].thread, NULL);
	perf_point_hook = NULL;
	perf_test_is_at_rest(rings);
	read_all(rings);
	check_accounts(rings);
	perf_rings_destroy(rings);
}

static void a_backward_ring_that_was_shared_reads_from_its_head(void **state)
{
	static char copy[PERF_TEST_DATA] __attribute__((aligned(8)));
	struct perf_rings *rings =
		perf_test_create(*state, PERF_OVERWRITE | PERF_BACKWARD);

	start_writers(*state, rings, test_seed());
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(run.writer[i].thread, NULL);
	perf_point_hook = NULL;
	perf_test_is_at_rest(rings);
	for (uint32_t i = 0; i < rings->count; i++) {
		const uint64_t bytes =
			perf_ring_snapshot(&rings->ring[i], copy);
		struct perf_cursor cursor = {copy, copy + bytes};
		const struct perf_header *header;

		while ((header = perf_next(&cursor)))
			look_at(header);
		assert_true(cursor.end - cursor.at < 152);
	}
	assert_true(run.samples >= (PERF_TEST_DATA - 152) / 144);
	perf_rings_destroy(rings);
}

/* ---- cut off anywhere ---- */

#define CUTS 300
#define TIGHT_RECORDS 3000000u /* of a thread: where cuts are slow, fewer */

struct tight {
	pthread_t thread;
	const struct perf_ops *ops;
	struct perf_rings *rings;
	uint64_t records, handled;
	uint32_t is_ready, stop;
};

static __thread struct tight *tight;

/* Nothing but the two ends of a record: a cut is likely to hit one. */
static void record_empty(struct tight *writer)
{
	struct perf_handle handle;

	if (writer->ops->begin(writer->rings, 32, &handle))
		return;
	writer->ops->end(writer->rings, &handle);
	count_up(&writer->records);
}

static void record_in_handler(int number)
{
	(void)number;
	if (!tight)
		return;
	record_empty(tight);
	count_up(&tight->handled);
}

static void *record_until_stopped(void *argument)
{
	tight = argument;
	rondo_store_release(&tight->is_ready, 1u);
	for (unsigned i = 0; i < TIGHT_RECORDS; i++) {
		record_empty(tight);
		if (rondo_load_relaxed(&tight->stop))
			break;
	}
	rondo_store_relaxed(&tight->stop, 1u);
	tight = NULL;
	return NULL;
}

/* Signals and moves from outside, at any instruction, one at a time. */
static void cut(struct tight *writers, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct tight *writer = &writers[i & 1];
		const uint64_t handled = rondo_load_relaxed(&writer->handled);
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(cpus[i >> 1 & 1], &set);
		pthread_kill(writer->thread, SIGUSR1);
		pthread_setaffinity_np(writer->thread, sizeof(set), &set);
		while (rondo_load_relaxed(&writer->handled) == handled) {
			if (rondo_load_relaxed(&writer->stop))
				return;
			sched_yield();
		}
	}
}

static void what_is_cut_off_at_any_instruction_loses_no_record(void **state)
{
	struct sigaction action = {.sa_handler = record_in_handler,
				   .sa_flags = SA_NODEFER | SA_RESTART};
	struct tight writers[2] = {{.ops = *state}, {.ops = *state}};
	const struct perf_ops *ops = *state;
	const struct perf_config config = {.data_bytes = 1u << 20,
					   .flags = PERF_OVERWRITE};
	struct perf_rings *rings;
	uint64_t written = 0, expected = 0;

	int result = perf_rings_create(ops->variant, &config, &rings);

	if (result == -ENOTSUP)
		skip();
	assert_int_equal(result, 0);
	sigaction(SIGUSR1, &action, NULL);
	for (unsigned i = 0; i < 2; i++) {
		writers[i].rings = rings;
		assert_int_equal(pthread_create(&writers[i].thread, NULL,
						record_until_stopped,
						&writers[i]),
				 0);
		while (!rondo_load_acquire(&writers[i].is_ready))
			sched_yield();
	}
	cut(writers, CUTS);
	for (unsigned i = 0; i < 2; i++) {
		rondo_store_relaxed(&writers[i].stop, 1u);
		pthread_join(writers[i].thread, NULL);
		expected += 32 * writers[i].records;
	}
	perf_test_is_at_rest(rings);
	for (uint32_t i = 0; i < rings->count; i++) {
		written += rings->ring[i].page->data_head;
		/* Who stops with an open record makes others lose some. */
		expected +=
			sizeof(struct perf_lost) * rings->ring[i].lost_records;
	}
	assert_int_equal(written, expected);
	perf_rings_destroy(rings);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		PERF_TEST_SHARED(
			room_beside_an_open_record_is_exact_to_eight_bytes),
		PERF_TEST_SHARED(
			the_one_that_ends_last_publishes_whichever_began_first),
		PERF_TEST_SHARED(
			a_writer_that_was_moved_may_end_before_or_after_others),
		PERF_TEST_SHARED(
			a_ring_that_overwrites_refuses_rather_than_go_over_an_open_record),
		PERF_TEST_SHARED(
			a_moved_writer_that_was_alone_publishes_its_record),
		PERF_TEST(
			who_is_moved_before_the_head_moves_takes_the_new_cpus_ring,
			"rseq", PERF_RSEQ),
		PERF_TEST(two_that_end_at_once_do_not_leave_it_to_each_other,
			  "rseq", PERF_RSEQ),
		PERF_TEST(the_counters_of_open_and_of_late_records_may_wrap,
			  "rseq", PERF_RSEQ),
		PERF_TEST_SHARED(
			every_record_of_threads_that_are_moved_and_interrupted_is_there),
		PERF_TEST_SHARED(
			a_backward_ring_that_was_shared_reads_from_its_head),
		PERF_TEST_SHARED(
			what_is_cut_off_at_any_instruction_loses_no_record),
	};

	return cmocka_run_group_tests(tests, find_cpus, NULL);
}
