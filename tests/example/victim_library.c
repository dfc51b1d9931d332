/* SPDX-License-Identifier: MIT */
/*
 * The victim's library, which allocates before main begins and after the exit
 * handlers ended, too.
 */
#include <stdlib.h>

#include "victim.h"

void *volatile sink;

void allocate(size_t size, int times)
{
	while (times--) {
		sink = malloc(size);
		free(sink);
	}
}

static __attribute__((constructor)) void load(void)
{
	allocate(20091, 4);
}

static __attribute__((destructor)) void unload(void)
{
	allocate(20092, 6);
}
