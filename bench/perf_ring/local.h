/* SPDX-License-Identifier: MIT */
/*
 * What perf has from its kernel: operations that are atomic against whatever
 * interrupts this thread, but not against other CPUs (local_t), memory of this
 * thread's own, and the clock.
 * On x86-64 they are single instructions without a lock prefix; elsewhere
 * relaxed atomics, as in the kernel.
 */
#ifndef RONDO_BENCH_PERF_RING_LOCAL_H
#define RONDO_BENCH_PERF_RING_LOCAL_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <rondo/detail/machine.h>

#define PERF_INLINE static inline __attribute__((always_inline))

/* clang-format off */
#if defined(__x86_64__)
/* True when *at was expected and now is wanted. */
PERF_INLINE bool perf_local_swap(uint64_t *at, uint64_t expected,
				 uint64_t wanted)
{
	bool swapped;

	__asm__ __volatile__("cmpxchgq %[wanted], %[at]"
			     : "=@ccz"(swapped), [at] "+m"(*at), "+a"(expected)
			     : [wanted] "r"(wanted)
			     : "memory");
	return swapped;
}

/* A word of this thread's own memory. */
PERF_INLINE uint32_t perf_thread_word(int64_t offset)
{
	uint32_t word;

	__asm__ __volatile__("movl %%fs:(%1), %0" : "=r"(word) : "r"(offset));
	return word;
}

PERF_INLINE void perf_local_add(uint64_t *at, uint64_t value)
{
	__asm__ __volatile__("addq %[value], %[at]"
			     : [at] "+m"(*at)
			     : [value] "er"(value)
			     : "memory", "cc");
}
#else
PERF_INLINE bool perf_local_swap(uint64_t *at, uint64_t expected,
				 uint64_t wanted)
{
	return __atomic_compare_exchange_n(at, &expected, wanted, false,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

PERF_INLINE void perf_local_add(uint64_t *at, uint64_t value)
{
	rondo_add_relaxed(at, value);
}

PERF_INLINE uint32_t perf_thread_word(int64_t offset)
{
	return rondo_load_relaxed(
		(const uint32_t *)(uintptr_t)(rondo_thread_pointer() +
					      (uint64_t)offset));
}
#endif
/* clang-format on */

/* The clock that rondo reads too, not ordered. */
PERF_INLINE uint64_t perf_time(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t now;

	__asm__ __volatile__("mrs %0, cntvct_el0" : "=r"(now));
	return now;
#else
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
#endif
}

#endif
