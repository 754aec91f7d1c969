"""pinproxy learned, and the tool beside what the daemon learns."""

import json

import pytest

import certs
from certs import NAME
from config import ini, to
from daemon import run_pinproxy

PIN = f"sha256//{'A' * 42}8="
OTHER = f"sha256//{'B' * 42}8="


@pytest.fixture
def learned(tmp_path):
    """learned(text, arguments...): runs the command on a file with this text."""
    state, path = tmp_path / "state", tmp_path / "pinproxyd.conf"
    path.write_text(f"[global]\nstate_dir = {state}\n[{NAME}]\nverify = tofu\n")
    state.mkdir()

    def run(text, *arguments):
        if text is not None:
            (state / "learned").write_text(text)
        return run_pinproxy("learned", *arguments, "-c", path)
    run.file = state / "learned"
    return run


def test_list(learned):
    run = learned(f"# mine\n{NAME} {NAME}:443 {PIN} 2026-01-02\nx.test x.test:1 {OTHER} 2026-01-03 from=pins_url "
                  f"until=2027-01-01\n{NAME} {NAME}:443 {OTHER} 2026-02-02 refused\n", "list")
    assert run.returncode == 0, run.err
    assert run.out.splitlines() == [
        f"{NAME} {NAME}:443 {PIN} 2026-01-02 from=tofu",
        f"x.test x.test:1 {OTHER} 2026-01-03 from=pins_url until=2027-01-01",
        f"{NAME} {NAME}:443 {OTHER} 2026-02-02 from=tofu refused"]


def test_list_as_json(learned):
    run = learned(f"{NAME} {NAME}:443 {PIN} 2026-01-02\n{NAME} {NAME}:443 {OTHER} 2026-02-02 refused\n", "list", "--json")
    assert run.returncode == 0, run.err
    first, second = json.loads(run.out)
    assert (first["section"], first["place"], first["pin"], first["refused"]) == (NAME, f"{NAME}:443", PIN, False)
    assert second["refused"] is True


def test_nothing_learned(learned):
    run = learned(None, "list")
    assert run.returncode == 0 and "no keys" in run.out
    assert json.loads(learned(None, "list", "--json").out) == []
    for action in ("forget", "accept"):
        run = learned(None, action, NAME)
        assert run.returncode == 1 and NAME in run.err
    assert not learned.file.exists()


def test_forget_spares_the_rest(learned):
    rest = f"# mine\nx.test x.test:443 {PIN} 2026-01-02 # hers\n"
    run = learned(f"{NAME} {NAME}:443 {PIN} 2026-01-02\n{rest}{NAME} y.test:443 {OTHER} 2026-01-02 refused\n", "forget", NAME)
    assert run.returncode == 0, run.err
    assert learned.file.read_text() == rest


def test_accept(learned):
    run = learned(f"{NAME} {NAME}:443 {PIN} 2026-01-02\n{NAME} {NAME}:443 {OTHER} 2026-01-03 refused # look\n", "accept", NAME)
    assert run.returncode == 0 and OTHER in run.out, run.err
    lines = learned.file.read_text().splitlines()
    assert lines == [f"{NAME} {NAME}:443 {OTHER} {certs.day(0)} from=tofu # look"]


def test_damaged_file(learned):
    for action in (["list"], ["forget", NAME], ["accept", NAME]):
        run = learned("nonsense\n", *action)
        assert run.returncode == 78 and f"{learned.file}:1: " in run.err
        assert learned.file.read_text() == "nonsense\n"


@pytest.mark.parametrize("arguments", [[], ["list", NAME], ["forget"], ["accept"], ["forget", "a", "b"], ["steal", NAME],
                                       ["forget", NAME, "--json"], ["--no-such-option"]])
def test_usage(arguments):
    run = run_pinproxy("learned", *arguments)
    assert run.returncode == 2 and run.err and not run.out


def test_broken_configuration(tmp_path):
    path = tmp_path / "pinproxyd.conf"
    path.write_text("[global]\nnonsense = 1\n")
    run = run_pinproxy("learned", "list", "-c", path)
    assert run.returncode == 78 and f"{path}:2: " in run.err


def section(server, tmp_path, **options):
    path = tmp_path / "pinproxyd.conf"
    path.write_text(ini({"global": {"state_dir": tmp_path / "state"}, NAME: to(server, pin=None, verify="tofu", **options)}))
    return path


def test_connect_keeps_the_first_key(tls_server, tmp_path):
    server = tls_server()
    path = section(server, tmp_path)
    run = run_pinproxy("connect", "-c", path, NAME, input=b"hello")
    assert (run.returncode, run.stdout) == (0, b"hello"), run.err
    assert server.cert.pin in (tmp_path / "state" / "learned").read_text()
    server.use(certs.self_signed(tmp_path))
    run = run_pinproxy("connect", "-c", path, NAME, input=b"hello")
    assert (run.returncode, run.stdout) == (3, b"")
    assert "tofu_changed" in run.err and f"pinproxy learned accept {NAME} -c {path}" in run.err


def test_check_learns_nothing(tls_server, tmp_path):
    server = tls_server()
    path = section(server, tmp_path)
    run = run_pinproxy("check", "--live", "-c", path)
    assert run.returncode == 1 and "first connection" in run.out and server.cert.pin in run.out
    assert not (tmp_path / "state").exists()
    assert run_pinproxy("connect", "-c", path, NAME, input=b"x").returncode == 0
    run = run_pinproxy("check", "--live", "-c", path)
    assert run.returncode == 0 and server.cert.pin in run.out and "learned" in run.out, run.out
    server.use(certs.self_signed(tmp_path))
    run = run_pinproxy("check", "--live", "-c", path)
    assert run.returncode == 2 and "tofu_changed" in run.out
