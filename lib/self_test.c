/* SPDX-License-Identifier: MIT */
/*
 * Whether rseq does what it promises here. Two short-lived threads share a
 * CPU. One counts; the other runs a long sequence that checks, over and over,
 * that the count is what it was. When it was preempted it must come back as
 * aborted; to see another count inside a sequence means that the kernel let a
 * preempted sequence go on (arm64, Linux 6.19), and rseq stays unused.
 */
#include "self_test.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include <rondo/channel.h>
#include <rondo/detail/sequence.h>

#include "os.h"

#if RONDO_HAVE_RSEQ

#define CHECKS 2048
#define EVENTS 8		     /* preemptions that make a verdict */
#define LIMIT_NS (8 * 1000 * 1000)   /* ... or that much time */
#define COUNTER_SLEEP_NS (30 * 1000) /* preempts the other when it wakes */

struct self_test {
	uint64_t count __attribute__((aligned(128)));
	uint32_t stop __attribute__((aligned(128)));
	int cpu;
	int64_t rseq_offset;
	uint32_t aborted, changed;
	uint64_t scratch;
	struct rondo_check checks[CHECKS];
};

static void *run_counter(void *argument)
{
	struct self_test *test = argument;

	(void)rondo_os_pin(test->cpu);
	while (!rondo_load_relaxed(&test->stop)) {
		rondo_add_relaxed(&test->count, 1);
		rondo_os_sleep_ns(COUNTER_SLEEP_NS);
	}
	return NULL;
}

/* The check list is the loop: every entry looks at the same word. */
static int run_once(struct self_test *test)
{
	struct rondo_sequence s = {
		.commit_at = &test->scratch,
		.checks = test->checks,
		.check_count = CHECKS,
		.limit = UINT64_MAX,
		.id = (uint32_t)test->cpu,
		.offsets = {(int32_t)test->rseq_offset,
			    (int32_t)test->rseq_offset + 4},
	};
	uint64_t count = rondo_load_relaxed(&test->count);

	for (int i = 0; i < CHECKS; i++) {
		test->checks[i].at = &test->count;
		test->checks[i].expected = count;
	}
	/* The count once more, or all that time would look like a sequence. */
	if (rondo_load_relaxed(&test->count) != count)
		return RONDO_SEQ_DONE;
	return rondo_seq_list(&s);
}

static void *run_sequences(void *argument)
{
	struct self_test *test = argument;
	int64_t until = rondo_os_monotonic_ns() + LIMIT_NS;
	struct rondo_os_rseq rseq;

	rondo_os_rseq(&rseq);
	test->rseq_offset = rseq.offset;
	if (!rseq.registered || rondo_os_pin(test->cpu) < 0)
		return NULL;
	while (test->aborted + test->changed < EVENTS &&
	       rondo_os_monotonic_ns() < until) {
		switch (run_once(test)) {
		case RONDO_SEQ_ABORTED:
			test->aborted++;
			break;
		case RONDO_SEQ_CHANGED:
			test->changed++;
			break;
		}
	}
	return NULL;
}

static void run(struct self_test *test)
{
	pthread_t counter, sequences;
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&counter, NULL, run_counter, test) == 0) {
		if (pthread_create(&sequences, NULL, run_sequences, test) == 0)
			pthread_join(sequences, NULL);
		rondo_store_relaxed(&test->stop, 1);
		pthread_join(counter, NULL);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static bool preempted_sequences_abort(void)
{
	struct self_test *test = calloc(1, sizeof(*test));
	bool result = true;

	if (!test)
		return true;
	test->cpu = rondo_os_cpu_cheap();
	if (test->cpu >= 0) {
		run(test);
		/* A change between the last look and the start of a sequence
		 * happens, rarely; without aborts there is nothing else. */
		result = test->changed <= test->aborted;
	}
	free(test);
	return result;
}

/* Two threads that come here at once both test: no lock to inherit by fork. */
uint32_t rondo_self_test(void)
{
	static uint32_t known; /* 0: not yet; else the reason + 1 */
	uint32_t reason = rondo_load_relaxed(&known);

	if (!reason) {
		reason = 1 + (preempted_sequences_abort() ?
				      (uint32_t)RONDO_MODE_RSEQ :
				      (uint32_t)RONDO_MODE_SELF_TEST);
		rondo_store_relaxed(&known, reason);
	}
	return reason - 1;
}

#else

uint32_t rondo_self_test(void)
{
	return RONDO_MODE_NOT_BUILT;
}

#endif
