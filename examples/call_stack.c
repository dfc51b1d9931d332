/* SPDX-License-Identifier: MIT */
/*
 * A ring as a call stack: record at entry, squash at return. Calls that have
 * returned leave nothing behind, so a snapshot at any moment holds what was on
 * the stack at that moment, and calls that could not be squashed (the thread
 * moved to another CPU, or its sub-buffer was switched) with their returns.
 *
 * call_stack DIRECTORY makes a snapshot in the deepest of some thousand calls
 * and prints the names on its stack, outermost first.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <rondo/rondo.h>

struct call {
	uint64_t depth;
	char name[24];
};

static const struct rondo_field fields[] = {
	{.name = "depth", .type = RONDO_FIELD_U64, .offset = 0},
	{.name = "name", .type = RONDO_FIELD_STRING, .offset = 8},
};
static const struct rondo_event_class entry = {
	.size = sizeof(entry),
	.name = "stack:entry",
	.fields = fields,
	.field_count = 2,
	.field_size = sizeof(fields[0]),
};
static const struct rondo_event_class leave = {
	.size = sizeof(leave),
	.name = "stack:return",
	.fields = fields,
	.field_count = 2,
	.field_size = sizeof(fields[0]),
};

static struct rondo_channel *channel;
static uint16_t entry_id, leave_id;
static const char *directory;
static const char *names[64]; /* what is on the stack, by this program */
static uint64_t depth;

/* Of an instrumented call: what undoes or answers its record. */
struct frame {
	struct rondo_mark mark;
	bool is_recorded;
	uint32_t bytes; /* of call: a string's record ends where it ends */
	struct call call;
};

static void enter(struct frame *frame, const char *name)
{
	struct rondo_record record;

	names[depth] = name;
	frame->call.depth = depth++;
	snprintf(frame->call.name, sizeof(frame->call.name), "%s", name);
	frame->bytes =
		(uint32_t)(sizeof(uint64_t) + strlen(frame->call.name) + 1);
	frame->is_recorded =
		!rondo_reserve(channel, entry_id, frame->bytes, &record);
	if (!frame->is_recorded)
		return;
	memcpy(record.data, &frame->call, frame->bytes);
	rondo_commit(&record);
	frame->mark = rondo_mark(&record);
}

static void leave_call(const struct frame *frame)
{
	depth--;
	if (frame->is_recorded && rondo_squash(channel, frame->mark))
		rondo_write(channel, leave_id, &frame->call, frame->bytes);
}

static uint64_t leaf(uint64_t x)
{
	struct frame frame;

	enter(&frame, "leaf");
	x = x * 6364136223846793005u + 1;
	leave_call(&frame);
	return x;
}

static uint64_t middle(uint64_t x, int levels)
{
	struct frame frame;
	int i;

	enter(&frame, "middle");
	for (i = 0; i < 100; i++)
		x = leaf(x);
	if (levels)
		x = middle(x, levels - 1);
	else if (rondo_snapshot(channel, directory) < 0)
		x = 0;
	else
		for (i = 0; i < (int)depth; i++)
			puts(names[i]);
	leave_call(&frame);
	return x;
}

static uint64_t outer(uint64_t x)
{
	struct frame frame;
	int i;

	enter(&frame, "outer");
	for (i = 0; i < 1000; i++)
		x = leaf(x);
	x = middle(x, 10);
	leave_call(&frame);
	return x;
}

int main(int count, char **arguments)
{
	const struct rondo_config config = {
		.size = sizeof(config),
		.flags = RONDO_OVERWRITE,
		.spare_count = 8,
		.name = "stack",
	};
	int result;

	if (count != 2)
		return 2;
	directory = arguments[1];
	result = rondo_channel_create(&config, &channel);
	if (!result)
		result = rondo_event_register(channel, &entry, &entry_id);
	if (!result)
		result = rondo_event_register(channel, &leave, &leave_id);
	if (result) {
		fprintf(stderr, "call_stack: %s\n", strerror(-result));
		return 1;
	}
	result = outer(1) == 0;
	rondo_channel_destroy(channel);
	return result;
}
