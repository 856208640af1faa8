"""kafka-python's schemas and codecs, as another witness of the wire."""
import functools
import importlib
import json
import os
import pathlib
import sys
import uuid

from differences import LATER, OURS

VERSION = "3.0.12"


def site():
    """The folder that has the package `kafka` of the version that we compare with."""
    folder = os.environ.get("KAFKA_PYTHON_SITE")
    if not folder or not (pathlib.Path(folder) / "kafka/protocol").is_dir():
        raise RuntimeError(
            f"set KAFKA_PYTHON_SITE to a folder with kafka-python {VERSION}, as made by "
            f"pip install --target FOLDER kafka-python=={VERSION}")
    return pathlib.Path(folder)


def schemas():
    """name -> schema, as shipped."""
    found = {}
    for path in sorted((site() / "kafka/protocol/schemas/resources").glob("*.json")):
        lines = path.read_text().splitlines()
        schema = json.loads("\n".join(x for x in lines if not x.strip().startswith("//")))
        found[schema["name"]] = schema
    return found


@functools.cache
def classes():
    """name -> class of every message that kafka-python can encode."""
    if str(site()) not in sys.path:
        sys.path.insert(0, str(site()))
    import kafka.version
    assert kafka.version.__version__ == VERSION, kafka.version.__version__
    found = {}
    for area in ("admin", "consumer", "metadata", "producer", "sasl"):
        module = importlib.import_module(f"kafka.protocol.{area}")
        for name in dir(module):
            value = getattr(module, name)
            if hasattr(value, "_json") and isinstance(value._json, dict):
                found[value._json["name"]] = value
    return found


def kafka_field(struct, ours):
    """kafka-python's field of that name; it renames what it reads as a set of bits."""
    for field in struct.fields.values():
        if field._name == ours.name:
            return field
    for field in struct.fields.values():
        if field._name == "authorized_operations" and ours.name.endswith("AuthorizedOperations"):
            return field
    raise KeyError(ours.name)


def is_ours(codec, field):
    """Whether nobody but brokers of ours has that field."""
    return any(message == codec.name and path.split(".")[-1] == field.name and why == OURS
               for (message, path), why in LATER.items())


def without_ours(codec, value, fields=None):
    """What kafka-python can say of one of our values: fields that are ours have their default."""
    found = dict(value)
    for field in codec.message.fields if fields is None else fields:
        if field.name not in value:
            continue
        if is_ours(codec, field):
            del found[field.name]
        elif field.element in codec.message.structs and value[field.name] is not None:
            inner = codec.message.structs[field.element].fields
            one = value[field.name]
            found[field.name] = [without_ours(codec, item, inner) for item in one] \
                if field.is_array else without_ours(codec, one, inner)
    return found


def build(codec, struct, fields, value, version, data_class):
    """kafka-python's object for one of our values."""
    arguments = {}
    for field in fields:
        if field.name not in value:
            continue
        theirs = kafka_field(struct, field)
        arguments[theirs.name] = convert(codec, theirs, field, value[field.name], version)
    return data_class(version=version, **arguments)


def convert(codec, theirs, field, value, version):
    if value is None:
        return None
    if field.element in codec.message.structs:
        inner = codec.message.structs[field.element].fields
        items = value if field.is_array else [value]
        if field.tag is not None and value == codec.default(field, version):
            return theirs.default
        built = [build(codec, theirs, inner, i, version, theirs.data_class) for i in items]
        return built if field.is_array else built[0]
    if theirs._type_str == "bitfield":
        bits = value & 0xFFFFFFFF
        return None if bits == 1 << 31 else {bit for bit in range(32) if bits >> bit & 1}
    if field.type == "uuid" and field.tag is not None and value.int == 0:
        return None
    return value


def plain(codec, struct, fields, decoded, version):
    """One of our values for kafka-python's object."""
    value = {}
    for field in fields:
        if not field.versions.low <= version <= field.versions.high or is_ours(codec, field):
            continue
        theirs = kafka_field(struct, field)
        found = getattr(decoded, theirs.name)
        value[field.name] = plain_field(codec, theirs, field, found, version)
    return value


def plain_field(codec, theirs, field, found, version):
    if theirs._type_str == "bitfield":
        bits = 1 << 31 if found is None else sum(1 << bit for bit in found)
        return bits - (1 << 32) if bits >> 31 else bits
    if found is None:
        if field.tag is not None or field.type == "uuid":
            return codec.default(field, version)
        return None
    if field.element in codec.message.structs:
        inner = codec.message.structs[field.element].fields
        if field.is_array:
            return [plain(codec, theirs, inner, item, version) for item in found]
        return plain(codec, theirs, inner, found, version)
    if field.type in ("bytes", "records"):
        return bytes(found)
    if field.type == "uuid" and not isinstance(found, uuid.UUID):
        return uuid.UUID(found)
    return found


def message_class(codec):
    return classes().get(codec.name)


def encode(codec, value, version):
    cls = message_class(codec)
    message = build(codec, cls._struct, codec.message.fields, value, version, cls)
    if codec.schema.kind == "api":
        return message.encode(version=version)
    return message.encode(version=version, header=False)


def decode(codec, content, version):
    cls = message_class(codec)
    if codec.schema.kind == "api":
        message = cls.decode(content, version=version)
    else:
        message = cls.decode(content, version=version, header=False)
    return plain(codec, cls._struct, codec.message.fields, message, version)
