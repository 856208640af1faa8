"""What the scenarios of slice-cni share: two clusters, containers, and configurations."""

import hashlib
from types import SimpleNamespace

import pytest

from conftest import needs_root
from lab import Lab, ThreeClusters
from lab.gateways import Gateway, Slice

CLUSTERS = ("west", "east")


@pytest.fixture(scope="module")
def pair():
    """Two clusters with two slices, and no endpoint yet."""
    needs_root()
    with Lab() as lab:
        clusters = ThreeClusters(lab, "delay 1ms", endpoints=0, clusters=CLUSTERS)
        slices = [Slice(clusters, name, 51820 + n, namespaces=("kafka", "apps"))
                  for n, name in enumerate(("payments", "orders"))]
        gateways = {cluster: Gateway(clusters, cluster, slices).start() for cluster in CLUSTERS}
        yield SimpleNamespace(lab=lab, clusters=clusters, slices=slices, gateways=gateways)


@pytest.fixture
def west(pair):
    """The west gateway; what a test attached is gone after it."""
    gateway = pair.gateways["west"]
    if not gateway.process.is_running:
        gateway.start()
    yield gateway
    if not gateway.process.is_running:
        gateway.start()
    for one in pair.slices:
        for endpoint in gateway.status(one)["endpoints"]:
            gateway.detach(one, endpoint["name"], endpoint["namespace"])


@pytest.fixture
def container(pair):
    """Makes containers: an id, and a namespace of its own."""
    made = []

    def make(cluster="west"):
        number = len(made)
        made.append(pair.lab.namespace(f"c{number}-{cluster}"))
        return hashlib.sha256(made[-1].full_name.encode()).hexdigest(), made[-1]

    yield make
    for one in made:
        one.remove()


def plugin(gateway, **fields):
    fields.setdefault("slice", "payments")
    fields.setdefault("namespace", "kafka")
    return {"type": "slice-cni", "adminSocket": str(gateway.socket),
            **{key: value for key, value in fields.items() if value is not None}}


def ptp(pair, number=1):
    return {"type": "ptp", "ipMasq": False, "ipam": {
        "type": "host-local", "subnet": f"10.99.{number}.0/24", "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(pair.lab.directory / f"ipam-{number}")}}


def bridge(pair, number):
    return {"type": "bridge", "bridge": f"cni{number}", "isGateway": True, "ipMasq": False,
            "ipam": {"type": "host-local", "subnet": f"10.98.{number}.0/24",
                     "dataDir": str(pair.lab.directory / f"ipam-bridge-{number}")}}


def owners(gateway, slice="payments"):
    return {endpoint["name"]: endpoint.get("owner") for endpoint in
            gateway.status(slice)["endpoints"]}
