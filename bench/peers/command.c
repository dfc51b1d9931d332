/* SPDX-License-Identifier: MIT */
/*
 * See command.h.
 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../harness.h"

bool command_exists(const char *name)
{
	const char *path = getenv("PATH");
	char file[512];

	while (path && *path) {
		const size_t bytes = strcspn(path, ":");

		snprintf(file, sizeof(file), "%.*s/%s", (int)bytes, path, name);
		if (access(file, X_OK) == 0)
			return true;
		path += bytes + (path[bytes] == ':');
	}
	return false;
}

static void become(const char *const *argv, int output)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	bench_pin(-1);
	if (output != STDOUT_FILENO) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDERR_FILENO);
		dup2(output, STDOUT_FILENO);
	}
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

pid_t command_start(const char *const *argv, int output)
{
	pid_t process = fork();

	if (process == 0)
		become(argv, output);
	return process;
}

int command_wait(pid_t process)
{
	int status;

	while (waitpid(process, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int command_run(const char *const *argv, const char *output)
{
	int file =
		open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	pid_t process = file < 0 ? -1 : command_start(argv, file);

	if (file >= 0)
		close(file);
	return process < 0 ? 1 : command_wait(process);
}

FILE *command_read(const char *const *argv, pid_t *out_process)
{
	int ends[2];
	FILE *stream;

	if (pipe2(ends, O_CLOEXEC))
		return NULL;
	*out_process = command_start(argv, ends[1]);
	close(ends[1]);
	stream = fdopen(ends[0], "r");
	if (stream && *out_process > 0)
		return stream;
	close(ends[0]);
	if (*out_process > 0)
		command_wait(*out_process);
	return NULL;
}

static int remove_entry(const char *path, const struct stat *stat, int type,
			struct FTW *where)
{
	(void)stat;
	(void)type;
	(void)where;
	remove(path);
	return 0;
}

void command_remove(const char *directory)
{
	nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
