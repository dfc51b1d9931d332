#!/bin/sh
# SPDX-License-Identifier: MIT
# Each lint accepts a sound sample and refuses each broken one.
# Usage: test_lints.sh SOURCE_ROOT
set -u
root=$1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
wrong=0
tag='SPDX-License-Identifier: MIT'

# A small tree on which all lints are content.
sound()
{
	rm -rf "$scratch/tree"
	mkdir -p "$scratch/tree/include/rondo/detail" "$scratch/tree/lib" \
		"$scratch/tree/docs" "$scratch/tree/tools"
	cd "$scratch/tree" || exit 1
	cp "$root/.clang-format" .
	printf '# %s\n%s\n' "$tag" \
		'include/rondo/detail/atomics include/rondo/rondo
lib/os
lib/left lib/right
lib/registry' >tools/layers
	printf '/* %s */\n%s\n' "$tag" \
		'#define rondo_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define rondo_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define rondo_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)' \
		>include/rondo/detail/atomics.h
	printf '/* %s */\n%s\n' "$tag" \
		'struct rondo_pair {
	int left;
	int right;
};
int rondo_both(int *ready);
static inline int rondo_twice(int x)
{
	if (x) {
		x *= 2;
	}
	return x;
}' >include/rondo/rondo.h
	printf '/* %s */\n%s\n' "$tag" 'int os(void);' >lib/os.h
	printf '/* %s */\n%s\n' "$tag" \
		'#include "os.h"
#include <unistd.h>' >lib/os.c
	printf '/* %s */\n%s\n' "$tag" \
		'#include <rondo/detail/atomics.h>
#include <rondo/rondo.h>
#include "os.h"
int rondo_both(int *ready)
{
	/* pairs(ready) release: the bytes before the word. */
	rondo_store_release(ready, 1);
	return rondo_load_relaxed(ready);
}' >lib/left.c
	printf '/* %s */\n%s\n' "$tag" 'int right(int *ready);' >lib/right.h
	printf '/* %s */\n%s\n' "$tag" \
		'#include "right.h"
#include <rondo/detail/atomics.h>
int right(int *ready)
{
	/*
	 * pairs(ready) acquire: the word before
	 * the bytes.
	 */
	return rondo_load_acquire(ready);
}' >lib/right.c
	printf '/* %s */\n%s\n' "$tag" '#include <urcu/urcu-bp.h>' \
		>lib/registry.c
	printf '%s\n' '# Ordering' '' '## ready' '' \
		'[Here](ordering.md#ready) is `rondo_both`.' '' \
		'<!-- struct rondo_pair -->' \
		'| at | bytes | member |' '|---|---|---|' \
		'| 0 | 4 | left |' '| 4 | 1 x 4 | right |' >docs/ordering.md
	printf '/* %s */\n%s\n' "$tag" \
		'RONDO_0.1 { global: rondo_both; local: *; };' >lib/rondo.map
	cc -shared -fPIC -Iinclude -Wl,--version-script=lib/rondo.map \
		lib/left.c -o library.so || exit 1
}

# expect pass|fail LINT WHAT: runs the lint in the tree as it stands.
expect()
{
	set -- "$1" "$2" "$3" "$root/tools/$2"
	[ "$2" != check-symbols ] || set -- "$@" library.so
	outcome=$1 lint=$2 what=$3
	shift 3
	if "$@" >output 2>&1; then
		got=pass
	else
		got=fail
	fi
	# A lint that crashes or cannot start has found nothing.
	if [ $got = fail ] && { [ ! -s output ] || grep -q Traceback output; }; then
		got=broken
	fi
	if [ $got != "$outcome" ]; then
		echo "$lint: expected $outcome, got $got: $what"
		cat output
		wrong=$((wrong + 1))
	fi
	rm -f output
}

# edit FILE SED_SCRIPT: an edit that changes nothing is an error of this test.
edit()
{
	sed "$2" "$1" >edited
	if cmp -s "$1" edited; then
		echo "the edit of $1 changes nothing: $2"
		exit 1
	fi
	mv edited "$1"
}

for lint in check-layers check-barriers check-docs check-format check-spdx \
		check-symbols; do
	sound
	expect pass $lint "a sound tree"
done

sound; edit lib/right.c 's/"right.h"/"left.c"/'
expect fail check-layers "a neighbour includes a neighbour"
sound; edit lib/os.h 's/int os.*/#include "right.h"/'
expect fail check-layers "a lower level includes a higher one"
sound; edit lib/left.c 's/"os.h"/<unistd.h>/'
expect fail check-layers "a system call header outside os.c"
sound; edit lib/left.c 's/"os.h"/<urcu.h>/'
expect fail check-layers "liburcu outside the registry"
sound; edit tools/layers '/lib.os/d'
expect fail check-layers "a file without a level"
sound; echo lib/gone >>tools/layers
expect fail check-layers "a level without a file"
sound; edit lib/left.c 's/"os.h"/"gone.h"/'
expect fail check-layers "an include of nothing"

sound; edit lib/left.c '/pairs/d'
expect fail check-barriers "a release without its comment"
sound; edit lib/left.c 's/store_release/store_relaxed/'
expect fail check-barriers "a comment without its release"
sound; edit lib/right.c 's/pairs(ready)/pairs(raedy)/'
expect fail check-barriers "pairs with one end"
sound; edit lib/right.c 's/acquire:/release:/'
expect fail check-barriers "two releases are no pair"
sound; edit lib/right.c 's/acquire:/eventually:/'
expect fail check-barriers "an unknown kind"
sound; edit lib/left.c 's/release:/release and eventually:/'
expect fail check-barriers "an unknown kind beside a known one"
sound; edit lib/left.c 's/release:/acquire and release:/'
edit lib/right.c 's/pairs(ready) acquire://; s/load_acquire/load_relaxed/'
expect pass check-barriers "both ends in one place"
sound; edit docs/ordering.md 's/## ready/## steady/'
expect fail check-barriers "a pair without a section"
sound; edit lib/left.c 's/rondo_load_relaxed(ready)/__atomic_load_n(ready, 0)/'
expect fail check-barriers "an atomic builtin outside the header"
sound; edit lib/left.c 's/\(.*pairs.*\)/\1\n\n\n\n/'
expect fail check-barriers "a comment too far above"

sound; edit docs/ordering.md 's/(ordering.md/(disordering.md/'
expect fail check-docs "a link to no file"
sound; edit docs/ordering.md 's/#ready/#steady/'
expect fail check-docs "a link to no heading"
sound; edit docs/ordering.md 's/rondo_both/rondo_neither/'
expect fail check-docs "a name that nothing has"
sound; edit docs/ordering.md 's/| 4 | 1 x/| 8 | 1 x/'
expect fail check-docs "a member at another offset"
sound; edit docs/ordering.md 's/| 0 | 4/| 0 | 8/'
expect fail check-docs "a member of another size"
sound; edit docs/ordering.md 's/| left |/| middle |/'
expect fail check-docs "a member that is none"
sound; edit include/rondo/rondo.h \
	's/^int rondo_both/#define RONDO_API\n\nRONDO_API &/'
expect fail check-docs "a function without a description"
edit include/rondo/rondo.h \
	's|^RONDO_API.*|/* Context: Progress: Cost: Ordering: */\n&\n&|'
expect pass check-docs "two functions with one description"
edit include/rondo/rondo.h 's/ Cost://'
expect fail check-docs "a description that does not say what it costs"

sound; edit lib/left.c 's/^{/  {/'
expect fail check-format "a brace out of place"
sound; edit include/rondo/rondo.h 's/^\treturn/    return/'
expect fail check-format "spaces for a tab"

sound; edit lib/os.c 1d
expect fail check-spdx "a source without a license"
sound; edit tools/layers 1d
expect fail check-spdx "a file of tools/ without a license"
sound; edit lib/os.c "s/MIT/GPL-2.0-only/"
expect fail check-spdx "another license"
sound; printf '#!/bin/sh\necho\n' >lib/script
expect fail check-spdx "a script without a license"
sound; edit lib/os.c 's,^\(/.*\),\1\n\1,'
expect fail check-spdx "a license twice"

sound; edit lib/rondo.map 's/rondo_both;/rondo_both; rondo_gone;/'
expect fail check-symbols "a listed name that nobody defines"
sound; edit include/rondo/rondo.h 's/int rondo_both/int rondo_neither/'
expect fail check-symbols "exported, not declared"
sound; edit include/rondo/rondo.h 's/^static inline \(.*\)/int rondo_more(void);\nstatic inline \1/'
expect fail check-symbols "declared, not exported"
sound; edit lib/rondo.map 's/rondo_both;/rondo_other;/'
expect fail check-symbols "exported, not listed"

[ $wrong -eq 0 ] || echo "$wrong expectations failed"
exit $((wrong > 0))
