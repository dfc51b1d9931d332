/* SPDX-License-Identifier: MIT */
/*
 * Configurations: every field has its range, and every refusal a sentence that
 * begins with the field's name.
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <rondo/detail/position.h>

#include "os.h"

#define SUBBUF_BYTES_DEFAULT (UINT64_C(256) << 10)
#define SUBBUF_BYTES_MIN UINT64_C(4096)
#define SUBBUF_BYTES_MAX (UINT64_C(1) << 30)
#define SUBBUF_COUNT_DEFAULT 8u
#define SUBBUF_COUNT_MIN 4u
#define SUBBUF_COUNT_MAX 32768u
#define PAGE_SETS_MAX 65535u /* of a ring: what a slot can name */
#define STALL_MS_DEFAULT 100u
#define NAME_BYTES 64u
/* The hint names a page set by its index among all of the channel. */
#define PAGE_SETS_TOTAL_MAX RONDO_HEAD_LOW
#define BYTES_TOTAL_MAX (UINT64_C(1) << 40)
/* The first fields; a program that knows fewer has no rondo.h. */
#define SIZE_MIN (offsetof(struct rondo_config, subbuf_bytes) + 8)
/* Beyond this, size is no struct's but an accident. */
#define SIZE_MAX_BYTES 4096u

#define FLAGS_KNOWN                                                    \
	(RONDO_OVERWRITE | RONDO_PREFAULT | RONDO_MLOCK | RONDO_HUGE | \
	 RONDO_NO_RSEQ)

static bool is_power_of_two(uint64_t value)
{
	return value && !(value & (value - 1));
}

static int refuse(int error, const char *sentence, const char **out_why)
{
	if (out_why)
		*out_why = sentence;
	return error;
}

/* Copies the fields that both sides know; what the caller lacks is 0. */
static int copy_known(const struct rondo_config *config,
		      struct rondo_config *out, const char **out_why)
{
	const char *bytes = (const char *)config;
	uint32_t size = config->size;

	if (size < SIZE_MIN || (size < sizeof(*out) && size % 8))
		return refuse(-EINVAL,
			      "size: must be sizeof(struct rondo_config)",
			      out_why);
	if (size > SIZE_MAX_BYTES)
		return refuse(-E2BIG, "size: no struct is that large", out_why);
	for (uint32_t i = sizeof(*out); i < size; i++)
		if (bytes[i])
			return refuse(-E2BIG,
				      "size: fields that this version of the "
				      "library does not know are not zero",
				      out_why);
	memset(out, 0, sizeof(*out));
	memcpy(out, config, size < sizeof(*out) ? size : sizeof(*out));
	out->size = sizeof(*out);
	return 0;
}

uint32_t rondo_config_header_bytes(const struct rondo_config *complete)
{
	return complete->record_max <= RONDO_COMPACT_MAX ? 8 : 16;
}

static void fill_defaults(struct rondo_config *config)
{
	if (!config->subbuf_bytes)
		config->subbuf_bytes = SUBBUF_BYTES_DEFAULT;
	if (!config->subbuf_count)
		config->subbuf_count = SUBBUF_COUNT_DEFAULT;
	if (!config->spare_count)
		config->spare_count = 1;
	if (!config->record_max)
		config->record_max = RONDO_COMPACT_MAX;
	if (!config->wake_subbufs)
		config->wake_subbufs = 1;
	if (!config->stall_ms)
		config->stall_ms = STALL_MS_DEFAULT;
	if (!config->name)
		config->name = "rondo";
}

/* The smallest sub-buffer has room for the default record_max. */
RONDO_STATIC_ASSERT(RONDO_COMPACT_MAX + 8 + RONDO_PACKET_BYTES +
				    RONDO_TAIL_BYTES <=
			    SUBBUF_BYTES_MIN,
		    "defaults are consistent");

/* Null: all is well. */
static const char *why_geometry(const struct rondo_config *config)
{
	uint64_t subbuf = config->subbuf_bytes, room;
	uint32_t count = config->subbuf_count;

	if (!is_power_of_two(subbuf))
		return "subbuf_bytes: must be a power of two";
	if (subbuf < SUBBUF_BYTES_MIN || subbuf < rondo_os_page_bytes())
		return "subbuf_bytes: must be a page (4 KiB) or more";
	if (subbuf > SUBBUF_BYTES_MAX)
		return "subbuf_bytes: must be 1 GiB or less";
	if (!is_power_of_two(count) || count < SUBBUF_COUNT_MIN)
		return "subbuf_count: must be a power of two, 4 or more";
	if (count > SUBBUF_COUNT_MAX)
		return "subbuf_count: must be 32768 or less";
	/* Numbers that the head tells are compared by difference: all that can
	 * be met at once lie within a quarter of their range. */
	if (count >= (UINT64_C(1) << (RONDO_POSITION_BITS - 2)) / subbuf)
		return "subbuf_count: times subbuf_bytes must be below 2 TiB, "
		       "or positions are ambiguous";
	if (config->spare_count > PAGE_SETS_MAX - count)
		return "spare_count: with subbuf_count must be below 65536";
	room = subbuf - RONDO_PACKET_BYTES - RONDO_TAIL_BYTES -
	       rondo_config_header_bytes(config);
	if (config->record_max > room)
		return "record_max: must fit into subbuf_bytes less its "
		       "headers and tail (160 bytes)";
	return NULL;
}

static const char *why_choices(const struct rondo_config *config)
{
	if (config->flags & ~FLAGS_KNOWN)
		return "flags: a bit is set that is none of RONDO_OVERWRITE, "
		       "_PREFAULT, _MLOCK, _HUGE, _NO_RSEQ";
	if (config->rings > RONDO_RINGS_BY_CONCURRENCY)
		return "rings: must be RONDO_RINGS_BY_CPU or "
		       "RONDO_RINGS_BY_CONCURRENCY";
	if (config->clock > RONDO_CLOCK_NONE)
		return "clock: must be one of RONDO_CLOCK_*";
	if (config->wake_subbufs > config->subbuf_count)
		return "wake_subbufs: must be subbuf_count or less, or it may "
		       "never be reached";
	return NULL;
}

/* What stands between quotes in metadata, in every reader. */
static bool is_plain(const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
			return false;
	}
	return true;
}

static int check_strings(const struct rondo_config *config,
			 const char **out_why)
{
	if (!config->name[0])
		return refuse(-EINVAL, "name: must not be empty", out_why);
	if (strnlen(config->name, NAME_BYTES) == NAME_BYTES)
		return refuse(-ENAMETOOLONG, "name: must be 63 bytes or less",
			      out_why);
	if (!is_plain(config->name))
		return refuse(-EINVAL,
			      "name: must be printable ASCII without quotes "
			      "and backslashes",
			      out_why);
	if (!config->path)
		return 0;
	if (!config->path[0])
		return refuse(-EINVAL, "path: must not be empty", out_why);
	if (strnlen(config->path, PATH_MAX) == PATH_MAX)
		return refuse(-ENAMETOOLONG,
			      "path: must be shorter than PATH_MAX", out_why);
	return 0;
}

int rondo_config_complete(const struct rondo_config *config,
			  struct rondo_config *out, const char **out_why)
{
	struct rondo_config complete = {.size = sizeof(complete)};
	const char *why;
	int result;

	if (out_why)
		*out_why = "";
	if (config) {
		result = copy_known(config, &complete, out_why);
		if (result)
			return result;
	}
	fill_defaults(&complete);
	why = why_geometry(&complete);
	if (!why)
		why = why_choices(&complete);
	if (why)
		return refuse(-EINVAL, why, out_why);
	result = check_strings(&complete, out_why);
	if (result)
		return result;
	*out = complete;
	return 0;
}

int rondo_config_check_rings(const struct rondo_config *complete,
			     uint32_t ring_count, const char **out_why)
{
	uint64_t sets = complete->subbuf_count + complete->spare_count;
	uint64_t total, bytes;

	if (__builtin_mul_overflow(sets, ring_count, &total) ||
	    total > PAGE_SETS_TOTAL_MAX)
		return refuse(-EOVERFLOW,
			      "subbuf_count: with spare_count, times the rings "
			      "of this machine, must be below 2097152",
			      out_why);
	if (__builtin_mul_overflow(total, complete->subbuf_bytes, &bytes) ||
	    bytes > BYTES_TOTAL_MAX)
		return refuse(-EOVERFLOW,
			      "subbuf_bytes: times all sub-buffers of this "
			      "machine's rings must be 1 TiB or less",
			      out_why);
	return 0;
}

int rondo_config_check(const struct rondo_config *config, const char **out_why)
{
	struct rondo_config complete;
	int result = rondo_config_complete(config, &complete, out_why);

	if (result)
		return result;
	return rondo_config_check_rings(&complete, rondo_os_cpu_ids() + 1,
					out_why);
}
