import AdminAPI

/// A slice of three clusters: one peer well, one down, policies that deny, a service.
enum StatusSamples {
    static let report = StatusReport(
        daemon: DaemonStatus(
            version: "0.4.0", cluster: "west", processID: 812, uptimeSeconds: 93_784,
            configurationLoadedAt: "2026-11-23T22:00:00Z", auditEntries: 214),
        slices: [payments])

    private static let payments = SliceStatus(
        name: "payments", manifestVersion: 7,
        manifestDigest: "4134463c2f584225347c0430a034fd99c82561dd81e39ba87a4e815a5fa89c89",
        interface: "slice", routerNamespace: "slice-payments",
        publicKey: "q5kmWv0nRc1tZP6uV2xM3yYB8ZlJw0hP4c7m1zF9b2E=", listenPort: 51820, mtu: 1440,
        isolation: "strict", addresses: ["10.80.1.1", "fd00:80:0:1::1"], state: .degraded,
        problems: ["no session with east: 198.51.100.7:51820 does not answer"],
        peers: [
            PeerReport(
                cluster: "central", publicKey: "C=", endpoint: "203.0.113.9:51820",
                allowedIPs: ["10.80.2.0/24"], hasSession: true, handshakeAgeSeconds: 42.5,
                rttMilliseconds: 20.375,
                traffic: TrafficReport(
                    receivedBytes: 48_211_337_512, receivedPackets: 39_812_003,
                    transmittedBytes: 9_876_543_210, transmittedPackets: 7_654_321)),
            PeerReport(
                cluster: "east", publicKey: "E=", endpoint: "198.51.100.7:51820",
                allowedIPs: ["10.80.3.0/24"], handshakeAgeSeconds: 671,
                traffic: TrafficReport(receivedBytes: 1_234_567, receivedPackets: 1200),
                stagedPackets: 12),
        ],
        endpoints: [
            endpoint("apps", "checkout", "10.80.1.21", ["role": "client"], 812_345_678),
            endpoint("apps", "reports", "10.80.1.22", ["role": "client"], 3_456_789),
            endpoint("kafka", "broker-0", "10.80.1.2", ["role": "broker"], 7_812_345_678),
            endpoint("kafka", "broker-1", "10.80.1.3", ["role": "broker"], 5_512_345_678),
            EndpointReport(
                namespace: "kafka", name: "broker-2", kind: .pid, target: "4711",
                addresses: ["10.80.1.4"], interface: "slice0", state: .down,
                problems: ["process 4711 has ended"], labels: ["role": "broker"]),
        ],
        drops: ["spoofedSource": 12, "noSession": 3400, "policy": 948],
        policies: [
            PolicyReport(
                name: "kafka-clients", description: "applications reach brokers", action: "allow",
                decided: 18_204),
            PolicyReport(name: "name-servers", action: "allow", decided: 4_310),
            PolicyReport(
                name: "no-reports-abroad", description: "what audit asked for in spring",
                action: "deny", decided: 948),
            PolicyReport(name: "metrics", action: "allow"),
        ],
        policyDigest: "9b0c7d1efc2a54f0b3c2d9e71a5b8f60ab4c7d22e1f0938475a6b7c8d9e0f112",
        directory: [
            DirectoryPeerReport(
                cluster: "central", state: .fresh, endpoints: 9, services: 2, ageSeconds: 0.8,
                manifestVersion: 7,
                manifestDigest:
                    "4134463c2f584225347c0430a034fd99c82561dd81e39ba87a4e815a5fa89c89"),
            DirectoryPeerReport(
                cluster: "east", state: .stale, endpoints: 4, services: 1, ageSeconds: 671,
                manifestVersion: 6),
        ],
        names: NamesReport(
            queries: ["A": 5120, "AAAA": 5098, "SRV": 12],
            responses: ["NOERROR": 10_201, "NXDOMAIN": 29], forwarded: 7, dropped: 2),
        services: [
            ServiceReport(
                namespace: "kafka", name: "kafka", ports: ["broker tcp/9092"],
                members: [
                    member("west", "broker-0", "10.80.1.2"),
                    member("west", "broker-1", "10.80.1.3"),
                    ServiceMemberReport(
                        cluster: "west", endpoint: "broker-2", addresses: ["10.80.1.4"],
                        healthy: false),
                    member("central", "broker-3", "10.80.2.2"),
                    ServiceMemberReport(
                        cluster: "east", endpoint: "broker-4", addresses: ["10.80.3.2"],
                        stale: true),
                ])
        ])

    private static func endpoint(
        _ namespace: String, _ name: String, _ address: String, _ labels: [String: String],
        _ bytes: UInt64
    ) -> EndpointReport {
        EndpointReport(
            namespace: namespace, name: name, kind: .netns, target: name, addresses: [address],
            interface: "slice0",
            traffic: TrafficReport(
                receivedBytes: bytes, receivedPackets: bytes / 1200, transmittedBytes: bytes / 3,
                transmittedPackets: bytes / 4000), state: .up, labels: labels)
    }

    private static func member(
        _ cluster: String, _ name: String, _ address: String
    ) -> ServiceMemberReport {
        ServiceMemberReport(cluster: cluster, endpoint: name, addresses: [address])
    }
}
