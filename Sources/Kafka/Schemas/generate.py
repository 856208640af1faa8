#!/usr/bin/env python3
"""Writes the Swift of KafkaWire/Messages from the schema files beside this script.

    generate.py            writes what is out of date and removes what has no schema
    generate.py --check    writes nothing, says what differs, fails if anything does

README.md describes the schema language. What is deliberate in the Swift:
- a version range is narrowed to the versions of the message, so that a field of versions that we
  do not speak is in the schema but not in the Swift;
- `reader.flexible` and `writer.flexible` choose between plain and compact encodings, so the
  generated code says only what is there, not how it is written;
- no closures and no expression longer than a line: the compiler has a hundred of these to check.
"""
import dataclasses
import pathlib
import re
import sys

SCHEMAS = pathlib.Path(__file__).resolve().parent
MESSAGES = SCHEMAS.parent / "KafkaWire" / "Messages"
FOREVER = 0x7FFF
PRIMITIVES = {
    "bool": ("Bool", "bool", "false"),
    "int8": ("Int8", "int8", "0"),
    "int16": ("Int16", "int16", "0"),
    "uint16": ("UInt16", "uint16", "0"),
    "int32": ("Int32", "int32", "0"),
    "int64": ("Int64", "int64", "0"),
    "float64": ("Double", "float64", "0"),
    "string": ("String", "string", '""'),
    "uuid": ("KafkaUUID", "uuid", ".zero"),
    "bytes": ("ByteBuffer", "bytes", "ByteBuffer()"),
    "records": ("Records", "records", ".empty"),
}
KEYWORDS = {"protocol", "default", "in", "operator", "self", "is", "as", "for", "where", "internal"}
LOCALS = {"version", "reader", "writer", "tag", "tags", "start"}
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

    def test(self, within):
        """A Swift condition that is true in this range, for versions that are `within`."""
        if self.empty:
            return "false"
        tests = []
        if self.low > within.low:
            tests.append(f"version >= {self.low}")
        if self.high < within.high:
            tests.append(f"version <= {self.high}")
        if self.low == self.high and tests:
            return f"version == {self.low}"
        return " && ".join(tests) or "true"


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
    def swift_name(self):
        name = self.name[0].lower() + self.name[1:]
        return f"`{name}`" if name in KEYWORDS else name

    @property
    def member(self):
        """The name where the generated code has locals of its own."""
        return f"self.{self.swift_name}" if self.swift_name in LOCALS else self.swift_name

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


def parse_file(path):
    """Every block of one schema file."""
    schemas, message, stack = [], None, []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        where = f"{path.name}:{number}"
        text = line.split("#")[0].rstrip()
        if not text:
            continue
        depth, odd = divmod(len(text) - len(text.lstrip()), 4)
        words = text.split()
        if odd:
            raise SchemaError(f"{where}: indented by no multiple of four")
        if depth == 0:
            if words[0] in KINDS:
                schemas.append(Schema(words[0], words[1], path))
                continue
            schema = schemas[-1]
            if words[0] in ("request", "response", "fields"):
                suffix = words[0].capitalize() if schema.kind == "api" else ""
                message = Message(schema.name + suffix, [])
                schema.messages.append(message)
                stack = [message.fields]
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
            continue
        if words[0] == "struct" and depth == 1 and len(words) == 2:
            message.structs[words[1]] = Message(words[1], [])
            stack = [None, message.structs[words[1]].fields]
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
        if tags != list(range(len(tags))):
            raise SchemaError(f"{message.name}.{struct.name}: tags {tags}")
        for field in struct.fields:
            if field.element not in PRIMITIVES and field.element not in message.structs:
                raise SchemaError(f"{message.name}: no type {field.element}")
            if field.tag is not None and not schema.flexible.holds(field.versions):
                raise SchemaError(f"{message.name}.{field.name}: a tag in a plain version")


def load():
    schemas = []
    for path in sorted(SCHEMAS.glob("*/*.schema")):
        schemas += parse_file(path)
    return schemas


# ---- Swift


class Emitter:
    """The Swift of one message."""

    def __init__(self, schema, message):
        self.schema = schema
        self.message = message
        self.lines = []
        self.ranges = {name: Versions.parse("none") for name in message.structs}
        self.spread(message.fields, schema.versions)

    def spread(self, fields, within):
        """In which versions each struct is used: there its fields need no test."""
        for field in fields:
            versions = field.versions & within
            if field.element in self.ranges and not versions.empty:
                wider = self.ranges[field.element] | versions
                if wider != self.ranges[field.element]:
                    self.ranges[field.element] = wider
                    self.spread(self.message.structs[field.element].fields, wider)

    def emit(self, depth, text):
        self.lines.append(("    " * depth + text) if text else "")

    def swift_type(self, field, within):
        base = PRIMITIVES[field.element][0] if field.element in PRIMITIVES else field.element
        if field.is_error_code:
            base = "ErrorCode"
        if field.is_array:
            base = f"[{base}]"
        return base if (field.nullable & field.versions & within).empty else base + "?"

    def default(self, field, within):
        if field.default == "null":
            return "nil"
        if self.is_message_text(field):
            return "nil"
        if field.is_array:
            return "[]"
        if field.element not in PRIMITIVES:
            return f"{field.element}()"
        if field.default is None:
            return ".none" if field.is_error_code else PRIMITIVES[field.element][2]
        if field.is_error_code:
            return f"ErrorCode(rawValue: {field.default})"
        return field.default

    @staticmethod
    def is_message_text(field):
        # Kafka's default is the empty text, and its code sets null wherever there is no error.
        return field.name == "ErrorMessage" and not field.nullable.empty and field.tag is None

    def whole(self):
        schema, message = self.schema, self.message
        source = schema.path.relative_to(SCHEMAS.parent)
        self.emit(0, f"// Generated by generate.py from {source}: edit that.")
        self.emit(0, "")
        self.emit(0, "import NIOCore")
        self.emit(0, "")
        facts = []
        if schema.kind == "api":
            facts.append(f"static var apiKey: Int16 {{ {schema.key} }}")
            protocol = "Kafka" + message.name.removeprefix(schema.name)
            if protocol == "KafkaRequest":
                facts.insert(0, f"typealias Response = {schema.name}Response")
        elif schema.kind == "record":
            facts.append(f"static var apiKey: Int16 {{ {schema.key} }}")
            protocol = "KafkaMetadataRecord"
        else:
            protocol = "KafkaMessage"
        low, high = schema.versions.low, schema.versions.high
        facts.append(f"static var validVersions: ClosedRange<Int16> {{ {low}...{high} }}")
        flexible = schema.flexible & schema.versions
        first = "nil" if schema.flexible.empty else schema.flexible.low
        facts.append(f"static var flexibleVersions: Int16? {{ {first} }}")
        self.struct(0, message, protocol, schema.versions, facts, flexible)
        return "\n".join(self.lines) + "\n"

    def struct(self, depth, struct, protocol, within, facts, flexible):
        fields = [field for field in struct.fields if not (field.versions & within).empty]
        self.emit(depth, f"package struct {struct.name}: {protocol} {{")
        for fact in facts:
            self.emit(depth + 1, "package " + fact)
        if facts and fields:
            self.emit(0, "")
        for field in fields:
            name, type_ = field.swift_name, self.swift_type(field, within)
            self.emit(depth + 1, f"package var {name}: {type_} = {self.default(field, within)}")
        self.emit(0, "")
        self.memberwise(depth + 1, fields, within)
        self.emit(0, "")
        self.decode(depth + 1, struct, fields, within, flexible)
        self.emit(0, "")
        self.encode(depth + 1, fields, within, flexible)
        if struct is self.message:
            for name, inner in self.message.structs.items():
                if not self.ranges[name].empty:
                    self.emit(0, "")
                    self.struct(depth + 1, inner, "KafkaStruct", self.ranges[name], [], None)
        self.emit(depth, "}")

    def memberwise(self, depth, fields, within):
        if not fields:
            self.emit(depth, "package init() {}")
            return
        self.emit(depth, "package init(")
        for index, field in enumerate(fields):
            comma = "," if index + 1 < len(fields) else ""
            name, type_ = field.swift_name, self.swift_type(field, within)
            self.emit(depth + 1, f"{name}: {type_} = {self.default(field, within)}{comma}")
        self.emit(depth, ") {")
        for field in fields:
            self.emit(depth + 1, f"self.{field.swift_name.strip('`')} = {field.swift_name}")
        self.emit(depth, "}")

    def set_flexible(self, depth, coder, flexible):
        if flexible is not None:
            self.emit(depth, f"{coder}.flexible = {flexible.test(self.schema.versions)}")

    def decode(self, depth, struct, fields, within, flexible):
        self.emit(
            depth,
            "package init(from reader: inout WireReader, version: Int16) throws(WireError) {")
        if flexible is not None:
            self.emit(depth + 1, "try Self.check(version)")
        self.set_flexible(depth + 1, "reader", flexible)
        for field in fields:
            if field.tag is None:
                read = f"{field.member} = try {self.read(field, within)}"
                self.guarded(depth + 1, (field.versions & within).test(within), read)
        self.decode_tags(depth + 1, [f for f in fields if f.tag is not None], within)
        self.emit(depth, "}")

    def guarded(self, depth, test, statement):
        line = f"if {test} {{ {statement} }}"
        if test == "true":
            self.emit(depth, statement)
        elif 4 * depth + len(line) <= 100:
            self.emit(depth, line)
        else:
            self.emit(depth, f"if {test} {{")
            self.emit(depth + 1, statement)
            self.emit(depth, "}")

    def read(self, field, within):
        nullable = field.nullable & field.versions & within
        call = self.call(field)
        if nullable.empty:
            arguments = []
            name = call
        else:
            arguments = [nullable.test(field.versions & within)]
            name = "nullable" + call[0].upper() + call[1:]
        if field.plain:
            name = "plain" + name[0].upper() + name[1:]
        if field.element not in PRIMITIVES:
            if nullable.empty and not field.is_array:
                return f"{field.element}(from: &reader, version: version)"
            arguments = [f"{field.element}.self", "version", *arguments]
        return f"reader.{name}({', '.join(arguments)})"

    def call(self, field):
        if field.element not in PRIMITIVES:
            return "structs" if field.is_array else "struct"
        if field.is_error_code:
            return "errorCode"
        return PRIMITIVES[field.element][1] + ("s" if field.is_array else "")

    def decode_tags(self, depth, tagged, within):
        if (self.schema.flexible & within).empty:
            return
        if not tagged:
            self.emit(depth, "try reader.skipTags()")
            return
        self.emit(depth, "var tags = try reader.tagCount()")
        self.emit(depth, "while tags > 0 {")
        self.emit(depth + 1, "tags -= 1")
        self.emit(depth + 1, "let tag = try reader.beginTag()")
        self.emit(depth + 1, "switch tag.number {")
        for field in sorted(tagged, key=lambda f: f.tag):
            test = (field.versions & within).test(self.schema.flexible & within)
            condition = "" if test == "true" else f" where {test}"
            self.emit(depth + 1, f"case {field.tag}{condition}:")
            self.emit(depth + 2, f"{field.member} = try {self.read(field, within)}")
        self.emit(depth + 1, "default: reader.skip(tag)")
        self.emit(depth + 1, "}")
        self.emit(depth + 1, "try reader.end(tag)")
        self.emit(depth, "}")

    def encode(self, depth, fields, within, flexible):
        self.emit(depth, "package func encode(to writer: inout WireWriter, version: Int16) {")
        self.set_flexible(depth + 1, "writer", flexible)
        for field in fields:
            if field.tag is None:
                test = (field.versions & within).test(within)
                self.guarded(depth + 1, test, self.write(field, within))
        self.encode_tags(depth + 1, [f for f in fields if f.tag is not None], within)
        self.emit(depth, "}")

    def write(self, field, within):
        nullable = field.nullable & field.versions & within
        call = self.call(field)
        name = call if nullable.empty else "nullable" + call[0].upper() + call[1:]
        if field.plain:
            name = "plain" + name[0].upper() + name[1:]
        arguments = [field.member]
        if field.element not in PRIMITIVES:
            if nullable.empty and not field.is_array:
                return f"{field.member}.encode(to: &writer, version: version)"
            arguments.append("version")
        if not nullable.empty:
            test = nullable.test(field.versions & within)
            if test != "true":
                arguments.append(f"orEmptyUnless: {test}")
        return f"writer.{name}({', '.join(arguments)})"

    def encode_tags(self, depth, tagged, within):
        flexible = self.schema.flexible & within
        if flexible.empty:
            return
        if not tagged:
            self.emit(depth, "writer.noTags()")
            return
        inner = depth
        if flexible != within:
            self.emit(depth, "guard writer.flexible else { return }")
        tagged = sorted(tagged, key=lambda f: f.tag)
        self.emit(inner, "var tags = 0")
        for field in tagged:
            self.emit(inner, f"if {self.present(field, within, flexible)} {{ tags += 1 }}")
        self.emit(inner, "writer.tagCount(tags)")
        self.emit(inner, "if tags == 0 { return }")
        for field in tagged:
            self.emit(inner, f"if {self.present(field, within, flexible)} {{")
            self.emit(inner + 1, f"let start = writer.beginTag({field.tag})")
            self.emit(inner + 1, self.write(field, within))
            self.emit(inner + 1, "writer.endTag(start)")
            self.emit(inner, "}")

    def present(self, field, within, flexible):
        test = (field.versions & within).test(flexible)
        default = self.default(field, within)
        if field.is_array and default == "[]" and "?" not in self.swift_type(field, within):
            unlike = f"!{field.member}.isEmpty"
        else:
            unlike = f"{field.member} != {default}"
        return unlike if test == "true" else f"{test} && {unlike}"


def api_keys(schemas):
    """What is known of every API, generated or not."""
    apis = sorted((s for s in schemas if s.kind == "api"), key=lambda s: s.key)
    out = ["// Generated by generate.py from Schemas: edit those.", ""]

    def table(head, value):
        out.append(f"    package var {head} {{")
        out.append("        switch self {")
        for schema in apis:
            case = schema.name[0].lower() + schema.name[1:]
            out.append(f"        case .{case}: {value(schema)}")
        out.extend(["        }", "    }"])

    out.append("/// Kafka's APIs: name, key and what the release that we mirror says of them.")
    out.append("package enum ApiKey: Int16, CaseIterable, Sendable {")
    for schema in apis:
        out.append(f"    case {schema.name[0].lower() + schema.name[1:]} = {schema.key}")
    out.append("")
    table("name: String", lambda s: f'"{s.name}"')
    out.append("")
    out.append("    /// The versions that have a meaning in this release.")
    table(
        "validVersions: ClosedRange<Int16>", lambda s: f"{s.versions.low}...{s.versions.high}")
    out.append("")
    out.append("    /// The first version with compact encodings and tagged fields.")
    table("flexibleVersions: Int16?", lambda s: "nil" if s.flexible.empty else s.flexible.low)
    out.append("")
    out.append("    /// What ApiVersions says where that is not `validVersions`.")
    out.append("    package var advertisedVersions: ClosedRange<Int16> {")
    out.append("        switch self {")
    for schema in apis:
        if schema.advertise:
            case = schema.name[0].lower() + schema.name[1:]
            out.append(f"        case .{case}: {schema.advertise.low}...{schema.advertise.high}")
    out.extend(["        default: validVersions", "        }", "    }", ""])
    for listener in ("broker", "controller"):
        cases = [
            "." + s.name[0].lower() + s.name[1:] for s in apis if listener in s.listeners]
        out.append(f"    package var isServedBy{listener.capitalize()}s: Bool {{")
        out.append("        switch self {")
        out.append(f"        case {cases[0]},")
        out.extend(f"            {case}," for case in cases[1:-1])
        out.append(f"            {cases[-1]}:")
        out.append("            true")
        out.extend(["        default: false", "        }", "    }", ""])
    out.pop()
    out.append("}")
    return "\n".join(out) + "\n"


def registry(schemas):
    names = [m.name for s in schemas if s.generate for m in s.messages]
    out = ["// Generated by generate.py from Schemas: edit those.", ""]
    out.append("extension KafkaMessages {")
    out.append("    /// Every message that has Swift, by name: for tests, fuzzing and tools.")
    out.append("    package static let all: [any KafkaMessage.Type] = [")
    out.extend(f"        {name}.self," for name in sorted(names))
    out.extend(["    ]", "}"])
    return "\n".join(out) + "\n"


def wanted():
    schemas = load()
    names = [schema.name for schema in schemas]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SchemaError(f"there twice: {', '.join(twice)}")
    files = {"ApiKey.swift": api_keys(schemas), "Registry.swift": registry(schemas)}
    for schema in schemas:
        for message in schema.messages if schema.generate else []:
            files[message.name + ".swift"] = Emitter(schema, message).whole()
    return files


def main(arguments):
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    try:
        files = wanted()
    except SchemaError as error:
        print(error)
        return 1
    there = {path.name: path.read_text() for path in MESSAGES.glob("*.swift")}
    missing = sorted(files.keys() - there.keys())
    extra = sorted(there.keys() - files.keys())
    stale = sorted(name for name in files.keys() & there.keys() if files[name] != there[name])
    if arguments:
        for word, names in (("missing", missing), ("stale", stale), ("without schema", extra)):
            for name in names:
                print(f"{word}: KafkaWire/Messages/{name}")
        if missing or extra or stale:
            print("run Sources/Kafka/Schemas/generate.py and commit what it writes")
            return 1
        print(f"{len(files)} generated files are as their schemas say")
        return 0
    MESSAGES.mkdir(parents=True, exist_ok=True)
    for name in missing + stale:
        (MESSAGES / name).write_text(files[name])
    for name in extra:
        (MESSAGES / name).unlink()
    print(f"{len(missing) + len(stale)} written, {len(extra)} removed, {len(files)} in all")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
