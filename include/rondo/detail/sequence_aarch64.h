/* SPDX-License-Identifier: MIT */
/*
 * The sequences of detail/sequence.h for aarch64. The store that ends one is
 * stlr: it orders the record's header before the head. The locked one ends in
 * a store-exclusive, tried once: where it fails the caller starts again.
 * The clock is cntvct_el0, after an isb where it must follow the head's load.
 */
#ifndef RONDO_DETAIL_SEQUENCE_AARCH64_H
#define RONDO_DETAIL_SEQUENCE_AARCH64_H

/* clang-format off */
/* Leaves the thread pointer in x10. cpu_id below 0: as on x86-64. */
#define RONDO_RSEQ_BEGIN                                                       \
	".pushsection __rseq_cs, \"aw?\"\n\t"                                  \
	".balign 32\n"                                                         \
	"3:\t.long 0, 0\n\t"                                                   \
	".quad 1f, 2f - 1f, 4f\n\t"                                            \
	".popsection\n\t"                                                      \
	"mrs x10, tpidr_el0\n\t"                                               \
	"adrp x9, 3b\n\t"                                                      \
	"add x9, x9, :lo12:3b\n\t"                                             \
	"add x11, x10, %[rseq]\n\t"                                            \
	"str x9, [x11, #8]\n"                                                  \
	"1:\tldr w9, [x11, #4]\n\t"                                           \
	"cmp w9, #0\n\t"                                                      \
	"b.lt %l[aborted]\n\t"

#define RONDO_RSEQ_END                                                         \
	"2:\n\t"                                                               \
	".pushsection __rseq_failure, \"ax?\"\n\t"                             \
	".long 0xd428bc00\n"                                                   \
	"4:\tb %l[aborted]\n\t"                                                \
	".popsection\n\t"

static inline __attribute__((always_inline)) int
rondo_seq_reserve(struct rondo_ring *ring, const struct rondo_offsets *at,
		  uint32_t id, uint64_t expected, uint64_t wanted, char *header, uint32_t open)
{
	__asm__ goto(
		RONDO_RSEQ_BEGIN
		"ldr w9, [x10, %[idat]]\n\t"
		"cmp w9, %w[id]\n\t"
		"b.ne 5f\n\t"
		"ldr x9, [%[head]]\n\t"
		"cmp x9, %[expected]\n\t"
		"b.ne %l[changed]\n\t"
		"mrs x9, cntvct_el0\n\t"
		"ldr w11, [%[head], #20]\n\t"
		"lsr x12, x9, #32\n\t"
		"cmp w12, w11\n\t"
		"b.hi %l[far]\n\t"
		"str w9, [%[header]]\n\t"
		"and w12, w12, #0xff\n\t"
		"orr w12, w12, %w[open]\n\t"
		"str w12, [%[header], #4]\n\t"
		"stlr %[wanted], [%[head]]\n"
		RONDO_RSEQ_END
		"b 6f\n"
		"5:\tb %l[aborted]\n"
		"6:\n\t"
		: : [rseq] "r"((int64_t)at->rseq),
		[idat] "r"((int64_t)at->id),
		[id] "r"(id), [head] "r"(&ring->head),
		[expected] "r"(expected), [wanted] "r"(wanted),
		[header] "r"(header), [open] "r"(open)
		: "memory", "cc", "x9", "x10", "x11", "x12"
		: changed, aborted, far);
	return RONDO_SEQ_DONE;
changed:
	return RONDO_SEQ_CHANGED;
aborted:
	return RONDO_SEQ_ABORTED;
far:
	return RONDO_SEQ_FAR;
}
RONDO_STATIC_ASSERT(offsetof(struct rondo_ring, limit) == 16, "assembly");

static inline __attribute__((always_inline)) int
rondo_seq_commit(struct rondo_ring *ring, const struct rondo_offsets *at,
		 uint32_t id, uint64_t expected, uint64_t wanted)
{
	__asm__ goto(
		RONDO_RSEQ_BEGIN
		"ldr w9, [x10, %[idat]]\n\t"
		"cmp w9, %w[id]\n\t"
		"b.ne 5f\n\t"
		"ldr x9, [%[head]]\n\t"
		"cmp x9, %[expected]\n\t"
		"b.ne %l[changed]\n\t"
		"stlr %[wanted], [%[head]]\n"
		RONDO_RSEQ_END
		"b 6f\n"
		"5:\tb %l[aborted]\n"
		"6:\n\t"
		: : [rseq] "r"((int64_t)at->rseq),
		[idat] "r"((int64_t)at->id),
		[id] "r"(id), [head] "r"(&ring->head),
		[expected] "r"(expected), [wanted] "r"(wanted)
		: "memory", "cc", "x9", "x10", "x11"
		: changed, aborted);
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
		"ldr w9, [x10, %[idat]]\n\t"
		"cmp w9, %w[id]\n\t"
		"b.ne 5f\n\t"
		"ldr x9, [%[head]]\n\t"
		"cmp x9, %[expected]\n\t"
		"b.ne %l[changed]\n\t"
		"ldr x9, [%[tally]]\n\t"
		"add x13, %[tally], #8\n\t"
		"and x11, x9, #1\n\t"
		"ldr x12, [x13, x11, lsl #3]\n\t"
		"add x12, x12, %[bytes]\n\t"
		"eor x11, x11, #1\n\t"
		"str x12, [x13, x11, lsl #3]\n\t"
		"add x9, x9, #1\n\t"
		"stlr x9, [%[tally]]\n"
		RONDO_RSEQ_END
		"b 6f\n"
		"5:\tb %l[aborted]\n"
		"6:\n\t"
		: : [rseq] "r"((int64_t)at->rseq),
		[idat] "r"((int64_t)at->id), [id] "r"(id),
		[head] "r"(&ring->head), [expected] "r"(expected),
		[tally] "r"(tally), [bytes] "r"(bytes)
		: "memory", "cc", "x9", "x10", "x11", "x12", "x13"
		: changed, aborted);
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
		"ldr w9, [%[s], #68]\n\t"
		"ldrsw x11, [%[s], #76]\n\t"
		"ldr w12, [x10, x11]\n\t"
		"cmp w9, w12\n\t"
		"b.ne 8f\n\t"
		"ldp x14, x15, [%[s], #16]\n"
		"16:\tldp x12, x9, [x14], #16\n\t"
		"ldr x11, [x12]\n\t"
		"cmp x9, x11\n\t"
		"b.ne %l[changed]\n\t"
		"subs x15, x15, #1\n\t"
		"b.ne 16b\n\t"
		"ldr w9, [%[s], #64]\n\t"
		"cbz w9, 5f\n\t"
		"cmp w9, #1\n\t"
		"b.eq 17f\n\t"
		"isb\n"
		"17:\tmrs x9, cntvct_el0\n\t"
		"str x9, [%[s], #48]\n"
		"5:\tldr x13, [%[s], #48]\n\t"
		"ldr x9, [%[s], #56]\n\t"
		"cmp x13, x9\n\t"
		"b.hi %l[far]\n\t"
		"ldp x14, x15, [%[s], #32]\n"
		"6:\tcmp x14, x15\n\t"
		"b.eq 7f\n\t"
		"ldp x9, x11, [x14, #8]\n\t"
		"and x11, x11, x13\n\t"
		"add x9, x9, x11\n\t"
		"ldr x11, [x14], #24\n\t"
		"str x9, [x11]\n\t"
		"b 6b\n"
		"7:\tldp x12, x9, [%[s]]\n\t"
		"stlr x9, [x12]\n"
		RONDO_RSEQ_END
		"b 9f\n"
		"8:\tb %l[aborted]\n"
		"9:\n\t"
		: : [rseq] "r"((int64_t)s->offsets.rseq), [s] "r"(s)
		: "memory", "cc", "x9", "x10", "x11", "x12", "x13", "x14", "x15"
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
		"ldr w9, [%[s], #68]\n\t"
		"ldrsw x11, [%[s], #76]\n\t"
		"ldr w12, [x10, x11]\n\t"
		"cmp w9, w12\n\t"
		"b.ne 8f\n\t"
		"ldr w9, [%[s], #64]\n\t"
		"cbz w9, 5f\n\t"
		"isb\n\t"
		"mrs x9, cntvct_el0\n\t"
		"str x9, [%[s], #48]\n"
		"5:\tldr x13, [%[s], #48]\n\t"
		"ldr x9, [%[s], #56]\n\t"
		"cmp x13, x9\n\t"
		"b.hi %l[far]\n\t"
		"ldr x9, [%[s], #16]\n\t"
		"ldr x9, [x9, #8]\n\t"
		"ldp x12, x13, [%[s]]\n\t"
		"ldaxr x11, [x12]\n\t"
		"cmp x9, x11\n\t"
		"b.ne %l[changed]\n\t"
		"stlxr w9, x13, [x12]\n"
		RONDO_RSEQ_END
		"cbnz w9, 9f\n\t"
		"b 10f\n"
		"8:\tb %l[aborted]\n"
		"9:\tb %l[changed]\n"
		"10:\n\t"
		: : [rseq] "r"((int64_t)s->offsets.rseq), [s] "r"(s)
		: "memory", "cc", "x9", "x10", "x11", "x12", "x13"
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
