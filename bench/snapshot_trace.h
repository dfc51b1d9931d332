/* SPDX-License-Identifier: MIT */
/*
 * The traces that bench-snapshot makes: where, what is in them, and away.
 */
#ifndef RONDO_BENCH_SNAPSHOT_TRACE_H
#define RONDO_BENCH_SNAPSHOT_TRACE_H

#include <stdint.h>

/* What a trace holds, by its packets. */
struct trace {
	uint64_t packets;
	uint64_t records;
	uint64_t wrong; /* records out of sequence within a packet, or damaged */
};

/* A new name in a directory of this process, in memory if there is such. */
const char *trace_name(void);

/* Reads the trace and removes it. 0, or an exit status. */
int trace_read(const char *directory, struct trace *out);

/* Removes the directory of this process. */
void trace_end(void);

#endif
