/* SPDX-License-Identifier: MIT */
/*
 * The perf-style buffer under test: its variants behind one interface, samples
 * that can be told from any other bytes, and what came out of a ring.
 */
#ifndef RONDO_TESTS_SUPPORT_PERF_RING_H
#define RONDO_TESTS_SUPPORT_PERF_RING_H

#include <string.h>

#include "perf_ring/perf_ring.h"
#include "support/random.h"
#include "support/test.h"

#define PERF_TEST_DATA UINT64_C(4096)

/* ---- variants ---- */

struct perf_ops {
	enum perf_variant variant;
	int (*begin)(struct perf_rings *rings, uint64_t bytes,
		     struct perf_handle *out);
	void (*end)(struct perf_rings *rings, struct perf_handle *handle);
	int (*record)(struct perf_rings *rings, const void *payload,
		      uint32_t bytes);
};

static inline int perf_ops_plain_begin(struct perf_rings *rings, uint64_t bytes,
				       struct perf_handle *out)
{
	return perf_plain_begin(&rings->ring[0], bytes, out);
}

static inline void perf_ops_plain_end(struct perf_rings *rings,
				      struct perf_handle *handle)
{
	(void)rings;
	perf_plain_end(handle);
}

static inline int perf_ops_plain_record(struct perf_rings *rings,
					const void *payload, uint32_t bytes)
{
	return perf_plain_record(&rings->ring[0], payload, bytes);
}

static inline void perf_ops_locked_end(struct perf_rings *rings,
				       struct perf_handle *handle)
{
	(void)rings;
	perf_locked_end(handle);
}

static inline void perf_ops_packed_end(struct perf_rings *rings,
				       struct perf_handle *handle)
{
	(void)rings;
	perf_packed_end(handle);
}

static inline int perf_ops_locked_begin(struct perf_rings *rings,
					uint64_t bytes, struct perf_handle *out)
{
	return perf_locked_begin(rings, bytes, out);
}

static inline int perf_ops_packed_begin(struct perf_rings *rings,
					uint64_t bytes, struct perf_handle *out)
{
	return perf_packed_begin(rings, bytes, out);
}

static inline int perf_ops_rseq_begin(struct perf_rings *rings, uint64_t bytes,
				      struct perf_handle *out)
{
	return perf_rseq_begin(rings, bytes, out);
}

static inline void perf_ops_rseq_end(struct perf_rings *rings,
				     struct perf_handle *handle)
{
	perf_rseq_end(rings, handle);
}

static inline int perf_ops_locked_record(struct perf_rings *rings,
					 const void *payload, uint32_t bytes)
{
	return perf_locked_record(rings, payload, bytes);
}

static inline int perf_ops_packed_record(struct perf_rings *rings,
					 const void *payload, uint32_t bytes)
{
	return perf_packed_record(rings, payload, bytes);
}

static inline int perf_ops_rseq_record(struct perf_rings *rings,
				       const void *payload, uint32_t bytes)
{
	return perf_rseq_record(rings, payload, bytes);
}

static struct perf_ops perf_ops[] = {
	{PERF_PLAIN, perf_ops_plain_begin, perf_ops_plain_end,
	 perf_ops_plain_record},
	{PERF_LOCKED, perf_ops_locked_begin, perf_ops_locked_end,
	 perf_ops_locked_record},
	{PERF_PACKED, perf_ops_packed_begin, perf_ops_packed_end,
	 perf_ops_packed_record},
	{PERF_RSEQ, perf_ops_rseq_begin, perf_ops_rseq_end,
	 perf_ops_rseq_record},
};

#define PERF_TEST(test, name, variant)                                    \
	{                                                                 \
#test " (" name ")", test, NULL, NULL, &perf_ops[variant] \
	}
/* A test for each variant that threads may share; and for all. */
#define PERF_TEST_SHARED(test)                          \
	PERF_TEST(test, "locked", PERF_LOCKED),         \
		PERF_TEST(test, "packed", PERF_PACKED), \
		PERF_TEST(test, "rseq", PERF_RSEQ)
#define PERF_TEST_ALL(test) \
	PERF_TEST(test, "plain", PERF_PLAIN), PERF_TEST_SHARED(test)

/* The rings of a test. Skips it where this variant cannot be. */
static inline struct perf_rings *perf_test_create(const struct perf_ops *ops,
						  uint32_t flags)
{
	const struct perf_config config = {
		.data_bytes = PERF_TEST_DATA,
		.flags = flags,
	};
	struct perf_rings *rings = NULL;
	int result = perf_rings_create(ops->variant, &config, &rings);

	if (result == -ENOTSUP)
		skip();
	assert_int_equal(result, 0);
	return rings;
}

/* ---- samples ---- */

#define PERF_TEST_PAYLOAD_MAX 128u

/* A sample's bytes follow from its tag. Their number. */
static inline uint32_t perf_test_payload(uint64_t tag, char *out)
{
	const uint32_t bytes = 16 + (uint32_t)(test_mix(tag + 1) %
					       (PERF_TEST_PAYLOAD_MAX - 15));
	uint64_t words[PERF_TEST_PAYLOAD_MAX / 8];

	words[0] = tag;
	for (unsigned i = 1; i < TEST_COUNT(words); i++)
		words[i] = test_mix(tag * 31 + i) |
			   UINT64_C(0x0101010101010101);
	memcpy(out, words, bytes);
	return bytes;
}

/* The tag of a sample, which must be whole. */
static inline uint64_t perf_test_check(const struct perf_header *header)
{
	char expected[PERF_TEST_PAYLOAD_MAX + 8] = {0};
	const char *payload = (const char *)header + sizeof(struct perf_sample);
	uint64_t tag;
	uint32_t bytes;

	memcpy(&tag, payload, sizeof(tag));
	bytes = perf_test_payload(tag, expected);
	memset(expected + bytes, 0, 8);
	assert_int_equal(header->type, PERF_TYPE_SAMPLE);
	assert_int_equal(header->misc, 0);
	assert_int_equal(header->size, perf_sample_bytes(bytes));
	assert_memory_equal(payload, expected,
			    header->size - sizeof(struct perf_sample));
	return tag;
}

static inline int perf_test_record(const struct perf_ops *ops,
				   struct perf_rings *rings, uint64_t tag)
{
	char payload[PERF_TEST_PAYLOAD_MAX];
	uint32_t bytes = perf_test_payload(tag, payload);

	return ops->record(rings, payload, bytes);
}

/* ---- a ring at rest ---- */

static inline uint64_t perf_test_head(const struct perf_ring *ring)
{
	const uint64_t head = rondo_load_relaxed(&ring->head);

	if (ring->variant == PERF_PACKED || ring->variant == PERF_RSEQ)
		return perf_word_position(head);
	return head;
}

/* Nobody writes: nothing is open, everything is published. */
static inline void perf_test_is_at_rest(const struct perf_rings *rings)
{
	for (uint32_t i = 0; i < rings->count; i++) {
		const struct perf_ring *ring = &rings->ring[i];

		assert_true(rondo_load_relaxed(&ring->page->data_head) ==
			    perf_test_head(ring));
		assert_int_equal(ring->nest, 0);
		if (rings->variant == PERF_PACKED ||
		    rings->variant == PERF_RSEQ)
			assert_int_equal(
				(ring->head - ring->late) & PERF_WORD_OPEN, 0);
	}
}

#endif
