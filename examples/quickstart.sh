#!/bin/sh
# SPDX-License-Identifier: MIT
# sh examples/quickstart.sh: builds rondo, records every allocation of a real
# program, and says what was recorded and what that cost.
#
# The program is python3 as it is. It parses modules of its own library, puts
# the names in them into a database in memory (SQLite) and asks it for each. It
# runs unrecorded and recorded in turn, so that both meet the same machine; the
# times are medians.
set -u
case ${1-} in
"") ;;
-h | --help) echo "usage: sh examples/quickstart.sh"; exit 0 ;;
*) echo "usage: sh examples/quickstart.sh" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/.." || exit 1
root=$(pwd)
build=$root/build/quickstart
results=$root/build/quickstart-traces
rounds=7   # or, on a slow or busy machine,
seconds=30 # as many as begin in this time, three at least
export LC_ALL=C
unset RONDO_TRACE RONDO_RSEQ RONDO_TRACE_SUBBUFS RONDO_TRACE_SUBBUF_KIB

. tools/packages.sh
rondo_need gcc libc6-dev meson ninja-build pkgconf liburcu-dev babeltrace2 \
	python3 || exit 1

# Debian's: others found first may be scripts that start it.
python=/usr/bin/python3
[ -x "$python" ] || python=$(python3 -c 'import sys; print(sys.executable)')

workload='
import ast, os, sqlite3, sys
folder = os.path.dirname(os.__file__)
files = sorted(n for n in os.listdir(folder) if n.endswith(".py"))
db = sqlite3.connect(":memory:")
db.execute("create table names (name text, file text, line int)")
for file in files[:int(sys.argv[1])]:
    with open(os.path.join(folder, file), "rb") as source:
        tree = ast.parse(source.read())
    db.executemany("insert into names values (?, ?, ?)",
                   ((node.id, file, node.lineno) for node in ast.walk(tree)
                    if isinstance(node, ast.Name)))
db.execute("create index by_name on names (name)")
for name, in db.execute("select distinct name from names").fetchall():
    db.execute("select count(*), min(line) from names where name = ?",
               (name,)).fetchone()
'
modules=150

quietly()
{
	"$@" >"$results/log" 2>&1 </dev/null && return 0
	cat "$results/log" >&2
	echo "failed: $*" >&2
	exit 1
}

# Milliseconds that it takes, appended to a file.
timed()
{
	times=$1
	shift
	began=$(date +%s%N)
	"$@" || exit 1
	echo $((($(date +%s%N) - began) / 1000000)) >>"$times"
}

median()
{
	sort -n "$1" | sed -n "$(((round + 1) / 2))p"
}

work()
{
	"$python" -I -c "$workload" $modules
}

recorded()
{
	rm -rf "$results/trace"
	(
		export RONDO_TRACE="$results/trace"
		export LD_PRELOAD="$preload"
		work
	)
}

mkdir -p "$results" && rm -rf "${results:?}"/* || exit 1

echo "building in build/quickstart"
[ -f "$build/build.ninja" ] ||
	quietly meson setup "$build" "$root" --buildtype=release \
		-Dtests=disabled -Dbench=disabled
quietly ninja -C "$build"

# LD_PRELOAD is a list, of which blanks and colons separate the parts.
preload=$build/examples/alloc_trace/liballoc_trace.so
case $preload in
*[[:space:]:]*)
	link=$(mktemp -d) && ln -s "$preload" "$link" || exit 1
	preload=$link/liballoc_trace.so
	;;
esac

echo "running python3, up to $rounds times unrecorded and $rounds recorded"
work || exit 1 # what is read from disk once is not counted
round=0
limit=$(($(date +%s) + seconds))
while [ $round -lt $rounds ] &&
      { [ $round -lt 3 ] || [ "$(date +%s)" -lt $limit ]; }; do
	timed "$results/unrecorded.ms" work
	timed "$results/recorded.ms" recorded
	round=$((round + 1))
done
plain_ms=$(median "$results/unrecorded.ms")
recorded_ms=$(median "$results/recorded.ms")

echo "reading the trace with babeltrace2"
babeltrace2 --no-delta "$results/trace" 2>"$results/complaints" |
	awk -v plain="$plain_ms" -v recorded="$recorded_ms" \
		-f examples/alloc_trace/summary.awk \
		- complaints=1 "$results/complaints" ||
	exit 1
trace=$(echo "$results"/trace/*)
cat <<EOF

trace:    $trace
          babeltrace2 '$trace' | less
try it:   RONDO_TRACE=DIRECTORY \\
          LD_PRELOAD=$preload PROGRAM
EOF
