/* SPDX-License-Identifier: MIT */
/*
 * See stage.h.
 */
#include "stage.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

/* Of a long record the rest is zero. */
#define PATTERN_BYTES 64u
#define LANE 0u

struct stage *stage;
uint32_t stage_cpus[2];
static const char zeros[8192];

static const struct rondo_config configs[STAGE_KINDS] = {
	[STAGE_DISCARD] = {.size = sizeof(struct rondo_config),
			   .subbuf_bytes = 4096,
			   .subbuf_count = 4,
			   .spare_count = 2,
			   .stall_ms = STAGE_PATIENT},
	[STAGE_OVERWRITE] = {.size = sizeof(struct rondo_config),
			     .subbuf_bytes = 4096,
			     .subbuf_count = 4,
			     .spare_count = 2,
			     .stall_ms = STAGE_PATIENT,
			     .flags = RONDO_OVERWRITE},
	[STAGE_FULL_HEADERS] = {.size = sizeof(struct rondo_config),
				.subbuf_bytes = 8192,
				.subbuf_count = 4,
				.spare_count = 2,
				.record_max = 4000,
				.clock = RONDO_CLOCK_MONOTONIC,
				.stall_ms = STAGE_PATIENT},
	[STAGE_CONCURRENCY] = {.size = sizeof(struct rondo_config),
			       .subbuf_bytes = 4096,
			       .subbuf_count = 4,
			       .spare_count = 2,
			       .rings = RONDO_RINGS_BY_CONCURRENCY,
			       .stall_ms = STAGE_PATIENT},
	[STAGE_ATTACHED] = {.size = sizeof(struct rondo_config),
			    .subbuf_bytes = 4096,
			    .subbuf_count = 4,
			    .spare_count = 2,
			    .stall_ms = STAGE_PATIENT},
	[STAGE_FOREIGN] = {.size = sizeof(struct rondo_config),
			   .subbuf_bytes = 4096,
			   .subbuf_count = 4,
			   .spare_count = 2,
			   .rings = RONDO_RINGS_BY_CONCURRENCY,
			   .stall_ms = STAGE_PATIENT},
	[STAGE_LARGE] = {.size = sizeof(struct rondo_config),
			 .subbuf_bytes = 8192,
			 .subbuf_count = 4,
			 .spare_count = 2,
			 .stall_ms = STAGE_PATIENT},
};

static bool is_attached(enum stage_kind kind)
{
	return kind == STAGE_ATTACHED || kind == STAGE_FOREIGN;
}

bool stage_find_cpus(void)
{
	cpu_set_t set;
	uint32_t found = 0;

	if (sched_getaffinity(0, sizeof(set), &set))
		return false;
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
		if (CPU_ISSET(cpu, &set))
			stage_cpus[found++] = (uint32_t)cpu;
	return found == 2;
}

void stage_pin(unsigned which)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(stage_cpus[which], &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		violation(BAD_ERROR, (uint64_t)errno, which);
}

void stage_patience(uint32_t stall_ms, uint32_t flush_ms)
{
	struct rondo_map *map = &stage->reading->control->map;

	map->stall_ms = stall_ms;
	map->flush_ms = flush_ms;
}

static bool register_class(struct stage *out)
{
	const struct rondo_event_class class = {
		.size = sizeof(class),
		.name = "test:fault",
		.field_size = sizeof(struct rondo_field),
	};

	return rondo_event_register(out->channel, &class, &out->id) == 0;
}

static bool create(struct stage *out, enum stage_kind kind, bool atomic,
		   const char *path)
{
	struct rondo_config config = configs[kind];

	memset(out, 0, sizeof(*out));
	if (atomic)
		config.flags |= RONDO_NO_RSEQ;
	config.path = path;
	stage_pin(0);
	if (rondo_channel_create(&config, &out->channel) ||
	    !register_class(out)) {
		fprintf(stderr, "no channel\n");
		return false;
	}
	out->kind = kind;
	out->atomic = atomic;
	out->control = out->channel->control;
	out->map = &out->control->map;
	out->index = stage_cpus[0];
	out->ring = rondo_map_ring(out->map, out->index);
	return true;
}

bool stage_open(struct stage *out, enum stage_kind kind, bool atomic,
		const char *path)
{
	if (!create(out, kind, atomic, path))
		return false;
	out->reading = out->channel;
	if (is_attached(kind) &&
	    rondo_channel_attach(rondo_channel_fd(out->channel), &out->reading))
		return false;
	if (rondo_consumer_open(out->reading, &out->consumer)) {
		fprintf(stderr, "no consumer\n");
		return false;
	}
	return true;
}

void stage_close(struct stage *which)
{
	rondo_consumer_close(which->consumer);
	if (which->reading != which->channel)
		rondo_channel_destroy(which->reading);
	rondo_channel_destroy(which->channel);
}

/* ---- records ---- */

struct entry *stage_entry(uint32_t bytes)
{
	static struct entry spill;
	struct entry *entry;

	if (stage->count == LEDGER_RECORDS) {
		violation(WITHOUT_OUTCOME, stage->count, 0);
		return &spill;
	}
	entry = &stage->entries[stage->count++];
	entry->bytes = bytes;
	entry->outcome = LANE_NOTHING;
	entry->seen = entry->in_doubt = false;
	return entry;
}

static uint32_t sequence_of(const struct entry *entry)
{
	return (stage->base + (uint32_t)(entry - stage->entries)) %
	       LANE_RECORDS;
}

void stage_fill(struct entry *entry, uint32_t bytes)
{
	const uint32_t pattern = bytes < PATTERN_BYTES ? bytes : PATTERN_BYTES;
	char *data = entry->record.data;

	entry->bytes = bytes;
	if (bytes < LANE_BYTES_MIN)
		return;
	lane_fill(data, LANE, sequence_of(entry), pattern);
	memset(data + pattern, 0, bytes - pattern);
}

bool stage_reserved(struct entry *entry, int result)
{
	if (result == 0) {
		entry->number = rondo_head_number(entry->record.head,
						  stage->map->order);
		stage_fill(entry, entry->bytes);
		return true;
	}
	entry->outcome = LANE_REFUSED;
	if (result == -ESHUTDOWN && !stage->control->running)
		return false; /* not counted */
	stage->refused_bytes += entry->bytes;
	if (result == -ENOBUFS)
		stage->refused[RONDO_REFUSED_FULL]++;
	else if (result == -EBUSY)
		stage->refused[RONDO_REFUSED_STALLED]++;
	else if (result == -EMSGSIZE)
		stage->refused[RONDO_REFUSED_BIG]++;
	else
		violation(BAD_ERROR, (uint64_t)-result, 0);
	return false;
}

/* ---- taking ---- */

/* NULL: it is none of the run's, and what is wrong is said. */
static struct entry *entry_of(const struct rondo_item *item,
			      enum violation *out_why)
{
	const uint32_t pattern = item->bytes < PATTERN_BYTES ? item->bytes :
							       PATTERN_BYTES;
	const char *data = item->data;
	struct lane_payload payload;
	uint32_t index;

	*out_why = BAD_CLASS;
	if (item->id != stage->id)
		return NULL;
	*out_why = BAD_PAYLOAD;
	if (item->bytes > sizeof(zeros) ||
	    !lane_read(data, pattern, &payload) ||
	    memcmp(data + pattern, zeros, item->bytes - pattern) != 0)
		return NULL;
	*out_why = SEEN_NOT_COMMITTED;
	index = (payload.sequence - stage->base) % LANE_RECORDS;
	return index < stage->count ? &stage->entries[index] : NULL;
}

/*
 * Where nobody has said where the content ends, what was there before may look
 * like a record: of that only what is sound is looked at.
 */
static bool may_be_chance(const struct rondo_view *view)
{
	return view->flags & RONDO_VIEW_DAMAGED ||
	       (view->flags & RONDO_VIEW_STALLED &&
		(stage->uncounted || stage->damaged));
}

static void see(const struct rondo_view *view, const struct rondo_item *item)
{
	const uint64_t narrow =
		(UINT64_C(1) << rondo_number_bits(stage->map->order)) - 1;
	enum violation why;
	struct entry *entry = entry_of(item, &why);
	uint32_t bytes;

	if (!entry) {
		if (!may_be_chance(view))
			violation(why, item->bytes, view->number);
		return;
	}
	bytes = stage->map->header_bytes == 8 ?
			(uint32_t)rondo_align(entry->bytes, 8) :
			entry->bytes;
	if (entry->seen)
		violation(SEEN_TWICE, (uint64_t)(entry - stage->entries),
			  view->number);
	if (bytes != item->bytes)
		violation(BAD_LENGTH, item->bytes, entry->bytes);
	if (entry->number != STAGE_ANYWHERE &&
	    (entry->record.ring_id != view->ring ||
	     entry->number != (view->number & narrow)))
		violation(BAD_NUMBER, entry->number, view->number);
	entry->seen = true;
}

static void check_view(const struct rondo_view *view)
{
	uint64_t *last = &stage->last_end[view->ring % 8];

	if (view->time_begin > view->time_end)
		violation(TIME_OUTSIDE, view->time_begin, view->time_end);
	if (view->flags & RONDO_VIEW_DAMAGED && !stage->damaged)
		violation(BAD_PACKET, view->number, view->flags);
	if (view->flags & (RONDO_VIEW_LATE | RONDO_VIEW_DAMAGED))
		return;
	if (view->time_begin < *last)
		violation(TIME_BACKWARDS, view->time_begin, *last);
	*last = view->time_end;
}

void stage_read(const struct rondo_view *view)
{
	uint64_t time = view->time_begin;
	struct rondo_item item;
	int result;

	check_view(view);
	memset(&item, 0, sizeof(item));
	while ((result = rondo_view_next(view, &item)) > 0) {
		if (item.time < time ||
		    (item.time > view->time_end && !may_be_chance(view)))
			violation(TIME_BACKWARDS, item.time, time);
		time = item.time;
		see(view, &item);
	}
	if (result)
		violation(BAD_PACKET, (uint64_t)-result, view->number);
	/* Not before: who is killed meanwhile has not seen all of it. */
	if (stage->views < LEDGER_VIEWS)
		stage->taken[stage->views++] =
			(struct taken){view->number, view->ring,
				       (view->flags & RONDO_VIEW_STALLED) != 0};
}

int stage_take(void)
{
	struct rondo_view view;
	int result = rondo_consumer_take(stage->consumer, &view);

	if (result)
		return result;
	stage_read(&view);
	if (rondo_consumer_release(stage->consumer, &view))
		violation(BAD_ERROR, view.number, view.pages);
	return 0;
}

void stage_take_all(void)
{
	while (stage_take() == 0)
		continue;
}

/* ---- accounting ---- */

void stage_begin(void)
{
	stage->base = (stage->base + stage->count) % LANE_RECORDS;
	stage->count = stage->views = 0;
	stage->refused_bytes = stage->discarded = stage->squashed = 0;
	stage->uncounted = 0;
	stage->damaged = false;
	memset(stage->refused, 0, sizeof(stage->refused));
	rondo_channel_stats(stage->channel, &stage->before);
}

/* Whether a sub-buffer came out that a record may be in. */
static bool was_taken(const struct entry *entry, bool *out_stalled)
{
	const uint64_t narrow =
		(UINT64_C(1) << rondo_number_bits(stage->map->order)) - 1;
	const bool anywhere = entry->number == STAGE_ANYWHERE;
	bool found = anywhere;

	*out_stalled = false;
	for (uint32_t i = 0; i < stage->views; i++) {
		const struct taken *taken = &stage->taken[i];

		if (!anywhere && ((taken->number & narrow) != entry->number ||
				  taken->ring != entry->record.ring_id))
			continue;
		found = true;
		*out_stalled |= taken->stalled;
	}
	return found;
}

static void note_gone(uint64_t number, struct missing *out)
{
	for (uint32_t i = 0; i < out->gone; i++)
		if (out->numbers[i] == number)
			return;
	if (out->gone < LEDGER_VIEWS)
		out->numbers[out->gone++] = number;
}

void stage_account(uint32_t index, struct missing *out)
{
	const struct entry *entry = &stage->entries[index];
	bool stalled;

	if (entry->outcome == LANE_NOTHING)
		violation(WITHOUT_OUTCOME, index, entry->bytes);
	if (entry->outcome == LANE_COMMITTED ? entry->seen : !entry->seen)
		return;
	if (entry->outcome != LANE_COMMITTED) {
		(void)was_taken(entry, &stalled);
		out->returned++;
		if (!stalled || !stage->uncounted)
			violation(SEEN_NOT_COMMITTED, index, entry->outcome);
		return;
	}
	if (!was_taken(entry, &stalled))
		note_gone(entry->number, out);
	else if (stalled)
		out->abandoned++;
	else
		out->torn++;
}

static void account_sums(const struct missing *missing)
{
	const struct rondo_stats *before = &stage->before;
	struct rondo_stats now;
	uint64_t bytes = 0, overwritten;

	rondo_channel_stats(stage->channel, &now);
	overwritten = now.overwritten - before->overwritten;
	for (int i = 0; i < (int)RONDO_CAUSES; i++) {
		bytes += now.refused_bytes[i] - before->refused_bytes[i];
		if (now.refused_records[i] - before->refused_records[i] !=
		    stage->refused[i])
			violation(BAD_SUM, (uint64_t)i, stage->refused[i]);
	}
	if (bytes != stage->refused_bytes)
		violation(BAD_SUM, bytes, stage->refused_bytes);
	if (now.discarded - before->discarded != stage->discarded)
		violation(BAD_SUM, now.discarded - before->discarded,
			  stage->discarded);
	if (now.squashed - before->squashed != stage->squashed)
		violation(BAD_SUM, now.squashed - before->squashed,
			  stage->squashed);
	if (missing->gone > overwritten || missing->torn)
		violation(COMMITTED_NOT_SEEN, missing->gone, missing->torn);
	if (missing->abandoned >
	    now.abandoned - before->abandoned + stage->uncounted)
		violation(COMMITTED_NOT_SEEN, missing->abandoned,
			  now.abandoned - before->abandoned);
	if (now.delivered - before->delivered !=
	    now.taken - before->taken + overwritten)
		violation(BAD_SUM, now.delivered - before->delivered,
			  now.taken - before->taken);
}

void stage_end(void)
{
	struct missing missing = {.gone = 0};
	const char *why;
	int result;

	(void)rondo_channel_start(stage->channel);
	result = rondo_channel_flush(stage->channel);
	if (result < 0)
		violation(BAD_ERROR, (uint64_t)-result, 1);
	stage_take_all();
	for (uint32_t i = 0; i < stage->count; i++)
		stage_account(i, &missing);
	account_sums(&missing);
	for (uint32_t i = 0; i < stage->map->ring_count; i++)
		if (rondo_ring_check(stage->control, i, &why))
			violation(NOT_QUIET, i, (uint64_t)why[2]);
}
