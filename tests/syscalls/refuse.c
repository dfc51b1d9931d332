/* SPDX-License-Identifier: MIT */
/*
 * Every system call of the library fails: each place of lib/os.c, with each
 * error that its manual names, at each time that an operation of the interface
 * comes there; once, and from then on. The operation says so by an error that
 * its header names, or does without; it can be repeated; nothing that was
 * recorded is lost but what is counted, and nothing at all by an error that
 * passes; nothing leaks.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rondo/rondo.h>

#include "control.h"
#include "errors.h"
#include "hostile/hostile.h"
#include "support/process.h"
#include "testpoint.h"

#if defined(__SANITIZE_ADDRESS__)
/* Of the sanitizer's own interface, whose header gcc does not install. */
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

#define SUBBUFS 3u
#define RECORDS 10u /* in each of them */
#define CALLS_MAX 4096u
#define TIMES_MAX 32u /* that one place is tried in one operation */
#define ALARM_SECONDS 60

extern const struct rondo_os_site __start_rondo_os_sites[];
extern const struct rondo_os_site __stop_rondo_os_sites[];

/* ---- what is refused ---- */

static struct {
	bool counting, armed, on_and_on;
	const struct rondo_os_site *site;
	unsigned index; /* of the call to be refused, of all */
	unsigned calls; /* so far */
	unsigned fired;
	int error;
	enum rondo_os_fate fate;
	const struct rondo_os_site *seen[CALLS_MAX];
} plan;

static bool reached[256];
static const char *volatile doing = "";

static enum rondo_os_fate decide(const struct rondo_os_site *site,
				 int *out_error)
{
	unsigned at = __atomic_fetch_add(&plan.calls, 1, __ATOMIC_RELAXED);

	reached[site - __start_rondo_os_sites] = true;
	if (plan.counting && at < CALLS_MAX)
		plan.seen[at] = site;
	if (!plan.armed || site != plan.site ||
	    (plan.on_and_on ? at < plan.index : at != plan.index))
		return RONDO_OS_CALL;
	plan.fired++;
	*out_error = plan.error;
	return plan.fate;
}

static void on_alarm(int number)
{
	(void)number;
	(void)!write(2, "does not end: ", 14);
	(void)!write(2, doing, strlen(doing));
	(void)!write(2, "\n", 1);
	_exit(1);
}

/* ---- the world that an operation finds ---- */

struct world {
	char directory[256], file[300], trace[300];
	struct rondo_channel *channel, *attached;
	struct rondo_consumer *consumer;
	struct rondo_writer *writer;
	uint64_t recorded, seen;  /* records */
	uint64_t lost;		  /* packets that an error cost, as counted */
	struct rondo_record open; /* WITH_STALLED */
	uint16_t id;
	bool traced; /* what is left is in the trace */
	bool told;   /* that packets are lost, but not how many */
};

#define WITH_CONSUMER 0x1u
#define WITH_WRITER 0x2u
#define WITH_ATTACHED 0x4u
#define WITH_FILE 0x8u
#define WITH_OTHER_CPU 0x10u /* something open in another CPU's ring */
#define WITH_OPEN 0x20u	     /* ... in this one's */
#define NOT_AGAIN 0x40u	     /* what it was done to is gone */
#define NO_WAKE 0x80u	     /* sub-buffers that are ready wake nobody */
#define WITH_STALLED 0x100u  /* a record that is not committed */

struct operation {
	const char *name;
	const char *function; /* whose errors are those of run */
	int64_t (*run)(struct world *world);
	unsigned flags;
};

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	HOSTILE_REQUIRE(sched_setaffinity(0, sizeof(set), &set) == 0);
}

static void record(struct world *world, unsigned count)
{
	while (count--) {
		HOSTILE_REQUIRE(rondo_write(world->channel, world->id,
					    &world->recorded, 8) == 0);
		world->recorded++;
	}
}

static struct rondo_config config_of(const struct world *world, unsigned flags)
{
	struct rondo_config config = hostile_config(0);

	config.subbuf_count = 8;
	config.stall_ms = 1000;
	config.flush_ms = 0;
	if (flags & WITH_STALLED)
		config.stall_ms = 1;
	if (flags & NO_WAKE)
		config.wake_subbufs = 8;
	if (flags & WITH_FILE)
		config.path = world->file;
	return config;
}

static void world_make(struct world *world, unsigned flags)
{
	struct rondo_config config;
	uint16_t ids[HOSTILE_CLASSES];

	memset(world, 0, sizeof(*world));
	HOSTILE_REQUIRE(test_directory(world->directory,
				       sizeof(world->directory)) == 0);
	snprintf(world->file, sizeof(world->file), "%s/channel",
		 world->directory);
	snprintf(world->trace, sizeof(world->trace), "%s/trace",
		 world->directory);
	config = config_of(world, flags);
	HOSTILE_REQUIRE(rondo_channel_create(&config, &world->channel) == 0);
	hostile_register(world->channel, ids);
	world->id = ids[HOSTILE_NUMBER];
	for (unsigned i = 0; i < SUBBUFS; i++) {
		record(world, RECORDS);
		HOSTILE_REQUIRE(rondo_channel_flush(world->channel) == 1);
	}
	if (flags & WITH_OPEN)
		record(world, RECORDS);
	if (flags & WITH_STALLED)
		HOSTILE_REQUIRE(rondo_reserve(world->channel, world->id, 8,
					      &world->open) == 0);
	if (flags & WITH_OTHER_CPU) {
		pin(1);
		record(world, RECORDS);
		pin(0);
	}
	if (flags & WITH_ATTACHED)
		HOSTILE_REQUIRE(
			rondo_channel_attach(rondo_channel_fd(world->channel),
					     &world->attached) == 0);
	if (flags & WITH_CONSUMER)
		HOSTILE_REQUIRE(rondo_consumer_open(world->channel,
						    &world->consumer) == 0);
	if (flags & WITH_WRITER)
		HOSTILE_REQUIRE(rondo_writer_open(world->channel, world->trace,
						  &world->writer) == 0);
}

/* ---- what was recorded comes out ---- */

static void see(struct world *world, struct rondo_view *view)
{
	struct rondo_item item;

	memset(&item, 0, sizeof(item));
	while (rondo_view_next(view, &item) > 0)
		world->seen++;
	HOSTILE_REQUIRE(rondo_consumer_release(world->consumer, view) == 0);
}

static void take_rest(struct world *world)
{
	struct rondo_view view;

	HOSTILE_REQUIRE(rondo_channel_flush(world->channel) >= 0);
	if (!world->consumer)
		HOSTILE_REQUIRE(rondo_consumer_open(world->channel,
						    &world->consumer) == 0);
	while (rondo_consumer_take(world->consumer, &view) == 0)
		see(world, &view);
	HOSTILE_REQUIRE(rondo_consumer_close(world->consumer) == 0);
}

static void note_losses(struct world *world)
{
	struct rondo_writer_stats stats;

	HOSTILE_REQUIRE(rondo_writer_stats(world->writer, &stats) == 0);
	world->lost = stats.write_errors;
}

static void read_trace(struct world *world)
{
	struct hostile_schema *schema =
		hostile_schema_open(&world->channel->control->map);
	uint64_t records;
	const char *why = hostile_read_trace(schema, world->trace, &records);

	if (why)
		fprintf(stderr, "the trace: %s\n", why);
	HOSTILE_REQUIRE(!why);
	hostile_schema_close(schema);
	world->seen += records;
}

/* What may be otherwise when it is repeated, and is about no one file. */
static bool passes(int error)
{
	return error == ENOSPC || error == EDQUOT || error == ENOMEM ||
	       error == EMFILE || error == ENFILE || error == EINTR ||
	       error == EAGAIN;
}

/* All of it, less what is told to be lost: whole packets. Nothing is, where it
 * was refused for a moment only, or there was a next time. */
static void account(struct world *world)
{
	uint64_t missing;

	if (world->writer) {
		note_losses(world);
		(void)rondo_writer_close(world->writer);
		world->traced = true;
	}
	if (world->traced)
		read_trace(world);
	else
		take_rest(world);
	missing = world->recorded - world->seen;
	if (missing != world->lost * RECORDS && !world->told)
		printf("%llu of %llu records, %llu packets counted as lost\n",
		       (unsigned long long)world->seen,
		       (unsigned long long)world->recorded,
		       (unsigned long long)world->lost);
	if (passes(plan.error) && !(plan.on_and_on && world->told))
		HOSTILE_REQUIRE(!missing && !world->lost);
	HOSTILE_REQUIRE(world->told ? missing <= world->recorded &&
					      missing % RECORDS == 0 :
				      missing == world->lost * RECORDS);
}

static void world_end(struct world *world)
{
	if (world->attached)
		HOSTILE_REQUIRE(rondo_channel_destroy(world->attached) == 0);
	if (world->channel)
		HOSTILE_REQUIRE(rondo_channel_destroy(world->channel) == 0);
	hostile_remove(world->trace);
	hostile_remove(world->directory);
}

/* ---- operations ---- */

static int64_t create_with(const struct rondo_config *config)
{
	struct rondo_channel *channel = NULL;
	int result = rondo_channel_create(config, &channel);

	if (result) {
		HOSTILE_REQUIRE(!channel);
		return result;
	}
	result = rondo_channel_destroy(channel);
	if (config->path)
		unlink(config->path);
	return result;
}

static int64_t create(struct world *world)
{
	struct rondo_config config = config_of(world, 0);

	return create_with(&config);
}

static int64_t create_file(struct world *world)
{
	struct rondo_config config = config_of(world, WITH_FILE);
	int64_t result = create_with(&config);

	HOSTILE_REQUIRE(result == -EEXIST || access(world->file, F_OK));
	return result;
}

static int64_t create_granted(struct world *world)
{
	struct rondo_config config = config_of(world, 0);

	config.flags = RONDO_PREFAULT | RONDO_MLOCK | RONDO_HUGE;
	config.subbuf_bytes = 65536;
	return create_with(&config);
}

/* A file system that cannot reserve, in a program that may use little disk. */
static enum rondo_os_fate cannot_reserve(const struct rondo_os_site *site,
					 int *out_error)
{
	enum rondo_os_fate fate = decide(site, out_error);

	if (fate == RONDO_OS_CALL && strstr(site->call, "SYS_fallocate")) {
		*out_error = EOPNOTSUPP;
		return RONDO_OS_REFUSE;
	}
	return fate;
}

static int64_t create_by_hand(struct world *world)
{
	int64_t result;

	rondo_testpoint_os = cannot_reserve;
	result = create_file(world);
	rondo_testpoint_os = decide;
	return result;
}

static int64_t attach(struct world *world)
{
	struct rondo_channel *channel;
	int result = rondo_channel_attach(rondo_channel_fd(world->channel),
					  &channel);

	return result ? result : rondo_channel_destroy(channel);
}

static int64_t attach_path(struct world *world)
{
	struct rondo_channel *channel;
	int result = rondo_channel_attach_path(world->file, &channel);

	return result ? result : rondo_channel_destroy(channel);
}

static int64_t register_class(struct world *world)
{
	const struct rondo_event_class class = {
		.size = sizeof(class),
		.name = "test:another",
		.field_size = sizeof(struct rondo_field),
	};
	uint16_t id;

	return rondo_event_register(world->channel, &class, &id);
}

static int64_t open_consumer(struct world *world)
{
	int result = rondo_consumer_open(world->channel, &world->consumer);

	if (!result)
		result = rondo_consumer_close(world->consumer);
	world->consumer = NULL;
	return result;
}

static int64_t close_consumer(struct world *world)
{
	int result = rondo_consumer_close(world->consumer);

	world->consumer = NULL;
	return result;
}

static int64_t descriptor(struct world *world)
{
	return rondo_consumer_fd(world->consumer);
}

static int64_t arm(struct world *world)
{
	return rondo_consumer_arm(world->consumer);
}

static int64_t wait_a_moment(struct world *world)
{
	return rondo_consumer_wait(world->consumer, 1000000);
}

static int64_t wait_attached(struct world *world)
{
	struct rondo_consumer *consumer;
	int result;

	HOSTILE_REQUIRE(rondo_consumer_open(world->attached, &consumer) == 0);
	result = rondo_consumer_wait(consumer, 1000000);
	HOSTILE_REQUIRE(rondo_consumer_close(consumer) == 0);
	return result;
}

static int64_t take(struct world *world)
{
	struct rondo_view view;
	int result = rondo_consumer_take(world->consumer, &view);

	if (!result)
		see(world, &view);
	return result;
}

/* Taken by a rival: what it took is as good as seen. */
static int64_t take_attached(struct world *world)
{
	struct rondo_view view;
	int result = rondo_consumer_open(world->attached, &world->consumer);

	HOSTILE_REQUIRE(result == 0);
	result = rondo_consumer_take(world->consumer, &view);
	if (!result)
		see(world, &view);
	HOSTILE_REQUIRE(rondo_consumer_close(world->consumer) == 0);
	world->consumer = NULL;
	return result;
}

static int64_t splice_to(struct world *world, int fd)
{
	struct rondo_view view;
	int64_t result;

	HOSTILE_REQUIRE(rondo_consumer_take(world->consumer, &view) == 0);
	result = rondo_consumer_splice(world->consumer, &view, fd);
	HOSTILE_REQUIRE(result < 0 || result == (int64_t)view.bytes);
	see(world, &view);
	return result;
}

static int64_t splice_pipe(struct world *world)
{
	int fds[2];
	int64_t result;

	HOSTILE_REQUIRE(pipe(fds) == 0);
	result = splice_to(world, fds[1]);
	close(fds[0]);
	close(fds[1]);
	return result;
}

static int64_t splice_file(struct world *world)
{
	int fd = open(world->file, O_RDWR | O_CREAT | O_TRUNC, 0600);
	int64_t result;

	HOSTILE_REQUIRE(fd >= 0);
	result = splice_to(world, fd);
	HOSTILE_REQUIRE(result < 0 || lseek(fd, 0, SEEK_END) == result);
	close(fd);
	return result;
}

static int64_t flush(struct world *world)
{
	return rondo_channel_flush(world->channel);
}

static int64_t flush_attached(struct world *world)
{
	cpu_set_t set;
	int result = rondo_channel_flush(world->attached);

	/* Where it stayed there was a refusal that it cannot tell. */
	CPU_ZERO(&set);
	HOSTILE_REQUIRE(sched_getaffinity(0, sizeof(set), &set) == 0);
	HOSTILE_REQUIRE(CPU_COUNT(&set) == 1);
	pin(0);
	return result;
}

static int64_t stop(struct world *world)
{
	struct rondo_wait *wait = world->channel->control->map.wait;
	int result;

	/* As if somebody slept. */
	rondo_store_relaxed(&wait->sleeping, RONDO_SLEEP_FUTEX);
	result = rondo_channel_stop(world->channel);
	HOSTILE_REQUIRE(rondo_channel_start(world->channel) == 0);
	return result;
}

static int64_t stats(struct world *world)
{
	struct rondo_stats out;

	return rondo_channel_stats(world->channel, &out);
}

static int64_t destroy(struct world *world)
{
	int result;

	take_rest(world);
	world->consumer = NULL;
	world->traced = false;
	result = rondo_channel_destroy(world->channel);
	world->channel = NULL;
	return result;
}

static int64_t publish(struct world *world)
{
	struct rondo_port port = {.channel = NULL};

	HOSTILE_REQUIRE(!rondo_port_publish(&port, world->channel));
	return rondo_port_publish(&port, NULL) == world->channel ? 0 : -1;
}

/* The child gives back what it inherits; its parent notices nothing. */
static int64_t fork_child(struct world *world)
{
	int status;
	pid_t pid = fork();

	HOSTILE_REQUIRE(pid >= 0);
	if (!pid) {
		uint64_t value = 0;

		if (rondo_write(world->channel, world->id, &value, 8) !=
			    -ESHUTDOWN ||
		    rondo_consumer_close(world->consumer))
			_exit(1);
		_exit(rondo_channel_destroy(world->channel) ? 1 : 0);
	}
	HOSTILE_REQUIRE(waitpid(pid, &status, 0) == pid);
	HOSTILE_REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return 0;
}

static int64_t open_writer(struct world *world)
{
	return rondo_writer_open(world->channel, world->trace, &world->writer);
}

static int64_t open_relative(struct world *world)
{
	char before[512];
	int result;

	HOSTILE_REQUIRE(getcwd(before, sizeof(before)) &&
			chdir(world->directory) == 0);
	result = rondo_writer_open(world->channel, "trace", &world->writer);
	HOSTILE_REQUIRE(chdir(before) == 0);
	return result;
}

static int64_t open_attached(struct world *world)
{
	return rondo_writer_open(world->attached, world->trace, &world->writer);
}

static int64_t step(struct world *world)
{
	return rondo_writer_step(world->writer, 0);
}

/* A class that came since is in the metadata first. */
static int64_t step_new_class(struct world *world)
{
	(void)register_class(world);
	return rondo_writer_step(world->writer, 0);
}

static int64_t start(struct world *world)
{
	int result = rondo_writer_start(world->writer);

	HOSTILE_REQUIRE(rondo_writer_stop(world->writer) == 0);
	return result;
}

static int64_t close_writer(struct world *world)
{
	int result = rondo_writer_close(world->writer);

	if (world->open.data)
		HOSTILE_REQUIRE(rondo_commit(&world->open) == 0);
	world->writer = NULL;
	world->traced = true;
	world->told = result < 0;
	return result;
}

static int64_t snapshot(struct world *world)
{
	char metadata[320];
	int result = rondo_snapshot(world->channel, world->trace);

	snprintf(metadata, sizeof(metadata), "%s/metadata", world->trace);
	if (access(metadata, F_OK) == 0)
		read_trace(world);
	hostile_remove(world->trace);
	world->told |= result < 0;
	return result;
}

static void zero(int fd, uint64_t offset)
{
	const uint64_t none = 0;

	HOSTILE_REQUIRE(pwrite(fd, &none, 8, (off_t)offset) == 8);
}

/* A copy of the channel's file, as it would be if its process were dead. */
static int dead_copy(const struct world *world)
{
	const struct rondo_map *map = &world->channel->control->map;
	char path[320];
	int fd;

	snprintf(path, sizeof(path), "%s.dead", world->file);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	HOSTILE_REQUIRE(fd >= 0);
	HOSTILE_REQUIRE(write(fd, map->base, map->bytes) ==
			(ssize_t)map->bytes);
	unlink(path);
	zero(fd, offsetof(struct rondo_superblock, pid));
	zero(fd, (uint64_t)((char *)map->wait - (char *)map->base) +
			 offsetof(struct rondo_wait, consumer));
	return fd;
}

static int64_t recover(struct world *world)
{
	struct rondo_report report;
	int fd = dead_copy(world);
	int result = rondo_recover(fd, world->trace, &report);

	HOSTILE_REQUIRE(result < 0 || report.records == world->recorded);
	hostile_remove(world->trace);
	close(fd);
	return result;
}

static const struct operation operations[] = {
	{"create", "rondo_channel_create", create, 0},
	{"create a file", "rondo_channel_create", create_file, 0},
	{"create with flags", "rondo_channel_create", create_granted, 0},
	{"create by hand", "rondo_channel_create", create_by_hand, 0},
	{"destroy", "rondo_channel_destroy", destroy, NOT_AGAIN},
	{"attach", "rondo_channel_attach", attach, 0},
	{"attach a path", "rondo_channel_attach_path", attach_path, WITH_FILE},
	{"register", "rondo_event_register", register_class, 0},
	{"open a consumer", "rondo_consumer_open", open_consumer, 0},
	{"close a consumer", "rondo_consumer_close", close_consumer,
	 WITH_CONSUMER | NOT_AGAIN},
	{"descriptor", "rondo_consumer_fd", descriptor, WITH_CONSUMER},
	{"arm", "rondo_consumer_arm", arm, WITH_CONSUMER},
	{"wait", "rondo_consumer_wait", wait_a_moment, WITH_CONSUMER | NO_WAKE},
	{"wait, attached", "rondo_consumer_wait", wait_attached,
	 WITH_ATTACHED | NO_WAKE},
	{"take", "rondo_consumer_take", take, WITH_CONSUMER},
	{"take, attached", "rondo_consumer_take", take_attached, WITH_ATTACHED},
	{"splice to a pipe", "rondo_consumer_splice", splice_pipe,
	 WITH_CONSUMER},
	{"splice to a file", "rondo_consumer_splice", splice_file,
	 WITH_CONSUMER},
	{"flush", "rondo_channel_flush", flush, WITH_OPEN},
	{"flush another CPU", "rondo_channel_flush", flush, WITH_OTHER_CPU},
	{"flush, attached", "rondo_channel_flush", flush_attached,
	 WITH_ATTACHED | WITH_OPEN},
	{"stop", "rondo_channel_stop", stop, 0},
	{"statistics", "rondo_channel_stats", stats, 0},
	{"publish", "rondo_port_publish", publish, 0},
	{"fork", "rondo_channel_destroy", fork_child, WITH_CONSUMER},
	{"open a writer", "rondo_writer_open", open_writer, 0},
	{"open a writer, relative", "rondo_writer_open", open_relative, 0},
	{"open a writer, attached", "rondo_writer_open", open_attached,
	 WITH_ATTACHED},
	{"step", "rondo_writer_step", step, WITH_WRITER},
	{"step, new class", "rondo_writer_step", step_new_class, WITH_WRITER},
	{"start", "rondo_writer_start", start, WITH_WRITER},
	{"close a writer", "rondo_writer_close", close_writer,
	 WITH_WRITER | WITH_OPEN | NOT_AGAIN},
	{"close a writer, stalled", "rondo_writer_close", close_writer,
	 WITH_WRITER | WITH_OPEN | WITH_STALLED | NOT_AGAIN},
	{"snapshot", "rondo_snapshot", snapshot, WITH_OPEN},
	{"recover", "rondo_recover", recover, WITH_FILE | WITH_OPEN},
};

#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/* ---- one injection ---- */

struct held {
	struct test_holdings kernel;
	size_t heap;
};

static struct held holdings(void)
{
	struct held held = {.kernel = test_holdings()};

#if defined(__SANITIZE_ADDRESS__)
	held.heap = __sanitizer_get_current_allocated_bytes();
#endif
	return held;
}

static unsigned faults;

/* Each once, however often it happens. */
static void fault(const struct operation *operation, const char *what,
		  int64_t result)
{
	static char last[512];
	char text[512];

	snprintf(text, sizeof(text), "%s: %s: %s%s: %s (%lld %s)",
		 operation->name, plan.site ? plan.site->call : "",
		 plan.error ? strerrorname_np(plan.error) : "",
		 plan.on_and_on ? " from then on" : "", what, (long long)result,
		 result < 0 ? strerrorname_np((int)-result) : "");
	faults++;
	if (strcmp(text, last) != 0)
		printf("%s; call %u of it\n", text, plan.index);
	memcpy(last, text, sizeof(last));
}

static int64_t run_armed(const struct operation *operation, struct world *world)
{
	int64_t result;

	plan.calls = plan.fired = 0;
	rondo_testpoint_os = decide;
	result = operation->run(world);
	rondo_testpoint_os = NULL;
	return result;
}

static void check_result(const struct operation *operation, struct world *world,
			 int64_t result)
{
	if (result >= 0)
		return;
	if (!is_documented(operation->function, (int)-result))
		fault(operation, "its header does not name this", result);
	if (operation->flags & NOT_AGAIN)
		return;
	plan.armed = false;
	result = operation->run(world);
	if (result < 0 && result != -EAGAIN)
		fault(operation, "not again", result);
}

static void inject(const struct operation *operation)
{
	struct held before = holdings(), after;
	struct world world;
	int64_t result;

	alarm(ALARM_SECONDS);
	world_make(&world, operation->flags);
	plan.armed = true;
	result = run_armed(operation, &world);
	check_result(operation, &world, result);
	plan.armed = false;
	if (world.channel)
		account(&world);
	else
		HOSTILE_REQUIRE(world.seen == world.recorded);
	world_end(&world);
	after = holdings();
	/* What cannot be looked at when it is to be closed is left alone: its
	 * number may be somebody else's by now. */
	if (before.kernel.descriptors != after.kernel.descriptors &&
	    !(plan.site && strstr(plan.site->call, "fstat") &&
	      (world.traced || operation->run == snapshot ||
	       operation->run == recover)))
		fault(operation, "a descriptor leaks", result);
	if (before.kernel.shared_maps != after.kernel.shared_maps)
		fault(operation, "a mapping leaks", result);
	if (before.heap != after.heap)
		fault(operation, "memory leaks", result);
}

/* ---- all of them ---- */

struct figures {
	uint64_t injections, fired, cases;
};

static char doing_text[256];

static void try_errors(const struct operation *operation,
		       const struct call_errors *errors,
		       struct figures *figures)
{
	for (const int *error = errors->errors; *error; error++) {
		/* What is to be repeated, for ever. */
		if (plan.on_and_on && (*error == EINTR || *error == EAGAIN))
			continue;
		plan.error = *error;
		plan.fate = errors->also_made ? RONDO_OS_CALL_AND_FAIL :
						RONDO_OS_REFUSE;
		snprintf(doing_text, sizeof(doing_text), "%s: %.80s: %s",
			 operation->name, plan.site->call,
			 strerrorname_np(*error));
		inject(operation);
		figures->injections++;
		figures->fired += plan.fired > 0;
	}
}

static unsigned times_before(unsigned index)
{
	unsigned times = 0;

	for (unsigned i = 0; i < index; i++)
		times += plan.seen[i] == plan.seen[index];
	return times;
}

/* Which calls it makes when nothing fails, and that it works then. */
static unsigned count_calls(const struct operation *operation)
{
	struct held before, after;
	struct world world;
	int64_t result;

	plan.armed = false;
	plan.site = NULL;
	/* What is done once in a process is done. */
	for (int i = 0; i < 2; i++) {
		before = holdings();
		plan.counting = i == 1;
		world_make(&world, operation->flags);
		result = run_armed(operation, &world);
		plan.counting = false;
		if (result < 0)
			fault(operation, "though nothing was refused", result);
		if (world.channel)
			account(&world);
		world_end(&world);
		after = holdings();
	}
	HOSTILE_REQUIRE(before.kernel.descriptors == after.kernel.descriptors);
	HOSTILE_REQUIRE(before.heap == after.heap);
	return plan.calls < CALLS_MAX ? plan.calls : CALLS_MAX;
}

static void refuse_all(const struct operation *operation,
		       struct figures *figures)
{
	static const struct rondo_os_site *seen[CALLS_MAX];
	unsigned calls = count_calls(operation);

	memcpy(seen, plan.seen, sizeof(seen));
	for (unsigned i = 0; i < calls; i++) {
		const struct call_errors *errors = errors_of(seen[i]->call);
		unsigned times = times_before(i);

		if (!errors) {
			printf("not in the table: %s\n", seen[i]->call);
			faults++;
			continue;
		}
		if (times >= TIMES_MAX)
			continue;
		plan.site = seen[i];
		plan.index = i;
		plan.on_and_on = false;
		try_errors(operation, errors, figures);
		plan.on_and_on = true;
		if (!times)
			try_errors(operation, errors, figures);
		figures->cases++;
	}
}

/* ---- parts, signals ---- */

static uint64_t a_part(uint64_t bytes)
{
	return bytes > 1000 ? 1000 : bytes;
}

static void on_signal(int number)
{
	(void)number;
}

/* Each transfer does a part of what it is asked; a timer interrupts. */
static void interrupt_all(const struct operation *operation)
{
	const struct itimerval often = {{0, 50}, {0, 50}};
	const struct itimerval never = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = on_signal};
	struct world world;
	int64_t result;

	snprintf(doing_text, sizeof(doing_text), "%s, interrupted",
		 operation->name);
	alarm(ALARM_SECONDS);
	sigaction(SIGVTALRM, &action, NULL);
	world_make(&world, operation->flags);
	plan.site = NULL;
	plan.armed = false;
	rondo_testpoint_part = a_part;
	setitimer(ITIMER_VIRTUAL, &often, NULL);
	result = run_armed(operation, &world);
	setitimer(ITIMER_VIRTUAL, &never, NULL);
	rondo_testpoint_part = NULL;
	if (result < 0 && result != -EINTR)
		fault(operation, "in parts", result);
	if (world.channel)
		account(&world);
	world_end(&world);
}

/* ---- places that nothing here comes to ---- */

static bool is_atomic(void)
{
	struct rondo_channel *channel;
	struct rondo_stats out;

	HOSTILE_REQUIRE(rondo_channel_create(NULL, &channel) == 0);
	HOSTILE_REQUIRE(rondo_channel_stats(channel, &out) == 0);
	HOSTILE_REQUIRE(rondo_channel_destroy(channel) == 0);
	return out.mode == RONDO_HEAD_ATOMIC;
}

static bool is_excused(const struct rondo_os_site *site, bool atomic)
{
	static const struct {
		const char *call, *why;
		bool atomic; /* if every ring is */
	} excused[] = {
		{"sched_getcpu", "for threads without rseq: limits.c", false},
		{"affinity", "no ring has a CPU to go to", true},
		{"SYS_membarrier", "no sequences to fence", true},
	};

	for (size_t i = 0; i < sizeof(excused) / sizeof(excused[0]); i++) {
		if (!strstr(site->call, excused[i].call) ||
		    (excused[i].atomic && !atomic))
			continue;
		printf("not reached: %s: %s\n", site->call, excused[i].why);
		return true;
	}
	return false;
}

static unsigned count_reached(unsigned sites)
{
	const bool atomic = is_atomic();
	unsigned count = 0;

	for (unsigned i = 0; i < sites; i++) {
		const struct rondo_os_site *site = &__start_rondo_os_sites[i];
		const struct call_errors *errors = errors_of(site->call);

		if (!errors) {
			printf("FAIL: not in the table: %s\n", site->call);
			faults++;
		}
		if (reached[i]) {
			count++;
		} else if (!is_excused(site, atomic)) {
			printf("FAIL: never reached: %s, in %s\n", site->call,
			       site->function);
			faults++;
		}
	}
	return count;
}

int main(int argc, char **argv)
{
	const unsigned sites =
		(unsigned)(__stop_rondo_os_sites - __start_rondo_os_sites);
	struct figures figures = {0};
	unsigned reached_count;

	if (argc < 2 || argc > 3 || argv[1][0] == '-') {
		fprintf(stderr, "usage: %s HEADERS [OPERATION]\n", argv[0]);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("%u call sites\n", sites);
	documents_read(argv[1]);
	doing = doing_text;
	signal(SIGALRM, on_alarm);
	pin(0);
	for (size_t i = 0; i < OPERATIONS; i++) {
		if (argc == 3 && strcmp(argv[2], operations[i].name) != 0)
			continue;
		if ((operations[i].flags & WITH_OTHER_CPU) &&
		    sysconf(_SC_NPROCESSORS_ONLN) < 2) {
			printf("one CPU: no %s\n", operations[i].name);
			continue;
		}
		refuse_all(&operations[i], &figures);
		interrupt_all(&operations[i]);
	}
	reached_count = argc == 3 ? 0 : count_reached(sites);
	printf("%zu operations, %u of %u call sites reached, %llu calls x "
	       "errors = %llu refusals, %llu of them met, %u faults\n",
	       OPERATIONS, reached_count, sites,
	       (unsigned long long)figures.cases,
	       (unsigned long long)figures.injections,
	       (unsigned long long)figures.fired, faults);
	if (argc == 2 && figures.fired < 2000) {
		printf("FAIL: fewer than 2000\n");
		return 1;
	}
	return faults ? 1 : 0;
}
