"""Nodes that are made on loopback to be treated badly, and an honest client to see what is left."""

import functools
import shutil

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from lab import LabError, run, wait_until
from lab.brokers import Broker, BrokerCluster, broker_program, free_ports


def client(address, **more):
    return {"bootstrap.servers": getattr(address, "bootstrap", address), "log_level": 0,
            "broker.address.family": "v4", "error_cb": lambda error: None,
            **{key.replace("_", "."): value for key, value in more.items()}}


def make_topic(address, topic, partitions=1, replicas=1, **configs):
    admin = AdminClient(client(address))
    made = admin.create_topics([NewTopic(topic, partitions, replicas, config={
        key.replace("_", "."): str(value) for key, value in configs.items()})],
        operation_timeout=10, request_timeout=15)
    made[topic].result(20)


def refusal(call, *arguments, **options):
    """The error's name and words that a call to a client ends with."""
    try:
        call(*arguments, **options)
    except KafkaException as error:
        return error.args[0].name(), error.args[0].str()
    raise AssertionError("it was not refused")


def send(address, topic, values, seconds=20, **more):
    """Sends with acks=all and idempotence; the values that were acknowledged, and the names of the
    errors of the rest."""
    producer = Producer(client(address, enable_idempotence=True, linger_ms=5,
                               message_timeout_ms=seconds * 1000, **more))
    acknowledged, errors = [], []

    def delivered(value, error, message):
        if error is None:
            acknowledged.append(value)
        else:
            errors.append(error.name())

    for value in values:
        producer.produce(topic, value, on_delivery=functools.partial(delivered, value))
        producer.poll(0)
    producer.flush(seconds + 5)
    return acknowledged, errors


def read(address, topic, partition=0, seconds=20):
    """Every value of a partition, in order."""
    consumer = Consumer(client(address, group_id="reads", enable_auto_commit=False,
                               auto_offset_reset="error", fetch_wait_max_ms=100,
                               enable_partition_eof=True))
    try:
        place = TopicPartition(topic, partition)
        low, _ = wait_until(functools.partial(_watermarks, consumer, place), seconds,
                            f"the watermarks of {topic}")
        consumer.assign([TopicPartition(topic, partition, low)])
        values, ended = [], []

        def whole():
            for message in consumer.consume(1000, 0.2):
                if message.error() is None:
                    values.append(message.value())
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    ended.append(True)
            return ended
        wait_until(whole, seconds, f"the end of {topic}")
        return values
    finally:
        consumer.close()


def _watermarks(consumer, place):
    try:
        return consumer.get_watermark_offsets(place, 2)
    except KafkaException:
        return None


def values(count, name="value", size=100):
    return [f"{name}-{n}-".encode().ljust(size, b".") for n in range(count)]


def refused(broker, seconds=20):
    """Starts a node that must not start; what it said. Status 2 is for what the configuration
    alone shows, 1 for the rest."""
    broker.start(wait=False)
    status = broker.process.wait(seconds)
    said = broker.process.output()
    assert status in (1, 2), f"{status}: {said}"
    # One sentence for whoever has to mend it, at the end; nothing of Swift's insides.
    last = said.splitlines()[-1]
    assert last.startswith("slice-broker: "), said
    for inside in ("Error(", "Optional(", "Fatal", "Swift.", "NIOCore", "IOError"):
        assert inside not in said, said
    return status, said


def tree(folder):
    """Path -> bytes of every file, but for the lock, and indexes, which are made anew at will."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != ".lock" and not path.name.endswith("index")}


def another(cluster, node, roles=("broker",), directory=None, cluster_id=None, **properties):
    """One more node for a cluster, formatted, not started."""
    port, controller = free_ports(2)
    extra = {key.replace("_", "."): value for key, value in properties.items()}
    made = object.__new__(Broker)
    made.cluster, made.node, made.rack, made.namespace = cluster, node, "another", None
    made.host, made.port, made.controller_port = "127.0.0.1", port, controller
    made.directory = cluster.lab.directory / (directory or f"{cluster.name}-{node}-other")
    made.data = made.directory / "data"
    made.data.mkdir(parents=True)
    made.file = made.directory / "broker.properties"
    made.roles, made.extra, made.process = list(roles), extra, None
    made.write_properties()
    run(broker_program(), "format", "--config", made.file, "--cluster-id",
        cluster_id or cluster.cluster_id)
    return made


def copy_of(folder, name):
    target = folder.with_name(name)
    shutil.copytree(folder, target)
    return target


__all__ = ["BrokerCluster", "LabError", "another", "client", "copy_of", "make_topic", "read",
           "refusal", "refused", "run", "send", "tree", "values", "wait_until"]
