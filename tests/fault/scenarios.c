/* SPDX-License-Identifier: MIT */
/*
 * See scenarios.h. The exported functions are called here; the inlined ones are
 * those of inlined.h.
 */
#define RONDO_NO_INLINE 1

#include "scenarios.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "consumer.h"
#include "inlined.h"
#include "refuse.h"
#include "spots.h"
#include "support/test.h"

#define SMALL 24u
#define BIG 1600u

/* ---- records ---- */

static void expect(bool what, uint64_t a, uint64_t b)
{
	if (!what)
		violation(BAD_ERROR, a, b);
}

static void end_committed(struct entry *entry, int result)
{
	expect(result == 0, (uint64_t)-result, 2);
	entry->outcome = LANE_COMMITTED;
}

/* In the ledger, and left open. NULL: refused. */
static struct entry *open_one(uint32_t bytes)
{
	struct entry *entry = stage_entry(bytes);
	int result = inlined_reserve(stage->channel, stage->id, bytes,
				     &entry->record);

	return stage_reserved(entry, result) ? entry : NULL;
}

static struct entry *open_by_call(uint32_t bytes)
{
	struct entry *entry = stage_entry(bytes);
	int result = rondo_reserve_call(stage->channel, stage->id, bytes,
					&entry->record);

	return stage_reserved(entry, result) ? entry : NULL;
}

static bool is_open(const struct entry *entry)
{
	return entry && entry->outcome == LANE_NOTHING;
}

/* The page set that it is in. */
static uint32_t pages_of(const struct entry *entry)
{
	const struct rondo_map *map = stage->map;
	uint64_t index = (uint64_t)((char *)entry->record.data - map->pages) >>
			 map->order;

	return (uint32_t)(index - (uint64_t)entry->record.ring_id *
					  rondo_map_page_sets(map));
}

static void commit_one(struct entry *entry)
{
	if (is_open(entry))
		end_committed(entry, inlined_commit(&entry->record));
}

static void commit_by_call(struct entry *entry)
{
	if (is_open(entry))
		end_committed(entry, rondo_commit_call(entry->record.channel,
						       entry->record.data,
						       entry->record.head,
						       entry->record.ring_id,
						       entry->record.event_id));
}

static void discard_one(struct entry *entry)
{
	if (!is_open(entry))
		return;
	expect(rondo_discard(&entry->record) == 0, 3, 0);
	entry->outcome = LANE_DISCARDED;
	stage->discarded++;
}

static void shrink_one(struct entry *entry, uint32_t used)
{
	if (!is_open(entry))
		return;
	stage_fill(entry, used);
	end_committed(entry, rondo_commit_len(&entry->record, used));
}

static void squash_one(struct entry *entry)
{
	int result;

	if (!entry || entry->outcome != LANE_COMMITTED)
		return;
	entry->in_doubt = true;
	result = rondo_squash(stage->channel, rondo_mark(&entry->record));
	entry->in_doubt = false;
	if (result == 0) {
		entry->outcome = LANE_SQUASHED;
		stage->squashed++;
	} else {
		expect(result == -EBUSY || result == -ESTALE, (uint64_t)-result,
		       4);
	}
}

bool put(uint32_t bytes)
{
	struct entry *entry = open_one(bytes);

	commit_one(entry);
	return entry != NULL;
}

/* Until exactly so much room for a payload is left in what is open. */
static void leave_room(uint32_t room)
{
	const uint32_t header = stage->map->header_bytes;
	const uint64_t end = stage->map->subbuf_bytes - RONDO_TAIL_BYTES;

	if (!stage_offset())
		put(SMALL - 8 + header);
	while (end - stage_offset() > header + room) {
		uint64_t more = end - stage_offset() - header - room;

		if (more > BIG + 2 * (header + SMALL))
			more = BIG + header;
		put((uint32_t)more - header);
	}
}

/* So many sub-buffers, with a record each, delivered. */
static void deliver(int sub_buffers)
{
	while (sub_buffers-- > 0) {
		put(SMALL);
		expect(rondo_channel_flush(stage->channel) == 1, 5, 0);
	}
}

static void flush(void)
{
	int result = rondo_channel_flush(stage->reading);

	/* From outside it gives up in the end, or cannot begin. */
	expect(result >= 0 ||
		       (result == -EAGAIN &&
			stage->reading != stage->channel) ||
		       (result == -EOPNOTSUPP && stage->kind == STAGE_FOREIGN),
	       (uint64_t)-result, 13);
}

static void set_mode(unsigned mode)
{
	uint64_t head = rondo_head_bump(stage_head());

	rondo_store_relaxed(&stage->ring->head,
			    rondo_head_with_mode(head, mode));
}

/* ---- what is played ---- */

static struct entry *early, *second;
static struct rondo_view loans[8];
static uint32_t loan_count, creator, cues;
static struct rondo_offsets offsets;
static struct entry *held[256];
static uint32_t held_count;

static void hold(uint32_t count, uint32_t bytes)
{
	for (held_count = 0; held_count < count; held_count++)
		held[held_count] = open_one(bytes);
}

static void commit_held(void)
{
	for (uint32_t i = 0; i < held_count; i++)
		commit_one(held[i]);
}

static void discard_held(void)
{
	for (uint32_t i = 0; i < held_count; i++)
		discard_one(held[i]);
}

static void play_nothing(void)
{
}

static void put_small(void)
{
	put(SMALL);
}

static void put_odd(void)
{
	put(SMALL + 3);
}

static void call_small(void)
{
	commit_by_call(open_by_call(SMALL + 3));
}

static void exported_small(void)
{
	struct entry *entry = stage_entry(SMALL);

	if (stage_reserved(entry, rondo_reserve(stage->channel, stage->id,
						SMALL, &entry->record)))
		end_committed(entry, rondo_commit(&entry->record));
}

/* Writes tell no handle: where such a record is is not known. */
static struct entry *to_write(uint32_t bytes)
{
	struct entry *entry = stage_entry(bytes);

	entry->number = STAGE_ANYWHERE;
	return entry;
}

static void written(struct entry *entry, int result)
{
	if (result == 0)
		entry->outcome = LANE_COMMITTED;
	else
		(void)stage_reserved(entry, result);
}

/* The last piece is copied by a call, or where it is. */
static void write_in_pieces(int (*writev)(struct rondo_channel *, uint16_t,
					  const struct iovec *, int),
			    int count)
{
	struct entry *entry = to_write(count == 7 ? 146 : 76);
	char payload[152];
	struct iovec pieces[7] = {{payload, 12},      {payload + 12, 0},
				  {payload + 12, 1},  {payload + 13, 40},
				  {payload + 53, 18}, {payload + 71, 5},
				  {payload + 76, 70}};

	entry->record.data = payload;
	stage_fill(entry, entry->bytes);
	written(entry, writev(stage->channel, stage->id, pieces, count));
}

static void write_whole(int (*write)(struct rondo_channel *, uint16_t,
				     const void *, uint32_t))
{
	struct entry *entry = to_write(SMALL + 1);
	char payload[64];

	entry->record.data = payload;
	stage_fill(entry, SMALL + 1);
	written(entry, write(stage->channel, stage->id, payload, SMALL + 1));
}

/* Of nothing: only where it is refused. */
static void write_nothing(void)
{
	written(to_write(0),
		inlined_writev(stage->channel, stage->id, NULL, 0));
	written(to_write(0), rondo_writev(stage->channel, stage->id, NULL, 0));
}

static void write_all(void)
{
	write_whole(inlined_write);
	write_whole(rondo_write);
	for (int count = 6; count <= 7; count++) {
		write_in_pieces(inlined_writev, count);
		write_in_pieces(rondo_writev, count);
	}
}

static void open_early(void)
{
	early = open_one(SMALL);
}

static void commit_early(void)
{
	commit_one(early);
}

static void at_the_end(void)
{
	leave_room(0);
}

static void early_at_the_end(void)
{
	open_early();
	leave_room(0);
}

static void closed_early(void)
{
	open_early();
	expect(rondo_channel_flush(stage->channel) == 1, 6, 0);
}

static void full_and_closed(void)
{
	deliver(4);
}

static void full_and_open(void)
{
	deliver(3);
	leave_room(0);
}

static void all_stalled(void)
{
	for (held_count = 0; held_count < 4; held_count++) {
		held[held_count] = open_one(SMALL);
		expect(rondo_channel_flush(stage->channel) == 1, 7, 0);
	}
}

/* In overwrite mode: the next slot is a stalled writer's. */
static void next_is_stalled(void)
{
	closed_early();
	deliver(3);
}

static void many_open(void)
{
	hold(256, 0);
}

static void put_big(void)
{
	put(stage->map->record_max + 1);
}

static void refused_for_other_reasons(void)
{
	struct rondo_record record;
	char byte = 0;
	const struct iovec pieces[1] = {{&byte, 1}};

	expect(inlined_reserve(stage->channel, 0xfe00, 8, &record) == -EINVAL,
	       8, 0);
	expect(rondo_reserve(stage->channel, 0xfe00, 8, &record) == -EINVAL, 8,
	       1);
	expect(rondo_reserve_aligned(stage->channel, stage->id, 8, 7,
				     &record) == -EINVAL,
	       8, 2);
	expect(rondo_reserve_aligned(stage->channel, stage->id, 8, 8192,
				     &record) == -EINVAL,
	       8, 3);
	expect(rondo_reserve_aligned(stage->channel, stage->id, 8, 24,
				     &record) == -EINVAL,
	       8, 4);
	expect(rondo_reserve_aligned(stage->channel, 0xfe00, 8, 8, &record) ==
		       -EINVAL,
	       8, 5);
	expect(inlined_writev(stage->channel, stage->id, pieces, -1) == -EINVAL,
	       8, 6);
	expect(rondo_writev(stage->channel, stage->id, pieces, -1) == -EINVAL,
	       8, 7);
}

static void write_far_too_much(int (*writev)(struct rondo_channel *, uint16_t,
					     const struct iovec *, int))
{
	char byte = 0;
	const struct iovec pieces[2] = {{&byte, SIZE_MAX}, {&byte, 2}};
	struct entry *entry = to_write(UINT32_MAX);

	written(entry, writev(stage->channel, stage->id, pieces, 2));
}

static void put_too_big(void)
{
	put_big();
	(void)open_by_call(stage->map->record_max + 1);
	write_far_too_much(inlined_writev);
	write_far_too_much(rondo_writev);
}

static void time_ran_out(void)
{
	put(SMALL);
	rondo_store_relaxed(&stage->ring->limit, 0);
}

static void two_open(void)
{
	early = open_one(SMALL + 5);
	second = open_one(SMALL);
}

static void discard_both(void)
{
	discard_one(early);
	discard_one(second);
}

static void discard_last_first(void)
{
	discard_one(second);
	discard_one(early);
}

static void two_empty_open(void)
{
	early = open_one(0);
	second = open_one(0);
}

static void two_wide_open(void)
{
	early = open_one(96);
	second = open_one(96);
}

static void shrink_both(void)
{
	shrink_one(early, 40);
	shrink_one(second, 21);
}

static void shrink_last_first(void)
{
	shrink_one(second, 41);
	shrink_one(early, 95);
}

static void shrink_not_at_all(void)
{
	if (early)
		expect(rondo_commit_len(&early->record, 97) == -EINVAL, 9, 0);
	shrink_one(early, 96);
	shrink_one(second, 96);
}

static void two_committed(void)
{
	two_open();
	commit_one(early);
	commit_one(second);
}

static void squash_both(void)
{
	squash_one(second);
	squash_one(early);
}

static void squash_the_first(void)
{
	squash_one(early);
}

static void committed_and_left(void)
{
	two_committed();
	expect(rondo_channel_flush(stage->channel) == 1, 10, 0);
	put(SMALL);
}

static void squash_elsewhere(void)
{
	struct rondo_mark mark = {stage_head(), stage_head(), 0, 0};

	mark.ring = stage->map->ring_count;
	expect(rondo_squash(stage->channel, mark) == -EBUSY, 11, 0);
	if (stage->atomic)
		return;
	/* As if this thread had moved. */
	mark.ring = stage_cpus[1];
	mark.head = rondo_load_relaxed(
		&rondo_map_ring(stage->map, mark.ring)->head);
	mark.before = mark.head;
	expect(rondo_squash(stage->channel, mark) == -EXDEV, 11, 1);
}

static void align_wide(void)
{
	struct entry *entry = stage_entry(40);

	if (stage_reserved(entry,
			   rondo_reserve_aligned(stage->channel, stage->id, 40,
						 256, &entry->record)))
		commit_by_call(entry);
}

/* Its payload begins with a page: what is before is a long gap. */
static void align_to_page(void)
{
	struct entry *entry = stage_entry(40);

	if (stage_reserved(entry,
			   rondo_reserve_aligned(stage->channel, stage->id, 40,
						 4096, &entry->record)))
		commit_by_call(entry);
}

static void revoking(void)
{
	put(SMALL);
	set_mode(RONDO_HEAD_REVOKING);
}

static void revoking_with_open(void)
{
	two_open();
	set_mode(RONDO_HEAD_REVOKING);
}

static void revoking_with_committed(void)
{
	two_committed();
	set_mode(RONDO_HEAD_REVOKING);
}

static void revoked(void)
{
	put(SMALL);
	set_mode(RONDO_HEAD_ATOMIC);
}

static void revoked_at_the_end(void)
{
	leave_room(0);
	set_mode(RONDO_HEAD_ATOMIC);
}

static void commit_both(void)
{
	commit_one(early);
	commit_by_call(second);
}

static void revoked_with_open(void)
{
	two_open();
	set_mode(RONDO_HEAD_ATOMIC);
}

/* As a thread whose id has no ring. */
static void beyond_the_rings(void)
{
	stage_pin(1);
	stage->control->gate = stage_cpus[1];
	stage->channel->gate[RONDO_GATE] = stage_cpus[1];
}

static void among_the_rings(void)
{
	stage->control->gate = stage->map->ring_count - 1;
	stage->channel->gate[RONDO_GATE] = stage->control->gate;
	stage_pin(0);
}

/* As where the kernel or libc knows no sequences. */
static void without_ids(void)
{
	put(SMALL);
	stage->control->by_id = false;
}

static void with_ids(void)
{
	stage->control->by_id = true;
}

/* As one that the kernel has not registered: its struct rseq says so. */
static void unregistered(void)
{
	static __thread int32_t none[8] __attribute__((aligned(32)));
	struct rondo_offsets *at = &stage->channel->offsets;

	put(SMALL);
	offsets = *at;
	memset(none, 0xff, sizeof(none));
	at->rseq = (int32_t)((intptr_t)none - (intptr_t)rondo_thread_pointer());
	at->id = at->rseq + 4;
}

static void registered(void)
{
	stage->channel->offsets = offsets;
}

/* ... on a CPU that came later than the rings. */
static void beyond_without_ids(void)
{
	without_ids();
	beyond_the_rings();
}

static void among_with_ids(void)
{
	among_the_rings();
	with_ids();
}

/* ... and no vDSO either. */
static void without_any_cpu(void)
{
	without_ids();
	refuse.cpu = true;
}

static void with_cpus(void)
{
	refuse_nothing();
	with_ids();
}

static void all_without_ids(void)
{
	struct entry *entry;

	call_small();
	put_too_big();
	entry = open_one(SMALL);
	commit_one(entry);
	squash_one(entry);
	flush();
}

static void as_in_a_child(void)
{
	early = open_one(SMALL);
	second = open_one(SMALL);
	stage->control->forked = true;
}

/* Nothing is done there. */
static void end_in_a_child(void)
{
	struct rondo_consumer *none;
	struct rondo_record record = early->record;

	(void)rondo_discard(&record);
	record = early->record;
	(void)rondo_commit_len(&record, 8);
	record = early->record;
	(void)rondo_commit_call(stage->channel, record.data, record.head,
				record.ring_id, record.event_id);
	expect(rondo_squash(stage->channel, rondo_mark(&record)) == -ESHUTDOWN,
	       22, 0);
	expect(rondo_consumer_open(stage->channel, &none) == -ESHUTDOWN, 22, 1);
}

static void as_in_its_parent(void)
{
	stage->control->forked = false;
	commit_one(early);
	commit_one(second);
}

/* One that leads out of the channel, and says that its sub-buffer was left. */
static void commit_nonsense(void)
{
	static uint64_t elsewhere[4];
	const uint64_t order = stage->map->order;

	expect(rondo_commit_call(stage->channel, &elsewhere[2],
				 rondo_head_at((stage_number() - 1) << order,
					       0),
				 stage->index, stage->id) == 0,
	       23, 0);
}

static void gen_comes_round(void)
{
	two_committed();
	rondo_store_relaxed(&stage->ring->head, stage_head() | RONDO_GEN_MASK);
}

/* Of its own, while the other one is in use. */
static void another_channel(void)
{
	const struct rondo_config config = {
		.size = sizeof(config),
		.subbuf_bytes = 4096,
		.subbuf_count = 4,
		.rings = RONDO_RINGS_BY_CONCURRENCY,
	};
	struct rondo_channel *other;

	if (rondo_channel_create(&config, &other) == 0)
		expect(rondo_channel_destroy(other) == 0, 30, 0);
	if (rondo_channel_create(NULL, &other) == 0)
		expect(rondo_channel_destroy(other) == 0, 30, 1);
}

static void stopped(void)
{
	struct rondo_record record;
	char byte = 0;
	const struct iovec piece = {&byte, 1};

	rondo_channel_stop(stage->channel);
	expect(inlined_reserve(stage->channel, stage->id, 8, &record) ==
		       -ESHUTDOWN,
	       12, 0);
	expect(rondo_reserve(stage->channel, stage->id, 8, &record) ==
		       -ESHUTDOWN,
	       12, 1);
	expect(rondo_reserve_call(stage->channel, stage->id, 8, &record) ==
		       -ESHUTDOWN,
	       12, 2);
	expect(rondo_reserve_aligned(stage->channel, stage->id, 8, 8,
				     &record) == -ESHUTDOWN,
	       12, 3);
	expect(inlined_write(stage->channel, stage->id, &byte, 1) == -ESHUTDOWN,
	       12, 4);
	expect(inlined_writev(stage->channel, stage->id, &piece, 1) ==
		       -ESHUTDOWN,
	       12, 5);
	expect(rondo_write(stage->channel, stage->id, &byte, 1) == -ESHUTDOWN,
	       12, 6);
	expect(rondo_writev(stage->channel, stage->id, &piece, 1) == -ESHUTDOWN,
	       12, 7);
	rondo_channel_start(stage->channel);
}

/* ---- flushing ---- */

/* As if the process that records were gone. */
static void dead(void)
{
	put(SMALL);
	creator = stage->map->super->pid;
	stage->map->super->pid = 0;
}

static void alive(void)
{
	stage->map->super->pid = creator;
}

static void on_another_cpu(void)
{
	stage_pin(1);
	put(SMALL);
	stage_pin(0);
}

static void put_on_another_cpu(void)
{
	on_another_cpu();
	if (--cues == 0)
		spots_cue(NULL);
}

/* The other CPU records while it is being flushed. */
static void on_another_busy_cpu(void)
{
	on_another_cpu();
	cues = 4;
	spots_cue(put_on_another_cpu);
}

/* ... once, and then no more. */
static void on_another_pausing_cpu(void)
{
	on_another_busy_cpu();
	cues = 1;
}

/* ... and what it closes stays open. */
static void on_another_cpu_that_holds(void)
{
	stage_pin(1);
	open_early();
	stage_pin(0);
	on_another_busy_cpu();
}

static void commit_on_another_cpu(void)
{
	stage_pin(1);
	commit_one(held[--cues]);
	stage_pin(0);
	if (cues == 0)
		spots_cue(NULL);
}

/* It ends what is open, which needs no slow path. */
static void on_another_ending_cpu(void)
{
	stage_pin(1);
	hold(24, SMALL);
	stage_pin(0);
	cues = held_count;
	spots_cue(commit_on_another_cpu);
}

static void no_cue(void)
{
	spots_cue(NULL);
	commit_early();
}

static void no_cue_and_none_held(void)
{
	spots_cue(NULL);
	commit_held();
}

static void expect_no_flush(int error)
{
	int result = rondo_channel_flush(stage->reading);

	/* What handlers recorded on this CPU may be closed; of a parent's ring
	 * nothing is. */
	expect(result == error || result > 0 || stage->control->forked,
	       (uint64_t)-result, 24);
}

static void no_fence(void)
{
	on_another_cpu();
	refuse.fence = true;
}

static void flush_without_a_fence(void)
{
	expect_no_flush(-EPERM);
}

/* A process that may not go where the ring's sequences are, or has none. */
static void flush_from_afar(void)
{
	refuse.affinity = true;
	expect_no_flush(-EPERM);
	refuse_nothing();
	refuse.pin = true;
	expect_no_flush(-EINVAL);
	refuse_nothing();
	stage->reading->control->by_id = false;
	expect_no_flush(-EOPNOTSUPP);
	stage->reading->control->by_id = true;
}

static void asked(void)
{
	put(SMALL);
	rondo_store_relaxed(&stage->ring->hint, 0);
	rondo_store_relaxed(&stage->ring->asked, 1);
}

/* ---- consuming ---- */

static void one_to_take(void)
{
	deliver(1);
}

static void some_to_take(void)
{
	deliver(3);
	put(SMALL);
}

static void take_all(void)
{
	stage_take_all();
}

/* All others are delivered, and it is no longer waited for. */
static void stalled_behind(void)
{
	closed_early();
	deliver(2);
	stage_patience(0, 0);
}

static void stop_stalling(void)
{
	stage_patience(STAGE_PATIENT, 0);
	commit_early();
}

static void commit_and_take(void)
{
	stage_take_all();
	commit_early();
	stage_take_all();
}

/* A sleeper who is not there: what wakes it is called all the same. */
static void say_asleep(void)
{
	put(SMALL);
	rondo_store_relaxed(&stage->map->wait->sleeping, RONDO_SLEEP_FUTEX);
}

static void polled(void)
{
	put(SMALL);
	expect(rondo_consumer_arm(stage->consumer) == 0, 14, 0);
}

static void say_awake(void)
{
	rondo_store_relaxed(&stage->map->wait->sleeping, 0u);
}

static void wait_and_take(void)
{
	expect(rondo_consumer_wait(stage->consumer, 0) >= 0, 15, 0);
	expect(rondo_consumer_wait(stage->consumer, 1) >= 0, 15, 1);
	stage_take_all();
}

static void stopped_with_some(void)
{
	some_to_take();
	flush();
	rondo_channel_stop(stage->channel);
}

static void start(void)
{
	rondo_channel_start(stage->channel);
	/* It forgets that it has been told. */
	expect(rondo_consumer_wait(stage->consumer, 0) >= 0, 15, 4);
}

static void wait_when_over(void)
{
	expect(rondo_consumer_wait(stage->consumer, -1) == 1, 15, 2);
	stage_take_all();
	expect(rondo_consumer_wait(stage->consumer, -1) == 1, 15, 3);
	expect(rondo_consumer_wait(stage->consumer, 0) == 0, 15, 5);
}

static void take_to_keep(void)
{
	struct rondo_view *view = &loans[loan_count];

	if (rondo_consumer_take(stage->consumer, view))
		return;
	loan_count++;
	stage_read(view);
}

static void release_all(void)
{
	while (loan_count)
		expect(rondo_consumer_release(stage->consumer,
					      &loans[--loan_count]) == 0,
		       16, 1);
}

static void take_more_than_there_are(void)
{
	struct rondo_view view = {.ring = stage->map->ring_count};

	for (int i = 0; i < 4; i++)
		take_to_keep();
	expect(rondo_consumer_release(stage->consumer, &view) == -EINVAL, 16,
	       2);
	view.ring = 0;
	expect(rondo_consumer_release(stage->consumer, &view) == -EINVAL, 16,
	       3);
	release_all();
}

/* As if the cursor had been led on: what it has passed comes late. */
static void passed_by_the_cursor(void)
{
	deliver(3);
	rondo_consumer_close(stage->consumer);
	stage->ring->cursor += 2;
	expect(rondo_consumer_open(stage->reading, &stage->consumer) == 0, 16,
	       6);
}

/* A claim has not counted yet what it overwrote. */
static void not_counted_yet(void)
{
	some_to_take();
	rondo_add_relaxed(&stage->ring->aside[RONDO_COUNT_OVERWRITTEN],
			  UINT64_MAX);
}

static void counted(void)
{
	rondo_add_relaxed(&stage->ring->aside[RONDO_COUNT_OVERWRITTEN], 1);
}

static void two_stalled(void)
{
	closed_early();
	second = open_one(SMALL);
	expect(rondo_channel_flush(stage->channel) == 1, 16, 4);
	deliver(1);
	stage_patience(0, 0);
}

static void take_kept(void)
{
	take_more_than_there_are();
	take_all();
}

static void commit_two(void)
{
	stage_patience(STAGE_PATIENT, 0);
	commit_one(early);
	commit_one(second);
}

/* ---- memory that makes no sense ---- */

static uint64_t spoilt_slot, spoilt_word;

static void spoil_slot(uint64_t number)
{
	uint64_t *slot = rondo_map_slot(stage->map, stage->index, number);

	spoilt_slot = number;
	spoilt_word = *slot;
	*slot |= UINT64_C(0xffff) << RONDO_SLOT_PAGES_SHIFT;
}

static void mend_slot(void)
{
	*rondo_map_slot(stage->map, stage->index, spoilt_slot) = spoilt_word;
}

/* The slot that the next crossing wants. */
static void next_is_spoilt(void)
{
	leave_room(0);
	spoil_slot(stage_number() + 1);
}

/* The slot of the sub-buffer that is open. */
static void open_is_spoilt(void)
{
	put(SMALL);
	spoil_slot(stage_number());
}

/* The slot of one whose late commit is to come. */
static void closed_is_spoilt(void)
{
	closed_early();
	spoil_slot(stage_number() - 1);
}

/* It makes its sum 0 all the same: delivered by hand. */
static void deliver_by_hand(void)
{
	mend_slot();
	rondo_store_relaxed(rondo_map_slot(stage->map, stage->index,
					   spoilt_slot),
			    spoilt_word | (uint64_t)RONDO_SLOT_READABLE
						  << RONDO_SLOT_STATE_SHIFT);
	rondo_add_relaxed(&stage->ring->aside[RONDO_COUNT_DELIVERED], 1);
}

static void headers_are_spoilt(void)
{
	for (uint32_t i = 0; i < rondo_map_page_sets(stage->map); i++) {
		uint64_t slot = *rondo_map_slot(stage->map, stage->index, i);

		if (i < stage->map->count)
			memset(rondo_map_packet(stage->map, stage->index,
						rondo_slot_pages(slot)),
			       0xff, RONDO_PACKET_BYTES);
	}
}

static void flush_of_nonsense(void)
{
	expect(rondo_channel_flush(stage->channel) == -EPROTO, 24, 1);
}

/* As if a sequence in flight had stored over the mark, each time. */
static void store_over_the_mark(void)
{
	set_mode(RONDO_HEAD_RSEQ);
}

static void open_is_spoilt_and_busy(void)
{
	open_is_spoilt();
	refuse.at_fence = store_over_the_mark;
}

static void mend_and_refuse_nothing(void)
{
	refuse_nothing();
	mend_slot();
}

static uint64_t spoilt_slots[8];

/* Delivered, and nobody has got so far. */
static void one_to_come(void)
{
	uint64_t *slot;

	spoilt_slot = stage_number();
	slot = rondo_map_slot(stage->map, stage->index, spoilt_slot);
	spoilt_word = *slot;
	*slot = rondo_slot(rondo_slot_pages(*slot), RONDO_SLOT_READABLE,
			   rondo_slot_number(*slot) + 2 * stage->map->count);
	rondo_channel_stop(stage->channel);
}

static void take_when_over(void)
{
	expect(stage_take() == -ENODATA, 25, 0);
}

static void mend_and_start(void)
{
	mend_slot();
	start();
}

/* Each says a number of another slot. */
static void none_at_home(void)
{
	put(SMALL);
	for (uint32_t i = 0; i < stage->map->count; i++) {
		uint64_t *slot = rondo_map_slot(stage->map, stage->index, i);

		spoilt_slots[i] = *slot;
		*slot ^= 1;
	}
}

static void all_at_home(void)
{
	for (uint32_t i = 0; i < stage->map->count; i++)
		*rondo_map_slot(stage->map, stage->index, i) = spoilt_slots[i];
}

static struct rondo_packet *oldest_packet(void)
{
	uint64_t slot =
		*rondo_map_slot(stage->map, stage->index, stage_number() - 1);

	return rondo_map_packet(stage->map, stage->index,
				rondo_slot_pages(slot));
}

/* Its only record is none any more. */
static void without_anything(void)
{
	struct entry *entry = open_one(SMALL);

	commit_one(entry);
	flush();
	oldest_packet()->magic = 0;
	memset(oldest_packet() + 1, 0xff,
	       stage->map->subbuf_bytes - RONDO_PACKET_BYTES);
	stage->damaged = true;
	entry->outcome = LANE_SQUASHED;
}

static void with_a_time_to_come(void)
{
	deliver(1);
	oldest_packet()->timestamp_begin = UINT64_MAX / 2;
	oldest_packet()->magic = 0;
	stage->damaged = true;
}

static void without_a_header(void)
{
	deliver(1);
	oldest_packet()->magic = 0;
	stage->damaged = true;
}

static void without_a_time(void)
{
	deliver(1);
	oldest_packet()->timestamp_begin = 0;
	oldest_packet()->magic = 0;
	stage->damaged = true;
}

static void stalled_without_an_end(void)
{
	closed_early();
	oldest_packet()->content_bits = 1;
	deliver(1);
	stage_patience(0, 0);
	stage->damaged = true;
}

static void stalled_without_a_begin(void)
{
	closed_early();
	oldest_packet()->timestamp_begin = 0;
	oldest_packet()->magic = 0;
	deliver(1);
	stage_patience(0, 0);
	stage->damaged = true;
}

/* Nor a time: its begin is to come. */
static void stalled_in_time_to_come(void)
{
	closed_early();
	oldest_packet()->content_bits = 1;
	oldest_packet()->timestamp_begin = UINT64_MAX / 2;
	deliver(1);
	stage_patience(0, 0);
	stage->damaged = true;
}

static void stalled_without_anything(void)
{
	struct rondo_packet *packet;

	closed_early();
	packet = oldest_packet();
	packet->content_bits = 1;
	memset(packet + 1, 0xff, stage->map->subbuf_bytes - sizeof(*packet));
	stage_patience(0, 0);
	stage->damaged = true;
}

/* Its record is still open, in the memory that was scribbled over. */
static void discard_late(void)
{
	stage_patience(STAGE_PATIENT, 0);
	discard_one(early);
}

/* Between two of its records is more than one gap can tell. */
static void stalled_around_a_hole(void)
{
	struct entry *hole[2];

	open_early();
	for (int i = 0; i < 2; i++) {
		hole[i] = open_one(BIG - 300);
		commit_one(hole[i]);
	}
	put(SMALL);
	for (int i = 0; i < 2; i++) {
		memset((char *)hole[i]->record.data - stage->map->header_bytes,
		       0xff, hole[i]->bytes + stage->map->header_bytes);
		hole[i]->outcome = LANE_SQUASHED;
	}
	expect(rondo_channel_flush(stage->channel) == 1, 26, 0);
	deliver(1);
	stage_patience(0, 0);
	stage->damaged = true;
}

static uint64_t late_header;

static uint64_t *header_of(const struct entry *entry)
{
	return (uint64_t *)entry->record.data - stage->map->header_bytes / 8;
}

/* One whose header comes after the copy. */
static void stalled_with_a_late_header(void)
{
	two_open();
	commit_one(second);
	put(SMALL);
	late_header = *header_of(second);
	*header_of(second) = UINT64_MAX;
	expect(rondo_channel_flush(stage->channel) == 1, 26, 1);
	deliver(1);
	stage_patience(0, 0);
	stage->damaged = true;
}

static void take_before_the_header(void)
{
	stage_take_all();
	*header_of(second) = late_header;
	commit_early();
	stage_take_all();
}

/* Its end is spoilt between the copy and the last commit. */
static void take_and_spoil(void)
{
	stage_take_all();
	stage->damaged = true;
	rondo_map_packet(stage->map, early->record.ring_id, pages_of(early))
		->content_bits = 1;
	commit_early();
	stage_take_all();
}

static void take_without_memory(void)
{
	refuse.memory = 1;
	expect(stage_take() == -ENOMEM, 27, 0);
	refuse_nothing();
	stage_take_all();
}

/* Each of its allocations fails once. */
static void consumer_without_memory(void)
{
	uint32_t nth = 0;
	int result;

	rondo_consumer_close(stage->consumer);
	do {
		refuse.memory = ++nth;
		result = rondo_consumer_open(stage->reading, &stage->consumer);
	} while (result == -ENOMEM);
	refuse_nothing();
	expect(result == 0 && nth == 5, nth, 28);
}

/* A name of nobody, another one each time. */
static void write_another_name(void)
{
	stage->map->wait->consumer += (UINT64_C(1) << 63) + 1;
}

static void consumer_of_many_names(void)
{
	struct rondo_consumer *none;

	rondo_consumer_close(stage->consumer);
	refuse.at_lives = write_another_name;
	expect(rondo_consumer_open(stage->reading, &none) == -EPROTO, 28, 1);
	refuse_nothing();
	expect(rondo_consumer_open(stage->reading, &stage->consumer) == 0, 28,
	       2);
}

static void another_consumer(void)
{
	struct rondo_consumer *rival;

	expect(rondo_consumer_open(stage->reading, &rival) == -EBUSY, 17, 1);
	if (stage->kind == STAGE_ATTACHED)
		expect(rondo_consumer_open(stage->channel, &rival) == -EBUSY,
		       17, 2);
	rondo_consumer_close(NULL);
	rondo_consumer_close(stage->consumer);
	expect(rondo_consumer_open(stage->reading, &stage->consumer) == 0, 17,
	       0);
}

/* A slot that names no pages. */
static void consumer_of_damage(void)
{
	uint64_t *slot = rondo_map_slot(stage->map, stage->index, 0);
	const uint64_t before = *slot;
	struct rondo_consumer *none;

	rondo_consumer_close(stage->consumer);
	*slot |= UINT64_C(0xffff) << RONDO_SLOT_PAGES_SHIFT;
	expect(rondo_consumer_open(stage->reading, &none) == -EPROTO, 17, 3);
	*slot = before;
	expect(rondo_consumer_open(stage->reading, &stage->consumer) == 0, 17,
	       4);
}

static void take_of_a_ring(void)
{
	struct rondo_view view;

	(void)rondo_consumer_cursor(stage->consumer, stage->index);
	while (rondo_consumer_take_ring(stage->consumer, stage->index, &view) ==
	       0) {
		stage_read(&view);
		expect(rondo_consumer_release(stage->consumer, &view) == 0, 16,
		       5);
	}
}

static void quarantined(void)
{
	stalled_behind();
	stage_take_all();
}

/* It sleeps for so short that nobody needs to wake it. */
static void sleep_for_a_moment(void)
{
	expect(rondo_consumer_wait(stage->consumer, 1000) >= 0, 18, 0);
}

/* Each call to move them says this once: -EINTR is tried again. */
static void splice_with(const struct rondo_view *view, int to, uint32_t calls,
			int says)
{
	for (uint32_t nth = 1; nth <= calls; nth++) {
		int64_t result;

		refuse.splice = nth;
		refuse.splice_says = says;
		result = rondo_consumer_splice(stage->consumer, view, to);
		refuse_nothing();
		expect(says == -EINTR ? result == (int64_t)view->bytes :
					result == (says ? says : -EIO),
		       (uint64_t)-result, 29);
	}
}

/* To a file by way of a pipe, and to a pipe. */
static void splice_one(const struct rondo_view *view, int file,
		       const int pipe_of_ours[2])
{
	struct rondo_view nothing = *view;

	refuse.pipe = true;
	expect(rondo_consumer_splice(stage->consumer, view, file) == -EMFILE,
	       29, 1);
	refuse_nothing();
	splice_with(view, file, 2, -EINTR);
	splice_with(view, file, 2, -ENOSPC);
	splice_with(view, file, 2, 0);
	splice_with(view, file, 1, -EINTR);
	splice_with(view, pipe_of_ours[1], 1, -EINTR);
	splice_with(view, pipe_of_ours[1], 1, 0);
	nothing.bytes = 0;
	expect(rondo_consumer_splice(stage->consumer, &nothing,
				     pipe_of_ours[1]) == 0,
	       29, 5);
}

static void take_to_splice(void)
{
	struct rondo_view view;
	int file = memfd_create("spliced", MFD_CLOEXEC), ends[2];

	expect(rondo_consumer_take(stage->consumer, &view) == 0, 29, 4);
	stage_read(&view);
	if (file >= 0 && pipe(ends) == 0) {
		splice_one(&view, file, ends);
		close(ends[0]);
		close(ends[1]);
	}
	close(file);
	view.offset = UINT64_MAX;
	expect(rondo_consumer_splice(stage->consumer, &view, 0) == -EINVAL, 29,
	       2);
	rondo_consumer_close(stage->consumer);
	expect(rondo_consumer_open(stage->reading, &stage->consumer) == 0, 29,
	       3);
}

static void idle(void)
{
	put(SMALL);
	stage_patience(STAGE_PATIENT, 1);
}

static void patient(void)
{
	stage_patience(STAGE_PATIENT, 0);
}

static void wait_for_a_flush(void)
{
	expect(rondo_consumer_wait(stage->consumer, -1) >= 0, 18, 1);
}

static void be_woken(void)
{
	rondo_consumer_wake(stage->consumer);
	expect(rondo_consumer_wait(stage->consumer, -1) >= 0, 18, 2);
}

static void reopen(void)
{
	alive();
	rondo_consumer_close(stage->consumer);
	expect(rondo_consumer_open(stage->reading, &stage->consumer) == 0, 17,
	       5);
}

static void dead_and_empty(void)
{
	creator = stage->map->super->pid;
	stage->map->super->pid = 0;
}

static void behind_a_stalled_one(void)
{
	closed_early();
	deliver(1);
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void alarms(bool on)
{
	const struct sigaction action = {.sa_handler = on_alarm};
	const struct itimerval every = {{0, on ? 200 : 0}, {0, on ? 200 : 0}};

	if (on)
		sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

static void alarmed(void)
{
	alarms(true);
}

static void not_alarmed(void)
{
	alarms(false);
}

static void wait_for_an_alarm(void)
{
	int result = rondo_consumer_wait(stage->consumer, -1);

	expect(result >= 0 || result == -EINTR, (uint64_t)-result, 18);
}

static void without_a_descriptor(void)
{
	int fd = stage->control->event_fd;

	if (fd >= 0)
		close(fd);
	stage->control->event_fd = -1;
	some_to_take();
}

static void nothing_but_open(void)
{
	struct entry *entry = open_one(SMALL);

	commit_one(entry);
	squash_one(entry);
}

static void arm(void)
{
	int result = rondo_consumer_arm(stage->consumer);

	(void)rondo_consumer_fd(stage->consumer);
	expect(result == 0 || stage->kind == STAGE_ATTACHED, (uint64_t)-result,
	       19);
}

static void look_at_statistics(void)
{
	struct rondo_stats stats;
	uint64_t count, bytes;
	const char *why;

	expect(rondo_channel_stats(stage->channel, &stats) == 0, 20, 0);
	rondo_ring_counted(stage->ring, RONDO_COUNT_DELIVERED, &count, &bytes);
	(void)rondo_rings_ready(stage->map);
	(void)rondo_ring_check(stage->control, stage->index, &why);
}

static void peek(void)
{
	static char buffer[8192] __attribute__((aligned(8)));
	struct rondo_view view;
	int result = rondo_consumer_peek(stage->consumer, stage->index, buffer,
					 sizeof(buffer), &view);

	expect(result == 0 || result == -EAGAIN, (uint64_t)-result, 21);
	expect(rondo_consumer_peek(stage->consumer, stage->map->ring_count,
				   buffer, sizeof(buffer), &view) == -ENOENT,
	       21, 1);
	expect(rondo_consumer_peek(stage->consumer, stage->index, buffer, 8,
				   &view) == -EINVAL,
	       21, 2);
}

#define ON(kind) (1u << STAGE_##kind)
#define BOTH (ON(DISCARD) | ON(OVERWRITE))
#define ALL (BOTH | ON(FULL_HEADERS))
#define SOME ON(DISCARD)
#define READ (ALL | ON(ATTACHED))

const struct scenario scenarios[] = {
	{"a record that fits", ALL | ON(CONCURRENCY), put_small, put_odd, NULL,
	 KEEPS_ROOM},
	{"the same by the calls", ALL, put_small, call_small, NULL, KEEPS_ROOM},
	{"the same by what is exported", ALL, put_small, exported_small, NULL,
	 0},
	{"writes", ON(DISCARD) | ON(FULL_HEADERS), put_small, write_all, NULL,
	 0},
	{"a record that opens", ALL, play_nothing, put_odd, NULL, KEEPS_ROOM},
	{"a record that crosses", ALL, at_the_end, put_odd, NULL, KEEPS_ROOM},
	{"a record that crosses, with one open", ALL, early_at_the_end,
	 call_small, commit_early, KEEPS_ROOM},
	{"a late commit", ALL, closed_early, commit_early, NULL, KEEPS_ROOM},
	{"a full ring", ALL, full_and_closed, put_small, NULL, 0},
	{"a full ring, one open", ALL, full_and_open, put_small, NULL, 0},
	{"a full ring, by the call", ALL, full_and_open, call_small, NULL, 0},
	{"stalled everywhere", ALL, all_stalled, put_small, commit_held,
	 ALL_STALLED},
	{"a stalled slot", ON(OVERWRITE), next_is_stalled, put_small,
	 commit_early, 0},
	{"as many open as can be told", BOTH, many_open, put_small,
	 discard_held, 0},
	{"too big", ALL, play_nothing, put_too_big, NULL, 0},
	{"neither class nor alignment", ALL, play_nothing,
	 refused_for_other_reasons, NULL, 0},
	{"stopped", ALL, play_nothing, stopped, NULL, 0},
	{"another channel", SOME, put_small, another_channel, NULL,
	 SLOW | BY_HAND},
	{"times that cannot be told", BOTH, time_ran_out, put_small, NULL, 0},
	{"times that cannot be told, by the call", BOTH, time_ran_out,
	 call_small, NULL, 0},
	{"aligned", ALL, put_small, align_wide, NULL, 0},
	{"aligned, behind a long gap", ON(LARGE), put_small, align_to_page,
	 NULL, KEEPS_ROOM},
	{"aligned, by crossing to a long gap", ON(LARGE), at_the_end,
	 align_to_page, NULL, KEEPS_ROOM},
	{"discards, in order", ALL, two_open, discard_both, NULL, KEEPS_ROOM},
	{"discards, the last first", ALL, two_open, discard_last_first, NULL,
	 KEEPS_ROOM},
	{"discards of nothing", ALL, two_empty_open, discard_both, NULL, 0},
	{"shrinks, in order", ALL, two_wide_open, shrink_both, NULL,
	 KEEPS_ROOM},
	{"shrinks, the last first", ALL, two_wide_open, shrink_last_first, NULL,
	 KEEPS_ROOM},
	{"shrinks to what it is", ALL, two_wide_open, shrink_not_at_all, NULL,
	 0},
	{"squashes", ALL, two_committed, squash_both, NULL, KEEPS_ROOM},
	{"a squash of what is not the last", ALL, two_committed,
	 squash_the_first, NULL, 0},
	{"a squash of what was left", ALL, committed_and_left, squash_both,
	 NULL, 0},
	{"a thread without a ring", ALL, beyond_the_rings, put_small,
	 among_the_rings, 0},
	{"a thread that is not registered", ALL, unregistered, all_without_ids,
	 registered, NO_FLUSH},
	{"threads without ids", ALL, without_ids, all_without_ids, with_ids,
	 NO_FLUSH | BY_HAND},
	{"a thread without ids or a ring", SOME, beyond_without_ids, call_small,
	 among_with_ids, NO_FLUSH | BY_HAND | IN_ATOMIC},
	{"threads that cannot ask", ALL, without_any_cpu, all_without_ids,
	 with_cpus, NO_FLUSH | BY_HAND | IN_ATOMIC},
	{"a handle without sense", ALL, put_small, commit_nonsense, NULL, 0},
	{"a child's ends", ALL, as_in_a_child, end_in_a_child, as_in_its_parent,
	 NO_RECORD},
	{"squashes when gen comes round", ALL, gen_comes_round, squash_both,
	 NULL, 0},
	{"writes to a full ring", ON(DISCARD) | ON(FULL_HEADERS),
	 full_and_closed, write_all, NULL, 0},
	{"empty writes to a full ring", ON(DISCARD) | ON(FULL_HEADERS),
	 full_and_closed, write_nothing, NULL, BY_HAND},
	{"writes of a thread without a ring", ON(DISCARD), beyond_the_rings,
	 write_all, among_the_rings, 0},
	{"a slot without sense", ALL, next_is_spoilt, put_small, mend_slot,
	 NO_FLUSH | BY_HAND},
	{"a slot without sense, where it is", ALL, open_is_spoilt, call_small,
	 mend_slot, NO_FLUSH | ALL_STALLED | BY_HAND},
	{"a slot without sense, that nobody can revoke", ALL,
	 open_is_spoilt_and_busy, call_small, mend_and_refuse_nothing,
	 NO_FLUSH | ALL_STALLED | BY_HAND | IN_RSEQ},
	{"a slot without sense, to be delivered", SOME, closed_is_spoilt,
	 commit_early, deliver_by_hand, NO_RECORD | BY_HAND},
	{"pages without sense", ALL, headers_are_spoilt, put_small, NULL, 0},
	{"a squash elsewhere", ALL, put_small, squash_elsewhere, NULL, 0},
	{"a record that finds it being revoked", ALL, revoking, put_small, NULL,
	 IN_RSEQ},
	{"a commit that finds it being revoked", ALL, revoking_with_open,
	 commit_both, NULL, IN_RSEQ},
	{"a squash that finds it being revoked", ALL, revoking_with_committed,
	 squash_both, NULL, IN_RSEQ},
	{"a record that finds it revoked", ALL, revoked, put_small, NULL,
	 IN_RSEQ},
	{"a record that ends revocation", ALL, revoked_at_the_end, put_small,
	 NULL, IN_RSEQ},
	{"a commit that finds it revoked", ALL, revoked_with_open, commit_both,
	 NULL, IN_RSEQ},
	{"a flush", READ | ON(CONCURRENCY) | ON(FOREIGN), put_small, flush,
	 NULL, NO_FLUSH},
	{"a flush with one open", READ, two_open, flush, commit_both, NO_FLUSH},
	{"a flush of what may be taken back", READ, open_early, flush,
	 commit_early, NO_FLUSH | TAKES_BACK},
	{"a flush without a fence", BOTH, no_fence, flush_without_a_fence,
	 refuse_nothing, NO_FLUSH | IN_RSEQ},
	{"a flush from afar", ON(ATTACHED), put_small, flush_from_afar, NULL,
	 NO_FLUSH | IN_RSEQ},
	{"a flush of a slot without sense", SOME, open_is_spoilt,
	 flush_of_nonsense, mend_slot, NO_RECORD | BY_HAND | SLOW},
	{"a flush that finds it revoked", ALL, revoked, flush, NULL,
	 NO_FLUSH | IN_RSEQ},
	{"a flush that finds it being revoked", ALL, revoking, flush, NULL,
	 NO_FLUSH | IN_RSEQ},
	{"a flush from another CPU", BOTH | ON(ATTACHED), on_another_cpu, flush,
	 NULL, NO_FLUSH},
	{"a flush that asks", SOME, on_another_busy_cpu, flush, no_cue,
	 NO_FLUSH | IN_RSEQ | SLOW},
	{"a flush that asks in vain", SOME, on_another_pausing_cpu, flush,
	 no_cue, NO_FLUSH | IN_RSEQ | SLOW},
	{"a flush that asks who only ends", SOME, on_another_ending_cpu, flush,
	 no_cue_and_none_held, NO_FLUSH | IN_RSEQ | SLOW},
	{"a flush that asks, with one open", SOME, on_another_cpu_that_holds,
	 flush, no_cue, NO_FLUSH | IN_RSEQ | SLOW},
	{"a record that is asked", ALL, asked, put_small, NULL, 0},
	{"a flush of the dead", ON(ATTACHED), dead, flush, alive, NO_RECORD},
	{"a take", READ, one_to_take, take_all, NULL, IN_CONSUMER},
	{"takes", ALL, some_to_take, take_all, NULL, IN_CONSUMER},
	{"takes of what a dead one left", ON(ATTACHED), dead, take_all, alive,
	 NO_RECORD},
	{"more takes than spares", ALL, some_to_take, take_more_than_there_are,
	 NULL, IN_CONSUMER},
	{"takes of the last", SOME, stopped_with_some, take_all, start,
	 IN_CONSUMER},
	{"takes of one ring", ALL, some_to_take, take_of_a_ring, NULL,
	 IN_CONSUMER},
	{"a consumer of damage", SOME, some_to_take, consumer_of_damage, NULL,
	 NO_RECORD | BY_HAND},
	{"a consumer without memory", SOME, some_to_take,
	 consumer_without_memory, NULL, NO_RECORD | BY_HAND},
	{"a consumer of many names", SOME, some_to_take, consumer_of_many_names,
	 NULL, NO_RECORD | BY_HAND | SLOW},
	{"another consumer", BOTH | ON(ATTACHED), some_to_take,
	 another_consumer, NULL, IN_CONSUMER},
	{"splices", SOME, some_to_take, take_to_splice, NULL,
	 IN_CONSUMER | BY_HAND},
	{"another consumer of what was quarantined", BOTH, quarantined,
	 another_consumer, stop_stalling, IN_CONSUMER},
	{"two quarantines", ALL, two_stalled, take_kept, commit_two,
	 IN_CONSUMER},
	{"takes of what the cursor has passed", ALL, passed_by_the_cursor,
	 take_all, NULL, IN_CONSUMER | BY_HAND},
	{"takes before what was overwritten is counted", ON(OVERWRITE),
	 not_counted_yet, take_all, counted, NO_RECORD | BY_HAND},
	{"takes of what is over, beside one to come", SOME, one_to_come,
	 take_when_over, mend_and_start, NO_RECORD | BY_HAND},
	{"takes where no slot is at home", SOME, none_at_home, take_all,
	 all_at_home, NO_RECORD | BY_HAND},
	{"a take of what has no header", ALL, without_a_header, take_all, NULL,
	 IN_CONSUMER},
	{"a take of what has no time", ALL, without_a_time, take_all, NULL,
	 IN_CONSUMER},
	{"a take of what has a time to come", ALL, with_a_time_to_come,
	 take_all, NULL, IN_CONSUMER},
	{"a take of what has nothing", ALL, without_anything, take_all, NULL,
	 IN_CONSUMER},
	{"takes beside a slot without sense", SOME, open_is_spoilt, take_all,
	 mend_slot, NO_RECORD | BY_HAND},
	{"a peek at a slot without sense", SOME, open_is_spoilt, peek,
	 mend_slot, NO_RECORD | BY_HAND},
	{"a peek at nothing", SOME, play_nothing, peek, NULL, IN_CONSUMER},
	{"a peek at what is empty", SOME, nothing_but_open, peek, NULL,
	 IN_CONSUMER},
	{"takes of what a dead one did not leave", ON(ATTACHED), dead_and_empty,
	 take_all, reopen, NO_RECORD | SLOW},
	{"a quarantine of what has no end", ALL, stalled_without_an_end,
	 take_all, stop_stalling, IN_CONSUMER},
	{"a quarantine of what has no begin", ALL, stalled_without_a_begin,
	 take_all, stop_stalling, IN_CONSUMER},
	{"a quarantine of what has a time to come", ALL,
	 stalled_in_time_to_come, take_all, discard_late, IN_CONSUMER},
	{"a quarantine of what has nothing", ALL, stalled_without_anything,
	 take_all, discard_late, NO_RECORD | BY_HAND},
	{"a quarantine around a hole", ALL, stalled_around_a_hole, take_all,
	 stop_stalling, IN_CONSUMER},
	{"a quarantine before a header", ALL, stalled_with_a_late_header,
	 take_before_the_header, stop_stalling, IN_CONSUMER | BY_HAND},
	{"a quarantine whose end is spoilt", ALL, stalled_behind,
	 take_and_spoil, stop_stalling, IN_CONSUMER | BY_HAND},
	{"a quarantine without memory", ALL, stalled_behind,
	 take_without_memory, stop_stalling, IN_CONSUMER | BY_HAND},
	{"statistics", SOME, some_to_take, look_at_statistics, NULL, 0},
	{"takes behind a stalled one", SOME, behind_a_stalled_one, take_all,
	 commit_early, IN_CONSUMER},
	{"a quarantine", ALL, stalled_behind, take_all, stop_stalling,
	 IN_CONSUMER | MAY_END},
	{"a quarantine that ends", ALL, stalled_behind, commit_and_take,
	 stop_stalling, IN_CONSUMER},
	{"a peek", ALL, two_open, peek, commit_both, IN_CONSUMER | MAY_END},
	{"a wait", READ, some_to_take, wait_and_take, NULL, IN_CONSUMER},
	{"a wait that sleeps", SOME | ON(ATTACHED), put_small,
	 sleep_for_a_moment, NULL, IN_CONSUMER | SLOW},
	{"a wait behind a stalled one", SOME | ON(ATTACHED),
	 behind_a_stalled_one, sleep_for_a_moment, commit_early,
	 IN_CONSUMER | SLOW},
	{"a wait for a dead one", ON(ATTACHED), dead_and_empty,
	 sleep_for_a_moment, reopen, NO_RECORD | SLOW},
	{"a wait that a signal ends", SOME | ON(ATTACHED), alarmed,
	 wait_for_an_alarm, not_alarmed, IN_CONSUMER | SLOW | BY_HAND},
	{"arming with nothing there", SOME, put_small, arm, say_awake,
	 IN_CONSUMER},
	{"arming for the first time", SOME, without_a_descriptor, arm,
	 say_awake, IN_CONSUMER},
	{"a wait that flushes", SOME | ON(ATTACHED), idle, wait_for_a_flush,
	 patient, IN_CONSUMER | SLOW},
	{"a wait that is woken", SOME, put_small, be_woken, NULL, IN_CONSUMER},
	{"a wait when it is over", SOME, stopped_with_some, wait_when_over,
	 start, IN_CONSUMER},
	{"arming", SOME | ON(ATTACHED), some_to_take, arm, say_awake,
	 IN_CONSUMER},
	{"a delivery that wakes", ALL, say_asleep, flush, say_awake, NO_FLUSH},
	{"a delivery that is polled for", ALL, polled, flush, say_awake,
	 NO_FLUSH},
};

const uint32_t scenario_count = TEST_COUNT(scenarios);

bool scenario_plays(const struct scenario *scenario)
{
	return (scenario->stages >> stage->kind & 1) &&
	       !(scenario->flags & (stage->atomic ? IN_RSEQ : IN_ATOMIC));
}

bool scenario_swaps(const struct scenario *scenario)
{
	return stage->atomic ||
	       (scenario->flags & (IN_RSEQ | NO_FLUSH | SLOW)) != 0;
}

/* ---- what handlers do ---- */

static void act_cross(void)
{
	put(BIG);
}

static void act_discard(void)
{
	discard_one(open_one(SMALL));
}

static void act_stop(void)
{
	rondo_channel_stop(stage->channel);
}

static void act_shrink(void)
{
	shrink_one(open_one(64), 33);
}

static void act_squash(void)
{
	struct entry *entry = open_one(SMALL);

	commit_one(entry);
	squash_one(entry);
}

static void act_take_back(void)
{
	discard_one(early);
}

static void act_fill(void)
{
	const uint64_t number = stage_number();

	for (int i = 0; i < 8 && stage_number() == number; i++)
		put(BIG);
	put(SMALL);
}

const struct action actions[ACTIONS] = {
	[ACTION_NOTHING] = {"nothing", play_nothing, 0, 0, false},
	[ACTION_RECORD] = {"record", put_odd, 0, 0, false},
	[ACTION_CROSS] = {"cross", act_cross, 0, 0, true},
	[ACTION_DISCARD] = {"discard", act_discard, 0, 0, true},
	[ACTION_SHRINK] = {"shrink", act_shrink, 0, 0, true},
	[ACTION_SQUASH] = {"squash", act_squash, 0, 0, true},
	[ACTION_FILL] = {"fill", act_fill, 0, 0, false},
	[ACTION_FLUSH] = {"flush", flush, 0, NO_FLUSH, false},
	[ACTION_STOP] = {"stop", act_stop, KEEPS_ROOM, 0, false},
	[ACTION_TAKE_BACK] = {"take back", act_take_back, TAKES_BACK, 0, false},
	[ACTION_END] = {"end what is open", commit_both, MAY_END, 0, false},
};
