/* SPDX-License-Identifier: MIT */
/*
 * Modes of the head, one thread: out of rseq mode and back, the extra ring,
 * and errno on the record path.
 */
#include <errno.h>
#include <sys/uio.h>

#include "support/one_ring.h"
#include "support/random.h"

static struct test_ring ring;

static const struct rondo_config keeps_oldest = {
	.size = sizeof(struct rondo_config),
	.subbuf_bytes = 4096,
	.subbuf_count = 4,
};

static const struct rondo_config full_headers = {
	.size = sizeof(struct rondo_config),
	.subbuf_bytes = 8192,
	.subbuf_count = 4,
	.record_max = 4000,
};

static unsigned mode(void)
{
	return rondo_head_mode(test_head(&ring));
}

/* ---- aborts ---- */

static int aborts_left;

static int aborts(void)
{
	return aborts_left-- > 0 ? 8 : 0;
}

/* A record of a thread whose sequence was aborted 8 times in a row. */
static int reserve_after_aborts(struct rondo_record *out)
{
	int result;

	aborts_left = 1;
	rondo_testpoint_aborts = aborts;
	result = rondo_reserve_call(ring.channel, ring.id, 24, out);
	rondo_testpoint_aborts = NULL;
	return result;
}

static void record_after_aborts(void)
{
	struct rondo_record record;
	uint32_t tag = test_expect(&ring, 24);

	assert_int_equal(reserve_after_aborts(&record), 0);
	/* The first try of a commit must not match it: it stores plainly. */
	if (mode() == RONDO_HEAD_ATOMIC)
		assert_int_equal(record.head & RONDO_MODE_MASK,
				 RONDO_HEAD_NEVER);
	test_fill(record.data, tag, 24);
	assert_int_equal(rondo_commit(&record), 0);
}

static void eight_aborts_lead_to_atomic_mode_and_a_crossing_back(void **state)
{
	const struct rondo_config *configs[] = {&keeps_oldest, &full_headers};
	struct rondo_stats stats;
	unsigned before;

	(void)state;
	for (size_t c = 0; c < TEST_COUNT(configs); c++) {
		test_ring_create(&ring, configs[c]);
		before = mode();
		for (uint32_t round = 1; round <= 3; round++) {
			test_record(&ring, 8);
			record_after_aborts();
			assert_int_equal(mode(), RONDO_HEAD_ATOMIC);
			test_stats(&ring, &stats);
			if (before == RONDO_HEAD_RSEQ) {
				assert_int_equal(stats.reason,
						 RONDO_MODE_REVOKED);
				assert_int_equal(stats.revocations, round);
			}
			/* Inlined records in atomic mode. */
			test_record(&ring, 100);
			test_record(&ring, 0);
			assert_int_equal(mode(), RONDO_HEAD_ATOMIC);
			test_leave_room(&ring, 0);
			test_record(&ring, 8);
			assert_int_equal(mode(), before);
			test_take_all(&ring);
		}
		test_drain(&ring);
		test_ring_destroy(&ring);
	}
}

static void
a_record_reserved_before_the_mode_changed_is_committed_after(void **state)
{
	struct rondo_record first, second;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	test_reserve(&ring, 40, &first);
	record_after_aborts();
	assert_int_equal(rondo_head_pending(test_head(&ring)), 1);
	assert_int_equal(rondo_commit(&first), 0);
	assert_int_equal(rondo_head_pending(test_head(&ring)), 0);
	test_reserve(&ring, 40, &second);
	test_leave_room(&ring, 0);
	test_record(&ring, 8);
	assert_null(test_oldest(&ring));
	assert_int_equal(rondo_commit(&second), 0);
	assert_non_null(test_oldest(&ring));
	test_drain(&ring);
	test_ring_destroy(&ring);
}

static void a_squash_in_revoked_mode_is_a_squash(void **state)
{
	struct rondo_record record;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	test_record(&ring, 40);
	assert_int_equal(reserve_after_aborts(&record), 0);
	assert_int_equal(rondo_commit(&record), 0);
	assert_int_equal(rondo_squash(ring.channel, rondo_mark(&record)), 0);
	assert_int_equal(reserve_after_aborts(&record), 0);
	assert_int_equal(rondo_discard(&record), 0);
	test_record(&ring, 3);
	test_drain(&ring);
	test_no_gaps(&ring);
	test_ring_destroy(&ring);
}

/* The one lock of the record path is only ever tried. */
static void
while_a_flusher_is_at_it_eight_aborts_refuse_the_record(void **state)
{
	struct rondo_record record;
	struct rondo_stats stats;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	test_record(&ring, 8);
	if (mode() == RONDO_HEAD_RSEQ) {
		ring.control->flush_lock = 1;
		assert_int_equal(reserve_after_aborts(&record), -EBUSY);
		ring.control->flush_lock = 0;
		test_stats(&ring, &stats);
		assert_int_equal(stats.refused_records[RONDO_REFUSED_STALLED],
				 1);
		assert_int_equal(stats.refused_bytes[RONDO_REFUSED_STALLED],
				 24);
		assert_int_equal(mode(), RONDO_HEAD_RSEQ);
	} else {
		record_after_aborts();
	}
	test_drain(&ring);
	test_ring_destroy(&ring);
}

/* The inlined code stores plainly: what is not rseq mode it hands on. */
static void inlined_code_leaves_heads_of_other_modes_alone(void **state)
{
#if RONDO_HAVE_RSEQ
	struct rondo_record record = {0};
	struct rondo_seen seen;
	uint64_t head;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	test_record(&ring, 8);
	head = test_head(&ring);
	for (unsigned other = RONDO_HEAD_REVOKING; other <= RONDO_HEAD_NEVER;
	     other++) {
		const uint64_t changed = rondo_head_with_mode(head, other);

		rondo_store_relaxed(&ring.ring->head, changed);
		assert_int_equal(rondo_fast_reserve(ring.channel, ring.id, 8,
						    &record, &seen),
				 RONDO_FAST_CALL);
		assert_true(test_head(&ring) == changed);
	}
	rondo_store_relaxed(&ring.ring->head, head);
	test_drain(&ring);
	test_ring_destroy(&ring);
#else
	(void)state;
#endif
}

/* ---- the extra ring ---- */

static __thread uint32_t pretended_id;

/* This thread's id from now on: as the kernel would write it where rseq is not
 * registered, or for a CPU that was added. */
static void pretend_id(uint32_t id)
{
	uint64_t at = (uint64_t)(uintptr_t)&pretended_id;

	pretended_id = id;
	ring.channel->offsets.id = (int32_t)(at - rondo_thread_pointer());
}

static void
threads_without_a_ring_of_their_own_record_in_the_extra_one(void **state)
{
	struct rondo_stats stats;
	uint32_t extra;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	extra = ring.map->ring_count - 1;
	if (!ring.control->by_id) { /* rings are picked otherwise */
		test_ring_destroy(&ring);
		skip();
	}
	ring.index = extra;
	ring.ring = rondo_map_ring(ring.map, extra);
	for (size_t i = 0; i < 5; i++) {
		const uint32_t ids[] = {UINT32_MAX, UINT32_MAX - 1, extra,
					extra + 1, INT32_MAX};

		pretend_id(ids[i]);
		for (uint32_t bytes = 0; bytes < 100; bytes++)
			test_record(&ring, bytes);
		assert_int_equal(mode(), RONDO_HEAD_ATOMIC);
		test_drain(&ring);
		assert_int_equal(mode(), RONDO_HEAD_ATOMIC);
	}
	test_stats(&ring, &stats);
	assert_int_equal(stats.mode, RONDO_HEAD_ATOMIC);
	assert_int_not_equal(stats.reason, RONDO_MODE_RSEQ);
	test_ring_destroy(&ring);
}

static void a_thread_that_lost_its_id_commits_what_it_reserved(void **state)
{
	struct rondo_record record;

	(void)state;
	test_ring_create(&ring, &keeps_oldest);
	test_record(&ring, 9);
	test_reserve(&ring, 40, &record);
	if (ring.control->by_id)
		pretend_id(UINT32_MAX);
	assert_int_equal(rondo_commit(&record), 0);
	test_drain(&ring);
	test_ring_destroy(&ring);
}

/* ---- I-quiet ---- */

/* All of the record path, some of it refused. */
static void use_record_path(uint64_t *random)
{
	struct rondo_channel *channel = ring.channel;
	uint32_t bytes = (uint32_t)test_random_below(random, 300);
	static char whole[5000];
	const struct iovec pieces[2] = {{whole, 5}, {whole, 8}};
	struct rondo_record record;

	switch (test_random_below(random, 8)) {
	case 0:
		(void)rondo_writev(channel, ring.id, pieces, 2);
		break;
	case 1:
		if (!rondo_reserve_aligned(channel, ring.id, bytes, 64,
					   &record))
			(void)rondo_commit(&record);
		break;
	case 2:
		if (!rondo_reserve(channel, ring.id, bytes, &record))
			(void)rondo_discard(&record);
		break;
	case 3:
		if (!rondo_reserve(channel, ring.id, bytes, &record))
			(void)rondo_commit_len(&record, bytes / 2);
		break;
	case 4:
		if (!rondo_reserve(channel, ring.id, bytes, &record)) {
			(void)rondo_commit(&record);
			(void)rondo_squash(channel, rondo_mark(&record));
		}
		break;
	case 5:
		(void)rondo_write(channel, ring.id, whole, sizeof(whole));
		(void)rondo_write(channel, 0, whole, 5);
		break;
	default:
		(void)rondo_write(channel, ring.id, whole, 16);
	}
}

static void the_record_path_leaves_errno_alone(void **state)
{
	const uint32_t flags[] = {0, RONDO_OVERWRITE};
	uint64_t random = test_seed();

	(void)state;
	for (size_t i = 0; i < TEST_COUNT(flags); i++) {
		struct rondo_config config = keeps_oldest;

		config.flags = flags[i];
		test_ring_create(&ring, &config);
		for (int k = 0; k < 5000; k++) {
			errno = 4711;
			use_record_path(&random);
			assert_int_equal(errno, 4711);
		}
		assert_int_equal(rondo_channel_destroy(ring.channel), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			eight_aborts_lead_to_atomic_mode_and_a_crossing_back),
		cmocka_unit_test(
			a_record_reserved_before_the_mode_changed_is_committed_after),
		cmocka_unit_test(a_squash_in_revoked_mode_is_a_squash),
		cmocka_unit_test(
			while_a_flusher_is_at_it_eight_aborts_refuse_the_record),
		cmocka_unit_test(
			inlined_code_leaves_heads_of_other_modes_alone),
		cmocka_unit_test(
			threads_without_a_ring_of_their_own_record_in_the_extra_one),
		cmocka_unit_test(
			a_thread_that_lost_its_id_commits_what_it_reserved),
		cmocka_unit_test(the_record_path_leaves_errno_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
