/* SPDX-License-Identifier: MIT */
/*
 * Records of sub-buffers that are overwritten, for lanes.h: gathered before the
 * claim, when it is not yet sure to succeed; counted after it.
 */
#ifndef RONDO_TESTS_SUPPORT_GATHER_H
#define RONDO_TESTS_SUPPORT_GATHER_H

#include <stdlib.h>

#include "map.h"
#include "support/lanes.h"

/* One for each thread and each depth of its handlers. */
struct gathered {
	struct lane_payload *items;
	uint32_t count;
	bool bad;
};

static inline void gathered_create(struct gathered *gathered,
				   uint64_t subbuf_bytes)
{
	const size_t most = subbuf_bytes / (8 + LANE_BYTES_MIN);

	free(gathered->items);
	gathered->items = calloc(most, sizeof(struct lane_payload));
	gathered->count = 0;
	gathered->bad = false;
	if (!gathered->items)
		abort();
}

/* Races with others who are as quick, and may read anything then. */
static inline __attribute__((no_sanitize("thread"))) void
gather(struct gathered *out, const struct rondo_map *map, const char *base)
{
	const struct rondo_packet *packet = (const void *)base;
	const volatile uint64_t *content_bits = &packet->content_bits;
	uint64_t end = *content_bits / 8, offset = RONDO_PACKET_BYTES;
	uint64_t payload, bytes, word, id;

	out->count = 0;
	out->bad = end > map->subbuf_bytes;
	for (; !out->bad && offset + map->header_bytes <= end;
	     offset = rondo_align(payload + bytes, map->header_bytes)) {
		word = *(const volatile uint64_t *)(const void *)(base +
								  offset);
		payload = offset + map->header_bytes;
		bytes = map->header_bytes == 8 ? (word >> 40 & 0xff) * 8 :
						 word >> 32;
		id = map->header_bytes == 8 ? word >> 48 : word & 0xffff;
		if (id < RONDO_ID_FIRST)
			continue;
		out->bad = payload + bytes > map->subbuf_bytes ||
			   !lane_read(base + payload, (uint32_t)bytes,
				      &out->items[out->count]);
		out->count++;
	}
}

/* The claim succeeded: nobody can have written there since they were read. */
static inline void gathered_overwritten(const struct gathered *gathered)
{
	if (gathered->bad)
		violation(BAD_PAYLOAD, LANE_OVERWRITTEN, gathered->count);
	for (uint32_t i = 0; i < gathered->count; i++)
		lane_see(&gathered->items[i], LANE_OVERWRITTEN);
}

#endif
