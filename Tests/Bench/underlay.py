"""What the packets of a tunnel cross: a veth as the kernel makes it, or one that is like a wire."""

import re

from lab import LabError

VETH, WIRE = "veth", "wire"
UNDERLAYS = VETH, WIRE
# On a veth a sender's large packet arrives as it left, whatever the MTU is. No network does that.
# Checksums are left to the device on both: network cards have done that for ages.
TOGETHER = re.compile(r"segmentation|receive-offload|\bgro\b|\bgso\b")


def together(text):
    """What `ethtool -k` says is on by which several packets cross as one."""
    features = re.findall(r"^\s*([\w-]+): (on|off)\b", text, re.MULTILINE)
    if not any(TOGETHER.search(name) for name, _ in features):
        raise LabError(f"`ethtool -k` said nothing about segmentation: {text.strip() or '-'}")
    return [name for name, state in features if state == "on" and TOGETHER.search(name)]


def like_a_wire(namespace, interface):
    """From now on every packet leaves the interface alone, and is received alone."""
    def now():
        return together(namespace.run("ethtool", "-k", interface).stdout)

    found = now()
    if found:
        off = [word for name in found for word in (name, "off")]
        namespace.run("ethtool", "-K", interface, *off)
    left = now()
    if left:
        raise LabError(f"{interface} is not like a wire: {', '.join(left)} cannot be turned off")
