/* SPDX-License-Identifier: MIT */
/*
 * Floors, and recording as the public headers inline it. See operations.h.
 */
#include "operations.h"

#include <rondo/producer.h>

struct operations_place operations;

static uint64_t floor_position;
static uint64_t ticks_seen;

/* The clock as the record path reads it: not ordered. */
static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t now;

	__asm__ __volatile__("mrs %0, cntvct_el0" : "=r"(now));
	return now;
#else
	return bench_now_ns();
#endif
}

BENCH_OP void operation_empty(uint64_t a, uint64_t b)
{
	__asm__ __volatile__("" : : "r"(a), "r"(b));
}

BENCH_OP void operation_ticks(uint64_t a, uint64_t b)
{
	(void)a, (void)b;
	ticks_seen = ticks();
}

static inline __attribute__((always_inline)) void
floor_record(unsigned words, uint64_t a, uint64_t b)
{
	const uint64_t position = floor_position;
	const uint64_t now = ticks();
	uint64_t *to =
		(uint64_t *)(void *)(operations.floor +
				     (position & (OPERATIONS_FLOOR_BYTES - 1)));

	to[0] = now << 32 | words;
	operations_fill(to + 1, words, a, b);
	floor_position = position + 8 * (1 + words);
}

BENCH_OP void operation_floor16(uint64_t a, uint64_t b)
{
	floor_record(2, a, b);
}

BENCH_OP void operation_floor64(uint64_t a, uint64_t b)
{
	floor_record(8, a, b);
}

BENCH_OP void operation_floor256(uint64_t a, uint64_t b)
{
	floor_record(32, a, b);
}

BENCH_OP void operation_alone_empty(uint64_t a, uint64_t b)
{
	operations_alone();
	__asm__ __volatile__("" : : "r"(a), "r"(b));
}

BENCH_OP void operation_alone_floor16(uint64_t a, uint64_t b)
{
	operations_alone();
	floor_record(2, a, b);
}

static inline __attribute__((always_inline)) void
record(struct rondo_channel *channel, uint16_t id, unsigned words, uint64_t a,
       uint64_t b)
{
	struct rondo_record record;

	if (rondo_reserve(channel, id, 8 * words, &record))
		return;
	operations_fill((uint64_t *)record.data, words, a, b);
	rondo_commit(&record);
}

BENCH_OP void operation_record16(uint64_t a, uint64_t b)
{
	record(operations.ring, operations.id16, 2, a, b);
}

BENCH_OP void operation_alone_record16(uint64_t a, uint64_t b)
{
	operations_alone();
	record(operations.ring, operations.id16, 2, a, b);
}

BENCH_OP void operation_record64(uint64_t a, uint64_t b)
{
	record(operations.ring, operations.id64, 8, a, b);
}

BENCH_OP void operation_record256(uint64_t a, uint64_t b)
{
	record(operations.ring, operations.id256, 32, a, b);
}

BENCH_OP void operation_atomic16(uint64_t a, uint64_t b)
{
	record(operations.atomic, operations.id16, 2, a, b);
}

BENCH_OP void operation_large16(uint64_t a, uint64_t b)
{
	record(operations.large, operations.id16, 2, a, b);
}

BENCH_OP void operation_monotonic16(uint64_t a, uint64_t b)
{
	record(operations.monotonic, operations.id16, 2, a, b);
}

/* A large record of which little is written: the crossing, not the copy. */
BENCH_OP void operation_crossing(uint64_t a, uint64_t b)
{
	struct rondo_record record;

	if (rondo_reserve(operations.crossing, operations.id2032, 2032,
			  &record))
		return;
	operations_fill((uint64_t *)record.data, 2, a, b);
	rondo_commit(&record);
}

BENCH_OP void operation_squash16(uint64_t a, uint64_t b)
{
	struct rondo_record record;

	if (rondo_reserve(operations.ring, operations.id16, 16, &record))
		return;
	operations_fill((uint64_t *)record.data, 2, a, b);
	rondo_commit(&record);
	rondo_squash(operations.ring, rondo_mark(&record));
}

BENCH_OP void operation_full16(uint64_t a, uint64_t b)
{
	record(operations.full, operations.id16, 2, a, b);
}

BENCH_OP void operation_stopped16(uint64_t a, uint64_t b)
{
	record(operations.stopped, operations.id16, 2, a, b);
}

BENCH_OP void operation_write16(uint64_t a, uint64_t b)
{
	uint64_t data[2];

	operations_fill(data, 2, a, b);
	rondo_write(operations.ring, operations.id16, data, sizeof(data));
}

BENCH_OP void operation_write64(uint64_t a, uint64_t b)
{
	uint64_t data[8];

	operations_fill(data, 8, a, b);
	rondo_write(operations.ring, operations.id64, data, sizeof(data));
}

BENCH_OP void operation_writev1(uint64_t a, uint64_t b)
{
	uint64_t data[8];
	const struct iovec pieces[1] = {{data, 64}};

	operations_fill(data, 8, a, b);
	rondo_writev(operations.ring, operations.id64, pieces, 1);
}

BENCH_OP void operation_writev2(uint64_t a, uint64_t b)
{
	uint64_t data[8];
	const struct iovec pieces[2] = {{data, 32}, {data + 4, 32}};

	operations_fill(data, 8, a, b);
	rondo_writev(operations.ring, operations.id64, pieces, 2);
}

BENCH_OP void operation_writev4(uint64_t a, uint64_t b)
{
	uint64_t data[8];
	const struct iovec pieces[4] = {
		{data, 16},
		{data + 2, 16},
		{data + 4, 16},
		{data + 6, 16},
	};

	operations_fill(data, 8, a, b);
	rondo_writev(operations.ring, operations.id64, pieces, 4);
}
