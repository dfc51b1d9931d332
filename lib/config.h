/* SPDX-License-Identifier: MIT */
/*
 * Configurations: checked, then completed.
 */
#ifndef RONDO_LIB_CONFIG_H
#define RONDO_LIB_CONFIG_H

#include <rondo/channel.h>

/* Checks config (NULL: defaults) and fills every default into out. */
int rondo_config_complete(const struct rondo_config *config,
			  struct rondo_config *out, const char **out_why);

#endif
