/* SPDX-License-Identifier: MIT */
/*
 * A build without queue_ck.c. See queue.h.
 */
#include "queue.h"

const struct queue queue_ck = {.missing = "built without libck-dev"};
