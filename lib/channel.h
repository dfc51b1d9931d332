/* SPDX-License-Identifier: MIT */
/*
 * What recovery needs of a channel beside the public interface.
 */
#ifndef RONDO_LIB_CHANNEL_H
#define RONDO_LIB_CHANNEL_H

#include <rondo/channel.h>

/* rondo_channel_attach to a copy: what is done to it is undone by destroy, and
 * a descriptor for reading will do. */
int rondo_channel_attach_copy(int fd, struct rondo_channel **out);

#endif
