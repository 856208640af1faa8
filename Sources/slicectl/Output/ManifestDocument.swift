import Addresses
import ConfigFile
import Noise
import SliceModel
import Timing

// `slicectl slice show --json`.

extension ManifestView {
    package struct Document: Encodable {
        struct Cluster: Encodable {
            var name: String
            var region: String
            var prefixes: [String]
            var overlayAddresses: [String]
            var gateways: [Gateway]
            /// What this cluster's gateway makes of it; absent when another was asked for.
            var peers: [String]?
            var tunnelMTUOverIPv4: Int?
            var tunnelMTUOverIPv6: Int?
        }
        struct Gateway: Encodable {
            var name: String
            var publicKey: String
            var endpoints: [String]
            var persistentKeepaliveSeconds: Int64?
            /// Absent where it is WireGuard's own.
            var cipher: String?
        }
        /// Fields as in the manifest; what is absent there is absent here.
        struct Selector: Encodable {
            var namespaces: [String]?
            var clusters: [String]?
            var regions: [String]?
            var labels: [String: String]?

            init(_ selector: EndpointSelector) {
                namespaces = selector.namespaces?.map(\.text)
                clusters = selector.clusters?.map(\.text)
                regions = selector.regions?.map(\.text)
                labels = Document.labels(selector.labels)
            }
        }
        struct Policy: Encodable {
            var name: String
            var description: String?
            var action: String
            var from: Selector
            var to: Selector
            var ports: [String]?
            var regions: [String]?
            var log: Bool

            init(_ policy: SliceModel.Policy) {
                name = policy.name.text
                description = policy.description.isEmpty ? nil : policy.description
                action = policy.action.rawValue
                from = Selector(policy.from)
                to = Selector(policy.to)
                ports = policy.ports?.map(\.description)
                regions = policy.regions?.map(\.text)
                log = policy.log
            }
        }
        struct Service: Encodable {
            struct Port: Encodable {
                var name: String
                var `protocol`: String
                var port: UInt16
            }
            struct Check: Encodable {
                var port: UInt16
                var intervalSeconds: Double
                var timeoutSeconds: Double
                var failures: Int
            }
            struct Members: Encodable {
                var names: [String]?
                var labels: [String: String]?
            }
            var name: String
            var namespace: String
            var ports: [Port]
            var endpoints: Members
            var clusters: [String]?
            var importedBy: [String]?
            var check: Check?

            init(_ service: SliceModel.Service) {
                name = service.name.text
                namespace = service.namespace.text
                ports = service.ports.map {
                    Port(name: $0.name, protocol: $0.transport.rawValue, port: $0.port)
                }
                endpoints = Members(
                    names: service.members.names?.map(\.text),
                    labels: Document.labels(service.members.labels))
                clusters = service.clusters?.map(\.text)
                importedBy = service.importedBy?.map(\.text)
                check = service.check.map {
                    Check(
                        port: $0.port, intervalSeconds: $0.interval.seconds,
                        timeoutSeconds: $0.timeout.seconds, failures: $0.failures)
                }
            }
        }
        fileprivate static func labels(
            _ labels: [EndpointSelector.LabelMatch]
        ) -> [String: String]? {
            labels.isEmpty
                ? nil
                : Dictionary(
                    labels.map { ($0.key, $0.value.text) }, uniquingKeysWith: { first, _ in first })
        }
        struct Namespace: Encodable {
            var name: String
            var clusters: [String]?
            var regions: [String]?
        }
        var slice: String
        var version: UInt64
        var digest: String
        var isolation: String
        var prefixes: [String]
        var port: UInt16
        var mtu: Int?
        var underlayMTU: Int
        var owner: String?
        var isSignatureWhole: Bool
        var clusters: [Cluster]
        var namespaces: [Namespace]
        var policies: [Policy]
        var services: [Service]
        /// What is compared with the other gateways.
        var policyDigest: String
        var warnings: [String]
    }

    package var document: Document {
        Document(
            slice: manifest.name.text, version: manifest.version,
            digest: ManifestDigest(of: manifest).hex,
            isolation: manifest.isolation.rawValue,
            prefixes: manifest.prefixes.map(\.description), port: manifest.port,
            mtu: manifest.mtu, underlayMTU: underlayMTU,
            owner: manifest.signature?.key.description,
            isSignatureWhole: manifest.signature.map {
                (try? manifest.verify(owner: $0.key)) != nil
            } ?? false,
            clusters: manifest.clusters.map(cluster),
            namespaces: manifest.namespaces.map {
                Document.Namespace(
                    name: $0.name.text, clusters: $0.clusters?.map(\.text),
                    regions: $0.regions?.map(\.text))
            },
            policies: manifest.policies.map { Document.Policy($0) },
            services: manifest.services.map { Document.Service($0) },
            policyDigest: manifest.policyDigest.hex,
            warnings: manifest.warnings.map(\.description))
    }

    private func cluster(_ cluster: SliceManifest.Cluster) -> Document.Cluster {
        let plan = plans.first { $0.cluster == cluster.name }
        return Document.Cluster(
            name: cluster.name.text, region: cluster.region.text,
            prefixes: cluster.prefixes.map(\.description),
            overlayAddresses: cluster.overlayAddresses.map(\.description),
            gateways: cluster.gateways.map { gateway in
                Document.Gateway(
                    name: gateway.name.text, publicKey: gateway.publicKey.base64,
                    endpoints: gateway.endpoints.map(\.description),
                    persistentKeepaliveSeconds: gateway.persistentKeepalive.map {
                        $0.count / 1_000_000_000
                    },
                    cipher: gateway.cipher == .chaChaPoly ? nil : gateway.cipher.rawValue)
            },
            peers: plan?.peers.map(\.cluster.text),
            tunnelMTUOverIPv4: plan?.mtu(underlay: underlayMTU, outerIsIPv6: false),
            tunnelMTUOverIPv6: plan?.mtu(underlay: underlayMTU, outerIsIPv6: true))
    }
}

extension ManifestDigest {
    /// Lower-case hexadecimal, as the daemon reports it.
    var hex: String { hexadecimal(bytes) }
}

extension PolicyDigest {
    var hex: String { hexadecimal(bytes) }
}

private func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { byte in
        let digits = String(byte, radix: 16)
        return byte < 16 ? "0" + digits : digits
    }.joined()
}
