/* SPDX-License-Identifier: MIT */
/*
 * A build without LTTng-UST. See lttng.h.
 */
#include "lttng.h"

int lttng_enter(char **argv)
{
	(void)argv;
	return -1;
}

const char *lttng_missing(void)
{
	return "built without liblttng-ust-dev";
}

int lttng_begin(const struct lttng_session *session)
{
	return bench_fail("%s: %s", session->name, lttng_missing());
}

int lttng_end(const struct lttng_session *session, bool is_read,
	      struct lttng_found *out)
{
	(void)is_read;
	(void)out;
	return bench_fail("%s: %s", session->name, lttng_missing());
}

void lttng_record_discard(uint64_t a, uint64_t b)
{
	(void)a;
	(void)b;
}

void lttng_record_overwrite(uint64_t a, uint64_t b)
{
	(void)a;
	(void)b;
}
