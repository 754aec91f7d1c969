"""What is measured: each function does it for one proxy, once, and returns {measure: value}."""

import concurrent.futures
import contextlib
import os
import socket
import time

import peers
import process

# As short as can be told apart, for the machine's speed to drift little within a round.
MEGABYTES = 100  # that a transfer moves, after a tenth of it to warm up
VISITS = 300
PINGS = 4000
REQUESTS = 12_000
REQUEST_SIZE = 100
KEPT_ALIVE = 64
MORE_IDLE = 200
VISITS_FORKING = 60
LEVELS = 1, 10, 100, 1000, 9000  # tunnels
LEVELS_FORKING = 1, 10, 100, 1000  # of processes more would say nothing
FILLED = 1000, 9000  # ... through each of which a megabyte goes
MEGABYTE = 1_000_000
FIRSTS = 150
FIRST_PAUSE = 0.02  # seconds before each, in which a warm connection is replaced
SECTIONS = 10_000
RELOAD_PINGS = 30_000  # some seconds


class Bench:
    """Where the programs are and what they run on."""

    def __init__(self, place, upstream, pin, cpus, connections):
        self.place = place
        self.upstream = upstream
        self.pin = pin
        self.cpus = cpus  # the proxy's; the others are the peers'
        self.connections = connections

    def log(self, proxy):
        return self.place / f"{proxy.program.rpartition('/')[2]}.log"

    def start(self, proxy, workers=1, sections=1, connections=None, **options):
        connections = connections or self.connections
        port = free_port()
        # each section has an address of its own
        listens = [f"127.0.{n // 200}.{n % 200 + 1}:{port}" for n in range(sections)]
        command = proxy.command(dir=self.place, listens=listens, workers=workers,
                                upstream=self.upstream.port, plain=self.upstream.plain_port,
                                cert=self.place / "cert.pem", pin=self.pin,
                                connections=connections, sockets=2 * connections + sections, **options)
        # one worker has one CPU; more have all, which they share with the peers
        cpus = self.cpus[:1] if workers == 1 else sorted(os.sched_getaffinity(1))
        running = process.Running(command, cpus, self.log(proxy), listens)
        running.port = port
        return running

    @contextlib.contextmanager
    def serve(self, proxy, **options):
        """(the proxy, clients of it)"""
        with self.start(proxy, **options) as running, \
                peers.Client(self.place, running.port) as client:
            yield running, client


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def cpu_of(running, action):
    """(CPU seconds of the proxy, what action returns)"""
    before = running.cpu_seconds()
    result = action()
    return running.cpu_seconds() - before, result


def transfers(bench, proxy):
    """CPU seconds per GB, and MB/s, of plaintext; handshakes are over before it begins."""
    values = {}
    with bench.serve(proxy) as (running, client):
        client.open(16)
        for name, kind in ("download", "d"), ("upload", "u"):
            for over in 1, 16:
                size = MEGABYTES * MEGABYTE // over
                client.request(kind, size // 10, over, over, over)
                cpu, seconds = cpu_of(running,
                                      lambda: client.request(kind, size, over, over, over))
                values[f"{name} {over}, CPU s/GB"] = cpu / MEGABYTES * 1000
                values[f"{name} {over}, MB/s"] = MEGABYTES / seconds
    return values


def connections(bench, proxy, workers=1):
    """Connections per second, and their CPU time; each has one byte echoed."""
    values = {}
    visits = VISITS_FORKING if proxy.forks else VISITS
    for kind, resume in ("full", False), ("resumed", True):
        if resume and not proxy.resumes():
            continue
        with bench.serve(proxy, workers=workers, resume=resume) as (running, client):
            client.visit(visits // 10)
            before = bench.upstream.handshakes()
            cpu, seconds = cpu_of(running, lambda: client.visit(visits))
            after = bench.upstream.handshakes()
            values[f"{kind}, per second"] = visits / seconds
            values[f"{kind}, CPU ms"] = cpu / visits * 1000
            if resume:
                had, resumed = (now - then for now, then in zip(after, before))
                values["resumed, %"] = resumed / had * 100
    return values


def latency(bench, proxy):
    """What the proxy adds to a ping-pong in direct TLS; and requests over kept-alive connections."""
    values = {}
    with bench.serve(proxy) as (running, client):
        client.open(KEPT_ALIVE)
        client.ask(f"pingpong {PINGS // 10}")
        client.ask(f"direct {bench.upstream.port} {PINGS // 10}")
        p50, p99, _ = client.ask(f"pingpong {PINGS}")
        direct50, direct99, _ = client.ask(f"direct {bench.upstream.port} {PINGS}")
        values["added p50, us"] = p50 - direct50
        values["added p99, us"] = p99 - direct99
        requests(running, client, KEPT_ALIVE, REQUESTS // 10)
        cpu, seconds = requests(running, client, KEPT_ALIVE, REQUESTS)
        values["requests per second"] = REQUESTS / seconds
        values["CPU us per request"] = cpu / REQUESTS * 1e6
    return values


def carriers(bench, proxy):
    """Transfers, requests and the memory of an idle tunnel. A program of exec: is not counted."""
    values = transfers(bench, proxy)
    with bench.serve(proxy) as (running, client):
        client.open(KEPT_ALIVE)
        requests(running, client, KEPT_ALIVE, REQUESTS // 10)
        cpu, _ = requests(running, client, KEPT_ALIVE, REQUESTS)
        values["CPU us per request"] = cpu / REQUESTS * 1e6
        base = running.pss()
        client.open(MORE_IDLE)
        time.sleep(1)
        values["idle tunnel, KiB"] = per_tunnel(running, base, MORE_IDLE)
    return values


def first_byte(bench, proxy):
    """From connect(2) to the first answer; and in relation to the same client with TLS of its own."""
    with bench.start(proxy) as running:
        peers.first_answer(bench.place, "plain", running.port, FIRSTS // 10, FIRST_PAUSE)
        p50, p99, _ = peers.first_answer(bench.place, "plain", running.port, FIRSTS, FIRST_PAUSE)
        direct, _, _ = peers.first_answer(bench.place, "tls", bench.upstream.port, FIRSTS, FIRST_PAUSE)
    return {"first answer p50, us": p50, "first answer p99, us": p99, "p50 / direct TLS": p50 / direct}


def requests(running, client, over, count):
    """(CPU seconds, seconds) of so many echoes, one at a time on each connection, 64 in all."""
    return cpu_of(running,
                  lambda: client.request("e", REQUEST_SIZE, count, over, min(over, KEPT_ALIVE)))


def growth(bench, proxy, workers=1):
    """Memory and CPU as the number of tunnels grows, all open; memory after use, too."""
    values = {}
    with bench.serve(proxy, workers=workers) as (running, client):
        time.sleep(0.5)
        base, tunnels = running.pss(), 0
        for level in LEVELS_FORKING if proxy.forks else LEVELS:
            cpu, _ = cpu_of(running, lambda: client.open(level - tunnels))
            values[f"open to {level}, CPU ms"] = cpu / (level - tunnels) * 1000
            tunnels = level
            cpu, _ = requests(running, client, level, 10_000)
            values[f"request at {level}, CPU us"] = cpu / 10_000 * 1e6
            if level not in FILLED:
                continue
            # tunnels that have had a hundred bytes and have been idle for a while
            time.sleep(5)
            values[f"fresh at {level}, KiB"] = per_tunnel(running, base, level)
            client.request("d", MEGABYTE, level, level, 16)
            values[f"used at {level}, KiB"] = per_tunnel(running, base, level)
            time.sleep(5)
            values[f"used at {level}, 5 s later, KiB"] = per_tunnel(running, base, level)
    return values


def per_tunnel(running, base, count):
    return (running.pss() - base) / count / 1024


def start(bench, proxy):
    """Time until it listens, and what it occupies then."""
    values = {}
    with bench.serve(proxy) as (running, _):
        values["until it listens, ms"] = running.start_seconds * 1000
        time.sleep(0.5)
        pss, rss = running.memory()
        values["PSS, MiB"] = pss / (1 << 20)
        values["RSS, MiB"] = rss / (1 << 20)
    return values


def many_sections(bench, proxy):
    """Time and memory to load and to reload 10,000 sections; and how long a reload holds up others."""
    values = {}
    with bench.serve(proxy, sections=SECTIONS, connections=SECTIONS // 100) as (running, client):
        values["load, s"] = running.start_seconds
        time.sleep(0.5)
        values["PSS, MiB"] = running.pss() / (1 << 20)
        if not proxy.reload:
            return values
        client.open(1)
        client.ask("pingpong 1000")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pinging = pool.submit(client.ask, f"pingpong {RELOAD_PINGS}")
            time.sleep(0.2)
            os.kill(running.process.pid, proxy.reload)
            values["reload, worst ping ms"] = pinging.result()[2] / 1000
        values["PSS after reload, MiB"] = running.pss() / (1 << 20)
    return values
