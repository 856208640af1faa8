import AdminAPI
import CNIModel
import Glibc

/// One call of a runtime.
struct Plugin {
    let environment: CNIEnvironment
    let input: [UInt8]

    init(_ environment: CNIEnvironment, _ input: [UInt8]) {
        self.environment = environment
        self.input = input
    }

    /// What goes to standard output, if anything does.
    func run() throws(CNIError) -> JSON? {
        if environment.command == .version {
            return CNIVersion.reply(to: NetworkConfig.versionText(input))
        }
        let config = try NetworkConfig(input, for: environment.command)
        switch environment.command {
        case .add: return try add(config)
        case .del: try del(config)
        case .check: try check(config)
        case .status: try status(config)
        case .gc: try collect(config)
        case .version: break
        }
        return nil
    }

    private func owner(_ config: NetworkConfig) throws(CNIError) -> String {
        let owner = Placement.owner(
            config, containerID: environment.containerID, interface: environment.interface)
        guard AttachRequest.isOwner(owner) else {
            throw CNIError(
                .invalidEnvironment, "CNI_CONTAINERID or CNI_IFNAME is too long or not ASCII")
        }
        return owner
    }

    private func netns() throws(CNIError) -> String {
        guard let path = environment.netns else {
            throw CNIError(.invalidEnvironment, "CNI_NETNS is missing")
        }
        return path
    }

    private func add(_ config: NetworkConfig) throws(CNIError) -> JSON {
        guard let placement = try Placement.decide(config, environment) else {
            return CNIResult.unchanged(config)
        }
        let netns = try netns()
        guard access(netns, F_OK) == 0 || errno != ENOENT else {
            throw CNIError(.unknownContainer, "the network namespace \(netns) is not there")
        }
        let body = AttachBody.json(placement, netns: netns, owner: try owner(config))
        let reply = try ask(.attach(slice: placement.slice), config, body, target: netns)
        return try CNIResult.adding(AttachedInterface(reply: reply), to: config, netns: netns)
    }

    /// By the owner, in whatever slices that is: the configuration may have changed since ADD.
    private func del(_ config: NetworkConfig) throws(CNIError) {
        do throws(CNIError) {
            _ = try ask(.release(owner: owner(config)), config)
        } catch {
            // Pods that are none of ours must be able to go without the gateway.
            if case .mapped = config.target, error.code == .tryAgainLater,
                (try? Placement.decide(config, environment)) == .some(nil)
            {
                return
            }
            throw error
        }
    }

    private func check(_ config: NetworkConfig) throws(CNIError) {
        guard let placement = try Placement.decide(config, environment) else { return }
        let netns = try netns()
        let reply = try ask(.owned(owner: owner(config)), config)
        let endpoint = try CNICheck.endpoint(in: reply, slice: placement.slice)
        let view = try ContainerNetwork.view(netns)
        try CNICheck.check(endpoint, placement, config, netns: netns, view)
    }

    private func status(_ config: NetworkConfig) throws(CNIError) {
        // With a mapping most pods do not need the gateway: without it the node is still good.
        guard case .fixed(let slice, _) = config.target else { return }
        let report: JSON
        do throws(CNIError) {
            report = try ask(.status, config)
        } catch {
            guard error.code == .tryAgainLater else { throw error }
            throw CNIError(.notAvailableAndLimited, error.message, details: error.details)
        }
        if let slice { try CNIStatus.check(report, slice: slice) }
    }

    private func collect(_ config: NetworkConfig) throws(CNIError) {
        guard let valid = config.validAttachments else { return }
        _ = try ask(.collect, config, CollectBody.json(config, valid))
    }

    private func ask(
        _ route: AdminRoute, _ config: NetworkConfig, _ body: JSON? = nil, target: String? = nil
    ) throws(CNIError) -> JSON {
        let bytes = try AdminSocket.exchange(
            config.adminSocket, AdminExchange.request(route, body: body))
        do throws(ExchangeProblem) {
            return try AdminExchange.reply(bytes)
        } catch {
            switch error {
            case .refused(let refusal): throw CNIError(refusal, target: target)
            case .broken(let what):
                throw CNIError(
                    .tryAgainLater,
                    "the reply from \(config.adminSocket) makes no sense: \(what)",
                    details: "it may just have ended: journalctl -u slice-gateway tells more")
            }
        }
    }
}
