/* SPDX-License-Identifier: MIT */
/*
 * What recovery needs of a writer beside the public interface.
 */
#ifndef RONDO_LIB_WRITER_H
#define RONDO_LIB_WRITER_H

#include <rondo/writer.h>

/* All that a dead process left, with its losses. Packets written, or what
 * rondo_writer_open and rondo_writer_close return; report is counted up. */
int rondo_writer_recover(struct rondo_channel *channel, const char *directory,
			 struct rondo_report *report);

#endif
