/* SPDX-License-Identifier: MIT */
/*
 * Whether rseq does what it promises here: kernels have shipped on which a
 * preempted sequence went on.
 */
#ifndef RONDO_LIB_SELF_TEST_H
#define RONDO_LIB_SELF_TEST_H

#include <stdbool.h>
#include <stdint.h>

/* enum rondo_mode_reason: RONDO_MODE_RSEQ when sequences may be used by this
 * process, else why not. Tested once; leaves no thread, mask or handler. */
uint32_t rondo_self_test(void);

#endif
