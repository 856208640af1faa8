// swift-tools-version: 6.2
import PackageDescription

// Pure rooms hold the thinking, shells hold the machine, executables parse arguments and wire.
// Arrows point down: a target may only name targets that stand above it in this file.

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

func room(_ name: String, in folder: String, uses: [Target.Dependency] = []) -> Target {
    .target(
        name: name, dependencies: uses, path: "Sources/\(folder)/\(name)", swiftSettings: strict)
}

func program(_ name: String, uses: [Target.Dependency]) -> Target {
    .executableTarget(
        name: name, dependencies: uses, path: "Sources/\(name)", swiftSettings: strict)
}

func suite(
    _ name: String, uses: [Target.Dependency], excludes: [String] = []
) -> Target {
    .testTarget(
        name: name, dependencies: uses, path: "Tests/\(name)", exclude: excludes,
        swiftSettings: strict)
}

func system(_ name: String, pkgConfig: String, debian: String) -> Target {
    .systemLibrary(
        name: name, path: "Sources/C/\(name)", pkgConfig: pkgConfig, providers: [.apt([debian])])
}

let argumentParser = Target.Dependency.product(
    name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let nio = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")

let package = Package(
    name: "slice-gateway",
    products: [
        .executable(name: "slice-gateway", targets: ["slice-gateway"]),
        .executable(name: "slicectl", targets: ["slicectl"]),
        .executable(name: "slice-cni", targets: ["slice-cni"]),
        .executable(name: "slice-broker", targets: ["slice-broker"]),
        .executable(name: "wan-relay", targets: ["wan-relay"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        // C: system libraries, and shims for what Swift cannot import.
        system("CSodium", pkgConfig: "libsodium", debian: "libsodium-dev"),
        system("CMnl", pkgConfig: "libmnl", debian: "libmnl-dev"),
        system("CNftables", pkgConfig: "libnftables", debian: "libnftables-dev"),
        system("CYaml", pkgConfig: "yaml-0.1", debian: "libyaml-dev"),
        system("CZlib", pkgConfig: "zlib", debian: "zlib1g-dev"),
        system("CZstd", pkgConfig: "libzstd", debian: "libzstd-dev"),
        system("CLz4", pkgConfig: "liblz4", debian: "liblz4-dev"),
        system("CSnappy", pkgConfig: "snappy", debian: "libsnappy-dev"),
        .target(name: "CChecksum", path: "Sources/C/CChecksum"),
        .target(name: "CLinux", path: "Sources/C/CLinux"),
        .target(name: "CIPSecMB", path: "Sources/C/CIPSecMB"),

        // Support
        room("Bytes", in: "Support"),
        room("Timing", in: "Support"),
        room("Addresses", in: "Support", uses: ["Bytes"]),
        room("Telemetry", in: "Support", uses: ["Timing", logging]),
        room("Supervision", in: "Support", uses: ["Timing", "CLinux"]),
        room("ConfigFile", in: "Support", uses: ["Addresses", "Timing", "CYaml"]),

        // Gateway, pure
        room("Noise", in: "Gateway", uses: ["Bytes", "Timing", "CSodium", "CIPSecMB"]),
        room("Packets", in: "Gateway", uses: ["Bytes", "Addresses"]),
        room("Tunnel", in: "Gateway", uses: ["Noise", "Packets", "Bytes", "Timing", "Addresses"]),
        room(
            "SliceModel", in: "Gateway",
            uses: ["Noise", "ConfigFile", "Bytes", "Timing", "Addresses", "CSodium"]),
        room("SlicePolicy", in: "Gateway", uses: ["SliceModel", "Addresses"]),
        room(
            "SliceDirectory", in: "Gateway",
            uses: ["SliceModel", "Addresses", "Bytes", "Timing"]),
        room("SliceDNS", in: "Gateway", uses: ["SliceModel", "Addresses", "Timing"]),
        room("SliceAudit", in: "Gateway", uses: ["Bytes", "Timing", "CSodium"]),
        room("AdminAPI", in: "Gateway"),
        room("StatusPages", in: "Gateway", uses: ["AdminAPI"]),
        room("CNIModel", in: "Gateway", uses: ["AdminAPI", "Addresses"]),

        // Gateway, shells
        room(
            "LinuxNet", in: "Gateway",
            uses: ["Bytes", "Timing", "Addresses", "CLinux", "CMnl", "CNftables"]),
        room(
            "GatewayRuntime", in: "Gateway",
            uses: [
                "Noise", "Packets", "Tunnel", "SliceModel", "SlicePolicy", "SliceDNS", "AdminAPI",
                "LinuxNet", "Bytes", "Timing", "Addresses", "Telemetry", "Supervision",
                "ConfigFile", "CLinux", logging, nio, nioPosix, nioHTTP, "SliceDirectory",
                "SliceAudit", "StatusPages",
            ]),

        // Kafka, pure (NIOCore for its ByteBuffer)
        room("BrokerConfig", in: "Kafka"),
        room("KafkaWire", in: "Kafka", uses: [nio]),
        room(
            "KafkaRecords", in: "Kafka",
            uses: ["KafkaWire", "CChecksum", "CZlib", "CZstd", "CLz4", "CSnappy", nio]),
        room("KafkaClient", in: "Kafka", uses: ["KafkaRecords", "KafkaWire", nio]),
        room("CommitLog", in: "Kafka", uses: ["KafkaRecords", "KafkaWire", nio]),
        room("Raft", in: "Kafka", uses: ["Timing", nio]),
        room("Metadata", in: "Kafka", uses: ["KafkaRecords", "KafkaWire", "Timing", nio]),
        room(
            "Replication", in: "Kafka",
            uses: ["CommitLog", "KafkaRecords", "KafkaWire", "Timing", nio]),
        room("Groups", in: "Kafka", uses: ["KafkaRecords", "KafkaWire", "Timing", nio]),
        room(
            "BrokerCore", in: "Kafka",
            uses: [
                "BrokerConfig", "Groups", "Replication", "Metadata", "Raft", "CommitLog",
                "KafkaRecords", "KafkaWire", "Timing", nio,
            ]),

        // Kafka, shell
        room(
            "BrokerRuntime", in: "Kafka",
            uses: [
                "BrokerCore", "BrokerConfig", "Replication", "Metadata", "Raft", "CommitLog",
                "KafkaRecords", "KafkaWire", "Timing", "Telemetry", "Supervision", "CLinux",
                logging, nio, nioPosix, nioHTTP,
            ]),

        // The WAN relay of demo, tests and benchmarks
        room("WanModel", in: "Lab", uses: ["Timing", "Addresses"]),

        // Executables
        program(
            "slice-gateway",
            uses: [
                "GatewayRuntime", "SliceModel", "Noise", "LinuxNet", "Telemetry", "ConfigFile",
                "Timing",
                "CLinux", argumentParser, logging,
            ]),
        program(
            "slicectl",
            uses: [
                "AdminAPI", "SliceModel", "SliceAudit", "ConfigFile", "Noise", "Addresses",
                "Timing", "LinuxNet", argumentParser, nio, nioPosix, nioHTTP,
            ]),
        // Runs once for each container: no event loop, no Foundation.
        program("slice-cni", uses: ["CNIModel", "AdminAPI", "Addresses", "CLinux"]),
        program(
            "slice-broker",
            uses: [
                "BrokerRuntime", "BrokerCore", "BrokerConfig", "Telemetry", "KafkaClient",
                "KafkaRecords", "KafkaWire", argumentParser, logging, nio,
            ]),
        program(
            "wan-relay",
            uses: [
                "WanModel", "LinuxNet", "Packets", "Timing", "Addresses", "CLinux", argumentParser,
            ]),

        // Tests
        suite(
            "SupportTests",
            uses: [
                "Bytes", "Timing", "Addresses", "ConfigFile", "Telemetry", "Supervision", logging,
            ]),
        suite(
            "NoiseTests", uses: ["Noise", "Bytes", "Timing", "CSodium", "LinuxNet"],
            excludes: ["reference"]),
        suite("PacketsTests", uses: ["Packets", "Bytes", "Addresses"]),
        suite(
            "TunnelTests",
            uses: [
                "Tunnel", "Noise", "Packets", "Bytes", "Timing", "Addresses", "EstablishedTunnel",
            ]),
        suite("SliceModelTests", uses: ["SliceModel", "Noise", "ConfigFile", "Addresses"]),
        suite("SlicePolicyTests", uses: ["SlicePolicy", "SliceModel", "Addresses"]),
        suite("CNIModelTests", uses: ["CNIModel", "AdminAPI", "SliceModel", "Addresses"]),
        .target(
            name: "SimulatedWorld", dependencies: ["Timing"],
            path: "Tests/Support/SimulatedWorld", swiftSettings: strict),
        .target(
            name: "SimulatedDirectory",
            dependencies: [
                "SliceDirectory", "SliceModel", "SimulatedWorld", "Timing", "Addresses",
            ],
            path: "Tests/Support/SimulatedDirectory", swiftSettings: strict),
        suite(
            "SliceDirectoryTests",
            uses: [
                "SliceDirectory", "SliceModel", "SimulatedDirectory", "SimulatedWorld", "Timing",
                "Addresses",
            ]),
        suite("SliceDNSTests", uses: ["SliceDNS", "SliceModel", "Addresses", "Timing"]),
        suite("SliceAuditTests", uses: ["SliceAudit", "Timing"]),
        suite("LinuxNetTests", uses: ["LinuxNet", "Addresses", "Timing", "CLinux"]),
        suite("WanModelTests", uses: ["WanModel", "Timing", "Addresses"]),
        suite(
            "GatewayRuntimeTests",
            uses: [
                "GatewayRuntime", "Tunnel", "Noise", "AdminAPI", "SliceModel", "SlicePolicy",
                "SliceDNS", "LinuxNet", "Addresses", "Timing", logging, nio, nioPosix,
                "SliceDirectory", "SliceAudit", "StatusPages",
            ]),
        suite(
            "SlicectlTests",
            uses: [
                "slicectl", "GatewayRuntime", "SliceAudit", "AdminAPI", "Timing", logging, nio,
                nioPosix,
            ]),

        suite("BrokerConfigTests", uses: ["BrokerConfig"]),
        suite("KafkaWireTests", uses: ["KafkaWire", nio]),
        .executableTarget(
            name: "wire-echo", dependencies: ["KafkaWire", nio], path: "Tests/Support/WireEcho",
            swiftSettings: strict),
        suite("KafkaRecordsTests", uses: ["KafkaRecords", "KafkaWire", nio]),
        .target(
            name: "SimulatedDisk", dependencies: ["CommitLog", nio],
            path: "Tests/Support/SimulatedDisk", swiftSettings: strict),
        suite(
            "KafkaClientTests",
            uses: ["slice-broker", "KafkaClient", "KafkaRecords", "KafkaWire", nio]),
        suite(
            "CommitLogTests",
            uses: ["CommitLog", "SimulatedDisk", "KafkaRecords", "KafkaWire", nio]),
        suite("RaftTests", uses: ["Raft", "SimulatedWorld", "Timing", nio]),
        suite("MetadataTests", uses: ["Metadata", "KafkaRecords", "KafkaWire", "Timing", nio]),
        suite(
            "ReplicationTests",
            uses: [
                "Replication", "CommitLog", "SimulatedDisk", "KafkaRecords", "KafkaWire", "Timing",
                nio,
            ]),
        suite(
            "BrokerRuntimeTests",
            uses: [
                "BrokerRuntime", "BrokerCore", "CommitLog", "KafkaWire", "Supervision", "Timing",
                logging, nio, nioPosix, nioEmbedded,
            ]),
        suite(
            "BrokerCoreTests",
            uses: [
                "BrokerCore", "BrokerConfig", "Replication", "Metadata", "CommitLog",
                "SimulatedDisk", "KafkaRecords", "KafkaWire", "Timing", nio,
            ]),
        suite("GroupsTests", uses: ["Groups", "KafkaRecords", "KafkaWire", "Timing", nio]),

        // Whole clusters in simulated time: `make sim`
        .executableTarget(
            name: "simulate",
            dependencies: [
                "BrokerCore", "BrokerConfig", "Replication", "Metadata", "Raft", "CommitLog",
                "KafkaRecords", "KafkaWire", "Timing", "SimulatedDisk", "SimulatedWorld", nio,
            ],
            path: "Tests/Simulation", exclude: ["run.sh"], swiftSettings: strict),

        // A directory of many gateways in simulated time, and its figures: `make sim`
        .executableTarget(
            name: "simulate-directory",
            dependencies: [
                "SimulatedDirectory", "SimulatedWorld", "SliceDirectory", "SliceModel", "Timing",
                "Addresses",
            ],
            path: "Tests/DirectorySimulation", exclude: ["run.sh"], swiftSettings: strict),

        // A tunnel in the middle of its life, and fuzzing: see Tests/Fuzz/run.sh
        .target(
            name: "EstablishedTunnel",
            dependencies: ["Tunnel", "Noise", "Packets", "Timing", "Addresses"],
            path: "Tests/Support/EstablishedTunnel", swiftSettings: strict),
        // A device with thousands of peers, and what it costs: `make bench-scale`
        .executableTarget(
            name: "tunnel-scale",
            dependencies: ["Tunnel", "Noise", "LinuxNet", "Timing", "Addresses"],
            path: "Tests/TunnelScale", swiftSettings: strict),
        // The pure part of the packet path, to be counted by callgrind: see its check.py
        .executableTarget(
            name: "packet-cost",
            dependencies: ["EstablishedTunnel", "Tunnel", "Noise", "Packets", "Timing"],
            path: "Tests/PacketCost", exclude: ["check.py", "instructions.json"],
            swiftSettings: strict),
        .target(
            name: "FuzzTargets",
            dependencies: [
                "EstablishedTunnel", "Tunnel", "Noise", "Packets", "SliceModel", "AdminAPI",
                "CNIModel", "LinuxNet", "WanModel", "Timing", "Addresses", "SliceDNS", "SliceAudit",
                "SliceDirectory", "BrokerCore", "BrokerConfig", "Groups", "Metadata", "CommitLog",
                "KafkaRecords", "KafkaWire", "SimulatedDisk", nio,
            ],
            path: "Tests/Fuzz/Targets", swiftSettings: strict),
        .target(name: "CAllocationCounter", path: "Tests/Support/CAllocationCounter"),
        suite("FuzzReplayTests", uses: ["FuzzTargets"]),
        suite(
            "AllocationTests",
            uses: [
                "CAllocationCounter", "EstablishedTunnel", "Tunnel", "Noise", "Packets", "Timing",
                "Addresses",
            ]),
    ],
    swiftLanguageModes: [.v6]
)

// libFuzzer is linked in only where it is asked for.
if Context.environment["FUZZ"] != nil {
    package.targets += [
        .target(name: "CFuzzDriver", path: "Tests/Fuzz/Driver"),
        .executableTarget(
            name: "fuzz", dependencies: ["FuzzTargets", "CFuzzDriver"],
            path: "Tests/Fuzz/Runner", swiftSettings: strict),
    ]
}
