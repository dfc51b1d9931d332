/* SPDX-License-Identifier: MIT */
/*
 * A fault at every instruction of the record path, of flushing and of taking:
 * see docs/verification.md. Which instructions there are, and which of them
 * nothing reaches, is told and judged by tests/fault/run.
 *
 *   singles   each action of a handler at each spot that a scenario reaches
 *   pairs     each action at spot A, and another in its handler at spot B
 *   storms    a sequence aborted again and again
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "scenarios.h"
#include "spots.h"
#include "stage.h"

#define FAILURES_MAX 10
/* More than anything bears without giving way. */
#define STORM 20u

/* What is being done, for whoever has to tell where it went wrong. */
static struct {
	const struct scenario *scenario;
	const struct action *outer, *inner;
	uint32_t a, b;
} now;

static struct {
	uint64_t runs, singles, pairs, storms, aborts;
	uint64_t failures;
} figures;

static struct stage stages[2][STAGE_KINDS];
/* Spots that the scenario reaches. */
static uint32_t *reached;
static bool *in_sequence; /* of each of those */
static uint32_t reached_count;
/* Those that have been A of pairs, in this mode. */
static bool *paired;

static const char *spot_name(uint32_t spot)
{
	return spot < spots_count() ? spots_name(spot) : "-";
}

static void tell(FILE *to)
{
	fprintf(to, "%s, %s, stage %d: %s at %s, %s at %s\n",
		stage->atomic ? "atomic" : "rseq", now.scenario->name,
		stage->kind, now.outer ? now.outer->name : "-",
		spot_name(now.a), now.inner ? now.inner->name : "-",
		spot_name(now.b));
	fflush(to);
}

static void on_end(int signal)
{
	fprintf(stderr, "signal %d in: ", signal);
	tell(stderr);
	_exit(1);
}

/* After a failure nothing is what it was: begin anew. */
static void failed(void)
{
	printf("FAILED ");
	tell(stdout);
	violations_report(stdout);
	if (++figures.failures >= FAILURES_MAX)
		exit(1);
	fflush(stdout);
	stage_close(stage);
	if (!stage_open(stage, stage->kind, stage->atomic))
		exit(1);
}

/* True: the fault was hit. */
static bool run(const struct scenario *scenario, struct fault *fault)
{
	figures.runs++;
	stage_begin();
	scenario->prepare();
	fault_plant(fault);
	scenario->act();
	fault_lift(fault);
	if (scenario->after)
		scenario->after();
	stage_end();
	if (violations())
		failed();
	return fault->hit;
}

/* ---- which spots a scenario reaches ---- */

static void find_reached(const struct scenario *scenario, uint32_t first,
			 uint32_t end)
{
	struct fault fault = {.first = first,
			      .end = end,
			      .fresh = scenario->flags & SLOW,
			      .what = actions[ACTION_NOTHING].what};

	now.a = first;
	if (!run(scenario, &fault))
		return;
	if (end - first == 1) {
		in_sequence[reached_count] = fault.aborted;
		reached[reached_count++] = first;
		figures.singles++;
		figures.aborts += fault.aborted;
		return;
	}
	find_reached(scenario, first, first + (end - first) / 2);
	find_reached(scenario, first + (end - first) / 2, end);
}

/* ---- singles ---- */

static bool may(const struct scenario *scenario, const struct action *action)
{
	if (action == &actions[ACTION_NOTHING])
		return true;
	if (scenario->flags & NO_RECORD ||
	    (scenario->flags & SLOW && action != &actions[ACTION_RECORD]))
		return false;
	return !(action->flushes && scenario->flags & NO_FLUSH);
}

/* What only a run with a fault in it reaches: its retries. */
static void find_fresh(const struct scenario *scenario, uint32_t a,
		       uint32_t first, uint32_t end)
{
	struct fault inner = {.first = first,
			      .end = end,
			      .fresh = true,
			      .lingers = true,
			      .what = now.inner->what};
	struct fault outer = {.first = a,
			      .end = a + 1,
			      .inner = &inner,
			      .what = now.outer->what};

	now.b = first;
	(void)run(scenario, &outer);
	if (!inner.hit)
		return;
	if (end - first == 1) {
		figures.pairs++;
		return;
	}
	find_fresh(scenario, a, first, first + (end - first) / 2);
	find_fresh(scenario, a, first + (end - first) / 2, end);
}

static void singles(const struct scenario *scenario,
		    const struct action *action)
{
	now.outer = action;
	/* A flush is no handler's business while another one is under way. */
	now.inner = action->flushes ? &actions[ACTION_RECORD] : action;
	for (uint32_t i = 0; i < reached_count; i++) {
		now.a = reached[i];
		figures.singles++;
		find_fresh(scenario, reached[i], 0, spots_count());
	}
}

/* ---- storms ---- */

/* What only a sequence that is aborted again and again leads to. */
static void find_storm(const struct scenario *scenario, uint32_t a,
		       uint32_t first, uint32_t end)
{
	struct fault inner = {.first = first,
			      .end = end,
			      .fresh = true,
			      .lingers = true,
			      .what = actions[ACTION_RECORD].what};
	struct fault outer = {.first = a,
			      .end = a + 1,
			      .inner = &inner,
			      .storm = STORM,
			      .what = actions[ACTION_RECORD].what};

	now.b = first;
	(void)run(scenario, &outer);
	figures.storms += outer.aborted;
	if (!inner.hit)
		return;
	if (end - first == 1) {
		figures.pairs++;
		return;
	}
	find_storm(scenario, a, first, first + (end - first) / 2);
	find_storm(scenario, a, first + (end - first) / 2, end);
}

static void storms(const struct scenario *scenario)
{
	now.outer = now.inner = &actions[ACTION_RECORD];
	for (uint32_t i = 0; i < reached_count; i++) {
		if (!in_sequence[i])
			continue;
		now.a = reached[i];
		find_storm(scenario, reached[i], 0, spots_count());
	}
}

/* ---- pairs ---- */

static void find_pairs(const struct scenario *scenario, uint32_t a,
		       uint32_t first, uint32_t end)
{
	struct fault inner = {.first = first,
			      .end = end,
			      .what = now.inner->what};
	struct fault outer = {.first = a,
			      .end = a + 1,
			      .inner = &inner,
			      .what = now.outer->what};

	now.b = first;
	(void)run(scenario, &outer);
	if (!inner.hit)
		return;
	if (end - first == 1) {
		figures.pairs++;
		return;
	}
	find_pairs(scenario, a, first, first + (end - first) / 2);
	find_pairs(scenario, a, first + (end - first) / 2, end);
}

static void pairs(const struct scenario *scenario, const struct action *outer,
		  const struct action *inner, bool all)
{
	now.outer = outer;
	now.inner = inner;
	for (uint32_t i = 0; i < reached_count; i++) {
		if (!all && paired[reached[i]])
			continue;
		now.a = reached[i];
		find_pairs(scenario, now.a, 0, spots_count());
	}
}

/* ---- all of it ---- */

static void play(const struct scenario *scenario, bool want_pairs, bool all)
{
	if (getenv("FAULT_PROF")) {
		static clock_t before; static uint64_t runs;
		fprintf(stderr, "%8.2f s %8lu runs before %s %d %s\n", (double)(clock()-before)/CLOCKS_PER_SEC, (unsigned long)(figures.runs-runs), stage->atomic ? "atomic" : "rseq", stage->kind, scenario->name);
		before = clock(); runs = figures.runs;
	}
	now.scenario = scenario;
	now.outer = &actions[ACTION_NOTHING];
	now.inner = NULL;
	now.b = spots_count();
	reached_count = 0;
	find_reached(scenario, 0, spots_count());
	for (int i = ACTION_NOTHING; i < ACTIONS; i++)
		if (may(scenario, &actions[i]))
			singles(scenario, &actions[i]);
	if (!stage->atomic && may(scenario, &actions[ACTION_RECORD]))
		storms(scenario);
	if (!want_pairs || !may(scenario, &actions[ACTION_FILL]))
		return;
	pairs(scenario, &actions[ACTION_RECORD], &actions[ACTION_RECORD], all);
	pairs(scenario, &actions[ACTION_FILL], &actions[ACTION_FILL], all);
	for (uint32_t i = 0; i < reached_count; i++)
		paired[reached[i]] = true;
}

static void play_all(bool want_pairs, bool all)
{
	memset(paired, 0, spots_count() * sizeof(*paired));
	for (int kind = 0; kind < STAGE_KINDS; kind++) {
		stage = &stages[stage->atomic][kind];
		for (uint32_t i = 0; i < scenario_count; i++)
			if (scenario_plays(&scenarios[i]))
				play(&scenarios[i], want_pairs, all);
	}
}

static bool open_stages(bool atomic)
{
	for (int kind = 0; kind < STAGE_KINDS; kind++)
		if (!stage_open(&stages[atomic][kind], (enum stage_kind)kind,
				atomic))
			return false;
	stage = &stages[atomic][0];
	return true;
}

int main(int count, char **words)
{
	const int ends[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTERM, SIGALRM};
	bool want_pairs = false, all = false;

	if (count < 3) {
		fprintf(stderr, "usage: %s LIST MISSED [--pairs | --all]\n",
			words[0]);
		return 2;
	}
	want_pairs = count > 3;
	all = count > 3 && !strcmp(words[3], "--all");
	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		signal(ends[i], on_end);
	if (!spots_load(words[1]))
		return 1;
	reached = calloc(spots_count(), sizeof(*reached));
	in_sequence = calloc(spots_count(), sizeof(*in_sequence));
	paired = calloc(spots_count(), sizeof(*paired));
	lanes_reset();
	for (int atomic = 0; atomic < 2; atomic++) {
		if (!open_stages(atomic))
			return 1;
		play_all(want_pairs, all);
	}
	spots_write_missed(words[2]);
	printf("runs %" PRIu64 " singles %" PRIu64 " pairs %" PRIu64
	       " storms %" PRIu64 " aborts %" PRIu64 " reached %u of %u, %" PRIu64
	       " failed\n",
	       figures.runs, figures.singles, figures.pairs, figures.storms,
	       figures.aborts, spots_reached(), spots_count(), figures.failures);
	return figures.failures != 0;
}
