"""Tries to reach addresses, in every way a stranger would: echo requests, TCP to Kafka's ports,
UDP. It comes from port 4747 where it may choose, so that captures can tell it from all else."""

import concurrent.futures
import json
import socket
import subprocess
import sys

PORT = 4747


def echo(address):
    done = subprocess.run(["ping", "-nqc1", "-W1", address], capture_output=True)
    return done.returncode == 0


def tcp(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.settimeout(1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("", PORT))
            one.connect((address, port))
            return True
        except OSError:
            return False


def udp(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.settimeout(1)
        try:
            one.sendto(b"is anybody there?", (address, PORT))
            one.recv(2048)
            return True
        except ConnectionRefusedError:
            return True  # somebody said no: it was reached
        except OSError:
            return False


def main(addresses):
    tries = [(f"echo {a}", echo, (a,)) for a in addresses]
    tries += [(f"tcp {a}:{p}", tcp, (a, p)) for a in addresses for p in (9092, 9093)]
    tries += [(f"udp {a}", udp, (a,)) for a in addresses]
    with concurrent.futures.ThreadPoolExecutor(len(tries)) as pool:
        answers = list(pool.map(lambda one: one[1](*one[2]), tries))
    print(json.dumps({"tried": len(tries),
                      "reached": [one[0] for one, answer in zip(tries, answers) if answer]}))


if __name__ == "__main__":
    main(sys.argv[1:])
