/* SPDX-License-Identifier: MIT */
/*
 * Depth-first through all states. A state met before is not entered again; they
 * are known by 64 bits of hash. Going on from a state saves the stack of the
 * agent that runs, and coming back takes the log back to where it was.
 */
#include "explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define DEPTH_MAX 20000u
#define CHOICES_MAX 48u
#define SAVED_BYTES (UINT64_C(512) << 20)
#define ALONE_STEPS 600u
#define TABLE_BITS_MIN 14u

/* What may happen next. */
enum transition_kind {
	GO,    /* an agent does its step; argument: its choice */
	DRAIN, /* a CPU's store becomes visible; argument: which */
	ABORT, /* an interrupt hits a sequence */
	STOP,  /* an agent does not go on, for ever */
	MOVE,  /* a thread is moved to another CPU */
};

struct transition {
	uint8_t kind, who, argument;
};

struct node {
	uint32_t mark;	/* of the log */
	uint32_t saved; /* bytes saved before this node's own */
	uint8_t count, next;
	struct transition choices[CHOICES_MAX];
	uint64_t hashes[AGENTS_MAX];
};

static struct node *nodes;
static uint32_t depth;
static char *saved;
static uint64_t *table, *other_table;
static uint64_t table_mask, table_used, table_limit;
static jmp_buf back_to_search;

void violate(const char *format, ...)
{
	va_list arguments;

	if (!violated) {
		va_start(arguments, format);
		vsnprintf(violation, sizeof(violation), format, arguments);
		va_end(arguments);
	}
	violated = true;
	raw = false;
	if (running < AGENT_SETUP)
		agent_halt();
	longjmp(back_to_search, 1);
}

/* ---- states that were met ---- */

/* Empty and small again. */
static void table_clear(void)
{
	table_mask = (UINT64_C(1) << TABLE_BITS_MIN) - 1;
	table_used = 0;
	memset(table, 0, (table_mask + 1) * sizeof(*table));
}

static uint64_t *table_place(uint64_t *in, uint64_t hash)
{
	uint64_t at = hash & table_mask;

	while (in[at] && in[at] != hash)
		at = (at + 1) & table_mask;
	return &in[at];
}

/* Twice as large, in the other half of the memory for it. */
static void table_grow(void)
{
	const uint64_t count = table_mask + 1;
	uint64_t *old = table;

	table = other_table;
	other_table = old;
	table_mask = 2 * count - 1;
	(void)madvise(table, 2 * count * sizeof(*table), MADV_HUGEPAGE);
	memset(table, 0, 2 * count * sizeof(*table));
	for (uint64_t i = 0; i < count; i++)
		if (old[i])
			*table_place(table, old[i]) = old[i];
	(void)madvise(old, count * sizeof(*old), MADV_DONTNEED);
}

/* True: it is new. */
static bool table_add(uint64_t hash)
{
	uint64_t *at = table_place(table, hash ? hash : 1);

	if (*at)
		return false;
	*at = hash ? hash : 1;
	if (++table_used > table_mask / 4 * 3 && table_mask < table_limit)
		table_grow();
	return true;
}

/* ---- what may happen ---- */

static bool is_agent(unsigned agent)
{
	return scenario->agents[agent].script != NULL;
}

static bool is_blocked(unsigned agent)
{
	const struct access *next = agent_next(agent);
	uint64_t word;

	if (next->kind != ACCESS_LOCK)
		return false;
	memcpy(&word, next->at, 8);
	return (uint32_t)(word >>
			  8 * ((uintptr_t)&world->control.flush_lock & 7));
}

static bool may_begin(unsigned agent)
{
	unsigned on = scenario->agents[agent].on;

	return on && own->agents[on - 1].state == AGENT_READY &&
	       own->agents[on - 1].child == NOBODY;
}

static bool may_go(unsigned agent)
{
	const struct agent_words *words = &own->agents[agent];

	if (!is_agent(agent))
		return false;
	if (words->state == AGENT_UNBORN)
		return may_begin(agent);
	return words->state == AGENT_READY && words->child == NOBODY &&
	       !is_blocked(agent);
}

static void add(struct node *node, unsigned kind, unsigned who,
		unsigned argument)
{
	if (node->count == CHOICES_MAX)
		violate("too many choices in one state");
	node->choices[node->count++] = (struct transition){
		(uint8_t)kind, (uint8_t)who, (uint8_t)argument};
}

static void add_disturbances(struct node *node, unsigned agent)
{
	const struct agent_words *words = &own->agents[agent];

	if (words->state != AGENT_READY)
		return;
	if (own->aborts_left && words->in_sequence && !words->aborted)
		add(node, ABORT, agent, 0);
	if (own->stops_left && words->child == NOBODY)
		add(node, STOP, agent, 0);
	if (own->moves_left && !scenario->agents[agent].on)
		for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++)
			if (cpu != words->cpu)
				add(node, MOVE, agent, cpu);
}

static void add_go(struct node *node, unsigned agent)
{
	const struct access *next = agent_next(agent);

	if (own->agents[agent].state == AGENT_READY &&
	    next->kind == ACCESS_CHOICE) {
		for (unsigned i = 0; i < next->value; i++)
			add(node, GO, agent, i);
		return;
	}
	add(node, GO, agent, 0);
}

static bool is_bounded_out(unsigned agent)
{
	return scenario->switches && !own->switches_left &&
	       own->last != NOBODY && own->last != agent &&
	       may_go((unsigned)own->last);
}

static void list_choices(struct node *node)
{
	node->count = 0;
	node->next = 0;
	for (unsigned i = 0; i < AGENT_SETUP; i++)
		if (may_go(i) && !is_bounded_out(i))
			add_go(node, i);
	for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++)
		for (unsigned i = 0; i < own->cpus[cpu].count; i++)
			if (memory_may_drain(cpu, i))
				add(node, DRAIN, cpu, i);
	for (unsigned i = 0; i < AGENT_SETUP; i++)
		if (is_agent(i))
			add_disturbances(node, i);
}

/* ---- making it happen ---- */

static void switch_cpu_to(unsigned agent)
{
	struct cpu_words *cpu = &own->cpus[own->agents[agent].cpu];

	/* The kernel's switch is a full fence; a signal is none. */
	if (cpu->current != agent_root(agent)) {
		memory_drain_all((uint32_t)own->agents[agent].cpu);
		set_own(&cpu->current, agent_root(agent));
	}
	for (unsigned i = 0; i < AGENT_SETUP; i++)
		if (i != agent && own->agents[i].in_sequence &&
		    own->agents[i].cpu == own->agents[agent].cpu)
			set_own(&own->agents[i].aborted, 1);
}

static void count_switch(unsigned agent)
{
	if (!scenario->switches)
		return;
	if (own->last != NOBODY && own->last != agent &&
	    may_go((unsigned)own->last))
		set_own(&own->switches_left, own->switches_left - 1);
	set_own(&own->last, agent);
}

static void go(unsigned agent, unsigned choice)
{
	const unsigned on = scenario->agents[agent].on;

	count_switch(agent);
	agent_chosen = choice;
	if (own->agents[agent].state == AGENT_UNBORN) {
		set_own(&own->agents[on - 1].child, agent);
		set_own(&own->agents[agent].cpu, own->agents[on - 1].cpu);
		switch_cpu_to(agent);
		agent_begin(agent);
	} else {
		switch_cpu_to(agent);
		agent_run(agent);
	}
	if (on && own->agents[agent].state == AGENT_DONE)
		set_own(&own->agents[on - 1].child, NOBODY);
}

/* The thread with all that is on top of it. */
static void move(unsigned agent, uint32_t cpu)
{
	struct cpu_words *from = &own->cpus[own->agents[agent].cpu];

	set_own(&own->moves_left, own->moves_left - 1);
	if (from->current == agent) {
		memory_drain_all((uint32_t)own->agents[agent].cpu);
		set_own(&from->current, NOBODY);
	}
	for (unsigned i = agent; i != NOBODY;
	     i = (unsigned)own->agents[i].child) {
		set_own(&own->agents[i].cpu, cpu);
		if (own->agents[i].in_sequence)
			set_own(&own->agents[i].aborted, 1);
	}
}

static void perform(const struct transition *transition)
{
	const unsigned who = transition->who;

	switch ((enum transition_kind)transition->kind) {
	case GO:
		go(who, transition->argument);
		return;
	case DRAIN:
		memory_drain(who, transition->argument);
		return;
	case ABORT:
		set_own(&own->aborts_left, own->aborts_left - 1);
		set_own(&own->agents[who].aborted, 1);
		return;
	case STOP:
		set_own(&own->stops_left, own->stops_left - 1);
		set_own(&own->agents[who].state, AGENT_STOPPED);
		return;
	case MOVE:
		move(who, transition->argument);
		return;
	}
}

/* ---- what is looked at in a state ---- */

/* I-progress: with all others stopped it ends its operation soon. */
static void check_alone(unsigned agent)
{
	static char copy[AGENT_SAVED_MAX];
	const uint32_t mark = memory_mark();
	const uint64_t operations = own->agents[agent].operations;
	unsigned steps = 0;

	(void)agent_save(agent, copy);
	while (own->agents[agent].operations == operations &&
	       own->agents[agent].state == AGENT_READY && !violated) {
		if (is_blocked(agent) || ++steps > ALONE_STEPS)
			violate("I-progress: agent %u does not end alone",
				agent);
		switch_cpu_to(agent);
		agent_run(agent);
	}
	memory_undo(mark);
	agent_load(agent, copy);
}

static void check_state(void)
{
	const uint32_t mark = memory_mark();

	ledger_state();
	if (scenario->flags & SCENARIO_CRASH) {
		for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++)
			memory_drain_all(cpu);
		ledger_crash();
		memory_undo(mark);
	}
	for (unsigned i = 0;
	     (scenario->flags & SCENARIO_ALONE) && i < AGENT_SETUP; i++)
		if (is_producer(i) && own->agents[i].state == AGENT_READY &&
		    own->agents[i].child == NOBODY)
			check_alone(i);
}

/* Nobody can go on. */
static void check_end(void)
{
	const uint32_t mark = memory_mark();

	for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++)
		memory_drain_all(cpu);
	for (unsigned i = 0; i < AGENT_SETUP; i++)
		if (is_agent(i) && own->agents[i].state == AGENT_READY &&
		    is_producer(i) && own->agents[i].child == NOBODY)
			violate("I-progress: agent %u is blocked", i);
	ledger_final();
	memory_undo(mark);
}

/* ---- the search ---- */

static uint64_t state_hash(const struct node *node)
{
	uint64_t hash = explore_hash;

	for (unsigned i = 0; i < AGENT_SETUP; i++)
		hash += node->hashes[i] * (2 * i + 3);
	return hash;
}

static uint64_t hash_of_agent(unsigned agent)
{
	const uint64_t state = own->agents[agent].state;

	return state == AGENT_READY ? agent_hash(agent) : state;
}

/* The next node, its state being what is there now. */
static void enter(uint32_t saved_before)
{
	struct node *node = &nodes[depth];

	node->mark = memory_mark();
	node->saved = saved_before;
	list_choices(node);
	depth++;
}

static uint32_t save_for(const struct node *node,
			 const struct transition *transition)
{
	if (transition->kind != GO)
		return 0;
	return agent_save(transition->who, saved + node->saved);
}

static void take_back(const struct node *node,
		      const struct transition *transition)
{
	memory_undo(node->mark);
	if (transition->kind == GO)
		agent_load(transition->who, saved + node->saved);
}

/* One transition from the node on top. */
static void advance(struct search_result *out)
{
	struct node *node = &nodes[depth - 1], *child = node + 1;
	const struct transition *transition = &node->choices[node->next++];
	uint32_t bytes = save_for(node, transition);

	perform(transition);
	if (violated)
		return;
	out->transitions++;
	memcpy(child->hashes, node->hashes, sizeof(child->hashes));
	if (transition->kind == GO || transition->kind == STOP)
		child->hashes[transition->who] = hash_of_agent(transition->who);
	if (!table_add(state_hash(child))) {
		take_back(node, transition);
		return;
	}
	out->states++;
	check_state();
	if (violated)
		return;
	enter(node->saved + bytes);
	if (child->count == 0) {
		out->ended++;
		check_end();
	}
}

static bool is_over(const struct search_limits *limits,
		    struct search_result *out)
{
	if (limits->states && out->states >= limits->states)
		out->bounded = "states";
	else if (table_used * 8 > table_mask * 7)
		out->bounded = "memory";
	else if (depth >= DEPTH_MAX - 1 ||
		 nodes[depth - 1].saved + AGENT_SAVED_MAX > SAVED_BYTES)
		out->bounded = "depth";
	return out->bounded != NULL;
}

static void begin(void)
{
	scenario_begin(scenario);
	depth = 0;
	violated = false;
	for (unsigned i = 0; i < AGENT_SETUP; i++)
		agent_reset(i);
	for (unsigned i = 0; i < AGENT_SETUP; i++)
		if (is_agent(i) && !scenario->agents[i].on)
			agent_begin(i);
	memory_begin();
	for (unsigned i = 0; i < AGENT_SETUP; i++)
		nodes[0].hashes[i] = hash_of_agent(i);
	enter(0);
}

/* Until all is known, or something is violated, or much was learnt about who
 * shares what. */
static void pass(const struct search_limits *limits, struct search_result *out)
{
	uint64_t learnt_at = 0;

	memset(out, 0, sizeof(*out));
	begin();
	while (depth) {
		struct node *node = &nodes[depth - 1];

		if (node->next < node->count) {
			advance(out);
			if (violated || is_over(limits, out))
				break;
		} else if (--depth) {
			node--;
			take_back(node, &node->choices[node->next - 1]);
		}
		if (!explore_conflicts_grew)
			continue;
		if (!learnt_at)
			learnt_at = out->transitions;
		if (out->transitions > 2 * learnt_at + 1000)
			break;
	}
}

static void *reserve_memory(uint64_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return at;
}

static void create(uint32_t table_bits)
{
	if (nodes)
		return;
	table = reserve_memory(UINT64_C(8) << table_bits);
	other_table = reserve_memory(UINT64_C(8) << table_bits);
	table_limit = (UINT64_C(1) << table_bits) - 1;
	nodes = reserve_memory(DEPTH_MAX * sizeof(*nodes));
	saved = reserve_memory(SAVED_BYTES);
}

bool search(const struct search_limits *limits, struct search_result *out)
{
	create(limits->table_bits);
	/* What was learnt on the way to a violation changes what a step is: it is
	 * looked for again, so that its schedule can be repeated. */
	do {
		table_clear();
		if (!setjmp(back_to_search))
			pass(limits, out);
		running = NOBODY;
	} while (explore_conflicts_grew);
	if (!violated && !out->bounded && !memory_is_consistent())
		violate("the explorer missed a plain store");
	return !violated;
}

/* ---- a schedule, for people and to run again ---- */

static const char *const transition_names[] = {"go", "drain", "abort", "stop",
					       "move"};

static void show_transition(unsigned step, const struct transition *transition)
{
	const unsigned who = transition->who;
	char text[160] = "";

	if (transition->kind == GO && own->agents[who].state == AGENT_READY)
		memory_describe(agent_next(who), text, sizeof(text));
	else if (transition->kind == GO)
		snprintf(text, sizeof(text), "interrupts agent %u",
			 scenario->agents[who].on - 1u);
	if (transition->kind == DRAIN)
		printf("%4u  cpu %u    store %u becomes visible\n", step, who,
		       transition->argument);
	else if (transition->kind == GO)
		printf("%4u  agent %u  %s%s%s\n", step, who,
		       own->agents[who].in_sequence ? "[sequence] " : "",
		       own->agents[who].aborted ? "[aborted] " : "", text);
	else
		printf("%4u  agent %u  %s %u\n", step, who,
		       transition_names[transition->kind],
		       transition->argument);
}

/* Again from the beginning, each step shown. */
static void repeat(const struct transition *path, uint32_t count)
{
	begin();
	for (uint32_t i = 0; i < count && !violated; i++) {
		show_transition(i, &path[i]);
		perform(&path[i]);
		if (!violated)
			check_state();
	}
	if (!violated) {
		enter(0);
		if (nodes[depth - 1].count == 0)
			check_end();
	}
}

static void repeat_guarded(const struct transition *path, uint32_t count)
{
	if (!setjmp(back_to_search))
		repeat(path, count);
	running = NOBODY;
	printf("      %s\n", violated ? violation : "nothing is violated");
}

static struct transition *copy_path(uint32_t *count)
{
	struct transition *path = malloc(DEPTH_MAX * sizeof(*path));

	*count = 0;
	for (uint32_t i = 0; path && i < depth; i++)
		if (nodes[i].next)
			path[(*count)++] = nodes[i].choices[nodes[i].next - 1];
	return path;
}

static void save_path(const char *to, const struct transition *path,
		      uint32_t count)
{
	FILE *file = fopen(to, "w");

	if (!file) {
		perror(to);
		return;
	}
	fprintf(file, "%s\n%u %u %u\n", scenario->name, (unsigned)explore_model,
		(unsigned)planted, count);
	for (uint32_t i = 0; i < count; i++)
		fprintf(file, "%u %u %u\n", path[i].kind, path[i].who,
			path[i].argument);
	memory_save_conflicts(file);
	fclose(file);
	printf("again: explore --replay %s\n", to);
}

void search_show(const char *save_to)
{
	uint32_t count;
	struct transition *path = copy_path(&count);

	if (!path)
		return;
	repeat_guarded(path, count);
	if (save_to)
		save_path(save_to, path, count);
	free(path);
}

static bool load_path(FILE *file, struct transition *path, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		unsigned kind, who, argument;

		if (fscanf(file, "%u %u %u\n", &kind, &who, &argument) != 3 ||
		    kind > MOVE || who >= AGENTS_MAX)
			return false;
		path[i] = (struct transition){(uint8_t)kind, (uint8_t)who,
					      (uint8_t)argument};
	}
	return memory_load_conflicts(file);
}

/* 0: nothing was violated; 1: something was; 2: not such a file. */
int search_replay(FILE *file, const struct scenario *which)
{
	struct transition *path = malloc(DEPTH_MAX * sizeof(*path));
	unsigned model, plant, count;

	create(TABLE_BITS_MIN);
	scenario = which;
	if (!path || fscanf(file, "%u %u %u\n", &model, &plant, &count) != 3 ||
	    model >= MODELS || plant >= PLANTS || count > DEPTH_MAX ||
	    !load_path(file, path, count)) {
		free(path);
		return 2;
	}
	explore_model = (enum model)model;
	planted = (enum plant)plant;
	repeat_guarded(path, count);
	free(path);
	return violated;
}
