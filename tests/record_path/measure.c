/* SPDX-License-Identifier: MIT */
/*
 * How deep the record path's stack really is. A handler on an alternate stack
 * paints what lies below it, does one operation, and looks how far the paint is
 * gone: in each situation that leads the operation another way. Prints a line
 * for each; tests/record_path/stack compares.
 *
 * "stepped": the operation runs one instruction at a time, so every sequence
 * aborts, and the eighth one leads to a revocation.
 */
#define RONDO_NO_INLINE

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rondo/rondo.h>

#include "control.h"

#define STACK_BYTES 65536
#define PAINT 0xa5
#ifndef SS_AUTODISARM /* in a header that does not go with signal.h */
#define SS_AUTODISARM (1u << 31)
#endif
#define SMALL 8u
#define LARGE 1000u  /* three of them fit a sub-buffer */
#define ANY SIZE_MAX /* no counter tells */
#define ONLY_RSEQ \
	0x10000 /* of a situation: what it is about, others have not */
#define STEPPED 0x20000

static char painted[STACK_BYTES] __attribute__((aligned(4096)));
static char other[STACK_BYTES] __attribute__((aligned(4096)));

static struct rondo_channel *channel;
static struct rondo_ring *ring;
static uint16_t id;
static char bytes[LARGE];
static struct rondo_record held;
static struct rondo_mark mark;
static int result;
static void (*volatile operation)(void);
static volatile size_t depth;
static bool stepped;

static void fail(const char *what, int why)
{
	fprintf(stderr, "measure: %s: %d\n", what, why);
	exit(1);
}

/* ---- operations ---- */

static void do_reserve(void)
{
	result = rondo_reserve(channel, id, LARGE, &held);
}

static void do_reserve_call(void)
{
	result = rondo_reserve_call(channel, id, LARGE, &held);
}

static void do_refuse_full(void)
{
	result = rondo_refuse_full(channel, LARGE, ring->head, ring->index);
}

static void do_reserve_aligned(void)
{
	result = rondo_reserve_aligned(channel, id, LARGE, 512, &held);
}

static void do_commit(void)
{
	result = rondo_commit(&held);
}

static void do_commit_call(void)
{
	result = rondo_commit_call(channel, held.data, held.head, held.ring_id,
				   held.event_id);
}

static void do_commit_len(void)
{
	result = rondo_commit_len(&held, 1);
}

static void do_discard(void)
{
	result = rondo_discard(&held);
}

static void do_squash(void)
{
	result = rondo_squash(channel, mark);
}

static void do_write(void)
{
	result = rondo_write(channel, id, bytes, LARGE);
}

static void do_writev(void)
{
	const struct iovec pieces[2] = {{bytes, 500}, {bytes, 500}};

	result = rondo_writev(channel, id, pieces, 2);
}

/* ---- what comes before ---- */

static void nothing(void)
{
}

static void write_of(uint32_t size)
{
	if (rondo_write(channel, id, bytes, size))
		fail("rondo_write", (int)size);
}

static void one(void)
{
	write_of(SMALL);
}

static void three(void)
{
	for (int i = 0; i < 3; i++)
		write_of(LARGE);
}

static void hold(void)
{
	if (rondo_reserve(channel, id, SMALL, &held))
		fail("rondo_reserve", 0);
}

static void hold_first(void)
{
	hold();
	three();
}

static void hold_before_another(void)
{
	hold();
	one();
}

static void hold_in_what_is_left(void)
{
	hold_first();
	one();
	three();
}

static void all_slots(void)
{
	for (int i = 0; i < 4; i++)
		three();
}

/* Each slot has a writer that does not commit. */
static void all_stalled(void)
{
	for (int i = 0; i < 4; i++)
		hold_first();
}

static void marked(void)
{
	hold();
	rondo_commit(&held);
	mark = rondo_mark(&held);
}

static void asleep(void)
{
	three();
	channel->control->map.wait->sleeping = RONDO_SLEEP_FUTEX;
}

/* As a flusher of another CPU leaves it. */
static void asked(void)
{
	const unsigned order = channel->control->map.order;

	one();
	ring->asked = 1;
	ring->hint =
		rondo_hint(rondo_head_number(ring->head, order) - 1, order, 0);
}

static void revoking(void)
{
	one();
	ring->head = rondo_head_with_mode(ring->head, RONDO_HEAD_REVOKING);
}

#define COUNTER(field) offsetof(struct rondo_stats, field)

/* counter: the one that the operation must move. */
static const struct situation {
	const char *name;
	void (*before)(void);
	const char *called;
	void (*run)(void);
	int result;
	unsigned flags;
	size_t counter;
} situations[] = {
	{"opens the first", nothing, "rondo_reserve", do_reserve, 0, 0, ANY},
	{"fits", one, "rondo_reserve", do_reserve, 0, 0, ANY},
	{"fits", one, "rondo_reserve_call", do_reserve_call, 0, 0, ANY},
	{"fits behind a gap", one, "rondo_reserve_aligned", do_reserve_aligned,
	 0, 0, ANY},
	{"fits", one, "rondo_write", do_write, 0, 0, ANY},
	{"fits", one, "rondo_writev", do_writev, 0, 0, ANY},
	{"crosses", three, "rondo_reserve", do_reserve, 0, 0,
	 COUNTER(delivered)},
	{"crosses", three, "rondo_reserve_call", do_reserve_call, 0, 0,
	 COUNTER(delivered)},
	{"crosses to a gap", three, "rondo_reserve_aligned", do_reserve_aligned,
	 0, 0, COUNTER(delivered)},
	{"crosses", three, "rondo_write", do_write, 0, 0, COUNTER(delivered)},
	{"crosses", three, "rondo_writev", do_writev, 0, 0, COUNTER(delivered)},
	{"crosses, one is open", hold_first, "rondo_write", do_write, 0, 0,
	 ANY},
	{"crosses and wakes", asleep, "rondo_write", do_write, 0, 0,
	 COUNTER(delivered)},
	{"crosses and overwrites", all_slots, "rondo_write", do_write, 0,
	 RONDO_OVERWRITE, COUNTER(overwritten)},
	{"was asked to close", asked, "rondo_write", do_write, 0, ONLY_RSEQ,
	 COUNTER(flushes)},
	{"is being revoked", revoking, "rondo_write", do_write, 0, ONLY_RSEQ,
	 ANY},
	{"refused, full", all_slots, "rondo_write", do_write, -ENOBUFS, 0,
	 COUNTER(refused_records[RONDO_REFUSED_FULL])},
	{"refused, full", all_slots, "rondo_refuse_full", do_refuse_full,
	 -ENOBUFS, ONLY_RSEQ, COUNTER(refused_records[RONDO_REFUSED_FULL])},
	{"refused, full", all_slots, "rondo_reserve_call", do_reserve_call,
	 -ENOBUFS, 0, COUNTER(refused_records[RONDO_REFUSED_FULL])},
	{"refused, stalled", all_stalled, "rondo_write", do_write, -EBUSY, 0,
	 COUNTER(refused_records[RONDO_REFUSED_STALLED])},
	{"in the head", hold, "rondo_commit", do_commit, 0, 0, ANY},
	{"another came", hold_before_another, "rondo_commit", do_commit, 0, 0,
	 ANY},
	{"late, delivers", hold_in_what_is_left, "rondo_commit", do_commit, 0,
	 0, COUNTER(delivered)},
	{"late, delivers", hold_in_what_is_left, "rondo_commit_call",
	 do_commit_call, 0, 0, COUNTER(delivered)},
	{"gives back", hold, "rondo_commit_len", do_commit_len, 0, 0, ANY},
	{"leaves a gap", hold_before_another, "rondo_commit_len", do_commit_len,
	 0, 0, COUNTER(late_commits)},
	{"late, delivers", hold_in_what_is_left, "rondo_commit_len",
	 do_commit_len, 0, 0, COUNTER(delivered)},
	{"gives back", hold, "rondo_discard", do_discard, 0, 0,
	 COUNTER(discarded)},
	{"late, delivers", hold_in_what_is_left, "rondo_discard", do_discard, 0,
	 0, COUNTER(delivered)},
	{"undoes", marked, "rondo_squash", do_squash, 0, 0, COUNTER(squashed)},
	{"fits, stepped", one, "rondo_write", do_write, 0, STEPPED | ONLY_RSEQ,
	 COUNTER(revocations)},
	{"crosses, stepped", three, "rondo_write", do_write, 0,
	 STEPPED | ONLY_RSEQ, COUNTER(revocations)},
	{"commits, stepped", hold, "rondo_commit", do_commit, 0,
	 STEPPED | ONLY_RSEQ, COUNTER(late_commits)},
};

/* ---- measuring ---- */

static void on_trap(int signal)
{
	(void)signal;
}

static void use_stack(char *stack, int flags)
{
	const stack_t to = {
		.ss_sp = stack, .ss_flags = flags, .ss_size = STACK_BYTES};

	if (sigaltstack(&to, NULL))
		fail("sigaltstack", errno);
}

static inline __attribute__((always_inline)) char *stack_pointer(void)
{
	char *at;

	__asm__ volatile("movq %%rsp, %0" : "=r"(at));
	return at;
}

static inline __attribute__((always_inline)) void step(bool on)
{
	if (on)
		__asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq"
				 :
				 :
				 : "memory", "cc");
	else
		__asm__ volatile("pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq"
				 :
				 :
				 : "memory", "cc");
}

/* Traps go to the other stack. No call between the paint and the look but the
 * one that is measured. */
static void on_signal(int signal)
{
	volatile char *lowest = painted;
	char *top;

	(void)signal;
	use_stack(other, 0);
	top = stack_pointer();
	for (volatile char *at = painted; at < top; at++)
		*at = (char)PAINT;
	if (stepped)
		step(true);
	operation();
	if (stepped)
		step(false);
	while (lowest < top && *lowest == (char)PAINT)
		lowest++;
	depth = (size_t)(top - lowest);
}

/* ---- channels ---- */

static const struct {
	const char *name;
	struct rondo_config config;
} kinds[] = {
	{"compact", {.record_max = LARGE}},
	{"full headers", {.record_max = 2100}},
	{"monotonic clock",
	 {.record_max = LARGE, .clock = RONDO_CLOCK_MONOTONIC}},
	{"atomic", {.record_max = LARGE, .flags = RONDO_NO_RSEQ}},
	{"atomic, full headers", {.record_max = 2100, .flags = RONDO_NO_RSEQ}},
};

static uint64_t counter(size_t offset)
{
	struct rondo_stats stats;

	rondo_channel_stats(channel, &stats);
	return *(const uint64_t *)(const void *)((const char *)&stats + offset);
}

static uint32_t pin(void)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity", errno);
	return (uint32_t)cpu;
}

static void create(const struct rondo_config *kind, unsigned flags,
		   uint32_t cpu)
{
	const struct rondo_event_class class = {
		.size = sizeof(class),
		.name = "test:stack",
		.field_size = sizeof(struct rondo_field),
	};
	struct rondo_config config = *kind;

	config.size = sizeof(config);
	config.flags |= flags & RONDO_OVERWRITE;
	config.subbuf_bytes = 4096;
	config.subbuf_count = 4;
	if (rondo_channel_create(&config, &channel) ||
	    rondo_event_register(channel, &class, &id))
		fail("a channel", 0);
	ring = rondo_map_ring(&channel->control->map, cpu);
}

/* False: it is about something that this channel has not. */
static bool measure(const char *kind, const struct rondo_config *config,
		    const struct situation *s, uint32_t cpu)
{
	uint64_t before = 0;
	bool applies;

	create(config, s->flags, cpu);
	applies = !(s->flags & ONLY_RSEQ) ||
		  channel->control->reason == RONDO_MODE_RSEQ;
	if (applies) {
		s->before();
		if (s->counter != ANY)
			before = counter(s->counter);
		operation = s->run;
		stepped = s->flags & STEPPED;
		use_stack(painted, (int)SS_AUTODISARM);
		raise(SIGUSR1);
		if (result != s->result)
			fail(s->name, result);
		if (s->counter != ANY && counter(s->counter) == before)
			fail(s->name, ENODATA);
		printf("%s, %s: %s %zu bytes\n", kind, s->name, s->called,
		       depth);
	}
	rondo_channel_destroy(channel);
	return applies;
}

int main(void)
{
	const struct sigaction measures = {.sa_handler = on_signal,
					   .sa_flags = SA_ONSTACK};
	const struct sigaction traps = {.sa_handler = on_trap,
					.sa_flags = SA_ONSTACK};
	const uint32_t cpu = pin();
	unsigned done = 0;

	sigaction(SIGUSR1, &measures, NULL);
	sigaction(SIGTRAP, &traps, NULL);
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		for (size_t i = 0; i < sizeof(situations) / sizeof(*situations);
		     i++)
			done += measure(kinds[k].name, &kinds[k].config,
					&situations[i], cpu);
	printf("%u situations\n", done);
	return done < 100;
}
