/* SPDX-License-Identifier: MIT */
/*
 * Recording through the functions of the shared library, as dlsym and other
 * languages do. See operations.h; operations_inline.c has the same, inlined.
 */
#define RONDO_NO_INLINE 1

#include "operations.h"

BENCH_INLINE void record(struct rondo_channel *channel, uint16_t id,
			 unsigned words, uint64_t a, uint64_t b)
{
	struct rondo_record record;

	if (rondo_reserve(channel, id, 8 * words, &record))
		return;
	bench_fill((uint64_t *)record.data, words, a, b);
	rondo_commit(&record);
}

BENCH_OP void operation_call_record16(uint64_t a, uint64_t b)
{
	record(operations.ring, operations.id16, 2, a, b);
}

BENCH_OP void operation_alone_call_record16(uint64_t a, uint64_t b)
{
	bench_fence();
	record(operations.ring, operations.id16, 2, a, b);
}

BENCH_OP void operation_call_record64(uint64_t a, uint64_t b)
{
	record(operations.ring, operations.id64, 8, a, b);
}

BENCH_OP void operation_call_record256(uint64_t a, uint64_t b)
{
	record(operations.ring, operations.id256, 32, a, b);
}

BENCH_OP void operation_call_atomic16(uint64_t a, uint64_t b)
{
	record(operations.atomic, operations.id16, 2, a, b);
}

BENCH_OP void operation_call_full16(uint64_t a, uint64_t b)
{
	record(operations.full, operations.id16, 2, a, b);
}

BENCH_OP void operation_call_stopped16(uint64_t a, uint64_t b)
{
	record(operations.stopped, operations.id16, 2, a, b);
}

BENCH_OP void operation_call_write16(uint64_t a, uint64_t b)
{
	uint64_t data[2];

	bench_fill(data, 2, a, b);
	rondo_write(operations.ring, operations.id16, data, sizeof(data));
}

BENCH_OP void operation_call_write64(uint64_t a, uint64_t b)
{
	uint64_t data[8];

	bench_fill(data, 8, a, b);
	rondo_write(operations.ring, operations.id64, data, sizeof(data));
}

BENCH_OP void operation_call_writev1(uint64_t a, uint64_t b)
{
	uint64_t data[8];
	const struct iovec pieces[1] = {{data, 64}};

	bench_fill(data, 8, a, b);
	rondo_writev(operations.ring, operations.id64, pieces, 1);
}

BENCH_OP void operation_call_writev2(uint64_t a, uint64_t b)
{
	uint64_t data[8];
	const struct iovec pieces[2] = {{data, 32}, {data + 4, 32}};

	bench_fill(data, 8, a, b);
	rondo_writev(operations.ring, operations.id64, pieces, 2);
}

BENCH_OP void operation_call_writev4(uint64_t a, uint64_t b)
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
