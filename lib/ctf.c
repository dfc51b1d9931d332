/* SPDX-License-Identifier: MIT */
/*
 * Metadata text. What stands in it was tried with babeltrace2 2.0.4:
 *
 * - A leading underscore is stripped from names by readers, and no user's name
 *   is a keyword then, so every field of the user gets one.
 * - Natural alignment, spelled out, reproduces the padding of a C struct. A
 *   hole that it does not explain becomes an empty struct of a wider alignment,
 *   or an array of bytes: both show up, as pad and the offset.
 * - What the record headers hold beside time and id lies in the gaps that the
 *   alignment of their members leaves.
 */
#include "ctf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rondo/rondo.h>

#include "event.h"

#define NS_PER_SECOND UINT64_C(1000000000)
#define LONG_NS (NS_PER_SECOND / 100) /* enough to measure a frequency */
#define TOLERANCE_NS 10000	      /* of pairs that were hard to read */

/* A growing text; failed stays set. */
struct text {
	char *data;
	size_t used, room;
	bool failed;
};

static bool text_grow(struct text *text, size_t more)
{
	size_t room = text->room ? text->room : 4096;
	char *data;

	while (room - text->used <= more)
		room *= 2;
	if (room == text->room)
		return true;
	data = realloc(text->data, room);
	if (!data) {
		text->failed = true;
		return false;
	}
	text->data = data;
	text->room = room;
	return true;
}

__attribute__((format(printf, 2, 3))) static void put(struct text *text,
						      const char *format, ...)
{
	va_list list;
	int bytes;

	va_start(list, format);
	bytes = vsnprintf(NULL, 0, format, list);
	va_end(list);
	if (bytes < 0)
		text->failed = true;
	if (text->failed || !text_grow(text, (size_t)bytes))
		return;
	va_start(list, format);
	vsnprintf(text->data + text->used, (size_t)bytes + 1, format, list);
	va_end(list);
	text->used += (size_t)bytes;
}

/* Text from shared memory: it may lack its NUL, or say anything. */
static void put_quoted(struct text *text, const char *string, size_t room)
{
	char quoted[2 * 64 + 1];
	size_t from, to = 0;

	for (from = 0; from < room && from < 64; from++) {
		char c = rondo_load_relaxed(&string[from]);

		if (!c)
			break;
		if (c == '"' || c == '\\')
			quoted[to++] = '\\';
		quoted[to++] = c < ' ' || c > '~' ? '?' : c;
	}
	quoted[to] = 0;
	put(text, "\"%s\"", quoted);
}

static void put_uuid(struct text *text, const uint8_t uuid[16])
{
	static const char dash[16] = {[3] = 1, [5] = 1, [7] = 1, [9] = 1};
	unsigned i;

	put(text, "\"");
	for (i = 0; i < 16; i++)
		put(text, "%02x%s", uuid[i], dash[i] ? "-" : "");
	put(text, "\"");
}

/* ---- the clock ---- */

/* Ticks per nanosecond as a fraction. */
struct rate {
	uint64_t ticks, ns;
};

/* What the metadata says of the clock. */
struct calibration {
	uint64_t frequency; /* Hz */
	int64_t seconds;    /* of tick 0 since 1970, and ... */
	uint64_t ticks;	    /* ... less than a second of them */
};

static uint64_t rate_to_ns(struct rate rate, uint64_t ticks)
{
	unsigned __int128 ns = (unsigned __int128)ticks * rate.ns / rate.ticks;

	return ns > INT64_MAX ? INT64_MAX : (uint64_t)ns;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static bool measure(const struct rondo_clock_pair *begin,
		    const struct rondo_clock_pair *end, struct rate *out)
{
	out->ticks = end->ticks - begin->ticks;
	out->ns = end->ns - begin->ns;
	return end->ticks > begin->ticks && end->ns > begin->ns;
}

/* Whether wall time went as another measurement says, and was not set. */
static bool agrees(struct rate measured, struct rate other)
{
	return distance(rate_to_ns(other, measured.ticks), measured.ns) <=
	       TOLERANCE_NS + measured.ns / 100;
}

/*
 * From the channel's creation to the end, where this agrees with what was read
 * at begin: the longest measurement is the best, for records before begin and
 * for short recordings. Else from begin to end. What the machine says of its
 * clock need not be true: what happened before begin is as good a witness.
 * False: nothing makes sense.
 */
static bool choose_rate(const struct rondo_map *map, struct rate known,
			const struct rondo_clock_pair *begin,
			const struct rondo_clock_pair *end, struct rate *out)
{
	const struct rondo_superblock *super = map->super;
	const struct rondo_clock_pair creation = {
		.ticks = rondo_load_relaxed(&super->clock_base_ticks),
		.ns = rondo_load_relaxed(&super->clock_base_ns),
	};
	struct rate all, late, early;
	bool have_late = measure(begin, end, &late);

	if (measure(&creation, end, &all) && all.ns >= LONG_NS &&
	    agrees(all, known) && begin->ticks <= end->ticks &&
	    distance(rate_to_ns(all, late.ticks), late.ns) <= 500) {
		*out = all;
		return true;
	}
	if (!have_late ||
	    (!agrees(late, known) &&
	     !(measure(&creation, begin, &early) && agrees(late, early))))
		return false;
	*out = late;
	return true;
}

/* Time as frequency says, and as it is at one point. */
static struct calibration anchor(uint64_t frequency,
				 const struct rondo_clock_pair *at)
{
	struct calibration out = {.frequency = frequency ? frequency : 1};
	/* In 1 / (1e9 * frequency) seconds, so that nothing is lost. */
	unsigned __int128 wall = (unsigned __int128)at->ns * out.frequency;
	unsigned __int128 base = (unsigned __int128)at->ticks * NS_PER_SECOND;
	/* Ticks that count from 1970, as emulators' do, may seem to be older. */
	const bool older = base > wall;
	unsigned __int128 ticks = older ? base - wall : wall - base;
	uint64_t seconds;

	ticks = (ticks + NS_PER_SECOND / 2) / NS_PER_SECOND;
	seconds = (uint64_t)(ticks / out.frequency);
	out.ticks = (uint64_t)(ticks % out.frequency);
	if (older && out.ticks) {
		seconds++;
		out.ticks = out.frequency - out.ticks;
	}
	out.seconds = (int64_t)(older ? -seconds : seconds);
	return out;
}

/*
 * The frequency is a whole number of Hz, up to 0.5 Hz wrong; the offset is
 * right in the middle, so either end of a recording is off by a quarter of a
 * tick for each of its seconds: 0.35 us after an hour at 2.6 GHz.
 */
static struct calibration calibrate(const struct rondo_map *map,
				    const struct rondo_clock_pair *begin,
				    const struct rondo_clock_pair *end)
{
	struct rate known = {rondo_load_relaxed(&map->super->clock_frequency),
			     NS_PER_SECOND};
	struct rondo_clock_pair middle = *begin;
	struct rate rate;
	unsigned __int128 scaled;

	if (!known.ticks)
		known.ticks = NS_PER_SECOND;
	if (!choose_rate(map, known, begin, end, &rate))
		return anchor(known.ticks, begin);
	scaled = (unsigned __int128)rate.ticks * NS_PER_SECOND + rate.ns / 2;
	middle.ticks += (end->ticks - begin->ticks) / 2;
	middle.ns += (end->ns - begin->ns) / 2;
	return anchor((uint64_t)(scaled / rate.ns), &middle);
}

static struct calibration calibration_of(const struct rondo_map *map,
					 const struct rondo_clock_pair *begin,
					 const struct rondo_clock_pair *end)
{
	const struct calibration out = {.frequency = NS_PER_SECOND};

	switch (map->clock) {
	case RONDO_CLOCK_FASTEST:
		return calibrate(map, begin, end);
	case RONDO_CLOCK_MONOTONIC:
		return anchor(NS_PER_SECOND, begin);
	default:
		return out;
	}
}

static const char *clock_name(uint32_t clock)
{
	switch (clock) {
	case RONDO_CLOCK_FASTEST:
		return "ticks";
	case RONDO_CLOCK_MONOTONIC:
		return "monotonic";
	case RONDO_CLOCK_REALTIME:
		return "realtime";
	default:
		return "none";
	}
}

/* Raw CLOCK_MONOTONIC is the same clock in all traces of a boot. */
static void put_clock(struct text *text, const struct rondo_map *map,
		      const struct calibration *calibration)
{
	put(text, "clock {\n\tname = \"monotonic\";\n\tuuid = ");
	put_uuid(text, map->clock == RONDO_CLOCK_MONOTONIC ?
			       map->super->boot_id :
			       map->uuid);
	put(text,
	    ";\n\tdescription = \"%s\";\n\tfreq = %llu;\n\toffset_s = %lld;\n"
	    "\toffset = %llu;\n\tabsolute = true;\n};\n",
	    clock_name(map->clock), (unsigned long long)calibration->frequency,
	    (long long)calibration->seconds,
	    (unsigned long long)calibration->ticks);
}

/* ---- trace, environment, stream ---- */

static void put_integer_types(struct text *text)
{
	static const struct {
		unsigned bits;
		bool is_signed;
	} types[] = {{8, 0}, {16, 0}, {32, 0}, {64, 0},
		     {8, 1}, {16, 1}, {32, 1}, {64, 1}};
	unsigned i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		put(text,
		    "typealias integer { size = %u; align = %u; "
		    "signed = %s; } := %c%u;\n",
		    types[i].bits, types[i].bits,
		    types[i].is_signed ? "true" : "false",
		    types[i].is_signed ? 'i' : 'u', types[i].bits);
	put(text, "typealias integer { size = 64; align = 64; signed = false; "
		  "base = 16; } := ptr;\n"
		  "typealias integer { size = 8; align = 8; signed = false; "
		  "encoding = UTF8; } := text;\n"
		  "typealias floating_point { exp_dig = 8; mant_dig = 24; "
		  "align = 32; } := f32;\n"
		  "typealias floating_point { exp_dig = 11; mant_dig = 53; "
		  "align = 64; } := f64;\n");
}

static void put_trace(struct text *text, const struct rondo_map *map)
{
	put(text, "trace {\n\tmajor = 1;\n\tminor = 8;\n\tuuid = ");
	put_uuid(text, map->uuid);
	put(text, ";\n\tbyte_order = le;\n"
		  "\tpacket.header := struct { u32 magic; u8 uuid[16]; "
		  "u32 stream_id; u64 stream_instance_id; };\n};\n");
}

static void put_environment(struct text *text, const struct rondo_map *map)
{
	const struct rondo_superblock *super = map->super;

	put(text, "env {\n\thostname = ");
	put_quoted(text, super->host, sizeof(super->host));
	put(text,
	    ";\n\tdomain = \"ust\";\n\ttracer_name = \"rondo\";\n"
	    "\ttracer_major = %u;\n\ttracer_minor = %u;\n\tprocname = ",
	    RONDO_VERSION_MAJOR, RONDO_VERSION_MINOR);
	put_quoted(text, super->process, sizeof(super->process));
	put(text, ";\n\tvpid = %u;\n\trondo_channel = ", super->pid);
	put_quoted(text, super->name, sizeof(super->name));
	put(text, ";\n\trondo_clock = \"%s\";\n\trondo_boot_id = ",
	    clock_name(map->clock));
	put_uuid(text, super->boot_id);
	put(text, ";\n};\n");
}

static void put_stream(struct text *text, const struct rondo_map *map)
{
	put(text, "typealias integer { size = 64; align = 64; signed = false; "
		  "map = clock.monotonic.value; } := ts64;\n"
		  "stream {\n\tid = 0;\n\tevent.header := struct {\n");
	if (map->header_bytes == 8)
		put(text, "\t\tinteger { size = 40; align = 1; signed = false; "
			  "map = clock.monotonic.value; } timestamp;\n"
			  "\t\tu16 id;\n\t} align(64);\n");
	else
		put(text, "\t\tinteger { size = 16; align = 64; "
			  "signed = false; } id;\n"
			  "\t\tts64 timestamp;\n\t} align(128);\n");
	put(text, "\tpacket.context := struct {\n"
		  "\t\tts64 timestamp_begin;\n\t\tts64 timestamp_end;\n"
		  "\t\tu64 content_size;\n\t\tu64 packet_size;\n"
		  "\t\tu64 packet_seq_num;\n\t\tu64 events_discarded;\n");
	/* Readers take it for a CPU whatever it says. */
	put(text, map->rings_by == RONDO_RINGS_BY_CONCURRENCY ?
			  "\t\tu32 _no_cpu;\n" :
			  "\t\tu32 cpu_id;\n");
	put(text, "\t\tu32 _flags;\n\t\tu64 _number;\n"
		  "\t\tu64 _previous;\n\t\tu64 _refused_full;\n"
		  "\t\tu64 _refused_stalled;\n\t\tu64 _refused_big;\n"
		  "\t};\n};\n");
}

/* ---- event classes ---- */

static const char *type_name(uint32_t type)
{
	static const char *const names[] = {
		[RONDO_FIELD_U8] = "u8",
		[RONDO_FIELD_U16] = "u16",
		[RONDO_FIELD_U32] = "u32",
		[RONDO_FIELD_U64] = "u64",
		[RONDO_FIELD_I8] = "i8",
		[RONDO_FIELD_I16] = "i16",
		[RONDO_FIELD_I32] = "i32",
		[RONDO_FIELD_I64] = "i64",
		[RONDO_FIELD_F32] = "f32",
		[RONDO_FIELD_F64] = "f64",
		[RONDO_FIELD_PTR] = "ptr",
		[RONDO_FIELD_BYTES] = "u8",
		[RONDO_FIELD_SEQUENCE] = "u8",
		[RONDO_FIELD_STRING] = "string { encoding = UTF8; }",
	};

	return names[type];
}

static void put_enum(struct text *text, const struct rondo_field *field)
{
	uint32_t i;

	put(text, "enum : u32 {");
	for (i = 0; i < field->label_count; i++)
		put(text, "%s \"%s\" = %lld", i ? "," : "",
		    field->labels[i].name, (long long)field->labels[i].value);
	put(text, " }");
}

/* Whether one of the first count fields is called so, as readers show it or as
 * it would be written: babeltrace2 compares each with the other. */
static bool is_in_the_way(const struct rondo_event_class *event_class,
			  uint32_t count, bool as_shown, const char *name)
{
	for (uint32_t i = 0; i < count; i++) {
		const char *other = event_class->fields[i].name;

		if ((as_shown && !strcmp(other, name)) ||
		    (other[0] == '_' && !strcmp(other + 1, name)))
			return true;
	}
	return false;
}

/* A name that no field of the class has, as readers show it. */
static void put_pad_name(struct text *text,
			 const struct rondo_event_class *event_class,
			 uint64_t offset)
{
	char name[64];
	int used = snprintf(name, 32, "pad%llu", (unsigned long long)offset);

	while (used < (int)sizeof(name) - 1 &&
	       is_in_the_way(event_class, event_class->field_count, true,
			     name)) {
		name[used++] = '_';
		name[used] = 0;
	}
	put(text, "_%s", name);
}

/* The name of a field; behind one that has an underscore more, with a number. */
static void put_name(struct text *text,
		     const struct rondo_event_class *event_class,
		     uint32_t index)
{
	char name[512];
	int used = snprintf(name, 256, "%s", event_class->fields[index].name);
	uint32_t count = index;

	while (used < 480 &&
	       is_in_the_way(event_class, count, count != index, name)) {
		used += snprintf(name + used, 16, "_%u", index);
		count = event_class->field_count;
	}
	put(text, "_%s", name);
}

/* From *end to offset; readers find a field of this alignment by themselves
 * where its alignment is all that is between. */
static void put_hole(struct text *text, const struct rondo_map *map,
		     const struct rondo_event_class *event_class, uint64_t end,
		     const struct rondo_field *field)
{
	uint64_t align = rondo_field_bytes(field->type);
	uint64_t offset = field->offset;

	if (offset <= end || rondo_align(end, align) == offset)
		return;
	while (align < map->header_bytes && rondo_align(end, align) != offset)
		align *= 2;
	if (rondo_align(end, align) == offset) {
		put(text, "\t\tstruct { } align(%llu) ",
		    (unsigned long long)align * 8);
		put_pad_name(text, event_class, end);
		put(text, ";\n");
		return;
	}
	put(text, "\t\tu8 ");
	put_pad_name(text, event_class, end);
	put(text, "[%llu];\n", (unsigned long long)(offset - end));
}

static void put_length(struct text *text,
		       const struct rondo_event_class *event_class,
		       const char *name)
{
	uint32_t i = 0;

	while (strcmp(event_class->fields[i].name, name) != 0)
		i++;
	put(text, "[");
	put_name(text, event_class, i);
	put(text, "]");
}

static void put_field(struct text *text,
		      const struct rondo_event_class *event_class,
		      uint32_t index)
{
	const struct rondo_field *field = &event_class->fields[index];

	put(text, "\t\t");
	if (field->type == RONDO_FIELD_ENUM)
		put_enum(text, field);
	else
		put(text, "%s", type_name(field->type));
	put(text, " ");
	put_name(text, event_class, index);
	if (field->type == RONDO_FIELD_SEQUENCE)
		put_length(text, event_class, field->length_field);
	else if (field->type == RONDO_FIELD_BYTES || field->count > 1)
		put(text, "[%u]", field->count);
	put(text, ";\n");
}

static void put_event(struct text *text, const struct rondo_map *map,
		      uint16_t id, const struct rondo_event_class *event_class)
{
	uint64_t end = 0;
	bool inlined = false;
	uint32_t i;

	put(text,
	    "event {\n\tname = \"%s\";\n\tid = %u;\n\tstream_id = 0;\n"
	    "\tloglevel = %u;\n\tfields := struct {\n",
	    event_class->name, id, event_class->loglevel);
	for (i = 0; i < event_class->field_count; i++) {
		const struct rondo_field *field = &event_class->fields[i];

		if (!inlined)
			put_hole(text, map, event_class, end, field);
		put_field(text, event_class, i);
		inlined = inlined || rondo_field_is_inline(field->type);
		end = field->offset + (uint64_t)rondo_field_bytes(field->type) *
					      rondo_field_elements(field);
	}
	put(text, "\t};\n};\n");
}

static int put_events(struct text *text, const struct rondo_map *map)
{
	struct rondo_catalog_reader *reader;
	struct rondo_event_class event_class;
	uint16_t id;
	int result;

	put(text,
	    "event {\n\tname = \"rondo:discarded\";\n\tid = %u;\n"
	    "\tstream_id = 0;\n\tloglevel = 14;\n"
	    "\tfields := struct { u32 _len; text _gap[_len]; };\n};\n"
	    "event {\n\tname = \"rondo:gap\";\n\tid = %u;\n"
	    "\tstream_id = 0;\n\tloglevel = 14;\n\tfields := struct { };\n};\n",
	    RONDO_ID_DISCARDED, RONDO_ID_GAP);
	result = rondo_catalog_open(map, &reader);
	if (result)
		return result;
	while ((result = rondo_catalog_next(reader, &id, &event_class)) > 0)
		put_event(text, map, id, &event_class);
	rondo_catalog_close(reader);
	return result;
}

int rondo_ctf_metadata(const struct rondo_map *map,
		       const struct rondo_clock_pair *begin,
		       const struct rondo_clock_pair *end, char **out)
{
	struct calibration calibration = calibration_of(map, begin, end);
	struct text text = {0};
	int result;

	put(&text, "/* CTF 1.8 */\n\n");
	put_integer_types(&text);
	put_trace(&text, map);
	put_environment(&text, map);
	put_clock(&text, map, &calibration);
	put_stream(&text, map);
	result = put_events(&text, map);
	if (!result && text.failed)
		result = -ENOMEM;
	if (result) {
		free(text.data);
		return result;
	}
	*out = text.data;
	return 0;
}
