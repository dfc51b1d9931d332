/* SPDX-License-Identifier: MIT */
/*
 * The stack of our own: see stack.h. A child of fork begins it anew, whoever
 * was on it in its parent.
 */
#include <stddef.h>
#include <ucontext.h>

#include "stack.h"

#define STACK_BYTES ((size_t)64 << 10)

static struct {
	ucontext_t caller, own;
	char bytes[STACK_BYTES] __attribute__((aligned(4096)));
} stack;

void stack_call(void (*function)(void))
{
	getcontext(&stack.own);
	stack.own.uc_stack.ss_sp = stack.bytes;
	stack.own.uc_stack.ss_size = sizeof(stack.bytes);
	stack.own.uc_link = &stack.caller;
	makecontext(&stack.own, function, 0);
	swapcontext(&stack.caller, &stack.own);
}
