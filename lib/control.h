/* SPDX-License-Identifier: MIT */
/*
 * The part of a channel that its process keeps for itself and that no inlined
 * code knows. The handle (detail/handle.h) points here; a fork's child finds
 * its handle wiped but this intact.
 */
#ifndef RONDO_LIB_CONTROL_H
#define RONDO_LIB_CONTROL_H

#include <stdbool.h>

#include <rondo/channel.h>
#include <rondo/detail/handle.h>

#include "map.h"
#include "os.h"

struct rondo_control {
	struct rondo_map map;
	struct rondo_channel *handle;
	struct rondo_channel inherited; /* what the handle says in a child */
	struct rondo_file_id file; /* that fd is, unless somebody closed it */
	int fd;
	bool attached; /* created elsewhere: consume only */
	bool forked;   /* this is a child: nothing may be recorded */
	bool by_id;    /* rings are picked by the thread's rseq id */
	bool clock_in_sequence;
	bool quick;		/* compact headers, clock_in_sequence */
	uint32_t gate;		/* what an open gate says: ring_count - 1 */
	uint32_t running;	/* 1: the gate is open */
	uint32_t reason;	/* enum rondo_mode_reason */
	uint32_t granted;	/* RONDO_GRANTED_* */
	uint32_t flush_lock;	/* one revoker at a time */
	uint32_t register_lock; /* of the catalog */
	uint32_t consumer_open; /* 1: this process has it open */
	int event_fd;		/* of that consumer, once asked for; else -1 */
	char *path;		/* of a file-backed channel, or NULL */
	char name[64];		/* of the stream */
};

#endif
