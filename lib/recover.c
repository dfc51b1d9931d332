/* SPDX-License-Identifier: MIT */
/*
 * Recovery: the memory of a dead process becomes a trace. It works on a copy
 * that is made page by page as it is written to, so the memory stays as the
 * process left it, and what failed, on a full disk say, can be done again.
 */
#include <errno.h>
#include <stdbool.h>

#include <rondo/writer.h>

#include "channel.h"
#include "control.h"
#include "memory.h"
#include "writer.h"

static uint64_t abandoned_in(const struct rondo_channel *channel)
{
	struct rondo_stats stats = {.abandoned = 0};

	(void)rondo_channel_stats(channel, &stats);
	return stats.abandoned;
}

static int write_trace(struct rondo_channel *channel, const char *directory,
		       struct rondo_report *report)
{
	uint64_t abandoned = abandoned_in(channel);
	int result;

	if (rondo_memory_creator_lives(&channel->control->map)) {
		report->why = "its process lives";
		return -EBUSY;
	}
	/* Nobody is left who might commit. */
	channel->control->map.stall_ms = 0;
	result = rondo_writer_recover(channel, directory, report);
	report->abandoned = abandoned_in(channel) - abandoned;
	if (result == -EBUSY)
		report->why = "a consumer has it open";
	if (result == -EPROTO)
		report->why = "damaged: its rings or classes make no sense";
	return result;
}

RONDO_API int rondo_recover(int fd, const char *directory,
			    struct rondo_report *out)
{
	struct rondo_report report = {.why = ""};
	struct rondo_channel *channel;
	int result = directory ? rondo_channel_attach_copy(fd, &channel) :
				 -EINVAL;

	if (!result) {
		result = write_trace(channel, directory, &report);
		(void)rondo_channel_destroy(channel);
	} else if (result == -EPROTO) {
		report.why = rondo_memory_why(fd);
	}
	if (out)
		*out = report;
	return result;
}
