"""`python3 -m lab sweep`: remove what killed runs have left."""

import sys

from .core import sweep


def main(words):
    if words != ["sweep"]:
        print("usage: python3 -m lab sweep", file=sys.stderr)
        return 64
    for name in sweep():
        print(f"removed {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
