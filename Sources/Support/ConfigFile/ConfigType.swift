/// How a field's text becomes a value. Everything wrong is logged at its place; nil means that
/// something was.
package struct ConfigType<Value> {
    package let read: (ConfigNode, ConfigPath, ConfigLog) -> Value?

    package init(_ read: @escaping (ConfigNode, ConfigPath, ConfigLog) -> Value?) {
        self.read = read
    }

    /// The value together with where it was written, for checks across fields.
    package var located: ConfigType<Located<Value>> {
        ConfigType<Located<Value>> { node, path, log in
            read(node, path, log).map { Located($0, mark: node.start, path: path) }
        }
    }

    /// A further rule: `rule` returns what is wrong and what to do, or nil.
    package func checked(_ rule: @escaping (Value) -> String?) -> ConfigType {
        ConfigType { node, path, log in
            guard let value = read(node, path, log) else { return nil }
            if let message = rule(value) {
                log.report(node.start, path, message)
                return nil
            }
            return value
        }
    }

    package func map<Other>(_ transform: @escaping (Value) -> Other) -> ConfigType<Other> {
        ConfigType<Other> { node, path, log in read(node, path, log).map(transform) }
    }

    /// A list of at most `limit` items. Problems of all items are reported; the result holds the
    /// items that were right, so that checks across them can still find more.
    package static func list<Item>(
        of item: ConfigType<Item>, atLeast minimum: Int = 0, atMost limit: Int
    ) -> ConfigType<[Item]> where Value == [Item] {
        ConfigType<[Item]> { node, path, log in
            guard case .list(let nodes) = node.content else {
                log.report(node.start, path, "must be a list, not \(node.kind)")
                return nil
            }
            if nodes.count < minimum {
                log.report(
                    node.start, path, "needs at least \(minimum) item\(minimum == 1 ? "" : "s")")
            }
            if nodes.count > limit {
                log.report(
                    nodes[limit].start, path.item(limit),
                    "too many: \(nodes.count) items, at most \(limit) allowed")
            }
            // A plain loop: most lists have one item, and there are hundreds of thousands.
            var items: [Item] = []
            for index in 0..<min(nodes.count, limit) {
                if let item = item.read(nodes[index], path.item(index), log) { items.append(item) }
            }
            return items
        }
    }

    /// A map whose keys are the user's own names, in the order of the file.
    package static func map<Key, Item>(
        of key: ConfigType<Key>, to item: ConfigType<Item>, atMost limit: Int
    ) -> ConfigType<[(key: Located<Key>, value: Item)]>
    where Value == [(key: Located<Key>, value: Item)] {
        ConfigType<[(key: Located<Key>, value: Item)]> { node, path, log in
            guard case .map(let entries) = node.content else {
                log.report(node.start, path, "must be a map, not \(node.kind)")
                return nil
            }
            if entries.count > limit {
                log.report(
                    entries[limit].key.start, path,
                    "too many: \(entries.count) entries, at most \(limit) allowed")
            }
            return entries.prefix(limit).compactMap { entry in
                guard let name = entry.name else { return nil }
                let place = path.field(name)
                let key = key.located.read(entry.key, place, log)
                let item = item.read(entry.value, place, log)
                guard let key, let item else { return nil }
                return (key, item)
            }
        }
    }

    /// A map with known fields. Unknown ones are reported after `build` has asked for its own.
    package static func object(_ build: @escaping (ConfigObject) -> Value?) -> ConfigType {
        ConfigType { node, path, log in
            guard let object = ConfigObject(node, path, log) else { return nil }
            let value = build(object)
            object.reportUnknownFields()
            return value
        }
    }

    /// A single value that `parse` understands. What it looks like to YAML does not matter:
    /// `expected` says what was hoped for, such as `an address such as 10.0.0.1`.
    package static func parsed(
        _ expected: String, _ parse: @escaping (String) -> Value?
    ) -> ConfigType {
        ConfigType { node, path, log in
            guard case .scalar(let text, _) = node.content else {
                log.report(node.start, path, "must be \(expected), not \(node.kind)")
                return nil
            }
            guard let value = parse(text) else {
                log.report(
                    node.start, path, "`\(printable(text))` is not \(expected)")
                return nil
            }
            return value
        }
    }
}

extension ConfigType where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    /// One word of a few.
    package static var choice: ConfigType {
        let words = Value.allCases.map(\.rawValue)
        let all = words.joined(separator: ", ")
        return ConfigType { node, path, log in
            guard case .scalar(let text, _) = node.content else {
                log.report(node.start, path, "must be one of \(all), not \(node.kind)")
                return nil
            }
            if let value = Value(rawValue: text) { return value }
            let hint = Similarity.closest(to: text, among: words).map { "; did you mean `\($0)`?" }
            log.report(
                node.start, path,
                "`\(printable(text))` is not one of \(all)\(hint ?? "")")
            return nil
        }
    }
}
