/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the walker. Input: header kind, times, then the sub-buffer.
 */
#include "hostile.h"

#include <string.h>

#include "walk.h"

#define TO_BYTES 65536u

/* What a walk hands out lies within, and leads on. */
static uint64_t check_walk(struct rondo_walk *walk)
{
	uint64_t steps = 0, time = walk->begin_time, next = walk->offset;
	struct rondo_found found;
	int result;

	while ((result = rondo_walk_next(walk, &found)) > 0) {
		HOSTILE_REQUIRE(++steps <= walk->end / 8);
		HOSTILE_REQUIRE(found.offset >= next &&
				found.payload ==
					found.offset + walk->header_bytes &&
				found.next >= found.payload + found.bytes);
		HOSTILE_REQUIRE(found.payload + found.bytes <= walk->end);
		HOSTILE_REQUIRE(found.time >= time &&
				found.time <= walk->end_time);
		HOSTILE_REQUIRE(walk->skipped <= walk->end);
		next = found.next;
		time = found.time;
	}
	HOSTILE_REQUIRE(result == 0 || result == -EPROTO);
	return steps;
}

/* What a copy is made of, gaps for what was damaged, walks without damage. */
static void check_copy(const struct rondo_walk *begin, char *to)
{
	struct rondo_walk walk = *begin, again = *begin;
	struct rondo_copied copied;
	struct rondo_found found;
	uint64_t content, records = 0, bytes = rondo_align(begin->end, 4096);
	int result;

	rondo_walk_copy(&walk, to, &copied);
	HOSTILE_REQUIRE(copied.last.next <= rondo_align(begin->end, 16));
	content = rondo_walk_seal(to, bytes, begin->header_bytes, &copied.last);
	HOSTILE_REQUIRE(content >= RONDO_PACKET_BYTES && content <= bytes);
	again.data = to;
	again.end = rondo_align(content, 8);
	while ((result = rondo_walk_next(&again, &found)) > 0) {
		HOSTILE_REQUIRE(!found.open);
		records += !found.gap;
	}
	HOSTILE_REQUIRE(result == 0 && again.skipped == 0);
	/* Sealing may have cost the last one. */
	HOSTILE_REQUIRE(records == copied.records ||
			records + 1 == copied.records);
}

static void check_view(const struct rondo_walk *walk, uint64_t content)
{
	const struct rondo_map map = {
		.base = (char *)1,
		.ring_count = 1,
		.spares = 1,
		.subbuf_bytes = TO_BYTES,
	};
	const struct rondo_view view = {
		.data = walk->data,
		.bytes = walk->end & ~UINT64_C(4095),
		.content = content,
		.time_begin = walk->begin_time,
		.time_end = walk->end_time,
		.offset = UINT64_MAX,
		.header_bytes_ = walk->header_bytes,
	};

	if (view.bytes && content <= view.bytes &&
	    view.time_begin <= view.time_end)
		hostile_check_view(&map, &view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hostile_input input = {data, size};
	uint64_t kind = hostile_take(&input, 1), end;
	uint64_t begin_time = hostile_take(&input, 8);
	uint64_t end_time = hostile_take(&input, 8);
	uint32_t header_bytes = kind & 1 ? 16 : 8;
	struct rondo_walk walk;
	char *from, *to;

	end = RONDO_PACKET_BYTES + (input.left & ~(size_t)7);
	if (end > TO_BYTES)
		end = TO_BYTES;
	from = calloc(1, end);
	to = calloc(1, TO_BYTES);
	HOSTILE_REQUIRE(from && to);
	memcpy(from + RONDO_PACKET_BYTES, input.data, end - RONDO_PACKET_BYTES);
	rondo_walk_begin(&walk, from, end, header_bytes, begin_time);
	if (kind & 2)
		walk.end_time = end_time;
	check_copy(&walk, to);
	check_view(&walk, RONDO_PACKET_BYTES + end_time % 4096);
	check_walk(&walk);
	free(from);
	free(to);
	return 0;
}
