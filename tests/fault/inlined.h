/* SPDX-License-Identifier: MIT */
/*
 * The inlined record path, each piece in a function of its own, compiled as a
 * program would compile it: its instructions are spots as well.
 */
#ifndef RONDO_TESTS_FAULT_INLINED_H
#define RONDO_TESTS_FAULT_INLINED_H

#include <rondo/rondo.h>

int inlined_reserve(struct rondo_channel *channel, uint16_t event_id,
		    uint32_t bytes, struct rondo_record *out);
int inlined_commit(struct rondo_record *record);
int inlined_write(struct rondo_channel *channel, uint16_t event_id,
		  const void *data, uint32_t bytes);
int inlined_writev(struct rondo_channel *channel, uint16_t event_id,
		   const struct iovec *pieces, int count);

#endif
