#!/bin/bash
# The manual pages are clean mdoc.
. "$(dirname "$0")/lib.sh"
need mandoc

# The exit status of mandoc is not enough: any output is an error.
check() {
    local said
    said=$(mandoc -Tlint -Wwarning "$@" 2>&1)
    [ -z "$said" ] || { echo "$said"; return 1; }
}

printf '.Dd May 1, 2026\n.Dt X 1\n.Os\n.Sh NAME\n.Nm x\n.Nd y\n.Bogus\n' >"$tmp/bad.1"
must_fail "an unknown macro" check "$tmp/bad.1"
must_fail "a missing page" check "$tmp/none.1"

check "$srcdir/man/pinproxyd.8" "$srcdir/man/pinproxyd.conf.5" "$srcdir/man/pinproxy.1" \
    "$srcdir/man/pinproxy-recipes.7" "$srcdir/man/pinproxy-troubleshooting.7"
