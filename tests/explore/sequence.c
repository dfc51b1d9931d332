/* SPDX-License-Identifier: MIT */
/*
 * Restartable sequences of the library, run by their specifications: an agent
 * that was disturbed since the first step goes on at the way out.
 */
#include "explore.h"

#include <rondo/detail/sequence.h>

struct call {
	struct rondo_ring *ring;
	struct rondo_tally *tally;
	uint64_t expected, wanted, bytes;
	char *header;
	uint32_t id, open;
};

uint64_t explore_thread_id(void)
{
	return own->agents[running].cpu;
}

/* What the thread's id word says. */
static uint32_t id_for(uint32_t expected)
{
	return planted == PLANT_ID ? expected : (uint32_t)explore_thread_id();
}

static int reserve(void *argument)
{
	const struct call *call = argument;

	return rondo_spec_reserve(call->ring, id_for(call->id), &explore_clock,
				  call->id, call->expected, call->wanted,
				  call->header, call->open);
}

int rondo_seq_reserve(struct rondo_ring *ring, const struct rondo_offsets *at,
		      uint32_t id, uint64_t expected, uint64_t wanted,
		      char *header, uint32_t open)
{
	struct call call = {.ring = ring,
			    .expected = expected,
			    .wanted = wanted,
			    .header = header,
			    .id = id,
			    .open = open};

	(void)at;
	return agent_restartable(reserve, &call);
}

static int commit(void *argument)
{
	const struct call *call = argument;

	return rondo_spec_commit(call->ring, id_for(call->id), call->id,
				 call->expected, call->wanted);
}

int rondo_seq_commit(struct rondo_ring *ring, const struct rondo_offsets *at,
		     uint32_t id, uint64_t expected, uint64_t wanted)
{
	struct call call = {
		.ring = ring, .expected = expected, .wanted = wanted, .id = id};

	(void)at;
	return agent_restartable(commit, &call);
}

static int count(void *argument)
{
	const struct call *call = argument;

	return rondo_spec_count(call->ring, id_for(call->id), call->id,
				call->expected, call->tally, call->bytes);
}

int rondo_seq_count(struct rondo_ring *ring, const struct rondo_offsets *at,
		    uint32_t id, uint64_t expected, struct rondo_tally *tally,
		    uint64_t bytes)
{
	struct call call = {.ring = ring,
			    .tally = tally,
			    .expected = expected,
			    .bytes = bytes,
			    .id = id};

	(void)at;
	return agent_restartable(count, &call);
}

static int list(void *argument)
{
	struct rondo_sequence *s = argument;

	return rondo_spec_list(s, id_for(s->id), &explore_clock);
}

int rondo_seq_list(struct rondo_sequence *s)
{
	return agent_restartable(list, s);
}

static int locked(void *argument)
{
	struct rondo_sequence *s = argument;

	return rondo_spec_locked(s, id_for(s->id), &explore_clock);
}

int rondo_seq_locked(struct rondo_sequence *s)
{
	return agent_restartable(locked, s);
}
