/* SPDX-License-Identifier: MIT */
/*
 * Named places at which the tests of the perf-style buffer interrupt it. In a
 * benchmark there is nothing.
 */
#ifndef RONDO_BENCH_PERF_RING_POINT_H
#define RONDO_BENCH_PERF_RING_POINT_H

enum perf_point {
	PERF_AT_BEGIN,	   /* counted as open (plain, locked) */
	PERF_AT_HEAD_READ, /* head read, not moved */
	PERF_AT_RESERVED,  /* head moved, nothing written */
	PERF_AT_FILLED,	   /* record written, still open */
	PERF_AT_HEAD_SEEN, /* end: head read, not published */
	PERF_AT_PUBLISHED, /* data_head stored, still open */
	PERF_AT_LEFT,	   /* no more open, not checked again */
	PERF_AT_SLOW_END,  /* one word: head read by the slow path */
	PERF_AT_LATE,	   /* rseq: about to end off the CPU */
	PERF_AT_SETTLE,	   /* rseq: about to look whether all have ended */
	PERF_AT_REFUSE,	   /* no room, not counted */
	PERF_AT_LOST_SEEN, /* there are lost ones to report, not taken */
	PERF_AT_WAKE,	   /* published, about to wake */
	PERF_POINTS_COUNT,
};

#ifdef PERF_RING_TESTPOINTS
extern void (*perf_point_hook)(enum perf_point at);

#define PERF_POINT(at)                       \
	do {                                 \
		if (perf_point_hook)         \
			perf_point_hook(at); \
	} while (0)
#else
#define PERF_POINT(at) ((void)0)
#endif

#endif
