/* SPDX-License-Identifier: MIT */
/*
 * The metadata text (TSDL 1.8) of a channel's traces, made from the channel's
 * memory alone.
 */
#ifndef RONDO_LIB_CTF_H
#define RONDO_LIB_CTF_H

#include <stdint.h>

#include "clock.h"
#include "map.h"

/*
 * The whole text, allocated with malloc; the caller frees it. begin and end
 * are clock readings at both ends of the recording: frequency and offset are
 * such that a time is right at both. end may equal begin: then the frequency
 * known at creation is used.
 */
int rondo_ctf_metadata(const struct rondo_map *map,
		       const struct rondo_clock_pair *begin,
		       const struct rondo_clock_pair *end, char **out);

#endif
