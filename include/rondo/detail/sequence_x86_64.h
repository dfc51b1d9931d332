/* SPDX-License-Identifier: MIT */
/*
 * The sequences of detail/sequence.h for x86-64. Stores are in program order
 * on this machine, so the store that ends a sequence is a release.
 *
 * A descriptor (struct rseq_cs: version, flags, start, length, abort address)
 * lies in section __rseq_cs; its address goes into the thread's struct rseq
 * before the first instruction. A thread that the kernel does not know has a
 * cpu_id below 0 (at 4 in struct rseq): nothing would interrupt it here, so it
 * is not let in, though its concurrency id, 0, may look right. Where the kernel
 * interrupts between start and end it goes on at the abort address, in a section
 * of its own, behind the signature that the kernel checks.
 */
#ifndef RONDO_DETAIL_SEQUENCE_X86_64_H
#define RONDO_DETAIL_SEQUENCE_X86_64_H

/* clang-format off */
#define RONDO_RSEQ_BEGIN                                                       \
	".pushsection __rseq_cs, \"aw?\"\n\t"                                  \
	".balign 32\n"                                                         \
	"3:\t.long 0, 0\n\t"                                                   \
	".quad 1f, 2f - 1f, 4f\n\t"                                            \
	".popsection\n\t"                                                      \
	"movslq %[rseq], %%rdx\n\t"                                            \
	"leaq 3b(%%rip), %%rax\n\t"                                            \
	"movq %%rax, %%fs:8(%%rdx)\n"                                          \
	"1:\tcmpl $0, %%fs:4(%%rdx)\n\t"                                       \
	"js 4f\n\t"

/* Ids are compared in memory: a register less to keep across a payload. */
#define RONDO_RSEQ_CHECK_ID                                                    \
	"movslq %[idat], %%rdx\n\t"                                            \
	"cmpl %[id], %%fs:(%%rdx)\n\t"                                         \
	"jne 4f\n\t"

/* .byte: the signature as the operand of an undefined instruction */
#define RONDO_RSEQ_END                                                         \
	"2:\n\t"                                                               \
	".pushsection __rseq_failure, \"ax?\"\n\t"                             \
	".byte 0x0f, 0xb9, 0x3d\n\t"                                           \
	".long 0x53053053\n"                                                   \
	"4:\tjmp %l[aborted]\n\t"                                              \
	".popsection\n\t"

static inline __attribute__((always_inline)) int
rondo_seq_reserve(struct rondo_ring *ring, const struct rondo_offsets *at,
		  uint32_t id, uint64_t expected, uint64_t wanted, char *header, uint32_t open)
{
	__asm__ goto(
		RONDO_RSEQ_BEGIN
		RONDO_RSEQ_CHECK_ID
		"cmpq %[expected], %[head]\n\t"
		"jne %l[changed]\n\t"
		"rdtsc\n\t"
		"movl %%eax, (%[header])\n\t"
		"cmpl %[limit], %%edx\n\t"
		"ja %l[far]\n\t"
		"movl %[open], 4(%[header])\n\t"
		"movb %%dl, 4(%[header])\n\t"
		"movq %[wanted], %[head]\n"
		RONDO_RSEQ_END
		: : [rseq] "m"(at->rseq), [idat] "m"(at->id),
		[id] "r"(id), [head] "m"(ring->head), [expected] "r"(expected),
		[wanted] "r"(wanted), [header] "r"(header), [open] "ri"(open),
		[limit] "m"(*((const uint32_t *)&ring->limit + 1))
		: "memory", "cc", "rax", "rdx" : changed, aborted, far);
	return RONDO_SEQ_DONE;
changed:
	return RONDO_SEQ_CHANGED;
aborted:
	return RONDO_SEQ_ABORTED;
far:
	return RONDO_SEQ_FAR;
}

static inline __attribute__((always_inline)) int
rondo_seq_commit(struct rondo_ring *ring, const struct rondo_offsets *at,
		 uint32_t id, uint64_t expected, uint64_t wanted)
{
	__asm__ goto(
		RONDO_RSEQ_BEGIN
		RONDO_RSEQ_CHECK_ID
		"cmpq %[expected], %[head]\n\t"
		"jne %l[changed]\n\t"
		"movq %[wanted], %[head]\n"
		RONDO_RSEQ_END
		: : [rseq] "m"(at->rseq), [idat] "m"(at->id),
		[id] "r"(id), [head] "m"(ring->head), [expected] "r"(expected),
		[wanted] "r"(wanted)
		: "memory", "cc", "rax", "rdx" : changed, aborted);
	return RONDO_SEQ_DONE;
changed:
	return RONDO_SEQ_CHANGED;
aborted:
	return RONDO_SEQ_ABORTED;
}

static inline __attribute__((always_inline)) int
rondo_seq_count(struct rondo_ring *ring, const struct rondo_offsets *at,
		uint32_t id, uint64_t expected, struct rondo_tally *tally,
		uint64_t bytes)
{
	__asm__ goto(
		RONDO_RSEQ_BEGIN
		RONDO_RSEQ_CHECK_ID
		"cmpq %[expected], %[head]\n\t"
		"jne %l[changed]\n\t"
		"movl (%[tally]), %%edx\n\t"
		"andl $1, %%edx\n\t"
		"movq 8(%[tally],%%rdx,8), %%rax\n\t"
		"addq %[bytes], %%rax\n\t"
		"xorl $1, %%edx\n\t"
		"movq %%rax, 8(%[tally],%%rdx,8)\n\t"
		"incq (%[tally])\n"
		RONDO_RSEQ_END
		: : [rseq] "m"(at->rseq), [idat] "m"(at->id), [id] "r"(id),
		[head] "m"(ring->head), [expected] "r"(expected),
		[tally] "r"(tally), [bytes] "r"(bytes)
		: "memory", "cc", "rax", "rdx" : changed, aborted);
	return RONDO_SEQ_DONE;
changed:
	return RONDO_SEQ_CHANGED;
aborted:
	return RONDO_SEQ_ABORTED;
}

/* Offsets of struct rondo_sequence and struct rondo_store: sequence.h. */
static inline int rondo_seq_list(struct rondo_sequence *s)
{
	__asm__ goto(
		RONDO_RSEQ_BEGIN
		"movl 68(%[s]), %%eax\n\t"
		"movslq 76(%[s]), %%rdx\n\t"
		"cmpl %%eax, %%fs:(%%rdx)\n\t"
		"jne 4f\n\t"
		"movq 16(%[s]), %%r8\n\t"
		"movq 24(%[s]), %%rsi\n"
		"8:\tmovq (%%r8), %%rcx\n\t"
		"movq 8(%%r8), %%rax\n\t"
		"cmpq %%rax, (%%rcx)\n\t"
		"jne %l[changed]\n\t"
		"addq $16, %%r8\n\t"
		"decq %%rsi\n\t"
		"jnz 8b\n\t"
		"cmpl $0, 64(%[s])\n\t"
		"je 5f\n\t"
		"cmpl $1, 64(%[s])\n\t"
		"je 9f\n\t"
		"lfence\n"
		"9:\trdtsc\n\t"
		"shlq $32, %%rdx\n\t"
		"orq %%rdx, %%rax\n\t"
		"movq %%rax, 48(%[s])\n"
		"5:\tmovq 48(%[s]), %%rdx\n\t"
		"cmpq 56(%[s]), %%rdx\n\t"
		"ja %l[far]\n\t"
		"movq 32(%[s]), %%r8\n\t"
		"movq 40(%[s]), %%rsi\n\t"
		"cmpq %%rsi, %%r8\n\t"
		"je 7f\n"
		"6:\tmovq 16(%%r8), %%rax\n\t"
		"andq %%rdx, %%rax\n\t"
		"addq 8(%%r8), %%rax\n\t"
		"movq (%%r8), %%r9\n\t"
		"movq %%rax, (%%r9)\n\t"
		"addq $24, %%r8\n\t"
		"cmpq %%rsi, %%r8\n\t"
		"jne 6b\n"
		"7:\tmovq (%[s]), %%rcx\n\t"
		"movq 8(%[s]), %%rax\n\t"
		"movq %%rax, (%%rcx)\n"
		RONDO_RSEQ_END
		: : [rseq] "m"(s->offsets.rseq), [s] "r"(s)
		: "memory", "cc", "rax", "rcx", "rdx", "rsi", "r8", "r9"
		: changed, aborted, far);
	return RONDO_SEQ_DONE;
changed:
	return RONDO_SEQ_CHANGED;
aborted:
	return RONDO_SEQ_ABORTED;
far:
	return RONDO_SEQ_FAR;
}

static inline int rondo_seq_locked(struct rondo_sequence *s)
{
	__asm__ goto(
		RONDO_RSEQ_BEGIN
		"movl 68(%[s]), %%eax\n\t"
		"movslq 76(%[s]), %%rdx\n\t"
		"cmpl %%eax, %%fs:(%%rdx)\n\t"
		"jne 4f\n\t"
		"cmpl $0, 64(%[s])\n\t"
		"je 5f\n\t"
		"lfence\n\t"
		"rdtsc\n\t"
		"shlq $32, %%rdx\n\t"
		"orq %%rdx, %%rax\n\t"
		"movq %%rax, 48(%[s])\n"
		"5:\tmovq 48(%[s]), %%rdx\n\t"
		"cmpq 56(%[s]), %%rdx\n\t"
		"ja %l[far]\n\t"
		"movq 16(%[s]), %%rdx\n\t"
		"movq 8(%%rdx), %%rax\n\t"
		"movq (%[s]), %%rcx\n\t"
		"movq 8(%[s]), %%rdx\n\t"
		"lock cmpxchgq %%rdx, (%%rcx)\n"
		RONDO_RSEQ_END
		"jne %l[changed]\n\t"
		: : [rseq] "m"(s->offsets.rseq), [s] "r"(s)
		: "memory", "cc", "rax", "rcx", "rdx"
		: changed, aborted, far);
	return RONDO_SEQ_DONE;
changed:
	return RONDO_SEQ_CHANGED;
aborted:
	return RONDO_SEQ_ABORTED;
far:
	return RONDO_SEQ_FAR;
}
/* clang-format on */

#endif
