#!/bin/bash
# The shipped unit starts, reloads and stops on a system that has nothing but systemd and the libraries.
set -u
config=/etc/pinproxy/conf.d/test.conf

fail() {
    echo "$*"
    journalctl --no-pager -u pinproxyd | tail -n 40
    exit 1
}

# get PORT: what an HTTP server behind the plaintext port answers
get() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && timeout 10 cat <&3) 2>/dev/null
}

# wait_for COMMAND...: until it succeeds
wait_for() {
    local i
    for i in $(seq 100); do
        "$@" && return
        sleep 0.1
    done
    fail "never came true: $*"
}

answers() {
    get "$1" | grep -q '^HTTP/1.0 200'
}

# section PORT: the configuration
section() {
    cat >"$config" <<END
[server.test]
listen = 127.0.0.1:$1
         unix:/run/pinproxy/server.sock,mode=$2
address = 127.0.0.1:4433
pin = sha256//$pin
END
}

[ ! -e /bin/kill ] || fail "this system is not as small as it should be: there is a /bin/kill"

cd /root || exit 1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem \
    -subj /CN=server.test -days 2 2>/dev/null || fail "no certificate"
pin=$(openssl x509 -in cert.pem -noout -pubkey | openssl pkey -pubin -outform der |
    openssl dgst -sha256 -binary | base64)
openssl s_server -accept 127.0.0.1:4433 -key key.pem -cert cert.pem -www -quiet >server.log 2>&1 &
server=$!
trap 'kill "$server"' EXIT

section 8443 0600
systemctl start pinproxyd || fail "start"
wait_for answers 8443
before=$(systemctl show -P MainPID pinproxyd)

section 8444 0666
systemctl reload pinproxyd || fail "reload"
wait_for answers 8444
[ "$(stat -c %a /run/pinproxy/server.sock)" = 666 ] || fail "the reload has not changed the socket's mode"
! answers 8443 || fail "the old listener is still there"
[ "$(systemctl show -P MainPID pinproxyd)" = "$before" ] || fail "that was a restart"

# what a cleaner removed is made again
rm /run/pinproxy/server.sock
systemctl reload pinproxyd || fail "reload"
wait_for test -S /run/pinproxy/server.sock

section 8445 0666
echo "pin = nonsense" >>"$config"
! systemctl reload pinproxyd 2>/dev/null || fail "a reload of a broken configuration succeeded"
answers 8444 || fail "a reload that failed has stopped the old configuration"

# whom the unit does not let give the socket away
section 8444 0666,group=adm
systemctl reload pinproxyd
wait_for eval 'journalctl --no-pager -u pinproxyd | grep -q "reload_failed.*Group="'
answers 8444 || fail "a reload that failed has stopped the old configuration"

# for whom it has the right already
section 8444 0660,group=adm
mkdir -p /etc/systemd/system/pinproxyd.service.d
printf '[Service]\nGroup=adm\n' >/etc/systemd/system/pinproxyd.service.d/group.conf
systemctl daemon-reload
systemctl restart pinproxyd || fail "restart with Group="
answers 8444 || fail "no answer after the restart"
[ "$(stat -c %G:%a /run/pinproxy/server.sock)" = adm:660 ] || fail "the socket is not the group's"
rm -r /etc/systemd/system/pinproxyd.service.d
systemctl daemon-reload

systemctl stop pinproxyd || fail "stop"
[ "$(systemctl show -P Result pinproxyd)" = success ] || fail "the stop was no clean one"
[ "$(systemctl show -P ExecMainStatus pinproxyd)" = 0 ] || fail "exit status"
[ ! -e /run/pinproxy/server.sock ] || fail "the socket is still there"
