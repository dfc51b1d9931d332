# SPDX-License-Identifier: MIT
# Sourced by the tests of the examples: check SENTENCE runs the function of that
# name, "finish" ends the script. $scratch is a folder that is removed.
set -u
export LC_ALL=C
unset RONDO_TRACE RONDO_TRACE_SUBBUFS RONDO_TRACE_SUBBUF_KIB ALLOC_COUNT
command -v babeltrace2 >/dev/null || { echo "babeltrace2 is missing"; exit 77; }
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM
failures=0

# Not "if check": there -e means nothing.
check()
{
	(set -ex; "$1") >"$scratch/log" 2>&1
	if [ $? -eq 0 ]; then
		echo "[       OK ] $1"
	else
		tail -n 40 "$scratch/log"
		echo "[  FAILED  ] $1"
		failures=$((failures + 1))
	fi
}

finish()
{
	exit $((failures > 0))
}

# events DIRECTORY...: the records as text, by time; babeltrace2 may have
# nothing to say.
events()
{
	babeltrace2 "$@" 2>"$scratch/complaints"
	cat "$scratch/complaints" >&2
	[ ! -s "$scratch/complaints" ]
}

# value NAME: of each record on the input, the value of that field.
value()
{
	sed -n "s/.*[{ ]$1 = \([^ ,]*\).*/\1/p"
}
