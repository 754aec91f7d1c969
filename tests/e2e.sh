#!/bin/bash
# Runs the end-to-end tests with the programs that PINPROXYD and PINPROXY name, several at once if
# pytest-xdist is installed (Debian: python3-pytest-xdist). By hand, for one test:
#   tests/e2e.sh -k half_close -x
set -u -o pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
export PINPROXY_SRCDIR=${PINPROXY_SRCDIR:-$top}
build=${PINPROXY_BUILDDIR:-$top/build}
export PINPROXYD=${PINPROXYD:-$build/pinproxyd}
export PINPROXY=${PINPROXY:-$build/pinproxy}
export PYTHONDONTWRITEBYTECODE=1

python=$top/tests/python
if ! "$python" -c 'import pytest'; then
    echo "skipped: no pytest (Debian: python3-pytest)"
    [ "${PINPROXY_NO_SKIP:-}" = 1 ] && exit 1
    exit 77
fi

# Most tests wait most of the time, so more of them run at once than there are CPUs. Under sanitizers
# and valgrind they compute more than they wait.
if [ $# = 0 ] && "$python" -c 'import xdist' 2>/dev/null; then
    workers=$(($(nproc) * 2 + 1))
    if [ -n "${PINPROXY_WRAPPER:-}" ] || grep -qE '__(asan|tsan)_init' "$PINPROXYD"; then
        workers=$(($(nproc) + 1))
    fi
    set -- -n "$workers"
fi
set -- --durations=10 "$@"
# shellcheck disable=SC2086 # PINPROXY_PYTEST is a list of words, which may be quoted
eval 'set -- "$@"' "${PINPROXY_PYTEST:-}"

summary=$(mktemp)
trap 'rm -f "$summary"' EXIT
"$python" -m pytest "$@" "$top/tests/e2e" | tee "$summary"
status=$?
if [ "$status" = 0 ] && [ "${PINPROXY_NO_SKIP:-}" = 1 ] &&
    tail -n 1 "$summary" | grep -E '[0-9]+ skipped'; then
    echo "tests were skipped, and PINPROXY_NO_SKIP=1 allows none"
    status=1
fi
exit "$status"
