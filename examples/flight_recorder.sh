# SPDX-License-Identifier: MIT
# flight_recorder.sh PROGRAM: each snapshot holds the latest records, in order.
. "$(dirname "$0")/../tests/example/trace.sh"
program=$1

# numbers DIRECTORY: of the steps in it, by time.
numbers()
{
	babeltrace2 "$1" 2>"$scratch/errors" >"$scratch/text"
	sed -n 's/.*flight:step: .*number = \([0-9]*\) }.*/\1/p' "$scratch/text"
}

# On one CPU: each ring keeps its own latest, and a thread that is moved leaves
# old ones behind.
cpu=$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')

a_snapshot_is_the_latest_records_in_order()
{
	taskset -c "$cpu" "$program" "$scratch/flight" >"$scratch/said"
	[ "$(wc -l <"$scratch/said")" -eq 2 ]
	for i in 0 1; do
		numbers "$scratch/flight/$i" >"$scratch/numbers"
		# The program waits for two million steps before each.
		awk -v least=$((i * 2000000 + 1000000)) '
			NR == 1 && $1 < least { exit 1 }
			NR > 1 && $1 <= last { exit 1 }
			{ last = $1 }
			END { if (NR < 1000) exit 1 }' "$scratch/numbers"
	done
}

a_second_snapshot_begins_where_the_first_ended_or_later()
{
	first=$(numbers "$scratch/flight/0" | tail -n 1)
	second=$(numbers "$scratch/flight/1" | head -n 1)
	[ "$second" -gt "$first" ]
}

check a_snapshot_is_the_latest_records_in_order
check a_second_snapshot_begins_where_the_first_ended_or_later
finish
