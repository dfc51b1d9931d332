# SPDX-License-Identifier: MIT
# alloc_trace.sh LIBALLOC_TRACE LIBALLOC_COUNT VICTIM: every call is recorded,
# once, in order, whatever the process does; see victim.c for the modes.
here=$(dirname "$0")
. "$here/trace.sh"
tracer=$(realpath "$1")
counter=$(realpath "$2")
victim=$(realpath "$3")

# traced NAME PROGRAM...: its traces go to $scratch/NAME, the independent count
# of the same run to $scratch/NAME.count.
traced()
{
	name=$1
	shift
	RONDO_TRACE=$scratch/$name ALLOC_COUNT=$scratch/$name.count \
		LD_PRELOAD="$tracer $counter" "$@" 2>"$scratch/errors"
}

# run MODE [STATUS]: the victim; then $text is what babeltrace2 says of it.
run()
{
	status=0
	traced "$1" "$victim" "$1" >/dev/null || status=$?
	[ "$status" -eq "${2-0}" ]
	# The shell may say what killed it.
	[ "$status" -ge 128 ] || [ ! -s "$scratch/errors" ]
	text=$scratch/$1.text
	events "$scratch/$1" >"$text"
}

# of EVENT [PATTERN]: how many such records $text has.
of()
{
	grep " alloc_trace:$1: " "$text" | grep -c -e "${2-}" || true
}

# blocks SIZE TIMES: so often was malloc(SIZE) called, and what it gave freed.
blocks()
{
	[ "$(of malloc " size = $1,")" -eq "$2" ]
	grep " alloc_trace:malloc: .* size = $1," "$text" |
		sed 's/.* result = \([^,]*\),.* tid = \([0-9]*\).*/\1 \2/' |
		sort >"$scratch/got"
	! grep -q '^0x0 ' "$scratch/got" || exit 1
}

# The trace, or traces, agree with the count of the same run.
agrees_with_count()
{
	frees=$(of free '' )
	null=$(of free 'ptr = 0x0,')
	again=$(of realloc_begin)
	null_again=$(($(of 'realloc' 'old = 0x0,') + \
		$(of reallocarray 'old = 0x0,')))
	# A realloc to nothing frees, and allocates nothing that is counted.
	zero=$(grep ' alloc_trace:realloc: ' "$text" | grep -v 'old = 0x0,' |
		grep -c ' size = 0,' || true)
	allocs=$(grep ' alloc_trace:' "$text" |
		grep -v -c -e :free: -e :realloc_begin: -e :module: || true)
	[ "$(($(of realloc) + $(of reallocarray)))" -eq \
		$((again + null_again)) ]
	awk '{ allocs += $3; frees += $5 } END { print allocs, frees }' \
		"$1" >"$scratch/counted"
	echo "$((allocs - zero)) $((frees - null + again))" \
		>"$scratch/recorded"
	diff "$scratch/counted" "$scratch/recorded"
}

replays()
{
	awk -f "$here/replay.awk" "$@" "$text"
}

each_function_is_recorded_with_its_arguments_and_result()
{
	run every_function
	for want in 'malloc size = 20001,' 'calloc count = 3, size = 20002,' \
		'realloc size = 20003,' 'realloc size = 400,' \
		'reallocarray count = 5, size = 20004,' \
		'realloc old = 0x0, size = 20005,' \
		'aligned_alloc alignment = 64, size = 20032,' \
		'posix_memalign alignment = 128, size = 20006,' \
		'memalign alignment = 32, size = 20007,' 'valloc size = 20008,' \
		'pvalloc size = 20009,'; do
		[ "$(of "${want%% *}" "${want#* }")" -eq 1 ]
	done
	[ "$(of free 'ptr = 0x0,')" -ge 1 ]
	replays
	agrees_with_count "$scratch/every_function.count"
}

the_caller_is_an_address_within_the_module_that_called()
{
	text=$scratch/every_function.text
	caller=$(grep ' size = 20001,' "$text" | value caller)
	grep ' alloc_trace:module: .*victim' "$text" |
		sed 's/.*base = \([^,]*\), bytes = \([0-9]*\),.*/\1 \2/' |
		sort -u >"$scratch/modules"
	while read -r base bytes; do
		if [ $((caller - base)) -ge 0 ] &&
		   [ $((caller - base)) -lt "$bytes" ]; then
			exit 0
		fi
	done <"$scratch/modules"
	exit 1
}

a_call_that_failed_is_recorded_too()
{
	run failing
	[ "$(of malloc 'size = 9223372036854775807, result = 0x0,')" -eq 1 ]
	[ "$(of realloc 'size = 9223372036854775807, result = 0x0,')" -eq 1 ]
	[ "$(of calloc 'size = 4, result = 0x0,')" -eq 1 ]
	[ "$(of reallocarray 'size = 4, result = 0x0,')" -eq 1 ]
	[ "$(of posix_memalign 'size = 20011, result = 0x0,')" -eq 1 ]
	replays
	agrees_with_count "$scratch/failing.count"
}

the_program_s_errno_stays()
{
	run keeps_errno
	blocks 20012 20000
	agrees_with_count "$scratch/keeps_errno.count"
}

an_independent_count_of_the_same_run_agrees()
{
	run plain
	replays
	agrees_with_count "$scratch/plain.count"
	[ "$(wc -l <"$text")" -gt 20000 ]
}

real_programs_agree_with_the_count_and_replay()
{
	seq 1 20000 | sort -R --random-source=/dev/zero >"$scratch/input"
	for program in "sort $scratch/input" "sed s/1/2/ $scratch/input" \
		"grep -c 1[0-5]* $scratch/input" "awk {a[\$1]=\$1} $scratch/input"; do
		rm -rf "$scratch/real" "$scratch/real.count"
		# shellcheck disable=SC2086
		traced real $program >/dev/null
		text=$scratch/real.text
		events "$scratch/real" >"$text"
		replays
		agrees_with_count "$scratch/real.count"
	done
}

a_handler_may_allocate()
{
	run handler
	blocks 20020 1500
	blocks 20021 500
	replays
	agrees_with_count "$scratch/handler.count"
}

threads_that_free_each_other_s_blocks_replay_in_order()
{
	# No thread has a cache: what one frees the next that asks gets.
	GLIBC_TUNABLES=glibc.malloc.arena_max=1:glibc.malloc.tcache_count=0
	export GLIBC_TUNABLES
	run threads
	[ "$(wc -l <"$text")" -gt 160000 ]
	[ "$(value tid <"$text" | sort -u | wc -l)" -eq 5 ]
	replays
	agrees_with_count "$scratch/threads.count"
}

each_forked_child_has_a_trace_of_its_own()
{
	run forking
	blocks 20030 20
	blocks 20031 60
	[ "$(ls "$scratch/forking" | wc -l)" -eq 4 ]
	children=0
	for trace in "$scratch/forking"/*; do
		text=$scratch/one.text
		events "$trace" >"$text"
		replays -v inherited=1
		[ "$(of module victim)" -ge 1 ]
		[ "$(value tid <"$text" | sort -u)" = "${trace##*-}" ]
		[ "$(of malloc 'size = 20031,')" -eq 0 ] || {
			blocks 20031 20
			blocks 20030 0
			children=$((children + 1))
		}
	done
	[ $children -eq 3 ]
	text=$scratch/forking.text
	agrees_with_count "$scratch/forking.count"
}

children_forked_beside_busy_threads_are_recorded()
{
	run forking_threads
	blocks 20033 400
	[ "$(ls "$scratch/forking_threads" | wc -l)" -eq 21 ]
	agrees_with_count "$scratch/forking_threads.count"
}

a_child_forked_while_a_module_is_loaded_is_recorded()
{
	run forking_while_loading
	blocks 20036 10
	blocks 20037 10
	[ "$(ls "$scratch/forking_while_loading" | wc -l)" -eq 3 ]
	agrees_with_count "$scratch/forking_while_loading.count"
}

a_vfork_s_child_leaves_its_parent_s_trace_alone()
{
	run vforking
	blocks 20040 20
	blocks 20060 5
	[ "$(ls "$scratch/vforking" | wc -l)" -eq 2 ]
	[ "$(of skipped)" -eq 0 ]
}

what_a_vfork_s_child_allocates_is_skipped_and_told()
{
	run vforking_and_allocating
	blocks 20041 0
	blocks 20042 1
	[ "$(of skipped 'count = 14,')" -eq 1 ]
	[ "$(ls "$scratch/vforking_and_allocating" | wc -l)" -eq 1 ]
}

a_spawned_program_has_a_trace_of_its_own()
{
	run spawning
	blocks 20050 20
	blocks 20060 5
	[ "$(ls "$scratch/spawning" | wc -l)" -eq 2 ]
	agrees_with_count "$scratch/spawning.count"
}

recording_goes_on_after_an_exec_that_failed()
{
	run executing
	blocks 20061 20
	blocks 20060 5
	# One before, one after: the program is another.
	[ "$(ls "$scratch/executing" | wc -l)" -eq 2 ]
}

a_program_that_becomes_itself_has_a_second_trace()
{
	run executing_itself
	blocks 20061 10
	blocks 20060 5
	[ "$(ls "$scratch/executing_itself" | grep -c -- '-2$')" -eq 1 ]
	[ "$(ls "$scratch/executing_itself" | wc -l)" -eq 2 ]
}

an_exec_without_the_preload_is_not_traced()
{
	traced cleared env -i "$victim" child
	text=$scratch/cleared.text
	events "$scratch/cleared" >"$text"
	[ "$(ls "$scratch/cleared" | wc -l)" -eq 1 ]
	blocks 20060 0
	replays
}

a_daemon_and_its_parent_are_recorded()
{
	# cat ends when the daemon, which has the pipe too, has ended.
	traced daemon "$victim" daemonizing | cat
	text=$scratch/daemon.text
	events "$scratch/daemon" >"$text"
	blocks 20062 10
	blocks 20063 10
	[ "$(ls "$scratch/daemon" | wc -l)" -eq 2 ]
}

a_process_that_closes_all_descriptors_loses_nothing()
{
	run closing_all
	blocks 20070 100010
	agrees_with_count "$scratch/closing_all.count"
}

whatever_way_a_process_ends_its_records_are_there()
{
	run exiting_now
	blocks 20080 10
	agrees_with_count "$scratch/exiting_now.count"
	run exiting_quickly
	blocks 20080 10
	run aborting 134
	blocks 20080 10
}

a_process_ends_with_the_last_of_its_own_threads()
{
	for mode in main_thread_exits_first main_thread_is_cancelled; do
		run $mode
		blocks 20080 10
		blocks 20083 10
		blocks 20081 5
		agrees_with_count "$scratch/$mode.count"
	done
}

what_needs_a_single_thread_is_not_refused()
{
	run unsharing
	blocks 20084 100010
	agrees_with_count "$scratch/unsharing.count"
}

a_trace_begins_and_ends_on_any_stack()
{
	run little_stack
	blocks 20034 10
	blocks 20035 10
	[ "$(ls "$scratch/little_stack" | wc -l)" -eq 2 ]
	agrees_with_count "$scratch/little_stack.count"
}

destructors_of_other_libraries_are_recorded()
{
	run exiting
	blocks 20080 10
	blocks 20081 5
	blocks 20091 4
	blocks 20092 6
	agrees_with_count "$scratch/exiting.count"
}

without_a_directory_nothing_is_recorded()
{
	cd "$scratch"
	LD_PRELOAD="$tracer" "$victim" plain
	LD_PRELOAD="$tracer" "$victim" forking
}

a_trace_that_cannot_be_made_is_told_and_the_program_runs()
{
	RONDO_TRACE=/dev/null/x LD_PRELOAD=$tracer "$victim" plain \
		2>"$scratch/errors"
	[ "$(cat "$scratch/errors")" = \
		"alloc_trace: no trace in /dev/null/x: Not a directory" ]
}

a_trace_that_cannot_be_completed_is_told()
{
	status=0
	RONDO_TRACE=$scratch/rooted LD_PRELOAD=$tracer "$victim" \
		changing_root 2>"$scratch/errors" || status=$?
	[ "$status" -ne 77 ] || exit 0
	[ "$status" -eq 0 ]
	[ "$(cat "$scratch/errors")" = "alloc_trace: incomplete: $(echo \
		"$scratch/rooted"/*): No such file or directory" ]
}

a_relative_directory_is_one_for_all_processes()
{
	mkdir -p "$scratch/elsewhere"
	cd "$scratch"
	RONDO_TRACE=near/by LD_PRELOAD=$tracer \
		sh -c 'cd elsewhere && "$1" plain && exec "$1" plain' sh \
		"$victim"
	[ "$(ls near/by | grep -c '^alloc-victim-')" -eq 2 ]
	[ "$(ls near/by | grep -c '^sh-\|^dash-')" -eq 1 ]
}

# summary NAME: what summary.awk says of that trace.
summary()
{
	babeltrace2 --no-delta "$scratch/$1" >"$scratch/$1.text" \
		2>"$scratch/lost"
	awk -f "$here/../../examples/alloc_trace/summary.awk" \
		"$scratch/$1.text" complaints=1 "$scratch/lost" \
		>"$scratch/$1.summary"
}

what_does_not_fit_is_counted_exactly()
{
	# Four sub-buffers of 4 KiB: the writer cannot keep up.
	RONDO_TRACE_SUBBUF_KIB=4 RONDO_TRACE_SUBBUFS=4 \
		traced small "$victim" plain
	summary small
	summary plain
	kept=$(grep -c ' alloc_trace:' "$scratch/small.text")
	all=$(grep -c ' alloc_trace:' "$scratch/plain.text")
	lost=$(sed -n 's/^lost: *//p' "$scratch/small.summary")
	[ "$lost" -gt 0 ]
	[ $((kept + lost)) -eq "$all" ]
}

the_summary_counts_sizes_and_callers()
{
	summary handler
	grep -q '^lost: *0$' "$scratch/handler.summary"
	grep -q '^ *1500  20020 bytes$' "$scratch/handler.summary"
	grep -q '^ *500  20021 bytes$' "$scratch/handler.summary"
	# The compiler may have made several calls of the one; the library's
	# own ten may then be rarer than the five that are shown.
	shown=$(awk '/  liballoc-victim.so\+0x/ { sum += $1 }
		END { print sum }' "$scratch/handler.summary")
	[ "$shown" -ge 2000 ]
	[ "$shown" -le 2010 ]
}

check each_function_is_recorded_with_its_arguments_and_result
check the_caller_is_an_address_within_the_module_that_called
check a_call_that_failed_is_recorded_too
check the_program_s_errno_stays
check an_independent_count_of_the_same_run_agrees
check real_programs_agree_with_the_count_and_replay
check a_handler_may_allocate
check threads_that_free_each_other_s_blocks_replay_in_order
check each_forked_child_has_a_trace_of_its_own
check children_forked_beside_busy_threads_are_recorded
check a_child_forked_while_a_module_is_loaded_is_recorded
check a_vfork_s_child_leaves_its_parent_s_trace_alone
check what_a_vfork_s_child_allocates_is_skipped_and_told
check a_spawned_program_has_a_trace_of_its_own
check recording_goes_on_after_an_exec_that_failed
check a_program_that_becomes_itself_has_a_second_trace
check an_exec_without_the_preload_is_not_traced
check a_daemon_and_its_parent_are_recorded
check a_process_that_closes_all_descriptors_loses_nothing
check whatever_way_a_process_ends_its_records_are_there
check a_process_ends_with_the_last_of_its_own_threads
check what_needs_a_single_thread_is_not_refused
check a_trace_begins_and_ends_on_any_stack
check destructors_of_other_libraries_are_recorded
check without_a_directory_nothing_is_recorded
check a_trace_that_cannot_be_made_is_told_and_the_program_runs
check a_trace_that_cannot_be_completed_is_told
check a_relative_directory_is_one_for_all_processes
check what_does_not_fit_is_counted_exactly
check the_summary_counts_sizes_and_callers
finish
