# SPDX-License-Identifier: MIT
# call_stack.sh PROGRAM: a snapshot of the ring is the program's call stack.
. "$(dirname "$0")/../tests/example/trace.sh"
program=$1

# Entries whose returns are not recorded, by time.
replay='
/ stack:entry: / || / stack:return: / {
	name = $0
	sub(/.*name = "/, "", name)
	sub(/".*/, "", name)
	if (/ stack:entry: /)
		stack[top++] = name
	else if (stack[--top] != name)
		exit 1
}
END { for (i = 0; i < top; i++) print stack[i] }'

a_snapshot_of_the_ring_is_the_call_stack()
{
	"$program" "$scratch/stack" >"$scratch/expected"
	babeltrace2 "$scratch/stack" >"$scratch/text"
	awk "$replay" "$scratch/text" >"$scratch/found"
	[ "$(wc -l <"$scratch/expected")" -eq 12 ]
	diff "$scratch/expected" "$scratch/found"
}

calls_that_returned_leave_nothing_behind()
{
	# 2100 calls returned; few of them met a switch or another CPU.
	[ "$(wc -l <"$scratch/text")" -lt 1000 ]
}

check a_snapshot_of_the_ring_is_the_call_stack
check calls_that_returned_leave_nothing_behind
finish
