"""Each recipe of pinproxy-recipes(7) works with the program that it is for."""

import subprocess

import pytest

from harness import certs, real_servers, recipes
from harness.real_servers import need
from harness.recipes import Recipe
from harness.waiting import DEADLINE

TESTED = set()


def recipe(name):
    """Returns a recipe and notes that there is a test of it."""
    TESTED.add(name)
    return name


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, timeout=DEADLINE, **options)


@pytest.fixture
def cert(tmp_path):
    return certs.self_signed(tmp_path)


def port_of(daemon, section):
    return daemon.address(section).rsplit(":", 1)[1]


@pytest.mark.parametrize("name", [recipe("Redis")])
def test_redis(name, pinproxyd, cert, stack, tmp_path):
    redis_cli, = need("redis-cli")
    page = Recipe(name)
    server = stack.add(real_servers.redis_tls(tmp_path, cert))
    daemon = pinproxyd(page.config_with(add=[("address", server.address)], listen="127.0.0.1:0", pin=cert.pin))
    assert page.has_command("redis-cli", "-h 127.0.0.1", "-p 6379", "PING")
    got = run(redis_cli, "-h", "127.0.0.1", "-p", port_of(daemon, page.section), "PING")
    assert got.stdout.strip() == b"PONG", got.stderr


def test_each_recipe_has_a_test():
    assert set(recipes.names()) == TESTED
