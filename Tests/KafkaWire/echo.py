"""Sends messages through wire-echo, which decodes and encodes them with KafkaWire."""
import os
import pathlib
import struct
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("WIRE_ECHO", str(ROOT / ".build/release/wire-echo"))


class Echo:
    def __init__(self):
        self.process = subprocess.Popen(
            [PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def call(self, request):
        self.process.stdin.write(struct.pack(">I", len(request)) + request)
        self.process.stdin.flush()
        (length,) = struct.unpack(">I", self.process.stdout.read(4))
        return self.process.stdout.read(length)

    def echo(self, name, version, content):
        """The message encoded again and how many bytes were left over, or an error's text."""
        answer = self.call(name.encode() + b"\0" + struct.pack(">h", version) + content)
        if answer[0]:
            return answer[1:].decode(), None
        return answer[5:], struct.unpack(">I", answer[1:5])[0]

    def messages(self):
        """The versions of every message that KafkaWire has."""
        lines = self.call(b"\0")[5:].decode().splitlines()
        return {n: (int(low), int(high)) for n, low, high in (line.split() for line in lines)}
