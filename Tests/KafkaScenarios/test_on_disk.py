"""What brokers leave on their disks, read by an independent reader (ondisk.py) and held against
what the records themselves say."""

import json
import re

import ondisk
import pytest
from nodes import BrokerCluster, make_topic, send, values, wait_until

TOPIC = "kept"
COUNT, SIZE = 3000, 1000  # three segments of a mebibyte
INTERVAL = 2048


@pytest.fixture
def written(lab):
    """Three brokers with segments that were rolled, epochs that changed and snapshots of metadata,
    stopped in order; with offsets and records of a node that leads as they were told."""
    cluster = BrokerCluster(lab, 3, properties={
        "metadata.log.max.record.bytes.between.snapshots": 2000})
    make_topic(cluster, TOPIC, 1, 3, min_insync_replicas=2, segment_bytes=1 << 20,
               index_interval_bytes=INTERVAL)
    cluster.records = values(COUNT, size=SIZE)
    third = COUNT // 3
    for n in range(3):
        part = cluster.records[n * third:(n + 1) * third]
        codec = "gzip" if n == 1 else "none"
        assert send(cluster, TOPIC, part, compression_type=codec,
                    batch_size=16_384)[1] == []
        # Another epoch of the leader, and another producer.
        partition, = cluster.describe(TOPIC)
        node = cluster[partition["leader"]]
        node.stop()
        node.start()
        cluster.wait_in_sync(TOPIC)
    cluster.topic_id = cluster.ctl_json("topics", "describe", TOPIC)["topicId"]
    wait_until(lambda: all(ondisk.snapshots(node.data) for node in cluster), 20,
               "snapshots of the metadata")
    cluster.stop()
    return cluster


def log(folder):
    """Base offset -> batches, of every segment."""
    return {base: ondisk.batches(stem.with_suffix(".log"))
            for base, stem in ondisk.segments(folder).items()}


def test_what_a_broker_leaves_behind(written, tmp_path):
    logs = {node.node: log(node.data / f"{TOPIC}-0") for node in written}
    for node in written:
        folder = node.data / f"{TOPIC}-0"
        found = logs[node.node]
        assert len(found) >= 2, "no segment was rolled"
        records_are_there(written, found)
        for base, batches in found.items():
            stem = ondisk.segments(folder)[base]
            offset_index_points_at_batches(stem, base, batches)
            time_index_is_true(stem, base, batches, base != max(found))
        producers_are_remembered(folder, found)
        epochs_are_remembered(folder, found)
        of_the_directory(written, node, found)
        of_the_metadata(written, node)
    flat = [[batch for batches in found.values() for batch in batches] for found in logs.values()]
    assert flat[0] == flat[1] == flat[2] or same_but_for_positions(flat)
    the_reader_finds_what_is_wrong(written, tmp_path)


def same_but_for_positions(flat):
    """Segments may be rolled at other places; the batches are the same."""
    forms = [[(one.base, one.last, one.epoch, one.producer, one.base_sequence, one.body)
              for one in batches] for batches in flat]
    return forms[0] == forms[1] == forms[2]


def records_are_there(written, found):
    records = []
    for base, batches in found.items():
        assert batches[0].base == base, "a segment is named after its first offset"
        for batch in batches:
            mine = batch.records()
            assert batch.last == mine[-1][0] and batch.count == len(mine)
            assert batch.max_timestamp == max(one[1] for one in mine)
            records += mine
    assert [one[0] for one in records] == list(range(COUNT))
    assert [one[3] for one in records] == written.records
    assert {batch.attributes & ondisk.COMPRESSION for batches in found.values()
            for batch in batches} == {0, 1}


def offset_index_points_at_batches(stem, base, batches):
    entries = ondisk.offset_index(stem.with_suffix(".index"))
    size = batches[-1].position + batches[-1].size
    assert len(entries) >= size // 20_000, f"{stem}: {len(entries)} entries"
    by_position = {one.position: one for one in batches}
    for relative, position in entries:
        assert by_position[position].last == base + relative, f"{stem}: {relative}, {position}"
    for (offset, position), (further, behind) in zip(entries, entries[1:]):
        assert offset < further and behind - position > INTERVAL


def time_index_is_true(stem, base, batches, is_closed):
    entries = ondisk.time_index(stem.with_suffix(".timeindex"))
    assert entries, stem
    for timestamp, relative in entries:
        until = [one for one in batches if one.last <= base + relative]
        assert until and until[-1].last == base + relative, f"{stem}: no batch ends at {relative}"
        assert max(one.max_timestamp for one in until) == timestamp, f"{stem}: {relative}"
    for (at, offset), (later, further) in zip(entries, entries[1:]):
        assert at < later and offset < further
    # A segment that is closed ends with its latest timestamp, which retention goes by.
    if is_closed:
        assert entries[-1][0] == max(one.max_timestamp for one in batches)


def producers_are_remembered(folder, found):
    paths = sorted(folder.glob("*.snapshot"))
    assert paths, "no snapshot of producers"
    batches = [batch for one in found.values() for batch in one]
    assert int(paths[-1].stem) == COUNT, "the last, of a clean stop, is at the end"
    for path in paths:
        expected = {}
        for batch in batches:
            if batch.last < int(path.stem) and batch.producer >= 0:
                expected[batch.producer] = ondisk.Producer(
                    batch.producer, batch.producer_epoch,
                    batch.base_sequence + batch.last - batch.base, batch.last,
                    batch.last - batch.base, batch.max_timestamp, -1, -1)
        assert {one.id: one for one in ondisk.producers(path)} == expected, path
    assert len(expected) == 3


def epochs_are_remembered(folder, found):
    said = [(int(epoch), int(start))
            for epoch, start in ondisk.checkpoint(folder / "leader-epoch-checkpoint")]
    assert said == sorted(set(said)) and len({epoch for epoch, _ in said}) == len(said)
    begins = {}
    for batches in found.values():
        for batch in batches:
            begins.setdefault(batch.epoch, batch.base)
    assert len(begins) == 3, begins
    # Epochs in which nothing was written may be there too.
    assert begins.items() <= dict(said).items(), f"{begins} are not all in {said}"


def of_the_directory(written, node, found):
    key = TOPIC, 0
    assert ondisk.offsets(node.data / "recovery-point-offset-checkpoint")[key] == COUNT
    assert ondisk.offsets(node.data / "replication-offset-checkpoint")[key] == COUNT
    starts = node.data / "log-start-offset-checkpoint"
    assert not starts.exists() or key not in ondisk.offsets(starts)
    about = ondisk.properties(node.data / "meta.properties")
    assert (about["version"], about["cluster.id"], about["node.id"]) == (
        "1", written.cluster_id, str(node.node))
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", about["directory.id"])
    clean = json.loads((node.data / ".kafka_cleanshutdown").read_text())
    assert clean["version"] == 0 and clean["brokerEpoch"] > 0
    about = dict(line.split(": ") for line in
                 (node.data / f"{TOPIC}-0" / "partition.metadata").read_text().splitlines())
    assert about == {"version": "0", "topic_id": written.topic_id}


def of_the_metadata(written, node):
    """The log of the quorum, its snapshots, and its vote."""
    folder = node.data / "__cluster_metadata-0"
    batches = [batch for one in log(folder).values() for batch in one]
    assert batches
    for one, other in zip(batches, batches[1:]):
        assert one.last + 1 == other.base, "offsets of the metadata have no gaps"
    epochs = {batch.epoch for batch in batches}
    # Each epoch begins with its leader's word.
    for epoch in epochs:
        first = min((batch for batch in batches if batch.epoch == epoch), key=lambda one: one.base)
        if first.base > 0 or 0 in ondisk.segments(folder):
            assert first.is_control, f"epoch {epoch} begins with {first}"
            (_, kind, _), *_ = ondisk.metadata(first)
            assert kind == ondisk.LEADER_CHANGE
    snapshots = ondisk.snapshots(node.data)
    assert snapshots
    for (end, epoch), path in snapshots.items():
        inside = ondisk.batches(path)
        records = [one for batch in inside for one in ondisk.metadata(batch)]
        assert [offset for offset, _, _ in records] == list(range(len(records)))
        kinds = [kind for _, kind, _ in records]
        assert kinds[0] == ondisk.SNAPSHOT_HEADER and kinds[-1] == ondisk.SNAPSHOT_FOOTER
        assert all(isinstance(kind, str) for kind in kinds[1:-1])
        assert kinds[1] == "FeatureLevel", "readers decide by it how to read the rest"
        last = next((one for one in batches if one.base < end <= one.last + 1), None)
        assert end <= batches[-1].last + 1, "it stands for more than there is"
        assert last is None or last.epoch == epoch, f"{path}: the record before is of {last}"
    latest = snapshots[max(snapshots)]
    kinds = [kind for batch in ondisk.batches(latest) for _, kind, _ in ondisk.metadata(batch)]
    assert kinds.count("RegisterBroker") == 3 and "Topic" in kinds and "Partition" in kinds
    vote = json.loads((folder / "quorum-state").read_text())
    assert vote["leaderEpoch"] >= max(epochs), vote


def the_reader_finds_what_is_wrong(written, tmp_path):
    """One bit, or one byte less, of each kind of file that has a checksum."""
    folder = written[1].data / f"{TOPIC}-0"
    stem = list(ondisk.segments(folder).values())[0]
    snapshot = sorted(folder.glob("*.snapshot"))[-1]
    _, metadata = sorted(ondisk.snapshots(written[1].data).items())[-1]
    for path, read in [(stem.with_suffix(".log"), ondisk.batches), (metadata, ondisk.batches),
                       (snapshot, ondisk.producers)]:
        data = bytearray(path.read_bytes())
        copy = tmp_path / path.name
        copy.write_bytes(data[:-1])
        with pytest.raises(AssertionError):
            read(copy)
        data[len(data) // 2] ^= 1
        copy.write_bytes(data)
        with pytest.raises(AssertionError):
            read(copy)
