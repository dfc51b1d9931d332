#!/bin/sh
# SPDX-License-Identifier: MIT
# Everything that must hold, in one command: sh tests/run.sh [STAGE...]
# Build folders stay in build/ (or $RONDO_BUILD), so that a second run is quick.

# In this order; a stage is the function stage_NAME, with - as _.
STAGES="build unit record-path nest explore model stress ctf example bench \
lint headers syscalls asan hostile tsan valgrind clang fault aarch64 \
mutants coverage install subproject"

set -u
cd "$(dirname "$0")/.." || exit 1
root=$(pwd)
build=${RONDO_BUILD:-$root/build}
# Tests of one's own mood (LD_PRELOAD, RONDO_*) are not what is tested here.
unset RONDO_RSEQ RONDO_BUILD
export LC_ALL=C

. tools/packages.sh

usage()
{
	echo "usage: sh tests/run.sh [STAGE...]"
	echo "stages: $STAGES"
}

for word; do
	case $word in
	-h | --help) usage; exit 0 ;;
	esac
	case " $STAGES " in
	*" $word "*) ;;
	*) usage >&2; exit 2 ;;
	esac
done
chosen=${*:-$STAGES}

machine=$(uname -m)
packages="gcc g++ libc6-dev meson ninja-build pkgconf python3 libcmocka-dev
	liburcu-dev babeltrace2"
for stage in $chosen; do
	case $stage in
	lint) packages="$packages clang-format" ;;
	model) packages="$packages spin" ;;
	headers | clang | fault) packages="$packages clang" ;;
	hostile) packages="$packages clang libclang-rt-dev" ;;
	example | bench | valgrind)
		packages="$packages valgrind libc6-dbg" ;;
	aarch64)
		[ "$machine" = aarch64 ] ||
			packages="$packages gcc-aarch64-linux-gnu
				libc6-dev-arm64-cross qemu-user
				liburcu-dev:arm64 libcmocka-dev:arm64" ;;
	esac
done
# shellcheck disable=SC2086
rondo_need $packages || exit 1

passed=0
failed=0
skipped=0
scratch=$(mktemp -d) || exit 1

finish()
{
	status=$?
	trap - EXIT
	rm -rf "$scratch"
	[ $skipped -eq 0 ] || echo "$skipped skipped"
	echo "$passed passed, $failed failed"
	exit $status
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# quietly COMMAND...: its output is shown only if it fails.
quietly()
{
	"$@" </dev/null >"$scratch/log" 2>&1 && return 0
	quietly_status=$?
	cat "$scratch/log"
	echo "failed with exit status $quietly_status: $*"
	return $quietly_status
}

# built FOLDER OPTION...: a build folder that is configured so, and up to date.
built()
{
	dir=$build/$1
	shift
	if [ -f "$dir/meson-private/coredata.dat" ]; then
		set -- --reconfigure "$@"
	fi
	quietly meson setup "$dir" "$root" "$@" || return
	quietly ninja -C "$dir" || return
}

# suites FOLDER "SUITE..." OPTION...: runs them, and counts what ran.
suites()
{
	dir=$build/$1
	picked=
	for suite in $2; do
		picked="$picked --suite $suite"
	done
	shift 2
	rm -f "$dir/meson-logs/testlog.json" "$dir"/meson-logs/testlog-*.json
	# shellcheck disable=SC2086
	meson test -C "$dir" --no-rebuild --print-errorlogs $picked "$@" </dev/null
	suites_status=$?
	counts=$(python3 tests/count.py "$dir"/meson-logs/testlog*.json) ||
		return 1
	# shellcheck disable=SC2086
	set -- $counts
	passed=$((passed + $1))
	failed=$((failed + $2))
	skipped=$((skipped + $3))
	if [ $(($1 + $2)) -eq 0 ]; then
		echo "no test ran"
		return 1
	fi
	return $suites_status
}

main_is_built=false
main_build()
{
	$main_is_built && return 0
	built main -Dwerror=true && main_is_built=true
}

stage_build() { main_build; }
stage_unit() { main_build && suites main unit; }
stage_record_path() { main_build && suites main record-path; }
stage_nest() { main_build && suites main nest; }
# It switches stacks by hand: x86-64.
stage_explore()
{
	main_build || return
	if [ "$machine" != x86_64 ]; then
		echo "not on $machine"
		return 0
	fi
	suites main explore
}
# Every row must find its text; some of them, others each time, are tried.
stage_mutants()
{
	tests/mutants/run --sample 8 --build "$build/mutants"
}
stage_model() { main_build && suites main model --verbose; }
stage_stress() { main_build && suites main stress; }
stage_ctf() { main_build && suites main ctf; }
stage_example() { main_build && suites main example; }
stage_syscalls() { main_build && suites main syscalls; }
stage_bench() { main_build && suites main bench; }

stage_lint() { main_build && suites main lint; }

# Every public header alone, as its users may compile it. sequence_<arch>.h is
# a part of sequence.h.
stage_headers()
{
	for header in $(cd include &&
			find rondo -name '*.h' ! -name 'sequence_*' | sort); do
		printf '#include <%s>\n#include <%s>\nextern int rondo_alone;\n' "$header" "$header" \
			>"$scratch/header.c"
		for language in "gcc c11" "clang c11" \
				"g++ c++11" "g++ c++17" "g++ c++20" \
				"clang++ c++11" "clang++ c++17" "clang++ c++20"; do
			compiler=${language% *}
			standard=${language#* }
			kind=c
			[ "$standard" = c11 ] || kind=c++
			for level in -O0 -O2; do
				quietly "$compiler" -x $kind "-std=$standard" \
					$level -Wall -Wextra -Wpedantic -Werror \
					-Iinclude -c "$scratch/header.c" \
					-o "$scratch/header.o" || return
			done
		done
		passed=$((passed + 1))
	done
}

stage_asan()
{
	built asan -Dwerror=true -Db_sanitize=address,undefined \
		-Dexamples=disabled -Dbench=disabled || return
	suites asan "unit nest stress ctf" -t 2
}

# Memory that others write to: seeds, what was found before, and somebody who
# scribbles; then so many inputs of each fuzzer as take some seconds.
stage_hostile()
{
	built asan -Dwerror=true -Db_sanitize=address,undefined \
		-Dexamples=disabled -Dbench=disabled || return
	suites asan "hostile syscalls" -t 4 || return
	for inputs in walk:150000 packet:300000 attach:100000 catalog:40000 \
			recover:8000; do
		RONDO_BUILD=$build sh tests/hostile/fuzz --runs \
			"${inputs%:*}" "${inputs#*:}" || return
		passed=$((passed + 1))
	done
}

# Sequences and fences are invisible to the thread sanitizer: every ring is
# atomic here, and gcc's warning about fences is no news.
stage_tsan()
{
	built tsan -Dwerror=true -Db_sanitize=thread -Drseq_asm=false \
		-Dc_args=-Wno-tsan -Dcpp_args=-Wno-tsan \
		-Dexamples=disabled -Dbench=disabled || return
	# Its shadow memory does not fit every random layout.
	fixed=
	! setarch -R true 2>/dev/null || fixed="setarch -R"
	TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1" \
		suites tsan "unit nest stress ctf" -t 3 ${fixed:+--wrapper "$fixed"}
}

# No rseq under valgrind and qemu: running both modes would be one twice.
stage_valgrind()
{
	main_build || return
	suites main unit --no-suite atomic -t 4 --wrapper \
		"valgrind --quiet --error-exitcode=99 --leak-check=full"
}

clang_build()
{
	CC=clang CXX=clang++ built clang -Dwerror=true \
		-Dexamples=disabled -Dbench=disabled
}

stage_clang() { clang_build && suites clang "unit nest"; }

# At every instruction of what gcc and clang make of it, at three levels.
stage_fault()
{
	if [ "$machine" != x86_64 ]; then
		echo "not on $machine: breakpoints are x86-64's"
		return 0
	fi
	main_build && clang_build || return
	for compiler in main clang; do
		quietly ninja -C "$build/$compiler" fault-programs &&
			suites $compiler fault --verbose || return
	done
}

stage_aarch64()
{
	if [ "$machine" = aarch64 ]; then
		echo "this is an aarch64 machine: the other stages cover it"
		return 0
	fi
	built aarch64 -Dwerror=true --cross-file tools/cross/aarch64.ini \
		-Dexamples=disabled -Dbench=disabled || return
	suites aarch64 "unit nest stress ctf hostile syscalls" \
		--no-suite atomic -t 4
}

# Without optimization each line is its own; threads count by atomic adds; gcc's
# fork would forget what handlers of fork have run in the child.
stage_coverage()
{
	count="-fprofile-update=atomic -fno-builtin-fork"
	CC=gcc CXX=g++ built coverage -Db_coverage=true --buildtype=debug \
		-Dc_args="$count" -Dcpp_args="$count" \
		-Dexamples=disabled -Dbench=disabled || return
	find "$build/coverage" -name '*.gcda' -delete
	suites coverage "unit nest ctf syscalls hostile" || return
	for mode in 1 0; do
		RONDO_RSEQ=$mode quietly \
			"$build/coverage/tests/test-stress-torture" --ms 100 ||
			return
	done
	python3 tests/coverage/measure "$build/coverage"
}

# As a package would: nothing but what is installed, found by pkg-config.
stage_install()
{
	main_build || return
	DESTDIR=$scratch/dest quietly meson install -C "$build/main" \
		--no-rebuild || return
	pc=$(find "$scratch/dest" -name rondo.pc)
	if [ -z "$pc" ]; then
		echo "rondo.pc is not installed"
		return 1
	fi
	export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$scratch/dest"
	strict="-Wall -Wextra -Wpedantic -Werror"
	# shellcheck disable=SC2046,SC2086
	quietly gcc -std=c11 $strict tests/install/user.c -o "$scratch/user" \
		$(pkg-config --cflags --libs rondo) &&
	quietly g++ -x c++ -std=c++17 $strict tests/install/user.c \
		-o "$scratch/user-cxx" $(pkg-config --cflags --libs rondo) &&
	quietly gcc -std=c11 $strict -static tests/install/user.c \
		-o "$scratch/user-static" \
		$(pkg-config --static --cflags --libs rondo) || return
	unset PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
	for program in user user-cxx user-static; do
		LD_LIBRARY_PATH=${pc%/pkgconfig/*} \
			quietly "$scratch/$program" || return
		passed=$((passed + 1))
	done
}

stage_subproject()
{
	for library in shared static; do
		rm -rf "$scratch/host"
		cp -R tests/subproject "$scratch/host" &&
		mkdir -p "$scratch/host/subprojects" &&
		ln -s "$root" "$scratch/host/subprojects/rondo" &&
		quietly meson setup "$scratch/host/build" "$scratch/host" \
			--force-fallback-for=rondo \
			-Ddefault_library=$library &&
		quietly meson test -C "$scratch/host/build" || return
		if [ -e "$scratch/host/build/subprojects/rondo/tests" ]; then
			echo "the tests are built in a subproject"
			return 1
		fi
		passed=$((passed + 1))
	done
}

for stage in $chosen; do
	echo "== $stage"
	began=$(date +%s)
	failed_before=$failed
	"stage_$(echo "$stage" | tr - _)"
	status=$?
	took=$(($(date +%s) - began))
	if [ $status -ne 0 ]; then
		[ $failed -gt $failed_before ] || failed=$((failed + 1))
		echo "== $stage: FAILED with exit status $status, $took s"
		exit $status
	fi
	passed=$((passed + 1))
	echo "== $stage: ok, $took s"
done
