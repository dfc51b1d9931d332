/* SPDX-License-Identifier: MIT */
/*
 * Metadata: what babeltrace2 makes of it and of packets made by hand, and that
 * its clock tells wall time at both ends of a recording.
 */
#include "support/test.h"

#include <errno.h>
#include <inttypes.h>

#include "ctf.h"
#include "event.h"
#include "registry.h"
#include "support/packet.h"
#include "support/trace.h"

#define PLAIN "--clock-cycles --no-delta"
#define SECOND UINT64_C(1000000000)
#define NOW_NS (UINT64_C(1800000000) * SECOND + 123456789)

static const struct rondo_label colours[] = {{"RED", 1}, {"SEA GREEN", 7}};

struct everything {
	uint8_t u8;
	int8_t i8;
	uint16_t u16;
	int16_t i16;
	uint32_t u32;
	int32_t i32;
	uint64_t u64;
	int64_t i64;
	float f32;
	double f64;
	uint64_t pointer;
	uint16_t numbers[3];
	uint8_t bytes[3];
	uint32_t colour;
	uint8_t length;
	char rest[12];
};

#define FIELD(member, of, ...)                                               \
	{                                                                    \
		.name = #member, .type = RONDO_FIELD_##of,                   \
		.offset = offsetof(struct everything, member), ##__VA_ARGS__ \
	}

static const struct rondo_field everything_fields[] = {
	FIELD(u8, U8),
	FIELD(i8, I8),
	FIELD(u16, U16),
	FIELD(i16, I16),
	FIELD(u32, U32),
	FIELD(i32, I32),
	FIELD(u64, U64),
	FIELD(i64, I64),
	FIELD(f32, F32),
	FIELD(f64, F64),
	FIELD(pointer, PTR),
	FIELD(numbers, U16, .count = 3),
	FIELD(bytes, BYTES, .count = 3),
	FIELD(colour, ENUM, .labels = colours, .label_count = 2),
	FIELD(length, U8),
	{.name = "text",
	 .type = RONDO_FIELD_STRING,
	 .offset = offsetof(struct everything, rest)},
	{.name = "blob", .type = RONDO_FIELD_SEQUENCE, .length_field = "length"},
	{.name = "tail", .type = RONDO_FIELD_STRING},
};

static const struct everything everything = {
	.u8 = 255,
	.i8 = -1,
	.u16 = 65535,
	.i16 = -2,
	.u32 = 4294967295u,
	.i32 = -3,
	.u64 = UINT64_MAX,
	.i64 = INT64_MIN,
	.f32 = 0.5f,
	.f64 = -0.25,
	.pointer = 0xdeadbeef,
	.numbers = {1, 2, 3},
	.bytes = {4, 5, 6},
	.colour = 7,
	.length = 2,
	.rest = "abc\0\x07\x08tail",
};

static const char everything_text[] =
	"{ u8 = 255, i8 = -1, u16 = 65535, i16 = -2, u32 = 4294967295, "
	"i32 = -3, u64 = 18446744073709551615, i64 = -9223372036854775808, "
	"f32 = 0.5, f64 = -0.25, pointer = 0xDEADBEEF, "
	"numbers = [ [0] = 1, [1] = 2, [2] = 3 ], "
	"bytes = [ [0] = 4, [1] = 5, [2] = 6 ], "
	"colour = ( \"SEA GREEN\" : container = 7 ), length = 2, "
	"text = \"abc\", blob = [ [0] = 7, [1] = 8 ], tail = \"tail\" }";

/* A channel, a directory for its trace, and the packet that goes there. */
struct fixture {
	struct rondo_channel *channel;
	const struct rondo_map *map;
	char directory[512];
	struct packet packet;
};

static void set_up(struct fixture *fixture, uint32_t record_max, uint32_t clock)
{
	struct rondo_config config = {
		.size = sizeof(config),
		.record_max = record_max,
		.clock = clock,
		.name = "hand-made",
	};

	assert_int_equal(rondo_channel_create(&config, &fixture->channel), 0);
	fixture->map = &fixture->channel->control->map;
	trace_scratch(fixture->directory);
	packet_begin(&fixture->packet, fixture->map->uuid,
		     fixture->map->header_bytes, 1000);
}

static void tear_down(struct fixture *fixture)
{
	trace_remove(fixture->directory);
	rondo_channel_destroy(fixture->channel);
}

static uint16_t add_class(struct fixture *fixture, const char *name,
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

	assert_int_equal(
		rondo_event_register(fixture->channel, &event_class, &id), 0);
	return id;
}

/* What babeltrace2 prints of the packet with this channel's metadata. */
static char *read_back(struct fixture *fixture, const char *options)
{
	const struct rondo_clock_pair pair = {0, NOW_NS};
	uint64_t bytes = packet_end(&fixture->packet, 2000);
	char *text;

	assert_int_equal(rondo_ctf_metadata(fixture->map, &pair, &pair, &text),
			 0);
	trace_put(fixture->directory, "metadata", text, strlen(text));
	free(text);
	trace_put(fixture->directory, "stream", fixture->packet.data, bytes);
	return trace_read_clean(fixture->directory, options);
}

static void put(struct fixture *fixture, uint16_t id, uint64_t time,
		const void *data, uint32_t bytes)
{
	packet_put(&fixture->packet, id, time, data, bytes);
}

static void show_everything(uint32_t record_max)
{
	/* Without the NUL that the compiler adds where there is room. */
	const uint32_t bytes = offsetof(struct everything, rest) + 11;
	struct fixture fixture;
	uint16_t id;
	char *text;

	set_up(&fixture, record_max, RONDO_CLOCK_MONOTONIC);
	id = add_class(&fixture, "t:everything", everything_fields,
		       TEST_COUNT(everything_fields));
	put(&fixture, id, 1000, &everything, bytes);
	put(&fixture, id, 1001, &everything, bytes);
	text = read_back(&fixture, PLAIN);
	assert_int_equal(trace_count(text, everything_text), 2);
	assert_int_equal(trace_count(text, "t:everything"), 2);
	assert_int_equal(trace_count(text, "[00000000000000001001]"), 1);
	free(text);
	tear_down(&fixture);
}

static void every_type_is_shown_with_compact_headers(void **state)
{
	(void)state;
	show_everything(2032);
}

static void every_type_is_shown_with_full_headers(void **state)
{
	(void)state;
	show_everything(4096);
}

static void names_are_shown_as_they_were_registered(void **state)
{
	static const char *const names[] = {
		"int",	  "_x",	    "__y",    "event",	  "stream", "u64",
		"struct", "string", "signed", "pad4",	  "_pad4",  "enum",
		"len",	  "id",	    "fields", "timestamp"};
	struct rondo_field fields[TEST_COUNT(names)];
	uint32_t values[TEST_COUNT(names)];
	char expected[32], *text;
	struct fixture fixture;
	uint32_t i;

	(void)state;
	set_up(&fixture, 0, RONDO_CLOCK_MONOTONIC);
	for (i = 0; i < TEST_COUNT(names); i++) {
		fields[i] = (struct rondo_field){
			.name = names[i],
			.type = RONDO_FIELD_U32,
			.offset = i * 4,
		};
		values[i] = i + 100;
	}
	put(&fixture, add_class(&fixture, "t:names", fields, i), 1000, values,
	    sizeof(values));
	text = read_back(&fixture, PLAIN);
	for (i = 0; i < TEST_COUNT(names); i++) {
		snprintf(expected, sizeof(expected), " %s = %u", names[i],
			 i + 100);
		assert_int_equal(trace_count(text, expected), 1);
	}
	free(text);
	tear_down(&fixture);
}

/* Fields may describe a part of the struct, in any distance. */
static void holes_are_stepped_over(uint32_t record_max, uint32_t far)
{
	const struct rondo_field fields[] = {
		{.name = "a", .type = RONDO_FIELD_U8},
		{.name = "b", .type = RONDO_FIELD_U8, .offset = 3},
		{.name = "c", .type = RONDO_FIELD_U16, .offset = 8},
		{.name = "d", .type = RONDO_FIELD_U32, .offset = far},
		{.name = "pad1", .type = RONDO_FIELD_U16, .offset = far + 48},
		{.name = "e", .type = RONDO_FIELD_STRING, .offset = far + 56},
	};
	unsigned char data[128];
	struct fixture fixture;
	uint32_t d = 4444;
	uint16_t id, c = 333, pad = 55;
	char *text;

	memset(data, 0xee, sizeof(data));
	data[0] = 1;
	data[3] = 22;
	memcpy(data + 8, &c, 2);
	memcpy(data + far, &d, 4);
	memcpy(data + far + 48, &pad, 2);
	memcpy(data + far + 56, "six", 4);
	set_up(&fixture, record_max, RONDO_CLOCK_MONOTONIC);
	id = add_class(&fixture, "t:holes", fields, TEST_COUNT(fields));
	put(&fixture, id, 1000, data, far + 60);
	put(&fixture, id, 1001, data, far + 60);
	text = read_back(&fixture, PLAIN);
	assert_int_equal(trace_count(text, " a = 1,"), 2);
	assert_int_equal(trace_count(text, " b = 22,"), 2);
	assert_int_equal(trace_count(text, " c = 333,"), 2);
	assert_int_equal(trace_count(text, " d = 4444,"), 2);
	assert_int_equal(trace_count(text, " pad1 = 55,"), 2);
	assert_int_equal(trace_count(text, " e = \"six\" }"), 2);
	free(text);
	tear_down(&fixture);
}

static void holes_between_fields_are_stepped_over(void **state)
{
	(void)state;
	holes_are_stepped_over(2032, 12);
	holes_are_stepped_over(2032, 16);
	holes_are_stepped_over(2032, 24);
	holes_are_stepped_over(4096, 16);
	holes_are_stepped_over(4096, 24);
	holes_are_stepped_over(4096, 32);
}

static void gaps_are_stepped_over(void **state)
{
	static const uint32_t limits[] = {2032, 4096};
	char gap[60] = {56};
	struct fixture fixture;
	uint16_t id;
	char *text;
	size_t i;

	(void)state;
	for (i = 0; i < TEST_COUNT(limits); i++) {
		set_up(&fixture, limits[i], RONDO_CLOCK_MONOTONIC);
		id = add_class(&fixture, "t:mark", NULL, 0);
		put(&fixture, id, 1000, "", 0);
		put(&fixture, RONDO_ID_DISCARDED, 1001, gap, sizeof(gap));
		put(&fixture, id, 1002, "", 0);
		put(&fixture, RONDO_ID_GAP, 1003, "", 0);
		put(&fixture, id, 1004, "", 0);
		text = read_back(&fixture, PLAIN);
		assert_int_equal(trace_count(text, "t:mark"), 3);
		assert_int_equal(trace_count(text, "gap = \"\""), 1);
		assert_int_equal(trace_count(text, "rondo:gap"), 1);
		free(text);
		tear_down(&fixture);
	}
}

static void packet_context_and_environment_are_shown(void **state)
{
	struct fixture fixture;
	struct rondo_superblock *super;
	char *text;

	(void)state;
	set_up(&fixture, 0, RONDO_CLOCK_MONOTONIC);
	super = fixture.map->super;
	memset(super->host, '"', sizeof(super->host));
	memcpy(super->process, "a\\b\nc", 6);
	super->pid = 4242;
	fixture.packet.header.cpu_id = 3;
	fixture.packet.header.number = 17;
	fixture.packet.header.previous = 15;
	fixture.packet.header.refused[1] = 9;
	put(&fixture, add_class(&fixture, "t:mark", NULL, 0), 1000, "", 0);
	text = read_back(&fixture, PLAIN);
	assert_int_equal(trace_count(text, "a\\b?c"), 1);
	assert_int_equal(trace_count(text, "4242"), 1);
	assert_int_equal(trace_count(text,
				     "{ cpu_id = 3, flags = 0, number = 17, "
				     "previous = 15, refused_full = 0, "
				     "refused_stalled = 9, refused_big = 0 }"),
			 1);
	free(text);
	tear_down(&fixture);
}

static void names_may_differ_by_an_underscore(void **state)
{
	static const struct rondo_field fields[] = {
		{.name = "_x", .type = RONDO_FIELD_U8},
		{.name = "x", .type = RONDO_FIELD_U8, .offset = 1},
		{.name = "_pad2", .type = RONDO_FIELD_U8, .offset = 5},
		{.name = "bytes",
		 .type = RONDO_FIELD_SEQUENCE,
		 .length_field = "x"},
	};
	const char payload[] = {7, 2, 0, 0, 0, 9, 3, 4};
	struct fixture fixture;
	char *text;

	(void)state;
	set_up(&fixture, 0, RONDO_CLOCK_MONOTONIC);
	put(&fixture,
	    add_class(&fixture, "t:alike", fields, TEST_COUNT(fields)), 1000,
	    payload, sizeof(payload));
	text = read_back(&fixture, PLAIN);
	assert_int_equal(trace_count(text, "{ _x = 7, x_1 = 2, "), 1);
	assert_int_equal(trace_count(text, "_pad2 = 9, bytes = [ [0] = 3, "
					   "[1] = 4 ] }"),
			 1);
	free(text);
	tear_down(&fixture);
}

static void rings_that_are_no_cpus_name_none(void **state)
{
	struct fixture fixture;
	char *text;

	(void)state;
	set_up(&fixture, 0, RONDO_CLOCK_MONOTONIC);
	fixture.channel->control->map.rings_by = RONDO_RINGS_BY_CONCURRENCY;
	fixture.packet.header.cpu_id = UINT32_MAX;
	put(&fixture, add_class(&fixture, "t:mark", NULL, 0), 1000, "", 0);
	text = read_back(&fixture, PLAIN);
	assert_int_equal(trace_count(text, "t:mark"), 1);
	assert_int_equal(trace_count(text, "cpu_id"), 0);
	free(text);
	tear_down(&fixture);
}

static void a_damaged_catalog_makes_no_metadata(void **state)
{
	struct rondo_clock_pair pair = {0, NOW_NS};
	struct fixture fixture;
	char *text = NULL;

	(void)state;
	set_up(&fixture, 0, RONDO_CLOCK_MONOTONIC);
	add_class(&fixture, "t:mark", NULL, 0);
	memset(fixture.map->catalog, 0x11, 64);
	assert_int_equal(rondo_ctf_metadata(fixture.map, &pair, &pair, &text),
			 -EPROTO);
	assert_null(text);
	tear_down(&fixture);
}

/* ---- the clock ---- */

struct clock_text {
	uint64_t frequency, seconds, ticks;
};

static struct clock_text clock_of(const struct rondo_map *map,
				  const struct rondo_clock_pair *begin,
				  const struct rondo_clock_pair *end)
{
	struct clock_text out;
	char *text, *at;

	assert_int_equal(rondo_ctf_metadata(map, begin, end, &text), 0);
	at = strstr(text, "\tfreq = ");
	assert_non_null(at);
	assert_int_equal(sscanf(at,
				"\tfreq = %" SCNu64 ";\n\toffset_s = %" SCNu64
				";\n\toffset = %" SCNu64 ";\n\tabsolute = true",
				&out.frequency, &out.seconds, &out.ticks),
			 3);
	free(text);
	return out;
}

/* Nanoseconds that a tick lies beside its wall time. */
static uint64_t error_at(const struct clock_text *clock,
			 const struct rondo_clock_pair *at)
{
	unsigned __int128 ns = (unsigned __int128)(clock->ticks + at->ticks) *
				       SECOND / clock->frequency +
			       (unsigned __int128)clock->seconds * SECOND;

	return (uint64_t)(ns > at->ns ? ns - at->ns : at->ns - ns);
}

/* Pairs of a counter of millihertz, so long after creation. */
static struct rondo_clock_pair pair_at(const struct rondo_superblock *super,
				       uint64_t millihertz, uint64_t ns)
{
	return (struct rondo_clock_pair){
		.ticks = super->clock_base_ticks +
			 (uint64_t)((unsigned __int128)ns * millihertz /
				    (1000 * SECOND)),
		.ns = super->clock_base_ns + ns,
	};
}

static void set_creation(const struct rondo_map *map, uint64_t frequency)
{
	map->super->clock_frequency = frequency;
	map->super->clock_base_ticks = UINT64_C(77) << 45;
	map->super->clock_base_ns = NOW_NS;
}

static void ticks_are_wall_time_at_both_ends(void **state)
{
	static const uint64_t lengths[] = {1000, 1000000, SECOND, 60 * SECOND,
					   3600 * SECOND};
	static const uint64_t delays[] = {0, 5 * SECOND, 86400 * 30 * SECOND};
	const uint64_t millihertz = UINT64_C(2599999999500);
	struct rondo_clock_pair begin, end;
	struct fixture fixture;
	struct rondo_map map;
	size_t i, j;

	(void)state;
	set_up(&fixture, 0, RONDO_CLOCK_MONOTONIC);
	map = *fixture.map;
	map.clock = RONDO_CLOCK_FASTEST;
	set_creation(&map, UINT64_C(2600100000));
	for (i = 0; i < TEST_COUNT(lengths); i++) {
		for (j = 0; j < TEST_COUNT(delays); j++) {
			struct clock_text clock;

			begin = pair_at(map.super, millihertz, delays[j]);
			end = pair_at(map.super, millihertz,
				      delays[j] + lengths[i]);
			clock = clock_of(&map, &begin, &end);
			/* Half of what an hour of half a hertz makes. */
			assert_in_range(error_at(&clock, &begin), 0, 400);
			assert_in_range(error_at(&clock, &end), 0, 400);
			assert_true(clock.ticks < clock.frequency);
		}
	}
	tear_down(&fixture);
}

/* A flight recorder holds what is older than the writer. */
static void the_time_before_a_short_recording_is_right_too(void **state)
{
	const uint64_t millihertz = UINT64_C(2600000000000);
	struct rondo_clock_pair begin, end, creation;
	struct clock_text clock;
	struct fixture fixture;
	struct rondo_map map;

	(void)state;
	set_up(&fixture, 0, RONDO_CLOCK_MONOTONIC);
	map = *fixture.map;
	map.clock = RONDO_CLOCK_FASTEST;
	set_creation(&map, UINT64_C(2600100000));
	creation = pair_at(map.super, millihertz, 0);
	begin = pair_at(map.super, millihertz, 100 * SECOND);
	end = pair_at(map.super, millihertz, 100 * SECOND + 1000);
	begin.ns += 50; /* as inexact as they are */
	clock = clock_of(&map, &begin, &end);
	assert_in_range(error_at(&clock, &creation), 0, 999);
	clock = clock_of(&map, &begin, &begin);
	assert_in_range(error_at(&clock, &creation), 0, 999);
	tear_down(&fixture);
}

static void a_wall_clock_that_was_set_does_not_bend_durations(void **state)
{
	const uint64_t millihertz = UINT64_C(2600000000000);
	static const int64_t jumps[] = {-3600, 3600, -200, 7};
	struct rondo_clock_pair begin, end;
	struct clock_text clock;
	struct fixture fixture;
	struct rondo_map map;
	size_t i;

	(void)state;
	set_up(&fixture, 0, RONDO_CLOCK_MONOTONIC);
	map = *fixture.map;
	map.clock = RONDO_CLOCK_FASTEST;
	set_creation(&map, UINT64_C(2600000001));
	for (i = 0; i < TEST_COUNT(jumps); i++) {
		begin = pair_at(map.super, millihertz, 10 * SECOND);
		end = pair_at(map.super, millihertz, 110 * SECOND);
		end.ns += (uint64_t)(jumps[i] * (int64_t)SECOND);
		clock = clock_of(&map, &begin, &end);
		assert_int_equal(clock.frequency, 2600000001);
		assert_in_range(error_at(&clock, &begin), 0, 999);
	}
	/* Nothing of a damaged superblock divides by zero. */
	set_creation(&map, 0);
	assert_true(clock_of(&map, &begin, &begin).frequency > 0);
	set_creation(&map, UINT64_MAX);
	assert_true(clock_of(&map, &begin, &begin).frequency > 0);
	tear_down(&fixture);
}

/* Firmware that tells a wrong one, emulators. */
static void a_frequency_that_is_not_true_is_measured(void **state)
{
	const uint64_t millihertz = UINT64_C(2600000000000);
	struct rondo_clock_pair begin, end;
	struct clock_text clock;
	struct fixture fixture;
	struct rondo_map map;

	(void)state;
	set_up(&fixture, 0, RONDO_CLOCK_MONOTONIC);
	map = *fixture.map;
	map.clock = RONDO_CLOCK_FASTEST;
	set_creation(&map, UINT64_C(62500000));
	begin = pair_at(map.super, millihertz, SECOND / 1000);
	end = pair_at(map.super, millihertz, SECOND);
	clock = clock_of(&map, &begin, &end);
	assert_in_range(error_at(&clock, &begin), 0, 999);
	assert_in_range(error_at(&clock, &end), 0, 999);
	tear_down(&fixture);
}

static void kernel_clocks_need_no_measurement(void **state)
{
	const struct rondo_clock_pair begin = {5 * SECOND, NOW_NS};
	const struct rondo_clock_pair end = {9 * SECOND, NOW_NS + 5 * SECOND};
	struct clock_text clock;
	struct fixture fixture;
	struct rondo_map map;

	(void)state;
	set_up(&fixture, 0, RONDO_CLOCK_MONOTONIC);
	map = *fixture.map;
	clock = clock_of(&map, &begin, &end);
	assert_int_equal(clock.frequency, SECOND);
	assert_int_equal(error_at(&clock, &begin), 0);
	map.clock = RONDO_CLOCK_REALTIME;
	clock = clock_of(&map, &begin, &end);
	assert_int_equal(clock.frequency, SECOND);
	assert_int_equal(clock.seconds + clock.ticks, 0);
	map.clock = RONDO_CLOCK_NONE;
	clock = clock_of(&map, &begin, &end);
	assert_int_equal(clock.frequency, SECOND);
	assert_int_equal(clock.seconds + clock.ticks, 0);
	tear_down(&fixture);
}

/* Whoever names fields like ours, as far as our names go. */
static void the_name_of_a_hole_has_an_end(void **state)
{
	struct rondo_field fields[60] = {{.name = "a", .type = RONDO_FIELD_U8}};
	char names[60][64], data[75] = "", *text;
	struct fixture fixture;
	uint32_t i;

	(void)state;
	set_up(&fixture, 0, RONDO_CLOCK_MONOTONIC);
	for (i = 1; i < TEST_COUNT(fields); i++) {
		memset(names[i], '_', sizeof(names[i]));
		memcpy(names[i], "pad1", 4);
		names[i][3 + i] = 0;
		fields[i] = (struct rondo_field){.name = names[i],
						 .type = RONDO_FIELD_U8,
						 .offset = 15 + i};
	}
	put(&fixture,
	    add_class(&fixture, "t:names", fields, TEST_COUNT(fields)), 1000,
	    data, sizeof(data));
	text = read_back(&fixture, PLAIN);
	assert_int_equal(trace_count(text, "t:names"), 1);
	assert_int_equal(trace_count(text, " pad1 = 0,"), 1);
	free(text);
	tear_down(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_is_shown_with_compact_headers),
		cmocka_unit_test(every_type_is_shown_with_full_headers),
		cmocka_unit_test(names_are_shown_as_they_were_registered),
		cmocka_unit_test(holes_between_fields_are_stepped_over),
		cmocka_unit_test(gaps_are_stepped_over),
		cmocka_unit_test(packet_context_and_environment_are_shown),
		cmocka_unit_test(names_may_differ_by_an_underscore),
		cmocka_unit_test(rings_that_are_no_cpus_name_none),
		cmocka_unit_test(a_damaged_catalog_makes_no_metadata),
		cmocka_unit_test(ticks_are_wall_time_at_both_ends),
		cmocka_unit_test(
			the_time_before_a_short_recording_is_right_too),
		cmocka_unit_test(
			a_wall_clock_that_was_set_does_not_bend_durations),
		cmocka_unit_test(a_frequency_that_is_not_true_is_measured),
		cmocka_unit_test(kernel_clocks_need_no_measurement),
		cmocka_unit_test(the_name_of_a_hole_has_an_end),
	};

	if (!trace_can_be_read())
		return TEST_SKIP;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
