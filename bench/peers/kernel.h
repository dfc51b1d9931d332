/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own rings as peers: records that a BPF program makes, run again
 * and again by BPF_PROG_TEST_RUN, so that no system call is counted with each.
 */
#ifndef RONDO_BENCH_PEERS_KERNEL_H
#define RONDO_BENCH_PEERS_KERNEL_H

#include <stdint.h>

#include "../harness.h"

enum kernel_ring {
	KERNEL_PERF,	/* perf's ring, by bpf_perf_event_output */
	KERNEL_RINGBUF, /* BPF's ring buffer, by bpf_ringbuf_output */
	KERNEL_RINGS
};

/* Opens both on a CPU, as far as the kernel lets us. */
void kernel_open(int cpu);
void kernel_close(void);

/* Why there is no such ring, or NULL. */
const char *kernel_missing(enum kernel_ring which);

/* bench_samples: ns a record, of a burst; it is read afterwards. */
double kernel_sample_perf(struct bench_case *one);
double kernel_sample_ringbuf(struct bench_case *one);

/* Whether each call's record was found. 0, or an exit status. */
int kernel_check(enum kernel_ring which, const struct bench_case *one);

#endif
