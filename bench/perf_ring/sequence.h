/* SPDX-License-Identifier: MIT */
/*
 * The two restartable sequences of the perf-style buffer: the head moves, and
 * the head moves after data_head was stored. Stopped between the two stores of
 * the second, data_head is right already: see one_word.h.
 */
#ifndef RONDO_BENCH_PERF_RING_SEQUENCE_H
#define RONDO_BENCH_PERF_RING_SEQUENCE_H

#include <rondo/detail/sequence.h>

#include "local.h"

#if RONDO_HAVE_RSEQ && defined(__x86_64__)
#define PERF_HAVE_RSEQ 1
#else
#define PERF_HAVE_RSEQ 0
#endif

/* The head of one CPU's ring, and what it must be and become. */
struct perf_move {
	uint64_t *head;
	uint64_t expected;
	uint64_t wanted;
	int64_t rseq_offset;
	uint32_t cpu;
};

/* clang-format off */
#if PERF_HAVE_RSEQ
/* As in rondo/detail/sequence_x86_64.h, in struct rseq: cpu_id at 4, rseq_cs
 * at 8. */
#define PERF_RSEQ_BEGIN                                                        \
	".pushsection __rseq_cs, \"aw?\"\n\t"                                  \
	".balign 32\n"                                                         \
	"3:\t.long 0, 0\n\t"                                                   \
	".quad 1f, 2f - 1f, 4f\n\t"                                            \
	".popsection\n\t"                                                      \
	"leaq 3b(%%rip), %%rax\n\t"                                            \
	"movq %%rax, %%fs:8(%[rseq])\n"                                        \
	"1:\n\t"                                                               \
	"cmpl %[cpu], %%fs:4(%[rseq])\n\t"                                     \
	"jne 4f\n\t"                                                           \
	"cmpq %[expected], %[head]\n\t"                                        \
	"jne %l[changed]\n\t"

#define PERF_RSEQ_END                                                          \
	"2:\n\t"                                                               \
	".pushsection __rseq_failure, \"ax?\"\n\t"                             \
	".byte 0x0f, 0xb9, 0x3d\n\t"                                           \
	".long 0x53053053\n"                                                   \
	"4:\tjmp %l[aborted]\n\t"                                              \
	".popsection\n\t"

/* 0, or enum rondo_sequence_result: nothing happened. */
PERF_INLINE int perf_seq_move(const struct perf_move *move)
{
	__asm__ goto(
		PERF_RSEQ_BEGIN
		"movq %[wanted], %[head]\n"
		PERF_RSEQ_END
		: : [rseq] "r"(move->rseq_offset), [cpu] "r"(move->cpu),
		[head] "m"(*move->head), [expected] "r"(move->expected),
		[wanted] "r"(move->wanted)
		: "memory", "cc", "rax" : changed, aborted);
	return RONDO_SEQ_DONE;
changed:
	return RONDO_SEQ_CHANGED;
aborted:
	return RONDO_SEQ_ABORTED;
}

/* The same, *data_head = position before. */
PERF_INLINE int perf_seq_publish(const struct perf_move *move,
				 uint64_t *data_head, uint64_t position)
{
	__asm__ goto(
		PERF_RSEQ_BEGIN
		"movq %[position], %[data_head]\n\t"
		"movq %[wanted], %[head]\n"
		PERF_RSEQ_END
		: : [rseq] "r"(move->rseq_offset), [cpu] "r"(move->cpu),
		[head] "m"(*move->head), [expected] "r"(move->expected),
		[wanted] "r"(move->wanted), [data_head] "m"(*data_head),
		[position] "r"(position)
		: "memory", "cc", "rax" : changed, aborted);
	return RONDO_SEQ_DONE;
changed:
	return RONDO_SEQ_CHANGED;
aborted:
	return RONDO_SEQ_ABORTED;
}
#else
PERF_INLINE int perf_seq_move(const struct perf_move *move)
{
	(void)move;
	return RONDO_SEQ_ABORTED;
}

PERF_INLINE int perf_seq_publish(const struct perf_move *move,
				 uint64_t *data_head, uint64_t position)
{
	(void)move, (void)data_head, (void)position;
	return RONDO_SEQ_ABORTED;
}
#endif
/* clang-format on */

#endif
