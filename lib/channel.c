/* SPDX-License-Identifier: MIT */
/*
 * Channels: memory, rings, handle and the mode they record in, put together
 * and taken apart; the gate; sums over rings.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rondo/channel.h>
#include <rondo/detail/sequence.h>

#include "channel.h"
#include "clock.h"
#include "config.h"
#include "control.h"
#include "memory.h"
#include "os.h"
#include "registry.h"
#include "ring.h"
#include "self_test.h"

/* ---- the handle ---- */

/* No record header of this channel is written by the inlined code: span 0. */
static uint64_t handle_span(const struct rondo_control *control)
{
	if (control->reason != RONDO_MODE_RSEQ || control->attached ||
	    control->map.header_bytes != 8 || !control->clock_in_sequence)
		return 0;
	return (control->map.subbuf_bytes - RONDO_TAIL_BYTES)
	       << RONDO_POSITION_SHIFT;
}

/*
 * Inlined code loads the id before it looks at anything else, so its offset
 * must lead somewhere in every thread: into the area that libc reserves, which
 * says "none" where the kernel did not register it, or, where libc knows
 * nothing of rseq, to the thread pointer, whose word means nothing. There span
 * is 0 and the library picks the ring.
 */
static void handle_fill(struct rondo_control *control,
			const struct rondo_os_rseq *rseq)
{
	struct rondo_channel *handle = control->handle;
	const struct rondo_map *map = &control->map;
	bool by_cid = map->rings_by == RONDO_RINGS_BY_CONCURRENCY;

	handle->magic = RONDO_MAGIC;
	handle->layout = RONDO_LAYOUT;
	handle->rings = map->rings;
	handle->pages = map->pages;
	handle->span = handle_span(control);
	handle->mask = (uint32_t)(map->subbuf_bytes - 1);
	handle->order = map->order;
	handle->record_max = map->record_max;
	handle->control = control;
	handle->slot_mask = map->count - 1;
	if (map->tables_stride == UINT64_C(1) << RONDO_RING_SHIFT &&
	    !(map->flags & RONDO_OVERWRITE))
		handle->slots_offset =
			(uint32_t)(map->tables + map->slots_offset -
				   map->rings);
	if (!rseq->offset)
		return;
	handle->offsets.rseq = (int32_t)rseq->offset;
	handle->offsets.id =
		handle->offsets.rseq + (by_cid && rseq->concurrency_ids ?
						RONDO_RSEQ_MM_CID :
						RONDO_RSEQ_CPU_ID);
}

/* A page of its own, empty in every child of fork. Where the kernel cannot do
 * that the fork handler does. */
static int handle_create(struct rondo_control *control,
			 const struct rondo_os_rseq *rseq)
{
	void *page;
	int result = rondo_os_map_anonymous(rondo_os_page_bytes(), &page);

	if (result)
		return result;
	(void)rondo_os_wipe_on_fork(page, rondo_os_page_bytes());
	control->handle = page;
	handle_fill(control, rseq);
	/* No gate, no class, no room: but a reserve or commit that a handler
	 * interrupted, which forked, goes on in the child as well. */
	control->inherited = *control->handle;
	control->inherited.span = 0;
	return 0;
}

static void set_gate(struct rondo_control *control, bool open)
{
	rondo_store_relaxed(&control->running, open ? 1 : 0);
	rondo_store_relaxed(&control->handle->gate[RONDO_GATE],
			    open ? control->gate : 0);
}

/* The handle's own word, or, in a child where it was wiped, the registry. */
static struct rondo_control *control_of(const struct rondo_channel *channel)
{
	struct rondo_control *control = channel->control;

	return control ? control : rondo_registry_find(channel);
}

/* ---- creation ---- */

static uint32_t decide_mode(const struct rondo_config *config,
			    const struct rondo_os_rseq *rseq)
{
	if (config->flags & RONDO_NO_RSEQ)
		return RONDO_MODE_ASKED;
	if (rondo_os_environment_is("RONDO_RSEQ", "0"))
		return RONDO_MODE_ENVIRONMENT;
	if (!RONDO_HAVE_RSEQ)
		return RONDO_MODE_NOT_BUILT;
	if (!rseq->registered)
		return RONDO_MODE_UNREGISTERED;
	if (rondo_os_fence_register())
		return RONDO_MODE_NO_MEMBARRIER;
	return rondo_self_test();
}

/* What is in force here, in place of what was asked for. */
static void settle(struct rondo_config *config,
		   const struct rondo_os_rseq *rseq)
{
	config->clock = rondo_clock_choose(config->clock);
	if (!rseq->concurrency_ids)
		config->rings = RONDO_RINGS_BY_CPU;
}

static void control_fill(struct rondo_control *control)
{
	control->gate = control->map.ring_count - 1;
	control->clock_in_sequence =
		rondo_clock_in_sequence(control->map.clock);
	control->quick = control->clock_in_sequence &&
			 control->map.header_bytes == 8;
	control->event_fd = -1;
}

/* Memory is there: the rest. On failure the memory still is. */
static int build(struct rondo_control *control,
		 const struct rondo_os_rseq *rseq)
{
	int result;

	control_fill(control);
	for (uint32_t i = 0; !control->attached && i < control->map.ring_count;
	     i++)
		rondo_ring_init(control, i);
	result = handle_create(control, rseq);
	if (result)
		return result;
	result = rondo_registry_add(control);
	if (result)
		rondo_os_unmap(control->handle, rondo_os_page_bytes());
	return result;
}

static int create(struct rondo_config *config, struct rondo_control *control)
{
	struct rondo_os_rseq rseq;
	int result;

	rondo_os_rseq(&rseq);
	settle(config, &rseq);
	control->reason = decide_mode(config, &rseq);
	control->by_id = rseq.registered;
	result = rondo_memory_create(config, control);
	if (result)
		return result;
	result = build(control, &rseq);
	if (result) {
		rondo_memory_destroy(control, false);
		return result;
	}
	rondo_memory_publish(control);
	set_gate(control, true);
	return 0;
}

int rondo_channel_create(const struct rondo_config *config,
			 struct rondo_channel **out)
{
	struct rondo_config complete;
	struct rondo_control *control;
	int result = rondo_config_complete(config, &complete, NULL);

	if (result)
		return result;
	control = calloc(1, sizeof(*control));
	if (!control)
		return -ENOMEM;
	result = create(&complete, control);
	if (result) {
		free(control);
		return result;
	}
	*out = control->handle;
	return 0;
}

/* ---- attaching ---- */

/* Takes fd in any case. */
static int attach(int fd, bool as_copy, struct rondo_channel **out)
{
	struct rondo_control *control = calloc(1, sizeof(*control));
	struct rondo_os_rseq rseq;
	int result = control ? rondo_memory_attach(fd, as_copy, control) :
			       -ENOMEM;

	if (result) {
		rondo_os_close(fd);
		free(control);
		return result;
	}
	control->attached = true;
	rondo_os_rseq(&rseq);
	control->by_id = rseq.registered;
	result = build(control, &rseq);
	if (result) {
		rondo_memory_destroy(control, true);
		free(control);
		return result;
	}
	*out = control->handle;
	return 0;
}

int rondo_channel_attach(int fd, struct rondo_channel **out)
{
	int own = rondo_os_duplicate(fd);

	return own < 0 ? own : attach(own, false, out);
}

int rondo_channel_attach_copy(int fd, struct rondo_channel **out)
{
	int own = rondo_os_duplicate(fd);

	return own < 0 ? own : attach(own, true, out);
}

int rondo_channel_attach_path(const char *path, struct rondo_channel **out)
{
	int fd = rondo_os_open_existing(path);

	return fd < 0 ? fd : attach(fd, false, out);
}

/* ---- the end ---- */

int rondo_channel_destroy(struct rondo_channel *channel)
{
	struct rondo_control *control;

	if (!channel)
		return 0;
	control = rondo_registry_find(channel);
	if (!control)
		return -EINVAL;
	/* A child's consumer is its parent's. */
	if (rondo_load_relaxed(&control->consumer_open) &&
	    !rondo_registry_is_inherited(control))
		return -EBUSY;
	set_gate(control, false);
	/* Not before: a producer may have been about to write to it. */
	if (control->event_fd >= 0)
		rondo_os_close(control->event_fd);
	rondo_registry_remove(control);
	rondo_memory_destroy(control, true);
	rondo_os_unmap(control->handle, rondo_os_page_bytes());
	free(control);
	return 0;
}

/* ---- what it is and does ---- */

int rondo_channel_fd(const struct rondo_channel *channel)
{
	const struct rondo_control *control = control_of(channel);

	return control ? control->fd : -EINVAL;
}

int rondo_channel_config(const struct rondo_channel *channel,
			 struct rondo_config *out)
{
	const struct rondo_control *control = control_of(channel);
	struct rondo_config config = {.size = out->size};
	const struct rondo_map *map;
	uint32_t size = out->size;

	if (!control || size < offsetof(struct rondo_config, subbuf_count) ||
	    (size < sizeof(config) && size % 8))
		return -EINVAL;
	map = &control->map;
	config.flags = map->flags;
	config.subbuf_bytes = map->subbuf_bytes;
	config.subbuf_count = map->count;
	config.spare_count = map->spares;
	config.record_max = map->record_max;
	config.rings = map->rings_by;
	config.clock = map->clock;
	config.flush_ms = map->flush_ms;
	config.wake_subbufs = map->wake_subbufs;
	config.stall_ms = map->stall_ms;
	config.name = control->name;
	config.path = control->path;
	memset(out, 0, size);
	memcpy(out, &config, size < sizeof(config) ? size : sizeof(config));
	return 0;
}

static void add_stats(const struct rondo_stats *ring, struct rondo_stats *sum)
{
	for (int i = 0; i < (int)RONDO_CAUSES; i++) {
		sum->refused_records[i] += ring->refused_records[i];
		sum->refused_bytes[i] += ring->refused_bytes[i];
	}
	sum->discarded += ring->discarded;
	sum->squashed += ring->squashed;
	sum->overwritten += ring->overwritten;
	sum->overwritten_bytes += ring->overwritten_bytes;
	sum->delivered += ring->delivered;
	sum->passed_over += ring->passed_over;
	sum->flushes += ring->flushes;
	sum->aborts += ring->aborts;
	sum->late_commits += ring->late_commits;
	sum->revocations += ring->revocations;
	sum->taken += ring->taken;
	sum->quarantined += ring->quarantined;
	sum->abandoned += ring->abandoned;
	sum->open_bytes += ring->open_bytes;
}

int rondo_channel_stats(const struct rondo_channel *channel,
			struct rondo_stats *out)
{
	const struct rondo_control *control = control_of(channel);
	struct rondo_stats sum, ring;

	if (!control)
		return -EINVAL;
	memset(&sum, 0, sizeof(sum));
	for (uint32_t i = 0; i < control->map.ring_count; i++) {
		memset(&ring, 0, sizeof(ring));
		rondo_ring_read_stats(control, i, &ring);
		add_stats(&ring, &sum);
	}
	sum.rings = control->map.ring_count;
	sum.granted = control->granted;
	sum.mode = control->reason == RONDO_MODE_RSEQ ? RONDO_HEAD_RSEQ :
							RONDO_HEAD_ATOMIC;
	sum.reason = control->reason;
	*out = sum;
	return 0;
}

int rondo_ring_stats(const struct rondo_channel *channel, uint32_t ring,
		     struct rondo_stats *out)
{
	const struct rondo_control *control = control_of(channel);
	struct rondo_stats stats;

	if (!control || ring >= control->map.ring_count)
		return -ENOENT;
	memset(&stats, 0, sizeof(stats));
	rondo_ring_read_stats(control, ring, &stats);
	stats.rings = 1;
	stats.granted = control->granted;
	*out = stats;
	return 0;
}

int rondo_channel_start(struct rondo_channel *channel)
{
	struct rondo_control *control = control_of(channel);

	if (!control || control->attached ||
	    rondo_registry_is_inherited(control))
		return -ESHUTDOWN;
	set_gate(control, true);
	return 0;
}

/* Whoever sleeps learns that nothing more will come. */
static void wake_sleeper(const struct rondo_control *control)
{
	struct rondo_wait *wait = control->map.wait;

	/* pairs(asleep) full: the gate is shut, before the look at who sleeps;
	 * who is about to sleep looks at the gate after it has said so. */
	rondo_fence();
	if (!(rondo_load_relaxed(&wait->sleeping) & RONDO_SLEEP_FUTEX))
		return;
	rondo_add_relaxed(&wait->generation, 1);
	(void)rondo_os_futex_wake(&wait->generation, 1);
}

int rondo_channel_stop(struct rondo_channel *channel)
{
	struct rondo_control *control = control_of(channel);

	if (control) {
		set_gate(control, false);
		wake_sleeper(control);
	}
	return 0;
}

int rondo_channel_flush(struct rondo_channel *channel)
{
	struct rondo_control *control = control_of(channel);
	int closed = 0, failed = 0;

	/* A child of fork holds a copy: there is nobody to deliver it to. */
	if (!control || rondo_registry_is_inherited(control))
		return 0;
	for (uint32_t i = 0; i < control->map.ring_count; i++) {
		int result = rondo_ring_flush(control, i);

		if (result < 0)
			failed = result;
		else
			closed += result;
	}
	return failed && !closed ? failed : closed;
}
