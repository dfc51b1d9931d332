#!/bin/sh
# SPDX-License-Identifier: MIT
# What the shared library must be so that programs can load it at any time and
# record in any thread. Usage: test_shared_object.sh LIBRARY
set -u
library=$1
wrong=0

# must_not TEXT PATTERN OPTION: readelf OPTION says nothing like PATTERN.
must_not()
{
	if readelf -W "$3" "$library" | grep -Eq "$2"; then
		echo "$library: $1"
		readelf -W "$3" "$library" | grep -E "$2"
		wrong=1
	fi
}

must()
{
	if ! readelf -W "$3" "$library" | grep -Eq "$2"; then
		echo "$library: $1"
		wrong=1
	fi
}

# I-quiet: a first access to thread-local memory of a library may allocate.
must_not 'has thread-local variables of its own' '^ *TLS ' -l
# A thread's rseq_cs may point into the text long after the last call.
must 'can be unloaded' 'NODELETE' -d
must_not 'has an executable stack' 'GNU_STACK.* RWE ' -l
must_not 'has text relocations' 'TEXTREL' -d
exit $wrong
