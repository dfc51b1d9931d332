/* SPDX-License-Identifier: MIT */
/*
 * What the victim and its library share.
 */
#ifndef VICTIM_H
#define VICTIM_H

#include <stddef.h>

/* The compiler must not know that a block is not used. */
extern void *volatile sink;

/* So often malloc, then free. */
void allocate(size_t size, int times);

#endif
