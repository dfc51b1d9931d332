/* SPDX-License-Identifier: MIT */
/*
 * See inlined.h.
 */
#include "inlined.h"

__attribute__((noinline)) int inlined_reserve(struct rondo_channel *channel,
					      uint16_t event_id, uint32_t bytes,
					      struct rondo_record *out)
{
	return rondo_reserve(channel, event_id, bytes, out);
}

__attribute__((noinline)) int inlined_commit(struct rondo_record *record)
{
	return rondo_commit(record);
}

__attribute__((noinline)) int inlined_write(struct rondo_channel *channel,
					    uint16_t event_id, const void *data,
					    uint32_t bytes)
{
	return rondo_write(channel, event_id, data, bytes);
}

__attribute__((noinline)) int inlined_writev(struct rondo_channel *channel,
					     uint16_t event_id,
					     const struct iovec *pieces,
					     int count)
{
	return rondo_writev(channel, event_id, pieces, count);
}
