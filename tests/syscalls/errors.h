/* SPDX-License-Identifier: MIT */
/*
 * Which errors the manual names for each call that lib/os.c makes, and which of
 * them a function of the interface says it may return.
 */
#ifndef RONDO_TESTS_SYSCALLS_ERRORS_H
#define RONDO_TESTS_SYSCALLS_ERRORS_H

#include <stdbool.h>
#include <stddef.h>

#define ERRORS_MAX 32

struct call_errors {
	const char *call;	/* as in SYS_openat, or libc's name */
	const char *manual;	/* under which headers speak of it; or null */
	bool also_made;		/* what fails has been done all the same */
	const char *why_not;	/* no error: why it cannot fail */
	int errors[ERRORS_MAX]; /* ended with 0 */
};

/* Of a site's text; null: it is not in the table. */
const struct call_errors *errors_of(const char *text);

/*
 * Reads headers in a directory. What it cannot read it says, and exits with 1.
 */
void documents_read(const char *directory);

/* Whether the comment of a function names an error (positive), by itself, by a
 * manual page, or by another function. */
bool is_documented(const char *function, int error);

#endif
