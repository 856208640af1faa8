import CYaml

/// Builds the tree from libyaml's events with a stack of its own: no recursion on outside input.
struct TreeBuilder {
    let limits: ConfigLimits
    let log: ConfigLog
    let bytes: UnsafeRawBufferPointer

    private struct Open {
        var start: ConfigMark
        var isMap: Bool
        var isFlow: Bool
        var items: [ConfigNode] = []
        var entries: [ConfigEntry] = []
        var key: ConfigNode?
        /// Where the last thing inside ended; a block ends there, not where the next token is.
        var lastEnd: ConfigMark
    }
    private var stack: [Open] = []
    private var root: ConfigNode?
    private var nodes = 0
    private var documents = 0

    init(limits: ConfigLimits, log: ConfigLog, bytes: UnsafeRawBufferPointer) {
        self.limits = limits
        self.log = log
        self.bytes = bytes
    }

    mutating func build() -> ConfigNode? {
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        let event = UnsafeMutablePointer<yaml_event_t>.allocate(capacity: 1)
        defer {
            parser.deallocate()
            event.deallocate()
        }
        guard yaml_parser_initialize(parser) == 1 else {
            log.report(.start, .root, "out of memory while reading the document")
            return nil
        }
        defer { yaml_parser_delete(parser) }
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(
            parser, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
        while true {
            guard yaml_parser_parse(parser, event) == 1 else {
                report(parser.pointee)
                return nil
            }
            defer { yaml_event_delete(event) }
            if event.pointee.type == YAML_STREAM_END_EVENT { break }
            guard take(event.pointee) else { return nil }
        }
        guard let root else {
            log.report(.start, .root, "the document is empty")
            return nil
        }
        return root
    }

    /// False to stop: the problem has been reported.
    private mutating func take(_ event: yaml_event_t) -> Bool {
        let start = mark(event.start_mark)
        let end = mark(event.end_mark)
        switch event.type {
        case YAML_STREAM_START_EVENT, YAML_DOCUMENT_END_EVENT:
            return true
        case YAML_DOCUMENT_START_EVENT:
            documents += 1
            if documents > 1 {
                return refuse(start, "a second document begins here: one file holds one document")
            }
            let directives = event.data.document_start.tag_directives
            if directives.start != directives.end {
                return refuse(start, "%TAG directives are not supported: remove them")
            }
            return true
        case YAML_ALIAS_EVENT:
            return refuse(
                start,
                "aliases (*name) are not supported: write the value out; a pattern that begins "
                    + "with * needs quotes")
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            guard count(start), noAnchor(scalar.anchor, start) else { return false }
            let text = String(
                decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length),
                as: UTF8.self)
            guard let quoted = isQuoted(scalar, start) else { return false }
            let isNull = !quoted && ["", "~", "null", "Null", "NULL"].contains(text)
            return add(
                ConfigNode(
                    content: isNull ? .null : .scalar(text, isQuoted: quoted), start: start,
                    end: end))
        case YAML_SEQUENCE_START_EVENT:
            let data = event.data.sequence_start
            guard count(start), noAnchor(data.anchor, start),
                coreTag(data.tag, "tag:yaml.org,2002:seq", start)
            else { return false }
            return open(start, isMap: false, isFlow: data.style == YAML_FLOW_SEQUENCE_STYLE)
        case YAML_MAPPING_START_EVENT:
            let data = event.data.mapping_start
            guard count(start), noAnchor(data.anchor, start),
                coreTag(data.tag, "tag:yaml.org,2002:map", start)
            else { return false }
            return open(start, isMap: true, isFlow: data.style == YAML_FLOW_MAPPING_STYLE)
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT:
            guard let top = stack.popLast() else { return refuse(start, "not valid YAML") }
            return add(
                ConfigNode(
                    content: top.isMap ? .map(top.entries) : .list(top.items), start: top.start,
                    end: top.isFlow ? end : top.lastEnd, isFlow: top.isFlow))
        default:
            return refuse(start, "not valid YAML")
        }
    }

    private mutating func open(_ start: ConfigMark, isMap: Bool, isFlow: Bool) -> Bool {
        guard stack.count < limits.depth else {
            return refuse(start, "nested deeper than the \(limits.depth) levels allowed")
        }
        stack.append(Open(start: start, isMap: isMap, isFlow: isFlow, lastEnd: start))
        return true
    }

    private mutating func add(_ node: ConfigNode) -> Bool {
        guard !stack.isEmpty else {
            root = node
            return true
        }
        // Where it lies: there are millions of nodes.
        let top = stack.count - 1
        stack[top].lastEnd = node.end
        if !stack[top].isMap {
            stack[top].items.append(node)
        } else if let key = stack[top].key {
            stack[top].entries.append(ConfigEntry(key: key, value: node))
            stack[top].key = nil
        } else {
            stack[top].key = node
        }
        return true
    }

    private mutating func count(_ start: ConfigMark) -> Bool {
        nodes += 1
        return nodes <= limits.nodes
            || refuse(start, "more than the \(limits.nodes) values allowed")
    }

    private func noAnchor(_ anchor: UnsafeMutablePointer<UInt8>?, _ start: ConfigMark) -> Bool {
        anchor == nil || refuse(start, "anchors (&name) are not supported: write the value out")
    }

    private func coreTag(
        _ tag: UnsafeMutablePointer<UInt8>?, _ allowed: String, _ start: ConfigMark
    ) -> Bool {
        guard let tag else { return true }
        let name = String(cString: tag)
        return name == allowed || name == "!"
            || refuse(start, "the tag \(printable(name)) is not supported: remove it")
    }

    /// Whether a scalar is text by how it is written, whatever it looks like; nil if refused.
    private func isQuoted(
        _ scalar: yaml_event_s.__Unnamed_union_data.__Unnamed_struct_scalar, _ start: ConfigMark
    ) -> Bool? {
        let written = scalar.style != YAML_PLAIN_SCALAR_STYLE
        guard let tag = scalar.tag else { return written }
        switch String(cString: tag) {
        case "!", "tag:yaml.org,2002:str": return true
        case "tag:yaml.org,2002:int", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:float",
            "tag:yaml.org,2002:null":
            if !written { return false }
            _ = refuse(start, "a tag on quoted text: remove the tag or the quotes")
            return nil
        case let other:
            _ = refuse(start, "the tag \(printable(other)) is not supported: remove it")
            return nil
        }
    }

    private func refuse(_ mark: ConfigMark, _ message: String) -> Bool {
        log.report(mark, .root, message)
        return false
    }

    private func mark(_ mark: yaml_mark_t) -> ConfigMark {
        ConfigMark(
            line: Int(clamping: mark.line) + 1, column: Int(clamping: mark.column) + 1,
            offset: Int(clamping: mark.index))
    }

    private func report(_ parser: yaml_parser_t) {
        let problem = parser.problem.map { String(cString: $0) } ?? "not readable"
        let context = parser.context.map { " " + String(cString: $0) } ?? ""
        if parser.error == YAML_READER_ERROR {
            let place = ConfigParser.mark(ofByte: Int(clamping: parser.problem_offset), in: bytes)
            log.report(place, .root, "not valid YAML: \(problem)")
            return
        }
        let place = mark(parser.problem_mark)
        var hint = ""
        if byte(at: place) == 9 { hint = " (indent with spaces: a tab is not allowed here)" }
        // `[*]` and `*.x` are no aliases to libyaml, and patterns to whoever wrote them.
        if byte(at: mark(parser.context_mark)) == 42 {
            hint = " (a pattern that begins with * needs quotes)"
        }
        log.report(place, .root, "not valid YAML: \(problem)\(context)\(hint)")
    }

    private func byte(at mark: ConfigMark) -> UInt8? {
        var offset = 0
        for byte in bytes where byte & 0xc0 != 0x80 {
            if offset == mark.offset { return byte }
            offset += 1
        }
        return nil
    }
}
