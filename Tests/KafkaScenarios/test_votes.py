"""The runbook's ways to change who votes, step by step, on nodes that hold records."""

import json
import shutil

from confluent_kafka.admin import AdminClient, NewTopic
from nodes import BrokerCluster, another, client, make_topic, read, send, values, wait_until

TOPIC = "kept"


def quorum(cluster, via):
    """As one node has it; of nobody when it cannot say."""
    done = cluster.ctl("quorum", "describe", "--json", via=via, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {
        "leader": -1, "voters": [], "observers": []}


def ids(nodes):
    return sorted(one["id"] for one in nodes)


def let_vote(cluster, *nodes):
    """What controller.quorum.voters is from now on, and each node's roles with it. Written to the
    nodes' files, which only a start reads."""
    cluster.voters = lambda: ",".join(
        f"{one.node}@{one.host}:{one.controller_port}" for one in nodes)


def give_role(node, *roles):
    node.roles = list(roles)
    node.write_properties()


def test_a_vote_moves_to_another_cluster(lab):
    """4 follows as a broker; everything stops; 1, 2, 3 become 1, 2, 4, and 3 stays as a broker."""
    cluster = BrokerCluster(lab, 3)
    one, two, three = cluster
    make_topic(cluster, TOPIC, 3, 3, min_insync_replicas=2)
    kept = values(300)
    assert send(cluster, TOPIC, kept)[1] == []
    four = another(cluster, 4)
    four.start()

    def follows():
        found = quorum(cluster, one)
        lag = {observer["id"]: observer["lag"] for observer in found["observers"]}
        return ids(found["voters"]) == [1, 2, 3] and lag.get(4) == 0
    wait_until(follows, 20, "the new node to have the metadata")
    nodes = [one, two, three, four]
    for node in nodes:
        node.process.signal(15)
    for node in nodes:
        assert node.process.wait(20) == 0
    let_vote(cluster, one, two, four)
    give_role(one, "broker", "controller")
    give_role(two, "broker", "controller")
    give_role(three, "broker")
    give_role(four, "broker", "controller")
    for node in nodes:
        node.start(wait=False)
    for node in nodes:
        node.wait_ready()
    found = quorum(cluster, one)
    assert ids(found["voters"]) == [1, 2, 4] and found["leader"] in (1, 2, 4)
    wait_until(lambda: 3 in ids(quorum(cluster, one)["observers"]), 10, "3 to be an observer")
    cluster.wait_in_sync(TOPIC)
    assert sorted(values_of(cluster, 3)) == sorted(kept)
    more = values(100, "more")
    assert send(cluster, TOPIC, more)[1] == []
    # The vote that was given away is not needed any more, and the new one counts: 2 and 4 are two
    # of three, 2 alone would be one.
    three.kill()
    one.kill()
    wait_until(lambda: quorum(cluster, two)["leader"] in (2, 4), 20, "2 and 4 to decide")
    admin = AdminClient(client(f"{two.address},{four.address}"))
    wait_until(lambda: set(admin.list_topics(timeout=10).brokers) == {2, 4}, 20,
               "the others to be fenced")
    admin.create_topics([NewTopic("after", 1, 2)], operation_timeout=10)["after"].result(20)
    # Without 4 nobody decides.
    four.kill()
    wait_until(lambda: quorum(cluster, two)["leader"] == -1, 20, "2 to be without a majority")
    four.start(wait=False)
    one.start(wait=False)
    three.start(wait=False)
    for node in (one, three, four):
        node.wait_ready()
    cluster.wait_in_sync(TOPIC)
    assert sorted(values_of(cluster, 3)) == sorted(kept + more)


def values_of(cluster, partitions):
    return [value for n in range(partitions) for value in read(cluster, TOPIC, n)]


def test_one_that_is_left_decides_alone(lab):
    """Two of three are gone for good, with their disks. The third is told that it votes alone; it
    leads what it had in sync, and takes records when one copy is declared to be enough."""
    cluster = BrokerCluster(lab, 3)
    one, two, three = cluster
    make_topic(cluster, TOPIC, 3, 3, min_insync_replicas=2)
    kept = values(300)
    assert send(cluster, TOPIC, kept)[1] == []
    for node in (one, two):
        node.kill()
    wait_until(lambda: quorum(cluster, three)["leader"] == -1, 20, "the third to be alone")
    for node in (one, two):
        shutil.rmtree(node.data)
    three.stop()
    let_vote(cluster, three)
    give_role(three, "broker", "controller")
    three.start()
    found = quorum(cluster, three)
    assert ids(found["voters"]) == [3] and found["leader"] == 3

    def leads():
        return all(p["leader"] == 3 for p in cluster.describe(TOPIC))
    wait_until(leads, 20, "the one that is left to lead")
    # One copy is less than was asked for; and the one that is left may not have heard up to where
    # the others had all, in which case nobody reads on before one copy is enough (KIP-966).
    acknowledged, errors = send(three.address, TOPIC, values(1, "refused"), seconds=3)
    assert acknowledged == [] and errors
    cluster.ctl("configs", "set", "topic", TOPIC, "min.insync.replicas=1")
    assert sorted(values_of(three.address, 3)) == sorted(kept)
    more = values(100, "more")
    assert send(three.address, TOPIC, more)[1] == []
    # And it decides what only a controller decides.
    for gone in (1, 2):
        cluster.ctl("brokers", "unregister", str(gone))
    make_topic(three.address, "after", replicas=1)
    three.kill()
    three.start()
    assert set(AdminClient(client(three.address)).list_topics(timeout=10).brokers) == {3}
    found = values_of(three.address, 3)
    assert sorted(one for one in found if not one.startswith(b"refused")) == sorted(kept + more)
