/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the event classes of an attached memory, and the metadata text
 * made of them. Input: what the superblock says of them, then the catalog.
 */
#include "hostile.h"

#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"
#include "ctf.h"
#include "event.h"
#include "packet.h"

/* A class costs no more text than this for each of its bytes. */
#define TEXT_PER_BYTE 64u
#define TEXT_ROOM (UINT64_C(1) << 16) /* without classes */

/* One memory, seen by its creator and by who attached. */
struct memory {
	struct rondo_channel *channel, *attached;
	const struct rondo_map *own, *map;
};

static void memory_make(struct memory *memory)
{
	struct rondo_config config = hostile_config(0);

	HOSTILE_REQUIRE(rondo_channel_create(&config, &memory->channel) == 0);
	HOSTILE_REQUIRE(rondo_channel_attach(rondo_channel_fd(memory->channel),
					     &memory->attached) == 0);
	memory->own = &memory->channel->control->map;
	memory->map = &memory->attached->control->map;
}

static uint32_t read_classes(const struct rondo_map *map)
{
	struct rondo_catalog_reader *reader;
	struct rondo_event_class event_class;
	uint32_t count = 0;
	uint16_t id;

	if (rondo_catalog_open(map, &reader))
		return 0;
	while (rondo_catalog_next(reader, &id, &event_class) > 0) {
		HOSTILE_REQUIRE(id == RONDO_ID_FIRST + count);
		HOSTILE_REQUIRE(strlen(event_class.name) < 256);
		HOSTILE_REQUIRE(event_class.field_count <= 512);
		count++;
	}
	rondo_catalog_close(reader);
	return count;
}

/* Nothing of the catalog gets out of its quotes. */
static void check_text(const char *text, uint64_t bytes)
{
	HOSTILE_REQUIRE(strlen(text) <= TEXT_ROOM + bytes * TEXT_PER_BYTE);
	for (; *text; text++)
		HOSTILE_REQUIRE((*text >= ' ' && *text <= '~') ||
				*text == '\n' || *text == '\t');
}

static void read_all(const struct rondo_map *map, uint64_t bytes)
{
	const struct rondo_clock_pair pair = {1, 1};
	uint32_t count = read_classes(map);
	struct rondo_schema *schema;
	char *text = NULL;
	int result = rondo_schema_open(map, &schema);

	HOSTILE_REQUIRE(result == 0 || result == -EPROTO);
	if (!result) {
		HOSTILE_REQUIRE(rondo_schema_classes(schema) == count);
		rondo_schema_close(schema);
	}
	HOSTILE_REQUIRE(rondo_ctf_metadata(map, &pair, &pair, &text) == result);
	if (!result)
		check_text(text, bytes);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memory memory;
	struct hostile_input input = {data, size};
	uint64_t used, classes;

	if (!memory.channel)
		memory_make(&memory);
	used = hostile_take(&input, 4);
	classes = hostile_take(&input, 2);
	if (input.left > memory.own->catalog_bytes)
		input.left = memory.own->catalog_bytes;
	/* Mostly as long as it is. */
	if (used % 4)
		used = input.left & ~(size_t)7;
	memory.own->super->catalog_used = used;
	memory.own->super->class_count = classes;
	memset(memory.own->catalog, 0, size);
	memcpy(memory.own->catalog, input.data, input.left);
	read_all(memory.map, used);
	return 0;
}
