"""No room, no right to write, files that are gone: the node says so and does not go on as if
nothing had happened; what it acknowledged before is there when the disk is mended."""

import os

import pytest

from nodes import BrokerCluster, make_topic, read, refused, run, send, values, wait_until

TOPIC = "kept"


class SmallDisk:
    """A file system of its own for the data of one node."""

    def __init__(self, lab, node, size):
        self.lab, self.node, self.path = lab, node, node.data
        kept = {path.name: path.read_bytes() for path in node.data.iterdir()}
        run("mount", "-t", "tmpfs", "-o", f"size={size},mode=750", "tmpfs", self.path)
        for name, data in kept.items():
            (self.path / name).write_bytes(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.node.is_running:
            self.node.kill()
        run("umount", "--lazy", self.path)

    def fill(self):
        with open(self.path / "filler", "wb", buffering=0) as out:
            for size in (65536, 4096, 512, 1):
                try:
                    while True:
                        out.write(bytes(size))
                except OSError:
                    pass

    def free(self):
        (self.path / "filler").unlink()

    def read_only(self, is_read_only=True):
        run("mount", "-o", f"remount,{'ro' if is_read_only else 'rw'}", self.path)


@pytest.fixture
def needs_root():
    if os.geteuid() != 0:
        pytest.skip("needs root: it mounts file systems")


def before_the_end(node, *words):
    """Waits until the node has ended by itself, and gives its last words."""
    status = node.process.wait(10)
    said = node.process.output()
    assert status == 1, f"{status}: {said}"
    for word in words:
        assert word in said.splitlines()[-1], said
    return said


def test_a_disk_that_fills_up(lab, needs_root):
    """By the records that are sent. The only directory of the node is of no use then."""
    cluster = BrokerCluster(lab, 1, start=False, properties={"log.segment.bytes": 1_048_576})
    node = cluster[1]
    with SmallDisk(lab, node, "32m"):
        node.start()
        make_topic(cluster, TOPIC)
        first = values(2000, "first", 1000)
        assert send(cluster, TOPIC, first) == (first, [])
        more = values(40_000, "more", 1000)
        acknowledged, errors = send(cluster, TOPIC, more, seconds=8)
        assert len(acknowledged) < len(more) and errors
        said = before_the_end(node, str(node.data), "space")
        assert said.count("space") < 20, said
        # Room is made, as an operator would: here by a larger disk.
        run("mount", "-o", "remount,size=96m", node.data)
        node.start()
        found = read(cluster, TOPIC)
        assert found[:len(first) + len(acknowledged)] == first + acknowledged
        after = values(10, "after")
        assert send(cluster, TOPIC, after) == (after, [])


def test_a_full_disk_at_start(lab, needs_root):
    """Nothing is acknowledged that there is no room for, and with room all is there."""
    cluster = BrokerCluster(lab, 1, start=False)
    node = cluster[1]
    with SmallDisk(lab, node, "24m") as disk:
        node.start()
        make_topic(cluster, TOPIC)
        kept = values(500)
        assert send(cluster, TOPIC, kept) == (kept, [])
        node.kill()
        disk.fill()
        node.start(wait=False)
        before_the_end(node, str(node.data), "space")
        disk.free()
        node.start()
        assert read(cluster, TOPIC) == kept
        assert send(cluster, TOPIC, kept) == (kept, [])


def test_a_full_disk_of_one_of_three(lab, needs_root):
    """The others serve, also what it led; with room it comes back and catches up."""
    cluster = BrokerCluster(lab, 3, start=False)
    node = cluster[3]
    with SmallDisk(lab, node, "24m") as disk:
        cluster.start()
        make_topic(cluster, TOPIC, 3, 3, min_insync_replicas=2)
        kept = values(300)
        acknowledged, errors = send(cluster, TOPIC, kept)
        assert sorted(acknowledged) == sorted(kept) and errors == []
        disk.fill()
        more = values(30_000, "more", 1000)
        acknowledged, errors = send(cluster, TOPIC, more, seconds=60)
        assert len(acknowledged) == len(more) and errors == []
        said = before_the_end(node, str(node.data), "space")
        assert said.count("space") < 20, said
        disk.free()
        run("mount", "-o", "remount,size=256m", node.data)
        node.start()
        found = [one for partition in range(3) for one in read(cluster, TOPIC, partition)]
        assert sorted(found) == sorted(kept + more)
        cluster.stop()
        for partition in range(3):
            logs = [b"".join(path.read_bytes() for path in sorted(
                (one.data / f"{TOPIC}-{partition}").glob("*.log"))) for one in cluster]
            assert logs[0] == logs[1] == logs[2]


def test_a_directory_that_becomes_read_only(lab, needs_root):
    """As a file system does that has found an error on its disk."""
    cluster = BrokerCluster(lab, 1, start=False)
    node = cluster[1]
    with SmallDisk(lab, node, "24m") as disk:
        node.start()
        make_topic(cluster, TOPIC)
        kept = values(500)
        assert send(cluster, TOPIC, kept) == (kept, [])
        node.kill()
        disk.read_only()
        status, said = refused(node)
        assert status == 1 and str(node.data) in said and "read-only" in said.lower(), said
        disk.read_only(False)
        node.start()
        assert read(cluster, TOPIC) == kept


def test_formatting_where_nothing_can_be_written(lab, needs_root):
    cluster = BrokerCluster(lab, 1, start=False)
    node = cluster[1]
    (node.data / "meta.properties").unlink()
    with SmallDisk(lab, node, "64k") as disk:
        disk.read_only()
        refusal = node.format(check=False)
        assert refusal.returncode == 1
        assert str(node.data) in refusal.stderr, refusal.stderr
        assert "read-only" in refusal.stderr.lower(), refusal.stderr
        disk.read_only(False)
        disk.fill()
        refusal = node.format(check=False)
        assert refusal.returncode == 1
        assert str(node.data) in refusal.stderr and "space" in refusal.stderr, refusal.stderr
        # Half of it would be read as damaged later.
        assert not (node.data / "meta.properties").exists()
        disk.free()
        node.format()
        node.start()


def test_logs_that_are_gone(lab):
    """Somebody has removed the folder of a partition: one broker starts with what is left, and
    says nothing was lost that the others have."""
    cluster = BrokerCluster(lab, 3)
    make_topic(cluster, TOPIC, 1, 3, min_insync_replicas=2)
    kept = values(500)
    assert send(cluster, TOPIC, kept) == (kept, [])
    cluster.stop()
    folder = cluster[2].data / f"{TOPIC}-0"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    cluster[1].start(wait=False)
    cluster[3].start(wait=False)
    cluster[1].wait_ready()
    cluster[3].wait_ready()
    cluster[2].start()
    assert read(cluster, TOPIC) == kept
    wait_until(lambda: folder.is_dir() and any(
        path.stat().st_size > 0 for path in folder.glob("*.log")), 20, "the replica to be copied")


@pytest.mark.parametrize("name", [
    "recovery-point-offset-checkpoint", "replication-offset-checkpoint",
    "log-start-offset-checkpoint", "leader-epoch-checkpoint", ".timeindex", ".index", ".snapshot"])
@pytest.mark.parametrize("content", [
    pytest.param(b"", marks=pytest.mark.nightly), b"\xff" * 100], ids=["empty", "bytes"])
def test_damaged_files_beside_the_records(lab, name, content):
    """What can be made anew from the records is; after an end that was none."""
    cluster = BrokerCluster(lab, 1, properties={"log.segment.bytes": 1_048_576})
    make_topic(cluster, TOPIC)
    kept = values(3000, size=1000)
    assert send(cluster, TOPIC, kept) == (kept, [])
    cluster[1].stop()
    for path in [*cluster[1].data.rglob(f"*{name}"), cluster[1].data / ".kafka_cleanshutdown"]:
        if path.name == ".kafka_cleanshutdown":
            path.unlink(missing_ok=True)
        elif "__cluster_metadata" not in str(path):
            path.write_bytes(content)
    cluster[1].start()
    assert read(cluster, TOPIC) == kept
    more = values(10, "more")
    assert send(cluster, TOPIC, more) == (more, [])
    assert read(cluster, TOPIC) == kept + more
