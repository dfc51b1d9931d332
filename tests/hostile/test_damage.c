/* SPDX-License-Identifier: MIT */
/*
 * One thing wrong in a channel's memory at a time, and what becomes of it: what
 * the programs of this folder have found by chance, on purpose.
 */
#include "support/consume.h"
#include "support/process.h"
#include "support/trace.h"

#include <unistd.h>

#include "consumer.h"
#include "hostile.h"

/* A channel of this process, seen again as somebody else's. */
struct both {
	struct consume own;
	struct rondo_channel *attached;
	const struct rondo_map *map; /* of the attached one */
	struct rondo_ring *ring;     /* that this thread records in */
	uint32_t index;
	char directory[512];
};

static struct both both_begin(uint32_t flags)
{
	struct rondo_config config = CONSUME_CONFIG;
	struct both both = {.index = 0};
	struct rondo_record record;

	config.flags = flags;
	both.own = consume_channel(&config);
	record = consume_reserve(&both.own);
	assert_int_equal(rondo_commit(&record), 0);
	both.index = record.ring_id;
	assert_int_equal(
		rondo_channel_attach(rondo_channel_fd(both.own.channel),
				     &both.attached),
		0);
	both.map = &both.attached->control->map;
	both.ring = rondo_map_ring(both.map, both.index);
	trace_scratch(both.directory);
	return both;
}

static void both_end(struct both *both)
{
	hostile_remove(both->directory);
	assert_int_equal(rondo_channel_destroy(both->attached), 0);
	assert_int_equal(rondo_channel_destroy(both->own.channel), 0);
}

/* As if its process were dead. */
static void both_die(struct both *both)
{
	rondo_store_relaxed(&both->map->super->pid, 0);
}

static struct rondo_writer *write_to(struct both *both)
{
	struct rondo_writer *writer = NULL;

	assert_int_equal(
		rondo_writer_open(both->attached, both->directory, &writer), 0);
	return writer;
}

/* Records in the trace, which is without fault. */
static uint64_t records_of(struct both *both)
{
	struct hostile_schema *schema =
		hostile_schema_open(&both->own.channel->control->map);
	struct trace_text text;
	uint64_t records = 0;
	const char *why = hostile_read_trace(schema, both->directory, &records);

	if (why)
		fail_msg("%s", why);
	hostile_schema_close(schema);
	if (trace_can_be_read()) {
		text = trace_read(both->directory, "");
		trace_free(&text);
	}
	return records;
}

/* ---- the writer ---- */

static void
what_was_told_of_classes_holds_whatever_becomes_of_them(void **state)
{
	struct both both = both_begin(0);
	struct rondo_writer *writer = write_to(&both);
	char *at = both.map->catalog;

	(void)state;
	consume_deliver(&both.own, 3);
	/* Other names, and more classes than there are. */
	for (unsigned i = 0; i < 256; i++)
		rondo_store_relaxed(&at[i], (char)~rondo_load_relaxed(&at[i]));
	rondo_store_relaxed(&both.map->super->class_count, 77);
	assert_true(rondo_writer_step(writer, 0) > 0);
	consume_deliver(&both.own, 3);
	assert_true(rondo_writer_step(writer, 0) > 0);
	assert_int_equal(rondo_writer_close(writer), -EPROTO);
	for (unsigned i = 0; i < 256; i++)
		rondo_store_relaxed(&at[i], (char)~rondo_load_relaxed(&at[i]));
	assert_int_equal(records_of(&both), 7);
	both_end(&both);
}

#define FAR (UINT64_C(1) << 62) /* ticks; no reader can tell them in ns */

static struct rondo_packet *packet_of(struct both *both, uint64_t number)
{
	uint64_t slot = rondo_load_relaxed(
		rondo_map_slot(both->map, both->index, number));

	return rondo_map_packet(both->map, both->index, rondo_slot_pages(slot));
}

static void a_packet_of_the_far_future_does_not_spoil_the_trace(void **state)
{
	struct both both = both_begin(0);
	struct rondo_writer *writer = write_to(&both);
	struct rondo_writer_stats stats;
	struct rondo_packet *packet;
	uint64_t first = rondo_load_relaxed(&both.ring->cursor);

	(void)state;
	consume_deliver(&both.own, 3);
	packet = packet_of(&both, first);
	/* Both alike: by themselves they make sense, and so do its records. */
	packet->timestamp_begin += FAR;
	packet->timestamp_end += FAR;
	consume_deliver(&both.own, 5);
	assert_int_equal(rondo_writer_step(writer, 0), 2);
	assert_int_equal(rondo_writer_stats(writer, &stats), 0);
	assert_int_equal(stats.malformed, 1); /* one stretch */
	assert_int_equal(rondo_writer_close(writer), 0);
	assert_int_equal(records_of(&both), 5);
	both_end(&both);
}

static void numbers_of_packets_never_go_back(void **state)
{
	struct both both = both_begin(0);
	struct rondo_writer *writer = write_to(&both);
	struct trace_text text;

	(void)state;
	consume_deliver(&both.own, 3);
	assert_int_equal(rondo_writer_step(writer, 0), 1);
	consume_deliver(&both.own, 3);
	assert_int_equal(rondo_writer_step(writer, 0), 1);
	rondo_store_relaxed(&both.ring->shipped, 0);
	consume_deliver(&both.own, 3);
	assert_int_equal(rondo_writer_step(writer, 0), 1);
	assert_int_equal(rondo_writer_close(writer), 0);
	assert_int_equal(records_of(&both), 10);
	if (trace_can_be_read()) {
		text = trace_read(both.directory, "");
		assert_int_equal(strspn(text.warnings, " \n"),
				 strlen(text.warnings));
		trace_free(&text);
	}
	both_end(&both);
}

/* The largest number makes babeltrace2 fail an assertion. */
static void counts_that_cannot_be_are_not_passed_on(void **state)
{
	struct both both = both_begin(0);
	struct rondo_writer *writer = write_to(&both);
	struct rondo_packet *packet;
	uint64_t first = rondo_load_relaxed(&both.ring->cursor);

	(void)state;
	rondo_store_relaxed(&both.ring->shipped, UINT64_MAX - 1);
	consume_deliver(&both.own, 3);
	packet = packet_of(&both, first);
	packet->refused[0] = UINT64_MAX;
	consume_deliver(&both.own, 3);
	assert_int_equal(rondo_writer_step(writer, 0), 2);
	assert_int_equal(rondo_writer_close(writer), 0);
	assert_int_equal(records_of(&both), 7);
	both_end(&both);
}

/* ---- what feeds a drain for ever ---- */

static struct both *fed;
static uint64_t fed_number;

/* What was just taken is there again. */
static void feed(enum rondo_testpoint at)
{
	uint64_t *slot = rondo_map_slot(fed->map, fed->index, fed_number);
	uint64_t pages = rondo_slot_pages(rondo_load_relaxed(slot));

	if (at == RONDO_AT_TAKEN)
		rondo_store_relaxed(slot, rondo_slot(pages, RONDO_SLOT_READABLE,
						     fed_number));
}

static int close_while_fed(void *argument)
{
	struct rondo_writer *writer = argument;

	rondo_testpoint_hook = feed;
	alarm(20);
	return rondo_writer_close(writer) ? 1 : 0;
}

static void a_writer_that_is_fed_for_ever_closes(void **state)
{
	struct both both = both_begin(0);
	struct rondo_writer *writer = write_to(&both);

	(void)state;
	consume_deliver(&both.own, 3);
	/* A cursor that never gets there. */
	rondo_store_relaxed(
		&both.ring->head,
		rondo_load_relaxed(&both.ring->head) +
			rondo_head_at(UINT64_C(1000) << both.map->order, 0));
	fed = &both;
	fed_number = rondo_load_relaxed(&both.ring->cursor);
	assert_int_equal(close_while_fed(writer), 0);
	alarm(0);
	rondo_testpoint_hook = NULL;
	both_end(&both);
}

/* ---- dead memory ---- */

static void expect_the_end(struct both *both, unsigned views)
{
	struct rondo_consumer *consumer;
	struct rondo_view view;
	int result;

	assert_int_equal(rondo_consumer_open(both->attached, &consumer), 0);
	while (!(result = rondo_consumer_take(consumer, &view))) {
		assert_true(views--);
		assert_int_equal(rondo_consumer_release(consumer, &view), 0);
	}
	assert_int_equal(result, -ENODATA);
	assert_int_equal(views, 0);
	assert_int_equal(rondo_consumer_close(consumer), 0);
}

static void
a_head_that_no_slot_knows_ends_nothing_but_its_sub_buffer(void **state)
{
	struct both both = both_begin(0);
	uint64_t head, *slot;

	(void)state;
	consume_deliver(&both.own, 3);
	consume_record(&both.own);
	head = rondo_load_relaxed(&both.ring->head);
	slot = rondo_map_slot(both.map, both.index,
			      rondo_head_number(head, both.map->order));
	both_die(&both);
	rondo_store_relaxed(slot, rondo_slot(rondo_slot_pages(*slot),
					     RONDO_SLOT_EMPTY, 0));
	assert_int_equal(rondo_channel_flush(both.attached), -EPROTO);
	expect_the_end(&both, 1);
	both_end(&both);
}

static void a_number_in_a_foreign_slot_is_left_alone(void **state)
{
	struct both both = both_begin(0);
	uint64_t first, *slot;

	(void)state;
	first = rondo_load_relaxed(&both.ring->cursor);
	consume_deliver(&both.own, 3);
	consume_deliver(&both.own, 3);
	both_die(&both);
	slot = rondo_map_slot(both.map, both.index, first);
	rondo_store_relaxed(slot, *slot + 2);
	expect_the_end(&both, 1);
	both_end(&both);
}

/* ---- a living ring ---- */

static int flush_damaged(void *argument)
{
	struct both *both = argument;

	alarm(20);
	return rondo_channel_flush(both->own.channel) == -EPROTO ? 0 : 1;
}

static void a_flush_of_a_damaged_ring_ends(void **state)
{
	struct both both = both_begin(RONDO_NO_RSEQ);
	uint64_t head = rondo_load_relaxed(&both.ring->head);
	uint64_t *slot = rondo_map_slot(
		both.map, both.index, rondo_head_number(head, both.map->order));
	uint64_t was = *slot;

	(void)state;
	rondo_store_relaxed(slot, rondo_slot(0, RONDO_SLOT_EMPTY, 0));
	assert_int_equal(flush_damaged(&both), 0);
	alarm(0);
	rondo_store_relaxed(slot, was);
	assert_int_equal(rondo_channel_flush(both.own.channel), 1);
	both_end(&both);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			what_was_told_of_classes_holds_whatever_becomes_of_them),
		cmocka_unit_test(
			a_packet_of_the_far_future_does_not_spoil_the_trace),
		cmocka_unit_test(numbers_of_packets_never_go_back),
		cmocka_unit_test(counts_that_cannot_be_are_not_passed_on),
		cmocka_unit_test(a_writer_that_is_fed_for_ever_closes),
		cmocka_unit_test(
			a_head_that_no_slot_knows_ends_nothing_but_its_sub_buffer),
		cmocka_unit_test(a_number_in_a_foreign_slot_is_left_alone),
		cmocka_unit_test(a_flush_of_a_damaged_ring_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
