"""The node as a service: what systemd is told of it (sd_notify), over a socket of the test's."""

import os
import signal
import socket

import pytest

from nodes import BrokerCluster, make_topic, wait_until
from lab.brokers import broker_program


class ServiceManager:
    """A datagram socket in systemd's place, and what has come in through it."""

    def __init__(self):
        self.name = f"\0slice-broker-test-{os.getpid()}-{id(self)}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.name)
        self.said = []

    def listen(self):
        while True:
            try:
                data = self.socket.recv(4096, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return self.said
            self.said += data.decode().split("\n")

    def hears(self, line, seconds=20):
        wait_until(lambda: line in self.listen(), seconds, line)

    def status(self):
        """The status it has now."""
        return [line for line in self.listen() if line.startswith("STATUS=")][-1]

    def count(self, line):
        return self.listen().count(line)


@pytest.fixture
def manager():
    made = ServiceManager()
    yield made
    made.socket.close()


def start(lab, node, manager, watchdog_ms=None):
    env = dict(os.environ, NOTIFY_SOCKET="@" + manager.name[1:])
    if watchdog_ms:
        env["WATCHDOG_USEC"] = str(watchdog_ms * 1000)
    node.process = lab.start(
        [broker_program(), "start", "--config", node.file], label="service", env=env)


def test_a_service_from_start_to_stop(lab, manager):
    cluster = BrokerCluster(lab, 1, start=False)
    node = cluster[1]
    start(lab, node, manager, watchdog_ms=300)
    manager.hears("STATUS=starts as broker and controller")
    manager.hears("READY=1")
    node.wait_ready()
    assert manager.status().startswith("STATUS=node 1: controller 1 leads in epoch 1; 0 partitions")
    make_topic(cluster, "topic", 3)
    wait_until(lambda: ": controller 1 leads in epoch 1; 3 partitions, 3 led, " in manager.status(),
               20, "the status to tell of the topic")
    before = manager.count("WATCHDOG=1")
    wait_until(lambda: manager.count("WATCHDOG=1") > before + 3, 20, "signs of life")
    # A process that is held up gives none.
    node.pause()
    manager.listen()
    before = manager.count("WATCHDOG=1")
    with pytest.raises(Exception, match="in vain"):
        wait_until(lambda: manager.count("WATCHDOG=1") > before, 1, "a sign of life")
    node.resume()
    wait_until(lambda: manager.count("WATCHDOG=1") > before, 20, "signs of life")
    node.process.signal(signal.SIGTERM)
    manager.hears("STOPPING=1")
    assert node.process.wait(20) == 0
    assert manager.status() == "STATUS=stopping: leaderships are handed over"
    assert manager.count("READY=1") == manager.count("STOPPING=1") == 1


def test_a_node_that_is_not_let_in_is_not_ready(lab, manager):
    """One of three, alone: it waits, and says so to nobody as ready."""
    cluster = BrokerCluster(lab, 3, start=False)
    node = cluster[1]
    start(lab, node, manager)
    manager.hears("STATUS=starts as broker and controller")
    node.process.wait_for("listening at PLAINTEXT", 20)
    node.process.wait_for("no controller leads", 20)
    node.process.signal(signal.SIGTERM)
    manager.hears("STOPPING=1")
    node.process.wait(20)
    assert manager.count("READY=1") == 0
