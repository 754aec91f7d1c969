#!/bin/bash
# The sample configuration lacks a host and nothing else, and is accepted with one and with every
# option in it switched on.
. "$(dirname "$0")/lib.sh"

check() {
    "$pinproxyd" -t -c "$1"
}

mkdir "$tmp/conf.d"
sample=$srcdir/etc/pinproxyd.conf
{ cat "$sample"; echo 'no_such_option = 1'; } >"$tmp/bad.conf"
must_fail "an unknown option" check "$tmp/bad.conf"

# The files that ca_file and client_cert name; any certificate will do.
need openssl
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=sample \
    -keyout "$tmp/key.pem" -out "$tmp/ca.pem" 2>/dev/null || exit 1
cp "$tmp/ca.pem" "$tmp/client.pem" && cp "$tmp/key.pem" "$tmp/client.key" || exit 1
echo password >"$tmp/client.password"
sed 's/^;\([a-z[]\)/\1/' "$sample" >"$tmp/all.conf"
cp "$sample" "$tmp/pinproxyd.conf"
must_fail "a configuration without a host" check "$tmp/pinproxyd.conf"
[ "$(check "$tmp/pinproxyd.conf" 2>&1 | grep -c .)" = 1 ] &&
    check "$tmp/pinproxyd.conf" 2>&1 | grep -q 'no host section' || exit 1
printf '[a.example]\nlisten = 127.0.0.1:0\nverify = pki\n' >"$tmp/conf.d/a.conf"
check "$tmp/pinproxyd.conf" && rm "$tmp/conf.d/a.conf" && check "$tmp/all.conf"
