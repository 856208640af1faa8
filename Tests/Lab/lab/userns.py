"""Working without root: inside a user namespace in which this user is root."""

import os
import subprocess
import sys
from pathlib import Path

from .core import run

MARK = Path("/run/.lab-user-namespace")
UNSHARE = ["unshare", "--user", "--map-root-user", "--net", "--mount"]


def in_user_namespace():
    """Whether uid 0 here is not the machine's."""
    return Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]


def why_no_user_namespace():
    """A sentence if this user cannot make one, else None."""
    try:
        probe = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True)
    except FileNotFoundError:
        return "`unshare` is not installed (Debian package util-linux)"
    if probe.returncode == 0:
        return None
    hints = []
    for name, off in [("user/max_user_namespaces", "0"), ("kernel/unprivileged_userns_clone", "0"),
                      ("kernel/apparmor_restrict_unprivileged_userns", "1")]:
        setting = Path("/proc/sys") / name
        if setting.exists() and setting.read_text().strip() == off:
            hints.append(f"{name.replace('/', '.')} is {off}")
    reason = "; ".join(hints) or probe.stderr.strip()
    return f"this kernel does not let this user make user namespaces ({reason}): run as root"


def why_no_tun():
    """A sentence if TUN devices cannot be made, else None."""
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except FileNotFoundError:
        return "/dev/net/tun is missing: load the `tun` module or give the container the device"
    except OSError as error:
        return (f"/dev/net/tun cannot be opened ({error.strerror}): "
                "allow it with `chmod 666 /dev/net/tun`, or run as root")
    return None


def enter_user_namespace():
    """Makes sure that this program is root over namespaces of its own. Root of the machine goes
    on as it is. Anyone else is executed again, from the start, inside a user namespace. Ends the
    program with a sentence that says why if that cannot be."""
    if os.geteuid() != 0:
        problem = why_no_tun() or why_no_user_namespace()
        if problem:
            sys.exit(problem)
        sys.stdout.flush()
        # orig_argv also keeps `-m package` and the interpreter's own options.
        os.execvp("unshare", [*UNSHARE, "--", sys.executable, *sys.orig_argv[1:]])
    if in_user_namespace() and not MARK.exists():
        # /run is the machine's: names made there would be litter that nobody here can see go.
        done = run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run", check=False)
        if done.returncode != 0:
            sys.exit("a user namespace without its own mounts is of no use here: start it with "
                     f"`unshare -Urnm` ({done.stderr.strip()})")
        Path("/run/netns").mkdir()
        MARK.touch()
    problem = why_no_tun()
    if problem:
        sys.exit(problem)
