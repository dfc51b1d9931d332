/* SPDX-License-Identifier: MIT */
/*
 * See readback.h.
 */
#include "readback.h"

#include <errno.h>
#include <string.h>

#include <rondo/rondo.h>

#include "harness.h"

uint64_t bench_record_bytes(const struct rondo_channel *channel,
			    uint32_t payload_bytes)
{
	struct rondo_config config = {.size = sizeof(config)};
	uint64_t header = 8;

	if (rondo_channel_config(channel, &config) == 0 &&
	    config.record_max > RONDO_COMPACT_MAX)
		header = 16;
	return header + (payload_bytes + header - 1) / header * header;
}

struct walk {
	const struct rondo_channel *channel;
	bench_look *look;
	void *context;
	struct bench_readback *found;
};

static int walk_view(const struct walk *walk, const struct rondo_view *view)
{
	struct rondo_item item = {0};
	uint64_t time = view->time_begin;
	int result;

	while ((result = rondo_view_next(view, &item)) > 0) {
		walk->found->records++;
		walk->found->bytes +=
			bench_record_bytes(walk->channel, item.bytes);
		if (item.time < time || item.time > view->time_end ||
		    !walk->look(&item, walk->context))
			walk->found->wrong++;
		time = item.time;
	}
	if (view->flags & (RONDO_VIEW_LATE | RONDO_VIEW_STALLED))
		walk->found->late++;
	return result;
}

static int take_all(const struct walk *walk, struct rondo_consumer *consumer)
{
	struct rondo_view view;
	int result;

	while ((result = rondo_consumer_take(consumer, &view)) == 0) {
		int walked = walk_view(walk, &view);

		result = rondo_consumer_release(consumer, &view);
		if (walked < 0)
			return walked;
		if (result < 0)
			return result;
	}
	return result == -EAGAIN || result == -ENODATA ? 0 : result;
}

int bench_read_back(struct rondo_channel *channel, bench_look *look,
		    void *context, struct bench_readback *out)
{
	struct bench_readback found = {0};
	const struct walk walk = {channel, look, context, &found};
	struct rondo_consumer *consumer;
	int result = rondo_channel_flush(channel);

	if (result < 0)
		return bench_fail("flush: %s", strerror(-result));
	result = rondo_consumer_open(channel, &consumer);
	if (result < 0)
		return bench_fail("open consumer: %s", strerror(-result));
	result = take_all(&walk, consumer);
	rondo_consumer_close(consumer);
	if (result < 0)
		return bench_fail("read back: %s", strerror(-result));
	*out = found;
	return 0;
}
