import AdminAPI
import Addresses
import CNIModel
import Foundation
import Testing

@Suite struct ResultTests {
    static let reply = AttachReply(
        endpoint: EndpointReport(
            namespace: "kafka", name: "a", kind: .path, target: "/run/netns/a",
            addresses: ["10.80.1.2", "fd00:80:0:1::2"], interface: "payments"),
        mtu: 1420, routes: ["10.80.0.0/16", "fd00:80::/48"], changed: true,
        gateways: ["10.80.1.1", "fd00:80:0:1::1"], hardwareAddress: "02:00:00:00:00:01")

    static func attachment() throws -> AttachedInterface {
        try AttachedInterface(reply: JSONParser.parse(Array(JSONEncoder().encode(reply))))
    }

    private func result(_ fields: String, version: String = "1.1.0") throws -> String {
        let config = try ConfigTests.config(
            #""slice":"a","namespace":"b""# + fields, version: version)
        let json = try CNIResult.adding(Self.attachment(), to: config, netns: "/run/netns/a")
        return String(decoding: json.bytes, as: UTF8.self)
    }

    static let ips = #"""
        {"interface":0,"address":"10.80.1.2/32","gateway":"10.80.1.1"},\#
        {"interface":0,"address":"fd00:80:0:1::2/128","gateway":"fd00:80:0:1::1"}
        """#
    static let routes = #"""
        {"dst":"10.80.0.0/16","gw":"10.80.1.1"},{"dst":"fd00:80::/48","gw":"fd00:80:0:1::1"}
        """#

    @Test func alone() throws {
        #expect(
            try result("") == #"""
                {"cniVersion":"1.1.0","interfaces":[{"name":"payments",\#
                "mac":"02:00:00:00:00:01","mtu":1420,"sandbox":"/run/netns/a"}],\#
                "ips":[\#(Self.ips)],"routes":[\#(Self.routes)]}
                """#)
    }

    @Test func behindAnother() throws {
        let previous = #"""
            ,"prevResult":{"cniVersion":"1.0.0","x":{"b":1.0,"a":[]},\#
            "interfaces":[{"name":"eth0","y":null}],"ips":[{"address":"10.1.0.2/24"}],\#
            "dns":{"nameservers":["10.1.0.1"],"z":1}}
            """#
        let dns = #","dns":{"nameservers":["10.80.1.1","10.1.0.1"],"domain":"slice.local"}"#
        let ips = Self.ips.replacing(#""interface":0"#, with: #""interface":1"#)
        #expect(
            try result(previous + dns, version: "1.0.0") == #"""
                {"cniVersion":"1.0.0","x":{"b":1.0,"a":[]},\#
                "interfaces":[{"name":"eth0","y":null},{"name":"payments",\#
                "mac":"02:00:00:00:00:01","sandbox":"/run/netns/a"}],\#
                "ips":[{"address":"10.1.0.2/24"},\#(ips)],\#
                "dns":{"nameservers":["10.80.1.1","10.1.0.1"],"z":1,"domain":"slice.local"},\#
                "routes":[\#(Self.routes)]}
                """#)
    }

    @Test func olderVersionsNameFamilies() throws {
        let text = try result("", version: "0.4.0")
        #expect(text.contains(#"{"version":"4","interface":0,"address":"10.80.1.2/32""#))
        #expect(text.contains(#"{"version":"6","interface":0,"address":"fd00:80:0:1::2/128""#))
    }

    @Test func aResultThatIsNone() {
        #expect(throws: CNIError.self) { try result(#","prevResult":{"ips":1}"#) }
        #expect(throws: CNIError.self) {
            try AttachedInterface(reply: .object(["endpoint": .null]))
        }
    }

    @Test func untouched() throws {
        let config = try ConfigTests.config(
            #""namespaces":{},"prevResult":{"b":1,"cniVersion":"0.4.0","a":2}"#)
        #expect(
            CNIResult.unchanged(config).bytes == Array(#"{"b":1,"cniVersion":"0.4.0","a":2}"#.utf8))
        let alone = try ConfigTests.config(#""namespaces":{}"#)
        #expect(CNIResult.unchanged(alone).bytes == Array(#"{"cniVersion":"1.0.0"}"#.utf8))
    }

    /// What is written by hand is what the daemon reads.
    @Test func requestsAreTheDaemons() throws {
        let placement = Placement(
            slice: "s", namespace: "kafka", endpoint: "a", labels: ["b": "1", "a": "\"2"],
            interface: "eth0")
        let attach = AttachBody.json(placement, netns: "/run/netns/a", owner: "cni:n/c/eth0")
        #expect(
            try JSONDecoder().decode(AttachRequest.self, from: Data(attach.bytes))
                == AttachRequest(
                    namespace: "kafka", name: "a", kind: .path, target: "/run/netns/a",
                    interface: "eth0", labels: placement.labels, owner: "cni:n/c/eth0"))
        let config = try ConfigTests.config()
        let collect = CollectBody.json(config, [.init(containerID: "c", interface: "eth0")])
        #expect(
            try JSONDecoder().decode(CollectRequest.self, from: Data(collect.bytes))
                == CollectRequest(ownerPrefix: "cni:pods/", keep: ["cni:pods/c/eth0"]))
    }

    // MARK: Checks

    private func check(_ change: (inout NamespaceView) -> Void) throws {
        let config = try ConfigTests.config(
            #""slice":"s","namespace":"kafka","prevResult":"#
                + String(
                    decoding: CNIResult.adding(
                        Self.attachment(), to: ConfigTests.config(), netns: "/run/netns/a"
                    ).bytes, as: UTF8.self), .check)
        var view = NamespaceView()
        view.interfaces["payments"] = try Self.attachment().addresses
        view.routes =
            RouteTables.v4(RouteTests.v4) + RouteTables.v6(RouteTests.v6)
        change(&view)
        let reply = EndpointsReply(endpoints: [.init(slice: "s", endpoint: Self.reply.endpoint)])
        let endpoint = try CNICheck.endpoint(
            in: JSONParser.parse(Array(JSONEncoder().encode(reply))), slice: "s")
        let placement = Placement(
            slice: "s", namespace: "kafka", endpoint: "a", labels: [:], interface: nil)
        try CNICheck.check(endpoint, placement, config, netns: "/run/netns/a", view)
    }

    @Test func checks() throws {
        try check { _ in }
        for change in [
            { (view: inout NamespaceView) in view.interfaces = [:] },
            { $0.interfaces["payments"]?.removeLast() },
            { $0.routes.remove(at: 1) }, { $0.routes.removeLast() },
        ] {
            #expect {
                try check(change)
            } throws: {
                ($0 as? CNIError)?.code == .checkFailed
            }
        }
    }

    @Test(
        arguments: [
            ("up", nil), ("degraded", nil), ("starting", 50), ("down", 51), ("stopping", 51),
        ] as [(String, Int?)])
    func status(_ state: String, _ code: Int?) throws {
        let report = try JSONParser.parse(
            Array(#"{"slices":[{"name":"s","state":"\#(state)","problems":["p"]}]}"#.utf8))
        func found(_ slice: String) -> Int? {
            do throws(CNIError) {
                try CNIStatus.check(report, slice: slice)
                return nil
            } catch {
                return error.code.rawValue
            }
        }
        #expect(found("s") == code)
        #expect(found("t") == 50)
    }
}

@Suite struct RouteTests {
    static let v4 = """
        Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
        eth0\t00000000\t0101630A\t0003\t0\t0\t0\t00000000\t0\t0\t0
        payments\t0000500A\t0101500A\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0
        eth0\t0001630A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
        """
    static let v6 = """
        fd000080000000000000000000000000 30 00000000000000000000000000000000 00 \
        fd000080000000010000000000000001 00000400 00000001 00000000 00000003 payments
        fe800000000000000000000000000000 40 00000000000000000000000000000000 00 \
        00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
        """

    @Test func tables() throws {
        #expect(
            RouteTables.v4(Self.v4).map { "\($0.destination) \($0.gateway) \($0.interface)" } == [
                "0.0.0.0/0 10.99.1.1 eth0", "10.80.0.0/16 10.80.1.1 payments",
            ])
        #expect(
            RouteTables.v6(Self.v6).map { "\($0.destination) \($0.gateway) \($0.interface)" } == [
                "fd00:80::/48 fd00:80:0:1::1 payments"
            ])
        #expect(RouteTables.v4("x\nzz 1 2").isEmpty && RouteTables.v6("a b").isEmpty)
    }
}
