"""What slice-cni says when it cannot: CNI's own format and codes, on standard output."""

import json
import re
import subprocess

import pytest
import yaml

from cni_world import container, owners, pair, plugin, west  # noqa: F401
from lab import run, wait_until
from lab.cni import CNIFailure, Network, call, find_plugin
from lab.topology import REPOSITORY

BASE = {"cniVersion": "1.0.0", "name": "n", "type": "slice-cni", "slice": "payments",
        "namespace": "kafka", "adminSocket": "/nowhere/admin.sock"}
PLACE = {"container": "c1", "netns": "/proc/1/ns/net", "interface": "eth0"}

# what is wrong -> (command, change of the configuration or a text, of the call, code, words)
WRONG = {
    "no such command": ("FROB", {}, {}, 4, "CNI_COMMAND"),
    "no container": ("ADD", {}, {"container": ""}, 4, "CNI_CONTAINERID"),
    "container leads out": ("ADD", {}, {"container": "../x"}, 4, "CNI_CONTAINERID"),
    "no namespace": ("ADD", {}, {"netns": None}, 4, "CNI_NETNS"),
    "relative namespace": ("DEL", {}, {"netns": "run/x"}, 4, "CNI_NETNS"),
    "long interface": ("DEL", {}, {"interface": "0123456789abcdef"}, 4, "CNI_IFNAME"),
    "malformed arguments": ("ADD", {}, {"arguments": "a"}, 4, "CNI_ARGS"),
    "nothing": ("ADD", "", {}, 6, "there is nothing"),
    "no JSON": ("ADD", "{\"a\": }", {}, 6, "column 7"),
    "no object": ("DEL", "[]", {}, 6, "not an object"),
    "deep": ("ADD", "[" * 100_000, {}, 6, "levels"),
    "not UTF-8": ("ADD", b'{"name": "\xff"}', {}, 6, "UTF-8"),
    "old version": ("ADD", {"cniVersion": "0.2.0"}, {}, 1, "0.2.0"),
    "new version": ("ADD", {"cniVersion": "2.0.0"}, {}, 1, "2.0.0"),
    "no version": ("ADD", {"cniVersion": None}, {}, 1, "0.1.0"),
    "GC too early": ("GC", {}, {}, 1, "GC"),
    "STATUS too early": ("STATUS", {}, {}, 1, "STATUS"),
    "CHECK too early": ("CHECK", {"cniVersion": "0.3.1"}, {}, 1, "CHECK"),
    "no name": ("ADD", {"name": None}, {}, 7, "name"),
    "bad slice": ("ADD", {"slice": "Pay ments"}, {}, 7, "slice"),
    "no slice": ("ADD", {"slice": None}, {}, 7, "which slice"),
    "both": ("ADD", {"namespaces": {}}, {}, 7, "exclude"),
    "bad labels": ("ADD", {"labels": {"a": 1}}, {}, 7, "labels.a"),
    "bad template": ("ADD", {"endpoint": "{nobody}"}, {}, 7, "{nobody}"),
    "unknown field": ("ADD", {"lables": {"a": "b"}}, {}, 2, "lables"),
    "addresses": ("ADD", {"ipam": {"type": "host-local"}}, {}, 2, "host-local"),
    "CHECK without result": ("CHECK", {}, {}, 7, "prevResult"),
    "forbidden arguments": ("ADD", {"allowArgs": False}, {"arguments": "SLICE=a"}, 4, "SLICE"),
    "namespace is gone": ("ADD", {}, {"netns": "/run/netns/none-of-ours"}, 3, "none-of-ours"),
    "ADD without gateway": ("ADD", {}, {}, 11, "not running"),
    "DEL without gateway": ("DEL", {}, {}, 11, "not running"),
    "STATUS without gateway": ("STATUS", {"cniVersion": "1.1.0"}, {}, 51, "not running"),
    "GC without gateway": ("GC", {"cniVersion": "1.1.0", "cni.dev/valid-attachments": []}, {}, 11,
                           "not running"),
    "GC without word": ("GC", {"cniVersion": "1.1.0"}, {}, 7, "nothing is collected"),
    "GC of nonsense": ("GC", {"cniVersion": "1.1.0", "cni.dev/valid-attachments": [1]}, {}, 7,
                       "nothing is collected"),
}


@pytest.mark.parametrize("what", WRONG)
def test_error(what):
    command, change, where, code, words = WRONG[what]
    config = change
    if isinstance(change, dict):
        config = {key: value for key, value in {**BASE, **change}.items() if value is not None}
    with pytest.raises(CNIFailure) as failure:
        call("slice-cni", command, config, **{**PLACE, **where})
    assert failure.value.code == code, failure.value
    assert words in failure.value.message
    known = config["cniVersion"] if isinstance(config, dict) and "cniVersion" in config else "1.1.0"
    assert failure.value.error["cniVersion"] == known


def test_version():
    reply = call("slice-cni", "VERSION", {"cniVersion": "1.0.0"})
    assert reply == {"cniVersion": "1.0.0",
                     "supportedVersions": ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]}
    assert call("slice-cni", "VERSION", "")["cniVersion"] == "1.1.0"


def test_the_documented_configurations_are_read():
    """With a pod that they do not mean: no gateway is asked."""
    text = (REPOSITORY / "Docs/Kubernetes/config.yaml").read_text()
    data = next(one["data"] for one in yaml.safe_load_all(text))
    page = (REPOSITORY / "Docs/CNI.md").read_text()
    examples = [json.loads(one) for one in re.findall(r"```json\n(.*?)```", page, re.S)]
    plugins = [one for one in examples if one.get("type") == "slice-cni"]
    plugins.append(json.loads(data["slice-cni.json"]))
    assert len(plugins) == 3
    for one in plugins:
        result = call("slice-cni", "ADD", {**one, "cniVersion": "1.0.0", "name": "n"},
                      arguments="K8S_POD_NAMESPACE=other;K8S_POD_NAME=a", **PLACE)
        assert result == {"cniVersion": "1.0.0"}


def test_called_by_a_person():
    done = subprocess.run([find_plugin()], stdin=subprocess.DEVNULL, capture_output=True, env={})
    assert done.returncode == 0 and b"CNI plugin" in done.stdout


@pytest.mark.parametrize("what, fields, code, words", [
    ("slice", {"slice": "nowhere"}, 7, "no slice of that name"),
    ("namespace", {"namespace": "nobody"}, 100, "does not admit"),
    ("label", {"labels": {"Role": "x"}}, 7, "label"),
    ("interface", {"interface": "lo"}, 100, "lo"),
])
def test_what_the_gateway_refuses(pair, west, container, what, fields, code, words):
    network = Network(west.node, "refused", [plugin(west, **fields)])
    one = container()
    with pytest.raises(CNIFailure) as failure:
        network.add(*one)
    assert failure.value.code == code and words in failure.value.message, failure.value
    assert one[1].interfaces() == ["lo"] and owners(west) == {}


def test_the_host_is_no_container(pair, west):
    network = Network(west.node, "refused", [plugin(west)])
    with pytest.raises(CNIFailure) as failure:
        network.add("c1", f"/proc/{west.process.pid}/ns/net")
    assert failure.value.code == 100 and "host's own" in failure.value.message


def test_status(pair, west):
    def status(**fields):
        try:
            Network(west.node, "n", [plugin(west, **fields)], "1.1.0").status()
        except CNIFailure as failure:
            return failure.code

    assert status() is None
    assert status(slice="nowhere") == 50
    west.kill()
    assert status() == 51
    # With a mapping most pods can do without: the node stays good for them.
    mapping = {"prod": {"slice": "payments"}}
    assert status(slice=None, namespace=None, namespaces=mapping) is None


def test_check_finds_what_is_broken(pair, west, container):
    network = Network(west.node, "pods", [plugin(west)], "1.1.0")
    one = container()
    network.add(*one)

    def finds(words, line=None):
        """The gateway mends it within seconds, perhaps between the two."""
        def asks():
            if line:
                run("ip", "-n", one[1].full_name, *line.split(), check=False)
            try:
                network.check(*one)
            except CNIFailure as failure:
                assert failure.code == 101
                return words in failure.message
        wait_until(asks, 20, f"CHECK to say `{words}`")
        if line:
            wait_until(lambda: not broken(), 20, "the gateway to mend it")

    def broken():
        try:
            network.check(*one)
        except CNIFailure as failure:
            return failure.message

    finds("10.80.1.", "address del {}/32 dev eth0".format(
        network.results[one[0], "eth0"]["ips"][0]["address"].split("/")[0]))
    finds("route to 10.80.0.0/16", "route del 10.80.0.0/16")
    finds("route to fd00:80::/48", "-6 route del fd00:80::/48")
    finds("no interface eth0", "link set eth0 down")
    saved = json.dumps(network.results[one[0], "eth0"])
    network.results[one[0], "eth0"]["ips"][0]["address"] = "10.80.1.77/32"
    finds("10.80.1.77")
    network.results[one[0], "eth0"] = json.loads(saved)
    network.check(*one)
    west.detach(pair.slices[0], f"c-{one[0][:12]}")
    finds("nothing attached")


def test_a_broken_slice_does_not_keep_containers_alive(pair, west, container):
    """DEL while the slice cannot run: what is remembered goes, and the rest when it comes up."""
    network = Network(west.node, "pods", [plugin(west)], "1.1.0")
    one = container()
    network.add(*one)
    key = pair.slices[0].key_file("west")
    west.stop()
    text = key.read_text()
    try:
        key.write_text("no key\n")
        west.start()
        with pytest.raises(CNIFailure) as failure:
            network.add(*one)
        assert failure.value.code == 11
        network.results[one[0], "eth0"] = {}
        network.delete(*one)
        west.stop()
    finally:
        key.write_text(text)
    west.start()
    assert owners(west) == {} and "eth0" not in one[1].interfaces()
