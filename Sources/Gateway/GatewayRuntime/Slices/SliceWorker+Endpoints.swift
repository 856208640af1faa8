import Addresses
import AdminAPI
import Glibc
import LinuxNet
import Logging
import SliceAudit
import SliceModel

// Endpoints: who is attached, and where.
extension SliceWorker {
    // MARK: What is remembered

    func restoreAttachments(_ state: SliceState) throws {
        attached = [:]
        for saved in try state.attachments() {
            guard let namespace = NamespaceName(saved.namespace),
                let name = EndpointName(saved.name),
                let reference = EndpointReference(saved.reference)
            else { continue }
            let key = AddressBook.Key(namespace, name)
            // After a start of the machine the number belongs to somebody else, and so may the
            // path: no container outlives it.
            let isOfThisBoot = saved.boot == SliceState.bootID
            if !isOfThisBoot {
                if saved.owner != nil { continue }
                if case .pid = reference { continue }
            }
            let identity = NetworkNamespace.Identity(device: saved.device, inode: saved.inode)
            attached[key] = Attached(
                key: key, reference: reference, interface: saved.interface, isConfigured: false,
                identity: isOfThisBoot ? identity : nil,
                cookie: isOfThisBoot ? saved.cookie : nil,
                labels: saved.labels.flatMap { EndpointLabels($0) } ?? .none, owner: saved.owner)
        }
        adoptConfiguredEndpoints()
    }

    /// gateway.conf has the last word on the endpoints that it names.
    func adoptConfiguredEndpoints() {
        let wanted = config.endpoints.map { AddressBook.Key($0.namespace, $0.name) }
        for (key, endpoint) in attached where endpoint.isConfigured && !wanted.contains(key) {
            attached[key] = nil
        }
        for endpoint in config.endpoints {
            let key = AddressBook.Key(endpoint.namespace, endpoint.name)
            if let known = attached[key], known.isConfigured,
                known.reference == endpoint.reference
            {
                attached[key]?.labels = endpoint.labels
                continue
            }
            attached[key] = Attached(
                key: key, reference: endpoint.reference, interface: nil, isConfigured: true,
                identity: nil, labels: endpoint.labels)
        }
    }

    func storeAttachments(_ running: Running) throws {
        let saved = attached.values.filter { !$0.isConfigured }.sorted { $0.key < $1.key }
        try running.inputs.state.store(
            attachments: saved.map { endpoint in
                SliceState.Attachment(
                    namespace: endpoint.key.namespace.text, name: endpoint.key.endpoint.text,
                    reference: "\(endpoint.reference)", interface: endpoint.interface,
                    device: endpoint.identity?.device ?? 0, inode: endpoint.identity?.inode ?? 0,
                    boot: endpoint.boot, cookie: endpoint.cookie,
                    labels: endpoint.labels == .none ? nil : endpoint.labels.dictionary,
                    owner: endpoint.owner)
            })
    }

    // MARK: Namespaces

    func isAdmitted(_ key: AddressBook.Key, _ running: Running) -> Bool {
        running.inputs.manifest.admits(key.namespace, in: environment.cluster)
    }

    static func open(_ reference: EndpointReference) throws(LinuxError) -> NetworkNamespace {
        switch reference {
        case .netns(let name): try .named(name)
        case .path(let path): try NetworkNamespace(path: path)
        case .pid(let pid): try NetworkNamespace(pid: pid)
        }
    }

    /// Those that are there. The others are noted; what was given to them waits for them.
    func openEndpoints(
        _ running: Running, only keys: Set<AddressBook.Key>?
    ) -> [AddressBook.Key: NetworkNamespace] {
        var open: [AddressBook.Key: NetworkNamespace] = [:]
        var booked = false
        for endpoint in attached.values.sorted(by: { $0.key < $1.key })
        where keys?.contains(endpoint.key) ?? true {
            do {
                try refuseUnlessAdmitted(endpoint.key, running)
                if !(running.book[endpoint.key]?.isComplete(for: running.plan) ?? false) {
                    _ = try running.book.attach(endpoint.key)
                    booked = true
                }
                let namespace = try Self.open(endpoint.reference)
                let cookie = try refuseUnfit(namespace, for: endpoint)
                guard endpoint.isStill(namespace, cookie: cookie) else {
                    attached[endpoint.key]?.isAway = true
                    throw SliceFailure(
                        "gone: \(endpoint.reference) now belongs to another namespace")
                }
                open[endpoint.key] = namespace
                attached[endpoint.key]?.identity = namespace.identity
                attached[endpoint.key]?.cookie = cookie
                attached[endpoint.key]?.isAway = false
                note(endpoint.key, nil)
            } catch let error as LinuxError where error.isAbsent {
                attached[endpoint.key]?.isAway = true
                note(endpoint.key, "gone: \(endpoint.reference) is not there; its addresses wait")
            } catch {
                note(endpoint.key, SliceFailure.lines(error).joined(separator: "; "))
            }
        }
        if booked {
            do {
                try running.inputs.state.store(leases: running.book)
            } catch {
                logger.error("\(error)")
            }
        }
        return open
    }

    func note(_ key: AddressBook.Key, _ problem: String?) {
        guard let known = attached[key], known.problem != problem else { return }
        attached[key]?.problem = problem
        if let problem {
            logger.warning("endpoint \(key): \(problem)")
        } else if known.problem != nil {
            logger.notice("endpoint \(key) is well again")
        }
    }

    private func refuseUnlessAdmitted(_ key: AddressBook.Key, _ running: Running) throws {
        let manifest = running.inputs.manifest
        if let fence = manifest.fence(of: key.namespace, against: environment.cluster) {
            let region = manifest.cluster(environment.cluster)?.region.text ?? ""
            let reason =
                "the fence of namespace `\(key.namespace)` ("
                + fence.map(\.text).joined(separator: ", ") + ") does not admit cluster "
                + "\(environment.cluster), which is in region \(region)"
            audit(.attachRefused, "\(key)@\(environment.cluster)", reason)
            throw SliceFailure(reason + ": attach it elsewhere, or change the fence and sign again")
        }
        guard isAdmitted(key, running) else {
            throw SliceFailure(
                "the manifest does not admit the namespace `\(key.namespace)` in cluster "
                    + "\(environment.cluster): add it to spec.namespaces and sign again")
        }
    }

    /// Neither the host nor a router may become an endpoint: the one would open the host to the
    /// slice, the other one slice to another. Returns the namespace's cookie.
    @discardableResult
    private func refuseUnfit(
        _ namespace: NetworkNamespace, for endpoint: Attached
    ) throws -> UInt64? {
        if try Self.isHost(namespace) {
            throw SliceFailure(
                "\(endpoint.reference) is the host's own network namespace: attach one that is "
                    + "an application's")
        }
        let netlink = try Netlink(in: namespace)
        if try netlink.links().contains(where: { $0.isOurs && $0.kind == "tun" }) {
            throw SliceFailure("\(endpoint.reference) is the router namespace of a slice")
        }
        let other = attached.values.first {
            $0.key != endpoint.key && $0.identity == namespace.identity && $0.problem == nil
        }
        let cookie = netlink.namespaceCookie
        // The numbers of namespaces that are gone are used again, and soon: is it really there?
        if let other, other.isStill(namespace, cookie: cookie),
            (try? Self.open(other.reference)) == namespace
        {
            throw SliceFailure("\(endpoint.reference) is attached already, as \(other.key)")
        }
        return cookie
    }

    /// The daemon's own, and those that others may call the host's. Where /proc/1 may not be read
    /// (containers), the kernel's own is known by its number: NET_NS_INIT_INO of linux/nsfs.h.
    private static func isHost(_ namespace: NetworkNamespace) throws(LinuxError) -> Bool {
        let first: UInt64 = 0xefff_fff9
        return try namespace == NetworkNamespace.current()
            || namespace.identity.inode == first
            || namespace == (try? NetworkNamespace(pid: 1))
            || namespace == (try? NetworkNamespace(pid: getppid()))
    }

    // MARK: Attaching and detaching

    /// All or nothing.
    func attach(_ request: AttachRequest) throws -> AttachReply {
        let running = try requireRunning()
        let endpoint = try parse(request)
        let key = endpoint.key
        let before = attached[key]
        let bookBefore = running.book
        if let before, before.isConfigured, before.reference != endpoint.reference {
            throw APIError(
                .conflict,
                "the endpoint \(key) is attached by gateway.conf, to \(before.reference)",
                hint: "change gateway.conf and run `slicectl reload`")
        }
        do {
            try refuseUnlessAdmitted(key, running)
            let namespace = try Self.open(endpoint.reference)
            let cookie = try refuseUnfit(namespace, for: endpoint)
            if let before, let identity = before.identity, identity != namespace.identity,
                before.reference != endpoint.reference,
                (try? Self.open(before.reference))?.identity == identity
            {
                throw APIError(
                    .conflict, "the endpoint \(key) is attached already, to \(before.reference)",
                    hint: "detach it first, or choose another name")
            }
            let lease = try running.book.attach(key)
            try checkWanted(request.addresses, lease)
            var record = endpoint
            record.identity = namespace.identity
            record.cookie = cookie
            record.isConfigured = before?.isConfigured ?? false
            attached[key] = record
            // On disk before in the kernel: what is in the kernel must be found again.
            try running.inputs.state.store(leases: running.book)
            try storeAttachments(running)
            let outcome = try apply(running, only: [key])
            if let problem = outcome.problems[key] { throw problem }
            for change in outcome.changes { logger.notice("\(change)") }
            let isSaid = before.map { $0.labels == record.labels && $0.owner == record.owner }
            return try attachReply(
                key, running, changed: !outcome.changes.isEmpty || isSaid == false)
        } catch {
            attached[key] = before
            running.book = bookBefore
            try? running.inputs.state.store(leases: running.book)
            try? storeAttachments(running)
            _ = try? apply(running, only: [key])
            throw Self.refusal(error, "cannot attach \(key)")
        }
    }

    private func parse(_ request: AttachRequest) throws -> Attached {
        guard let namespace = NamespaceName(request.namespace) else {
            throw APIError(.invalidRequest, "a namespace's name \(NameRules.labelRule)")
        }
        guard let name = EndpointName(request.name) else {
            throw APIError(.invalidRequest, "an endpoint's name \(NameRules.labelRule)")
        }
        let reference: EndpointReference? =
            switch request.kind {
            case .netns: EndpointReference(netns: request.target)
            case .path: EndpointReference(path: request.target)
            case .pid: Int32(request.target).flatMap { EndpointReference(pid: $0) }
            }
        guard let reference else {
            throw APIError(
                .invalidRequest, "\(request.kind.rawValue) does not name a network namespace")
        }
        if let interface = request.interface, !Netlink.isInterfaceName(interface) {
            throw APIError(.invalidRequest, "an interface's name has 1 to 15 bytes without `/`")
        }
        if let owner = request.owner, !AttachRequest.isOwner(owner) {
            throw APIError(
                .invalidRequest,
                "an owner has 1 to \(AttachRequest.maximumOwnerBytes) bytes of printable ASCII "
                    + "without spaces")
        }
        let labels = try request.labels.map { labels in
            guard let labels = EndpointLabels(labels) else {
                throw APIError(
                    .invalidRequest,
                    "a label \(EndpointLabels.rule); at most \(EndpointLabels.limit) of them")
            }
            return labels
        }
        let key = AddressBook.Key(namespace, name)
        // What is repaired keeps what is not said again; what is elsewhere is somebody new.
        let same = attached[key].flatMap { $0.reference == reference ? $0 : nil }
        return Attached(
            key: key, reference: reference,
            interface: request.interface ?? attached[key]?.interface,
            isConfigured: false, identity: nil, labels: labels ?? same?.labels ?? .none,
            owner: request.owner ?? same?.owner)
    }

    private func checkWanted(_ wanted: [String]?, _ lease: AddressBook.Lease) throws {
        for text in wanted ?? [] {
            guard let address = IPAddress(text) else {
                throw APIError(.invalidRequest, "an address wanted is none")
            }
            if !lease.addresses.contains(address) {
                throw APIError(
                    .conflict,
                    "the endpoint \(lease.key) has other addresses: "
                        + lease.addresses.map(\.description).joined(separator: ", "),
                    hint: "leave the addresses out: they are given by the gateway")
            }
        }
    }

    private func attachReply(
        _ key: AddressBook.Key, _ running: Running, changed: Bool
    ) throws -> AttachReply {
        let links = try running.router.links()
        guard let port = routerPlan(running).ports.first(where: { $0.key == key }),
            let endpoint = attached[key]
        else { throw APIError(.internalError, "the endpoint \(key) is not in the plan") }
        return AttachReply(
            endpoint: report(endpoint, running, links), mtu: running.mtu,
            routes: port.prefixes.map(\.description), changed: changed,
            gateways: port.gateways.map(\.description),
            hardwareAddress: Self.text(of: port.endpointHardwareAddress))
    }

    func detach(_ request: DetachRequest) throws -> DetachReply {
        let running = try requireRunning()
        guard let namespace = NamespaceName(request.namespace),
            let name = EndpointName(request.name)
        else { throw APIError(.invalidRequest, "this is no endpoint's name") }
        let key = AddressBook.Key(namespace, name)
        guard let endpoint = attached[key] else { return DetachReply(changed: false) }
        if endpoint.isConfigured {
            throw APIError(
                .conflict, "the endpoint \(key) is attached by gateway.conf",
                hint: "remove it there and run `slicectl reload`")
        }
        do {
            attached[key] = nil
            running.book.detach(key)
            try storeAttachments(running)
            try running.inputs.state.store(leases: running.book)
            let outcome = try apply(running, only: [])
            for change in outcome.changes { logger.notice("\(change)") }
        } catch {
            throw Self.refusal(error, "cannot detach \(key)")
        }
        return DetachReply(changed: true)
    }

    func requireRunning() throws -> Running {
        guard let running else {
            throw APIError(
                .unavailable,
                "the slice is not up: " + (failures.first ?? "it is starting"),
                hint: "`slicectl status` shows what is wrong with it")
        }
        return running
    }

    /// The same words for the client as for the log.
    static func refusal(_ error: any Error, _ what: String) -> APIError {
        switch error {
        case let error as APIError: error
        case AddressBook.Failure.full: APIError(.limitReached, "\(what): \(error)")
        case is AddressBook.Failure: APIError(.limitReached, "\(what): \(error)")
        case let error as LinuxError where error.isAbsent:
            APIError(.notFound, "\(what): \(error)")
        case is RouterConflict: APIError(.conflict, "\(what): \(error)")
        case is LinuxError: APIError(.internalError, "\(what): \(error)")
        default:
            APIError(.conflict, "\(what): " + SliceFailure.lines(error).joined(separator: "; "))
        }
    }
}

extension AddressBook.Lease {
    /// Attached, and with an address of every family that the cluster has.
    func isComplete(for plan: SlicePlan) -> Bool {
        isAttached && Set(addresses.map(\.isIPv4)) == Set(plan.localPrefixes.map(\.isIPv4))
    }
}
