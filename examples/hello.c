/* SPDX-License-Identifier: MIT */
/*
 * The smallest whole program: a channel, a class of events, a writer and a
 * record. hello DIRECTORY; then: babeltrace2 DIRECTORY
 */
#include <stdio.h>
#include <string.h>

#include <rondo/rondo.h>

struct sample {
	uint64_t size, ptr;
};

static const struct rondo_field fields[] = {
	{.name = "size", .type = RONDO_FIELD_U64, .offset = 0},
	{.name = "ptr", .type = RONDO_FIELD_PTR, .offset = 8},
};
static const struct rondo_event_class alloc = {
	.size = sizeof(alloc),
	.name = "app:alloc",
	.fields = fields,
	.field_count = 2,
	.field_size = sizeof(fields[0]),
};

static void record_sample(struct rondo_channel *channel, uint16_t id)
{
	struct rondo_record record;

	if (rondo_reserve(channel, id, sizeof(struct sample), &record) == 0) {
		struct sample *sample = record.data;

		sample->size = 100;
		sample->ptr = 0x1234;
		rondo_commit(&record);
	}
}

int main(int count, char **arguments)
{
	struct rondo_channel *channel;
	struct rondo_writer *writer;
	uint16_t id;
	int result;

	if (count != 2)
		return 2;
	result = rondo_channel_create(NULL, &channel); /* NULL: defaults */
	if (!result)
		result = rondo_event_register(channel, &alloc, &id);
	if (!result)
		result = rondo_writer_open(channel, arguments[1], &writer);
	if (!result)
		result = rondo_writer_start(writer);
	if (result) {
		fprintf(stderr, "hello: %s\n", strerror(-result));
		return 1;
	}
	record_sample(channel, id);
	result = rondo_writer_close(writer);
	rondo_channel_destroy(channel);
	return result != 0;
}
