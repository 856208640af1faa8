import AdminAPI
import LinuxNet
import Logging
import SliceModel

// What programs attach and take back by a word of their own: container runtimes, through CNI.
extension SliceWorker {
    /// In the order of names. Empty while the slice does not run.
    func endpoints(where isMeant: (Attached) -> Bool) throws -> [EndpointsReply.Entry] {
        guard let running else { return [] }
        let links = try running.router.links()
        return attached.values.filter(isMeant).sorted { $0.key < $1.key }.map {
            EndpointsReply.Entry(
                slice: running.plan.slice.text, endpoint: report($0, running, links))
        }
    }

    /// Detaches what these owners have, all in one. Also works while the slice does not run: a
    /// container that ends must not wait until somebody mends a manifest.
    func release(_ isMeant: @Sendable (String) -> Bool) throws -> [String] {
        guard let running else { return try forget(isMeant) }
        let keys = attached.values.filter { endpoint in
            !endpoint.isConfigured && endpoint.owner.map(isMeant) ?? false
        }.map(\.key).sorted()
        guard !keys.isEmpty else { return [] }
        do {
            for key in keys {
                attached[key] = nil
                running.book.detach(key)
            }
            try storeAttachments(running)
            try running.inputs.state.store(leases: running.book)
            let outcome = try apply(running, only: [])
            for change in outcome.changes { logger.notice("\(change)") }
        } catch {
            throw Self.refusal(error, "cannot detach \(keys[0])")
        }
        return keys.map { "\(running.plan.slice) \($0)" }
    }

    /// From what is remembered; what is in the kernel goes when the slice comes up.
    private func forget(_ isMeant: (String) -> Bool) throws -> [String] {
        guard let slice = name else { return [] }
        let state = SliceState(stateDirectory: environment.stateDirectory, slice: slice)
        let saved = try state.attachments()
        let kept = saved.filter { !($0.owner.map(isMeant) ?? false) }
        if kept.count == saved.count { return [] }
        try state.store(attachments: kept)
        return saved.filter { !kept.contains($0) }.map { "\(slice) \($0.namespace)/\($0.name)" }
    }
}

extension GatewayDaemon {
    func owned(by owner: String) async throws -> [EndpointsReply.Entry] {
        try refuseWhileStarting()
        var found: [EndpointsReply.Entry] = []
        for worker in workers { found += try await worker.endpoints { $0.owner == owner } }
        return found
    }

    /// In every slice; one that cannot does not keep the others from it.
    func release(_ isMeant: @escaping @Sendable (String) -> Bool) async throws -> ReleaseReply {
        try refuseWhileStarting()
        var reply = ReleaseReply()
        var failure: (any Error)?
        for worker in workers {
            do {
                reply.detached += try await worker.release(isMeant)
            } catch {
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
        return reply
    }
}
