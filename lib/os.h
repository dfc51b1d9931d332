/* SPDX-License-Identifier: MIT */
/*
 * The only place that makes system calls. Each wrapper returns the call's
 * result or a negative errno, and leaves errno as it was. Those marked [any]
 * may be called from signal handlers: they are no cancellation points either.
 */
#ifndef RONDO_LIB_OS_H
#define RONDO_LIB_OS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct iovec;

/* Descriptors and files. */
int rondo_os_memfd(const char *name);
int rondo_os_open(const char *path, int flags, unsigned mode);
int rondo_os_openat(int directory, const char *path, int flags, unsigned mode);
int rondo_os_create(const char *path);	      /* new, no symlink, mode 0600 */
int rondo_os_open_existing(const char *path); /* to read and write */
int rondo_os_close(int fd);		      /* [any] */
/* The same file at a high number, away from programs that close the low ones;
 * fd itself where that cannot be. */
int rondo_os_move_up(int fd);
/* Growing a file to so many bytes would send SIGXFSZ, which kills. */
bool rondo_os_beyond_file_limit(uint64_t bytes);
int rondo_os_make_absolute(const char *path, char **out); /* malloc */
int rondo_os_is_empty(const char *directory);		  /* 1, 0 */
int rondo_os_duplicate(int fd);				  /* close-on-exec */
int rondo_os_unlink(const char *path);
int rondo_os_unlinkat(int directory, const char *path);
int rondo_os_mkdir(const char *path, unsigned mode);
int rondo_os_rmdir(const char *path);
int rondo_os_rename(int directory, const char *from, const char *to);
int rondo_os_truncate(int fd, uint64_t bytes);
int rondo_os_allocate(int fd, uint64_t offset, uint64_t bytes); /* fallocate */
int rondo_os_seal(int fd);  /* against shrinking, growing, unsealing */
int rondo_os_seals(int fd); /* those in force: F_SEAL_* */
/* 1: can neither shrink nor grow; 0: might; -EOPNOTSUPP: a file without seals */
int rondo_os_sealed(int fd);
int64_t rondo_os_size(int fd); /* of a regular file; else -EPROTO */
/* Whether fd still is the file (device, inode) it was: 1, 0. */
struct rondo_file_id {
	uint64_t device, inode;
};
int rondo_os_file_id(int fd, struct rondo_file_id *out);
int64_t rondo_os_write(int fd, const void *data, uint64_t bytes); /* [any] */
int64_t rondo_os_pwrite(int fd, const void *data, uint64_t bytes,
			uint64_t offset);
int64_t rondo_os_read(int fd, void *data, uint64_t bytes); /* [any] */
int64_t rondo_os_pread(int fd, void *data, uint64_t bytes, uint64_t offset);
int64_t rondo_os_splice(int from, int64_t *from_offset, int to, uint64_t bytes);
int rondo_os_pipe(int fds[2]);
bool rondo_os_is_pipe(int fd);
/* A whole small file; out is ended with a NUL. Bytes read. */
int64_t rondo_os_read_file(const char *path, char *out, uint64_t bytes);

/* Memory. */
int rondo_os_map(int fd, uint64_t offset, uint64_t bytes, void **out);
/* A copy of the file's first bytes, made page by page as they are written to. */
int rondo_os_map_copy(int fd, uint64_t bytes, void **out);
int rondo_os_map_anonymous(uint64_t bytes, void **out);
/* The same place, private from now on: for a child of fork. fd negative:
 * zeroes instead of the file. [any] */
int rondo_os_map_private_over(int fd, void *at, uint64_t bytes);
int rondo_os_unmap(void *at, uint64_t bytes);
int rondo_os_lock(void *at, uint64_t bytes);
int rondo_os_wipe_on_fork(void *at, uint64_t bytes);
int rondo_os_huge(void *at, uint64_t bytes); /* asks; may not be granted */
/* Makes all of fd, mapped at at, resident and writable. */
int rondo_os_populate(int fd, void *at, uint64_t bytes);
uint64_t rondo_os_page_bytes(void);

/* Sleeping and waking. [any] */
int rondo_os_futex_wait(const uint32_t *word, uint32_t value,
			int64_t timeout_ns); /* negative: for ever */
int rondo_os_futex_wake(const uint32_t *word, uint32_t waiters);
int rondo_os_eventfd(void);
void rondo_os_sleep_ns(uint64_t ns);
int64_t rondo_os_monotonic_ns(void); /* CLOCK_MONOTONIC */
int64_t rondo_os_realtime_ns(void);  /* CLOCK_REALTIME */

/*
 * A lock of one word for thread context. rondo_os_try_lock may be called from
 * anywhere. 0 free, 1 taken, 2 taken and somebody sleeps.
 */
void rondo_os_lock_word(uint32_t *word);
bool rondo_os_try_lock_word(uint32_t *word); /* [any] */
void rondo_os_unlock_word(uint32_t *word);   /* [any] */

/* This process and machine. */
uint32_t rondo_os_pid(void);
uint32_t rondo_os_tid(void);
uint32_t rondo_os_threads(void); /* of this process; 0: unknown */
/* Start of a process in ticks since boot; 0: there is none, or who knows. */
uint64_t rondo_os_pid_start(uint32_t pid);
/* Whether that process lives, as far as can be seen. start: the low half of
 * when it began; 0: unknown. */
bool rondo_os_lives(uint32_t pid, uint32_t start);
uint32_t rondo_os_cpu_ids(void); /* highest possible id + 1 */
/* The same of a list like "0-3,8,10-11"; 0: it is none. */
uint32_t rondo_os_parse_cpu_ids(const char *list);
/* Field 22 of a /proc/PID/stat; 0: it has none, or is a zombie's. */
uint64_t rondo_os_parse_start(const char *stat);
void rondo_os_boot_id(uint8_t out[16]); /* 0: unknown */
void rondo_os_random(void *out, size_t bytes);
void rondo_os_host_name(char *out, size_t bytes);
void rondo_os_process_name(char *out, size_t bytes);
bool rondo_os_environment_is(const char *name, const char *value);

/* A thread of the library's: all signals blocked, a name of up to 15 bytes. */
int rondo_os_thread_start(const char *name, void *(*run)(void *),
			  void *argument, pthread_t *out);
int rondo_os_thread_join(pthread_t thread);

/* rseq. */
struct rondo_os_rseq {
	bool registered;      /* in the calling thread */
	int64_t offset;	      /* of struct rseq from the thread pointer */
	bool concurrency_ids; /* the kernel fills mm_cid */
};
void rondo_os_rseq(struct rondo_os_rseq *out);
int rondo_os_fence_register(void); /* for the two below; 0 or -errno */
/* Restarts sequences that run on one CPU; cpu < 0: on all. [any] */
int rondo_os_fence(int cpu);
/* A CPU number without a system call, or -1 where that cannot be. [any] */
int rondo_os_cpu_cheap(void);
/* An affinity mask of one CPU for the calling thread. */
int rondo_os_pin(int cpu);
/* The whole mask, to give it back. */
struct rondo_os_affinity {
	unsigned char mask[8192];
	int64_t bytes;
};
int rondo_os_affinity(struct rondo_os_affinity *out);
int rondo_os_set_affinity(const struct rondo_os_affinity *affinity);

#endif
