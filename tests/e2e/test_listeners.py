"""Listeners: addresses, Unix sockets, and reloads of them."""

import grp
import os
import pwd
import socket
import stat
import subprocess
import sys
import tempfile

import pytest

from harness.assertions import assert_accepted
from harness.certs import NAME
from harness.clients import ContinuousClients, connect, exchange, open_tunnel, ping
from harness.config import to
from harness.daemon import Daemon, run_pinproxyd
from harness.servers import closed_port


def test_one_section_listens_on_tcp_and_ipv6_and_unix(pinproxyd, tls_server, tmp_path):
    listen = ["127.0.0.1:0", "[::1]:0", f"unix:{tmp_path}/sock"]
    daemon = pinproxyd({NAME: to(tls_server(), listen=listen)})
    addresses = daemon.addresses(NAME)
    assert len(addresses) == 3
    for address in addresses:
        assert exchange(address, b"hello") == b"hello"


def test_listen_event_names_the_bound_port(pinproxyd, tls_server):
    port = closed_port()
    daemon = pinproxyd({NAME: to(tls_server(), listen=f"127.0.0.1:{port}")})
    assert daemon.addresses(NAME) == [f"127.0.0.1:{port}"]
    assert daemon.events(event="listen")[0]["level"] == "notice"


@pytest.mark.parametrize("mode", ["0600", "0660", "0666"])
def test_a_unix_socket_gets_its_mode(mode, pinproxyd, tls_server, tmp_path):
    pinproxyd({NAME: to(tls_server(), listen=f"unix:{tmp_path}/sock,mode={mode}")})
    assert stat.S_IMODE(os.stat(tmp_path / "sock").st_mode) == int(mode, 8)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_unix_socket_gets_its_owner(pinproxyd, tls_server, tmp_path):
    pinproxyd({NAME: to(tls_server(), listen=f"unix:{tmp_path}/sock,mode=0660,user=nobody,group=daemon")})
    found = os.stat(tmp_path / "sock")
    assert (found.st_uid, found.st_gid) == (pwd.getpwnam("nobody").pw_uid, grp.getgrnam("daemon").gr_gid)


def test_a_relative_unix_path_is_beside_the_configuration(pinproxyd, tls_server):
    daemon = pinproxyd({NAME: to(tls_server(), listen="unix:sock")})
    assert exchange(f"unix:{daemon.directory}/sock", b"hello") == b"hello"


def test_a_socket_left_by_a_crash_is_replaced(pinproxyd, tls_server, tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/sock")
    daemon = pinproxyd({NAME: to(tls_server(), listen=f"unix:{tmp_path}/sock")})
    assert_accepted(daemon)


def test_a_stop_removes_the_socket(pinproxyd, tls_server, tmp_path):
    daemon = pinproxyd({NAME: to(tls_server(), listen=f"unix:{tmp_path}/sock")})
    daemon.stop()
    assert not os.path.exists(tmp_path / "sock")


def test_a_file_in_the_place_of_a_socket_is_not_removed(pinproxyd, tls_server, tmp_path):
    (tmp_path / "sock").write_text("precious")
    daemon = pinproxyd({NAME: to(tls_server(), listen=f"unix:{tmp_path}/sock")}, wait=False)
    daemon.wait(1)
    assert (tmp_path / "sock").read_text() == "precious"


def test_the_socket_of_a_running_daemon_is_not_taken(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    first = pinproxyd({NAME: to(server, listen=f"unix:{tmp_path}/sock")})
    second = pinproxyd({NAME: to(server, listen=f"unix:{tmp_path}/sock")}, wait=False)
    second.wait(1)
    assert_accepted(first)


def test_a_socket_is_not_made_where_others_can_replace_it(pinproxyd, tls_server, tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    daemon = pinproxyd({NAME: to(tls_server(), listen=f"unix:{tmp_path}/open/sock")}, wait=False)
    daemon.wait(1)
    assert "/run/pinproxy" in daemon.log()
    assert not os.path.lexists(tmp_path / "open/sock")


def test_a_socket_is_made_in_a_directory_such_as_tmp(pinproxyd, tls_server, tmp_path):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    daemon = pinproxyd({NAME: to(tls_server(), listen=f"unix:{tmp_path}/tmp/sock,mode=0600")})
    assert_accepted(daemon)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
@pytest.mark.parametrize("parent", [False, True], ids=["itself", "above"])
def test_a_socket_is_not_made_in_another_users_directory(parent, pinproxyd, tls_server, tmp_path):
    (tmp_path / "theirs" / "ours").mkdir(parents=True)
    os.chown(tmp_path / "theirs", pwd.getpwnam("nobody").pw_uid, -1)
    path = tmp_path / "theirs" / ("ours/sock" if parent else "sock")
    daemon = pinproxyd({NAME: to(tls_server(), listen=f"unix:{path}")}, wait=False)
    daemon.wait(1)
    assert "another user" in daemon.log()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_a_socket_is_made_in_the_directory_of_the_daemons_user(pinproxyd, tls_server, tmp_path):
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", pwd.getpwnam("nobody").pw_uid, -1)
    os.chmod(tmp_path, 0o711)
    daemon = pinproxyd({"global": {"user": "nobody"}, NAME: to(tls_server(), listen=f"unix:{tmp_path}/theirs/sock")})
    assert_accepted(daemon)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_a_dead_socket_of_another_user_is_not_removed(pinproxyd, tls_server, tmp_path):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/tmp/sock")
    os.chown(tmp_path / "tmp/sock", pwd.getpwnam("nobody").pw_uid, -1)
    daemon = pinproxyd({NAME: to(tls_server(), listen=f"unix:{tmp_path}/tmp/sock")}, wait=False)
    daemon.wait(1)
    assert "another user" in daemon.log()
    assert os.path.exists(tmp_path / "tmp/sock")


@pytest.mark.parametrize("place", ["link", "dangling link"])
def test_a_link_in_the_place_of_a_socket_is_not_followed(place, pinproxyd, tls_server, tmp_path):
    (tmp_path / "sock").symlink_to(tmp_path / "precious")
    if place == "link":
        (tmp_path / "precious").touch(0o600)
    daemon = pinproxyd({NAME: to(tls_server(), listen=f"unix:{tmp_path}/sock,mode=0666")}, wait=False)
    daemon.wait(1)
    assert (tmp_path / "sock").is_symlink()
    assert not (tmp_path / "precious").exists() or stat.S_IMODE((tmp_path / "precious").stat().st_mode) == 0o600


@pytest.mark.parametrize("access", ["mode=0666", "mode=0666,user=nobody,group=daemon"])
def test_a_reload_does_not_follow_a_link_put_in_the_place_of_a_socket(access, pinproxyd, tls_server, tmp_path):
    """A file of root must not become writable for everyone."""
    if "user" in access and os.geteuid() != 0:
        pytest.skip("only root gives files away")
    precious, path = tmp_path / "precious", tmp_path / "sock"
    precious.touch(0o600)
    before = precious.stat()
    sections = {NAME: to(tls_server(), listen=f"unix:{path},{access}")}
    daemon = pinproxyd(sections)
    path.unlink()
    path.symlink_to(precious)
    daemon.reload(sections, ok=False)
    after = precious.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert path.is_symlink()
    path.unlink()
    daemon.reload(sections)
    assert exchange(f"unix:{path}", b"hello") == b"hello"


def test_a_reload_changes_the_mode_of_a_socket(pinproxyd, tls_server, tmp_path):
    server, path = tls_server(), tmp_path / "sock"
    daemon = pinproxyd({NAME: to(server, listen=f"unix:{path}")})
    first = path.stat()
    for mode in ("0600", "0666", "0640"):
        daemon.reload({NAME: to(server, listen=f"unix:{path},mode={mode}")})
        assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)
    daemon.reload({NAME: to(server, listen=f"unix:{path}")})
    assert path.stat().st_mode == first.st_mode
    assert path.stat().st_ino == first.st_ino


def test_a_reload_that_fails_leaves_the_mode_of_a_socket(pinproxyd, tls_server, tmp_path):
    server, path = tls_server(), tmp_path / "sock"
    sections = {NAME: to(server, listen=f"unix:{path},mode=0600")}
    daemon = pinproxyd(sections)
    in_use = f"127.0.0.1:{server.port}"
    daemon.reload({NAME: to(server, listen=f"unix:{path},mode=0666"), "more.test": to(server, listen=in_use)}, ok=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("owner", ["user", "group"])
def test_a_daemon_that_cannot_change_the_owner_of_its_socket_says_what_to_write(owner, tmp_path):
    """The unit leaves the daemon no capability."""
    config = tmp_path / "pinproxyd.conf"
    config.write_text(f"[{NAME}]\nlisten = unix:sock,{owner}=daemon\nverify = pki\n")
    helpless = ["setpriv", "--bounding-set=-chown", "--inh-caps=-chown"] if os.geteuid() == 0 else []
    done = run_pinproxyd("-c", config, prefix=helpless)
    assert done.returncode == 1
    assert f"{config}:2:" in done.err and "mode=" in done.err and "Group=" in done.err
    assert not (tmp_path / "sock").exists()


def test_a_socket_file_that_was_removed_is_made_again_by_a_reload(pinproxyd, tls_server, tmp_path):
    """A cleaner of temporary files may remove it."""
    path = tmp_path / "sock"
    sections = {NAME: to(tls_server(), listen=f"unix:{path},mode=0600")}
    daemon = pinproxyd(sections)
    with connect(daemon.address(NAME)) as open_before:
        ping(open_before)
        path.unlink()
        daemon.reload(sections)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert exchange(f"unix:{path}", b"hello") == b"hello"
        ping(open_before)
    daemon.stop()
    assert not path.exists()


@pytest.mark.parametrize("other", ["file", "directory", "socket"])
def test_a_reload_does_not_touch_what_is_in_the_place_of_a_socket(other, pinproxyd, tls_server, tmp_path):
    path = tmp_path / "sock"
    sections = {NAME: to(tls_server(), listen=f"unix:{path}")}
    daemon = pinproxyd(sections)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other_program:
        if other == "socket":
            other_program.bind(str(path))
            other_program.listen()
        elif other == "file":
            path.touch()
        else:
            path.mkdir()
        inode = path.stat().st_ino
        daemon.reload(sections, ok=False)
        daemon.stop()
        assert path.stat().st_ino == inode


def test_a_client_that_waits_at_a_removed_socket_is_served_after_a_reload(pinproxyd, tls_server, tmp_path):
    path = tmp_path / "sock"
    sections = {"global": {"max_connections": 1}, NAME: to(tls_server(), listen=f"unix:{path}")}
    daemon = pinproxyd(sections)
    first = connect(daemon.address(NAME))
    ping(first)
    with connect(daemon.address(NAME)) as waiting:
        path.unlink()
        daemon.reload(sections)
        first.close()
        ping(waiting)


def test_a_port_in_use_stops_the_start(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, listen=server.address)}, wait=False)
    daemon.wait(1)
    assert str(server.port) in daemon.log()
    assert not daemon.events(event="start")


def test_a_section_without_a_listener_is_valid(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server), "silent.test": to(server, listen=None)})
    assert_accepted(daemon)


def test_remote_clients_permits_all_addresses(pinproxyd, tls_server):
    daemon = pinproxyd({"global": {"remote_clients": "yes"}, NAME: to(tls_server(), listen="0.0.0.0:0")})
    port = daemon.address(NAME).rsplit(":", 1)[1]
    assert exchange(f"127.0.0.1:{port}", b"hello") == b"hello"


def test_a_restart_gets_the_same_port(pinproxyd, tls_server):
    """Connections in TIME_WAIT do not prevent the next start."""
    server, port = tls_server(), closed_port()
    for _ in range(3):
        daemon = pinproxyd({NAME: to(server, listen=f"127.0.0.1:{port}")})
        with connect(daemon.address(NAME)) as client:
            ping(client)
            daemon.stop()


def can_be_shared(address):
    """Returns whether another process of this user can listen there as well, with SO_REUSEPORT."""
    script = """if True:
        import socket, sys
        host, port = sys.argv[1].rsplit(":", 1)
        host = host.strip("[]")
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if ":" in host:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            sock.bind((host, int(port)))
            sock.listen()
        except OSError:
            sys.exit(1)
    """
    return subprocess.run([sys.executable, "-c", script, address]).returncode == 0


@pytest.mark.threads
@pytest.mark.parametrize("one, all", [("127.0.0.1", "0.0.0.0"), ("[::1]", "[::]")])
def test_a_reload_to_all_addresses_and_back_refuses_nobody(one, all, pinproxyd, tls_server):
    server, port = tls_server(), closed_port()
    sections = [{"global": {"remote_clients": "yes"}, NAME: to(server, listen=f"{host}:{port}")} for host in (one, all)]
    daemon = pinproxyd(sections[0])
    with open_tunnel(daemon.address(NAME)) as stays, ContinuousClients(f"{one}:{port}") as clients:
        for i in range(1, 21):
            assert daemon.reload(sections[i % 2])["listeners"] == "1"
            clients.wait_more()
        ping(stays)
    for host in (one, all):
        assert not can_be_shared(f"{host}:{port}")
    daemon.reload(sections[1])
    for host in (one, all):
        assert not can_be_shared(f"{host}:{port}")


def test_a_reload_to_all_addresses_of_both_families_serves_both(pinproxyd, tls_server):
    server, port = tls_server(), closed_port()
    pairs = [("127.0.0.1", "[::1]"), ("0.0.0.0", "[::]"), ("127.0.0.1", "[::]"), ("0.0.0.0", "[::]")]
    sections = [{"global": {"remote_clients": "yes"}, NAME: to(server, listen=[f"{host}:{port}" for host in pair])}
                for pair in pairs]
    daemon = pinproxyd(sections[0])
    for section in sections[1:]:
        daemon.reload(section)
        for host in ("127.0.0.1", "[::1]"):
            assert exchange(f"{host}:{port}", b"hello") == b"hello"
        for host in ("127.0.0.1", "[::1]", "0.0.0.0", "[::]"):
            assert not can_be_shared(f"{host}:{port}"), host


def test_after_a_reload_to_one_address_the_others_are_closed(pinproxyd, tls_server):
    server, port = tls_server(), closed_port()
    everywhere = {"global": {"remote_clients": "yes"}, NAME: to(server, listen=f"0.0.0.0:{port}")}
    daemon = pinproxyd(everywhere)
    assert exchange(f"127.0.0.2:{port}", b"hello") == b"hello"
    daemon.reload({NAME: to(server, listen=f"127.0.0.1:{port}")})
    assert exchange(f"127.0.0.1:{port}", b"hello") == b"hello"
    with pytest.raises(ConnectionRefusedError):
        connect(f"127.0.0.2:{port}")
    daemon.reload(everywhere)
    assert exchange(f"127.0.0.2:{port}", b"hello") == b"hello"
    daemon.reload({NAME: to(server, listen=f"127.0.0.3:{port}")})
    assert exchange(f"127.0.0.3:{port}", b"hello") == b"hello"
    with pytest.raises(ConnectionRefusedError):
        connect(f"127.0.0.1:{port}")


def test_a_client_that_waits_at_all_addresses_is_served_after_a_reload_to_one(pinproxyd, tls_server):
    server, port = tls_server(), closed_port()
    limits = {"max_connections": 1, "remote_clients": "yes"}
    daemon = pinproxyd({"global": limits, NAME: to(server, listen=f"0.0.0.0:{port}")})
    first = open_tunnel(f"127.0.0.1:{port}")
    with connect(f"127.0.0.1:{port}") as waiting, connect(f"127.0.0.2:{port}") as elsewhere:
        daemon.reload({"global": limits, NAME: to(server, listen=f"127.0.0.1:{port}")})
        first.close()
        ping(waiting)
        with pytest.raises(ConnectionResetError):
            elsewhere.recv(1)


def test_a_failed_reload_to_another_address_refuses_nobody(pinproxyd, tls_server):
    server, port = tls_server(), closed_port()
    limits = {"remote_clients": "yes"}
    daemon = pinproxyd({"global": limits, NAME: to(server, listen=f"0.0.0.0:{port}")})
    broken = {"global": limits, NAME: to(server, listen=f"127.0.0.1:{port}"),
              "more.test": to(server, listen=f"127.0.0.1:{server.port}")}
    with ContinuousClients(f"127.0.0.1:{port}", f"127.0.0.2:{port}") as clients:
        for _ in range(8):
            daemon.reload(broken, ok=False)
            clients.wait_more()


def test_a_reload_may_name_the_port_that_the_kernel_chose(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    address = daemon.address(NAME)
    daemon.reload({NAME: to(server, listen=address)})
    assert exchange(address, b"hello") == b"hello"
    assert not can_be_shared(address)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_a_reload_to_all_addresses_works_after_root_is_given_up(tls_server, stack):
    server, port = tls_server(), closed_port()
    user = {"user": "nobody", "remote_clients": "yes"}
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        daemon = stack.add(Daemon(directory, {"global": user, NAME: to(server, listen=f"127.0.0.1:{port}")}))
        daemon.start()
        daemon.reload({"global": user, NAME: to(server, listen=f"0.0.0.0:{port}")})
        assert exchange(f"127.0.0.2:{port}", b"hello") == b"hello"
        daemon.stop()
