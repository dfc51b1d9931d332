/* SPDX-License-Identifier: MIT */
/*
 * Packets read as a reader of CTF does: a record's length follows from its
 * class, and from nothing that stands in its header.
 */
#include "hostile.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "event.h"

#define PARTS_MAX 512u /* fields that a class may have */

/* Strings and sequences, in order. */
struct part {
	uint32_t length_at, length_bytes; /* of a sequence; 0 bytes: a string */
};

struct record_class {
	uint32_t fixed; /* bytes before the parts */
	uint32_t part_count;
	struct part *parts;
};

struct hostile_schema {
	const struct rondo_map *map;
	struct record_class *classes;
	uint32_t count;
};

static const struct rondo_field *
field_named(const struct rondo_event_class *event_class, const char *name)
{
	for (uint32_t i = 0; i < event_class->field_count; i++)
		if (!strcmp(event_class->fields[i].name, name))
			return &event_class->fields[i];
	return NULL;
}

static void read_class(const struct rondo_event_class *event_class,
		       struct record_class *out)
{
	*out = (struct record_class){.fixed = 0};
	out->parts = calloc(event_class->field_count + 1u, sizeof(struct part));
	HOSTILE_REQUIRE(out->parts);
	for (uint32_t i = 0; i < event_class->field_count; i++) {
		const struct rondo_field *field = &event_class->fields[i];
		const struct rondo_field *length;
		struct part part = {0, 0};

		if (!rondo_field_is_inline(field->type)) {
			out->fixed = field->offset +
				     rondo_field_bytes(field->type) *
					     rondo_field_elements(field);
			continue;
		}
		if (!out->part_count && field->offset > out->fixed)
			out->fixed = field->offset;
		if (field->type == RONDO_FIELD_SEQUENCE) {
			length = field_named(event_class, field->length_field);
			HOSTILE_REQUIRE(length);
			part.length_at = length->offset;
			part.length_bytes = rondo_field_bytes(length->type);
		}
		out->parts[out->part_count++] = part;
	}
}

struct hostile_schema *hostile_schema_open(const struct rondo_map *map)
{
	struct hostile_schema *schema = calloc(1, sizeof(*schema));
	struct rondo_catalog_reader *reader;
	struct rondo_event_class event_class;
	uint16_t id;

	HOSTILE_REQUIRE(schema);
	schema->map = map;
	if (rondo_catalog_open(map, &reader))
		return schema;
	while (rondo_catalog_next(reader, &id, &event_class) > 0) {
		void *more = realloc(schema->classes,
				     (schema->count + 1u) *
					     sizeof(*schema->classes));

		HOSTILE_REQUIRE(more && id == RONDO_ID_FIRST + schema->count);
		schema->classes = more;
		read_class(&event_class, &schema->classes[schema->count++]);
	}
	rondo_catalog_close(reader);
	return schema;
}

void hostile_schema_close(struct hostile_schema *schema)
{
	for (uint32_t i = 0; i < schema->count; i++)
		free(schema->classes[i].parts);
	free(schema->classes);
	free(schema);
}

/* ---- records ---- */

/* Where a reader stands in a packet. */
struct cursor {
	const struct hostile_schema *schema;
	const char *data;
	uint64_t at, end; /* bytes */
	uint64_t time;
};

static uint64_t load(const struct cursor *cursor, uint64_t at, unsigned bytes)
{
	uint64_t value = 0;

	memcpy(&value, cursor->data + at, bytes);
	return value;
}

static const char *read_parts(const struct record_class *class,
			      struct cursor *cursor, uint64_t payload)
{
	for (uint32_t i = 0; i < class->part_count; i++) {
		const struct part *part = &class->parts[i];
		uint64_t length;

		if (part->length_bytes) {
			length = load(cursor, payload + part->length_at,
				      part->length_bytes);
		} else {
			const char *from = cursor->data + cursor->at;
			const char *nul =
				memchr(from, 0, cursor->end - cursor->at);

			if (!nul)
				return "a string has no end";
			length = (uint64_t)(nul - from) + 1;
		}
		if (length > cursor->end - cursor->at)
			return "a sequence goes beyond the content";
		cursor->at += length;
	}
	return NULL;
}

static const char *read_payload(struct cursor *cursor, uint16_t id)
{
	const uint64_t payload = cursor->at;
	const struct record_class *class;
	uint64_t bytes = 0;

	if (id == RONDO_ID_GAP)
		return NULL;
	if (id == RONDO_ID_DISCARDED) {
		if (cursor->end - payload < 4)
			return "a gap goes beyond the content";
		bytes = 4 + load(cursor, payload, 4);
	} else {
		if (id - RONDO_ID_FIRST >= cursor->schema->count)
			return "a class is not known";
		class = &cursor->schema->classes[id - RONDO_ID_FIRST];
		bytes = class->fixed;
	}
	if (bytes > cursor->end - payload)
		return "a record goes beyond the content";
	cursor->at += bytes;
	if (id == RONDO_ID_DISCARDED)
		return NULL;
	return read_parts(class, cursor, payload);
}

static const char *read_record(struct cursor *cursor, uint16_t *out_id)
{
	const uint32_t header = cursor->schema->map->header_bytes;
	const uint64_t low = RONDO_COMPACT_TIME_MASK;
	uint64_t word, time;

	if (cursor->end - cursor->at < header)
		return "a header goes beyond the content";
	word = load(cursor, cursor->at, 8);
	if (header == 8) {
		*out_id = (uint16_t)(word >> 48);
		time = cursor->time + ((word - cursor->time) & low);
	} else {
		*out_id = (uint16_t)word;
		time = load(cursor, cursor->at + 8, 8);
	}
	if (time < cursor->time)
		return "time goes back";
	cursor->time = time;
	cursor->at += header;
	return read_payload(cursor, *out_id);
}

const char *hostile_read_packet(const struct hostile_schema *schema,
				const char *data, uint64_t bytes,
				struct hostile_packet *out)
{
	const uint32_t header = schema->map->header_bytes;
	struct rondo_packet packet;
	struct cursor cursor = {schema, data, RONDO_PACKET_BYTES, 0, 0};
	const char *why;
	uint16_t id;

	memset(out, 0, sizeof(*out));
	if (bytes < sizeof(packet))
		return "half a header";
	memcpy(&packet, data, sizeof(packet));
	out->begin = cursor.time = packet.timestamp_begin;
	out->end = packet.timestamp_end;
	out->bytes = packet.packet_bits / 8;
	out->content = cursor.end = packet.content_bits / 8;
	if (packet.magic != RONDO_PACKET_MAGIC ||
	    memcmp(packet.uuid, schema->map->uuid, 16) || packet.stream_id)
		return "not a packet of this trace";
	if (packet.packet_bits % 8 || packet.content_bits % 8 ||
	    out->bytes > bytes || out->content > out->bytes ||
	    out->content < sizeof(packet))
		return "sizes make no sense";
	if (out->begin > out->end)
		return "it ends before it begins";
	while (cursor.at < cursor.end) {
		why = read_record(&cursor, &id);
		if (why)
			return why;
		if (cursor.time > out->end)
			return "a record is later than its packet";
		out->records += id >= RONDO_ID_FIRST;
		cursor.at = rondo_align(cursor.at, header);
	}
	return NULL;
}

/* ---- files ---- */

static const char *read_stream(const struct hostile_schema *schema,
			       const char *data, uint64_t bytes,
			       uint64_t *records)
{
	struct hostile_packet packet;
	uint64_t at = 0, time = 0;

	while (at < bytes) {
		const char *why = hostile_read_packet(schema, data + at,
						      bytes - at, &packet);

		if (why)
			return why;
		if (packet.begin < time)
			return "packets go back in time";
		time = packet.end;
		at += packet.bytes;
		*records += packet.records;
	}
	return NULL;
}

static const char *read_file(const struct hostile_schema *schema, int directory,
			     const char *name, uint64_t *records)
{
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	const char *why;
	struct stat status;
	char *data;

	HOSTILE_REQUIRE(fd >= 0 && fstat(fd, &status) == 0);
	data = malloc((size_t)status.st_size + 1);
	HOSTILE_REQUIRE(data && read(fd, data, (size_t)status.st_size) ==
					status.st_size);
	close(fd);
	why = status.st_size ? read_stream(schema, data,
					   (uint64_t)status.st_size, records) :
			       "an empty file";
	free(data);
	return why;
}

const char *hostile_read_trace(const struct hostile_schema *schema,
			       const char *directory, uint64_t *out_records)
{
	DIR *stream = opendir(directory);
	const char *why = NULL;
	struct dirent *entry;
	bool metadata = false;

	*out_records = 0;
	HOSTILE_REQUIRE(stream);
	while (!why && (entry = readdir(stream))) {
		if (entry->d_name[0] == '.')
			continue;
		if (strcmp(entry->d_name, "metadata") != 0)
			why = read_file(schema, dirfd(stream), entry->d_name,
					out_records);
		else
			metadata = true;
	}
	closedir(stream);
	if (!why && !metadata)
		why = "no metadata";
	return why;
}
