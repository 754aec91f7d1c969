"""Where clients come in."""

import grp
import os
import pwd
import socket
import stat

import pytest

from certs import NAME
from clients import connect, ping, talk
from config import to
from servers import closed_port


def test_tcp_and_unix_and_ipv6_for_one_section(pinproxyd, tls_server, tmp_path):
    listen = ["127.0.0.1:0", "[::1]:0", f"unix:{tmp_path}/sock"]
    daemon = pinproxyd({NAME: to(tls_server(), listen=listen)})
    addresses = daemon.addresses(NAME)
    assert len(addresses) == 3
    for address in addresses:
        assert talk(address, b"hello") == b"hello"


def test_listen_event_names_the_bound_port(pinproxyd, tls_server):
    port = closed_port()
    daemon = pinproxyd({NAME: to(tls_server(), listen=f"127.0.0.1:{port}")})
    assert daemon.addresses(NAME) == [f"127.0.0.1:{port}"]
    assert daemon.events(event="listen")[0]["level"] == "notice"


@pytest.mark.parametrize("mode", ["0600", "0660", "0666"])
def test_mode_of_a_unix_socket(mode, pinproxyd, tls_server, tmp_path):
    pinproxyd({NAME: to(tls_server(), listen=f"unix:{tmp_path}/sock,mode={mode}")})
    assert stat.S_IMODE(os.stat(tmp_path / "sock").st_mode) == int(mode, 8)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owner_of_a_unix_socket(pinproxyd, tls_server, tmp_path):
    pinproxyd({NAME: to(tls_server(), listen=f"unix:{tmp_path}/sock,mode=0660,user=nobody,group=daemon")})
    found = os.stat(tmp_path / "sock")
    assert (found.st_uid, found.st_gid) == (pwd.getpwnam("nobody").pw_uid, grp.getgrnam("daemon").gr_gid)


def test_unix_path_beside_the_configuration(pinproxyd, tls_server):
    daemon = pinproxyd({NAME: to(tls_server(), listen="unix:sock")})
    assert talk(f"unix:{daemon.directory}/sock", b"hello") == b"hello"


def test_socket_left_behind_by_a_crash(pinproxyd, tls_server, tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/sock")
    daemon = pinproxyd({NAME: to(tls_server(), listen=f"unix:{tmp_path}/sock")})
    assert talk(daemon.address(NAME), b"hello") == b"hello"


def test_socket_is_gone_after_a_stop(pinproxyd, tls_server, tmp_path):
    daemon = pinproxyd({NAME: to(tls_server(), listen=f"unix:{tmp_path}/sock")})
    daemon.stop()
    assert not os.path.exists(tmp_path / "sock")


def test_file_in_the_place_of_a_socket_is_not_removed(pinproxyd, tls_server, tmp_path):
    (tmp_path / "sock").write_text("precious")
    daemon = pinproxyd({NAME: to(tls_server(), listen=f"unix:{tmp_path}/sock")}, wait=False)
    daemon.wait(1)
    assert (tmp_path / "sock").read_text() == "precious"


def test_socket_of_a_living_daemon_is_not_taken(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    first = pinproxyd({NAME: to(server, listen=f"unix:{tmp_path}/sock")})
    second = pinproxyd({NAME: to(server, listen=f"unix:{tmp_path}/sock")}, wait=False)
    second.wait(1)
    assert talk(first.address(NAME), b"hello") == b"hello"


def test_port_in_use(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, listen=server.address)}, wait=False)
    daemon.wait(1)
    assert str(server.port) in daemon.log()
    assert not daemon.events(event="start")


def test_section_without_a_listener(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server), "silent.test": to(server, listen=None)})
    assert talk(daemon.address(NAME), b"hello") == b"hello"


def test_remote_clients(pinproxyd, tls_server):
    daemon = pinproxyd({"global": {"remote_clients": "yes"}, NAME: to(tls_server(), listen="0.0.0.0:0")})
    port = daemon.address(NAME).rsplit(":", 1)[1]
    assert talk(f"127.0.0.1:{port}", b"hello") == b"hello"


def test_restart_on_the_same_port(pinproxyd, tls_server):
    """Connections of the last run in TIME_WAIT do not keep the next one from its port."""
    server, port = tls_server(), closed_port()
    for _ in range(3):
        daemon = pinproxyd({NAME: to(server, listen=f"127.0.0.1:{port}")})
        with connect(daemon.address(NAME)) as client:
            ping(client)
            daemon.stop()
