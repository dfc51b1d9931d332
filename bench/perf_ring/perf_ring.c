/* SPDX-License-Identifier: MIT */
/*
 * Life of the perf-style buffers, and what all variants do out of line.
 */
#include "perf_ring.h"

#include <sys/mman.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#define HAVE_RSEQ_OFFSET 1
#endif
#endif

#define PAGE_BYTES UINT64_C(4096)

#ifdef PERF_RING_TESTPOINTS
void (*perf_point_hook)(enum perf_point at);
#endif

/* ---- writing ---- */

static void put_at(const struct perf_ring *ring, uint64_t at, const char *from,
		   uint64_t bytes)
{
	const uint64_t offset = at & ring->mask;
	const uint64_t room = ring->mask + 1 - offset;
	const uint64_t first = bytes < room ? bytes : room;

	memcpy(ring->data + offset, from, first);
	memcpy(ring->data, from + first, bytes - first);
}

void perf_put_wrapped(struct perf_handle *handle, const void *from,
		      uint64_t bytes)
{
	put_at(handle->ring, handle->at, from, bytes);
}

void perf_put_sample_wrapped(struct perf_handle *handle,
			     const struct perf_sample *sample,
			     const void *payload, uint32_t bytes)
{
	static const char zeros[8];

	put_at(handle->ring, handle->at, (const char *)sample, sizeof(*sample));
	put_at(handle->ring, handle->at + sizeof(*sample), payload, bytes);
	put_at(handle->ring, handle->at + sizeof(*sample) + bytes, zeros,
	       -bytes & 7);
}

void perf_put_lost(struct perf_handle *handle)
{
	struct perf_lost lost = {
		.header = {.type = PERF_TYPE_LOST, .size = sizeof(lost)},
	};

	PERF_POINT(PERF_AT_LOST_SEEN);
	/* A writer in between may have reported them: then there are none. */
	lost.lost = rondo_exchange(&handle->ring->lost, UINT64_C(0));
	rondo_add_relaxed(&handle->ring->lost_records, UINT64_C(1));
	perf_put(handle, &lost, sizeof(lost));
}

int perf_plain_refuse(struct perf_handle *handle)
{
	PERF_POINT(PERF_AT_REFUSE);
	perf_local_add(&handle->ring->lost, 1);
	perf_plain_end(handle);
	return -ENOSPC;
}

int perf_locked_refuse(struct perf_handle *handle)
{
	PERF_POINT(PERF_AT_REFUSE);
	rondo_add_relaxed(&handle->ring->lost, UINT64_C(1));
	perf_locked_end(handle);
	return -ENOSPC;
}

void perf_wake_once(struct perf_ring *ring, uint64_t moved)
{
	uint64_t at = rondo_load_relaxed(&ring->wake_at);

	while ((int64_t)(moved - at) > 0) {
		uint64_t steps = (moved - at - 1) / ring->watermark + 1;

		if (rondo_cas(&ring->wake_at, at,
			      at + steps * ring->watermark)) {
			PERF_POINT(PERF_AT_WAKE);
			if (ring->wake)
				ring->wake(ring, ring->context);
			return;
		}
		at = rondo_load_relaxed(&ring->wake_at);
	}
}

/* ---- life ---- */

static bool is_valid(const struct perf_config *config)
{
	const uint64_t data = config->data_bytes;

	return data >= PAGE_BYTES && !(data & (data - 1)) &&
	       config->watermark_bytes <= data &&
	       (config->flags & PERF_OVERWRITE ||
		!(config->flags & PERF_BACKWARD));
}

static void start_ring(struct perf_ring *ring, enum perf_variant variant,
		       const struct perf_config *config, char *memory)
{
	ring->page = (struct perf_page *)(void *)memory;
	ring->page->data_offset = PAGE_BYTES;
	ring->page->data_size = config->data_bytes;
	ring->data = memory + PAGE_BYTES;
	ring->mask = config->data_bytes - 1;
	ring->flip = config->flags & PERF_BACKWARD ? UINT64_MAX : 0;
	ring->flags = config->flags;
	ring->variant = (uint32_t)variant;
	ring->wake = config->wake;
	ring->context = config->context;
	ring->watermark = config->watermark_bytes;
	if (!ring->watermark)
		ring->watermark = config->data_bytes / 2;
	ring->wake_at = ring->watermark;
	if (config->flags & PERF_OVERWRITE)
		ring->tail = &ring->page->data_head;
	else if (variant == PERF_PACKED || variant == PERF_RSEQ)
		ring->tail = &ring->page->tail_apart;
	else
		ring->tail = &ring->page->data_tail;
}

/* How a thread finds its CPU, and its rseq_cs. */
static int start_rseq(struct perf_rings *rings)
{
#ifdef HAVE_RSEQ_OFFSET
	const struct rseq *area =
		(const struct rseq *)(uintptr_t)(rondo_thread_pointer() +
						 (uint64_t)__rseq_offset);

	if (__rseq_size && (int32_t)area->cpu_id >= 0) {
		rings->rseq_offset = __rseq_offset;
		rings->id_offset =
			__rseq_offset + (int64_t)offsetof(struct rseq, cpu_id);
	}
#endif
	if (rings->variant == PERF_RSEQ &&
	    (!PERF_HAVE_RSEQ || !rings->id_offset))
		return -ENOTSUP;
	return 0;
}

int perf_rings_create(enum perf_variant variant,
		      const struct perf_config *config, struct perf_rings **out)
{
	const uint64_t ring_bytes = PAGE_BYTES + config->data_bytes;
	uint32_t count = variant == PERF_PLAIN ? 1 : config->rings;
	uint64_t first, bytes;
	struct perf_rings *rings;
	char *memory;

	if (!is_valid(config))
		return -EINVAL;
	if (!count)
		count = (uint32_t)sysconf(_SC_NPROCESSORS_CONF);
	first = (sizeof(*rings) + (count + 1) * sizeof(*rings->ring) +
		 PAGE_BYTES - 1) &
		~(PAGE_BYTES - 1);
	bytes = first + count * ring_bytes;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	rings = (struct perf_rings *)(void *)memory;
	rings->ring =
		(struct perf_ring *)(void *)(memory + sizeof(*rings->ring));
	rings->count = count;
	rings->variant = (uint32_t)variant;
	rings->bytes = bytes;
	for (uint32_t i = 0; i < count; i++)
		start_ring(&rings->ring[i], variant, config,
			   memory + first + i * ring_bytes);
	if (start_rseq(rings)) {
		perf_rings_destroy(rings);
		return -ENOTSUP;
	}
	*out = rings;
	return 0;
}
_Static_assert(sizeof(struct perf_rings) <= sizeof(struct perf_ring),
	       "the rings lie behind it, aligned");

void perf_rings_destroy(struct perf_rings *rings)
{
	if (rings)
		munmap(rings, rings->bytes);
}

uint64_t perf_rings_lost(const struct perf_rings *rings)
{
	uint64_t lost = rondo_load_relaxed(&rings->lost);

	for (uint32_t i = 0; i < rings->count; i++)
		lost += rondo_load_relaxed(&rings->ring[i].lost);
	return lost;
}
