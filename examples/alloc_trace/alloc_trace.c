/* SPDX-License-Identifier: MIT */
/*
 * alloc_trace: LD_PRELOAD=liballoc_trace.so RONDO_TRACE=DIRECTORY PROGRAM
 * records every allocation and every free of the program, and of the children
 * it forks or executes, each process in a CTF trace DIRECTORY/NAME-PID, which
 * babeltrace2 DIRECTORY reads, one or all. Should it say that events were lost:
 * each CPU has RONDO_TRACE_SUBBUFS [32] sub-buffers of RONDO_TRACE_SUBBUF_KIB
 * [1024] KiB. Without RONDO_TRACE nothing is recorded.
 *
 * What may be missing: of a process that is killed, the last 100 ms; of one
 * that gives up the right to write to its trace, by another root or another
 * user, what it had not written before. The latter says so when it ends.
 *
 * Whoever replays a trace in the order of its times never sees an address
 * allocated twice without a free between, whatever the threads did:
 *
 *   an allocation is recorded after the call, for only then is its address
 *   known;
 *   a free is recorded before the call, for after it the address may be
 *   somebody else's at once;
 *   a fence comes before each record's time is read: an allocation's may not
 *   be read before it is made, nor a free's before the block was handed over
 *   by the thread, on another CPU, that has just recorded its allocation;
 *   a realloc is both, so it is two records: realloc_begin before the call
 *   gives up the old address, realloc after it has the result. Where that is 0
 *   and the size is not, the old address is still allocated. realloc(NULL, n)
 *   has no realloc_begin. One record open during the call would do for
 *   neither: it has one time; and a thread that waits in malloc would hold up
 *   a sub-buffer.
 *
 * A call that failed is recorded too: its result is 0. caller is where the
 * call returns to; the module events say what was loaded where. A child that
 * was forked beside other threads has none: its parent's hold for it.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define CALLER ((uint64_t)(uintptr_t)__builtin_return_address(0))
#define ADDRESS(pointer) ((uint64_t)(uintptr_t)(pointer))

/* Times are read by an instruction that may run ahead of those before it. */
static inline void fence_before_time(void)
{
#if defined(__x86_64__)
	__asm__ __volatile__("lfence" ::: "memory");
#elif defined(__aarch64__)
	__asm__ __volatile__("isb" ::: "memory");
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

static inline __attribute__((always_inline)) void
record(enum event event, const uint64_t *words, uint32_t count)
{
	struct rondo_record record;
	char *data;

	fence_before_time();
	if (UNLIKELY(!session_reserve(event, count * 8 + 4, &record)))
		return;
	data = record.data;
	memcpy(data, words, count * 8);
	memcpy(data + count * 8, &thread.tid, sizeof(thread.tid));
	rondo_commit(&record);
}

/* Whether the arena must serve: in own code, or before the real ones. */
static inline bool is_own(void)
{
	return UNLIKELY(thread.own) || !real_known();
}

EXPORTED void *malloc(size_t size)
{
	void *result;

	if (is_own())
		return arena_allocate(0, size);
	result = real.malloc(size);
	record(EVENT_MALLOC, (uint64_t[]){size, ADDRESS(result), CALLER}, 3);
	return result;
}

EXPORTED void *calloc(size_t count, size_t size)
{
	size_t bytes;
	void *result;

	if (is_own()) {
		if (__builtin_mul_overflow(count, size, &bytes))
			bytes = SIZE_MAX;
		return arena_allocate(0, bytes);
	}
	result = real.calloc(count, size);
	record(EVENT_CALLOC, (uint64_t[]){count, size, ADDRESS(result), CALLER},
	       4);
	return result;
}

/* A block of the arena moves: into the arena, or out of it. */
static void *move_out(void *old, size_t size, uint64_t caller)
{
	size_t bytes = arena_bytes_at(old);
	void *result;

	if (is_own()) {
		result = arena_allocate(0, size);
	} else {
		result = real.malloc(size);
		record(EVENT_MALLOC,
		       (uint64_t[]){size, ADDRESS(result), caller}, 3);
	}
	if (!result)
		return NULL;
	memcpy(result, old, bytes < size ? bytes : size);
	arena_free(old);
	return result;
}

EXPORTED void *realloc(void *old, size_t size)
{
	uint64_t address = ADDRESS(old);
	void *result;

	if (UNLIKELY(arena_has(old)))
		return move_out(old, size, CALLER);
	if (is_own())
		return old ? real.realloc(old, size) : arena_allocate(0, size);
	if (old)
		record(EVENT_REALLOC_BEGIN, &address, 1);
	result = real.realloc(old, size);
	record(EVENT_REALLOC,
	       (uint64_t[]){address, size, ADDRESS(result), CALLER}, 4);
	return result;
}

/* The C library's would call realloc, and be recorded twice. */
EXPORTED void *reallocarray(void *old, size_t count, size_t size)
{
	uint64_t address = ADDRESS(old);
	void *result = NULL;
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		bytes = SIZE_MAX; /* fails, and says why in errno */
	if (UNLIKELY(arena_has(old)))
		return move_out(old, bytes, CALLER);
	if (is_own())
		return old ? real.realloc(old, bytes) :
			     arena_allocate(0, bytes);
	if (old)
		record(EVENT_REALLOC_BEGIN, &address, 1);
	result = real.realloc(old, bytes);
	record(EVENT_REALLOCARRAY,
	       (uint64_t[]){address, count, size, ADDRESS(result), CALLER}, 5);
	return result;
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size)
{
	void *result;

	if (is_own())
		return arena_allocate(alignment, size);
	result = real.aligned_alloc(alignment, size);
	record(EVENT_ALIGNED_ALLOC,
	       (uint64_t[]){alignment, size, ADDRESS(result), CALLER}, 4);
	return result;
}

EXPORTED int posix_memalign(void **out, size_t alignment, size_t size)
{
	uint64_t address;
	int result;

	if (is_own()) {
		void *block = arena_allocate(alignment, size);

		if (block)
			*out = block;
		return block ? 0 : ENOMEM;
	}
	result = real.posix_memalign(out, alignment, size);
	address = result ? 0 : ADDRESS(*out);
	record(EVENT_POSIX_MEMALIGN,
	       (uint64_t[]){alignment, size, address, CALLER}, 4);
	return result;
}

EXPORTED void *memalign(size_t alignment, size_t size)
{
	void *result;

	if (is_own())
		return arena_allocate(alignment, size);
	result = real.memalign(alignment, size);
	record(EVENT_MEMALIGN,
	       (uint64_t[]){alignment, size, ADDRESS(result), CALLER}, 4);
	return result;
}

EXPORTED void *valloc(size_t size)
{
	void *result;

	if (is_own())
		return arena_allocate(4096, size);
	result = real.valloc(size);
	record(EVENT_VALLOC, (uint64_t[]){size, ADDRESS(result), CALLER}, 3);
	return result;
}

EXPORTED void *pvalloc(size_t size)
{
	void *result;

	if (is_own())
		return arena_allocate(4096, size);
	result = real.pvalloc(size);
	record(EVENT_PVALLOC, (uint64_t[]){size, ADDRESS(result), CALLER}, 3);
	return result;
}

EXPORTED void free(void *pointer)
{
	if (UNLIKELY(arena_has(pointer))) {
		arena_free(pointer);
		return;
	}
	if (UNLIKELY(!real_known()))
		return;
	if (LIKELY(!thread.own))
		record(EVENT_FREE, (uint64_t[]){ADDRESS(pointer), CALLER}, 2);
	real.free(pointer);
}
