/* SPDX-License-Identifier: MIT */
/*
 * rondo: per-CPU ring buffers for tracing and profiling, in user space. This
 * is the one header to include. A tour, from record to trace:
 *
 *	struct rondo_channel *channel;
 *	struct rondo_writer *writer;
 *	struct rondo_record record;
 *	uint16_t id;
 *
 *	rondo_channel_create(NULL, &channel);          channel.h
 *	rondo_event_register(channel, &class, &id);
 *	rondo_writer_open(channel, "trace", &writer);  writer.h
 *	rondo_writer_start(writer);
 *
 *	if (!rondo_reserve(channel, id, sizeof(struct sample), &record)) {
 *		struct sample *sample = record.data;   producer.h
 *		sample->value = 42;                    any thread,
 *		rondo_commit(&record);                 any signal handler
 *	}
 *
 *	rondo_writer_close(writer);
 *	rondo_channel_destroy(channel);                $ babeltrace2 trace
 *
 * To read sub-buffers oneself instead of writing a trace: consumer.h. What the
 * memory looks like, for those who map it: abi.h. Words: docs/glossary.md.
 *
 * Functions that can fail return 0 or a count, or a negative errno. The lines
 * that close each description:
 *
 *   Context   any: any thread and any signal handler, one that interrupted the
 *             very function included. thread: not in a signal handler. owner:
 *             one thread at a time for one object.
 *   Progress  wait-free, lock-free, bounded, or blocking.
 *   Cost      what it takes on the machine of docs/performance.md.
 *   Ordering  what other threads may rely on.
 */
#ifndef RONDO_RONDO_H
#define RONDO_RONDO_H

#include <rondo/channel.h>
#include <rondo/consumer.h>
#include <rondo/producer.h>
#include <rondo/writer.h>

#define RONDO_VERSION_MAJOR 0
#define RONDO_VERSION_MINOR 1
#define RONDO_VERSION_PATCH 0

#endif
