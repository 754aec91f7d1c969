"""The proof of a refusal: nothing in clear upstream, the right end for the client, one event that says why."""

from harness.certs import NAME
from harness.clients import knock

SECRET = b"PASS s3cr3t-of-the-client\r\n"
TELLING = ("pin_mismatch", "refused", "upstream_error", "truncated", "limit")


def told(daemon, section=NAME):
    """(event, reason) of each line that says why a tunnel failed."""
    events = daemon.events(event=lambda name: name in TELLING, section=section)
    return [(event["event"], event.get("reason")) for event in events]


def assert_refused(daemon, server, event, reason=None, section=NAME, words=SECRET):
    """Returns the event. Stops the daemon and the server, so that nothing can come later."""
    address = daemon.address(section)
    heard, was_reset = knock(address, words)
    assert heard == b""
    assert was_reset or address.startswith("unix:"), "a clean end where a reset belongs"
    line = daemon.wait_event(event=event, section=section)
    daemon.stop()
    found = told(daemon, section)
    assert len(found) == 1, found
    assert found[0][0] == event
    if reason is not None:
        assert line["reason"] == reason, line
    if server is not None:
        server.stop()
        server.saw_nothing(words)
    return line
