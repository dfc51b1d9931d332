/* SPDX-License-Identifier: MIT */
/*
 * The next library's functions, and the arena: see real.h.
 */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "real.h"

#define ARENA_BYTES ((size_t)16 << 20)

struct real real;

/* Before each block. */
struct block {
	size_t room;  /* of the block, this and the alignment included */
	size_t start; /* offset of that room in the arena */
	size_t bytes; /* as asked for */
	size_t unused;
};

static char arena[ARENA_BYTES] __attribute__((aligned(4096)));
static size_t arena_used; /* what lies beyond is zero */

static struct block *block_of(const void *pointer)
{
	return (struct block *)((uintptr_t)pointer - sizeof(struct block));
}

static bool move_end(size_t *from, size_t to)
{
	return __atomic_compare_exchange_n(&arena_used, from, to, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

void *arena_allocate(size_t alignment, size_t bytes)
{
	size_t start = __atomic_load_n(&arena_used, __ATOMIC_ACQUIRE);
	size_t room;
	uintptr_t at;

	if (alignment < ARENA_ALIGNMENT)
		alignment = ARENA_ALIGNMENT;
	room = ARENA_BYTES;
	if (bytes < ARENA_BYTES / 4 && alignment < ARENA_BYTES / 4)
		room = sizeof(struct block) + alignment +
		       (bytes + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT *
			       ARENA_ALIGNMENT;
	do {
		if (room > ARENA_BYTES - start) {
			errno = ENOMEM;
			return NULL;
		}
	} while (!move_end(&start, start + room));
	at = (uintptr_t)arena + start + sizeof(struct block);
	at = (at + alignment - 1) & ~(uintptr_t)(alignment - 1);
	*block_of((void *)at) = (struct block){
		.room = room,
		.start = start,
		.bytes = bytes,
	};
	return (void *)at;
}

/* Whole pages become zero by being given back. */
static void clear(size_t start, size_t room)
{
	size_t from = (start + 4095) & ~(size_t)4095;
	size_t to = (start + room) & ~(size_t)4095;

	if (room < 65536 || madvise(arena + from, to - from, MADV_DONTNEED)) {
		memset(arena + start, 0, room);
		return;
	}
	memset(arena + start, 0, from - start);
	memset(arena + to, 0, start + room - to);
}

void arena_free(void *pointer)
{
	struct block block = *block_of(pointer);
	size_t end = block.start + block.room;

	if (__atomic_load_n(&arena_used, __ATOMIC_ACQUIRE) != end)
		return;
	clear(block.start, block.room);
	move_end(&end, block.start);
}

bool arena_has(const void *pointer)
{
	return (uintptr_t)pointer - (uintptr_t)arena < ARENA_BYTES;
}

size_t arena_bytes_at(const void *pointer)
{
	return block_of(pointer)->bytes;
}

struct name {
	void *to; /* a function pointer of struct real */
	const char *name;
};

/* POSIX: what dlsym returns has the representation of a function pointer. */
static void find(const struct name *name)
{
	void *found = dlsym(RTLD_NEXT, name->name);

	memcpy(name->to, &found, sizeof(found));
}

bool real_find(void)
{
	static uint32_t finding;
	const struct name names[] = {
		{&real.malloc, "malloc"},
		{&real.calloc, "calloc"},
		{&real.realloc, "realloc"},
		{&real.aligned_alloc, "aligned_alloc"},
		{&real.posix_memalign, "posix_memalign"},
		{&real.memalign, "memalign"},
		{&real.valloc, "valloc"},
		{&real.pvalloc, "pvalloc"},
		{&real.free, "free"},
		{&real.exit_now, "_exit"},
		{&real.abort, "abort"},
		{&real.daemon, "daemon"},
		{&real.unshare, "unshare"},
		{&real.setns, "setns"},
		{&real.execve, "execve"},
		{&real.execv, "execv"},
		{&real.execvp, "execvp"},
		{&real.execvpe, "execvpe"},
		{&real.fexecve, "fexecve"},
		{&real.execveat, "execveat"},
		{&real.posix_spawn, "posix_spawn"},
		{&real.posix_spawnp, "posix_spawnp"},
	};
	size_t i;

	if (__atomic_load_n(&real.ready, __ATOMIC_ACQUIRE))
		return true;
	if (__atomic_exchange_n(&finding, 1, __ATOMIC_ACQUIRE))
		return false;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		find(&names[i]);
	__atomic_store_n(&real.ready, true, __ATOMIC_RELEASE);
	return true;
}
