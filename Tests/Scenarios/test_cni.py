"""slice-cni, called as libcni calls it: alone and behind stock plugins, on real namespaces."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from cni_world import (  # noqa: F401
    CLUSTERS, bridge, container, owners, pair, plugin, ptp, west)
from lab import reaches, run, wait_until
from lab.cni import CNIFailure, Network, call
from lab.gateways import address_of

@pytest.mark.parametrize("first", ["ptp", "bridge"])
def test_behind_a_stock_plugin(pair, west, container, first):
    """Containers of two clusters reach each other; what the first plugin made stays. The stock
    plugins' CHECK takes all addresses of a result for theirs: ours is asked alone."""
    networks, results, spaces, ids = {}, {}, {}, {}
    stock = {"ptp": ptp, "bridge": bridge}[first]
    for number, cluster in enumerate(CLUSTERS, 1):
        gateway = pair.gateways[cluster]
        networks[cluster] = Network(
            pair.clusters.node(cluster), "pods",
            [stock(pair, number), plugin(gateway, labels={"role": "broker"})], "1.0.0")
        ids[cluster], spaces[cluster] = container(cluster)
        results[cluster] = networks[cluster].add(ids[cluster], spaces[cluster])
        networks[cluster].check(ids[cluster], spaces[cluster], only="slice-cni")
    result = results["west"]
    ours = next(n for n, one in enumerate(result["interfaces"]) if one["name"] == "payments")
    assert result["cniVersion"] == "1.0.0"
    assert result["interfaces"][ours]["sandbox"] == str(spaces["west"].path)
    assert [ip["address"].split(".")[0] for ip in result["ips"] if ip["interface"] != ours] == [
        {"ptp": "10", "bridge": "10"}[first]]
    assert {route["dst"] for route in result["routes"]} >= {"10.80.0.0/16", "fd00:80::/48"}
    report = next(one for one in west.status("payments")["endpoints"])
    assert report["name"] == f"c-{ids['west'][:12]}"
    assert report["labels"] == {"role": "broker"}
    assert report["owner"] == f"cni:pods/{ids['west']}/eth0"
    east = [ip["address"].split("/")[0] for ip in results["east"]["ips"] if ip["address"].split(
        "/")[1] in ("32", "128")]
    for address in east:
        wait_until(lambda: reaches(spaces["west"], address, 1), 10, f"west to reach {address}")
    links = json.loads(run("ip", "-n", spaces["west"].full_name, "-j", "link").stdout)
    assert {link["ifname"] for link in links} == {"lo", "eth0", "payments"}
    for cluster in CLUSTERS:
        for _ in range(2):
            networks[cluster].delete(ids[cluster], spaces[cluster])
        assert spaces[cluster].interfaces() == ["lo"]
        assert owners(pair.gateways[cluster]) == {}


@pytest.mark.parametrize("first", ["ptp", "bridge"])
def test_only_the_interface_in_the_result(pair, west, container, first):
    """For the sake of the stock plugins' CHECK."""
    stock = {"ptp": ptp, "bridge": bridge}[first](pair, 1)
    network = Network(west.node, "pods", [stock, plugin(west, report="interface")])
    one = container()
    result = network.add(*one)
    assert result["interfaces"][-1]["name"] == "payments"
    assert not any(ip["address"].startswith("10.80.") for ip in result["ips"])
    network.check(*one)
    network.delete(*one)


@pytest.mark.parametrize("version", ["0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_as_the_only_plugin(pair, west, container, version):
    network = Network(west.node, "alone", [plugin(west, namespace="apps")], version)
    name, space = container()
    result = network.add(name, space, "net0")
    assert result["cniVersion"] == version
    assert [one["name"] for one in result["interfaces"]] == ["net0"]
    report = west.status("payments")["endpoints"][0]
    assert [ip["address"] for ip in result["ips"]] == [
        f"{address_of(report)}/32", f"{address_of(report, 6)}/128"]
    assert [ip.get("version") for ip in result["ips"]] == (
        ["4", "6"] if version < "1" else [None, None])
    assert ("mtu" in result["interfaces"][0]) == (version == "1.1.0")
    shown = json.loads(run("ip", "-n", space.full_name, "-j", "link", "show", "net0").stdout)[0]
    assert shown["address"] == result["interfaces"][0]["mac"]
    # A runtime that asks twice gets the same.
    assert network.add(name, space, "net0") == result
    if version >= "0.4":
        network.check(name, space, "net0")
    if version >= "1.1":
        network.status()
    network.delete(name, space, "net0")
    assert "net0" not in space.interfaces()


def test_what_others_left_in_the_result_stays(pair, west, container):
    name, space = container()
    previous = {
        "cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "vendor": {"a": [1.50, None]}}],
        "ips": [{"interface": 0, "address": "10.5.0.2/16", "x": 1e3}], "vendor.example": [True],
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.5.0.1"}], "dns": {"nameservers": ["10.5.0.1"]}}
    config = {**plugin(west), "cniVersion": "1.0.0", "name": "n", "prevResult": previous}
    result = call("slice-cni", "ADD", config, west.node, name, space.path, "eth0")
    assert result["interfaces"][0] == previous["interfaces"][0]
    assert result["ips"][0] == previous["ips"][0] and result["routes"][0] == previous["routes"][0]
    assert result["dns"] == previous["dns"]
    assert result["vendor.example"] == previous["vendor.example"]
    dns = {"nameservers": ["10.80.1.1"], "search": ["kafka.svc.slice.local"]}
    result = call("slice-cni", "ADD", {**config, "dns": dns}, west.node, name, space.path, "eth0")
    assert result["dns"] == {"nameservers": ["10.80.1.1", "10.5.0.1"],
                             "search": ["kafka.svc.slice.local"]}


def test_kubernetes_namespaces(pair, west, container):
    """A pod's namespace decides; pods of others pass untouched, also while the gateway is away."""
    mapping = {"prod": {"slice": "payments", "namespace": "kafka", "labels": {"role": "broker"},
                        "pods": ["broker-*"]},
               "apps": {"slice": "orders"}}
    fields = {"type": "slice-cni", "adminSocket": str(west.socket), "namespaces": mapping}
    network = Network(west.node, "pods", [ptp(pair), fields], "0.4.0")

    def pod(namespace, name):
        # What a pod might try to get elsewhere counts for nothing.
        return (f"IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};"
                "K8S_POD_INFRA_CONTAINER_ID=1;SLICE=orders;SLICE_NAMESPACE=kafka")

    seen = {}
    for namespace, name in (("prod", "broker-0"), ("prod", "batch-7"), ("apps", "web.v2"),
                            ("other", "broker-0")):
        seen[namespace, name] = one = container()
        network.add(*one, arguments=pod(namespace, name))
        network.check(*one, arguments=pod(namespace, name), only="slice-cni")
    payments, orders = west.status("payments")["endpoints"], west.status("orders")["endpoints"]
    assert [(one["namespace"], one["name"], one["labels"]) for one in payments] == [
        ("kafka", "broker-0", {"role": "broker"})]
    assert [one["namespace"] for one in orders] == ["apps"]
    assert re.fullmatch("web-v2-[0-9a-f]{8}", orders[0]["name"])
    untouched = network.results[seen["other", "broker-0"][0], "eth0"]
    assert [one["name"] for one in untouched["interfaces"] if one.get("sandbox")] == ["eth0"]
    west.kill()
    network.delete(*seen["other", "broker-0"], arguments=pod("other", "broker-0"))
    network.delete(*seen["prod", "batch-7"], arguments=pod("prod", "batch-7"))
    with pytest.raises(CNIFailure) as failure:
        network.delete(*seen["prod", "broker-0"], arguments=pod("prod", "broker-0"))
    assert failure.value.code == 11
    west.start()
    # The mapping is gone meanwhile: what it attached is taken back all the same.
    fields["namespaces"] = {}
    network.delete(*seen["prod", "broker-0"], arguments=pod("prod", "broker-0"))
    network.delete(*seen["apps", "web.v2"], arguments=pod("apps", "web.v2"))
    assert owners(west) == {} and owners(west, "orders") == {}


def test_arguments_choose_outside_of_kubernetes(pair, west, container):
    network = Network(west.node, "byargs", [plugin(west, slice=None, namespace=None)])
    name, space = container()
    arguments = ("SLICE=orders;SLICE_NAMESPACE=apps;SLICE_ENDPOINT=shop;"
                 "SLICE_LABELS=role:web,tier:1")
    network.add(name, space, arguments=arguments)
    report = west.status("orders")["endpoints"][0]
    assert (report["namespace"], report["name"], report["labels"]) == (
        "apps", "shop", {"role": "web", "tier": "1"})
    network.delete(name, space)
    assert owners(west, "orders") == {}


def test_a_late_DEL_does_not_detach_the_successor(pair, west, container):
    """The sandbox of a pod is made again: same name, another container."""
    network = Network(west.node, "pods", [plugin(west, endpoint="{pod}")])
    pod = "K8S_POD_NAMESPACE=prod;K8S_POD_NAME=broker-0"
    old, new = container(), container()
    before = network.add(*old, arguments=pod)
    network.delete(*old, arguments=pod)
    after = network.add(*new, arguments=pod)
    assert after["ips"] == before["ips"]
    network.delete(*old, arguments=pod)
    assert list(owners(west)) == ["broker-0"]
    network.check(*new, arguments=pod)


def test_a_living_container_keeps_its_name(pair, west, container):
    network = Network(west.node, "pods", [plugin(west, endpoint="{pod}")], "1.1.0")
    first, second = container(), container()
    network.add(*first, arguments="K8S_POD_NAME=broker-0")
    with pytest.raises(CNIFailure) as failure:
        network.add(*second, arguments="K8S_POD_NAME=broker-0")
    assert failure.value.code == 100 and "attached already" in failure.value.message
    network.check(*first, arguments="K8S_POD_NAME=broker-0")
    assert second[1].interfaces() == ["lo"]
    # One that is gone, though nobody said so, keeps nobody from its name.
    run("ip", "netns", "del", first[1].full_name)
    network.add(*second, arguments="K8S_POD_NAME=broker-0")
    network.check(*second, arguments="K8S_POD_NAME=broker-0")


def test_labels_by_hand(pair, west, container):
    space = container()[1]
    words = "attach", "payments", "kafka/by-hand", "--netns", space.full_name

    def attach(*labels):
        reply = west.ask(*words, *[word for label in labels for word in ("--label", label)])
        return reply["changed"], reply["endpoint"].get("labels")

    assert attach("role=broker", "tier=1") == (True, {"role": "broker", "tier": "1"})
    assert attach() == (False, {"role": "broker", "tier": "1"})
    assert attach("role=client") == (True, {"role": "client"})
    west.restart()
    assert west.status("payments")["endpoints"][0]["labels"] == {"role": "client"}


def test_two_at_a_time(pair, west, container):
    """Runtimes do not wait for each other."""
    network = Network(west.node, "many", [plugin(west)], "1.1.0")
    made = [container() for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        results = list(pool.map(lambda one: network.add(*one), made))
        assert len({result["ips"][0]["address"] for result in results}) == 12
        list(pool.map(lambda one: network.check(*one), made))
        list(pool.map(lambda one: network.delete(*one), made))
    assert owners(west) == {}


def test_garbage_collection(pair, west, container):
    """What lives stays, and so does what is another network's, or nobody's."""
    network = Network(west.node, "pods", [plugin(west)], "1.1.0")
    other = Network(west.node, "pods2", [plugin(west, namespace="apps")], "1.1.0")
    lost, kept, foreign, own = (container() for _ in range(4))
    for one, where in ((lost, network), (kept, network), (foreign, other)):
        where.add(*one)
    west.attach(pair.slices[0], own[1], "by-hand")
    network.collect([(kept[0], "eth0")])
    assert set(owners(west).values()) == {
        f"cni:pods/{kept[0]}/eth0", f"cni:pods2/{foreign[0]}/eth0", None}
    assert lost[1].interfaces() == ["lo"]
    network.check(*kept)
    config = {**plugin(west), "cniVersion": "1.1.0", "name": "pods"}
    with pytest.raises(CNIFailure) as failure:
        call("slice-cni", "GC", config, west.node)
    assert failure.value.code == 7 and len(owners(west)) == 3
    network.collect([])
    assert len(owners(west)) == 2


def test_after_a_restart_of_the_machine(pair, west, container):
    """No container outlives it, and nobody inherits: neither who has the path then, nor who takes
    the path of a namespace that was removed while the machine ran."""
    network = Network(west.node, "pods", [plugin(west)], "1.1.0")
    gone, taken, booted = container(), container(), container()
    for one in (gone, taken, booted):
        network.add(*one)
    address = network.results[booted[0], "eth0"]["ips"]
    run("ip", "netns", "del", gone[1].full_name)
    run("ip", "netns", "del", taken[1].full_name)
    run("ip", "netns", "add", taken[1].full_name)

    def problems():
        return {one["name"]: one["problems"] for one in west.status("payments")["endpoints"]}

    wait_until(lambda: all(problems()[f"c-{one[0][:12]}"] for one in (gone, taken)), 15,
               "the gateway to miss two namespaces")
    assert taken[1].interfaces() == ["lo"]
    network.delete(gone[0], None)
    network.delete(taken[0], taken[1])
    west.stop()
    book = west.state / "slices/payments/attachments.json"
    saved = json.loads(book.read_text())
    assert [one["owner"] for one in saved] == [f"cni:pods/{booted[0]}/eth0"]
    book.write_text(json.dumps([{**one, "boot": "another"} for one in saved]))
    run("ip", "netns", "del", booted[1].full_name)
    run("ip", "netns", "add", booted[1].full_name)
    west.start()
    assert owners(west) == {} and booted[1].interfaces() == ["lo"]
    # It is not there any more, and that is what DEL wanted.
    network.delete(*booted)
    network.results.clear()
    assert network.add(*booted)["ips"] == address


def test_containers_survive_a_restart_of_the_gateway(pair, west, container):
    network = Network(west.node, "pods", [plugin(west, labels={"role": "broker"})], "1.1.0")
    one = container()
    network.add(*one)
    before = west.status("payments")["endpoints"][0]
    west.kill()
    west.start()
    wait_until(lambda: west.status("payments")["endpoints"][0]["problems"] == [], 10, "the repair")
    after = west.status("payments")["endpoints"][0]
    assert {key: after[key] for key in ("name", "owner", "labels", "addresses")} == {
        key: before[key] for key in ("name", "owner", "labels", "addresses")}
    network.check(*one)
