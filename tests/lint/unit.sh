#!/bin/bash
# systemd accepts the unit, and its security score is low enough.
. "$(dirname "$0")/lib.sh"
need systemd-analyze

# verify FILE: its programs need not be installed, nor its manual pages
verify() {
    local said
    said=$(systemd-analyze verify --man=no "$1" 2>&1) && [ -z "$said" ] || {
        echo "$said"
        return 1
    }
}

exposure() {
    systemd-analyze security --no-pager --offline=yes --threshold=11 "$1" >"$tmp/security" ||
        { grep -v '✓' "$tmp/security"; return 1; }
}

mkdir "$tmp/bad"
printf '[Service]\nExecStart=/bin/true\nProtectEverything=yes\n' >"$tmp/bad/pinproxyd.service"
must_fail "an unknown directive" verify "$tmp/bad/pinproxyd.service"
must_fail "an open unit" exposure "$tmp/bad/pinproxyd.service"

sed "s|=[^ ]*/pinproxyd |=$pinproxyd |" "$builddir/systemd/pinproxyd.service" \
    >"$tmp/pinproxyd.service"
if grep -n '^[^#].*@[a-z]*@' "$tmp/pinproxyd.service"; then
    echo "a path was not filled in"
    exit 1
fi
verify "$tmp/pinproxyd.service" && exposure "$tmp/pinproxyd.service"
