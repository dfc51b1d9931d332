/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: what writers do to a packet so that readers of CTF accept it.
 * Input: header kind, times, where it ends, then the records.
 */
#include "hostile.h"

#include <string.h>

#include "control.h"
#include "packet.h"

#define PACKET_LIMIT 16384u

/* A channel that gives the classes. */
struct trace {
	struct rondo_channel *channel;
	const struct rondo_map *map;
	struct rondo_schema *schema;
	struct hostile_schema *strict;
};

static void trace_make(struct trace *trace, unsigned kind)
{
	struct rondo_config config = hostile_config(kind);
	uint16_t ids[HOSTILE_CLASSES];

	HOSTILE_REQUIRE(rondo_channel_create(&config, &trace->channel) == 0);
	hostile_register(trace->channel, ids);
	trace->map = &trace->channel->control->map;
	HOSTILE_REQUIRE(rondo_schema_open(trace->map, &trace->schema) == 0);
	trace->strict = hostile_schema_open(trace->map);
}

/* A header as fill_header of lib/writer.c makes it. */
static void put_header(const struct trace *trace,
		       const struct rondo_contents *contents)
{
	struct rondo_packet packet = {
		.magic = RONDO_PACKET_MAGIC,
		.timestamp_begin = contents->time_begin,
		.timestamp_end = contents->time_end,
		.content_bits = contents->content * 8,
		.packet_bits = contents->bytes * 8,
	};

	memcpy(packet.uuid, trace->map->uuid, sizeof(packet.uuid));
	memcpy(contents->data, &packet, sizeof(packet));
}

static void check(const struct trace *trace, struct rondo_contents *contents)
{
	const uint64_t content = contents->content;
	struct hostile_packet found;
	uint64_t wrong = rondo_packet_mend(trace->schema, contents);
	const char *why;

	HOSTILE_REQUIRE(wrong <= contents->bytes / 8);
	HOSTILE_REQUIRE(contents->content >= RONDO_PACKET_BYTES &&
			contents->content <= contents->bytes);
	HOSTILE_REQUIRE(wrong || contents->content + 16 >= content ||
			content < RONDO_PACKET_BYTES);
	put_header(trace, contents);
	why = hostile_read_packet(trace->strict, contents->data,
				  contents->bytes, &found);
	if (why)
		fprintf(stderr, "%s\n", why);
	HOSTILE_REQUIRE(!why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct trace traces[HOSTILE_KINDS];
	struct hostile_input input = {data, size};
	unsigned kind = hostile_take(&input, 1) & HOSTILE_FULL_HEADERS;
	struct rondo_contents contents;
	uint64_t length, tail;

	if (!traces[kind].channel)
		trace_make(&traces[kind], kind);
	contents.time_begin = hostile_take(&input, 8);
	contents.time_end = contents.time_begin + hostile_take(&input, 6);
	if (contents.time_end < contents.time_begin)
		contents.time_end = UINT64_MAX;
	tail = hostile_take(&input, 2);
	length = input.left;
	if (length > PACKET_LIMIT - RONDO_PACKET_BYTES)
		length = PACKET_LIMIT - RONDO_PACKET_BYTES;
	contents.content = RONDO_PACKET_BYTES + length;
	contents.bytes = rondo_align(contents.content, 4096);
	/* Any end, now and then. */
	if (tail % 8 == 7)
		contents.content =
			RONDO_PACKET_BYTES +
			tail % (contents.bytes - RONDO_PACKET_BYTES + 1);
	contents.data = calloc(1, contents.bytes);
	HOSTILE_REQUIRE(contents.data);
	memcpy(contents.data + RONDO_PACKET_BYTES, input.data, length);
	check(&traces[kind], &contents);
	free(contents.data);
	return 0;
}
