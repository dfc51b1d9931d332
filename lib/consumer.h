/* SPDX-License-Identifier: MIT */
/*
 * What the writer needs of a consumer beside the public interface.
 */
#ifndef RONDO_LIB_CONSUMER_H
#define RONDO_LIB_CONSUMER_H

#include <rondo/consumer.h>

/* rondo_consumer_take of one ring; -ENODATA: it is empty now. */
int rondo_consumer_take_ring(struct rondo_consumer *consumer, uint32_t ring,
			     struct rondo_view *out);

/* The ring's next number in turn, as the consumer knows it, whatever stands in
 * the channel's memory. */
uint64_t rondo_consumer_cursor(const struct rondo_consumer *consumer,
			       uint32_t ring);

/*
 * Ends the wait that the owner is in, or else its next one, which returns 0.
 * Any thread; it need not be the owner.
 */
void rondo_consumer_wake(struct rondo_consumer *consumer);

#endif
