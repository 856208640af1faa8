/// What a runtime says to a plugin besides the configuration (CNI specification, section 2,
/// "Parameters").
package struct CNIEnvironment: Equatable, Sendable {
    package enum Command: String, CaseIterable, Sendable {
        case add = "ADD"
        case del = "DEL"
        case check = "CHECK"
        case status = "STATUS"
        case gc = "GC"
        case version = "VERSION"

        /// Whether it is about one container.
        package var namesContainer: Bool { self == .add || self == .del || self == .check }
    }

    package var command: Command
    package var containerID = ""
    /// Absent only for DEL: the namespace may be gone.
    package var netns: String?
    package var interface = ""
    /// CNI_ARGS, in order.
    package var arguments: [(key: String, value: String)] = []

    package static let maximumArgumentBytes = 16 << 10

    package init(_ variable: (String) -> String?) throws(CNIError) {
        let text = variable("CNI_COMMAND") ?? ""
        guard let command = Command(rawValue: text) else {
            throw Self.invalid(
                "CNI_COMMAND", "is none of ADD, DEL, CHECK, STATUS, GC and VERSION",
                details: "this program is called by container runtimes: see Docs/CNI.md")
        }
        self.command = command
        guard command.namesContainer else { return }
        containerID = variable("CNI_CONTAINERID") ?? ""
        guard Self.isIdentifier(containerID, atMost: 128) else {
            throw Self.invalid(
                "CNI_CONTAINERID",
                "must be 1 to 128 letters, digits, dots, dashes and underscores, beginning with a "
                    + "letter or digit")
        }
        interface = variable("CNI_IFNAME") ?? ""
        guard Self.isInterface(interface) else {
            throw Self.invalid(
                "CNI_IFNAME", "must be an interface's name: 1 to 15 bytes without / : and spaces")
        }
        let path = variable("CNI_NETNS") ?? ""
        if !path.isEmpty {
            guard path.utf8.first == 0x2f, path.utf8.count <= 4095 else {
                throw Self.invalid("CNI_NETNS", "must be an absolute path")
            }
            netns = path
        } else if command != .del {
            throw Self.invalid("CNI_NETNS", "is missing: the container's network namespace")
        }
        arguments = try Self.arguments(variable("CNI_ARGS") ?? "")
    }

    package static func == (a: Self, b: Self) -> Bool {
        a.command == b.command && a.containerID == b.containerID && a.netns == b.netns
            && a.interface == b.interface
            && a.arguments.elementsEqual(b.arguments) { $0 == $1 }
    }

    /// The last one of that name; an empty one is as good as none.
    package func argument(_ key: String) -> String? {
        guard let value = arguments.last(where: { $0.key == key })?.value, !value.isEmpty else {
            return nil
        }
        return value
    }

    private static func arguments(
        _ text: String
    ) throws(CNIError) -> [(key: String, value: String)] {
        guard text.utf8.count <= maximumArgumentBytes else {
            throw invalid("CNI_ARGS", "has more than \(maximumArgumentBytes) bytes")
        }
        var found: [(key: String, value: String)] = []
        for pair in text.split(separator: ";") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty else {
                throw invalid("CNI_ARGS", "must be KEY=VALUE pairs joined by semicolons")
            }
            found.append((String(parts[0]), String(parts[1])))
        }
        return found
    }

    private static func invalid(
        _ name: String, _ what: String, details: String? = nil
    ) -> CNIError {
        CNIError(.invalidEnvironment, "\(name) \(what)", details: details)
    }

    /// Of containers and of networks alike.
    package static func isIdentifier(_ text: String, atMost limit: Int) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            0x30...0x39 ~= byte || 0x41...0x5a ~= byte || 0x61...0x7a ~= byte
        }
        guard let first = text.utf8.first, isAlphanumeric(first) else { return false }
        return text.utf8.count <= limit
            && text.utf8.allSatisfy { isAlphanumeric($0) || [0x2d, 0x2e, 0x5f].contains($0) }
    }

    /// As the kernel and libcni have it.
    package static func isInterface(_ text: String) -> Bool {
        (1...15).contains(text.utf8.count) && text != "." && text != ".."
            && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f && $0 != 0x2f && $0 != 0x3a }
    }
}
