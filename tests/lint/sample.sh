#!/bin/bash
# The sample configuration is accepted, as it is and with every option in it switched on.
. "$(dirname "$0")/lib.sh"

check() {
    "$pinproxyd" -t -c "$1"
}

mkdir "$tmp/conf.d"
sample=$srcdir/etc/pinproxyd.conf
{ cat "$sample"; echo 'no_such_option = 1'; } >"$tmp/bad.conf"
must_fail "an unknown option" check "$tmp/bad.conf"

# The file that ca_file names; any certificate will do.
need openssl
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=sample \
    -keyout "$tmp/key.pem" -out "$tmp/ca.pem" 2>/dev/null || exit 1
sed 's/^;\([a-z[]\)/\1/' "$sample" >"$tmp/all.conf"
cp "$sample" "$tmp/pinproxyd.conf"
check "$tmp/pinproxyd.conf" && check "$tmp/all.conf"
