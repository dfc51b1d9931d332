/* SPDX-License-Identifier: MIT */
/*
 * What tests/guard/run counts instructions of, under callgrind, and cache lines,
 * under lackey. valgrind offers no rseq, so the channel is given an area that
 * looks like one and always says CPU 0: the sequences then run as they do where
 * nobody interrupts them. Each function guard_* does its operation as often as
 * `calls` says; what is counted in it is the same in every run of one build.
 *
 * usage: guard [lines]   lines: few calls, a mark before and after each
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rondo/rondo.h>

#include "control.h"

#define CALLS 4096
#define TRACED 64	/* calls of which each is traced alone */
#define STACK (1 << 16) /* bytes, more than any operation needs */
#define GUARDED static __attribute__((noinline, used)) void

static uint64_t calls = CALLS;

/* A store to one of these says that an operation begins; to the last, that it
 * is over. The tracer is told where they are. */
static volatile char marks[16];

/* As struct rseq begins: cpu_id_start, cpu_id, rseq_cs. */
static __thread struct {
	uint32_t cpu_id_start;
	uint32_t cpu_id;
	uint64_t rseq_cs;
} area;

static const struct rondo_field fields[] = {
	{.name = "a", .type = RONDO_FIELD_U64, .offset = 0},
	{.name = "b", .type = RONDO_FIELD_U64, .offset = 8},
};
static const struct rondo_event_class event_class = {
	.size = sizeof(event_class),
	.name = "guard:pair",
	.fields = fields,
	.field_count = 2,
	.field_size = sizeof(fields[0]),
};

static struct rondo_channel *large, *small, *full, *stalled;
static struct rondo_consumer *consumer, *beside;
static uint16_t id;

/* Where this program's variables begin and end, by the linker. */
extern char __executable_start[], _end[];

/* The exported twins, by address: the header's inlines have the same names. */
int called_record(struct rondo_channel *channel, uint16_t event_id, uint64_t a);
int called_write(struct rondo_channel *channel, uint16_t event_id, uint64_t a);

/*
 * Instead of libc's: time does not pass, it is counted, a millisecond each call.
 * What a consumer looks at again hangs on it, and a machine may be slow.
 */
int clock_gettime(clockid_t clock, struct timespec *out)
{
	static int64_t ms;

	(void)clock;
	ms++;
	out->tv_sec = 1700000000 + ms / 1000;
	out->tv_nsec = ms % 1000 * 1000000;
	return 0;
}

static void fail(const char *what, int result)
{
	fprintf(stderr, "guard: %s: %d\n", what, result);
	exit(1);
}

static int32_t from_thread_pointer(const void *at)
{
	return (int32_t)((uint64_t)(uintptr_t)at - rondo_thread_pointer());
}

/* From atomic, which is all there is here, to rseq mode. */
static void pretend_rseq(struct rondo_channel *channel)
{
	struct rondo_control *control = channel->control;
	struct rondo_ring *ring = rondo_map_ring(&control->map, 0);

	channel->offsets.rseq = from_thread_pointer(&area);
	channel->offsets.id = from_thread_pointer(&area.cpu_id);
	channel->span = (control->map.subbuf_bytes - RONDO_TAIL_BYTES)
			<< RONDO_POSITION_SHIFT;
	control->reason = RONDO_MODE_RSEQ;
	control->by_id = true;
	control->clock_in_sequence = true;
	control->quick = true;
	ring->atomic_only = 0;
	ring->head = rondo_head_with_mode(ring->head, RONDO_HEAD_RSEQ);
}

static struct rondo_channel *make(uint64_t subbuf_bytes, uint32_t flags)
{
	struct rondo_config config = {
		.size = sizeof(config),
		.subbuf_bytes = subbuf_bytes,
		.flags = flags,
	};
	struct rondo_channel *channel;
	int result = rondo_channel_create(&config, &channel);

	if (result)
		fail("rondo_channel_create", result);
	pretend_rseq(channel);
	result = rondo_event_register(channel, &event_class, &id);
	if (result)
		fail("rondo_event_register", result);
	return channel;
}

static inline __attribute__((always_inline)) int
record(struct rondo_channel *channel, uint32_t bytes, uint64_t a)
{
	struct rondo_record record;
	int result = rondo_reserve(channel, id, bytes, &record);
	uint64_t *data = record.data;

	if (result)
		return result;
	data[0] = a;
	data[1] = a;
	return rondo_commit(&record);
}

GUARDED guard_inline(void)
{
	for (uint64_t i = 0; i < calls; i++)
		if (record(large, 16, i))
			fail("inline", 0);
}

GUARDED guard_calls(void)
{
	for (uint64_t i = 0; i < calls; i++)
		if (called_record(large, id, i))
			fail("calls", 0);
}

GUARDED guard_write_inline(void)
{
	for (uint64_t i = 0; i < calls; i++) {
		uint64_t pair[2] = {i, i};

		if (rondo_write(large, id, pair, sizeof(pair)))
			fail("write", 0);
	}
}

GUARDED guard_write_calls(void)
{
	for (uint64_t i = 0; i < calls; i++)
		if (called_write(large, id, i))
			fail("write by a call", 0);
}

/* Whose lengths no compiler sees. */
static char bytes[64];
struct iovec pieces[3] = {{bytes, 4}, {bytes + 4, 20}, {bytes + 24, 40}};

GUARDED guard_gather(void)
{
	for (uint64_t i = 0; i < calls; i++)
		if (rondo_writev(large, id, pieces, 3))
			fail("gather", 0);
}

/* Each record needs a sub-buffer of its own. */
GUARDED guard_crossing(void)
{
	for (uint64_t i = 0; i < calls; i++)
		if (record(small, 2032, i))
			fail("crossing", 0);
}

GUARDED guard_refused(void)
{
	for (uint64_t i = 0; i < calls; i++)
		if (record(full, 16, i) != -ENOBUFS)
			fail("refused", 0);
}

/* What is ready, as often as there is something. */
static inline __attribute__((always_inline)) void
take_all(struct rondo_consumer *from)
{
	struct rondo_view view;

	while (rondo_consumer_take(from, &view) == 0)
		if (rondo_consumer_release(from, &view))
			fail("release", 0);
}

GUARDED guard_take(void)
{
	take_all(consumer);
}

/* The same where two writers stall, and the head passes over them. */
GUARDED guard_take_beside(void)
{
	take_all(beside);
}

static void record_to_take(void)
{
	if (record(small, 2032, 1))
		fail("record to take", 0);
}

static void record_beside(void)
{
	if (record(stalled, 2032, 1))
		fail("record beside", 0);
}

/* Two sub-buffers with records that stay open, and copied out by now. */
static void stall_two(void)
{
	static struct rondo_record open[2];
	struct rondo_stats stats = {.quarantined = 0};

	for (int i = 0; i < 2; i++)
		if (rondo_reserve(stalled, id, 2032, &open[i]))
			fail("stall", i);
	/* Full at times, until the consumer's patience is at its end. */
	for (int i = 0; i < 1000 && stats.quarantined < 2; i++) {
		(void)record(stalled, 2032, 1);
		take_all(beside);
		rondo_channel_stats(stalled, &stats);
	}
	if (stats.quarantined != 2)
		fail("quarantine", (int)stats.quarantined);
}

/* ---- all of them ---- */

static void count_takes(const char *name, struct rondo_channel *channel,
			void (*before)(void), void (*guarded)(void))
{
	struct rondo_stats first, last;

	rondo_channel_stats(channel, &first);
	for (int i = 0; i < CALLS / 4; i++) {
		for (int k = 0; k < 4; k++)
			before();
		guarded();
	}
	rondo_channel_stats(channel, &last);
	printf("%s %llu\n", name,
	       (unsigned long long)(last.taken - first.taken));
}

static void count_instructions(void)
{
	printf("calls %d\n", CALLS);
	guard_inline();
	guard_calls();
	guard_write_inline();
	guard_write_calls();
	guard_gather();
	guard_crossing();
	guard_refused();
	count_takes("take", small, record_to_take, guard_take);
	count_takes("take_beside", stalled, record_beside, guard_take_beside);
}

static const struct {
	const char *name;
	void (*guarded)(void);
	void (*before)(void); /* each, or NULL */
} traced[] = {
	{"inline", guard_inline, NULL},
	{"calls", guard_calls, NULL},
	{"write_inline", guard_write_inline, NULL},
	{"write_calls", guard_write_calls, NULL},
	{"crossing", guard_crossing, NULL},
	{"refused", guard_refused, NULL},
	{"take", guard_take, record_to_take},
	{"take_beside", guard_take_beside, record_beside},
	{"gather", guard_gather, NULL},
};
#define OPERATIONS (sizeof(traced) / sizeof(traced[0]))

/*
 * The first lap is not traced: it writes what stays as it is. The stack, hot
 * everywhere, and this program's own variables do not count.
 */
static void trace_lines(void)
{
	const char *frame = __builtin_frame_address(0);

	printf("skip %p %p\nskip %p %p\n", (const void *)(frame - STACK),
	       (const void *)(frame + STACK), (const void *)__executable_start,
	       (const void *)_end);
	printf("marks %p\nover %zu\n", (const void *)marks, OPERATIONS);
	for (size_t i = 0; i < OPERATIONS; i++)
		printf("mark %zu %s\n", i, traced[i].name);
	fflush(stdout);
	calls = 1;
	for (size_t i = 0; i < OPERATIONS; i++) {
		void (*const before)(void) = traced[i].before;
		void (*const guarded)(void) = traced[i].guarded;

		for (int k = 0; k < 2 * TRACED; k++) {
			if (before)
				before();
			if (k >= TRACED)
				marks[i] = 1;
			guarded();
			marks[OPERATIONS] = 1;
		}
	}
}

int main(int argc, char **argv)
{
	const bool lines = argc == 2 && strcmp(argv[1], "lines") == 0;
	int result;

	if (argc > 1 && !lines) {
		fprintf(stderr, "usage: guard [lines]\n");
		return 2;
	}
	large = make(256 * 1024, RONDO_OVERWRITE);
	small = make(4096, RONDO_OVERWRITE);
	full = make(4096, 0);
	while (record(full, 16, 0) == 0)
		continue;
	result = rondo_consumer_open(small, &consumer);
	stalled = make(4096, 0);
	if (!result)
		result = rondo_consumer_open(stalled, &beside);
	if (result)
		fail("rondo_consumer_open", result);
	stall_two();
	if (lines)
		trace_lines();
	else
		count_instructions();
	rondo_consumer_close(beside);
	rondo_consumer_close(consumer);
	rondo_channel_destroy(stalled);
	rondo_channel_destroy(large);
	rondo_channel_destroy(small);
	rondo_channel_destroy(full);
	return 0;
}
