/* SPDX-License-Identifier: MIT */
/*
 * Mending packets: whatever bytes are in one, babeltrace2 reads what comes out
 * of it without a warning.
 */
#include "support/test.h"

#include "ctf.h"
#include "packet.h"
#include "registry.h"
#include "support/packet.h"
#include "support/random.h"
#include "support/trace.h"

#define BEGIN UINT64_C(5000000000000)
#define END (BEGIN + 1000000)
#define ROUNDS 400

static const struct rondo_field fixed_fields[] = {
	{.name = "a", .type = RONDO_FIELD_U64},
	{.name = "b", .type = RONDO_FIELD_U32, .offset = 8},
};

static const struct rondo_field inline_fields[] = {
	{.name = "n", .type = RONDO_FIELD_U16},
	{.name = "s", .type = RONDO_FIELD_STRING, .offset = 4},
	{.name = "q", .type = RONDO_FIELD_SEQUENCE, .length_field = "n"},
	{.name = "t", .type = RONDO_FIELD_STRING},
};

static const struct rondo_field wide_fields[] = {
	{.name = "n", .type = RONDO_FIELD_U64},
	{.name = "q", .type = RONDO_FIELD_SEQUENCE, .length_field = "n"},
	{.name = "s", .type = RONDO_FIELD_STRING},
};

struct fixture {
	struct rondo_channel *channel;
	const struct rondo_map *map;
	struct rondo_schema *schema;
	struct packet packet;
	char directory[512];
};

static void add_class(struct fixture *fixture, const char *name,
		      const struct rondo_field *fields, uint32_t count)
{
	const struct rondo_event_class event_class = {
		.size = sizeof(event_class),
		.name = name,
		.fields = fields,
		.field_count = count,
		.field_size = sizeof(*fields),
	};
	uint16_t id;

	assert_int_equal(
		rondo_event_register(fixture->channel, &event_class, &id), 0);
}

/* Classes 2: fixed, 3: strings and a sequence, 4: nothing, 5: a sequence that
 * may claim more than there is memory. */
static void set_up(struct fixture *fixture, uint32_t record_max)
{
	const struct rondo_config config = {.size = sizeof(config),
					    .record_max = record_max,
					    .clock = RONDO_CLOCK_MONOTONIC};
	const struct rondo_clock_pair pair = {BEGIN, BEGIN};
	char *text;

	assert_int_equal(rondo_channel_create(&config, &fixture->channel), 0);
	fixture->map = &fixture->channel->control->map;
	add_class(fixture, "t:fixed", fixed_fields, 2);
	add_class(fixture, "t:inline", inline_fields, 4);
	add_class(fixture, "t:nothing", NULL, 0);
	add_class(fixture, "t:wide", wide_fields, 3);
	assert_int_equal(rondo_schema_open(fixture->map, &fixture->schema), 0);
	assert_int_equal(rondo_schema_classes(fixture->schema), 4);
	trace_scratch(fixture->directory);
	assert_int_equal(rondo_ctf_metadata(fixture->map, &pair, &pair, &text),
			 0);
	trace_put(fixture->directory, "metadata", text, strlen(text));
	free(text);
	packet_begin(&fixture->packet, fixture->map->uuid,
		     fixture->map->header_bytes, BEGIN);
}

static void tear_down(struct fixture *fixture)
{
	rondo_schema_close(fixture->schema);
	trace_remove(fixture->directory);
	rondo_channel_destroy(fixture->channel);
}

static uint64_t mend_from(struct fixture *fixture, uint64_t begin)
{
	struct packet *packet = &fixture->packet;
	struct rondo_contents contents = {
		.data = packet->data,
		.bytes = rondo_align(packet->content, 4096),
		.content = packet->content,
		.time_begin = begin,
		.time_end = begin + END - BEGIN,
	};
	uint64_t wrong = rondo_packet_mend(fixture->schema, &contents);

	assert_true(contents.content >= RONDO_PACKET_BYTES);
	assert_true(contents.content <= contents.bytes);
	packet->content = contents.content;
	return wrong;
}

static uint64_t mend(struct fixture *fixture)
{
	return mend_from(fixture, BEGIN);
}

/* n, s, q, t: "sss", q of n bytes, "t". */
static uint32_t make_inline(char out[64], uint16_t n)
{
	memset(out, 0, 64);
	memcpy(out, &n, 2);
	memcpy(out + 4, "sss", 4);
	memset(out + 8, 'q', n);
	memcpy(out + 8 + n, "t", 2);
	return 10u + n;
}

static void fill(struct packet *packet, uint64_t *seed)
{
	uint64_t time = BEGIN;
	char data[64];

	while (packet->next < 3900) {
		time += test_random_below(seed, 100);
		memset(data, 1, sizeof(data));
		switch (test_random_below(seed, 4)) {
		case 0:
			packet_put(packet, 2, time, data, 16);
			break;
		case 1:
			packet_put(packet, 3, time, data,
				   make_inline(data,
					       (uint16_t)test_random_below(
						       seed, 40)));
			break;
		case 2:
			packet_put(packet, 4, time, data, 0);
			break;
		default:
			packet_put(packet, RONDO_ID_GAP, time, data, 0);
		}
	}
}

static void a_sound_packet_stays_as_it_is(void **state)
{
	static const uint32_t limits[] = {2032, 4096};
	struct fixture fixture;
	struct packet before;
	uint64_t seed = test_seed();
	size_t i;

	(void)state;
	for (i = 0; i < TEST_COUNT(limits); i++) {
		set_up(&fixture, limits[i]);
		fill(&fixture.packet, &seed);
		packet_put(&fixture.packet, 2, END, "0123456789ab", 12);
		before = fixture.packet;
		assert_int_equal(mend(&fixture), 0);
		assert_memory_equal(&before, &fixture.packet, sizeof(before));
		tear_down(&fixture);
	}
}

/* One record, and what a reader takes it for: all of it, a part, or a gap. */
static void check_one(struct fixture *fixture, uint16_t id, const void *data,
		      uint32_t bytes, int64_t used)
{
	packet_begin(&fixture->packet, fixture->map->uuid,
		     fixture->map->header_bytes, BEGIN);
	packet_put(&fixture->packet, id, BEGIN, data, bytes);
	assert_int_equal(mend(fixture), used < 0);
	if (used >= 0)
		assert_int_equal(fixture->packet.content,
				 RONDO_PACKET_BYTES +
					 fixture->map->header_bytes +
					 (uint64_t)used);
	else
		assert_int_equal(fixture->packet.content, fixture->packet.next);
}

static void a_record_ends_where_its_last_field_does(void **state)
{
	static const uint32_t limits[] = {2032, 4096};
	struct fixture fixture;
	char data[64];
	uint32_t bytes;
	size_t i;

	(void)state;
	for (i = 0; i < TEST_COUNT(limits); i++) {
		set_up(&fixture, limits[i]);
		memset(data, 1, sizeof(data));
		check_one(&fixture, 2, data, 12, 12);
		check_one(&fixture, 2, data, 16, 12);
		check_one(&fixture, 2, data, 8, -1);
		check_one(&fixture, 2, data, 0, -1);
		check_one(&fixture, 2, data, 17, -1);
		check_one(&fixture, 4, data, 0, 0);
		check_one(&fixture, 4, data, 17, -1);
		check_one(&fixture, 6, data, 16, -1);
		check_one(&fixture, 0x7fff, data, 16, -1);
		bytes = make_inline(data, 30);
		check_one(&fixture, 3, data, bytes, bytes);
		/* The NUL of the last string is missing. */
		data[bytes - 1] = 'x';
		check_one(&fixture, 3, data, bytes & ~7u, -1);
		/* Longer than the record. */
		make_inline(data, 30);
		data[1] = 1;
		check_one(&fixture, 3, data, bytes, -1);
		/* So long that adding it goes around. */
		memcpy(data, "\xf8\xff\xff\xff\xff\xff\xff\xffxxxxxxx", 16);
		check_one(&fixture, 5, data, 16, -1);
		tear_down(&fixture);
	}
}

/* Bytes of the records are damaged, at random, or replaced altogether. */
static void damage(struct packet *packet, uint64_t *seed)
{
	uint64_t room = packet->content - RONDO_PACKET_BYTES;
	uint64_t changes = 1 + test_random_below(seed, 6);

	if (test_random_below(seed, 16) == 0)
		changes = room;
	while (changes--)
		packet->data[RONDO_PACKET_BYTES + test_random_below(seed, room)] =
			(char)test_random(seed);
}

static void mend_at_random(uint32_t record_max)
{
	uint64_t seed = test_seed(), wrong = 0, size;
	struct fixture fixture;
	char name[32];
	int round;

	set_up(&fixture, record_max);
	for (round = 0; round < ROUNDS; round++) {
		packet_begin(&fixture.packet, fixture.map->uuid,
			     fixture.map->header_bytes, BEGIN);
		fill(&fixture.packet, &seed);
		damage(&fixture.packet, &seed);
		wrong += mend(&fixture);
		/* Once mended it is sound. */
		assert_int_equal(mend(&fixture), 0);
		size = packet_end(&fixture.packet, END);
		/* Streams of their own: all begin at the same time. */
		fixture.packet.header.stream_instance_id = (uint64_t)round;
		snprintf(name, sizeof(name), "stream%d", round);
		trace_put(fixture.directory, name, fixture.packet.data, size);
	}
	assert_true(wrong > ROUNDS / 2);
	free(trace_read_clean(fixture.directory, ""));
	tear_down(&fixture);
}

/* With a full header its id and length are those of its class. */
static void an_open_record_is_made_a_gap(void **state)
{
	static const uint32_t limits[] = {2032, 4096};
	struct fixture fixture;

	(void)state;
	for (size_t i = 0; i < TEST_COUNT(limits); i++) {
		char *header = fixture.packet.data;

		set_up(&fixture, limits[i]);
		header += packet_put(&fixture.packet, 2, BEGIN, "0123456789ab",
				     12);
		if (fixture.map->header_bytes == 8)
			header[7] = (char)0xff;
		else
			header[2] = RONDO_STATE_OPEN;
		assert_int_equal(mend(&fixture), 1);
		assert_int_equal(fixture.packet.content, fixture.packet.next);
		tear_down(&fixture);
	}
}

static void a_damaged_packet_can_be_read_once_it_is_mended(void **state)
{
	(void)state;
	mend_at_random(2032);
	mend_at_random(4096);
}

/* In a run of one class, which is told by its headers: times, and the end. */
static void a_run_of_one_class_ends_where_it_is_not_sound(void **state)
{
	const char data[16] = "0123456789abcde";
	struct fixture fixture;
	struct packet *packet = &fixture.packet;
	uint64_t stale, size;

	(void)state;
	set_up(&fixture, 2032);
	for (uint64_t i = 0; i < 20; i++)
		packet_put(packet, 2, BEGIN + 100 * i, data, 16);
	stale = packet_put(packet, 2, BEGIN + 100, data, 16);
	for (uint64_t i = 30; i < 40; i++)
		packet_put(packet, 2, BEGIN + 100 * i, data, 16);
	assert_int_equal(mend(&fixture), 1);
	assert_int_not_equal(packet->data[stale + 6], 2);
	/* The last is cut: its second word lies behind the content. */
	packet_begin(packet, fixture.map->uuid, 8, BEGIN);
	for (uint64_t i = 0; i < 20; i++)
		packet_put(packet, 2, BEGIN + 100 * i, data, 16);
	packet->content -= 8;
	assert_int_equal(mend(&fixture), 1);
	assert_int_equal(mend(&fixture), 0);
	size = packet_end(packet, END);
	trace_put(fixture.directory, "stream", packet->data, size);
	free(trace_read_clean(fixture.directory, ""));
	tear_down(&fixture);
}

/* A packet of 40 records of one class, 100 ticks apart. */
static void fill_run(struct fixture *fixture, uint64_t begin)
{
	packet_begin(&fixture->packet, fixture->map->uuid, 8, begin);
	for (uint64_t i = 0; i < 40; i++)
		packet_put(&fixture->packet, 2, begin + 100 * i,
			   "0123456789abcde", 16);
}

/* What a header may have instead, by what is added to its word: the time of two
 * before, one after the packet's end, a length less, the next class with an
 * earlier time, an unknown class, or the mark of an open record. */
static void no_record_of_a_run_is_taken_for_another(void **state)
{
	const uint64_t wrongs[] = {
		UINT64_C(-200),	    END - BEGIN + 1,
		UINT64_C(-1) << 40, (UINT64_C(1) << 48) - 150,
		UINT64_C(77) << 48, UINT64_C(0xff00) << 48,
	};
	struct fixture fixture;

	(void)state;
	set_up(&fixture, 2032);
	for (uint64_t i = 2; i < 39; i++) {
		for (size_t k = 0; k < TEST_COUNT(wrongs); k++) {
			uint64_t at = RONDO_PACKET_BYTES + 24 * i, word;

			fill_run(&fixture, BEGIN);
			memcpy(&word, fixture.packet.data + at, 8);
			word += wrongs[k];
			memcpy(fixture.packet.data + at, &word, 8);
			assert_in_range(mend(&fixture), 1, 2);
			memcpy(&word, fixture.packet.data + at, 8);
			assert_true(word >> 48 < RONDO_ID_FIRST);
			assert_int_equal(mend(&fixture), 0);
		}
	}
	tear_down(&fixture);
}

static void a_run_may_go_on_when_forty_bits_of_time_begin_again(void **state)
{
	struct fixture fixture;

	(void)state;
	set_up(&fixture, 2032);
	for (uint64_t i = 0; i <= 40; i++) {
		const uint64_t begin = (UINT64_C(5) << 40) - 100 * i;
		struct packet before;

		fill_run(&fixture, begin);
		before = fixture.packet;
		assert_int_equal(mend_from(&fixture, begin), 0);
		assert_memory_equal(fixture.packet.data, before.data,
				    PACKET_BYTES);
	}
	tear_down(&fixture);
}

static void a_length_may_stand_anywhere_before_its_sequence(void **state)
{
	static const struct rondo_field fields[] = {
		{.name = "other", .type = RONDO_FIELD_U32},
		{.name = "n", .type = RONDO_FIELD_U32, .offset = 4},
		{.name = "q",
		 .type = RONDO_FIELD_SEQUENCE,
		 .offset = 8,
		 .length_field = "n"},
	};
	const uint32_t data[] = {UINT32_MAX, 4, 0x71717171};
	struct fixture fixture;
	uint64_t size;

	(void)state;
	set_up(&fixture, 4096);
	add_class(&fixture, "t:second", fields, TEST_COUNT(fields));
	rondo_schema_close(fixture.schema);
	assert_int_equal(rondo_schema_open(fixture.map, &fixture.schema), 0);
	packet_put(&fixture.packet, 6, BEGIN, data, sizeof(data));
	size = fixture.packet.content;
	assert_int_equal(mend(&fixture), 0);
	assert_int_equal(fixture.packet.content, size);
	tear_down(&fixture);
}

static void a_content_beyond_its_bytes_is_cut_to_them(void **state)
{
	const char data[16] = "0123456789abcde";
	struct rondo_contents contents = {.bytes = 4096,
					  .content = 5000,
					  .time_begin = BEGIN,
					  .time_end = END};
	struct fixture fixture;

	(void)state;
	set_up(&fixture, 2032);
	while (fixture.packet.content < 4500)
		packet_put(&fixture.packet, 2, BEGIN, data, 16);
	contents.data = fixture.packet.data;
	rondo_packet_mend(fixture.schema, &contents);
	assert_in_range(contents.content, 4000, 4096);
	tear_down(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_packet_stays_as_it_is),
		cmocka_unit_test(a_record_ends_where_its_last_field_does),
		cmocka_unit_test(an_open_record_is_made_a_gap),
		cmocka_unit_test(
			a_damaged_packet_can_be_read_once_it_is_mended),
		cmocka_unit_test(a_run_of_one_class_ends_where_it_is_not_sound),
		cmocka_unit_test(no_record_of_a_run_is_taken_for_another),
		cmocka_unit_test(
			a_run_may_go_on_when_forty_bits_of_time_begin_again),
		cmocka_unit_test(
			a_length_may_stand_anywhere_before_its_sequence),
		cmocka_unit_test(a_content_beyond_its_bytes_is_cut_to_them),
	};

	if (!trace_can_be_read())
		return TEST_SKIP;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
