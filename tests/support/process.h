/* SPDX-License-Identifier: MIT */
/*
 * What a process holds, counted; and things that are better done in a child.
 */
#ifndef RONDO_TESTS_SUPPORT_PROCESS_H
#define RONDO_TESTS_SUPPORT_PROCESS_H

#include <dirent.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child's way to say that this machine cannot do what is tested. */
#define TEST_CHILD_SKIP 77

/* A child that hangs is a failure, not a wait. Ends nothing else, however slow
 * the machine and whatever it runs under. */
#define TEST_HANG_SECONDS 240

/* What the kernel holds for this process. Same function, same error. */
struct test_holdings {
	int descriptors;
	int shared_maps; /* of memfds */
	int maps;
};

static inline int test_count_lines(const char *path, const char *with)
{
	char line[512];
	FILE *file = fopen(path, "r");
	int count = 0;

	while (file && fgets(line, sizeof(line), file))
		count += strstr(line, with) != NULL;
	if (file)
		fclose(file);
	return count;
}

static inline struct test_holdings test_holdings(void)
{
	struct test_holdings now = {0, 0, 0};
	DIR *directory = opendir("/proc/self/fd");

	while (directory && readdir(directory))
		now.descriptors++;
	if (directory)
		closedir(directory);
	now.shared_maps = test_count_lines("/proc/self/maps", "memfd:");
	now.maps = test_count_lines("/proc/self/maps", "\n");
	return now;
}

/* A new empty folder, its path in out; 0, or -1. */
static inline int test_directory(char *out, size_t bytes)
{
	const char *top = getenv("TMPDIR");

	snprintf(out, bytes, "%s/rondo-test-XXXXXX", top ? top : P_tmpdir);
	return mkdtemp(out) ? 0 : -1;
}

/* Exit status of a child that does this; -1 when it died otherwise. */
static inline int test_in_child(int (*what)(void *), void *argument)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGALRM, SIG_DFL);
		alarm(TEST_HANG_SECONDS);
		_exit(what(argument));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/*
 * Under valgrind or qemu, which have no vDSO: advice about memory is ignored,
 * threads of their own are counted, calls are not the ones that were made.
 */
static inline bool test_is_emulated(void)
{
	return !getauxval(AT_SYSINFO_EHDR);
}

/*
 * From now on, in this process and its children, the kernel answers this call
 * with this error; argument 0 to 5 must equal value, negative: whatever they
 * are. -1: that cannot be here.
 */
static inline int test_refuse(long call, int argument, unsigned value,
			      unsigned error)
{
	const unsigned arguments = offsetof(struct seccomp_data, args);
	const unsigned checked =
		arguments + 8 * (unsigned)(argument < 0 ? 0 : argument);
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, checked),
		BPF_JUMP(BPF_JMP | (argument < 0 ? BPF_JGE : BPF_JEQ) | BPF_K,
			 argument < 0 ? 0 : value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]),
				     filter};

	if (test_is_emulated() || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static inline void test_handle_nothing(int signal)
{
	(void)signal;
}

/* From now on a signal comes every millisecond, and does nothing; or no more.
 * The handler stays: one may be on its way. */
static inline void test_interrupt(bool often)
{
	const struct sigaction action = {.sa_handler = test_handle_nothing};
	const struct itimerval each = {{0, 1000}, {0, 1000}};
	const struct itimerval never = {{0, 0}, {0, 0}};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, often ? &each : &never, NULL);
}

/* In such a child: the first thing that is wrong, by its line. */
#define TEST_CHILD_CHECK(condition)                                        \
	do {                                                               \
		if (!(condition)) {                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, \
				#condition);                               \
			return 1;                                          \
		}                                                          \
	} while (0)

#endif
