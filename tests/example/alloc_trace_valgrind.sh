# SPDX-License-Identifier: MIT
# alloc_trace_valgrind.sh LIBALLOC_TRACE VICTIM: valgrind's count of a run, and
# that of the records of another run of the same program, are equal.
. "$(dirname "$0")/trace.sh"
tracer=$(realpath "$1")
victim=$(realpath "$2")
command -v valgrind >/dev/null || { echo "valgrind is missing"; exit 77; }

# agree PROGRAM...: whose environment does not change what it allocates.
agree()
{
	valgrind --run-libc-freeres=no "$@" 2>"$scratch/said" >/dev/null
	sed -n 's/.*total heap usage: \([0-9,]*\) allocs, \([0-9,]*\) frees.*/\1 \2/p' \
		"$scratch/said" | tr -d , >"$scratch/expected"
	rm -rf "$scratch/trace"
	RONDO_TRACE=$scratch/trace LD_PRELOAD=$tracer "$@" >/dev/null
	events "$scratch/trace" >"$scratch/text"
	# As valgrind counts: a realloc is one of each, free(NULL) is neither.
	awk '
		/ alloc_trace:(module|skipped): / { next }
		/ alloc_trace:free: / { if (!/ptr = 0x0,/) frees++; next }
		/ alloc_trace:realloc_begin: / { frees++; next }
		{ allocs++ }
		END { print allocs + 0, frees + 0 }' "$scratch/text" \
		>"$scratch/recorded"
	[ -s "$scratch/expected" ]
	diff "$scratch/expected" "$scratch/recorded"
}

valgrind_counts_what_is_recorded_of_a_small_program()
{
	agree "$victim" plain
}

valgrind_counts_what_is_recorded_of_real_programs()
{
	seq 1 2000 | sort -r >"$scratch/input"
	agree sort "$scratch/input"
	agree sed s/1/2/ "$scratch/input"
	agree grep -c '1[0-5]*' "$scratch/input"
}

check valgrind_counts_what_is_recorded_of_a_small_program
check valgrind_counts_what_is_recorded_of_real_programs
finish
