"""Controllers that are only that, and brokers that are only that, as Kafka advises for large
clusters."""

import re
import urllib.error
import urllib.request

import pytest
from confluent_kafka import KafkaException

from lab import wait_until
from lab.brokers import free_ports
from nodes import BrokerCluster, another, make_topic, read, send, values

TOPIC = "kept"
ACTIVE = "kafka_controller_kafkacontroller_activecontrollercount"


class Apart:
    """Controllers 1, 2 and 3, and brokers 4, 5 and 6."""

    def __init__(self, lab, start=True):
        self.lab = lab
        self.cluster = BrokerCluster(lab, 3, start=False)
        self.metrics = dict(enumerate(free_ports(3), 1))
        for controller in self.cluster:
            controller.roles = ["controller"]
            controller.extra["metrics.listener"] = f"127.0.0.1:{self.metrics[controller.node]}"
            controller.write_properties()
        self.brokers = [another(self.cluster, node) for node in (4, 5, 6)]
        if start:
            self.start()

    @property
    def nodes(self):
        return [*self.cluster, *self.brokers]

    @property
    def bootstrap(self):
        return ",".join(broker.address for broker in self.brokers)

    def start(self):
        for node in self.nodes:
            node.start(wait=False)
        for node in self.nodes:
            node.wait_ready()

    def figures(self, controller):
        """Name -> value, without labels."""
        try:
            with urllib.request.urlopen(
                    f"http://127.0.0.1:{self.metrics[controller.node]}/metrics", timeout=5) as page:
                text = page.read().decode()
        except (urllib.error.URLError, OSError):
            return {}
        return {name: float(value) for name, value in re.findall(
            r"^(\w+)(?:\{.*\})? (\S+)$", text, re.MULTILINE)}

    def active(self, seconds=20):
        """The controller that leads."""
        def leads():
            found = [one for one in self.cluster if one.is_running
                     and self.figures(one).get(ACTIVE) == 1]
            return found[0] if len(found) == 1 else None
        return wait_until(leads, seconds, "a controller to lead")

    def takes(self, name, count=20):
        """A topic is made, and takes and gives records."""
        def made():
            try:
                make_topic(self.bootstrap, name, replicas=3, min_insync_replicas=2)
                return True
            except KafkaException as error:
                # No controller leads for a moment, or it took what it could not answer.
                return error.args[0].name() == "TOPIC_ALREADY_EXISTS"
        wait_until(made, 20, f"{name} to be made")
        written = values(count, name)
        assert send(self.bootstrap, name, written) == (written, [])
        assert read(self.bootstrap, name) == written
        return written


@pytest.fixture
def apart(lab):
    return Apart(lab)


def test_a_controller_alone_is_not_ready(lab):
    """Ready is let in: a leader knows it, and it has read so itself."""
    apart = Apart(lab, start=False)
    first, second, _ = apart.cluster
    first.start(wait=False)
    first.process.wait_for("no controller leads", 20)
    assert first.is_running and "is ready" not in first.process.output()
    assert apart.figures(first)["kafka_server_raft_metrics_current_leader"] == -1
    second.start()
    first.wait_ready()
    # A leader was there before, not only sought.
    for node in (first, second):
        said = node.process.output()
        leads = re.search(r"controller \d leads in epoch", said)
        assert leads is not None and leads.start() < said.index("is ready"), said


def test_the_active_controller_is_killed(apart):
    kept = apart.takes(TOPIC)
    killed = apart.active()
    killed.kill()
    assert apart.active() is not killed
    apart.takes("while-it-is-gone")
    killed.start()
    assert read(apart.bootstrap, TOPIC) == kept
    apart.takes("when-it-is-back")
    for node in apart.nodes:
        assert node.is_running, node.process.tail()


def test_all_are_restarted(apart):
    kept = apart.takes(TOPIC)
    for node in apart.nodes:
        node.kill()
    apart.start()
    assert read(apart.bootstrap, TOPIC) == kept
    apart.takes("after-a-crash")
    for node in (*apart.brokers, *apart.cluster):
        node.stop()
    apart.start()
    assert read(apart.bootstrap, TOPIC) == kept
    apart.takes("after-a-stop")


def test_a_controller_hands_over_before_it_stops(apart):
    """With EndQuorumEpoch: the others need not miss it first."""
    stopped = apart.active()
    epoch = apart.figures(stopped)["kafka_server_raft_metrics_current_epoch"]
    stopped.stop()
    said = stopped.process.output()
    assert f"this controller does not lead any more in epoch {epoch:.0f}" in said, said
    assert "stopped" in said.splitlines()[-1], said
    successor = apart.active()
    assert successor is not stopped
    assert "takes no connections" not in successor.process.output()
    apart.takes("with-two")
    stopped.start()
    # A controller that only follows has nothing to hand over, and stops all the same.
    stopped.stop()
    assert apart.active() is successor
