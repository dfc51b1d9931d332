/* SPDX-License-Identifier: MIT */
/*
 * The explorer: agents (coroutines) that run the library's own sources on
 * virtual CPUs, and a depth-first search through all orders of their steps.
 *
 *   memory.c    words, store buffers, what each access does; undo and hash
 *   agent.c     stacks, switching
 *   sequence.c  restartable sequences by their specifications
 *   stand_in.c  in place of lib/os.c, lib/clock.c, lib/memory.c
 *   ledger.c    what was recorded and delivered: the invariants
 *   script.c    what agents do
 *   search.c    the search
 *   scenario.c  what is explored
 *
 * A state is: the words of the world (the channel's memory, the handle, and what
 * the explorer keeps itself, store buffers and ledger included) and each
 * agent's stack. Every change of a word is logged, so that it can be taken back.
 */
#ifndef RONDO_TESTS_EXPLORE_H
#define RONDO_TESTS_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <rondo/consumer.h>
#include <rondo/producer.h>

#include "control.h"
#include "reader.h"

#define AGENTS_MAX 6u /* the last one is who sets up and cleans up */
#define AGENT_SETUP (AGENTS_MAX - 1)
#define RECORDS_MAX 8u	/* of an agent */
#define NUMBERS_MAX 32u /* sub-buffers of a ring in one execution */
#define CPUS_MAX 4u
#define RINGS 3u /* of CPUs 0 and 1, and the extra one, of all others */
#define RING_EXTRA (RINGS - 1)
#define SUBBUF_BYTES 4096u
#define SUBBUF_COUNT 4u
#define SPARES_MAX 2u
#define BUFFER_MAX 8u /* stores that a CPU holds back */
#define NOBODY 15u
#define CLOCK_START 1000u
#define EVENT_ID RONDO_ID_FIRST

/* How stores reach the others. */
enum model {
	MODEL_SC,   /* at once */
	MODEL_TSO,  /* in order, later: x86 */
	MODEL_WEAK, /* later, in any order but releases: a part of aarch64 */
	MODELS,
};

enum agent_state {
	AGENT_UNBORN, /* a handler that has not run, or no agent */
	AGENT_READY,
	AGENT_DONE,
	AGENT_STOPPED, /* for ever */
};

struct agent_words {
	uint64_t state; /* enum agent_state */
	uint64_t cpu;
	uint64_t in_sequence, aborted;
	uint64_t aborts;     /* since its operation began */
	uint64_t child;	     /* the handler that runs on top, or NOBODY */
	uint64_t made;	     /* records */
	uint64_t operations; /* done so far */
	uint64_t now_ns;     /* its CLOCK_MONOTONIC */
	uint64_t arena;	     /* bytes in use */
	uint64_t records[RECORDS_MAX];
};

struct buffered {
	/* word | agent << 32 | bytes << 40 | release << 48 | group << 56 */
	uint64_t info;
	uint64_t value;
};

struct cpu_words {
	uint64_t current; /* the thread that ran here last */
	uint64_t count;
	uint64_t group; /* fences between what it holds back */
	struct buffered stores[BUFFER_MAX];
};

/* Of one sub-buffer number. */
struct number_words {
	uint64_t flags;
	uint64_t begin, end;
};

/* What the explorer keeps in the world. Words only: each is logged. */
struct explorer_words {
	uint64_t clock, clock_reader;
	uint64_t aborts_left, stops_left, moves_left, switches_left, last;
	uint64_t refused[RONDO_CAUSES], refused_bytes[RONDO_CAUSES];
	uint64_t discarded, squashed, delivered, overwritten;
	uint64_t loans[RINGS]; /* page sets that are in no slot, a bit each */
	struct agent_words agents[AGENTS_MAX];
	struct cpu_words cpus[CPUS_MAX];
	struct number_words numbers[RINGS][NUMBERS_MAX];
};

/* Everything at a fixed address, so that pointers in stacks are the same
 * whenever a state is met. */
struct world_words {
	struct rondo_wait wait;
	struct rondo_ring rings_begin __attribute__((aligned(4096)));
	char rings_rest[RINGS * 4096 - sizeof(struct rondo_ring)];
	char pages[RINGS * (SUBBUF_COUNT + SPARES_MAX)][SUBBUF_BYTES]
		__attribute__((aligned(4096)));
	struct rondo_control control;
	struct rondo_control foreign; /* as another process has it */
	struct rondo_channel handle;
	/* No access of the library's comes here. */
	struct explorer_words explorer __attribute__((aligned(64)));
};

#define world ((struct world_words *)UINT64_C(0x200000000000))
#define WORLD_WORDS (sizeof(struct world_words) / 8)
#define own (&world->explorer)

/* ---- memory.c ---- */

enum access_kind {
	ACCESS_LOAD,
	ACCESS_STORE,
	ACCESS_ADD, /* nobody looks at the sum */
	ACCESS_SWAP,
	ACCESS_FENCE,
	ACCESS_CLOCK,
	ACCESS_LOCK,   /* until the word is 0 */
	ACCESS_CHOICE, /* one of value */
	ACCESS_SLEEP,  /* while the word is value */
	ACCESS_BARRIER,
};

/* What an agent is about to do. */
struct access {
	const void *at;
	uint64_t value;
	uint64_t expected;
	uint8_t kind;
	uint8_t bytes;
	uint8_t order;
};

extern enum model explore_model;
extern bool explore_conflicts_grew; /* more words are shared than was known */
extern uint64_t explore_hash;	    /* of the world */

void memory_create(void);
void memory_forget_conflicts(void);
void memory_save_conflicts(FILE *file);
bool memory_load_conflicts(FILE *file);
void memory_forget(void); /* all words are 0 */
/* The hash counts from what the world holds now; nothing is logged yet. */
void memory_begin(void);
uint32_t memory_mark(void);
void memory_undo(uint32_t mark);
/* Whether the hash is that of what is there: a plain store was missed. */
bool memory_is_consistent(void);

/* Which page set of which ring it is in; false: in none. */
bool memory_pages(const void *at, unsigned *ring, uint32_t *pages);

/* A word of explorer_words. */
void set_own(uint64_t *word, uint64_t value);

/* Makes a store of a CPU visible; all of them. */
void memory_drain(uint32_t cpu, unsigned which);
void memory_drain_all(uint32_t cpu);
bool memory_may_drain(uint32_t cpu, unsigned which);

/* A step of the running agent that touches none of the library's words. */
void memory_step(enum access_kind kind, uint64_t *word, uint64_t value);

/* A record's bytes: never a point to switch at. */
void memory_fill(uint64_t *at, uint64_t value);
uint64_t memory_peek(const uint64_t *at);

/* What a word is, for people. */
void memory_describe(const struct access *access, char *out, size_t bytes);

/* ---- agent.c ---- */

extern unsigned running; /* NOBODY: the search itself */
extern bool raw;	 /* what runs now is one step, whatever it touches */

void agent_create(void);
void agent_reset(unsigned agent);
void agent_begin(unsigned agent); /* until its first step */
void agent_run(unsigned agent);	  /* one step */
void agent_yield(const struct access *next);
const struct access *agent_next(unsigned agent);
uint64_t agent_hash(unsigned agent);
uint32_t agent_save(unsigned agent, char *to); /* bytes used */
void agent_load(unsigned agent, const char *from);
_Noreturn void agent_halt(void);
unsigned agent_root(unsigned agent); /* its thread */
unsigned agent_choice(unsigned choices);
extern unsigned agent_chosen;
void *agent_arena(unsigned agent);
int agent_restartable(int (*body)(void *), void *argument);

#define AGENT_SAVED_MAX (24u * 1024)

/* ---- ledger.c ---- */

/* Says what was violated, and does not return. */
_Noreturn void violate(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
extern bool violated;
extern char violation[256];

void ledger_word_changed(uint64_t *word, uint64_t before, uint64_t now,
			 unsigned agent);
void ledger_opened(unsigned agent, unsigned record,
		   const struct rondo_record *handle);
void ledger_refused(unsigned agent, unsigned record, int why, uint32_t bytes);

enum record_state {
	RECORD_NONE,
	RECORD_RESERVING,
	RECORD_REFUSED,
	RECORD_OPEN,
	RECORD_COMMITTING,
	RECORD_COMMITTED,
	RECORD_DISCARDING,
	RECORD_DISCARDED,
	RECORD_SQUASHING,
	RECORD_SQUASHED,
};
void ledger_set(unsigned agent, unsigned record, enum record_state state);
void ledger_payload(unsigned agent, unsigned record, uint64_t *at,
		    uint32_t bytes);

/* A consumer of one ring, and what belongs to it. */
struct ring_reader {
	struct rondo_reader reader;
	struct rondo_loan loans[SPARES_MAX];
	struct rondo_quarantined quarantine[SUBBUF_COUNT];
};
void ledger_read_ring(struct ring_reader *out, const struct rondo_map *map,
		      uint32_t ring);

/* What was committed, and what was taken back, when a copy was begun; a bit for
 * each record. */
struct ledger_before {
	uint8_t committed[AGENTS_MAX], gone[AGENTS_MAX];
};
void ledger_before(struct ledger_before *out);
void ledger_view(const struct rondo_view *view,
		 const struct ledger_before *before);
void ledger_released(const struct rondo_view *view);
void ledger_state(void);
void ledger_final(void);
void ledger_crash(void);

/* ---- script.c ---- */

void script_setup(const char *script);
void script_agent(unsigned agent);

/* ---- scenario.c ---- */

struct explore_agent {
	const char *script; /* letters: script.c */
	uint8_t cpu;
	uint8_t on; /* a handler: 1 + the agent that it interrupts */
};

struct scenario {
	const char *name;
	const char *setup; /* done before the agents start */
	struct explore_agent agents[AGENTS_MAX - 1];
	uint32_t bytes;	     /* of a record */
	uint32_t flags;	     /* SCENARIO_* */
	uint8_t models;	     /* a bit each */
	uint8_t long_models; /* in the long form, besides */
	uint8_t aborts, stops, moves;
	uint8_t switches; /* at most so many; 0: no bound */
	/* Bounds where CPUs hold stores back; 0: as without, as many as fit. */
	struct {
		uint8_t switches, stores;
	} buffered;
	uint8_t spares;
	uint8_t ring; /* that is flushed, taken from, peeked into */
};

#define SCENARIO_OVERWRITE 0x1u
#define SCENARIO_ATOMIC 0x2u	 /* no sequences */
#define SCENARIO_FULL 0x4u	 /* full headers */
#define SCENARIO_SLOW_CLOCK 0x8u /* not readable in a sequence */
#define SCENARIO_REFUSES 0x10u	 /* records may be refused */
#define SCENARIO_CRASH 0x20u	 /* the process is killed in every state */
#define SCENARIO_ALONE 0x40u	/* in every state each producer goes on alone */
#define SCENARIO_QUICK 0x80u	/* in the quick form */
#define SCENARIO_LONG 0x100u	/* in the long form only */
#define SCENARIO_ABORTED 0x200u /* a reserve had seven aborts already */
#define SCENARIO_WRAPS 0x400u	/* numbers and gen are about to wrap */

extern const struct scenario scenarios[];
extern const unsigned scenario_count;
extern const struct scenario *scenario; /* the one explored */

/* Lays out the channel for it. */
void scenario_begin(const struct scenario *which);
/* It records, and does nothing else. */
bool is_producer(unsigned agent);

/* ---- search.c ---- */

struct search_result {
	uint64_t states, transitions, ended;
	const char *bounded; /* by what; NULL: exhausted */
};

struct search_limits {
	uint64_t states;
	uint32_t table_bits;
};

/* False: something was violated; the schedule stands in path. */
bool search(const struct search_limits *limits, struct search_result *out);
/* The schedule of what was violated; into a file too, or NULL. */
void search_show(const char *save_to);
/* What such a file says after its first line, the scenario's name. */
int search_replay(FILE *file, const struct scenario *which);

/* ---- plants ---- */

enum plant {
	PLANT_NONE,
	PLANT_FENCE,   /* membarrier does nothing */
	PLANT_ABORT,   /* an abort does not restart the sequence */
	PLANT_RELEASE, /* releases are relaxed */
	PLANT_GEN,     /* gen is not bumped */
	PLANT_LATE,    /* an addition to late is lost */
	PLANT_LICENCE, /* a take puts the same pages back */
	PLANT_ID,      /* the id is not checked */
	PLANT_CLOCK,   /* the clock is read before the head */
	PLANT_ORDER,   /* release fences do nothing */
	PLANTS,
};
extern enum plant planted;

#endif
