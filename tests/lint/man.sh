#!/bin/bash
# The manual pages are clean mdoc, and pinproxyd(8) has every reason and every event.
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
    "$srcdir/man/pinproxy-recipes.7" "$srcdir/man/pinproxy-troubleshooting.7" || exit 1

# Without those that nobody sees: unknown_host is for listeners that do not exist yet.
reasons() {
    sed -n 's/^ *X([A-Z_]*, "\([a-z_]*\)", [A-Z].*/\1/p' "$srcdir/src/base/reason.h" |
        grep -vxE 'none|probe_only|unknown_host'
}
events() {
    cat "$srcdir"/src/*/*.c | grep -oE 'log_begin\([^"]*"[a-z_]+"' | cut -d '"' -f 2
}
check_names() {
    local page=$1 name missing=
    shift
    for name; do
        grep -qE "^\.(It )?Cm (.* )?$name( |\$)" "$page" || missing+=" $name"
    done
    [ -z "$missing" ] || { echo "$page: not described:$missing"; return 1; }
}

mapfile -t reasons < <(reasons)
mapfile -t events < <(events)
if [ ${#reasons[@]} -lt 30 ] || [ ${#events[@]} -lt 10 ]; then
    echo "self-check: reasons or events are not found in the sources"
    exit 1
fi
grep -v '^\.It Cm starttls$' "$srcdir/man/pinproxyd.8" >"$tmp/bad.8"
must_fail "a missing reason" check_names "$tmp/bad.8" "${reasons[@]}"
check_names "$srcdir/man/pinproxyd.8" "${reasons[@]}" "${events[@]}"
