/* SPDX-License-Identifier: MIT */
/*
 * A channel with a consumer, and records that are numbers: what is recorded is
 * 1, 2, 3, ..., so what comes out shows order, loss and repetition.
 */
#ifndef RONDO_TESTS_SUPPORT_CONSUME_H
#define RONDO_TESTS_SUPPORT_CONSUME_H

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <rondo/rondo.h>

#include "control.h"
#include "ring.h"
#include "support/test.h"
#include "testpoint.h"

struct consume {
	struct rondo_channel *channel;
	struct rondo_consumer *consumer;
	const struct rondo_map *map;
	uint64_t recorded; /* the last number */
	uint16_t id;
};

/* Small enough that a few records fill it. */
#define CONSUME_CONFIG                                                       \
	{                                                                    \
		.size = sizeof(struct rondo_config), .subbuf_bytes = 4096,   \
		.subbuf_count = 4, .spare_count = 2, .stall_ms = UINT32_MAX, \
	}

static inline int consume_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

static inline void consume_register(struct consume *c)
{
	const struct rondo_field field = {
		.name = "value",
		.type = RONDO_FIELD_U64,
	};
	const struct rondo_event_class class = {
		.size = sizeof(class),
		.name = "test:number",
		.fields = &field,
		.field_count = 1,
		.field_size = sizeof(field),
	};

	assert_int_equal(rondo_event_register(c->channel, &class, &c->id), 0);
}

/* Without a consumer. */
static inline struct consume consume_channel(const struct rondo_config *config)
{
	struct consume c = {.recorded = 0};

	assert_int_equal(consume_pin(0), 0);
	assert_int_equal(rondo_channel_create(config, &c.channel), 0);
	c.map = &c.channel->control->map;
	consume_register(&c);
	return c;
}

static inline struct consume consume_start(const struct rondo_config *config)
{
	struct consume c = consume_channel(config);

	assert_int_equal(rondo_consumer_open(c.channel, &c.consumer), 0);
	return c;
}

static inline void consume_end(struct consume *c)
{
	assert_int_equal(rondo_consumer_close(c->consumer), 0);
	assert_int_equal(rondo_channel_destroy(c->channel), 0);
}

static inline void consume_record(struct consume *c)
{
	uint64_t value = ++c->recorded;

	assert_int_equal(rondo_write(c->channel, c->id, &value, sizeof(value)),
			 0);
}

/* The next number, reserved and written, not committed. */
static inline struct rondo_record consume_reserve(struct consume *c)
{
	struct rondo_record record;

	assert_int_equal(rondo_reserve(c->channel, c->id, 8, &record), 0);
	*(uint64_t *)record.data = ++c->recorded;
	return record;
}

/* A sub-buffer with records in it, delivered. */
static inline void consume_deliver(struct consume *c, int records)
{
	while (records-- > 0)
		consume_record(c);
	assert_true(rondo_channel_flush(c->channel) >= 0);
}

/* Changes when a head enters another sub-buffer. */
static inline uint64_t consume_place(const struct consume *c)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < c->map->ring_count; i++)
		sum += rondo_head_number(
			rondo_load_relaxed(&rondo_map_ring(c->map, i)->head),
			c->map->order);
	return sum;
}

/* Records until one does not fit any more and crosses. */
static inline void consume_fill(struct consume *c)
{
	uint64_t before = consume_place(c);

	do
		consume_record(c);
	while (consume_place(c) == before);
}

static inline struct rondo_stats consume_stats(const struct consume *c)
{
	struct rondo_stats stats;

	assert_int_equal(rondo_channel_stats(c->channel, &stats), 0);
	return stats;
}

/* The numbers in a view, up to limit of them. */
static inline uint32_t consume_numbers(const struct rondo_view *view,
				       uint64_t *out, uint32_t limit)
{
	struct rondo_item item;
	uint32_t count = 0;
	int result;

	memset(&item, 0, sizeof(item));
	while ((result = rondo_view_next(view, &item)) > 0) {
		assert_true(count < limit);
		assert_int_equal(item.bytes, 8);
		memcpy(&out[count++], item.data, 8);
	}
	assert_int_equal(result, 0);
	return count;
}

/* What every view promises. */
static inline void consume_check(const struct consume *c,
				 const struct rondo_view *view)
{
	struct rondo_packet packet;

	memcpy(&packet, view->data, sizeof(packet));
	assert_true(view->content >= sizeof(packet));
	assert_true(view->content <= view->bytes);
	assert_int_equal(view->bytes, rondo_align(view->content, 4096));
	assert_true(view->bytes <= c->map->subbuf_bytes);
	assert_true(view->time_begin <= view->time_end);
	for (uint64_t i = view->content; i < view->bytes; i++)
		assert_int_equal(view->data[i], 0);
	assert_int_equal(packet.magic, RONDO_PACKET_MAGIC);
	assert_memory_equal(packet.uuid, c->map->uuid, 16);
	assert_int_equal(packet.content_bits, view->content * 8);
	assert_int_equal(packet.packet_bits, view->bytes * 8);
	assert_int_equal(packet.timestamp_begin, view->time_begin);
	assert_int_equal(packet.timestamp_end, view->time_end);
	assert_int_equal(packet.packet_seq_num, view->seq);
	assert_int_equal(packet.stream_instance_id,
			 view->ring + (view->flags & RONDO_VIEW_LATE ?
					       c->map->ring_count :
					       0));
	assert_int_equal(packet.number, view->number);
	assert_int_equal(packet.flags, view->flags);
	assert_int_equal(packet.cpu_id, view->cpu);
}

/* Takes one that must be there. */
static inline struct rondo_view consume_take(struct consume *c)
{
	struct rondo_view view;

	assert_int_equal(rondo_consumer_take(c->consumer, &view), 0);
	consume_check(c, &view);
	return view;
}

static inline void consume_release(struct consume *c, struct rondo_view *view)
{
	assert_int_equal(rondo_consumer_release(c->consumer, view), 0);
}

/* ... and holds exactly first and so many on; then releases it. */
static inline struct rondo_view consume_expect(struct consume *c,
					       uint64_t first, uint32_t count)
{
	uint64_t numbers[512];
	struct rondo_view view = consume_take(c);

	assert_int_equal(consume_numbers(&view, numbers, 512), count);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(numbers[i], first + i);
	consume_release(c, &view);
	return view;
}

static inline void consume_nothing(struct consume *c, int why)
{
	struct rondo_view view;

	assert_int_equal(rondo_consumer_take(c->consumer, &view), why);
}

#endif
