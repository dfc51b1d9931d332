/* SPDX-License-Identifier: MIT */
/*
 * The fields of the event classes, as babeltrace2 shows them: see events.h.
 */
#include "events.h"

#define NUMBER(index, text)                                                    \
	{                                                                      \
		.name = (text), .type = RONDO_FIELD_U64, .offset = 8 * (index) \
	}
#define POINTER(index, text)                                                   \
	{                                                                      \
		.name = (text), .type = RONDO_FIELD_PTR, .offset = 8 * (index) \
	}
#define THREAD(index)                                                         \
	{                                                                     \
		.name = "tid", .type = RONDO_FIELD_U32, .offset = 8 * (index) \
	}
#define CLASS(text, list)                                                \
	{                                                                \
		.size = sizeof(struct rondo_event_class), .loglevel = 6, \
		.name = "alloc_trace:" text, .fields = (list),           \
		.field_count = sizeof(list) / sizeof((list)[0]),         \
		.field_size = sizeof((list)[0])                          \
	}

static const struct rondo_field size_fields[] = {
	NUMBER(0, "size"),
	POINTER(1, "result"),
	POINTER(2, "caller"),
	THREAD(3),
};
static const struct rondo_field calloc_fields[] = {
	NUMBER(0, "count"),   NUMBER(1, "size"), POINTER(2, "result"),
	POINTER(3, "caller"), THREAD(4),
};
static const struct rondo_field realloc_begin_fields[] = {
	POINTER(0, "old"),
	THREAD(1),
};
static const struct rondo_field realloc_fields[] = {
	POINTER(0, "old"),    NUMBER(1, "size"), POINTER(2, "result"),
	POINTER(3, "caller"), THREAD(4),
};
static const struct rondo_field reallocarray_fields[] = {
	POINTER(0, "old"),    NUMBER(1, "count"),   NUMBER(2, "size"),
	POINTER(3, "result"), POINTER(4, "caller"), THREAD(5),
};
static const struct rondo_field aligned_fields[] = {
	NUMBER(0, "alignment"), NUMBER(1, "size"), POINTER(2, "result"),
	POINTER(3, "caller"),	THREAD(4),
};
static const struct rondo_field free_fields[] = {
	POINTER(0, "ptr"),
	POINTER(1, "caller"),
	THREAD(2),
};
static const struct rondo_field skipped_fields[] = {
	NUMBER(0, "count"),
	THREAD(1),
};
static const struct rondo_field module_fields[] = {
	POINTER(0, "base"),
	NUMBER(1, "bytes"),
	{.name = "path", .type = RONDO_FIELD_STRING, .offset = 16},
};

static const struct rondo_event_class classes[EVENTS] = {
	[EVENT_MALLOC] = CLASS("malloc", size_fields),
	[EVENT_CALLOC] = CLASS("calloc", calloc_fields),
	[EVENT_REALLOC_BEGIN] = CLASS("realloc_begin", realloc_begin_fields),
	[EVENT_REALLOC] = CLASS("realloc", realloc_fields),
	[EVENT_REALLOCARRAY] = CLASS("reallocarray", reallocarray_fields),
	[EVENT_ALIGNED_ALLOC] = CLASS("aligned_alloc", aligned_fields),
	[EVENT_POSIX_MEMALIGN] = CLASS("posix_memalign", aligned_fields),
	[EVENT_MEMALIGN] = CLASS("memalign", aligned_fields),
	[EVENT_VALLOC] = CLASS("valloc", size_fields),
	[EVENT_PVALLOC] = CLASS("pvalloc", size_fields),
	[EVENT_FREE] = CLASS("free", free_fields),
	[EVENT_SKIPPED] = CLASS("skipped", skipped_fields),
	[EVENT_MODULE] = CLASS("module", module_fields),
};

int events_register(struct rondo_channel *channel, uint16_t out[EVENTS])
{
	int i, result;

	for (i = 0; i < EVENTS; i++) {
		result = rondo_event_register(channel, &classes[i], &out[i]);
		if (result)
			return result;
	}
	return 0;
}
