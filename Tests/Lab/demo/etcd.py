"""A three-member etcd over a slice: one member in each cluster's namespace. Members talk to each
other over IPv4, clients to them over IPv6, so that both families of the slice carry something."""

import base64
import json
import sys
from pathlib import Path

from lab import LabError, run, wait_until

AGENT = Path(__file__).with_name("etcd_agent.py")
PEERS, CLIENTS = 2380, 2379


def missing_programs():
    """What is not installed, as Debian packages."""
    packages = {"etcd": "etcd-server", "etcdctl": "etcd-client"}
    return [package for program, package in packages.items()
            if run("sh", "-c", f"command -v {program}", check=False).returncode != 0]


def text(value):
    return base64.b64decode(value).decode()


class Etcd:
    """`places` are name -> (lab namespace, IPv4 address, IPv6 address)."""

    def __init__(self, lab, places):
        self.lab, self.places = lab, places
        self.processes = {}
        cluster = ",".join(f"{name}=http://{v4}:{PEERS}" for name, (_, v4, _) in places.items())
        for name, (namespace, v4, v6) in places.items():
            directory = lab.directory / f"etcd-{name}"
            self.processes[name] = namespace.start(
                "etcd", "--name", name, "--data-dir", directory,
                "--listen-peer-urls", f"http://{v4}:{PEERS}",
                "--initial-advertise-peer-urls", f"http://{v4}:{PEERS}",
                "--listen-client-urls", f"http://[{v6}]:{CLIENTS}",
                "--advertise-client-urls", f"http://[{v6}]:{CLIENTS}",
                "--initial-cluster", cluster, "--initial-cluster-state", "new",
                "--initial-cluster-token", "slice-demo", "--logger", "zap",
                "--log-level", "warn", "--heartbeat-interval", "100", "--election-timeout", "1000",
                label="etcd", env={"ETCD_UNSUPPORTED_ARCH": ""})

    def url(self, name):
        return f"http://[{self.places[name][2]}]:{CLIENTS}"

    def call(self, name, path, body, source=None, seconds=5, check=True):
        """One request of etcd's JSON gateway to member `name`, from the namespace of `source`
        (the member's own, if none is named). Returns {"ok", "reply" or "error", "ms"}."""
        [answer] = self.calls(name, [(path, body)], source, seconds)
        if check and not answer["ok"]:
            raise LabError(f"etcd of {name}: {path}: {answer['error']}")
        return answer

    def calls(self, name, requests, source=None, seconds=5):
        """Several over one connection."""
        namespace = self.places[source or name][0]
        done = namespace.run(
            sys.executable, AGENT, "calls", self.url(name), "--seconds", seconds,
            input="\n".join(json.dumps(request) for request in requests) + "\n",
            timeout=seconds * len(requests) + 30)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def put_request(self, key, value):
        return "/v3/kv/put", {"key": encode(key), "value": encode(value)}

    def get_request(self, key, local=False):
        return "/v3/kv/range", {"key": encode(key), "serializable": local}

    def status(self, name, seconds=2):
        """None if the member gives no answer."""
        answer = self.call(name, "/v3/maintenance/status", {}, seconds=seconds, check=False)
        return answer["reply"] if answer["ok"] else None

    def hash(self, name):
        """(revision, hash of the whole key space at it)."""
        reply = self.call(name, "/v3/maintenance/hash", {})["reply"]
        return int(reply["header"]["revision"]), int(reply["hash"])

    def members(self):
        """name -> member as etcdctl tells it, asked of each member in turn."""
        for name, (namespace, _, _) in self.places.items():
            done = namespace.run("etcdctl", "--endpoints", self.url(name), "--command-timeout=3s",
                                 "member", "list", "-w", "json", check=False,
                                 env={"ETCDCTL_API": "3"})
            if done.returncode == 0:
                return {one.get("name", ""): one for one in json.loads(done.stdout)["members"]}
        raise LabError("no member of etcd tells who its members are")

    def wait_until_whole(self, seconds=40):
        """Until all members agree on a leader. Returns its name."""
        def agreed():
            for process in self.processes.values():
                if not process.is_running:
                    raise LabError(f"{process.label} ended: {process.tail()}")
            return self.leader(list(self.places))

        return wait_until(agreed, seconds, "the members of etcd to agree on a leader")

    def leader(self, among):
        """The name of the leader that all of `among` follow, or None."""
        reports = {name: self.status(name) for name in among}
        if None in reports.values():
            return None
        leaders = {report.get("leader", "0") for report in reports.values()}
        names = {report["header"]["member_id"]: name for name, report in reports.items()}
        if len(leaders) != 1:
            return None
        return names.get(leaders.pop())

    def writer(self, source, names, label):
        """Starts a process in the namespace of `source` that goes on writing keys, to the first
        of `names` that takes them. It prints one line of JSON for each write."""
        return self.places[source][0].start(
            sys.executable, AGENT, "write", *[self.url(name) for name in names],
            "--prefix", label, "--seconds", 2, label="writer")


def encode(words):
    return base64.b64encode(words.encode()).decode()


def writes(process):
    """What a writer has done so far."""
    lines = process.output().split("\n")[:-1]
    return [json.loads(line) for line in lines if line.startswith("{")]
