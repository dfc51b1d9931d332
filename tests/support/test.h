/* SPDX-License-Identifier: MIT */
/*
 * cmocka and what it wants to be included before it.
 */
#ifndef RONDO_TESTS_SUPPORT_TEST_H
#define RONDO_TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TEST_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
