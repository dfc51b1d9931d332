/* SPDX-License-Identifier: MIT */
/*
 * The consumer of a channel: who it is, which ring's turn it is, sleeping and
 * waking, splicing. What it does to each ring is the reader's (reader.c). It
 * owns rondo_wait but for the producers' half of the sleep protocol.
 */
#include "consumer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "memory.h"
#include "os.h"
#include "reader.h"
#include "ring.h"
#include "testpoint.h"
#include "walk.h"

#define NS_IN_MS INT64_C(1000000)
/* How often a sleeper looks whether another process still lives. */
#define LIVENESS_NS (1000 * NS_IN_MS)
#define MAX_NAME_TRIES 64

struct rondo_consumer {
	struct rondo_control *control;
	const struct rondo_map *map;
	uint64_t identity; /* as in rondo_wait.consumer */
	int64_t flush_at;  /* monotonic */
	uint32_t pid;
	uint32_t next;	/* ring that is asked first */
	uint32_t woken; /* 1: rondo_consumer_wake was called; any thread */
	bool orphaned;	/* the channel's process is gone */
	bool told_over; /* a wait has said that nothing more will come */
	int pipe[2];	/* for splices to files; -1: none */
	struct rondo_loan *loans; /* of all rings, and so on */
	struct rondo_quarantined *quarantine;
	struct rondo_reader readers[];
};

/* ---- opening, closing ---- */

/* Zeroed; errno stays as it was. */
static void *allocate(size_t count, size_t bytes)
{
	int saved = errno;
	void *at = calloc(count, bytes);

	errno = saved;
	return at;
}

static void free_consumer(struct rondo_consumer *consumer)
{
	for (unsigned i = 0; i < 2; i++)
		if (consumer->pipe[i] >= 0)
			(void)rondo_os_close(consumer->pipe[i]);
	free(consumer->loans);
	free(consumer->quarantine);
	free(consumer);
}

static struct rondo_consumer *allocate_consumer(struct rondo_control *control)
{
	const struct rondo_map *map = &control->map;
	struct rondo_consumer *consumer =
		allocate(1, sizeof(struct rondo_consumer) +
				    (size_t)map->ring_count *
					    sizeof(struct rondo_reader));

	if (!consumer)
		return NULL;
	consumer->pipe[0] = consumer->pipe[1] = -1;
	consumer->loans = allocate((size_t)map->ring_count * map->spares,
				   sizeof(struct rondo_loan));
	consumer->quarantine = allocate((size_t)map->ring_count * map->count,
					sizeof(struct rondo_quarantined));
	if (!consumer->loans || !consumer->quarantine) {
		free_consumer(consumer);
		return NULL;
	}
	consumer->control = control;
	consumer->map = map;
	consumer->flush_at = RONDO_NEVER;
	for (uint32_t i = 0; i < map->ring_count; i++) {
		consumer->readers[i].map = map;
		consumer->readers[i].loans =
			consumer->loans + (size_t)i * map->spares;
		consumer->readers[i].quarantine =
			consumer->quarantine + (size_t)i * map->count;
	}
	return consumer;
}

/* Writes our name where the channel's consumer stands, unless that one lives */
static int become_consumer(struct rondo_consumer *consumer)
{
	uint64_t *word = &consumer->map->wait->consumer, old;
	int tries = MAX_NAME_TRIES;

	consumer->pid = rondo_os_pid();
	consumer->identity = (uint64_t)consumer->pid << 32 |
			     (uint32_t)rondo_os_pid_start(consumer->pid);
	do {
		/* So many rivals have not died: somebody scribbles. */
		if (!tries--)
			return -EPROTO;
		/* pairs(consumer) acquire: what the one before left. */
		old = rondo_load_acquire(word);
		if (rondo_os_lives((uint32_t)(old >> 32), (uint32_t)old))
			return -EBUSY;
		/* pairs(consumer) acquire: one of those who see it dead. */
	} while (!rondo_cas(word, old, consumer->identity));
	return 0;
}

static int adopt_rings(struct rondo_consumer *consumer)
{
	const struct rondo_map *map = consumer->map;
	bool *used = allocate(rondo_map_page_sets(map), sizeof(*used));
	int result = used ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < map->ring_count && !result; i++)
		result = rondo_reader_adopt(&consumer->readers[i], i, used);
	free(used);
	return result;
}

static void step_down(struct rondo_consumer *consumer)
{
	struct rondo_wait *wait = consumer->map->wait;

	rondo_store_relaxed(&wait->sleeping, 0u);
	/* pairs(consumer) release: all that was released, for the next one. */
	(void)rondo_cas(&wait->consumer, consumer->identity, 0);
}

int rondo_consumer_open(struct rondo_channel *channel,
			struct rondo_consumer **out)
{
	struct rondo_control *control = channel->control;
	struct rondo_consumer *consumer;
	int result;

	if (!control || control->forked)
		return -ESHUTDOWN;
	/* pairs(consumer) acquire: the same, within this process. */
	if (!rondo_cas32(&control->consumer_open, 0, 1))
		return -EBUSY;
	consumer = allocate_consumer(control);
	result = consumer ? become_consumer(consumer) : -ENOMEM;
	if (!result) {
		result = adopt_rings(consumer);
		if (result)
			step_down(consumer);
	}
	if (result) {
		if (consumer)
			free_consumer(consumer);
		/* pairs(consumer) release: nothing was left behind. */
		rondo_store_release(&control->consumer_open, 0u);
		return result;
	}
	*out = consumer;
	return 0;
}

int rondo_consumer_close(struct rondo_consumer *consumer)
{
	struct rondo_control *control;
	bool inherited;

	if (!consumer)
		return 0;
	control = consumer->control;
	/* In a child of fork it is its parent's: nothing shared is touched. */
	inherited = consumer->pid != rondo_os_pid();
	for (uint32_t i = 0; i < consumer->map->ring_count; i++)
		rondo_reader_close(&consumer->readers[i], inherited);
	if (!inherited)
		step_down(consumer);
	free_consumer(consumer);
	/* pairs(consumer) release: it is gone before another one opens. */
	rondo_store_release(&control->consumer_open, 0u);
	return 0;
}

/* ---- taking ---- */

/* Of all rings, in turn: the first that has something. */
static int take_any(struct rondo_consumer *consumer, bool over,
		    struct rondo_view *out)
{
	const uint32_t rings = consumer->map->ring_count;
	uint32_t index = consumer->next;
	int result = -ENODATA;

	for (uint32_t i = 0; i < rings; i++) {
		int one =
			rondo_reader_take(&consumer->readers[index], over, out);

		if (++index == rings)
			index = 0;
		if (!one) {
			consumer->next = index;
			return 0;
		}
		if (result == -ENODATA ||
		    (result == -EAGAIN && one != -ENODATA))
			result = one;
	}
	return result;
}

int rondo_consumer_take_ring(struct rondo_consumer *consumer, uint32_t ring,
			     struct rondo_view *out)
{
	return rondo_reader_take(&consumer->readers[ring], true, out);
}

uint64_t rondo_consumer_cursor(const struct rondo_consumer *consumer,
			       uint32_t ring)
{
	return consumer->readers[ring].cursor;
}

/* Whether nothing more will be recorded, as far as is known. */
static bool is_over(const struct rondo_consumer *consumer)
{
	return consumer->control->attached ?
		       consumer->orphaned :
		       !rondo_load_relaxed(&consumer->control->running);
}

int rondo_consumer_take(struct rondo_consumer *consumer, struct rondo_view *out)
{
	/* Before the look: what was recorded until then is seen by it. */
	bool over = is_over(consumer);
	/* Whether another process lives costs more than a look. */
	int result =
		take_any(consumer, over || consumer->control->attached, out);

	if (result != -ENODATA)
		return result;
	if (over)
		return -ENODATA;
	if (!consumer->control->attached ||
	    rondo_memory_creator_lives(consumer->map))
		return -EAGAIN;
	consumer->orphaned = true;
	return take_any(consumer, true, out);
}

int rondo_consumer_release(struct rondo_consumer *consumer,
			   struct rondo_view *view)
{
	uint64_t *released = &consumer->map->wait->released;
	int result;

	if (view->ring >= consumer->map->ring_count)
		return -EINVAL;
	result = rondo_reader_release(&consumer->readers[view->ring], view);
	if (!result)
		rondo_store_relaxed(released, rondo_load_relaxed(released) + 1);
	return result;
}

int rondo_consumer_peek(struct rondo_consumer *consumer, uint32_t ring,
			void *buffer, uint64_t bytes, struct rondo_view *out)
{
	if (ring >= consumer->map->ring_count)
		return -ENOENT;
	if (bytes < consumer->map->subbuf_bytes || (uintptr_t)buffer % 8)
		return -EINVAL;
	return rondo_reader_peek(&consumer->readers[ring], buffer, out);
}

/* ---- sleeping ---- */

/* What a wait looks for. */
struct outlook {
	uint64_t readable;
	int64_t deadline; /* of the stall that ends first */
	bool unfinished;
};

static void look_out(struct rondo_consumer *consumer, struct outlook *out)
{
	struct rondo_survey survey;

	memset(out, 0, sizeof(*out));
	out->deadline = RONDO_NEVER;
	for (uint32_t i = 0; i < consumer->map->ring_count; i++) {
		struct rondo_reader *reader = &consumer->readers[i];

		rondo_reader_look(reader, &survey);
		out->readable += survey.readable;
		out->unfinished |= survey.unfinished;
		if (reader->deadline < out->deadline)
			out->deadline = reader->deadline;
	}
}

static void say_sleeping(struct rondo_wait *wait, uint32_t how)
{
	uint32_t old;

	do
		old = rondo_load_relaxed(&wait->sleeping);
	/* pairs(asleep) release: who wakes us finds the descriptor. */
	while (!rondo_cas32(&wait->sleeping, old, old | how));
	RONDO_TESTPOINT(RONDO_AT_SLEEP);
	/* pairs(asleep) full: who sleeps, before the look at what is there;
	 * who delivers does it the other way round. */
	rondo_fence();
}

static void say_awake(struct rondo_wait *wait)
{
	uint32_t old;

	do
		old = rondo_load_relaxed(&wait->sleeping);
	/* pairs(asleep) release: as good as relaxed; nothing hangs on it. */
	while ((old & RONDO_SLEEP_FUTEX) &&
	       !rondo_cas32(&wait->sleeping, old, old & ~RONDO_SLEEP_FUTEX));
}

/* Closes what has been idle for flush_ms. True: that time has passed. */
static bool flush_idle(struct rondo_consumer *consumer, int64_t now)
{
	const struct rondo_map *map = consumer->map;
	const bool first = consumer->flush_at == RONDO_NEVER;

	if (!map->flush_ms || (!first && now < consumer->flush_at))
		return false;
	consumer->flush_at = now + map->flush_ms * NS_IN_MS;
	for (uint32_t i = 0; i < map->ring_count; i++) {
		struct rondo_reader *reader = &consumer->readers[i];

		if (!first &&
		    rondo_ring_total(reader->ring, RONDO_COUNT_DELIVERED) ==
			    reader->delivered)
			(void)rondo_ring_flush(consumer->control, i);
		reader->delivered =
			rondo_ring_total(reader->ring, RONDO_COUNT_DELIVERED);
	}
	return !first;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Once, so that whoever waits for ever learns it, and does not spin. */
static bool tell_over(struct rondo_consumer *consumer, bool over)
{
	bool news = over && !consumer->told_over;

	consumer->told_over = over;
	return news;
}

/* 1 ready, 0 not, or -EAGAIN: sleep on, until *out_until. */
static int decide(struct rondo_consumer *consumer, uint64_t wanted, int64_t end,
		  int64_t *out_until)
{
	struct outlook outlook;
	bool over = is_over(consumer);
	int64_t now;

	look_out(consumer, &outlook);
	now = rondo_os_monotonic_ns();
	if (outlook.readable >= wanted || now >= outlook.deadline ||
	    (over && outlook.readable) ||
	    tell_over(consumer, over && !outlook.unfinished))
		return 1;
	if (now >= end)
		return outlook.readable != 0;
	*out_until = earlier(end, outlook.deadline);
	if (consumer->flush_at != RONDO_NEVER)
		*out_until = earlier(*out_until, consumer->flush_at);
	if (consumer->control->attached && !consumer->orphaned)
		*out_until = earlier(*out_until, now + LIVENESS_NS);
	return -EAGAIN;
}

/* Until woken or the time until has come. 0 or -EINTR. */
static int sleep_until(struct rondo_consumer *consumer, uint32_t generation,
		       int64_t until)
{
	int64_t now = rondo_os_monotonic_ns(), left = -1; /* for ever */
	int result;

	if (until != RONDO_NEVER)
		left = until > now ? until - now : 0;
	result = rondo_os_futex_wait(&consumer->map->wait->generation,
				     generation, left);
	if (result == -ETIMEDOUT && consumer->control->attached &&
	    !rondo_memory_creator_lives(consumer->map))
		consumer->orphaned = true;
	return result == -EINTR ? -EINTR : 0;
}

int rondo_consumer_wait(struct rondo_consumer *consumer, int64_t timeout_ns)
{
	struct rondo_wait *wait = consumer->map->wait;
	uint64_t wanted = consumer->map->wake_subbufs;
	int64_t now = rondo_os_monotonic_ns();
	int64_t end = RONDO_NEVER, until = RONDO_NEVER;
	int result;

	if (timeout_ns >= 0 && timeout_ns < RONDO_NEVER - now)
		end = now + timeout_ns;
	do {
		/* pairs(asleep) acquire: a wake after this ends the sleep. */
		uint32_t generation = rondo_load_acquire(&wait->generation);

		if (flush_idle(consumer, rondo_os_monotonic_ns()))
			wanted = 1;
		if (timeout_ns)
			say_sleeping(wait, RONDO_SLEEP_FUTEX);
		/* pairs(woken) acquire: after the generation. */
		if (rondo_exchange(&consumer->woken, 0u)) {
			result = 0;
			break;
		}
		result = decide(consumer, wanted, end, &until);
		if (result == -EAGAIN)
			result = sleep_until(consumer, generation, until) ?:
					 -EAGAIN;
	} while (result == -EAGAIN);
	if (timeout_ns)
		say_awake(wait);
	return result;
}

void rondo_consumer_wake(struct rondo_consumer *consumer)
{
	uint32_t *generation = &consumer->map->wait->generation;

	/* pairs(woken) release: before the generation, which ends the sleep. */
	(void)rondo_exchange(&consumer->woken, 1u);
	RONDO_TESTPOINT(RONDO_AT_WAKE);
	/* pairs(asleep) release: whoever reads the new one finds woken set. */
	(void)rondo_add_fetch(generation, 1);
	(void)rondo_os_futex_wake(generation, 1);
}

int rondo_consumer_fd(struct rondo_consumer *consumer)
{
	struct rondo_control *control = consumer->control;
	int fd = rondo_load_relaxed(&control->event_fd);

	if (control->attached)
		return -EOPNOTSUPP;
	if (fd >= 0)
		return fd;
	fd = rondo_os_eventfd();
	if (fd >= 0)
		rondo_store_relaxed(&control->event_fd, fd);
	return fd;
}

int rondo_consumer_arm(struct rondo_consumer *consumer)
{
	const uint64_t one = 1;
	struct outlook outlook;
	uint64_t drained;
	int fd = rondo_consumer_fd(consumer);

	if (fd < 0)
		return fd;
	(void)rondo_os_read(fd, &drained, sizeof(drained));
	say_sleeping(consumer->map->wait, RONDO_SLEEP_POLL);
	look_out(consumer, &outlook);
	if (outlook.readable >= consumer->map->wake_subbufs)
		(void)rondo_os_write(fd, &one, sizeof(one));
	return 0;
}

/* ---- splicing ---- */

/* All bytes, from an offset of a file or, where that is negative, a pipe. */
static int64_t splice_all(int from, int64_t offset, int to, uint64_t bytes)
{
	uint64_t done = 0;

	while (done < bytes) {
		int64_t moved = rondo_os_splice(
			from, offset < 0 ? NULL : &offset, to, bytes - done);

		if (moved == -EINTR)
			continue;
		if (moved < 0)
			return moved;
		if (moved == 0)
			return -EIO;
		done += (uint64_t)moved;
	}
	return (int64_t)done;
}

/* Bytes that an error left in our pipe must not come out with the next view. */
static void close_pipe(struct rondo_consumer *consumer)
{
	for (unsigned i = 0; i < 2; i++) {
		(void)rondo_os_close(consumer->pipe[i]);
		consumer->pipe[i] = -1;
	}
}

static int64_t splice_to_file(struct rondo_consumer *consumer,
			      const struct rondo_view *view, int fd)
{
	int64_t offset = (int64_t)view->offset;
	uint64_t done = 0;

	if (consumer->pipe[0] < 0) {
		int result = rondo_os_pipe(consumer->pipe);

		if (result < 0) {
			consumer->pipe[0] = consumer->pipe[1] = -1;
			return result;
		}
	}
	while (done < view->bytes) {
		int64_t moved = rondo_os_splice(consumer->control->fd, &offset,
						consumer->pipe[1],
						view->bytes - done);

		if (moved == -EINTR)
			continue;
		if (moved > 0)
			done += (uint64_t)moved;
		if (moved > 0)
			moved = splice_all(consumer->pipe[0], -1, fd,
					   (uint64_t)moved);
		else if (moved == 0)
			moved = -EIO;
		if (moved < 0) {
			close_pipe(consumer);
			return moved;
		}
	}
	return (int64_t)done;
}

int64_t rondo_consumer_splice(struct rondo_consumer *consumer,
			      const struct rondo_view *view, int fd)
{
	if (view->offset == UINT64_MAX)
		return -EINVAL;
	if (rondo_os_is_pipe(fd))
		return splice_all(consumer->control->fd, (int64_t)view->offset,
				  fd, view->bytes);
	return splice_to_file(consumer, view, fd);
}

/* ---- walking a view ---- */

int rondo_view_next(const struct rondo_view *view, struct rondo_item *item)
{
	const uint64_t end = rondo_align(view->content, 8);
	struct rondo_found found;
	struct rondo_walk walk;
	int result;

	rondo_walk_begin(&walk, view->data,
			 end < view->bytes ? end : view->bytes,
			 (uint32_t)view->header_bytes_, view->time_begin);
	walk.end_time = view->time_end;
	if (item->next_) {
		walk.offset = item->next_;
		walk.previous_time = item->reserved_[0];
	}
	while ((result = rondo_walk_next(&walk, &found)) > 0) {
		if (found.gap || found.open) {
			item->skipped += found.next - found.offset;
			continue;
		}
		item->time = found.time;
		item->data = view->data + found.payload;
		item->bytes = found.bytes;
		item->id = found.id;
		break;
	}
	item->skipped += walk.skipped;
	item->next_ = walk.offset;
	item->reserved_[0] = walk.previous_time;
	return result;
}
