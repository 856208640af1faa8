/// The sets and maps of a ruleset whose elements come and go while the rules stay: small changes
/// need not replace a hundred thousand elements.
package struct RulesetElements: Hashable, Sendable {
    /// By set and key; the value of a set's element is empty.
    package var sets: [RulesetSet: [String: String]] = [:]

    package subscript(set: RulesetSet) -> [String: String] {
        get { sets[set] ?? [:] }
        set(elements) { sets[set] = elements }
    }

    func lines(of set: RulesetSet) -> [String] {
        self[set].sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            .map { $0.value.isEmpty ? $0.key : "\($0.key) : \($0.value)" }
    }

    /// The commands that lead from one to the other, deletions first: what is changed is deleted
    /// and added, and nothing is there twice.
    func commands(from old: RulesetElements, family: String, table: String) -> String {
        var text = ""
        for (verb, kept, other) in [("delete", old, self), ("add", self, old)] {
            for set in RulesetSet.allCases {
                let (mine, theirs) = (kept[set], other[set])
                let changed = mine.filter { theirs[$0.key] != $0.value }
                guard !changed.isEmpty else { continue }
                var part = RulesetElements()
                part[set] = changed
                let lines = verb == "add" ? part.lines(of: set) : changed.keys.sorted()
                text += "\(verb) element \(family) \(table) \(set.rawValue) { "
                text += lines.joined(separator: ",\n\t")
                text += " }\n"
            }
        }
        return text
    }
}

package enum RulesetSet: String, CaseIterable, Hashable, Sendable {
    case endpoints
    case owners4
    case owners6
    case current
    case from4
    case from6
    case to4
    case to6
    case pairs
    case rows
    case columns
    case decisions
    case defaults

    /// As nft declares it.
    var declaration: String {
        switch self {
        case .endpoints: "set endpoints {\n\t\ttype ifname\n"
        case .owners4: "set owners4 {\n\t\ttype ifname . ipv4_addr\n"
        case .owners6: "set owners6 {\n\t\ttype ifname . ipv6_addr\n"
        case .current: "set current {\n\t\ttype mark\n"
        case .from4: "map from4 {\n\t\ttype ipv4_addr : mark\n"
        case .from6: "map from6 {\n\t\ttype ipv6_addr : mark\n"
        case .to4: "map to4 {\n\t\ttype ipv4_addr : classid\n"
        case .to6: "map to6 {\n\t\ttype ipv6_addr : classid\n"
        case .pairs: "map pairs {\n\t\ttype mark . classid : mark\n"
        case .rows: "map rows {\n\t\ttype mark : mark\n"
        case .columns: "map columns {\n\t\ttype classid : mark\n"
        case .decisions: "map decisions {\n\t\ttype mark . classid : verdict\n\t\tcounter\n"
        case .defaults: "map defaults {\n\t\ttype mark : verdict\n\t\tcounter\n"
        }
    }

    /// There for an open slice, too.
    var isAlways: Bool {
        switch self {
        case .endpoints, .owners4, .owners6: true
        default: false
        }
    }
}
