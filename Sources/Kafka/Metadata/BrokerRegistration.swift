import KafkaWire

/// Where a node listens, by the listener's name.
package struct Endpoint: Hashable, Sendable {
    package var name: String
    package var host: String
    package var port: UInt16
    package var securityProtocol: Int16

    package init(name: String, host: String, port: UInt16, securityProtocol: Int16 = 0) {
        self.name = name
        self.host = host
        self.port = port
        self.securityProtocol = securityProtocol
    }
}

/// A broker as the metadata log tells it.
package struct BrokerRegistration: Equatable, Sendable {
    package var id: Int32
    /// The offset at which this incarnation registered: a fencing token for all it asks.
    package var epoch: Int64
    package var incarnation: KafkaUUID
    package var endpoints: [Endpoint]
    package var features: [SupportedFeature]
    package var rack: String?
    package var fenced: Bool
    package var inControlledShutdown: Bool
    package var directories: [KafkaUUID]

    package init(
        id: Int32, epoch: Int64, incarnation: KafkaUUID, endpoints: [Endpoint] = [],
        features: [SupportedFeature] = [], rack: String? = nil, fenced: Bool = true,
        inControlledShutdown: Bool = false, directories: [KafkaUUID] = []
    ) {
        self.id = id
        self.epoch = epoch
        self.incarnation = incarnation
        self.endpoints = endpoints
        self.features = features
        self.rack = rack
        self.fenced = fenced
        self.inControlledShutdown = inControlledShutdown
        self.directories = directories
    }

    /// Fit to lead: neither fenced nor on its way out.
    package var isActive: Bool { !fenced && !inControlledShutdown }

    /// Whether a replica in this directory can be served. Ids that stand for no directory in
    /// particular count as online, except the one that says it is lost.
    package func hasOnline(directory: KafkaUUID) -> Bool {
        if directory == DirectoryId.unassigned || directory == DirectoryId.migrating { return true }
        return directories.contains(directory)
    }

    /// Where a new replica on this broker will live, as far as that is known beforehand.
    package var directoryForNewReplicas: KafkaUUID {
        switch directories.count {
        case 0: DirectoryId.migrating
        case 1: directories[0]
        default: DirectoryId.unassigned
        }
    }

    package func endpoint(named name: String) -> Endpoint? {
        endpoints.first { $0.name == name }
    }
}

extension BrokerRegistration {
    package init(_ record: RegisterBrokerRecord) {
        self.init(
            id: record.brokerId, epoch: record.brokerEpoch, incarnation: record.incarnationId,
            endpoints: record.endPoints.map {
                Endpoint(
                    name: $0.name, host: $0.host, port: $0.port,
                    securityProtocol: $0.securityProtocol)
            },
            features: record.features.map {
                SupportedFeature(
                    name: $0.name, range: .init($0.minSupportedVersion, $0.maxSupportedVersion))
            },
            rack: record.rack, fenced: record.fenced,
            inControlledShutdown: record.inControlledShutdown, directories: record.logDirs)
    }

    package var record: RegisterBrokerRecord {
        RegisterBrokerRecord(
            brokerId: id, incarnationId: incarnation, brokerEpoch: epoch,
            endPoints: endpoints.map {
                .init(
                    name: $0.name, host: $0.host, port: $0.port,
                    securityProtocol: $0.securityProtocol)
            },
            features: features.map {
                .init(
                    name: $0.name, minSupportedVersion: $0.range.lowest,
                    maxSupportedVersion: $0.range.highest)
            },
            rack: rack, fenced: fenced, inControlledShutdown: inControlledShutdown,
            logDirs: directories)
    }
}

/// A controller of the quorum, as it registered itself (KIP-919).
package struct ControllerRegistration: Equatable, Sendable {
    package var id: Int32
    package var incarnation: KafkaUUID
    package var endpoints: [Endpoint]
    package var features: [SupportedFeature]

    package init(
        id: Int32, incarnation: KafkaUUID, endpoints: [Endpoint] = [],
        features: [SupportedFeature] = []
    ) {
        self.id = id
        self.incarnation = incarnation
        self.endpoints = endpoints
        self.features = features
    }

    package init(_ record: RegisterControllerRecord) {
        self.init(
            id: record.controllerId, incarnation: record.incarnationId,
            endpoints: record.endPoints.map {
                Endpoint(
                    name: $0.name, host: $0.host, port: $0.port,
                    securityProtocol: $0.securityProtocol)
            },
            features: record.features.map {
                SupportedFeature(
                    name: $0.name, range: .init($0.minSupportedVersion, $0.maxSupportedVersion))
            })
    }

    package var record: RegisterControllerRecord {
        RegisterControllerRecord(
            controllerId: id, incarnationId: incarnation,
            endPoints: endpoints.map {
                .init(
                    name: $0.name, host: $0.host, port: $0.port,
                    securityProtocol: $0.securityProtocol)
            },
            features: features.map {
                .init(
                    name: $0.name, minSupportedVersion: $0.range.lowest,
                    maxSupportedVersion: $0.range.highest)
            })
    }
}
