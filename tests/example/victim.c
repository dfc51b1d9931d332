/* SPDX-License-Identifier: MIT */
/*
 * A program whose calls of malloc and its kin are known: what is counted has a
 * size that nothing else asks for. victim MODE; exit status 0 when all of the
 * program's own expectations held.
 */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "victim.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

extern char **environ;
static char *self; /* absolute path of this program */

static int wait_for(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		return 1;
	return !WIFEXITED(status) || WEXITSTATUS(status);
}

/* --- one thread --- */

static int every_function(void)
{
	void *block;

	sink = malloc(20001);
	free(sink);
	sink = calloc(3, 20002);
	sink = realloc(sink, 20003);
	sink = realloc(sink, 400);
	sink = reallocarray(sink, 5, 20004);
	free(sink);
	sink = realloc(NULL, 20005);
	free(sink);
	sink = aligned_alloc(64, 20032);
	free(sink);
	if (posix_memalign(&block, 128, 20006))
		return 1;
	free(block);
	sink = memalign(32, 20007);
	free(sink);
	sink = valloc(20008);
	free(sink);
	sink = pvalloc(20009);
	free(sink);
	free(NULL);
	return 0;
}

static int failing(void)
{
	volatile size_t much = SIZE_MAX / 2;
	void *block = (void *)&much;

	if (malloc(much) || errno != ENOMEM)
		return 1;
	sink = malloc(20010);
	if (realloc(sink, much) || calloc(much, 4) ||
	    reallocarray(sink, much, 4))
		return 2;
	free(sink);
	if (posix_memalign(&block, 3, 20011) != EINVAL || block != &much)
		return 3;
	return 0;
}

static int keeps_errno(void)
{
	int i;

	for (i = 0; i < 20000; i++) {
		errno = 77;
		sink = malloc(20012);
		if (errno != 77)
			return 1;
		sink = realloc(sink, 40012);
		if (errno != 77)
			return 2;
		free(sink);
		if (errno != 77)
			return 3;
	}
	return 0;
}

/* Work of which nothing depends on the environment. */
static int plain(void)
{
	void *blocks[64] = {NULL};
	uint32_t random = 12345;
	int i;

	for (i = 0; i < 20000; i++) {
		size_t at = random % LENGTH(blocks);

		random = random * 1664525 + 1013904223;
		if (random >> 30 == 0) {
			free(blocks[at]);
			blocks[at] = NULL;
		} else if (random >> 30 == 1) {
			free(blocks[at]);
			blocks[at] = calloc(1 + random % 7, 30);
		} else {
			blocks[at] = realloc(blocks[at], 1 + random % 3000);
		}
	}
	return 0;
}

/* --- handlers --- */

static volatile sig_atomic_t handled;

static void allocating_handler(int signal_number)
{
	(void)signal_number;
	allocate(20020, 3);
	handled++;
}

/* At a safe point: malloc itself is never interrupted. */
static int handler(void)
{
	int i;

	signal(SIGUSR1, allocating_handler);
	for (i = 0; i < 500; i++) {
		allocate(20021, 1);
		raise(SIGUSR1);
	}
	return handled != 500;
}

/* --- threads --- */

#define SHARED 32
static void *shared[SHARED];

static void *exchange(void *argument)
{
	uint32_t random = (uint32_t)(uintptr_t)argument;
	int i;

	for (i = 0; i < 20000; i++) {
		void *block;

		random = random * 1664525 + 1013904223;
		if (random >> 31)
			block = malloc(1 + random % 60);
		else
			block = realloc(malloc(20), 1 + random % 2048);
		/* Most are freed by a thread that did not allocate them. */
		block = __atomic_exchange_n(&shared[(random >> 16) % SHARED],
					    block, __ATOMIC_ACQ_REL);
		if (random & 256)
			block = realloc(block, 100);
		free(block);
	}
	return NULL;
}

/* Between any two instructions another thread may have its turn. */
static void yielding_handler(int signal_number)
{
	(void)signal_number;
	sched_yield();
}

static int threads(void)
{
	const struct sigaction action = {
		.sa_handler = yielding_handler,
		.sa_flags = SA_RESTART,
	};
	const struct itimerval often = {{0, 100}, {0, 100}};
	const struct itimerval never = {{0, 0}, {0, 0}};
	pthread_t all[4];
	uintptr_t i;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (i = 0; i < LENGTH(all); i++)
		if (pthread_create(&all[i], NULL, exchange, (void *)(i + 1)))
			return 1;
	for (i = 0; i < LENGTH(all); i++)
		pthread_join(all[i], NULL);
	setitimer(ITIMER_REAL, &never, NULL);
	return 0;
}

/* --- processes --- */

static int forking(void)
{
	pid_t child;
	int i;

	allocate(20030, 10);
	for (i = 0; i < 3; i++) {
		child = fork();
		if (child == 0) {
			/* The trace begins here; nobody may notice. */
			errno = 77;
			allocate(20031, 20);
			exit(errno != 77);
		}
		if (wait_for(child))
			return 1;
	}
	allocate(20030, 10);
	return 0;
}

/* Not at full speed: for that the writer's share of a busy machine may be too
 * small. */
static void *keep_allocating(void *stop)
{
	while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED)) {
		void *block = malloc(100000);

		if (block)
			memset(block, 1, 100000);
		sink = block;
		free(block);
	}
	return NULL;
}

/* Children of a process whose other threads allocate at that moment. */
static int forking_threads(void)
{
	pthread_t busy;
	int stop = 0, i, failed = 0;

	if (pthread_create(&busy, NULL, keep_allocating, &stop))
		return 1;
	for (i = 0; i < 20; i++) {
		pid_t child = fork();

		if (child == 0) {
			allocate(20033, 20);
			exit(0);
		}
		failed |= wait_for(child);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(busy, NULL);
	return failed;
}

/* As long as this runs, the thread holds a lock of the loader's. */
static int hold(struct dl_phdr_info *info, size_t bytes, void *barrier)
{
	(void)info;
	(void)bytes;
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	return 1;
}

static void *hold_loader(void *barrier)
{
	dl_iterate_phdr(hold, barrier);
	return NULL;
}

static int forking_while_loading(void)
{
	pthread_barrier_t barrier;
	pthread_t loading;
	pid_t child;
	int failed;

	if (pthread_barrier_init(&barrier, NULL, 2) ||
	    pthread_create(&loading, NULL, hold_loader, &barrier))
		return 1;
	pthread_barrier_wait(&barrier);
	child = fork();
	if (child == 0) {
		allocate(20036, 10);
		child = fork();
		if (child == 0) {
			allocate(20037, 10);
			_exit(0);
		}
		_exit(wait_for(child));
	}
	failed = wait_for(child);
	pthread_barrier_wait(&barrier);
	pthread_join(loading, NULL);
	return failed;
}

static int borrowed_value;

static int vforking(void)
{
	pid_t child;
	int i;

	allocate(20040, 10);
	for (i = 0; i < 100; i++) {
		child = vfork();
		if (child == 0) {
			borrowed_value++; /* the parent's own */
			_exit(0);
		}
		if (wait_for(child))
			return 1;
	}
	if (borrowed_value != 100)
		return 2;
	child = vfork();
	if (child == 0) {
		execl(self, self, "child", (char *)NULL);
		_exit(1);
	}
	if (wait_for(child))
		return 3;
	allocate(20040, 10);
	return 0;
}

/* What POSIX forbids and people do. */
static int vforking_and_allocating(void)
{
	pid_t child = vfork();

	if (child == 0) {
		allocate(20041, 7);
		_exit(0);
	}
	allocate(20042, 1);
	return wait_for(child);
}

static int spawning(void)
{
	char *const arguments[] = {self, (char *)(uintptr_t) "child", NULL};
	pid_t child;

	allocate(20050, 10);
	if (posix_spawn(&child, self, NULL, NULL, arguments, environ))
		return 1;
	if (wait_for(child))
		return 2;
	if (posix_spawnp(&child, "/nonexistent/x", NULL, NULL, arguments,
			 environ) != ENOENT)
		return 3;
	allocate(20050, 10);
	return 0;
}

static int child(void)
{
	allocate(20060, 5);
	return 0;
}

static int executing(void)
{
	allocate(20061, 10);
	errno = 0;
	if (execl("/nonexistent/a", "a", (char *)NULL) != -1 ||
	    errno != ENOENT || execlp("/nonexistent/b", "b", "c", NULL) != -1)
		return 1;
	allocate(20061, 10);
	execle(self, self, "child", (char *)NULL, environ);
	return 2;
}

/* The same program under the same name and process id. */
static int executing_itself(void)
{
	char *const arguments[] = {self, (char *)(uintptr_t) "child", NULL};

	allocate(20061, 10);
	execv(self, arguments);
	return 2;
}

static int daemonizing(void)
{
	allocate(20062, 10);
	if (daemon(1, 1))
		return 1;
	allocate(20063, 10);
	return 0;
}

static int closing_all(void)
{
	int fd;

	allocate(20070, 10);
	for (fd = 3; fd < 1024; fd++)
		close(fd);
	/* Whoever opens next gets the numbers that were the tracer's. */
	for (fd = 3; fd < 20; fd++)
		if (open("/dev/zero", O_WRONLY) < 0)
			return 1;
	allocate(20070, 100000);
	return 0;
}

/* --- ends --- */

static int exiting_now(void)
{
	allocate(20080, 10);
	_exit(0);
}

static void quick_handler(void)
{
	allocate(20080, 5);
}

static int exiting_quickly(void)
{
	at_quick_exit(quick_handler);
	allocate(20080, 5);
	quick_exit(0);
}

static int aborting(void)
{
	allocate(20080, 10);
	abort();
}

static int killed(void)
{
	allocate(20080, 300000);
	raise(SIGKILL);
	return 1;
}

static void *outlive_main(void *main_thread)
{
	pthread_join(*(pthread_t *)main_thread, NULL);
	allocate(20083, 10);
	return NULL;
}

static void exit_handler(void)
{
	allocate(20081, 5);
}

/* The victim's library allocates in its constructor and destructor. */
static int exiting(void)
{
	atexit(exit_handler);
	allocate(20080, 10);
	return 0;
}

/* The process ends with its last thread, which is not the main one. */
static int start_one_that_outlives_main(void)
{
	static pthread_t main_thread;
	pthread_t other;

	main_thread = pthread_self();
	atexit(exit_handler);
	if (pthread_create(&other, NULL, outlive_main, &main_thread))
		return 1;
	pthread_detach(other);
	allocate(20080, 10);
	return 0;
}

static int main_thread_exits_first(void)
{
	if (start_one_that_outlives_main())
		return 1;
	pthread_exit(NULL);
}

static int main_thread_is_cancelled(void)
{
	if (start_one_that_outlives_main() || pthread_cancel(pthread_self()))
		return 1;
	for (;;)
		pause();
}

/* Refused to a process with several threads. EPERM: the machine
 * lets nobody do it. */
static int unsharing(void)
{
	allocate(20084, 10);
	if (unshare(CLONE_NEWUSER) && errno == EINVAL)
		return 1;
	allocate(20084, 100000);
	return 0;
}

/* Another root, where its trace is not. 77: the user may not. */
static int changing_root(void)
{
	if (chroot("/proc"))
		return 77;
	allocate(20085, 10);
	return 0;
}

/* --- little stack --- */

/* The least that a thread may have, or a handler has had for decades. */
static int on_little_stack(void *(*function)(void *argument))
{
	pthread_attr_t attributes;
	pthread_t thread;
	void *result;

	if (pthread_attr_init(&attributes) ||
	    pthread_attr_setstacksize(&attributes, 16384) ||
	    pthread_create(&thread, &attributes, function, NULL) ||
	    pthread_join(thread, &result))
		return 1;
	return result != NULL;
}

static void *fork_and_exit(void *unused)
{
	pid_t child = fork();

	if (child == 0) {
		allocate(20034, 10);
		exit(0);
	}
	return wait_for(child) ? &self : unused;
}

static void last_handler(int signal_number)
{
	(void)signal_number;
	allocate(20035, 10);
	_exit(0);
}

static int little_stack(void)
{
	const struct sigaction action = {
		.sa_handler = last_handler,
		.sa_flags = SA_ONSTACK,
	};
	static char room[8192];
	const stack_t stack = {.ss_sp = room, .ss_size = sizeof(room)};

	if (on_little_stack(fork_and_exit) || sigaltstack(&stack, NULL) ||
	    sigaction(SIGUSR1, &action, NULL))
		return 1;
	raise(SIGUSR1);
	return 2;
}

static const struct {
	const char *name;
	int (*run)(void);
} modes[] = {
	{"every_function", every_function},
	{"failing", failing},
	{"keeps_errno", keeps_errno},
	{"plain", plain},
	{"handler", handler},
	{"threads", threads},
	{"forking", forking},
	{"forking_threads", forking_threads},
	{"forking_while_loading", forking_while_loading},
	{"vforking", vforking},
	{"vforking_and_allocating", vforking_and_allocating},
	{"spawning", spawning},
	{"child", child},
	{"executing", executing},
	{"executing_itself", executing_itself},
	{"daemonizing", daemonizing},
	{"closing_all", closing_all},
	{"exiting_now", exiting_now},
	{"exiting_quickly", exiting_quickly},
	{"aborting", aborting},
	{"killed", killed},
	{"exiting", exiting},
	{"main_thread_exits_first", main_thread_exits_first},
	{"main_thread_is_cancelled", main_thread_is_cancelled},
	{"unsharing", unsharing},
	{"changing_root", changing_root},
	{"little_stack", little_stack},
};

int main(int count, char **arguments)
{
	size_t i;

	/* At most 4 KiB, and no block of its own. */
	static char path[4096];

	if (count != 2 || !realpath("/proc/self/exe", path))
		return 100;
	self = path;
	for (i = 0; i < LENGTH(modes); i++)
		if (!strcmp(modes[i].name, arguments[1]))
			return modes[i].run();
	return 101;
}
