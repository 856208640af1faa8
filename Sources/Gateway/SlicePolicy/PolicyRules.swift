import Addresses
import SliceModel

/// The policies in force, as nftables has them: a plan and the number by which connections know
/// that it was this one that let them through.
package struct PolicyRules: Hashable, Sendable {
    package var plan: PolicyPlan
    /// Not 0, and another one with each change: a connection whose mark is not this number is
    /// decided anew at its next packet. So what a policy no longer allows ends with the very
    /// transaction that takes the policy away.
    package var number: UInt32
    /// Of the policies, in the manifest's order.
    package var names: [PolicyName]

    package init(plan: PolicyPlan, number: UInt32, names: [PolicyName] = []) {
        self.plan = plan
        self.number = number
        self.names = names
    }

    /// Under which word a rule is counted: a policy's name, or one in parentheses.
    package func counterName(_ rule: PolicyRule) -> String {
        switch rule {
        case .policy(let index) where names.indices.contains(index): names[index].text
        case .policy(let index): "(\(index))"
        case .fence(let namespace): "(fence of \(namespace))"
        case .sameness: "(same namespace)"
        case .open: "(open)"
        case .strict: "(strict)"
        case .unknownAddress: "(unknown address)"
        }
    }

    /// The number tells them apart; comparing a hundred thousand elements does not have to.
    package static func == (a: Self, b: Self) -> Bool { a.number == b.number }
    package func hash(into hasher: inout Hasher) { hasher.combine(number) }

    /// Where denied packets are told (NFLOG).
    package static let logGroup = 7_946

    func fill(_ elements: inout RulesetElements) {
        elements[.current] = [Self.mark(number): ""]
        for (address, id) in plan.sources {
            elements.sets[address.isIPv4 ? .from4 : .from6, default: [:]]["\(address)"] =
                Self.mark(id)
        }
        for (address, id) in plan.targets {
            elements.sets[address.isIPv4 ? .to4 : .to6, default: [:]]["\(address)"] =
                Self.classID(id)
        }
        var pairs: [String: String] = [:]
        pairs.reserveCapacity(plan.pairs.count)
        for (pair, list) in plan.pairs { pairs[Self.key(pair)] = Self.mark(list) }
        elements[.pairs] = pairs
        for (id, list) in plan.rows {
            elements.sets[.rows, default: [:]][Self.mark(id)] = Self.mark(list)
        }
        for (id, list) in plan.columns {
            elements.sets[.columns, default: [:]][Self.classID(id)] = Self.mark(list)
        }
        var decisions: [String: String] = [:]
        decisions.reserveCapacity(plan.decisions.count)
        for (pair, entry) in plan.decisions { decisions[Self.key(pair)] = Self.verdict(entry) }
        elements[.decisions] = decisions
        for (list, entry) in plan.defaults {
            elements.sets[.defaults, default: [:]][Self.mark(list)] = Self.verdict(entry)
        }
    }

    static func mark(_ value: UInt32) -> String { "0x" + String(value, radix: 16) }

    /// `meta priority` is written as the two halves of a traffic class.
    static func classID(_ value: UInt32) -> String {
        String(value >> 16, radix: 16) + ":" + String(value & 0xffff, radix: 16)
    }

    private static func key(_ pair: PolicyPlan.Pair) -> String {
        "\(mark(pair.first)) . \(classID(pair.second))"
    }

    private static func verdict(_ entry: PolicyPlan.Entry) -> String {
        entry.isAllowed ? "goto allow" : entry.isLogged ? "goto deny-and-log" : "goto deny"
    }

    // MARK: What stays the same from change to change

    /// Maps of the port classes.
    var portMaps: String {
        var text = ""
        for transport in Self.withPorts {
            let classes = plan.ports[transport] ?? PortClasses()
            let lines = classes.covering(other: PolicyPlan.TransportID.otherPorts).map { interval in
                let (low, high) = (interval.ports.lowerBound, interval.ports.upperBound)
                return (low == high ? "\(low)" : "\(low)-\(high)")
                    + " : \(Self.classID(interval.id))"
            }
            text += "\n\tmap \(transport.rawValue)-ports {\n\t\ttype inet_service : classid\n"
            text += "\t\tflags interval\n"
            text += "\t\telements = { " + lines.joined(separator: ",\n\t\t\t") + " }\n\t}\n"
        }
        typealias ID = PolicyPlan.TransportID
        let transports = [
            "tcp : \(Self.classID(ID.tcp))", "udp : \(Self.classID(ID.udp))",
            "sctp : \(Self.classID(ID.sctp))", "icmp : \(Self.classID(ID.icmp))",
            "icmpv6 : \(Self.classID(ID.icmp))",
        ]
        text += "\n\tmap transports {\n\t\ttype inet_proto : classid\n\t\telements = { "
        text += transports.joined(separator: ",\n\t\t\t") + " }\n\t}\n"
        return text
    }

    private static let withPorts: [PortMatch.Transport] = [.tcp, .udp, .sctp]

    /// `judge` is where what is forwarded goes. Fragments are whole here: the kernel puts them
    /// together for connection tracking, and apart again behind it. An ICMP error is `related`: it
    /// carries the mark of the connection that it is about, and passes with it. While that waits
    /// to be decided anew the error is dropped, and comes again with the next packet.
    ///
    /// A map of ranges that has just been made shows its elements some tens of microseconds after
    /// the rules that use it (seen on Linux 6.18). All ports are in these maps, so that what finds
    /// none is dropped, and not judged as if no policy named its port.
    var chains: String {
        func counted(_ counter: RouterRuleset.Counter) -> String {
            "counter name \"\(counter.rawValue)\" drop"
        }
        var text = """
            \tchain judge {
            \t\tct mark @current accept
            \t\tct state invalid \(counted(.invalidState))
            \t\tct state related \(counted(.staleRelated))
            \t\tmeta mark set 0x0
            \t\tmeta priority set 0:0
            \t\tct direction reply goto judge-reply
            \t\tmeta mark set ip saddr map @from4
            \t\tmeta mark set ip6 saddr map @from6
            \t\tmeta priority set ip daddr map @to4
            \t\tmeta priority set ip6 daddr map @to6
            \t\tgoto find-list
            \t}

            \tchain judge-reply {
            \t\tmeta mark set ip daddr map @from4
            \t\tmeta mark set ip6 daddr map @from6
            \t\tmeta priority set ip saddr map @to4
            \t\tmeta priority set ip6 saddr map @to6
            \t\tgoto find-list
            \t}

            \tchain find-list {
            \t\tmeta mark 0x0 goto unknown
            \t\tmeta priority 0:0 goto unknown
            \t\tmeta mark set meta mark . meta priority map @pairs
            \t\tmeta mark < 0x80000000 meta mark set meta mark map @rows
            \t\tmeta mark < 0x80000000 meta mark set meta priority map @columns
            \t\tmeta mark < 0x80000000 meta mark set \(Self.mark(plan.base))
            \t\tmeta priority set 0:0

            """
        for transport in Self.withPorts {
            let name = transport.rawValue
            text += "\t\tct direction original meta priority set \(name) dport map @\(name)-ports\n"
            text += "\t\tct direction reply meta priority set \(name) sport map @\(name)-ports\n"
        }
        text += """
            \t\tmeta l4proto { tcp, udp, sctp } meta priority 0:0 \(counted(.undecided))
            \t\tmeta mark . meta priority vmap @decisions
            \t\tmeta priority set 0:0
            \t\tmeta priority set meta l4proto map @transports
            \t\tmeta mark . meta priority vmap @decisions
            \t\tmeta mark vmap @defaults
            \t\tgoto unknown
            \t}

            \tchain deny {
            \t\t\(counted(.deniedByPolicy))
            \t}

            \tchain deny-and-log {
            \t\tlimit rate 10/second burst 20 packets log group \(Self.logGroup) snaplen 128
            \t\t\(counted(.deniedByPolicy))
            \t}

            \tchain unknown {
            \t\tlimit rate 10/second burst 20 packets log group \(Self.logGroup) snaplen 128
            \t\t\(counted(.unknownEndpoint))
            \t}

            """
        return text
    }

    /// Its mark is the number, which changes: this one chain is written anew each time.
    var allowRule: String {
        "meta mark set 0x0 meta priority set 0:0 ct mark set \(Self.mark(number)) accept"
    }
}
