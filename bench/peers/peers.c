/* SPDX-License-Identifier: MIT */
/*
 * What others pay for a record of two words, measured in turn with rondo:
 * LTTng-UST, the kernel's rings, and queues that producers share.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../operations.h"
#include "../readback.h"
#include "../setup.h"
#include "crew.h"
#include "kernel.h"
#include "lttng.h"

enum {
	RONDO,
	RONDO_CALL,
	FLOOR,
	LTTNG_OVER,
	LTTNG_DISC,
	PERF,
	RINGBUF,
	RONDO_ONE,
	RONDO_TWO,
	URCU_ONE,
	URCU_TWO,
	CK_ONE,
	CK_TWO,
	RTE_ONE,
	RTE_TWO,
	FLOOR_ONE,
	FLOOR_TWO,
	CASES,
};

/* ---- what is measured ---- */

static struct rondo_channel *ring;

static struct crew_subject shared;
static struct crew_subject urcu = {.queue = &queue_urcu};
static struct crew_subject ck = {.queue = &queue_ck};
static struct crew_subject rte = {.queue = &queue_rte};
static struct crew_subject ground = {.queue = &queue_floor};

static struct crew_subject *const subjects[] = {&shared, &urcu, &ck, &rte,
						&ground};
#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

static const struct lttng_session overwriting = {
	.name = "overwrite",
	.event = LTTNG_OVERWRITE,
};
static const struct lttng_session discarding = {
	.name = "discard",
	.event = LTTNG_DISCARD,
};

static struct crew_job jobs[CASES] = {
	[RONDO_ONE] = {&shared, 1}, [RONDO_TWO] = {&shared, 2},
	[URCU_ONE] = {&urcu, 1},    [URCU_TWO] = {&urcu, 2},
	[CK_ONE] = {&ck, 1},	    [CK_TWO] = {&ck, 2},
	[RTE_ONE] = {&rte, 1},	    [RTE_TWO] = {&rte, 2},
	[FLOOR_ONE] = {&ground, 1}, [FLOOR_TWO] = {&ground, 2},
};

static struct bench_case cases[CASES];

#define CASE(i, k, n, b) [i] = {.key = k, .name = n, .base = b}

static struct bench_case cases[CASES] = {
	CASE(RONDO, "rondo", "rondo, overwrite; inline", NULL),
	CASE(RONDO_CALL, "rondo-call", "  through the .so", &cases[RONDO]),
	CASE(FLOOR, "floor-16", "floor: clock, header, 16 B", &cases[RONDO]),
	CASE(LTTNG_OVER, "lttng-overwrite", "LTTng-UST, overwrite (snapshot)",
	     &cases[RONDO]),
	CASE(LTTNG_DISC, "lttng-discard", "  discard, its consumer running",
	     &cases[RONDO]),
	CASE(PERF, "perf", "perf's ring, in the kernel (BPF)", &cases[RONDO]),
	CASE(RINGBUF, "bpf-ringbuf", "BPF ring buffer, in the kernel",
	     &cases[RONDO]),
	CASE(RONDO_ONE, "rondo-1", "rondo: 1 producer", NULL),
	CASE(RONDO_TWO, "rondo-2", "  2 producers", &cases[RONDO_ONE]),
	CASE(URCU_ONE, "wfcqueue-1", "liburcu wfcqueue: 1 producer",
	     &cases[RONDO_ONE]),
	CASE(URCU_TWO, "wfcqueue-2", "  2 producers", &cases[RONDO_TWO]),
	CASE(CK_ONE, "ck_ring-1", "ck_ring MPSC: 1 producer",
	     &cases[RONDO_ONE]),
	CASE(CK_TWO, "ck_ring-2", "  2 producers", &cases[RONDO_TWO]),
	CASE(RTE_ONE, "rte_ring-1", "rte_ring MP: 1 producer",
	     &cases[RONDO_ONE]),
	CASE(RTE_TWO, "rte_ring-2", "  2 producers", &cases[RONDO_TWO]),
	CASE(FLOOR_ONE, "floor-1", "floor: nothing is shared, 1 producer",
	     &cases[RONDO_ONE]),
	CASE(FLOOR_TWO, "floor-2", "  2 producers", &cases[RONDO_TWO]),
};

#define LTTNG(t, f, m)                                                 \
	{                                                              \
		.number = "5", .text = t, .of = &cases[LTTNG_OVER],    \
		.to = &cases[f], .best_to = &cases[FLOOR], .limit = m, \
		.at_least = true, .needs_rseq = true                   \
	}
#define QUEUE(t, o)                                                    \
	{                                                              \
		.number = "10", .text = t, .of = &cases[o],            \
		.to = &cases[RONDO_TWO], .best_to = &cases[FLOOR_TWO], \
		.limit = 10, .at_least = true, .needs_rseq = true      \
	}

static struct bench_target targets[] = {
	LTTNG("LTTng-UST / rondo inline, overwrite", RONDO, 7),
	LTTNG("  through the .so", RONDO_CALL, 5.5),
	QUEUE("wfcqueue / rondo, two producers", URCU_TWO),
	QUEUE("ck_ring MPSC / rondo, two producers", CK_TWO),
	QUEUE("rte_ring MP / rondo, two producers", RTE_TWO),
};
#define TARGETS (sizeof(targets) / sizeof(targets[0]))

/* ---- what is missing ---- */

#define UNDECIDED "not decided: "

/* Of the cases that are skipped. */
static char reasons[CASES][200];

static double sample_nothing(struct bench_case *one)
{
	(void)one;
	return 0;
}

static void skip(size_t index, const char *reason)
{
	snprintf(reasons[index], sizeof(reasons[index]), UNDECIDED "%s",
		 reason);
	cases[index].op = NULL;
	cases[index].sample = sample_nothing;
}

/* With those that can never be, wherever this runs. */
static void print_skipped(void)
{
	for (size_t i = 0; i < CASES; i++)
		if (*reasons[i])
			printf("%s: skipped: %s\n", cases[i].key,
			       reasons[i] + sizeof(UNDECIDED) - 1);
	printf("bpf-user-ringbuf: skipped: its one producer needs a compiled "
	       "BPF program to drain it\n");
	printf("aeron, perfetto, nanolog: skipped: no Debian package\n\n");
}

/* ---- life ---- */

static int set_up_rondo(struct bench *bench)
{
	const struct rondo_config config = {.flags = RONDO_OVERWRITE};

	if (bench_floor_create(&operations.floor) ||
	    bench_channel(&config, "ring", 16, &ring) ||
	    bench_channel(&config, "shared", 16, &shared.channel))
		return 1;
	operations.ring = ring;
	operations.id16 = BENCH_ID;
	cases[RONDO].op = operation_record16;
	cases[RONDO_CALL].op = operation_call_record16;
	cases[FLOOR].op = operation_floor16;
	bench_call(&cases[RONDO], BENCH_FLOOR_BYTES / 16);
	return bench_describe(bench, ring);
}

static int set_up_lttng(void)
{
	if (lttng_missing()) {
		skip(LTTNG_OVER, lttng_missing());
		skip(LTTNG_DISC, lttng_missing());
		return 0;
	}
	if (lttng_begin(&overwriting) || lttng_begin(&discarding))
		return 1;
	cases[LTTNG_OVER].op = lttng_record_overwrite;
	cases[LTTNG_DISC].op = lttng_record_discard;
	bench_call(&cases[LTTNG_OVER], BENCH_FLOOR_BYTES / 16);
	return 0;
}

static void set_up_kernel(const struct bench *bench)
{
	kernel_open(bench->cpu);
	cases[PERF].sample = kernel_sample_perf;
	cases[RINGBUF].sample = kernel_sample_ringbuf;
	if (kernel_missing(KERNEL_PERF))
		skip(PERF, kernel_missing(KERNEL_PERF));
	if (kernel_missing(KERNEL_RINGBUF))
		skip(RINGBUF, kernel_missing(KERNEL_RINGBUF));
}

static int set_up_crew(const struct bench *bench)
{
	for (size_t i = RONDO_ONE; i < CASES; i++) {
		const struct queue *queue = jobs[i].subject->queue;

		cases[i].sample = crew_sample;
		cases[i].context = &jobs[i];
		if (queue && queue->missing)
			skip(i, queue->missing);
		else if (jobs[i].producers > bench_cpu_count())
			skip(i, "one CPU");
	}
	for (size_t i = 0; i < SUBJECTS; i++) {
		const struct queue *queue = subjects[i]->queue;

		crew_number(subjects[i]);
		if (queue && !queue->missing && queue->create())
			return 1;
	}
	return crew_start(bench);
}

static int set_up(struct bench *bench)
{
	if (set_up_rondo(bench) || set_up_lttng() || set_up_crew(bench))
		return 1;
	set_up_kernel(bench);
	for (size_t i = 0; i < TARGETS; i++) {
		const char *of = reasons[targets[i].of - cases];
		const char *to = reasons[targets[i].to - cases];

		if (*of || *to)
			targets[i].undecided = *of ? of : to;
	}
	print_skipped();
	return 0;
}

static void tear_down(void)
{
	kernel_close();
	for (size_t i = 0; i < SUBJECTS; i++)
		if (subjects[i]->queue && !subjects[i]->queue->missing)
			subjects[i]->queue->destroy();
	bench_floor_destroy(&operations.floor);
	rondo_channel_destroy(ring);
	rondo_channel_destroy(shared.channel);
}

/* ---- whether it has happened ---- */

static bool look(const struct rondo_item *item, void *context)
{
	(void)context;
	return bench_is_filled(item);
}

static int check_channel(struct rondo_channel *channel, uint64_t calls)
{
	struct bench_readback found;

	if (bench_read_back(channel, look, NULL, &found))
		return 1;
	if (found.wrong || !found.records)
		return bench_fail("%" PRIu64 " records, %" PRIu64 " are wrong",
				  found.records, found.wrong);
	return bench_all_there(channel, calls, 16, found.bytes);
}

static int check_queue(const struct crew_subject *subject, size_t index)
{
	const struct queue_found *found = &subject->found;

	if (!found->wrong &&
	    found->records + subject->refused == subject->calls &&
	    !subject->refused)
		return 0;
	return bench_fail("%s: %" PRIu64 " records of %" PRIu64 ", %" PRIu64
			  " wrong, %" PRIu64 " refused",
			  cases[index].key, found->records, subject->calls,
			  found->wrong, subject->refused);
}

static int check_lttng(void)
{
	struct lttng_found over, disc;

	if (lttng_missing())
		return 0;
	if (lttng_end(&overwriting, true, &over) ||
	    lttng_end(&discarding, true, &disc))
		return 1;
	if (over.wrong || disc.wrong || !over.records ||
	    disc.records + disc.discarded != cases[LTTNG_DISC].calls)
		return bench_fail("LTTng-UST: %" PRIu64 " records in its "
				  "snapshot, %" PRIu64 " wrong; %" PRIu64
				  " and %" PRIu64 " discarded of %" PRIu64
				  ", %" PRIu64 " wrong",
				  over.records, over.wrong, disc.records,
				  disc.discarded, cases[LTTNG_DISC].calls,
				  disc.wrong);
	printf("LTTng-UST: %" PRIu64 " records in the snapshot; %" PRIu64
	       " arrived, %" PRIu64 " discarded\n\n",
	       over.records, disc.records, disc.discarded);
	return 0;
}

static int check(void)
{
	int status = check_channel(ring, cases[RONDO].calls +
						 cases[RONDO_CALL].calls);

	if (!status)
		status = check_channel(shared.channel, shared.calls);
	for (size_t i = URCU_ONE; i < CASES && !status; i += 2)
		status = check_queue(jobs[i].subject, i);
	if (!status && !kernel_missing(KERNEL_PERF))
		status = kernel_check(KERNEL_PERF, &cases[PERF]);
	if (!status && !kernel_missing(KERNEL_RINGBUF))
		status = kernel_check(KERNEL_RINGBUF, &cases[RINGBUF]);
	return status ? status : check_lttng();
}

/* ---- the program ---- */

static int measure(struct bench *bench)
{
	int status = set_up(bench);

	if (status)
		return status;
	bench_measure(bench);
	crew_end();
	status = check();
	if (status == 0)
		status = bench_report(bench);
	if (status == 0 && crew_disturbed())
		printf("\n%" PRIu64
		       " bursts in which the producers did not run "
		       "together\n",
		       crew_disturbed());
	bench_end(bench);
	tear_down();
	return status;
}

int main(int argc, char **argv)
{
	struct bench bench = {
		.name = "peers",
		.question = "What do LTTng-UST, shared queues and the kernel's "
			    "rings pay for the record\nthat rondo makes?",
		.help = "Two words and the time. LTTng-UST: a session daemon "
			"of its own is started; records\nare read back with "
			"babeltrace2. Queues: the clock and both words are "
			"enqueued, each\nproducer on a CPU of its own; a burst "
			"is dequeued and looked at when it is over.\nThe "
			"kernel's rings: from a BPF program that is run again "
			"and again, without the\ntrap or system call that "
			"would lead there. What cannot run here is skipped, "
			"with\nthe reason, and shows 0.",
		.cases = cases,
		.case_count = CASES,
		.targets = targets,
		.target_count = TARGETS,
	};
	int status = bench_options(&bench, argc, argv);

	if (status >= 0)
		return status;
	status = lttng_enter(argv);
	if (status >= 0)
		return status;
	if (bench.is_short) {
		bench.repetitions = 5;
		bench.bursts = 1;
	}
	return measure(&bench);
}
