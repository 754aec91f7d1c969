"""Assertions on accepted and refused connections: at the client, in the log and at the server."""

from harness.certs import NAME
from harness.clients import exchange, read_to_any_end, try_connection

SECRET = b"PASS s3cr3t-of-the-client\r\n"
FAILURES = ("pin_mismatch", "refused", "upstream_error", "truncated", "limit")  # events that say why a tunnel failed


def failures(daemon, section=NAME):
    """Returns (event, reason) of each log line that says why a tunnel of the section failed."""
    events = daemon.events(event=lambda name: name in FAILURES, section=section)
    return [(event["event"], event.get("reason")) for event in events]


def assert_accepted(daemon, section=NAME):
    """Asserts that a client gets its data back from an echoing upstream. Returns the `tunnel_open` event."""
    mark = daemon.mark()
    assert exchange(daemon.address(section), b"hello") == b"hello"
    return daemon.wait_event(since=mark, event="tunnel_open", section=section)


def resumed(daemon, count, section=NAME):
    """Returns, for each of `count` connections one after another, whether its session was resumed: "yes" or "no"."""
    return [assert_accepted(daemon, section)["resumed"] for _ in range(count)]


def assert_refused(daemon, event, reason=None, section=NAME, data=SECRET, server=None, last=False):
    """Asserts that a client is reset without a byte, and that the log says why. Returns that event.

    With `server`, also asserts that it received no plaintext and that this was the only failure of the section. Stops
    the daemon and the server first, so that nothing can come later. `last` does the same without a server.
    """
    address, mark = daemon.address(section), daemon.mark()
    received, was_reset = try_connection(address, data)
    assert received == b""
    assert was_reset or address.startswith("unix:"), "a clean end instead of a reset"
    line = daemon.wait_event(since=mark, event=lambda name: name in FAILURES, section=section)
    assert line["event"] == event and reason in (None, line.get("reason")), line
    if server or last:
        daemon.stop()
        assert failures(daemon, section) == [(event, line.get("reason"))]
    if server:
        assert_nothing_sent(server, data)
    return line


def assert_closed(daemon, sock, reason, section=NAME):
    """Asserts that an open tunnel is reset, with one event that says why and then `tunnel_close`. Returns the first."""
    assert read_to_any_end(sock) == (b"", True)
    daemon.wait_event(event="tunnel_close", section=section, reason=reason)
    tail = [event for event in daemon.events(section=section)
            if event["event"] in ("refused", "tunnel_close", "pin_mismatch")]
    assert [(event["event"], event.get("reason")) for event in tail] == [("refused", reason), ("tunnel_close", reason)]
    return tail[0]


def assert_nothing_sent(server, *data):
    """Stops the server. Asserts that it received no plaintext at all, and none of data in clear."""
    server.stop()
    server.assert_nothing_received(*data)


def assert_not_sent(server, data=SECRET):
    """Stops the server. Asserts that data did not get to it, neither encrypted nor in clear."""
    server.stop()
    for conn in server.conns:
        assert data not in conn.plaintext and data not in conn.wire
