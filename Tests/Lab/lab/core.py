"""Namespaces, processes, and taking both down again whatever happens."""

import contextlib
import ctypes
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

NAME = re.compile(r"lab-(\d+)-(\d+)-(\d+)(?:-.*)?")
NETNS = Path("/run/netns")
AGENTS = Path(__file__).with_name("agents.py")
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


class LabError(Exception):
    """Something in the lab did not go as asked; the text says what and shows the output."""


@contextlib.contextmanager
def unbroken():
    """Puts off what would interrupt. What is begun in it inherits that, and has to be short."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def run(*command, check=True, timeout=60, input=None, env=None):
    """Runs a command to its end and returns what it did (text mode, output captured)."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=timeout, input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            env=None if env is None else {**os.environ, **env})
    except FileNotFoundError:
        raise LabError(f"`{words[0]}` is not installed") from None
    except subprocess.TimeoutExpired as late:
        raise LabError(f"`{' '.join(words)}` did not end in {timeout} s") from late
    if check and done.returncode != 0:
        said = (done.stderr + done.stdout).strip()
        raise LabError(f"`{' '.join(words)}` ended with {done.returncode}: {said}")
    return done


def wait_until(predicate, seconds, what, longest_pause=0.1):
    """Asks until the answer is true and returns it; never waits longer than it must."""
    deadline = time.monotonic() + seconds
    pause = 0.002
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise LabError(f"waited {seconds} s in vain: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, longest_pause)


def start_time(pid):
    """When a process started, in clock ticks since boot; None if there is none. With the pid it
    names one process for ever, where a pid alone may be used again (proc(5), stat field 22)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rsplit(")", 1)[1].split()
    # A zombie has ended, whether or not somebody has asked for its status.
    return None if fields[0] in "ZX" else int(fields[19])


def _dies_with_parent():
    _libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    # A shell's background job ignores SIGINT, and so would everything it starts.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Process:
    """A process of the lab. Its output goes to a file, its end is waited for."""

    def __init__(self, lab, label, command, env=None, cwd=None):
        self.label = label
        self.command = [str(word) for word in command]
        file_name = re.sub("[^A-Za-z0-9.-]+", "_", f"{next(_numbers):03}-{label}.log")
        self.log_path = lab.directory / file_name
        with open(self.log_path, "wb") as log:
            try:
                # A session of its own: what it starts is ended with it. If this program is
                # killed (by thread: the one that starts processes must live), so is it.
                self.popen = subprocess.Popen(
                    self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd,
                    start_new_session=True, preexec_fn=_dies_with_parent,
                    env=None if env is None else {**os.environ, **env})
            except FileNotFoundError:
                raise LabError(f"`{self.command[0]}` is not installed") from None

    @property
    def pid(self):
        return self.popen.pid

    @property
    def is_running(self):
        return self.popen.poll() is None

    def output(self):
        return self.log_path.read_text(errors="replace")

    def wait_for(self, text, seconds=10, longest_pause=0.1):
        """Waits until the output holds a regular expression and returns the match."""
        pattern = re.compile(text, re.MULTILINE)

        def found():
            ended = not self.is_running
            match = pattern.search(self.output())
            if match is None and ended:
                raise LabError(
                    f"{self.label} ended with {self.popen.returncode} before it said "
                    f"`{text}`:\n{self.tail()}")
            return match

        return wait_until(found, seconds, f"{self.label} to say `{text}`; it said:\n{self.tail()}",
                          longest_pause)

    def wait(self, seconds=30):
        """Waits for the end and returns the exit status (negative: the signal)."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.label} did not end in {seconds} s:\n{self.tail()}") from None

    def signal(self, number):
        if self.is_running:
            os.kill(self.pid, number)

    def stop(self, seconds=5):
        """SIGTERM, and SIGKILL for what does not listen."""
        if self.is_running:
            self._signal_session(signal.SIGTERM)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        self.kill()
        return self.popen.returncode

    def kill(self):
        if self.is_running:
            self._signal_session(signal.SIGKILL)
            self.popen.wait()

    def _signal_session(self, number):
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    def tail(self, lines=20):
        return "\n".join(self.output().splitlines()[-lines:])


class Namespace:
    """A network namespace that `ip netns` knows, with its loopback up and nothing else."""

    resolv_conf = None  # a file that what runs inside sees as /etc/resolv.conf

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name
        self.full_name = f"{lab.prefix}-{name}"
        # Interrupted between fork and exec it would go on by itself, and outlive the clean-up.
        with unbroken():
            run("ip", "netns", "add", self.full_name)
        # Before any interface: an address under duplicate detection cannot be used for a second.
        self.sysctl(ipv6__conf__default__accept_dad=0, ipv6__conf__all__accept_dad=0)
        self.ip("link set lo up")

    @property
    def path(self):
        return NETNS / self.full_name

    def __repr__(self):
        return f"Namespace({self.name})"

    def ip(self, *lines):
        """ip(8) commands, run in order inside; `-6 ` in front of one means what it does there."""
        for family, batch in itertools.groupby(lines, lambda line: line.startswith("-6 ")):
            text = "".join(line.removeprefix("-6 ") + "\n" for line in batch)
            run("ip", *["-6"] * family, "-n", self.full_name, "-batch", "-", input=text)

    def inside(self, command):
        # nsenter and not `ip netns exec`: the latter mounts a /sys, which a user namespace
        # may not be allowed to. Like it, it shows /etc/netns/NAME/resolv.conf as the real one.
        enter = ["nsenter", f"--net={self.path}", "--"]
        if self.resolv_conf is not None:
            enter += ["unshare", "--mount", "--propagation", "private", "sh", "-ec",
                      'mount --bind "$0" /etc/resolv.conf; exec "$@"', self.resolv_conf]
        return [*map(str, enter), *map(str, command)]

    def run(self, *command, **options):
        return run(*self.inside(command), **options)

    def start(self, *command, label=None, env=None, cwd=None):
        label = f"{self.name}-{label or Path(str(command[0])).name}"
        return self.lab.start(self.inside(command), label=label, env=env, cwd=cwd)

    def sysctl(self, **settings):
        """net sysctls; `__` stands for a dot: ipv4__ip_forward=1."""
        paths = {key.replace("__", "/"): value for key, value in settings.items()}
        lines = [f"echo {value} > /proc/sys/net/{path}" for path, value in paths.items()]
        self.run("sh", "-ec", "\n".join(lines))

    def interfaces(self):
        out = run("ip", "-n", self.full_name, "-br", "link").stdout
        return [line.split()[0].split("@")[0] for line in out.splitlines()]

    def veth(self, other, mine, theirs, mtu=1500):
        """A pair of interfaces, up, between this namespace and another."""
        peer = f"peer name {theirs} mtu {mtu} netns {other.full_name}"
        self.ip(f"link add {mine} mtu {mtu} type veth {peer}", f"link set {mine} up")
        other.ip(f"link set {theirs} up")

    def bridge(self, name, *members, mtu=1500):
        self.ip(f"link add {name} mtu {mtu} type bridge", f"link set {name} up",
                *[f"link set {member} master {name}" for member in members])

    def address(self, interface, *addresses):
        # nodad: an address that is still being checked for duplicates cannot be used yet.
        self.ip(*[f"address add {address} dev {interface}" + (" nodad" if ":" in address else "")
                  for address in addresses])

    def remove(self):
        run("ip", "netns", "del", self.full_name, check=False)
        self.lab.namespaces = [one for one in self.lab.namespaces if one is not self]


class Lab:
    """All that one run made. Use as a context manager."""

    def __init__(self, keep_files=False):
        pid = os.getpid()
        self.prefix = f"lab-{pid}-{start_time(pid)}-{next(_numbers)}"
        self.keep_files = keep_files
        self.namespaces = []
        self.processes = []
        self.sockets = []

    def __enter__(self):
        self.directory = Path(tempfile.mkdtemp(prefix=self.prefix + "-"))
        self._old_handler = None
        if threading.current_thread() is threading.main_thread():
            self._old_handler = signal.signal(signal.SIGTERM, self._terminated)
            if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
                signal.signal(signal.SIGINT, signal.default_int_handler)
        return self

    @staticmethod
    def _terminated(number, frame):
        raise SystemExit(128 + number)

    def __exit__(self, kind, error, trace):
        if error is not None and isinstance(error, Exception):
            for process in self.processes:
                error.add_note(f"--- {process.label} (pid {process.pid})\n{process.tail()}")
        # A second Ctrl-C must not leave half of it behind.
        with unbroken():
            try:
                self._tear_down()
            finally:
                if self._old_handler is not None:
                    signal.signal(signal.SIGTERM, self._old_handler)

    def _tear_down(self):
        running = [process for process in self.processes if process.is_running]
        for process in running:
            process._signal_session(signal.SIGTERM)
        deadline = time.monotonic() + 5
        for process in reversed(running):
            try:
                process.popen.wait(max(0.01, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        for process in self.processes:
            process._signal_session(signal.SIGKILL)  # what outlived its parent
        for path in self.sockets:
            path.unlink(missing_ok=True)
        # By name and not from the list: an interruption may have come in between.
        for path in sorted(NETNS.glob(self.prefix + "-*")):
            run("ip", "netns", "del", path.name, check=False)
        self.namespaces.clear()
        if not self.keep_files:
            shutil.rmtree(self.directory, ignore_errors=True)

    def namespace(self, name):
        namespace = Namespace(self, name)
        self.namespaces.append(namespace)
        return namespace

    def start(self, command, label=None, env=None, cwd=None):
        process = Process(self, label or str(command[0]), command, env, cwd)
        self.processes.append(process)
        return process

    def interface(self, kind):
        """A name no other run uses: the sockets of userspace WireGuard are named after their
        interface in one directory, whatever the namespace."""
        return f"{kind}{next(_numbers)}p{os.getpid()}"[:15]


def sweep():
    """Removes what runs that were killed have left: namespaces, what still runs in them, and
    temporary directories, of ours and with a dead owner only. Returns their names."""
    removed = []

    def is_litter(name):
        match = NAME.fullmatch(name)
        return match is not None and start_time(int(match[1])) != int(match[2])

    for path in sorted(NETNS.glob("lab-*")) if NETNS.is_dir() else []:
        if not is_litter(path.name):
            continue
        for pid in run("ip", "netns", "pids", path.name, check=False).stdout.split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        if run("ip", "netns", "del", path.name, check=False).returncode == 0:
            removed.append(path.name)
    for path in sorted(Path(tempfile.gettempdir()).glob("lab-*")):
        if is_litter(path.name) and path.is_dir() and path.stat().st_uid == os.geteuid():
            shutil.rmtree(path, ignore_errors=True)
            removed.append(str(path))
    return removed
