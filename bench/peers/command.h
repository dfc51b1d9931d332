/* SPDX-License-Identifier: MIT */
/*
 * Running other programs.
 */
#ifndef RONDO_BENCH_PEERS_COMMAND_H
#define RONDO_BENCH_PEERS_COMMAND_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

/* Whether PATH has it. */
bool command_exists(const char *name);

/*
 * Starts argv[0], found by PATH, on all CPUs, no signal blocked; it ends when
 * this thread does. Its output goes to the descriptor. The process, or -1.
 */
pid_t command_start(const char *const *argv, int output);

/* Its exit status; 1 when a signal ended it. */
int command_wait(pid_t process);

/* Runs it to its end, output to the file, appended. Its exit status. */
int command_run(const char *const *argv, const char *output);

/* Runs it, its standard output a stream; NULL: it did not start. */
FILE *command_read(const char *const *argv, pid_t *out_process);

/* A directory and all that is in it. */
void command_remove(const char *directory);

#endif
