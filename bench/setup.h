/* SPDX-License-Identifier: MIT */
/*
 * What programs that record need before they can: channels, event classes,
 * the line that says how records are made, ticks and fences.
 */
#ifndef RONDO_BENCH_SETUP_H
#define RONDO_BENCH_SETUP_H

#include <stdint.h>

#include <rondo/rondo.h>

#include "harness.h"

#define BENCH_INLINE static inline __attribute__((always_inline))

/* A channel with a class of records of so many bytes (a multiple of 8, 16 or
 * more), whose id is the same in every such channel. 0, or an exit status. */
int bench_channel(const struct rondo_config *config, const char *name,
		  uint32_t bytes, struct rondo_channel **out);
#define BENCH_ID RONDO_ID_FIRST

/* Sets bench->has_rseq and bench->modes as the channel is. 0, or an exit
 * status. */
int bench_describe(struct bench *bench, const struct rondo_channel *channel);

/* Whether all records of calls, each of bytes with its header, are among those
 * found and those overwritten. 0, or an exit status. */
int bench_all_there(const struct rondo_channel *channel, uint64_t calls,
		    uint32_t payload_bytes, uint64_t found_bytes);

/* Ticks of the clock that records have, not ordered. */
BENCH_INLINE uint64_t bench_ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t now;

	__asm__ __volatile__("mrs %0, cntvct_el0" : "=r"(now));
	return now;
#else
	return bench_now_ns();
#endif
}

/* Nothing after this starts before all that comes before it is done. */
BENCH_INLINE void bench_fence(void)
{
#if defined(__x86_64__)
	__asm__ __volatile__("lfence" : : : "memory");
#elif defined(__aarch64__)
	__asm__ __volatile__("dsb ld\n\tisb" : : : "memory");
#else
	__sync_synchronize();
#endif
}

/* Ticks between fences: what is measured lies between two of these. */
BENCH_INLINE uint64_t bench_ticks_alone(void)
{
	uint64_t now;

	bench_fence();
	now = bench_ticks();
	bench_fence();
	return now;
}

/* ns in a tick, measured once. */
double bench_ns_per_tick(void);

/* A payload: a, b, a, b and so on. */
BENCH_INLINE void bench_fill(uint64_t *word, unsigned count, uint64_t a,
			     uint64_t b)
{
	for (unsigned i = 0; i < count; i += 2) {
		word[i] = a;
		word[i + 1] = b;
	}
}

/*
 * The floor: the clock, and the plain stores of a header and a payload into
 * memory that goes round, as large as the sub-buffers of one ring of the
 * defaults. Nobody who records a time gets below.
 */
#define BENCH_FLOOR_BYTES (UINT64_C(2) << 20)

struct bench_floor {
	char *memory;
	uint64_t position;
};

/* 0, or an exit status. */
int bench_floor_create(struct bench_floor *out);
void bench_floor_destroy(struct bench_floor *floor);

BENCH_INLINE void bench_floor_record(struct bench_floor *floor, unsigned words,
				     uint64_t a, uint64_t b)
{
	const uint64_t position = floor->position;
	const uint64_t now = bench_ticks();
	uint64_t *to =
		(uint64_t *)(void *)(floor->memory +
				     (position & (BENCH_FLOOR_BYTES - 1)));

	to[0] = now << 32 | words;
	bench_fill(to + 1, words, a, b);
	floor->position = position + 8 * (1 + words);
}

/* Whether a record is one that bench_fill made. */
bool bench_is_filled(const struct rondo_item *item);

/* reserve, bench_fill, commit. Zero when it was refused. */
BENCH_INLINE unsigned bench_record(struct rondo_channel *channel,
				   unsigned words, uint64_t a, uint64_t b)
{
	struct rondo_record record;

	if (rondo_reserve(channel, BENCH_ID, 8 * words, &record))
		return 0;
	bench_fill((uint64_t *)record.data, words, a, b);
	rondo_commit(&record);
	return 1;
}

#endif
