/* SPDX-License-Identifier: MIT */
/*
 * I-quiet: threads that record, and whose handlers record too, under a filter
 * that kills for every system call but rt_sigreturn. Not even an end is allowed:
 * who has recorded enough says so in shared memory and waits to be killed.
 *
 * The parent is what the records are for: it attaches to the memory, takes
 * without ever sleeping, sends the signals, and at last accounts for every
 * record. A signal of one kind goes to a thread once for each record of its
 * own: a storm without any pause could abort one sequence eight times, which is
 * the one occasion for a system call.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <rondo/detail/machine.h>
#include <rondo/rondo.h>

#include "support/lanes.h"
#include "support/random.h"
#include "support/recording.h"

#define THREADS 2u	  /* at most: a CPU is the parent's */
#define DEPTHS 3u	  /* two signals may nest */
#define SIGNALS_MIN 5000u /* of a thread and a round */
#define SIGNAL_EVERY 2u	  /* records that the parent reads */
#define RECORDS UINT64_C(10000000)
#define ROUND UINT64_C(2500000) /* records, at most, by one child */

static const struct setup {
	const char *name;
	uint32_t flags;
	uint32_t share; /* of the records: one in so many */
} setups[] = {
	{"keep oldest", 0, 1},
	{"keep oldest, atomic", RONDO_NO_RSEQ, 1},
	{"keep newest", RONDO_OVERWRITE, 10},
	{"keep newest, atomic", RONDO_OVERWRITE | RONDO_NO_RSEQ, 10},
};

struct quiet_thread {
	_Alignas(128) uint64_t committed; /* depth 0 and deeper, so far */
	uint64_t records;		  /* attempts of depth 0 */
	uint64_t handled;		  /* signals */
	uint32_t tid;
	uint32_t done;
};

/* What parent and child tell each other. */
static struct {
	struct quiet_thread threads[THREADS];
	struct recorder_classes classes;
	_Alignas(128) uint64_t taken; /* sub-buffers, by the parent */
	uint64_t read;		      /* records in them */
	uint64_t enough;	      /* records that shall be read */
	bool overwrites;
	int fd; /* of the channel; 0: not yet */
	uint32_t reason;
	uint32_t failed; /* line of this file */
} * shared;

static struct recorder recorders[THREADS];
static uint32_t threads;
static __thread uint32_t own = THREADS;

/* ---- the child ---- */

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#else
#error "which architecture is this to seccomp?"
#endif

#define LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))

static bool forbid_system_calls(void)
{
	struct sock_filter filter[] = {
		LOAD(arch),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 0, 3),
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	const struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]),
					   filter};

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Sanitizers make calls of their own. */
static bool can_be_forbidden(void)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	return false;
#else
	return true;
#endif
}

static void on_signal(int signal)
{
	struct quiet_thread *t;

	(void)signal;
	if (own >= THREADS)
		return;
	t = &shared->threads[own];
	rondo_store_relaxed(&t->handled, t->handled + 1);
	if (!rondo_load_relaxed(&t->done))
		recorder_record_nested(&recorders[own]);
}

/* No room: until the parent has taken something, or for a while. */
static void await_room(void)
{
	uint64_t taken = rondo_load_relaxed(&shared->taken);

	for (int i = 0; i < 20000; i++) {
		if (rondo_load_relaxed(&shared->taken) != taken)
			return;
		rondo_pause();
	}
}

static uint64_t refused_in(const struct recorder *r)
{
	struct rondo_stats stats;

	rondo_channel_stats(r->channel, &stats);
	return stats.refused_records[RONDO_REFUSED_FULL];
}

/* What is overwritten nobody reads: there the attempts count. */
static bool enough(const struct quiet_thread *t)
{
	uint64_t read = rondo_load_relaxed(&shared->read);

	if (t->handled < SIGNALS_MIN)
		return false;
	return read >= shared->enough ||
	       (shared->overwrites && t->records >= shared->enough);
}

static void *record_quietly(void *argument)
{
	struct recorder *r = argument;
	const uint32_t index = (uint32_t)(r - recorders);
	struct quiet_thread *t = &shared->threads[index];
	uint64_t refused = 0, now;

	if (can_be_forbidden() && !forbid_system_calls())
		shared->failed = __LINE__;
	own = index;
	while (!enough(t)) {
		/* Its lane is full. */
		if (!recorder_record(r))
			break;
		rondo_store_relaxed(&t->records, t->records + 1);
		if (t->records % 16)
			continue;
		now = refused_in(r);
		if (now != refused)
			await_room();
		refused = now;
	}
	/* pairs with the parent's: all records before the end. */
	rondo_store_release(&t->done, 1);
	for (;;)
		rondo_pause();
	return NULL;
}

static void child_fails(uint32_t line)
{
	shared->failed = line;
	_exit(1);
}

static void create_channel(const struct setup *setup,
			   struct rondo_channel **out)
{
	const struct rondo_config config = {
		.size = sizeof(config),
		.flags = setup->flags,
		.subbuf_bytes = 16384,
		.subbuf_count = 64,
		.spare_count = 2,
	};
	const struct rondo_event_class class = {
		.size = sizeof(class),
		.name = "test:quiet",
		.field_size = sizeof(struct rondo_field),
	};
	struct rondo_stats stats;

	if (rondo_channel_create(&config, out) ||
	    rondo_event_register(*out, &class, &shared->classes.ids[0]))
		child_fails(__LINE__);
	shared->classes.count = 1;
	rondo_channel_stats(*out, &stats);
	shared->reason = stats.reason;
}

static void *run_thread(void *argument)
{
	struct recorder *r = argument;

	rondo_store_release(&shared->threads[r - recorders].tid,
			    (uint32_t)syscall(SYS_gettid));
	return record_quietly(argument);
}

static void run_child(const struct setup *setup, uint64_t random)
{
	const struct sigaction action = {.sa_handler = on_signal,
					 .sa_flags = SA_RESTART};
	struct rondo_channel *channel;
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	create_channel(setup, &channel);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		child_fails(__LINE__);
	for (uint32_t i = 0; i < threads; i++)
		recorders[i] = (struct recorder){
			.channel = channel,
			.classes = &shared->classes,
			.random = test_random(&random),
			.lane = i * DEPTHS,
			.record_max = 2032,
		};
	for (uint32_t i = 1; i < threads; i++)
		if (pthread_create(&thread, NULL, run_thread, &recorders[i]))
			child_fails(__LINE__);
	/* pairs with the parent's: the channel before its descriptor. */
	rondo_store_release(&shared->fd, rondo_channel_fd(channel));
	run_thread(&recorders[0]);
}

/* ---- the parent ---- */

static pid_t child;
static uint64_t signalled[THREADS][2];

/* A kind of signal goes to a thread once for each record that it begins. */
static void send_signals(void)
{
	static const int kinds[2] = {SIGUSR1, SIGUSR2};

	for (uint32_t i = 0; i < threads * 2; i++) {
		struct quiet_thread *t = &shared->threads[i / 2];
		uint64_t *last = &signalled[i / 2][i % 2];
		uint64_t records = rondo_load_relaxed(&t->records);
		/* pairs with the child's: there is a handler. */
		uint32_t tid = rondo_load_acquire(&t->tid);

		if (!tid || records == *last)
			continue;
		*last = records;
		syscall(SYS_tgkill, child, tid, kinds[i % 2]);
	}
}

static void read_view(const struct rondo_view *view)
{
	struct rondo_item item;
	struct lane_payload payload;
	uint64_t records = 0;
	int result;

	memset(&item, 0, sizeof(item));
	while ((result = rondo_view_next(view, &item)) > 0) {
		if (!lane_read(item.data, item.bytes, &payload) ||
		    payload.id != item.id)
			violation(BAD_PAYLOAD, item.bytes, view->number);
		else
			lane_see(&payload, LANE_DELIVERED);
		if (++records % SIGNAL_EVERY == 0)
			send_signals();
	}
	rondo_store_relaxed(&shared->read, shared->read + records);
	if (result < 0)
		violation(BAD_PACKET, view->ring, view->number);
}

/* False: nothing to take now. */
static bool take_one(struct rondo_consumer *consumer)
{
	struct rondo_view view;
	int result = rondo_consumer_take(consumer, &view);

	if (result) {
		if (result != -EAGAIN && result != -ENODATA)
			violation(BAD_ERROR, (uint64_t)-result, 0);
		return false;
	}
	read_view(&view);
	if (rondo_consumer_release(consumer, &view))
		violation(BAD_ERROR, 0, view.number);
	rondo_store_relaxed(&shared->taken, shared->taken + 1);
	return true;
}

/* Whether the child is still there; why it is not, in status. */
static bool lives(int *status)
{
	return waitpid(child, status, WNOHANG) == 0;
}

static bool all_done(void)
{
	for (uint32_t i = 0; i < threads; i++)
		/* pairs with the child's: its records are all there. */
		if (!rondo_load_acquire(&shared->threads[i].done))
			return false;
	return true;
}

static struct rondo_channel *attach(int *status)
{
	struct rondo_channel *channel;
	char path[64];

	/* pairs with the child's: its channel is there. */
	while (!rondo_load_acquire(&shared->fd)) {
		if (!lives(status))
			return NULL;
		sched_yield();
	}
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)child, shared->fd);
	if (rondo_channel_attach_path(path, &channel)) {
		shared->failed = __LINE__;
		return NULL;
	}
	return channel;
}

/* Until all has been recorded, or the child died by itself: 0, its status. */
static int consume(struct rondo_channel *channel)
{
	const struct timespec moment = {.tv_nsec = 100000};
	struct rondo_consumer *consumer;
	int status = 0;

	if (rondo_consumer_open(channel, &consumer)) {
		shared->failed = __LINE__;
		return 0;
	}
	for (;;) {
		if (take_one(consumer))
			continue;
		if (all_done())
			break;
		if (!lives(&status))
			break;
		send_signals();
		/* Not the library's sleep: nobody shall wake us. */
		nanosleep(&moment, NULL);
	}
	if (!status) {
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		if (WTERMSIG(status) == SIGKILL)
			status = 0;
	}
	/* The creator is dead: its rings may be closed from here. */
	if (rondo_channel_flush(channel) < 0)
		violation(BAD_ERROR, 0, 1);
	while (take_one(consumer))
		continue;
	rondo_consumer_close(consumer);
	return status;
}

static void account(const struct rondo_channel *channel,
		    const struct setup *setup, struct lane_totals *totals)
{
	const uint64_t bytes_min = 8 + LANE_BYTES_MIN;
	struct rondo_stats stats;
	uint64_t refused = 0;

	lanes_account(totals);
	rondo_channel_stats(channel, &stats);
	for (unsigned i = 0; i < RONDO_CAUSES; i++)
		refused += stats.refused_records[i];
	if (refused != totals->outcomes[LANE_REFUSED] ||
	    stats.discarded != totals->outcomes[LANE_DISCARDED] ||
	    stats.squashed != totals->outcomes[LANE_SQUASHED] ||
	    stats.delivered != stats.taken + stats.overwritten)
		violation(BAD_SUM, refused, totals->outcomes[LANE_REFUSED]);
	/* What nobody saw was in what was overwritten. */
	if (totals->unseen * bytes_min > stats.overwritten_bytes)
		violation(COMMITTED_NOT_SEEN, totals->unseen,
			  stats.overwritten_bytes);
	if (stats.reason != shared->reason ||
	    (setup->flags & RONDO_NO_RSEQ && stats.reason == RONDO_MODE_RSEQ))
		violation(NOT_QUIET, stats.reason, shared->reason);
}

static bool child_went_well(const struct rondo_channel *channel,
			    const struct setup *setup, int status)
{
	struct rondo_stats stats;

	if (shared->failed)
		printf("%s: failed at line %u\n", setup->name, shared->failed);
	if (status && channel) {
		rondo_channel_stats(channel, &stats);
		printf("%s: status %#x after %" PRIu64 " revocations (%d is a "
		       "system call)\n",
		       setup->name, (unsigned)status, stats.revocations,
		       SIGSYS);
	}
	return channel && !status && !shared->failed;
}

/* What several rounds came to. */
struct sums {
	struct lane_totals totals;
	uint64_t signals;
	uint64_t aborts;
	bool rseq;
};

static void add_up(struct sums *sums, const struct rondo_channel *channel,
		   const struct lane_totals *totals)
{
	struct rondo_stats stats;

	rondo_channel_stats(channel, &stats);
	sums->rseq = shared->reason == RONDO_MODE_RSEQ;
	sums->aborts += stats.aborts;
	for (uint32_t i = 0; i < threads; i++)
		sums->signals += shared->threads[i].handled;
	sums->totals.attempted += totals->attempted;
	sums->totals.delivered += totals->delivered;
	sums->totals.unseen += totals->unseen;
	for (unsigned i = 0; i < LANE_OUTCOMES; i++)
		sums->totals.outcomes[i] += totals->outcomes[i];
}

/* One child. False: something is wrong. */
static bool run(const struct setup *setup, uint64_t records, uint64_t *random,
		struct sums *sums)
{
	struct lane_totals totals;
	struct rondo_channel *channel;
	uint64_t seed = test_random(random);
	int status = 0;
	bool good;

	memset(shared, 0, sizeof(*shared));
	memset(signalled, 0xff, sizeof(signalled));
	lanes_reset();
	shared->enough = records;
	shared->overwrites = setup->flags & RONDO_OVERWRITE;
	child = fork();
	if (child == 0)
		run_child(setup, seed);
	channel = attach(&status);
	if (channel)
		status = consume(channel);
	good = child_went_well(channel, setup, status);
	if (good) {
		account(channel, setup, &totals);
		add_up(sums, channel, &totals);
	}
	rondo_channel_destroy(channel);
	good &= violations() == 0;
	violations_report(stdout);
	return good;
}

/* Children, one after the other, until records have been verified. */
static bool run_all(const struct setup *setup, uint64_t records,
		    uint64_t *random)
{
	struct sums sums = {0};
	uint64_t done = 0;
	bool good = true;

	while (good && done < records) {
		uint64_t rest = records - done;

		good = run(setup, rest < ROUND ? rest : ROUND, random, &sums);
		done = sums.totals.outcomes[LANE_COMMITTED];
	}
	printf("%-20s %s: attempted %" PRIu64 " committed %" PRIu64
	       " delivered %" PRIu64 " overwritten %" PRIu64 " refused %" PRIu64
	       " | signals %" PRIu64 " aborts %" PRIu64 "%s\n",
	       setup->name, sums.rseq ? "rseq" : "atomic",
	       sums.totals.attempted, sums.totals.outcomes[LANE_COMMITTED],
	       sums.totals.delivered, sums.totals.unseen,
	       sums.totals.outcomes[LANE_REFUSED], sums.signals, sums.aborts,
	       can_be_forbidden() ? "" : " (nothing is forbidden here)");
	fflush(stdout);
	return good;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"records", required_argument, NULL, 'r'},
		{"seed", required_argument, NULL, 's'},
		{NULL, 0, NULL, 0},
	};
	uint64_t records = RECORDS, random;
	bool good = true;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'r') {
			records = strtoull(optarg, NULL, 0);
		} else if (option == 's') {
			setenv("RONDO_TEST_SEED", optarg, 1);
		} else {
			fprintf(stderr, "usage: %s [--records N] [--seed N]\n",
				argv[0]);
			return 2;
		}
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	random = test_seed();
	threads = sysconf(_SC_NPROCESSORS_ONLN) > 2 ? THREADS : 1;
	for (size_t i = 0; i < sizeof(setups) / sizeof(setups[0]); i++)
		good &= run_all(&setups[i], records / setups[i].share, &random);
	return !good;
}
