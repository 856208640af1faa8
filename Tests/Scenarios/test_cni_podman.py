"""Containers of podman, whose networks are CNI's, in two clusters."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from cni_world import CLUSTERS, owners, pair, ptp  # noqa: F401
from lab import run, wait_until
from lab.cni import STOCK, find_plugin

BUSYBOX = "/bin/busybox"
TOOLS = ("sh", "sleep", "ip", "ping", "nc", "cat", "nslookup")


class Podman:
    """Podman on a node: with files of its own, in a mount namespace of its own. Nothing is pulled:
    containers run on a directory."""

    def __init__(self, lab, node, network):
        self.lab, self.node = lab, node
        self.directory = lab.directory / f"podman-{node.name}"
        # Podman's paths may have 50 bytes.
        self.state = Path(tempfile.mkdtemp(prefix="podman-"))
        plugins, networks = self.directory / "plugins", self.directory / "networks"
        for one in (plugins, networks):
            one.mkdir(parents=True)
        (plugins / "slice-cni").symlink_to(find_plugin())
        (networks / "10-pods.conflist").write_text(json.dumps(network))
        self.config = self.directory / "containers.conf"
        self.config.write_text(
            f'[network]\nnetwork_backend = "cni"\nnetwork_config_dir = "{networks}"\n'
            f'cni_plugin_dirs = ["{plugins}", "{STOCK}"]\ndefault_network = "{network["name"]}"\n'
            '[engine]\nevents_logger = "none"\ncgroup_manager = "cgroupfs"\nruntime = "crun"\n'
            '[containers]\nlog_driver = "k8s-file"\n')
        # crun takes no mixture of cgroup versions, and `ip netns exec` would hide them all.
        # Namespaces that podman makes must be seen outside: /run/netns is shared.
        self.holder = node.start(
            "unshare", "--mount", "--propagation", "unchanged", "sh", "-ec",
            "mount --make-rprivate /sys/fs/cgroup || true; mount -t cgroup2 none /sys/fs/cgroup; "
            "echo ready; exec sleep 300", label="podman-mounts")
        self.holder.wait_for("^ready")

    def __call__(self, *words, check=True):
        return run("nsenter", "-t", self.holder.pid, "--mount", "--net", "podman",
                   "--root", self.state / "root", "--runroot", self.state / "run",
                   "--tmpdir", self.state / "tmp", "--storage-driver", "vfs", *words,
                   check=check, env={"CONTAINERS_CONF": str(self.config)})

    def start(self, name, rootfs):
        """A container that ends by itself, should nobody end it."""
        self("run", "--detach", "--rm", "--name", name, "--cgroups=disabled",
             "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--stop-timeout", "0",
             "--rootfs", rootfs, "/bin/sleep", "120")

    def inside(self, name, *words, check=True):
        return self("exec", name, *words, check=check)


@pytest.fixture
def rootfs(pair, request):
    """A directory to run in: busybox and its names."""
    for program in ("podman", "crun"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is not installed: make deps", pytrace=False)
    root = pair.lab.directory / "rootfs"
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for tool in TOOLS:
        if not (root / "bin" / tool).exists():
            os.symlink("busybox", root / "bin" / tool)
    return root


def test_containers_of_two_clusters_reach_each_other(pair, rootfs):
    podmans, addresses = {}, {}
    try:
        for number, cluster in enumerate(CLUSTERS, 1):
            gateway = pair.gateways[cluster]
            ours = {"type": "slice-cni", "slice": "payments", "namespace": "kafka",
                    "adminSocket": str(gateway.socket), "labels": {"role": "broker"},
                    "dns": {"nameservers": [f"10.80.{number}.1"],
                            "search": ["kafka.svc.slice.local", "slice.local"]}}
            podmans[cluster] = Podman(pair.lab, pair.clusters.node(cluster), {
                "cniVersion": "1.0.0", "name": "pods", "plugins": [ptp(pair, number + 10), ours]})
            podmans[cluster].start(f"broker-{cluster}", rootfs)
            report, = gateway.status("payments")["endpoints"]
            # Podman says what a container is called.
            assert report["name"] == f"broker-{cluster}" and report["labels"] == {"role": "broker"}
            assert report["owner"].startswith("cni:pods/")
            assert report["kind"] == "path" and report["target"].startswith("/run/netns/")
            addresses[cluster] = [one.split("/")[0] for one in report["addresses"]]
            shown = podmans[cluster].inside(f"broker-{cluster}", "cat", "/etc/resolv.conf").stdout
            assert f"nameserver 10.80.{number}.1" in shown
        west, east = podmans["west"], podmans["east"]
        for address in addresses["east"]:
            wait_until(lambda: west.inside("broker-west", "ping", "-c1", "-W1", address,
                                           check=False).returncode == 0,
                       20, f"west's container to reach {address}")
        # By name: whatever in the container asks its resolver finds the other cluster.
        for one, other in (("west", "east"), ("east", "west")):
            name = f"broker-{other}.kafka.{other}"
            for text in (f"{name}.slice.local", name):
                wait_until(lambda: podmans[one].inside(f"broker-{one}", "ping", "-c1", "-W2", text,
                                                       check=False).returncode == 0,
                           20, f"{one}'s container to reach {text}")
            said = podmans[one].inside(f"broker-{one}", "nslookup", f"{name}.slice.local").stdout
            assert all(address in said for address in addresses[other]), said
            assert podmans[one].inside(f"broker-{one}", "ping", "-c1", "-W2", "nobody.slice.local",
                                       check=False).returncode != 0
        # What podman gave it is as it was: its own network, the default route.
        links = west.inside("broker-west", "ip", "-o", "link").stdout
        assert "eth0" in links and "payments" in links
        assert "default via 10.99.11.1" in west.inside("broker-west", "ip", "route").stdout
        assert west.inside("broker-west", "ping", "-c1", "-W2", "10.99.11.1").returncode == 0

        pair.gateways["west"].kill()
        pair.gateways["west"].start()
        wait_until(lambda: west.inside("broker-west", "ping", "-c1", "-W1", addresses["east"][0],
                                       check=False).returncode == 0,
                   30, "west's container to reach east after a kill of its gateway")

        # Another container of that name: another namespace, the same address.
        west("rm", "--force", "--time", "0", "broker-west")
        assert owners(pair.gateways["west"]) == {}
        west.start("broker-west", rootfs)
        report, = pair.gateways["west"].status("payments")["endpoints"]
        assert [one.split("/")[0] for one in report["addresses"]] == addresses["west"]
        wait_until(lambda: east.inside("broker-east", "ping", "-c1", "-W1", addresses["west"][0],
                                       check=False).returncode == 0,
                   20, "east's container to reach the new one")
    finally:
        for cluster, podman in podmans.items():
            podman("rm", "--force", "--ignore", "--time", "0", f"broker-{cluster}", check=False)
            shutil.rmtree(podman.state, ignore_errors=True)
    for cluster in CLUSTERS:
        assert owners(pair.gateways[cluster]) == {}
