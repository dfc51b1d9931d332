/* SPDX-License-Identifier: MIT */
/*
 * A session daemon of LTTng that is ours alone.
 */
#ifndef RONDO_BENCH_PEERS_LTTNG_DAEMON_H
#define RONDO_BENCH_PEERS_LTTNG_DAEMON_H

/* Its home, made by lttng_enter; output of commands goes to "log" in it. */
const char *lttng_home(void);

#endif
