/* SPDX-License-Identifier: MIT */
/*
 * See kill.h. What is acknowledged is in memory that parent and child share:
 * the ledger of a stage of their own.
 */
#include "kill.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "refuse.h"
#include "spots.h"
#include "support/process.h"

#define BEHIND 3	 /* records */
#define CHILD_SECONDS 60 /* one that hangs is a failure, not a wait */

struct kill_figures kill_figures;

static struct stage *shared;
static char directory[512], path[600];

bool kill_open(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED ||
	    test_directory(directory, sizeof(directory))) {
		fprintf(stderr, "no memory, or no directory\n");
		return false;
	}
	snprintf(path, sizeof(path), "%s/channel", directory);
	return true;
}

void kill_close(void)
{
	unlink(path);
	rmdir(directory);
}

/* ---- killed ---- */

static void die(void)
{
	kill(getpid(), SIGKILL);
}

static void record_and_die(void)
{
	for (int i = 0; i < BEHIND; i++)
		put(LANE_BYTES_MIN + (uint32_t)i);
	die();
}

static void be_killed(const struct scenario *scenario, uint32_t spot,
		      bool behind)
{
	struct fault fault = {.first = spot,
			      .end = spot + 1,
			      .what = behind ? record_and_die : die};

	alarm(CHILD_SECONDS);
	if (!stage_open(shared, stage->kind, stage->atomic, path))
		_exit(2);
	stage = shared;
	stage_begin();
	scenario->prepare();
	fault_plant(&fault);
	scenario->act();
	_exit(0);
}

/* The child's stage, seen by who recovers. */
static bool attach(void)
{
	if (rondo_channel_attach_path(path, &stage->channel))
		return false;
	stage->reading = stage->channel;
	stage->control = stage->channel->control;
	stage->map = &stage->control->map;
	stage->ring = rondo_map_ring(stage->map, stage->index);
	stage_patience(0, 0);
	return rondo_consumer_open(stage->channel, &stage->consumer) == 0;
}

/*
 * docs/design.md, Limits: without sequences a record that was taken back may be
 * there again, and records behind a header that was not written yet may not be.
 * With sequences every record that was acknowledged is there. What a consumer
 * had in hand goes with it: one sub-buffer. So does one that was claimed to be
 * overwritten and not counted yet.
 */
static void account(const struct scenario *scenario)
{
	struct missing missing = {.gone = 0};
	struct rondo_stats stats;
	uint64_t lost, may_be_gone;

	for (uint32_t i = 0; i < stage->count; i++) {
		const struct entry *entry = &stage->entries[i];

		kill_figures.recovered += entry->seen;
		if (entry->outcome == LANE_NOTHING || entry->in_doubt)
			kill_figures.in_flight++;
		else
			stage_account(i, &missing);
	}
	rondo_channel_stats(stage->channel, &stats);
	may_be_gone = stats.overwritten + (stage->kind == STAGE_OVERWRITE) +
		      !!(scenario->flags & IN_CONSUMER);
	/* Committed behind a copy that the child had made: counted as such. */
	lost = missing.torn;
	if (missing.abandoned > stage->before.abandoned)
		lost += missing.abandoned - stage->before.abandoned;
	kill_figures.lost += lost;
	kill_figures.returned += missing.returned;
	if (lost > kill_figures.most_lost)
		kill_figures.most_lost = lost;
	if (missing.gone > may_be_gone || lost > (stage->atomic ? BEHIND : 0))
		violation(COMMITTED_NOT_SEEN, missing.gone, lost);
}

static void recover(const struct scenario *scenario)
{
	stage->damaged = stage->atomic;
	stage->uncounted = scenario_swaps(scenario);
	if (!attach()) {
		violation(BAD_ERROR, 100, 0);
		return;
	}
	rondo_channel_stats(stage->channel, &stage->before);
	if (rondo_channel_flush(stage->channel) < 0)
		violation(BAD_ERROR, 101, 0);
	while (stage_take() == 0)
		continue;
	account(scenario);
	if (rondo_consumer_close(stage->consumer) ||
	    rondo_channel_destroy(stage->channel))
		violation(BAD_ERROR, 102, 0);
}

bool kill_at(const struct scenario *scenario, uint32_t spot, bool behind)
{
	struct stage *outer = stage;
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		be_killed(scenario, spot, behind);
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		violation(BAD_ERROR, 103, (uint64_t)errno);
		return false;
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		kill_figures.kills++;
		stage = shared;
		recover(scenario);
		stage = outer;
	} else if (status) {
		violation(BAD_ERROR, 104, (uint64_t)status);
	}
	unlink(path);
	return WIFSIGNALED(status);
}

/* ---- forked ---- */

static bool in_child;

/* The parent waits, so that it is one of them at a time that goes on. */
static void fork_here(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(CHILD_SECONDS);
		in_child = true;
		return;
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		violation(BAD_ERROR, 105, (uint64_t)status);
}

/* A channel of its own is as good as its parent's was. */
static int record_in_child(void)
{
	struct rondo_record record;

	if (rondo_reserve_call(stage->channel, stage->id, 8, &record) !=
	    -ESHUTDOWN)
		return 3;
	violations_report(stdout); /* of what it did for its parent */
	refuse_nothing();
	if (!stage_open(shared, stage->kind, stage->atomic, NULL))
		return 4;
	stage = shared;
	stage_begin();
	if (!put(LANE_BYTES_MIN))
		return 5;
	stage_end();
	return violations() ? 6 : 0;
}

bool fork_at(const struct scenario *scenario, uint32_t spot)
{
	struct fault fault = {
		.first = spot, .end = spot + 1, .what = fork_here};

	fflush(stdout);
	stage_begin();
	scenario->prepare();
	fault_plant(&fault);
	scenario->act();
	if (in_child)
		_exit(record_in_child());
	fault_lift(&fault);
	if (scenario->after)
		scenario->after();
	stage_end();
	kill_figures.forks += fault.hit;
	return fault.hit;
}
