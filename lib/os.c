/* SPDX-License-Identifier: MIT */
/*
 * System calls, and nothing else. Those that may sleep go through syscall():
 * libc's wrappers are cancellation points, and a thread cancelled in the middle
 * of the library would take a descriptor or a lock with it.
 */
#include "os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <rondo/detail/atomics.h>
#include <rondo/detail/handle.h>
#include <rondo/detail/machine.h>

#include "testpoint.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#endif
#if !defined(SYS_futex) && defined(SYS_futex_time64)
#define SYS_futex SYS_futex_time64
#endif
#if !defined(SYS_rt_sigtimedwait) && defined(SYS_rt_sigtimedwait_time64)
#define SYS_rt_sigtimedwait SYS_rt_sigtimedwait_time64
#endif

/* mm_cid ends here in struct rseq. */
#define RONDO_OS_RSEQ_WITH_MM_CID 28

/* The result of a call, or -errno; errno stays. text: the call's, for tests. */
#define os_make(text, call)                                                \
	({                                                                 \
		int saved_ = errno;                                        \
		__typeof__(call) result_ = RONDO_TESTPOINT_OS(text, call); \
		if (result_ < 0) {                                         \
			result_ = -errno;                                  \
			errno = saved_;                                    \
		}                                                          \
		result_;                                                   \
	})
#define os_call(call) os_make(#call, call)

/* Of one that returns its error. */
#define os_error(call)                                     \
	os_make(#call, ({                                  \
			int error_ = (call);               \
			error_ ? (errno = error_, -1) : 0; \
		}))

#ifdef RONDO_TESTPOINTS
enum rondo_os_fate (*rondo_testpoint_os)(const struct rondo_os_site *site,
					 int *out_error);
uint64_t (*rondo_testpoint_part)(uint64_t bytes);
#endif

/* glibc 2.35 and later have these; elsewhere their addresses are null. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

/* ---- descriptors and files ---- */

/* Not executable, which some systems insist on; Linux before 6.3 cannot. */
int rondo_os_memfd(const char *name)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = (int)os_call(
		syscall(SYS_memfd_create, name, flags | MFD_NOEXEC_SEAL));

	if (fd != -EINVAL)
		return fd;
	return (int)os_call(syscall(SYS_memfd_create, name, flags));
}

int rondo_os_openat(int directory, const char *path, int flags, unsigned mode)
{
	return (int)os_call(
		syscall(SYS_openat, directory, path, flags | O_CLOEXEC, mode));
}

int rondo_os_open(const char *path, int flags, unsigned mode)
{
	return rondo_os_openat(AT_FDCWD, path, flags, mode);
}

int rondo_os_create(const char *path)
{
	return rondo_os_open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW,
			     0600);
}

/* Whatever it is: neither waits for a pipe's other end, nor becomes our
 * terminal. */
int rondo_os_open_existing(const char *path)
{
	return rondo_os_open(path, O_RDWR | O_NONBLOCK | O_NOCTTY, 0);
}

int rondo_os_close(int fd)
{
	return (int)os_call(syscall(SYS_close, fd));
}

int rondo_os_duplicate(int fd)
{
	return os_call(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

int rondo_os_unlinkat(int directory, const char *path)
{
	return (int)os_call(syscall(SYS_unlinkat, directory, path, 0));
}

int rondo_os_unlink(const char *path)
{
	return rondo_os_unlinkat(AT_FDCWD, path);
}

int rondo_os_mkdir(const char *path, unsigned mode)
{
	return (int)os_call(syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}

int rondo_os_rmdir(const char *path)
{
	return (int)os_call(
		syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR));
}

int rondo_os_rename(int directory, const char *from, const char *to)
{
	return os_call(renameat(directory, from, directory, to));
}

/*
 * Growing a file past RLIMIT_FSIZE is a signal that kills the program, and
 * only then an error. Whoever traces must get the error alone.
 */
bool rondo_os_beyond_file_limit(uint64_t bytes)
{
	struct rlimit limit;

	if (os_call(getrlimit(RLIMIT_FSIZE, &limit)))
		return false;
	return limit.rlim_cur != RLIM_INFINITY && bytes > limit.rlim_cur;
}

static int os_stat(int fd, struct stat *out)
{
	return os_call(fstat(fd, out));
}

int rondo_os_truncate(int fd, uint64_t bytes)
{
	struct stat status;
	int result = os_stat(fd, &status);

	if (result)
		return result;
	if (bytes > INT64_MAX || (bytes > (uint64_t)status.st_size &&
				  rondo_os_beyond_file_limit(bytes)))
		return -EFBIG;
	do
		result = os_call(ftruncate(fd, (off_t)bytes));
	while (result == -EINTR);
	return result;
}

/* A byte in each block, for file systems that cannot reserve. */
static int os_allocate_by_hand(int fd, uint64_t offset, uint64_t bytes)
{
	uint64_t step = 4096, end = offset + bytes;

	for (uint64_t at = offset; at < end; at += step) {
		int64_t written = rondo_os_pwrite(fd, "", 1, at);

		if (written < 0)
			return (int)written;
	}
	return 0;
}

/*
 * In steps: a signal makes fallocate give up and undo what it did, so that one
 * long call might never end in a program with a profiling timer.
 */
int rondo_os_allocate(int fd, uint64_t offset, uint64_t bytes)
{
	const uint64_t step = UINT64_C(4) << 20;

	if (rondo_os_beyond_file_limit(offset + bytes))
		return -EFBIG;
	while (bytes) {
		uint64_t now = bytes < step ? bytes : step;
		int result = (int)os_call(syscall(SYS_fallocate, fd, 0,
						  (off_t)offset, (off_t)now));

		if (result == -EINTR)
			continue;
		if (result == -EOPNOTSUPP || result == -ENOSYS)
			return os_allocate_by_hand(fd, offset, bytes);
		if (result)
			return result;
		offset += now;
		bytes -= now;
	}
	return 0;
}

int rondo_os_seal(int fd)
{
	return os_call(fcntl(fd, F_ADD_SEALS,
			     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
}

int rondo_os_seals(int fd)
{
	return os_call(fcntl(fd, F_GET_SEALS));
}

int rondo_os_sealed(int fd)
{
	const int wanted = F_SEAL_SHRINK | F_SEAL_GROW;
	int seals = rondo_os_seals(fd);
	struct stat status;

	if (seals < 0)
		return -EOPNOTSUPP;
	/* A file of a tmpfs: can never be sealed, and says so by this seal. */
	if (seals == F_SEAL_SEAL && !os_stat(fd, &status) &&
	    status.st_nlink > 0)
		return -EOPNOTSUPP;
	return (seals & wanted) == wanted;
}

int64_t rondo_os_size(int fd)
{
	struct stat status;
	int result = os_stat(fd, &status);

	if (result)
		return result;
	return S_ISREG(status.st_mode) ? status.st_size : -EPROTO;
}

int rondo_os_file_id(int fd, struct rondo_file_id *out)
{
	struct stat status;
	int result = os_stat(fd, &status);

	if (result)
		return result;
	out->device = status.st_dev;
	out->inode = status.st_ino;
	return 0;
}

int64_t rondo_os_write(int fd, const void *data, uint64_t bytes)
{
	return os_call(
		syscall(SYS_write, fd, data, RONDO_TESTPOINT_PART(bytes)));
}

int64_t rondo_os_pwrite(int fd, const void *data, uint64_t bytes,
			uint64_t offset)
{
	if (rondo_os_beyond_file_limit(offset + 1))
		return -EFBIG;
	return os_call(syscall(SYS_pwrite64, fd, data,
			       RONDO_TESTPOINT_PART(bytes), (off_t)offset));
}

int64_t rondo_os_read(int fd, void *data, uint64_t bytes)
{
	return os_call(
		syscall(SYS_read, fd, data, RONDO_TESTPOINT_PART(bytes)));
}

int64_t rondo_os_pread(int fd, void *data, uint64_t bytes, uint64_t offset)
{
	return os_call(syscall(SYS_pread64, fd, data,
			       RONDO_TESTPOINT_PART(bytes), (off_t)offset));
}

/*
 * A pipe that nobody reads, or a file at its limit, is an error here and no
 * signal, which would kill; it comes with a part that was moved, too. What was
 * pending before is somebody else's.
 */
int64_t rondo_os_splice(int from, int64_t *from_offset, int to, uint64_t bytes)
{
	static const int deadly[] = {SIGPIPE, SIGXFSZ};
	const struct timespec at_once = {0, 0};
	sigset_t signals, before, pending;
	int64_t result;

	sigemptyset(&signals);
	for (unsigned i = 0; i < 2; i++)
		sigaddset(&signals, deadly[i]);
	pthread_sigmask(SIG_BLOCK, &signals, &before);
	sigpending(&pending);
	result = os_call(syscall(SYS_splice, from, from_offset, to, NULL,
				 RONDO_TESTPOINT_PART(bytes), 0u));
	for (unsigned i = 0; i < 2; i++)
		if (sigismember(&pending, deadly[i]))
			sigdelset(&signals, deadly[i]);
	if (result != (int64_t)bytes)
		(void)os_call(syscall(SYS_rt_sigtimedwait, &signals, NULL,
				      &at_once, _NSIG / 8));
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result;
}

int rondo_os_pipe(int fds[2])
{
	return (int)os_call(syscall(SYS_pipe2, fds, O_CLOEXEC));
}

bool rondo_os_is_pipe(int fd)
{
	struct stat status;

	return !os_stat(fd, &status) && S_ISFIFO(status.st_mode);
}

int64_t rondo_os_read_file(const char *path, char *out, uint64_t bytes)
{
	uint64_t done = 0;
	int64_t result;
	int fd = rondo_os_open(path, O_RDONLY, 0);

	if (fd < 0)
		return fd;
	do {
		result = rondo_os_read(fd, out + done, bytes - 1 - done);
		if (result > 0)
			done += (uint64_t)result;
	} while (result == -EINTR || (result > 0 && done < bytes - 1));
	rondo_os_close(fd);
	if (result < 0)
		return result;
	out[done] = 0;
	return (int64_t)done;
}

/* ---- memory ---- */

static int os_mmap(void *at, uint64_t bytes, int flags, int fd, uint64_t offset,
		   void **out)
{
	void *got = NULL;
	int result;

	if (bytes > SIZE_MAX)
		return -ENOMEM;
	result = os_call((got = mmap(at, (size_t)bytes, PROT_READ | PROT_WRITE,
				     flags | MAP_NORESERVE, fd,
				     (off_t)offset)) == MAP_FAILED ?
				 -1 :
				 0);
	if (!result)
		*out = got;
	return result;
}

int rondo_os_map(int fd, uint64_t offset, uint64_t bytes, void **out)
{
	return os_mmap(NULL, bytes, MAP_SHARED, fd, offset, out);
}

int rondo_os_map_copy(int fd, uint64_t bytes, void **out)
{
	return os_mmap(NULL, bytes, MAP_PRIVATE | MAP_NORESERVE, fd, 0, out);
}

int rondo_os_map_anonymous(uint64_t bytes, void **out)
{
	return os_mmap(NULL, bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, out);
}

int rondo_os_map_private_over(int fd, void *at, uint64_t bytes)
{
	int flags = MAP_PRIVATE | MAP_FIXED | (fd < 0 ? MAP_ANONYMOUS : 0);
	void *got;

	return os_mmap(at, bytes, flags, fd, 0, &got);
}

int rondo_os_unmap(void *at, uint64_t bytes)
{
	return os_call(munmap(at, (size_t)bytes));
}

int rondo_os_lock(void *at, uint64_t bytes)
{
	return (int)os_call(syscall(SYS_mlock, at, (size_t)bytes));
}

int rondo_os_wipe_on_fork(void *at, uint64_t bytes)
{
	return os_call(madvise(at, (size_t)bytes, MADV_WIPEONFORK));
}

int rondo_os_huge(void *at, uint64_t bytes)
{
	return os_call(madvise(at, (size_t)bytes, MADV_HUGEPAGE));
}

int rondo_os_populate(int fd, void *at, uint64_t bytes)
{
	uint64_t page = rondo_os_page_bytes();
	uint8_t *byte = at;
	int result;

	do
		result = os_call(
			madvise(at, (size_t)bytes, MADV_POPULATE_WRITE));
	while (result == -EINTR || result == -EAGAIN);
	if (result != -EINVAL)
		return result;
	/* Linux before 5.14: room first, or a touch may be a signal; then
	 * writes that change nothing. */
	result = rondo_os_allocate(fd, 0, bytes);
	for (uint64_t offset = 0; !result && offset < bytes; offset += page)
		rondo_add_relaxed(byte + offset, 0);
	return result;
}

uint64_t rondo_os_page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---- sleeping and waking ---- */

static struct timespec os_timespec(int64_t ns)
{
	struct timespec time = {.tv_sec = (time_t)(ns / 1000000000),
				.tv_nsec = (long)(ns % 1000000000)};

	return time;
}

/* Not the private kind: another process may wait on a channel's memory. */
int rondo_os_futex_wait(const uint32_t *word, uint32_t value,
			int64_t timeout_ns)
{
	struct timespec timeout = os_timespec(timeout_ns < 0 ? 0 : timeout_ns);

	return (int)os_call(syscall(SYS_futex, word, FUTEX_WAIT, value,
				    timeout_ns < 0 ? NULL : &timeout, NULL, 0));
}

int rondo_os_futex_wake(const uint32_t *word, uint32_t waiters)
{
	if (waiters > INT_MAX)
		waiters = INT_MAX;
	return (int)os_call(
		syscall(SYS_futex, word, FUTEX_WAKE, waiters, NULL, NULL, 0));
}

int rondo_os_eventfd(void)
{
	return (int)os_call(
		syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK));
}

void rondo_os_sleep_ns(uint64_t ns)
{
	struct timespec time =
		os_timespec(ns > INT64_MAX ? INT64_MAX : (int64_t)ns);

	(void)os_call(syscall(SYS_nanosleep, &time, NULL));
}

static int64_t os_clock_ns(clockid_t clock)
{
	struct timespec time = {0, 0};

	(void)os_call(clock_gettime(clock, &time));
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t rondo_os_monotonic_ns(void)
{
	return os_clock_ns(CLOCK_MONOTONIC);
}

int64_t rondo_os_realtime_ns(void)
{
	return os_clock_ns(CLOCK_REALTIME);
}

/* ---- a lock of one word ---- */

bool rondo_os_try_lock_word(uint32_t *word)
{
	/* pairs(lock) acquire: what its last holder did is seen. */
	return rondo_cas32(word, 0, 1);
}

void rondo_os_lock_word(uint32_t *word)
{
	if (rondo_os_try_lock_word(word))
		return;
	/* pairs(lock) acquire: likewise; 2 also says that somebody sleeps. */
	while (rondo_exchange(word, 2u))
		rondo_os_futex_wait(word, 2, -1);
}

void rondo_os_unlock_word(uint32_t *word)
{
	/* pairs(lock) release: what was done under it, for its next holder. */
	if (rondo_exchange(word, 0u) == 2)
		rondo_os_futex_wake(word, 1);
}

/* ---- this process and machine ---- */

uint32_t rondo_os_pid(void)
{
	return (uint32_t)syscall(SYS_getpid);
}

uint32_t rondo_os_tid(void)
{
	return (uint32_t)syscall(SYS_gettid);
}

/* The command's name may hold anything, so fields count from its last ')'. */
static const char *os_stat_field(const char *stat, int wanted)
{
	const char *at = strrchr(stat, ')');

	for (int field = 2; at && field < wanted; field++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	return at ? at : "";
}

static uint64_t os_stat_number(const char *stat, int field)
{
	const char *at = os_stat_field(stat, field);
	uint64_t value = 0;

	for (; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (uint64_t)(*at - '0');
	return value;
}

uint64_t rondo_os_parse_start(const char *stat)
{
	/* A zombie is no process any more, unless it is a first thread that
	 * has ended before the others. */
	if (*os_stat_field(stat, 3) == 'Z' && os_stat_number(stat, 20) < 2)
		return 0;
	return os_stat_number(stat, 22);
}

static bool os_read_stat(uint32_t pid, char *out, uint64_t bytes)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	return rondo_os_read_file(path, out, bytes) > 0;
}

uint64_t rondo_os_pid_start(uint32_t pid)
{
	char text[1024];

	return os_read_stat(pid, text, sizeof(text)) ?
		       rondo_os_parse_start(text) :
		       0;
}

/*
 * That its file cannot be read does not make a process dead: there may be no
 * descriptor left, no /proc, or one that hides it. Who was taken for dead by
 * mistake would lose records.
 */
bool rondo_os_lives(uint32_t pid, uint32_t start)
{
	char text[1024];
	uint64_t now;

	if (!pid || pid > INT_MAX)
		return false;
	if (!os_read_stat(pid, text, sizeof(text)))
		return os_call(syscall(SYS_kill, (pid_t)pid, 0)) != -ESRCH;
	now = rondo_os_parse_start(text);
	return now && (!start || (uint32_t)now == start);
}

uint32_t rondo_os_parse_cpu_ids(const char *list)
{
	uint32_t highest = 0, id;

	do {
		if (*list < '0' || *list > '9')
			return 0;
		for (id = 0; *list >= '0' && *list <= '9'; list++) {
			id = id * 10 + (uint32_t)(*list - '0');
			if (id > UINT16_MAX)
				return 0;
		}
		if (id >= highest)
			highest = id + 1;
	} while ((*list == ',' || *list == '-') && list++);
	return *list == 0 || *list == '\n' ? highest : 0;
}

uint32_t rondo_os_cpu_ids(void)
{
	char list[1024];
	uint32_t ids = 0;
	long configured;

	if (rondo_os_read_file("/sys/devices/system/cpu/possible", list,
			       sizeof(list)) > 0)
		ids = rondo_os_parse_cpu_ids(list);
	if (ids)
		return ids;
	configured = os_call(sysconf(_SC_NPROCESSORS_CONF));
	return configured > 0 ? (uint32_t)configured : 1;
}

static int os_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void rondo_os_boot_id(uint8_t out[16])
{
	char text[64] = "";
	unsigned digits = 0;

	memset(out, 0, 16);
	rondo_os_read_file("/proc/sys/kernel/random/boot_id", text,
			   sizeof(text));
	for (const char *at = text; *at && digits < 32; at++) {
		int value = os_hex(*at);

		if (value < 0)
			continue;
		out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | value);
		digits++;
	}
}

/* Unpredictable where the kernel can; at least different where it cannot. */
void rondo_os_random(void *out, size_t bytes)
{
	const unsigned nonblock = 1; /* GRND_NONBLOCK */
	uint64_t state = (uint64_t)rondo_os_realtime_ns() ^
			 (uint64_t)rondo_os_tid() << 40 ^
			 (uint64_t)(uintptr_t)out;
	uint8_t *to = out;

	if (os_call(syscall(SYS_getrandom, out, bytes, nonblock)) ==
	    (long)bytes)
		return;
	for (size_t i = 0; i < bytes; i++) {
		state = state * UINT64_C(6364136223846793005) +
			UINT64_C(1442695040888963407);
		to[i] = (uint8_t)(state >> 56);
	}
}

static void os_copy_string(char *out, size_t bytes, const char *text)
{
	size_t length = strnlen(text, bytes - 1);

	memcpy(out, text, length);
	memset(out + length, 0, bytes - length);
}

void rondo_os_host_name(char *out, size_t bytes)
{
	struct utsname name;

	memset(&name, 0, sizeof(name));
	(void)os_call(uname(&name));
	os_copy_string(out, bytes, name.nodename);
}

void rondo_os_process_name(char *out, size_t bytes)
{
	char name[64] = "";

	rondo_os_read_file("/proc/self/comm", name, sizeof(name));
	name[strcspn(name, "\n")] = 0;
	os_copy_string(out, bytes, name);
}

uint32_t rondo_os_threads(void)
{
	struct stat status;
	int result = os_call(stat("/proc/self/task", &status));

	/* A folder has a link for itself, its parent's, and each in it. */
	return result || status.st_nlink < 3 ? 0 :
					       (uint32_t)status.st_nlink - 2;
}

bool rondo_os_environment_is(const char *name, const char *value)
{
	const char *found = getenv(name);

	return found && strcmp(found, value) == 0;
}

/* ---- rseq ---- */

static unsigned long os_auxiliary(unsigned long type)
{
	int saved = errno;
	unsigned long value = getauxval(type);

	errno = saved;
	return value;
}

/* What the kernel says in the thread's area: a CPU, or negative: no rseq. */
static int32_t os_rseq_cpu(void)
{
	if (!&__rseq_size || !&__rseq_offset || !__rseq_size)
		return -1;
	return (int32_t)rondo_thread_id(__rseq_offset + RONDO_RSEQ_CPU_ID);
}

void rondo_os_rseq(struct rondo_os_rseq *out)
{
	memset(out, 0, sizeof(*out));
	if (&__rseq_offset)
		out->offset = __rseq_offset;
	out->registered = os_rseq_cpu() >= 0;
	out->concurrency_ids = out->registered &&
			       os_auxiliary(AT_RSEQ_FEATURE_SIZE) >=
				       RONDO_OS_RSEQ_WITH_MM_CID;
}

static int os_membarrier(int command, unsigned flags, int cpu)
{
	return (int)os_call(syscall(SYS_membarrier, command, flags, cpu));
}

int rondo_os_fence_register(void)
{
	int result = os_membarrier(
		MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0);

	if (result)
		return result;
	/* A filter may let the one pass and not the other. */
	result = rondo_os_fence(0);
	return result ? result : rondo_os_fence(-1);
}

int rondo_os_fence(int cpu)
{
	if (cpu < 0)
		return os_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0,
				     0);
	return os_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
			     MEMBARRIER_CMD_FLAG_CPU, cpu);
}

#if defined(__x86_64__)
/* The kernel's own page answers; without it (valgrind) it is a system call. */
static int os_cpu_of_vdso(void)
{
	static uint32_t known; /* 0 not yet, 1 no page, 2 page */
	uint32_t state = rondo_load_relaxed(&known);

	if (!state) {
		state = os_auxiliary(AT_SYSINFO_EHDR) ? 2 : 1;
		rondo_store_relaxed(&known, state);
	}
	return state == 2 ? os_call(sched_getcpu()) : -1;
}
#else
static int os_cpu_of_vdso(void)
{
	return -1;
}
#endif

int rondo_os_cpu_cheap(void)
{
	int32_t cpu = os_rseq_cpu();

	if (cpu < 0)
		cpu = os_cpu_of_vdso();
	return cpu < 0 ? -1 : cpu;
}

int rondo_os_pin(int cpu)
{
	unsigned char mask[8192];

	if (cpu < 0 || (size_t)cpu >= sizeof(mask) * 8)
		return -EINVAL;
	memset(mask, 0, sizeof(mask));
	mask[cpu / 8] = (unsigned char)(1u << (cpu % 8));
	return os_call(sched_setaffinity(0, sizeof(mask),
					 (const cpu_set_t *)(void *)mask));
}

/* The kernel says how many bytes of the mask it knows. */
int rondo_os_affinity(struct rondo_os_affinity *out)
{
	int64_t bytes = os_call(syscall(SYS_sched_getaffinity, 0,
					sizeof(out->mask), out->mask));

	if (bytes < 0)
		return (int)bytes;
	out->bytes = bytes;
	return 0;
}

int rondo_os_set_affinity(const struct rondo_os_affinity *affinity)
{
	return (int)os_call(syscall(SYS_sched_setaffinity, 0,
				    (size_t)affinity->bytes, affinity->mask));
}

/* ---- what writers of traces need ---- */

int rondo_os_move_up(int fd)
{
	struct rlimit limit;
	int lowest = 512, moved;

	if (fd < 0)
		return fd;
	if (!os_call(getrlimit(RLIMIT_NOFILE, &limit)) &&
	    limit.rlim_cur / 2 < (rlim_t)lowest)
		lowest = (int)(limit.rlim_cur / 2);
	moved = os_call(fcntl(fd, F_DUPFD_CLOEXEC, lowest));
	if (moved < 0)
		return fd;
	rondo_os_close(fd);
	return moved;
}

int rondo_os_make_absolute(const char *path, char **out)
{
	char directory[PATH_MAX];
	size_t bytes = strlen(path) + 1, before = 0;
	char *absolute;
	long result;

	if (bytes == 1)
		return -ENOENT;
	if (path[0] != '/') {
		result = os_call(
			syscall(SYS_getcwd, directory, sizeof(directory)));
		if (result < 0)
			return (int)result;
		/* Not below this process's root: "(unreachable)/...". */
		if (directory[0] != '/')
			return -ENOENT;
		before = strlen(directory);
		directory[before++] = '/';
	}
	absolute = malloc(before + bytes);
	if (!absolute)
		return -ENOMEM;
	memcpy(absolute, directory, before);
	memcpy(absolute + before, path, bytes);
	*out = absolute;
	return 0;
}

/* 1: an entry; 0: there are no more. */
static int os_read_entry(DIR *stream, struct dirent64 **out)
{
	int saved = errno;

	errno = 0;
	*out = readdir64(stream);
	if (!*out && errno)
		return -1;
	errno = saved;
	return *out != NULL;
}

int rondo_os_is_empty(const char *directory)
{
	DIR *stream = NULL;
	struct dirent64 *entry = NULL;
	int empty = 1, result;

	result = os_call((stream = opendir(directory)) ? 0 : -1);
	if (result)
		return result;
	while (empty && (result = os_call(os_read_entry(stream, &entry))) > 0)
		empty = !strcmp(entry->d_name, ".") ||
			!strcmp(entry->d_name, "..");
	(void)os_call(closedir(stream));
	return result < 0 ? result : empty;
}

int rondo_os_thread_start(const char *name, void *(*run)(void *),
			  void *argument, pthread_t *out)
{
	sigset_t all, before;
	int result;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	result = os_error(pthread_create(out, NULL, run, argument));
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!result)
		pthread_setname_np(*out, name);
	return result;
}

int rondo_os_thread_join(pthread_t thread)
{
	return os_error(pthread_join(thread, NULL));
}
