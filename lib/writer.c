/* SPDX-License-Identifier: MIT */
/*
 * Writers: a consumer that appends what it takes to stream files, and keeps a
 * metadata file that explains them. One stream for each ring that recorded;
 * what comes out of turn goes to further ones, because readers refuse a stream
 * whose time goes backwards.
 *
 * The trace can be read at any moment, also after a crash: packets are whole,
 * and a class is in the metadata before the first packet that may hold it.
 *
 * What could not be written may have room a moment later (a full disk). Then
 * the packet stays on loan, and comes before all others when it is tried again;
 * nothing else is taken meanwhile, so the order is the same as without.
 *
 * Numbers in the files: packet_seq_num is the consumer's and 1, so that there
 * is one for an empty packet before the first; events_discarded begins at 0
 * when the writer is opened, and late streams leave it at 0, since the main
 * one counts for both.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rondo/consumer.h>
#include <rondo/writer.h>

#include "clock.h"
#include "consumer.h"
#include "ctf.h"
#include "packet.h"
#include "registry.h"
#include "ring.h"
#include "stream.h"
#include "writer.h"

#define DIRECTORY_MODE 0700u
#define EMPTY_PACKET_BYTES 4096u
#define DRAIN_NS INT64_C(1000000) /* between looks at stragglers */
#define DRAIN_AT_ONCE 64	  /* sub-buffers on loan */
#define SNAPSHOT_TRIES 8
#define RETRY_NS INT64_C(100000000) /* the thread's, between tries that fail */
/* Beyond it counts are damage; readers take the largest for none at all. */
#define COUNT_MAX (UINT64_MAX >> 8)

struct ring_streams {
	struct rondo_stream main;
	struct rondo_stream *late;
	uint32_t late_count;
	bool begun;	 /* there was one in turn, written or not */
	uint64_t first;	 /* what the number before the main stream's first is */
	uint64_t seq;	 /* of the main stream's last, written or not */
	uint64_t number; /* of that sub-buffer */
	uint64_t base[RONDO_CAUSES]; /* refused before the writer was opened */
	uint64_t base_overwritten;
	bool joined;   /* others took what was before, and its losses */
	uint64_t head; /* drain: the number that ends it */
	uint32_t left; /* ... and how many there can be up to it */
};

/*
 * What metadata and schema are made of: a copy, so that both say the same, and
 * what was said once holds, whatever becomes of the channel's memory.
 */
struct told {
	struct rondo_map map; /* leads to the two below */
	struct rondo_superblock super;
	char *catalog;
};

/*
 * A packet on its way to its stream. What is written of it is made once,
 * however often that is tried, so that it has one number and is counted once.
 */
struct outgoing {
	struct rondo_view loan;
	struct rondo_view own; /* as it is written; from loan or from copy */
	bool mended;
	bool kept; /* for the next step: what made it fail may pass */
};

struct rondo_writer {
	struct rondo_control *control;
	struct rondo_consumer *consumer;
	char *directory; /* absolute */
	struct ring_streams *rings;
	struct told *told;	     /* what the metadata say */
	struct rondo_schema *schema; /* of the classes in the metadata */
	uint64_t told_classes;	     /* in the metadata on disk */
	uint64_t refused; /* class_count that came with a damaged catalog */
	char *copy;	  /* room for a sub-buffer, when others may write */
	struct outgoing outgoing;
	struct rondo_clock_pair begin;
	struct rondo_writer_stats stats; /* by relaxed stores, for any reader */
	int first_error;		 /* of those that cost a packet */
	uint32_t ring_count;
	uint32_t pid;
	bool snapshot;
	struct rondo_report *report; /* recovery: counted as it is written */
	bool threaded;
	bool same_boot;	 /* as when the channel was created */
	bool same_clock; /* it has only gone forward since then */
	uint32_t stop;	 /* the thread shall end, which rests on this */
	pthread_t thread;
};

static void count(uint64_t *counter, uint64_t more)
{
	rondo_store_relaxed(counter, *counter + more);
}

static const struct rondo_map *map_of(const struct rondo_writer *writer)
{
	return &writer->control->map;
}

/* The clock and wall time, now; where the clock began anew since, as the
 * channel was created: what it says now is about another time. */
static void read_clock(const struct rondo_writer *writer,
		       struct rondo_clock_pair *out)
{
	const struct rondo_superblock *super = map_of(writer)->super;

	if (writer->same_boot) {
		rondo_clock_pair(map_of(writer)->clock, out);
		return;
	}
	out->ticks = rondo_load_relaxed(&super->clock_base_ticks);
	out->ns = rondo_load_relaxed(&super->clock_base_ns);
}

/* directory/name and what is appended, or NULL. */
static char *path_in(const char *directory, const char *name,
		     const char *appended)
{
	size_t bytes = strlen(directory) + strlen(name) + strlen(appended) + 2;
	char *path = malloc(bytes);

	if (path)
		snprintf(path, bytes, "%s/%s%s", directory, name, appended);
	return path;
}

/* ---- metadata ---- */

static int replace_metadata(const struct rondo_writer *writer, const char *text)
{
	char *path = path_in(writer->directory, "metadata", "");
	char *temporary = path_in(writer->directory, ".metadata", "");
	int result = -ENOMEM;

	if (path && temporary)
		result = rondo_stream_replace(path, temporary, text,
					      strlen(text));
	free(path);
	free(temporary);
	return result;
}

/* What may go well a moment later, and is about no one file. */
static bool passes(int error)
{
	switch (error) {
	case -ENOSPC:
	case -EDQUOT:
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -EINTR:
	case -EAGAIN:
		return true;
	default:
		return false;
	}
}

static void tell_error(struct rondo_writer *writer, int error)
{
	rondo_store_relaxed(&writer->stats.last_error, error);
}

/* A packet, or part of the metadata, is lost. */
static void note_error(struct rondo_writer *writer, int error)
{
	tell_error(writer, error);
	if (!writer->first_error)
		writer->first_error = error;
}

static void told_close(struct told *told)
{
	if (told)
		free(told->catalog);
	free(told);
}

/* before: what was told last; classes are only ever added to that. */
static int told_open(const struct rondo_map *map, const struct told *before,
		     struct told **out)
{
	const size_t constant = offsetof(struct rondo_superblock, catalog_used);
	struct told *told = calloc(1, sizeof(*told));
	/* pairs(catalog) acquire: the entries that the word speaks of. */
	uint64_t used = rondo_load_acquire(&map->super->catalog_used);
	int result = -EPROTO;

	if (!told)
		return -ENOMEM;
	if (used <= map->catalog_bytes) {
		told->catalog = malloc(used + 1);
		result = told->catalog ? 0 : -ENOMEM;
	}
	if (!result) {
		memcpy(told->catalog, map->catalog, used);
		if (before && (used < before->super.catalog_used ||
			       memcmp(told->catalog, before->catalog,
				      before->super.catalog_used)))
			result = -EPROTO;
	}
	if (result) {
		told_close(told);
		return result;
	}
	memcpy(&told->super, before ? &before->super : map->super, constant);
	told->super.catalog_used = used;
	told->map = *map;
	told->map.super = &told->super;
	told->map.catalog = told->catalog;
	*out = told;
	return 0;
}

/* What the channel says now, for good. */
static int learn(struct rondo_writer *writer)
{
	struct rondo_schema *schema;
	struct told *told;
	int result = told_open(map_of(writer), writer->told, &told);

	if (result)
		return result;
	result = rondo_schema_open(&told->map, &schema);
	if (result) {
		told_close(told);
		return result;
	}
	told_close(writer->told);
	writer->told = told;
	rondo_schema_close(writer->schema);
	writer->schema = schema;
	return 0;
}

static int write_metadata(struct rondo_writer *writer,
			  const struct rondo_clock_pair *end)
{
	char *text = NULL;
	int result = learn(writer);

	/* Damaged: what was told before still explains what is written, and
	 * records of other classes become gaps. */
	if (result == -EPROTO && writer->told) {
		note_error(writer, result);
		result = 0;
	}
	if (!result)
		result = rondo_ctf_metadata(&writer->told->map, &writer->begin,
					    end, &text);
	if (!result)
		result = replace_metadata(writer, text);
	free(text);
	return result;
}

/* Before a packet that may hold records of classes registered since. */
static int complete_metadata(struct rondo_writer *writer)
{
	uint64_t classes;
	int result;

	/* pairs(catalog) acquire: the classes' entries are there too. */
	classes = rondo_load_acquire(&map_of(writer)->super->class_count);
	if (classes <= writer->told_classes || classes == writer->refused)
		return 0;
	result = write_metadata(writer, &writer->begin);
	if (result)
		return result;
	writer->told_classes = rondo_schema_classes(writer->schema);
	if (classes > writer->told_classes)
		writer->refused = classes;
	return 0;
}

/* ---- streams ---- */

/* NAME_RING and what is appended; NAME such that no file is hidden or
 * elsewhere. */
static char *stream_path(const struct rondo_writer *writer, uint32_t ring,
			 uint32_t late)
{
	char name[128], appended[32] = "";
	size_t i, used = 0;

	for (i = 0; i < sizeof(writer->control->name); i++) {
		char c = writer->control->name[i];

		if (!c)
			break;
		name[used++] =
			c <= ' ' || c > '~' || c == '/' || c == '.' ? '_' : c;
	}
	snprintf(name + used, sizeof(name) - used, "_%u", ring);
	if (late == 1)
		snprintf(appended, sizeof(appended), ".late");
	else if (late)
		snprintf(appended, sizeof(appended), ".late%u", late);
	return path_in(writer->directory, name, appended);
}

static struct rondo_stream *late_stream(const struct rondo_writer *writer,
					uint32_t ring, uint64_t begin)
{
	struct ring_streams *streams = &writer->rings[ring];
	struct rondo_stream *late;
	uint32_t i;
	char *path;

	for (i = 0; i < streams->late_count; i++) {
		if (streams->late[i].end <= begin)
			return &streams->late[i];
	}
	late = realloc(streams->late, (i + 1) * sizeof(*late));
	if (!late)
		return NULL;
	streams->late = late;
	path = stream_path(writer, ring, i + 1);
	if (!path)
		return NULL;
	rondo_stream_init(&late[i], path);
	streams->late_count++;
	return &late[i];
}

/* Each file is an instance of its own. */
static uint64_t instance_of(const struct rondo_writer *writer, uint32_t ring,
			    const struct rondo_stream *stream)
{
	const struct ring_streams *streams = &writer->rings[ring];
	uint64_t late = stream == &streams->main ?
				0 :
				(uint64_t)(stream - streams->late) + 1;

	return ring + late * map_of(writer)->ring_count;
}

static int append(struct rondo_writer *writer, struct rondo_stream *stream,
		  const struct rondo_packet *packet)
{
	uint64_t bytes = packet->packet_bits / 8;
	int result = rondo_stream_append(stream, packet, bytes);

	if (result)
		return result;
	stream->end = packet->timestamp_end;
	stream->seq = packet->packet_seq_num;
	stream->discarded = packet->events_discarded;
	count(&writer->stats.bytes, bytes);
	return 0;
}

/* ---- packets ---- */

/* Records refused since the writer was opened: their sum; by cause in out. A
 * count that cannot be is 0: readers get the one before. */
static uint64_t refused_since(const struct ring_streams *streams,
			      const uint64_t refused[RONDO_CAUSES],
			      uint64_t out[RONDO_CAUSES])
{
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < RONDO_CAUSES; i++) {
		out[i] = refused[i] > streams->base[i] ?
				 refused[i] - streams->base[i] :
				 0;
		if (out[i] > COUNT_MAX)
			out[i] = 0;
		sum += out[i];
	}
	return sum;
}

static uint32_t flags_of(const struct rondo_writer *writer,
			 const struct rondo_view *view)
{
	return view->flags | (writer->snapshot ? RONDO_VIEW_SNAPSHOT : 0) |
	       (writer->report ? RONDO_VIEW_RECOVERED : 0);
}

/*
 * What the view tells, and nothing that might have changed in the memory. A
 * producer that comes late may still read what it would have changed here, and
 * throws it away, its head being another; thread sanitizer cannot know that.
 */
static __attribute__((no_sanitize("thread"))) void
fill_header(const struct rondo_writer *writer, struct rondo_packet *packet,
	    const struct rondo_view *view)
{
	const struct ring_streams *streams = &writer->rings[view->ring];
	uint64_t refused[RONDO_CAUSES];

	packet->magic = RONDO_PACKET_MAGIC;
	memcpy(packet->uuid, map_of(writer)->uuid, sizeof(packet->uuid));
	packet->stream_id = 0;
	packet->timestamp_begin = view->time_begin;
	packet->timestamp_end = view->time_end < view->time_begin ?
					view->time_begin :
					view->time_end;
	packet->content_bits = view->content * 8;
	packet->packet_bits = view->bytes * 8;
	packet->cpu_id = view->cpu;
	packet->flags = flags_of(writer, view);
	packet->number = view->number;
	packet->events_discarded = refused_since(streams, view->lost, refused);
	memcpy(packet->refused, refused, sizeof(refused));
}

/* A packet without records that says what was lost until then. */
static int append_empty(struct rondo_writer *writer, uint32_t ring,
			const struct rondo_view *like)
{
	struct rondo_stream *stream = &writer->rings[ring].main;
	union {
		struct rondo_packet packet;
		char bytes[EMPTY_PACKET_BYTES];
	} empty;

	memset(&empty, 0, sizeof(empty));
	fill_header(writer, &empty.packet, like);
	empty.packet.content_bits = RONDO_PACKET_BYTES * 8;
	empty.packet.packet_bits = EMPTY_PACKET_BYTES * 8;
	empty.packet.stream_instance_id = ring;
	empty.packet.packet_seq_num = like->seq;
	empty.packet.previous = like->number;
	return append(writer, stream, &empty.packet);
}

/* Sub-buffers overwritten before this one, since the writer was opened. */
static uint64_t lost_before(const struct rondo_writer *writer,
			    const struct rondo_view *view)
{
	const struct rondo_ring *ring =
		rondo_map_ring(map_of(writer), view->ring);
	uint64_t lost = rondo_ring_total(ring, RONDO_COUNT_OVERWRITTEN) -
			writer->rings[view->ring].base_overwritten;

	if (lost > view->overwritten)
		lost = view->overwritten;
	return lost < view->seq ? lost : view->seq;
}

/* One that comes in turn, whether or not it can be written. */
static void count_turn(const struct rondo_writer *writer,
		       const struct rondo_view *view)
{
	struct ring_streams *streams = &writer->rings[view->ring];

	if (!streams->begun)
		streams->first = view->seq - lost_before(writer, view);
	streams->begun = true;
	streams->seq = view->seq + 1;
	streams->number = view->number;
}

/* Readers count losses from packet to packet: before the first that has some
 * there goes an empty one. */
static int open_stream(struct rondo_writer *writer,
		       const struct rondo_view *view, uint64_t discarded)
{
	const struct ring_streams *streams = &writer->rings[view->ring];
	const uint64_t first = streams->begun ? streams->first : view->seq;
	struct rondo_view like = *view;

	if (streams->main.bytes || streams->joined ||
	    !(discarded || first != view->seq))
		return 0;
	like.seq = first;
	like.flags = 0;
	memset(like.lost, 0, sizeof(like.lost));
	if (writer->begin.ticks < like.time_begin)
		like.time_begin = writer->begin.ticks;
	like.time_end = like.time_begin;
	return append_empty(writer, view->ring, &like);
}

static bool in_turn(const struct ring_streams *streams,
		    const struct rondo_view *view)
{
	return !(view->flags & RONDO_VIEW_LATE) &&
	       view->time_begin >= streams->main.end;
}

static __attribute__((no_sanitize("thread"))) int
append_main(struct rondo_writer *writer, const struct rondo_view *view,
	    struct rondo_packet *packet)
{
	struct ring_streams *streams = &writer->rings[view->ring];
	int result;

	count_turn(writer, view);
	result = open_stream(writer, view, packet->events_discarded);
	if (result)
		return result;
	if (packet->events_discarded < streams->main.discarded)
		packet->events_discarded = streams->main.discarded;
	packet->stream_instance_id = view->ring;
	packet->packet_seq_num = view->seq + 1;
	return append(writer, &streams->main, packet);
}

static __attribute__((no_sanitize("thread"))) int
append_late(struct rondo_writer *writer, const struct rondo_view *view,
	    struct rondo_packet *packet)
{
	struct rondo_stream *stream =
		late_stream(writer, view->ring, packet->timestamp_begin);
	int result;

	if (!stream)
		return -ENOMEM;
	packet->stream_instance_id = instance_of(writer, view->ring, stream);
	packet->packet_seq_num = stream->seq + 1;
	packet->events_discarded = 0;
	result = append(writer, stream, packet);
	if (!result)
		count(&writer->stats.late_packets, 1);
	return result;
}

/* A time that no record is later than; of clocks that were set, or started,
 * since, it is only the latest that readers can tell. */
static uint64_t latest_time(const struct rondo_writer *writer)
{
	const uint64_t slack = UINT64_C(1) << 24; /* between clocks of CPUs */

	return writer->same_clock ?
		       rondo_clock_read(map_of(writer)->clock) + slack :
		       UINT64_C(1) << 61;
}

/*
 * What is written is the writer's own when others may write to the memory
 * while it is mended: then it is a copy. Else the loan itself, whose bytes may
 * be changed until it is released.
 */
static struct rondo_view own_view(const struct rondo_writer *writer,
				  const struct rondo_view *view)
{
	const struct ring_streams *streams = &writer->rings[view->ring];
	const uint64_t latest = latest_time(writer);
	struct rondo_view own = *view;

	if (writer->copy && view->offset != UINT64_MAX) {
		memcpy(writer->copy, view->data, view->content);
		memset(writer->copy + view->content, 0,
		       view->bytes - view->content);
		own.data = writer->copy;
	}
	if (own.time_begin > latest)
		own.time_begin = latest;
	if (own.time_end > latest)
		own.time_end = latest;
	/* The consumer counts in the channel's memory. */
	if (own.seq < streams->seq || own.seq > COUNT_MAX)
		own.seq = streams->seq;
	return own;
}

/* What a reader finds in a packet that was mended. */
static void report_records(struct rondo_report *report,
			   const struct rondo_view *view)
{
	struct rondo_item item = {.next_ = 0};

	while (rondo_view_next(view, &item) > 0)
		report->records++;
	report->damaged_bytes += view->damaged;
}

/* Once; also when the metadata had no room for its classes before. */
static void mend(struct rondo_writer *writer, struct outgoing *outgoing)
{
	struct rondo_view *view = &outgoing->own;
	struct rondo_contents contents = {
		.data = (char *)(uintptr_t)view->data,
		.bytes = view->bytes,
		.content = view->content,
		.time_begin = view->time_begin,
		.time_end = view->time_end,
	};

	if (outgoing->mended)
		return;
	count(&writer->stats.malformed,
	      rondo_packet_mend(writer->schema, &contents));
	view->content = contents.content;
	outgoing->mended = true;
}

/* All of what is on its way, or nothing; it may be tried again. */
static int write_outgoing(struct rondo_writer *writer)
{
	const struct rondo_view *view = &writer->outgoing.own;
	struct rondo_packet *packet = (struct rondo_packet *)(void *)view->data;
	int result = complete_metadata(writer);

	if (result) {
		if (in_turn(&writer->rings[view->ring], view))
			count_turn(writer, view);
		return result;
	}
	mend(writer, &writer->outgoing);
	fill_header(writer, packet, view);
	if (in_turn(&writer->rings[view->ring], view))
		result = append_main(writer, view, packet);
	else
		result = append_late(writer, view, packet);
	if (!result && writer->report)
		report_records(writer->report, view);
	return result;
}

/* A packet is lost. */
static void note_lost_packet(struct rondo_writer *writer, int error)
{
	count(&writer->stats.write_errors, 1);
	note_error(writer, error);
}

/* Its loan was taken. */
static void begin_outgoing(struct rondo_writer *writer)
{
	struct outgoing *outgoing = &writer->outgoing;

	outgoing->own = own_view(writer, &outgoing->loan);
	outgoing->mended = false;
}

/* It is written, or lost. */
static void end_outgoing(struct rondo_writer *writer, int result)
{
	if (result)
		note_lost_packet(writer, result);
	else
		count(&writer->stats.packets, 1);
	writer->outgoing.kept = false;
	rondo_consumer_release(writer->consumer, &writer->outgoing.loan);
}

/* Where no step comes that it could wait for: at once again, and once. */
static void write_last(struct rondo_writer *writer)
{
	int result = write_outgoing(writer);

	if (passes(result))
		result = write_outgoing(writer);
	end_outgoing(writer, result);
}

static int write_or_keep(struct rondo_writer *writer)
{
	int result = write_outgoing(writer);

	writer->outgoing.kept = passes(result);
	if (writer->outgoing.kept)
		tell_error(writer, result);
	else
		end_outgoing(writer, result);
	return result;
}

/* 1: there is one, before all others what was kept; or as take. */
static int next_outgoing(struct rondo_writer *writer)
{
	int result;

	if (writer->outgoing.kept)
		return 1;
	result = rondo_consumer_take(writer->consumer, &writer->outgoing.loan);
	if (result)
		return result;
	begin_outgoing(writer);
	return 1;
}

/* Takes and writes what is ready, up to as much as the channel holds. What is
 * kept is ready whatever else is, and nothing is taken behind it. */
static int step(struct rondo_writer *writer, int64_t timeout_ns)
{
	const struct rondo_map *map = map_of(writer);
	uint64_t left = (uint64_t)map->ring_count * map->count;
	int packets = 0, error = 0, next = 0;
	int result = rondo_consumer_wait(
		writer->consumer, writer->outgoing.kept ? 0 : timeout_ns);

	if (result < 0)
		return result;
	while (left-- && (next = next_outgoing(writer)) > 0) {
		result = write_or_keep(writer);
		if (result)
			error = result;
		else
			packets++;
		if (writer->outgoing.kept)
			break;
	}
	/* A stalled one waits in its slot until it can be copied. */
	if (next == -ENOMEM) {
		error = next;
		tell_error(writer, error);
	}
	return error ? error : packets;
}

/* ---- the end of a recording ---- */

static bool is_drained(const struct rondo_writer *writer, uint32_t ring)
{
	const struct rondo_map *map = map_of(writer);
	uint64_t cursor = rondo_consumer_cursor(writer->consumer, ring);

	return !writer->rings[ring].left ||
	       rondo_number_distance(writer->rings[ring].head, cursor,
				     rondo_number_bits(map->order)) <= 0;
}

/* Flushes and notes how far to go. True: there is something to write. */
static bool begin_drain(struct rondo_writer *writer)
{
	const struct rondo_map *map = map_of(writer);
	bool any = false;
	uint32_t ring;

	rondo_channel_flush(writer->control->handle);
	for (ring = 0; ring < map->ring_count; ring++) {
		const struct rondo_ring *at = rondo_map_ring(map, ring);

		writer->rings[ring].head = rondo_head_number(
			rondo_load_relaxed(&at->head), map->order);
		writer->rings[ring].left = map->count;
		any |= !is_drained(writer, ring);
	}
	return any;
}

/* Takes what the spares allow before it writes any of it: while it writes the
 * producers of a recorder may overwrite what is left. False: nothing is ready. */
static bool drain_ring(struct rondo_writer *writer, uint32_t ring)
{
	struct rondo_view views[DRAIN_AT_ONCE];
	uint32_t taken = 0;

	while (taken < DRAIN_AT_ONCE && !is_drained(writer, ring) &&
	       !rondo_consumer_take_ring(writer->consumer, ring,
					 &views[taken])) {
		writer->rings[ring].left--;
		taken++;
	}
	for (uint32_t i = 0; i < taken; i++) {
		writer->outgoing.loan = views[i];
		begin_outgoing(writer);
		write_last(writer);
	}
	return taken != 0;
}

/* Writes what is ready of each ring, up to its head as it was noted, however
 * much comes meanwhile. False: nothing was. */
static bool drain_once(struct rondo_writer *writer, bool *out_done)
{
	bool progress = false, done = true;
	uint32_t ring;

	for (ring = 0; ring < map_of(writer)->ring_count; ring++) {
		while (drain_ring(writer, ring))
			progress = true;
		done &= is_drained(writer, ring);
	}
	*out_done = done;
	return progress;
}

/*
 * Flushes, then writes everything up to there. What has open records is
 * delivered when these commit, or quarantined after stall_ms. True: there was
 * something, though it may have been overwritten before it was taken.
 */
static bool drain(struct rondo_writer *writer)
{
	int64_t patience =
		2 * (DRAIN_NS + INT64_C(1000000) * map_of(writer)->stall_ms);
	bool any = begin_drain(writer), done = false;
	int64_t limit = rondo_os_monotonic_ns() + patience;

	for (;;) {
		bool progress = drain_once(writer, &done);
		int64_t now = rondo_os_monotonic_ns();

		if (done || (!progress && now >= limit))
			break;
		if (progress)
			limit = now + patience;
		else
			rondo_os_sleep_ns(DRAIN_NS);
	}
	return any;
}

/* Producers that never pause may overwrite all of it before it is taken; a
 * recorder that holds something shall not give an empty snapshot. */
static void drain_recorder(struct rondo_writer *writer)
{
	int tries = SNAPSHOT_TRIES;

	while (tries-- && drain(writer) && !writer->stats.packets &&
	       !writer->first_error)
		continue;
}

/* Losses after a ring's last packet show up with one more, an empty one. */
static int close_ring(struct rondo_writer *writer, uint32_t ring)
{
	const struct rondo_ring *at = rondo_map_ring(map_of(writer), ring);
	struct ring_streams *streams = &writer->rings[ring];
	struct rondo_view like = {
		.ring = ring,
		.cpu = rondo_load_relaxed(&at->cpu),
		.seq = streams->seq,
		.number = streams->number,
	};
	uint64_t since[RONDO_CAUSES], discarded;
	struct rondo_clock_pair now;
	int result;

	read_clock(writer, &now);
	like.time_begin = now.ticks;
	rondo_ring_refused(at, like.lost);
	discarded = refused_since(streams, like.lost, since);
	if (discarded <= streams->main.discarded &&
	    streams->seq == streams->main.seq)
		return 0;
	if (like.time_begin < streams->main.end)
		like.time_begin = streams->main.end;
	like.time_end = like.time_begin;
	result = open_stream(writer, &like, discarded);
	like.seq = streams->seq + 1;
	return result ? result : append_empty(writer, ring, &like);
}

/* Everything that makes the trace complete. */
static void finish(struct rondo_writer *writer)
{
	struct rondo_clock_pair end;
	uint32_t ring;
	int result;

	if (writer->outgoing.kept)
		write_last(writer);
	if (writer->snapshot)
		drain_recorder(writer);
	else
		drain(writer);
	for (ring = 0; ring < map_of(writer)->ring_count; ring++) {
		if (writer->rings[ring].joined &&
		    !writer->rings[ring].main.bytes)
			continue;
		result = close_ring(writer, ring);
		if (result)
			note_lost_packet(writer, result);
	}
	read_clock(writer, &end);
	result = write_metadata(writer, &end);
	if (result)
		note_error(writer, result);
}

static bool is_inherited(const struct rondo_writer *writer)
{
	return writer->pid != rondo_os_pid();
}

/* A child of fork gives back what is its own: memory and descriptors. */
static void close_stream(const struct rondo_writer *writer,
			 struct rondo_stream *stream)
{
	if (is_inherited(writer))
		rondo_stream_abandon(stream);
	else
		rondo_stream_close(stream);
}

static void destroy(struct rondo_writer *writer)
{
	uint32_t ring, i;

	for (ring = 0; ring < writer->ring_count; ring++) {
		struct ring_streams *streams = &writer->rings[ring];

		close_stream(writer, &streams->main);
		for (i = 0; i < streams->late_count; i++)
			close_stream(writer, &streams->late[i]);
		free(streams->late);
	}
	rondo_consumer_close(writer->consumer);
	rondo_schema_close(writer->schema);
	told_close(writer->told);
	free(writer->copy);
	free(writer->rings);
	free(writer->directory);
	free(writer);
}

/* ---- opening ---- */

/* The metadata, where nothing else is. */
static int begin_trace(struct rondo_writer *writer)
{
	int result = rondo_os_is_empty(writer->directory);

	if (result <= 0)
		return result ? result : -ENOTEMPTY;
	result = write_metadata(writer, &writer->begin);
	if (!result)
		writer->told_classes = rondo_schema_classes(writer->schema);
	return result;
}

/* The directory with the metadata in it, or, if it was not there, none. */
static int make_trace(struct rondo_writer *writer)
{
	int made = rondo_os_mkdir(writer->directory, DIRECTORY_MODE), result;

	if (made && made != -EEXIST)
		return made;
	result = begin_trace(writer);
	if (result && !made)
		(void)rondo_os_rmdir(writer->directory);
	return result;
}

static bool is_same_boot(const struct rondo_control *control)
{
	uint8_t boot[16];

	rondo_os_boot_id(boot);
	return !control->attached ||
	       memcmp(boot, control->map.super->boot_id, sizeof(boot)) == 0;
}

/* Whoever records in this process is trusted not to write to what is on loan;
 * of other processes nothing is known. */
static int make_copy(struct rondo_writer *writer)
{
	void *copy = NULL;

	if (!writer->control->attached)
		return 0;
	if (posix_memalign(&copy, 4096, map_of(writer)->subbuf_bytes))
		return -ENOMEM;
	writer->copy = copy;
	return 0;
}

/* What was lost before now is none of this trace's business. A recorder, or a
 * dead process, is asked for all that its memory tells. */
static void note_losses(struct rondo_writer *writer, uint32_t ring)
{
	const struct rondo_ring *at = rondo_map_ring(map_of(writer), ring);
	struct ring_streams *streams = &writer->rings[ring];

	streams->joined = writer->snapshot ||
			  (writer->report && rondo_load_relaxed(&at->shipped));
	if (writer->snapshot || writer->report)
		return;
	rondo_ring_refused(at, streams->base);
	streams->base_overwritten =
		rondo_ring_total(at, RONDO_COUNT_OVERWRITTEN);
}

static int make_rings(struct rondo_writer *writer)
{
	uint32_t count = map_of(writer)->ring_count;
	char *path;

	writer->rings = calloc(count, sizeof(*writer->rings));
	if (!writer->rings)
		return -ENOMEM;
	for (; writer->ring_count < count; writer->ring_count++) {
		path = stream_path(writer, writer->ring_count, 0);
		if (!path)
			return -ENOMEM;
		rondo_stream_init(&writer->rings[writer->ring_count].main,
				  path);
		note_losses(writer, writer->ring_count);
	}
	return 0;
}

/* like: what kind of writer it is. */
static int open_writer(struct rondo_channel *channel, const char *directory,
		       const struct rondo_writer *like,
		       struct rondo_writer **out)
{
	struct rondo_control *control = rondo_registry_find(channel);
	struct rondo_writer *writer;
	int result;

	if (!control || !directory)
		return -EINVAL;
	writer = calloc(1, sizeof(*writer));
	if (!writer)
		return -ENOMEM;
	writer->control = control;
	writer->snapshot = like->snapshot;
	writer->report = like->report;
	writer->pid = rondo_os_pid();
	writer->same_boot = is_same_boot(control);
	writer->same_clock = writer->same_boot &&
			     control->map.clock != RONDO_CLOCK_REALTIME;
	result = rondo_consumer_open(channel, &writer->consumer);
	if (!result)
		result = rondo_os_make_absolute(directory, &writer->directory);
	if (!result)
		result = make_rings(writer);
	if (!result)
		result = make_copy(writer);
	if (!result) {
		read_clock(writer, &writer->begin);
		result = make_trace(writer);
	}
	if (result) {
		destroy(writer);
		return result;
	}
	*out = writer;
	return 0;
}

RONDO_API int rondo_writer_open(struct rondo_channel *channel,
				const char *directory,
				struct rondo_writer **out)
{
	const struct rondo_writer like = {.snapshot = false};

	if (!channel || !out)
		return -EINVAL;
	return open_writer(channel, directory, &like, out);
}

/* ---- running ---- */

RONDO_API int rondo_writer_step(struct rondo_writer *writer, int64_t timeout_ns)
{
	if (is_inherited(writer))
		return -ESHUTDOWN;
	if (writer->threaded)
		return -EBUSY;
	return step(writer, timeout_ns);
}

static void *run(void *argument)
{
	struct rondo_writer *writer = argument;

	while (!rondo_load_relaxed(&writer->stop)) {
		/* Not at once again: no room comes of trying. */
		if (passes(step(writer, -1)))
			rondo_os_futex_wait(&writer->stop, 0, RETRY_NS);
	}
	return NULL;
}

RONDO_API int rondo_writer_start(struct rondo_writer *writer)
{
	int result;

	if (is_inherited(writer))
		return -ESHUTDOWN;
	if (writer->threaded)
		return -EALREADY;
	rondo_store_relaxed(&writer->stop, 0);
	result = rondo_os_thread_start("rondo-writer", run, writer,
				       &writer->thread);
	writer->threaded = !result;
	return result;
}

RONDO_API int rondo_writer_stop(struct rondo_writer *writer)
{
	if (is_inherited(writer))
		return -ESHUTDOWN;
	if (!writer->threaded)
		return 0;
	rondo_store_relaxed(&writer->stop, 1);
	rondo_consumer_wake(writer->consumer);
	rondo_os_futex_wake(&writer->stop, 1);
	rondo_os_thread_join(writer->thread);
	writer->threaded = false;
	return 0;
}

RONDO_API int rondo_writer_stats(const struct rondo_writer *writer,
				 struct rondo_writer_stats *out)
{
	const struct rondo_writer_stats *stats = &writer->stats;

	*out = (struct rondo_writer_stats){
		.packets = rondo_load_relaxed(&stats->packets),
		.bytes = rondo_load_relaxed(&stats->bytes),
		.late_packets = rondo_load_relaxed(&stats->late_packets),
		.malformed = rondo_load_relaxed(&stats->malformed),
		.write_errors = rondo_load_relaxed(&stats->write_errors),
		.last_error = rondo_load_relaxed(&stats->last_error),
	};
	return 0;
}

RONDO_API int rondo_writer_close(struct rondo_writer *writer)
{
	int result;

	if (!writer)
		return 0;
	if (is_inherited(writer)) {
		destroy(writer);
		return 0;
	}
	rondo_writer_stop(writer);
	finish(writer);
	result = writer->first_error;
	destroy(writer);
	return result;
}

/* Opens, writes all there is, closes. Packets, or the first error. */
static int write_all(struct rondo_channel *channel, const char *directory,
		     const struct rondo_writer *like,
		     struct rondo_writer_stats *out)
{
	struct rondo_writer *writer;
	int result = open_writer(channel, directory, like, &writer);

	if (result)
		return result;
	finish(writer);
	*out = writer->stats;
	result = writer->first_error;
	destroy(writer);
	return result ? result : (int)out->packets;
}

RONDO_API int rondo_snapshot(struct rondo_channel *channel,
			     const char *directory)
{
	const struct rondo_writer like = {.snapshot = true};
	struct rondo_writer_stats stats;

	if (!channel)
		return -EINVAL;
	return write_all(channel, directory, &like, &stats);
}

int rondo_writer_recover(struct rondo_channel *channel, const char *directory,
			 struct rondo_report *report)
{
	const struct rondo_writer like = {.report = report};
	struct rondo_writer_stats stats = {.packets = 0};
	int result = write_all(channel, directory, &like, &stats);

	report->packets = stats.packets;
	report->malformed = stats.malformed;
	return result;
}
