"""Traffic between namespaces, checked for content."""

import contextlib
import json
import re
import statistics
import sys
from dataclasses import dataclass

from .core import AGENTS, LabError


@dataclass(frozen=True)
class Ping:
    sent: int
    received: int
    duplicates: int
    times_ms: list  # of each answer, in the order they came
    sequences: list
    output: str

    @property
    def loss(self):
        return 1 - self.received / self.sent if self.sent else 0.0

    @property
    def median_ms(self):
        return statistics.median(self.times_ms)


def ping(namespace, address, count=5, interval=0.01, size=56, dont_fragment=False, patience=2,
         source=None):
    """Echo requests with ping(8). No answer at all is a result, not an error."""
    command = ["ping", "-n", "-c", count, "-i", interval, "-s", size, "-W", patience]
    if dont_fragment:
        command += ["-M", "do"]
    if source:
        command += ["-I", source]
    # ping(8) waits longer between requests than it is told to when the machine is busy.
    limit = count * (interval + 0.02) + patience + 30
    done = namespace.run(*command, address, check=False, timeout=limit)
    totals = re.search(r"(\d+) packets transmitted, (\d+) received", done.stdout)
    if totals is None:
        raise LabError(f"ping said: {done.stdout}{done.stderr}")
    answers = re.findall(r"icmp_seq=(\d+) ttl=\d+ time=([\d.]+) ms(.*)", done.stdout)
    duplicates = re.search(r"\+(\d+) duplicates", done.stdout)
    return Ping(int(totals[1]), int(totals[2]), int(duplicates[1]) if duplicates else 0,
                [float(time) for _, time, _ in answers], [int(n) for n, _, _ in answers],
                done.stdout + done.stderr)


def reaches(namespace, address, count=2, size=56, dont_fragment=False, source=None, seconds=10):
    """Whether so many echo requests are answered in time. ping(8) without a deadline gives the
    last answer no more than twice the round trip, which is little on a busy machine."""
    command = ["ping", "-nq", "-c", count, "-i", 0.01, "-w", seconds, "-s", size]
    if dont_fragment:
        command += ["-M", "do"]
    if source:
        command += ["-I", source]
    return namespace.run(*command, address, check=False, timeout=seconds + 30).returncode == 0


@contextlib.contextmanager
def server(namespace, role, address, port=0):
    """A `tcp_server` or `udp_server` of agents.py; gives its port."""
    process = namespace.start(sys.executable, AGENTS, role, address, "--port", port, label=role)
    try:
        yield int(process.wait_for(r"^ready (\d+)$")[1])
    finally:
        process.stop()


def _client(namespace, role, address, port, timeout, **options):
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    done = namespace.run(sys.executable, AGENTS, role, address, "--port", port,
                         "--timeout", timeout, *words, timeout=timeout * 4 + 30)
    return json.loads(done.stdout)


def tcp_transfer(source, destination, count, address, timeout=30, seed="0"):
    """Sends so many bytes to `address`, which is the destination's, and checks what arrived by
    its hash. Returns the seconds it took."""
    with server(destination, "tcp_server", address) as port:
        result = _client(source, "tcp_client", address, port, timeout, bytes=count, seed=seed)
    if not result["matches"]:
        raise LabError(f"{result['received']} of {count} bytes arrived, or others than were sent")
    return result["seconds"]


def udp_echo(source, destination, address, count=10, size=64, interval=0.0, timeout=3, seed="0"):
    """Sends numbered datagrams and has them sent back. Returns {"sent", "received": numbers in
    the order they came back, "damaged"}."""
    with server(destination, "udp_server", address) as port:
        return _client(source, "udp_client", address, port, timeout, count=count, size=size,
                       interval=interval, seed=seed)


def iperf3(source, destination, address, *options, seconds=5, streams=1):
    """iperf3 from source to destination; returns its JSON. `options` are passed to the client,
    such as "-u", "-b", "0", "-l", "1200"."""
    listener = destination.start(
        "iperf3", "-s", "-1", "--forceflush", "-B", address, label="iperf3-server")
    try:
        listener.wait_for("Server listening")
        done = source.run("iperf3", "-c", address, "-J", "-t", seconds, "-P", streams, *options,
                          timeout=seconds + 60, check=False)
        result = json.loads(done.stdout or "{}")
        if done.returncode != 0 or "error" in result:
            raise LabError(f"iperf3: {result.get('error', done.stderr)}")
        return result
    finally:
        listener.stop()
