/* SPDX-License-Identifier: MIT */
/*
 * The table, and a reader of the comments above public functions.
 */
#include "errors.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX (1u << 18)
#define DEPTH_MAX 4

/* Files: what any call that looks up a path may say. */
#define PATH_ERRORS \
	EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EPERM, EROFS, EIO

static const struct call_errors table[] = {
	{"memfd_create", NULL, 0, NULL, {EINVAL, EMFILE, ENFILE, ENOMEM}},
	{"openat",
	 "open(2)",
	 0,
	 NULL,
	 {PATH_ERRORS, EDQUOT, EEXIST, EINTR, EISDIR, EMFILE, ENFILE, ENODEV,
	  ENOSPC, ENXIO, EOVERFLOW, ETXTBSY, EBUSY}},
	{"close", NULL, true, NULL, {EINTR, EIO, ENOSPC, EDQUOT}},
	{"fcntl F_DUPFD_CLOEXEC", "fcntl(2)", 0, NULL, {EMFILE, EINVAL}},
	{"fcntl F_ADD_SEALS", "fcntl(2)", 0, NULL, {EBUSY, EINVAL, EPERM}},
	{"fcntl F_GET_SEALS", NULL, 0, NULL, {EINVAL}},
	{"unlinkat", NULL, 0, NULL, {PATH_ERRORS, EBUSY, EISDIR}},
	{"mkdirat", "mkdir(2)", 0, NULL, {PATH_ERRORS, EDQUOT, EMLINK, ENOSPC}},
	{"renameat",
	 "rename(2)",
	 0,
	 NULL,
	 {PATH_ERRORS, EBUSY, EDQUOT, EINVAL, EISDIR, EMLINK, ENOSPC, EXDEV}},
	{"ftruncate",
	 "ftruncate(2)",
	 0,
	 NULL,
	 {EINTR, EINVAL, EFBIG, EIO, EPERM, ETXTBSY}},
	{"fallocate",
	 "fallocate(2)",
	 0,
	 NULL,
	 {EFBIG, EINTR, EINVAL, EIO, ENODEV, ENOSPC, ENOSYS, EOPNOTSUPP, EPERM,
	  ESPIPE, ETXTBSY}},
	{"fstat", "fstat(2)", 0, NULL, {ENOMEM, EOVERFLOW}},
	{"stat", NULL, 0, NULL, {EACCES, ENOENT, ENOMEM}},
	{"write",
	 "write(2)",
	 0,
	 NULL,
	 {EDQUOT, EFBIG, EINTR, EIO, ENOSPC, EPERM, EPIPE, EAGAIN}},
	{"pwrite64",
	 "write(2)",
	 0,
	 NULL,
	 {EDQUOT, EFBIG, EINTR, EIO, ENOSPC, EPERM}},
	{"read", NULL, 0, NULL, {EAGAIN, EINTR, EIO, EISDIR}},
	{"pread64", "read(2)", 0, NULL, {EINTR, EIO, EISDIR, EOVERFLOW}},
	{"splice",
	 "splice(2)",
	 0,
	 NULL,
	 {EAGAIN, EFBIG, EINTR, EINVAL, EIO, ENOMEM, ENOSPC, EPIPE, ESPIPE}},
	{"pipe2", "pipe(2)", 0, NULL, {EMFILE, ENFILE}},
	{"mmap",
	 "mmap(2)",
	 0,
	 NULL,
	 {EACCES, EAGAIN, ENFILE, ENODEV, ENOMEM, EOVERFLOW, EPERM}},
	{"munmap", NULL, 0, "whole mappings are given back, never parts", {0}},
	{"mlock", NULL, 0, NULL, {EAGAIN, EINVAL, ENOMEM, EPERM}},
	{"madvise MADV_WIPEONFORK", NULL, 0, NULL, {EINVAL}},
	{"madvise MADV_HUGEPAGE", NULL, 0, NULL, {EINVAL, EAGAIN, ENOMEM}},
	{"madvise MADV_POPULATE_WRITE",
	 "madvise(2)",
	 0,
	 NULL,
	 {EAGAIN, EFAULT, EHWPOISON, EINTR, EINVAL, ENOMEM}},
	{"futex FUTEX_WAIT", NULL, 0, NULL, {EAGAIN, EINTR, ENOSYS, ETIMEDOUT}},
	{"futex FUTEX_WAKE", NULL, true, NULL, {ENOSYS}},
	{"rt_sigtimedwait", NULL, 0, NULL, {EAGAIN, EINTR}},
	{"eventfd2", NULL, 0, NULL, {EMFILE, ENFILE, ENODEV, ENOMEM}},
	{"nanosleep", NULL, 0, NULL, {EINTR}},
	{"clock_gettime", NULL, 0, "clocks that every kernel has", {0}},
	{"sysconf", NULL, 0, "its answer is not an error's", {0}},
	{"getrlimit", NULL, 0, "a limit that every kernel has", {0}},
	{"uname", NULL, 0, "a pointer that is right", {0}},
	{"getrandom", NULL, 0, NULL, {EAGAIN, EINTR, ENOSYS}},
	{"membarrier", "membarrier(2)", 0, NULL, {EINVAL, ENOSYS, EPERM}},
	{"kill", NULL, 0, NULL, {EPERM}},
	{"sched_getcpu", NULL, 0, NULL, {ENOSYS}},
	{"sched_setaffinity", NULL, 0, NULL, {EINVAL, EPERM}},
	{"sched_getaffinity", NULL, 0, NULL, {EINVAL}},
	{"getcwd",
	 "getcwd(2)",
	 0,
	 NULL,
	 {EACCES, ENAMETOOLONG, ENOENT, ENOMEM, ERANGE}},
	{"opendir",
	 "opendir(3)",
	 0,
	 NULL,
	 {EACCES, EMFILE, ENFILE, ENOENT, ENOMEM, ENOTDIR}},
	{"os_read_entry", "readdir(3)", 0, NULL, {EIO, ENOENT}},
	{"closedir", NULL, 0, "a stream that is open", {0}},
	{"pthread_create", "pthread_create(3)", 0, NULL, {EAGAIN, EPERM}},
	{"pthread_join", NULL, 0, "a thread that nobody else joins", {0}},
};

#define TABLE_COUNT (sizeof(table) / sizeof(table[0]))

/* The word before the first parenthesis that opens the arguments of a call. */
static size_t word_before(const char *text, char out[64])
{
	const char *open = strchr(text, '('), *from;

	while (open && (open == text || !isalnum((unsigned char)open[-1])))
		open = strchr(open + 1, '(');
	if (!open)
		return 0;
	for (from = open; from > text && (isalnum((unsigned char)from[-1]) ||
					  from[-1] == '_');)
		from--;
	snprintf(out, 64, "%.*s", (int)(open - from), from);
	return (size_t)(open - text) + 1;
}

static void call_name(const char *text, char out[64])
{
	const char *arguments = text + word_before(text, out);

	if (strcmp(out, "syscall") == 0)
		snprintf(out, 64, "%.*s",
			 (int)strcspn(arguments + 4, ",) \n\t"), arguments + 4);
}

const struct call_errors *errors_of(const char *text)
{
	char name[64] = "";

	call_name(text, name);
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		const char *flag = strchr(table[i].call, ' ');
		size_t length = strcspn(table[i].call, " ");

		if (strlen(name) == length &&
		    !strncmp(table[i].call, name, length) &&
		    (!flag || strstr(text, flag + 1)))
			return &table[i];
	}
	return NULL;
}

/* ---- comments ---- */

static char documents[TEXT_MAX];
static size_t documents_used;

void documents_read(const char *directory)
{
	static const char *const names[] = {"channel.h", "consumer.h",
					    "writer.h"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[4096];
		FILE *file;

		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		file = fopen(path, "r");
		if (!file) {
			perror(path);
			exit(1);
		}
		documents_used += fread(documents + documents_used, 1,
					TEXT_MAX - 1 - documents_used, file);
		fclose(file);
	}
}

/* The comment above the declaration of a function; "" when there is none. */
static void comment_of(const char *function, char *out, size_t bytes)
{
	const char *at = documents, *found, *end, *begin = NULL;
	size_t length = strlen(function);

	out[0] = 0;
	while ((found = strstr(at, function)) != NULL) {
		at = found + length;
		if (found[length] != '(' || found[-1] == '_')
			continue;
		/* A declaration, not a comment that names it. */
		end = found;
		while (end > documents && strncmp(end, "*/", 2) != 0)
			end--;
		if (!memmem(end, (size_t)(found - end), "RONDO_API", 9))
			continue;
		begin = end;
		while (begin > documents && strncmp(begin, "/*", 2) != 0)
			begin--;
		snprintf(out, bytes, "%.*s", (int)(end - begin), begin);
		return;
	}
}

static bool has_word(const char *text, const char *word)
{
	const size_t length = strlen(word);

	for (; (text = strstr(text, word)) != NULL; text += length)
		if (!isalnum((unsigned char)text[length]))
			return true;
	return false;
}

static bool names_manual(const char *comment, int error)
{
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		if (!table[i].manual || !strstr(comment, table[i].manual))
			continue;
		for (const int *e = table[i].errors; *e; e++)
			if (*e == error)
				return true;
	}
	return false;
}

static bool search(const char *function, int error, int depth)
{
	char comment[8192], word[32], other[64];
	const char *at;

	comment_of(function, comment, sizeof(comment));
	snprintf(word, sizeof(word), "-%s", strerrorname_np(error));
	if (has_word(comment, word) || names_manual(comment, error))
		return true;
	at = strstr(comment, "Results:");
	while (at && depth && (at = strstr(at, "rondo_")) != NULL) {
		size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz_");

		snprintf(other, sizeof(other), "%.*s", (int)length, at);
		if (strcmp(other, function) && search(other, error, depth - 1))
			return true;
		at += length;
	}
	return false;
}

bool is_documented(const char *function, int error)
{
	return search(function, error, DEPTH_MAX);
}
