"""The schema language: README.md describes it."""
import dataclasses
import pathlib
import re

SCHEMAS = pathlib.Path(__file__).resolve().parent
FOREVER = 0x7FFF
TYPES = {
    "bool", "int8", "int16", "uint16", "int32", "int64", "float64", "string", "uuid", "bytes",
    "records",
}
KINDS = {"api", "header", "record", "data"}
FIELD = re.compile(r"^(\w+)\s+((?:\[\])?\w+)\s+(\d+\+|\d+-\d+|\d+)(?:\s+(.*))?$")


class SchemaError(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Versions:
    """A closed range; an empty one has low > high."""

    low: int
    high: int

    @staticmethod
    def parse(text):
        if text == "none":
            return Versions(FOREVER, 0)
        if text.endswith("+"):
            return Versions(int(text[:-1]), FOREVER)
        low, _, high = text.partition("-")
        return Versions(int(low), int(high or low))

    def __and__(self, other):
        return Versions(max(self.low, other.low), min(self.high, other.high))

    def __or__(self, other):
        if self.empty or other.empty:
            return other if self.empty else self
        return Versions(min(self.low, other.low), max(self.high, other.high))

    @property
    def empty(self):
        return self.low > self.high

    def holds(self, other):
        return other.empty or (self.low <= other.low and other.high <= self.high)


@dataclasses.dataclass
class Field:
    name: str
    type: str
    versions: Versions
    nullable: Versions
    tag: int | None
    default: str | None
    plain: bool
    ignorable: bool
    fields: list

    @property
    def element(self):
        return self.type.removeprefix("[]")

    @property
    def is_array(self):
        return self.type.startswith("[]")

    @property
    def is_error_code(self):
        return self.type == "int16" and self.name.endswith("ErrorCode")


@dataclasses.dataclass
class Message:
    """A message or a struct in one; `structs` holds the structs of a message by name."""

    name: str
    fields: list
    structs: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Schema:
    """One `api`, `header`, `record` or `data` block of a file."""

    kind: str
    name: str
    path: pathlib.Path
    key: int | None = None
    versions: Versions | None = None
    advertise: Versions | None = None
    flexible: Versions | None = None
    listeners: tuple = ()
    generate: bool = True
    messages: list = dataclasses.field(default_factory=list)


def parse_field(text, where):
    match = FIELD.match(text)
    if not match:
        raise SchemaError(f"{where}: not a field: {text}")
    name, type_, versions, rest = match.groups()
    field = Field(
        name, type_, Versions.parse(versions), Versions.parse("none"), None, None, False, False, [])
    words = (rest or "").split()
    while words:
        word = words.pop(0)
        if word == "nullable":
            ranged = words and re.match(r"^\d", words[0])
            field.nullable = Versions.parse(words.pop(0)) if ranged else field.versions
        elif word == "tag":
            field.tag = int(words.pop(0))
        elif word == "=":
            field.default = words.pop(0)
        elif word in ("plain", "ignorable"):
            setattr(field, word, True)
        else:
            raise SchemaError(f"{where}: unknown word {word}")
    return field


def parse_heading(schema, words, where):
    """A line that stands at the margin."""
    if words[0] in ("request", "response", "fields"):
        suffix = words[0].capitalize() if schema.kind == "api" else ""
        schema.messages.append(Message(schema.name + suffix, []))
    elif words[0] in ("versions", "advertise", "flexible"):
        setattr(schema, words[0], Versions.parse(words[1]))
    elif words[0] == "key":
        schema.key = int(words[1])
    elif words[0] == "listeners":
        schema.listeners = tuple(words[1:])
    elif words == ["generate", "no"]:
        schema.generate = False
    else:
        raise SchemaError(f"{where}: unknown word {words[0]}")


def parse_file(path):
    """Every block of one schema file."""
    schemas, stack = [], []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        where = f"{path.name}:{number}"
        text = line.split("#")[0].rstrip()
        if not text:
            continue
        depth, odd = divmod(len(text) - len(text.lstrip()), 4)
        words = text.split()
        if odd:
            raise SchemaError(f"{where}: indented by no multiple of four")
        if depth == 0 and words[0] in KINDS:
            schemas.append(Schema(words[0], words[1], path))
            continue
        if not schemas:
            raise SchemaError(f"{where}: what is this of?")
        if depth == 0:
            parse_heading(schemas[-1], words, where)
            stack = [message.fields for message in schemas[-1].messages[-1:]]
            continue
        if words[0] == "struct" and depth == 1 and len(words) == 2:
            message = schemas[-1].messages[-1]
            message.structs[words[1]] = Message(words[1], [])
            stack = [message.fields, message.structs[words[1]].fields]
            continue
        if depth > len(stack):
            raise SchemaError(f"{where}: indented too far")
        field = parse_field(text.strip(), where)
        stack = stack[:depth]
        stack[-1].append(field)
        stack.append(field.fields)
    for schema in schemas:
        for message in schema.messages:
            for fields in [message.fields, *(s.fields for s in message.structs.values())]:
                collect_structs(message, fields, path)
            check(message, schema)
    return schemas


def collect_structs(message, fields, path):
    for field in fields:
        if field.fields:
            if field.element in message.structs:
                raise SchemaError(f"{path.name}: struct {field.element} is there twice")
            message.structs[field.element] = Message(field.element, field.fields)
            collect_structs(message, field.fields, path)


def check(message, schema):
    for struct in [message, *message.structs.values()]:
        tags = sorted(field.tag for field in struct.fields if field.tag is not None)
        # Kafka counts its own from 0; ours begin where it will not come.
        if [tag for tag in tags if tag < 1000] != list(range(sum(tag < 1000 for tag in tags))):
            raise SchemaError(f"{message.name}.{struct.name}: tags {tags}")
        for field in struct.fields:
            if field.element not in TYPES and field.element not in message.structs:
                raise SchemaError(f"{message.name}: no type {field.element}")
            if field.tag is not None and not schema.flexible.holds(field.versions):
                raise SchemaError(f"{message.name}.{field.name}: a tag in a plain version")


def load():
    schemas = []
    for path in sorted(SCHEMAS.glob("*/*.schema")):
        schemas += parse_file(path)
    return schemas
