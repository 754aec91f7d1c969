"""Waits with a deadline. No test asserts how long something takes; a deadline only turns a hang into a failure."""

import os
import time

# Sanitizers and valgrind slow the daemon, so they lengthen the deadlines.
PATIENCE = float(os.environ.get("PINPROXY_PATIENCE", "8" if os.environ.get("PINPROXY_WRAPPER") else "1"))
DEADLINE = 20 * PATIENCE


def wait_until(condition, what, deadline=DEADLINE):
    """Polls until condition() is true and returns its value. Fails at the deadline."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {deadline:.0f} s in vain for {what}"
        time.sleep(0.01)


def wait_steady(measure, quiet=0.7, deadline=DEADLINE):
    """Polls until measure() does not change for `quiet` seconds, and returns its value."""
    end = time.monotonic() + deadline
    last, since = measure(), time.monotonic()
    while time.monotonic() - since < quiet:
        assert time.monotonic() < end, "it kept changing"
        time.sleep(0.02)
        now = measure()
        if now != last:
            last, since = now, time.monotonic()
    return last


def eventually(assertion, *arguments):
    """Repeats an assertion until it holds, and returns its value. Fails at the deadline.

    For the file of learned keys: the daemon reads an edited file within about a second.
    """
    end = time.monotonic() + DEADLINE
    while True:
        try:
            return assertion(*arguments)
        except (AssertionError, OSError):
            if time.monotonic() > end:
                raise
        time.sleep(0.05)
