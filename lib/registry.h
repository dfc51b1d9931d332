/* SPDX-License-Identifier: MIT */
/*
 * All channels of the process, for what concerns each of them: a child of fork
 * finds its handles wiped and needs what stands behind them.
 */
#ifndef RONDO_LIB_REGISTRY_H
#define RONDO_LIB_REGISTRY_H

#include "control.h"

/* Installs the fork handler at the first call. 0 or -ENOMEM. */
int rondo_registry_add(struct rondo_control *control);
void rondo_registry_remove(struct rondo_control *control);

/* What stands behind a handle, also when the handle was wiped; or NULL.
 * Wait-free. [any] */
struct rondo_control *rondo_registry_find(const struct rondo_channel *channel);

/* Whether the handle is a child's that fork handlers did not run in, or is
 * known to be a child's. [any] */
bool rondo_registry_is_inherited(const struct rondo_control *control);

#endif
