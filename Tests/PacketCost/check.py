#!/usr/bin/python3
"""Instructions a packet, counted by callgrind, against those on record: `check.py [--update]`.

Instructions do not depend on what else the machine does, but on compiler, C library and what
the CPU offers: where these differ from the record's, the figures are shown and not
compared."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECORD = HERE / "instructions.json"
TOLERANCE = 0.03
NO_CIPHER = HERE.parent / "Bench/nullcipher.c"
PROGRAM = Path(os.environ.get("PACKET_COST", HERE.parents[1] / ".build/release/packet-cost"))


def first_line(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[0].strip()


def machine():
    flags = set(re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)[1].split())
    return {"compiler": first_line("swift", "--version"), "libc": first_line("ldd", "--version"),
            "valgrind": first_line("valgrind", "--version"),
            "instructions": sorted(flags & {"avx2", "bmi2", "avx512f", "vaes"})}


def count(scenario):
    """Instructions a packet. Of a copy without debug information, whose form may be too new."""
    with tempfile.TemporaryDirectory() as directory:
        program = f"{directory}/packet-cost"
        subprocess.run(["objcopy", "--strip-debug", PROGRAM, program], check=True)
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", NO_CIPHER, "-o",
                        f"{directory}/libIPSec_MB.so.1"], check=True)
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no",
             "--toggle-collect=*measuredPart*",
             f"--callgrind-out-file={directory}/out", program, scenario],
            capture_output=True, text=True, timeout=300,
            env={**os.environ, "LD_LIBRARY_PATH": directory})
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        raise SystemExit(f"{scenario} could not be counted:\n{done.stdout}{done.stderr}")
    if int(found[1]) == 0:
        raise SystemExit(f"{scenario}: nothing was counted: is measuredPart a function still?")
    return int(found[1]) / int(done.stdout)


def main():
    scenarios = subprocess.run([PROGRAM], capture_output=True, text=True).stdout.split()
    if not Path("/usr/include/intel-ipsec-mb.h").exists():
        print("not counted: this needs the header of IPsec-MB, for a cipher that costs nothing")
        return 0
    here, counts = machine(), {name: round(count(name), 1) for name in scenarios}
    if "--update" in sys.argv[1:]:
        RECORD.write_text(json.dumps({"machine": here, "per packet": counts}, indent=2) + "\n")
    record = json.loads(RECORD.read_text())
    known, is_same = record["per packet"], record["machine"] == here
    wrong = []
    for name, now in counts.items():
        before = known.get(name)
        change = (now / before - 1) * 100 if before else None
        print(f"{name:12} {now:9,.0f} instructions a packet"
              + (f"  {change:+.1f} %" if before else "  not on record"))
        if before is None or abs(now / before - 1) > TOLERANCE:
            wrong.append(name)
    wrong += sorted(set(known) - set(counts))
    if not is_same:
        print(f"not compared: the record is of {record['machine']}, this is {here}")
        return 0
    if wrong:
        print(f"{', '.join(wrong)}: more than {TOLERANCE:.0%} away from {RECORD.name}. If it is "
              "meant so, write the new figures with Tests/PacketCost/check.py --update and say why")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
