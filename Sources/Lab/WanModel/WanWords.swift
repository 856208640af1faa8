import Addresses
import Timing

/// Reads one line word by word; every refusal knows its column.
struct WanWords {
    private let words: [(text: String, column: Int)]
    private let line: Int
    private let endColumn: Int
    private var next = 0

    init(_ bytes: [UInt8], line: Int) {
        let code = bytes.prefix { $0 != UInt8(ascii: "#") }
        self.line = line
        endColumn = code.count + 1
        words = code.split { [9, 13, 32].contains($0) }
            .map { (String(decoding: $0, as: UTF8.self), $0.startIndex + 1) }
    }

    var isAtEnd: Bool { next == words.count }

    func end() throws(WanScriptError) {
        if !isAtEnd { throw refusal("nothing more expected, found `\(words[next].text)`") }
    }

    /// About the word that comes next.
    private func refusal(_ message: String) -> WanScriptError {
        WanScriptError(
            line: line, column: isAtEnd ? endColumn : words[next].column, message: message)
    }

    private var peek: String? { isAtEnd ? nil : words[next].text }

    private mutating func word<T>(
        _ what: String, _ read: (String) -> T?
    ) throws(WanScriptError) -> T {
        guard let text = peek else { throw refusal("expected \(what)") }
        guard let value = read(text) else { throw refusal("expected \(what), found `\(text)`") }
        next += 1
        return value
    }

    private mutating func optional<T>(_ read: (String) -> T?) -> T? {
        guard let text = peek, let value = read(text) else { return nil }
        next += 1
        return value
    }

    // MARK: statements

    mutating func statement() throws(WanScriptError) -> WanStatement {
        switch peek {
        case "site":
            next += 1
            return .site(try site())
        case "limit":
            next += 1
            return try limit()
        case "at":
            next += 1
            let time = try duration("a time such as `5s`")
            return .at(time, try command())
        case "in":
            next += 1
            let time = try duration("a time such as `5s`")
            return .after(time, try command())
        case "show":
            next += 1
            return .show(json: optional { $0 == "json" ? true : nil } ?? false)
        case "stats":
            next += 1
            return .stats(json: optional { $0 == "json" ? true : nil } ?? false)
        default:
            return .now(try command())
        }
    }

    private mutating func command() throws(WanScriptError) -> WanCommand {
        switch peek {
        case "seed":
            next += 1
            return .seed(try word("a number below 2^64") { Self.number($0) })
        case "set":
            next += 1
            let selector = try selector()
            var changes = [try change()]
            while !isAtEnd { changes.append(try change()) }
            return .set(selector, changes)
        case "clear":
            next += 1
            return .clear(try selector())
        case "cut":
            next += 1
            return .cut(try selector())
        case "heal":
            next += 1
            return .heal(try selector())
        case let other:
            let wanted =
                "expected one of seed, set, clear, cut, heal, at, in, site, limit, show, stats"
            throw refusal(wanted + (other.map { ", found `\($0)`" } ?? ""))
        }
    }

    private mutating func site() throws(WanScriptError) -> Site {
        let name = try word("a site name (a-z, 0-9, -, at most 32)") { Site.isName($0) ? $0 : nil }
        var prefixes = [try prefix()]
        while !isAtEnd { prefixes.append(try prefix()) }
        guard prefixes.count <= Site.mostPrefixes else {
            throw refusal("a site has at most \(Site.mostPrefixes) prefixes")
        }
        return Site(name: name, prefixes: prefixes)
    }

    private mutating func prefix() throws(WanScriptError) -> IPPrefix {
        if let text = peek, IPPrefix.hasHostBits(text) {
            throw refusal("`\(text)` has bits set beyond its length")
        }
        return try word("a prefix such as `10.81.1.0/24`") { IPPrefix($0) }
    }

    private mutating func limit() throws(WanScriptError) -> WanStatement {
        var packets: Int?
        var bytes: Int?
        repeat {
            if optional({ $0 == "packets" ? true : nil }) != nil {
                packets = try word("1 to \(WanModel.Limits.mostPackets) packets") {
                    Self.number($0).flatMap {
                        (1...UInt64(WanModel.Limits.mostPackets)).contains($0) ? Int($0) : nil
                    }
                }
            } else if optional({ $0 == "bytes" ? true : nil }) != nil {
                bytes = try word("a size such as `256MB`") { Quantity.size($0) }
            } else {
                throw refusal("expected `packets NUMBER` or `bytes SIZE`")
            }
        } while !isAtEnd
        return .limit(packets: packets, bytes: bytes)
    }

    private mutating func selector() throws(WanScriptError) -> LinkSelector {
        let what = "`*`, SITE, SITE>SITE or SITE<>SITE"
        if let text = peek, let selector = Self.selector(text) {
            if case .oneWay(let a?, let b?) = selector, a == b {
                throw refusal("a site has no link to itself")
            }
            if case .bothWays(let a, let b) = selector, a == b {
                throw refusal("a site has no link to itself")
            }
        }
        return try word(what) { Self.selector($0) }
    }

    private static func selector(_ text: String) -> LinkSelector? {
        if text == "*" { return .all }
        if Site.isName(text) { return .touching(text) }
        let parts = text.utf8.split(separator: UInt8(ascii: ">"), omittingEmptySubsequences: false)
        guard parts.count == 2, let right = Substring(parts[1]).nonEmpty else { return nil }
        var left = Substring(parts[0])
        if left.utf8.last == UInt8(ascii: "<") {
            left = Substring(left.utf8.dropLast())
            guard Site.isName(left), Site.isName(right) else { return nil }
            return .bothWays(String(left), String(right))
        }
        guard left == "*" || Site.isName(left), right == "*" || Site.isName(right) else {
            return nil
        }
        return .oneWay(
            from: left == "*" ? nil : String(left), to: right == "*" ? nil : String(right))
    }

    // MARK: link conditions

    private mutating func change() throws(WanScriptError) -> LinkChange {
        switch peek {
        case "delay":
            next += 1
            return .delay(try duration("a delay such as `10ms`"))
        case "jitter":
            next += 1
            let width = try duration("a jitter such as `1ms`")
            return .jitter(width, optional { .init(rawValue: $0) } ?? .uniform)
        case "loss":
            next += 1
            return .loss(try probability())
        case "burst":
            next += 1
            if optional({ $0 == "off" ? true : nil }) != nil { return .burst(nil) }
            let enter = try probability()
            let leave = try probability()
            let loss = optional { Probability($0) } ?? .always
            return .burst(.init(enter: enter, leave: leave, loss: loss))
        case "duplicate":
            next += 1
            return .duplicate(try probability())
        case "reorder":
            next += 1
            let chance = try probability()
            if chance == .never, peek != "by" { return .reorder(.never, by: .zero) }
            _ = try word("`by TIME`: how much later a reordered packet may come") {
                $0 == "by" ? true : nil
            }
            return .reorder(chance, by: try duration("a time such as `5ms`"))
        case "rate":
            next += 1
            if optional({ $0 == "unlimited" ? true : nil }) != nil { return .rate(nil) }
            return .rate(
                try word("`unlimited` or a rate from 1kbit to 1000gbit such as `100mbit`") {
                    Quantity.bitsPerSecond($0)
                })
        case "queue":
            next += 1
            return .queue(try word("a size such as `256kB`") { Quantity.size($0) })
        case let other:
            let wanted =
                "expected one of delay, jitter, loss, burst, duplicate, reorder, rate, queue"
            throw refusal(wanted + (other.map { ", found `\($0)`" } ?? ""))
        }
    }

    private mutating func duration(_ what: String) throws(WanScriptError) -> Nanoseconds {
        try word(what + " (at most a day)") { Quantity.duration($0) }
    }

    private mutating func probability() throws(WanScriptError) -> Probability {
        try word("a chance from 0% to 100%") { Probability($0) }
    }

    private static func number(_ text: String) -> UInt64? {
        text.utf8.allSatisfy { 48...57 ~= $0 } ? UInt64(text) : nil
    }
}

extension Substring {
    fileprivate var nonEmpty: Substring? { isEmpty ? nil : self }
}
