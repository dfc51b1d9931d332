# SPDX-License-Identifier: MIT
# hello.sh PROGRAM: the trace has the one record, and babeltrace2 no complaint.
. "$(dirname "$0")/../tests/example/trace.sh"
program=$1

hello_writes_the_record_of_the_readme()
{
	"$program" "$scratch/trace"
	events "$scratch/trace" >"$scratch/text"
	[ "$(wc -l <"$scratch/text")" -eq 1 ]
	grep -q 'app:alloc: .*size = 100, ptr = 0x1234 }' "$scratch/text"
}

hello_says_what_is_wrong()
{
	if "$program" /dev/null/trace 2>"$scratch/errors"; then
		exit 1
	fi
	grep -q '^hello: Not a directory' "$scratch/errors"
}

check hello_writes_the_record_of_the_readme
check hello_says_what_is_wrong
finish
