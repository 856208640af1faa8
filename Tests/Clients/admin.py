"""Topics for the tests, made and looked at through librdkafka."""

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from lab import wait_until


def quiet(cluster_or_address, **conf):
    """Configuration of a librdkafka client that keeps its opinions to itself."""
    address = getattr(cluster_or_address, "bootstrap", cluster_or_address)
    return {"bootstrap.servers": address, "log_level": 0, "socket.timeout.ms": 10_000,
            "broker.address.family": "v4",
            **{key if callable(value) else key.replace("_", "."): value
               for key, value in conf.items()}}


def admin_of(cluster):
    """librdkafka's admin client of a cluster, one for all tests."""
    if not hasattr(cluster, "confluent_admin"):
        cluster.confluent_admin = AdminClient(quiet(cluster))
    return cluster.confluent_admin


def create_topic(cluster, topic, partitions=1, replicas=1, **configs):
    """Makes a topic and waits until every running broker leads or follows as it should."""
    admin = admin_of(cluster)
    made = admin.create_topics([NewTopic(topic, partitions, replicas, config={
        key: str(value) for key, value in configs.items()})], operation_timeout=10)
    made[topic].result(20)
    wait_known(cluster, topic, partitions)


def partitions_of(cluster, topic):
    """Partition -> metadata; nothing while the topic is unknown or has no leader."""
    found = admin_of(cluster).list_topics(topic, timeout=10).topics[topic]
    if found.error is not None:
        return {}
    return found.partitions if all(p.leader >= 0 for p in found.partitions.values()) else {}


def wait_known(cluster, topic, partitions, seconds=10):
    """Until every broker that runs tells of the topic and its leaders."""
    for broker in cluster:
        if not broker.is_running:
            continue
        one = AdminClient(quiet(broker.address))

        def known():
            try:
                found = one.list_topics(topic, timeout=10).topics[topic]
            except KafkaException:
                return False
            return (found.error is None and len(found.partitions) == partitions
                    and all(p.leader >= 0 for p in found.partitions.values()))

        wait_until(known, seconds, f"broker {broker.node} to know {topic}")


def leader_of(cluster, topic, partition=0):
    """The broker that leads a partition."""
    found = wait_until(lambda: partitions_of(cluster, topic), 10, f"a leader of {topic}")
    return cluster[found[partition].leader]


def in_sync(cluster, topic):
    """Partition -> the nodes in its ISR, sorted."""
    return {number: sorted(p.isrs) for number, p in partitions_of(cluster, topic).items()}


def wait_in_sync(cluster, topic, seconds=20):
    def whole():
        found = partitions_of(cluster, topic)
        return found and all(sorted(p.isrs) == sorted(p.replicas) for p in found.values())
    wait_until(whole, seconds, f"all replicas of {topic} to be in sync")


def kafka_error(call, *arguments, **options):
    """The librdkafka error that a call raises, as its name."""
    try:
        call(*arguments, **options)
    except KafkaException as error:
        return error.args[0].name()
    raise AssertionError("no error")
