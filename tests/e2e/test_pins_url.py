"""Pins that a host announces: taken over only from a connection that today's pins protect, and by the rules."""

import pytest

import certs
from certs import NAME, day
from clients import knock, talk
from config import to
from refusal import SECRET
from waiting import wait_until


def announces(*fields, status="200 OK", body=b"pins"):
    """A web server that answers with these header fields, and echoes to whoever asks for nothing."""
    def behave(conn):
        data = conn.recv()
        if not data.startswith(b"GET "):
            while data:
                conn.send(data)
                data = conn.recv()
            conn.close_notify()
            return
        while b"\r\n\r\n" not in data:
            data += conn.recv()
        conn.request = data
        head = "".join(f"{field}\r\n" for field in fields)
        conn.send(f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        conn.close_notify()
    return behave


def field(*pins, age=5184000, more=""):
    text = "; ".join([f'pin-sha256="{pin[len("sha256//"):]}"' for pin in pins] + [f"max-age={age}"])
    return f"Public-Key-Pins: {text}{more}"


class Site:
    """A server, its next key, and the daemon's configuration."""

    def __init__(self, tls_server, tmp_path):
        self.server = tls_server(announces())
        self.next = certs.self_signed(tmp_path)
        self.state = tmp_path / "state"

    @property
    def pin(self):
        return self.server.cert.pin

    def announce(self, *fields, **options):
        self.server.behave = announces(*fields, **options)

    def config(self, **options):
        options.setdefault("pin", f"{self.pin} name=today")
        return {"global": {"state_dir": self.state},
                NAME: to(self.server, pins_url=options.pop("pins_url", "/pins"), **options)}

    def learned(self):
        path = self.state / "learned"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def site(tls_server, tmp_path):
    return Site(tls_server, tmp_path)


def lines(site, *pins, until):
    return [f"{NAME} {NAME}:443 {pin} {day(0)} from=pins_url until={until}" for pin in pins]


@pytest.mark.valgrind
@pytest.mark.threads
def test_announced_pins_are_kept_and_count(pinproxyd, site):
    site.announce(field(site.pin, site.next.pin, age=86400 * 30, more="; includeSubDomains"))
    daemon = pinproxyd(site.config())
    for pin in (site.pin, site.next.pin):
        event = daemon.wait_event(event="learned", section=NAME, pin=pin)
        assert event["from"] == "pins_url"
    assert site.learned() == lines(site, site.pin, site.next.pin, until=day(30))
    request = site.server.wait_done()[0].request.decode()
    assert request.startswith("GET /pins HTTP/1.1\r\n") and f"\r\nHost: {NAME}\r\n" in request
    assert "\r\nConnection: close\r\n" in request
    site.server.use(site.next)
    assert talk(daemon.address(NAME), b"hello") == b"hello"
    assert daemon.wait_event(event="tunnel_open")["pin"] == site.next.pin


def test_host_carries_the_port(pinproxyd, site):
    site.announce(field(site.pin, site.next.pin))
    daemon = pinproxyd(site.config(port=site.server.port))
    daemon.wait_event(event="learned")
    assert f"\r\nHost: {NAME}:{site.server.port}\r\n" in site.server.wait_done()[0].request.decode()


def test_sixty_days_at_most(pinproxyd, site):
    site.announce(field(site.pin, site.next.pin, age=10**12))
    pinproxyd(site.config()).wait_event(event="learned")
    assert site.learned() == lines(site, site.pin, site.next.pin, until=day(60))


def test_restart_keeps_them(pinproxyd, site):
    site.announce(field(site.pin, site.next.pin))
    config = site.config()
    first = pinproxyd(config)
    first.wait_event(event="learned", pin=site.next.pin)
    first.stop()
    site.server.use(site.next)
    daemon = pinproxyd(config)
    assert talk(daemon.address(NAME), b"hello") == b"hello"


FAULTS = {
    "no_field": ((), {}, "no Public-Key-Pins"),
    "not_http": ((), {"status": "\x01"}, "not HTTP"),
    "no_max_age": (('Public-Key-Pins: pin-sha256="{today}"; pin-sha256="{next}"',), {}, "max-age"),
    "not_base64": (('Public-Key-Pins: pin-sha256="abc"; max-age=1000000',), {}, "base64"),
    "no_quotes": (("Public-Key-Pins: pin-sha256={today}; max-age=1000000",), {}, ""),
    "no_backup": (('Public-Key-Pins: pin-sha256="{today}"; max-age=1000000',), {}, "backup"),
    "current_missing": (('Public-Key-Pins: pin-sha256="{next}"; max-age=1000000',), {}, "key in use"),
    "first_field_counts": (('Public-Key-Pins: pin-sha256="{today}"; max-age=1000000',
                            'Public-Key-Pins: pin-sha256="{today}"; pin-sha256="{next}"; max-age=1000000'), {}, "backup"),
    "report_only": (('Public-Key-Pins-Report-Only: pin-sha256="{today}"; pin-sha256="{next}"; max-age=1000000',), {},
                    "no Public-Key-Pins"),
    "endless_head": (("X: " + "x" * 50_000,), {}, "too long"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_not_taken_over(fault, pinproxyd, site):
    fields, options, word = FAULTS[fault]
    values = {"{today}": site.pin[8:], "{next}": site.next.pin[8:]}
    for old, new in values.items():
        fields = tuple(f.replace(old, new) for f in fields)
    site.announce(*fields, **options)
    daemon = pinproxyd(site.config())
    event = daemon.wait_event(event="pins_url_failed", section=NAME)
    assert word in event["detail"]
    daemon.stop()
    assert not daemon.events(event="learned") and not site.learned()


def test_nothing_is_asked_of_a_server_that_is_refused(pinproxyd, site, tmp_path):
    site.announce(field(site.pin, site.next.pin))
    daemon = pinproxyd(site.config(pin=certs.self_signed(tmp_path).pin))
    daemon.wait_event(event="pin_mismatch", section=NAME)
    daemon.stop()
    site.server.stop()
    site.server.saw_nothing(b"GET")
    assert not site.learned()


def test_nothing_is_learned_in_report_mode(pinproxyd, tls_server, tmp_path, ca):
    site = Site(tls_server, tmp_path)
    site.server.use(ca.issue())
    site.announce(field(site.pin, site.next.pin))
    daemon = pinproxyd(site.config(pin=site.next.pin, verify="pin+pki", enforce="report", ca_file=ca.cert.pem_file()))
    assert "not accepted on a pin" in daemon.wait_event(event="pins_url_failed")["detail"]
    daemon.stop()
    assert not site.learned()


def test_nothing_is_learned_before_the_first_use(pinproxyd, site):
    """The first key of a section is the first client's to keep."""
    site.announce(field(site.pin, site.next.pin))
    daemon = pinproxyd(site.config(pin=None, verify="tofu"))
    site.server.wait_done()
    assert not site.learned() and not daemon.events(event="learned")
    assert talk(daemon.address(NAME), b"hello") == b"hello"
    assert len(site.learned()) == 1


def test_a_later_answer_replaces_the_earlier(pinproxyd, site, tmp_path):
    third = certs.self_signed(tmp_path)
    site.announce(field(site.pin, site.next.pin))
    daemon = pinproxyd(site.config())
    daemon.wait_event(event="learned", pin=site.next.pin)
    site.announce(field(site.pin, third.pin))
    daemon.reload(site.config(also_check="dates"))  # its trust has changed: it is asked at once
    daemon.wait_event(event="learned", pin=third.pin)
    assert site.learned() == lines(site, site.pin, third.pin, until=day(60))
    site.announce(field(age=0))
    daemon.reload(site.config(also_check="name"))
    wait_until(lambda: not site.learned(), "the pins' end")


def test_reload_that_changes_nothing_asks_nothing(pinproxyd, site):
    site.announce(field(site.pin, site.next.pin))
    daemon = pinproxyd(site.config())
    daemon.wait_event(event="learned", pin=site.next.pin)
    daemon.reload()
    daemon.reload()
    assert len(site.server.conns) == 1


def test_without_the_option_they_do_not_count(pinproxyd, site):
    site.announce(field(site.pin, site.next.pin))
    config = site.config(pins_url=None)
    daemon = pinproxyd(site.config())
    daemon.wait_event(event="learned", pin=site.next.pin)
    daemon.reload(config)
    site.server.use(site.next)
    knock(daemon.address(NAME), SECRET)
    daemon.wait_event(event="pin_mismatch")


def test_revoked_beats_them(pinproxyd, site):
    site.announce(field(site.pin, site.next.pin))
    daemon = pinproxyd(site.config(revoked=site.next.pin))
    daemon.wait_event(event="learned", pin=site.next.pin)
    site.server.use(site.next)
    knock(daemon.address(NAME), SECRET)
    daemon.wait_event(event="refused", reason="revoked")


def test_a_host_that_never_answers_does_not_hold_up_the_stop(pinproxyd, site):
    site.server.behave = lambda conn: conn.go_on.wait(30)
    daemon = pinproxyd(site.config())
    site.server.wait_conns()
    daemon.stop()
