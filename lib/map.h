/* SPDX-License-Identifier: MIT */
/*
 * Where everything of a mapped channel lies: the geometry, copied out of the
 * superblock once and checked, never read from shared memory again.
 */
#ifndef RONDO_LIB_MAP_H
#define RONDO_LIB_MAP_H

#include <rondo/abi.h>
#include <rondo/detail/position.h>

/* Event classes and their strings; pages of it that hold none stay unused. */
#define RONDO_CATALOG_BYTES (UINT64_C(1) << 20)

struct rondo_map {
	char *base;
	uint64_t bytes;
	struct rondo_superblock *super;
	struct rondo_wait *wait;
	char *catalog;
	char *rings;
	char *tables;
	char *pages;
	uint64_t catalog_bytes;
	uint64_t tables_stride;
	uint64_t slots_offset, late_offset, states_offset;
	uint64_t pages_stride; /* of a ring */
	uint64_t pages_offset; /* of pages in the file */
	uint64_t subbuf_bytes;
	uint32_t order; /* log2 of subbuf_bytes */
	uint32_t count; /* sub-buffers in a ring */
	uint32_t spares;
	uint32_t ring_count; /* with the extra one, the last */
	uint32_t record_max;
	uint32_t header_bytes; /* 8: compact, 16: full record headers */
	uint32_t flags, clock, rings_by;
	uint32_t wake_subbufs, stall_ms, flush_ms;
	uint8_t uuid[16];
	uint64_t packet_start[3]; /* of each packet: magic, uuid, stream */
};

static inline struct rondo_ring *rondo_map_ring(const struct rondo_map *map,
						uint32_t ring)
{
	return (struct rondo_ring *)(void *)(map->rings +
					     ((uint64_t)ring
					      << RONDO_RING_SHIFT));
}

static inline char *rondo_map_tables(const struct rondo_map *map, uint32_t ring)
{
	return map->tables + ring * map->tables_stride;
}

static inline uint64_t *rondo_map_slot(const struct rondo_map *map,
				       uint32_t ring, uint64_t number)
{
	char *slots = rondo_map_tables(map, ring) + map->slots_offset;

	return (uint64_t *)(void *)slots + (number & (map->count - 1));
}

static inline int64_t *rondo_map_late(const struct rondo_map *map,
				      uint32_t ring, uint32_t pages)
{
	char *late = rondo_map_tables(map, ring) + map->late_offset;

	return (int64_t *)(void *)late + pages;
}

/* enum rondo_pages_state | number << 8, consumer-written */
static inline uint64_t *rondo_map_state(const struct rondo_map *map,
					uint32_t ring, uint32_t pages)
{
	char *states = rondo_map_tables(map, ring) + map->states_offset;

	return (uint64_t *)(void *)states + pages;
}

static inline uint32_t rondo_map_page_sets(const struct rondo_map *map)
{
	return map->count + map->spares;
}

static inline char *rondo_map_pages(const struct rondo_map *map, uint32_t ring,
				    uint32_t pages)
{
	return map->pages + ring * map->pages_stride +
	       ((uint64_t)pages << map->order);
}

static inline struct rondo_packet *
rondo_map_packet(const struct rondo_map *map, uint32_t ring, uint32_t pages)
{
	return (struct rondo_packet *)(void *)rondo_map_pages(map, ring, pages);
}

/* The index of a page set among all of the channel, as the hint has it. */
static inline uint64_t rondo_map_pages_index(const struct rondo_map *map,
					     uint32_t ring, uint32_t pages)
{
	return (uint64_t)ring * rondo_map_page_sets(map) + pages;
}

#endif
