/* SPDX-License-Identifier: MIT */
/*
 * See drain_sink.h.
 */
#include "drain_sink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <rondo/detail/atomics.h>

#define MEMORY "/dev/shm"
#define DISK "/var/tmp" /* unless TMPDIR says otherwise */
#define PIPE_BYTES (1 << 20)
#define BUFFER_BYTES (1u << 20)

uint64_t sink_add(uint64_t sum, const void *data, size_t bytes)
{
	const uint64_t *word = data;

	for (size_t i = 0; i < bytes / sizeof(*word); i++)
		sum = (sum ^ word[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static bool fail(struct sink *sink, const char *what)
{
	snprintf(sink->missing, sizeof(sink->missing), "%.120s: %s", what,
		 strerror(errno));
	return false;
}

bool sink_has_reader(const struct sink *sink)
{
	return sink->kind >= SINK_PIPE;
}

/* ---- files ---- */

static const char *parent_of(enum sink_kind kind)
{
	const char *asked = getenv("TMPDIR");

	if (kind == SINK_MEMORY)
		return MEMORY;
	return asked && *asked ? asked : DISK;
}

static bool is_in_memory(const char *directory)
{
	struct statfs found;

	return statfs(directory, &found) == 0 &&
	       found.f_type == (__typeof__(found.f_type))TMPFS_MAGIC;
}

static bool open_file(struct sink *sink)
{
	const char *parent = parent_of(sink->kind);

	if (is_in_memory(parent) != (sink->kind == SINK_MEMORY)) {
		snprintf(sink->missing, sizeof(sink->missing),
			 "%.120s is %sin memory", parent,
			 sink->kind == SINK_MEMORY ? "not " : "");
		return false;
	}
	snprintf(sink->path, sizeof(sink->path), "%s/bench-drain-XXXXXX",
		 parent);
	sink->fd = mkostemp(sink->path, O_CLOEXEC);
	if (sink->fd < 0)
		return fail(sink, sink->path);
	sink->direct = open(sink->path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	unlink(sink->path);
	return true;
}

static bool has_bytes_in_file(struct sink *sink, uint64_t wanted)
{
	uint64_t sum = SINK_FNV, at = 0;
	struct stat stat;

	if (fstat(sink->fd, &stat) || (uint64_t)stat.st_size != sink->goal)
		return false;
	while (sink->is_checking && at < sink->goal) {
		ssize_t bytes =
			pread(sink->fd, sink->buffer, BUFFER_BYTES, (off_t)at);

		if (bytes <= 0 || bytes % 8)
			return false;
		sum = sink_add(sum, sink->buffer, (size_t)bytes);
		at += (uint64_t)bytes;
	}
	return !sink->is_checking || sum == wanted;
}

/* ---- what has a reader ---- */

static bool listen_and_connect(int ends[2])
{
	struct sockaddr_in where = {
		.sin_family = AF_INET,
		.sin_addr = {htonl(INADDR_LOOPBACK)},
	};
	socklen_t bytes = sizeof(where);
	int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ends[0] = ends[1] = -1;
	if (door < 0)
		return false;
	if (!bind(door, (struct sockaddr *)&where, bytes) && !listen(door, 1) &&
	    !getsockname(door, (struct sockaddr *)&where, &bytes)) {
		ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (!connect(ends[1], (struct sockaddr *)&where, bytes))
			ends[0] = accept4(door, NULL, NULL, SOCK_CLOEXEC);
	}
	close(door);
	if (ends[0] >= 0)
		return true;
	if (ends[1] >= 0)
		close(ends[1]);
	return false;
}

static bool open_ends(struct sink *sink)
{
	int ends[2];

	if (sink->kind == SINK_PIPE) {
		if (pipe2(ends, O_CLOEXEC))
			return fail(sink, "pipe");
		fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
	} else if (sink->kind == SINK_UNIX) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
			return fail(sink, "socketpair");
	} else if (!listen_and_connect(ends)) {
		return fail(sink, "127.0.0.1");
	}
	sink->far_end = ends[0];
	sink->fd = ends[1];
	return true;
}

/* A sum is made of whole buffers, a round has no other. */
static bool read_round(struct sink *sink)
{
	while (sink->arrived < sink->goal) {
		const size_t used = sink->arrived % BUFFER_BYTES;
		ssize_t bytes = read(sink->far_end, sink->buffer + used,
				     BUFFER_BYTES - used);

		if (bytes < 0 && errno == EINTR)
			continue;
		if (bytes <= 0)
			return false;
		sink->arrived += (uint64_t)bytes;
		if (sink->is_checking && sink->arrived % BUFFER_BYTES == 0)
			sink->sum =
				sink_add(sink->sum, sink->buffer, BUFFER_BYTES);
	}
	return true;
}

/* Between rounds it sleeps in read, and main changes what it uses; the bytes
 * that wake it come after that. */
static void *run_reader(void *argument)
{
	struct sink *sink = argument;

	bench_pin(sink->reader_cpu);
	while (read_round(sink)) {
		sink->arrived = 0;
		sem_post(&sink->drained);
	}
	rondo_store_relaxed(&sink->is_broken, true);
	sem_post(&sink->drained);
	return NULL;
}

static bool start_reader(struct sink *sink)
{
	int result;

	if (!open_ends(sink))
		return false;
	sem_init(&sink->drained, 0, 0);
	result = pthread_create(&sink->reader, NULL, run_reader, sink);
	if (!result)
		result = pthread_getcpuclockid(sink->reader,
					       &sink->reader_clock);
	errno = result;
	return result ? fail(sink, "thread") : true;
}

/* ---- all ---- */

void sink_open(struct sink *sink, enum sink_kind kind,
	       const struct bench *bench, uint64_t goal)
{
	memset(sink, 0, sizeof(*sink));
	sink->kind = kind;
	sink->fd = sink->direct = sink->far_end = -1;
	sink->goal = goal;
	sink->reader_cpu = bench_cpu_at(bench, 1);
	sink->buffer = bench_allocate(BUFFER_BYTES, 1);
	if (sink_has_reader(sink))
		start_reader(sink);
	else
		open_file(sink);
}

void sink_close(struct sink *sink)
{
	if (sink->fd >= 0)
		close(sink->fd);
	if (sink->direct >= 0)
		close(sink->direct);
	if (sink_has_reader(sink) && !*sink->missing) {
		pthread_join(sink->reader, NULL);
		sem_destroy(&sink->drained);
	}
	if (sink->far_end >= 0)
		close(sink->far_end);
	free(sink->buffer);
}

bool sink_begin(struct sink *sink, bool is_checking)
{
	sink->is_checking = is_checking;
	sink->sum = SINK_FNV;
	if (sink_has_reader(sink))
		return true;
	if (ftruncate(sink->fd, 0) || lseek(sink->fd, 0, SEEK_SET) < 0)
		return false;
	return sink->direct < 0 || lseek(sink->direct, 0, SEEK_SET) == 0;
}

bool sink_finish(struct sink *sink)
{
	if (sink->kind == SINK_DURABLE)
		return fdatasync(sink->fd) == 0;
	if (!sink_has_reader(sink))
		return true;
	while (sem_wait(&sink->drained))
		;
	return !rondo_load_relaxed(&sink->is_broken);
}

bool sink_has(struct sink *sink, uint64_t sum)
{
	if (!sink_has_reader(sink))
		return has_bytes_in_file(sink, sum);
	return !sink->is_checking || sink->sum == sum;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t sink_cpu_ns(const struct sink *sink)
{
	uint64_t all = clock_ns(CLOCK_PROCESS_CPUTIME_ID);

	return sink_has_reader(sink) ? all - clock_ns(sink->reader_clock) : all;
}
