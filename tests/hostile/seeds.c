/* SPDX-License-Identifier: MIT */
/*
 * Writes a corpus for each fuzz target to DIRECTORY/TARGET: real channels,
 * recorded to in every way, and their parts. With what fuzzers have found and
 * this folder keeps in regressions/, that is what a fuzzer starts from.
 */
#include "hostile.h"

#include <string.h>
#include <sys/stat.h>

#include "control.h"

#define SEED_MAX (1u << 20)

static const char *top;
static unsigned written;

static void put(const char *target, const char *name, unsigned kind,
		const void *data, size_t bytes)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", top, target);
	(void)mkdir(path, 0777);
	snprintf(path, sizeof(path), "%s/%s/%s-%u", top, target, name, kind);
	file = fopen(path, "wb");
	HOSTILE_REQUIRE(file && fwrite(data, 1, bytes, file) == bytes);
	HOSTILE_REQUIRE(fclose(file) == 0);
	written++;
}

static void put_image(const struct rondo_map *map, const char *name,
		      unsigned kind)
{
	static uint8_t data[SEED_MAX];
	size_t bytes = hostile_image_save(map->base, map->bytes, data + 1,
					  SEED_MAX - 1);

	put("attach", name, kind, data + 1, bytes);
	data[0] = 0;
	put("recover", name, kind * 2, data, bytes + 1);
	data[0] = 1;
	put("recover", name, kind * 2 + 1, data, bytes + 1);
}

static void put_catalog(const struct rondo_map *map, const char *name,
			unsigned kind)
{
	static uint8_t data[SEED_MAX];
	const uint64_t used = map->super->catalog_used;
	const uint64_t classes = map->super->class_count;

	memcpy(data, &used, 4);
	memcpy(data + 4, &classes, 2);
	memcpy(data + 6, map->catalog, used);
	put("catalog", name, kind, data, 6 + used);
}

/* Fields that all claim the same labels: a text a hundred times as long. */
static void put_shared_labels(void)
{
	enum {
		FIELDS = 200,
		LABELS = 2000,
		NAME = 200
	};
	static uint32_t words[SEED_MAX / 4];
	uint32_t *at = words;
	const uint32_t labels = 24 + FIELDS * 32;
	const uint32_t names = labels + LABELS * 16;
	const uint32_t bytes = names + 8 + FIELDS + 56;
	const uint32_t head[] = {bytes, RONDO_ID_FIRST, 0,
				 names, FIELDS,		LABELS};

	memcpy(at, head, sizeof(head));
	at += 6;
	for (uint32_t i = 0; i < FIELDS; i++, at += 8) {
		at[0] = names + 8 + i; /* each name is the end of the last */
		at[1] = RONDO_FIELD_ENUM;
		at[2] = 4 * i;
		at[3] = 1;
		at[6] = LABELS;
	}
	for (uint32_t i = 0; i < LABELS; i++, at += 4)
		at[2] = names + 8;
	memcpy(at, "a:b\0\0\0\0", 8);
	memset((char *)at + 8, 'n', NAME);
	memmove((char *)words + 6, words, bytes);
	memcpy(words, "\1\0\0\0\1\0", 6);
	put("catalog", "shared-labels", 0, words, bytes + 6);
}

/* A sub-buffer as input of the walker and of the mender. */
static void put_records(const struct rondo_map *map,
			const struct rondo_view *view, unsigned number,
			unsigned kind)
{
	static uint8_t data[SEED_MAX];
	const uint64_t bytes = view->content - RONDO_PACKET_BYTES;
	const uint64_t length = view->time_end - view->time_begin;
	char name[32];

	snprintf(name, sizeof(name), "view%u", number);
	data[0] = map->header_bytes == 8 ? 2 : 3;
	memcpy(data + 1, &view->time_begin, 8);
	memcpy(data + 9, &view->time_end, 8);
	memcpy(data + 17, view->data + RONDO_PACKET_BYTES, bytes);
	put("walk", name, kind, data, 17 + bytes);
	data[0] = (uint8_t)kind;
	memcpy(data + 9, &length, 6);
	memset(data + 15, 0, 2);
	put("packet", name, kind, data, 17 + bytes);
}

static void consume(struct rondo_channel *channel, unsigned kind)
{
	struct rondo_consumer *consumer;
	struct rondo_view view;
	unsigned number = 0;

	HOSTILE_REQUIRE(rondo_consumer_open(channel, &consumer) == 0);
	while (rondo_consumer_take(consumer, &view) == 0) {
		put_records(&channel->control->map, &view, number++, kind);
		HOSTILE_REQUIRE(rondo_consumer_release(consumer, &view) == 0);
	}
	HOSTILE_REQUIRE(rondo_consumer_close(consumer) == 0);
}

/* Images that once were more than could be coped with. */
static void put_damaged(const struct rondo_map *map, unsigned kind)
{
	struct rondo_ring *ring = rondo_map_ring(map, map->ring_count - 1);
	uint64_t *slot = rondo_map_slot(map, 0, 0);
	const uint64_t head = ring->head, word = *slot;

	/* A head where no slot says that something is open. */
	ring->head += rondo_head_at(256, 0);
	put_image(map, "head", kind);
	/* ... and with a slack that reaches into the packet's header. */
	ring->head = head + rondo_head_at(128 + 5, 0);
	put_image(map, "slack", kind);
	ring->head = head;
	/* A number in a slot that is another one's. */
	*slot = rondo_slot(rondo_slot_pages(word), RONDO_SLOT_READABLE, 255);
	put_image(map, "foreign", kind);
	/* Delivered, but not reached yet. */
	*slot = rondo_slot(rondo_slot_pages(word), RONDO_SLOT_READABLE, 4000);
	put_image(map, "beyond", kind);
	*slot = word;
}

/* Records, gaps, one that stays open behind a lap, a squash. */
static void make(unsigned kind)
{
	struct rondo_config config = hostile_config(kind);
	struct rondo_channel *channel;
	struct rondo_record open, given_up;
	const struct rondo_map *map;
	uint16_t ids[HOSTILE_CLASSES];
	uint64_t random = kind;

	HOSTILE_REQUIRE(rondo_channel_create(&config, &channel) == 0);
	map = &channel->control->map;
	put_image(map, "new", kind);
	hostile_register(channel, ids);
	put_catalog(map, "classes", kind);
	for (unsigned i = 0; i < 40; i++) {
		random = random * UINT64_C(6364136223846793005) + 1;
		HOSTILE_REQUIRE(!hostile_record(
			channel, ids, i % HOSTILE_CLASSES, random >> 8));
	}
	HOSTILE_REQUIRE(!rondo_reserve(channel, ids[0], 16, &given_up));
	HOSTILE_REQUIRE(!rondo_reserve(channel, ids[0], 8, &open));
	HOSTILE_REQUIRE(!rondo_discard(&given_up));
	put_image(map, "open", kind);
	HOSTILE_REQUIRE(rondo_channel_flush(channel) >= 0);
	for (unsigned i = 0; i < 300; i++)
		(void)hostile_record(channel, ids, HOSTILE_NUMBER, i);
	put_image(map, "stalled", kind);
	HOSTILE_REQUIRE(!rondo_commit(&open));
	for (unsigned i = 0; i < 1500; i++)
		(void)hostile_record(channel, ids, i % HOSTILE_CLASSES, i);
	HOSTILE_REQUIRE(rondo_channel_flush(channel) >= 0);
	put_image(map, "full", kind);
	put_damaged(map, kind);
	consume(channel, kind);
	put_image(map, "taken", kind);
	HOSTILE_REQUIRE(rondo_channel_destroy(channel) == 0);
}

int main(int argc, char **argv)
{
	if (argc != 2 || argv[1][0] == '-') {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	top = argv[1];
	(void)mkdir(top, 0777);
	for (unsigned kind = 0; kind < HOSTILE_KINDS; kind++)
		make(kind);
	put_shared_labels();
	printf("%u seeds\n", written);
	return 0;
}
