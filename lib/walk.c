/* SPDX-License-Identifier: MIT */
/*
 * Walking the records of a sub-buffer. Owns nothing; may assume only that the
 * memory from data to end can be read: other threads may be writing to it, and
 * what stands there may be anything.
 */
#include "walk.h"

#include <errno.h>
#include <string.h>

#include <rondo/abi.h>
#include <rondo/detail/atomics.h>
#include <rondo/detail/position.h>

#include "ring.h"

/* A compact time further ahead than this is one of the past. */
#define AHEAD_MAX (UINT64_C(1) << 39)

void rondo_walk_begin(struct rondo_walk *walk, const char *data, uint64_t end,
		      uint32_t header_bytes, uint64_t begin_time)
{
	walk->data = data;
	walk->end = end;
	walk->begin_time = begin_time;
	walk->previous_time = begin_time;
	walk->end_time = UINT64_MAX;
	walk->offset = RONDO_PACKET_BYTES;
	walk->skipped = 0;
	walk->header_bytes = header_bytes;
}

static uint64_t load_word(const struct rondo_walk *walk, uint64_t offset)
{
	const void *at = walk->data + offset;

	return rondo_load_relaxed((const uint64_t *)at);
}

/*
 * Where the header says open or committed. It decides alone, whatever the
 * header, read after it, says by then.
 */
static uint16_t load_state(const struct rondo_walk *walk, uint64_t at)
{
	const void *state = walk->data + walk->offset + at;

	/* pairs(committed) acquire: committed, before the payload, and before
	 * the length and the id, which are rewritten with it. */
	return rondo_load_acquire((const uint16_t *)state);
}

static bool read_compact(const struct rondo_walk *walk, struct rondo_found *out)
{
	uint16_t id = load_state(walk, 6);
	uint64_t word = load_word(walk, walk->offset);

	out->offset = walk->offset;
	out->payload = walk->offset + 8;
	out->time = walk->begin_time +
		    ((word - walk->begin_time) & RONDO_COMPACT_TIME_MASK);
	out->bytes = (uint32_t)(word >> 40 & 0xff) * 8;
	out->id = id;
	out->open = id >= RONDO_ID_LIMIT;
	out->next = out->payload + out->bytes;
	return true;
}

static bool read_full(const struct rondo_walk *walk, struct rondo_found *out)
{
	uint16_t state = load_state(walk, 2);
	uint64_t word = load_word(walk, walk->offset);

	out->offset = walk->offset;
	out->payload = walk->offset + 16;
	out->time = load_word(walk, walk->offset + 8);
	out->bytes = (uint32_t)(word >> 32);
	out->id = (uint16_t)word;
	out->open = state == RONDO_STATE_OPEN;
	out->next = rondo_align(out->payload + out->bytes, 16);
	return state <= RONDO_STATE_OPEN && out->id < RONDO_ID_LIMIT;
}

static bool time_fits(const struct rondo_walk *walk, uint64_t time)
{
	if (time < walk->previous_time || time > walk->end_time)
		return false;
	return walk->end_time != UINT64_MAX || walk->header_bytes != 8 ||
	       time - walk->previous_time < AHEAD_MAX;
}

/* A gap's own length says the same as its header: zeroed memory does not. */
static bool gap_fits(const struct rondo_walk *walk,
		     const struct rondo_found *found)
{
	const void *at = walk->data + found->payload;
	uint64_t room;

	if (found->id == RONDO_ID_GAP)
		return found->bytes == 0;
	room = rondo_align(found->bytes, 8);
	if (!room || room > walk->end - found->payload)
		return false;
	return rondo_load_relaxed((const uint32_t *)at) == room - 4;
}

static bool read_header(const struct rondo_walk *walk, struct rondo_found *out)
{
	bool sane = walk->header_bytes == 8 ? read_compact(walk, out) :
					      read_full(walk, out);

	out->gap = !out->open && out->id < RONDO_ID_FIRST;
	return sane && out->bytes <= walk->end - out->payload &&
	       time_fits(walk, out->time) && (!out->gap || gap_fits(walk, out));
}

static bool has_room(const struct rondo_walk *walk)
{
	return walk->offset < walk->end &&
	       walk->end - walk->offset >= walk->header_bytes;
}

int rondo_walk_next(struct rondo_walk *walk, struct rondo_found *out)
{
	const uint64_t from = walk->offset;
	struct rondo_found found;

	if (!has_room(walk))
		return 0;
	for (; has_room(walk); walk->offset += walk->header_bytes) {
		if (!read_header(walk, &found))
			continue;
		walk->skipped += walk->offset - from;
		walk->offset = found.next;
		walk->previous_time = found.time;
		*out = found;
		return 1;
	}
	walk->skipped += walk->end - from;
	walk->offset = walk->end;
	return -EPROTO;
}

/* The header as it was found: in memory it may be another one by now. */
static void put_record(const struct rondo_walk *walk, char *to,
		       const struct rondo_found *found)
{
	uint64_t words[2];

	if (walk->header_bytes == 8) {
		words[0] = (found->time & RONDO_COMPACT_TIME_MASK) |
			   (uint64_t)(found->bytes / 8) << 40 |
			   (uint64_t)found->id << 48;
	} else {
		words[0] = found->id | (uint64_t)found->bytes << 32;
		words[1] = found->time;
	}
	memcpy(to + found->offset, words, walk->header_bytes);
	memmove(to + found->payload, walk->data + found->payload, found->bytes);
	memset(to + found->payload + found->bytes, 0,
	       found->next - found->payload - found->bytes);
}

void rondo_walk_copy(struct rondo_walk *walk, char *to,
		     struct rondo_copied *out)
{
	const uint64_t skipped = walk->skipped;
	uint64_t done = walk->offset;
	uint64_t time = walk->previous_time;
	struct rondo_found found;

	memset(out, 0, sizeof(*out));
	while (rondo_walk_next(walk, &found) > 0) {
		rondo_gap_write(to + done, found.offset - done,
				walk->header_bytes, time);
		if (found.open) {
			rondo_gap_write(to + found.offset,
					found.next - found.offset,
					walk->header_bytes, found.time);
			out->open++;
		} else {
			put_record(walk, to, &found);
			out->records += !found.gap;
		}
		done = found.next;
		time = found.time;
		out->skipped = walk->skipped - skipped;
		out->last = found;
	}
}

uint64_t rondo_walk_seal(char *data, uint64_t bytes, uint32_t header_bytes,
			 const struct rondo_found *last)
{
	if (!last->next)
		return RONDO_PACKET_BYTES;
	if (last->gap || last->open)
		return last->next;
	if (header_bytes != 8)
		return last->payload + last->bytes;
	if (bytes - last->next >= header_bytes) {
		rondo_gap_write(data + last->next, header_bytes, header_bytes,
				last->time);
		return last->next + header_bytes;
	}
	rondo_gap_write(data + last->offset, last->next - last->offset,
			header_bytes, last->time);
	return last->next;
}
