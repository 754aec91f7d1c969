"""Calls that run at the same time."""

from concurrent.futures import ThreadPoolExecutor


def run_parallel(calls):
    """Runs all calls at the same time, each in a thread. Returns their results in order; an exception is raised."""
    calls = list(calls)
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]
