"""What becomes of the metadata log in the long run."""

from confluent_kafka.admin import (
    AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType)

from lab import wait_until
from nodes import BrokerCluster, client, make_topic, read, send, values

TOPIC = "changed"
SEGMENT, SNAPSHOT = 8_388_608, 1_000_000


def test_the_metadata_log_does_not_grow_for_ever(lab):
    """What is older than two snapshots goes, in segments that are small."""
    cluster = BrokerCluster(lab, 1, properties={
        "metadata.log.segment.bytes": SEGMENT,
        "metadata.log.max.record.bytes.between.snapshots": SNAPSHOT})
    node = cluster[1]
    make_topic(cluster, TOPIC)
    admin = AdminClient(client(cluster))
    folder = node.data / "__cluster_metadata-0"

    def logs():
        return sorted(folder.glob("*.log"))

    def change(count):
        """About 28 kB of metadata each."""
        for number in range(count):
            replicas = ",".join(f"{one}:{number % 10}" for one in range(4000))
            resource = ConfigResource(ResourceType.TOPIC, TOPIC, incremental_configs=[
                ConfigEntry("leader.replication.throttled.replicas", replicas,
                            incremental_operation=AlterConfigOpType.SET)])
            admin.incremental_alter_configs([resource], request_timeout=20)[resource].result(20)

    change(700)
    # One that is written to, and one that the newest but one snapshot may still need.
    wait_until(lambda: len(logs()) <= 2, 10, "old segments to go")
    assert int(logs()[0].stem) > 0
    assert sum(path.stat().st_size for path in folder.glob("*.log")) <= 2 * SEGMENT
    assert all(path.stat().st_size <= SEGMENT for path in logs())
    assert len(list(folder.glob("*.checkpoint"))) <= 3
    for end in (node.stop, node.kill):
        end()
        node.start()
        more = values(10, end.__name__)
        assert send(cluster, TOPIC, more) == (more, [])
        change(20)
    assert read(cluster, TOPIC) == values(10, "stop") + values(10, "kill")
