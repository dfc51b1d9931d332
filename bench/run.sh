#!/bin/sh
# SPDX-License-Identifier: MIT
# What recording costs, here and on the same work elsewhere: all benchmarks,
# each target met or missed, in one command: sh bench/run.sh
# Results are left in build/bench-results (or $RONDO_BUILD/bench-results).

set -u
cd "$(dirname "$0")/.." || exit 1
root=$(pwd)
# As in tests/run.sh: what is measured is not what somebody tries elsewhere.
build=${RONDO_BUILD:-$root/build}
unset RONDO_RSEQ RONDO_BUILD
export LC_ALL=C

. tools/packages.sh

# The table of bench/meson.build and of its folders, in its order.
programs=$(sed -n "s/^ *'\([a-z_]*\)': {\$/\1/p" bench/meson.build \
	bench/*/meson.build | tr '\n' ' ')
limit=900 # seconds; no program takes nearly as long

usage()
{
	echo "usage: sh bench/run.sh [--short] [--only NAME...]"
}

help()
{
	usage
	cat <<EOF
Builds the benchmarks, runs each, and shows what rondo costs, what others cost,
and which targets are met.

  --short      few repetitions: shows that it works, not what it costs
  --only NAME  these programs and no others
  --help       prints this

Programs: $programs
Results are left in build/bench-results: results.json, pictures (SVG), and of
each program what it wrote. Run nothing else meanwhile. As root it installs
what is missing; what peers need and cannot be had is named and left out.
Exit status: 0 measured, whatever the figures are; 1 something failed; 2 wrong
arguments.
EOF
}

wrong()
{
	[ $# -eq 0 ] || echo "$1" >&2
	usage >&2
	exit 2
}

# ---- options ----

short=
chosen=
only=false
for word; do
	case $word in
	--short) short=--short only=false ;;
	--only) only=true ;;
	-h | --help) help; exit 0 ;;
	-*) wrong "unknown option: $word" ;;
	*)
		$only || wrong "unexpected: $word"
		case " $programs " in
		*" $word "*) ;;
		*) wrong "no benchmark is called $word: $programs" ;;
		esac
		case " $chosen " in
		*" $word "*) ;;
		*) chosen="$chosen $word" ;;
		esac ;;
	esac
	[ "$word" != --only ] || asked=true
done
[ -z "${asked-}" ] || [ -n "$chosen" ] || wrong "--only names no benchmark"
chosen=${chosen:-$programs}

results=$build/bench-results
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
failed=0
# Reasons have spaces: a line each, made arguments at the end.
: >"$scratch/arguments"

argument()
{
	printf '%s\n%s\n' "$1" "$2" >>"$scratch/arguments"
}

# quietly COMMAND...: its output is shown only if it fails.
quietly()
{
	"$@" </dev/null >"$scratch/log" 2>&1 && return 0
	quietly_status=$?
	cat "$scratch/log" >&2
	echo "failed with exit status $quietly_status: $*" >&2
	return $quietly_status
}

# ---- packages ----

rondo_need gcc libc6-dev meson ninja-build pkgconf python3 liburcu-dev || exit 1

# What peers need: all at once, or else one after another.
optional=$(sed '/^#/d' bench/peers/packages) || exit 1
# shellcheck disable=SC2086
if ! rondo_need $optional 2>"$scratch/log"; then
	why="not installed: it takes root"
	[ "$(id -u)" -ne 0 ] || why="cannot be installed"
	for package in $optional; do
		[ "$(id -u)" -ne 0 ] || rondo_need "$package" >"$scratch/log" 2>&1
		rondo_have "$package" && continue
		echo "$package: $why"
		argument --note "package $package: $why"
	done
fi

# ---- building ----

set -- --buildtype=release -Dbench=enabled -Dtests=disabled \
	-Dexamples=disabled -Dtools=disabled
[ ! -f "$build/bench/meson-private/coredata.dat" ] || set -- --reconfigure "$@"
echo "building"
quietly meson setup "$build/bench" "$root" "$@" &&
	quietly ninja -C "$build/bench" || exit 1

# ---- running ----

rm -rf "$results"
mkdir -p "$results" || exit 1

load()
{
	cut -d ' ' -f 1 /proc/loadavg
}

# What it left out, in its own words.
notes_of()
{
	sed -n 's/^\(.*\): skipped: \(.*\)$/\1: \2/p' "$results/$1.txt" |
		while IFS= read -r note; do
			argument --note "bench-$1, $note"
		done
}

# run NAME: its exit status 0, or a word said on why it has no results.
run()
{
	program=$build/bench/bench/bench-$1
	if [ ! -x "$program" ]; then
		echo "$1: not built here"
		argument --skipped "$1: was not built"
		return
	fi
	[ ! -t 1 ] || printf '%s ...' "$1"
	run_began=$(date +%s)
	# Its progress goes to the terminal, where there is one.
	if [ -t 2 ]; then
		# shellcheck disable=SC2086
		timeout $limit "$program" $short --json "$results/$1.json" \
			</dev/null >"$results/$1.txt"
	else
		# shellcheck disable=SC2086
		timeout $limit "$program" $short --json "$results/$1.json" \
			</dev/null >"$results/$1.txt" 2>"$results/$1.err"
	fi
	run_status=$?
	run_took=$(($(date +%s) - run_began))
	notes_of "$1"
	[ ! -t 1 ] || printf '\r'
	if [ $run_status -eq 0 ]; then
		printf '%-14s %s s\n' "$1" "$run_took"
		return
	fi
	printf '%-14s FAILED with exit status %s, %s s\n' "$1" $run_status \
		"$run_took"
	cat "$results/$1.txt"
	[ ! -f "$results/$1.err" ] || cat "$results/$1.err"
	rm -f "$results/$1.json"
	argument --skipped "$1: failed with exit status $run_status"
	failed=1
}

began=$(date +%s)
load_before=$(load)
for name in $chosen; do
	run "$name"
done
find "$results" -name '*.err' -empty -exec rm {} +

# ---- showing ----

flags=$(meson introspect --buildoptions "$build/bench" | python3 -c '
import json, sys
options = {one["name"]: one["value"] for one in json.load(sys.stdin)}
print("{buildtype}: -O{optimization}, {c_std}".format(**options))') ||
	flags=unknown

set -- --out "$results/results.json" --build "$flags" \
	--load "$load_before before, $(load) after"
[ -z "$short" ] || set -- "$@" --short
for name in $chosen; do
	[ ! -f "$results/$name.json" ] || set -- "$@" "$results/$name.json"
done
if ! ls "$results"/*.json >/dev/null 2>&1; then
	echo "no results" >&2
	exit 1
fi
while IFS= read -r word; do
	set -- "$@" "$word"
done <"$scratch/arguments"
echo
python3 bench/merge.py "$@" && python3 bench/show.py "$results/results.json" ||
	exit 1
python3 bench/draw.py "$results/results.json" "$results" >"$scratch/drawn" ||
	exit 1
echo
echo "results: $results/results.json"
sed 's/^/picture: /' "$scratch/drawn"
took=$(($(date +%s) - began))
echo "all in $((took / 60)) min $((took % 60)) s"
exit $failed
