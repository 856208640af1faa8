"""The metadata log on a disk of its own, and disks that are replaced by empty ones."""

import json
import shutil

import pytest

from nodes import BrokerCluster, make_topic, read, refused, send, values, wait_until

TOPIC = "kept"


def apart(lab, count, **properties):
    """Nodes whose metadata log is in a directory of its own."""
    cluster = BrokerCluster(lab, count, start=False, properties={
        key.replace("_", "."): value for key, value in properties.items()})
    for node in cluster:
        node.metadata = node.directory / "metadata"
        node.extra["metadata.log.dir"] = node.metadata
        node.write_properties()
        node.format("--ignore-formatted")
    cluster.start()
    return cluster


def partitions_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def offline(cluster, topic):
    """Partition -> replicas that cannot be served, as any broker tells it."""
    return {p["partition"]: p["offline"] for p in cluster.describe(topic)}


def replace_disk(node):
    """All that it had is gone."""
    node.stop()
    shutil.rmtree(node.data)
    node.data.mkdir()
    node.format("--ignore-formatted")


@pytest.mark.parametrize("count", [1, 3])
def test_metadata_in_a_directory_of_its_own(lab, count):
    cluster = apart(lab, count)
    make_topic(cluster, TOPIC, 2, min(3, count))
    kept = values(500)
    acknowledged, errors = send(cluster, TOPIC, kept)
    assert sorted(acknowledged) == sorted(kept) and errors == []
    for node in cluster:
        assert partitions_in(node.metadata) == ["__cluster_metadata-0"]
        assert "__cluster_metadata-0" not in partitions_in(node.data)
        assert {f"{TOPIC}-0", f"{TOPIC}-1"} <= set(partitions_in(node.data))
        assert not (node.metadata / ".kafka_cleanshutdown").exists()
    for node in cluster:
        node.kill()
    cluster.start()
    found = [one for partition in range(2) for one in read(cluster, TOPIC, partition)]
    assert sorted(found) == sorted(kept)
    cluster.stop()
    for node in cluster:
        clean = json.loads((node.data / ".kafka_cleanshutdown").read_text())
        assert clean["version"] == 0 and clean["brokerEpoch"] > 0
    cluster.start()
    assert send(cluster, TOPIC, kept)[1] == []
    # The directories of a node belong together.
    node = cluster[1]
    node.stop()
    shutil.rmtree(node.metadata)
    status, said = refused(node)
    assert status == 1 and str(node.metadata) in said, said


def test_a_replaced_disk_leads_again(lab):
    """The others have all of it: it is fetched, and the broker may lead from its new directory."""
    cluster = apart(lab, 3)
    make_topic(cluster, TOPIC, 3, 3, min_insync_replicas=2)
    kept = values(600)
    acknowledged, errors = send(cluster, TOPIC, kept)
    assert sorted(acknowledged) == sorted(kept) and errors == []
    preferred = [p["partition"] for p in cluster.describe(TOPIC) if p["replicas"][0] == 2]
    assert preferred
    replace_disk(cluster[2])
    cluster[2].start()
    cluster.wait_in_sync(TOPIC)
    wait_until(lambda: not any(offline(cluster, TOPIC).values()), 20,
               "the controller to know of the new directory")
    cluster.ctl("leaders", "elect", "preferred", "--all")
    wait_until(lambda: all(p["leader"] == 2 for p in cluster.describe(TOPIC)
                           if p["partition"] in preferred), 20, "the broker to lead")
    found = [one for partition in range(3) for one in read(cluster, TOPIC, partition)]
    assert sorted(found) == sorted(kept)
    more = values(100, "more")
    assert send(cluster, TOPIC, more)[1] == []


def test_a_replaced_disk_of_the_only_replica(lab):
    """There is nothing to wait for: the partition begins anew."""
    cluster = apart(lab, 1)
    make_topic(cluster, TOPIC)
    kept = values(100)
    assert send(cluster, TOPIC, kept) == (kept, [])
    replace_disk(cluster[1])
    cluster[1].start()
    wait_until(lambda: cluster.describe(TOPIC)[0]["leader"] == 1, 20, "a leader")
    assert read(cluster, TOPIC) == []
    assert send(cluster, TOPIC, kept) == (kept, [])
    assert read(cluster, TOPIC) == kept
