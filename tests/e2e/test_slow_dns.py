"""Names that are slow, fail or get no answer do not affect sections that do not need them, or have an old answer."""

import subprocess
import threading
import time

import pytest

from harness.certs import NAME
from harness.clients import try_exchange
from harness.config import to
from harness.daemon import PINPROXY, WRAPPER
from harness.mount_namespace import in_mount_namespace
from harness.nameserver import NameServer
from harness.parallel import run_parallel
from harness.waiting import DEADLINE, wait_until


def is_served(daemon, section):
    return try_exchange(daemon.address(section)) == b"hello"


def section_of(server, **settings):
    """Returns the options of a section without `address`, so that the name server decides."""
    return {"listen": "127.0.0.1:0", "port": server.port, "pin": server.cert.pin, **settings}


@pytest.mark.threads
@pytest.mark.parametrize("workers, slow", [(1, 4), (16, 1), (2, 40)])
def test_slow_names_do_not_delay_others(workers, slow, pinproxyd, tls_server, stack):
    server = tls_server()
    names = {f"slow{i}.test": "127.0.0.1" for i in range(slow)}
    dns = stack.add(NameServer({**names, "quick.test": "127.0.0.1"}, {name: 1000 for name in names}))
    daemon = pinproxyd({"global": {"workers": workers, "drain_timeout": "100ms"}, "quick.test": section_of(server),
                        **{name: section_of(server) for name in names}}, nameserver=dns.address)
    clients = [threading.Thread(target=is_served, args=(daemon, name)) for name in names for _ in range(workers)]
    for client in clients:
        client.start()
    wait_until(lambda: set(dns.asked) >= set(names), "all slow names to be asked for")
    for _ in range(4):
        assert is_served(daemon, "quick.test")
    # none of the slow names has an answer yet, or this would prove nothing
    assert not daemon.events(event="upstream_error")
    daemon.stop()
    for client in clients:
        client.join()


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("mode", ["fail", "silent"])
def test_an_address_that_one_worker_knows_serves_all_when_the_name_server_is_gone(mode, workers, pinproxyd,
                                                                                 tls_server, stack):
    server = tls_server()
    dns = stack.add(NameServer({"kept.test": "127.0.0.1"}))
    daemon = pinproxyd({"global": {"workers": workers}, "kept.test": section_of(server, dns_ttl="100ms")},
                       nameserver=dns.address)
    assert is_served(daemon, "kept.test")
    dns.mode = mode
    time.sleep(0.15)
    assert [is_served(daemon, "kept.test") for _ in range(2 * workers + 2)] == [True] * (2 * workers + 2)


@pytest.mark.threads
@pytest.mark.parametrize("ttl", ["0", "100ms"])
def test_silent_dns_loses_no_client_of_a_known_name(ttl, pinproxyd, tls_server, stack):
    server = tls_server()
    dns = stack.add(NameServer({"kept.test": "127.0.0.1"}))
    daemon = pinproxyd({"global": {"workers": 4}, "kept.test": section_of(server, dns_ttl=ttl)}, nameserver=dns.address)
    assert is_served(daemon, "kept.test")
    dns.mode = "silent"
    time.sleep(0.15)
    assert run_parallel([lambda: is_served(daemon, "kept.test")] * 16) == [True] * 16
    assert run_parallel([lambda: is_served(daemon, "kept.test")] * 16) == [True] * 16


def test_an_answer_of_one_worker_is_used_by_all(pinproxyd, tls_server, stack):
    server = tls_server()
    dns = stack.add(NameServer({"shared.test": "127.0.0.1"}))
    daemon = pinproxyd({"global": {"workers": 8}, "shared.test": section_of(server, family="ipv4")},
                       nameserver=dns.address)
    assert all(is_served(daemon, "shared.test") for _ in range(16))
    assert dns.asked == ["shared.test"]


def test_a_ttl_of_zero_asks_for_each_connection(pinproxyd, tls_server, stack):
    old = tls_server()
    new = tls_server(cert=old.cert, host="127.0.0.2", port=old.port)
    dns = stack.add(NameServer({"moving.test": "127.0.0.1"}))
    daemon = pinproxyd({"global": {"workers": 2}, "moving.test": section_of(old, dns_ttl="0"),
                        "lazy.test": section_of(old, host="moving.test", dns_ttl="1h")}, nameserver=dns.address)
    assert is_served(daemon, "moving.test") and is_served(daemon, "lazy.test")
    dns.names["moving.test"] = "127.0.0.2"
    assert is_served(daemon, "lazy.test")  # each section by its own dns_ttl
    assert not new.conns
    assert is_served(daemon, "moving.test")
    assert len(new.conns) == 1
    dns.mode = "fail"
    assert is_served(daemon, "moving.test")  # the last good address
    dns.names["moving.test"], dns.mode = "127.0.0.1", "answer"
    before = len(old.conns)
    assert is_served(daemon, "moving.test")
    assert len(old.conns) == before + 1


def test_a_slow_answer_is_used_when_it_arrives(pinproxyd, tls_server, stack):
    old = tls_server()
    new = tls_server(cert=old.cert, host="127.0.0.2", port=old.port)
    dns = stack.add(NameServer({"moving.test": "127.0.0.1"}))
    daemon = pinproxyd({"moving.test": section_of(old, dns_ttl="100ms")}, nameserver=dns.address)
    assert is_served(daemon, "moving.test")
    dns.names["moving.test"], dns.delays["moving.test"] = "127.0.0.2", 2
    time.sleep(0.15)
    assert is_served(daemon, "moving.test")
    assert len(old.conns) == 2  # the connection did not wait

    def moved():
        assert is_served(daemon, "moving.test")
        return new.conns
    wait_until(moved, "a connection to the new address")


@pytest.mark.threads
def test_a_stop_does_not_wait_for_names(pinproxyd, tls_server, stack):
    server = tls_server()
    names = [f"silent{i}.test" for i in range(100)]
    dns = stack.add(NameServer({}))
    dns.mode = "silent"
    daemon = pinproxyd({"global": {"drain_timeout": "100ms"}, NAME: to(server),
                        **{name: section_of(server) for name in names}}, nameserver=dns.address)
    clients = [threading.Thread(target=is_served, args=(daemon, name)) for name in names]
    for client in clients:
        client.start()
    wait_until(lambda: len(dns.asked) > 30, "look-ups under way")
    daemon.process.terminate()
    daemon.wait()
    assert daemon.events(event="stop")
    for client in clients:
        client.join()


def test_the_tool_ends_in_time_when_the_name_server_is_silent(stack, tmp_path):
    dns = stack.add(NameServer({}))
    dns.mode = "silent"
    resolv = tmp_path / "resolv.conf"
    resolv.write_text(f"nameserver {dns.address}\noptions timeout:30 attempts:5\n")
    script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    command = in_mount_namespace(script, resolv, *WRAPPER, PINPROXY, "fetch", "--timeout", "1s", "silent.test")
    tool = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert tool.returncode == 1 and "timeout" in tool.stderr


def test_reloads_add_and_remove_names(pinproxyd, tls_server, stack):
    server = tls_server()
    names = {f"n{i}.test": "127.0.0.1" for i in range(30)}
    dns = stack.add(NameServer(names))
    daemon = pinproxyd({"n0.test": section_of(server)}, nameserver=dns.address)
    for name in names:
        daemon.reload({name: section_of(server)})
        assert is_served(daemon, name)
