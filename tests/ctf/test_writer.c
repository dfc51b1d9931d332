/* SPDX-License-Identifier: MIT */
/*
 * Traces, from records to what babeltrace2 prints of them. It must not warn,
 * but of losses that a test made, and those to the last one.
 */
#include "support/test.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include <rondo/rondo.h>

#include "control.h"
#include "map.h"
#include "support/process.h"
#include "support/trace.h"
#include "testpoint.h"

#define PLAIN "--clock-seconds --no-delta"
#define SECOND INT64_C(1000000000)

struct sample {
	uint64_t thread;
	uint64_t value;
};

static const struct rondo_field sample_fields[] = {
	{.name = "thread",
	 .type = RONDO_FIELD_U64,
	 .offset = offsetof(struct sample, thread)},
	{.name = "value",
	 .type = RONDO_FIELD_U64,
	 .offset = offsetof(struct sample, value)},
};

/* A channel with a class of samples, and a writer of it. */
struct fixture {
	struct rondo_channel *channel;
	struct rondo_writer *writer;
	char scratch[512];
	char directory[600]; /* of the trace, within scratch */
	uint16_t id;
};

static uint16_t add_class(struct rondo_channel *channel, const char *name,
			  const struct rondo_field *fields, uint32_t count)
{
	struct rondo_event_class event_class = {
		.size = sizeof(event_class),
		.loglevel = 6,
		.name = name,
		.fields = fields,
		.field_count = count,
		.field_size = sizeof(*fields),
	};
	uint16_t id;

	assert_int_equal(rondo_event_register(channel, &event_class, &id), 0);
	return id;
}

static void set_up_channel(struct fixture *fixture,
			   const struct rondo_config *config)
{
	assert_int_equal(rondo_channel_create(config, &fixture->channel), 0);
	fixture->id = add_class(fixture->channel, "t:sample", sample_fields,
				TEST_COUNT(sample_fields));
	fixture->writer = NULL;
	trace_scratch(fixture->scratch);
	snprintf(fixture->directory, sizeof(fixture->directory), "%s/trace",
		 fixture->scratch);
}

static void set_up(struct fixture *fixture, const struct rondo_config *config)
{
	set_up_channel(fixture, config);
	assert_int_equal(rondo_writer_open(fixture->channel, fixture->directory,
					   &fixture->writer),
			 0);
}

static void tear_down(struct fixture *fixture)
{
	assert_int_equal(rondo_channel_destroy(fixture->channel), 0);
	trace_remove(fixture->scratch);
}

static struct rondo_config small_config(uint32_t flags)
{
	return (struct rondo_config){
		.size = sizeof(struct rondo_config),
		.flags = flags,
		.subbuf_bytes = 4096,
		.subbuf_count = 4,
	};
}

/* One ring has them all: its thread does not move. */
static void pin(void)
{
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &set)) {
			CPU_ZERO(&set);
			CPU_SET(cpu, &set);
			break;
		}
	}
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

static int record(struct fixture *fixture, uint64_t thread, uint64_t value)
{
	const struct sample sample = {thread, value};

	return rondo_write(fixture->channel, fixture->id, &sample,
			   sizeof(sample));
}

static struct rondo_stats stats_of(const struct fixture *fixture)
{
	struct rondo_stats stats;

	assert_int_equal(rondo_channel_stats(fixture->channel, &stats), 0);
	return stats;
}

static uint64_t refused_of(const struct fixture *fixture)
{
	struct rondo_stats stats = stats_of(fixture);

	return stats.refused_records[0] + stats.refused_records[1] +
	       stats.refused_records[2];
}

/* The sum of N in "Tracer discarded N events" and the like. */
static uint64_t lost_by(const char *warnings, const char *what)
{
	static const char start[] = "Tracer discarded ";
	uint64_t sum = 0, number;
	char word[32];

	while ((warnings = strstr(warnings, start)) != NULL) {
		warnings += strlen(start);
		assert_int_equal(
			sscanf(warnings, "%" SCNu64 " %31s", &number, word), 2);
		if (!strncmp(word, what, strlen(what)))
			sum += number;
	}
	return sum;
}

/* Nothing but so many lost events and packets. Returns what was not lost. */
static char *read_with_losses(const char *directory, uint64_t events,
			      uint64_t packets)
{
	struct trace_text text = trace_read(directory, PLAIN);
	const char *line = text.warnings;

	assert_int_equal(lost_by(line, "event"), events);
	assert_int_equal(lost_by(line, "packet"), packets);
	while (*line) {
		size_t length = strcspn(line, "\n");

		if (strspn(line, " \n") < length &&
		    strncmp(line + strspn(line, " "),
			    "WARNING: Tracer discarded ", 26))
			fail_msg("babeltrace2 warns: %s", line);
		line += length + (line[length] == '\n');
	}
	free(text.warnings);
	return text.events;
}

/* Line by line: functions of the C library look for the end of all of it. */
static bool next_line(const char **text, char line[1024])
{
	const char *end = strchrnul(*text, '\n');

	if (!**text)
		return false;
	assert_in_range(end - *text, 0, 1023);
	memcpy(line, *text, (size_t)(end - *text));
	line[end - *text] = 0;
	*text = end + (*end == '\n');
	return true;
}

/* Values of a thread, in the order of the trace, are first, first + 1, ...
 * Gaps are no records of its. */
static uint64_t count_ascending(const char *events, uint64_t thread,
				uint64_t first)
{
	uint64_t count = 0, of, value;
	char line[1024], *at;

	while (next_line(&events, line)) {
		at = strstr(line, "{ thread = ");
		if (!at) {
			assert_non_null(strstr(line, " rondo:"));
			continue;
		}
		assert_int_equal(sscanf(at,
					"{ thread = %" SCNu64
					", value = %" SCNu64 " }",
					&of, &value),
				 2);
		if (of == thread)
			assert_int_equal(value, first + count++);
	}
	return count;
}

struct thread {
	struct fixture *fixture;
	uint64_t index;
	uint64_t count;
	uint64_t done;
	pthread_t thread;
};

static void *record_all(void *argument)
{
	struct thread *thread = argument;

	while (thread->done < thread->count) {
		int result =
			record(thread->fixture, thread->index, thread->done);

		if (!result)
			thread->done++;
		else
			sched_yield();
	}
	return NULL;
}

static void every_record_is_read_back_in_order(void **state)
{
	const struct rondo_config config = {.size = sizeof(config),
					    .subbuf_bytes = 16384,
					    .spare_count = 2};
	struct thread threads[3];
	struct rondo_writer_stats stats;
	struct fixture fixture;
	uint64_t refused;
	char *events;
	size_t i;

	(void)state;
	set_up(&fixture, &config);
	assert_int_equal(rondo_writer_start(fixture.writer), 0);
	for (i = 0; i < TEST_COUNT(threads); i++) {
		threads[i] = (struct thread){&fixture, i, 20000, 0, 0};
		pthread_create(&threads[i].thread, NULL, record_all,
			       &threads[i]);
	}
	for (i = 0; i < TEST_COUNT(threads); i++)
		pthread_join(threads[i].thread, NULL);
	refused = refused_of(&fixture);
	assert_int_equal(rondo_writer_stop(fixture.writer), 0);
	assert_int_equal(rondo_writer_stats(fixture.writer, &stats), 0);
	assert_int_equal(stats.write_errors, 0);
	assert_int_equal(stats.malformed, 0);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	events = read_with_losses(fixture.directory, refused, 0);
	for (i = 0; i < TEST_COUNT(threads); i++)
		assert_int_equal(count_ascending(events, i, 0), 20000);
	free(events);
	tear_down(&fixture);
}

static void refused_records_are_discarded_events_to_the_last(void **state)
{
	const struct rondo_config config = small_config(0);
	struct fixture fixture;
	uint64_t good = 0;
	char *events;
	int i, round;

	(void)state;
	pin();
	set_up(&fixture, &config);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 1500; i++)
			good += !record(&fixture, 0, good);
		if (round < 2)
			assert_true(rondo_writer_step(fixture.writer, 0) > 0);
	}
	assert_int_equal(good + refused_of(&fixture), 4500);
	assert_in_range(refused_of(&fixture), 2000, 4499);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	events = read_with_losses(fixture.directory, refused_of(&fixture), 0);
	assert_int_equal(count_ascending(events, 0, 0), good);
	free(events);
	tear_down(&fixture);
}

static void a_recording_of_nothing_but_refusals_says_so(void **state)
{
	const struct rondo_config config = small_config(0);
	static const char large[2033];
	struct fixture fixture;
	char *events;
	int i;

	(void)state;
	set_up(&fixture, &config);
	for (i = 0; i < 7; i++)
		assert_int_equal(rondo_write(fixture.channel, fixture.id, large,
					     sizeof(large)),
				 -EMSGSIZE);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	events = read_with_losses(fixture.directory, 7, 0);
	assert_string_equal(events, "");
	free(events);
	tear_down(&fixture);
}

static void what_was_lost_before_the_writer_is_not_its_loss(void **state)
{
	const struct rondo_config config = small_config(0);
	static const char large[2033];
	struct fixture fixture;
	char *events;

	(void)state;
	set_up_channel(&fixture, &config);
	rondo_write(fixture.channel, fixture.id, large, sizeof(large));
	assert_int_equal(rondo_writer_open(fixture.channel, fixture.directory,
					   &fixture.writer),
			 0);
	assert_int_equal(record(&fixture, 0, 0), 0);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	events = read_with_losses(fixture.directory, 0, 0);
	assert_int_equal(count_ascending(events, 0, 0), 1);
	free(events);
	tear_down(&fixture);
}

static void what_was_overwritten_before_the_writer_is_not_its_loss(void **state)
{
	const struct rondo_config config = small_config(RONDO_OVERWRITE);
	struct fixture fixture;
	uint64_t value;
	char *events;

	(void)state;
	pin();
	set_up_channel(&fixture, &config);
	for (value = 0; value < 2000; value++)
		assert_int_equal(record(&fixture, 0, value), 0);
	assert_in_range(stats_of(&fixture).overwritten, 2, 100);
	assert_int_equal(rondo_writer_open(fixture.channel, fixture.directory,
					   &fixture.writer),
			 0);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	events = trace_read_clean(fixture.directory, PLAIN);
	assert_int_equal(trace_count(events, "value = 1999 }"), 1);
	free(events);
	tear_down(&fixture);
}

static void overwritten_sub_buffers_are_lost_packets(void **state)
{
	const struct rondo_config config = small_config(RONDO_OVERWRITE);
	struct fixture fixture;
	struct rondo_stats stats;
	uint64_t value;
	char *events, *last;
	int round;

	(void)state;
	pin();
	set_up(&fixture, &config);
	for (round = 0, value = 0; round < 3; round++) {
		while (value < 2000 * (round + 1u))
			assert_int_equal(record(&fixture, 0, value++), 0);
		if (round < 2)
			assert_true(rondo_writer_step(fixture.writer, 0) > 0);
	}
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	stats = stats_of(&fixture);
	assert_in_range(stats.overwritten, 10, 100);
	events = read_with_losses(fixture.directory, 0, stats.overwritten);
	last = strrchr(events, '=');
	assert_non_null(last);
	assert_int_equal(strtoull(last + 1, NULL, 10), value - 1);
	free(events);
	tear_down(&fixture);
}

static void a_trace_can_be_read_at_any_moment(void **state)
{
	const struct rondo_config config = small_config(0);
	struct fixture fixture;
	uint64_t value = 0;
	char name[32], *events;
	int round, i;

	(void)state;
	set_up(&fixture, &config);
	for (round = 0; round < 5; round++) {
		/* A class that no metadata has seen, used at once. */
		snprintf(name, sizeof(name), "t:round%d", round);
		fixture.id = add_class(fixture.channel, name, sample_fields,
				       TEST_COUNT(sample_fields));
		for (i = 0; i < 100; i++)
			assert_int_equal(record(&fixture, 0, value++), 0);
		rondo_channel_flush(fixture.channel);
		assert_true(rondo_writer_step(fixture.writer, 0) > 0);
		events = trace_read_clean(fixture.directory, PLAIN);
		assert_int_equal(count_ascending(events, 0, 0), value);
		assert_int_equal(trace_count(events, name), 100);
		free(events);
	}
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	events = trace_read_clean(fixture.directory, PLAIN);
	assert_int_equal(count_ascending(events, 0, 0), value);
	free(events);
	tear_down(&fixture);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

static void record_between(struct fixture *fixture, uint64_t value,
			   int64_t around[2])
{
	around[0] = now_ns();
	assert_int_equal(record(fixture, 0, value), 0);
	around[1] = now_ns();
}

/* The time that the trace has for the n-th record. */
static int64_t time_in(const char *events, unsigned n)
{
	int64_t seconds, ns;

	while (n--)
		events = strchr(events, '\n') + 1;
	assert_int_equal(
		sscanf(events, "[%" SCNd64 ".%" SCNd64 "]", &seconds, &ns), 2);
	return seconds * SECOND + ns;
}

/* What the wall clock may be adjusted by meanwhile, and more than a slow machine
 * misreads it by. A second that is wrong by a thousandth shows. */
#define SLACK_NS 100000

static void times_are_wall_time(uint32_t clock)
{
	const struct rondo_config config = {.size = sizeof(config),
					    .clock = clock};
	int64_t first[2], last[2];
	struct fixture fixture;
	char *events;

	set_up(&fixture, &config);
	record_between(&fixture, 0, first);
	usleep(300000);
	record_between(&fixture, 1, last);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	events = trace_read_clean(fixture.directory, PLAIN);
	assert_int_equal(trace_count(events, "\n"), 2);
	assert_in_range(time_in(events, 0), first[0] - SLACK_NS,
			first[1] + SLACK_NS);
	assert_in_range(time_in(events, 1), last[0] - SLACK_NS,
			last[1] + SLACK_NS);
	free(events);
	tear_down(&fixture);
}

static void a_record_has_the_wall_time_of_its_making(void **state)
{
	(void)state;
	times_are_wall_time(RONDO_CLOCK_FASTEST);
	times_are_wall_time(RONDO_CLOCK_MONOTONIC);
	times_are_wall_time(RONDO_CLOCK_REALTIME);
}

static void a_trace_without_a_clock_keeps_its_order(void **state)
{
	const struct rondo_config config = {.size = sizeof(config),
					    .clock = RONDO_CLOCK_NONE};
	struct fixture fixture;
	uint64_t value;
	char *events;

	(void)state;
	pin();
	set_up(&fixture, &config);
	for (value = 0; value < 100; value++)
		assert_int_equal(record(&fixture, 0, value), 0);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	events = trace_read_clean(fixture.directory, PLAIN);
	assert_int_equal(count_ascending(events, 0, 0), 100);
	free(events);
	tear_down(&fixture);
}

static void large_records_are_read_back(void **state)
{
	static const struct rondo_field fields[] = {
		{.name = "length", .type = RONDO_FIELD_U32},
		{.name = "text", .type = RONDO_FIELD_STRING, .offset = 4},
	};
	const struct rondo_config config = {.size = sizeof(config),
					    .record_max = 40000};
	struct rondo_record room = {0};
	struct fixture fixture;
	uint32_t length;
	char *events;
	uint16_t id;

	(void)state;
	set_up(&fixture, &config);
	id = add_class(fixture.channel, "t:large", fields, 2);
	for (length = 1; length < 39000; length += 997) {
		assert_int_equal(rondo_reserve(fixture.channel, id, length + 5,
					       &room),
				 0);
		memcpy(room.data, &length, 4);
		memset((char *)room.data + 4, 'x', length);
		((char *)room.data)[4 + length] = 0;
		assert_int_equal(rondo_commit(&room), 0);
	}
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	events = trace_read_clean(fixture.directory, PLAIN);
	assert_int_equal(trace_count(events, "t:large"), 40);
	free(events);
	tear_down(&fixture);
}

/* ---- records that are not what their class says ---- */

static void the_padding_of_a_c_struct_is_no_record(void **state)
{
	struct padded {
		uint64_t first;
		uint32_t second;
	} value = {1, 2};
	static const struct rondo_field fields[] = {
		{.name = "first", .type = RONDO_FIELD_U64},
		{.name = "second", .type = RONDO_FIELD_U32, .offset = 8},
	};
	const struct rondo_config config = small_config(0);
	struct rondo_writer_stats stats;
	struct fixture fixture;
	char *events;
	uint16_t id;
	int i;

	(void)state;
	set_up(&fixture, &config);
	id = add_class(fixture.channel, "t:padded", fields, 2);
	for (i = 0; i < 10; i++) {
		assert_int_equal(rondo_write(fixture.channel, id, &value,
					     sizeof(value)),
				 0);
		assert_int_equal(rondo_write(fixture.channel, id, &value, 12),
				 0);
		if (i % 2)
			assert_int_equal(rondo_write(fixture.channel, id,
						     &value, sizeof(value)),
					 0);
		rondo_channel_flush(fixture.channel);
		rondo_writer_step(fixture.writer, 0);
	}
	assert_int_equal(rondo_writer_stats(fixture.writer, &stats), 0);
	assert_int_equal(stats.malformed, 0);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	events = trace_read_clean(fixture.directory, PLAIN);
	assert_int_equal(trace_count(events, "{ first = 1, second = 2 }"), 25);
	free(events);
	tear_down(&fixture);
}

static void mistake_sizes(uint32_t record_max)
{
	static const struct rondo_field text_field[] = {
		{.name = "text", .type = RONDO_FIELD_STRING}};
	struct rondo_config config = small_config(0);
	struct rondo_writer_stats stats;
	struct fixture fixture;
	const char zero[64] = "";
	unsigned wrong;
	char *events;
	uint16_t text;

	config.record_max = record_max;
	config.subbuf_bytes = 16384;
	set_up(&fixture, &config);
	text = add_class(fixture.channel, "t:text", text_field, 1);
	for (uint32_t bytes = 0; bytes <= sizeof(zero); bytes += 4) {
		assert_int_equal(rondo_write(fixture.channel, fixture.id, zero,
					     bytes),
				 0);
		assert_int_equal(record(&fixture, 7, bytes), 0);
		/* No NUL in it. */
		assert_int_equal(
			rondo_write(fixture.channel, text, "abcdefgh", 8), 0);
	}
	rondo_channel_flush(fixture.channel);
	assert_int_equal(rondo_writer_step(fixture.writer, 0), 1);
	assert_int_equal(rondo_writer_stats(fixture.writer, &stats), 0);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	events = trace_read_clean(fixture.directory, PLAIN);
	assert_int_equal(trace_count(events, "{ thread = 7, value = "), 17);
	/* Compact headers do not tell 12 bytes from 16. */
	wrong = record_max == 2032 ? 15 + 17 : 16 + 17;
	assert_int_equal(stats.malformed, wrong);
	assert_int_equal(trace_count(events, "{ thread = 0, value = 0 }"),
			 34 - wrong);
	assert_int_equal(trace_count(events, "t:text"), 0);
	free(events);
	tear_down(&fixture);
}

static void records_of_a_wrong_size_do_not_harm_the_others(void **state)
{
	(void)state;
	mistake_sizes(2032);
	mistake_sizes(4096);
}

/* ---- out of turn ---- */

static void what_comes_out_of_turn_is_read_too(void **state)
{
	struct rondo_config config = small_config(0);
	struct rondo_writer_stats stats;
	struct rondo_record stalled[3];
	struct fixture fixture;
	uint64_t value = 0;
	char *events;
	int round, i;

	(void)state;
	pin();
	config.stall_ms = 1;
	config.subbuf_count = 8;
	set_up(&fixture, &config);
	for (round = 0; round < 3; round++) {
		assert_int_equal(rondo_reserve(fixture.channel, fixture.id, 16,
					       &stalled[round]),
				 0);
		for (i = 0; i < 400; i++)
			assert_int_equal(record(&fixture, 0, value++), 0);
		rondo_channel_flush(fixture.channel);
		do {
			assert_true(rondo_writer_step(fixture.writer,
						      SECOND / 100) >= 0);
			rondo_writer_stats(fixture.writer, &stats);
		} while (stats.late_packets <= (unsigned)round);
	}
	for (round = 0; round < 3; round++) {
		memset(stalled[round].data, 0, 16);
		rondo_commit(&stalled[round]);
	}
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	events = trace_read_clean(fixture.directory, PLAIN);
	assert_int_equal(count_ascending(events, 0, 0), value);
	free(events);
	/* In turn among themselves, they need no more than one file. */
	assert_int_equal(trace_shell("test \"$(ls '%s' | grep -c late)\" = 1",
				     fixture.directory),
			 0);
	tear_down(&fixture);
}

/* ---- snapshots ---- */

static void *record_on(void *argument)
{
	struct thread *thread = argument;

	while (!__atomic_load_n(&thread->count, __ATOMIC_RELAXED))
		if (!record(thread->fixture, thread->index, thread->done))
			thread->done++;
	return NULL;
}

static void a_snapshot_is_taken_while_producers_run(void **state)
{
	struct rondo_config config = small_config(RONDO_OVERWRITE);
	struct thread threads[2];
	struct fixture fixture;
	struct trace_text text;
	char directory[700];
	uint64_t enough;
	int round, packets[4];
	size_t i;

	(void)state;
	config.subbuf_bytes = 16384;
	config.spare_count = 4;
	set_up_channel(&fixture, &config);
	for (i = 0; i < TEST_COUNT(threads); i++) {
		threads[i] = (struct thread){&fixture, i, 0, 0, 0};
		pthread_create(&threads[i].thread, NULL, record_on,
			       &threads[i]);
	}
	for (round = 0; round < 4; round++) {
		snprintf(directory, sizeof(directory), "%s.%d",
			 fixture.directory, round);
		enough = stats_of(&fixture).delivered + 20;
		while (stats_of(&fixture).delivered < enough)
			sched_yield();
		packets[round] = rondo_snapshot(fixture.channel, directory);
	}
	for (i = 0; i < TEST_COUNT(threads); i++) {
		__atomic_store_n(&threads[i].count, 1, __ATOMIC_RELAXED);
		pthread_join(threads[i].thread, NULL);
	}
	for (round = 0; round < 4; round++) {
		/* Up to where the heads were, and perhaps one that came then. */
		assert_in_range(packets[round], 1,
				5 * stats_of(&fixture).rings);
		snprintf(directory, sizeof(directory), "%s.%d",
			 fixture.directory, round);
		text = trace_read(directory, PLAIN);
		assert_true(trace_count(text.events, "t:sample") > 0);
		assert_int_equal(trace_count(text.warnings, "WARNING"),
				 trace_count(text.warnings, "discarded"));
		trace_free(&text);
	}
	tear_down(&fixture);
}

static void a_snapshot_of_a_quiet_recorder_has_all_it_holds(void **state)
{
	const struct rondo_config config = small_config(RONDO_OVERWRITE);
	struct fixture fixture;
	struct trace_text text;
	uint64_t value;

	(void)state;
	pin();
	set_up_channel(&fixture, &config);
	for (value = 0; value < 5000; value++)
		assert_int_equal(record(&fixture, 0, value), 0);
	assert_in_range(rondo_snapshot(fixture.channel, fixture.directory), 3,
			4);
	text = trace_read(fixture.directory, PLAIN);
	assert_in_range(trace_count(text.events, "t:sample"), 450, 700);
	assert_int_equal(trace_count(text.events, "value = 4999 }"), 1);
	assert_int_equal(trace_count(text.events, " flags = 16, "),
			 trace_count(text.events, "t:sample"));
	trace_free(&text);
	/* It was taken, and the next one begins anew. */
	assert_int_equal(record(&fixture, 1, 0), 0);
	trace_remove(fixture.directory);
	assert_int_equal(rondo_snapshot(fixture.channel, fixture.directory), 1);
	text = trace_read(fixture.directory, PLAIN);
	assert_int_equal(trace_count(text.events, "t:sample"), 1);
	trace_free(&text);
	tear_down(&fixture);
}

/* A stream without records would say nothing: readers tell losses from one
 * packet to the next. */
static void a_snapshot_of_nothing_but_refusals_has_no_stream(void **state)
{
	const struct rondo_config config = small_config(RONDO_OVERWRITE);
	static const char large[2033];
	struct fixture fixture;

	(void)state;
	set_up_channel(&fixture, &config);
	assert_int_equal(rondo_write(fixture.channel, fixture.id, large,
				     sizeof(large)),
			 -EMSGSIZE);
	assert_int_equal(rondo_snapshot(fixture.channel, fixture.directory), 0);
	assert_int_equal(trace_shell("test \"$(ls -A '%s')\" = metadata",
				     fixture.directory),
			 0);
	tear_down(&fixture);
}

/* ---- trouble ---- */

static void a_directory_that_is_not_empty_is_refused(void **state)
{
	struct rondo_writer *writer = NULL, *other = NULL;
	struct fixture fixture;
	char missing[700];

	(void)state;
	set_up_channel(&fixture, NULL);
	snprintf(missing, sizeof(missing), "%s/no/trace", fixture.scratch);
	assert_int_equal(rondo_writer_open(fixture.channel, missing, &writer),
			 -ENOENT);
	assert_int_equal(rondo_writer_open(fixture.channel, "", &writer),
			 -ENOENT);
	trace_put(fixture.scratch, "file", "x", 1);
	assert_int_equal(rondo_writer_open(fixture.channel, fixture.scratch,
					   &writer),
			 -ENOTEMPTY);
	snprintf(missing, sizeof(missing), "%s/file", fixture.scratch);
	assert_int_equal(rondo_writer_open(fixture.channel, missing, &writer),
			 -ENOTDIR);
	assert_null(writer);
	assert_int_equal(rondo_writer_open(fixture.channel, fixture.directory,
					   &writer),
			 0);
	snprintf(missing, sizeof(missing), "%s/other", fixture.scratch);
	assert_int_equal(rondo_writer_open(fixture.channel, missing, &other),
			 -EBUSY);
	assert_int_equal(access(missing, F_OK), -1);
	assert_int_equal(rondo_channel_destroy(fixture.channel), -EBUSY);
	assert_int_equal(rondo_writer_close(writer), 0);
	assert_int_equal(rondo_writer_close(NULL), 0);
	tear_down(&fixture);
}

static void a_relative_directory_stays_where_it_was(void **state)
{
	const struct rondo_config config = {.size = sizeof(config),
					    .name = "../.a b/c"};
	struct fixture fixture;
	char before[4096], *events;

	(void)state;
	set_up_channel(&fixture, &config);
	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir(fixture.scratch), 0);
	assert_int_equal(rondo_writer_open(fixture.channel, "trace",
					   &fixture.writer),
			 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(record(&fixture, 0, 0), 0);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	assert_int_equal(chdir(before), 0);
	events = trace_read_clean(fixture.directory, PLAIN);
	assert_int_equal(count_ascending(events, 0, 0), 1);
	free(events);
	tear_down(&fixture);
}

static void a_recording_without_records_is_a_trace_without_streams(void **state)
{
	struct fixture fixture;
	char *events;

	(void)state;
	set_up(&fixture, NULL);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	assert_int_equal(trace_shell("test \"$(ls -A '%s')\" = metadata",
				     fixture.directory),
			 0);
	events = trace_read_clean(fixture.directory, PLAIN);
	assert_string_equal(events, "");
	free(events);
	tear_down(&fixture);
}

/* As daemons do; then their own files get the numbers. */
static int take_descriptors_away(const char *path, int files[1024])
{
	int count = 0;

	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	while (count < 700) {
		files[count] = open(path, O_RDWR | O_CREAT, 0600);
		assert_true(files[count] >= 0);
		count++;
	}
	return count;
}

static void a_program_may_close_our_descriptors(void **state)
{
	const struct rondo_config config = small_config(0);
	struct rlimit limit;
	struct fixture fixture;
	uint64_t value = 0;
	char path[700], *events;
	int files[1024], count, round, i;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < 1024)
		skip();
	set_up(&fixture, &config);
	snprintf(path, sizeof(path), "%s/victim", fixture.scratch);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 100; i++)
			assert_int_equal(record(&fixture, 0, value++), 0);
		rondo_channel_flush(fixture.channel);
		assert_true(rondo_writer_step(fixture.writer, 0) > 0);
		count = take_descriptors_away(path, files);
		for (i = 0; i < 10; i++)
			assert_int_equal(record(&fixture, 0, value++), 0);
		rondo_channel_flush(fixture.channel);
		assert_true(rondo_writer_step(fixture.writer, 0) > 0);
		for (i = 0; i < count; i++)
			assert_int_equal(close(files[i]), 0);
	}
	take_descriptors_away(path, files);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	for (i = 0; i < count; i++)
		assert_int_equal(close(files[i]), 0);
	assert_int_equal(trace_shell("test -e '%s' -a ! -s '%s'", path, path),
			 0);
	events = trace_read_clean(fixture.directory, PLAIN);
	assert_int_equal(count_ascending(events, 0, 0), value);
	free(events);
	tear_down(&fixture);
}

static void set_file_limit(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int step_with(struct fixture *fixture, uint64_t *value)
{
	for (int i = 0; i < 100; i++)
		assert_int_equal(record(fixture, 0, (*value)++), 0);
	rondo_channel_flush(fixture->channel);
	return rondo_writer_step(fixture->writer, 0);
}

static void a_file_size_limit_costs_packets_and_no_more(void **state)
{
	const struct rondo_config config = small_config(0);
	struct rondo_writer_stats stats;
	struct fixture fixture;
	uint64_t value = 0;
	char *events;

	(void)state;
	pin();
	set_up(&fixture, &config);
	set_file_limit(0);
	assert_int_equal(step_with(&fixture, &value), -EFBIG);
	/* Room for one more, empty, which tells of the first. */
	set_file_limit(8192);
	assert_int_equal(step_with(&fixture, &value), 1);
	assert_int_equal(step_with(&fixture, &value), -EFBIG);
	assert_int_equal(step_with(&fixture, &value), -EFBIG);
	set_file_limit(RLIM_INFINITY);
	assert_int_equal(step_with(&fixture, &value), 1);
	set_file_limit(4096);
	assert_int_equal(step_with(&fixture, &value), -EFBIG);
	set_file_limit(RLIM_INFINITY);
	rondo_writer_stats(fixture.writer, &stats);
	assert_int_equal(stats.packets, 2);
	assert_int_equal(stats.write_errors, 4);
	assert_int_equal(stats.last_error, -EFBIG);
	assert_int_equal(rondo_writer_close(fixture.writer), -EFBIG);
	events = read_with_losses(fixture.directory, 0, 4);
	assert_int_equal(trace_count(events, "t:sample"), 200);
	free(events);
	tear_down(&fixture);
}

/* A class that the metadata have no room for costs the packets behind it, which
 * are the first and the last here. */
static void packets_without_metadata_are_lost_packets(void **state)
{
	const struct rondo_config config = small_config(0);
	struct rondo_writer_stats stats;
	struct fixture fixture;
	uint64_t value = 0;
	char *events;

	(void)state;
	pin();
	set_up(&fixture, &config);
	add_class(fixture.channel, "t:first", NULL, 0);
	set_file_limit(0);
	assert_int_equal(step_with(&fixture, &value), -EFBIG);
	set_file_limit(RLIM_INFINITY);
	assert_int_equal(step_with(&fixture, &value), 1);
	add_class(fixture.channel, "t:last", NULL, 0);
	set_file_limit(0);
	assert_int_equal(step_with(&fixture, &value), -EFBIG);
	set_file_limit(RLIM_INFINITY);
	rondo_writer_stats(fixture.writer, &stats);
	assert_int_equal(stats.write_errors, 2);
	assert_int_equal(rondo_writer_close(fixture.writer), -EFBIG);
	events = read_with_losses(fixture.directory, 0, 2);
	assert_int_equal(trace_count(events, "t:sample"), 100);
	free(events);
	tear_down(&fixture);
}

/* For a child: a disk of its own for the trace. False: not allowed here. */
static bool set_up_on_small_disk(struct fixture *fixture)
{
	const struct rondo_config config = {.size = sizeof(config),
					    .subbuf_bytes = 16384};

	set_up_channel(fixture, &config);
	if (unshare(CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", fixture->scratch, "tmpfs", 0, "size=150k"))
		return false;
	assert_int_equal(rondo_writer_open(fixture->channel, fixture->directory,
					   &fixture->writer),
			 0);
	return true;
}

static int step_500(struct fixture *fixture)
{
	for (uint64_t value = 0; value < 500; value++)
		assert_int_equal(record(fixture, 0, value), 0);
	rondo_channel_flush(fixture->channel);
	return rondo_writer_step(fixture->writer, 0);
}

static int fill_the_disk(void)
{
	struct fixture fixture;
	unsigned good = 0;
	char *events;
	int result;

	if (!set_up_on_small_disk(&fixture))
		return TEST_SKIP;
	while ((result = step_500(&fixture)) > 0)
		good++;
	assert_int_equal(result, -ENOSPC);
	assert_int_equal(rondo_writer_close(fixture.writer), -ENOSPC);
	/* babeltrace2's output goes there too. */
	assert_int_equal(mount("none", fixture.scratch, "tmpfs", MS_REMOUNT,
			       "size=10m"),
			 0);
	events = trace_read(fixture.directory, PLAIN).events;
	assert_int_equal(trace_count(events, "t:sample"), good * 500);
	return 0;
}

/* What others wrote until there was no room. */
static void put_filler(const struct fixture *fixture)
{
	char path[700];

	snprintf(path, sizeof(path), "%s/filler", fixture->scratch);
	assert_int_not_equal(
		trace_shell("dd if=/dev/zero of='%s' bs=1k 2>'%s.err'", path,
			    path),
		0);
}

static void remove_filler(const struct fixture *fixture)
{
	assert_int_equal(trace_shell("rm '%s'/filler*", fixture->scratch), 0);
}

static bool has_empty_files(const struct fixture *fixture)
{
	return trace_shell("test -z \"$(find '%s' -size 0)\"",
			   fixture->directory) != 0;
}

static int start_on_a_full_disk(void)
{
	struct fixture fixture;

	if (!set_up_on_small_disk(&fixture))
		return TEST_SKIP;
	put_filler(&fixture);
	assert_int_equal(step_500(&fixture), -ENOSPC);
	assert_false(has_empty_files(&fixture));
	assert_int_equal(rondo_writer_close(fixture.writer), -ENOSPC);
	assert_false(has_empty_files(&fixture));
	return 0;
}

/* What babeltrace2 finds at this moment, of which nothing is lost. */
static uint64_t count_samples(const struct fixture *fixture)
{
	char other[512], copy[600];
	uint64_t count;
	char *events;

	trace_scratch(other);
	snprintf(copy, sizeof(copy), "%s/trace", other);
	assert_int_equal(
		trace_shell("cp -r '%s' '%s'", fixture->directory, copy), 0);
	events = trace_read_clean(copy, PLAIN);
	count = count_ascending(events, 0, 0);
	free(events);
	trace_remove(other);
	return count;
}

/* Full at the first packet; after some; and when a class is to be told. */
static int wait_for_room(void)
{
	struct rondo_writer_stats stats;
	struct fixture fixture;
	uint64_t value = 0, written = 0;

	if (!set_up_on_small_disk(&fixture))
		return TEST_SKIP;
	for (int round = 0; round < 3; round++) {
		put_filler(&fixture);
		if (round == 2)
			add_class(fixture.channel, "t:later", NULL, 0);
		/* The ring has room for it all. */
		for (int i = 0; i < 3; i++)
			assert_int_equal(step_with(&fixture, &value), -ENOSPC);
		if (round)
			assert_int_equal(count_samples(&fixture), written);
		remove_filler(&fixture);
		assert_int_equal(step_with(&fixture, &value), 4);
		written = value;
		assert_int_equal(count_samples(&fixture), written);
	}
	rondo_writer_stats(fixture.writer, &stats);
	assert_int_equal(stats.packets, 12);
	assert_int_equal(stats.write_errors, 0);
	assert_int_equal(stats.last_error, -ENOSPC);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	assert_int_equal(count_samples(&fixture), value);
	return 0;
}

/* Nothing is recorded any more, and no step comes. */
static int close_with_room_again(void)
{
	struct fixture fixture;
	uint64_t value = 0;

	if (!set_up_on_small_disk(&fixture))
		return TEST_SKIP;
	put_filler(&fixture);
	assert_int_equal(step_with(&fixture, &value), -ENOSPC);
	assert_int_equal(rondo_channel_stop(fixture.channel), 0);
	remove_filler(&fixture);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	assert_int_equal(count_samples(&fixture), value);
	return 0;
}

/* Of a child that returned what it returned; a failed assertion is 1. */
static int status_of(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* In a child, whose mounts are its own. */
static void in_a_child(int (*what)(void))
{
	pid_t child;
	int status;

	pin();
	fflush(NULL);
	child = fork();
	if (!child) {
		alarm(TEST_HANG_SECONDS);
		_exit(what());
	}
	status = status_of(child);
	if (status == TEST_SKIP)
		skip();
	assert_int_equal(status, 0);
}

static void a_full_disk_leaves_whole_packets(void **state)
{
	(void)state;
	in_a_child(fill_the_disk);
}

static void a_full_disk_leaves_no_empty_file(void **state)
{
	(void)state;
	in_a_child(start_on_a_full_disk);
}

static void what_a_full_disk_refused_is_written_when_it_has_room(void **state)
{
	(void)state;
	in_a_child(wait_for_room);
}

static void closing_writes_what_waited_for_room(void **state)
{
	(void)state;
	in_a_child(close_with_room_again);
}

static void a_child_of_fork_leaves_the_trace_alone(void **state)
{
	const struct rondo_config config = small_config(0);
	struct stat before, after;
	struct fixture fixture;
	uint64_t value = 0;
	char path[700], *events;
	pid_t child;

	(void)state;
	set_up(&fixture, &config);
	assert_int_equal(step_with(&fixture, &value), 1);
	assert_int_equal(rondo_writer_start(fixture.writer), 0);
	snprintf(path, sizeof(path), "%s/metadata", fixture.directory);
	assert_int_equal(stat(path, &before), 0);
	fflush(NULL);
	child = fork();
	if (!child) {
		alarm(TEST_HANG_SECONDS);
		if (rondo_writer_step(fixture.writer, 0) != -ESHUTDOWN ||
		    rondo_writer_start(fixture.writer) != -ESHUTDOWN ||
		    rondo_writer_stop(fixture.writer) != -ESHUTDOWN)
			_exit(2);
		_exit(rondo_writer_close(fixture.writer) != 0);
	}
	assert_int_equal(status_of(child), 0);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(rondo_writer_stop(fixture.writer), 0);
	assert_int_equal(step_with(&fixture, &value), 1);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	events = trace_read_clean(fixture.directory, PLAIN);
	assert_int_equal(count_ascending(events, 0, 0), value);
	free(events);
	tear_down(&fixture);
}

/* ---- other processes' channels ---- */

/* In a child that will be killed. */
static struct fixture begin_life(const struct rondo_config *config)
{
	struct fixture fixture = {.id = 0};

	if (rondo_channel_create(config, &fixture.channel))
		_exit(1);
	fixture.id = add_class(fixture.channel, "t:sample", sample_fields,
			       TEST_COUNT(sample_fields));
	return fixture;
}

/* Records, leaves some of it in an open sub-buffer, and dies. */
static void record_and_die(const char *path, uint64_t count)
{
	struct rondo_config config = small_config(0);
	struct fixture fixture;
	uint64_t value;

	config.path = path;
	fixture = begin_life(&config);
	for (value = 0; value < count; value++)
		if (record(&fixture, 0, value))
			_exit(2);
	kill(getpid(), SIGKILL);
}

static void what_a_dead_program_recorded_is_written(void **state)
{
	char scratch[512], path[600], directory[600], *events;
	struct rondo_channel *channel;
	struct rondo_writer *writer;
	pid_t child;

	(void)state;
	pin();
	trace_scratch(scratch);
	snprintf(path, sizeof(path), "%s/channel", scratch);
	snprintf(directory, sizeof(directory), "%s/trace", scratch);
	fflush(NULL);
	child = fork();
	if (!child)
		record_and_die(path, 300);
	assert_int_equal(status_of(child), -1);
	assert_int_equal(rondo_channel_attach_path(path, &channel), 0);
	assert_int_equal(rondo_writer_open(channel, directory, &writer), 0);
	assert_int_equal(rondo_writer_close(writer), 0);
	assert_int_equal(rondo_channel_destroy(channel), 0);
	events = trace_read_clean(directory, PLAIN);
	assert_int_equal(count_ascending(events, 0, 0), 300);
	free(events);
	trace_remove(scratch);
}

static void another_writes_what_a_living_program_delivered(void **state)
{
	const struct rondo_config config = small_config(0);
	struct rondo_channel *attached;
	struct fixture fixture;
	uint64_t value = 0;
	char *events;

	(void)state;
	pin();
	set_up_channel(&fixture, &config);
	assert_int_equal(rondo_channel_attach(rondo_channel_fd(fixture.channel),
					      &attached),
			 0);
	assert_int_equal(rondo_writer_open(attached, fixture.directory,
					   &fixture.writer),
			 0);
	while (value < 300)
		assert_int_equal(record(&fixture, 0, value++), 0);
	rondo_channel_flush(fixture.channel);
	assert_int_equal(record(&fixture, 0, value++), 0);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	assert_int_equal(rondo_channel_destroy(attached), 0);
	events = trace_read_clean(fixture.directory, PLAIN);
	assert_in_range(count_ascending(events, 0, 0), 300, 301);
	free(events);
	tear_down(&fixture);
}

/* ---- recovery ---- */

/* A child makes a channel by path, records, and dies of SIGKILL. */
struct dead {
	char scratch[512];
	char path[600];
	char directory[600];
	int fd; /* of the memory, for reading */
};

static void bury(struct dead *dead, void (*live)(const char *path))
{
	pid_t child;

	trace_scratch(dead->scratch);
	snprintf(dead->path, sizeof(dead->path), "%s/channel", dead->scratch);
	snprintf(dead->directory, sizeof(dead->directory), "%s/trace",
		 dead->scratch);
	pin();
	fflush(NULL);
	child = fork();
	if (!child) {
		live(dead->path);
		_exit(3);
	}
	assert_int_equal(status_of(child), -1);
	dead->fd = open(dead->path, O_RDONLY | O_CLOEXEC);
	assert_true(dead->fd >= 0);
}

static void forget(struct dead *dead)
{
	close(dead->fd);
	trace_remove(dead->scratch);
}

static void live_plainly(const char *path)
{
	record_and_die(path, 300);
}

static void recovery_leaves_the_memory_as_it_was(void **state)
{
	struct rondo_report report;
	struct dead dead;
	char *events;

	(void)state;
	bury(&dead, live_plainly);
	assert_int_equal(
		trace_shell("cp '%s' '%s.before'", dead.path, dead.path), 0);
	for (int i = 0; i < 2; i++) {
		int packets = rondo_recover(dead.fd, dead.directory, &report);

		assert_true(packets > 0);
		assert_int_equal(report.packets, packets);
		assert_int_equal(report.records, 300);
		assert_int_equal(report.abandoned, 0);
		assert_int_equal(report.malformed, 0);
		assert_int_equal(report.damaged_bytes, 0);
		assert_string_equal(report.why, "");
		events = trace_read_clean(dead.directory, PLAIN);
		assert_int_equal(count_ascending(events, 0, 0), 300);
		assert_int_equal(trace_count(events, " flags = 32, "), 300);
		free(events);
		trace_remove(dead.directory);
	}
	assert_int_equal(
		trace_shell("cmp '%s' '%s.before'", dead.path, dead.path), 0);
	forget(&dead);
}

/* Of three records the middle one is never committed; and others would wait
 * for it longer than a test does. */
static void live_with_one_open(const char *path)
{
	struct rondo_config config = small_config(0);
	struct rondo_record open;
	struct fixture fixture;

	config.path = path;
	config.stall_ms = UINT32_MAX;
	fixture = begin_life(&config);
	if (record(&fixture, 0, 0) ||
	    rondo_reserve(fixture.channel, fixture.id, sizeof(struct sample),
			  &open) ||
	    record(&fixture, 0, 1))
		_exit(2);
	kill(getpid(), SIGKILL);
}

static void recovery_waits_for_nobody(void **state)
{
	struct rondo_report report;
	struct dead dead;
	char *events;

	(void)state;
	bury(&dead, live_with_one_open);
	assert_int_equal(rondo_recover(dead.fd, dead.directory, &report), 1);
	assert_int_equal(report.records, 2);
	assert_int_equal(report.abandoned, 1);
	events = trace_read_clean(dead.directory, PLAIN);
	assert_int_equal(count_ascending(events, 0, 0), 2);
	free(events);
	forget(&dead);
}

/* Until it is full, and eight more. */
static void live_beyond_measure(const char *path)
{
	struct rondo_config config = small_config(0);
	struct fixture fixture;
	uint64_t value = 0;

	config.path = path;
	fixture = begin_life(&config);
	while (!record(&fixture, 0, value))
		value++;
	for (int i = 1; i < 8; i++)
		if (record(&fixture, 0, value) != -ENOBUFS)
			_exit(2);
	kill(getpid(), SIGKILL);
}

static void recovery_tells_what_was_refused(void **state)
{
	struct rondo_report report;
	struct dead dead;
	char *events;

	(void)state;
	bury(&dead, live_beyond_measure);
	/* Four packets of records, between two that tell of losses. */
	assert_int_equal(rondo_recover(dead.fd, dead.directory, &report), 4);
	events = read_with_losses(dead.directory, 8, 0);
	assert_int_equal(count_ascending(events, 0, 0), report.records);
	free(events);
	forget(&dead);
}

/* As if the machine had been started anew since, and had had another time. */
static void age(const struct dead *dead, int64_t by_ns)
{
	struct rondo_superblock super;
	int fd = open(dead->path, O_RDWR | O_CLOEXEC);

	assert_int_equal(pread(fd, &super, sizeof(super), 0), sizeof(super));
	super.boot_id[0] ^= 1;
	super.clock_base_ns -= (uint64_t)by_ns;
	assert_int_equal(pwrite(fd, &super, sizeof(super), 0), sizeof(super));
	close(fd);
}

static void live_with_a_clock(uint32_t clock, const char *path)
{
	struct rondo_config config = small_config(0);
	struct fixture fixture;

	config.path = path;
	config.clock = clock;
	fixture = begin_life(&config);
	if (record(&fixture, 0, 0))
		_exit(2);
	kill(getpid(), SIGKILL);
}

static void live_by_ticks(const char *path)
{
	live_with_a_clock(RONDO_CLOCK_FASTEST, path);
}

static void live_by_monotonic(const char *path)
{
	live_with_a_clock(RONDO_CLOCK_MONOTONIC, path);
}

static void recover_aged(void (*live)(const char *), int64_t by_ns)
{
	int64_t before = now_ns() - by_ns - SECOND;
	struct dead dead;
	char *events;

	bury(&dead, live);
	age(&dead, by_ns);
	assert_int_equal(rondo_recover(dead.fd, dead.directory, NULL), 1);
	events = trace_read_clean(dead.directory, PLAIN);
	assert_in_range(time_in(events, 0), before, now_ns() - by_ns + SECOND);
	free(events);
	forget(&dead);
}

/* Also where its ticks are older than 1970: the machine did not know better. */
static void recovery_after_a_reboot_has_the_time_before_it(void **state)
{
	void (*const lives[])(const char *) = {live_by_ticks,
					       live_by_monotonic};

	(void)state;
	for (unsigned i = 0; i < TEST_COUNT(lives); i++) {
		recover_aged(lives[i], 3600 * SECOND);
		recover_aged(lives[i], now_ns() - 2 * SECOND);
	}
}

static void says_why(int fd, const char *directory, int result, const char *why)
{
	struct rondo_report report;

	memset(&report, 0xff, sizeof(report));
	assert_int_equal(rondo_recover(fd, directory, &report), result);
	assert_non_null(strstr(report.why, why));
	assert_int_equal(report.packets, 0);
	assert_int_equal(rondo_recover(fd, directory, NULL), result);
	assert_int_equal(access(directory, F_OK), -1);
}

/* A copy of the memory with something at an offset changed. */
static void says_why_of_another(const struct dead *dead, size_t offset,
				const char *why)
{
	const uint32_t other = 0x5a5a5a5a;
	char path[700];
	int fd;

	snprintf(path, sizeof(path), "%s.other", dead->path);
	assert_int_equal(trace_shell("cp '%s' '%s'", dead->path, path), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, &other, sizeof(other), (off_t)offset),
			 sizeof(other));
	says_why(fd, dead->directory, -EPROTO, why);
	close(fd);
}

/* Found once the trace's directory is there. */
static void says_why_of_a_catalog(const struct dead *dead)
{
	struct rondo_superblock super;

	assert_int_equal(pread(dead->fd, &super, sizeof(super), 0),
			 sizeof(super));
	says_why_of_another(dead, super.catalog_offset, "classes");
}

static void what_cannot_be_recovered_says_why(void **state)
{
	const struct rondo_config config = small_config(0);
	struct rondo_consumer *consumer;
	struct rondo_channel *attached;
	struct fixture fixture;
	struct dead dead;
	int fd;

	(void)state;
	bury(&dead, live_plainly);
	says_why_of_another(&dead, offsetof(struct rondo_superblock, magic),
			    "not a rondo channel");
	says_why_of_another(&dead, offsetof(struct rondo_superblock, layout),
			    "another version");
	says_why_of_another(
		&dead, offsetof(struct rondo_superblock, total_bytes), "size");
	says_why_of_another(&dead,
			    offsetof(struct rondo_superblock, subbuf_bytes),
			    "damaged");
	says_why_of_a_catalog(&dead);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	says_why(fd, dead.directory, -EPROTO, "not a rondo channel");
	close(fd);
	says_why(-1, dead.directory, -EBADF, "");
	assert_int_equal(rondo_recover(dead.fd, NULL, NULL), -EINVAL);
	set_up_channel(&fixture, &config);
	says_why(rondo_channel_fd(fixture.channel), dead.directory, -EBUSY,
		 "lives");
	tear_down(&fixture);
	assert_int_equal(rondo_channel_attach_path(dead.path, &attached), 0);
	assert_int_equal(rondo_consumer_open(attached, &consumer), 0);
	says_why(dead.fd, dead.directory, -EBUSY, "consumer");
	assert_int_equal(rondo_consumer_close(consumer), 0);
	assert_int_equal(rondo_channel_destroy(attached), 0);
	forget(&dead);
}

/* ---- the thread ---- */

static uint64_t packets_of(const struct fixture *fixture)
{
	struct rondo_writer_stats stats;

	assert_int_equal(rondo_writer_stats(fixture->writer, &stats), 0);
	return stats.packets;
}

static void the_thread_can_be_stopped_and_started(void **state)
{
	const struct rondo_config config = small_config(0);
	struct fixture fixture;
	uint64_t value = 0;
	char *events;
	int round, i;

	(void)state;
	set_up(&fixture, &config);
	assert_int_equal(rondo_writer_stop(fixture.writer), 0);
	for (round = 0; round < 20; round++) {
		assert_int_equal(rondo_writer_start(fixture.writer), 0);
		assert_int_equal(rondo_writer_start(fixture.writer), -EALREADY);
		assert_int_equal(rondo_writer_step(fixture.writer, 0), -EBUSY);
		for (i = 0; i < 10; i++)
			assert_int_equal(record(&fixture, 0, value++), 0);
		rondo_channel_flush(fixture.channel);
		while (packets_of(&fixture) <= (unsigned)round)
			sched_yield();
		assert_int_equal(rondo_writer_stop(fixture.writer), 0);
	}
	assert_int_equal(rondo_writer_start(fixture.writer), 0);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	events = trace_read_clean(fixture.directory, PLAIN);
	assert_int_equal(count_ascending(events, 0, 0), value);
	free(events);
	tear_down(&fixture);
}

static int32_t sleeper;
static uint32_t sleeps;

static void count_sleeps(enum rondo_testpoint at)
{
	if (at != RONDO_AT_SLEEP)
		return;
	rondo_store_relaxed(&sleeper, gettid());
	(void)rondo_add_fetch(&sleeps, 1);
}

/* Until the kernel has the thread asleep; it may have tried some times. */
static void wait_until_it_sleeps(void)
{
	char path[64], line[512], state;

	do {
		FILE *file;

		assert_in_range(rondo_load_relaxed(&sleeps), 0, 1000);
		sched_yield();
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat",
			 rondo_load_relaxed(&sleeper));
		file = fopen(path, "r");
		assert_non_null(file);
		assert_non_null(fgets(line, sizeof(line), file));
		fclose(file);
		assert_int_equal(sscanf(strrchr(line, ')'), ") %c", &state), 1);
	} while (state != 'S');
}

static void the_thread_rests_while_the_channel_is_stopped(void **state)
{
	const struct rondo_config config = small_config(0);
	struct fixture fixture;
	char *events;

	(void)state;
	set_up(&fixture, &config);
	sleeps = 0;
	rondo_testpoint_hook = count_sleeps;
	assert_int_equal(rondo_writer_start(fixture.writer), 0);
	while (!rondo_load_relaxed(&sleeps))
		sched_yield();
	wait_until_it_sleeps();
	assert_int_equal(record(&fixture, 0, 0), 0);
	assert_int_equal(rondo_channel_stop(fixture.channel), 0);
	/* It wakes, and lies down again. */
	while (rondo_load_relaxed(&sleeps) < 2)
		sched_yield();
	wait_until_it_sleeps();
	assert_int_equal(rondo_channel_start(fixture.channel), 0);
	assert_int_equal(record(&fixture, 0, 1), 0);
	rondo_channel_flush(fixture.channel);
	while (!packets_of(&fixture))
		sched_yield();
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	rondo_testpoint_hook = NULL;
	events = trace_read_clean(fixture.directory, PLAIN);
	assert_int_equal(count_ascending(events, 0, 0), 2);
	free(events);
	tear_down(&fixture);
}

/* ---- what fails for a while ---- */

static bool disk_is_full;
static uint32_t tries, rests, restless;

/* No room in any file; and what the thread does between two tries. */
static enum rondo_os_fate refuse_writes(const struct rondo_os_site *site,
					int *out_error)
{
	if (strstr(site->call, "FUTEX_WAIT"))
		(void)rondo_add_fetch(&rests, 1);
	if (!strstr(site->call, "SYS_write,") ||
	    !rondo_load_relaxed(&disk_is_full))
		return RONDO_OS_CALL;
	if (rondo_load_relaxed(&tries) && !rondo_exchange(&rests, 0u))
		(void)rondo_add_fetch(&restless, 1);
	(void)rondo_add_fetch(&tries, 1);
	*out_error = ENOSPC;
	return RONDO_OS_REFUSE;
}

static void fill_disk(void)
{
	tries = rests = restless = 0;
	rondo_store_relaxed(&disk_is_full, true);
	rondo_testpoint_os = refuse_writes;
}

static void the_thread_rests_while_the_disk_is_full(void **state)
{
	const struct rondo_config config = small_config(0);
	struct fixture fixture;
	uint64_t value = 0, refused;
	char *events;

	(void)state;
	pin();
	set_up(&fixture, &config);
	fill_disk();
	assert_int_equal(rondo_writer_start(fixture.writer), 0);
	/* Until its packets have nowhere to go. */
	while (record(&fixture, 0, value) == 0)
		value++;
	while (rondo_load_relaxed(&tries) < 3)
		sched_yield();
	refused = refused_of(&fixture);
	assert_true(refused > 0);
	assert_int_equal(rondo_writer_stop(fixture.writer), 0);
	assert_int_equal(restless, 0);
	assert_int_equal(packets_of(&fixture), 0);
	/* Also of what it finds when it starts. */
	rondo_store_relaxed(&disk_is_full, false);
	assert_int_equal(rondo_writer_start(fixture.writer), 0);
	while (packets_of(&fixture) < 3)
		sched_yield();
	assert_int_equal(record(&fixture, 0, value), 0);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	rondo_testpoint_os = NULL;
	events = read_with_losses(fixture.directory, refused, 0);
	assert_int_equal(count_ascending(events, 0, 0), value + 1);
	free(events);
	tear_down(&fixture);
}

/* Three steps in vain, then one that writes so many packets. */
static void write_at_last(struct fixture *fixture, int packets)
{
	struct rondo_writer_stats stats;
	int result;

	fill_disk();
	for (int i = 0; i < 3; i++) {
		do
			result = rondo_writer_step(fixture->writer,
						   SECOND / 100);
		while (!result);
		assert_int_equal(result, -ENOSPC);
	}
	rondo_testpoint_os = NULL;
	assert_int_equal(rondo_writer_step(fixture->writer, 0), packets);
	assert_int_equal(rondo_writer_stats(fixture->writer, &stats), 0);
	assert_int_equal(stats.packets, packets);
	assert_int_equal(stats.malformed, 1);
	assert_int_equal(stats.write_errors, 0);
	assert_int_equal(stats.last_error, -ENOSPC);
}

/* The one in the middle is not as its class says. */
static void record_three(struct fixture *fixture, uint64_t *value)
{
	const char zero[40] = "";

	assert_int_equal(record(fixture, 0, (*value)++), 0);
	assert_int_equal(rondo_write(fixture->channel, fixture->id, zero,
				     sizeof(zero)),
			 0);
	assert_int_equal(record(fixture, 0, (*value)++), 0);
}

static void a_stalled_copy_waits_for_room_too(void **state)
{
	struct rondo_config config = small_config(0);
	struct rondo_record stalled;
	struct fixture fixture;
	uint64_t value = 0;

	(void)state;
	pin();
	config.stall_ms = 1;
	set_up(&fixture, &config);
	record_three(&fixture, &value);
	assert_int_equal(
		rondo_reserve(fixture.channel, fixture.id, 16, &stalled), 0);
	memset(stalled.data, 0, 16);
	rondo_channel_flush(fixture.channel);
	assert_int_equal(record(&fixture, 0, value++), 0);
	rondo_channel_flush(fixture.channel);
	write_at_last(&fixture, 2);
	rondo_commit(&stalled);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	assert_int_equal(count_samples(&fixture), value);
	tear_down(&fixture);
}

/* What is written of it, a copy here, is made once and has one number. */
static void what_waits_is_mended_and_numbered_once(void **state)
{
	const struct rondo_config config = small_config(0);
	struct rondo_channel *attached;
	struct fixture fixture;
	uint64_t value = 0;

	(void)state;
	pin();
	set_up_channel(&fixture, &config);
	assert_int_equal(rondo_channel_attach(rondo_channel_fd(fixture.channel),
					      &attached),
			 0);
	assert_int_equal(rondo_writer_open(attached, fixture.directory,
					   &fixture.writer),
			 0);
	record_three(&fixture, &value);
	rondo_channel_flush(fixture.channel);
	write_at_last(&fixture, 1);
	assert_int_equal(step_with(&fixture, &value), 1);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	assert_int_equal(rondo_channel_destroy(attached), 0);
	assert_int_equal(count_samples(&fixture), value);
	tear_down(&fixture);
}

static enum rondo_os_fate refuse_one_write(const struct rondo_os_site *site,
					   int *out_error)
{
	if (!strstr(site->call, "SYS_write,") || tries++)
		return RONDO_OS_CALL;
	*out_error = ENOSPC;
	return RONDO_OS_REFUSE;
}

static void one_refusal_costs_a_close_nothing(void **state)
{
	const struct rondo_config config = small_config(0);
	struct fixture fixture;

	(void)state;
	pin();
	set_up(&fixture, &config);
	assert_int_equal(record(&fixture, 0, 0), 0);
	tries = 0;
	rondo_testpoint_os = refuse_one_write;
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	rondo_testpoint_os = NULL;
	assert_true(tries > 1);
	assert_int_equal(count_samples(&fixture), 1);
	tear_down(&fixture);
}

static void a_child_of_fork_leaves_what_waits_alone(void **state)
{
	const struct rondo_config config = small_config(0);
	struct fixture fixture;
	uint64_t value = 0;
	pid_t child;

	(void)state;
	pin();
	set_up(&fixture, &config);
	fill_disk();
	assert_int_equal(step_with(&fixture, &value), -ENOSPC);
	rondo_testpoint_os = NULL;
	fflush(NULL);
	child = fork();
	if (!child) {
		alarm(TEST_HANG_SECONDS);
		if (rondo_writer_step(fixture.writer, 0) != -ESHUTDOWN)
			_exit(2);
		_exit(rondo_writer_close(fixture.writer) != 0);
	}
	assert_int_equal(status_of(child), 0);
	assert_int_equal(step_with(&fixture, &value), 2);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	assert_int_equal(count_samples(&fixture), value);
	tear_down(&fixture);
}

static volatile sig_atomic_t handled_by;

static void note_thread(int number)
{
	(void)number;
	handled_by = gettid();
}

static void the_thread_handles_no_signal(void **state)
{
	struct sigaction action = {.sa_handler = note_thread}, before;
	sigset_t usr1, old;
	struct fixture fixture;

	(void)state;
	set_up(&fixture, NULL);
	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	assert_int_equal(rondo_writer_start(fixture.writer), 0);
	/* Nobody but the thread could take it now. */
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, &old);
	kill(getpid(), SIGUSR1);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	assert_int_equal(handled_by, 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	assert_int_equal(handled_by, getpid());
	sigaction(SIGUSR1, &before, NULL);
	tear_down(&fixture);
}

static void a_signal_ends_a_step(void **state)
{
	struct fixture fixture;
	int result;

	(void)state;
	set_up(&fixture, NULL);
	test_interrupt(true);
	result = rondo_writer_step(fixture.writer, -1);
	test_interrupt(false);
	assert_int_equal(result, -EINTR);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	tear_down(&fixture);
}

/* What delivered packets say of refused records. */
static void forget_refusals(const struct fixture *fixture)
{
	const struct rondo_map *map = &fixture->channel->control->map;

	for (uint32_t ring = 0; ring < map->ring_count; ring++) {
		for (uint32_t i = 0; i < map->count; i++) {
			uint64_t slot = *rondo_map_slot(map, ring, i);
			struct rondo_packet *packet = rondo_map_packet(
				map, ring, rondo_slot_pages(slot));

			if (rondo_slot_state(slot) != RONDO_SLOT_READABLE)
				continue;
			memset(packet->refused, 0, sizeof(packet->refused));
			packet->events_discarded = 0;
		}
	}
}

static void a_count_of_losses_never_goes_back(void **state)
{
	const struct rondo_config config = small_config(0);
	static const char large[2033];
	struct fixture fixture;
	uint64_t value = 0;
	char *events;

	(void)state;
	pin();
	set_up(&fixture, &config);
	assert_int_equal(step_with(&fixture, &value), 1);
	rondo_write(fixture.channel, fixture.id, large, sizeof(large));
	assert_int_equal(step_with(&fixture, &value), 1);
	assert_int_equal(record(&fixture, 0, value++), 0);
	rondo_channel_flush(fixture.channel);
	forget_refusals(&fixture);
	assert_int_equal(rondo_writer_step(fixture.writer, 0), 1);
	assert_int_equal(rondo_writer_close(fixture.writer), 0);
	events = read_with_losses(fixture.directory, 1, 0);
	assert_int_equal(count_ascending(events, 0, 0), value);
	free(events);
	tear_down(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_record_is_read_back_in_order),
		cmocka_unit_test(
			refused_records_are_discarded_events_to_the_last),
		cmocka_unit_test(a_recording_of_nothing_but_refusals_says_so),
		cmocka_unit_test(
			what_was_lost_before_the_writer_is_not_its_loss),
		cmocka_unit_test(
			what_was_overwritten_before_the_writer_is_not_its_loss),
		cmocka_unit_test(overwritten_sub_buffers_are_lost_packets),
		cmocka_unit_test(a_trace_can_be_read_at_any_moment),
		cmocka_unit_test(a_record_has_the_wall_time_of_its_making),
		cmocka_unit_test(a_trace_without_a_clock_keeps_its_order),
		cmocka_unit_test(large_records_are_read_back),
		cmocka_unit_test(the_padding_of_a_c_struct_is_no_record),
		cmocka_unit_test(
			records_of_a_wrong_size_do_not_harm_the_others),
		cmocka_unit_test(what_comes_out_of_turn_is_read_too),
		cmocka_unit_test(a_snapshot_is_taken_while_producers_run),
		cmocka_unit_test(
			a_snapshot_of_a_quiet_recorder_has_all_it_holds),
		cmocka_unit_test(
			a_snapshot_of_nothing_but_refusals_has_no_stream),
		cmocka_unit_test(a_directory_that_is_not_empty_is_refused),
		cmocka_unit_test(a_relative_directory_stays_where_it_was),
		cmocka_unit_test(
			a_recording_without_records_is_a_trace_without_streams),
		cmocka_unit_test(a_program_may_close_our_descriptors),
		cmocka_unit_test(a_file_size_limit_costs_packets_and_no_more),
		cmocka_unit_test(packets_without_metadata_are_lost_packets),
		cmocka_unit_test(a_full_disk_leaves_whole_packets),
		cmocka_unit_test(a_full_disk_leaves_no_empty_file),
		cmocka_unit_test(
			what_a_full_disk_refused_is_written_when_it_has_room),
		cmocka_unit_test(closing_writes_what_waited_for_room),
		cmocka_unit_test(a_child_of_fork_leaves_the_trace_alone),
		cmocka_unit_test(what_a_dead_program_recorded_is_written),
		cmocka_unit_test(
			another_writes_what_a_living_program_delivered),
		cmocka_unit_test(recovery_leaves_the_memory_as_it_was),
		cmocka_unit_test(recovery_waits_for_nobody),
		cmocka_unit_test(recovery_tells_what_was_refused),
		cmocka_unit_test(
			recovery_after_a_reboot_has_the_time_before_it),
		cmocka_unit_test(what_cannot_be_recovered_says_why),
		cmocka_unit_test(the_thread_can_be_stopped_and_started),
		cmocka_unit_test(the_thread_rests_while_the_channel_is_stopped),
		cmocka_unit_test(the_thread_rests_while_the_disk_is_full),
		cmocka_unit_test(a_stalled_copy_waits_for_room_too),
		cmocka_unit_test(what_waits_is_mended_and_numbered_once),
		cmocka_unit_test(one_refusal_costs_a_close_nothing),
		cmocka_unit_test(a_child_of_fork_leaves_what_waits_alone),
		cmocka_unit_test(the_thread_handles_no_signal),
		cmocka_unit_test(a_signal_ends_a_step),
		cmocka_unit_test(a_count_of_losses_never_goes_back),
	};

	if (!trace_can_be_read())
		return TEST_SKIP;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
