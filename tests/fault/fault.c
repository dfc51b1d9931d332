/* SPDX-License-Identifier: MIT */
/*
 * A fault at every instruction of the record path, of flushing and of taking:
 * see docs/verification.md. Which instructions there are, and which of them
 * nothing reaches, is told and judged by tests/fault/run.
 *
 *   singles   each action of a handler at each spot that a scenario reaches
 *   pairs     each action at spot A, and another in its handler at spot B
 *   storms    a sequence aborted again and again
 *   kills     the process ends there, and its file is recovered
 *   forks     ... becomes two
 *   parks     a thread stops there, and the others go on
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kill.h"
#include "park.h"
#include "scenarios.h"
#include "spots.h"
#include "stage.h"

#define FAILURES_MAX 10
#define SKIPPED 77
/* Rates are measured at each so many-th spot. */
#define RATE_STRIDE 16
/* More than anything bears without giving way. */
#define STORM 20u

/* How much of it. */
static enum {
	RATES,	   /* nothing but what a parked thread costs the others */
	BRIEF,	   /* a record's spots where a scenario first leads to them */
	USUAL,	   /* all actions, kills, forks, parks */
	PAIRS,	   /* ... and pairs: A on the record path, where first met */
	ALL_PAIRS, /* ... in all scenarios and stages, and laps in laps */
} depth = USUAL;

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
/* Those that have been A of pairs: of records, of laps. */
static bool *paired, *lapped;
/* ... and those where a process was killed. */
static bool *harmed;
/* ... and those that a scenario has led to. */
static bool *met;

static const char *spot_name(uint32_t spot)
{
	return spot < spots_count() ? spots_name(spot) : "-";
}

static const char *mode_name(void)
{
	return stage->atomic ? "atomic" : "rseq";
}

static void tell(FILE *to)
{
	fprintf(to, "%s, %s, stage %d: %s at %s, %s at %s\n", mode_name(),
		now.scenario->name, stage->kind,
		now.outer ? now.outer->name : "-", spot_name(now.a),
		now.inner ? now.inner->name : "-", spot_name(now.b));
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
	if (!stage_open(stage, stage->kind, stage->atomic, NULL))
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
	return (scenario->flags & action->wants) == action->wants &&
	       !(scenario->flags & action->hates);
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
	const bool once = depth == BRIEF &&
			  !(scenario->flags & (IN_CONSUMER | NO_FLUSH) &&
			    stage->kind == STAGE_OVERWRITE);

	now.outer = action;
	/* A flush is no handler's business while another one is under way. */
	now.inner = action->hates & NO_FLUSH ? &actions[ACTION_RECORD] : action;
	for (uint32_t i = 0; i < reached_count; i++) {
		if (once && met[reached[i]])
			continue;
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
	struct fault inner = {
		.first = first, .end = end, .what = now.inner->what};
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

/* A where it is first met; an action, and the same in its handler. */
static void pairs(const struct scenario *scenario, const struct action *action,
		  bool *done)
{
	now.outer = now.inner = action;
	for (uint32_t i = 0; i < reached_count; i++) {
		if (done[reached[i]])
			continue;
		done[reached[i]] = true;
		now.a = reached[i];
		find_pairs(scenario, now.a, 0, spots_count());
	}
}

/* ---- processes ---- */

static void processes(const struct scenario *scenario)
{
	if (scenario->flags & BY_HAND)
		return;
	now.outer = now.inner = NULL;
	for (uint32_t i = 0; i < reached_count; i++) {
		if (harmed[reached[i]])
			continue;
		harmed[reached[i]] = true;
		now.a = reached[i];
		if (depth == ALL_PAIRS || i % 2)
			(void)kill_at(scenario, now.a, false);
		if (violations())
			failed();
		if ((depth == ALL_PAIRS || i % 2 == 0) &&
		    !(scenario->flags & NO_RECORD))
			(void)kill_at(scenario, now.a, true);
		if (violations())
			failed();
		(void)fork_at(scenario, now.a);
		if (violations())
			failed();
	}
}

/* ---- threads ---- */

static void parks(const struct scenario *scenario)
{
	if (scenario->flags & (NO_RECORD | SLOW | BY_HAND))
		return;
	now.outer = now.inner = NULL;
	for (uint32_t i = 0; i < reached_count; i++) {
		now.a = reached[i];
		(void)park_at(scenario, now.a);
		if (violations())
			failed();
	}
}

/* ---- rates ---- */

/* What others keep of their rate while one is parked: at each so many-th spot of
 * what leaves a ring with room. */
static void rates(void)
{
	uint64_t sum = 0, count = 0, below = 0;
	uint32_t worst = UINT32_MAX;

	for (uint32_t i = 0; i < scenario_count; i++) {
		if (!(scenarios[i].flags & KEEPS_ROOM))
			continue;
		reached_count = 0;
		now.scenario = &scenarios[i];
		find_reached(&scenarios[i], 0, spots_count());
		for (uint32_t k = 0; k < reached_count; k += RATE_STRIDE) {
			uint32_t rate = park_rate(&scenarios[i], reached[k]);

			if (!rate)
				continue;
			sum += rate;
			count++;
			worst = rate < worst ? rate : worst;
			if (rate >= PARK_RATE_WANTED)
				continue;
			below++;
			printf("%s: %u per mille: %s, %s\n", mode_name(), rate,
			       scenarios[i].name, spot_name(reached[k]));
		}
	}
	printf("%s: others while one is parked, of their rate: "
	       "%" PRIu64 " per mille in the mean of %" PRIu64
	       " spots, worst %u, below %u: %" PRIu64 "\n",
	       mode_name(), count ? sum / count : 0, count, worst,
	       PARK_RATE_WANTED, below);
}

/* ---- all of it ---- */

static void play(const struct scenario *scenario)
{
	now.scenario = scenario;
	now.outer = &actions[ACTION_NOTHING];
	now.inner = NULL;
	now.b = spots_count();
	reached_count = 0;
	find_reached(scenario, 0, spots_count());
	for (int i = ACTION_NOTHING; i < ACTIONS; i++)
		if (may(scenario, &actions[i]) &&
		    (depth != BRIEF || !actions[i].long_form))
			singles(scenario, &actions[i]);
	if (!stage->atomic && may(scenario, &actions[ACTION_RECORD]))
		storms(scenario);
	for (uint32_t i = 0; i < reached_count; i++)
		met[reached[i]] = true;
	if (depth == BRIEF)
		return;
	processes(scenario);
	parks(scenario);
	if (depth == USUAL || !may(scenario, &actions[ACTION_FILL]) ||
	    (depth == PAIRS && !(scenario->flags & KEEPS_ROOM)))
		return;
	pairs(scenario, &actions[ACTION_RECORD], paired);
	if (depth == ALL_PAIRS)
		pairs(scenario, &actions[ACTION_FILL], lapped);
}

static void play_all(void)
{
	if (depth == RATES) {
		stage = &stages[stage->atomic][0];
		rates();
		return;
	}
	memset(met, 0, spots_count() * sizeof(*met));
	memset(paired, 0, spots_count() * sizeof(*paired));
	memset(lapped, 0, spots_count() * sizeof(*lapped));
	memset(harmed, 0, spots_count() * sizeof(*harmed));
	for (int kind = 0; kind < STAGE_KINDS; kind++) {
		stage = &stages[stage->atomic][kind];
		if (depth == ALL_PAIRS)
			memset(paired, 0, spots_count() * sizeof(*paired));
		for (uint32_t i = 0; i < scenario_count; i++)
			if (scenario_plays(&scenarios[i]))
				play(&scenarios[i]);
	}
}

static bool open_stages(bool atomic)
{
	for (int kind = 0; kind < STAGE_KINDS; kind++)
		if (!stage_open(&stages[atomic][kind], (enum stage_kind)kind,
				atomic, NULL))
			return false;
	stage = &stages[atomic][0];
	return true;
}

static void close_stages(bool atomic)
{
	for (int kind = 0; kind < STAGE_KINDS; kind++)
		stage_close(&stages[atomic][kind]);
}

/* ---- figures ---- */

static void print_figures(void)
{
	const struct kill_figures *k = &kill_figures;
	const struct park_figures *p = &park_figures;

	printf("killed: %" PRIu64 " records recovered, %" PRIu64
	       " in flight, %" PRIu64 " acknowledged lost in atomic mode (at "
	       "most %" PRIu64 " by a kill), %" PRIu64
	       " taken back and there\n",
	       k->recovered, k->in_flight, k->lost, k->most_lost, k->returned);
	printf("parked: %" PRIu64 " records of others, %" PRIu64
	       " refused, %" PRIu64 " sub-buffers quarantined\n",
	       p->committed, p->refused, p->quarantined);
	printf("%s: no seed, nothing is random; injections %" PRIu64
	       ": singles %" PRIu64 " pairs %" PRIu64 " storms %" PRIu64
	       " kills %" PRIu64 " forks %" PRIu64 " parks %" PRIu64
	       "; sequences aborted %" PRIu64 "; instructions %u of %u\n",
	       figures.failures ? "FAILED" : "ok",
	       figures.singles + figures.pairs + figures.storms + k->kills +
		       k->forks + p->parks,
	       figures.singles, figures.pairs, figures.storms, k->kills,
	       k->forks, p->parks, figures.aborts, spots_reached(),
	       spots_count());
}

static bool prepare(const char *list)
{
	const int ends[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTERM, SIGALRM};

	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		signal(ends[i], on_end);
	if (!stage_find_cpus()) {
		printf("skipped: two CPUs are needed\n");
		exit(SKIPPED);
	}
	if (!kill_open() || !spots_load(list) || !park_open())
		return false;
	reached = calloc(spots_count(), sizeof(*reached));
	in_sequence = calloc(spots_count(), sizeof(*in_sequence));
	harmed = calloc(spots_count(), sizeof(*harmed));
	paired = calloc(spots_count(), sizeof(*paired));
	lapped = calloc(spots_count(), sizeof(*lapped));
	met = calloc(spots_count(), sizeof(*met));
	lanes_reset();
	return reached && in_sequence && harmed && paired && lapped && met;
}

static bool read_words(int count, char **words)
{
	static const char *const names[] = {[RATES] = "--rates",
					    [BRIEF] = "--brief",
					    [PAIRS] = "--pairs",
					    [ALL_PAIRS] = "--all"};

	if (count == 3)
		return true;
	for (depth = RATES; depth <= ALL_PAIRS; depth++)
		if (count == 4 && names[depth] &&
		    !strcmp(words[3], names[depth]))
			return true;
	fprintf(stderr,
		"usage: %s LIST REACHED [--rates | --brief | --pairs | --all]\n",
		words[0]);
	return false;
}

int main(int count, char **words)
{
	if (!read_words(count, words))
		return 2;
	if (!prepare(words[1]))
		return 1;
	for (int atomic = 0; atomic < 2; atomic++) {
		if (!open_stages(atomic))
			return 1;
		if (!atomic && stage->control->reason != RONDO_MODE_RSEQ) {
			printf("skipped: no sequences on this machine\n");
			return SKIPPED;
		}
		play_all();
		close_stages(atomic);
	}
	park_close();
	kill_close();
	if (!spots_write(words[2]))
		return 1;
	print_figures();
	return figures.failures != 0;
}
