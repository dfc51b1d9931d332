/* SPDX-License-Identifier: MIT */
/*
 * See setup.h.
 */
#include "setup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "readback.h"

#define CALIBRATION_NS 5000000u
#define FLOOR_SLACK 4096 /* for the record that begins at the end */

static const char *const reasons[] = {
	[RONDO_MODE_RSEQ] = "restartable sequences",
	[RONDO_MODE_ASKED] = "atomics, as asked",
	[RONDO_MODE_ENVIRONMENT] = "atomics: RONDO_RSEQ=0",
	[RONDO_MODE_NOT_BUILT] = "atomics: no sequences in this build",
	[RONDO_MODE_UNREGISTERED] = "atomics: rseq is not registered",
	[RONDO_MODE_NO_MEMBARRIER] = "atomics: membarrier is refused",
	[RONDO_MODE_SELF_TEST] = "atomics: rseq failed its test",
};

static int add_class(struct rondo_channel *channel, uint32_t bytes)
{
	const struct rondo_field fields[] = {
		{.name = "a", .type = RONDO_FIELD_U64, .offset = 0},
		{.name = "b", .type = RONDO_FIELD_U64, .offset = 8},
		{.name = "rest",
		 .type = RONDO_FIELD_BYTES,
		 .offset = 16,
		 .count = bytes - 16},
	};
	const struct rondo_event_class event_class = {
		.size = sizeof(event_class),
		.name = "bench:record",
		.fields = fields,
		.field_count = bytes > 16 ? 3 : 2,
		.field_size = sizeof(fields[0]),
	};
	uint16_t id;
	int result = rondo_event_register(channel, &event_class, &id);

	return !result && id != BENCH_ID ? -EINVAL : result;
}

int bench_channel(const struct rondo_config *config, const char *name,
		  uint32_t bytes, struct rondo_channel **out)
{
	struct rondo_config named = *config;
	int result;

	named.size = sizeof(named);
	named.name = name;
	result = rondo_channel_create(&named, out);
	if (!result)
		result = add_class(*out, bytes);
	if (result)
		return bench_fail("channel %s: %s", name, strerror(-result));
	return 0;
}

int bench_describe(struct bench *bench, const struct rondo_channel *channel)
{
	static char line[160];
	struct rondo_stats stats;

	if (rondo_channel_stats(channel, &stats))
		return bench_fail("no statistics");
	if (stats.reason >= sizeof(reasons) / sizeof(reasons[0]))
		return bench_fail("unknown mode %u", stats.reason);
	bench->has_rseq = stats.reason == RONDO_MODE_RSEQ;
	snprintf(line, sizeof(line), "records by %s", reasons[stats.reason]);
	bench->modes = line;
	return 0;
}

/* A record that was interrupted while it was committed may leave a gap of the
 * size of a header, which counts as overwritten. */
int bench_all_there(const struct rondo_channel *channel, uint64_t calls,
		    uint32_t payload_bytes, uint64_t found_bytes)
{
	const uint64_t wanted =
		calls * bench_record_bytes(channel, payload_bytes);
	struct rondo_config config = {.size = sizeof(config)};
	struct rondo_stats stats;
	uint64_t all;

	if (rondo_channel_config(channel, &config) ||
	    rondo_channel_stats(channel, &stats))
		return bench_fail("no statistics");
	all = found_bytes + stats.overwritten_bytes;
	if (all < wanted || all > wanted + 16 * stats.late_commits)
		return bench_fail("%s: %" PRIu64 " bytes of records, %" PRIu64
				  " of them overwritten; not %" PRIu64,
				  config.name, all, stats.overwritten_bytes,
				  wanted);
	return 0;
}

double bench_ns_per_tick(void)
{
	static double ratio;
	uint64_t ns, ticks, passed;

	if (ratio > 0)
		return ratio;
	ns = bench_now_ns();
	ticks = bench_ticks_alone();
	do
		passed = bench_now_ns() - ns;
	while (passed < CALIBRATION_NS);
	ticks = bench_ticks_alone() - ticks;
	ratio = (double)passed / (double)ticks;
	return ratio;
}

int bench_floor_create(struct bench_floor *out)
{
	void *at = mmap(NULL, BENCH_FLOOR_BYTES + FLOOR_SLACK,
			PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (at == MAP_FAILED)
		return bench_fail("no memory for the floor");
	memset(at, 1, BENCH_FLOOR_BYTES + FLOOR_SLACK);
	*out = (struct bench_floor){.memory = at};
	return 0;
}

void bench_floor_destroy(struct bench_floor *floor)
{
	if (floor->memory)
		munmap(floor->memory, BENCH_FLOOR_BYTES + FLOOR_SLACK);
	floor->memory = NULL;
}

bool bench_is_filled(const struct rondo_item *item)
{
	const uint64_t *word = item->data;
	const uint32_t words = item->bytes / 8;

	if (words < 2 || word[1] != (word[0] ^ BENCH_MIX))
		return false;
	for (uint32_t i = 2; i < words; i++)
		if (word[i] != word[i & 1])
			return false;
	return true;
}
