"""The measurements of one place: values by the keys of kafka_figures."""

import json
import time

from kafka_places import LOOPBACK
from lab import LabError, wait_until

PARTITIONS = 6
SAFE = ("acks=all", "enable.idempotence=true")
# The defaults of Apache Kafka's own producer; librdkafka's own are larger.
DEFAULT = ("batch.size=16384", "linger.ms=0")
LARGE = ("batch.size=131072", "linger.ms=5")
# With idempotence librdkafka has one batch of a partition under way (it compares records with the
# five batches a broker remembers): a longer queue only takes longer to empty at the end.
QUEUE = ("queue.buffering.max.messages=20000",)
# As Apache Kafka's own clients do; librdkafka's socket holds small requests back by itself.
EAGER = ("socket.nagle.disable=true",)
FRESH = ("topic.metadata.refresh.interval.ms=200",)


class Measure:
    """A place from start to end. `client` is the program kafkabench."""

    def __init__(self, place, client, seconds, say):
        self.place, self.kafka, self.client = place, place.kafka, client
        self.seconds, self.say_value = seconds, say
        self.values, self.details = {}, {}

    def say(self, key, value):
        self.values[key] = value
        self.say_value(key, value)

    # --- the steps, in this order --------------------------------------------------------------

    def start(self):
        """One node alone knows no waiting for others: how long its start takes by itself is told
        by the time from fork to "is ready" of the last of three that are started at once."""
        began = time.monotonic()
        for broker in self.kafka:
            broker.start(wait=False)
        for broker in self.kafka:
            broker.process.wait_for(r"is ready", 20, longest_pause=0.001)
        self.say("ready", time.monotonic() - began)
        self.create("rest", 100)
        self.kafka.wait_in_sync("rest")
        self.say("rest", max(broker.resident_bytes() for broker in self.kafka))

    def rate_default(self):
        self.rate("default", 1000, DEFAULT)

    def rate_large(self):
        self.rate("large", 1000, LARGE)

    def rate_small(self):
        self.rate("small", 100, LARGE)

    def latency(self):
        done = self.produce(1000, 1000, 2 * self.seconds, "linger.ms=0", *EAGER)
        self.say("p50", done["p50"])
        self.say("p99", done["p99"])

    def consume(self):
        """What was written before, from the page cache."""
        topic = self.create("read")
        self.produce(1000, 0, self.seconds, *LARGE, *QUEUE, topic=topic)
        records = self.details["produce " + topic]["delivered"]
        done = self.run("consume", topic, records, 60, "fetch.min.bytes=1",
                        "queued.min.messages=1000000", "queued.max.messages.kbytes=1000000")
        self.say("consume", done["bytes_per_second"])
        self.say("busy", max(broker.resident_bytes() for broker in self.kafka))

    def kill(self):
        self.fault("killed", lambda leader: self.kafka[leader].kill(),
                   lambda leader: self.kafka[leader].start())

    def cut(self):
        if self.place.name == LOOPBACK:
            return
        # librdkafka waits a minute by itself for an answer that cannot come.
        self.fault("cut", self.cut_and_watch, lambda leader: self.place.world.relay.heal("*"),
                   "socket.timeout.ms=500")

    def cut_and_watch(self, leader):
        """Tells how long the partition is without a leader: the brokers' part of what the client
        waits for."""
        self.place.cut(leader)
        began = time.monotonic()
        wait_until(lambda: self.leader("fault-cut") != leader, 20, "another leader")
        self.say("moved", time.monotonic() - began)

    def leader(self, topic):
        return self.kafka.ctl_json(
            "topics", "describe", topic, via=self.kafka[1])["partitions"][0]["leader"]

    # --- parts of them -------------------------------------------------------------------------

    def create(self, topic, partitions=PARTITIONS):
        self.kafka.ctl("topics", "create", topic, "--partitions", str(partitions),
                       "--replication-factor", "3", "--config", "min.insync.replicas=2")
        self.kafka.wait_in_sync(topic)
        return topic

    def run(self, *words):
        done = self.place.run(self.client, words[0], self.kafka.bootstrap, *words[1:],
                              check=False, timeout=200)
        if not done.stdout.startswith("{"):
            raise LabError(f"kafkabench {words[0]} failed: {done.stderr.strip()}")
        told = json.loads(done.stdout)
        self.details[f"{words[0]} {words[1]}"] = told
        if done.returncode != 0:
            raise LabError(f"kafkabench {words[0]} was not served: {done.stdout.strip()}")
        return told

    def produce(self, size, rate, seconds, *settings, topic=None):
        topic = topic or self.create(f"t{len(self.details)}")
        return self.run("produce", topic, size, rate, seconds, *SAFE, *settings)

    def rate(self, key, size, settings):
        self.say(key, self.produce(size, 0, self.seconds, *settings, *QUEUE)["per_second"])

    def fault(self, key, strike, mend, *settings):
        """The slowest record at 1,000 per second when the leader of the one partition is lost
        (broker 1 stays: the client is in its cluster)."""
        topic = f"fault-{key}"
        self.kafka.ctl("topics", "create", topic, "--assignment", "2:3:1", "--config",
                       "min.insync.replicas=2")
        self.kafka.wait_in_sync(topic)
        path = self.place.start(
            self.client, "produce", self.kafka.bootstrap, topic, 1000, 1000, 15, *SAFE,
            "linger.ms=0", *FRESH, *settings, label=topic)

        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 5, 10, "the producer to get going")
        assert self.leader(topic) == 2, "the leader moved before anything was done to it"
        strike(2)
        status = path.wait(60)
        told = json.loads(path.output().strip().splitlines()[-1])
        self.details[topic] = told
        if status != 0:
            raise LabError(f"records were not acknowledged: {told}")
        self.say(key, told["slowest"])
        mend(2)
        self.kafka.wait_in_sync(topic, 60)
