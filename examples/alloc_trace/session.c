/* SPDX-License-Identifier: MIT */
/*
 * One session a process. All that changes it holds the lock, on a stack of its
 * own, with signals blocked and own set: what is allocated meanwhile comes from
 * the arena and is not recorded, and no handler of the program's can be taken
 * for ours.
 */
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "session.h"
#include "stack.h"

#define FIRST_GENERATION 2u /* of a trace */
#define VARIABLE "RONDO_TRACE="
#define VARIABLE_BYTES (sizeof(VARIABLE) - 1)

enum state {
	STATE_NONE,
	STATE_RUNNING,
	STATE_PARKED, /* no thread writes; producers go on */
	STATE_OVER,
};

__thread struct thread thread __attribute__((tls_model("initial-exec")));
struct session session = {.generation = 1};

static struct {
	uint32_t lock;	/* pid of the process whose thread holds it; or 0 */
	uint32_t off;	/* 1: nothing is to be recorded, children included */
	uint32_t pid;	/* of the process whose session it is */
	uint32_t state; /* enum state */
	uint32_t parkers;
	uint64_t skipped; /* calls that could not be recorded */
	uint64_t loaded;  /* modules ever, when they were last listed */
	uint32_t lister;  /* pid of the process that may list them */
	uint32_t alone;	  /* 1: it forks, and no other thread of it is there */
	struct rondo_writer *writer;
	/* RONDO_TRACE, of which the directory is the value. */
	char variable[VARIABLE_BYTES + PATH_MAX];
	char *directory;
	char trace[PATH_MAX]; /* of this process: directory/NAME-PID */
	struct stat errors;   /* where complaints go, as it was at first */
} control = {.directory = control.variable + VARIABLE_BYTES};

/* What own code keeps from the program. */
struct own {
	sigset_t signals;
	int cancel;
	int error;
};

static void own_enter(struct own *own)
{
	sigset_t all;

	own->error = errno;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &own->signals);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &own->cancel);
	thread.own++;
}

static void own_leave(const struct own *own)
{
	int cancel;

	thread.own--;
	pthread_setcancelstate(own->cancel, &cancel);
	pthread_sigmask(SIG_SETMASK, &own->signals, NULL);
	errno = own->error;
}

/* A holder of another pid was left behind by a fork: it does not exist here. */
static bool try_lock(void)
{
	uint32_t pid = (uint32_t)getpid(), holder = 0;

	if (__atomic_compare_exchange_n(&control.lock, &holder, pid, false,
					__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return true;
	return holder != pid &&
	       __atomic_compare_exchange_n(&control.lock, &holder, pid, false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static uint32_t get_state(void)
{
	return __atomic_load_n(&control.state, __ATOMIC_ACQUIRE);
}

static void set_state(enum state state)
{
	__atomic_store_n(&control.state, state, __ATOMIC_RELEASE);
}

static void lock(void)
{
	while (!try_lock())
		sched_yield();
}

static void unlock(void)
{
	__atomic_store_n(&control.lock, 0, __ATOMIC_RELEASE);
}

/* --- own threads: rondo's writer, and the one that sees the others end --- */

struct own_thread {
	void *(*main)(void *argument);
	void *argument;
};

static void *own_thread_main(void *argument)
{
	struct own_thread start = *(struct own_thread *)argument;

	thread.own = 1;
	return start.main(start.argument);
}

/* The linker sends rondo's calls of pthread_create here. */
int __real_pthread_create(pthread_t *out, const pthread_attr_t *attributes,
			  void *(*main)(void *), void *argument);
int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes,
			  void *(*main)(void *), void *argument);
int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes,
			  void *(*main)(void *), void *argument)
{
	struct own_thread *start = arena_allocate(0, sizeof(*start));

	if (!start)
		return EAGAIN;
	start->main = main;
	start->argument = argument;
	return __real_pthread_create(out, attributes, own_thread_main, start);
}

/* Those of the process, ours and an ended main thread with them; 0: unknown. */
static uint64_t count_threads(void)
{
	struct stat tasks;

	return stat("/proc/self/task", &tasks) ? 0 : tasks.st_nlink - 2;
}

/* --- what goes into a trace besides the calls --- */

static int record_module(struct dl_phdr_info *info, size_t info_bytes,
			 void *loaded)
{
	struct {
		uint64_t base, bytes;
		char path[1024];
	} module = {.base = info->dlpi_addr};
	size_t length;
	int i;

	(void)info_bytes;
	if (info->dlpi_adds == control.loaded)
		return 1;
	*(uint64_t *)loaded = info->dlpi_adds;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];

		if (part->p_type == PT_LOAD &&
		    part->p_vaddr + part->p_memsz > module.bytes)
			module.bytes = part->p_vaddr + part->p_memsz;
	}
	snprintf(module.path, sizeof(module.path), "%s", info->dlpi_name);
	if (!module.path[0] && readlink("/proc/self/exe", module.path,
					sizeof(module.path) - 1) < 0)
		module.path[0] = 0;
	length = offsetof(__typeof__(module), path) + strlen(module.path) + 1;
	rondo_write(session.channel, session.ids[EVENT_MODULE], &module,
		    (uint32_t)length);
	return 0;
}

/*
 * Listing them takes the loader's lock. Of a process with several threads one
 * may hold it while another forks: in the child it is held for ever. So such a
 * child lists nothing; where its modules are its parent's trace tells.
 */
static void before_fork(void)
{
	int error = errno;
	bool writing = get_state() == STATE_RUNNING;

	control.alone = control.lister == (uint32_t)getpid() &&
			count_threads() == (writing ? 2 : 1);
	errno = error;
}

static void in_forked_child(void)
{
	control.lister = control.alone ? (uint32_t)getpid() : 0;
}

/* All of them, if any was loaded since the last time. */
static void record_modules(void)
{
	uint64_t loaded = control.loaded;

	if (control.lister != control.pid)
		return;
	dl_iterate_phdr(record_module, &loaded);
	control.loaded = loaded;
}

static void record_skipped(void)
{
	struct {
		uint64_t count;
		uint32_t tid;
	} skipped;

	skipped.count =
		__atomic_exchange_n(&control.skipped, 0, __ATOMIC_RELAXED);
	skipped.tid = (uint32_t)gettid();
	if (skipped.count)
		rondo_write(session.channel, session.ids[EVENT_SKIPPED],
			    &skipped, 12);
}

static void skip(void)
{
	__atomic_fetch_add(&control.skipped, 1, __ATOMIC_RELAXED);
}

/* --- start --- */

static uint64_t environment_number(const char *name, uint64_t otherwise)
{
	const char *text = secure_getenv(name);
	uint64_t number = text ? strtoul(text, NULL, 10) : 0;

	return number ? number : otherwise;
}

static void make_parents(const char *path)
{
	char part[PATH_MAX];
	size_t i;

	for (i = 1; path[i]; i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		mkdir(part, 0777);
	}
	mkdir(path, 0777);
}

/* The program's name, of letters that suit a file name. */
static void process_name(char out[32])
{
	const char *name = program_invocation_short_name;
	size_t i;

	if (!name || !*name)
		name = "process";
	for (i = 0; i < 31 && name[i]; i++) {
		bool fits = (name[i] >= 'a' && name[i] <= 'z') ||
			    (name[i] >= 'A' && name[i] <= 'Z') ||
			    (name[i] >= '0' && name[i] <= '9') ||
			    name[i] == '_' || name[i] == '+' ||
			    ((name[i] == '.' || name[i] == '-') && i);

		out[i] = fits ? name[i] : '_';
	}
	out[i] = 0;
}

/* NAME-PID, or NAME-PID-2 where that exists: a program that became itself. */
static int make_directory(void)
{
	char *out = control.trace;
	char name[32];
	int i;

	make_parents(control.directory);
	process_name(name);
	for (i = 1; i < 10000; i++) {
		int length = snprintf(out, PATH_MAX,
				      i == 1 ? "%s/%s-%d" : "%s/%s-%d-%d",
				      control.directory, name, getpid(), i);

		if (length >= PATH_MAX)
			return -ENAMETOOLONG;
		if (mkdir(out, 0777) == 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

static int open_channel(struct rondo_channel **out)
{
	const struct rondo_config config = {
		.size = sizeof(config),
		.subbuf_bytes =
			environment_number("RONDO_TRACE_SUBBUF_KIB", 1024) *
			1024,
		.subbuf_count =
			(uint32_t)environment_number("RONDO_TRACE_SUBBUFS", 32),
		.flush_ms = 100, /* what a process that is killed may lose */
		.name = "alloc_trace",
	};
	int result = rondo_channel_create(&config, out);

	if (result)
		return result;
	result = events_register(*out, session.ids);
	if (result)
		rondo_channel_destroy(*out);
	return result;
}

static int open_trace(struct rondo_channel *channel)
{
	int result = make_directory();

	if (result)
		return result;
	result = rondo_writer_open(channel, control.trace, &control.writer);
	if (result)
		return result;
	result = rondo_writer_start(control.writer);
	if (result) {
		rondo_writer_close(control.writer);
		control.writer = NULL;
	}
	return result;
}

/*
 * Once or twice for each process; a trace that is silently missing is worse.
 * Not to a file that the program has opened in place of its standard error.
 */
static void complain(const char *what, const char *where, int result)
{
	char text[PATH_MAX + 100];
	struct stat now;
	int length = snprintf(text, sizeof(text), "alloc_trace: %s %s: %s\n",
			      what, where, strerror(-result));

	if (fstat(STDERR_FILENO, &now) || now.st_dev != control.errors.st_dev ||
	    now.st_ino != control.errors.st_ino)
		return;
	if (write(STDERR_FILENO, text, (size_t)length) < 0)
		return;
}

/* Of a program that this one becomes, or starts, somewhere else. */
static void name_absolute(const char *named)
{
	char **variable = environ;

	while (variable && *variable && *variable + VARIABLE_BYTES != named)
		variable++;
	if (variable && *variable)
		*variable = control.variable;
}

static bool find_directory(void)
{
	const char *named = secure_getenv("RONDO_TRACE");
	char here[PATH_MAX];
	int length;

	if (control.directory[0])
		return true;
	if (!named || !*named)
		return false;
	/* Absolute: the program may change its directory, then fork. */
	if (named[0] == '/' || !getcwd(here, sizeof(here)))
		here[0] = 0;
	length = snprintf(control.directory, PATH_MAX,
			  here[0] ? "%s/%s" : "%s%s", here, named);
	if (length >= PATH_MAX)
		return false;
	memcpy(control.variable, VARIABLE, VARIABLE_BYTES);
	if (here[0])
		name_absolute(named);
	fstat(STDERR_FILENO, &control.errors);
	return true;
}

static void main_ends(void *unused);

/* It may call pthread_exit or thrd_exit, or be cancelled. */
static void watch_main(void)
{
	static pthread_key_t key;
	static bool has_key;

	if (session.generation == FIRST_GENERATION)
		has_key = !pthread_key_create(&key, main_ends);
	if (has_key && gettid() == getpid())
		pthread_setspecific(key, &session);
}

static void start_locked(void)
{
	struct rondo_channel *channel = NULL;
	int result;

	/* A child of fork: what its parent had is of no use here. */
	set_state(STATE_NONE);
	__atomic_store_n(&session.generation, session.generation + 1,
			 __ATOMIC_RELEASE);
	rondo_writer_close(control.writer);
	control.writer = NULL;
	rondo_channel_destroy(session.channel);
	session.channel = NULL;
	control.pid = (uint32_t)getpid();
	control.parkers = 0;
	control.skipped = 0;
	control.loaded = 0;
	if (!find_directory()) {
		control.off = 1;
		return;
	}
	result = open_channel(&channel);
	if (!result) {
		result = open_trace(channel);
		if (result)
			rondo_channel_destroy(channel);
	}
	if (result) {
		control.off = 1;
		complain("no trace in", control.directory, result);
		return;
	}
	session.channel = channel;
	set_state(STATE_RUNNING);
	if (session.generation == FIRST_GENERATION) {
		at_quick_exit(session_finish);
		pthread_atfork(before_fork, NULL, in_forked_child);
		control.lister = control.pid;
	}
	watch_main();
	record_modules();
}

static void start(uint32_t pid)
{
	struct own own;

	own_enter(&own);
	if (try_lock()) {
		if (control.pid != pid)
			stack_call(start_locked);
		unlock();
	}
	own_leave(&own);
}

/* Who sees it running or parked sees the channel and the ids too. */
static bool is_recording(void)
{
	return get_state() == STATE_RUNNING || get_state() == STATE_PARKED;
}

bool session_reserve_slow(enum event event, uint32_t bytes,
			  struct rondo_record *out)
{
	uint32_t pid, generation;

	if (control.off)
		return false;
	pid = (uint32_t)getpid();
	if (control.pid != pid && !thread.suspect)
		start(pid);
	if (control.pid != pid || !is_recording()) {
		if (get_state() != STATE_OVER)
			skip();
		return false;
	}
	generation = __atomic_load_n(&session.generation, __ATOMIC_RELAXED);
	if (thread.generation != generation) {
		thread.tid = (uint32_t)gettid();
		thread.generation = thread.suspect ? 0 : generation;
	}
	return rondo_reserve(session.channel, session.ids[event], bytes, out) ==
	       0;
}

/* --- vfork --- */

void session_suspect(void)
{
	thread.suspect++;
	thread.generation = 0;
}

void session_trust(void)
{
	thread.suspect--;
}

/* --- park, resume, finish --- */

/* Looked at first: a child that borrowed us must change nothing of ours. */
static bool is_ours(void)
{
	return control.pid == (uint32_t)getpid() && is_recording();
}

/* Where the session is this process's: change, with the lock, as own code. */
static void change(void (*locked)(void))
{
	struct own own;

	if (!is_ours())
		return;
	own_enter(&own);
	lock();
	if (is_ours())
		stack_call(locked);
	unlock();
	own_leave(&own);
}

static void park_locked(void)
{
	if (control.parkers++)
		return;
	record_skipped();
	record_modules();
	set_state(STATE_PARKED);
	rondo_writer_stop(control.writer);
	rondo_channel_flush(session.channel);
	while (rondo_writer_step(control.writer, 0) > 0)
		;
}

void session_park(void)
{
	change(park_locked);
}

static void resume_locked(void)
{
	if (get_state() != STATE_PARKED || --control.parkers)
		return;
	rondo_writer_start(control.writer);
	set_state(STATE_RUNNING);
}

void session_resume(void)
{
	change(resume_locked);
}

static void finish_locked(void)
{
	int result;

	record_skipped();
	record_modules();
	rondo_channel_stop(session.channel);
	result = rondo_writer_close(control.writer);
	control.writer = NULL;
	set_state(STATE_OVER);
	if (result)
		complain("incomplete:", control.trace, result);
}

void session_finish(void)
{
	change(finish_locked);
}

/* --- the end of all threads --- */

/*
 * The C library calls exit in the last thread that ends. As long as rondo's
 * writer is one that never is: so a thread waits for those of the program, ends
 * the writer, and is the last, with the signals that the main thread let in.
 */
static void *end_with_the_last(void *signals)
{
	const struct timespec moment = {.tv_nsec = 5000000};

	/* The main one, this one, the writer. */
	while (count_threads() > 2 + (get_state() == STATE_RUNNING))
		nanosleep(&moment, NULL);
	session_park();
	pthread_sigmask(SIG_SETMASK, signals, NULL);
	thread.own--;
	return NULL;
}

/* Called when the main thread ends before the process does: see watch_main. */
static void main_ends(void *unused)
{
	static sigset_t signals;
	struct own own;
	pthread_t last;

	(void)unused;
	if (!is_ours())
		return;
	if (count_threads() == 0) {
		session_finish();
		return;
	}
	own_enter(&own);
	signals = own.signals;
	if (pthread_create(&last, NULL, end_with_the_last, &signals) == 0)
		pthread_detach(last);
	own_leave(&own);
}

int __cxa_atexit(void (*handler)(void *), void *argument, void *object);

static void finish_at_exit(void *argument)
{
	(void)argument;
	session_finish();
}

/*
 * exit() starts over when its last handler, which calls this one, adds a
 * further one: so the trace sees the destructors of all other libraries.
 */
static __attribute__((destructor)) void finish_last(void)
{
	if (__cxa_atexit(finish_at_exit, NULL, NULL))
		session_finish();
}

static __attribute__((constructor)) void start_at_load(void)
{
	uint32_t pid = (uint32_t)getpid();

	if (real_known() && !control.off && control.pid != pid)
		start(pid);
}
