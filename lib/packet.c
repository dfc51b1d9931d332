/* SPDX-License-Identifier: MIT */
/*
 * Mending packets. The schema is the catalog boiled down to what tells the
 * length of a record: the end of the fixed fields, and for classes with strings
 * or sequences the list of those.
 */
#include "packet.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "ring.h"
#include "walk.h"

/* Records of one key in a row, beyond the first, that look like a run. */
#define ALIKE 8u

/* A field of any length. */
struct part {
	uint32_t length_at;    /* offset of the length; sequences only */
	uint32_t length_bytes; /* of that; 0: a string */
};

struct layout {
	uint32_t words; /* of 8 bytes that all its records have; 0: they vary */
	uint32_t fixed; /* bytes before the first part */
	uint32_t first; /* index of the first part */
	uint32_t parts;
};

struct rondo_schema {
	uint32_t header_bytes;
	uint32_t count;
	uint32_t part_count;
	struct layout *layouts; /* of class RONDO_ID_FIRST and on */
	struct part *parts;
};

static void *grown(void *array, uint32_t count, size_t bytes)
{
	if (count & (count - 1))
		return array;
	return realloc(array, (count ? count : 1) * 2 * bytes);
}

static int add_part(struct rondo_schema *schema,
		    const struct rondo_event_class *event_class,
		    const struct rondo_field *field)
{
	const struct rondo_field *length = event_class->fields;
	struct part part = {0};
	void *parts;

	if (field->type == RONDO_FIELD_SEQUENCE) {
		while (strcmp(length->name, field->length_field) != 0)
			length++;
		part.length_at = length->offset;
		part.length_bytes = rondo_field_bytes(length->type);
	}
	parts = grown(schema->parts, schema->part_count, sizeof(part));
	if (!parts)
		return -ENOMEM;
	schema->parts = parts;
	schema->parts[schema->part_count++] = part;
	return 0;
}

static int add_class(struct rondo_schema *schema,
		     const struct rondo_event_class *event_class)
{
	struct layout layout = {.first = schema->part_count};
	const struct rondo_field *field;
	void *layouts;
	uint32_t i;

	for (i = 0; i < event_class->field_count; i++) {
		field = &event_class->fields[i];
		if (!layout.parts && (!rondo_field_is_inline(field->type) ||
				      field->offset > layout.fixed))
			layout.fixed = field->offset;
		if (!rondo_field_is_inline(field->type)) {
			layout.fixed += rondo_field_bytes(field->type) *
					rondo_field_elements(field);
			continue;
		}
		if (add_part(schema, event_class, field))
			return -ENOMEM;
		layout.parts++;
	}
	if (!layout.parts)
		layout.words = (layout.fixed + 7) / 8;
	layouts = grown(schema->layouts, schema->count, sizeof(layout));
	if (!layouts)
		return -ENOMEM;
	schema->layouts = layouts;
	schema->layouts[schema->count++] = layout;
	return 0;
}

int rondo_schema_open(const struct rondo_map *map, struct rondo_schema **out)
{
	struct rondo_schema *schema = calloc(1, sizeof(*schema));
	struct rondo_catalog_reader *reader;
	struct rondo_event_class event_class;
	uint16_t id;
	int result;

	if (!schema)
		return -ENOMEM;
	schema->header_bytes = map->header_bytes;
	result = rondo_catalog_open(map, &reader);
	if (!result) {
		while ((result = rondo_catalog_next(reader, &id,
						    &event_class)) > 0) {
			result = add_class(schema, &event_class);
			if (result)
				break;
		}
		rondo_catalog_close(reader);
	}
	if (result) {
		rondo_schema_close(schema);
		return result;
	}
	*out = schema;
	return 0;
}

void rondo_schema_close(struct rondo_schema *schema)
{
	if (!schema)
		return;
	free(schema->layouts);
	free(schema->parts);
	free(schema);
}

uint64_t rondo_schema_classes(const struct rondo_schema *schema)
{
	return schema->count;
}

/* Where the part that begins at offset ends; more than bytes: beyond. */
static uint64_t part_end(const struct part *part, const char *payload,
			 uint64_t offset, uint64_t bytes)
{
	uint64_t length = 0;
	const char *nul;

	if (part->length_bytes) {
		memcpy(&length, payload + part->length_at, part->length_bytes);
		return length > bytes - offset ? UINT64_MAX : offset + length;
	}
	nul = memchr(payload + offset, 0, bytes - offset);
	return nul ? (uint64_t)(nul - payload) + 1 : UINT64_MAX;
}

/*
 * Bytes that a reader takes the record for, or -1 when that does not lead it to
 * the next header.
 */
static int64_t used_bytes(const struct rondo_schema *schema, const char *data,
			  const struct rondo_found *found)
{
	const char *payload = data + found->payload;
	const struct layout *layout;
	uint64_t end;
	uint32_t i;

	if ((uint32_t)(found->id - RONDO_ID_FIRST) >= schema->count)
		return -1;
	layout = &schema->layouts[found->id - RONDO_ID_FIRST];
	end = layout->fixed;
	if (end > found->bytes)
		return -1;
	for (i = 0; i < layout->parts; i++) {
		end = part_end(&schema->parts[layout->first + i], payload, end,
			       found->bytes);
		if (end > found->bytes)
			return -1;
	}
	if (rondo_align(found->payload + end, schema->header_bytes) !=
	    found->next)
		return -1;
	return (int64_t)end;
}

/* Whether the key of a header (id and words) is that of a fixed class. */
static inline bool is_fixed(const struct rondo_schema *schema, uint64_t key)
{
	const uint32_t class = (uint32_t)(key >> 8) - RONDO_ID_FIRST;
	const uint64_t words = key & 0xff;

	return class < schema->count && words &&
	       schema->layouts[class].words == words;
}

static uint64_t header_at(const struct rondo_walk *walk, uint64_t offset)
{
	const void *at = walk->data + offset;

	return rondo_load_relaxed((const uint64_t *)at);
}

/*
 * Where a run of records ends that have one key. Their headers are numbers that
 * only grow, from that of the record before to high, which has the key, too, and
 * the time of the packet's end: so two comparisons tell class, length, state
 * and time. bytes: of each. low: the header before, then the last one.
 */
static inline uint64_t end_of_run(const struct rondo_walk *walk,
				  uint64_t offset, uint64_t bytes,
				  uint64_t high, uint64_t *low)
{
	const uint64_t end = walk->end;
	uint64_t before = *low;

	while (offset + bytes <= end) {
		uint64_t header = header_at(walk, offset);

		if (header < before || header > high)
			break;
		before = header;
		offset += bytes;
	}
	*low = before;
	return offset;
}

/*
 * Most packets are records of fixed classes from one end to the other, told by
 * their headers alone. Goes as far as that is so, and leaves the walk there;
 * the end of the last of them, as a reader has it, in end. Where the 40 bits of
 * time begin again it stops. In a run of one class the next header's place does
 * not hang on this one's contents, which is what makes it several times as
 * fast; where classes change all the time, guessing runs is slower than none.
 */
static void skip_sound(const struct rondo_schema *schema,
		       struct rondo_walk *walk, uint64_t *end)
{
	const uint64_t mask = RONDO_COMPACT_TIME_MASK;
	uint64_t low = walk->begin_time & mask, high = walk->end_time & mask;
	uint64_t offset = walk->offset, key = 0;
	unsigned alike = 0;

	if (high < low)
		high = mask;
	while (offset + 8 <= walk->end) {
		const uint64_t header = header_at(walk, offset);
		const uint64_t next = header & ~mask;
		const uint64_t bytes = 8 + (header >> 40 & 0xff) * 8;

		if (!is_fixed(schema, next >> 40) ||
		    offset + bytes > walk->end ||
		    header < (next | (low & mask)) || header > (next | high))
			break;
		/* No branch: it would be guessed wrong as often as not. */
		alike = (alike + 1) & -(unsigned)(next == key);
		key = next;
		low = header;
		offset += bytes;
		if (alike >= ALIKE)
			offset = end_of_run(walk, offset, bytes, key | high,
					    &low);
	}
	if (offset == walk->offset)
		return;
	walk->offset = offset;
	walk->previous_time =
		walk->begin_time + ((low - walk->begin_time) & mask);
	key >>= 40;
	*end = offset - (key & 0xff) * 8 +
	       schema->layouts[(uint32_t)(key >> 8) - RONDO_ID_FIRST].fixed;
}

uint64_t rondo_packet_mend(const struct rondo_schema *schema,
			   struct rondo_contents *contents)
{
	uint32_t header_bytes = schema->header_bytes;
	uint64_t limit = rondo_align(contents->content, 8);
	uint64_t end = RONDO_PACKET_BYTES, next, wrong = 0;
	struct rondo_walk walk;
	struct rondo_found found;
	int64_t used;

	if (limit > contents->bytes)
		limit = contents->bytes & ~UINT64_C(7);
	rondo_walk_begin(&walk, contents->data, limit, header_bytes,
			 contents->time_begin);
	walk.end_time = contents->time_end;
	if (header_bytes == 8 && contents->time_end - contents->time_begin <=
					 RONDO_COMPACT_TIME_MASK)
		skip_sound(schema, &walk, &end);
	next = walk.offset;
	while (rondo_walk_next(&walk, &found) > 0) {
		if (found.offset != next) {
			rondo_gap_write(contents->data + next,
					found.offset - next, header_bytes,
					found.time);
			wrong++;
		}
		next = found.next;
		end = next;
		if (found.gap)
			continue;
		used = found.open ? -1 :
				    used_bytes(schema, contents->data, &found);
		if (used >= 0) {
			end = found.payload + (uint64_t)used;
			continue;
		}
		rondo_gap_write(contents->data + found.offset,
				next - found.offset, header_bytes, found.time);
		wrong++;
	}
	wrong += next < limit;
	contents->content = end;
	return wrong;
}
