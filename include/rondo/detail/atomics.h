/* SPDX-License-Identifier: MIT */
/*
 * Every access to memory that several threads share goes through here. The
 * builtins are used, not C11 <stdatomic.h>: the same text compiles as C++, and
 * thread sanitizer sees it. A call that is not relaxed names its pair in the
 * line above it; docs/ordering.md has a section for each pair.
 */
#ifndef RONDO_DETAIL_ATOMICS_H
#define RONDO_DETAIL_ATOMICS_H

#include <stdbool.h>
#include <stdint.h>

#define rondo_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define rondo_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define rondo_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define rondo_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define rondo_add_relaxed(p, v) \
	((void)__atomic_fetch_add((p), (v), __ATOMIC_RELAXED))
#define rondo_add_fetch(p, v) __atomic_add_fetch((p), (v), __ATOMIC_ACQ_REL)
#define rondo_exchange(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define rondo_fence() __atomic_thread_fence(__ATOMIC_SEQ_CST)
/* What was stored before, before all that is stored after: no store but a
 * release orders what comes before itself, and none what comes after. */
#define rondo_fence_release() __atomic_thread_fence(__ATOMIC_RELEASE)

/* A full fence behind a swap or an addition: on x86 those are one. */
#if defined(__x86_64__) || defined(__i386__)
#define rondo_fence_after_swap() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#else
#define rondo_fence_after_swap() rondo_fence()
#endif

/* True when *p was expected and now is wanted. Acquire and release. */
static inline bool rondo_cas(uint64_t *p, uint64_t expected, uint64_t wanted)
{
	return __atomic_compare_exchange_n(p, &expected, wanted, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static inline bool rondo_cas32(uint32_t *p, uint32_t expected, uint32_t wanted)
{
	return __atomic_compare_exchange_n(p, &expected, wanted, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

#define rondo_likely(x) __builtin_expect(!!(x), 1)
#define rondo_unlikely(x) __builtin_expect(!!(x), 0)

#endif
