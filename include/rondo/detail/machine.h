/* SPDX-License-Identifier: MIT */
/*
 * What only the machine can say: where this thread's own memory is, and its
 * tick counter. With or without sequences.
 */
#ifndef RONDO_DETAIL_MACHINE_H
#define RONDO_DETAIL_MACHINE_H

#include <stdint.h>

#include <rondo/detail/atomics.h>

/* clang-format off */
#if defined(__x86_64__) && !defined(__ILP32__)
#define RONDO_HAVE_TICKS 1

/* The id that picks this thread's ring; a hint until a sequence checks it. */
static inline uint64_t rondo_thread_id(int64_t id_offset)
{
	uint64_t id;

	__asm__ __volatile__("movl %%fs:(%1), %k0" : "=r"(id) : "r"(id_offset));
	return id;
}

static inline uint64_t rondo_thread_pointer(void)
{
	uint64_t pointer;

	__asm__("movq %%fs:0, %0" : "=r"(pointer));
	return pointer;
}

/* The clock after every load before it: times of one ring never go back. */
static inline uint64_t rondo_ticks_ordered(void)
{
	uint32_t low, high;

	__asm__ __volatile__("lfence\n\trdtsc"
			     : "=a"(low), "=d"(high)
			     :
			     : "memory");
	return (uint64_t)high << 32 | low;
}

#elif defined(__aarch64__)
#define RONDO_HAVE_TICKS 1

static inline uint64_t rondo_thread_id(int64_t id_offset)
{
	uint64_t id;

	__asm__ __volatile__("mrs %0, tpidr_el0\n\t"
			     "ldr %w0, [%0, %1]"
			     : "=&r"(id) : "r"(id_offset));
	return id;
}

static inline uint64_t rondo_thread_pointer(void)
{
	uint64_t pointer;

	__asm__("mrs %0, tpidr_el0" : "=r"(pointer));
	return pointer;
}

static inline uint64_t rondo_ticks_ordered(void)
{
	uint64_t ticks;

	__asm__ __volatile__("isb\n\tmrs %0, cntvct_el0"
			     : "=r"(ticks)
			     :
			     : "memory");
	return ticks;
}

#else
#define RONDO_HAVE_TICKS 0

static inline uint64_t rondo_thread_pointer(void)
{
	return (uint64_t)(uintptr_t)__builtin_thread_pointer();
}

static inline uint64_t rondo_thread_id(int64_t id_offset)
{
	const uint32_t *id = (const uint32_t *)(uintptr_t)
		(rondo_thread_pointer() + (uint64_t)id_offset);

	return rondo_load_relaxed(id);
}
#endif
/* clang-format on */

/* In a loop that waits for another CPU. */
static inline void rondo_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

#endif
