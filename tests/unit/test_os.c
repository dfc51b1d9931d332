/* SPDX-License-Identifier: MIT */
/*
 * The system calls: their results, errno, cancellation, interruption; locks of
 * one word; what is read from /proc and /sys.
 */
#include "support/test.h"
#include "support/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <rondo/detail/atomics.h>
#include <rondo/detail/machine.h>

#include "os.h"

static void a_list_of_cpus_gives_the_highest_and_one(void **state)
{
	static const struct {
		const char *list;
		uint32_t ids;
	} cases[] = {
		{"0", 1},
		{"0\n", 1},
		{"0-3\n", 4},
		{"0-3,8,10-11\n", 12},
		{"0,128", 129},
		{"10-11,0-3", 12}, /* whatever the order */
		{"0-255,1024-1535\n", 1536},
		{"65535", 65536},
		{"65536", 0},
		{"99999999999999999999", 0},
		{"", 0},
		{"\n", 0},
		{"-1", 0},
		{"3-", 0},
		{"1,,2", 0},
		{"0-3 ", 0},
		{"all", 0},
	};

	(void)state;
	for (size_t i = 0; i < TEST_COUNT(cases); i++)
		assert_int_equal(rondo_os_parse_cpu_ids(cases[i].list),
				 cases[i].ids);
	assert_true(rondo_os_cpu_ids() >= 1);
	assert_true(rondo_os_cpu_ids() >=
		    (uint32_t)sysconf(_SC_NPROCESSORS_ONLN));
}

static void a_command_may_be_named_like_its_own_fields(void **state)
{
	(void)state;
	assert_int_equal(rondo_os_parse_start(
				 "7 (a) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 "
				 "0 20 0 1 0 12345 2 3"),
			 12345);
	assert_int_equal(rondo_os_parse_start(
				 "7 (a) b (c 1 2) S 1 7 7 0 -1 4194560 1 0 "
				 "0 0 0 0 0 0 20 0 1 0 678 2 3"),
			 678);
	assert_int_equal(rondo_os_parse_start("7 (a) S 1 7 7"), 0);
	assert_int_equal(rondo_os_parse_start("7 a S 1"), 0);
	assert_int_equal(rondo_os_parse_start(""), 0);
}

static void a_process_has_a_start_and_others_have_none(void **state)
{
	uint64_t own = rondo_os_pid_start(rondo_os_pid());

	(void)state;
	assert_true(own > 0);
	assert_int_equal(rondo_os_pid_start(rondo_os_pid()), own);
	assert_int_equal(rondo_os_pid_start(0x7fffffff), 0);
}

/* No file can be opened: what is left is whether it is there. */
static int look_without_descriptors(void *argument)
{
	const struct rlimit none = {0, 0};
	const uint32_t parent = *(uint32_t *)argument;

	TEST_CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
	TEST_CHILD_CHECK(rondo_os_pid_start(parent) == 0);
	TEST_CHILD_CHECK(rondo_os_lives(parent, 1));
	TEST_CHILD_CHECK(!rondo_os_lives(0x7fffffff, 1));
	return 0;
}

static void a_process_lives_when_it_cannot_be_looked_at(void **state)
{
	uint32_t own = rondo_os_pid();
	uint32_t start = (uint32_t)rondo_os_pid_start(own);

	(void)state;
	assert_true(rondo_os_lives(own, start));
	assert_true(rondo_os_lives(own, 0));
	assert_false(rondo_os_lives(own, start + 1));
	assert_false(rondo_os_lives(0, 0));
	assert_false(rondo_os_lives(0x7fffffff, 0));
	assert_false(rondo_os_lives(UINT32_MAX, 0));
	if (!test_is_emulated())
		assert_int_equal(test_in_child(look_without_descriptors, &own),
				 0);
}

static void a_failure_is_returned_and_errno_stays(void **state)
{
	char text[8];
	void *at;
	int64_t offset = 0;
	struct rondo_file_id id;
	uint32_t word = 1;

	(void)state;
	errno = 1234;
	assert_int_equal(rondo_os_close(-1), -EBADF);
	assert_int_equal(rondo_os_duplicate(-1), -EBADF);
	assert_int_equal(rondo_os_open("/nowhere/at/all", O_RDONLY, 0),
			 -ENOENT);
	assert_int_equal(rondo_os_unlink("/nowhere/at/all"), -ENOENT);
	assert_int_equal(rondo_os_mkdir("/nowhere/at/all", 0700), -ENOENT);
	assert_int_equal(rondo_os_rename(AT_FDCWD, "/nowhere/a", "/nowhere/b"),
			 -ENOENT);
	assert_int_equal(rondo_os_truncate(-1, 1), -EBADF);
	assert_int_equal(rondo_os_allocate(-1, 0, 1), -EBADF);
	assert_int_equal(rondo_os_seal(-1), -EBADF);
	assert_int_equal(rondo_os_seals(-1), -EBADF);
	assert_int_equal(rondo_os_size(-1), -EBADF);
	assert_int_equal(rondo_os_file_id(-1, &id), -EBADF);
	assert_int_equal(rondo_os_write(-1, "", 1), -EBADF);
	assert_int_equal(rondo_os_pwrite(-1, "", 1, 0), -EBADF);
	assert_int_equal(rondo_os_read(-1, text, 1), -EBADF);
	assert_int_equal(rondo_os_pread(-1, text, 1, 0), -EBADF);
	assert_int_equal(rondo_os_splice(-1, &offset, -1, 1), -EBADF);
	assert_int_equal(rondo_os_read_file("/nowhere/at/all", text, 8),
			 -ENOENT);
	assert_int_equal(rondo_os_map(-1, 0, 4096, &at), -EBADF);
	assert_int_equal(rondo_os_unmap(&text[1], 4096), -EINVAL);
	assert_int_equal(rondo_os_futex_wait(&word, 2, -1), -EAGAIN);
	assert_int_equal(rondo_os_futex_wait(&word, 1, 0), -ETIMEDOUT);
	assert_int_equal(rondo_os_pin(-1), -EINVAL);
	assert_false(rondo_os_is_pipe(-1));
	assert_int_equal(errno, 1234);
}

static void a_small_file_is_read_to_its_end_or_ours(void **state)
{
	const char *path = "/proc/sys/kernel/random/boot_id";
	char whole[256], part[4];
	int64_t bytes = rondo_os_read_file(path, whole, sizeof(whole));

	(void)state;
	assert_int_equal(bytes, 37);
	assert_int_equal(whole[bytes], 0);
	assert_int_equal(rondo_os_read_file(path, part, sizeof(part)), 3);
	assert_int_equal(part[3], 0);
	assert_memory_equal(part, whole, 3);
}

/* Its frame is gone before the cancellation: sanitizers watch frames. */
static __attribute__((noinline)) int call_everything(void)
{
	int fds[2];
	char byte = 0;
	uint32_t word = 0;

	rondo_os_pipe(fds);
	rondo_os_write(fds[1], "x", 1);
	rondo_os_read(fds[0], &byte, 1);
	rondo_os_close(fds[0]);
	rondo_os_close(fds[1]);
	rondo_os_close(rondo_os_open("/proc/self/comm", O_RDONLY, 0));
	rondo_os_sleep_ns(1);
	rondo_os_futex_wait(&word, 0, 1);
	rondo_os_futex_wake(&word, 1);
	rondo_os_fence(-1);
	return byte;
}

/* Cancelled before it begins; says how far it got. */
static void *call_cancelled(void *argument)
{
	pthread_cancel(pthread_self());
	*(int *)argument = call_everything();
	pthread_testcancel();
	*(int *)argument = -1;
	return NULL;
}

static void no_call_is_a_cancellation_point(void **state)
{
	pthread_t thread;
	void *result;
	int got = 0;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, call_cancelled, &got),
			 0);
	pthread_join(thread, &result);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(got, 'x');
}

/* ---- locks ---- */

#define LOCK_ROUNDS 5000

static struct {
	uint32_t lock;
	uint64_t plain;
} counted;

static void *count_under_lock(void *argument)
{
	for (int i = 0; i < LOCK_ROUNDS; i++) {
		rondo_os_lock_word(&counted.lock);
		counted.plain++;
		rondo_os_unlock_word(&counted.lock);
	}
	return argument;
}

static void a_lock_excludes_and_wakes_who_sleeps_on_it(void **state)
{
	pthread_t threads[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						count_under_lock, NULL),
				 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(counted.plain, 3 * LOCK_ROUNDS);
	assert_int_equal(counted.lock, 0);
}

static void a_taken_lock_is_refused_to_who_cannot_wait(void **state)
{
	uint32_t lock = 0;

	(void)state;
	assert_true(rondo_os_try_lock_word(&lock));
	assert_false(rondo_os_try_lock_word(&lock));
	rondo_os_unlock_word(&lock);
	assert_true(rondo_os_try_lock_word(&lock));
	rondo_os_unlock_word(&lock);
	assert_int_equal(lock, 0);
}

/* ---- memory ---- */

static void what_is_private_from_now_on_is_seen_by_nobody_else(void **state)
{
	uint64_t bytes = rondo_os_page_bytes();
	int fd = rondo_os_memfd("test");
	void *one, *other;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(rondo_os_truncate(fd, bytes), 0);
	assert_int_equal(rondo_os_map(fd, 0, bytes, &one), 0);
	assert_int_equal(rondo_os_map(fd, 0, bytes, &other), 0);
	strcpy(one, "both");
	assert_string_equal(other, "both");
	assert_int_equal(rondo_os_map_private_over(fd, one, bytes), 0);
	assert_string_equal(one, "both");
	strcpy(one, "mine");
	assert_string_equal(other, "both");
	assert_int_equal(rondo_os_map_private_over(-1, one, bytes), 0);
	assert_string_equal(one, "");
	assert_string_equal(other, "both");
	rondo_os_unmap(one, bytes);
	rondo_os_unmap(other, bytes);
	rondo_os_close(fd);
}

static void what_is_populated_is_resident_and_unchanged(void **state)
{
	uint64_t page = rondo_os_page_bytes(), bytes = 64 * page;
	int fd = rondo_os_memfd("test");
	unsigned char resident[64];
	void *at;

	(void)state;
	assert_int_equal(rondo_os_truncate(fd, bytes), 0);
	assert_int_equal(rondo_os_map(fd, 0, bytes, &at), 0);
	strcpy(at, "text");
	assert_int_equal(rondo_os_populate(fd, at, bytes), 0);
	assert_string_equal(at, "text");
	assert_int_equal(mincore(at, bytes, resident), 0);
	for (int i = 0; i < 64 && !test_is_emulated(); i++)
		assert_true(resident[i] & 1);
	rondo_os_unmap(at, bytes);
	rondo_os_close(fd);
}

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

static bool is_executable(int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	return status.st_mode & 0111;
}

static int make_on_an_old_kernel(void *argument)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING |
			       MFD_NOEXEC_SEAL;

	(void)argument;
	if (test_refuse(SYS_memfd_create, 1, flags, EINVAL))
		return TEST_CHILD_SKIP;
	return rondo_os_memfd("test") < 0;
}

static void a_memfd_is_not_executable_where_that_can_be(void **state)
{
	int fd = rondo_os_memfd("test");
	int other = memfd_create("test", MFD_NOEXEC_SEAL);

	(void)state;
	assert_int_equal(is_executable(fd), other < 0);
	if (other >= 0)
		close(other);
	rondo_os_close(fd);
	if (!test_is_emulated())
		assert_int_equal(test_in_child(make_on_an_old_kernel, NULL), 0);
}

static void only_a_sealed_memfd_says_that_it_is(void **state)
{
	static const int partial[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL};
	char folder[256], path[300];
	int fd = rondo_os_memfd("test");

	(void)state;
	assert_int_equal(rondo_os_sealed(fd), 0);
	assert_int_equal(rondo_os_seal(fd), 0);
	assert_int_equal(rondo_os_sealed(fd), 1);
	assert_int_equal(rondo_os_truncate(fd, 4096), -EPERM);
	rondo_os_close(fd);
	for (size_t i = 0; i < TEST_COUNT(partial); i++) {
		fd = rondo_os_memfd("test");
		assert_int_equal(fcntl(fd, F_ADD_SEALS, partial[i]), 0);
		assert_int_equal(rondo_os_sealed(fd), 0);
		rondo_os_close(fd);
	}
	assert_int_equal(test_directory(folder, sizeof(folder)), 0);
	snprintf(path, sizeof(path), "%s/file", folder);
	fd = rondo_os_create(path);
	assert_true(fd >= 0);
	assert_int_equal(rondo_os_sealed(fd), -EOPNOTSUPP);
	assert_int_equal(rondo_os_create(path), -EEXIST);
	rondo_os_close(fd);
	unlink(path);
	rmdir(folder);
	/* A tmpfs, where there is one. */
	strcpy(path, "/dev/shm/test-XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return;
	assert_int_equal(rondo_os_sealed(fd), -EOPNOTSUPP);
	unlink(path);
	close(fd);
}

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
/* fallocate(2) as kernels have it that give up at any signal: interrupted the
 * first times. The sixth argument, which it has not, lets it through. */
#define LET_THROUGH 0x5afe
#define INTERRUPTIONS 3

static int interruptions;

static void answer_fallocate(int signal, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)signal, (void)info;
	if (interruptions++ < INTERRUPTIONS)
		registers[REG_RAX] = -EINTR;
	else
		registers[REG_RAX] = syscall(
			SYS_fallocate, registers[REG_RDI], registers[REG_RSI],
			registers[REG_RDX], registers[REG_R10], 0, LET_THROUGH);
}

static int trap_fallocate(void)
{
	struct sigaction action = {.sa_sigaction = answer_fallocate,
				   .sa_flags = SA_SIGINFO | SA_NODEFER};
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fallocate, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args[5])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LET_THROUGH, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {TEST_COUNT(filter), filter};

	sigaction(SIGSYS, &action, NULL);
	if (test_is_emulated() || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int allocate_interrupted(void *argument)
{
	const uint64_t bytes = UINT64_C(10) << 20;
	int fd = rondo_os_memfd("test");
	struct stat status;

	(void)argument;
	TEST_CHILD_CHECK(!rondo_os_truncate(fd, bytes));
	if (trap_fallocate())
		return TEST_CHILD_SKIP;
	TEST_CHILD_CHECK(!rondo_os_allocate(fd, 0, bytes));
	TEST_CHILD_CHECK(interruptions > INTERRUPTIONS);
	TEST_CHILD_CHECK(!fstat(fd, &status));
	TEST_CHILD_CHECK((uint64_t)status.st_blocks * 512 == bytes);
	return 0;
}
#else
static int allocate_interrupted(void *argument)
{
	return argument ? 1 : TEST_CHILD_SKIP;
}
#endif

static void an_interrupted_allocation_goes_on(void **state)
{
	int status = test_in_child(allocate_interrupted, NULL);

	(void)state;
	if (status == TEST_CHILD_SKIP)
		skip();
	assert_int_equal(status, 0);
}

/* ---- refused ---- */

static void in_a_child_that_may_skip(int (*what)(void *))
{
	int status = test_in_child(what, NULL);

	if (status == TEST_CHILD_SKIP)
		skip();
	assert_int_equal(status, 0);
}

static int populate_by_hand(void *argument)
{
	const uint64_t bytes = 16 * rondo_os_page_bytes();
	int fd = rondo_os_memfd("test");
	struct stat status;
	void *at;

	(void)argument;
	TEST_CHILD_CHECK(!rondo_os_truncate(fd, bytes));
	TEST_CHILD_CHECK(!rondo_os_map(fd, 0, bytes, &at));
	strcpy(at, "text");
	if (test_refuse(SYS_madvise, -1, 0, EINVAL))
		return TEST_CHILD_SKIP;
	TEST_CHILD_CHECK(!rondo_os_populate(fd, at, bytes));
	TEST_CHILD_CHECK(!strcmp(at, "text"));
	TEST_CHILD_CHECK(!fstat(fd, &status));
	TEST_CHILD_CHECK((uint64_t)status.st_blocks * 512 == bytes);
	return 0;
}

static void an_old_kernel_populates_by_being_written_to(void **state)
{
	(void)state;
	in_a_child_that_may_skip(populate_by_hand);
}

static int allocate_without_room(void *argument)
{
	int fd = rondo_os_memfd("test");

	(void)argument;
	TEST_CHILD_CHECK(!rondo_os_truncate(fd, 16384));
	if (test_refuse(SYS_fallocate, -1, 0, EOPNOTSUPP) ||
	    test_refuse(SYS_pwrite64, -1, 0, ENOSPC))
		return TEST_CHILD_SKIP;
	TEST_CHILD_CHECK(rondo_os_allocate(fd, 0, 16384) == -ENOSPC);
	return 0;
}

static void without_fallocate_a_full_disk_is_found_too(void **state)
{
	(void)state;
	in_a_child_that_may_skip(allocate_without_room);
}

static int use_what_is_not_random(void *argument)
{
	static const char none[64];
	char bytes[2][64];

	(void)argument;
	if (test_refuse(SYS_getrandom, -1, 0, ENOSYS))
		return TEST_CHILD_SKIP;
	rondo_os_random(bytes[0], 64);
	rondo_os_random(bytes[1], 64);
	TEST_CHILD_CHECK(memcmp(bytes[0], bytes[1], 64));
	TEST_CHILD_CHECK(memcmp(bytes[0], none, 64));
	return 0;
}

static void without_getrandom_two_names_differ_still(void **state)
{
	(void)state;
	in_a_child_that_may_skip(use_what_is_not_random);
}

static int ask_for_limits_in_vain(void *argument)
{
	struct rlimit few;
	struct rondo_os_affinity affinity;
	int fd;

	(void)argument;
	TEST_CHILD_CHECK(rondo_os_move_up(-ENOENT) == -ENOENT);
	TEST_CHILD_CHECK(!getrlimit(RLIMIT_NOFILE, &few));
	few.rlim_cur = 60;
	TEST_CHILD_CHECK(!setrlimit(RLIMIT_NOFILE, &few));
	fd = rondo_os_move_up(rondo_os_memfd("test"));
	TEST_CHILD_CHECK(fd >= 30 && fd < 60);
	if (test_refuse(SYS_prlimit64, -1, 0, EPERM) ||
	    test_refuse(SYS_fcntl, 1, F_DUPFD_CLOEXEC, EMFILE) ||
	    test_refuse(SYS_sched_getaffinity, -1, 0, EPERM))
		return TEST_CHILD_SKIP;
	TEST_CHILD_CHECK(rondo_os_move_up(fd) == fd);
	TEST_CHILD_CHECK(!rondo_os_beyond_file_limit(UINT64_MAX));
	TEST_CHILD_CHECK(rondo_os_affinity(&affinity) == -EPERM);
	return 0;
}

static void limits_that_are_not_told_stop_nobody(void **state)
{
	(void)state;
	in_a_child_that_may_skip(ask_for_limits_in_vain);
}

static int lose_the_directory(void *argument)
{
	char folder[256], *out = NULL;

	(void)argument;
	TEST_CHILD_CHECK(!test_directory(folder, sizeof(folder)));
	TEST_CHILD_CHECK(!chdir(folder) && !rmdir(folder));
	TEST_CHILD_CHECK(rondo_os_make_absolute("a", &out) == -ENOENT);
	TEST_CHILD_CHECK(rondo_os_make_absolute("", &out) == -ENOENT);
	TEST_CHILD_CHECK(!out);
	return 0;
}

static int leave_the_root(void *argument)
{
	int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result;
	char folder[256], *out = NULL;
	bool is_away;

	(void)argument;
	TEST_CHILD_CHECK(!test_directory(folder, sizeof(folder)));
	/* Who is not root may be, in a space of its own. */
	is_away = !chroot(folder) ||
		  (!unshare(CLONE_NEWUSER) && !chroot(folder));
	result = rondo_os_make_absolute("a", &out);
	TEST_CHILD_CHECK(!is_away || (!fchdir(root) && !chroot(".")));
	rmdir(folder);
	if (!is_away)
		return TEST_CHILD_SKIP;
	TEST_CHILD_CHECK(result == -ENOENT);
	TEST_CHILD_CHECK(!out);
	return 0;
}

static void a_path_in_no_directory_is_no_path(void **state)
{
	(void)state;
	assert_int_equal(test_in_child(lose_the_directory, NULL), 0);
	in_a_child_that_may_skip(leave_the_root);
}

static void a_folder_is_no_small_file(void **state)
{
	char text[8];

	(void)state;
	assert_int_equal(rondo_os_read_file("/", text, sizeof(text)), -EISDIR);
}

static void as_many_are_woken_as_there_can_be(void **state)
{
	uint32_t word = 0;

	(void)state;
	assert_int_equal(rondo_os_futex_wake(&word, UINT32_MAX), 0);
}

/* Growing past the limit would be SIGXFSZ, which kills. */
static int grow_past_the_limit(void *argument)
{
	const struct rlimit limit = {8192, 8192};
	int fd = rondo_os_memfd("test");

	(void)argument;
	TEST_CHILD_CHECK(!rondo_os_truncate(fd, 16384));
	TEST_CHILD_CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
	TEST_CHILD_CHECK(rondo_os_truncate(fd, 20000) == -EFBIG);
	TEST_CHILD_CHECK(rondo_os_truncate(fd, UINT64_MAX) == -EFBIG);
	TEST_CHILD_CHECK(rondo_os_allocate(fd, 8192, 4096) == -EFBIG);
	TEST_CHILD_CHECK(rondo_os_pwrite(fd, "x", 1, 8192) == -EFBIG);
	TEST_CHILD_CHECK(rondo_os_pwrite(fd, "x", 1, 8191) == 1);
	TEST_CHILD_CHECK(rondo_os_truncate(fd, 12000) == 0); /* it shrinks */
	TEST_CHILD_CHECK(rondo_os_size(fd) == 12000);
	return 0;
}

static void a_file_limit_is_an_error_and_no_signal(void **state)
{
	(void)state;
	assert_int_equal(test_in_child(grow_past_the_limit, NULL), 0);
}

/* ---- process and machine ---- */

static void names_are_cut_to_their_room_and_padded(void **state)
{
	char name[64], small[4], bytes[2][64];

	(void)state;
	memset(name, 0x55, sizeof(name));
	rondo_os_process_name(name, sizeof(name));
	assert_true(name[0] && !strchr(name, '\n'));
	assert_int_equal(name[63], 0);
	rondo_os_host_name(small, sizeof(small));
	assert_true(strlen(small) <= 3);
	rondo_os_random(bytes[0], 64);
	rondo_os_random(bytes[1], 64);
	assert_memory_not_equal(bytes[0], bytes[1], 64);
}

static void the_boot_has_a_name_that_stays(void **state)
{
	uint8_t one[16], two[16], none[16] = {0};

	(void)state;
	rondo_os_boot_id(one);
	rondo_os_boot_id(two);
	assert_memory_equal(one, two, 16);
	assert_memory_not_equal(one, none, 16);
}

static void *do_nothing(void *argument)
{
	rondo_os_lock_word(argument);
	rondo_os_unlock_word(argument);
	return NULL;
}

/* Who was joined may be counted for a while: then it is done again. */
static void threads_are_counted(void **state)
{
	uint32_t lock = 0, before, now;
	int tries = 1000;

	(void)state;
	do {
		pthread_t thread;

		before = rondo_os_threads();
		assert_true(before >= 1);
		rondo_os_lock_word(&lock);
		assert_int_equal(
			pthread_create(&thread, NULL, do_nothing, &lock), 0);
		now = rondo_os_threads();
		rondo_os_unlock_word(&lock);
		pthread_join(thread, NULL);
	} while (now != before + 1 && --tries);
	assert_int_equal(now, before + 1);
}

static void an_environment_variable_is_compared_whole(void **state)
{
	(void)state;
	setenv("RONDO_TEST_VARIABLE", "0", 1);
	assert_true(rondo_os_environment_is("RONDO_TEST_VARIABLE", "0"));
	assert_false(rondo_os_environment_is("RONDO_TEST_VARIABLE", "01"));
	assert_false(rondo_os_environment_is("RONDO_TEST_VARIABLE", ""));
	unsetenv("RONDO_TEST_VARIABLE");
	assert_false(rondo_os_environment_is("RONDO_TEST_VARIABLE", "0"));
}

/* ---- rseq ---- */

static void a_registered_thread_has_an_area_with_its_cpu(void **state)
{
	struct rondo_os_rseq rseq;
	int cpu;

	(void)state;
	rondo_os_rseq(&rseq);
	if (!rseq.registered) {
		assert_false(rseq.concurrency_ids);
		return;
	}
	assert_int_not_equal(rseq.offset, 0);
	assert_true(rondo_thread_id(rseq.offset + 4) < rondo_os_cpu_ids());
	if (rseq.concurrency_ids)
		assert_true(rondo_thread_id(rseq.offset + 24) <
			    rondo_os_cpu_ids());
	cpu = rondo_os_cpu_cheap();
	assert_true(cpu >= 0 && (uint32_t)cpu < rondo_os_cpu_ids());
}

/* Pinned by pin; says whether the cheap way agrees with the kernel's. */
static void *pin_and_look(void *argument)
{
	cpu_set_t allowed;
	int agrees = 1;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		if (rondo_os_pin(cpu) || sched_getcpu() != cpu)
			agrees = 0;
		if (rondo_os_cpu_cheap() >= 0 && rondo_os_cpu_cheap() != cpu)
			agrees = 0;
	}
	*(int *)argument = agrees;
	return NULL;
}

static void a_pinned_thread_is_where_it_was_put(void **state)
{
	pthread_t thread;
	int agrees = 0;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, pin_and_look, &agrees),
			 0);
	pthread_join(thread, NULL);
	assert_true(agrees);
}

static void fences_work_once_they_are_registered(void **state)
{
	int result = rondo_os_fence_register();

	(void)state;
	errno = 1234;
	if (result) { /* an old kernel, a filter, an emulator */
		assert_true(result < 0);
		return;
	}
	assert_int_equal(rondo_os_fence(-1), 0);
	assert_int_equal(rondo_os_fence(0), 0);
	assert_int_equal(errno, 1234);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_of_cpus_gives_the_highest_and_one),
		cmocka_unit_test(a_command_may_be_named_like_its_own_fields),
		cmocka_unit_test(a_process_has_a_start_and_others_have_none),
		cmocka_unit_test(a_process_lives_when_it_cannot_be_looked_at),
		cmocka_unit_test(a_failure_is_returned_and_errno_stays),
		cmocka_unit_test(a_small_file_is_read_to_its_end_or_ours),
		cmocka_unit_test(no_call_is_a_cancellation_point),
		cmocka_unit_test(a_lock_excludes_and_wakes_who_sleeps_on_it),
		cmocka_unit_test(a_taken_lock_is_refused_to_who_cannot_wait),
		cmocka_unit_test(
			what_is_private_from_now_on_is_seen_by_nobody_else),
		cmocka_unit_test(what_is_populated_is_resident_and_unchanged),
		cmocka_unit_test(a_memfd_is_not_executable_where_that_can_be),
		cmocka_unit_test(only_a_sealed_memfd_says_that_it_is),
		cmocka_unit_test(an_interrupted_allocation_goes_on),
		cmocka_unit_test(an_old_kernel_populates_by_being_written_to),
		cmocka_unit_test(without_fallocate_a_full_disk_is_found_too),
		cmocka_unit_test(without_getrandom_two_names_differ_still),
		cmocka_unit_test(limits_that_are_not_told_stop_nobody),
		cmocka_unit_test(a_path_in_no_directory_is_no_path),
		cmocka_unit_test(a_folder_is_no_small_file),
		cmocka_unit_test(as_many_are_woken_as_there_can_be),
		cmocka_unit_test(a_file_limit_is_an_error_and_no_signal),
		cmocka_unit_test(names_are_cut_to_their_room_and_padded),
		cmocka_unit_test(the_boot_has_a_name_that_stays),
		cmocka_unit_test(threads_are_counted),
		cmocka_unit_test(an_environment_variable_is_compared_whole),
		cmocka_unit_test(a_registered_thread_has_an_area_with_its_cpu),
		cmocka_unit_test(a_pinned_thread_is_where_it_was_put),
		cmocka_unit_test(fences_work_once_they_are_registered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
