/* SPDX-License-Identifier: MIT */
/*
 * In place of the header of the same name, for library sources that the
 * explorer runs: sequences are their specifications in C, restartable at each
 * step (sequence.c).
 */
#ifndef RONDO_DETAIL_SEQUENCE_X86_64_H
#define RONDO_DETAIL_SEQUENCE_X86_64_H

struct rondo_ring;
struct rondo_tally;

int rondo_seq_reserve(struct rondo_ring *ring, const struct rondo_offsets *at,
		      uint32_t id, uint64_t expected, uint64_t wanted,
		      char *header, uint32_t open);
int rondo_seq_commit(struct rondo_ring *ring, const struct rondo_offsets *at,
		     uint32_t id, uint64_t expected, uint64_t wanted);
int rondo_seq_count(struct rondo_ring *ring, const struct rondo_offsets *at,
		    uint32_t id, uint64_t expected, struct rondo_tally *tally,
		    uint64_t bytes);
int rondo_seq_list(struct rondo_sequence *s);
int rondo_seq_locked(struct rondo_sequence *s);

#endif
