/* SPDX-License-Identifier: MIT */
/*
 * Ways out of a process, and ways to borrow its memory, that alloc_trace must
 * know of. What the C library calls within itself cannot be interposed: so
 * daemon and the whole exec family are here, and of a process that is killed,
 * or aborts inside the C library, the last 100 ms may be missing.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "session.h"

/* --- the end --- */

EXPORTED void _exit(int status)
{
	session_finish();
	if (real_known() && real.exit_now)
		real.exit_now(status);
	__builtin_trap();
}

EXPORTED void _Exit(int status)
{
	_exit(status);
}

/* A handler of SIGABRT may jump out of it: then recording goes on. */
EXPORTED void abort(void)
{
	struct sigaction action;

	session_park();
	if (sigaction(SIGABRT, NULL, &action) || action.sa_handler != SIG_DFL)
		session_resume();
	if (real_known() && real.abort)
		real.abort();
	__builtin_trap();
}

/* The parent ends inside of it. */
EXPORTED int daemon(int keep_directory, int keep_files)
{
	int result;

	session_park();
	result = real.daemon(keep_directory, keep_files);
	session_resume();
	return result;
}

/* --- what a process may do that has one thread only --- */

EXPORTED int unshare(int flags)
{
	int result;

	session_park();
	result = real.unshare(flags);
	session_resume();
	return result;
}

EXPORTED int setns(int fd, int kind)
{
	int result;

	session_park();
	result = real.setns(fd, kind);
	session_resume();
	return result;
}

/* --- another program --- */

EXPORTED int execve(const char *path, char *const arguments[],
		    char *const environment[])
{
	session_park();
	real.execve(path, arguments, environment);
	session_resume();
	return -1;
}

EXPORTED int execv(const char *path, char *const arguments[])
{
	session_park();
	real.execv(path, arguments);
	session_resume();
	return -1;
}

EXPORTED int execvp(const char *file, char *const arguments[])
{
	session_park();
	real.execvp(file, arguments);
	session_resume();
	return -1;
}

EXPORTED int execvpe(const char *file, char *const arguments[],
		     char *const environment[])
{
	session_park();
	real.execvpe(file, arguments, environment);
	session_resume();
	return -1;
}

EXPORTED int fexecve(int fd, char *const arguments[], char *const environment[])
{
	session_park();
	real.fexecve(fd, arguments, environment);
	session_resume();
	return -1;
}

EXPORTED int execveat(int directory, const char *path, char *const arguments[],
		      char *const environment[], int flags)
{
	session_park();
	real.execveat(directory, path, arguments, environment, flags);
	session_resume();
	return -1;
}

/* Arguments up to and with the null that ends them. */
static size_t count_arguments(va_list list)
{
	size_t count = 2;

	while (va_arg(list, char *))
		count++;
	return count;
}

static void copy_arguments(char **out, const char *first, va_list list)
{
	*out++ = (char *)(uintptr_t)first;
	do
		*out = va_arg(list, char *);
	while (*out++);
}

/*
 * These are called in children of vfork: the list lies on the stack, for what
 * such a child allocates its parent never frees.
 */
EXPORTED int execl(const char *path, const char *first, ...)
{
	va_list list;
	size_t count;

	va_start(list, first);
	count = count_arguments(list);
	va_end(list);

	char **arguments = __builtin_alloca(count * sizeof(*arguments));

	va_start(list, first);
	copy_arguments(arguments, first, list);
	va_end(list);
	return execv(path, arguments);
}

EXPORTED int execlp(const char *file, const char *first, ...)
{
	va_list list;
	size_t count;

	va_start(list, first);
	count = count_arguments(list);
	va_end(list);

	char **arguments = __builtin_alloca(count * sizeof(*arguments));

	va_start(list, first);
	copy_arguments(arguments, first, list);
	va_end(list);
	return execvp(file, arguments);
}

EXPORTED int execle(const char *path, const char *first, ...)
{
	char *const *environment;
	va_list list;
	size_t count;

	va_start(list, first);
	count = count_arguments(list);
	va_end(list);

	char **arguments = __builtin_alloca(count * sizeof(*arguments));

	va_start(list, first);
	copy_arguments(arguments, first, list);
	environment = va_arg(list, char *const *);
	va_end(list);
	return execve(path, arguments, environment);
}

/* --- children on our memory --- */

EXPORTED int posix_spawn(pid_t *out, const char *path,
			 const posix_spawn_file_actions_t *actions,
			 const posix_spawnattr_t *attributes,
			 char *const arguments[], char *const environment[])
{
	int result;

	session_suspect();
	result = real.posix_spawn(out, path, actions, attributes, arguments,
				  environment);
	session_trust();
	return result;
}

EXPORTED int posix_spawnp(pid_t *out, const char *file,
			  const posix_spawn_file_actions_t *actions,
			  const posix_spawnattr_t *attributes,
			  char *const arguments[], char *const environment[])
{
	int result;

	session_suspect();
	result = real.posix_spawnp(out, file, actions, attributes, arguments,
				   environment);
	session_trust();
	return result;
}

/* What vfork does in parent and child once it has returned, in this order. */
__attribute__((used)) pid_t vfork_returned(long result);
__attribute__((used)) pid_t vfork_returned(long result)
{
	if (result == 0)
		return 0;
	session_trust();
	if (result < 0) {
		errno = (int)-result;
		return -1;
	}
	return (pid_t)result;
}

__attribute__((used)) void vfork_begins(void);
__attribute__((used)) void vfork_begins(void)
{
	session_suspect();
}

/*
 * No C function can call vfork for its caller: it would return twice through
 * one frame. The return address is kept in a register (or the link register),
 * of which parent and child have their own, while the child uses the stack.
 */
#if defined(__x86_64__)
__asm__(".text\n"
	".globl vfork\n"
	".type vfork, @function\n"
	"vfork:\n\t"
	".cfi_startproc\n\t"
	"sub $8, %rsp\n\t"
	".cfi_adjust_cfa_offset 8\n\t"
	"call vfork_begins\n\t"
	"add $8, %rsp\n\t"
	".cfi_adjust_cfa_offset -8\n\t"
	"pop %rdi\n\t"
	".cfi_adjust_cfa_offset -8\n\t"
	".cfi_register %rip, %rdi\n\t"
	"mov $58, %eax\n\t"
	"syscall\n\t"
	"push %rdi\n\t"
	".cfi_adjust_cfa_offset 8\n\t"
	".cfi_rel_offset %rip, 0\n\t"
	"mov %rax, %rdi\n\t"
	"jmp vfork_returned\n\t"
	".cfi_endproc\n\t"
	".size vfork, . - vfork\n");
#elif defined(__aarch64__)
__asm__(".text\n"
	".globl vfork\n"
	".type vfork, %function\n"
	"vfork:\n\t"
	"stp x29, x30, [sp, #-16]!\n\t"
	"bl vfork_begins\n\t"
	"ldp x29, x30, [sp], #16\n\t"
	"mov x0, #0x4111\n\t" /* CLONE_VM | CLONE_VFORK | SIGCHLD */
	"mov x1, #0\n\t"
	"mov x2, #0\n\t"
	"mov x3, #0\n\t"
	"mov x4, #0\n\t"
	"mov x8, #220\n\t" /* clone */
	"svc #0\n\t"
	"b vfork_returned\n\t"
	".size vfork, . - vfork\n");
#else
/* A child with memory of its own is what POSIX lets vfork be. */
EXPORTED pid_t vfork(void)
{
	return fork();
}
#endif
