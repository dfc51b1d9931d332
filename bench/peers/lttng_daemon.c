/* SPDX-License-Identifier: MIT */
/*
 * The session daemon and the program below it: lttng_enter of lttng.h.
 *
 * As root the daemon's sockets are at fixed paths below /run, and it shares
 * memory with applications by a file in /dev/shm; both become empty file
 * systems that only this program and its children see.
 */
#include "lttng_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "lttng.h"

/* Set for the program below: why there is no daemon, or "". */
#define MARK "RONDO_BENCH_LTTNG"
#define READY_SECONDS 10

static char home[64];
static char reason[160];
static pid_t daemon_process;

const char *lttng_home(void)
{
	return getenv("LTTNG_HOME");
}

const char *lttng_missing(void)
{
	const char *mark = getenv(MARK);

	if (!mark)
		return "not entered";
	return *mark ? mark : NULL;
}

static bool fail(const char *what)
{
	snprintf(reason, sizeof(reason), "%s: %s", what, strerror(errno));
	return false;
}

static bool find_commands(void)
{
	static const char *const needed[][2] = {
		{"lttng-sessiond", "lttng-tools"},
		{"lttng", "lttng-tools"},
		{"babeltrace2", "babeltrace2"},
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (command_exists(needed[i][0]))
			continue;
		snprintf(reason, sizeof(reason), "no %s (Debian package %s)",
			 needed[i][0], needed[i][1]);
		return false;
	}
	return true;
}

static bool hide_the_system(void)
{
	if (geteuid() != 0)
		return true;
	if (unshare(CLONE_NEWNS))
		return fail("no mount namespace of our own");
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/run", "tmpfs", 0, "mode=755") ||
	    mount("none", "/dev/shm", "tmpfs", 0, "mode=1777"))
		return fail("mount");
	if (mkdir("/run/lttng", 0755))
		return fail("/run/lttng");
	return true;
}

static bool make_home(void)
{
	snprintf(home, sizeof(home), "%s/bench-lttng-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(home)) {
		*home = '\0';
		return fail("no directory for the session daemon");
	}
	setenv("LTTNG_HOME", home, 1);
	setenv("LTTNG_UST_ALLOW_BLOCKING", "1", 1);
	return true;
}

static bool wait_until_ready(const sigset_t *signals)
{
	const struct timespec limit = {.tv_sec = READY_SECONDS};
	int number;

	do
		number = sigtimedwait(signals, NULL, &limit);
	while (number < 0 && errno == EINTR);
	if (number == SIGUSR1)
		return true;
	snprintf(reason, sizeof(reason), "lttng-sessiond does not start");
	return false;
}

static bool start_daemon(const sigset_t *signals)
{
	const char *argv[] = {"lttng-sessiond", "--no-kernel", "--sig-parent",
			      NULL};
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	daemon_process = command_start(argv, null);
	close(null);
	if (daemon_process < 0)
		return fail("lttng-sessiond");
	return wait_until_ready(signals);
}

static void stop_daemon(void)
{
	if (daemon_process > 0) {
		kill(daemon_process, SIGTERM);
		command_wait(daemon_process);
	}
	if (*home)
		command_remove(home);
}

/* Until it ends; what would end this program is passed on to it. */
static int wait_below(pid_t below, const sigset_t *signals)
{
	int number, status;

	while (waitpid(below, &status, WNOHANG) == 0) {
		number = sigwaitinfo(signals, NULL);
		if (number == SIGINT || number == SIGTERM)
			kill(below, number);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int run_below(char **argv, const sigset_t *signals)
{
	char path[512];
	ssize_t bytes = readlink("/proc/self/exe", path, sizeof(path) - 1);
	pid_t below;

	if (bytes < 0)
		return bench_fail("/proc/self/exe: %s", strerror(errno));
	path[bytes] = '\0';
	argv[0] = path;
	setenv(MARK, "", 1);
	fflush(stdout);
	below = command_start((const char *const *)argv, STDOUT_FILENO);
	if (below < 0)
		return bench_fail("%s: %s", path, strerror(errno));
	return wait_below(below, signals);
}

int lttng_enter(char **argv)
{
	sigset_t signals, before;
	int status = -1;

	if (getenv(MARK))
		return -1;
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, &before);
	if (find_commands() && hide_the_system() && make_home() &&
	    start_daemon(&signals))
		status = run_below(argv, &signals);
	else
		setenv(MARK, reason, 1);
	stop_daemon();
	sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}
