/* SPDX-License-Identifier: MIT */
/*
 * The consumer of torture: takes, or takes snapshots, holds loans for a while,
 * and looks at every record, packet and loan.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "testpoint.h"
#include "torture.h"

/* A packet as it was taken. */
struct shipped {
	uint64_t number; /* from the first of the ring on */
	uint64_t begin, end;
	uint64_t lost[RONDO_CAUSES];
	uint32_t ring;
	uint32_t flags;
};

struct held {
	struct rondo_view view;
	uint64_t sum;
};

static struct {
	struct shipped *packets; /* kept for the next run */
	uint64_t room;
	uint64_t count;
	uint64_t expected_seq[RINGS_MAX];
	uint64_t last_number[RINGS_MAX];
	uint64_t overwritten; /* as views told */
	struct held held[HELD_MAX];
	uint32_t held_count;
	uint64_t random;
} reader;

/* The last record of each lane, its sequence and one, in each ring; in what
 * came out of turn, in this very packet. */
static uint32_t last_of_lane[RINGS_MAX][LANES];
static uint32_t last_in_packet[LANES];

void reader_reset(uint64_t random)
{
	struct shipped *packets = reader.packets;
	uint64_t room = reader.room;

	memset(&reader, 0, sizeof(reader));
	memset(last_of_lane, 0, sizeof(last_of_lane));
	reader.packets = packets;
	reader.room = room;
	reader.random = random;
}

uint64_t reader_overwritten(void)
{
	return reader.overwritten;
}

/* ---- loans ---- */

static uint64_t sum_of(const struct rondo_view *view)
{
	const uint64_t *words = (const void *)view->data;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < view->bytes / 8; i++)
		sum = (sum ^ words[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static void release_held(uint32_t index)
{
	struct held *held = &reader.held[index];

	if (recording_take_plant(PLANT_LOAN))
		((char *)(uintptr_t)held->view.data)[200] ^= 1;
	if (sum_of(&held->view) != held->sum)
		violation(LOAN_CHANGED, held->view.ring, held->view.number);
	if (rondo_consumer_release(torture.consumer, &held->view))
		violation(BAD_ERROR, held->view.ring, held->view.number);
	*held = reader.held[--reader.held_count];
}

static uint32_t held_most(void)
{
	struct rondo_config config = {.size = sizeof(config)};

	rondo_channel_config(torture.channel, &config);
	return config.spare_count - 1;
}

/* ---- records ---- */

/* A lane's records are in a ring in the order in which they were begun. */
static void check_lane(const struct lane_payload *payload, uint32_t *last)
{
	if (payload->sequence < last[payload->lane])
		violation(BAD_ORDER, payload->lane, payload->sequence);
	last[payload->lane] = payload->sequence + 1;
}

static void read_records(const struct rondo_view *view)
{
	uint32_t *last = last_of_lane[view->ring];
	struct rondo_item item;
	struct lane_payload payload;
	uint64_t time = view->time_begin;
	int result;

	if (view->flags & RONDO_VIEW_LATE) {
		last = last_in_packet;
		memset(last_in_packet, 0, sizeof(last_in_packet));
	}
	memset(&item, 0, sizeof(item));
	while ((result = rondo_view_next(view, &item)) > 0) {
		if (!lane_read(item.data, item.bytes, &payload)) {
			violation(BAD_PAYLOAD, LANE_DELIVERED, view->number);
		} else {
			if (item.id != payload.id)
				violation(BAD_CLASS, item.id, payload.id);
			check_lane(&payload, last);
			lane_see(&payload, LANE_DELIVERED);
		}
		if (item.time < time)
			violation(TIME_BACKWARDS, item.time, time);
		if (item.time > view->time_end)
			violation(TIME_OUTSIDE, item.time, view->time_end);
		time = item.time;
	}
	if (result < 0)
		violation(BAD_PACKET, view->ring, view->number);
}

/* ---- packets ---- */

static void check_order(const struct rondo_view *view, uint64_t number)
{
	if (view->flags & RONDO_VIEW_LATE)
		return;
	if (view->seq != reader.expected_seq[view->ring] + view->overwritten)
		violation(BAD_SEQUENCE, view->seq,
			  reader.expected_seq[view->ring]);
	reader.expected_seq[view->ring] = view->seq + 1;
	if (number + 1 <= reader.last_number[view->ring])
		violation(BAD_NUMBER, number, reader.last_number[view->ring]);
	reader.last_number[view->ring] = number + 1;
	reader.overwritten += view->overwritten;
}

static void note_packet(const struct rondo_view *view)
{
	const struct rondo_control *control = torture.channel->control;
	const uint64_t first = control->map.count + rondo_testpoint_start;
	struct shipped *packet;

	if (reader.count == reader.room) {
		reader.room = reader.room ? reader.room * 2 : 4096;
		reader.packets =
			realloc(reader.packets, reader.room * sizeof(*packet));
		if (!reader.packets)
			abort();
	}
	packet = &reader.packets[reader.count++];
	packet->ring = view->ring;
	packet->flags = view->flags;
	packet->number = (view->number - first) & RONDO_NUMBER_MASK;
	packet->begin = view->time_begin;
	packet->end = view->time_end;
	memcpy(packet->lost, view->lost, sizeof(packet->lost));
	check_order(view, packet->number);
}

static int compare_packets(const void *left, const void *right)
{
	const struct shipped *a = left, *b = right;

	if (a->ring != b->ring)
		return a->ring < b->ring ? -1 : 1;
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return 0;
}

void reader_check_packets(void)
{
	qsort(reader.packets, reader.count, sizeof(*reader.packets),
	      compare_packets);
	for (uint64_t i = 0; i < reader.count; i++) {
		const struct shipped *b = &reader.packets[i], *a = b - 1;

		if (b->end < b->begin)
			violation(TIME_OUTSIDE, b->end, b->begin);
		if (i == 0 || a->ring != b->ring)
			continue;
		if (a->number == b->number)
			violation(SEEN_TWICE, b->ring, b->number);
		if (b->begin < a->end)
			violation(TIME_BACKWARDS, b->begin, a->end);
		/* What is quarantined tells them as of then. */
		if ((a->flags | b->flags) & RONDO_VIEW_STALLED)
			continue;
		for (unsigned k = 0; k < RONDO_CAUSES; k++)
			if (b->lost[k] < a->lost[k])
				violation(REFUSED_DECREASES, b->lost[k],
					  a->lost[k]);
	}
}

/* ---- taking ---- */

/* False: nothing to take. */
static bool take_one(void)
{
	struct held held;
	int result = rondo_consumer_take(torture.consumer, &held.view);

	if (result == -ENOSPC && reader.held_count) {
		release_held(0);
		return true;
	}
	if (result) {
		if (result != -EAGAIN && result != -ENODATA)
			violation(BAD_ERROR, (uint64_t)-result, 0);
		return false;
	}
	note_packet(&held.view);
	if (!recording_take_plant(PLANT_PACKET))
		read_records(&held.view);
	held.sum = sum_of(&held.view);
	if (reader.held_count == held_most())
		release_held(0);
	reader.held[reader.held_count++] = held;
	return true;
}

/* What a running flight recorder holds now, while it goes on. */
static void take_snapshot(void)
{
	const struct rondo_map *map = &torture.channel->control->map;
	uint32_t left = map->ring_count * map->count;

	sleep_us(200 + test_random_below(&reader.random, 3000));
	if (rondo_channel_flush(torture.channel) < 0)
		violation(BAD_ERROR, 0, 0);
	while (left-- && take_one())
		continue;
	while (reader.held_count)
		release_held(0);
}

void *run_consumer(void *unused)
{
	(void)unused;
	while (!rondo_load_relaxed(&torture.stop_consumer)) {
		if (with(WITH_SNAPSHOTS)) {
			take_snapshot();
			continue;
		}
		if (!take_one())
			(void)rondo_consumer_wait(torture.consumer, 2000000);
		else if (torture.setup->flags & RONDO_OVERWRITE &&
			 chance(&reader.random, 4))
			sleep_us(1000);
		while (reader.held_count && chance(&reader.random, 3))
			release_held(0);
	}
	return NULL;
}

void reader_finish(void)
{
	while (take_one())
		continue;
	while (reader.held_count)
		release_held(0);
}
