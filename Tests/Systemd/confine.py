#!/usr/bin/env python3
"""Runs a command as Systemd/slice-gateway.service would confine it, without systemd as PID 1:
capabilities, no new privileges, system call filter, address families, kinds of namespaces, no
writable and executable memory. Devices, limits and directories are systemd's alone.

    confine.py UNIT COMMAND...
"""
import ctypes
import os
import subprocess
import sys

EPERM, ENOSYS = 1, 38
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, CLEAR_ALL = 24, 38, 47, 4
NE, MASKED_EQ = 1, 7
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
# linux/sched.h: mount, cgroup, UTS, IPC, user, PID and time namespaces; not network ones.
OTHER_NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x80)
WRITE, EXECUTE = 2, 4


class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64),
                ("b", ctypes.c_uint64)]


def settings(unit):
    values = {}
    with open(unit) as lines:
        for line in lines:
            if "=" in line and not line.startswith("#"):
                name, value = line.strip().split("=", 1)
                values.setdefault(name, []).append(value)
    return values


def members(group):
    """The system calls of one of systemd's groups, groups inside it followed."""
    text = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", group], check=True,
                          capture_output=True, text=True).stdout
    for word in (line.split("#")[0].strip() for line in text.splitlines()[1:]):
        if word.startswith("@"):
            yield from members(word)
        elif word:
            yield word


def allowed(lines):
    calls = set()
    for line in lines:
        named = set()
        for word in line.lstrip("~").split():
            named.update(members(word) if word.startswith("@") else [word])
        calls = calls - named if line.startswith("~") else calls | named
    return calls | set(members("@default"))


def capabilities(names):
    library = ctypes.CDLL("libcap.so.2")
    numbers = set()
    for name in names.split():
        number = ctypes.c_int()
        if library.cap_from_name(name.lower().encode(), ctypes.byref(number)) != 0:
            sys.exit(f"confine: no capability {name}")
        numbers.add(number.value)
    return numbers


def drop(keep):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_CAP_AMBIENT, CLEAR_ALL, 0, 0, 0)
    with open("/proc/sys/kernel/cap_last_cap") as file:
        last = int(file.read())
    for number in set(range(last + 1)) - keep:
        # EINVAL: this machine never had it.
        libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        sys.exit("confine: cannot set no_new_privs")


def filter_calls(calls, families, namespaces):
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ERRNO | EPERM))

    def rule(action, call, *compares):
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return  # another architecture's
        array = (Compare * max(1, len(compares)))(*compares)
        code = library.seccomp_rule_add_array(context, action, number, len(compares), array)
        if code != 0:
            sys.exit(f"confine: no rule for {call}: {code}")

    # What systemd refuses whatever the groups say, in terms of what is left.
    special = {"socket", "clone", "clone3", "unshare", "setns", "mmap", "mprotect"}
    for call in sorted(calls - special):
        rule(ALLOW, call)
    for family in families:
        rule(ALLOW, "socket", Compare(0, 4, FAMILIES[family], 0))
    if namespaces != "net":
        sys.exit("confine: only RestrictNamespaces=net is understood")
    other = 0
    for bit in OTHER_NAMESPACES:
        other |= bit
    rule(ALLOW, "clone", Compare(0, MASKED_EQ, other & ~0x80, 0))
    rule(ERRNO | ENOSYS, "clone3")
    rule(ALLOW, "unshare", Compare(0, MASKED_EQ, other, 0))
    # Type 0 would be any.
    rule(ALLOW, "setns", Compare(1, 4, 0x40000000, 0))
    rule(ALLOW, "mprotect", Compare(2, MASKED_EQ, EXECUTE, 0))
    rule(ALLOW, "mmap", Compare(2, MASKED_EQ, WRITE, 0))
    rule(ALLOW, "mmap", Compare(2, MASKED_EQ, EXECUTE, 0))
    if library.seccomp_load(context) != 0:
        sys.exit("confine: the kernel refuses the filter")


def main(unit, command):
    values = settings(unit)
    calls = allowed(values["SystemCallFilter"])
    keep = capabilities(values["CapabilityBoundingSet"][0])
    drop(keep)
    filter_calls(calls | {"execve"}, values["RestrictAddressFamilies"][0].split(),
                 values["RestrictNamespaces"][0])
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
