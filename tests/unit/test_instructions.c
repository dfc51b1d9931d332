/* SPDX-License-Identifier: MIT */
/*
 * What no run shows reliably, since it hangs on what a processor does ahead of
 * its time: that fences, locks and releases are there. Each function lies in a
 * section of its own, in which its instructions are searched for.
 */
#include <string.h>

#include <rondo/detail/machine.h>
#include <rondo/detail/sequence.h>

#include "support/test.h"

/* The linker names where a section begins and ends. */
#define ALONE(name)                                  \
	extern const unsigned char __start_##name[]; \
	extern const unsigned char __stop_##name[];  \
	__attribute__((noinline, used, section(#name)))

#define TIMES(name, ...)                                 \
	times(__start_##name, __stop_##name,             \
	      (const struct instruction[]){__VA_ARGS__}, \
	      TEST_COUNT(((const struct instruction[]){__VA_ARGS__})))

#if defined(__x86_64__)
/* Bytes, one behind the other. */
struct instruction {
	const char *bytes;
	size_t count;
};

#define FENCED_TICKS          \
	{"\x0f\xae\xe8", 3},  \
	{                     \
		"\x0f\x31", 2 \
	} /* lfence; rdtsc */
#define LOCKED_SWAP                   \
	{                             \
		"\xf0\x48\x0f\xb1", 4 \
	} /* lock cmpxchgq */

static size_t instruction_at(const unsigned char *at, const unsigned char *end,
			     const struct instruction *i)
{
	return (size_t)(end - at) >= i->count &&
			       !memcmp(at, i->bytes, i->count) ?
		       i->count :
		       0;
}
#define INSTRUCTION_STEP 1
#elif defined(__aarch64__)
struct instruction {
	uint32_t word, mask;
};

/* isb; mrs cntvct_el0 */
#define FENCED_TICKS                   \
	{0xd5033fdf, 0xffffffff},      \
	{                              \
		0xd53be040, 0xffffffe0 \
	}
#define LOAD_ACQUIRE_EXCLUSIVE         \
	{                              \
		0xc85ffc00, 0xfffffc00 \
	}
#define STORE_RELEASE_EXCLUSIVE        \
	{                              \
		0xc800fc00, 0xffe0fc00 \
	}
#define STORE_RELEASE                  \
	{                              \
		0xc89ffc00, 0xfffffc00 \
	}

static size_t instruction_at(const unsigned char *at, const unsigned char *end,
			     const struct instruction *i)
{
	uint32_t word;

	if ((size_t)(end - at) < sizeof(word))
		return 0;
	memcpy(&word, at, sizeof(word));
	return (word & i->mask) == i->word ? sizeof(word) : 0;
}
#define INSTRUCTION_STEP 4
#endif

#if RONDO_HAVE_TICKS
/* How often they stand one behind the other. */
static unsigned times(const unsigned char *at, const unsigned char *end,
		      const struct instruction *wanted, size_t count)
{
	unsigned found = 0;

	for (; at < end; at += INSTRUCTION_STEP) {
		const unsigned char *next = at;
		size_t i, bytes = 1;

		for (i = 0; i < count && bytes; i++) {
			bytes = instruction_at(next, end, &wanted[i]);
			next += bytes;
		}
		found += i == count && bytes;
	}
	return found;
}

ALONE(test_ticks) static uint64_t read_ticks(void)
{
	return rondo_ticks_ordered();
}

static void the_clock_is_read_behind_a_fence(void **unused)
{
	(void)unused;
	assert_true(read_ticks() <= read_ticks());
	assert_int_equal(TIMES(test_ticks, FENCED_TICKS), 1);
}
#endif

#if RONDO_HAVE_RSEQ
ALONE(test_reserve)
static int reserve(struct rondo_ring *ring, const struct rondo_offsets *at,
		   char *header)
{
	return rondo_seq_reserve(ring, at, 1, 2, 3, header, 4);
}

ALONE(test_commit)
static int commit(struct rondo_ring *ring, const struct rondo_offsets *at)
{
	return rondo_seq_commit(ring, at, 1, 2, 3);
}

ALONE(test_count)
static int count_one(struct rondo_ring *ring, const struct rondo_offsets *at)
{
	return rondo_seq_count(ring, at, 1, 2, &ring->tally[0], 3);
}

ALONE(test_list) static int do_list(struct rondo_sequence *sequence)
{
	return rondo_seq_list(sequence);
}

ALONE(test_locked) static int do_locked(struct rondo_sequence *sequence)
{
	return rondo_seq_locked(sequence);
}

static void
a_sequence_that_is_told_to_reads_its_clock_behind_a_fence(void **unused)
{
	(void)unused;
	(void)do_list;
	(void)do_locked;
	assert_int_equal(TIMES(test_list, FENCED_TICKS), 1);
	assert_int_equal(TIMES(test_locked, FENCED_TICKS), 1);
}

#if defined(__x86_64__)
/* Stores are in order: the last one of a sequence is a release by itself. */
static void a_locked_sequence_ends_in_a_locked_swap(void **unused)
{
	(void)unused;
	(void)reserve;
	(void)commit;
	(void)count_one;
	assert_int_equal(TIMES(test_locked, LOCKED_SWAP), 1);
}
#else
static void a_locked_sequence_ends_in_a_locked_swap(void **unused)
{
	(void)unused;
	assert_int_equal(TIMES(test_locked, LOAD_ACQUIRE_EXCLUSIVE), 1);
	assert_int_equal(TIMES(test_locked, STORE_RELEASE_EXCLUSIVE), 1);
}

static void a_sequence_ends_in_a_release(void **unused)
{
	(void)unused;
	(void)reserve;
	(void)commit;
	(void)count_one;
	assert_int_equal(TIMES(test_reserve, STORE_RELEASE), 1);
	assert_int_equal(TIMES(test_commit, STORE_RELEASE), 1);
	assert_int_equal(TIMES(test_count, STORE_RELEASE), 1);
	assert_int_equal(TIMES(test_list, STORE_RELEASE), 1);
}
#endif
#endif

int main(void)
{
#if RONDO_HAVE_TICKS
	const struct CMUnitTest tests[] =
	{ cmocka_unit_test(the_clock_is_read_behind_a_fence),
#if RONDO_HAVE_RSEQ
	  cmocka_unit_test(
		  a_sequence_that_is_told_to_reads_its_clock_behind_a_fence),
	  cmocka_unit_test(a_locked_sequence_ends_in_a_locked_swap),
#if !defined(__x86_64__)
	  cmocka_unit_test(a_sequence_ends_in_a_release),
#endif
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
#else
	return 77; /* skipped: no instructions of ours */
#endif
}
