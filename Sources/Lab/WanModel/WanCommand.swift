import Addresses
import Timing

/// Which directions a command is about.
package enum LinkSelector: Hashable, Sendable {
    /// `*`
    case all
    /// `west`: every link from and to it.
    case touching(String)
    /// `west>east`, `west>*`, `*>west`; nil is the star.
    case oneWay(from: String?, to: String?)
    /// `west<>east`
    case bothWays(String, String)

    package func matches(from: String, to: String) -> Bool {
        switch self {
        case .all: true
        case .touching(let name): name == from || name == to
        case .oneWay(let f, let t): (f ?? from) == from && (t ?? to) == to
        case .bothWays(let a, let b): (a, b) == (from, to) || (b, a) == (from, to)
        }
    }

    var names: [String] {
        switch self {
        case .all: []
        case .touching(let name): [name]
        case .oneWay(let f, let t): [f, t].compactMap { $0 }
        case .bothWays(let a, let b): [a, b]
        }
    }
}

extension LinkSelector: CustomStringConvertible {
    package var description: String {
        switch self {
        case .all: "*"
        case .touching(let name): name
        case .oneWay(let f, let t): "\(f ?? "*")>\(t ?? "*")"
        case .bothWays(let a, let b): "\(a)<>\(b)"
        }
    }
}

/// What a statement changes in a WAN that runs.
package enum WanCommand: Hashable, Sendable {
    case seed(UInt64)
    case set(LinkSelector, [LinkChange])
    /// Back to a perfect, whole wire.
    case clear(LinkSelector)
    case cut(LinkSelector)
    case heal(LinkSelector)

    package var selector: LinkSelector? {
        switch self {
        case .seed: nil
        case .set(let s, _), .clear(let s), .cut(let s), .heal(let s): s
        }
    }
}

extension WanCommand: CustomStringConvertible {
    package var description: String {
        switch self {
        case .seed(let n): "seed \(n)"
        case .set(let s, let changes):
            "set \(s) " + changes.map(\.description).joined(separator: " ")
        case .clear(let s): "clear \(s)"
        case .cut(let s): "cut \(s)"
        case .heal(let s): "heal \(s)"
        }
    }
}

extension LinkChange: CustomStringConvertible {
    package var description: String {
        switch self {
        case .delay(let d): "delay \(Quantity.text(d))"
        case .jitter(let j, let s): "jitter \(Quantity.text(j)) \(s.rawValue)"
        case .loss(let p): "loss \(p)"
        case .burst(let b): b.map { "burst \($0.enter) \($0.leave) \($0.loss)" } ?? "burst off"
        case .duplicate(let p): "duplicate \(p)"
        case .reorder(let p, let by): "reorder \(p) by \(Quantity.text(by))"
        case .rate(let r): "rate " + (r.map { Quantity.text(bitsPerSecond: $0) } ?? "unlimited")
        case .queue(let bytes): "queue \(Quantity.text(bytes: bytes))"
        }
    }
}

/// One line of a script, or of the control socket.
package enum WanStatement: Hashable, Sendable {
    case site(Site)
    case limit(packets: Int?, bytes: Int?)
    case now(WanCommand)
    /// `at`: since the relay started.
    case at(Nanoseconds, WanCommand)
    /// `in`: since the statement was read.
    case after(Nanoseconds, WanCommand)
    case show(json: Bool)
    case stats(json: Bool)

    package var command: WanCommand? {
        switch self {
        case .now(let c), .at(_, let c), .after(_, let c): c
        default: nil
        }
    }
}

package struct WanScriptError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Both count from one; the column counts bytes.
    package var line: Int
    package var column: Int
    package var message: String

    package var description: String { "line \(line), column \(column): \(message)" }
}
