/* SPDX-License-Identifier: MIT */
/*
 * Producers whose signal handlers record too, thrown from CPU to CPU, flushed
 * and interrupted inside the library, against a consumer; then every record
 * and every packet is accounted for. See usage().
 *
 * --planted: the harness itself spoils one record, in each of several ways, and
 * it must be noticed for what it is: a blind harness would pass everything.
 */
#include "torture.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "ring.h"
#include "testpoint.h"

#define ATTEMPTS_MIN 1000u /* of a run: less shows nothing */

struct torture torture;

/* ---- a run ---- */

/* Just before some counter wraps. */
static uint64_t random_start(const struct rondo_config *config,
			     uint64_t *random)
{
	const unsigned order = (unsigned)__builtin_ctzll(config->subbuf_bytes);
	const unsigned bits = rondo_number_bits(order);
	const uint64_t wraps[] = {0, UINT64_C(1) << (bits - 1),
				  UINT64_C(1) << bits, UINT64_C(1) << 45,
				  UINT64_C(1) << 46};
	uint64_t wrap = wraps[test_random_below(random, 5)];

	return (wrap - config->subbuf_count - test_random_below(random, 64)) &
	       RONDO_NUMBER_MASK;
}

static void open_channel(uint64_t *random)
{
	const struct setup *setup = torture.setup;
	struct rondo_config config = {
		.size = sizeof(config),
		.flags = setup->flags,
		.subbuf_bytes = UINT64_C(1)
				<< (setup->order ? setup->order : 12),
		.subbuf_count = setup->count ? setup->count : 4,
		.record_max = setup->record_max,
		.rings = setup->rings,
		.clock = setup->clock,
		.stall_ms = with(WITH_STALLER) ? 3 : 1000000,
	};
	const struct rondo_event_class record = {
		.size = sizeof(record),
		.name = "test:record",
		.field_size = sizeof(struct rondo_field),
	};
	const struct rondo_map *map;

	/* Snapshots are complete, as far as that goes, with as many spares. */
	config.spare_count = with(WITH_SNAPSHOTS) ? config.subbuf_count + 1 : 3;
	rondo_testpoint_start = random_start(&config, random);
	if (rondo_channel_create(&config, &torture.channel) ||
	    rondo_event_register(torture.channel, &record,
				 &torture.classes.ids[0]) ||
	    rondo_consumer_open(torture.channel, &torture.consumer))
		abort();
	torture.classes.count = 1;
	map = &torture.channel->control->map;
	if (map->ring_count > RINGS_MAX)
		abort();
	for (uint32_t i = 0; i < map->ring_count; i++)
		torture.heads[i] =
			rondo_load_relaxed(&rondo_map_ring(map, i)->head);
}

/* However slow the machine is. */
static bool enough_happened(void)
{
	return agents_have_worked() && lanes_attempted() >= ATTEMPTS_MIN &&
	       rondo_load_relaxed(&recording_plant) == PLANT_NONE;
}

static void run_threads(uint64_t *random, uint64_t ms)
{
	uint32_t count = torture.threads;
	pthread_t consumer;

	torture.stop = torture.stop_consumer = 0;
	if (pthread_create(&consumer, NULL, run_consumer, NULL))
		abort();
	for (uint32_t i = 0; i < torture.threads; i++) {
		worker_prepare(i, test_random(random));
		worker_start(i, run_producer);
	}
	count += agents_start(count, random);
	for (; ms || !enough_happened(); ms -= ms != 0)
		sleep_us(999);
	rondo_store_relaxed(&torture.stop, 1u);
	while (count--)
		pthread_join(torture.workers[count].thread, NULL);
	rondo_store_relaxed(&torture.stop_consumer, 1u);
	pthread_join(consumer, NULL);
}

static uint32_t threads_of(const struct setup *setup)
{
	uint32_t many = 8 * torture.cpus;

	if (setup->threads)
		return setup->threads;
	return many < PRODUCERS_MAX ? many : PRODUCERS_MAX;
}

/* Verified records. */
static uint64_t run(const struct setup *setup, uint64_t *random, uint64_t ms)
{
	uint64_t verified;

	torture.setup = setup;
	torture.threads = threads_of(setup);
	torture.storms = torture.strangers = 0;
	reader_reset(test_random(random));
	lanes_reset();
	open_channel(random);
	run_threads(random, ms);
	rondo_channel_stop(torture.channel);
	if (rondo_channel_flush(torture.channel) < 0)
		violation(BAD_ERROR, 1, 1);
	reader_finish();
	verified = account();
	rondo_consumer_close(torture.consumer);
	rondo_channel_destroy(torture.channel);
	return verified;
}

/* ---- planted ---- */

/* What each must be noticed as. */
static const enum violation noticed_as[PLANTS] = {
	[PLANT_BIT] = BAD_PAYLOAD,	   [PLANT_TORN] = BAD_PAYLOAD,
	[PLANT_LOST] = COMMITTED_NOT_SEEN, [PLANT_GHOST] = SEEN_NOT_COMMITTED,
	[PLANT_DOUBLED] = SEEN_TWICE,	   [PLANT_SWAPPED] = BAD_ORDER,
	[PLANT_REFUSAL] = BAD_SUM,	   [PLANT_FORGOTTEN] = BAD_SUM,
	[PLANT_LOAN] = LOAN_CHANGED,	   [PLANT_PACKET] = COMMITTED_NOT_SEEN,
};

static int run_planted(uint64_t *random)
{
	int blind = 0;

	for (uint32_t plant = PLANT_NONE + 1; plant < PLANTS; plant++) {
		recording_plant = plant;
		run(&setup_for_plants, random, 50);
		if (violations_of(noticed_as[plant]) == 0) {
			printf("plant %u was not noticed\n", plant);
			blind = 1;
		}
		violations_report(stdout);
	}
	printf("%u kinds of faults were planted\n", PLANTS - 1);
	return blind;
}

/* ---- command line ---- */

struct options {
	uint64_t ms;	  /* of each run */
	uint64_t seconds; /* of all, at least */
	uint64_t records; /* verified, at least */
	const char *only;
	bool planted;
};

static uint64_t seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec;
}

/* Once through all setups, and again until it was long enough. */
static int run_all(const struct options *options, uint64_t *random)
{
	const uint64_t seed = *random, began = seconds_now();
	uint64_t verified = 0, runs = 0;
	bool bad = false, again = true;

	while (again && !bad) {
		for (uint32_t i = 0; i < setup_count; i++) {
			const char *name = setups[i].name;

			if (options->only &&
			    strncmp(options->only, name, strlen(options->only)))
				continue;
			verified += run(&setups[i], random, options->ms);
			bad |= violations() != 0;
			violations_report(stdout);
			runs++;
		}
		again = runs && (verified < options->records ||
				 seconds_now() - began < options->seconds);
	}
	printf("verified %" PRIu64 " records in %" PRIu64 " runs and %" PRIu64
	       " s, seed %#" PRIx64 "\n",
	       verified, runs, seconds_now() - began, seed);
	return bad || runs == 0;
}

static int usage(const char *program)
{
	fprintf(stderr,
		"usage: %s [--ms MS] [--seconds S] [--records N] "
		"[--only NAME] [--seed N]\n"
		"       %s --planted [--seed N]\n"
		"--ms: length of each run; --only: runs whose name begins so;\n"
		"all runs again until S seconds have passed and N records were "
		"verified\n",
		program, program);
	return 2;
}

static bool parse(int argc, char **argv, struct options *out)
{
	static const struct option known[] = {
		{"ms", required_argument, NULL, 'm'},
		{"seconds", required_argument, NULL, 't'},
		{"records", required_argument, NULL, 'r'},
		{"only", required_argument, NULL, 'o'},
		{"seed", required_argument, NULL, 's'},
		{"planted", no_argument, NULL, 'p'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'm')
			out->ms = strtoull(optarg, NULL, 0);
		else if (option == 't')
			out->seconds = strtoull(optarg, NULL, 0);
		else if (option == 'r')
			out->records = strtoull(optarg, NULL, 0);
		else if (option == 'o')
			out->only = optarg;
		else if (option == 's')
			setenv("RONDO_TEST_SEED", optarg, 1);
		else if (option == 'p')
			out->planted = true;
		else
			return false;
	}
	return optind == argc;
}

int main(int argc, char **argv)
{
	struct options options = {.ms = 500};
	uint64_t random;

	if (!parse(argc, argv, &options))
		return usage(argv[0]);
	random = test_seed();
	torture.cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	workers_install();
	return options.planted ? run_planted(&random) :
				 run_all(&options, &random);
}
