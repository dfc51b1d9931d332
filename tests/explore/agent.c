/* SPDX-License-Identifier: MIT */
/*
 * Agents: coroutines on stacks at fixed places. What an agent is, apart from
 * its words of the world, is the used part of its stack, so that saving and
 * comparing it is a matter of bytes. x86-64.
 */
#include "explore.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define STACK_BYTES (16u * 1024)
#define ARENA_BYTES SUBBUF_BYTES

struct agent_memory {
	char arena[ARENA_BYTES]; /* what it allocates */
	char stack[STACK_BYTES];
	/* Saved with the stack. */
	uint64_t stack_pointer;
	uint64_t restart_pointer; /* where an abort goes on */
	struct access next;
} __attribute__((aligned(4096)));

#define memories ((struct agent_memory *)UINT64_C(0x210000000000))

unsigned running = NOBODY;
bool raw;
unsigned agent_chosen;
static uint64_t search_pointer;

/*
 * Callee-saved registers lie on the stack while somebody else runs. What lies
 * below the stack is cleared: what returned calls left there would make equal
 * states look different once other calls have it in their frames.
 */
void agent_switch(uint64_t *save, uint64_t load);
int agent_try(uint64_t *save, int (*body)(void *), void *argument);
_Noreturn void agent_unwind(uint64_t load, int result);

__asm__(".text\n"
	"agent_switch:\n\t"
	"pushq %rbp\n\tpushq %rbx\n\tpushq %r12\n\t"
	"pushq %r13\n\tpushq %r14\n\tpushq %r15\n\t"
	"movq %rsp, (%rdi)\n\t"
	"movq %rsi, %rsp\n\t"
	"leaq -2048(%rsp), %rdi\n\t"
	"xorl %eax, %eax\n\t"
	"movl $256, %ecx\n\t"
	"rep stosq\n\t"
	"popq %r15\n\tpopq %r14\n\tpopq %r13\n\t"
	"popq %r12\n\tpopq %rbx\n\tpopq %rbp\n\t"
	"ret\n"
	"agent_try:\n\t"
	"pushq %rbp\n\tpushq %rbx\n\tpushq %r12\n\t"
	"pushq %r13\n\tpushq %r14\n\tpushq %r15\n\t"
	"subq $8, %rsp\n\t"
	"movq %rsp, (%rdi)\n\t"
	"movq %rdx, %rdi\n\t"
	"call *%rsi\n"
	"1:\taddq $8, %rsp\n\t"
	"popq %r15\n\tpopq %r14\n\tpopq %r13\n\t"
	"popq %r12\n\tpopq %rbx\n\tpopq %rbp\n\t"
	"ret\n"
	"agent_unwind:\n\t"
	"movq %rdi, %rsp\n\t"
	"movl %esi, %eax\n\t"
	"jmp 1b\n");

void agent_create(void)
{
	size_t bytes = AGENTS_MAX * sizeof(struct agent_memory);

	if (mmap(memories, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		 0) == MAP_FAILED) {
		perror("mmap");
		__builtin_trap();
	}
}

void *agent_arena(unsigned agent)
{
	return memories[agent].arena;
}

unsigned agent_root(unsigned agent)
{
	while (scenario->agents[agent].on)
		agent = scenario->agents[agent].on - 1u;
	return agent;
}

/* ---- running ---- */

static void agent_main(void)
{
	/* It is there, and has done nothing: a handler may be first. */
	agent_yield(&(struct access){.at = &own->clock});
	script_agent(running);
	set_own(&own->agents[running].state, AGENT_DONE);
	agent_yield(&(struct access){.at = &own->clock});
	__builtin_trap();
}

void agent_reset(unsigned agent)
{
	struct agent_memory *memory = &memories[agent];
	uint64_t *top = (uint64_t *)(void *)(memory->stack + STACK_BYTES);

	memset(memory->stack, 0, sizeof(memory->stack));
	memory->restart_pointer = 0;
	/* Where a call of agent_main would have left a return address. */
	top[-2] = (uint64_t)(uintptr_t)agent_main;
	memory->stack_pointer = (uint64_t)(uintptr_t)(top - 8);
}

void agent_begin(unsigned agent)
{
	agent_reset(agent);
	set_own(&own->agents[agent].state, AGENT_READY);
	agent_run(agent);
}

void agent_run(unsigned agent)
{
	running = agent;
	raw = false;
	agent_switch(&search_pointer, memories[agent].stack_pointer);
	running = NOBODY;
}

void agent_yield(const struct access *next)
{
	struct agent_memory *memory = &memories[running];

	memory->next = *next;
	agent_switch(&memory->stack_pointer, search_pointer);
	if (own->agents[running].in_sequence && own->agents[running].aborted &&
	    planted != PLANT_ABORT)
		agent_unwind(memory->restart_pointer, RONDO_SEQ_ABORTED);
}

/* It has violated something: nobody runs it again. */
void agent_halt(void)
{
	agent_switch(&memories[running].stack_pointer, search_pointer);
	__builtin_trap();
}

int agent_restartable(int (*body)(void *), void *argument)
{
	struct agent_words *me = &own->agents[running];
	int result;

	set_own(&me->aborted, 0);
	set_own(&me->in_sequence, 1);
	result = agent_try(&memories[running].restart_pointer, body, argument);
	set_own(&me->in_sequence, 0);
	set_own(&me->aborted, 0);
	if (result == RONDO_SEQ_ABORTED)
		set_own(&me->aborts, me->aborts + 1);
	return result;
}

unsigned agent_choice(unsigned choices)
{
	if (raw)
		return 0;
	memory_step(ACCESS_CHOICE, &own->clock, choices);
	return agent_chosen;
}

const struct access *agent_next(unsigned agent)
{
	return &memories[agent].next;
}

/* ---- saving, comparing ---- */

static char *used_stack(unsigned agent)
{
	return (char *)(uintptr_t)memories[agent].stack_pointer;
}

uint32_t agent_save(unsigned agent, char *to)
{
	struct agent_memory *memory = &memories[agent];
	char *from = used_stack(agent);
	uint32_t bytes = (uint32_t)((char *)(memory + 1) - from);
	uint64_t arena = own->agents[agent].arena;

	/* The pointer first: it says how much the rest is. */
	memcpy(to, &memory->stack_pointer, 8);
	memcpy(to + 8, &arena, 8);
	bytes = (uint32_t)((char *)(&memory->next + 1) - from);
	memcpy(to + 16, from, bytes);
	memcpy(to + 16 + bytes, memory->arena, arena);
	return 16 + ((bytes + (uint32_t)arena + 7) & ~7u);
}

void agent_load(unsigned agent, const char *from)
{
	struct agent_memory *memory = &memories[agent];
	uint64_t arena;
	uint32_t bytes;

	memcpy(&memory->stack_pointer, from, 8);
	memcpy(&arena, from + 8, 8);
	bytes = (uint32_t)((char *)(&memory->next + 1) - used_stack(agent));
	memcpy(used_stack(agent), from + 16, bytes);
	memcpy(memory->arena, from + 16 + bytes, arena);
}

static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_words(const uint64_t *words, size_t count, uint64_t seed)
{
	uint64_t a = seed, b = ~seed;
	size_t i = 0;

	for (; i + 4 <= count; i += 4) {
		a = fold(words[i] ^ UINT64_C(0xa0761d6478bd642f),
			 words[i + 1] ^ a);
		b = fold(words[i + 2] ^ UINT64_C(0xe7037ed1a0b428db),
			 words[i + 3] ^ b);
	}
	for (; i < count; i++)
		a = fold(words[i] ^ UINT64_C(0x8ebc6af09c88c6e3), a ^ i);
	return fold(a ^ UINT64_C(0x589965cc75374cc3), b);
}

uint64_t agent_hash(unsigned agent)
{
	const struct agent_memory *memory = &memories[agent];
	const uint64_t *from = (const uint64_t *)(void *)used_stack(agent);
	const uint64_t *end = &memory->restart_pointer;
	uint64_t hash = hash_words(from, (size_t)(end - from), agent + 1);

	if (own->agents[agent].arena)
		hash ^= hash_words(
			(const uint64_t *)(const void *)memory->arena,
			own->agents[agent].arena / 8, hash);
	return hash;
}
