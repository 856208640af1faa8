"""Speaks to etcd from inside a namespace, over the JSON form of its gRPC interface."""

import argparse
import base64
import http.client
import itertools
import json
import sys
import time
from urllib.parse import urlsplit


class Member:
    """One connection, made again when it broke."""

    def __init__(self, url, seconds):
        self.url, self.seconds, self.connection = url, seconds, None

    def call(self, path, body):
        started = time.monotonic()
        try:
            if self.connection is None:
                parts = urlsplit(self.url)
                self.connection = http.client.HTTPConnection(
                    parts.hostname, parts.port, timeout=self.seconds)
            self.connection.request("POST", path, json.dumps(body),
                                    {"Content-Type": "application/json"})
            response = self.connection.getresponse()
            data = response.read()
            answer = {"ok": response.status == 200}
            if answer["ok"]:
                answer["reply"] = json.loads(data)
            else:
                answer["error"] = f"{response.status} {data.decode(errors='replace').strip()}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.connection = None
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        answer["ms"] = (time.monotonic() - started) * 1000
        return answer


def calls(args):
    member = Member(args.urls[0], args.seconds)
    for line in sys.stdin:
        print(json.dumps(member.call(*json.loads(line))), flush=True)


def write(args):
    """Key after key; one that a member did not confirm goes to the next member."""
    members = itertools.cycle(Member(url, args.seconds) for url in args.urls)
    member = next(members)
    for number in itertools.count():
        words = f"{args.prefix}/{number:06}".encode()
        body = {"key": base64.b64encode(words).decode(),
                "value": base64.b64encode(words[::-1]).decode()}
        while True:
            answer = member.call("/v3/kv/put", body)
            record = {"key": words.decode(), "url": member.url, "ok": answer["ok"],
                      "ms": answer["ms"], "at": time.monotonic()}
            if answer["ok"]:
                record["revision"] = int(answer["reply"]["header"]["revision"])
            print(json.dumps(record), flush=True)
            time.sleep(args.interval)
            if answer["ok"]:
                break
            member = next(members)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["calls", "write"])
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--interval", type=float, default=0.02)
    parser.add_argument("--prefix", default="demo")
    args = parser.parse_args()
    globals()[args.role](args)


if __name__ == "__main__":
    sys.exit(main())
