/* SPDX-License-Identifier: MIT */
/*
 * For programs whose coverage is measured: what they counted is written when
 * they leave in a way that atexit handlers do not hear of. Linked with
 * --wrap=_exit and --wrap=kill.
 */
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

void __gcov_dump(void);

void __real__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));
int __real_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number);

void __wrap__exit(int status)
{
	__gcov_dump();
	__real__exit(status);
}

/* SIGKILL for oneself. */
int __wrap_kill(pid_t pid, int number)
{
	if (pid == getpid() && number == SIGKILL)
		__gcov_dump();
	return __real_kill(pid, number);
}
