/* SPDX-License-Identifier: MIT */
/*
 * In place of the header of the same name, for library sources that the
 * explorer runs: the id is the virtual CPU's, the clock is virtual.
 */
#ifndef RONDO_DETAIL_MACHINE_H
#define RONDO_DETAIL_MACHINE_H

#include <rondo/detail/atomics.h>

#define RONDO_HAVE_TICKS 1

uint64_t explore_thread_id(void);

/* Whoever loads it reads the clock. */
extern const uint64_t explore_clock;

static inline uint64_t rondo_thread_id(int64_t id_offset)
{
	(void)id_offset;
	return explore_thread_id();
}

static inline uint64_t rondo_thread_pointer(void)
{
	return 0;
}

static inline uint64_t rondo_ticks_ordered(void)
{
	return rondo_load_relaxed(&explore_clock);
}

static inline void rondo_pause(void)
{
}

#endif
