/* SPDX-License-Identifier: MIT */
/*
 * The assembly of the sequences against its specification in C: both are given
 * the same words, and everything they stored is compared. The rseq area is one
 * of the test's own, so that no kernel has a part in it and every outcome can
 * be had at will, under qemu too.
 */
#include "support/test.h"

#include <limits.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include <rondo/detail/sequence.h>

#include "support/random.h"

#define WORDS 24u

/* What a sequence may touch. One for each side, the same at the start. */
struct world {
	struct rondo_ring ring;
	uint64_t words[WORDS];
	struct rondo_check checks[6];
	struct rondo_store stores[32];
	struct rondo_sequence sequence;
};

static struct world tested, specified;
static uint64_t seed;

static void assert_same_worlds(void)
{
	assert_memory_equal(&tested.ring, &specified.ring, sizeof(tested.ring));
	assert_memory_equal(tested.words, specified.words,
			    sizeof(tested.words));
	assert_true(tested.sequence.time == specified.sequence.time);
}

static void fill_worlds(uint64_t *state)
{
	memset(&tested, 0, sizeof(tested));
	memset(&specified, 0, sizeof(specified));
	for (unsigned i = 0; i < WORDS; i++)
		tested.words[i] = specified.words[i] = test_random(state);
	tested.ring.head = specified.ring.head = test_random(state);
	tested.ring.limit = specified.ring.limit = UINT64_MAX;
}

/* The list of one world, made of the same random numbers in both. */
static void fill_sequence(struct world *world, uint64_t state)
{
	struct rondo_sequence *s = &world->sequence;

	s->commit_at = &world->words[test_random_below(&state, WORDS)];
	s->wanted = test_random(&state);
	s->checks = world->checks;
	s->check_count = 1 + test_random_below(&state, 6);
	for (uint64_t i = 0; i < s->check_count; i++) {
		world->checks[i].at =
			&world->words[test_random_below(&state, WORDS)];
		world->checks[i].expected = *world->checks[i].at;
	}
	s->stores = world->stores;
	s->end = s->stores + test_random_below(&state, 33);
	for (uint64_t i = 0; s->stores + i < s->end; i++) {
		uint64_t mask = test_random(&state);

		world->stores[i].at =
			&world->words[test_random_below(&state, WORDS)];
		world->stores[i].value = test_random(&state);
		world->stores[i].mask = mask & 3 ? mask :
					mask & 4 ? UINT64_MAX :
						   0;
	}
	s->time = test_random(&state);
	s->limit = UINT64_MAX;
	s->id = (uint32_t)test_random(&state);
}

static void a_list_of_stores_is_its_values_plus_the_masked_time(void **unused)
{
	uint64_t state = seed;

	(void)unused;
	for (int round = 0; round < 2000; round++) {
		uint64_t expected[WORDS];

		fill_worlds(&state);
		fill_sequence(&tested, state);
		memcpy(expected, tested.words, sizeof(expected));
		for (const struct rondo_store *store = tested.stores;
		     store < tested.sequence.end; store++)
			expected[store->at - tested.words] =
				store->value +
				(tested.sequence.time & store->mask);
		rondo_store_list(&tested.sequence);
		assert_memory_equal(tested.words, expected, sizeof(expected));
	}
}

static void the_specification_does_nothing_unless_it_is_done(void **unused)
{
	const uint64_t now = 5;
	uint64_t state = seed;

	(void)unused;
	fill_worlds(&state);
	fill_sequence(&tested, state);
	fill_sequence(&specified, state);
	tested.checks[0].expected++;
	assert_int_equal(rondo_spec_list(&tested.sequence, tested.sequence.id,
					 &now),
			 RONDO_SEQ_CHANGED);
	tested.checks[0].expected--;
	assert_int_equal(rondo_spec_list(&tested.sequence,
					 tested.sequence.id + 1, &now),
			 RONDO_SEQ_ABORTED);
	tested.sequence.limit = tested.sequence.time - 1;
	assert_int_equal(rondo_spec_list(&tested.sequence, tested.sequence.id,
					 &now),
			 RONDO_SEQ_FAR);
	assert_same_worlds();
}

#if RONDO_HAVE_RSEQ

/* As struct rseq begins in the kernel's headers; near the thread pointer, as
 * that is. */
static __thread struct {
	uint32_t cpu_id_start;
	uint32_t cpu_id;
	uint64_t rseq_cs;
	uint32_t id; /* that sequences go by */
} area;

/* As struct rseq_cs in the kernel's headers. */
struct descriptor {
	uint32_t version;
	uint32_t flags;
	uint64_t start;
	uint64_t length;
	uint64_t abort;
};

static int32_t from_thread_pointer(const void *at)
{
	return (int32_t)((uint64_t)(uintptr_t)at - rondo_thread_pointer());
}

static struct rondo_offsets offsets(void)
{
	struct rondo_offsets at = {from_thread_pointer(&area),
				   from_thread_pointer(&area.id)};

	return at;
}

static void fill_both(uint64_t *state)
{
	uint64_t same;

	fill_worlds(state);
	same = test_random(state);
	fill_sequence(&tested, same);
	fill_sequence(&specified, same);
	tested.sequence.offsets = offsets();
	area.id = tested.sequence.id;
}

/* The same change to the sequence of each world. */
static void with_clock(uint32_t clock, uint64_t time, uint64_t limit)
{
	tested.sequence.clock = specified.sequence.clock = clock;
	tested.sequence.time = specified.sequence.time = time;
	tested.sequence.limit = specified.sequence.limit = limit;
}

static void expect_other(uint64_t check)
{
	tested.checks[check].expected ^= 1;
	specified.checks[check].expected ^= 1;
}

/* Runs both. Where the clock is read the tested one says what it read. */
static void list_agrees(int result)
{
	assert_int_equal(rondo_seq_list(&tested.sequence), result);
	assert_int_equal(rondo_spec_list(&specified.sequence, area.id,
					 &tested.sequence.time),
			 result);
	assert_same_worlds();
}

static void a_list_agrees_with_its_specification_when_done(void **unused)
{
	uint64_t state = seed;

	(void)unused;
	for (int round = 0; round < 5000; round++) {
		fill_both(&state);
		list_agrees(RONDO_SEQ_DONE);
	}
}

static void a_list_without_stores_moves_the_last_word_alone(void **unused)
{
	uint64_t state = seed;

	(void)unused;
	for (int round = 0; round < 200; round++) {
		fill_both(&state);
		tested.sequence.end = tested.stores;
		specified.sequence.end = specified.stores;
		list_agrees(RONDO_SEQ_DONE);
	}
}

static void a_list_stores_nothing_when_any_one_check_fails(void **unused)
{
	uint64_t state = seed;

	(void)unused;
	for (int round = 0; round < 500; round++) {
		fill_both(&state);
		for (uint64_t i = 0; i < tested.sequence.check_count; i++) {
			expect_other(i);
			list_agrees(RONDO_SEQ_CHANGED);
			expect_other(i);
		}
		list_agrees(RONDO_SEQ_DONE);
	}
}

static void a_list_stores_nothing_on_another_id(void **unused)
{
	uint64_t state = seed;

	(void)unused;
	for (unsigned bit = 0; bit < 32; bit++) {
		fill_both(&state);
		area.id ^= UINT32_C(1) << bit;
		list_agrees(RONDO_SEQ_ABORTED);
	}
}

static void a_list_stores_nothing_beyond_its_limit(void **unused)
{
	const uint64_t limits[] = {
		0, 1, UINT32_MAX, UINT64_C(1) << 32, INT64_MAX, UINT64_MAX - 1};
	uint64_t state = seed;

	(void)unused;
	for (size_t i = 0; i < TEST_COUNT(limits); i++) {
		fill_both(&state);
		with_clock(RONDO_SEQ_CLOCK_GIVEN, limits[i] + 1, limits[i]);
		list_agrees(RONDO_SEQ_FAR);
		with_clock(RONDO_SEQ_CLOCK_GIVEN, limits[i], limits[i]);
		list_agrees(RONDO_SEQ_DONE);
	}
	for (uint32_t clock = RONDO_SEQ_CLOCK_READ;
	     clock <= RONDO_SEQ_CLOCK_FENCED; clock++) {
		fill_both(&state);
		with_clock(clock, 0, 1);
		list_agrees(RONDO_SEQ_FAR);
	}
}

static void a_list_reads_the_clock_between_its_call_and_its_end(void **unused)
{
	uint64_t state = seed;

	(void)unused;
	for (uint32_t round = 0; round < 2000; round++) {
		uint64_t before;

		fill_both(&state);
		with_clock(round % 2 ? RONDO_SEQ_CLOCK_FENCED :
				       RONDO_SEQ_CLOCK_READ,
			   0, UINT64_MAX);
		before = rondo_ticks_ordered();
		list_agrees(RONDO_SEQ_DONE);
		assert_true(before <= tested.sequence.time);
		assert_true(tested.sequence.time <= rondo_ticks_ordered());
	}
}

/* A store-exclusive may fail though nobody was there: then it changed nothing,
 * and is tried again. */
static int seq_locked(struct rondo_sequence *s)
{
	int result = RONDO_SEQ_CHANGED;

	for (int tries = 0; tries < 64 && result == RONDO_SEQ_CHANGED; tries++)
		result = rondo_seq_locked(s);
	return result;
}

static void locked_agrees(int result)
{
	assert_int_equal(seq_locked(&tested.sequence), result);
	assert_int_equal(rondo_spec_locked(&specified.sequence, area.id,
					   &tested.sequence.time),
			 result);
	assert_same_worlds();
}

/* The locked one swaps the word of its first check. */
static void fill_locked(uint64_t *state)
{
	fill_both(state);
	tested.checks[0].expected = *tested.sequence.commit_at;
	specified.checks[0].expected = *specified.sequence.commit_at;
}

static void a_locked_one_agrees_with_its_specification(void **unused)
{
	uint64_t state = seed;

	(void)unused;
	for (int round = 0; round < 500; round++) {
		fill_locked(&state);
		area.id ^= UINT32_C(1) << (round & 31);
		locked_agrees(RONDO_SEQ_ABORTED);
		area.id = tested.sequence.id;
		tested.checks[0].expected ^= UINT64_C(1) << (round & 63);
		specified.checks[0].expected = tested.checks[0].expected;
		locked_agrees(RONDO_SEQ_CHANGED);
		tested.checks[0].expected = *tested.sequence.commit_at;
		specified.checks[0].expected = tested.checks[0].expected;
		with_clock(RONDO_SEQ_CLOCK_GIVEN, 8, 7);
		locked_agrees(RONDO_SEQ_FAR);
		with_clock(RONDO_SEQ_CLOCK_GIVEN, 7, 7);
		locked_agrees(RONDO_SEQ_DONE);
	}
}

static void a_locked_one_reads_the_clock_when_asked(void **unused)
{
	uint64_t state = seed, before;

	(void)unused;
	for (uint32_t clock = RONDO_SEQ_CLOCK_READ;
	     clock <= RONDO_SEQ_CLOCK_FENCED; clock++) {
		fill_locked(&state);
		with_clock(clock, 0, 1);
		locked_agrees(RONDO_SEQ_FAR);
		with_clock(clock, 0, UINT64_MAX);
		before = rondo_ticks_ordered();
		locked_agrees(RONDO_SEQ_DONE);
		assert_true(before <= tested.sequence.time);
		assert_true(tested.sequence.time <= rondo_ticks_ordered());
	}
}

/* What the clock said to a sequence that began at the given time, from those
 * bits of it that are in a header. */
static uint64_t time_of(const uint64_t *header, uint64_t bits, uint64_t begin)
{
	return begin + ((*header - begin) & bits);
}

#define HEADER 4
#define OPEN (0xff000000u | 7u << 16 | 3u << 8)

static int reserve_tested(uint64_t expected, uint64_t wanted)
{
	const struct rondo_offsets at = offsets();

	return rondo_seq_reserve(&tested.ring, &at, 1, expected, wanted,
				 (char *)&tested.words[HEADER], OPEN);
}

static int reserve_specified(uint64_t now, uint64_t expected, uint64_t wanted)
{
	return rondo_spec_reserve(&specified.ring, area.id, &now, 1, expected,
				  wanted, (char *)&specified.words[HEADER],
				  OPEN);
}

static void a_reserve_agrees_with_its_specification_when_done(void **unused)
{
	uint64_t state = seed;

	(void)unused;
	area.id = 1;
	for (int round = 0; round < 5000; round++) {
		uint64_t wanted, before, now;

		fill_worlds(&state);
		wanted = test_random(&state);
		before = rondo_ticks_ordered();
		assert_int_equal(reserve_tested(tested.ring.head, wanted),
				 RONDO_SEQ_DONE);
		/* All of it from the 40 bits that it stored. */
		now = time_of(&tested.words[HEADER], RONDO_COMPACT_TIME_MASK,
			      before);
		assert_true(now <= rondo_ticks_ordered());
		assert_int_equal(reserve_specified(now, specified.ring.head,
						   wanted),
				 RONDO_SEQ_DONE);
		assert_same_worlds();
	}
}

static void a_reserve_stores_nothing_when_head_or_id_are_others(void **unused)
{
	uint64_t state = seed;

	(void)unused;
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t other;

		fill_worlds(&state);
		other = tested.ring.head ^ UINT64_C(1) << bit;
		area.id = 1;
		assert_int_equal(reserve_tested(other, 1), RONDO_SEQ_CHANGED);
		assert_int_equal(reserve_specified(0, other, 1),
				 RONDO_SEQ_CHANGED);
		area.id = 1 ^ UINT32_C(1) << (bit & 31);
		assert_int_equal(reserve_tested(tested.ring.head, 1),
				 RONDO_SEQ_ABORTED);
		assert_int_equal(reserve_specified(0, specified.ring.head, 1),
				 RONDO_SEQ_ABORTED);
		assert_same_worlds();
	}
}

/* The header lies beyond the head then: nobody reads what is there. */
static void a_reserve_beyond_the_limit_moves_no_head(void **unused)
{
	uint64_t state = seed;
	uint64_t now = rondo_ticks_ordered() >> 32 << 32;

	(void)unused;
	area.id = 1;
	for (int round = 0; round < 100 && now; round++) {
		uint64_t limit = now - (UINT64_C(1) << 32) +
				 test_random_below(&state, UINT64_C(1) << 32);

		fill_worlds(&state);
		tested.ring.limit = specified.ring.limit = limit;
		assert_int_equal(reserve_tested(tested.ring.head, 1),
				 RONDO_SEQ_FAR);
		assert_int_equal(reserve_specified(now, specified.ring.head, 1),
				 RONDO_SEQ_FAR);
		tested.words[HEADER] = specified.words[HEADER] = 0;
		assert_same_worlds();
	}
}

static void a_reserve_up_to_the_limit_moves_the_head(void **unused)
{
	uint64_t state = seed;

	(void)unused;
	area.id = 1;
	for (int round = 0; round < 100; round++) {
		uint64_t now = rondo_ticks_ordered();

		fill_worlds(&state);
		/* The half that counts: of now, or of the moment after it. */
		tested.ring.limit = ((now >> 32) + 1) << 32;
		assert_int_equal(reserve_tested(tested.ring.head, 1),
				 RONDO_SEQ_DONE);
		assert_true(tested.ring.head == 1);
	}
}

static void a_commit_agrees_with_its_specification(void **unused)
{
	const struct rondo_offsets at = offsets();
	const int results[] = {RONDO_SEQ_DONE, RONDO_SEQ_CHANGED,
			       RONDO_SEQ_ABORTED};
	uint64_t state = seed;

	(void)unused;
	for (unsigned round = 0; round < 192; round++) {
		const int result = results[round % 3];
		uint64_t expected, wanted = test_random(&state);
		const unsigned bit = round / 3;

		fill_worlds(&state);
		expected = tested.ring.head;
		if (result == RONDO_SEQ_CHANGED)
			expected ^= UINT64_C(1) << bit;
		area.id = 9;
		if (result == RONDO_SEQ_ABORTED)
			area.id ^= UINT32_C(1) << (bit & 31);
		assert_int_equal(rondo_seq_commit(&tested.ring, &at, 9,
						  expected, wanted),
				 result);
		assert_int_equal(rondo_spec_commit(&specified.ring, area.id, 9,
						   expected, wanted),
				 result);
		assert_same_worlds();
	}
}

/* What counts lies among the words of the world. */
static struct rondo_tally *refused_of(struct world *world)
{
	return (struct rondo_tally *)(void *)&world->words[2];
}

static void count_agrees(uint64_t flipped, int result)
{
	const struct rondo_offsets at = offsets();

	assert_int_equal(rondo_seq_count(&tested.ring, &at, 3,
					 tested.ring.head ^ flipped,
					 refused_of(&tested), tested.words[0]),
			 result);
	assert_int_equal(rondo_spec_count(&specified.ring, area.id, 3,
					  specified.ring.head ^ flipped,
					  refused_of(&specified),
					  specified.words[0]),
			 result);
	assert_same_worlds();
}

static void a_count_agrees_with_its_specification(void **unused)
{
	uint64_t state = seed;

	(void)unused;
	for (unsigned round = 0; round < 256; round++) {
		fill_worlds(&state);
		area.id = 3 ^ UINT32_C(1) << (round & 31);
		count_agrees(0, RONDO_SEQ_ABORTED);
		area.id = 3;
		count_agrees(UINT64_C(1) << (round & 63), RONDO_SEQ_CHANGED);
		count_agrees(0, RONDO_SEQ_DONE);
		count_agrees(0, RONDO_SEQ_DONE);
	}
}

static void check_descriptor(void)
{
	const struct descriptor *descriptor =
		(const struct descriptor *)(uintptr_t)area.rseq_cs;
	uint32_t signature;

	assert_non_null(descriptor);
	assert_int_equal((uintptr_t)descriptor % 32, 0);
	assert_int_equal(descriptor->version, 0);
	assert_int_equal(descriptor->flags, 0);
	assert_in_range(descriptor->length, 8, 256);
	/* The kernel goes there only when the section is not around it. */
	assert_true(descriptor->abort - descriptor->start >=
		    descriptor->length);
	memcpy(&signature, (const void *)(uintptr_t)(descriptor->abort - 4),
	       sizeof(signature));
#if defined(__x86_64__)
	assert_int_equal(signature, 0x53053053);
#else
	assert_int_equal(signature, 0xd428bc00);
#endif
	area.rseq_cs = 0;
}

/* Its concurrency id is 0, like that of a thread that has one. */
static void
no_sequence_lets_in_a_thread_that_the_kernel_does_not_know(void **unused)
{
	const struct rondo_offsets at = offsets();
	uint64_t state = seed;

	(void)unused;
	fill_locked(&state);
	area.id = 1;
	for (int32_t cpu_id = -2; cpu_id < 0; cpu_id++) {
		const struct world before = tested;

		area.cpu_id = (uint32_t)cpu_id;
		assert_int_equal(rondo_sequence_id(&at), UINT32_MAX);
		tested.sequence.id = 1;
		assert_int_equal(rondo_seq_list(&tested.sequence),
				 RONDO_SEQ_ABORTED);
		assert_int_equal(rondo_seq_locked(&tested.sequence),
				 RONDO_SEQ_ABORTED);
		assert_int_equal(reserve_tested(tested.ring.head, 0),
				 RONDO_SEQ_ABORTED);
		assert_int_equal(rondo_seq_commit(&tested.ring, &at, 1,
						  tested.ring.head, 0),
				 RONDO_SEQ_ABORTED);
		assert_int_equal(rondo_seq_count(&tested.ring, &at, 1,
						 tested.ring.head,
						 refused_of(&tested), 1),
				 RONDO_SEQ_ABORTED);
		tested.sequence.id = before.sequence.id;
		assert_memory_equal(&tested, &before, sizeof(before));
	}
	area.cpu_id = 0;
	assert_int_equal(rondo_sequence_id(&at), 1);
}

static void each_sequence_names_a_section_with_a_signed_way_out(void **unused)
{
	const struct rondo_offsets at = offsets();
	uint64_t state = seed;

	(void)unused;
	fill_locked(&state);
	area.id = 3;
	area.rseq_cs = 0;
	(void)rondo_seq_list(&tested.sequence);
	check_descriptor();
	(void)rondo_seq_locked(&tested.sequence);
	check_descriptor();
	(void)reserve_tested(0, 0);
	check_descriptor();
	(void)rondo_seq_commit(&tested.ring, &at, 1, 0, 0);
	check_descriptor();
	count_agrees(1, RONDO_SEQ_CHANGED);
	check_descriptor();
}

#if defined(__x86_64__)
/*
 * An abort at each instruction, made as the kernel makes it: the processor
 * steps, and before the chosen instruction of the section the thread is sent to
 * the way out.
 */
static struct {
	unsigned at;	/* instruction of the section, from 0 */
	unsigned steps; /* of the section, so far */
	bool on;
} trap;

#define TRAP_FLAG 0x100

/* What changed in a world while it was stepped through, word by word. */
#define CHANGES_MAX 64u

static struct {
	const struct world *world; /* NULL: nobody looks */
	struct world before;
	uint64_t count;
	uint32_t word[CHANGES_MAX];
	uint64_t value[CHANGES_MAX];
} seen;

/* All but the list itself, which is the caller's alone. */
static void see_changes(void)
{
	const uint64_t *now = (const uint64_t *)(const void *)seen.world;
	uint64_t *before = (uint64_t *)(void *)&seen.before;

	for (uint32_t i = 0; i < offsetof(struct world, sequence) / 8; i++) {
		if (now[i] == before[i])
			continue;
		if (seen.count < CHANGES_MAX) {
			seen.word[seen.count] = i;
			seen.value[seen.count] = now[i];
		}
		seen.count++;
		before[i] = now[i];
	}
}

static void step_or_abort(int signal, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	const struct descriptor *descriptor =
		(const struct descriptor *)(uintptr_t)area.rseq_cs;

	(void)signal, (void)info;
	if (seen.world)
		see_changes();
	registers[REG_EFL] |= TRAP_FLAG;
	if (!trap.on)
		registers[REG_EFL] &= ~(greg_t)TRAP_FLAG;
	if (!trap.on || !descriptor ||
	    (uint64_t)registers[REG_RIP] - descriptor->start >=
		    descriptor->length ||
	    trap.steps++ != trap.at)
		return;
	registers[REG_RIP] = (greg_t)descriptor->abort;
	trap.on = false;
	registers[REG_EFL] &= ~(greg_t)TRAP_FLAG;
}

static int stepped_reserve(void)
{
	return reserve_tested(tested.ring.head, 1);
}

static int stepped_commit(void)
{
	const struct rondo_offsets at = offsets();

	return rondo_seq_commit(&tested.ring, &at, 1, tested.ring.head, 1);
}

static int stepped_count(void)
{
	const struct rondo_offsets at = offsets();

	return rondo_seq_count(&tested.ring, &at, 1, tested.ring.head,
			       refused_of(&tested), 40);
}

static int stepped_list(void)
{
	return rondo_seq_list(&tested.sequence);
}

static int stepped_locked(void)
{
	return rondo_seq_locked(&tested.sequence);
}

/* Nothing but a word that nobody reads yet. */
static void assert_changed_at_most(uint64_t *word)
{
	assert_memory_equal(&tested.ring, &specified.ring, sizeof(tested.ring));
	if (word)
		specified.words[word - tested.words] = *word;
	assert_memory_equal(tested.words, specified.words,
			    sizeof(tested.words));
}

static void assert_nothing_changed(void)
{
	assert_changed_at_most(NULL);
}

static void assert_header_at_most(void)
{
	assert_changed_at_most(&tested.words[HEADER]);
}

/* The bytes of the count that has not come. */
static void assert_other_bytes_at_most(void)
{
	struct rondo_tally *tally = refused_of(&tested);

	assert_changed_at_most(&tally->bytes[~tally->count & 1]);
}

/* So many of the list's stores are done, from the first on, and no other. */
static void assert_begun(void)
{
	const uint64_t time = tested.sequence.time;
	const struct rondo_store *store = specified.sequence.stores;

	assert_memory_equal(&tested.ring, &specified.ring, sizeof(tested.ring));
	for (; memcmp(tested.words, specified.words, sizeof(tested.words));
	     store++) {
		assert_true(store != specified.sequence.end);
		*store->at = store->value + (time & store->mask);
	}
}

/* The specifications, at the time that the assembly read. */
static int specified_reserve(void)
{
	const uint64_t bits = tested.ring.limit ? RONDO_COMPACT_TIME_MASK :
						  UINT32_MAX;

	return reserve_specified(time_of(&tested.words[HEADER], bits,
					 tested.sequence.time),
				 specified.ring.head, 1);
}

static int specified_commit(void)
{
	return rondo_spec_commit(&specified.ring, area.id, 1,
				 specified.ring.head, 1);
}

static int specified_count(void)
{
	return rondo_spec_count(&specified.ring, area.id, 1,
				specified.ring.head, refused_of(&specified),
				40);
}

static int specified_list(void)
{
	return rondo_spec_list(&specified.sequence, area.id,
			       &tested.sequence.time);
}

static int specified_locked(void)
{
	return rondo_spec_locked(&specified.sequence, area.id,
				 &tested.sequence.time);
}

struct stepped {
	int (*run)(void);
	int (*specified)(void);
	void (*check)(void);
	bool has_limit;
};

static const struct stepped stepped[] = {
	{stepped_reserve, specified_reserve, assert_header_at_most, true},
	{stepped_commit, specified_commit, assert_nothing_changed, false},
	{stepped_count, specified_count, assert_other_bytes_at_most, false},
	{stepped_list, specified_list, assert_begun, true},
	{stepped_locked, specified_locked, assert_nothing_changed, true},
};

/* A list whose last store is the head's. */
static void move_head(struct world *world)
{
	world->sequence.id = 1;
	world->sequence.commit_at = &world->ring.head;
	world->checks[0].at = &world->ring.head;
	world->checks[0].expected = world->ring.head;
}

static void fill_stepped(uint64_t *state, uint32_t clock)
{
	fill_both(state);
	with_clock(clock, rondo_ticks_ordered(), UINT64_MAX);
	area.id = 1;
	move_head(&tested);
	move_head(&specified);
}

static int run_stepped(int (*run)(void), unsigned at)
{
	int result;

	area.rseq_cs = 0;
	trap.at = at;
	trap.steps = 0;
	trap.on = true;
	raise(SIGTRAP);
	result = run();
	trap.on = false;
	raise(SIGTRAP);
	return result;
}

/* How many instructions it has; 0: nothing steps here. */
static unsigned abort_at_each(const struct stepped *sequence, uint32_t clock,
			      uint64_t *state)
{
	for (unsigned at = 0;; at++) {
		int result;

		fill_stepped(state, clock);
		result = run_stepped(sequence->run, at);
		if (result == RONDO_SEQ_DONE)
			return trap.steps;
		assert_int_equal(result, RONDO_SEQ_ABORTED);
		assert_int_equal(trap.steps, at + 1);
		sequence->check();
	}
}

/* Whether the processor steps: valgrind knows no trap flag. */
static bool with_steps(bool (*body)(uint64_t *state))
{
	struct sigaction old, action = {.sa_flags = SA_SIGINFO};
	uint64_t state = seed;
	bool steps;

	action.sa_sigaction = step_or_abort;
	assert_int_equal(sigaction(SIGTRAP, &action, &old), 0);
	steps = body(&state);
	assert_int_equal(sigaction(SIGTRAP, &old, NULL), 0);
	return steps;
}

static bool abort_everywhere(uint64_t *state)
{
	bool steps = true;

	for (unsigned i = 0; i < TEST_COUNT(stepped); i++)
		for (uint32_t clock = RONDO_SEQ_CLOCK_GIVEN;
		     clock <= RONDO_SEQ_CLOCK_FENCED; clock++)
			steps &= abort_at_each(&stepped[i], clock, state) > 2;
	return steps;
}

static void an_abort_at_any_instruction_leaves_the_last_word(void **unused)
{
	(void)unused;
	if (!with_steps(abort_everywhere))
		skip();
}

/* True: it was stepped through, and changed something or not. */
static bool watch(const struct world *which, int (*run)(void), int result)
{
	seen.world = which;
	seen.before = *which;
	seen.count = 0;
	assert_int_equal(run_stepped(run, UINT_MAX), result);
	seen.world = NULL;
	assert_in_range(seen.count, 0, CHANGES_MAX);
	return trap.steps;
}

/* Each store of the one is one of the other, at the same place and in the same
 * order; so is what an abort leaves, which is some of the first of them. */
static bool stores_agree(const struct stepped *sequence, int result)
{
	uint32_t word[CHANGES_MAX];
	uint64_t value[CHANGES_MAX], count;

	if (!watch(&tested, sequence->run, result))
		return false;
	count = seen.count;
	memcpy(word, seen.word, sizeof(word));
	memcpy(value, seen.value, sizeof(value));
	(void)watch(&specified, sequence->specified, result);
	assert_int_equal(seen.count, count);
	assert_memory_equal(seen.word, word, count * sizeof(*word));
	assert_memory_equal(seen.value, value, count * sizeof(*value));
	return true;
}

static void set_limits(uint64_t limit)
{
	tested.ring.limit = specified.ring.limit = limit;
	tested.sequence.limit = specified.sequence.limit = limit;
}

static bool compare_stores(uint64_t *state)
{
	bool steps = true;

	for (unsigned i = 0; i < TEST_COUNT(stepped); i++) {
		for (uint32_t round = 0; round < 30; round++) {
			fill_stepped(state, round % 3);
			steps &= stores_agree(&stepped[i], RONDO_SEQ_DONE);
			if (!stepped[i].has_limit)
				continue;
			fill_stepped(state, round % 3);
			set_limits(0);
			steps &= stores_agree(&stepped[i], RONDO_SEQ_FAR);
		}
	}
	return steps;
}

static void every_store_is_one_of_the_specification(void **unused)
{
	(void)unused;
	if (!with_steps(compare_stores))
		skip();
}
#endif
#endif

int main(void)
{
	const struct CMUnitTest tests[] =
	{ cmocka_unit_test(a_list_of_stores_is_its_values_plus_the_masked_time),
	  cmocka_unit_test(the_specification_does_nothing_unless_it_is_done),
#if RONDO_HAVE_RSEQ
	  cmocka_unit_test(a_list_agrees_with_its_specification_when_done),
	  cmocka_unit_test(a_list_without_stores_moves_the_last_word_alone),
	  cmocka_unit_test(a_list_stores_nothing_when_any_one_check_fails),
	  cmocka_unit_test(a_list_stores_nothing_on_another_id),
	  cmocka_unit_test(a_list_stores_nothing_beyond_its_limit),
	  cmocka_unit_test(a_list_reads_the_clock_between_its_call_and_its_end),
	  cmocka_unit_test(a_locked_one_agrees_with_its_specification),
	  cmocka_unit_test(a_locked_one_reads_the_clock_when_asked),
	  cmocka_unit_test(a_reserve_agrees_with_its_specification_when_done),
	  cmocka_unit_test(a_reserve_stores_nothing_when_head_or_id_are_others),
	  cmocka_unit_test(a_reserve_beyond_the_limit_moves_no_head),
	  cmocka_unit_test(a_reserve_up_to_the_limit_moves_the_head),
	  cmocka_unit_test(a_commit_agrees_with_its_specification),
	  cmocka_unit_test(a_count_agrees_with_its_specification),
	  cmocka_unit_test(
		  no_sequence_lets_in_a_thread_that_the_kernel_does_not_know),
	  cmocka_unit_test(each_sequence_names_a_section_with_a_signed_way_out),
#if defined(__x86_64__)
	  cmocka_unit_test(an_abort_at_any_instruction_leaves_the_last_word),
	  cmocka_unit_test(every_store_is_one_of_the_specification),
#endif
#endif
	};

	seed = test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
