import CNftables
import Glibc
import Synchronization

/// Rulesets of one network namespace, through libnftables.
package struct Nftables: Sendable {
    package let namespace: NetworkNamespace

    package struct Counter: Hashable, Sendable {
        package let packets: UInt64
        package let bytes: UInt64

        package init(packets: UInt64, bytes: UInt64) {
            self.packets = packets
            self.bytes = bytes
        }
    }

    /// The library keeps parser state that is not per context.
    private static let library = Mutex<Void>(())

    /// In `namespace`, or in that of the calling thread.
    package init(in namespace: NetworkNamespace? = nil) throws(LinuxError) {
        if let namespace { self.namespace = namespace } else { self.namespace = try .current() }
    }

    /// All of the text in one transaction: when any of it is refused, nothing has changed.
    package func apply(_ ruleset: String) throws(LinuxError) {
        _ = try run(ruleset, "apply", "nftables ruleset", flags: 0)
    }

    /// Says what the kernel would say, without changing anything.
    package func check(_ ruleset: String) throws(LinuxError) {
        _ = try run(ruleset, "check", "nftables ruleset", flags: 0, isDryRun: true)
    }

    /// The whole ruleset, as libnftables-json(5) describes it.
    package func json() throws(LinuxError) -> String {
        try run(
            "list ruleset", "list", "nftables ruleset", flags: UInt32(NFT_CTX_OUTPUT_JSON))
    }

    /// The whole ruleset as `nft list ruleset` prints it.
    package func text() throws(LinuxError) -> String {
        try run("list ruleset", "list", "nftables ruleset", flags: 0)
    }

    /// The named counters of a table, such as `inet`, `slice`. ENOENT if there is no such table.
    package func counters(
        family: String, table: String
    ) throws(LinuxError) -> [String: Counter] {
        let object = "counters of table \(family) \(table)"
        // Both go into a command line.
        guard [family, table].allSatisfy(Self.isName) else {
            throw LinuxError("list", object, errno: EINVAL)
        }
        return Self.parseCounters(
            try run("list counters table \(family) \(table)", "list", object, flags: 0))
    }

    static func isName(_ word: String) -> Bool {
        (1...128).contains(word.utf8.count) && word.utf8.allSatisfy(isNameByte)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122, 45, 46, 95: true
        default: false
        }
    }

    private func run(
        _ command: String, _ operation: String, _ object: String, flags: UInt32,
        isDryRun: Bool = false
    ) throws(LinuxError) -> String {
        // The C string would end there, and half a ruleset would be applied.
        guard !command.utf8.contains(0) else {
            throw LinuxError(
                operation, object, "in \(namespace)", errno: EINVAL, detail: "it holds a NUL")
        }
        return try namespace.perform { () throws(LinuxError) in
            let outcome = Self.library.withLock { _ in
                Self.runHere(command, flags: flags, isDryRun: isDryRun)
            }
            guard outcome.code == 0 else {
                throw LinuxError(
                    operation, object, "in \(namespace)", errno: outcome.code,
                    detail: outcome.text)
            }
            return outcome.text
        }
    }

    /// The output, or the errno and the library's message.
    private static func runHere(
        _ command: String, flags: UInt32, isDryRun: Bool
    ) -> (code: Int32, text: String) {
        guard let context = nft_ctx_new(0) else { return (ENOMEM, "") }
        defer { nft_ctx_free(context) }
        nft_ctx_buffer_output(context)
        nft_ctx_buffer_error(context)
        nft_ctx_output_set_flags(context, flags)
        nft_ctx_set_dry_run(context, isDryRun)
        if nft_run_cmd_from_buffer(context, command) == 0 {
            return (0, nft_ctx_get_output_buffer(context).map { String(cString: $0) } ?? "")
        }
        let text = nft_ctx_get_error_buffer(context).map { String(cString: $0) } ?? ""
        return (code(from: text), summary(text))
    }

    /// The library leaves errno to chance. What the kernel answered is in its message.
    private static func code(from text: String) -> Int32 {
        for candidate in [ENOENT, EPERM, EEXIST, EBUSY, EOPNOTSUPP, ENOMEM, EACCES]
        where text.contains(String(cString: strerror(candidate))) { return candidate }
        return EINVAL
    }

    /// The first complaints, with the place, on one line.
    private static func summary(_ text: String) -> String {
        text.split(separator: "\n").filter { $0.contains("Error:") }.prefix(3)
            .map { $0.prefix(300) }.joined(separator: "; ")
    }

    /// Reads `list counters`. Pure.
    static func parseCounters(_ text: String) -> [String: Counter] {
        var counters: [String: Counter] = [:]
        var name: Substring?
        for line in text.split(separator: "\n") {
            let words = line.split { $0 == " " || $0 == "\t" }
            if words.count == 3, words[0] == "counter", words[2] == "{" {
                name = words[1]
            } else if words.count == 4, words[0] == "packets", words[2] == "bytes",
                let named = name,
                let packets = UInt64(words[1]), let bytes = UInt64(words[3])
            {
                counters[String(named)] = Counter(packets: packets, bytes: bytes)
                name = nil
            }
        }
        return counters
    }
}
