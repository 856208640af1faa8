"""Keeps the house in order: sizes, arrows between rooms, and what no source may say.

    tidy.py [ROOT]      look at the tree; one line a problem, exit status 1 if there are any
    tidy.py --self-test plant one fault for each rule, and see that each rule finds its own
"""

import pathlib
import re
import subprocess
import sys
import tempfile

MAX_LINES = 400
MAX_COLUMNS = 100

# Rooms that think: no system, no clock, no tasks. Beside what Package.swift lets them use:
PURE = {
    "Bytes", "Timing", "Addresses", "Noise", "Packets", "Tunnel", "SliceModel", "SlicePolicy",
    "SliceDirectory", "SliceDNS", "SliceAudit", "AdminAPI", "CNIModel", "StatusPages", "WanModel",
    "BrokerConfig",
}
# Pure too, with NIOCore for its ByteBuffer and for nothing else.
BUFFER_ONLY = {
    "KafkaWire", "KafkaRecords", "CommitLog", "Raft", "Metadata", "Replication", "Groups",
    "BrokerCore",
}
PURE |= BUFFER_ONLY
PURE_SYSTEM = {"Synchronization"}
SHELL_SYSTEM = {"Synchronization", "Glibc", "FoundationEssentials"}
PROGRAMS = {"slice-gateway", "slicectl", "slice-cni", "slice-broker", "wan-relay"}
# A pure room may use these libraries, which only calculate; nothing that reaches a system.
NOT_FOR_PURE = {
    "LinuxNet", "GatewayRuntime", "Telemetry", "CLinux", "CMnl", "CNftables", "NIOCore",
    "NIOPosix", "NIOHTTP1", "Logging", "ArgumentParser", "Glibc", "Foundation",
    "FoundationEssentials", "Dispatch",
}
KAFKA = BUFFER_ONLY | {"BrokerConfig", "BrokerRuntime", "KafkaClient"}
GATEWAY = {
    "Noise", "Packets", "Tunnel", "SliceModel", "SlicePolicy", "SliceDirectory", "SliceDNS",
    "SliceAudit", "AdminAPI", "CNIModel", "LinuxNet", "GatewayRuntime",
}

# DESIGN, rules of thumb, 6: rooms in which unsafe pointers are the way things are done.
UNSAFE_ROOMS = {
    "Bytes", "LinuxNet", "Packets", "Tunnel",
    # The keys and messages of the packet path, in memory that is wiped.
    "Noise",
    # The WAN relay's packets.
    "WanModel",
    # zlib and its like, and checksums.
    "KafkaRecords",
}
UNSAFE_FOLDERS = ("Sources/Gateway/GatewayRuntime/PacketPath/", "Sources/C/")
# Files elsewhere that speak to C.
UNSAFE_FILES = {
    "Sources/Gateway/SliceModel/OwnerKey.swift": "libsodium",
    "Sources/Support/ConfigFile/ConfigParser.swift": "libyaml",
    "Sources/Support/ConfigFile/TreeBuilder.swift": "libyaml",
    "Sources/Gateway/GatewayRuntime/Slices/EchoProber.swift": "socket addresses",
    "Sources/Gateway/GatewayRuntime/Slices/NameResolver.swift": "getaddrinfo",
    "Sources/Gateway/GatewayRuntime/Names/NameSockets.swift": "socket addresses",
    "Sources/Gateway/GatewayRuntime/UnixServerSocket.swift": "socket addresses",
    "Sources/slicectl/Checks/Resolver.swift": "getaddrinfo",
    "Sources/slice-cni/AdminSocket.swift": "socket addresses",
    "Sources/slice-cni/ContainerNetwork.swift": "getifaddrs",
    "Sources/wan-relay/ControlServer.swift": "socket addresses",
    "Sources/wan-relay/PacketStore.swift": "the WAN relay's packets",
    "Sources/Kafka/KafkaClient/KafkaConnection.swift": "getaddrinfo",
}

# path -> why it is longer than MAX_LINES
LONG_FILES = {
    "Tests/Lab/test_lab.py": "one table of the lab's own tests",
    "Tests/Lab/demo/story.py": "one story, told from top to bottom",
    "Tests/Interop/test_hostile.py": "one table of hostile mail",
    "Tests/Interop/traffic.py": "what the tests of traffic share",
    "Tests/Tidy/tidy.py": "the rules, and a fault for each",
}
# path -> why it may have lines beyond MAX_COLUMNS
WIDE_FILES = {
    "Tests/NoiseTests/reference/handshake.txt": "a transcript in hexadecimal",
}
# (path, rule) -> why
ALLOWED = {
    ("Sources/Gateway/Packets/PacketsFuzz.swift", "force"): "a fuzzer's entry point may trap",
    ("Sources/Gateway/Packets/Segmenter.swift", "force"): "the bytes of a value of fixed size",
    ("Sources/Support/Telemetry/LogStyle.swift", "force"): "every Unicode scalar has UTF-8",
}

CODE = {".swift", ".py", ".c", ".h", ".sh"}
TEXT = CODE | {".md", ".conf", ".yaml", ".yml", ".service", ".txt", ".modulemap", ".json", ""}
SKIPPED = ("Tests/Fuzz/corpus/", "LICENSE")


def blank(match):
    """As long as what it takes the place of, so that lines and columns stay."""
    return re.sub(r"[^\n]", " ", match.group(0))


SWIFT_NOISE = re.compile(
    r'//[^\n]*|/\*.*?\*/|"""(?:\\.|[^\\])*?"""|#"(?:[^"\n]|"(?!#))*"#|"(?:\\.|[^"\\\n])*"', re.S)


def swift_code(text):
    """Swift without comments and texts (what is interpolated goes with them)."""
    return SWIFT_NOISE.sub(blank, text)


class Tree:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.problems = []
        self.texts = {}
        for path in self.files():
            if path.startswith(SKIPPED) or pathlib.Path(path).suffix not in TEXT:
                continue
            try:
                self.texts[path] = (self.root / path).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
            except FileNotFoundError:
                continue

    def files(self):
        """What git knows or would add; everything where there is no git."""
        try:
            listed = subprocess.run(
                ["git", "-C", str(self.root), "ls-files", "-co", "--exclude-standard"],
                capture_output=True, text=True, check=True).stdout.splitlines()
        except (subprocess.CalledProcessError, FileNotFoundError):
            listed = [
                str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file()]
        return sorted(set(listed))

    def report(self, rule, path, line, text):
        if (path, rule) not in ALLOWED:
            self.problems.append((rule, f"{path}:{line}: {text} [{rule}]"))

    def search(self, rule, path, text, pattern, message):
        for match in re.finditer(pattern, text):
            line = text.count("\n", 0, match.start()) + 1
            self.report(rule, path, line, message.format(match.group(0).strip()))


# MARK: Rules


def sizes(tree):
    for path, text in tree.texts.items():
        suffix = pathlib.Path(path).suffix
        lines = text.split("\n")
        if suffix in CODE and len(lines) - 1 > MAX_LINES and path not in LONG_FILES:
            tree.report("long", path, len(lines) - 1, f"more than {MAX_LINES} lines")
        for number, line in enumerate(lines, 1):
            if suffix in CODE and len(line) > MAX_COLUMNS and path not in WIDE_FILES:
                tree.report("wide", path, number, f"{len(line)} columns")
            if suffix in CODE | {".conf", ".service"} and line != line.rstrip():
                tree.report("trailing", path, number, "white space at the end of the line")
        if suffix in CODE and text and not text.endswith("\n"):
            tree.report("trailing", path, len(lines), "no new line at the end of the file")


def words(tree):
    # Put together, so that this file does not say them.
    hosts = "|".join(
        re.escape(host) for host in (
            "pypi." + "org", "pythonhosted." + "org", "registry.npm" + "js", "crates." + "io",
            "rubygems." + "org", "deb.debian." + "org"))
    places = r"(?<![\w.$-])/(?:" + "tmp/" + "dev|" + "work/" + r"|root/|home/\w)[\w./-]*"
    unfinished = "TO" + "DO|" + "FIX" + "ME|" + "X" + "XX"
    for path, text in tree.texts.items():
        tree.search("unfinished", path, text, rf"\b(?:{unfinished})\b", "says {}")
        tree.search("registry", path, text, hosts, "names the package registry {}")
        if pathlib.Path(path).suffix in CODE | {".md", ".conf"}:
            tree.search("place", path, text, places, "names a place of one machine: {}")


def traps(tree):
    for path, text in tree.texts.items():
        if not path.startswith("Sources/") or not path.endswith(".swift"):
            continue
        code = swift_code(text)
        tree.search("trap", path, code, r"\bfatalError\b|\btry!|\bas!", "{} may trap")
        # A force unwrap: a value with `!` right behind it, and no `!=`.
        tree.search("force", path, code, r"(?<!\btry)(?<!\bas)(?<=[\w)\]])!(?!=)", "`{}` may trap")
        if path.split("/")[1] not in PROGRAMS:
            tree.search(
                "print", path, code, r"(?<![\w.])(?:debugPrint|print)\(",
                "{}...) in a room: rooms have effects or a log")


def rooms(tree):
    """Room -> what Package.swift lets it use, and room -> its folder."""
    text = tree.texts.get("Package.swift", "")
    uses, folders = {}, {}
    names = dict(re.findall(r'let (\w+) = Target\.Dependency\.product\(\s*name: "(\w+)"', text))
    for kind, name, rest in re.findall(
            r'\b(room|program)\(\s*"([\w-]+)",(.*?)\)(?=,\n\s*(?:\n|room|program|system|//|suite|'
            r'\.target|\]))', text, re.S):
        listed = re.search(r"uses: \[(.*?)\]", rest, re.S)
        items = listed.group(1) if listed else ""
        uses[name] = set(re.findall(r'"([\w-]+)"', items)) | {
            product for variable, product in names.items()
            if re.search(rf"(?<![\w\"]){variable}(?![\w\"])", items)}
        folder = re.search(r'in: "(\w+)"', rest)
        folders[name] = f"Sources/{folder.group(1)}/{name}/" if folder else f"Sources/{name}/"
    return uses, folders


def arrows(tree):
    uses, folders = rooms(tree)
    for room, used in uses.items():
        if room in PURE:
            lent = {"NIOCore"} if room in BUFFER_ONLY else set()
            for bad in sorted(used & NOT_FOR_PURE - lent):
                tree.report("arrow", "Package.swift", 1, f"the pure room {room} uses {bad}")
        for mine, theirs in ((GATEWAY, KAFKA), (KAFKA, GATEWAY)):
            if room in mine:
                for bad in sorted(used & theirs):
                    tree.report(
                        "halves", "Package.swift", 1, f"{room} uses {bad} of the other half")
    for room, folder in folders.items():
        allowed = uses[room] | (PURE_SYSTEM if room in PURE else SHELL_SYSTEM)
        if room in PROGRAMS:
            allowed |= {"Dispatch"}
        for path, text in tree.texts.items():
            if not path.startswith(folder) or not path.endswith(".swift"):
                continue
            for match in re.finditer(
                    r"(?m)^\s*(?:@\w+(?:\([^)]*\))?\s+|(?:package|public|internal)\s+)*"
                    r"import\s+(?:(?:struct|class|enum|func|var|let|typealias)\s+)?(\w+)", text):
                if match.group(1) not in allowed:
                    line = text.count("\n", 0, match.start()) + 1
                    tree.report(
                        "import", path, line, f"{room} may not import {match.group(1)}")


def buffers(tree):
    _, folders = rooms(tree)
    free = tuple(folders[room] for room in BUFFER_ONLY if room in folders)
    for path, text in tree.texts.items():
        if path.endswith(".swift") and free and path.startswith(free):
            tree.search(
                "buffer", path, swift_code(text), r"\bEventLoop\w*\b|\bChannel\w*\b|\bNIO[A-Z]\w*\b"
                r"(?<!NIOCore)", "{} in a room that has NIOCore for its ByteBuffer only")


def unsafe(tree):
    uses, folders = rooms(tree)
    free = tuple(folders[room] for room in UNSAFE_ROOMS if room in folders) + UNSAFE_FOLDERS
    for path, text in tree.texts.items():
        if not path.startswith("Sources/") or not path.endswith(".swift"):
            continue
        if path.startswith(free) or path in UNSAFE_FILES:
            continue
        # Lending bytes to be read (`withUnsafeBytes`, and a parser's UnsafeRawBufferPointer,
        # which checks its bounds) is not yet keeping a pointer.
        tree.search(
            "unsafe", path, swift_code(text),
            r"\bUnsafe(?!RawBufferPointer\b)(?:Mutable)?(?:Raw)?(?:Buffer)?Pointer\b|\bUnmanaged\b|"
            r"\bunsafeBitCast\b",
            "{} outside of the rooms that may")


RULES = [sizes, words, traps, arrows, buffers, unsafe]


def check(root):
    tree = Tree(root)
    for rule in RULES:
        rule(tree)
    return tree.problems


# MARK: Self test

PACKAGE = """\
let logging = Target.Dependency.product(
    name: "Logging", package: "swift-log")
let targets = [
        room("Bytes", in: "Support"),
        room("Noise", in: "Gateway", uses: ["Bytes", %s]),
        room("GatewayRuntime", in: "Gateway", uses: ["Noise", logging]),
        room("Raft", in: "Kafka"),
        program("slicectl", uses: ["Noise"]),

]
"""

# rule -> (path, content); each must make its rule, and no other, speak.
FAULTS = {
    "long": ("Sources/Gateway/Noise/Long.swift", "let a = 1\n" * (MAX_LINES + 1)),
    "wide": ("Sources/Gateway/Noise/Wide.swift", "// " + "a" * MAX_COLUMNS + "\n"),
    "trailing": ("Tests/a.py", "a = 1 \n"),
    "unfinished": ("README.md", "TO" + "DO: write\n"),
    "registry": ("Docs/Install.md", "from https://pypi." + "org/simple\n"),
    "place": ("Tests/b.sh", "cd /tmp/" + "dev/here\n"),
    "trap": ("Sources/Gateway/Noise/Trap.swift", "let a = try! b()\n"),
    "force": ("Sources/Gateway/Noise/Force.swift", "let a = b[0]!.c\n"),
    "print": ("Sources/Gateway/Noise/Print.swift", "func f() { print(1) }\n"),
    "import": ("Sources/Gateway/Noise/Import.swift", "package import Glibc\n"),
    "unsafe": (
        "Sources/Gateway/GatewayRuntime/Unsafe.swift", "var p: UnsafeMutableRawPointer?\n"),
    "buffer": ("Sources/Kafka/Raft/Loop.swift", "var loop: any EventLoop\n"),
    "arrow": ("Package.swift", PACKAGE % "logging"),
    "halves": ("Package.swift", PACKAGE % '"Raft"'),
}

# What looks like a fault and is none.
INNOCENT = {
    "Package.swift": PACKAGE % '"Bytes"',
    "Sources/Gateway/Noise/Fine.swift": (
        'import Bytes\nimport Synchronization\n\n/// Not try! and not a! here, see 1 != 2.\n'
        'let a = "print(1) as! b!" == "\\"c!" && b != c && !d\nlet p: UnsafeRawPointer? = nil\n'
        'let long = """\n    fatalError("x")!\n    """\n'),
    "Sources/Gateway/GatewayRuntime/Fine.swift": "import Glibc\nimport Logging\nimport Noise\n",
    "Sources/slicectl/Fine.swift": "import Noise\nfunc f() { print(1) }\n",
}


def plant(root, files):
    for path, content in files.items():
        file = pathlib.Path(root) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")


def self_test():
    failures = []
    with tempfile.TemporaryDirectory() as root:
        plant(root, INNOCENT)
        for _, text in check(root):
            failures.append(f"a tidy tree has a problem: {text}")
    for rule, (path, content) in FAULTS.items():
        with tempfile.TemporaryDirectory() as root:
            plant(root, INNOCENT | {path: content})
            found = {found for found, _ in check(root)}
            if found != {rule}:
                failures.append(f"a fault for {rule} was found by {sorted(found) or 'nobody'}")
    for failure in failures:
        print(f"tidy: self test: {failure}", file=sys.stderr)
    return not failures


def main(arguments):
    if arguments == ["--self-test"]:
        sound = self_test()
        print(f"tidy: {len(FAULTS)} rules: {'each finds its fault' if sound else 'NOT SOUND'}")
        return 0 if sound else 1
    root = arguments[0] if arguments else pathlib.Path(__file__).resolve().parents[2]
    if not self_test():
        return 1
    problems = check(root)
    for _, text in problems:
        print(text)
    print(f"tidy: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
