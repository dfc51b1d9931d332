/* SPDX-License-Identifier: MIT */
/*
 * In place of what lib/os.c, lib/clock.c and lib/memory.c do for the sources
 * that the explorer runs: the kernel, as far as they know it.
 */
#include "explore.h"

#include <errno.h>

#include "clock.h"
#include "memory.h"
#include "os.h"

/* I-quiet: who records calls the kernel to wake a consumer that sleeps, which
 * none does here, and for a fence after eight aborts. */
static void called(const char *what)
{
	const uint64_t before = scenario->flags & SCENARIO_ABORTED ? 7 : 0;

	if (!raw && is_producer(running) &&
	    own->agents[running].aborts + before < 8)
		violate("I-quiet: agent %u calls the kernel: %s", running,
			what);
}

/* ---- membarrier: other agents of that CPU start their sequences again ---- */

static void interrupt_cpu(uint32_t cpu)
{
	memory_drain_all(cpu);
	for (unsigned i = 0; i < AGENT_SETUP; i++)
		if (i != running && own->agents[i].cpu == cpu &&
		    own->agents[i].in_sequence)
			set_own(&own->agents[i].aborted, 1);
}

int rondo_os_fence(int cpu)
{
	called("membarrier");
	memory_step(ACCESS_BARRIER, &own->clock, (uint64_t)cpu);
	if (raw || planted == PLANT_FENCE)
		return 0;
	memory_drain_all((uint32_t)own->agents[running].cpu);
	for (unsigned i = 0; i < CPUS_MAX; i++)
		if (cpu < 0 || (unsigned)cpu == i)
			interrupt_cpu(i);
	return 0;
}

/* ---- a lock ---- */

static bool swap_lock(uint32_t *word, uint32_t expected, uint32_t wanted)
{
	const bool was = raw;
	bool done;

	if (!raw)
		memory_drain_all((uint32_t)own->agents[running].cpu);
	raw = true;
	done = explore_cas(word, sizeof(*word), expected, wanted);
	raw = was;
	return done;
}

/* The 64-bit word that it is in: what the search looks at. */
static uint64_t *around(uint32_t *word)
{
	return (uint64_t *)((uintptr_t)word & ~(uintptr_t)7);
}

bool rondo_os_try_lock_word(uint32_t *word)
{
	memory_step(ACCESS_SWAP, around(word), 1);
	return swap_lock(word, 0, 1);
}

void rondo_os_lock_word(uint32_t *word)
{
	called("a lock that sleeps");
	do
		memory_step(ACCESS_LOCK, around(word), 1);
	while (!swap_lock(word, 0, 1));
}

void rondo_os_unlock_word(uint32_t *word)
{
	memory_step(ACCESS_SWAP, around(word), 0);
	(void)swap_lock(word, 1, 0);
}

/* ---- CPUs ---- */

int rondo_os_cpu_cheap(void)
{
	return (int)own->agents[running].cpu;
}

static void move_to(uint32_t cpu)
{
	called("another CPU");
	memory_step(ACCESS_BARRIER, &own->clock, cpu);
	memory_drain_all((uint32_t)own->agents[running].cpu);
	set_own(&own->agents[running].cpu, cpu);
}

int rondo_os_pin(int cpu)
{
	move_to((uint32_t)cpu);
	return 0;
}

int rondo_os_affinity(struct rondo_os_affinity *out)
{
	out->mask[0] = (unsigned char)own->agents[running].cpu;
	out->bytes = 1;
	return 0;
}

int rondo_os_set_affinity(const struct rondo_os_affinity *affinity)
{
	move_to(affinity->mask[0]);
	return 0;
}

/* ---- time ---- */

/* Long enough between two readings that nobody relies on an old look. */
int64_t rondo_os_monotonic_ns(void)
{
	uint64_t *now = &own->agents[running].now_ns;

	set_own(now, *now + 1000000);
	return (int64_t)*now;
}

uint64_t rondo_clock_read(uint32_t clock)
{
	(void)clock;
	return rondo_load_relaxed(&explore_clock);
}

/* ---- sleeping ---- */

int rondo_os_futex_wake(const uint32_t *word, uint32_t waiters)
{
	called("a wake");
	(void)word, (void)waiters;
	return 0;
}

int64_t rondo_os_write(int fd, const void *data, uint64_t bytes)
{
	called("a write");
	(void)fd, (void)data;
	return (int64_t)bytes;
}

/* ---- another process ---- */

bool rondo_memory_creator_lives(const struct rondo_map *map)
{
	(void)map;
	return !raw;
}

/* ---- memory of one's own ---- */

int explore_memalign(void **out, size_t alignment, size_t bytes)
{
	(void)alignment;
	if (own->agents[running].arena || bytes > SUBBUF_BYTES)
		return ENOMEM;
	set_own(&own->agents[running].arena, bytes);
	*out = agent_arena(running);
	return 0;
}

void explore_free(void *at)
{
	if (at)
		set_own(&own->agents[running].arena, 0);
}
