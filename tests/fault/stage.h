/* SPDX-License-Identifier: MIT */
/*
 * What a scenario plays on: a channel with its consumer, and a ledger of the
 * records of one run, who is accounted for exactly (I-count) when it ends. All
 * but opening and closing may be used in handlers.
 */
#ifndef RONDO_TESTS_FAULT_STAGE_H
#define RONDO_TESTS_FAULT_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <rondo/rondo.h>

#include "control.h"
#include "ring.h"
#include "support/lanes.h"

#define LEDGER_RECORDS 1024u
#define LEDGER_VIEWS 64u
/* No test waits so long. */
#define STAGE_PATIENT 1000000u
#define STAGE_ANYWHERE UINT64_MAX

enum stage_kind {
	STAGE_DISCARD,
	STAGE_OVERWRITE,
	STAGE_FULL_HEADERS, /* and a clock that sequences cannot read */
	STAGE_CONCURRENCY,  /* rings by concurrency id, where there are some */
	STAGE_ATTACHED,	    /* flushed and consumed as by another process */
	STAGE_FOREIGN,	    /* the same, and rings by concurrency id */
	STAGE_LARGE,	    /* gaps that one compact header cannot tell */
	STAGE_KINDS,
};

struct entry {
	struct rondo_record record; /* its handle */
	uint64_t number;	    /* of its sub-buffer, or STAGE_ANYWHERE */
	uint32_t bytes;		    /* as committed */
	uint8_t outcome;	    /* enum lane_outcome */
	bool seen;
	bool in_doubt; /* being squashed: it may be gone, or not yet */
};

/* Records that were committed and not seen, or the other way round. */
struct missing {
	uint32_t gone; /* distinct sub-buffers that did not come out */
	uint64_t numbers[LEDGER_VIEWS];
	uint64_t abandoned; /* in those that were quarantined */
	uint64_t torn;	    /* in those that came out whole */
	uint64_t returned;  /* not committed, and seen: taken back */
};

/* A sub-buffer that the consumer took. */
struct taken {
	uint64_t number;
	uint32_t ring;
	bool stalled; /* by copy: open records are missing */
};

struct stage {
	struct rondo_channel *channel;
	struct rondo_consumer *consumer;
	struct rondo_channel *reading; /* channel, or attached to it */
	struct rondo_control *control;
	const struct rondo_map *map;
	struct rondo_ring *ring; /* of this CPU */
	uint32_t index;
	uint16_t id;
	bool atomic;
	bool damaged; /* views may be */
	enum stage_kind kind;

	/* The run's. */
	struct rondo_stats before;
	uint64_t refused[RONDO_CAUSES], refused_bytes;
	uint64_t discarded, squashed;
	/* Where swaps move the head headers and ends come after it. A copy that
	 * was made between the two does not know of one open record, or shows
	 * what was taken back (docs/design.md, Limits). 1: so it may be. */
	uint64_t uncounted;
	uint64_t last_end[8]; /* of rings in turn */
	uint32_t base;	      /* of the sequence numbers */
	uint32_t count, views;
	struct entry entries[LEDGER_RECORDS];
	struct taken taken[LEDGER_VIEWS];
};

/* The one that is being played on. */
extern struct stage *stage;

/* path: NULL or of a new file. Pins this thread to CPU 0 as well. False: with a
 * message. */
bool stage_open(struct stage *out, enum stage_kind kind, bool atomic,
		const char *path);
void stage_close(struct stage *which);

/* Two CPUs where this thread may run, the lower first. False: there is one. */
extern uint32_t stage_cpus[2];
bool stage_find_cpus(void);
void stage_pin(unsigned which);
/* How long stalled sub-buffers are waited for, and when idle ones are closed:
 * STAGE_PATIENT and 0 at first. */
void stage_patience(uint32_t stall_ms, uint32_t flush_ms);

/* A run begins. */
void stage_begin(void);
/* It ends: closes and takes all there is; every record must be accounted for. */
void stage_end(void);

/* What became of a record whose outcome is known. */
void stage_account(uint32_t index, struct missing *out);

/* A new record in the ledger. */
struct entry *stage_entry(uint32_t bytes);
/* What reserve said; writes what the record holds. True: it is open. */
bool stage_reserved(struct entry *entry, int result);
void stage_fill(struct entry *entry, uint32_t bytes);

/* Takes and reads what there is. */
void stage_take_all(void);
/* One. What rondo_consumer_take says. */
int stage_take(void);
void stage_read(const struct rondo_view *view);

/* ---- where the head is ---- */

static inline uint64_t stage_head(void)
{
	return rondo_load_relaxed(&stage->ring->head);
}

static inline uint64_t stage_number(void)
{
	return rondo_head_number(stage_head(), stage->map->order);
}

/* In its sub-buffer; 0: nothing is open. */
static inline uint64_t stage_offset(void)
{
	return rondo_align(
		rondo_position_aligned(rondo_head_position(stage_head()) &
				       (stage->map->subbuf_bytes - 1)),
		stage->map->header_bytes);
}

#endif
