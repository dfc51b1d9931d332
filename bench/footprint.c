/* SPDX-License-Identifier: MIT */
/*
 * What recording takes in memory: pages of a channel, bytes and cache lines of
 * a record. Counted, not timed: every run says the same.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "setup.h"

#define CHANNELS 16 /* created to see what a process keeps of one */
#define RECORDS 1000u
#define LINE 64u

enum {
	LAYOUT_RING,
	LAYOUT_RING_64,
	LAYOUT_RING_1024,
	LAYOUT_CHANNEL,
	RESIDENT_NEW,
	RESIDENT_ONE,
	RESIDENT_ONE_DATA,
	RESIDENT_LAP,
	RESIDENT_LAP_DATA,
	PROCESS,
	BYTES_8,
	BYTES_16,
	BYTES_32,
	BYTES_64,
	BYTES_256,
	BYTES_LARGE_16,
	BYTES_SUBBUF,
	LINES_CONTROL,
	LINES_DATA,
	LINES_CROSSING,
	CASES,
};

static double count_of[CASES];

/* A channel's memory, mapped a second time. */
struct mapped {
	struct rondo_channel *channel;
	char *memory;
	uint64_t bytes;
	const struct rondo_superblock *block;
};

static uint64_t page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static int map_channel(const struct rondo_config *config, uint32_t bytes,
		       struct mapped *out)
{
	if (bench_channel(config, "footprint", bytes, &out->channel))
		return 1;
	out->memory = mmap(NULL, page_bytes(), PROT_READ, MAP_SHARED,
			   rondo_channel_fd(out->channel), 0);
	if (out->memory == MAP_FAILED)
		return bench_fail("cannot map a channel");
	out->block = (const struct rondo_superblock *)(void *)out->memory;
	out->bytes = out->block->total_bytes;
	munmap(out->memory, page_bytes());
	out->memory = mmap(NULL, out->bytes, PROT_READ, MAP_SHARED,
			   rondo_channel_fd(out->channel), 0);
	if (out->memory == MAP_FAILED)
		return bench_fail("cannot map a channel");
	out->block = (const struct rondo_superblock *)(void *)out->memory;
	return 0;
}

static void unmap_channel(struct mapped *mapped)
{
	munmap(mapped->memory, mapped->bytes);
	rondo_channel_destroy(mapped->channel);
}

static unsigned record(struct mapped *mapped, uint64_t count, unsigned words)
{
	unsigned done = 0;

	for (uint64_t i = 0; i < count; i++)
		done += bench_record(mapped->channel, words, i, i ^ BENCH_MIX);
	return done;
}

/* ---- pages ---- */

/* Pages of the memory between two offsets, those that exist. */
static uint64_t resident(const struct mapped *mapped, uint64_t from,
			 uint64_t to)
{
	const uint64_t count = (to - from) / page_bytes();
	unsigned char *there = bench_allocate(count + 1, 1);
	uint64_t sum = 0;

	if (mincore(mapped->memory + from, to - from, there) == 0)
		for (uint64_t i = 0; i < count; i++)
			sum += there[i] & 1;
	free(there);
	return sum;
}

/* Its control page, and its tables where these do not fit in there. What
 * follows up to the page sets is a hole that nobody touches. */
static double pages_of_ring(const struct rondo_superblock *block)
{
	const uint64_t control = UINT64_C(1) << RONDO_RING_SHIFT;
	uint64_t bytes = control;

	if (block->tables_offset >=
	    block->rings_offset + block->ring_count * control)
		bytes += block->tables_stride;
	return (double)bytes / (double)page_bytes();
}

static int count_layout(uint32_t subbufs, size_t into)
{
	const struct rondo_config config = {
		.subbuf_bytes = 4096,
		.subbuf_count = subbufs,
		.flags = RONDO_OVERWRITE,
	};
	struct mapped mapped;

	if (map_channel(&config, 16, &mapped))
		return 1;
	count_of[into] = pages_of_ring(mapped.block);
	unmap_channel(&mapped);
	return 0;
}

static int count_resident(void)
{
	const struct rondo_config config = {.flags = RONDO_OVERWRITE};
	struct mapped mapped;
	uint64_t lap, data;

	if (map_channel(&config, 16, &mapped))
		return 1;
	data = mapped.block->pages_offset;
	lap = mapped.block->subbuf_bytes * (mapped.block->subbuf_count + 1) /
	      24;
	count_of[LAYOUT_RING] = pages_of_ring(mapped.block);
	count_of[LAYOUT_CHANNEL] =
		(double)resident(&mapped, 0, mapped.block->rings_offset);
	count_of[RESIDENT_NEW] = (double)resident(&mapped, 0, mapped.bytes);
	record(&mapped, 1, 2);
	count_of[RESIDENT_ONE] = (double)resident(&mapped, 0, data);
	count_of[RESIDENT_ONE_DATA] =
		(double)resident(&mapped, data, mapped.bytes);
	record(&mapped, lap, 2);
	count_of[RESIDENT_LAP] = (double)resident(&mapped, 0, data);
	count_of[RESIDENT_LAP_DATA] =
		(double)resident(&mapped, data, mapped.bytes);
	unmap_channel(&mapped);
	return 0;
}

/* Anonymous memory of this process, KiB. */
static double anonymous_kib(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	unsigned long long kib = 0;
	char line[256];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Anonymous: %llu kB", &kib) == 1)
			break;
	fclose(file);
	return (double)kib;
}

static int count_process(void)
{
	const struct rondo_config config = {.subbuf_bytes = 4096};
	struct rondo_channel *channels[CHANNELS] = {NULL};
	int status = 0;
	double before;

	anonymous_kib(); /* its own buffers */
	before = anonymous_kib();
	for (int i = 0; i < CHANNELS && !status; i++)
		status = bench_channel(&config, "process", 16, &channels[i]);
	count_of[PROCESS] = (anonymous_kib() - before) / CHANNELS;
	for (int i = 0; i < CHANNELS; i++)
		rondo_channel_destroy(channels[i]);
	return status;
}

/* ---- bytes ---- */

static int count_bytes(unsigned words, uint32_t record_max, size_t into)
{
	const struct rondo_config config = {
		.flags = RONDO_OVERWRITE,
		.subbuf_bytes = UINT64_C(1) << 20,
		.record_max = record_max,
	};
	struct rondo_channel *channel;
	struct rondo_stats stats;
	uint32_t payload = 8 * words;

	if (bench_channel(&config, "bytes", payload < 16 ? 16 : payload,
			  &channel))
		return 1;
	for (uint64_t i = 0; i < RECORDS; i++) {
		struct rondo_record one;

		if (rondo_reserve(channel, BENCH_ID, payload, &one))
			return bench_fail("refused");
		memset(one.data, 1, payload);
		rondo_commit(&one);
	}
	rondo_channel_stats(channel, &stats);
	count_of[into] = (double)stats.open_bytes / RECORDS;
	rondo_channel_destroy(channel);
	return 0;
}

/* ---- cache lines ---- */

static uint64_t count_changed(const char *now, const char *before,
			      uint64_t from, uint64_t to)
{
	uint64_t lines = 0;

	for (uint64_t at = from; at < to; at += LINE)
		lines += memcmp(now + at, before + at, LINE) != 0;
	return lines;
}

struct lines {
	uint64_t control, data, plain;
	uint64_t crossing, crossings;
};

static void count_one(struct mapped *mapped, char *before, uint64_t i,
		      struct lines *sum)
{
	const uint64_t data_at = mapped->block->pages_offset;
	struct rondo_stats was, is;
	uint64_t control, data;

	rondo_channel_stats(mapped->channel, &was);
	memcpy(before, mapped->memory, mapped->bytes);
	bench_record(mapped->channel, 2, i, i ^ BENCH_MIX);
	control = count_changed(mapped->memory, before, 0, data_at);
	data = count_changed(mapped->memory, before, data_at, mapped->bytes);
	rondo_channel_stats(mapped->channel, &is);
	if (is.delivered != was.delivered) {
		sum->crossings++;
		sum->crossing += control + data;
	} else {
		sum->plain++;
		sum->control += control;
		sum->data += data;
	}
}

static int count_lines(void)
{
	const struct rondo_config config = {
		.flags = RONDO_OVERWRITE,
		.subbuf_bytes = 4096,
		.subbuf_count = 4,
	};
	struct lines sum = {0};
	struct mapped mapped;
	char *before;

	if (map_channel(&config, 16, &mapped))
		return 1;
	before = bench_allocate(mapped.bytes, 1);
	/* Some crossings, so that there are counters to change. */
	record(&mapped, RECORDS, 2);
	for (uint64_t i = RECORDS; i < 2 * RECORDS; i++)
		count_one(&mapped, before, i, &sum);
	count_of[LINES_CONTROL] = (double)sum.control / (double)sum.plain;
	count_of[LINES_DATA] = (double)sum.data / (double)sum.plain;
	count_of[LINES_CROSSING] = (double)sum.crossing / (double)sum.crossings;
	free(before);
	unmap_channel(&mapped);
	return sum.plain && sum.crossings ? 0 : bench_fail("no records");
}

/* ---- cases ---- */

static double sample(struct bench_case *one)
{
	return *(const double *)one->context;
}

static struct bench_case cases[CASES];

#define CASE(i, k, n, u)         \
	[i] = {.key = k,         \
	       .name = n,        \
	       .unit = u,        \
	       .sample = sample, \
	       .context = &count_of[i]}

static struct bench_case cases[CASES] = {
	CASE(LAYOUT_RING, "ring", "a ring beside its sub-buffers", "pages"),
	CASE(LAYOUT_RING_64, "ring-64", "  of 64 sub-buffers", "pages"),
	CASE(LAYOUT_RING_1024, "ring-1024", "  of 1024", "pages"),
	CASE(LAYOUT_CHANNEL, "channel", "a channel's own, that are there",
	     "pages"),
	CASE(RESIDENT_NEW, "resident-new", "there: after creation", "pages"),
	CASE(RESIDENT_ONE, "resident-one", "  after a record, no data",
	     "pages"),
	CASE(RESIDENT_ONE_DATA, "resident-one-data", "    data", "pages"),
	CASE(RESIDENT_LAP, "resident-lap", "  after a lap, no data", "pages"),
	CASE(RESIDENT_LAP_DATA, "resident-lap-data", "    data", "pages"),
	CASE(PROCESS, "process", "kept of a channel by the process", "KiB"),
	CASE(BYTES_8, "bytes-8", "a record of 8 B in the ring", "B"),
	CASE(BYTES_16, "bytes-16", "  of 16 B", "B"),
	CASE(BYTES_32, "bytes-32", "  of 32 B", "B"),
	CASE(BYTES_64, "bytes-64", "  of 64 B", "B"),
	CASE(BYTES_256, "bytes-256", "  of 256 B", "B"),
	CASE(BYTES_LARGE_16, "bytes-large-16",
	     "  of 16 B where up to 4096 may be", "B"),
	CASE(BYTES_SUBBUF, "bytes-subbuf", "before the first of a sub-buffer",
	     "B"),
	CASE(LINES_CONTROL, "lines-control",
	     "lines written for 16 B: the ring's", "lines"),
	CASE(LINES_DATA, "lines-data", "  of the record", "lines"),
	CASE(LINES_CROSSING, "lines-crossing", "  when it crosses, all",
	     "lines"),
};

static const struct bench_target targets[] = {
	{.number = "19",
	 .text = "beside sub-buffers and spares, per ring",
	 .measure = BENCH_TIME,
	 .of = &cases[LAYOUT_RING],
	 .limit = 2},
};

static int count_all(void)
{
	count_of[BYTES_SUBBUF] = RONDO_PACKET_BYTES;
	return count_resident() || count_layout(64, LAYOUT_RING_64) ||
	       count_layout(1024, LAYOUT_RING_1024) || count_process() ||
	       count_bytes(1, 0, BYTES_8) || count_bytes(2, 0, BYTES_16) ||
	       count_bytes(4, 0, BYTES_32) || count_bytes(8, 0, BYTES_64) ||
	       count_bytes(32, 0, BYTES_256) ||
	       count_bytes(2, 4096, BYTES_LARGE_16) || count_lines();
}

int main(int argc, char **argv)
{
	struct bench bench = {
		.name = "footprint",
		.question = "What does recording take in memory?",
		.help = "Of a channel with the defaults (8 sub-buffers "
			"of 256 KiB, 1 spare) where\nnothing else is "
			"said. There: pages that exist, by mincore. "
			"Lines: of 64 bytes,\nthose whose bytes a "
			"record changed. Beside those a record touches "
			"the first\nline of the channel's handle, the "
			"thread's rseq area, the descriptors of two\n"
			"sequences (32 bytes each), its stack and code.",
		.heading = "what it takes",
		.cases = cases,
		.case_count = CASES,
		.targets = targets,
		.target_count = sizeof(targets) / sizeof(targets[0]),
	};
	int status = bench_options(&bench, argc, argv);

	if (status >= 0)
		return status;
	bench.repetitions = 1;
	bench.bursts = 1;
	status = count_all();
	if (status)
		return status;
	bench_measure(&bench);
	status = bench_report(&bench);
	bench_end(&bench);
	return status;
}
