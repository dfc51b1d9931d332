/* SPDX-License-Identifier: MIT */
/*
 * What stands behind the functions that alloc_trace puts itself in front of:
 * the next library's, and memory of our own for when those must not be asked.
 */
#ifndef ALLOC_TRACE_REAL_H
#define ALLOC_TRACE_REAL_H

#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define EXPORTED __attribute__((visibility("default")))

/* The functions of the next library in search order, usually the C library. */
struct real {
	bool ready;
	void *(*malloc)(size_t size);
	void *(*calloc)(size_t count, size_t size);
	void *(*realloc)(void *old, size_t size);
	void *(*aligned_alloc)(size_t alignment, size_t size);
	int (*posix_memalign)(void **out, size_t alignment, size_t size);
	void *(*memalign)(size_t alignment, size_t size);
	void *(*valloc)(size_t size);
	void *(*pvalloc)(size_t size);
	void (*free)(void *pointer);

	void (*exit_now)(int status); /* _exit */
	void (*abort)(void);
	int (*daemon)(int keep_directory, int keep_files);
	int (*unshare)(int flags);
	int (*setns)(int fd, int kind);
	int (*execve)(const char *path, char *const arguments[],
		      char *const environment[]);
	int (*execv)(const char *path, char *const arguments[]);
	int (*execvp)(const char *file, char *const arguments[]);
	int (*execvpe)(const char *file, char *const arguments[],
		       char *const environment[]);
	int (*fexecve)(int fd, char *const arguments[],
		       char *const environment[]);
	int (*execveat)(int directory, const char *path,
			char *const arguments[], char *const environment[],
			int flags);
	int (*posix_spawn)(pid_t *out, const char *path,
			   const posix_spawn_file_actions_t *actions,
			   const posix_spawnattr_t *attributes,
			   char *const arguments[], char *const environment[]);
	int (*posix_spawnp)(pid_t *out, const char *file,
			    const posix_spawn_file_actions_t *actions,
			    const posix_spawnattr_t *attributes,
			    char *const arguments[], char *const environment[]);
};
extern struct real real;

/* Finds them. False while that is under way: finding them may allocate. */
bool real_find(void);

static inline bool real_known(void)
{
	return LIKELY(real.ready) || real_find();
}

/*
 * A fixed arena. It serves whoever allocates while the real functions are being
 * found, and all that rondo itself allocates, so that the traced program's heap
 * stays as it would be. The newest block is given back when it is freed, others
 * never are: rondo keeps some ten KiB for each trace, and nothing of what it
 * needs in between. Any thread; a forked child goes on with its copy.
 */
#define ARENA_ALIGNMENT 16u
void *arena_allocate(size_t alignment, size_t bytes); /* zeroed */
void arena_free(void *pointer);
bool arena_has(const void *pointer);
size_t arena_bytes_at(const void *pointer); /* as asked for */

#endif
