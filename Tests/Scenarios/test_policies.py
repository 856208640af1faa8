"""Policies: what real packets do is what the model says, for every pair of namespaces."""

import itertools
import json
import random
import socket

import pytest

from lab import CLUSTERS, Lab, ThreeClusters, wait_until
from lab.gateways import Gateway, Slice, address_of
from lab.matrix import Inside, Matrix, Place

from conftest import needs_root

SLICES = ("payments", "orders")
NAMESPACES = ("apps", "audit", "kafka", "mail", "web-a", "web-b")
ROLES = {"apps": "client", "audit": "reader", "kafka": "broker", "mail": "reader",
         "web-a": "client", "web-b": "client"}
REGIONS = {"west": "eu-west", "central": "eu-central", "east": "us-east"}
PORTS = (9092, 9093, 5300)
PREFIXES = {"payments": ("10.80.0.0/16", "fd00:80::/48"),
            "orders": ("10.90.0.0/16", "fd00:90::/48")}

FIXED = [
    {"name": "no-audit-to-web", "action": "deny", "from": {"namespaces": ["audit"]},
     "to": {"namespaces": ["web-*"]}, "log": True},
    {"name": "kafka-clients", "description": "applications reach brokers",
     "from": {"labels": {"role": "client"}}, "to": {"namespaces": ["kafka"]},
     "ports": ["tcp/9092"]},
    {"name": "readers-in-europe", "from": {"labels": {"role": "reader"}}, "to": {},
     "ports": ["udp/5300", "icmp"], "regions": ["eu-*"]},
    {"name": "web-to-apps", "from": {"namespaces": ["web-a"], "clusters": ["west", "central"]},
     "to": {"namespaces": ["apps"]}, "ports": ["tcp/9000-9100", "udp/9092-9093"]},
]


class PolicyWorld:
    """Two strict slices over three clusters, six namespaces in each, an endpoint of every
    namespace in one cluster: the n-th in the n-th cluster, around and around."""

    def __init__(self, lab):
        self.lab = lab
        self.clusters = ThreeClusters(lab, "delay 1ms", endpoints=4)
        self.slices = [Slice(self.clusters, name, 51820 + n, prefixes=PREFIXES[name],
                             namespaces=NAMESPACES, isolation="strict", regions=REGIONS,
                             policies=FIXED)
                       for n, name in enumerate(SLICES)]
        self.versions = dict.fromkeys(SLICES, 1)
        self.gateways = {name: Gateway(self.clusters, name, self.slices) for name in CLUSTERS}
        for gateway in self.gateways.values():
            gateway.launch()
        for gateway in self.gateways.values():
            gateway.wait_until_ready()
        self.places, used = {}, dict.fromkeys(CLUSTERS, 0)
        for one in self.slices:
            for n, namespace in enumerate(NAMESPACES):
                cluster = CLUSTERS[n % 3]
                pod = self.clusters.endpoint(cluster, used[cluster])
                used[cluster] += 1
                report = self.gateways[cluster].attach(
                    one, pod, "one", namespace, {"role": ROLES[namespace]})["endpoint"]
                self.places[one.name, namespace] = Place(
                    (one.name, namespace), pod.path,
                    {version: address_of(report, version) for version in (4, 6)})
        for one in self.slices:
            self.wait_until_agreed(one)

    def wait_until_agreed(self, one, seconds=10):
        """Every gateway has the version, and has heard of every endpoint of the others."""
        def agreed():
            for gateway in self.gateways.values():
                status = gateway.status(one)
                if status["manifestVersion"] != self.versions[one.name]:
                    return False
                peers = status.get("directory") or []
                if len(peers) != 2 or any(
                        peer["state"] != "fresh" or peer["endpoints"] != 2
                        or peer.get("policyDigest") != status["policyDigest"]
                        for peer in peers):
                    return False
            return True
        wait_until(agreed, seconds, f"all gateways to agree on {one.name}")

    def apply(self, one, policies, **changes):
        one.policies = policies
        for key, value in changes.items():
            setattr(one, key, value)
        self.versions[one.name] += 1
        one.write_manifest(self.versions[one.name])
        one.sign()
        # One gateway is told; the others hear of it from each other.
        self.gateways["west"].ctl("slice", "apply", one.manifest)
        self.wait_until_agreed(one)

    def pairs(self, one):
        names = [(one.name, namespace) for namespace in NAMESPACES]
        return [(a, b) for a in names for b in names if a != b]

    def expected(self, one, trials):
        """By what the model of the source's gateway says, one question for each trial."""
        questions = []
        for trial in trials:
            port = {"icmp": "icmp", "fragments": f"udp/{trial.port}"}.get(
                trial.transport, f"{trial.transport}/{trial.port}")
            questions.append((self.places[trial.source].addresses[trial.version],
                              self.places[trial.target].addresses[trial.version], port))
        answers = {}
        for name, gateway in self.gateways.items():
            answers[name] = [one["verdict"] for one in gateway.explain(one, questions)]
        assert answers["west"] == answers["central"] == answers["east"]
        return {trial for trial, verdict in zip(trials, answers["west"]) if verdict == "allow"}


@pytest.fixture(scope="module")
def policy_world():
    needs_root()
    with Lab() as lab:
        yield PolicyWorld(lab)


@pytest.fixture
def matrix(policy_world):
    with Matrix(policy_world.places.values(), PORTS) as matrix:
        yield matrix


def told(difference):
    return [f"{a[1]} -> {b[1]} IPv{version} {transport}/{port}"
            for a, b, version, transport, port in sorted(difference)]


def hold(world, matrix, one):
    """Packets against the model; returns how many trials got through, of how many."""
    trials = matrix.every_trial(pairs=world.pairs(one))
    expected = world.expected(one, trials)
    reached = matrix.reached(trials)
    # What should have got through and did not may have been lost on the way: once more.
    missing = expected - reached
    if missing:
        reached |= matrix.reached(sorted(missing))
    assert not reached - expected, told(reached - expected)
    assert not expected - reached, told(expected - reached)
    return len(reached), len(trials)


@pytest.mark.parametrize("name", SLICES)
def test_packets_do_what_explain_says(policy_world, matrix, name):
    one = next(one for one in policy_world.slices if one.name == name)
    reached, tried = hold(policy_world, matrix, one)
    assert 0 < reached < tried


def test_not_one_packet_crosses_slices(policy_world, matrix):
    """Between the slices, whatever they allow inside."""
    payments, orders = ([place for key, place in policy_world.places.items() if key[0] == name]
                        for name in SLICES)
    pairs = [(a.name, b.name) for a, b in itertools.product(payments, orders)]
    pairs += [(b, a) for a, b in pairs]
    assert matrix.reached(matrix.every_trial(pairs=pairs), window=2) == set()


@pytest.mark.parametrize("times", [3, pytest.param(20, marks=pytest.mark.nightly)])
def test_without_a_daemon_the_rules_stay(policy_world, matrix, times):
    """Killed and started again: at no time does more get through than the policies allow, nor
    anything from slice to slice."""
    one = policy_world.slices[0]
    trials = matrix.every_trial(pairs=policy_world.pairs(one))
    expected = policy_world.expected(one, trials)
    other = [place.name for key, place in policy_world.places.items() if key[0] == "orders"]
    strangers = matrix.every_trial(versions=(4,), pairs=[
        (a, (one.name, NAMESPACES[0])) for a in other])
    west = policy_world.gateways["west"]
    for _ in range(times):
        west.kill()
        reached = matrix.reached([*trials, *strangers], window=1)
        assert reached <= expected, told(reached - expected)
        west.start()
        for each in policy_world.slices:
            policy_world.wait_until_agreed(each, 20)
    hold(policy_world, matrix, one)


@pytest.mark.parametrize("version", [4, 6])
def test_an_endpoint_reaches_no_port_of_a_gateway_but_that_for_names(policy_world, version):
    place = policy_world.places["payments", "apps"]
    for gateway in policy_world.gateways.values():
        address = next(text.split("/")[0] for text in gateway.status("payments")["addresses"]
                       if (":" in text) == (version == 6))
        with Inside(place.path):
            for port in (53, 7946, 22, 80):
                with socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET) as one:
                    one.settimeout(0.4)
                    reached = one.connect_ex((address, port)) == 0
                    # Names are answered by the gateway next door, not by those far away.
                    assert reached == (port == 53 and gateway.cluster == "west"), (address, port)


def test_what_policies_decided_stays_theirs(policy_world, matrix):
    """Whatever becomes of their places in the manifest: an element of the kernel's that stays goes
    on counting, and may do so for another policy."""
    one = policy_world.slices[0]

    def policy(name, source):
        return {"name": name, "from": {"namespaces": [source]}, "to": {"namespaces": ["kafka"]},
                "ports": ["udp/5300"]}

    def decided():
        # The endpoint of `kafka` is in one cluster, and every conversation arrives there.
        report = policy_world.gateways["east"].status(one)["policies"]
        return {each["name"]: each["decided"] for each in report if each["name"][0] != "("}

    apps, mail = policy("apps", "apps"), policy("mail", "mail")
    names = [(one.name, name) for name in ("apps", "mail", "kafka")]
    trials = [trial for trial in matrix.every_trial(
        versions=(4,), pairs=[(name, names[2]) for name in names[:2]])
        if (trial.transport, trial.port) == ("udp", 5300)]
    policy_world.apply(one, [apps, mail], isolation="strict", namespaces=NAMESPACES)
    assert matrix.reached(trials) == set(trials)
    before = decided()
    assert all(before[name] > 0 for name in ("apps", "mail"))
    for policies in ([mail, apps], [policy("first", "audit"), apps, mail],
                     [{**apps, "name": "renamed"}, mail], [apps, mail]):
        policy_world.apply(one, policies)
        now = decided()
        assert {**now, "apps": before["apps"]} == {
            **dict.fromkeys(now, 0), "apps": before["apps"], "mail": before["mail"]}, policies
        assert now.get("apps", before["apps"]) == before["apps"], policies


def random_selector(chance):
    selector = {}
    if chance.random() < 0.6:
        selector["namespaces"] = chance.sample([*NAMESPACES, "web-*", "*a*"], chance.randint(1, 2))
    if chance.random() < 0.25:
        selector["clusters"] = chance.sample(CLUSTERS, chance.randint(1, 2))
    if chance.random() < 0.2:
        selector["regions"] = [chance.choice(["eu-*", "us-*", "eu-central"])]
    if chance.random() < 0.3:
        selector["labels"] = {"role": chance.choice(["client", "reader", "bro*"])}
    return selector


def random_policies(chance):
    policies = []
    for n in range(chance.randint(0, 8)):
        policy = {"name": f"p{n}", "action": chance.choice(["allow", "allow", "deny"]),
                  "from": random_selector(chance), "to": random_selector(chance)}
        if chance.random() < 0.7:
            policy["ports"] = chance.sample(
                ["tcp/9092", "tcp/9000-9093", "udp", "udp/5300", "tcp", "icmp", "udp/9093-9099",
                 "tcp/1-65535"], chance.randint(1, 3))
        if chance.random() < 0.15:
            policy["regions"] = [chance.choice(["eu-*", "us-*"])]
        policies.append(policy)
    return policies


def random_round(world, matrix, seed):
    chance = random.Random(seed)
    one = world.slices[seed % 2]
    namespaces = [{"name": name, **({"regions": ["eu-*"]} if chance.random() < 0.08
                                    and name in ("apps", "audit") else {})}
                  for name in NAMESPACES]
    world.apply(one, random_policies(chance), namespaces=namespaces,
                isolation=chance.choice(["strict", "strict", "open"]))
    try:
        hold(world, matrix, one)
    except AssertionError as error:
        error.add_note(f"seed {seed}, {one.isolation}: {json.dumps(one.policies)}")
        raise


@pytest.mark.parametrize("first", range(0, 16, 4))
def test_random_policies(policy_world, matrix, first):
    for seed in range(first, first + 4):
        random_round(policy_world, matrix, seed)


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(100, 400, 10))
def test_hundreds_of_random_policies(policy_world, matrix, first):
    for seed in range(first, first + 10):
        random_round(policy_world, matrix, seed)
