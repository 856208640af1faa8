"""What the gateway makes: made once, found again, repaired, and taken away."""

import json
import re
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import AGENTS, ThreeClusters, capture, ping, reaches, run, tcp_transfer, wait_until
from lab.core import NETNS
from lab.gateways import SliceWorld, address_of
from lab.traffic import server

PAYMENTS = "payments"


SHOWN = ("link", "-4 address", "-6 address", "-4 route show table all", "-6 route show table all",
         "-4 rule", "-6 rule", "neighbour show nud permanent")


# `link` may be "if7"; whether a TUN was ever down decides between the words UP and UNKNOWN.
NUMBERS = ("ifindex", "link_index", "link_netnsid", "link", "operstate")


def without_counts(text):
    return re.sub(r"packets \d+ bytes \d+", "packets N bytes N", text)


def dump(world, cluster, n=0, numbers=True):
    """Everything that `ip` and `nft` show of a slice on one node. Without `numbers`, those are
    left out that an interface gets anew when it is made again."""
    gateway = world.gateway(cluster)
    router = gateway.router(world.slices[n])
    seen = {}
    for name in (router, world.endpoint(cluster, n).full_name, world.node(cluster).full_name):
        for what in SHOWN:
            text = run("ip", "-n", name, "-j", *what.split()).stdout
            seen[name, what] = sorted(
                json.dumps({key: value for key, value in one.items()
                            if numbers or key not in NUMBERS}, sort_keys=True)
                for one in json.loads(text or "[]"))
    seen["nft"] = without_counts(gateway.router_namespace(world.slices[n])
                                 .run("nft", "list", "ruleset").stdout)
    return seen


def differences(before, after):
    return {key: (before.get(key), after.get(key)) for key in before.keys() | after.keys()
            if before.get(key) != after.get(key)}


def test_applying_twice_changes_nothing(world):
    before = dump(world, "west")
    gateway, manifest = world.gateway("west"), world.slices[0].manifest
    for _ in range(2):
        assert gateway.ask("slice", "apply", manifest)["changed"] is False
        assert gateway.ask("reload")["changes"] == []
        assert world.attach("west")["changed"] is False
    gateway.process.signal(signal.SIGHUP)
    assert gateway.status(PAYMENTS)["state"] == "up"
    assert differences(before, dump(world, "west")) == {}


def test_a_restart_changes_nothing(world):
    before = dump(world, "central", numbers=False)
    world.gateway("central").restart()

    def same():
        return differences(before, dump(world, "central", numbers=False)) == {}

    wait_until(same, 15, "the same as before: "
               f"{differences(before, dump(world, 'central', numbers=False))}")
    world.wait_until_joined()


BROKEN = {
    "endpoint link down": ("endpoint", "link set {endpoint} down"),
    "endpoint address gone": ("endpoint", "address del {v4}/32 dev {endpoint}"),
    "endpoint IPv6 address gone": ("endpoint", "address del {v6}/128 dev {endpoint}"),
    "endpoint route gone": ("endpoint", "route del 10.80.0.0/16"),
    "endpoint MTU changed": ("endpoint", "link set {endpoint} mtu 1280"),
    "endpoint interface gone": ("endpoint", "link del {endpoint}"),
    "router link down": ("router", "link set {port} down"),
    "router tunnel down": ("router", "link set {tunnel} down"),
    "router route gone": ("router", "route del 10.80.3.0/24"),
    "router port gone": ("router", "link del {port}"),
    "router neighbours gone": ("router", "neighbour flush dev {port} nud permanent"),
    "router rules gone": ("router", None),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_someone_else_broke_is_repaired(world, what):
    gateway = world.gateway("west")
    before = dump(world, "west", numbers=False)
    status = gateway.status(PAYMENTS)
    report = next(one for one in status["endpoints"] if one["name"] == "broker-west")
    names = {"endpoint": report["interface"], "port": report["routerInterface"],
             "tunnel": status["interface"], "v4": address_of(report), "v6": address_of(report, 6)}
    where, line = BROKEN[what]
    place = world.endpoint("west") if where == "endpoint" else gateway.router_namespace(PAYMENTS)
    if line is None:
        place.run("nft", "flush", "ruleset")
    else:
        place.ip(line.format(**names))
    # By itself, within seconds; and at once when somebody attaches again.
    world.attach("west")

    def same():
        return differences(before, dump(world, "west", numbers=False)) == {}

    wait_until(same, 15, f"{what} to be repaired: "
               f"{differences(before, dump(world, 'west', numbers=False))}")
    for version in (4, 6):
        assert reaches(world.endpoint("west"), world.address("east", version=version), 2)


@pytest.mark.parametrize("version", [4, 6])
def test_a_connection_survives_kill_9_and_restart(world, version):
    world.relay.set("*", "delay 2ms rate 20mbit")
    gateway = world.gateway("east")
    address = world.address("east", version=version)
    west, east = world.endpoint("west"), world.endpoint("east")
    with server(east, "tcp_server", address) as port, \
            capture(east, world.interface("east"), f"tcp port {port}") as seen:
        client = west.start(sys.executable, AGENTS, "tcp_client", address, "--port", port,
                            "--bytes", 6 << 20, "--timeout", 60, label="transfer")
        seen.wait_for(300)
        gateway.kill()
        assert client.is_running
        # Nothing gets through without a daemon: it fails closed.
        assert ping(west, address, 2, patience=1).received == 0
        gateway.start()
        assert client.wait(60) == 0
        assert '"matches": true' in client.output()


def test_a_connection_survives_a_clean_restart_of_both_ends(world):
    world.relay.set("*", "delay 2ms rate 20mbit")
    address = world.address("east")
    with ThreadPoolExecutor(1) as pool, \
            capture(world.endpoint("east"), world.interface("east"), "tcp") as seen:
        transfer = pool.submit(tcp_transfer, world.endpoint("west"), world.endpoint("east"),
                               6 << 20, address, timeout=60)
        seen.wait_for(300)
        world.gateway("east").restart()
        world.gateway("west").restart()
        transfer.result(90)


def test_detached_and_attached_it_has_the_same_addresses(world):
    gateway, west = world.gateway("west"), world.endpoint("west")
    before = world.report("west")["addresses"]
    routes = run("ip", "-n", west.full_name, "-j", "route").stdout
    assert gateway.detach(world.slices[0], "broker-west")["changed"] is True
    assert west.interfaces() == ["lo"]
    assert json.loads(run("ip", "-n", west.full_name, "-j", "route").stdout or "[]") == []
    assert gateway.detach(world.slices[0], "broker-west")["changed"] is False
    assert world.attach("west")["changed"] is True
    assert world.report("west")["addresses"] == before
    assert run("ip", "-n", west.full_name, "-j", "route").stdout == routes
    assert reaches(west, world.address("east"), 2)


def test_an_endpoint_whose_namespace_went_away_is_no_hindrance(world):
    lab, gateway = world.lab, world.gateway("west")
    first = lab.namespace("passing")
    reply = gateway.attach(world.slices[0], first, "passing")
    addresses = reply["endpoint"]["addresses"]
    first.remove()
    again = lab.namespace("passing")
    try:
        reply = gateway.attach(world.slices[0], again, "passing")
        assert reply["endpoint"]["addresses"] == addresses
        assert reaches(again, world.address("east"), 2)
    finally:
        gateway.detach(world.slices[0], "passing")
        again.remove()


def test_by_path_and_by_pid(world):
    lab, gateway = world.lab, world.gateway("west")
    place = lab.namespace("elsewhere")
    sleeper = place.start("sleep", "600")
    try:
        for how in (["--path", f"/proc/{sleeper.pid}/ns/net"], ["--pid", sleeper.pid],
                    ["--path", place.path]):
            wait_until(lambda: run("ip", "netns", "pids", place.full_name).stdout.split(), 5,
                       "the process to be in its namespace")
            reply = gateway.ask("attach", PAYMENTS, "kafka/elsewhere", *how)
            assert reaches(place, world.address("central"), 2)
            assert reply["endpoint"]["state"] == "up"
            gateway.detach(world.slices[0], "elsewhere")
            assert place.interfaces() == ["lo"]
    finally:
        sleeper.stop()
        place.remove()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_slice_that_is_taken_out_of_the_configuration_leaves_no_litter(lab, how):
    """After a clean stop or kill -9, with the slice gone from gateway.conf: no namespace, no
    interface, no route is left; what was there before still is."""
    clusters = ThreeClusters(lab, "delay 1ms", clusters=("west", "east"))
    untouched = snapshot(lab, clusters)
    world = SliceWorld(lab, clusters)
    for gateway in world.gateways.values():
        getattr(gateway, how)()
        gateway.write_config([])
        gateway.start()
    wait_until(lambda: snapshot(lab, clusters) == untouched, 15, "everything to be gone")
    for gateway in world.gateways.values():
        assert gateway.status()["slices"] == []
        assert gateway.stop() == 0
    assert snapshot(lab, clusters) == untouched


def snapshot(lab, clusters):
    seen = {"namespaces": sorted(path.name for path in NETNS.glob(lab.prefix + "-*"))}
    for namespace in lab.namespaces:
        for what in ("link", "address", "-4 route show table all", "-6 route show table all",
                     "rule"):
            text = run("ip", "-n", namespace.full_name, "-j", *what.split()).stdout
            seen[namespace.name, what] = sorted(
                json.dumps(one, sort_keys=True) for one in json.loads(text or "[]"))
    return seen


def test_a_newer_manifest_is_taken_and_an_older_one_refused(lab):
    world = SliceWorld(lab, ThreeClusters(lab, "delay 1ms", clusters=("west", "east")))
    slice, west = world.slices[0], world.gateway("west")
    older = slice.directory / "older.yaml"
    older.write_text(slice.manifest.read_text())
    slice.namespaces = ("kafka", "billing")
    slice.write_manifest(version=2)
    slice.sign()
    extra = lab.namespace("extra")
    refused = west.ctl("attach", "payments", "billing/b", "--netns", extra.full_name, check=False)
    assert refused.returncode != 0 and "billing" in refused.stderr
    assert west.ask("slice", "apply", slice.manifest)["changed"] is True
    assert west.attach(slice, extra, "b", namespace="billing")["endpoint"]["state"] == "up"
    assert reaches(extra, world.address("east"), 2)
    state = dump(world, "west")
    refused = west.ctl("slice", "apply", older, check=False)
    assert refused.returncode == 5, refused.stderr
    assert "version 1" in refused.stderr and "version 2" in refused.stderr, refused.stderr
    assert west.status("payments")["manifestVersion"] == 2
    assert differences(state, dump(world, "west")) == {}
    # Still refused after a restart, and with the old file in place.
    slice.manifest.write_text(older.read_text())
    west.restart()
    assert west.status("payments")["manifestVersion"] == 2
