/* SPDX-License-Identifier: MIT */
/*
 * See park.h. While one of the two threads runs the other one waits, so that
 * the ledger has one writer at a time, and every run is the same.
 */
#include "park.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>

#include "spots.h"

#define AT_ONCE 2u /* records of LONG bytes: they fit one sub-buffer */
#define LAPS 3u
#define LONG 1500u
#define RATE_RECORDS 100000u
#define RATE_ROUNDS 5
#define RATE_MOST_ROUNDS 400

struct park_figures park_figures;

static pthread_t thread;
static sem_t begins, parked, resumes;
static const struct scenario *played;
static struct fault fault;
static bool ends;

/* In the handler, where it stays. */
static void stop_here(void)
{
	sem_post(&parked);
	while (sem_wait(&resumes))
		continue;
}

static void *play(void *unused)
{
	(void)unused;
	stage_pin(0);
	for (;;) {
		while (sem_wait(&begins))
			continue;
		if (ends)
			return NULL;
		played->prepare();
		fault_plant(&fault);
		played->act();
		fault_lift(&fault);
		if (played->after)
			played->after();
		sem_post(&parked);
	}
}

bool park_open(void)
{
	if (sem_init(&begins, 0, 0) || sem_init(&parked, 0, 0) ||
	    sem_init(&resumes, 0, 0) ||
	    pthread_create(&thread, NULL, play, NULL)) {
		fprintf(stderr, "no thread\n");
		return false;
	}
	return true;
}

void park_close(void)
{
	ends = true;
	sem_post(&begins);
	pthread_join(thread, NULL);
}

static void wait_for_it(void)
{
	while (sem_wait(&parked))
		continue;
}

/* Room is made by taking what there is; what stalls is not waited for. */
static bool record_somehow(void)
{
	for (int tries = 0; tries < 3; tries++) {
		if (put(LONG)) {
			park_figures.committed++;
			return true;
		}
		park_figures.refused++;
		if (played->flags & IN_CONSUMER)
			return false;
		stage_take_all();
	}
	return false;
}

/* A ring that has room has it for others, too, and goes on having it. */
static void go_on(void)
{
	const uint32_t laps = LAPS * stage->map->count *
			      (uint32_t)(stage->map->subbuf_bytes / LONG);
	const bool endless = !(played->flags & IN_CONSUMER) ||
			     stage->kind == STAGE_OVERWRITE;

	if (!stage->control->running)
		return;
	for (uint32_t i = 0; i < AT_ONCE; i++)
		if (put(LONG))
			park_figures.committed++;
		else if (played->flags & KEEPS_ROOM)
			violation(BAD_ERROR, 110, i);
	for (uint32_t i = 0; endless && i < laps; i++)
		if (!record_somehow() && !(played->flags & ALL_STALLED))
			violation(BAD_ERROR, 111, i);
}

static bool start_and_park(const struct scenario *scenario, uint32_t spot)
{
	played = scenario;
	fault = (struct fault){
		.first = spot, .end = spot + 1, .what = stop_here};
	sem_post(&begins);
	wait_for_it();
	return fault.hit;
}

bool park_at(const struct scenario *scenario, uint32_t spot)
{
	struct rondo_stats before, after;
	bool hit;

	rondo_channel_stats(stage->channel, &before);
	stage_begin();
	hit = start_and_park(scenario, spot);
	if (hit) {
		park_figures.parks++;
		stage->uncounted = scenario_swaps(scenario);
		stage_patience(0, 0);
		go_on();
		stage_patience(STAGE_PATIENT, 0);
		sem_post(&resumes);
		wait_for_it();
	}
	stage_end();
	rondo_channel_stats(stage->channel, &after);
	park_figures.quarantined += after.quarantined - before.quarantined;
	return hit;
}

/* ---- rates ---- */

static void take_unread(void)
{
	struct rondo_view view;

	while (rondo_consumer_take(stage->consumer, &view) == 0)
		(void)rondo_consumer_release(stage->consumer, &view);
}

/* Processor time of a thread that records and takes; no less than *least. */
static void time_records(double *least)
{
	static const char payload[64];
	struct timespec from, to;
	double seconds;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	for (uint32_t i = 0; i < RATE_RECORDS; i++) {
		(void)rondo_write(stage->channel, stage->id, payload,
				  sizeof(payload));
		if (i % 32 == 0)
			take_unread();
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	seconds = (double)(to.tv_sec - from.tv_sec) +
		  (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	if (*least == 0 || seconds < *least)
		*least = seconds;
}

static void drain_unread(void)
{
	(void)rondo_channel_flush(stage->channel);
	take_unread();
}

/* One more round of both. False: the spot was not reached. */
static bool time_round(const struct scenario *scenario, uint32_t spot,
		       double *without, double *with)
{
	time_records(without);
	drain_unread();
	stage_begin();
	if (!start_and_park(scenario, spot))
		return false;
	stage_patience(0, 0);
	time_records(with);
	stage_patience(STAGE_PATIENT, 0);
	sem_post(&resumes);
	wait_for_it();
	drain_unread();
	return true;
}

uint32_t park_rate(const struct scenario *scenario, uint32_t spot)
{
	double with = 0, without = 0;

	for (int round = 0;
	     round < RATE_ROUNDS || (round < RATE_MOST_ROUNDS &&
				     without / with * 1000 < PARK_RATE_WANTED);
	     round++)
		if (!time_round(scenario, spot, &without, &with))
			return 0;
	return (uint32_t)(without / with * 1000);
}
