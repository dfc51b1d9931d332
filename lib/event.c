/* SPDX-License-Identifier: MIT */
/*
 * The catalog of event classes. Each entry is a head, its fields, the labels
 * of their enumerations, and the strings, at offsets from the entry's start;
 * entries follow one another at multiples of 8, ids without holes. Nothing in
 * it changes once super->catalog_used has moved over it.
 *
 * Registration writes under control->register_lock. Readers trust nothing:
 * they copy what is used, then check every class as registration does, so a
 * name from a damaged catalog cannot become metadata text.
 */
#include "event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "os.h"
#include "registry.h"

#define NAME_MAX_BYTES 255u
#define LOGLEVEL_MAX 14u
#define FIELDS_MAX 512u /* keeps the checks, which are quadratic, short */

/* The catalog's own layout: frozen for a RONDO_LAYOUT. */
struct entry {
	uint32_t bytes; /* of all of it, a multiple of 8 */
	uint32_t id;
	uint32_t loglevel;
	uint32_t name; /* offset */
	uint32_t field_count;
	uint32_t label_count; /* of all fields */
};

struct entry_field {
	uint32_t name; /* offset */
	uint32_t type;
	uint32_t offset;
	uint32_t count;
	uint32_t length_field; /* index and 1; 0: none */
	uint32_t first_label;  /* index among the entry's */
	uint32_t label_count;
	uint32_t reserved;
};

struct entry_label {
	int64_t value;
	uint32_t name; /* offset */
	uint32_t reserved;
};

RONDO_STATIC_ASSERT(sizeof(struct entry) == 24, "frozen");
RONDO_STATIC_ASSERT(sizeof(struct entry_field) == 32, "frozen");
RONDO_STATIC_ASSERT(sizeof(struct entry_label) == 16, "frozen");

/* Where the parts of an entry being written go. */
struct builder {
	char *data;	  /* zeroed, as long as it takes */
	uint64_t bytes;	  /* of data */
	uint64_t labels;  /* offset of the first */
	uint64_t strings; /* offset of the next */
	uint32_t label_count;
	bool grew; /* a string is longer than when it was measured */
};

struct rondo_catalog_reader {
	char *data; /* private copy */
	uint64_t bytes;
	uint64_t position;
	uint32_t next_id;
	uint32_t record_max;
	struct rondo_field *fields; /* of the class handed out last */
	struct rondo_label *labels;
};

uint32_t rondo_field_bytes(uint32_t type)
{
	switch (type) {
	case RONDO_FIELD_U8:
	case RONDO_FIELD_I8:
	case RONDO_FIELD_BYTES:
	case RONDO_FIELD_STRING:
	case RONDO_FIELD_SEQUENCE:
		return 1;
	case RONDO_FIELD_U16:
	case RONDO_FIELD_I16:
		return 2;
	case RONDO_FIELD_U32:
	case RONDO_FIELD_I32:
	case RONDO_FIELD_F32:
	case RONDO_FIELD_ENUM:
		return 4;
	case RONDO_FIELD_U64:
	case RONDO_FIELD_I64:
	case RONDO_FIELD_F64:
	case RONDO_FIELD_PTR:
		return 8;
	default:
		return 0;
	}
}

bool rondo_field_is_inline(uint32_t type)
{
	return type == RONDO_FIELD_STRING || type == RONDO_FIELD_SEQUENCE;
}

uint32_t rondo_field_elements(const struct rondo_field *field)
{
	return field->count ? field->count : 1;
}

/* Printable ASCII that needs no escape in TSDL. */
static bool name_is_plain(const char *name)
{
	size_t i;

	if (!name || !*name)
		return false;
	for (i = 0; name[i]; i++) {
		if (i == NAME_MAX_BYTES || name[i] < ' ' || name[i] > '~' ||
		    name[i] == '"' || name[i] == '\\')
			return false;
	}
	return true;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool name_is_identifier(const char *name)
{
	size_t i;

	if (!name_is_plain(name) || !is_letter(name[0]))
		return false;
	for (i = 1; name[i]; i++) {
		if (!is_letter(name[i]) && !(name[i] >= '0' && name[i] <= '9'))
			return false;
	}
	return true;
}

static const struct rondo_field *
field_at(const struct rondo_event_class *event_class, uint32_t i)
{
	const char *fields = (const char *)event_class->fields;

	return (const void *)(fields + (size_t)i * event_class->field_size);
}

static bool is_zero(const char *bytes, size_t from, size_t to)
{
	while (from < to) {
		if (bytes[from++])
			return false;
	}
	return true;
}

/* Structs as this header has them, or larger with nothing unknown in it. */
static int check_sizes(const struct rondo_event_class *event_class)
{
	uint32_t i;

	if (event_class->size < sizeof(*event_class))
		return -EINVAL;
	if (!is_zero((const char *)event_class, sizeof(*event_class),
		     event_class->size))
		return -E2BIG;
	if (!event_class->field_count)
		return 0;
	if (!event_class->fields || event_class->field_count > FIELDS_MAX ||
	    event_class->field_size < sizeof(struct rondo_field) ||
	    event_class->field_size % _Alignof(struct rondo_field))
		return -EINVAL;
	for (i = 0; i < event_class->field_count; i++) {
		if (!is_zero((const char *)field_at(event_class, i),
			     sizeof(struct rondo_field),
			     event_class->field_size))
			return -E2BIG;
	}
	return 0;
}

/* Values are those of a u32. */
static bool labels_are_right(const struct rondo_field *field)
{
	uint32_t i;

	if (field->type != RONDO_FIELD_ENUM)
		return !field->label_count;
	if (!field->label_count || !field->labels)
		return false;
	for (i = 0; i < field->label_count; i++) {
		if (!name_is_plain(field->labels[i].name) ||
		    field->labels[i].value < 0 ||
		    field->labels[i].value > (int64_t)UINT32_MAX)
			return false;
	}
	return true;
}

/* The index of the field named so among the first count; or count. */
static uint32_t field_index(const struct rondo_event_class *event_class,
			    uint32_t count, const char *name)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		if (!strcmp(field_at(event_class, i)->name, name))
			break;
	}
	return i;
}

static bool length_is_right(const struct rondo_event_class *event_class,
			    uint32_t index)
{
	const struct rondo_field *field = field_at(event_class, index);
	const struct rondo_field *length;
	uint32_t at;

	if (field->type != RONDO_FIELD_SEQUENCE)
		return !field->length_field;
	if (!field->length_field)
		return false;
	at = field_index(event_class, index, field->length_field);
	if (at == index)
		return false;
	length = field_at(event_class, at);
	return length->type >= RONDO_FIELD_U8 &&
	       length->type <= RONDO_FIELD_U64 && length->count <= 1;
}

/*
 * Moves *end behind the field. Those of any length come last: the first one's
 * offset is where it begins (0: right behind the fixed ones), the others
 * follow.
 */
static bool place_is_right(const struct rondo_field *field, uint64_t *end,
			   bool *inlined)
{
	uint32_t bytes = rondo_field_bytes(field->type);

	if (rondo_field_is_inline(field->type)) {
		if (field->count > 1)
			return false;
		if (!*inlined && field->offset && field->offset < *end)
			return false;
		if (!*inlined && field->offset > *end)
			*end = field->offset;
		*inlined = true;
		return true;
	}
	if (*inlined || field->offset % bytes || field->offset < *end ||
	    (field->type == RONDO_FIELD_BYTES && !field->count))
		return false;
	*end = field->offset + (uint64_t)bytes * rondo_field_elements(field);
	return true;
}

static bool field_is_right(const struct rondo_event_class *event_class,
			   uint32_t index)
{
	const struct rondo_field *field = field_at(event_class, index);

	return name_is_identifier(field->name) &&
	       rondo_field_bytes(field->type) && !field->reserved_ &&
	       field_index(event_class, index, field->name) == index &&
	       labels_are_right(field) && length_is_right(event_class, index);
}

/* -EINVAL or 0; sizes were checked. */
static int check_class(const struct rondo_event_class *event_class,
		       uint32_t record_max)
{
	uint64_t end = 0;
	bool inlined = false;
	uint32_t i;

	if (!name_is_plain(event_class->name) ||
	    event_class->loglevel > LOGLEVEL_MAX ||
	    event_class->field_count > FIELDS_MAX)
		return -EINVAL;
	for (i = 0; i < event_class->field_count; i++) {
		if (!field_is_right(event_class, i) ||
		    !place_is_right(field_at(event_class, i), &end, &inlined))
			return -EINVAL;
	}
	return end > record_max ? -EINVAL : 0;
}

/* By the room that was measured, whatever the string is by now. */
static uint32_t put_string(struct builder *builder, const char *string)
{
	uint64_t at = builder->strings;
	char *to = builder->data + at;
	const char *end = memccpy(to, string, 0, builder->bytes - at);

	if (end)
		builder->strings += (uint64_t)(end - to);
	else
		builder->grew = true;
	return (uint32_t)at;
}

static void put_labels(struct builder *builder, const struct rondo_field *field)
{
	uint32_t i;

	for (i = 0; i < field->label_count; i++) {
		struct entry_label label = {
			.value = field->labels[i].value,
			.name = put_string(builder, field->labels[i].name),
		};

		memcpy(builder->data + builder->labels +
			       builder->label_count++ * sizeof(label),
		       &label, sizeof(label));
	}
}

static void put_field(struct builder *builder,
		      const struct rondo_event_class *event_class,
		      uint32_t index)
{
	const struct rondo_field *field = field_at(event_class, index);
	struct entry_field put = {
		.name = put_string(builder, field->name),
		.type = field->type,
		.offset = field->offset,
		.count = rondo_field_elements(field),
		.first_label = builder->label_count,
		.label_count = field->label_count,
	};

	if (field->type == RONDO_FIELD_SEQUENCE)
		put.length_field = 1 + field_index(event_class, index,
						   field->length_field);
	memcpy(builder->data + sizeof(struct entry) + index * sizeof(put), &put,
	       sizeof(put));
	put_labels(builder, field);
}

/* Offset of the strings of an entry, or more than a catalog holds. */
static uint64_t strings_offset(uint32_t field_count, uint64_t label_count)
{
	return sizeof(struct entry) +
	       field_count * (uint64_t)sizeof(struct entry_field) +
	       label_count * sizeof(struct entry_label);
}

/* Of all strings of a class, and how many labels. */
static uint64_t strings_bytes(const struct rondo_event_class *event_class,
			      uint64_t *out_labels)
{
	uint64_t bytes = strlen(event_class->name) + 1;
	const struct rondo_field *field;
	uint32_t i, k;

	*out_labels = 0;
	for (i = 0; i < event_class->field_count; i++) {
		field = field_at(event_class, i);
		*out_labels += field->label_count;
		bytes += strlen(field->name) + 1;
		for (k = 0; k < field->label_count; k++)
			bytes += strlen(field->labels[k].name) + 1;
	}
	return bytes;
}

/* The entry, its id not yet known; the caller frees it. -ENOSPC, -ENOMEM;
 * -EINVAL: the class is being changed. */
static int build(const struct rondo_event_class *event_class, char **out)
{
	struct builder builder = {.label_count = 0};
	struct entry entry = {.field_count = event_class->field_count};
	uint64_t label_count, bytes;
	uint32_t i;

	bytes = strings_bytes(event_class, &label_count);
	builder.strings = strings_offset(event_class->field_count, label_count);
	builder.labels = strings_offset(event_class->field_count, 0);
	bytes = rondo_align(bytes + builder.strings, 8);
	if (bytes > RONDO_CATALOG_BYTES)
		return -ENOSPC;
	builder.bytes = bytes;
	builder.data = calloc(1, bytes);
	if (!builder.data)
		return -ENOMEM;
	entry.name = put_string(&builder, event_class->name);
	for (i = 0; i < event_class->field_count; i++)
		put_field(&builder, event_class, i);
	if (builder.grew) {
		free(builder.data);
		return -EINVAL;
	}
	entry.bytes = (uint32_t)bytes;
	entry.loglevel = event_class->loglevel;
	entry.label_count = (uint32_t)label_count;
	memcpy(builder.data, &entry, sizeof(entry));
	*out = builder.data;
	return 0;
}

/* The entry at position, its head copied and its size checked; or NULL. */
static const char *entry_at(const char *catalog, uint64_t used,
			    uint64_t position, struct entry *out)
{
	if (used - position < sizeof(*out))
		return NULL;
	memcpy(out, catalog + position, sizeof(*out));
	if (out->bytes % 8 || out->bytes > used - position ||
	    out->label_count > RONDO_CATALOG_BYTES ||
	    strings_offset(out->field_count, out->label_count) > out->bytes)
		return NULL;
	return catalog + position;
}

/* The string at an offset, if it is no longer than a name and ends within the
 * entry; or NULL. */
static const char *string_at(const char *data, const struct entry *entry,
			     uint32_t offset)
{
	size_t room;

	if (offset < sizeof(*entry) || offset >= entry->bytes)
		return NULL;
	room = entry->bytes - offset;
	if (room > NAME_MAX_BYTES + 1)
		room = NAME_MAX_BYTES + 1;
	return memchr(data + offset, 0, room) ? data + offset : NULL;
}

/* Among the first used bytes. 1: the same class, id in out; 0: none so named;
 * -EEXIST; -EPROTO. */
static int find_class(const struct rondo_map *map, uint64_t used,
		      const char *built, uint16_t *out)
{
	struct entry wanted, entry;
	uint64_t position;
	const char *data, *name;

	memcpy(&wanted, built, sizeof(wanted));
	for (position = 0; position < used; position += entry.bytes) {
		data = entry_at(map->catalog, used, position, &entry);
		name = data ? string_at(data, &entry, entry.name) : NULL;
		if (!name)
			return -EPROTO;
		if (strncmp(name, built + wanted.name, NAME_MAX_BYTES + 1))
			continue;
		wanted.id = entry.id;
		if (memcmp(&wanted, &entry, sizeof(entry)) ||
		    memcmp(data + sizeof(entry), built + sizeof(entry),
			   entry.bytes - sizeof(entry)))
			return -EEXIST;
		*out = (uint16_t)entry.id;
		return 1;
	}
	return 0;
}

/* Under the lock. */
static int append(struct rondo_control *control, char *built, uint16_t *out)
{
	const struct rondo_map *map = &control->map;
	uint64_t used = rondo_load_relaxed(&map->super->catalog_used);
	uint64_t classes = rondo_load_relaxed(&map->super->class_count);
	struct entry entry;
	int result;

	memcpy(&entry, built, sizeof(entry));
	if (used > map->catalog_bytes || used % 8)
		return -EPROTO;
	result = find_class(map, used, built, out);
	if (result)
		return result < 0 ? result : 0;
	if (entry.bytes > map->catalog_bytes - used ||
	    classes >= RONDO_ID_LIMIT - RONDO_ID_FIRST)
		return -ENOSPC;
	entry.id = (uint32_t)(RONDO_ID_FIRST + classes);
	memcpy(built, &entry, sizeof(entry));
	memcpy(map->catalog + used, built, entry.bytes);
	/* pairs(catalog) release: the entry before the word that says so. */
	rondo_store_release(&map->super->catalog_used, used + entry.bytes);
	/* pairs(catalog) release: whoever counts the class finds its entry. */
	rondo_store_release(&map->super->class_count, classes + 1);
	rondo_store_relaxed(&control->handle->class_count,
			    (uint32_t)(classes + 1));
	*out = (uint16_t)entry.id;
	return 0;
}

/* rondo's own names belong to classes that every trace has. */
static bool name_is_ours(const char *name)
{
	return !strcmp(name, "rondo:discarded") || !strcmp(name, "rondo:gap");
}

static int check_caller(const struct rondo_control *control)
{
	if (!control)
		return -EINVAL;
	if (control->forked)
		return -ESHUTDOWN;
	return control->attached ? -EACCES : 0;
}

RONDO_API int rondo_event_register(struct rondo_channel *channel,
				   const struct rondo_event_class *event_class,
				   uint16_t *out)
{
	struct rondo_control *control;
	char *built = NULL;
	int result;

	if (!channel || !event_class || !out)
		return -EINVAL;
	control = rondo_registry_find(channel);
	result = check_caller(control);
	if (!result)
		result = check_sizes(event_class);
	if (!result)
		result = check_class(event_class, control->map.record_max);
	if (result)
		return result;
	if (name_is_ours(event_class->name))
		return -EEXIST;
	result = build(event_class, &built);
	if (result)
		return result;
	rondo_os_lock_word(&control->register_lock);
	result = append(control, built, out);
	rondo_os_unlock_word(&control->register_lock);
	free(built);
	return result;
}

int rondo_catalog_open(const struct rondo_map *map,
		       struct rondo_catalog_reader **out)
{
	struct rondo_catalog_reader *reader;
	uint64_t used;

	/* pairs(catalog) acquire: the entries that the word speaks of. */
	used = rondo_load_acquire(&map->super->catalog_used);
	if (used > map->catalog_bytes)
		return -EPROTO;
	reader = calloc(1, sizeof(*reader));
	if (!reader)
		return -ENOMEM;
	reader->data = malloc(used + 1);
	if (!reader->data) {
		free(reader);
		return -ENOMEM;
	}
	memcpy(reader->data, map->catalog, used);
	reader->bytes = used;
	reader->next_id = RONDO_ID_FIRST;
	reader->record_max = map->record_max;
	*out = reader;
	return 0;
}

static void read_labels(const char *data, const struct entry *entry,
			struct rondo_label *out)
{
	const char *from = data + strings_offset(entry->field_count, 0);
	struct entry_label label;
	uint32_t i;

	for (i = 0; i < entry->label_count; i++) {
		memcpy(&label, from + i * sizeof(label), sizeof(label));
		out[i].name = string_at(data, entry, label.name);
		out[i].value = label.value;
	}
}

static int read_field(const char *data, const struct entry *entry, uint32_t i,
		      const struct rondo_catalog_reader *reader)
{
	struct rondo_field *out = &reader->fields[i];
	struct entry_field field;
	uint64_t labels = 0;

	memcpy(&field, data + sizeof(*entry) + i * sizeof(field),
	       sizeof(field));
	/* One field's labels are no other's, or a catalog might make a text a
	 * thousand times as long. */
	if (i)
		labels = (uint64_t)(out[-1].labels - reader->labels) +
			 out[-1].label_count;
	if (field.first_label != labels ||
	    field.label_count > entry->label_count - field.first_label ||
	    field.length_field > i)
		return -EPROTO;
	*out = (struct rondo_field){
		.name = string_at(data, entry, field.name),
		.type = field.type,
		.offset = field.offset,
		.count = field.count,
		.labels = reader->labels + field.first_label,
		.label_count = field.label_count,
	};
	if (field.length_field)
		out->length_field = reader->fields[field.length_field - 1].name;
	return 0;
}

/* The class of an entry that lies within the reader's copy. */
static int read_class(struct rondo_catalog_reader *reader, const char *data,
		      const struct entry *entry, struct rondo_event_class *out)
{
	uint32_t i;

	free(reader->fields);
	free(reader->labels);
	reader->fields = calloc(entry->field_count + UINT64_C(1),
				sizeof(*reader->fields));
	reader->labels = calloc(entry->label_count + UINT64_C(1),
				sizeof(*reader->labels));
	if (!reader->fields || !reader->labels)
		return -ENOMEM;
	read_labels(data, entry, reader->labels);
	for (i = 0; i < entry->field_count; i++) {
		if (read_field(data, entry, i, reader))
			return -EPROTO;
	}
	*out = (struct rondo_event_class){
		.size = sizeof(*out),
		.loglevel = entry->loglevel,
		.name = string_at(data, entry, entry->name),
		.fields = reader->fields,
		.field_count = entry->field_count,
		.field_size = sizeof(struct rondo_field),
	};
	return check_class(out, reader->record_max) ? -EPROTO : 0;
}

int rondo_catalog_next(struct rondo_catalog_reader *reader, uint16_t *out_id,
		       struct rondo_event_class *out)
{
	struct rondo_event_class found;
	struct entry entry;
	const char *data;
	int result;

	if (reader->position >= reader->bytes)
		return 0;
	data = entry_at(reader->data, reader->bytes, reader->position, &entry);
	if (!data || entry.id != reader->next_id || entry.id >= RONDO_ID_LIMIT)
		return -EPROTO;
	result = read_class(reader, data, &entry, &found);
	if (result)
		return result;
	reader->position += entry.bytes;
	reader->next_id++;
	*out_id = (uint16_t)entry.id;
	*out = found;
	return 1;
}

void rondo_catalog_close(struct rondo_catalog_reader *reader)
{
	if (!reader)
		return;
	free(reader->fields);
	free(reader->labels);
	free(reader->data);
	free(reader);
}
