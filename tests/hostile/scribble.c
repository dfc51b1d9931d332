/* SPDX-License-Identifier: MIT */
/*
 * The consumer's side of the library against somebody who writes to all of the
 * shared memory while it is read: a thread, or another process. What is written
 * is random, or nearly right: flipped bits, words of other places, lengths that
 * reach far, and what stood there before, so that there always is something to
 * take. No more than bounded work and memory, nothing touched outside, and
 * nothing handed out that is not as it must be (hostile.h).
 */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
/* Of the sanitizer's own interface, whose header gcc does not install. */
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

#include "control.h"
#include "registry.h"
#include "ring.h"
#include "support/process.h"
#include "support/random.h"

#define PAGE 4096u
#define ALARM_SECONDS 240 /* for one step: it does not end */
#define HEAP_MAX (UINT64_C(64) << 20)
#define WRITER_WAIT_NS 50000 /* for something to be scribbled */

/* Shared between the one who scribbles and the one who reads. */
struct common {
	uint32_t stop __attribute__((aligned(128)));
	uint64_t scribbles __attribute__((aligned(128)));
};

struct scribbler {
	struct common *common;
	char *memory;
	const char *pristine;
	uint64_t bytes;
	uint64_t rings, rings_bytes; /* control pages, tables in them */
	uint64_t pages;		     /* offset of the page sets */
	uint64_t from;		     /* what lies below stays as it is */
	bool hints_stay;
	uint64_t random;
};

static struct common *common;
static const char *volatile doing = "nothing";

static void on_alarm(int number)
{
	static const char text[] = "a step does not end: ";

	(void)number;
	(void)!write(2, text, sizeof(text) - 1);
	(void)!write(2, doing, strlen(doing));
	(void)!write(2, "\n", 1);
	_exit(1);
}

/* ---- scribbling ---- */

static uint64_t *word_at(const struct scribbler *s, uint64_t offset)
{
	return (uint64_t *)(void *)(s->memory + (offset & ~UINT64_C(7)));
}

/* Mostly where something is decided: control pages, packets, headers. */
static uint64_t draw_place(struct scribbler *s)
{
	uint64_t page =
		s->pages + (test_random_below(&s->random, s->bytes - s->pages) &
			    ~(PAGE - UINT64_C(1)));

	switch (test_random_below(&s->random, 8)) {
	case 0:
		return test_random_below(&s->random, s->bytes);
	case 1:
		return test_random_below(&s->random, 3 * PAGE);
	case 2:
	case 3:
	case 4: /* with the tables, in half a page */
		return s->rings +
		       (test_random_below(&s->random, s->rings_bytes) &
			~UINT64_C(2048));
	case 5:
		return page + test_random_below(&s->random, 256);
	default:
		return page + test_random_below(&s->random, PAGE);
	}
}

static uint64_t draw_value(struct scribbler *s, uint64_t now)
{
	uint64_t random = test_random(&s->random);

	switch (random & 15) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX;
	case 2:
		return random;
	case 3:
	case 4:
	case 5:
		return now ^ UINT64_C(1) << (random >> 8 & 63);
	case 6:
		return now + (random >> 8 & 15) - 8;
	case 7:
		return now & (random >> 8 | random << 40);
	case 8: /* another state of a slot */
		return now ^ (random >> 8 & 3) << RONDO_SLOT_STATE_SHIFT;
	case 9: /* a length that reaches far */
		return now | UINT64_C(0xff) << 40;
	default: /* a word of another place */
		return rondo_load_relaxed(word_at(s, draw_place(s)));
	}
}

/* What stood there at first, a group of words. */
static void restore(struct scribbler *s, uint64_t offset)
{
	uint64_t words = 1 + test_random_below(&s->random, 64);

	offset &= ~UINT64_C(7);
	for (; words-- && offset + 8 <= s->bytes; offset += 8) {
		uint64_t value;

		memcpy(&value, s->pristine + offset, 8);
		rondo_store_relaxed(word_at(s, offset), value);
	}
}

/* The one word that producers believe (docs/design.md, Limits). */
static bool is_hint(const struct scribbler *s, uint64_t offset)
{
	return offset >= s->rings && offset < s->rings + s->rings_bytes &&
	       offset % PAGE / 8 == offsetof(struct rondo_ring, hint) / 8;
}

static void scribble_once(struct scribbler *s)
{
	uint64_t offset = draw_place(s);

	if (offset < s->from || (s->hints_stay && is_hint(s, offset)))
		return;
	if (test_random_below(&s->random, 2)) {
		restore(s, offset);
	} else {
		uint64_t *at = word_at(s, offset);

		rondo_store_relaxed(at, draw_value(s, rondo_load_relaxed(at)));
	}
	rondo_add_relaxed(&s->common->scribbles, 1);
}

static void *scribble(void *argument)
{
	struct scribbler *s = argument;

	while (!rondo_load_relaxed(&s->common->stop))
		scribble_once(s);
	return NULL;
}

/* ---- a channel, a mapping of it for whoever reads, guards around both ---- */

struct setup {
	const char *name;
	bool attached;	/* what is read is a second mapping */
	bool process;	/* it is another process that scribbles */
	bool producers; /* records are made meanwhile */
	bool spared;	/* not the superblock and the catalog */
	bool writes;	/* a trace is written */
	unsigned kind;	/* see hostile.h */
};

struct target {
	const struct setup *setup;
	struct rondo_channel *created, *attached;
	struct rondo_channel *read;  /* one of them */
	const struct rondo_map *map; /* of what is read */
	char *pristine;
	uint16_t ids[HOSTILE_CLASSES];
	struct scribbler scribbler;
	pthread_t thread;
	pid_t child;
	uint64_t random;
	uint64_t views, damaged, items, errors; /* what came of it */
};

#define SKIPPED 77 /* to meson */
#define MAX_HOLES 256

/* Holes just as large as a mapping, between pages that nobody may touch. */
static char *holes[MAX_HOLES];
static unsigned hole_count;

static void make_hole(uint64_t bytes)
{
	char *at = mmap(NULL, bytes + 2 * PAGE, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	HOSTILE_REQUIRE(at != MAP_FAILED && hole_count < MAX_HOLES);
	HOSTILE_REQUIRE(munmap(at + PAGE, bytes) == 0);
	holes[hole_count++] = at + PAGE;
}

static bool is_guarded(const struct rondo_map *map)
{
	for (unsigned i = 0; i < hole_count; i++)
		if (map->base == holes[i])
			return true;
	return false;
}

static uint64_t memory_bytes(const struct rondo_config *config)
{
	/* Less the handle's page. */
	return (uint64_t)rondo_config_bytes(config) - PAGE;
}

/* The channel itself, or another mapping of its memory. */
static struct rondo_channel *map_once(const struct target *t)
{
	struct rondo_config config = hostile_config(t->setup->kind);
	struct rondo_channel *channel;

	if (t->created)
		HOSTILE_REQUIRE(
			rondo_channel_attach(rondo_channel_fd(t->created),
					     &channel) == 0);
	else
		HOSTILE_REQUIRE(rondo_channel_create(&config, &channel) == 0);
	return channel;
}

#define MAX_ELSEWHERE 16

/* The kernel uses the highest place that fits: one that went elsewhere stays
 * there until there is one between guards. */
static struct rondo_channel *map_between_guards(struct target *t)
{
	const struct rondo_config config = hostile_config(t->setup->kind);
	struct rondo_channel *channel, *elsewhere[MAX_ELSEWHERE];
	unsigned tries = 0;

	make_hole(memory_bytes(&config));
	while (channel = map_once(t), !is_guarded(&channel->control->map)) {
		HOSTILE_REQUIRE(tries < MAX_ELSEWHERE);
		elsewhere[tries++] = channel;
	}
	while (tries--)
		HOSTILE_REQUIRE(rondo_channel_destroy(elsewhere[tries]) == 0);
	return channel;
}

/* Several sub-buffers full, with every kind of record, one of them open. */
static void fill(struct target *t)
{
	struct rondo_record open;

	HOSTILE_REQUIRE(!rondo_reserve(t->created, t->ids[0], 8, &open));
	for (unsigned i = 0; i < 2000; i++)
		(void)hostile_record(t->created, t->ids, i % HOSTILE_CLASSES,
				     test_random(&t->random));
	HOSTILE_REQUIRE(rondo_commit(&open) == 0);
	HOSTILE_REQUIRE(rondo_channel_flush(t->created) >= 0);
}

static void start_scribbler(struct target *t)
{
	const struct rondo_map *map = &t->created->control->map;
	struct scribbler *s = &t->scribbler;

	rondo_store_relaxed(&common->stop, 0);
	*s = (struct scribbler){
		.common = common,
		.memory = map->base,
		.pristine = t->pristine,
		.bytes = map->bytes,
		.rings = (uint64_t)(map->rings - map->base),
		.rings_bytes = (uint64_t)map->ring_count << RONDO_RING_SHIFT,
		.pages = map->pages_offset,
		.from = t->setup->spared ? (uint64_t)(map->rings - map->base) :
					   0,
		.hints_stay = t->setup->producers,
		.random = test_random(&t->random),
	};
	if (!t->setup->process) {
		HOSTILE_REQUIRE(!pthread_create(&t->thread, NULL, scribble, s));
		return;
	}
	t->child = fork();
	HOSTILE_REQUIRE(t->child >= 0);
	if (t->child)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Its mapping was made private by the fork: one of its own. */
	s->memory = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			 rondo_channel_fd(t->created), 0);
	if (s->memory != MAP_FAILED)
		scribble(s);
	_exit(0);
}

static void stop_scribbler(struct target *t)
{
	rondo_store_relaxed(&common->stop, 1);
	if (t->child)
		HOSTILE_REQUIRE(waitpid(t->child, NULL, 0) == t->child);
	else
		HOSTILE_REQUIRE(!pthread_join(t->thread, NULL));
	t->child = 0;
}

static void open_target(struct target *t, const struct setup *setup,
			uint64_t random)
{
	memset(t, 0, sizeof(*t));
	t->setup = setup;
	t->random = random;
	t->created = map_between_guards(t);
	hostile_register(t->created, t->ids);
	fill(t);
	if (setup->attached)
		t->attached = map_between_guards(t);
	t->read = setup->attached ? t->attached : t->created;
	t->map = &t->read->control->map;
	t->pristine = malloc(t->map->bytes);
	HOSTILE_REQUIRE(t->pristine);
	memcpy(t->pristine, t->created->control->map.base, t->map->bytes);
	start_scribbler(t);
}

static void close_target(struct target *t)
{
	stop_scribbler(t);
	if (t->attached)
		HOSTILE_REQUIRE(rondo_channel_destroy(t->attached) == 0);
	HOSTILE_REQUIRE(rondo_channel_destroy(t->created) == 0);
	free(t->pristine);
}

static void check_heap(void)
{
#if defined(__SANITIZE_ADDRESS__)
	HOSTILE_REQUIRE(__sanitizer_get_current_allocated_bytes() < HEAP_MAX);
#endif
}

/* ---- steps ---- */

static void begin_step(const char *what)
{
	doing = what;
	alarm(ALARM_SECONDS);
}

static void see_view(struct target *t, const struct rondo_view *view)
{
	t->items += hostile_check_view(t->map, view);
	t->damaged += (view->flags & RONDO_VIEW_DAMAGED) != 0;
	t->views++;
}

static void take(struct target *t, struct rondo_consumer *consumer)
{
	struct rondo_view view;
	int result, pipes[2];

	begin_step("take");
	result = rondo_consumer_take(consumer, &view);
	HOSTILE_REQUIRE(result == 0 || result == -EAGAIN ||
			result == -ENODATA || result == -ENOSPC);
	if (result)
		return;
	see_view(t, &view);
	if (view.offset != UINT64_MAX && t->views % 16 == 0) {
		begin_step("splice");
		HOSTILE_REQUIRE(pipe(pipes) == 0);
		HOSTILE_REQUIRE(
			rondo_consumer_splice(consumer, &view, pipes[1]) ==
			(int64_t)view.bytes);
		close(pipes[0]);
		close(pipes[1]);
	}
	begin_step("release");
	HOSTILE_REQUIRE(rondo_consumer_release(consumer, &view) == 0);
}

static void peek(struct target *t, struct rondo_consumer *consumer)
{
	static char buffer[65536] __attribute__((aligned(4096)));
	uint32_t ring =
		(uint32_t)test_random_below(&t->random, t->map->ring_count);
	struct rondo_view view;

	begin_step("peek");
	if (rondo_consumer_peek(consumer, ring, buffer, sizeof(buffer), &view))
		return;
	see_view(t, &view);
}

static void look_around(struct target *t, struct rondo_consumer *consumer)
{
	struct rondo_stats stats;
	const char *why;
	int result;

	begin_step("wait");
	result = rondo_consumer_wait(
		consumer, (int64_t)test_random_below(&t->random, 200000));
	HOSTILE_REQUIRE(result == 0 || result == 1 || result == -EINTR);
	begin_step("arm");
	result = rondo_consumer_arm(consumer);
	HOSTILE_REQUIRE(result == (t->setup->attached ? -EOPNOTSUPP : 0));
	begin_step("stats");
	HOSTILE_REQUIRE(rondo_channel_stats(t->read, &stats) == 0);
	for (uint32_t i = 0; i < t->map->ring_count; i++) {
		HOSTILE_REQUIRE(rondo_ring_stats(t->read, i, &stats) == 0);
		begin_step("check");
		t->errors += rondo_ring_check(t->read->control, i, &why) != 0;
	}
	begin_step("flush");
	(void)rondo_channel_flush(t->read);
}

static void attach_again(struct target *t)
{
	struct rondo_channel *again;
	int result;

	begin_step("attach");
	result = rondo_channel_attach(rondo_channel_fd(t->created), &again);
	HOSTILE_REQUIRE(result == 0 || result == -EPROTO);
	if (!result)
		HOSTILE_REQUIRE(rondo_channel_destroy(again) == 0);
}

static void consume(struct target *t, uint64_t steps)
{
	struct rondo_consumer *consumer = NULL;

	for (uint64_t i = 0; i < steps; i++) {
		if (!consumer) {
			begin_step("open");
			if (rondo_consumer_open(t->read, &consumer)) {
				consumer = NULL;
				t->errors++;
				attach_again(t);
				continue;
			}
		}
		take(t, consumer);
		if (i % 8 == 0)
			peek(t, consumer);
		if (i % 16 == 0)
			look_around(t, consumer);
		if (i % 64 == 0) {
			begin_step("close");
			HOSTILE_REQUIRE(rondo_consumer_close(consumer) == 0);
			consumer = NULL;
			attach_again(t);
			check_heap();
		}
	}
	HOSTILE_REQUIRE(rondo_consumer_close(consumer) == 0);
}

/* ---- writing a trace ---- */

/* Its warnings are allowed: they tell of losses. */
static bool babeltrace_reads(const char *directory)
{
	char command[2048];

	if (system("babeltrace2 --version >/dev/null 2>&1") != 0)
		return true;
	snprintf(command, sizeof(command),
		 "log=$(LC_ALL=C babeltrace2 '%s' 2>&1 >/dev/null) || "
		 "{ echo \"$log\"; false; }",
		 directory);
	return system(command) == 0;
}

static void write_trace(struct target *t, uint64_t steps, bool last)
{
	struct hostile_schema *schema =
		hostile_schema_open(&t->created->control->map);
	const char *top = getenv("TMPDIR");
	struct rondo_writer_stats stats;
	struct rondo_writer *writer;
	char directory[512];
	const char *why;
	uint64_t records;

	snprintf(directory, sizeof(directory), "%s/rondo-scribble-XXXXXX",
		 top ? top : P_tmpdir);
	HOSTILE_REQUIRE(mkdtemp(directory));
	begin_step("writer open");
	while (rondo_writer_open(t->read, directory, &writer)) {
		t->errors++;
		begin_step("writer open, again");
		hostile_remove(directory);
		usleep(100);
	}
	begin_step("writer step");
	for (uint64_t i = 0; i < steps; i++)
		(void)rondo_writer_step(writer, WRITER_WAIT_NS);
	begin_step("writer close");
	(void)rondo_writer_stats(writer, &stats);
	t->errors += rondo_writer_close(writer) != 0;
	t->damaged += stats.malformed != 0;
	t->views += stats.packets;
	/* Whoever reads an attached memory gets what is checked; a process that
	 * scribbles over its own memory may do so in the middle of a write. */
	if (t->setup->attached && t->setup->spared) {
		begin_step("reading the trace");
		why = hostile_read_trace(schema, directory, &records);
		if (why)
			fprintf(stderr, "%s: %s\n", directory, why);
		HOSTILE_REQUIRE(!why);
		t->items += records;
		HOSTILE_REQUIRE(!last || babeltrace_reads(directory));
	}
	check_heap();
	hostile_schema_close(schema);
	hostile_remove(directory);
}

/* ---- producers ---- */

struct producer {
	struct target *target;
	uint64_t random;
	uint32_t stop;
	pthread_t thread;
};

static void *produce(void *argument)
{
	struct producer *p = argument;
	struct rondo_record record;

	while (!rondo_load_relaxed(&p->stop)) {
		uint64_t random = test_random(&p->random);

		(void)hostile_record(p->target->created, p->target->ids,
				     random % HOSTILE_CLASSES, random);
		if (rondo_reserve(p->target->created, p->target->ids[0],
				  random >> 32 & 63, &record))
			continue;
		if (random >> 40 & 1)
			(void)rondo_discard(&record);
		else
			(void)rondo_commit_len(&record, record.bytes / 2);
	}
	return NULL;
}

/* ---- all of it ---- */

static const struct setup setups[] = {
	{.name = "a thread, compact headers", .attached = true},
	{.name = "a thread, full headers",
	 .attached = true,
	 .kind = HOSTILE_FULL_HEADERS},
	{.name = "a process", .attached = true, .process = true},
	{.name = "its own memory"},
	{.name = "writer", .attached = true, .writes = true},
	{.name = "writer, catalog spared",
	 .attached = true,
	 .writes = true,
	 .spared = true},
	{.name = "writer, catalog spared, full headers, a process",
	 .attached = true,
	 .writes = true,
	 .spared = true,
	 .process = true,
	 .kind = HOSTILE_FULL_HEADERS},
	{.name = "writer of its own memory", .writes = true, .spared = true},
	{.name = "producers, discard", .attached = true, .producers = true},
	{.name = "producers, overwrite",
	 .attached = true,
	 .producers = true,
	 .kind = HOSTILE_OVERWRITE},
};

#define SETUPS (sizeof(setups) / sizeof(setups[0]))

struct totals {
	uint64_t steps, views, damaged, items, errors;
};

static void run(const struct setup *setup, uint64_t steps, uint64_t seed,
		struct totals *totals)
{
	static struct target target;
	struct producer producer = {.target = &target, .random = ~seed};

	printf("# %s\n", setup->name);
	fflush(stdout);
	open_target(&target, setup, seed);
	if (setup->producers)
		HOSTILE_REQUIRE(!pthread_create(&producer.thread, NULL, produce,
						&producer));
	if (setup->writes)
		for (uint64_t i = 0; i < steps; i += 256)
			write_trace(&target, 256, i + 256 >= steps);
	else
		consume(&target, steps);
	if (setup->producers) {
		rondo_store_relaxed(&producer.stop, 1);
		HOSTILE_REQUIRE(!pthread_join(producer.thread, NULL));
	}
	close_target(&target);
	totals->steps += steps;
	totals->views += target.views;
	totals->damaged += target.damaged;
	totals->items += target.items;
	totals->errors += target.errors;
}

/* What a run that was one at all has seen, for each of its steps. */
static int verdict(const struct totals *totals, uint64_t scribbles)
{
	printf("%llu steps, %llu scribbles, %llu views, %llu of them damaged, "
	       "%llu items, %llu errors told\n",
	       (unsigned long long)totals->steps, (unsigned long long)scribbles,
	       (unsigned long long)totals->views,
	       (unsigned long long)totals->damaged,
	       (unsigned long long)totals->items,
	       (unsigned long long)totals->errors);
	if (scribbles >= totals->steps && totals->views >= totals->steps / 32 &&
	    totals->damaged && totals->items && totals->errors)
		return 0;
	printf("FAIL: too little of it\n");
	return 1;
}

int main(int argc, char **argv)
{
	uint64_t steps = 4096, seed, only = SETUPS;
	struct totals totals = {0};

	for (int i = 1; i < argc; i += 2) {
		if (i + 1 < argc && !strcmp(argv[i], "--steps")) {
			steps = strtoull(argv[i + 1], NULL, 0);
		} else if (i + 1 < argc && !strcmp(argv[i], "--only")) {
			only = strtoull(argv[i + 1], NULL, 0);
		} else {
			fprintf(stderr,
				"usage: %s [--steps N] [--only SETUP]\n",
				argv[0]);
			return 2;
		}
	}
	if (test_is_emulated()) {
		puts("an emulator does not map where its kernel would");
		return SKIPPED;
	}
	seed = test_seed();
	common = mmap(NULL, sizeof(*common), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	HOSTILE_REQUIRE(common != MAP_FAILED);
	signal(SIGALRM, on_alarm);
	for (uint64_t i = 0; i < SETUPS; i++)
		if (only == SETUPS || only == i)
			run(&setups[i], steps, test_mix(seed + i), &totals);
	return verdict(&totals, rondo_load_relaxed(&common->scribbles));
}
