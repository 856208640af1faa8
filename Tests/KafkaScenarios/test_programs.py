"""slice-broker as a program for people and for scripts: what it says, and as what."""

import json
import re
import subprocess

from lab import wait_until
from lab.brokers import broker_program
from nodes import BrokerCluster, read, run


def test_json_of_what_needs_no_cluster(lab):
    made = json.loads(run(broker_program(), "random-uuid", "--json").stdout)
    assert list(made) == ["clusterId"] and re.fullmatch(r"[\w-]{22}", made["clusterId"])
    assert made != json.loads(run(broker_program(), "--json", "random-uuid").stdout)

    cluster = BrokerCluster(lab, 1, start=False)
    node = cluster[1]
    checked = run(broker_program(), "check", "--config", node.file, "--json")
    assert json.loads(checked.stdout) == {
        "config": str(node.file), "isSound": True, "problems": []}
    wrong = node.file.with_name("wrong.properties")
    wrong.write_text("num.network.threads=3\n" + node.file.read_text() + "min.insync=2\n")
    checked = run(broker_program(), "check", "--config", wrong, "--json", check=False)
    assert checked.returncode == 2 and checked.stderr == ""
    said = json.loads(checked.stdout)
    assert not said["isSound"] and [one["line"] for one in said["problems"]] == [
        1, len(wrong.read_text().splitlines())]
    assert said["problems"][0]["message"].startswith("num.network.threads is not supported: ")
    missing = run(broker_program(), "check", "--config", "/nowhere", "--json", check=False)
    assert missing.returncode == 2
    assert [one["line"] for one in json.loads(missing.stdout)["problems"]] == [None]

    words = ["format", "--config", node.file, "--cluster-id", cluster.cluster_id, "--json"]
    again = run(broker_program(), *words, check=False)
    assert again.returncode == 1 and again.stdout == ""
    assert "formatted already" in json.loads(again.stderr)["message"]
    again = json.loads(run(broker_program(), *words, "--ignore-formatted").stdout)
    assert again == {"nodeId": 1, "clusterId": cluster.cluster_id, "directories": [
        {"path": str(node.data), "wasFormatted": True}]}
    (node.data / "meta.properties").unlink()
    done = json.loads(run(broker_program(), *words).stdout)
    assert done["directories"] == [{"path": str(node.data), "wasFormatted": False}]
    wrong = run(broker_program(), *words[:2], "/nowhere", *words[3:], check=False)
    assert wrong.returncode == 2 and json.loads(wrong.stderr)["code"] == "config"


def test_produce_says_what_it_waits_for(lab):
    """With too few replicas in sync it tries for as long as it may, and says so meanwhile."""
    cluster = BrokerCluster(lab, 3)
    run(broker_program(), "topics", "create", "waiting", "--assignment", "1:2", "-c",
        "min.insync.replicas=2", "-b", cluster[1].address)
    cluster[2].kill()
    wait_until(lambda: cluster.describe("waiting")[0]["isr"] == [1], 20, "the replica to be missed")
    command = [broker_program(), "produce", "waiting", "--timeout", "60", "-b", cluster[1].address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as producing:
        try:
            producing.stdin.write("a line\n")
            producing.stdin.close()
            said = producing.stderr.readline()
            assert re.match(r"trying again, for [2-9] s of 60 s by now: .*NOT_ENOUGH_REPLICAS",
                            said), said
            assert producing.poll() is None
            cluster[2].start()
            assert producing.wait(30) == 0
        finally:
            producing.kill()
    assert read(cluster, "waiting") == [b"a line"]
    # To a program it says nothing but how it ended.
    cluster[2].kill()
    wait_until(lambda: cluster.describe("waiting")[0]["isr"] == [1], 20, "the replica to be missed")
    done = run(*command[:4], "4", *command[5:], "--json", input="a line\n", check=False)
    assert done.returncode == 1
    assert "NOT_ENOUGH_REPLICAS" in json.loads(done.stderr)["code"]
