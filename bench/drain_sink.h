/* SPDX-License-Identifier: MIT */
/*
 * Where bench-drain drains to: files in memory and on disk, and pipes and
 * sockets that a thread on another CPU reads.
 */
#ifndef RONDO_BENCH_DRAIN_SINK_H
#define RONDO_BENCH_DRAIN_SINK_H

#include <pthread.h>
#include <semaphore.h>

#include "harness.h"

enum sink_kind {
	SINK_MEMORY,  /* a file in tmpfs */
	SINK_DISK,    /* a file, as far as the page cache */
	SINK_DURABLE, /* a file, on the disk when it is done */
	SINK_PIPE,
	SINK_UNIX,
	SINK_TCP,
	SINK_KINDS
};

#define SINK_FNV UINT64_C(0xcbf29ce484222325)

struct sink {
	enum sink_kind kind;
	char missing[200]; /* why it cannot be, or "" */
	char path[300];
	int fd;
	int direct; /* the same file with O_DIRECT, or -1 */
	/* Of what has a reader: */
	int far_end;
	pthread_t reader;
	clockid_t reader_clock;
	sem_t drained;	  /* goal bytes have arrived, or never will */
	uint64_t goal;	  /* bytes of a round */
	uint64_t arrived; /* the reader's; bytes of this round */
	uint64_t sum;	  /* the reader's; of these bytes */
	bool is_checking; /* whether it makes the sum */
	bool is_broken;	  /* the reader's */
	int reader_cpu;
	char *buffer;
};

/* Opens; what fails is its missing. A round has goal bytes, whole MiB. */
void sink_open(struct sink *sink, enum sink_kind kind,
	       const struct bench *bench, uint64_t goal);
void sink_close(struct sink *sink);

bool sink_has_reader(const struct sink *sink);

/* An empty file; nothing of the last round in a pipe. */
bool sink_begin(struct sink *sink, bool is_checking);

/* Waits until all is there, and durable where it must be. */
bool sink_finish(struct sink *sink);

/* Whether the bytes of the round are those that this is the sum of. */
bool sink_has(struct sink *sink, uint64_t sum);

/* ns of CPU time of this process without the reader. */
uint64_t sink_cpu_ns(const struct sink *sink);

/* Adds words to a sum, which begins as SINK_FNV. */
uint64_t sink_add(uint64_t sum, const void *data, size_t bytes);

#endif
