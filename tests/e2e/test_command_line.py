"""-V, -h, --help-config, and wrong calls."""

import pytest

from harness.config import ini
from harness.daemon import run_pinproxy, run_pinproxyd


@pytest.mark.parametrize("option", ["-V"])
def test_version_is_shown(option):
    daemon, tool = run_pinproxyd(option), run_pinproxy(option)
    assert (daemon.returncode, tool.returncode) == (0, 0)
    assert any(c.isdigit() for c in daemon.out)


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_shows_the_options(option):
    for run, word in ((run_pinproxyd(option), "-t"), (run_pinproxy(option), "fetch")):
        assert run.returncode == 0, run.err
        assert word in run.out


@pytest.mark.parametrize("command", ["fetch", "hash", "check", "connect"])
def test_each_command_has_a_help(command):
    run = run_pinproxy(command, "--help")
    assert run.returncode == 0, run.err
    assert command in run.out


@pytest.mark.valgrind
def test_help_config_lists_every_option():
    run = run_pinproxyd("--help-config")
    assert run.returncode == 0, run.err
    for option in ("include", "workers", "log_level", "log_format", "drain_timeout", "remote_clients", "max_connections",
                   "host", "port", "address", "family", "bind", "listen", "verify", "pin", "revoked", "also_check",
                   "ca_file", "ca_dir", "verify_name", "sni", "tls_min", "tls_max", "truncation", "connect_timeout",
                   "handshake_timeout", "idle_timeout", "half_close_timeout", "dns_ttl", "keepalive"):
        assert any(option in line.replace("*", " ").split() for line in run.out.splitlines()), option
    assert "30s" in run.out


@pytest.mark.parametrize("arguments", [["-x"], ["--no-such-option"], ["stray"], ["-c"]])
def test_a_wrong_call_of_the_daemon_is_a_usage_error(arguments):
    run = run_pinproxyd(*arguments)
    assert run.returncode == 2
    assert run.err
    assert not run.out


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["-x"], ["hash", "--no-such-option"]])
def test_a_wrong_call_of_the_tool_is_a_usage_error(arguments):
    run = run_pinproxy(*arguments)
    assert run.returncode == 2
    assert run.err
    assert not run.out


@pytest.mark.parametrize("command", ["status", "learned", "import"])
def test_an_incomplete_or_later_command_is_a_usage_error(command):
    run = run_pinproxy(command)
    assert run.returncode == 2
    assert command in run.err


@pytest.mark.parametrize("options", [["-V"], ["-h"], ["--help-config"], ["-t"]])
def test_output_of_the_daemon_that_cannot_be_written_fails(options, tmp_path):
    path = tmp_path / "pinproxyd.conf"
    path.write_text(ini({"a.test": {"listen": "127.0.0.1:0", "verify": "pki"}}))
    with open("/dev/full", "wb") as full:
        run = run_pinproxyd("-c", path, *options, stdout=full)
    assert run.returncode == 1
    assert "standard output: No space left on device" in run.err
