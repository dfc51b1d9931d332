/* SPDX-License-Identifier: MIT */
/*
 * A stack of our own. The one that a thread is on when it first allocates, or
 * ends the process, may be a handler's alternate stack or the smallest that a
 * thread can have: enough for the program, not for opening or closing a trace.
 */
#ifndef ALLOC_TRACE_STACK_H
#define ALLOC_TRACE_STACK_H

/*
 * Calls function there. There is one stack: who calls holds the session's lock
 * and blocks signals.
 */
void stack_call(void (*function)(void));

#endif
