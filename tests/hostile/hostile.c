/* SPDX-License-Identifier: MIT */
/*
 * Inputs, channels, and what a view must be.
 */
#include "hostile.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCK 4096u
#define IMAGE_BLOCKS_MAX 1024u
#define CHUNK_MAX 65535u
#define QUIET_RUN 16u /* zeroes that end a chunk */

/* ---- inputs ---- */

uint64_t hostile_take(struct hostile_input *input, unsigned bytes)
{
	uint64_t value = 0;

	if (bytes > input->left)
		bytes = (unsigned)input->left;
	memcpy(&value, input->data, bytes);
	input->data += bytes;
	input->left -= bytes;
	return value;
}

int hostile_image_open(struct hostile_input *input)
{
	uint64_t bytes =
		(1 + hostile_take(input, 2) % IMAGE_BLOCKS_MAX) * BLOCK;
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	HOSTILE_REQUIRE(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
	while (input->left) {
		uint64_t offset = hostile_take(input, 4) % bytes;
		uint64_t length = hostile_take(input, 2);

		if (length > input->left)
			length = input->left;
		if (length > bytes - offset)
			length = bytes - offset;
		HOSTILE_REQUIRE(pwrite(fd, input->data, length,
				       (off_t)offset) == (ssize_t)length);
		input->data += length;
		input->left -= length;
	}
	HOSTILE_REQUIRE(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) ==
			0);
	return fd;
}

/* Where the next chunk begins, and where it ends. */
static uint64_t next_chunk(const uint8_t *memory, uint64_t bytes, uint64_t at,
			   uint64_t *out_end)
{
	uint64_t end;

	while (at < bytes && !memory[at])
		at++;
	*out_end = at;
	for (end = at; end < bytes && end - at < CHUNK_MAX; end++) {
		if (memory[end])
			*out_end = end + 1;
		else if (end - *out_end >= QUIET_RUN)
			break;
	}
	return at;
}

size_t hostile_image_save(const void *memory, uint64_t bytes, uint8_t *out,
			  size_t limit)
{
	uint16_t blocks = (uint16_t)(bytes / BLOCK - 1);
	uint64_t at = 0, end = 0;
	size_t used = sizeof(blocks);

	memcpy(out, &blocks, sizeof(blocks));
	while ((at = next_chunk(memory, bytes, end, &end)) < bytes) {
		uint32_t offset = (uint32_t)at;
		uint16_t length = (uint16_t)(end - at);

		HOSTILE_REQUIRE(used + 6 + length <= limit);
		memcpy(out + used, &offset, 4);
		memcpy(out + used + 4, &length, 2);
		memcpy(out + used + 6, (const char *)memory + at, length);
		used += 6u + length;
	}
	return used;
}

/* ---- channels ---- */

struct rondo_config hostile_config(unsigned kind)
{
	const struct rondo_config config = {
		.size = sizeof(config),
		.flags = kind & HOSTILE_OVERWRITE ? RONDO_OVERWRITE : 0,
		.subbuf_bytes = 4096,
		.subbuf_count = 4,
		.spare_count = 2,
		.record_max = kind & HOSTILE_FULL_HEADERS ? 3000 : 0,
		.stall_ms = 1,
		.flush_ms = 1,
		.name = "hostile",
	};

	return config;
}

static uint16_t register_class(struct rondo_channel *channel, const char *name,
			       const struct rondo_field *fields, uint32_t count)
{
	const struct rondo_event_class class = {
		.size = sizeof(class),
		.name = name,
		.fields = fields,
		.field_count = count,
		.field_size = sizeof(*fields),
	};
	uint16_t id = 0;

	HOSTILE_REQUIRE(rondo_event_register(channel, &class, &id) == 0);
	return id;
}

void hostile_register(struct rondo_channel *channel,
		      uint16_t ids[HOSTILE_CLASSES])
{
	static const struct rondo_label labels[] = {{"off", 0}, {"on", 1}};
	static const struct rondo_field fields[] = {
		{.name = "value", .type = RONDO_FIELD_U64},
		{.name = "state",
		 .type = RONDO_FIELD_ENUM,
		 .labels = labels,
		 .label_count = 2},
		{.name = "small", .type = RONDO_FIELD_U8, .offset = 4},
		{.name = "number", .type = RONDO_FIELD_U32},
		{.name = "text", .type = RONDO_FIELD_STRING},
		{.name = "length", .type = RONDO_FIELD_U16},
		{.name = "bytes",
		 .type = RONDO_FIELD_SEQUENCE,
		 .length_field = "length"},
		{.name = "end", .type = RONDO_FIELD_STRING},
	};

	ids[HOSTILE_NUMBER] =
		register_class(channel, "test:number", &fields[0], 1);
	ids[HOSTILE_SHORT] =
		register_class(channel, "test:short", &fields[1], 2);
	ids[HOSTILE_STRING] =
		register_class(channel, "test:string", &fields[3], 2);
	ids[HOSTILE_BYTES] =
		register_class(channel, "test:bytes", &fields[5], 3);
}

int hostile_record(struct rondo_channel *channel,
		   const uint16_t ids[HOSTILE_CLASSES],
		   enum hostile_class which, uint64_t random)
{
	struct {
		uint32_t state;
		uint8_t small;
	} pair = {(uint32_t)random & 1, (uint8_t)(random >> 8)};
	char text[64] = "";
	uint32_t bytes = (uint32_t)(random >> 16) % 40;
	uint16_t length = (uint16_t)bytes;

	switch (which) {
	case HOSTILE_NUMBER:
		return rondo_write(channel, ids[which], &random, 8);
	case HOSTILE_SHORT:
		return rondo_write(channel, ids[which], &pair, sizeof(pair));
	case HOSTILE_STRING:
		memcpy(text, &pair.state, 4);
		memset(text + 4, 'a', bytes);
		return rondo_write(channel, ids[which], text, 4 + bytes + 1);
	default:
		memcpy(text, &length, 2);
		memset(text + 2, 'b', bytes);
		memcpy(text + 2 + bytes, "end", 4);
		return rondo_write(channel, ids[which], text, 2 + bytes + 4);
	}
}

/* ---- views ---- */

/* Where its bytes may be: the pages it names, or a copy. */
static void check_place(const struct rondo_map *map,
			const struct rondo_view *view)
{
	uint64_t offset;

	if (view->offset == UINT64_MAX) {
		HOSTILE_REQUIRE(view->data + view->bytes <= map->base ||
				view->data >= map->base + map->bytes);
		return;
	}
	offset = (uint64_t)(view->data - map->base);
	HOSTILE_REQUIRE(offset == view->offset);
	HOSTILE_REQUIRE(view->data ==
			rondo_map_pages(map, view->ring, view->pages));
}

uint64_t hostile_check_view(const struct rondo_map *map,
			    const struct rondo_view *view)
{
	uint64_t count = 0, time = view->time_begin;
	struct rondo_item item;
	int result;

	HOSTILE_REQUIRE(view->ring < map->ring_count);
	HOSTILE_REQUIRE(view->pages < rondo_map_page_sets(map));
	HOSTILE_REQUIRE(view->bytes % 4096 == 0 &&
			view->bytes <= map->subbuf_bytes);
	HOSTILE_REQUIRE(view->content >= RONDO_PACKET_BYTES &&
			view->content <= view->bytes);
	HOSTILE_REQUIRE(view->time_begin <= view->time_end);
	HOSTILE_REQUIRE(view->number <= RONDO_NUMBER_MASK);
	check_place(map, view);
	memset(&item, 0, sizeof(item));
	while ((result = rondo_view_next(view, &item)) > 0) {
		const char *data = item.data;

		HOSTILE_REQUIRE(++count <= view->bytes / 8);
		HOSTILE_REQUIRE(data >= view->data + RONDO_PACKET_BYTES &&
				data <= view->data + view->bytes &&
				item.bytes <= (uint64_t)(view->data +
							 view->bytes - data));
		HOSTILE_REQUIRE(item.id >= RONDO_ID_FIRST &&
				item.id < RONDO_ID_LIMIT);
		HOSTILE_REQUIRE(item.time >= time &&
				item.time <= view->time_end);
		time = item.time;
	}
	HOSTILE_REQUIRE(result == 0 || result == -EPROTO);
	HOSTILE_REQUIRE(item.skipped <= view->bytes);
	return count;
}

/* ---- the rest ---- */

int hostile_free_descriptor(void)
{
	int fd = fcntl(0, F_DUPFD_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd;
}

void hostile_remove(const char *directory)
{
	DIR *stream = opendir(directory);
	struct dirent *entry;

	while (stream && (entry = readdir(stream)))
		unlinkat(dirfd(stream), entry->d_name, 0);
	if (stream)
		closedir(stream);
	rmdir(directory);
}
