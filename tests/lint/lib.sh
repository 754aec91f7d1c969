# For the lints written in shell: sourced. Each lint first shows on a bad sample that it can fail.
# shellcheck shell=bash disable=SC2034
set -u

srcdir=${PINPROXY_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
builddir=${PINPROXY_BUILDDIR:-$srcdir/build}
pinproxyd=${PINPROXYD:-$builddir/pinproxyd}
pinproxy=${PINPROXY:-$builddir/pinproxy}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# need TOOL: the lint is skipped without it, or fails where nothing may be skipped
need() {
    command -v "$1" >/dev/null && return
    echo "skipped: no $1"
    [ "${PINPROXY_NO_SKIP:-}" = 1 ] && exit 1
    exit 77
}

# must_fail WHAT COMMAND...: COMMAND has to find fault with a sample that is wrong in WHAT
must_fail() {
    local what=$1
    shift
    if "$@" >/dev/null 2>&1; then
        echo "self-check: $1 does not notice $what"
        exit 1
    fi
}
