/* SPDX-License-Identifier: MIT */
/*
 * The explorer's command: which scenarios, which bounds, which planted faults;
 * what it prints. It fails when something is violated, when a planted fault is
 * not found, and when it has met too few states to mean anything.
 */
#include "explore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The short and the long form visit at least so many. */
#define STATES_FLOOR UINT64_C(5000000)
#define TRANSITIONS_FLOOR UINT64_C(1000000000)
#define QUICK_FLOOR UINT64_C(200000)

enum form {
	FORM_SHORT,
	FORM_QUICK,
	FORM_LONG,
};

struct options {
	enum form form;
	const char *only;
	const char *plant;
	const char *replay;
	const char *save; /* where a schedule goes that violates something */
	struct search_limits limits;
	bool list;
};

struct totals {
	uint64_t scenarios, states, transitions, ended, planted;
	double seconds;
};

static const char *const model_names[] = {"sc", "tso", "weak"};

struct plant_case {
	const char *name, *scenario;
	enum plant plant;
	enum model model;
};

static const struct plant_case plants[] = {
	{"fence", "a flusher", PLANT_FENCE, MODEL_SC},
	{"abort", "a handler", PLANT_ABORT, MODEL_SC},
	{"release", "a peek", PLANT_RELEASE, MODEL_WEAK},
	{"gen", "squash in atomic mode", PLANT_GEN, MODEL_SC},
	{"late", "two open and a flusher", PLANT_LATE, MODEL_SC},
	{"licence", "a consumer", PLANT_LICENCE, MODEL_SC},
	{"id", "a move", PLANT_ID, MODEL_SC},
	{"clock", "two in atomic mode", PLANT_CLOCK, MODEL_SC},
	{"order", "a peek and a squash", PLANT_ORDER, MODEL_WEAK},
};
#define PLANT_COUNT (sizeof(plants) / sizeof(plants[0]))

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static unsigned models_of(const struct scenario *which,
			  const struct options *options)
{
	if (options->only && !strstr(which->name, options->only))
		return 0;
	if (options->form == FORM_LONG)
		return which->models | which->long_models;
	if (options->form == FORM_QUICK && !(which->flags & SCENARIO_QUICK))
		return 0;
	return which->models;
}

/* False: something was violated. */
static bool explore(const struct scenario *which, enum model model,
		    const struct options *options, struct totals *totals)
{
	struct search_result result;
	double took = seconds_now();
	bool ok;

	scenario = which;
	explore_model = model;
	ok = search(&options->limits, &result);
	took = seconds_now() - took;
	totals->states += result.states;
	totals->transitions += result.transitions;
	totals->ended += result.ended;
	totals->scenarios++;
	if (planted)
		return ok;
	printf("%-38s %-4s %10llu states %10llu transitions %8llu ended "
	       "%7.2f s  %s%s\n",
	       which->name, model_names[model],
	       (unsigned long long)result.states,
	       (unsigned long long)result.transitions,
	       (unsigned long long)result.ended, took,
	       !ok	      ? "VIOLATED" :
	       result.bounded ? "bounded by " :
				"exhausted",
	       ok && result.bounded ? result.bounded : "");
	fflush(stdout);
	if (!ok) {
		printf("%s\n", violation);
		search_show(options->save);
	}
	return ok;
}

static bool explore_all(const struct options *options, struct totals *totals)
{
	for (unsigned i = 0; i < scenario_count; i++) {
		const unsigned models = models_of(&scenarios[i], options);

		memory_forget_conflicts();
		for (unsigned model = 0; model < MODELS; model++)
			if ((models >> model & 1) &&
			    !explore(&scenarios[i], model, options, totals))
				return false;
	}
	return true;
}

static const struct scenario *scenario_named(const char *name)
{
	for (unsigned i = 0; i < scenario_count; i++)
		if (!strcmp(scenarios[i].name, name))
			return &scenarios[i];
	return NULL;
}

/* True: it is found. */
static bool find_plant(const struct plant_case *which,
		       const struct options *options, struct totals *totals)
{
	const struct scenario *where = scenario_named(which->scenario);
	double took = seconds_now();
	bool found;

	if (!where) {
		printf("planted %s: no such scenario\n", which->name);
		return false;
	}
	planted = which->plant;
	memory_forget_conflicts();
	found = !explore(where, which->model, options, totals);
	planted = PLANT_NONE;
	totals->planted += found;
	printf("planted %-10s in %-24s %-4s %s%s, %.2f s\n", which->name,
	       which->scenario, model_names[which->model],
	       found ? "found: " : "NOT FOUND", found ? violation : "",
	       seconds_now() - took);
	if (found && options->plant) {
		planted = which->plant;
		search_show(options->save);
		planted = PLANT_NONE;
	}
	return found;
}

static bool find_plants(const struct options *options, struct totals *totals)
{
	bool all = true;

	for (unsigned i = 0; i < PLANT_COUNT; i++)
		if (!options->plant || !strcmp(options->plant, plants[i].name))
			all &= find_plant(&plants[i], options, totals);
	return all;
}

static int usage(void)
{
	fprintf(stderr, "usage: explore [--quick | --long] [--only TEXT] "
			"[--states N] [--plant NAME] [--save FILE]\n"
			"       explore --list | --replay FILE\n");
	return 2;
}

static bool parse(int argc, char **argv, struct options *options)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(argv[i], "--quick")) {
			options->form = FORM_QUICK;
			continue;
		} else if (!strcmp(argv[i], "--long")) {
			options->form = FORM_LONG;
			options->limits.table_bits = 27;
			continue;
		} else if (!strcmp(argv[i], "--list")) {
			options->list = true;
			continue;
		}
		if (!value)
			return false;
		if (!strcmp(argv[i], "--only"))
			options->only = value;
		else if (!strcmp(argv[i], "--plant"))
			options->plant = value;
		else if (!strcmp(argv[i], "--replay"))
			options->replay = value;
		else if (!strcmp(argv[i], "--save"))
			options->save = value;
		else if (!strcmp(argv[i], "--states"))
			options->limits.states = strtoull(value, NULL, 0);
		else
			return false;
		i++;
	}
	return true;
}

static void list(void)
{
	for (unsigned i = 0; i < scenario_count; i++)
		printf("%s\n", scenarios[i].name);
	for (unsigned i = 0; i < PLANT_COUNT; i++)
		printf("planted: %s\n", plants[i].name);
}

static int replay(const char *path)
{
	FILE *file = fopen(path, "r");
	const struct scenario *which = NULL;
	char name[64];
	int result;

	if (!file) {
		perror(path);
		return 2;
	}
	if (fgets(name, sizeof(name), file)) {
		name[strcspn(name, "\n")] = 0;
		which = scenario_named(name);
	}
	result = which ? search_replay(file, which) : 2;
	if (result == 2)
		fprintf(stderr, "%s: no schedule of this explorer\n", path);
	fclose(file);
	return result;
}

/* Whether so much was done that the result means something. */
static bool is_enough(const struct options *options,
		      const struct totals *totals)
{
	if (options->only || options->limits.states)
		return true;
	switch (options->form) {
	case FORM_QUICK:
		return totals->states >= QUICK_FLOOR;
	case FORM_LONG:
		return totals->transitions >= TRANSITIONS_FLOOR;
	default:
		return totals->states >= STATES_FLOOR;
	}
}

int main(int argc, char **argv)
{
	struct options options = {.save = "explore.schedule",
				  .limits = {.table_bits = 24}};
	struct totals totals = {0}, plant_totals = {0};
	double began = seconds_now();
	bool ok = true;

	if (!parse(argc, argv, &options))
		return usage();
	if (options.list) {
		list();
		return 0;
	}
	memory_create();
	agent_create();
	if (options.replay)
		return replay(options.replay);
	if (!options.plant)
		ok = explore_all(&options, &totals);
	totals.seconds = seconds_now() - began;
	if (ok && !options.only && options.form == FORM_SHORT)
		ok = find_plants(&options, &plant_totals);
	if (options.plant)
		return ok ? 0 : 1;
	if (ok && !is_enough(&options, &totals)) {
		printf("too few states: nothing is shown by that\n");
		ok = false;
	}
	printf("explore: %llu scenarios, %llu states, %llu transitions, "
	       "%llu executions ended, %llu planted faults found, no random, "
	       "%.0f states/s: %s\n",
	       (unsigned long long)totals.scenarios,
	       (unsigned long long)totals.states,
	       (unsigned long long)totals.transitions,
	       (unsigned long long)totals.ended,
	       (unsigned long long)plant_totals.planted,
	       (double)totals.states / totals.seconds, ok ? "ok" : "FAIL");
	return ok ? 0 : 1;
}
