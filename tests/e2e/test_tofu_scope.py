"""verify = tofu: where, and how long, a learned key has an effect; and the PKI beside it."""

import pytest

from harness import certs
from harness.assertions import assert_accepted, assert_not_sent, assert_refused
from harness.certs import NAME, OTHER, day
from harness.learned import PLACE, tofu
from harness.waiting import wait_until


# verify = tofu+pki.

def under(ca, **options):
    return {"verify": "tofu+pki", "ca_file": ca.cert.pem_file(), **options}


def test_tofu_and_pki_learns_a_key_that_the_pki_accepts(state, pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue())
    daemon = pinproxyd(state.config({NAME: tofu(server, **under(ca))}))
    assert assert_accepted(daemon)["pin"] == server.cert.pin
    assert [key.pin for key in state.keys()] == [server.cert.pin]


@pytest.mark.parametrize("make", [
    lambda ca: certs.self_signed(ca.directory), lambda ca: certs.CA(ca.directory).issue(),
    lambda ca: ca.issue(start=-9, end=-2), lambda ca: ca.issue(["elsewhere.test"]),
], ids=["self_signed", "another_root", "expired", "wrong_name"])
def test_tofu_and_pki_learns_no_key_that_the_pki_refuses(make, state, pinproxyd, tls_server, ca):
    server = tls_server(cert=make(ca))
    daemon = pinproxyd(state.config({NAME: tofu(server, **under(ca))}))
    assert_refused(daemon, "refused", "pki", server=server)
    assert state.keys() == [] and not daemon.events(event="learned")


def test_tofu_and_pki_are_checked_at_every_connection(state, pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue())
    first = server.cert
    daemon = pinproxyd(state.config({NAME: tofu(server, **under(ca))}))
    assert_accepted(daemon)
    server.use(ca.issue(key=first.key, start=-9, end=-2))
    assert_refused(daemon, "refused", "pki")
    server.use(ca.issue())
    assert_refused(daemon, "refused", "tofu_changed")
    server.use(ca.issue(key=first.key))
    assert_accepted(daemon)
    assert_not_sent(server)


# Where a learned key has an effect.

@pytest.mark.parametrize("moved", [{"host": "moved.test"}, {"port": 444}], ids=["host", "port"])
def test_another_host_or_port_is_a_new_first_use(moved, state, pinproxyd, tls_server):
    old, new = tls_server(), tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(old)}))
    assert_accepted(daemon)
    daemon.reload(state.config({NAME: tofu(new, **moved)}))
    assert assert_accepted(daemon)["pin"] == new.cert.pin
    place = f"{moved.get('host', NAME)}:{moved.get('port', 443)}"
    assert (place, new.cert.pin) in [(key.place, key.pin) for key in state.keys()]
    assert (place, old.cert.pin) not in [(key.place, key.pin) for key in state.keys()]


def test_a_key_of_another_section_has_no_effect(state, pinproxyd, tls_server):
    server = tls_server()
    state.write(f"other.test {PLACE} {server.cert.pin} 2026-01-01 from=tofu\n"
                f"{NAME} {PLACE} {OTHER} 2026-01-01 from=tofu\n")
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_refused(daemon, "refused", "tofu_changed", server=server)


def test_a_learned_key_has_no_effect_under_verify_pin(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    daemon.reload(state.config({NAME: tofu(server, verify="pin", pin=OTHER)}))
    assert_refused(daemon, "pin_mismatch")
    assert_not_sent(server)


def test_a_restart_keeps_the_keys(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    daemon.stop()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    assert not daemon.events(event="learned")
    server.use(certs.self_signed(tmp_path))
    assert_refused(daemon, "refused", "tofu_changed")


def test_no_session_of_a_replaced_key_is_resumed(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server, resume="yes")}))
    assert_accepted(daemon)
    wait_until(lambda: assert_accepted(daemon)["resumed"] == "yes", "a resumed session")
    state.write(f"{NAME} {PLACE} {OTHER} {day(0)} from=tofu\n")
    daemon.reload()  # after which an edit is in force
    assert_refused(daemon, "refused", "tofu_changed")
    assert_not_sent(server)


def test_a_forgotten_key_is_learned_again_though_it_has_a_session(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server, resume="yes")}))
    assert_accepted(daemon)
    wait_until(lambda: assert_accepted(daemon)["resumed"] == "yes", "a resumed session")
    state.write("")
    daemon.reload()
    assert_accepted(daemon)
    assert [key.pin for key in state.keys()] == [server.cert.pin]
    assert len(daemon.events(event="learned")) == 2
