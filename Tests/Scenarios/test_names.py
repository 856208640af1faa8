"""Names, services and the directory: what gateways tell each other, and what endpoints are told."""

import json
import sys
import time
from pathlib import Path

import pytest

from conftest import needs_root
from lab import CLUSTERS, Lab, ThreeClusters, wait_until
from lab.gateways import Gateway, Slice, address_of

SERVICE = {"name": "kafka", "namespace": "kafka",
           "ports": [{"name": "broker", "protocol": "tcp", "port": 9092}],
           "endpoints": {"names": ["broker-*"]},
           "check": {"port": 9092, "interval": "500ms", "timeout": "400ms", "failures": 2}}
NAME = "kafka.kafka.svc.slice.local"
CLIENT = Path(__file__).parent / "dns_client.py"


class NamesWorld:
    """A broker in each cluster, with somebody listening, and an application in west."""

    def __init__(self, lab):
        self.lab = lab
        self.clusters = ThreeClusters(lab, "delay 1ms", endpoints=3)
        self.clusters.relay.set("west>central", "delay 8ms")
        self.slice = Slice(self.clusters, namespaces=("kafka", "apps"), services=[SERVICE])
        self.gateways = {name: Gateway(self.clusters, name, [self.slice],
                                       {"directory": {"grace": "1h"}}) for name in CLUSTERS}
        for gateway in self.gateways.values():
            gateway.launch()
        for gateway in self.gateways.values():
            gateway.wait_until_ready()
        self.reports, self.servers = {}, {}
        for name in CLUSTERS:
            self.attach(name, 0, f"broker-{name}", "kafka")
            self.serve(name)
        self.app = self.attach("west", 1, "web", "apps")
        wait_until(lambda: len(self.dig("A", NAME)) == 3, 15, "all brokers to be answered")

    def attach(self, cluster, n, name, namespace):
        pod = self.clusters.endpoint(cluster, n)
        self.reports[name] = self.gateways[cluster].attach(
            self.slice, pod, name, namespace)["endpoint"]
        return pod

    def serve(self, cluster):
        self.servers[cluster] = self.clusters.endpoint(cluster).start(
            "socat", "TCP6-LISTEN:9092,fork,reuseaddr,ipv6only=0", "OPEN:/dev/null", label="9092")

    def address(self, name, version=4):
        return address_of(self.reports[name], version)

    def gateway_address(self, cluster="west"):
        return self.gateways[cluster].status(self.slice)["addresses"][0].split("/")[0]

    def ask(self, *words, pod=None):
        pod = pod or self.app
        done = pod.run("dig", f"@{self.gateway_address('west')}", "+nocookie", "+tries=1",
                       "+time=2", *words, check=False)
        return done.stdout

    def dig(self, kind, name, *words):
        """The answers, as dig's short form has them; nothing else of its output."""
        lines = self.ask(kind, name, "+short", *words).splitlines()
        return [line for line in lines if line and not line.startswith(";")]


@pytest.fixture(scope="module")
def names():
    needs_root()
    with Lab() as lab:
        yield NamesWorld(lab)


def test_a_service_is_answered_nearest_first(names):
    found = names.dig("A", NAME)
    assert sorted(found) == sorted(names.address(f"broker-{name}") for name in CLUSTERS)
    assert found[0] == names.address("broker-west")
    # Round trips are smoothed: one that was slow at first takes a while to be forgotten.
    wait_until(lambda: names.dig("A", NAME)[-1] == names.address("broker-central"), 75,
               "the farthest cluster to come last")
    assert sorted(names.dig("AAAA", NAME)) == sorted(
        names.address(f"broker-{name}", 6) for name in CLUSTERS)
    assert sorted(names.dig("A", NAME, "+tcp")) == sorted(found)


def test_ports_are_answered_by_srv(names):
    text = names.ask("SRV", f"_broker._tcp.{NAME}")
    for name in CLUSTERS:
        assert f"1 9092 broker-{name}.{name}.{NAME}." in text
        assert names.address(f"broker-{name}") in text.split("ADDITIONAL SECTION")[1]


def test_every_endpoint_has_a_name_and_every_address_too(names):
    for name in CLUSTERS:
        for version, kind in ((4, "A"), (6, "AAAA")):
            address = names.address(f"broker-{name}", version)
            assert names.dig(kind, f"broker-{name}.kafka.{name}.slice.local") == [address]
            assert names.dig(kind, f"broker-{name}.{name}.{NAME}") == [address]
            short = names.ask("-x", address, "+short").split()
            assert short == [f"broker-{name}.kafka.{name}.slice.local."]
    assert names.dig("A", "gateway.east.slice.local") == [names.gateway_address("east")]


@pytest.mark.parametrize("words,status,answers", [
    (("A", "nobody.slice.local"), "NXDOMAIN", 0),
    (("A", "kafka.svc.slice.local"), "NOERROR", 0),
    (("TXT", NAME), "NOERROR", 0),
    (("MX", NAME), "NOERROR", 0),
    (("SOA", "slice.local"), "NOERROR", 1),
    (("NS", "slice.local"), "NOERROR", 1),
    (("ANY", NAME, "+notcp"), "NOERROR", 1),
    (("A", "example.com"), "REFUSED", 0),
    (("CH", "TXT", "version.bind"), "REFUSED", 0),
    (("A", NAME, "+opcode=status"), "NOTIMP", 0),
    (("A", NAME, "+edns=1", "+noednsneg"), "BADVERS", 0),
])
def test_answers_that_are_none(names, words, status, answers):
    text = names.ask(*words)
    assert f"status: {status}," in text and f"ANSWER: {answers}," in text, text
    if answers == 0 and status in ("NXDOMAIN", "NOERROR"):
        assert "SOA" in text.split("AUTHORITY SECTION")[1], text


def test_programs_find_names_by_themselves(names):
    """By the resolv.conf that `ip netns exec` shows them."""
    done = names.app.run("getent", "ahostsv4", "kafka.kafka.svc")
    assert names.address("broker-east") in done.stdout
    assert "search apps.svc.slice.local" in names.app.resolv_conf.read_text()


def test_a_dead_broker_leaves_the_answer_and_comes_back(names):
    dead = names.address("broker-east")
    names.servers["east"].kill()
    wait_until(lambda: dead not in names.dig("A", NAME), 15, "the dead broker to leave")
    assert names.dig("A", f"broker-east.kafka.east.slice.local") == [dead]
    listed = names.gateways["west"].ask("services", "payments")["services"]
    member = next(one for one in listed[0]["members"] if one["endpoint"] == "broker-east")
    assert not member["isHealthy"]
    names.serve("east")
    wait_until(lambda: dead in names.dig("A", NAME), 15, "the broker to come back")


def test_a_new_endpoint_is_known_everywhere_within_a_second(names):
    pod = names.clusters.endpoint("east", 2)
    report = names.gateways["east"].attach(names.slice, pod, "late", "apps", {"role": "x"})
    began = time.monotonic()
    address = address_of(report["endpoint"])
    wait_until(lambda: names.dig("A", "late.apps.east.slice.local") == [address], 10,
               "west to know the endpoint of east")
    print(f"known after {time.monotonic() - began:.2f} s")
    entry = next(one for one in names.gateways["central"].ask("directory", "payments")["endpoints"]
                 if one["name"] == "late")
    assert entry["cluster"] == "east" and entry["labels"] == {"role": "x"}
    names.gateways["east"].detach(names.slice, "late", "apps")
    wait_until(lambda: names.dig("A", "late.apps.east.slice.local") == [], 10,
               "west to know that it has gone")


def test_services_by_command(names):
    west, central = names.gateways["west"], names.gateways["central"]
    web = "web.apps.svc.slice.local"
    assert west.ask("services", "export", "payments", "apps/web", "--port", "http:tcp/80",
                    "--imported-by", "west", "--imported-by", "east") == {"changed": True}
    wait_until(lambda: names.dig("A", web) == [names.address("web")], 5, "the service's name")
    seen = central.ask("services", "payments")["services"]
    assert not next(one for one in seen if one["name"] == "web")["isImported"]
    west.ask("services", "unimport", "payments", "kafka/kafka")
    wait_until(lambda: names.dig("A", NAME) == [], 5, "the hidden service to go")
    west.restart()
    wait_until(lambda: names.dig("A", web) == [names.address("web")], 15,
               "what was offered to be offered after a restart")
    assert names.dig("A", NAME) == []
    west.ask("services", "import", "payments", "kafka/kafka")
    west.ask("services", "unexport", "payments", "apps/web")
    wait_until(lambda: names.dig("A", web) == [] and len(names.dig("A", NAME)) == 3, 10,
               "everything to be as before")


def test_a_cluster_that_is_away(names):
    """Its endpoints keep their names, its members leave the services; back, it catches up."""
    east = names.address("broker-east")
    for link in ("east>*", "*>east"):
        names.clusters.relay.cut(link)
    try:
        wait_until(lambda: east not in names.dig("A", NAME), 20, "the cluster to be missed")
        assert names.dig("A", "broker-east.kafka.east.slice.local") == [east]
        state = {one["cluster"]: one["state"] for one in
                 names.gateways["west"].status(names.slice)["directory"]}
        assert state == {"central": "fresh", "east": "stale"}
        names.attach("east", 2, "meanwhile", "apps")
    finally:
        names.clusters.relay.heal("*")
    wait_until(lambda: names.dig("A", "meanwhile.apps.east.slice.local"), 30,
               "what came meanwhile to be known")
    wait_until(lambda: east in names.dig("A", NAME), 10, "its members to be back")


def test_a_restarted_gateway_knows_the_others_at_once(names):
    """Also while they cannot be asked."""
    west = names.gateways["west"]
    wait_until(lambda: (west.state / "slices" / "payments" / "directory").exists(), 15,
               "the directory to be stored")
    west.stop()
    for link in ("west>*", "*>west"):
        names.clusters.relay.cut(link)
    try:
        west.start()
        wait_until(lambda: names.dig("A", "broker-east.kafka.east.slice.local")
                   == [names.address("broker-east")], 10, "the name of an endpoint elsewhere")
    finally:
        names.clusters.relay.heal("*")
    wait_until(lambda: len(names.dig("A", NAME)) == 3, 30, "all to be well again")


def test_a_thousand_questions_a_second_while_entries_change(names):
    """An endpoint of another cluster and a service come and go. No question stays without an
    answer, and every answer is what was true before or after a change."""
    west, east = names.gateways["west"], names.gateways["east"]
    pod = names.clusters.endpoint("east", 1)
    flip, web = "flip.apps.east.slice.local", "web.apps.svc.slice.local"
    asking = names.app.start(sys.executable, CLIENT, "watch", names.gateway_address(), 53, 1000, 8,
                             NAME, flip, web, label="watch")
    changes, address = 0, None
    began = time.monotonic()
    while time.monotonic() < began + 7.5:
        report = east.attach(names.slice, pod, "flip", "apps")["endpoint"]
        assert address in (None, address_of(report))
        address = address_of(report)
        west.ask("services", "export", "payments", "apps/web", "--port", "http:tcp/80")
        east.detach(names.slice, "flip", "apps")
        west.ask("services", "unexport", "payments", "apps/web")
        changes += 4
    assert asking.wait(10) == 0
    found = json.loads(asking.output().splitlines()[-1])
    print(f"{changes} changes: {found}")
    assert changes >= 12
    # A process that is held up for a moment catches up.
    assert found["sent"] >= 7500 and found["missing"] == 0
    assert found["retried"] <= found["sent"] // 1000
    states = found["states"]
    brokers = " ".join(sorted(names.address(f"broker-{name}") for name in CLUSTERS))
    assert set(states[NAME]) == {brokers}
    assert set(states[flip]) == {"NXDOMAIN", address}
    assert set(states[web]) == {"NXDOMAIN", names.address("web")}


def test_names_outside_the_zone_are_asked_of_others(names):
    central = names.gateways["central"]
    underlay = names.clusters.address("central")
    pod = names.clusters.endpoint("central")
    resolver = names.clusters.node("central").start(
        sys.executable, CLIENT, "upstream", underlay, 5353, "www.example.com", "192.0.2.7",
        label="upstream")
    resolver.wait_for("^ready")
    central.write_config([names.slice], directory={"grace": "1h"},
                         dns={"forward": [f"{underlay}:5353"]})
    try:
        central.restart()
        server = names.gateway_address("central")

        def dig(*words):
            return pod.run("dig", f"@{server}", "+nocookie", "+tries=1", "+time=6", *words,
                           check=False).stdout

        wait_until(lambda: "192.0.2.7" in dig("A", "www.example.com", "+short"), 20,
                   "the answer from elsewhere")
        assert "status: NXDOMAIN" in dig("A", "other.example.com")
        # The slice's own names are nobody else's business.
        wait_until(lambda: len(dig("A", NAME, "+short").split()) == 3, 20, "the slice's own names")
        assert "status: NXDOMAIN" in dig("A", "nobody.slice.local")
        asked = resolver.output()
        assert "asked for other.example.com" in asked and "slice.local" not in asked
        assert central.status(names.slice)["names"]["forwarded"] >= 2
        resolver.kill()
        began = time.monotonic()
        assert "status: SERVFAIL" in dig("A", "www.example.com")
        assert time.monotonic() - began < 6
        assert len(dig("A", NAME, "+short").split()) == 3
    finally:
        central.write_config([names.slice], directory={"grace": "1h"})
        central.restart()
        resolver.kill()
    wait_until(lambda: len(names.dig("A", NAME)) == 3, 30, "everything to be as before")


def test_the_status_tells_of_services(names):
    """In slicectl, on the page and in the metrics."""
    west = names.gateways["west"]
    service = west.status(names.slice)["services"][0]
    assert (service["namespace"], service["name"]) == ("kafka", "kafka")
    assert service["ports"] == ["broker tcp/9092"] and service["exportedBy"][0] == "west"
    assert sorted(service["exportedBy"]) == sorted(CLUSTERS)
    members = {one["endpoint"]: one for one in service["members"]}
    for name in CLUSTERS:
        member = members[f"broker-{name}"]
        assert member["cluster"] == name and names.address(f"broker-{name}") in member["addresses"]
        assert member["healthy"] and not member["stale"]
    shown = west.ctl("status").stdout
    assert "kafka/kafka" in shown and "3 of 3" in shown
    names.servers["east"].kill()

    def east_is(healthy):
        service, = west.status(names.slice)["services"]
        return {one["cluster"]: one["healthy"] for one in service["members"]} == {
            "west": True, "central": True, "east": healthy}

    wait_until(lambda: east_is(False), 15, "the status to say that a member does not answer")
    assert "2 of 3" in west.ctl("status").stdout
    names.serve("east")
    wait_until(lambda: east_is(True), 15, "the member to be well again")


def test_the_status_tells_of_names_and_directory(names):
    status = names.gateways["west"].status(names.slice)
    assert status["names"]["queries"]["A"] > 0 and status["names"]["responses"]["NOERROR"] > 0
    assert {one["cluster"] for one in status["directory"]} == {"central", "east"}
    json.dumps(status)
