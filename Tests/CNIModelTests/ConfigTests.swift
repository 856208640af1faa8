import CNIModel
import SliceModel
import Testing

@Suite struct ConfigTests {
    static func config(
        _ fields: String = #""slice":"payments","namespace":"kafka""#, version: String = "1.0.0",
        _ command: CNIEnvironment.Command = .add
    ) throws -> NetworkConfig {
        let text = #"{"cniVersion":"\#(version)","name":"pods","type":"slice-cni",\#(fields)}"#
        return try NetworkConfig(Array(text.utf8), for: command)
    }

    static func environment(
        _ arguments: String = "", command: String = "ADD", id: String = "0123456789abcdef0123"
    ) throws -> CNIEnvironment {
        try CNIEnvironment {
            [
                "CNI_COMMAND": command, "CNI_CONTAINERID": id, "CNI_NETNS": "/run/netns/a",
                "CNI_IFNAME": "eth0", "CNI_ARGS": arguments,
            ][$0]
        }
    }

    @Test func everyField() throws {
        let config = try Self.config(
            #"""
            "slice":"payments","namespace":"kafka","endpoint":"x-{container}","interface":"s0",
            "labels":{"role":"broker"},"adminSocket":"/run/a.sock","allowArgs":false,
            "report":"interface","dns":{"nameservers":["10.80.1.1"]},"prevResult":{"ips":[]},
            "capabilities":{},"runtimeConfig":{},"args":{},"ipam":{},"ipMasq":false,
            "vendor.example/x":1
            """#, version: "0.4.0")
        #expect(config.version == .v0_4_0)
        #expect(config.name == "pods")
        #expect(config.adminSocket == "/run/a.sock")
        #expect(config.target == .fixed(slice: "payments", namespace: "kafka"))
        #expect(config.labels == ["role": "broker"])
        #expect(!config.allowArgs && !config.reportsAddresses)
        #expect(config.prevResult == ["ips": .array([])])
        let placement = try #require(try Placement.decide(config, Self.environment()))
        #expect(
            placement
                == Placement(
                    slice: "payments", namespace: "kafka", endpoint: "x-0123456789ab",
                    labels: ["role": "broker"], interface: "s0"))
    }

    @Test(arguments: [
        (#""slice":1"#, 7, "slice must be a text, and is a number"),
        (#""slice":"""#, 7, "slice must be a text, and is a text"),
        (#""slice":"A""#, 7, "slice must be 1 to 63"),
        (#""namespaces":{"a":{}}"#, 7, "namespaces.a.slice is missing"),
        (#""namespaces":{"a":1}"#, 7, "namespaces.a must be an object"),
        (#""namespaces":{"a":{"slice":"s","pods":["*x"]}}"#, 7, "namespaces.a.pods"),
        (#""namespaces":{"a":{"slice":"s","sIice":"t"}}"#, 2, "`namespaces.a.sIice`"),
        (#""namespaces":{},"slice":"a""#, 7, "exclude one another"),
        (#""interface":"a/b""#, 7, "interface must be"),
        (#""adminSocket":"run""#, 7, "adminSocket"), (#""report":"some""#, 7, "report must be"),
        (#""allowArgs":"no""#, 7, "allowArgs must be true or false"),
        (#""dns":[]"#, 7, "dns must be an object"), (#""prevResult":"""#, 7, "prevResult"),
        (#""endpoint":"{pod""#, 7, "without its }"), (#""ipMasq":true"#, 2, "`ipMasq`"),
        (#""lables":{"a":"b"}"#, 2, #"`lables` with the value {"a":"b"}"#),
    ])
    func isRefused(_ fields: String, _ code: Int, _ words: String) throws {
        #expect {
            try Self.config(fields)
        } throws: {
            let error = $0 as? CNIError
            return error?.code.rawValue == code && error?.message.contains(words) ?? false
        }
    }

    /// A container must be able to go, whatever became of the configuration.
    @Test func whatDELNeedsIsLittle() throws {
        let config = try Self.config(#""slice":7,"frob":1,"adminSocket":"/a""#, .del)
        #expect(config.adminSocket == "/a")
        #expect(throws: CNIError.self) { try Self.config(#""adminSocket":7"#, .del) }
    }

    @Test func collecting() throws {
        let config = try Self.config(
            #""cni.dev/valid-attachments":[{"containerID":"a","ifname":"eth0"}]"#,
            version: "1.1.0", .gc)
        let valid = try #require(config.validAttachments)
        #expect(
            CollectBody.json(config, valid).bytes
                == Array(#"{"ownerPrefix":"cni:pods/","keep":["cni:pods/a/eth0"]}"#.utf8))
        #expect(throws: CNIError.self) { try Self.config(#""x/y":1"#, version: "1.1.0", .gc) }
    }

    // MARK: Where a container goes

    static let mapping = #"""
        "labels":{"a":"1","b":"1"},"namespaces":{
        "prod":{"slice":"payments","namespace":"kafka","labels":{"b":"2"},"pods":["broker-*","zk"]},
        "apps":{"slice":"orders"}}
        """#

    @Test(
        arguments: [
            ("K8S_POD_NAMESPACE=prod;K8S_POD_NAME=broker-0", "payments kafka/broker-0 a=1 b=2"),
            ("K8S_POD_NAMESPACE=prod;K8S_POD_NAME=zk", "payments kafka/zk a=1 b=2"),
            ("K8S_POD_NAMESPACE=prod;K8S_POD_NAME=zk-1", nil),
            ("K8S_POD_NAMESPACE=apps;K8S_POD_NAME=web;SLICE=payments", "orders apps/web a=1 b=1"),
            ("K8S_POD_NAMESPACE=other;K8S_POD_NAME=broker-0;SLICE=payments", nil), ("", nil),
        ] as [(String, String?)])
    func mapped(_ arguments: String, _ expected: String?) throws {
        let placement = try Placement.decide(
            Self.config(Self.mapping), Self.environment(arguments))
        #expect(placement.map(Self.show) == expected)
    }

    @Test(arguments: [
        ("", "payments kafka/c-0123456789ab"),
        ("K8S_POD_NAME=Web_1", "payments kafka/web-1-a93ef581"),
        ("SLICE=orders", "orders kafka/c-0123456789ab"),
        ("SLICE_NAMESPACE=apps;SLICE_ENDPOINT=shop", "payments apps/shop"),
        ("SLICE_LABELS=role:web,tier=1", "payments kafka/c-0123456789ab role=web tier=1"),
        ("K8S_POD_NAMESPACE=x;SLICE=orders", "payments kafka/c-0123456789ab"),
        ("IgnoreUnknown=1;SLICE=", "payments kafka/c-0123456789ab"),
    ])
    func fixed(_ arguments: String, _ expected: String) throws {
        let placement = try Placement.decide(Self.config(), Self.environment(arguments))
        #expect(placement.map(Self.show) == expected)
    }

    private static func show(_ placement: Placement) -> String {
        let labels = placement.labels.sorted { $0.key < $1.key }.map { " \($0)=\($1)" }
        return "\(placement.slice) \(placement.namespace)/\(placement.endpoint)" + labels.joined()
    }

    @Test(arguments: ["SLICE=A b", "SLICE_NAMESPACE=-", "SLICE_LABELS=role", "SLICE", ";=x"])
    func argumentsThatMakeNoSense(_ arguments: String) throws {
        #expect {
            _ = try Placement.decide(Self.config(), Self.environment(arguments))
        } throws: {
            ($0 as? CNIError)?.code == .invalidEnvironment
        }
    }

    /// What a pod says of itself; what its node says of it has the last word.
    @Test func labelsOfAnnotations() throws {
        func labels(_ text: String) throws -> [String: String]? {
            let annotations =
                #""runtimeConfig":{"io.kubernetes.cri.pod-annotations":"#
                + #"{"slice-gateway.dev/labels":"\#(text)","other":"x"}},"#
            return try Placement.decide(
                Self.config(annotations + Self.mapping),
                Self.environment("K8S_POD_NAMESPACE=prod;K8S_POD_NAME=zk"))?.labels
        }
        #expect(try labels("c=3,b=9") == ["a": "1", "b": "2", "c": "3"])
        #expect(try labels("") == ["a": "1", "b": "2"])
        #expect(throws: CNIError.self) { try labels("role") }
    }

    @Test func theOnlyPluginMakesTheInterfaceAskedFor() throws {
        #expect(try Placement.decide(Self.config(), Self.environment())?.interface == "eth0")
        let chained = try Self.config(#""slice":"a","namespace":"b","prevResult":{}"#)
        let placement = try #require(try Placement.decide(chained, Self.environment()))
        #expect(placement.interface == nil)
    }

    // MARK: Names

    @Test func namesAreTheManifests() {
        for text in [
            "a", "A", "-a", "a-", "a.b", "", "0", String(repeating: "a", count: 64), "a_b", "é",
        ] {
            #expect(EndpointNaming.isLabel(text) == NameRules.isLabel(text), "\(text)")
            #expect(NameRules.isLabel(EndpointNaming.label(text)), "\(text)")
        }
    }

    @Test func differentNamesStayDifferent() {
        let long = String(repeating: "a", count: 70)
        let texts = ["a-b", "a.b", "a_b", "a..b", "A.b", "", "-", "--", long, long + "a"]
        #expect(Set(texts.map(EndpointNaming.label)).count == texts.count)
        #expect(EndpointNaming.label("Broker-0") == "broker-0")
    }
}
