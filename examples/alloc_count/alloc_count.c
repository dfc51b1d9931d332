/* SPDX-License-Identifier: MIT */
/*
 * alloc_count: LD_PRELOAD=liballoc_count.so ALLOC_COUNT=FILE PROGRAM
 * counts allocations and frees, and appends a line for each process to FILE
 * when it ends by exit or _exit:
 *
 *   PID allocs N frees M malloc ... calloc ... realloc ... free ...
 *
 * As valgrind counts: a realloc is one of each, free(NULL) is neither. It
 * shares no code with alloc_trace, whose records its numbers check: preload it
 * behind alloc_trace, and both see the same calls. In front it would also count
 * what alloc_trace allocates for itself, and never records.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

enum call {
	CALL_MALLOC,
	CALL_CALLOC,
	CALL_REALLOC,
	CALL_REALLOC_NULL, /* of no block: allocates, frees nothing */
	CALL_REALLOC_ZERO, /* to no bytes: frees, as valgrind sees it */
	CALL_ALIGNED_ALLOC,
	CALL_POSIX_MEMALIGN,
	CALL_MEMALIGN,
	CALL_VALLOC,
	CALL_PVALLOC,
	CALL_FREE,
	CALL_FREE_NULL,
	CALLS,
};

static const char *const names[CALLS] = {
	"malloc",	"calloc",	 "realloc",	   "realloc_null",
	"realloc_zero", "aligned_alloc", "posix_memalign", "memalign",
	"valloc",	"pvalloc",	 "free",	   "free_null",
};
static uint64_t counts[CALLS];
static pid_t counted_pid;

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void *(*real_aligned_alloc)(size_t, size_t);
static int (*real_posix_memalign)(void **, size_t, size_t);
static void *(*real_memalign)(size_t, size_t);
static void *(*real_valloc)(size_t);
static void *(*real_pvalloc)(size_t);
static void (*real_free)(void *);
static void (*real_exit_now)(int);

/* For what dlsym allocates before there is anything else; never given back. */
static char early[1 << 16] __attribute__((aligned(16)));
static size_t early_used;

static void *early_allocate(size_t bytes)
{
	size_t room = (bytes + 15) & ~(size_t)15;
	void *block = early + early_used;

	if (room > sizeof(early) - early_used) {
		errno = ENOMEM;
		return NULL;
	}
	early_used += room;
	return block;
}

static bool is_early(const void *pointer)
{
	return (uintptr_t)pointer - (uintptr_t)early < sizeof(early);
}

/* POSIX: what dlsym returns has the representation of a function pointer. */
static void find(void *to, const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	memcpy(to, &found, sizeof(found));
}

/* False while it is under way. The first call is the only thread's. */
static bool find_all(void)
{
	static bool finding;

	if (finding)
		return false;
	finding = true;
	find(&real_malloc, "malloc");
	find(&real_calloc, "calloc");
	find(&real_realloc, "realloc");
	find(&real_aligned_alloc, "aligned_alloc");
	find(&real_posix_memalign, "posix_memalign");
	find(&real_memalign, "memalign");
	find(&real_valloc, "valloc");
	find(&real_pvalloc, "pvalloc");
	find(&real_exit_now, "_exit");
	find(&real_free, "free"); /* the last: it says that all are known */
	return true;
}

static bool known(void)
{
	return real_free || find_all();
}

static void count(enum call call)
{
	__atomic_fetch_add(&counts[call], 1, __ATOMIC_RELAXED);
}

EXPORTED void *malloc(size_t size)
{
	if (!known())
		return early_allocate(size);
	count(CALL_MALLOC);
	return real_malloc(size);
}

EXPORTED void *calloc(size_t elements, size_t size)
{
	if (!known())
		return early_allocate(elements * size);
	count(CALL_CALLOC);
	return real_calloc(elements, size);
}

EXPORTED void *realloc(void *old, size_t size)
{
	if (is_early(old) || !known()) {
		errno = ENOMEM;
		return NULL;
	}
	count(!old	? CALL_REALLOC_NULL :
	      size == 0 ? CALL_REALLOC_ZERO :
			  CALL_REALLOC);
	return real_realloc(old, size);
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size)
{
	if (!known())
		return NULL;
	count(CALL_ALIGNED_ALLOC);
	return real_aligned_alloc(alignment, size);
}

EXPORTED int posix_memalign(void **out, size_t alignment, size_t size)
{
	if (!known())
		return ENOMEM;
	count(CALL_POSIX_MEMALIGN);
	return real_posix_memalign(out, alignment, size);
}

EXPORTED void *memalign(size_t alignment, size_t size)
{
	if (!known())
		return NULL;
	count(CALL_MEMALIGN);
	return real_memalign(alignment, size);
}

EXPORTED void *valloc(size_t size)
{
	if (!known())
		return NULL;
	count(CALL_VALLOC);
	return real_valloc(size);
}

EXPORTED void *pvalloc(size_t size)
{
	if (!known())
		return NULL;
	count(CALL_PVALLOC);
	return real_pvalloc(size);
}

EXPORTED void free(void *pointer)
{
	if (is_early(pointer) || !known())
		return;
	count(pointer ? CALL_FREE : CALL_FREE_NULL);
	real_free(pointer);
}

/* One write: lines of several processes do not mix. */
static void report(void)
{
	const char *path = secure_getenv("ALLOC_COUNT");
	uint64_t frees = counts[CALL_FREE] + counts[CALL_REALLOC] +
			 counts[CALL_REALLOC_ZERO];
	uint64_t allocs = 0;
	char line[1024];
	int fd, used, i;

	if (!path || counted_pid != getpid())
		return;
	counted_pid = 0;
	for (i = 0; i < CALL_FREE; i++)
		if (i != CALL_REALLOC_ZERO)
			allocs += counts[i];
	used = snprintf(line, sizeof(line), "%d allocs %llu frees %llu",
			getpid(), (unsigned long long)allocs,
			(unsigned long long)frees);
	for (i = 0; i < CALLS; i++)
		used += snprintf(line + used, sizeof(line) - (size_t)used,
				 " %s %llu", names[i],
				 (unsigned long long)counts[i]);
	line[used++] = '\n';
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, line, (size_t)used) != used)
		used = 0; /* whoever reads the file misses the line */
	if (fd >= 0)
		close(fd);
}

static void report_at_exit(void *argument)
{
	(void)argument;
	report();
}

EXPORTED void _exit(int status)
{
	report();
	if (known())
		real_exit_now(status);
	__builtin_trap();
}

EXPORTED void _Exit(int status)
{
	_exit(status);
}

static void forked(void)
{
	memset(counts, 0, sizeof(counts));
	counted_pid = getpid();
}

static __attribute__((constructor)) void start(void)
{
	counted_pid = getpid();
	pthread_atfork(NULL, NULL, forked);
}

int __cxa_atexit(void (*handler)(void *), void *argument, void *object);

/* A handler that the last handler adds runs after all destructors. */
static __attribute__((destructor)) void report_last(void)
{
	if (__cxa_atexit(report_at_exit, NULL, NULL))
		report();
}
