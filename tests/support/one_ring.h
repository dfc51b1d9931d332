/* SPDX-License-Identifier: MIT */
/*
 * One ring under a test that runs alone: a channel with a class, the ring that
 * this thread records in, a log of what must be in it, and a parser of packets
 * that shares nothing with the library's.
 */
#ifndef RONDO_TESTS_SUPPORT_ONE_RING_H
#define RONDO_TESTS_SUPPORT_ONE_RING_H

#include <sched.h>
#include <string.h>

#include <rondo/rondo.h>

#include "control.h"
#include "ring.h"
#include "support/test.h"
#include "testpoint.h"
#include "walk.h"

#define TEST_LOG_RECORDS 65536u
#define TEST_CANARY 0xa5 /* what page sets hold before their first use */

struct test_entry {
	uint32_t tag;
	uint32_t bytes;
	bool seen;
};

struct test_ring {
	struct rondo_channel *channel;
	struct rondo_control *control;
	const struct rondo_map *map;
	struct rondo_ring *ring;
	uint32_t index;	 /* of the ring this thread records in */
	uint32_t spare;	 /* page set that no slot names */
	uint32_t unseen; /* the first entry of the log not seen yet */
	uint32_t count;	 /* of the log */
	uint32_t taken;	 /* sub-buffers */
	uint32_t gaps;	 /* records of rondo's own in them */
	uint64_t last_end;
	struct rondo_packet packet; /* of the sub-buffer read last */
	bool any_order;		    /* records may come out of turn */
	uint16_t id;
	struct test_entry log[TEST_LOG_RECORDS];
};

/* ---- this thread ---- */

/* False: there is no such CPU for us. */
static inline bool test_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}

/* ---- life ---- */

static inline void test_register(struct rondo_channel *channel, uint16_t *out)
{
	const struct rondo_event_class record = {
		.size = sizeof(record),
		.name = "test:record",
		.field_size = sizeof(struct rondo_field),
	};

	assert_int_equal(rondo_event_register(channel, &record, out), 0);
}

/* The ring that a record of this thread goes to. */
static inline uint32_t test_ring_here(const struct test_ring *r)
{
	struct rondo_record record;

	assert_int_equal(rondo_reserve(r->channel, r->id, 0, &record), 0);
	assert_int_equal(rondo_discard(&record), 0);
	return record.ring_id;
}

/* Which one it is must not depend on a record having been there. */
static inline uint32_t test_ring_find(const struct rondo_config *config)
{
	struct test_ring probe;
	uint32_t index;

	assert_int_equal(rondo_channel_create(config, &probe.channel), 0);
	test_register(probe.channel, &probe.id);
	index = test_ring_here(&probe);
	assert_int_equal(rondo_channel_destroy(probe.channel), 0);
	return index;
}

static inline void test_ring_create(struct test_ring *r,
				    const struct rondo_config *config)
{
	assert_true(test_pin(0));
	memset(r, 0, sizeof(*r));
	r->index = test_ring_find(config);
	assert_int_equal(rondo_channel_create(config, &r->channel), 0);
	test_register(r->channel, &r->id);
	r->control = r->channel->control;
	r->map = &r->control->map;
	r->ring = rondo_map_ring(r->map, r->index);
	r->spare = r->map->count;
}

static inline void test_ring_check(const struct test_ring *r)
{
	const char *why;

	for (uint32_t i = 0; i < r->map->ring_count; i++)
		if (rondo_ring_check(r->control, i, &why))
			fail_msg("ring %u: %s", i, why);
}

/* The log's records have all been seen, and the ring is as it should be. */
static inline void test_ring_destroy(struct test_ring *r)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (!r->log[i].seen)
			fail_msg("record %u of %u bytes is lost", i,
				 r->log[i].bytes);
	test_ring_check(r);
	assert_int_equal(rondo_channel_destroy(r->channel), 0);
}

/* Where heads are moved by swaps alone there is nothing to look at. */
static inline void test_needs_rseq(struct test_ring *r)
{
	if (!r->ring->atomic_only)
		return;
	test_ring_destroy(r);
	skip();
}

/* Nor where there is no CPU to go to. */
static inline void test_needs_two_cpus(struct test_ring *r)
{
	bool two = test_pin(1);

	assert_true(test_pin(0));
	if (two)
		return;
	test_ring_destroy(r);
	skip();
}

/* ---- records ---- */

/* Below 0x80 everywhere: nothing that looks like a canary. */
static inline uint8_t test_byte(uint32_t tag, uint32_t at)
{
	return (uint8_t)((tag * 2654435761u >> (8 * (at & 3))) + at * 7) & 0x7f;
}

static inline void test_fill(void *data, uint32_t tag, uint32_t bytes)
{
	uint8_t *to = data;

	for (uint32_t i = 0; i < bytes; i++)
		to[i] = test_byte(tag, i);
}

/* A record that must be found later. */
static inline uint32_t test_expect(struct test_ring *r, uint32_t bytes)
{
	assert_in_range(r->count, 0, TEST_LOG_RECORDS - 1);
	r->log[r->count].tag = r->count;
	r->log[r->count].bytes = bytes;
	return r->count++;
}

/* The record that was expected last is not any more. */
static inline void test_forget(struct test_ring *r)
{
	r->count--;
}

/* Reserved and filled, as if all of it were to be committed. */
static inline void test_reserve(struct test_ring *r, uint32_t bytes,
				struct rondo_record *out)
{
	uint32_t tag = test_expect(r, bytes);

	/* A failed assertion does not return; not every compiler can tell. */
	memset(out, 0, sizeof(*out));
	assert_int_equal(rondo_reserve(r->channel, r->id, bytes, out), 0);
	test_fill(out->data, tag, bytes);
}

static inline void test_record(struct test_ring *r, uint32_t bytes)
{
	struct rondo_record record;

	test_reserve(r, bytes, &record);
	assert_int_equal(rondo_commit(&record), 0);
}

/* ---- where the head is ---- */

static inline uint64_t test_head(const struct test_ring *r)
{
	return rondo_load_relaxed(&r->ring->head);
}

static inline uint64_t test_number(const struct test_ring *r)
{
	return rondo_head_number(test_head(r), r->map->order);
}

/* Where the next record begins in its sub-buffer; 0: nothing is open. */
static inline uint64_t test_offset(const struct test_ring *r)
{
	uint64_t position = rondo_head_position(test_head(r));

	return rondo_align(rondo_position_aligned(position) &
				   (r->map->subbuf_bytes - 1),
			   r->map->header_bytes);
}

/* Bytes of payload that still fit into what is open; negative: not even 0. */
static inline int64_t test_room(const struct test_ring *r)
{
	return (int64_t)(r->map->subbuf_bytes - RONDO_TAIL_BYTES -
			 r->map->header_bytes - test_offset(r));
}

/* Records until exactly so much room is left (a multiple of the header). */
static inline void test_leave_room(struct test_ring *r, int64_t room)
{
	while (test_offset(r) == 0 || test_room(r) < room)
		test_record(r, 0);
	while (test_room(r) > room) {
		uint32_t more = (uint32_t)(test_room(r) - room);
		uint32_t header = r->map->header_bytes;

		/* What is left in the end must be a record too. */
		if (more > 1024 + header)
			more = 1024;
		test_record(r, more - header);
	}
	assert_int_equal(test_room(r), room);
}

/* ---- packets ---- */

struct test_item {
	const char *data;
	uint64_t header; /* offset */
	uint64_t next;	 /* offset */
	uint64_t time;
	uint32_t bytes;
	uint16_t id;
	bool open;
};

static inline uint64_t test_word(const char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

/* The record at offset of a packet that begins at begin_time. */
static inline void test_parse(const struct rondo_map *map, const char *packet,
			      uint64_t offset, struct test_item *out)
{
	uint64_t begin = test_word(
		packet + offsetof(struct rondo_packet, timestamp_begin));
	uint64_t word = test_word(packet + offset);

	out->header = offset;
	if (map->header_bytes == 8) {
		out->data = packet + offset + 8;
		out->id = (uint16_t)(word >> 48);
		out->bytes = (uint32_t)(word >> 40 & 0xff) * 8;
		out->open = out->id >= RONDO_ID_LIMIT;
		out->time = begin + ((word - begin) & RONDO_COMPACT_TIME_MASK);
	} else {
		out->data = packet + offset + 16;
		out->id = (uint16_t)word;
		out->bytes = (uint32_t)(word >> 32);
		out->open = (word >> 16 & 0xffff) == RONDO_STATE_OPEN;
		out->time = test_word(packet + offset + 8);
	}
	out->next = rondo_align((uint64_t)(out->data - packet) + out->bytes,
				map->header_bytes);
}

/* How long a record of the log is when it is read back. */
static inline uint32_t test_bytes_read(const struct rondo_map *map,
				       uint32_t bytes)
{
	return map->header_bytes == 8 ? (uint32_t)rondo_align(bytes, 8) : bytes;
}

static inline bool test_is_entry(const struct test_ring *r,
				 const struct test_entry *entry,
				 const struct test_item *item)
{
	const uint8_t *data = (const uint8_t *)item->data;

	if (test_bytes_read(r->map, entry->bytes) != item->bytes)
		return false;
	for (uint32_t i = 0; i < item->bytes; i++)
		if (data[i] !=
		    (i < entry->bytes ? test_byte(entry->tag, i) : 0))
			return false;
	return true;
}

/* Finds it in the log: the next one, or any when they may be out of turn. Where
 * its last byte ends. */
static inline const char *test_see(struct test_ring *r,
				   const struct test_item *item)
{
	while (r->unseen < r->count && r->log[r->unseen].seen)
		r->unseen++;
	for (uint32_t i = r->unseen; i < r->count; i++) {
		if (!r->log[i].seen && test_is_entry(r, &r->log[i], item)) {
			r->log[i].seen = true;
			return item->data + r->log[i].bytes;
		}
		if (!r->any_order)
			break;
	}
	fail_msg("a record of %u bytes at %llu is not record %u, of %u",
		 item->bytes, (unsigned long long)item->header, r->unseen,
		 r->unseen < r->count ? r->log[r->unseen].bytes : 0);
	return NULL;
}

/* Bytes between records would show what was there before. */
static inline void test_is_zero(const char *from, const char *to)
{
	for (; from < to; from++)
		assert_int_equal(*from, 0);
}

/* The library's own parser finds as many records, and nothing damaged. */
static inline void test_walk_agrees(const struct rondo_map *map,
				    const char *base, uint64_t content,
				    uint32_t count)
{
	struct rondo_found found;
	struct rondo_walk walk;
	uint64_t begin = test_word(
		base + offsetof(struct rondo_packet, timestamp_begin));

	rondo_walk_begin(&walk, base, content, map->header_bytes, begin);
	while (rondo_walk_next(&walk, &found) > 0)
		count--;
	assert_int_equal(walk.skipped, 0);
	assert_int_equal(count, 0);
}

/* A gap's text, where it has one, lies within the content: readers who stop
 * at its end would see a torn event otherwise. */
static inline void test_gap(const struct test_item *item, const char *base,
			    uint64_t content)
{
	uint32_t length;

	if (item->id == RONDO_ID_GAP) {
		assert_int_equal(item->bytes, 0);
		return;
	}
	memcpy(&length, item->data, sizeof(length));
	assert_in_range(item->bytes, 1, content);
	assert_true((uint64_t)(item->data - base) + 4 + length <= content);
	assert_int_equal(rondo_align(item->bytes, 8), 4 + length);
}

/* Every record of a delivered packet; I-time within it. */
static inline void test_read_packet(struct test_ring *r, const char *base)
{
	struct rondo_packet packet;
	struct test_item item;
	uint64_t offset = RONDO_PACKET_BYTES, time, content;
	const char *end = base + RONDO_PACKET_BYTES;
	uint32_t count = 0;

	memcpy(&packet, base, sizeof(packet));
	r->packet = packet;
	content = packet.content_bits / 8;
	assert_int_equal(packet.magic, RONDO_PACKET_MAGIC);
	assert_int_equal(packet.content_bits % 8, 0);
	assert_in_range(content, RONDO_PACKET_BYTES, r->map->subbuf_bytes);
	assert_int_equal(packet.packet_bits, rondo_align(content, 4096) * 8);
	assert_int_equal(packet.stream_instance_id, r->index);
	for (time = packet.timestamp_begin; offset < content;
	     offset = item.next) {
		assert_true(offset + r->map->header_bytes <= content);
		test_parse(r->map, base, offset, &item);
		assert_true(time <= item.time);
		assert_true(item.time <= packet.timestamp_end);
		assert_false(item.open);
		time = item.time;
		count++;
		if (item.id < RONDO_ID_FIRST) {
			test_gap(&item, base, content);
			end = item.data + rondo_align(item.bytes, 8);
			r->gaps++;
		} else {
			end = test_see(r, &item);
		}
		test_is_zero(item.data + item.bytes, item.next < content ?
							     base + item.next :
							     base + content);
	}
	/* The content ends where the last record's fields end, no later. */
	assert_ptr_equal(end, base + content);
	assert_int_equal(rondo_align(content, r->map->header_bytes), offset);
	test_walk_agrees(r->map, base, rondo_align(content, 8), count);
}

/* ---- taking, as a consumer would ---- */

/* The slot with the oldest readable number, or null. */
static inline uint64_t *test_oldest(const struct test_ring *r)
{
	const unsigned bits = rondo_number_bits(r->map->order);
	uint64_t number = test_number(r), *found = NULL;
	int64_t furthest = 0;

	for (uint32_t k = 0; k < r->map->count; k++) {
		uint64_t *at = rondo_map_slot(r->map, r->index, k);
		int64_t age = rondo_number_distance(
			number, rondo_slot_number(*at), bits);

		if (rondo_slot_state(*at) == RONDO_SLOT_READABLE &&
		    (!found || age > furthest)) {
			found = at;
			furthest = age;
		}
	}
	return found;
}

/* Takes the oldest readable one and reads it. False: there is none. */
static inline bool test_take(struct test_ring *r)
{
	uint64_t *at = test_oldest(r);
	uint64_t slot;
	const struct rondo_packet *packet;

	if (!at)
		return false;
	slot = *at;
	assert_true(rondo_cas(at, slot,
			      rondo_slot(r->spare, RONDO_SLOT_EMPTY,
					 rondo_slot_number(slot))));
	r->spare = rondo_slot_pages(slot);
	r->taken++;
	packet = rondo_map_packet(r->map, r->index, r->spare);
	assert_true(packet->number == rondo_slot_number(slot));
	if (!r->any_order) {
		assert_true(r->last_end <= packet->timestamp_begin);
		r->last_end = packet->timestamp_end;
	}
	test_read_packet(r, (const char *)packet);
	return true;
}

static inline void test_take_all(struct test_ring *r)
{
	while (test_take(r))
		continue;
}

/* All that was recorded must come out. */
static inline void test_drain(struct test_ring *r)
{
	assert_in_range(rondo_channel_flush(r->channel), 0, r->map->ring_count);
	test_take_all(r);
}

static inline void test_stats(const struct test_ring *r,
			      struct rondo_stats *out)
{
	assert_int_equal(rondo_ring_stats(r->channel, r->index, out), 0);
}

/* A commit that was interrupted twice counts off the head: then an empty gap
 * stands at the end, as behind a record that was open. */
static inline void test_no_gaps(const struct test_ring *r)
{
	struct rondo_stats stats;

	test_stats(r, &stats);
	assert_in_range(r->gaps, 0, stats.late_commits);
}

#endif
