"""Fences by region, connections that policies end, and the audit log."""

import json
import socket

import pytest

from conftest import needs_root
from lab import CLUSTERS, Lab, ThreeClusters, ping, reaches, wait_until
from lab.gateways import Gateway, Slice, address_of, slicectl
from lab.matrix import Inside

REGIONS = {"west": "eu-west", "central": "eu-central", "east": "us-east"}
NAMESPACES = [{"name": "secret", "regions": ["eu-*"]}, {"name": "apps"}]
ALL = {"name": "everybody", "description": "for now"}


class FencedWorld:
    def __init__(self, lab):
        self.lab = lab
        self.clusters = ThreeClusters(lab, "delay 1ms", endpoints=2)
        self.slice = Slice(self.clusters, namespaces=NAMESPACES, isolation="strict",
                           regions=REGIONS, policies=[ALL])
        self.version = 1
        self.gateways = {name: Gateway(self.clusters, name, [self.slice]) for name in CLUSTERS}
        for gateway in self.gateways.values():
            gateway.launch()
        for gateway in self.gateways.values():
            gateway.wait_until_ready()
        self.addresses = {}
        for name in CLUSTERS:
            self.attach(name, 0, "apps")
        self.attach("west", 1, "secret")
        for name in CLUSTERS:
            wait_until(lambda: len(self.known(name)) == 4, 10, f"{name} to know everybody")

    def attach(self, cluster, n, namespace):
        report = self.gateways[cluster].attach(
            self.slice, self.clusters.endpoint(cluster, n), "one", namespace)["endpoint"]
        self.addresses[cluster, namespace] = address_of(report)

    def known(self, name):
        return self.gateways[name].ask("directory", "payments")["endpoints"]

    def manifest(self, policies, **changes):
        """A newer one, signed."""
        self.version += 1
        self.slice.policies = policies
        self.slice.write_manifest(self.version, **changes)
        self.slice.sign()
        return self.slice.manifest

    def apply(self, policies):
        path = self.manifest(policies)
        self.gateways["west"].ctl("slice", "apply", path)
        for gateway in self.gateways.values():
            wait_until(lambda: gateway.status(self.slice)["manifestVersion"] == self.version, 10,
                       "the manifest to be everywhere")

    def audit(self, name):
        path = self.gateways[name].state / "audit.log"
        return path, json.loads(slicectl("--json", "audit", "show", path, "-n", 200).stdout)


@pytest.fixture(scope="module")
def fenced():
    needs_root()
    with Lab() as lab:
        yield FencedWorld(lab)


def entries(shown, kind):
    return [one for one in shown["entries"] if one["kind"] == kind]


def test_outside_the_fence_nothing_is_attached(fenced):
    east = fenced.gateways["east"]
    done = east.ctl("attach", "payments", "secret/two", "--netns",
                    fenced.clusters.endpoint("east", 1).full_name, check=False)
    assert done.returncode != 0
    assert "fence" in done.stderr and "us-east" in done.stderr and "eu-*" in done.stderr
    assert fenced.clusters.endpoint("east", 1).interfaces() == ["lo"]
    path, _ = fenced.audit("east")
    wait_until(lambda: entries(fenced.audit("east")[1], "attachRefused"), 5, "the refusal's entry")
    assert slicectl("audit", "verify", path).returncode == 0


def test_no_flow_leaves_the_fence(fenced):
    secret = fenced.addresses["west", "secret"]
    central, east = (fenced.clusters.endpoint(name) for name in ("central", "east"))
    assert reaches(central, secret, 3)
    assert ping(east, secret, 2, patience=1).received == 0
    done = fenced.gateways["east"].ctl(
        "policy", "explain", "payments", "apps@east", "secret", "tcp/1", check=False)
    assert done.returncode == 1 and "the fence of namespace secret" in done.stdout
    assert "west, which has the same policies in force" in done.stdout
    wait_until(lambda: entries(fenced.audit("east")[1], "flowRefused"), 10, "the refusal's entry")
    subject = entries(fenced.audit("east")[1], "flowRefused")[0]["subject"]
    assert subject == "apps/one@east -> secret/one@west"


def test_a_changed_audit_log_is_noticed(fenced, tmp_path):
    path, _ = fenced.audit("east")
    text = path.read_bytes()
    forged = tmp_path / "audit.log"
    forged.write_bytes(text.replace(b"us-east", b"eu-east", 1))
    assert forged.read_bytes() != text
    done = slicectl("audit", "verify", forged, check=False)
    assert done.returncode == 1 and "changed" in done.stdout + done.stderr


class Conversation:
    """A TCP connection between two endpoints, both ends held here."""

    def __init__(self, source, target, address, port):
        with Inside(target.path):
            listener = socket.create_server((address, port))
        with Inside(source.path):
            self.client = socket.create_connection((address, port), 5)
        self.server, _ = listener.accept()
        listener.close()
        self.server.settimeout(0.7)
        self.count = 0

    def is_alive(self):
        """Whether what is said now arrives."""
        self.count += 1
        word = f"{self.count:08}".encode()
        try:
            self.client.sendall(word)
            heard = b""
            while not heard.endswith(word):
                piece = self.server.recv(65536)
                if not piece:
                    return False
                heard += piece
            return True
        except OSError:
            return False

    def close(self):
        self.client.close()
        self.server.close()


def test_connections_end_with_their_policy_and_others_go_on(fenced):
    west, central = (fenced.clusters.endpoint(name) for name in ("west", "central"))
    secret = fenced.clusters.endpoint("west", 1)
    cut = Conversation(central, secret, fenced.addresses["west", "secret"], 7001)
    kept = Conversation(central, west, fenced.addresses["west", "apps"], 7002)
    try:
        assert cut.is_alive() and kept.is_alive()
        without = fenced.manifest([])
        told = fenced.gateways["west"].ask("policy", "dry-run", without)
        # Echoes of earlier tests may still be remembered.
        assert [(one["from"], one["to"], one["port"]) for one in told["cuts"]
                if one["port"] != "icmp"] == [
            ("apps/one@central", "secret/one@west", "tcp/7001")]
        assert any(one["from"] == "apps" and one["to"] == "secret" and one["verdict"] == "deny"
                   for one in told["changes"])
        differ = fenced.gateways["west"].ctl("policy", "diff", without, check=False)
        assert differ.returncode == 1 and "secret" in differ.stdout
        fenced.apply([])
        assert not cut.is_alive() and kept.is_alive()
        same = fenced.gateways["west"].ctl("policy", "diff", fenced.slice.manifest, check=False)
        assert same.returncode == 0, same.stdout
        # Back again, what was not given up meanwhile goes on.
        fenced.apply([ALL])
        assert kept.is_alive()
        wait_until(cut.is_alive, 20, "the connection to go on")
    finally:
        cut.close()
        kept.close()


def test_what_is_allowed_outlives_a_hundred_changes(fenced):
    """And what is denied is denied in all of them: a policy that says nothing about the two comes
    and goes."""
    west, central, east = (fenced.clusters.endpoint(name) for name in CLUSTERS)
    kept = Conversation(central, west, fenced.addresses["west", "apps"], 7003)
    gateway = fenced.gateways["west"]
    try:
        flood = east.start("ping", "-q", "-i", "0.01", fenced.addresses["west", "secret"])
        for number in range(100):
            more = [{"name": f"extra-{number}", "action": "deny", "to": {"labels": {"x": "y"}}}]
            gateway.ctl("slice", "apply", fenced.manifest([ALL, *more] if number % 2 else [ALL]))
            assert kept.is_alive(), number
        flood.signal(2)
        flood.wait(5)
        assert " 0 received" in flood.output()
    finally:
        kept.close()


def test_counters_name_policies(fenced):
    status = fenced.gateways["west"].status(fenced.slice)
    assert {one["name"]: one["decided"] > 0 for one in status["policies"]}["everybody"]
    shown = fenced.gateways["west"].ctl("status").stdout
    assert "everybody" in shown


def test_what_a_cluster_claims_of_another_is_refused_and_recorded(lab):
    """East's gateway has a manifest of its own, in which half of west's addresses are east's."""
    clusters = ThreeClusters(lab, "delay 1ms", endpoints=1, clusters=("west", "east"))
    one = Slice(clusters)
    greedy = one.directory / "greedy.yaml"
    text = one.manifest.read_text()
    greedy.write_text(text.replace('"10.80.1.0/24"', '"10.80.1.0/25"').replace(
        '- "10.80.2.0/24"', '- "10.80.1.128/25"\n        - "10.80.2.0/24"'))
    one.sign(greedy)
    west = Gateway(clusters, "west", [one]).start()
    east = Gateway(clusters, "east", [one.config_entry("east", greedy)]).start()
    report = east.attach(one, clusters.endpoint("east"), "thief")["endpoint"]
    assert address_of(report).startswith("10.80.1.")
    log = west.state / "audit.log"

    def claims():
        shown = json.loads(slicectl("--json", "audit", "show", log, "-n", 200).stdout)
        return entries(shown, "claimRefused")

    wait_until(claims, 20, "the claim to be in the audit log")
    assert claims()[0]["subject"] == "kafka/thief@east"
    assert f"claims {address_of(report)} for" in claims()[0]["reason"]
    assert "outside its prefixes" in claims()[0]["reason"]
    # It is not believed, and one claim is one entry however often it is looked at.
    assert [known["name"] for known in west.ask("directory", "payments")["endpoints"]] == []
    assert len(claims()) == 1 and slicectl("audit", "verify", log).returncode == 0


def test_a_log_that_is_taken_away_is_missed(fenced):
    """While the head beside it is there: at once, and for good."""
    gateway = fenced.gateways["central"]
    path, _ = fenced.audit("central")

    def verified():
        done = slicectl("audit", "verify", path, check=False)
        return done.returncode, done.stdout

    assert verified()[0] == 0
    path.unlink()
    status, said = verified()
    assert status == 1 and "the log is gone, and a head names entry" in said
    # The gateway goes on in a second file, which says that it is no first.
    gateway.restart()
    wait_until(lambda: "file 1 of the log is missing" in verified()[1], 10, "the next file")
    assert verified()[0] == 1
    # With nobody there to notice.
    gateway.kill()
    path.unlink()
    gateway.start()
    wait_until(lambda: "the log was gone when the gateway started" in verified()[1], 10,
               "the loss to be in the new log")
    assert verified()[0] == 1
