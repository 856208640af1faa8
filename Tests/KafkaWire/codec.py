"""A second, slow implementation of Kafka's encodings, straight from the schema files.

It shares the parser of the schema files with the generator and nothing else: KafkaWire's bytes are
held against it for every message, and against kafka-python for those that kafka-python has.
A message is a dict from field names to values; what a version does not have is not in it.
"""
import pathlib
import random
import struct
import sys
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Sources/Kafka/Schemas"))

import schema as language  # noqa: E402

FORMATS = {
    "int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "int64": ">q", "float64": ">d",
    "bool": ">?",
}
BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
TEXTS = ["", "a", "grüße", "日本", "🦡", "x" * 130, "with\0zero"]


def holds(versions, version):
    return versions.low <= version <= versions.high


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Codec:
    """One message of one schema."""

    def __init__(self, schema, message):
        self.schema = schema
        self.message = message
        self.name = message.name

    @property
    def versions(self):
        return range(self.schema.versions.low, self.schema.versions.high + 1)

    def flexible(self, version):
        return holds(self.schema.flexible, version)

    def default(self, field, version):
        if field.default == "null":
            return None
        if field.is_array:
            return []
        if field.element in self.message.structs:
            inner = self.message.structs[field.element].fields
            return {f.name: self.default(f, version) for f in inner if holds(f.versions, version)}
        text = field.default
        if field.type == "string":
            return "" if text in (None, '""') else text
        if field.type in ("bytes", "records"):
            return b""
        if field.type == "uuid":
            return uuid.UUID(int=0)
        if field.type == "bool":
            return text == "true"
        if field.type == "float64":
            return float(text or 0)
        return int(text or "0", 0)

    # ---- bytes

    def encode(self, value, version):
        return self.fields(self.message.fields, value, version)

    def fields(self, fields, value, version):
        out, tagged = b"", []
        for field in fields:
            if not holds(field.versions, version):
                continue
            if field.tag is None:
                out += self.field(field, value[field.name], version)
            elif value[field.name] != self.default(field, version):
                tagged.append((field.tag, self.field(field, value[field.name], version)))
        if self.flexible(version):
            out += varint(len(tagged))
            for tag, content in sorted(tagged):
                out += varint(tag) + varint(len(content)) + content
        return out

    def length(self, field, version, length):
        if self.flexible(version) and not field.plain:
            return varint(0 if length is None else length + 1)
        size = ">h" if field.type == "string" else ">i"
        return struct.pack(size, -1 if length is None else length)

    def field(self, field, value, version):
        if field.is_array:
            if value is None:
                return self.length(field, version, None)
            content = b"".join(self.element(field, item, version) for item in value)
            return self.length(field, version, len(value)) + content
        if field.element in self.message.structs and holds(field.nullable, version):
            return b"\xff" if value is None else b"\1" + self.element(field, value, version)
        return self.element(field, value, version)

    def element(self, field, value, version):
        kind = field.element
        if kind in self.message.structs:
            return self.fields(self.message.structs[kind].fields, value, version)
        if kind in FORMATS:
            return struct.pack(FORMATS[kind], value)
        if kind == "uuid":
            return value.bytes
        if value is None:
            return self.length(field, version, None)
        content = value.encode() if kind == "string" else value
        if field.is_array:
            short = varint(len(content) + 1) if self.flexible(version) else None
            return (short or struct.pack(">h", len(content))) + content
        return self.length(field, version, len(content)) + content

    # ---- values

    def fill(self, rng, version, fields=None):
        """A random value, nulls and defaults among them."""
        fields = self.message.fields if fields is None else fields
        value = {}
        for field in fields:
            if holds(field.versions, version):
                value[field.name] = self.any(rng, field, version)
        return value

    def any(self, rng, field, version):
        if field.tag is not None and rng.random() < 0.4:
            return self.default(field, version)
        if holds(field.nullable, version) and rng.random() < 0.25:
            return None
        if field.is_array:
            return [self.one(rng, field, version) for _ in range(rng.choice([0, 1, 1, 2]))]
        return self.one(rng, field, version)

    def one(self, rng, field, version):
        kind = field.element
        if kind in self.message.structs:
            return self.fill(rng, version, self.message.structs[kind].fields)
        if kind in BITS:
            low, high = -(1 << BITS[kind] - 1), (1 << BITS[kind] - 1) - 1
            return rng.choice([0, 1, -1, low, high, rng.randint(low, high)])
        if kind == "uint16":
            return rng.choice([0, 9092, 65535])
        if kind == "bool":
            return rng.random() < 0.5
        if kind == "float64":
            return rng.choice([0.0, 1.5, -2.25e300])
        if kind == "string":
            return rng.choice(TEXTS)
        if kind == "uuid":
            return uuid.UUID(bytes=rng.randbytes(16))
        return rng.randbytes(rng.choice([0, 1, 40, 200]))


def codecs(generated_only=True):
    return [
        Codec(schema, message) for schema in language.load()
        if schema.generate or not generated_only for message in schema.messages]


def seeded(name, version, number=0):
    return random.Random(f"{name} {version} {number}")
