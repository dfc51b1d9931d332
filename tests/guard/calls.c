/* SPDX-License-Identifier: MIT */
/* The same operations through the library's functions: see guard.c. */
#define RONDO_NO_INLINE

#include <rondo/rondo.h>

int called_record(struct rondo_channel *channel, uint16_t event_id, uint64_t a);
int called_write(struct rondo_channel *channel, uint16_t event_id, uint64_t a);

int called_record(struct rondo_channel *channel, uint16_t event_id, uint64_t a)
{
	struct rondo_record record;
	int result = rondo_reserve(channel, event_id, 16, &record);
	uint64_t *data = record.data;

	if (result)
		return result;
	data[0] = a;
	data[1] = a;
	return rondo_commit(&record);
}

int called_write(struct rondo_channel *channel, uint16_t event_id, uint64_t a)
{
	uint64_t pair[2] = {a, a};

	return rondo_write(channel, event_id, pair, sizeof(pair));
}
