/* SPDX-License-Identifier: MIT */
// The same by the exported functions, as other languages call them.
#define RONDO_NO_INLINE 1

#include "test_cxx.cpp"
