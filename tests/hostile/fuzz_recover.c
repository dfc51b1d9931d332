/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the memory of a dead process. Input: how, then its image
 * (hostile.h). It is attached, flushed, and consumed or written to a trace,
 * which a strict reader then reads.
 */
#include "hostile.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"

#define STALL_US 1200 /* more than the image's stall_ms */

static const char *scratch(void)
{
	static char path[512];
	const char *top = getenv("TMPDIR");

	if (!path[0]) {
		snprintf(path, sizeof(path), "%s/rondo-recover-XXXXXX",
			 top ? top : P_tmpdir);
		HOSTILE_REQUIRE(mkdtemp(path));
		rmdir(path);
	}
	return path;
}

/* Every sub-buffer once, and what appears meanwhile not for ever. */
static void consume(struct rondo_channel *channel)
{
	const struct rondo_map *map = &channel->control->map;
	uint64_t left = UINT64_C(4) * map->ring_count * map->count;
	void *copy = aligned_alloc(4096, map->subbuf_bytes);
	struct rondo_consumer *consumer;
	struct rondo_view view;
	int result = rondo_consumer_open(channel, &consumer);

	HOSTILE_REQUIRE(copy);
	HOSTILE_REQUIRE(result == 0 || result == -EPROTO || result == -EBUSY);
	if (result) {
		free(copy);
		return;
	}
	for (uint32_t i = 0; i < map->ring_count; i++)
		if (!rondo_consumer_peek(consumer, i, copy, map->subbuf_bytes,
					 &view))
			hostile_check_view(map, &view);
	while ((result = rondo_consumer_take(consumer, &view)) == 0 ||
	       result == -EAGAIN) {
		HOSTILE_REQUIRE(left--);
		if (result == -EAGAIN) {
			/* What stalls is waited for, be it ready or not. */
			(void)rondo_consumer_wait(consumer, 0);
			(void)usleep(STALL_US);
			continue;
		}
		hostile_check_view(map, &view);
		HOSTILE_REQUIRE(rondo_consumer_release(consumer, &view) == 0);
	}
	HOSTILE_REQUIRE(result == -ENODATA);
	HOSTILE_REQUIRE(rondo_consumer_close(consumer) == 0);
	free(copy);
}

static void write_trace(struct rondo_channel *channel)
{
	const struct rondo_map *map = &channel->control->map;
	struct hostile_schema *schema;
	struct rondo_writer_stats stats;
	struct rondo_writer *writer;
	const char *why;
	uint64_t records;
	int result = rondo_writer_open(channel, scratch(), &writer);

	if (result) {
		HOSTILE_REQUIRE(result == -EPROTO || result == -EBUSY);
		hostile_remove(scratch());
		return;
	}
	schema = hostile_schema_open(map);
	for (int i = 0; i < 4 && rondo_writer_step(writer, 0); i++)
		continue;
	HOSTILE_REQUIRE(rondo_writer_stats(writer, &stats) == 0);
	result = rondo_writer_close(writer);
	HOSTILE_REQUIRE(result == 0 || result == -EPROTO);
	why = hostile_read_trace(schema, scratch(), &records);
	if (why)
		fprintf(stderr, "%s\n", why);
	HOSTILE_REQUIRE(!why);
	hostile_schema_close(schema);
	hostile_remove(scratch());
}

static void put(int fd, uint64_t offset, uint64_t value, size_t bytes)
{
	/* One that is too short for it is refused anyway. */
	if (pwrite(fd, &value, bytes, (off_t)offset) != (ssize_t)bytes)
		return;
}

/* Its process is dead for sure, though the image may name one of ours; and
 * stalls last a millisecond, since a hundred would make a slow fuzzer. */
static void bury(int fd)
{
	put(fd, offsetof(struct rondo_superblock, pid), 0, 4);
	put(fd, offsetof(struct rondo_superblock, stall_ms), 1, 4);
	put(fd, 4096 + offsetof(struct rondo_wait, consumer), 0, 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int before = hostile_free_descriptor();
	struct hostile_input input = {data, size};
	uint64_t how = hostile_take(&input, 1);
	struct rondo_channel *channel;
	int fd = hostile_image_open(&input);

	bury(fd);
	if (!rondo_channel_attach(fd, &channel)) {
		int closed = rondo_channel_flush(channel);

		HOSTILE_REQUIRE(closed >= 0 || closed == -EPROTO);
		if (how & 1)
			write_trace(channel);
		else
			consume(channel);
		HOSTILE_REQUIRE(rondo_channel_destroy(channel) == 0);
	}
	close(fd);
	HOSTILE_REQUIRE(hostile_free_descriptor() == before);
	return 0;
}
