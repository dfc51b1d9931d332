/* SPDX-License-Identifier: MIT */
/*
 * A build without queue_rte.c. See queue.h.
 */
#include "queue.h"

const struct queue queue_rte = {.missing = "built without libdpdk-dev"};
