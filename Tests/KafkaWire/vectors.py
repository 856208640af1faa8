"""Writes vectors.txt: a random value of every message in every version, for the Swift tests.

    vectors.py          writes the file
    vectors.py --check  fails if it is not what would be written
"""
import pathlib
import sys
import textwrap

import codec

FILE = pathlib.Path(__file__).with_name("vectors.txt")


def text():
    lines = ["# Written by vectors.py: a message and its version, then its bytes."]
    for one in codec.codecs():
        for version in one.versions:
            value = one.fill(codec.seeded(one.name, version, "vector"), version)
            lines.append(f"{one.name} {version}")
            content = one.encode(value, version).hex()
            lines += textwrap.wrap(content, 96, initial_indent="  ", subsequent_indent="  ")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit("vectors.txt is stale: run vectors.py" if FILE.read_text() != text() else 0)
    FILE.write_text(text())
