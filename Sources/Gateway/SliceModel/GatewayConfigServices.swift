import Addresses
import ConfigFile
import Timing

// What a gateway does for those around it, as gateway.conf says: names, the directory, the page
// for people, the audit log.

extension GatewayConfigReader {
    static var dns: ConfigType<GatewayConfig.DNS> {
        .object { object in
            var dns = GatewayConfig.DNS()
            dns.isEnabled = object.optional("enabled", .bool, default: dns.isEnabled)
            dns.zone = object.optional("zone", zone, default: dns.zone)
            let forwarders = object.optional(
                "forward", .list(of: forwarder.located, atMost: 8), default: [])
            var seen: [IPEndpoint: Int] = [:]
            for forwarder in forwarders {
                once(forwarder, &seen, object.log) { "the forwarder \($0)" }
            }
            dns.forwarders = forwarders.map(\.value)
            dns.writesResolvConf = object.optional(
                "resolvConf", .bool, default: dns.writesResolvConf)
            return dns
        }
    }

    /// With the longest names before it, a zone of 63 bytes still leaves room for most (RFC 1035
    /// section 2.3.4 allows 255 octets in all).
    private static var zone: ConfigType<String> {
        ConfigType<String>.string(1...253).checked { text in
            guard text.utf8.count <= 63, text.utf8.allSatisfy({ !(65...90 ~= $0) }),
                NameRules.isHostName(text)
            else {
                return "`\(printable(text))` is no zone: it must be 1 to 63 bytes of lower-case "
                    + "DNS labels joined by dots, without one at the end, such as slice.local"
            }
            // RFC 6761 section 6.3, RFC 3172: these are somebody else's.
            let last = text.split(separator: ".").last
            return last == "localhost" || last == "arpa"
                ? "`\(text)` is taken: names under \(last ?? "") mean something else" : nil
        }
    }

    private static var forwarder: ConfigType<IPEndpoint> {
        ConfigType<IPEndpoint>.parsed(
            "a DNS server such as 192.0.2.53, fd00::53, 192.0.2.53:5353 or \"[fd00::53]:5353\""
        ) { text in IPAddress(text).map { IPEndpoint($0, port: 53) } ?? IPEndpoint(text) }
        .checked { server in
            if server.port == 0 { return "port 0 cannot be asked" }
            return SpecialRanges.unreachable.first { $0.0.contains(server.address) }
                .map { "\(server.address) is no address of a host (\($0.1))" }
        }
    }

    static var directory: ConfigType<GatewayConfig.Directory> {
        .object { object in
            var directory = GatewayConfig.Directory()
            directory.grace = object.optional(
                "grace", .duration(.seconds(1)...Nanoseconds.seconds(7 * 24 * 3600)),
                default: directory.grace)
            return directory
        }
    }

    static var http: ConfigType<GatewayConfig.HTTP> {
        .object { object in
            let listen = object.required(
                "listen",
                ConfigType<IPEndpoint>.endpoint.checked {
                    $0.port == 0 ? "port 0 cannot be found by anybody: choose one" : nil
                })
            let names = object.optional("names", .list(of: httpName, atMost: 16), default: [])
            return listen.map { GatewayConfig.HTTP(listen: $0, names: names) }
        }
    }

    private static var httpName: ConfigType<String> {
        ConfigType<String>.string(1...253).checked {
            NameRules.isHostName($0)
                ? nil : "`\($0)` is no name of a host such as gateway-1.example.com: without a port"
        }.map { $0.lowercased() }
    }

    /// Nil inside: the default.
    static var audit: ConfigType<String?> {
        .object { object in .some(object.optional("file", .absolutePath)) }
    }

    static func inside(_ directory: String, _ name: String) -> String {
        directory.utf8.last == 47 ? directory + name : directory + "/" + name
    }
}
