/* SPDX-License-Identifier: MIT */
/*
 * The world's words and what each access does to them. An access is a step, a
 * point at which the search may let others go first, when somebody else
 * accesses the same word and one of the two writes. Who accesses what is learnt
 * while the search runs; it runs again until it learns nothing new.
 */
#include "explore.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <rondo/detail/position.h>

#define LOG_MAX (1u << 21)

struct change {
	uint32_t word;
	uint64_t before;
};

enum model explore_model;
bool explore_conflicts_grew;
uint64_t explore_hash;
enum plant planted;
const uint64_t explore_clock;

static uint64_t *const words = (uint64_t *)world;
static struct change *changes;
static uint32_t change_count;
static bool logging;
/* Who does what to each word; a bit for each agent. */
static uint8_t *loaders, *storers, *adders;

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product =
		(unsigned __int128)(a ^ UINT64_C(0xa0761d6478bd642f)) *
		(b ^ UINT64_C(0xe7037ed1a0b428db));

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t word_hash(uint32_t word, uint64_t value)
{
	return mix(value + 1,
		   (uint64_t)(word + 1) * UINT64_C(0x8ebc6af09c88c6e3));
}

static void *allocate(size_t bytes, void *at)
{
	void *got = mmap(at, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
				 (at ? MAP_FIXED_NOREPLACE : 0),
			 -1, 0);

	if (got == MAP_FAILED) {
		perror("mmap");
		__builtin_trap();
	}
	return got;
}

void memory_create(void)
{
	(void)allocate(sizeof(struct world_words), world);
	changes = allocate(LOG_MAX * sizeof(*changes), NULL);
	loaders = allocate(WORLD_WORDS, NULL);
	storers = allocate(WORLD_WORDS, NULL);
	adders = allocate(WORLD_WORDS, NULL);
}

void memory_forget_conflicts(void)
{
	memset(loaders, 0, WORLD_WORDS);
	memset(storers, 0, WORLD_WORDS);
	memset(adders, 0, WORLD_WORDS);
}

void memory_save_conflicts(FILE *file)
{
	for (uint32_t i = 0; i < WORLD_WORDS; i++)
		if (loaders[i] | storers[i] | adders[i])
			fprintf(file, "%u %u %u %u\n", i, loaders[i],
				storers[i], adders[i]);
}

bool memory_load_conflicts(FILE *file)
{
	unsigned word, load, store, add;

	memory_forget_conflicts();
	while (fscanf(file, "%u %u %u %u\n", &word, &load, &store, &add) == 4) {
		if (word >= WORLD_WORDS)
			return false;
		loaders[word] = (uint8_t)load;
		storers[word] = (uint8_t)store;
		adders[word] = (uint8_t)add;
	}
	return feof(file);
}

void memory_forget(void)
{
	logging = false;
	memset(words, 0, sizeof(struct world_words));
}

void memory_begin(void)
{
	change_count = 0;
	explore_hash = 0;
	explore_conflicts_grew = false;
	logging = true;
	for (uint32_t i = 0; i < WORLD_WORDS; i++)
		explore_hash ^= word_hash(i, words[i]);
}

bool memory_is_consistent(void)
{
	uint64_t hash = 0;

	for (uint32_t i = 0; i < WORLD_WORDS; i++)
		hash ^= word_hash(i, words[i]);
	return hash == explore_hash;
}

static void set_word(uint32_t word, uint64_t value)
{
	uint64_t before = words[word];

	if (before == value)
		return;
	if (logging) {
		if (change_count == LOG_MAX)
			violate("the explorer's log is full");
		changes[change_count++] = (struct change){word, before};
		explore_hash ^= word_hash(word, before) ^
				word_hash(word, value);
	}
	words[word] = value;
}

uint32_t memory_mark(void)
{
	return change_count;
}

void memory_undo(uint32_t mark)
{
	while (change_count > mark) {
		const struct change *change = &changes[--change_count];

		explore_hash ^= word_hash(change->word, words[change->word]) ^
				word_hash(change->word, change->before);
		words[change->word] = change->before;
	}
}

static uint32_t word_of(const void *at)
{
	return (uint32_t)(((uintptr_t)at - (uintptr_t)world) / 8);
}

void set_own(uint64_t *word, uint64_t value)
{
	set_word(word_of(word), value);
}

static bool is_shared(const void *at)
{
	return (uintptr_t)at - (uintptr_t)world <
	       offsetof(struct world_words, explorer);
}

/* ---- conflicts ---- */

static bool learn(uint8_t *who, uint8_t me)
{
	if (*who & me)
		return false;
	*who |= me;
	explore_conflicts_grew = true;
	return true;
}

static bool conflicts(uint32_t word, enum access_kind kind)
{
	const uint8_t me = (uint8_t)(1u << running);
	const uint8_t others = (uint8_t)~me;

	if (running == AGENT_SETUP && !(scenario->flags & SCENARIO_CRASH))
		return false;
	switch (kind) {
	case ACCESS_LOAD:
		learn(&loaders[word], me);
		return (storers[word] | adders[word]) & others;
	case ACCESS_ADD:
		learn(&adders[word], me);
		return (storers[word] | loaders[word]) & others;
	default:
		learn(&storers[word], me);
		return (storers[word] | adders[word] | loaders[word]) & others;
	}
}

bool memory_pages(const void *at, unsigned *ring, uint32_t *pages)
{
	uintptr_t offset = (uintptr_t)at - (uintptr_t)world->pages;
	uint32_t sets = rondo_map_page_sets(&world->control.map);

	if (offset >= sizeof(world->pages))
		return false;
	*ring = (unsigned)(offset / SUBBUF_BYTES / sets);
	*pages = (uint32_t)(offset / SUBBUF_BYTES % sets);
	return *ring < RINGS;
}

/* Page sets in no slot are the consumer's: who stores there is found out. */
static bool is_loaned(const void *at)
{
	unsigned ring;
	uint32_t pages;

	return memory_pages(at, &ring, &pages) &&
	       (own->loans[ring] >> pages & 1);
}

static uint32_t my_cpu(void)
{
	return (uint32_t)own->agents[running].cpu;
}

static uint64_t held_back(void)
{
	return raw || running == NOBODY ? 0 : own->cpus[my_cpu()].count;
}

/* drains: what the CPU held back goes out with it. */
static void step(const struct access *access, bool drains)
{
	bool shared;

	if (running == NOBODY)
		return;
	shared = conflicts(word_of(access->at), access->kind);
	if (raw || is_loaned(access->at))
		return;
	if (shared || (drains && held_back()))
		agent_yield(access);
}

void memory_step(enum access_kind kind, uint64_t *word, uint64_t value)
{
	struct access access = {
		.at = word, .kind = (uint8_t)kind, .value = value, .bytes = 8};

	if (!raw)
		agent_yield(&access);
}

/* ---- store buffers ---- */

#define INFO_WORD(info) ((uint32_t)(info))
#define INFO_AGENT(info) ((unsigned)((info) >> 32) & 0xff)
#define INFO_BYTES(info) ((uint8_t)((info) >> 40))
#define INFO_RELEASE (UINT64_C(1) << 48)
#define INFO_GROUP(info) ((info) >> 56)

static uint64_t bits_of(uint8_t bytes)
{
	uint64_t bits = 0;

	if (bytes == 0xff)
		return UINT64_MAX;
	for (unsigned i = 0; i < 8; i++)
		if (bytes >> i & 1)
			bits |= UINT64_C(0xff) << (8 * i);
	return bits;
}

static uint8_t bytes_at(const void *at, unsigned bytes)
{
	return (uint8_t)(((1u << bytes) - 1) << ((uintptr_t)at & 7));
}

static void store_now(uint32_t word, uint64_t value, uint8_t bytes,
		      unsigned agent)
{
	uint64_t bits = bits_of(bytes);
	uint64_t before = words[word];
	uint64_t now = (before & ~bits) | (value & bits);

	ledger_word_changed(&words[word], before, now, agent);
	set_word(word, now);
}

bool memory_may_drain(uint32_t cpu, unsigned which)
{
	const struct cpu_words *from = &own->cpus[cpu];
	const uint64_t info = from->stores[which].info;

	if (explore_model != MODEL_WEAK)
		return which == 0;
	if (info & INFO_RELEASE)
		return which == 0;
	for (unsigned i = 0; i < which; i++)
		if (INFO_WORD(from->stores[i].info) == INFO_WORD(info) ||
		    INFO_GROUP(from->stores[i].info) < INFO_GROUP(info))
			return false;
	return true;
}

void memory_drain(uint32_t cpu, unsigned which)
{
	struct cpu_words *from = &own->cpus[cpu];
	const struct buffered store = from->stores[which];

	for (unsigned i = which; i + 1 < from->count; i++) {
		set_own(&from->stores[i].info, from->stores[i + 1].info);
		set_own(&from->stores[i].value, from->stores[i + 1].value);
	}
	set_own(&from->count, from->count - 1);
	set_own(&from->stores[from->count].info, 0);
	set_own(&from->stores[from->count].value, 0);
	if (!from->count)
		set_own(&from->group, 0);
	store_now(INFO_WORD(store.info), store.value, INFO_BYTES(store.info),
		  INFO_AGENT(store.info));
}

void memory_drain_all(uint32_t cpu)
{
	while (own->cpus[cpu].count)
		memory_drain(cpu, 0);
}

static uint64_t held_at_most(void)
{
	return scenario->buffered.stores ? scenario->buffered.stores :
					   BUFFER_MAX;
}

static void buffer(uint32_t word, uint64_t value, uint8_t bytes, bool release)
{
	struct cpu_words *cpu = &own->cpus[my_cpu()];

	if (release && planted == PLANT_RELEASE)
		release = false;
	if (cpu->count == held_at_most())
		memory_drain(my_cpu(), 0);
	set_own(&cpu->stores[cpu->count].info,
		word | (uint64_t)running << 32 | (uint64_t)bytes << 40 |
			(release ? INFO_RELEASE : 0) | cpu->group << 56);
	set_own(&cpu->stores[cpu->count].value, value);
	set_own(&cpu->count, cpu->count + 1);
}

static uint64_t look(uint32_t word)
{
	uint64_t value = words[word];

	for (uint64_t i = 0; i < held_back(); i++) {
		const struct buffered *store = &own->cpus[my_cpu()].stores[i];

		if (INFO_WORD(store->info) == word) {
			uint64_t bits = bits_of(INFO_BYTES(store->info));

			value = (value & ~bits) | (store->value & bits);
		}
	}
	return value;
}

/* ---- the accesses of detail/atomics.h ---- */

static uint64_t load_plain(const void *at, unsigned bytes)
{
	uint64_t value = 0;

	memcpy(&value, at, bytes);
	return value;
}

static unsigned shift_of(const void *at)
{
	return (unsigned)((uintptr_t)at & 7) * 8;
}

static uint64_t cut(uint64_t value, unsigned bytes)
{
	return bytes == 8 ? value : value & ((UINT64_C(1) << bytes * 8) - 1);
}

/* A coarse clock: it moves when another one reads it. */
static uint64_t read_clock(void)
{
	const struct access access = {
		.at = &own->clock, .kind = ACCESS_CLOCK, .bytes = 8};

	step(&access, false);
	if (planted == PLANT_CLOCK && running < AGENT_SETUP)
		return own->agents[running].now_ns;
	if (own->clock_reader != running) {
		set_own(&own->clock_reader, running);
		set_own(&own->clock, own->clock + 1);
	}
	return own->clock;
}

uint64_t explore_load(const void *at, unsigned bytes, enum explore_order order)
{
	const struct access access = {.at = at,
				      .kind = ACCESS_LOAD,
				      .bytes = (uint8_t)bytes,
				      .order = (uint8_t)order};

	if (at == &explore_clock)
		return read_clock();
	if (!is_shared(at))
		return load_plain(at, bytes);
	step(&access, false);
	return cut(look(word_of(at)) >> shift_of(at), bytes);
}

/* Heads without gen, when that is what is planted. */
static uint64_t plant_in_head(const void *at, uint64_t value)
{
	for (unsigned i = 0; planted == PLANT_GEN && i < RINGS; i++)
		if ((const char *)at ==
		    (const char *)&world->rings_begin + i * 4096)
			return value & ~RONDO_GEN_MASK;
	return value;
}

void explore_store(void *at, unsigned bytes, uint64_t value,
		   enum explore_order order)
{
	const struct access access = {.at = at,
				      .kind = ACCESS_STORE,
				      .value = value,
				      .bytes = (uint8_t)bytes,
				      .order = (uint8_t)order};
	uint32_t word = word_of(at);

	if (!is_shared(at)) {
		memcpy(at, &value, bytes);
		return;
	}
	step(&access, false);
	value = plant_in_head(at, value) << shift_of(at);
	if (raw || running == NOBODY || explore_model == MODEL_SC ||
	    is_loaned(at))
		store_now(word, value, bytes_at(at, bytes), running);
	else
		buffer(word, value, bytes_at(at, bytes),
		       order != EXPLORE_RELAXED);
}

/* Before an access that is done in memory itself. */
static void drain_for(uint32_t word, bool orders)
{
	bool same = false;

	if (!held_back())
		return;
	for (uint64_t i = 0; i < held_back(); i++)
		same |= INFO_WORD(own->cpus[my_cpu()].stores[i].info) == word;
	if (orders || same || explore_model == MODEL_TSO)
		memory_drain_all(my_cpu());
}

static bool is_late(const void *at)
{
	uintptr_t offset = (uintptr_t)at - (uintptr_t)&world->rings_begin;

	return offset < RINGS * 4096 && offset % 4096 >= 1024 + 128 &&
	       offset % 4096 < 1024 + 256;
}

/* Counters that are told to users and that nothing else looks at. */
static bool is_only_told(const void *at)
{
	uintptr_t offset = (uintptr_t)at - (uintptr_t)&world->rings_begin;
	uintptr_t in_ring = offset % 4096;

	return offset < RINGS * 4096 &&
	       in_ring >= offsetof(struct rondo_ring, passed_over) &&
	       in_ring <= offsetof(struct rondo_ring, revocations);
}

uint64_t explore_add(void *at, unsigned bytes, uint64_t value,
		     enum explore_order order)
{
	const struct access access = {
		.at = at,
		.value = value,
		.bytes = (uint8_t)bytes,
		.kind = order == EXPLORE_RELAXED ? ACCESS_ADD : ACCESS_SWAP,
		.order = (uint8_t)order};
	uint64_t sum;

	if (!is_shared(at)) {
		sum = cut(load_plain(at, bytes) + value, bytes);
		memcpy(at, &sum, bytes);
		return sum;
	}
	if (is_only_told(at))
		return 0;
	step(&access, order != EXPLORE_RELAXED || explore_model == MODEL_TSO);
	drain_for(word_of(at), order != EXPLORE_RELAXED);
	if (planted == PLANT_LATE && is_late(at) && (int64_t)value > 0)
		return 1;
	sum = cut((words[word_of(at)] >> shift_of(at)) + value, bytes);
	store_now(word_of(at), sum << shift_of(at), bytes_at(at, bytes),
		  running);
	return sum;
}

uint64_t explore_exchange(void *at, unsigned bytes, uint64_t value)
{
	const struct access access = {.at = at,
				      .kind = ACCESS_SWAP,
				      .value = value,
				      .bytes = (uint8_t)bytes,
				      .order = EXPLORE_BOTH};
	uint64_t before;

	if (!is_shared(at)) {
		before = load_plain(at, bytes);
		memcpy(at, &value, bytes);
		return before;
	}
	step(&access, true);
	drain_for(word_of(at), true);
	before = cut(words[word_of(at)] >> shift_of(at), bytes);
	store_now(word_of(at), value << shift_of(at), bytes_at(at, bytes),
		  running);
	return before;
}

static bool is_slot(const void *at)
{
	uintptr_t offset = (uintptr_t)at - (uintptr_t)&world->rings_begin;

	return offset < RINGS * 4096 && offset % 4096 >= 1024 &&
	       offset % 4096 < 1024 + 8 * SUBBUF_COUNT;
}

bool explore_cas(void *at, unsigned bytes, uint64_t expected, uint64_t wanted)
{
	const struct access access = {.at = at,
				      .kind = ACCESS_SWAP,
				      .value = wanted,
				      .expected = expected,
				      .bytes = (uint8_t)bytes,
				      .order = EXPLORE_BOTH};
	uint64_t value;

	if (!is_shared(at)) {
		if (load_plain(at, bytes) != expected)
			return false;
		memcpy(at, &wanted, bytes);
		return true;
	}
	step(&access, true);
	drain_for(word_of(at), true);
	value = cut(words[word_of(at)] >> shift_of(at), bytes);
	if (value != expected)
		return false;
	wanted = plant_in_head(at, wanted);
	if (planted == PLANT_LICENCE && is_slot(at) &&
	    rondo_slot_state(wanted) == RONDO_SLOT_EMPTY)
		wanted = rondo_slot(rondo_slot_pages(expected),
				    RONDO_SLOT_EMPTY,
				    rondo_slot_number(wanted));
	store_now(word_of(at), wanted << shift_of(at), bytes_at(at, bytes),
		  running);
	return true;
}

void explore_fence(void)
{
	struct access access = {
		.at = &own->clock, .kind = ACCESS_FENCE, .bytes = 8};

	if (!held_back())
		return;
	agent_yield(&access);
	memory_drain_all(my_cpu());
}

/* Stores behind it wait for those before it. */
void explore_fence_release(void)
{
	struct cpu_words *cpu;

	if (planted == PLANT_ORDER || !held_back())
		return;
	cpu = &own->cpus[my_cpu()];
	set_own(&cpu->group, cpu->group + 1);
}

void explore_fence_after_swap(void)
{
	if (explore_model == MODEL_WEAK)
		explore_fence();
}

/* ---- accesses that are no steps ---- */

void memory_fill(uint64_t *at, uint64_t value)
{
	if (raw || explore_model == MODEL_SC)
		store_now(word_of(at), value, 0xff, running);
	else
		buffer(word_of(at), value, 0xff, false);
}

uint64_t memory_peek(const uint64_t *at)
{
	return is_shared(at) ? look(word_of(at)) : *at;
}

void *explore_memset(void *at, int value, size_t bytes)
{
	char *to = at;

	if (!is_shared(at)) {
		while (bytes--)
			*to++ = (char)value;
		return at;
	}
	for (; bytes && ((uintptr_t)to & 7); bytes--, to++)
		explore_store(to, 1, (uint8_t)value, EXPLORE_RELAXED);
	for (; bytes >= 8; bytes -= 8, to += 8) {
		uint64_t all = (uint8_t)value * UINT64_C(0x0101010101010101);

		/* The tail of a page that is the caller's, mostly. */
		if (!is_loaned(to) || words[word_of(to)] != all)
			explore_store(to, 8, all, EXPLORE_RELAXED);
	}
	for (; bytes; bytes--, to++)
		explore_store(to, 1, (uint8_t)value, EXPLORE_RELAXED);
	return at;
}

/* ---- for people ---- */

static int describe_ring_word(uint64_t offset, char *out, size_t bytes)
{
	static const char *const low[] = {"head", "hint", "limit"};
	uint64_t ring = offset / 4096, at = offset % 4096;

	if (at < 24)
		return snprintf(out, bytes, "ring %u %s", (unsigned)ring,
				low[at / 8]);
	if (at >= 1024 && at < 1024 + 128)
		return snprintf(out, bytes, "ring %u slot %u", (unsigned)ring,
				(unsigned)(at - 1024) / 8);
	if (at >= 1024 + 128 && at < 1024 + 256)
		return snprintf(out, bytes, "ring %u late %u", (unsigned)ring,
				(unsigned)(at - 1024 - 128) / 8);
	if (at >= 1024 + 256)
		return snprintf(out, bytes, "ring %u state %u", (unsigned)ring,
				(unsigned)(at - 1024 - 256) / 8);
	return snprintf(out, bytes, "ring %u +%u", (unsigned)ring,
			(unsigned)at);
}

static void describe_place(const void *at, char *out, size_t bytes)
{
	uint64_t offset = (uintptr_t)at - (uintptr_t)world;
	unsigned ring;
	uint32_t pages;

	if (at == &own->clock)
		snprintf(out, bytes, "clock");
	else if (offset >= offsetof(struct world_words, control))
		snprintf(out, bytes, "control +%u",
			 (unsigned)(offset -
				    offsetof(struct world_words, control)));
	else if (memory_pages(at, &ring, &pages)) {
		snprintf(out, bytes, "ring %u pages %u +%u", ring, pages,
			 (unsigned)offset % SUBBUF_BYTES);
	} else if (offset >= offsetof(struct world_words, rings_begin)) {
		describe_ring_word(offset - offsetof(struct world_words,
						     rings_begin),
				   out, bytes);
	} else {
		snprintf(out, bytes, "wait +%u", (unsigned)offset);
	}
}

void memory_describe(const struct access *access, char *out, size_t bytes)
{
	static const char *const kinds[] = {"load",	 "store",  "add",
					    "swap",	 "fence",  "clock",
					    "lock",	 "choice", "sleep",
					    "membarrier"};
	static const char *const orders[] = {"", " acquire", " release", ""};
	char place[64];

	describe_place(access->at, place, sizeof(place));
	snprintf(out, bytes, "%s%s %s%s%.0llx", kinds[access->kind],
		 orders[access->order & 3], place,
		 access->kind == ACCESS_LOAD ? "" : " := ",
		 (unsigned long long)access->value);
	if (access->kind == ACCESS_SWAP && access->expected)
		snprintf(out + strlen(out), bytes - strlen(out), " if %llx",
			 (unsigned long long)access->expected);
	if (access->kind == ACCESS_LOAD && access->bytes == 8)
		snprintf(out + strlen(out), bytes - strlen(out), " is %llx",
			 (unsigned long long)*(const uint64_t *)access->at);
}
