/* SPDX-License-Identifier: MIT */
/*
 * Event classes: what is refused, what gets an id, what a reader of the
 * catalog finds, and what it finds in a damaged one.
 */
#include "support/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "event.h"
#include "registry.h"
#include "support/random.h"

static const struct rondo_label colours[] = {{"RED", 1}, {"GREEN", 7}};

/* One field of every type, as in a C struct. */
static const struct rondo_field all_fields[] = {
	{.name = "a", .type = RONDO_FIELD_U8, .offset = 0},
	{.name = "b", .type = RONDO_FIELD_I16, .offset = 2},
	{.name = "c", .type = RONDO_FIELD_U32, .offset = 4, .count = 3},
	{.name = "d", .type = RONDO_FIELD_PTR, .offset = 16},
	{.name = "e", .type = RONDO_FIELD_F32, .offset = 24},
	{.name = "f", .type = RONDO_FIELD_F64, .offset = 32},
	{.name = "g", .type = RONDO_FIELD_BYTES, .offset = 40, .count = 5},
	{.name = "h",
	 .type = RONDO_FIELD_ENUM,
	 .offset = 48,
	 .labels = colours,
	 .label_count = 2},
	{.name = "int", .type = RONDO_FIELD_U16, .offset = 52},
	{.name = "s", .type = RONDO_FIELD_STRING, .offset = 54},
	{.name = "q", .type = RONDO_FIELD_SEQUENCE, .length_field = "int"},
};

static struct rondo_event_class
class_of(const char *name, const struct rondo_field *fields, uint32_t count)
{
	return (struct rondo_event_class){
		.size = sizeof(struct rondo_event_class),
		.loglevel = 6,
		.name = name,
		.fields = fields,
		.field_count = count,
		.field_size = sizeof(*fields),
	};
}

static struct rondo_channel *new_channel(void)
{
	struct rondo_channel *channel;

	assert_int_equal(rondo_channel_create(NULL, &channel), 0);
	return channel;
}

static int register_fields(struct rondo_channel *channel, const char *name,
			   const struct rondo_field *fields, uint32_t count)
{
	struct rondo_event_class event_class = class_of(name, fields, count);
	uint16_t id = 77;
	int result = rondo_event_register(channel, &event_class, &id);

	if (result)
		assert_int_equal(id, 77);
	return result ? result : id;
}

static int register_field(struct rondo_channel *channel,
			  struct rondo_field field)
{
	return register_fields(channel, "t:one", &field, 1);
}

static void ids_are_consecutive_from_the_first(void **state)
{
	struct rondo_channel *channel = new_channel();
	char name[16];
	int i;

	(void)state;
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "t:%d", i);
		assert_int_equal(register_fields(channel, name, all_fields,
						 (uint32_t)i % 10),
				 RONDO_ID_FIRST + i);
		assert_int_equal(channel->class_count, i + 1);
	}
	rondo_channel_destroy(channel);
}

static void the_same_class_again_has_the_same_id(void **state)
{
	struct rondo_channel *channel = new_channel();
	struct rondo_field fields[TEST_COUNT(all_fields)];
	uint32_t count = TEST_COUNT(all_fields);
	struct rondo_event_class other;
	uint16_t id;
	int first;

	(void)state;
	memcpy(fields, all_fields, sizeof(fields));
	first = register_fields(channel, "t:a", fields, count);
	assert_int_equal(first, RONDO_ID_FIRST);
	assert_int_equal(register_fields(channel, "t:b", fields, count), 3);
	assert_int_equal(register_fields(channel, "t:a", fields, count), 2);
	/* One element is no array. */
	fields[0].count = 1;
	assert_int_equal(register_fields(channel, "t:a", fields, count), 2);
	assert_int_equal(channel->class_count, 2);

	other = class_of("t:a", fields, count);
	other.loglevel = 7;
	assert_int_equal(rondo_event_register(channel, &other, &id), -EEXIST);
	assert_int_equal(register_fields(channel, "t:a", fields, count - 1),
			 -EEXIST);
	fields[0].name = "z";
	assert_int_equal(register_fields(channel, "t:a", fields, count),
			 -EEXIST);
	assert_int_equal(register_fields(channel, "rondo:gap", NULL, 0),
			 -EEXIST);
	rondo_channel_destroy(channel);
}

static void a_class_needs_a_plain_name_and_a_level(void **state)
{
	static const char *const wrong[] = {NULL,   "",	     "a\"b",	"a\\b",
					    "a\nb", "a\x7f", "\xc3\xa4"};
	struct rondo_channel *channel = new_channel();
	struct rondo_event_class event_class;
	char name[258];
	uint16_t id;
	size_t i;

	(void)state;
	for (i = 0; i < TEST_COUNT(wrong); i++)
		assert_int_equal(register_fields(channel, wrong[i], NULL, 0),
				 -EINVAL);
	memset(name, 'n', sizeof(name));
	name[256] = 0;
	assert_int_equal(register_fields(channel, name, NULL, 0), -EINVAL);
	name[255] = 0;
	assert_int_equal(register_fields(channel, name, NULL, 0), 2);
	event_class = class_of("t:a", NULL, 0);
	event_class.loglevel = 15;
	assert_int_equal(rondo_event_register(channel, &event_class, &id),
			 -EINVAL);
	event_class.loglevel = 14;
	assert_int_equal(rondo_event_register(channel, &event_class, &id), 0);
	rondo_channel_destroy(channel);
}

static void a_field_needs_an_identifier_of_its_own(void **state)
{
	static const char *const wrong[] = {NULL, "", "1a", "a-b", "a b", "a."};
	static const struct rondo_field twice[] = {
		{.name = "a", .type = RONDO_FIELD_U8, .offset = 0},
		{.name = "a", .type = RONDO_FIELD_U8, .offset = 1},
	};
	struct rondo_channel *channel = new_channel();
	size_t i;

	(void)state;
	for (i = 0; i < TEST_COUNT(wrong); i++)
		assert_int_equal(register_field(channel,
						(struct rondo_field){
							.name = wrong[i],
							.type = RONDO_FIELD_U8,
						}),
				 -EINVAL);
	assert_int_equal(register_fields(channel, "t:a", twice, 2), -EINVAL);
	assert_int_equal(register_fields(channel, "t:a", twice, 1), 2);
	rondo_channel_destroy(channel);
}

static void a_class_may_have_512_fields(void **state)
{
	static struct rondo_field fields[513];
	static char names[513][8];
	struct rondo_channel *channel = new_channel();

	(void)state;
	for (uint32_t i = 0; i < TEST_COUNT(fields); i++) {
		snprintf(names[i], sizeof(names[i]), "f%u", i);
		fields[i] = (struct rondo_field){
			.name = names[i], .type = RONDO_FIELD_U8, .offset = i};
	}
	assert_int_equal(register_fields(channel, "t:more", fields, 513),
			 -EINVAL);
	assert_int_equal(register_fields(channel, "t:most", fields, 512), 2);
	rondo_channel_destroy(channel);
}

static void a_field_lies_as_in_a_c_struct(void **state)
{
	static const struct rondo_field wrong[][2] = {
		/* no such type */
		{{.name = "a", .type = 0},
		 {.name = "b", .type = 1, .offset = 8}},
		{{.name = "a", .type = 16},
		 {.name = "b", .type = 1, .offset = 8}},
		/* not aligned */
		{{.name = "a", .type = RONDO_FIELD_U8},
		 {.name = "b", .type = RONDO_FIELD_U32, .offset = 2}},
		/* overlapping, descending */
		{{.name = "a", .type = RONDO_FIELD_U64},
		 {.name = "b", .type = RONDO_FIELD_U32, .offset = 4}},
		{{.name = "a", .type = RONDO_FIELD_U32, .offset = 8},
		 {.name = "b", .type = RONDO_FIELD_U32, .offset = 0}},
		{{.name = "a", .type = RONDO_FIELD_U16, .count = 5},
		 {.name = "b", .type = RONDO_FIELD_U64, .offset = 8}},
		/* beyond record_max, also when the product is large */
		{{.name = "a", .type = RONDO_FIELD_U8},
		 {.name = "b", .type = RONDO_FIELD_U64, .offset = 2032}},
		{{.name = "a", .type = RONDO_FIELD_U64, .count = 0x20000001},
		 {.name = "b", .type = RONDO_FIELD_U64, .offset = 8}},
		/* something behind a string; an array of strings */
		{{.name = "a", .type = RONDO_FIELD_STRING},
		 {.name = "b", .type = RONDO_FIELD_U8, .offset = 8}},
		{{.name = "a", .type = RONDO_FIELD_U8},
		 {.name = "b", .type = RONDO_FIELD_STRING, .count = 2}},
		/* a string within the field before it */
		{{.name = "a", .type = RONDO_FIELD_U64},
		 {.name = "b", .type = RONDO_FIELD_STRING, .offset = 4}},
		/* bytes, but how many */
		{{.name = "a", .type = RONDO_FIELD_U8},
		 {.name = "b", .type = RONDO_FIELD_BYTES, .offset = 1}},
		{{.name = "a", .type = RONDO_FIELD_U8, .reserved_ = 1},
		 {.name = "b", .type = RONDO_FIELD_U8, .offset = 1}},
	};
	struct rondo_channel *channel = new_channel();
	size_t i;

	(void)state;
	for (i = 0; i < TEST_COUNT(wrong); i++)
		assert_int_equal(register_fields(channel, "t:a", wrong[i], 2),
				 -EINVAL);
	assert_int_equal(channel->class_count, 0);
	assert_int_equal(
		register_field(channel,
			       (struct rondo_field){.name = "a",
						    .type = RONDO_FIELD_U64,
						    .offset = 2024}),
		2);
	rondo_channel_destroy(channel);
}

static void a_sequence_needs_an_unsigned_length_before_it(void **state)
{
	static const uint32_t types[] = {RONDO_FIELD_I32, RONDO_FIELD_F32,
					 RONDO_FIELD_ENUM, RONDO_FIELD_PTR};
	struct rondo_field fields[] = {
		{.name = "n", .type = RONDO_FIELD_U32},
		{.name = "q", .type = RONDO_FIELD_SEQUENCE},
	};
	struct rondo_channel *channel = new_channel();
	size_t i;

	(void)state;
	assert_int_equal(register_fields(channel, "t:a", fields, 2), -EINVAL);
	fields[1].length_field = "q";
	assert_int_equal(register_fields(channel, "t:a", fields, 2), -EINVAL);
	fields[1].length_field = "n";
	for (i = 0; i < TEST_COUNT(types); i++) {
		fields[0].type = types[i];
		fields[0].labels = types[i] == RONDO_FIELD_ENUM ? colours :
								  NULL;
		fields[0].label_count = fields[0].labels ? 2 : 0;
		assert_int_equal(register_fields(channel, "t:a", fields, 2),
				 -EINVAL);
	}
	fields[0] = (struct rondo_field){
		.name = "n", .type = RONDO_FIELD_U32, .count = 2};
	assert_int_equal(register_fields(channel, "t:a", fields, 2), -EINVAL);
	fields[0].count = 0;
	fields[0].length_field = "n";
	assert_int_equal(register_fields(channel, "t:a", fields, 2), -EINVAL);
	fields[0].length_field = NULL;
	assert_int_equal(register_fields(channel, "t:a", fields, 2), 2);
	rondo_channel_destroy(channel);
}

static void an_enumeration_needs_labels_of_32_bits(void **state)
{
	static const struct rondo_label wrong[][1] = {
		{{NULL, 1}},
		{{"", 1}},
		{{"a\"", 1}},
		{{"a", -1}},
		{{"a", INT64_C(1) << 32}},
	};
	static const struct rondo_label widest[] = {{"a", UINT32_MAX}};
	struct rondo_field field = {.name = "e", .type = RONDO_FIELD_ENUM};
	struct rondo_channel *channel = new_channel();
	size_t i;

	(void)state;
	assert_int_equal(register_field(channel, field), -EINVAL);
	field.label_count = 1;
	assert_int_equal(register_field(channel, field), -EINVAL);
	for (i = 0; i < TEST_COUNT(wrong); i++) {
		field.labels = wrong[i];
		assert_int_equal(register_field(channel, field), -EINVAL);
	}
	field.labels = widest;
	assert_int_equal(register_field(channel, field), 2);
	field.type = RONDO_FIELD_U32;
	assert_int_equal(register_field(channel, field), -EINVAL);
	rondo_channel_destroy(channel);
}

static void larger_structs_are_fine_when_the_rest_is_zero(void **state)
{
	struct {
		struct rondo_event_class known;
		uint32_t more[2];
	} large = {.known = class_of("t:a", NULL, 0)};
	struct {
		struct rondo_field known;
		uint64_t more;
	} fields[2] = {
		{.known = {.name = "a", .type = RONDO_FIELD_U32}},
		{.known = {.name = "b", .type = RONDO_FIELD_U32, .offset = 4}},
	};
	struct rondo_channel *channel = new_channel();
	uint16_t id;

	(void)state;
	large.known.size = sizeof(large);
	large.known.fields = &fields[0].known;
	large.known.field_count = 2;
	large.known.field_size = sizeof(fields[0]);
	assert_int_equal(rondo_event_register(channel, &large.known, &id), 0);
	fields[1].more = 1;
	assert_int_equal(rondo_event_register(channel, &large.known, &id),
			 -E2BIG);
	fields[1].more = 0;
	large.more[1] = 1;
	assert_int_equal(rondo_event_register(channel, &large.known, &id),
			 -E2BIG);
	large.more[1] = 0;
	large.known.size = sizeof(large.known) - 1;
	assert_int_equal(rondo_event_register(channel, &large.known, &id),
			 -EINVAL);
	large.known.size = sizeof(large);
	large.known.field_size = sizeof(struct rondo_field) - 8;
	assert_int_equal(rondo_event_register(channel, &large.known, &id),
			 -EINVAL);
	rondo_channel_destroy(channel);
}

static void a_full_catalog_refuses_and_keeps_what_it_has(void **state)
{
	struct rondo_channel *channel = new_channel();
	struct rondo_label labels[2000];
	struct rondo_field field = {.name = "e",
				    .type = RONDO_FIELD_ENUM,
				    .labels = labels,
				    .label_count = TEST_COUNT(labels)};
	struct rondo_field fields[50];
	char name[16], names[50][8];
	int count = 0, result;
	size_t i;

	(void)state;
	for (i = 0; i < TEST_COUNT(labels); i++)
		labels[i] = (struct rondo_label){"label", (int64_t)i};
	do {
		snprintf(name, sizeof(name), "t:%d", count);
		result = register_fields(channel, name, &field, 1);
	} while (result == (int)RONDO_ID_FIRST + count++);
	assert_int_equal(result, -ENOSPC);
	assert_in_range(count, 10, 100);
	assert_int_equal(channel->class_count, count - 1);
	assert_int_equal(register_fields(channel, "t:0", &field, 1), 2);
	assert_int_equal(register_fields(channel, "t:small", NULL, 0),
			 RONDO_ID_FIRST + count - 1);
	/* Nor does one that no catalog has room for. */
	for (i = 0; i < TEST_COUNT(fields); i++) {
		fields[i] = field;
		snprintf(names[i], sizeof(names[i]), "e%zu", i);
		fields[i].name = names[i];
		fields[i].offset = (uint32_t)(4 * i);
	}
	assert_int_equal(register_fields(channel, "t:huge", fields,
					 TEST_COUNT(fields)),
			 -ENOSPC);
	rondo_channel_destroy(channel);
}

static void an_attached_channel_and_a_child_register_nothing(void **state)
{
	struct rondo_channel *channel = new_channel(), *attached;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(
		rondo_channel_attach(rondo_channel_fd(channel), &attached), 0);
	assert_int_equal(register_fields(attached, "t:a", NULL, 0), -EACCES);
	rondo_channel_destroy(attached);
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(register_fields(channel, "t:a", NULL, 0) != -ESHUTDOWN);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	rondo_channel_destroy(channel);
}

static void a_reader_finds_every_class_as_it_was_registered(void **state)
{
	struct rondo_channel *channel = new_channel();
	struct rondo_catalog_reader *reader;
	struct rondo_event_class found;
	uint16_t id;
	uint32_t i;

	(void)state;
	register_fields(channel, "t:none", NULL, 0);
	register_fields(channel, "t:all", all_fields, TEST_COUNT(all_fields));
	assert_int_equal(rondo_catalog_open(&channel->control->map, &reader),
			 0);
	assert_int_equal(rondo_catalog_next(reader, &id, &found), 1);
	assert_int_equal(id, 2);
	assert_string_equal(found.name, "t:none");
	assert_int_equal(found.field_count, 0);
	assert_int_equal(rondo_catalog_next(reader, &id, &found), 1);
	assert_int_equal(id, 3);
	assert_int_equal(found.loglevel, 6);
	assert_int_equal(found.field_count, TEST_COUNT(all_fields));
	for (i = 0; i < found.field_count; i++) {
		const struct rondo_field *field = &found.fields[i];

		assert_string_equal(field->name, all_fields[i].name);
		assert_int_equal(field->type, all_fields[i].type);
		assert_int_equal(field->offset, all_fields[i].offset);
		assert_int_equal(rondo_field_elements(field),
				 rondo_field_elements(&all_fields[i]));
		assert_int_equal(field->label_count, all_fields[i].label_count);
	}
	assert_string_equal(found.fields[7].labels[1].name, "GREEN");
	assert_int_equal(found.fields[7].labels[1].value, 7);
	assert_string_equal(found.fields[10].length_field, "int");
	assert_int_equal(rondo_catalog_next(reader, &id, &found), 0);
	rondo_catalog_close(reader);
	rondo_channel_destroy(channel);
}

/* Nothing of a class is the caller's once it is registered. */
static void a_class_may_go_once_it_is_registered(void **state)
{
	struct rondo_channel *channel = new_channel();
	struct rondo_catalog_reader *reader;
	struct rondo_event_class found;
	char *name = strdup("t:heap");
	uint16_t id;

	(void)state;
	assert_int_equal(register_fields(channel, name, NULL, 0), 2);
	memset(name, 'x', 6);
	free(name);
	assert_int_equal(rondo_catalog_open(&channel->control->map, &reader),
			 0);
	assert_int_equal(rondo_catalog_next(reader, &id, &found), 1);
	assert_string_equal(found.name, "t:heap");
	rondo_catalog_close(reader);
	rondo_channel_destroy(channel);
}

static void check_found(const struct rondo_event_class *found)
{
	uint32_t i, j;

	assert_non_null(memchr(found->name, 0, 256));
	assert_null(strpbrk(found->name, "\"\\\n"));
	for (i = 0; i < found->field_count; i++) {
		const struct rondo_field *field = &found->fields[i];

		assert_true(strlen(field->name) < 256);
		assert_true(rondo_field_bytes(field->type) > 0);
		for (j = 0; j < field->label_count; j++)
			assert_null(strpbrk(field->labels[j].name, "\"\\"));
	}
}

static void a_damaged_catalog_is_read_without_harm(void **state)
{
	struct rondo_channel *channel = new_channel();
	const struct rondo_map *map = &channel->control->map;
	struct rondo_catalog_reader *reader;
	struct rondo_event_class found;
	uint64_t seed = test_seed(), used, refused = 0;
	char good[4096];
	uint16_t id;
	int i, changes, result;

	(void)state;
	register_fields(channel, "t:all", all_fields, TEST_COUNT(all_fields));
	register_fields(channel, "t:some", all_fields, 3);
	used = map->super->catalog_used;
	assert_in_range(used, 64, sizeof(good));
	memcpy(good, map->catalog, used);
	for (i = 0; i < 20000; i++) {
		memcpy(map->catalog, good, used);
		for (changes = 0; changes < 1 + i % 3; changes++)
			map->catalog[test_random_below(&seed, used)] =
				(char)test_random(&seed);
		assert_int_equal(rondo_catalog_open(map, &reader), 0);
		while ((result = rondo_catalog_next(reader, &id, &found)) > 0)
			check_found(&found);
		assert_true(result == 0 || result == -EPROTO);
		refused += result != 0;
		rondo_catalog_close(reader);
	}
	/* Names may change to other names; much of the rest may not. */
	assert_in_range(refused, 5000, 19999);
	/* Less than an entry behind the last. */
	memcpy(map->catalog, good, used);
	map->super->catalog_used = used + 8;
	assert_int_equal(register_fields(channel, "t:x", NULL, 0), -EPROTO);
	map->super->catalog_used = map->catalog_bytes + 8;
	assert_int_equal(rondo_catalog_open(map, &reader), -EPROTO);
	rondo_catalog_close(NULL);
	assert_int_equal(register_fields(channel, "t:x", NULL, 0), -EPROTO);
	rondo_channel_destroy(channel);
}

#define RACERS 4
#define RACED 2000

struct racer {
	struct rondo_channel *channel;
	pthread_t thread;
	int index;
	int ids[RACED]; /* of classes that all have, and of those of its own */
};

static void *register_many(void *argument)
{
	struct racer *racer = argument;
	char name[32];
	int i;

	for (i = 0; i < RACED; i++) {
		snprintf(name, sizeof(name), "t:%d:%d",
			 i % 2 ? racer->index : RACERS, i);
		racer->ids[i] =
			register_fields(racer->channel, name, all_fields, 1);
	}
	return NULL;
}

/* Every entry that the catalog reaches over is there. */
static void a_catalog_is_whole_whenever_it_is_read(void **state)
{
	struct racer racer = {.channel = new_channel()};
	const struct rondo_map *map = &racer.channel->control->map;
	struct rondo_catalog_reader *reader;
	struct rondo_event_class found;
	int result, classes;
	uint16_t id;

	(void)state;
	pthread_create(&racer.thread, NULL, register_many, &racer);
	do {
		assert_int_equal(rondo_catalog_open(map, &reader), 0);
		classes = 0;
		while ((result = rondo_catalog_next(reader, &id, &found)) > 0)
			classes++;
		assert_int_equal(result, 0);
		rondo_catalog_close(reader);
	} while (classes < RACED);
	pthread_join(racer.thread, NULL);
	rondo_channel_destroy(racer.channel);
}

static void threads_that_register_the_same_get_the_same(void **state)
{
	struct racer *racers = calloc(RACERS, sizeof(*racers));
	struct rondo_channel *channel = new_channel();
	const int classes = RACED / 2 * (RACERS + 1);
	int *users = calloc((size_t)classes, sizeof(*users));
	int i, k;

	(void)state;
	for (k = 0; k < RACERS; k++) {
		racers[k].channel = channel;
		racers[k].index = k;
		pthread_create(&racers[k].thread, NULL, register_many,
			       &racers[k]);
	}
	for (k = 0; k < RACERS; k++)
		pthread_join(racers[k].thread, NULL);
	assert_int_equal(channel->class_count, classes);
	for (i = 0; i < RACED; i++) {
		for (k = 0; k < RACERS; k++) {
			int index = racers[k].ids[i] - (int)RONDO_ID_FIRST;

			assert_in_range(index, 0, classes - 1);
			users[index]++;
			if (i % 2 == 0)
				assert_int_equal(racers[k].ids[i],
						 racers[0].ids[i]);
			else
				assert_int_equal(users[index], 1);
		}
	}
	free(users);
	free(racers);
	rondo_channel_destroy(channel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_consecutive_from_the_first),
		cmocka_unit_test(the_same_class_again_has_the_same_id),
		cmocka_unit_test(a_class_needs_a_plain_name_and_a_level),
		cmocka_unit_test(a_field_needs_an_identifier_of_its_own),
		cmocka_unit_test(a_class_may_have_512_fields),
		cmocka_unit_test(a_field_lies_as_in_a_c_struct),
		cmocka_unit_test(a_sequence_needs_an_unsigned_length_before_it),
		cmocka_unit_test(an_enumeration_needs_labels_of_32_bits),
		cmocka_unit_test(larger_structs_are_fine_when_the_rest_is_zero),
		cmocka_unit_test(a_full_catalog_refuses_and_keeps_what_it_has),
		cmocka_unit_test(
			an_attached_channel_and_a_child_register_nothing),
		cmocka_unit_test(
			a_reader_finds_every_class_as_it_was_registered),
		cmocka_unit_test(a_class_may_go_once_it_is_registered),
		cmocka_unit_test(a_damaged_catalog_is_read_without_harm),
		cmocka_unit_test(a_catalog_is_whole_whenever_it_is_read),
		cmocka_unit_test(threads_that_register_the_same_get_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
