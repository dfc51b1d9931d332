/* SPDX-License-Identifier: MIT */
/*
 * How recording scales: one thread to two for each CPU, pinned and not, with
 * rings by CPU and by concurrency id; and how many rings many threads touch.
 */
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "numbers.h"
#include "readback.h"
#include "setup.h"

#define BURST 24000u /* records of a thread between two looks at its clock */
#define BURSTS 3     /* of each thread in a sample */
#define TOUCHING 16  /* threads that touch rings */
#define COUNTS_MAX 8 /* 1, 2, 4 ... and two for each CPU */

enum where {
	ANYWHERE,
	PINNED,
	ON_TWO_CPUS
};

/* What is measured. */
struct job {
	struct rondo_channel **channel;
	unsigned threads;
	enum where where;
};

/* A channel and what was done to it. */
static struct rondo_channel *by_cpu, *by_id, *touched;
static bool has_ids;

static struct {
	const struct bench *bench;
	const struct job *job;
	struct worker *worker; /* [count] */
	unsigned count;
	unsigned arrived;  /* workers: who has come to the start */
	unsigned finished; /* workers: who has measured enough */
	sem_t done;
	bool ending;
} crew;

struct worker {
	pthread_t thread;
	sem_t go;
	unsigned index;
	uint64_t records; /* of this job */
	uint64_t refused;
	double ns[BURSTS]; /* CPU time of a record */
};

/* ---- a worker ---- */

static uint64_t thread_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

BENCH_OP static void record_burst(struct worker *worker)
{
	const uint64_t from = worker->records;

	for (uint64_t i = from; i < from + BURST; i++)
		if (!bench_record(*crew.job->channel, 2, i, i ^ BENCH_MIX))
			worker->refused++;
	worker->records = from + BURST;
}

static void go_where(const struct worker *worker)
{
	cpu_set_t two;

	switch (crew.job->where) {
	case PINNED:
		bench_pin(bench_cpu_at(crew.bench, worker->index));
		break;
	case ANYWHERE:
		bench_pin(-1);
		break;
	default:
		CPU_ZERO(&two);
		CPU_SET(bench_cpu_at(crew.bench, 0), &two);
		CPU_SET(bench_cpu_at(crew.bench, 1), &two);
		sched_setaffinity(0, sizeof(two), &two);
	}
}

static void wait_for_all(unsigned *count)
{
	rondo_add_relaxed(count, 1u);
	while (rondo_load_relaxed(count) < crew.job->threads)
		sched_yield();
}

/* Those that have measured enough go on while others measure. */
static void work(struct worker *worker)
{
	wait_for_all(&crew.arrived);
	record_burst(worker);
	for (int burst = 0; burst < BURSTS; burst++) {
		uint64_t began = thread_now_ns();

		record_burst(worker);
		worker->ns[burst] = (double)(thread_now_ns() - began) / BURST;
	}
	rondo_add_relaxed(&crew.finished, 1u);
	while (rondo_load_relaxed(&crew.finished) < crew.job->threads) {
		record_burst(worker);
		sched_yield();
	}
}

static void *run_worker(void *argument)
{
	struct worker *worker = argument;

	while (true) {
		while (sem_wait(&worker->go))
			;
		if (rondo_load_relaxed(&crew.ending))
			return NULL;
		go_where(worker);
		work(worker);
		sem_post(&crew.done);
	}
}

static void run_job(const struct job *job)
{
	crew.job = job;
	crew.arrived = 0;
	crew.finished = 0;
	for (unsigned i = 0; i < job->threads; i++) {
		crew.worker[i].records = 0;
		crew.worker[i].refused = 0;
		sem_post(&crew.worker[i].go);
	}
	for (unsigned i = 0; i < job->threads; i++)
		while (sem_wait(&crew.done))
			;
}

static int start_crew(const struct bench *bench)
{
	const unsigned count = 2 * bench_cpu_count();

	crew.bench = bench;
	crew.count = count > TOUCHING ? count : TOUCHING;
	crew.worker = bench_allocate(crew.count, sizeof(*crew.worker));
	sem_init(&crew.done, 0, 0);
	for (unsigned i = 0; i < crew.count; i++) {
		struct worker *worker = &crew.worker[i];
		int result;

		worker->index = i;
		sem_init(&worker->go, 0, 0);
		result = pthread_create(&worker->thread, NULL, run_worker,
					worker);
		if (result)
			exit(bench_fail("thread: %s", strerror(result)));
	}
	return 0;
}

static void end_crew(void)
{
	rondo_store_relaxed(&crew.ending, true);
	for (unsigned i = 0; i < crew.count; i++)
		sem_post(&crew.worker[i].go);
	for (unsigned i = 0; i < crew.count; i++)
		pthread_join(crew.worker[i].thread, NULL);
	free(crew.worker);
}

/* ---- samples ---- */

/* Records that went into a channel. */
static uint64_t *account_of(const struct job *job)
{
	static uint64_t records[2];

	return &records[job->channel == &by_id];
}

static double sample_threads(struct bench_case *one)
{
	const struct job *job = one->context;
	double *ns = bench_allocate((size_t)job->threads * BURSTS, sizeof(*ns));
	double median;

	run_job(job);
	for (unsigned i = 0; i < job->threads; i++) {
		const struct worker *worker = &crew.worker[i];

		memcpy(&ns[(size_t)i * BURSTS], worker->ns, sizeof(worker->ns));
		*account_of(job) += worker->records - worker->refused;
		one->calls += worker->records;
	}
	median = bench_median(ns, (size_t)job->threads * BURSTS);
	free(ns);
	return median;
}

static int create(uint32_t rings, const char *name, struct rondo_channel **out)
{
	const struct rondo_config config = {
		.flags = RONDO_OVERWRITE,
		.rings = rings,
	};

	return bench_channel(&config, name, 16, out);
}

/* On a channel of its own. */
static double sample_rings(struct bench_case *one)
{
	const struct job *job = one->context;
	unsigned rings = 0;
	struct rondo_stats stats;

	if (create(one->burst ? RONDO_RINGS_BY_CONCURRENCY : RONDO_RINGS_BY_CPU,
		   "touched", &touched))
		return -1;
	run_job(job);
	for (uint32_t i = 0; !rondo_ring_stats(touched, i, &stats); i++)
		rings += stats.delivered || stats.open_bytes;
	rondo_channel_destroy(touched);
	return rings;
}

/* ---- cases ---- */

struct plan {
	struct bench_case *cases;
	struct job *jobs;
	size_t count;
	unsigned threads[COUNTS_MAX];
	unsigned counts;
};

static void plan_counts(struct plan *plan)
{
	const unsigned cpus = bench_cpu_count();
	const unsigned steps[] = {1, 2, 4, 8, 16, cpus, 2 * cpus};
	unsigned most = 0;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (steps[i] <= most || (i < 5 && steps[i] >= 2 * cpus))
			continue;
		most = steps[i];
		plan->threads[plan->counts++] = most;
	}
}

static __attribute__((format(printf, 1, 2))) char *text(const char *format, ...)
{
	va_list arguments;
	char *line;

	va_start(arguments, format);
	if (vasprintf(&line, format, arguments) < 0)
		exit(bench_fail("out of memory"));
	va_end(arguments);
	return line;
}

static struct bench_case *add_case(struct plan *plan, const struct job *job)
{
	struct bench_case *one = &plan->cases[plan->count];

	plan->jobs[plan->count] = *job;
	one->context = &plan->jobs[plan->count++];
	return one;
}

static void plan_threads(struct plan *plan, struct rondo_channel **channel,
			 enum where where)
{
	const bool is_pinned = where == PINNED;
	const bool ids = channel == &by_id;
	struct bench_case *first = &plan->cases[plan->count];

	for (unsigned i = 0; i < plan->counts; i++) {
		const struct job job = {channel, plan->threads[i], where};
		struct bench_case *one = add_case(plan, &job);

		one->key = text("%s-%s-%u", ids ? "id" : "cpu",
				is_pinned ? "pinned" : "free", job.threads);
		one->name = text("by %s, %s, %u thread%s",
				 ids ? "concurrency id" : "CPU",
				 is_pinned ? "pinned" : "not pinned",
				 job.threads, job.threads > 1 ? "s" : "");
		one->sample = sample_threads;
		one->base = first;
	}
}

static void plan_rings(struct plan *plan)
{
	const struct job job = {&touched, TOUCHING, ON_TWO_CPUS};

	for (unsigned ids = 0; ids < 2; ids++) {
		struct bench_case *one = add_case(plan, &job);

		one->key = text("rings-by-%s", ids ? "id" : "cpu");
		one->name = text("rings by %s, %u threads on 2 CPUs",
				 ids ? "id" : "CPU", TOUCHING);
		one->sample = sample_rings;
		one->unit = "rings";
		one->burst = ids;
	}
}

static void make_plan(struct plan *plan)
{
	plan_counts(plan);
	plan->cases = bench_allocate((size_t)plan->counts * 4 + 2,
				     sizeof(*plan->cases));
	plan->jobs = bench_allocate((size_t)plan->counts * 4 + 2,
				    sizeof(*plan->jobs));
	plan_threads(plan, &by_cpu, PINNED);
	plan_threads(plan, &by_cpu, ANYWHERE);
	plan_threads(plan, &by_id, PINNED);
	plan_threads(plan, &by_id, ANYWHERE);
	plan_rings(plan);
}

static void free_plan(struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		free((char *)(uintptr_t)plan->cases[i].key);
		free((char *)(uintptr_t)plan->cases[i].name);
	}
	free(plan->cases);
	free(plan->jobs);
}

/* ---- whether the records are there ---- */

static bool look(const struct rondo_item *item, void *context)
{
	(void)context;
	return bench_is_filled(item);
}

static int check(const struct job *job)
{
	struct rondo_channel *channel = *job->channel;
	struct bench_readback found;

	if (bench_read_back(channel, look, NULL, &found))
		return 1;
	if (found.wrong || found.records == 0)
		return bench_fail("%" PRIu64 " records, %" PRIu64 " wrong",
				  found.records, found.wrong);
	return bench_all_there(channel, *account_of(job), 16, found.bytes);
}

static int check_all(void)
{
	const struct job jobs[] = {{.channel = &by_cpu}, {.channel = &by_id}};

	return check(&jobs[0]) || check(&jobs[1]);
}

static int set_up(struct bench *bench)
{
	struct rondo_config config = {.size = sizeof(config)};

	if (create(RONDO_RINGS_BY_CPU, "by CPU", &by_cpu) ||
	    create(RONDO_RINGS_BY_CONCURRENCY, "by id", &by_id) ||
	    rondo_channel_config(by_id, &config))
		return 1;
	has_ids = config.rings == RONDO_RINGS_BY_CONCURRENCY;
	return bench_describe(bench, by_cpu) || start_crew(bench);
}

static struct bench_target targets[] = {
	{.number = "9",
	 .text = "two producers, pinned / one",
	 .limit = 1.03,
	 .needs_rseq = true},
	{.number = "22",
	 .text = "rings by concurrency id that are touched",
	 .measure = BENCH_TIME,
	 .limit = 2,
	 .needs_rseq = true},
};

static void set_targets(const struct plan *plan)
{
	targets[0].of = &plan->cases[plan->counts > 1 ? 1 : 0];
	targets[0].to = &plan->cases[0];
	targets[1].of = &plan->cases[plan->count - 1];
	if (bench_cpu_count() < 2)
		targets[0].undecided = targets[1].undecided =
			"not decided: one CPU";
	if (!has_ids)
		targets[1].undecided = "not decided: no concurrency ids";
}

int main(int argc, char **argv)
{
	struct bench bench = {
		.name = "scaling",
		.question = "What does a record cost when more threads record?",
		.help = "Records of 16 bytes, inlined. The value is "
			"the CPU time of a thread for a\nrecord: "
			"whoever waits for a CPU is not charged. All "
			"threads record while any is\nmeasured. "
			"Machines without concurrency ids have rings "
			"by CPU in their place.",
		.heading = "CPU time of a record",
		.targets = targets,
		.target_count = sizeof(targets) / sizeof(targets[0]),
	};
	struct plan plan = {0};
	int status = bench_options(&bench, argc, argv);

	if (status >= 0)
		return status;
	bench.bursts = 1;
	bench.repetitions = bench.is_short ? 5 : 101;
	make_plan(&plan);
	bench.cases = plan.cases;
	bench.case_count = plan.count;
	status = set_up(&bench);
	set_targets(&plan);
	if (status == 0) {
		bench_measure(&bench);
		status = check_all();
	}
	if (status == 0)
		status = bench_report(&bench);
	bench_end(&bench);
	end_crew();
	rondo_channel_destroy(by_cpu);
	rondo_channel_destroy(by_id);
	free_plan(&plan);
	return status;
}
