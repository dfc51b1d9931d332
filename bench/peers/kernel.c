/* SPDX-License-Identifier: MIT */
/*
 * See kernel.h. The programs are written in instructions, so that no compiler
 * for BPF is needed; what they record is a word and the same with BENCH_MIX,
 * the time in front of it.
 */
#include "kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BURST 1000u /* short: a host preempts for milliseconds */
#define RING_BYTES (2u << 20)
#define RING_PAGES (RING_BYTES / 4096)
#define NAME_BYTES 160

/* clang-format off */
#define I(o, d, s, f, i) ((struct bpf_insn){ \
	.code = (o), .dst_reg = (d), .src_reg = (s), .off = (f), .imm = (i)})
#define MOV(d, s) I(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define SET(d, i) I(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define SET32(d, i) I(BPF_ALU | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADD(d, i) I(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define XOR(d, i) I(BPF_ALU64 | BPF_XOR | BPF_K, d, 0, 0, i)
#define STORE(f, s) I(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, s, f, 0)
#define MAP(d, fd) I(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_FD, 0, fd), \
	I(0, 0, 0, 0, 0)
#define CALL(i) I(BPF_JMP | BPF_CALL, 0, 0, 0, i)
#define EXIT I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
/* clang-format on */

struct ring {
	char missing[NAME_BYTES];
	int map;
	int program;
	uint64_t found;
	uint64_t wrong;
	uint64_t lost;
};

static struct ring rings[KERNEL_RINGS] = {
	{.map = -1, .program = -1},
	{.map = -1, .program = -1},
};
static struct perf_buffer *perf;
static struct ring_buffer *ringbuf;

static void note_missing(struct ring *ring, const char *what)
{
	snprintf(ring->missing, sizeof(ring->missing), "%s: %s", what,
		 strerror(errno));
}

static void look(struct ring *ring, const uint64_t *word)
{
	ring->found++;
	ring->wrong += word[1] != (word[0] ^ BENCH_MIX);
}

/* ---- perf ---- */

/* The kernel puts the time before it. */
static int load_perf(int map)
{
	const struct bpf_insn program[] = {
		SET(BPF_REG_2, 1),
		STORE(-16, BPF_REG_2),
		XOR(BPF_REG_2, BENCH_MIX),
		STORE(-8, BPF_REG_2),
		MAP(BPF_REG_2, map),
		SET32(BPF_REG_3, -1), /* BPF_F_CURRENT_CPU */
		MOV(BPF_REG_4, BPF_REG_10),
		ADD(BPF_REG_4, -16),
		SET(BPF_REG_5, 16),
		CALL(BPF_FUNC_perf_event_output),
		SET(BPF_REG_0, 0),
		EXIT,
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "bench_perf", "GPL",
			     program, sizeof(program) / sizeof(program[0]),
			     NULL);
}

/* struct { header; u64 time; u32 size; char data[size]; } */
static enum bpf_perf_event_ret read_perf(void *context, int cpu,
					 struct perf_event_header *header)
{
	struct ring *ring = context;
	uint64_t word[2];

	(void)cpu;
	if (header->type == PERF_RECORD_SAMPLE && header->size >= 36) {
		memcpy(word, (const char *)header + 20, sizeof(word));
		look(ring, word);
	} else {
		ring->lost++;
	}
	return LIBBPF_PERF_EVENT_CONT;
}

static bool open_perf_buffer(struct ring *ring, int cpu)
{
	struct perf_event_attr attributes = {
		.size = sizeof(attributes),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.sample_type = PERF_SAMPLE_RAW | PERF_SAMPLE_TIME,
		.sample_period = 1,
		.watermark = 1,
		.wakeup_watermark = RING_BYTES,
	};
	int key = cpu;
	LIBBPF_OPTS(perf_buffer_raw_opts, options, .cpu_cnt = 1, .cpus = &cpu,
		    .map_keys = &key);

	perf = perf_buffer__new_raw(ring->map, RING_PAGES, &attributes,
				    read_perf, ring, &options);
	if (!perf)
		note_missing(ring, "perf_event_open");
	return perf != NULL;
}

static void open_perf(struct ring *ring, int cpu)
{
	ring->map = bpf_map_create(BPF_MAP_TYPE_PERF_EVENT_ARRAY, "bench_perf",
				   sizeof(int), sizeof(int),
				   (uint32_t)libbpf_num_possible_cpus(), NULL);
	if (ring->map < 0) {
		note_missing(ring, "bpf(BPF_MAP_CREATE)");
		return;
	}
	if (!open_perf_buffer(ring, cpu))
		return;
	ring->program = load_perf(ring->map);
	if (ring->program < 0)
		note_missing(ring, "bpf(BPF_PROG_LOAD)");
}

/* ---- the BPF ring buffer ---- */

/* It has no time of its own: the program puts it there. */
static int load_ringbuf(int map)
{
	const struct bpf_insn program[] = {
		CALL(BPF_FUNC_ktime_get_ns),
		STORE(-24, BPF_REG_0),
		STORE(-16, BPF_REG_0),
		XOR(BPF_REG_0, BENCH_MIX),
		STORE(-8, BPF_REG_0),
		MAP(BPF_REG_1, map),
		MOV(BPF_REG_2, BPF_REG_10),
		ADD(BPF_REG_2, -24),
		SET(BPF_REG_3, 24),
		SET(BPF_REG_4, BPF_RB_NO_WAKEUP),
		CALL(BPF_FUNC_ringbuf_output),
		SET(BPF_REG_0, 0),
		EXIT,
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "bench_ringbuf", "GPL",
			     program, sizeof(program) / sizeof(program[0]),
			     NULL);
}

static int read_ringbuf(void *context, void *data, size_t bytes)
{
	struct ring *ring = context;
	const uint64_t *word = data;

	if (bytes == 24)
		look(ring, word + 1);
	else
		ring->wrong++;
	return 0;
}

static void open_ringbuf(struct ring *ring)
{
	ring->map = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "bench_ringbuf", 0, 0,
				   RING_BYTES, NULL);
	if (ring->map < 0) {
		note_missing(ring, "bpf(BPF_MAP_CREATE)");
		return;
	}
	ringbuf = ring_buffer__new(ring->map, read_ringbuf, ring, NULL);
	ring->program = ringbuf ? load_ringbuf(ring->map) : -1;
	if (ring->program < 0)
		note_missing(ring, ringbuf ? "bpf(BPF_PROG_LOAD)" :
					     "ring_buffer__new");
}

/* ---- both ---- */

static int run(struct ring *ring, uint32_t times)
{
	char packet[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet,
		    .data_size_in = sizeof(packet), .repeat = (int)times);

	return bpf_prog_test_run_opts(ring->program, &options);
}

static int say_nothing(enum libbpf_print_level level, const char *format,
		       va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

void kernel_open(int cpu)
{
	libbpf_set_print(say_nothing);
	open_perf(&rings[KERNEL_PERF], cpu);
	open_ringbuf(&rings[KERNEL_RINGBUF]);
	for (size_t i = 0; i < KERNEL_RINGS; i++)
		if (!*rings[i].missing && run(&rings[i], 0))
			note_missing(&rings[i], "bpf(BPF_PROG_TEST_RUN)");
	if (perf)
		perf_buffer__consume(perf);
	if (ringbuf)
		ring_buffer__consume(ringbuf);
	for (size_t i = 0; i < KERNEL_RINGS; i++)
		rings[i].found = rings[i].wrong = rings[i].lost = 0;
}

void kernel_close(void)
{
	perf_buffer__free(perf);
	ring_buffer__free(ringbuf);
	for (size_t i = 0; i < KERNEL_RINGS; i++) {
		if (rings[i].program >= 0)
			close(rings[i].program);
		if (rings[i].map >= 0)
			close(rings[i].map);
	}
}

const char *kernel_missing(enum kernel_ring which)
{
	return *rings[which].missing ? rings[which].missing : NULL;
}

static double sample(struct ring *ring, struct bench_case *one)
{
	const uint64_t began = bench_now_ns();
	uint64_t ended;

	if (run(ring, BURST))
		ring->wrong++;
	ended = bench_now_ns();
	one->calls += BURST;
	return (double)(ended - began) / BURST;
}

double kernel_sample_perf(struct bench_case *one)
{
	double ns = sample(&rings[KERNEL_PERF], one);

	perf_buffer__consume(perf);
	return ns;
}

double kernel_sample_ringbuf(struct bench_case *one)
{
	double ns = sample(&rings[KERNEL_RINGBUF], one);

	ring_buffer__consume(ringbuf);
	return ns;
}

int kernel_check(enum kernel_ring which, const struct bench_case *one)
{
	const struct ring *ring = &rings[which];

	if (!ring->wrong && !ring->lost && ring->found == one->calls)
		return 0;
	return bench_fail("%s: %" PRIu64 " records of %" PRIu64 ", %" PRIu64
			  " wrong, %" PRIu64 " lost",
			  one->name, ring->found, one->calls, ring->wrong,
			  ring->lost);
}
