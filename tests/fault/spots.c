/* SPDX-License-Identifier: MIT */
/*
 * See spots.h.
 */
#include "spots.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define BREAKPOINT 0xcc
#define NAME_BYTES 64
#define NOWHERE UINT32_MAX

struct spot {
	volatile uint8_t *at;
	uint8_t byte;	  /* what the breakpoint replaces */
	uint8_t start[2]; /* what the instruction begins with */
	char name[NAME_BYTES];
};

__thread uint32_t fault_depth;

static struct spot *spots;
static uint32_t count;
static uint8_t *marks;	    /* one for each spot, shared with children */
static uint8_t *low, *high; /* the text that the spots are in */
static uint32_t *index_of;  /* spot of each byte of it */
static struct fault *armed;
static const uint8_t rest[] = {0xf3, 0x90}; /* does nothing: can be skipped */
static void (*cue)(void);

/* Addresses in the list are relative to this one. */
void fault_anchor(void);
__attribute__((noinline, used)) void fault_anchor(void)
{
	__asm__ __volatile__("");
}

uint32_t spots_count(void)
{
	return count;
}

const char *spots_name(uint32_t spot)
{
	return spots[spot].name;
}

void spots_mark(uint32_t spot)
{
	marks[spot] = 1;
}

bool spots_is_marked(uint32_t spot)
{
	return marks[spot];
}

uint32_t spots_reached(void)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += marks[i];
	return sum;
}

/* ---- planting ---- */

static void plant_one(struct fault *fault)
{
	fault->hit = fault->aborted = false;
	fault->planted = true;
	armed = fault;
	for (uint32_t i = fault->first; i < fault->end; i++)
		if (!fault->fresh || !marks[i])
			*spots[i].at = BREAKPOINT;
}

void fault_plant(struct fault *fault)
{
	if (fault->storm && fault->inner)
		plant_one(fault->inner);
	plant_one(fault);
}

static void lift_one(struct fault *fault)
{
	if (!fault->planted)
		return;
	if (armed == fault)
		armed = fault->inner && fault->inner->planted ? fault->inner :
								NULL;
	for (uint32_t i = fault->first; i < fault->end; i++)
		*spots[i].at = spots[i].byte;
	fault->planted = false;
}

void fault_lift(struct fault *fault)
{
	for (; fault; fault = fault->inner)
		lift_one(fault);
}

/* ---- hitting ---- */

/* The spot whose breakpoint ends before this address. */
static uint32_t spot_before(const uint8_t *address)
{
	if (address <= low || address > high)
		return NOWHERE;
	return index_of[address - 1 - low];
}

static void strike(struct fault *fault)
{
	struct fault *inner = fault->inner;

	fault->hit = true;
	lift_one(fault);
	if (inner && !inner->planted)
		plant_one(inner);
	if (fault->end - fault->first == 1)
		spots_mark(fault->first);
	fault_depth++;
	fault->what();
	fault_depth--;
	if (inner && !inner->lingers)
		lift_one(inner);
}

static bool covers(const struct fault *fault, uint32_t spot)
{
	return fault && fault->planted && fault->first <= spot &&
	       spot < fault->end;
}

/* A sequence was aborted, or what stands at the spot was about to run. */
static void meet(struct fault *fault, uint32_t spot)
{
	if (spot == NOWHERE && fault->storm) {
		fault->hit = fault->aborted = true;
		if (--fault->storm == 0)
			lift_one(fault);
	} else if (fault->storm && !covers(fault, spot) &&
		   covers(fault->inner, spot)) {
		strike(fault->inner);
	} else {
		fault->aborted = spot == NOWHERE;
		strike(fault);
	}
}

/*
 * In a sequence the address is that of its abort handler by now. A breakpoint
 * that another thread was quicker to hit is gone, and only stepped back from.
 */
static void on_trap(int signal, siginfo_t *info, void *context)
{
	greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	uint32_t spot = spot_before((const uint8_t *)*rip);
	struct fault *fault = armed;
	int saved = errno;

	(void)signal, (void)info;
	if (spot != NOWHERE)
		*rip -= 1;
	if (spot != NOWHERE && cue && spots[spot].byte == BREAKPOINT &&
	    !covers(fault, spot)) {
		*rip += sizeof(rest);
		cue();
	} else if (fault) {
		meet(fault, spot);
	}
	errno = saved;
}

/* ---- cues ---- */

void spots_cue(void (*what)(void))
{
	cue = what;
	for (uint32_t i = 0; i < count; i++) {
		if (memcmp(spots[i].start, rest, sizeof(rest)) != 0)
			continue;
		spots[i].byte = what ? BREAKPOINT : rest[0];
		*spots[i].at = spots[i].byte;
	}
}

/* ---- loading ---- */

static bool add(const char *line)
{
	intptr_t offset;
	struct spot *spot;
	char name[NAME_BYTES];

	if (sscanf(line, "%" SCNxPTR " %63[^\n]", (uintptr_t *)&offset, name) !=
	    2)
		return false;
	if (!(count & (count - 1))) {
		spots = realloc(spots,
				(count ? count : 1) * 2 * sizeof(*spots));
		if (!spots)
			abort();
	}
	spot = &spots[count++];
	spot->at = (volatile uint8_t *)((intptr_t)fault_anchor + offset);
	spot->byte = *spot->at;
	spot->start[0] = spot->byte;
	spot->start[1] = spot->at[1];
	memcpy(spot->name, name, sizeof(name));
	return spot->byte != BREAKPOINT;
}

/* They ascend, so the first and the last are the lowest and the highest. */
static bool open_text(void)
{
	const uintptr_t mask = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
	uintptr_t first, last;

	low = (uint8_t *)spots[0].at;
	high = (uint8_t *)spots[count - 1].at + 1;
	first = (uintptr_t)low & ~mask;
	last = ((uintptr_t)high + 16 + mask) & ~mask;
	index_of = malloc((size_t)(high - low) * sizeof(*index_of));
	marks = mmap(NULL, count, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!index_of || marks == MAP_FAILED)
		return false;
	memset(index_of, 0xff, (size_t)(high - low) * sizeof(*index_of));
	for (uint32_t i = 0; i < count; i++)
		index_of[spots[i].at - low] = i;
	return mprotect((void *)first, last - first,
			PROT_READ | PROT_WRITE | PROT_EXEC) == 0;
}

bool spots_load(const char *path)
{
	struct sigaction action = {.sa_sigaction = on_trap,
				   .sa_flags = SA_SIGINFO | SA_NODEFER};
	FILE *file = fopen(path, "r");
	char line[256];
	bool good = file != NULL;

	while (good && fgets(line, sizeof(line), file))
		good = add(line);
	if (file)
		fclose(file);
	if (!good || !count || !open_text() ||
	    sigaction(SIGTRAP, &action, NULL)) {
		fprintf(stderr,
			"%s: no list of addresses, or no way to plant\n", path);
		return false;
	}
	return true;
}

bool spots_write(const char *path)
{
	FILE *file = fopen(path, "w");

	if (!file)
		return false;
	for (uint32_t i = 0; i < count; i++)
		fprintf(file, "%d %s\n", marks[i], spots[i].name);
	return fclose(file) == 0;
}
