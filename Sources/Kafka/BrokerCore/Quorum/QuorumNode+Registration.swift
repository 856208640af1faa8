import BrokerConfig
import KafkaWire
import Metadata
import NIOCore
import Raft
import Timing

/// Where a controller stands with making itself known to the active one (KIP-919).
struct ControllerRegistrationState {
    /// The request under way.
    var request: UInt64?
    var due: Instant?
}

extension QuorumNode {
    var isRegistered: Bool {
        image.controllers[config.nodeID]?.incarnation == identity.incarnation
    }

    /// Tells the active controller what this one is and supports: a feature can only be raised
    /// once each voter has said that it knows it.
    func registerIfDue() {
        guard let due = registration.due, due <= now else { return }
        registration.due = nil
        guard config.isController, !isRegistered, registration.request == nil,
            let leader = raft.leaderID, let voter = config.voters.first(where: { $0.id == leader })
        else { return }
        let request = ControllerRegistrationRequest(
            controllerId: config.nodeID, incarnationId: identity.incarnation,
            listeners: config.controllerListeners.map {
                .init(name: $0.name, host: ownHost($0), port: $0.port, securityProtocol: 0)
            },
            features: SupportedFeature.ours.map {
                .init(
                    name: $0.name, minSupportedVersion: $0.range.lowest,
                    maxSupportedVersion: $0.range.highest)
            })
        let id = nextRequest
        nextRequest += 1
        registration.request = id
        let version = ControllerRegistrationRequest.validVersions.upperBound
        effects.append(
            .node(
                .send(
                    PeerRequest(
                        id: id, node: leader, host: voter.host, port: voter.port, lane: .control,
                        apiKey: ControllerRegistrationRequest.apiKey, version: version,
                        body: request.encoded(version: version), timeout: .seconds(2)))))
    }

    /// A listener at every address is known to others by what the voters' list says.
    private func ownHost(_ listener: Listener) -> String {
        listener.host.isEmpty
            ? config.voters.first { $0.id == config.nodeID }?.host ?? "" : listener.host
    }

    func registrationAnswered(_ body: ByteBuffer?) {
        registration.request = nil
        let version = ControllerRegistrationRequest.validVersions.upperBound
        let answer = body.flatMap { try? ControllerRegistrationResponse($0, version: version) }
        // The record itself says that it is done; anything else is tried again.
        if answer?.errorCode != ErrorCode.none { registration.due = now + .seconds(1) }
    }
}
