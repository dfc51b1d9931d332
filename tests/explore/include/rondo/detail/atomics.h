/* SPDX-License-Identifier: MIT */
/*
 * In place of the header of the same name, for library sources that the
 * explorer runs: each access is a step of an agent (memory.c).
 */
#ifndef RONDO_DETAIL_ATOMICS_H
#define RONDO_DETAIL_ATOMICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum explore_order {
	EXPLORE_RELAXED,
	EXPLORE_ACQUIRE,
	EXPLORE_RELEASE,
	EXPLORE_BOTH,
};

uint64_t explore_load(const void *at, unsigned bytes, enum explore_order order);
void explore_store(void *at, unsigned bytes, uint64_t value,
		   enum explore_order order);
/* The sum. Relaxed: nobody looks at it. */
uint64_t explore_add(void *at, unsigned bytes, uint64_t value,
		     enum explore_order order);
uint64_t explore_exchange(void *at, unsigned bytes, uint64_t value);
bool explore_cas(void *at, unsigned bytes, uint64_t expected, uint64_t wanted);
void explore_fence(void);
void explore_fence_release(void);
void explore_fence_after_swap(void);

/* The value's own type, without qualifiers. */
#define EXPLORE_TYPED(p, value) ((__typeof__(*(p) + 0))(value))
#define EXPLORE_LOAD(p, order) \
	EXPLORE_TYPED(p, explore_load((p), sizeof(*(p)), (order)))
#define EXPLORE_STORE(p, v, order) \
	explore_store((p), sizeof(*(p)), (uint64_t)(v), (order))

#define rondo_load_relaxed(p) EXPLORE_LOAD(p, EXPLORE_RELAXED)
#define rondo_load_acquire(p) EXPLORE_LOAD(p, EXPLORE_ACQUIRE)
#define rondo_store_relaxed(p, v) EXPLORE_STORE(p, v, EXPLORE_RELAXED)
#define rondo_store_release(p, v) EXPLORE_STORE(p, v, EXPLORE_RELEASE)
#define rondo_add_relaxed(p, v) \
	((void)explore_add((p), sizeof(*(p)), (uint64_t)(v), EXPLORE_RELAXED))
#define rondo_add_fetch(p, v)                                          \
	EXPLORE_TYPED(p, explore_add((p), sizeof(*(p)), (uint64_t)(v), \
				     EXPLORE_BOTH))
#define rondo_exchange(p, v) \
	EXPLORE_TYPED(p, explore_exchange((p), sizeof(*(p)), (uint64_t)(v)))
#define rondo_fence() explore_fence()
#define rondo_fence_release() explore_fence_release()
#define rondo_fence_after_swap() explore_fence_after_swap()

static inline bool rondo_cas(uint64_t *p, uint64_t expected, uint64_t wanted)
{
	return explore_cas(p, sizeof(*p), expected, wanted);
}

static inline bool rondo_cas32(uint32_t *p, uint32_t expected, uint32_t wanted)
{
	return explore_cas(p, sizeof(*p), expected, wanted);
}

#define rondo_likely(x) __builtin_expect(!!(x), 1)
#define rondo_unlikely(x) __builtin_expect(!!(x), 0)

/* What the library fills or copies without atomics may be shared as well. */
void *explore_memset(void *at, int value, size_t bytes);
int explore_memalign(void **out, size_t alignment, size_t bytes);
void explore_free(void *at);

#endif
