"""A container runtime's half of CNI, as libcni and cnitool have it: chains of plugins, each with
the result of the one before, which is kept for CHECK and DEL."""

import json
import os
import subprocess
from pathlib import Path

from .core import LabError
from .topology import REPOSITORY

STOCK = Path(os.environ.get("CNI_PLUGINS", "/usr/lib/cni"))


def find_plugin():
    """$SLICE_CNI_BIN, or what `swift build` made; release before debug."""
    if "SLICE_CNI_BIN" in os.environ:
        return Path(os.environ["SLICE_CNI_BIN"])
    for kind in ("release", "debug"):
        path = REPOSITORY / ".build" / kind / "slice-cni"
        if path.exists():
            return path
    raise LabError("no slice-cni: build it with `swift build -c release --product slice-cni`, or "
                   "name it in $SLICE_CNI_BIN")


class CNIFailure(Exception):
    """A plugin's error, in CNI's own format."""

    def __init__(self, plugin, status, output, complaints):
        try:
            self.error = json.loads(output)
            self.code, self.message = self.error["code"], self.error["msg"]
        except (ValueError, KeyError, TypeError) as broken:
            raise LabError(f"{plugin} ended with {status}, and its error is none of CNI's: "
                           f"{output!r} {complaints!r}") from broken
        self.details = self.error.get("details", "")
        super().__init__(f"{plugin}: {self.code} {self.message} ({self.details})")


def call(plugin, command, config, where=None, container=None, netns=None, interface=None,
         arguments=None, seconds=30):
    """One call of one plugin, in the network namespace of the node `where`. Returns its result, or
    nothing if it printed none."""
    path = find_plugin() if plugin == "slice-cni" else STOCK / plugin
    words = [str(path)] if where is None else where.inside([path])
    variables = {
        "PATH": os.environ["PATH"], "CNI_COMMAND": command, "CNI_CONTAINERID": container,
        "CNI_NETNS": netns, "CNI_IFNAME": interface, "CNI_ARGS": arguments,
        "CNI_PATH": f"{path.parent}:{STOCK}"}
    text = config if isinstance(config, (str, bytes)) else json.dumps(config)
    done = subprocess.run(
        words, input=text if isinstance(text, bytes) else text.encode(), capture_output=True,
        timeout=seconds,
        env={key: str(value) for key, value in variables.items() if value is not None})
    if done.returncode != 0:
        raise CNIFailure(plugin, done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout) if done.stdout.strip() else None


class Network:
    """One network configuration list on one node, as a runtime uses it."""

    def __init__(self, node, name, plugins, version="1.0.0"):
        self.node, self.name, self.plugins, self.version = node, name, plugins, version
        self.results = {}

    def _config(self, plugin, previous=None, **more):
        config = {**plugin, "cniVersion": self.version, "name": self.name, **more}
        if previous is not None:
            config["prevResult"] = previous
        return config

    def _call(self, plugin, command, config, container, netns, interface, arguments):
        return call(plugin["type"], command, config, self.node, container, netns, interface,
                    arguments)

    def add(self, container, netns, interface="eth0", arguments=""):
        """All plugins in order; undone by DEL of all, as runtimes do, if one fails."""
        result = None
        try:
            for plugin in self.plugins:
                result = self._call(plugin, "ADD", self._config(plugin, result), container,
                                    path_of(netns), interface, arguments)
        except CNIFailure:
            self.delete(container, netns, interface, arguments)
            raise
        self.results[container, interface] = result
        return result

    def check(self, container, netns, interface="eth0", arguments="", only=None):
        previous = self.results[container, interface]
        for plugin in self.plugins:
            if only not in (None, plugin["type"]):
                continue
            done = self._call(plugin, "CHECK", self._config(plugin, previous), container,
                              path_of(netns), interface, arguments)
            assert done is None

    def delete(self, container, netns, interface="eth0", arguments=""):
        previous = self.results.get((container, interface))
        for plugin in reversed(self.plugins):
            done = self._call(plugin, "DEL", self._config(plugin, previous), container,
                              path_of(netns), interface, arguments)
            assert done is None
        self.results.pop((container, interface), None)

    def collect(self, valid):
        """GC; `valid` are pairs of container and interface."""
        keep = [{"containerID": container, "ifname": interface} for container, interface in valid]
        for plugin in self.plugins:
            config = self._config(plugin, **{"cni.dev/valid-attachments": keep,
                                             "cni.dev/attachments": keep})
            assert call(plugin["type"], "GC", config, self.node) is None

    def status(self):
        for plugin in self.plugins:
            assert call(plugin["type"], "STATUS", self._config(plugin), self.node) is None


def path_of(netns):
    """Of a lab's namespace, or a path as it is; None for a namespace that is gone."""
    return netns if netns is None or isinstance(netns, str) else str(netns.path)
