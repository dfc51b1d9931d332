/* SPDX-License-Identifier: MIT */
/*
 * Configurations: checked, then completed.
 */
#ifndef RONDO_LIB_CONFIG_H
#define RONDO_LIB_CONFIG_H

#include <rondo/channel.h>

/* Checks config (NULL: defaults) and fills every default into out. Strings
 * stay the caller's. */
int rondo_config_complete(const struct rondo_config *config,
			  struct rondo_config *out, const char **out_why);

/* Whether so many rings (the extra one included) of a complete config can be
 * told apart and mapped. 0, -EOVERFLOW. */
int rondo_config_check_rings(const struct rondo_config *complete,
			     uint32_t ring_count, const char **out_why);

/* Bytes of the record header: 8 compact, 16 full. */
uint32_t rondo_config_header_bytes(const struct rondo_config *complete);

#endif
