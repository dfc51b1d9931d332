/* SPDX-License-Identifier: MIT */
/*
 * A flight recorder: the ring keeps the latest records and nothing is written
 * until somebody asks. flight_recorder DIRECTORY [wait]
 *
 * Each SIGUSR1 makes a snapshot DIRECTORY/0, DIRECTORY/1, ... while the
 * recording thread goes on. Without "wait" the program sends itself two, some
 * records apart, and ends; each snapshot ends with what was recorded last.
 */
#include <signal.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rondo/rondo.h>

static const struct rondo_field fields[] = {
	{.name = "number", .type = RONDO_FIELD_U64, .offset = 0},
};
static const struct rondo_event_class step = {
	.size = sizeof(step),
	.name = "flight:step",
	.fields = fields,
	.field_count = 1,
	.field_size = sizeof(fields[0]),
};

static struct rondo_channel *channel;
static uint16_t step_id;
static uint64_t steps;
static int stop;

/* What the program is busy with; it never waits for anybody. */
static void *work(void *unused)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		uint64_t number = steps;

		rondo_write(channel, step_id, &number, sizeof(number));
		__atomic_store_n(&steps, number + 1, __ATOMIC_RELEASE);
	}
	return unused;
}

/* So much that the oldest records were overwritten long ago. */
static void wait_for_steps(uint64_t more)
{
	uint64_t target = __atomic_load_n(&steps, __ATOMIC_ACQUIRE) + more;

	while (__atomic_load_n(&steps, __ATOMIC_ACQUIRE) < target)
		usleep(1000);
}

static int snapshots(const char *directory, const sigset_t *signals, int times)
{
	char path[4096];
	int i, signal_number, packets;

	for (i = 0; i != times; i++) {
		if (times > 0) {
			wait_for_steps(2000000);
			kill(getpid(), SIGUSR1);
		}
		if (sigwait(signals, &signal_number) ||
		    signal_number != SIGUSR1)
			return 0;
		snprintf(path, sizeof(path), "%s/%d", directory, i);
		packets = rondo_snapshot(channel, path);
		if (packets < 0) {
			fprintf(stderr, "snapshot: %s\n", strerror(-packets));
			return 1;
		}
		printf("%s: %d packets\n", path, packets);
		fflush(stdout);
	}
	return 0;
}

static int open_recorder(void)
{
	/* As many spares as sub-buffers: a snapshot takes all of a ring before
	 * it writes any of it. */
	const struct rondo_config config = {
		.size = sizeof(config),
		.flags = RONDO_OVERWRITE,
		.subbuf_bytes = 64 * 1024,
		.subbuf_count = 8,
		.spare_count = 8,
		.name = "flight",
	};
	int result = rondo_channel_create(&config, &channel);

	return result ? result : rondo_event_register(channel, &step, &step_id);
}

int main(int count, char **arguments)
{
	bool waits = count == 3 && !strcmp(arguments[2], "wait");
	sigset_t signals;
	pthread_t worker;
	int result;

	if (count < 2)
		return 2;
	/* Blocked in all threads: the main one waits for them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	mkdir(arguments[1], 0777);
	result = open_recorder();
	if (!result)
		result = -pthread_create(&worker, NULL, work, NULL);
	if (result) {
		fprintf(stderr, "flight_recorder: %s\n", strerror(-result));
		return 1;
	}
	result = snapshots(arguments[1], &signals, waits ? -1 : 2);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(worker, NULL);
	rondo_channel_destroy(channel);
	return result;
}
