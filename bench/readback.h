/* SPDX-License-Identifier: MIT */
/*
 * Whether the records of a benchmark are really there: what its channels hold,
 * taken and walked as a consumer does.
 */
#ifndef RONDO_BENCH_READBACK_H
#define RONDO_BENCH_READBACK_H

#include <stdbool.h>
#include <stdint.h>

struct rondo_channel;
struct rondo_item;

/* Looks at a record. False: it is not what was written. */
typedef bool bench_look(const struct rondo_item *item, void *context);

struct bench_readback {
	uint64_t records;
	uint64_t bytes; /* of them, headers and padding included */
	uint64_t wrong; /* what look did not like, or out of time */
	uint64_t late;	/* sub-buffers out of turn or with open records */
};

/*
 * Flushes the channel and takes all that is ready. 0, or an exit status, having
 * said what went wrong.
 */
int bench_read_back(struct rondo_channel *channel, bench_look *look,
		    void *context, struct bench_readback *out);

/* Bytes that a record takes in the ring. */
uint64_t bench_record_bytes(const struct rondo_channel *channel,
			    uint32_t payload_bytes);

#endif
