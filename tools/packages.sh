# SPDX-License-Identifier: MIT
# Sourced by scripts that need Debian packages: rondo_need PACKAGE...
# Does nothing when all are installed; installs what is missing when root;
# otherwise prints the command that would, and returns 1.

# PACKAGE is a name, or name:architecture.
rondo_have()
{
	case $1 in
	*:*) rondo_arch=${1##*:} ;;
	*) rondo_arch=$(dpkg --print-architecture) ;;
	esac
	dpkg-query -W -f='${db:Status-Status} ${Architecture}\n' "$1" \
		2>/dev/null | grep -qxE "installed ($rondo_arch|all)"
}

rondo_need()
{
	if ! command -v dpkg-query >/dev/null 2>&1; then
		echo "not a Debian system; this needs what Debian calls: $*" >&2
		return 0
	fi
	rondo_missing=
	rondo_foreign=
	for rondo_package; do
		case "$rondo_missing " in
		*" $rondo_package "*) continue ;;
		esac
		rondo_have "$rondo_package" && continue
		rondo_missing="$rondo_missing $rondo_package"
		case $rondo_package in
		*:*) rondo_foreign=${rondo_package##*:} ;;
		esac
	done
	[ -n "$rondo_missing" ] || return 0

	if [ -n "$rondo_foreign" ] &&
	   dpkg --print-foreign-architectures | grep -qx "$rondo_foreign"; then
		rondo_foreign=
	fi
	if [ "$(id -u)" -ne 0 ]; then
		echo "packages are missing; install them as root, then run again:" >&2
		[ -z "$rondo_foreign" ] ||
			echo "  dpkg --add-architecture $rondo_foreign" >&2
		echo "  apt-get update" >&2
		echo "  apt-get install$rondo_missing" >&2
		return 1
	fi

	echo "installing:$rondo_missing"
	rondo_log=$(mktemp) || return 1
	(
		set -e
		export DEBIAN_FRONTEND=noninteractive
		[ -z "$rondo_foreign" ] ||
			dpkg --add-architecture "$rondo_foreign"
		# A source that fails to update need not be one of ours.
		apt-get update || true
		# Names are split on purpose: one word a package.
		# shellcheck disable=SC2086
		apt-get install -y --no-install-recommends \
			-o DPkg::Lock::Timeout=300 $rondo_missing
	) </dev/null >"$rondo_log" 2>&1
	rondo_status=$?
	if [ $rondo_status -ne 0 ]; then
		cat "$rondo_log" >&2
		echo "installing failed:$rondo_missing" >&2
	fi
	rm -f "$rondo_log"
	return $rondo_status
}
