/* SPDX-License-Identifier: MIT */
/*
 * Floors, and recording as the public headers inline it. See operations.h.
 */
#include "operations.h"

struct operations_place operations;

static uint64_t ticks_seen;

BENCH_OP void operation_empty(uint64_t a, uint64_t b)
{
	__asm__ __volatile__("" : : "r"(a), "r"(b));
}

BENCH_OP void operation_ticks(uint64_t a, uint64_t b)
{
	(void)a, (void)b;
	ticks_seen = bench_ticks();
}

BENCH_OP void operation_floor16(uint64_t a, uint64_t b)
{
	bench_floor_record(&operations.floor, 2, a, b);
}

BENCH_OP void operation_floor64(uint64_t a, uint64_t b)
{
	bench_floor_record(&operations.floor, 8, a, b);
}

BENCH_OP void operation_floor256(uint64_t a, uint64_t b)
{
	bench_floor_record(&operations.floor, 32, a, b);
}

BENCH_OP void operation_alone_empty(uint64_t a, uint64_t b)
{
	bench_fence();
	__asm__ __volatile__("" : : "r"(a), "r"(b));
}

BENCH_OP void operation_alone_floor16(uint64_t a, uint64_t b)
{
	bench_fence();
	bench_floor_record(&operations.floor, 2, a, b);
}

BENCH_INLINE void record(struct rondo_channel *channel, uint16_t id,
			 unsigned words, uint64_t a, uint64_t b)
{
	struct rondo_record record;

	if (rondo_reserve(channel, id, 8 * words, &record))
		return;
	bench_fill((uint64_t *)record.data, words, a, b);
	rondo_commit(&record);
}

BENCH_OP void operation_record16(uint64_t a, uint64_t b)
{
	record(operations.ring, operations.id16, 2, a, b);
}

BENCH_OP void operation_alone_record16(uint64_t a, uint64_t b)
{
	bench_fence();
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
	bench_fill((uint64_t *)record.data, 2, a, b);
	rondo_commit(&record);
}

BENCH_OP void operation_squash16(uint64_t a, uint64_t b)
{
	struct rondo_record record;

	if (rondo_reserve(operations.ring, operations.id16, 16, &record))
		return;
	bench_fill((uint64_t *)record.data, 2, a, b);
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

	bench_fill(data, 2, a, b);
	rondo_write(operations.ring, operations.id16, data, sizeof(data));
}

BENCH_OP void operation_write64(uint64_t a, uint64_t b)
{
	uint64_t data[8];

	bench_fill(data, 8, a, b);
	rondo_write(operations.ring, operations.id64, data, sizeof(data));
}

BENCH_OP void operation_writev1(uint64_t a, uint64_t b)
{
	uint64_t data[8];
	const struct iovec pieces[1] = {{data, 64}};

	bench_fill(data, 8, a, b);
	rondo_writev(operations.ring, operations.id64, pieces, 1);
}

BENCH_OP void operation_writev2(uint64_t a, uint64_t b)
{
	uint64_t data[8];
	const struct iovec pieces[2] = {{data, 32}, {data + 4, 32}};

	bench_fill(data, 8, a, b);
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

	bench_fill(data, 8, a, b);
	rondo_writev(operations.ring, operations.id64, pieces, 4);
}
