/* SPDX-License-Identifier: MIT */
/*
 * The channels of bench-record.
 */
#include "record_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rondo/rondo.h>

#include "setup.h"

static int add_class(struct rondo_channel *channel, uint32_t bytes,
		     uint16_t *out)
{
	const struct rondo_field fields[] = {
		{.name = "a", .type = RONDO_FIELD_U64, .offset = 0},
		{.name = "b", .type = RONDO_FIELD_U64, .offset = 8},
		{.name = "rest",
		 .type = RONDO_FIELD_BYTES,
		 .offset = 16,
		 .count = bytes - 16},
	};
	char name[32];
	const struct rondo_event_class event_class = {
		.size = sizeof(event_class),
		.name = name,
		.fields = fields,
		.field_count = bytes > 16 ? 3 : 2,
		.field_size = sizeof(fields[0]),
	};

	snprintf(name, sizeof(name), "bench:record%u", bytes);
	return rondo_event_register(channel, &event_class, out);
}

/* The same classes in the same order, so that an id is good for all. */
static int add_classes(struct rondo_channel *channel)
{
	struct operations_place *place = &operations;
	int result = add_class(channel, 16, &place->id16);

	if (!result)
		result = add_class(channel, 64, &place->id64);
	if (!result)
		result = add_class(channel, 256, &place->id256);
	if (!result)
		result = add_class(channel, 2032, &place->id2032);
	return result;
}

static int create(const struct rondo_config *config, const char *name,
		  struct rondo_channel **out)
{
	struct rondo_config named = *config;
	int result;

	named.size = sizeof(named);
	named.name = name;
	result = rondo_channel_create(&named, out);
	if (!result)
		result = add_classes(*out);
	if (result)
		return bench_fail("channel %s: %s", name, strerror(-result));
	return 0;
}

static int create_all(void)
{
	const struct rondo_config ring = {.flags = RONDO_OVERWRITE};
	const struct rondo_config atomic = {.flags = RONDO_OVERWRITE |
						     RONDO_NO_RSEQ};
	const struct rondo_config full = {0};
	const struct rondo_config crossing = {.flags = RONDO_OVERWRITE,
					      .subbuf_bytes = 4096};
	const struct rondo_config large = {.flags = RONDO_OVERWRITE,
					   .record_max = 4096};
	const struct rondo_config monotonic = {.flags = RONDO_OVERWRITE,
					       .clock = RONDO_CLOCK_MONOTONIC};
	struct operations_place *place = &operations;

	if (create(&ring, "ring", &place->ring) ||
	    create(&atomic, "atomic", &place->atomic) ||
	    create(&full, "full", &place->full) ||
	    create(&ring, "stopped", &place->stopped) ||
	    create(&crossing, "crossing", &place->crossing) ||
	    create(&large, "large", &place->large) ||
	    create(&monotonic, "monotonic", &place->monotonic) ||
	    create(&ring, "touched", &place->touched))
		return 1;
	return 0;
}

/* Once round the ring of this CPU, so that nothing measured faults. */
static void touch(struct bench_case *one, const struct record_effect *effect)
{
	if (effect->outcome == RECORD_KEPT)
		bench_call(one, BENCH_FLOOR_BYTES / effect->bytes);
}

static int describe_modes(struct bench *bench)
{
	struct rondo_stats atomic;

	if (bench_describe(bench, operations.ring))
		return 1;
	if (rondo_channel_stats(operations.atomic, &atomic))
		return bench_fail("no statistics");
	if (atomic.reason == RONDO_MODE_RSEQ)
		return bench_fail("the atomic channel is not atomic");
	return 0;
}

int record_set_up(struct bench *bench, const struct record_effect *effects)
{
	if (create_all() || bench_floor_create(&operations.floor) ||
	    describe_modes(bench))
		return 1;
	while (true) {
		struct rondo_record record;

		if (rondo_reserve(operations.full, operations.id16, 16,
				  &record))
			break;
		bench_fill((uint64_t *)record.data, 2, 0, BENCH_MIX);
		rondo_commit(&record);
	}
	bench_record(operations.touched, 2, 0, BENCH_MIX);
	rondo_channel_stop(operations.stopped);
	for (size_t i = 0; i < bench->case_count; i++)
		touch(&bench->cases[i], &effects[i]);
	return 0;
}

void record_tear_down(void)
{
	struct operations_place *place = &operations;

	rondo_channel_destroy(place->ring);
	rondo_channel_destroy(place->atomic);
	rondo_channel_destroy(place->full);
	rondo_channel_destroy(place->stopped);
	rondo_channel_destroy(place->crossing);
	rondo_channel_destroy(place->large);
	rondo_channel_destroy(place->monotonic);
	rondo_channel_destroy(place->touched);
	bench_floor_destroy(&place->floor);
	memset(place, 0, sizeof(*place));
}
