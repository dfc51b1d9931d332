/* SPDX-License-Identifier: MIT */
/*
 * The walker against buffers made by hand: what it finds, what it steps over,
 * and that nothing leads it outside. Buffers have exactly the size they say, so
 * that the address sanitizer sees a byte too many.
 */
#include "support/test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <rondo/abi.h>
#include <rondo/detail/position.h>

#include "ring.h"
#include "support/random.h"
#include "walk.h"

#define BEGIN UINT64_C(0xabcdef123456)
#define FIRST RONDO_PACKET_BYTES

/* A sub-buffer being written. */
struct buffer {
	char *data;
	uint64_t bytes;
	uint64_t at; /* where the next record goes */
	uint32_t header;
};

static struct buffer new_buffer(uint32_t header, uint64_t bytes)
{
	struct buffer buffer = {malloc(bytes), bytes, FIRST, header};

	assert_non_null(buffer.data);
	memset(buffer.data, 0, bytes);
	return buffer;
}

static void put_word(struct buffer *buffer, uint64_t offset, uint64_t word)
{
	memcpy(buffer->data + offset, &word, sizeof(word));
}

static void put_header(struct buffer *buffer, uint16_t id, bool open,
		       uint32_t bytes, uint64_t time)
{
	if (buffer->header == 8) {
		uint64_t high = open ? 0xff00u | (id & 0xffu) : id;

		put_word(buffer, buffer->at,
			 high << 48 | (uint64_t)((bytes + 7) / 8) << 40 |
				 (time & RONDO_COMPACT_TIME_MASK));
		return;
	}
	put_word(buffer, buffer->at,
		 (uint64_t)bytes << 32 | (uint64_t)open << 16 | id);
	put_word(buffer, buffer->at + 8, time);
}

/* Its payload is id, repeated. Where it begins. */
static uint64_t put(struct buffer *buffer, uint16_t id, bool open,
		    uint32_t bytes, uint64_t time)
{
	uint64_t offset = buffer->at;

	put_header(buffer, id, open, bytes, time);
	memset(buffer->data + offset + buffer->header, id, bytes);
	buffer->at =
		rondo_align(offset + buffer->header + bytes, buffer->header);
	return offset;
}

static void put_gap(struct buffer *buffer, uint64_t bytes, uint64_t time)
{
	rondo_gap_write(buffer->data + buffer->at, bytes, buffer->header, time);
	buffer->at += bytes;
}

static struct rondo_walk walk_of(const struct buffer *buffer)
{
	struct rondo_walk walk;

	rondo_walk_begin(&walk, buffer->data, buffer->at, buffer->header,
			 BEGIN);
	return walk;
}

static void expect(struct rondo_walk *walk, uint64_t offset, uint16_t id,
		   uint32_t bytes, uint64_t time)
{
	struct rondo_found found;

	assert_int_equal(rondo_walk_next(walk, &found), 1);
	assert_int_equal(found.offset, offset);
	assert_int_equal(found.payload, offset + walk->header_bytes);
	assert_int_equal(found.bytes, bytes);
	assert_int_equal(found.time, time);
	assert_int_equal(found.next, rondo_align(found.payload + bytes,
						 walk->header_bytes));
	if (found.open) {
		assert_int_equal(found.id & 0xff, id & 0xff);
		assert_false(found.gap);
	} else {
		assert_int_equal(found.id, id);
		assert_int_equal(found.gap, id < RONDO_ID_FIRST);
	}
}

static void expect_end(struct rondo_walk *walk, int how)
{
	struct rondo_found found = {.offset = 77};

	assert_int_equal(rondo_walk_next(walk, &found), how);
	assert_int_equal(rondo_walk_next(walk, &found), 0);
	assert_int_equal(found.offset, 77);
}

static const uint32_t headers[] = {8, 16};
#define EACH_HEADER(h) (unsigned h = 0; h < 2; h++)

static void committed_records_come_out_in_order(void **state)
{
	(void)state;
	for
		EACH_HEADER(h)
		{
			struct buffer buffer = new_buffer(headers[h], 4096);
			uint64_t a = put(&buffer, 2, false, 0, BEGIN);
			uint64_t b = put(&buffer, 0x1ff, false, 24, BEGIN + 5);
			uint64_t c =
				put(&buffer, 0xfeff, false, 2032, BEGIN + 5);
			struct rondo_walk walk = walk_of(&buffer);

			expect(&walk, a, 2, 0, BEGIN);
			expect(&walk, b, 0x1ff, 24, BEGIN + 5);
			expect(&walk, c, 0xfeff, 2032, BEGIN + 5);
			expect_end(&walk, 0);
			assert_int_equal(walk.skipped, 0);
			free(buffer.data);
		}
}

static void a_full_header_tells_the_exact_length(void **state)
{
	struct buffer buffer = new_buffer(16, 4096);
	struct rondo_walk walk;
	uint64_t a, b;

	(void)state;
	a = put(&buffer, 2, false, 13, BEGIN);
	b = put(&buffer, 3, false, 1, BEGIN);
	/* Content ends at the last field: not at a multiple of anything. */
	rondo_walk_begin(&walk, buffer.data, b + 16 + 1, 16, BEGIN);
	expect(&walk, a, 2, 13, BEGIN);
	expect(&walk, b, 3, 1, BEGIN);
	expect_end(&walk, 0);
	free(buffer.data);
}

static void compact_times_go_on_from_the_packets_begin(void **state)
{
	const uint64_t near = (UINT64_C(5) << 40) - 3;
	struct buffer buffer = new_buffer(8, 4096);
	struct rondo_walk walk;
	uint64_t a, b;

	(void)state;
	a = put(&buffer, 2, false, 8, near + 1);
	b = put(&buffer, 2, false, 8, near + 10);
	rondo_walk_begin(&walk, buffer.data, buffer.at, 8, near);
	expect(&walk, a, 2, 8, near + 1);
	expect(&walk, b, 2, 8, near + 10);
	free(buffer.data);
}

static void an_open_record_is_told_as_open(void **state)
{
	(void)state;
	for
		EACH_HEADER(h)
		{
			struct buffer buffer = new_buffer(headers[h], 4096);
			struct rondo_walk walk;
			struct rondo_found found;
			uint64_t b;

			put(&buffer, 0x234, true, 40, BEGIN + 1);
			b = put(&buffer, 2, false, 8, BEGIN + 2);
			walk = walk_of(&buffer);
			assert_int_equal(rondo_walk_next(&walk, &found), 1);
			assert_true(found.open);
			assert_int_equal(found.bytes, 40);
			assert_int_equal(found.id & 0xff, 0x34);
			expect(&walk, b, 2, 8, BEGIN + 2);
			free(buffer.data);
		}
}

static void gaps_are_told_as_gaps(void **state)
{
	(void)state;
	for
		EACH_HEADER(h)
		{
			const uint32_t header = headers[h];
			struct buffer buffer = new_buffer(header, 4096);
			struct rondo_walk walk;

			put_gap(&buffer, header, BEGIN);
			put_gap(&buffer, header * 3, BEGIN + 1);
			walk = walk_of(&buffer);
			expect(&walk, FIRST, RONDO_ID_GAP, 0, BEGIN);
			expect(&walk, FIRST + header, RONDO_ID_DISCARDED,
			       header * 2, BEGIN + 1);
			expect_end(&walk, 0);
			free(buffer.data);
		}
}

static void zeroed_memory_holds_no_record(void **state)
{
	(void)state;
	for
		EACH_HEADER(h)
		{
			struct buffer buffer = new_buffer(headers[h], 4096);
			struct rondo_walk walk;

			buffer.at = buffer.bytes;
			/* Even where the time 0 makes sense. */
			rondo_walk_begin(&walk, buffer.data, buffer.at,
					 headers[h], 0);
			expect_end(&walk, -EPROTO);
			assert_int_equal(walk.skipped, 4096 - FIRST);
			free(buffer.data);
		}
}

static void a_length_beyond_the_end_is_no_record(void **state)
{
	(void)state;
	for
		EACH_HEADER(h)
		{
			struct buffer buffer = new_buffer(headers[h], 4096);
			struct rondo_walk walk;

			put_header(&buffer, 2, false, 16, BEGIN);
			rondo_walk_begin(&walk, buffer.data,
					 FIRST + headers[h] + 16, headers[h],
					 BEGIN);
			expect(&walk, FIRST, 2, 16, BEGIN);
			rondo_walk_begin(&walk, buffer.data,
					 FIRST + headers[h] + 8, headers[h],
					 BEGIN);
			expect_end(&walk, -EPROTO);
			if (headers[h] == 16) {
				put_header(&buffer, 2, false, UINT32_MAX,
					   BEGIN);
				walk = walk_of(&buffer);
				walk.end = 4096;
				expect_end(&walk, -EPROTO);
			}
			free(buffer.data);
		}
}

static void a_header_beyond_the_end_is_not_read(void **state)
{
	(void)state;
	for
		EACH_HEADER(h)
		{
			struct rondo_walk walk;
			uint64_t end;

			for (end = 0; end < FIRST + headers[h]; end++) {
				struct buffer buffer =
					new_buffer(headers[h], end + 1);

				rondo_walk_begin(&walk, buffer.data, end,
						 headers[h], BEGIN);
				expect_end(&walk, 0);
				free(buffer.data);
			}
		}
}

static void a_gap_whose_text_has_another_length_is_none(void **state)
{
	(void)state;
	for
		EACH_HEADER(h)
		{
			struct buffer buffer = new_buffer(headers[h], 4096);
			struct rondo_walk walk;
			uint64_t next;

			put_gap(&buffer, 64, BEGIN);
			next = put(&buffer, 2, false, 8, BEGIN);
			put_word(&buffer, FIRST + headers[h], 1);
			walk = walk_of(&buffer);
			expect(&walk, next, 2, 8, BEGIN);
			assert_int_equal(walk.skipped, 64);

			/* And one that says it is a header alone, but is not. */
			buffer.at = FIRST;
			put_header(&buffer, RONDO_ID_GAP, false, 8, BEGIN);
			buffer.at = next + headers[h] + 8;
			walk = walk_of(&buffer);
			expect(&walk, next, 2, 8, BEGIN);
			free(buffer.data);
		}
}

static void a_discarded_record_of_an_odd_length_is_a_gap(void **state)
{
	struct buffer buffer = new_buffer(16, 4096);
	struct rondo_walk walk;

	(void)state;
	/* As discard leaves it: the length it was reserved with. */
	put(&buffer, RONDO_ID_DISCARDED, false, 13, BEGIN);
	put_word(&buffer, FIRST + 16, 16 - 4);
	walk = walk_of(&buffer);
	expect(&walk, FIRST, RONDO_ID_DISCARDED, 13, BEGIN);
	expect_end(&walk, 0);
	free(buffer.data);
}

static void a_state_or_an_id_that_is_none_is_no_record(void **state)
{
	struct buffer buffer = new_buffer(16, 4096);
	struct rondo_walk walk;
	uint64_t next;

	(void)state;
	put(&buffer, 2, false, 0, BEGIN);
	put_word(&buffer, FIRST, UINT64_C(2) << 16 | 2);
	put(&buffer, RONDO_ID_LIMIT, false, 0, BEGIN);
	next = put(&buffer, 3, false, 0, BEGIN);
	walk = walk_of(&buffer);
	expect(&walk, next, 3, 0, BEGIN);
	assert_int_equal(walk.skipped, 32);
	free(buffer.data);
}

static void a_gap_without_a_text_is_none_and_reads_nothing_behind(void **state)
{
	(void)state;
	for
		EACH_HEADER(h)
		{
			struct buffer buffer =
				new_buffer(headers[h], FIRST + headers[h]);
			struct rondo_walk walk;

			put_header(&buffer, RONDO_ID_DISCARDED, false, 0,
				   BEGIN);
			buffer.at = buffer.bytes;
			walk = walk_of(&buffer);
			expect_end(&walk, -EPROTO);
			free(buffer.data);
		}
}

/* What a kill between head and header leaves: a word of an earlier lap. */
static void a_stale_word_is_stepped_over_and_counted(void **state)
{
	(void)state;
	for
		EACH_HEADER(h)
		{
			struct buffer buffer = new_buffer(headers[h], 4096);
			struct rondo_walk walk;
			uint64_t a, b, stale;

			a = put(&buffer, 2, false, 8, BEGIN + 1);
			stale = buffer.at;
			put(&buffer, 2, false, 32, BEGIN - 1000);
			/* A payload may look like a header, where the end is unknown. */
			memset(buffer.data + stale + headers[h], 0, 32);
			b = put(&buffer, 3, false, 8, BEGIN + 2);
			for (int known = 0; known < 2; known++) {
				walk = walk_of(&buffer);
				if (known)
					walk.end_time = BEGIN + 2;
				expect(&walk, a, 2, 8, BEGIN + 1);
				expect(&walk, b, 3, 8, BEGIN + 2);
				assert_int_equal(walk.skipped, b - stale);
				expect_end(&walk, 0);
			}
			free(buffer.data);
		}
}

static void a_time_before_the_last_records_is_stale(void **state)
{
	(void)state;
	for
		EACH_HEADER(h)
		{
			struct buffer buffer = new_buffer(headers[h], 4096);
			struct rondo_walk walk;

			put(&buffer, 2, false, 8, BEGIN + 10);
			put(&buffer, 2, false, 8, BEGIN + 9);
			walk = walk_of(&buffer);
			expect(&walk, FIRST, 2, 8, BEGIN + 10);
			expect_end(&walk, -EPROTO);
			free(buffer.data);
		}
}

static void a_record_later_than_the_end_is_none(void **state)
{
	(void)state;
	for
		EACH_HEADER(h)
		{
			struct buffer buffer = new_buffer(headers[h], 4096);
			struct rondo_walk walk;

			put(&buffer, 2, false, 8, BEGIN + 10);
			walk = walk_of(&buffer);
			walk.end_time = BEGIN + 10;
			expect(&walk, FIRST, 2, 8, BEGIN + 10);
			walk = walk_of(&buffer);
			walk.end_time = BEGIN + 9;
			expect_end(&walk, -EPROTO);
			free(buffer.data);
		}
}

/* Seven minutes fit into a compact time, if it is known that they passed. */
static void a_known_end_lets_compact_times_be_far_apart(void **state)
{
	const uint64_t far = (UINT64_C(1) << 40) - 2000;
	struct buffer buffer = new_buffer(8, 4096);
	struct rondo_walk walk;

	(void)state;
	put(&buffer, 2, false, 8, BEGIN + far);
	walk = walk_of(&buffer);
	walk.end_time = BEGIN + far;
	expect(&walk, FIRST, 2, 8, BEGIN + far);
	walk = walk_of(&buffer);
	expect_end(&walk, -EPROTO);
	free(buffer.data);
}

/* However the bytes are: inside, forwards, to an end. */
static void walk_through(const char *data, uint64_t end, uint32_t header,
			 uint64_t begin)
{
	struct rondo_walk walk;
	struct rondo_found found;
	uint64_t at = FIRST, steps = 0;
	int result;

	rondo_walk_begin(&walk, data, end, header, begin);
	while ((result = rondo_walk_next(&walk, &found)) > 0) {
		assert_true(found.offset >= at);
		assert_int_equal(found.offset % header, 0);
		assert_true(found.payload + found.bytes <= end);
		assert_true(found.next >= found.offset + header);
		at = found.next;
		assert_true(++steps <= end / header);
	}
	assert_true(result == 0 || result == -EPROTO);
	assert_true(walk.skipped <= end);
	assert_int_equal(rondo_walk_next(&walk, &found), 0);
}

static void garbage_leads_nowhere_outside(void **state)
{
	uint64_t random = test_seed();

	(void)state;
	for (int round = 0; round < 3000; round++) {
		const uint32_t header = headers[round & 1];
		const uint64_t end = test_random_below(&random, 130) * 8;
		char *data = malloc(end + 1);
		char *exact = realloc(data, end ? end : 1);

		assert_non_null(exact);
		for (uint64_t i = 0; i < end; i++)
			exact[i] = (char)test_random(&random);
		walk_through(exact, end, header,
			     round % 3 ? test_random(&random) : 0);
		free(exact);
	}
}

/* Records with a few words of chance in between. */
static struct buffer damaged_buffer(uint64_t *random, uint32_t header)
{
	struct buffer buffer = new_buffer(header, 4096);
	uint64_t time = BEGIN;

	while (buffer.at + 512 < buffer.bytes) {
		uint32_t bytes = (uint32_t)test_random_below(random, 400);
		uint16_t id = (uint16_t)(2 + test_random_below(random, 1000));

		time += test_random_below(random, 1000);
		if (test_random_below(random, 8) == 0)
			put_gap(&buffer, header * (1 + bytes / 16), time);
		else
			put(&buffer, id, test_random_below(random, 4) == 0,
			    bytes, time);
	}
	for (uint64_t n = test_random_below(random, 12); n; n--) {
		uint64_t at = FIRST + 8 * test_random_below(random, 480);
		uint64_t word = test_random(random);

		/* Plausible ones too: of these times. */
		if (test_random_below(random, 2))
			word = (word << 40) | ((BEGIN + (word >> 50)) &
					       RONDO_COMPACT_TIME_MASK);
		if (at + 8 <= buffer.at)
			put_word(&buffer, at, word);
	}
	return buffer;
}

static void damaged_records_lead_nowhere_outside(void **state)
{
	uint64_t random = test_seed();

	(void)state;
	for (int round = 0; round < 1000; round++) {
		const uint32_t header = headers[round & 1];
		struct buffer buffer = damaged_buffer(&random, header);
		uint64_t end = 8 * test_random_below(&random, buffer.at / 8);
		char *exact = malloc(end ? end : 1);

		assert_non_null(exact);
		memcpy(exact, buffer.data, end);
		walk_through(exact, end, header, BEGIN);
		free(exact);
		free(buffer.data);
	}
}

static void a_copy_has_gaps_where_records_are_open(void **state)
{
	(void)state;
	for
		EACH_HEADER(h)
		{
			const uint32_t header = headers[h];
			struct buffer from = new_buffer(header, 4096);
			struct buffer to = new_buffer(header, 4096);
			struct rondo_walk walk;
			struct rondo_copied copied;
			uint64_t a = put(&from, 2, false, 24, BEGIN);
			uint64_t b = put(&from, 3, true, 48, BEGIN + 1);
			uint64_t c = put(&from, 4, true, 0, BEGIN + 2);
			uint64_t d = put(&from, 5, false, 8, BEGIN + 3);

			walk = walk_of(&from);
			rondo_walk_copy(&walk, to.data, &copied);
			assert_int_equal(copied.records, 2);
			assert_int_equal(copied.open, 2);
			assert_int_equal(copied.skipped, 0);
			assert_int_equal(copied.last.offset, d);
			to.at = from.at;
			walk = walk_of(&to);
			expect(&walk, a, 2, 24, BEGIN);
			expect(&walk, b, RONDO_ID_DISCARDED, 48, BEGIN + 1);
			expect(&walk, c, RONDO_ID_GAP, 0, BEGIN + 2);
			expect(&walk, d, 5, 8, BEGIN + 3);
			expect_end(&walk, 0);
			assert_memory_equal(to.data + a, from.data + a,
					    header + 24);
			assert_memory_equal(to.data + d, from.data + d,
					    header + 8);
			free(from.data);
			free(to.data);
		}
}

static void a_copy_has_gaps_over_what_makes_no_sense(void **state)
{
	(void)state;
	for
		EACH_HEADER(h)
		{
			const uint32_t header = headers[h];
			struct buffer from = new_buffer(header, 16384);
			struct buffer to = new_buffer(header, 16384);
			struct rondo_walk walk;
			struct rondo_found found;
			struct rondo_copied copied;
			uint64_t covered, last;

			put(&from, 2, false, 24, BEGIN);
			covered = from.at;
			from.at +=
				8000; /* longer than one compact gap can be */
			last = put(&from, 3, false, 8, BEGIN + 1);
			walk = walk_of(&from);
			rondo_walk_copy(&walk, to.data, &copied);
			assert_int_equal(copied.skipped, 8000);
			to.at = from.at;
			walk = walk_of(&to);
			assert_int_equal(rondo_walk_next(&walk, &found), 1);
			while (covered < found.next + 8000) {
				assert_int_equal(rondo_walk_next(&walk, &found),
						 1);
				if (!found.gap)
					break;
				assert_int_equal(found.offset, covered);
				covered = found.next;
			}
			assert_int_equal(covered, last);
			assert_int_equal(found.offset, last);
			assert_int_equal(found.id, 3);
			assert_int_equal(walk.skipped, 0);
			free(from.data);
			free(to.data);
		}
}

/* Whatever it was made of, a sealed copy is records and gaps, end to end. */
static void a_sealed_copy_walks_to_its_end_without_a_skip(void **state)
{
	uint64_t random = test_seed();

	(void)state;
	for (int round = 0; round < 1000; round++) {
		const uint32_t header = headers[round & 1];
		struct buffer from = damaged_buffer(&random, header);
		struct buffer to = new_buffer(header, from.bytes);
		struct rondo_walk walk = walk_of(&from);
		struct rondo_copied copied;
		struct rondo_found found;
		uint64_t records = 0, content;

		memset(to.data, 0xa5, to.bytes);
		rondo_walk_copy(&walk, to.data, &copied);
		content = rondo_walk_seal(to.data, to.bytes, header,
					  &copied.last);
		assert_true(content >= FIRST && content <= to.bytes);
		rondo_walk_begin(&walk, to.data, content, header, BEGIN);
		while (rondo_walk_next(&walk, &found) > 0) {
			assert_false(found.open);
			records += !found.gap;
		}
		assert_int_equal(walk.skipped, 0);
		assert_int_equal(walk.offset, rondo_align(content, header));
		assert_int_equal(records, copied.records);
		free(from.data);
		free(to.data);
	}
}

static void a_seal_without_room_makes_the_last_record_a_gap(void **state)
{
	const uint64_t bytes = 4096;
	struct buffer buffer = new_buffer(8, bytes);
	struct rondo_walk walk;
	struct rondo_found found;

	(void)state;
	put(&buffer, 2, false, 2032, BEGIN);
	put(&buffer, 3, false, (uint32_t)(bytes - buffer.at - 8), BEGIN);
	walk = walk_of(&buffer);
	while (rondo_walk_next(&walk, &found) > 0)
		;
	assert_int_equal(found.next, bytes);
	assert_int_equal(rondo_walk_seal(buffer.data, bytes, 8, &found), bytes);
	walk = walk_of(&buffer);
	expect(&walk, FIRST, 2, 2032, BEGIN);
	expect(&walk, found.offset, RONDO_ID_DISCARDED, found.bytes, BEGIN);
	expect_end(&walk, 0);
	free(buffer.data);
}

static void nothing_found_seals_as_an_empty_packet(void **state)
{
	const struct rondo_found none = {.next = 0};

	(void)state;
	assert_int_equal(rondo_walk_seal(NULL, 4096, 8, &none), FIRST);
}

/* ---- memory that does not hold still ---- */

/* The thread sanitizer's instructions are too many to step through. */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define TRAP_FLAG 0x100
#define STEPS_MAX 1000

static struct {
	unsigned steps, target;
	uint64_t *word, other;
} meanwhile;

static void change_at_the_step(int number, siginfo_t *info, void *context)
{
	ucontext_t *registers = context;

	(void)number, (void)info;
	if (++meanwhile.steps < meanwhile.target)
		return;
	registers->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	*meanwhile.word = meanwhile.other;
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

/* The length becomes one that leads outside, after each instruction of a look
 * at the record in turn: what was checked is what is used. */
static unsigned look_while_it_changes(uint32_t header, uint64_t other)
{
	struct buffer buffer = new_buffer(header, 512);
	const uint64_t offset = put(&buffer, 7, false, 64, BEGIN + 1);
	struct rondo_found found;
	struct rondo_walk walk;
	uint64_t before;
	unsigned done;
	int result;

	meanwhile.word = (uint64_t *)(void *)(buffer.data + offset);
	before = *meanwhile.word;
	meanwhile.other = before | other;
	for (done = 1; done < STEPS_MAX; done++) {
		*meanwhile.word = before;
		meanwhile.steps = 0;
		meanwhile.target = done;
		walk = walk_of(&buffer);
		CHANGE_FLAGS("orq $0x100, (%%rsp)");
		result = rondo_walk_next(&walk, &found);
		CHANGE_FLAGS("andq $~0x100, (%%rsp)");
		assert_true(walk.offset <= walk.end);
		if (result > 0)
			assert_true(found.payload + found.bytes <= walk.end);
		if (meanwhile.steps < done)
			break;
	}
	free(buffer.data);
	return done;
}

static void a_length_that_changes_meanwhile_leads_nowhere_outside(void **state)
{
	struct sigaction action = {.sa_sigaction = change_at_the_step,
				   .sa_flags = SA_SIGINFO};
	unsigned compact, full;

	(void)state;
	sigaction(SIGTRAP, &action, NULL);
	compact = look_while_it_changes(8, UINT64_C(0xff) << 40);
	full = look_while_it_changes(16, UINT64_C(0xffff) << 32);
	signal(SIGTRAP, SIG_DFL);
	/* Where nobody steps (valgrind) there is nothing to see. */
	if (compact == 1)
		skip();
	assert_in_range(compact, 30, STEPS_MAX - 1);
	assert_in_range(full, 30, STEPS_MAX - 1);
}
#else
static void a_length_that_changes_meanwhile_leads_nowhere_outside(void **state)
{
	(void)state;
	skip();
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(committed_records_come_out_in_order),
		cmocka_unit_test(a_full_header_tells_the_exact_length),
		cmocka_unit_test(compact_times_go_on_from_the_packets_begin),
		cmocka_unit_test(an_open_record_is_told_as_open),
		cmocka_unit_test(gaps_are_told_as_gaps),
		cmocka_unit_test(zeroed_memory_holds_no_record),
		cmocka_unit_test(a_length_beyond_the_end_is_no_record),
		cmocka_unit_test(a_header_beyond_the_end_is_not_read),
		cmocka_unit_test(a_gap_whose_text_has_another_length_is_none),
		cmocka_unit_test(a_discarded_record_of_an_odd_length_is_a_gap),
		cmocka_unit_test(a_state_or_an_id_that_is_none_is_no_record),
		cmocka_unit_test(
			a_gap_without_a_text_is_none_and_reads_nothing_behind),
		cmocka_unit_test(a_stale_word_is_stepped_over_and_counted),
		cmocka_unit_test(a_time_before_the_last_records_is_stale),
		cmocka_unit_test(a_record_later_than_the_end_is_none),
		cmocka_unit_test(a_known_end_lets_compact_times_be_far_apart),
		cmocka_unit_test(garbage_leads_nowhere_outside),
		cmocka_unit_test(
			a_length_that_changes_meanwhile_leads_nowhere_outside),
		cmocka_unit_test(damaged_records_lead_nowhere_outside),
		cmocka_unit_test(a_copy_has_gaps_where_records_are_open),
		cmocka_unit_test(a_copy_has_gaps_over_what_makes_no_sense),
		cmocka_unit_test(a_sealed_copy_walks_to_its_end_without_a_skip),
		cmocka_unit_test(
			a_seal_without_room_makes_the_last_record_a_gap),
		cmocka_unit_test(nothing_found_seals_as_an_empty_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
