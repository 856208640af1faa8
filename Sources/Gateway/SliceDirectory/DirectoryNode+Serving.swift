import Addresses
import SliceModel
import Timing

extension DirectoryNode {
    // MARK: Accepting

    /// The source address says which cluster it is: the tunnel vouches for it.
    mutating func accepted(_ stream: DirectoryStream, from address: IPAddress) {
        guard let place = placesByAddress[address] else {
            effects.append(.close(stream))
            if lastStranger.map({ now - $0 < timing.faultMemory }) ?? false { return }
            lastStranger = now
            let problem = DirectoryProblem(slice.local.name, .stranger(address))
            effects.append(.report(problem))
            return
        }
        // One that has not said anything gives way: connections are bounded, two from each peer.
        if let old = peers[place].waiting?.link.stream {
            streams[old] = nil
            effects.append(.close(old))
        }
        peers[place].waiting = Serving(link: DirectoryLink(stream, now: now))
        streams[stream] = place
    }

    mutating func receivedServing(
        _ place: Int, _ stream: DirectoryStream, _ bytes: [UInt8]
    ) {
        if peers[place].waiting?.link.stream == stream {
            peers[place].waiting?.link.decoder.append(bytes)
            greet(place)
        } else {
            peers[place].serving?.link.decoder.append(bytes)
        }
        guard peers[place].serving?.link.stream == stream else { return }
        peers[place].serving?.link.lastHeard = now
        while peers[place].serving?.link.stream == stream {
            do throws(WireProblem) {
                guard let message = try peers[place].serving?.link.decoder.next() else { break }
                serve(place, message)
            } catch {
                refuseServing(place, .malformed, .malformed(error))
            }
        }
        produce(place)
    }

    private mutating func refuseServing(
        _ place: Int, _ reason: DirectoryRefusal, _ kind: DirectoryProblem.Kind
    ) {
        guard let link = peers[place].serving?.link else { return }
        peers[place].serving = nil
        fault(place, kind)
        refuse(link, reason, DirectoryProblem(peers[place].name, kind).description)
    }

    private mutating func refuseWaiting(
        _ place: Int, _ reason: DirectoryRefusal, _ kind: DirectoryProblem.Kind
    ) {
        guard let link = peers[place].waiting?.link else { return }
        peers[place].waiting = nil
        fault(place, kind)
        refuse(link, reason, DirectoryProblem(peers[place].name, kind).description)
    }

    private mutating func greet(_ place: Int) {
        do throws(WireProblem) {
            guard let message = try peers[place].waiting?.link.decoder.next() else { return }
            guard case .hello(let hello) = message else {
                return refuseWaiting(place, .unexpected, .unexpected)
            }
            greet(place, hello)
        } catch {
            if error == .badValue("protocol version") {
                refuseWaiting(place, .protocolVersion, .protocolVersion)
            } else {
                refuseWaiting(place, .malformed, .malformed(error))
            }
        }
    }

    private mutating func greet(_ place: Int, _ hello: DirectoryMessage.Hello) {
        guard hello.slice == slice.name else {
            return refuseWaiting(place, .otherSlice, .otherSlice(hello.slice))
        }
        guard hello.cluster == peers[place].name else {
            return refuseWaiting(place, .otherCluster, .otherCluster(hello.cluster))
        }
        let known = peers[place].incarnation
        guard hello.incarnation >= known || canary == .takesOlderIncarnation else {
            return refuseWaiting(
                place, .olderIncarnation, .twoGateways(newest: known, other: hello.incarnation))
        }
        guard var serving = peers[place].waiting else { return }
        peers[place].waiting = nil
        if let old = peers[place].serving?.link { refuse(old, .replaced, "") }
        heardOf(hello.incarnation, place, isServing: true)
        serving.incarnation = hello.incarnation
        if canary == .forgetsGap, hello.knownIncarnation == incarnation {
            serving.sent = own.version
        } else if hello.knownIncarnation == incarnation,
            own.changes(after: hello.knownVersion) != nil
        {
            serving.sent = hello.knownVersion
        } else {
            serving.walk = Serving.Walk()
        }
        peers[place].serving = serving
        let welcome = DirectoryMessage.Welcome(
            cluster: slice.local.name, incarnation: incarnation, version: own.version,
            facts: facts)
        sendServing(place, DirectoryMessage.welcome(welcome).frame)
        learn(place, hello.facts)
        // Whoever reaches us can be reached.
        if peers[place].following.phase == .idle {
            peers[place].following.retryAt = now
            dialIfDue(place)
        }
    }

    mutating func sendServing(_ place: Int, _ frame: [UInt8]) {
        guard let stream = peers[place].serving?.link.stream else { return }
        peers[place].serving?.link.sent(frame.count, now: now)
        effects.append(.send(stream, frame))
    }

    private mutating func serve(_ place: Int, _ message: DirectoryMessage) {
        switch message {
        case .heartbeat(let version, let facts):
            peers[place].serving?.acknowledged = min(version, own.version)
            learn(place, facts)
        case .manifestRequest:
            peers[place].serving?.manifest = (document, 0)
            let begin = DirectoryMessage.manifestBegin(
                version: facts.manifestVersion, facts.manifestDigest,
                byteCount: UInt32(clamping: document.count))
            sendServing(place, begin.frame)
        case .refusal:
            guard let link = peers[place].serving?.link else { return }
            peers[place].serving = nil
            streams[link.stream] = nil
            effects.append(.close(link.stream))
        default: refuseServing(place, .unexpected, .unexpected)
        }
    }

    // MARK: Telling

    /// As much as the connection takes: the rest when it says that it has room again.
    mutating func produce(_ place: Int) {
        while let link = peers[place].serving?.link, link.inFlight < limits.window,
            produceOne(place)
        {}
    }

    private mutating func produceOne(_ place: Int) -> Bool {
        guard let serving = peers[place].serving else { return false }
        if let walk = serving.walk, !walk.isThrough {
            if walk.hasBegun {
                continueWalk(place, after: walk.last)
            } else {
                peers[place].serving?.walk?.hasBegun = true
                peers[place].serving?.sent = own.version
                sendServing(place, DirectoryMessage.snapshotBegin(version: own.version).frame)
            }
            return true
        }
        if serving.sent < own.version {
            guard let (frame, to) = delta(after: serving.sent) else {
                // Too slow for what is remembered: from the beginning.
                peers[place].serving?.walk = Serving.Walk()
                return true
            }
            peers[place].serving?.sent = to
            sendServing(place, frame)
            return true
        }
        if serving.walk != nil {
            peers[place].serving?.walk = nil
            sendServing(place, DirectoryMessage.snapshotEnd(version: serving.sent).frame)
            return true
        }
        guard let (document, start) = serving.manifest else { return false }
        let end = min(document.count, start + DirectoryLimits.chunkBytes)
        peers[place].serving?.manifest = end < document.count ? (document, end) : nil
        guard start < end else { return false }
        sendServing(place, DirectoryMessage.manifestBytes(Array(document[start..<end])).frame)
        return true
    }

    private mutating func continueWalk(_ place: Int, after last: DirectoryKey?) {
        var items: [DirectoryItem] = []
        var bytes = 0
        var index = own.place(after: last)
        while index < own.keys.count, bytes < DirectoryLimits.chunkBytes {
            if let item = own.items[own.keys[index]] {
                items.append(item)
                bytes += item.encodedBytes
            }
            index += 1
        }
        peers[place].serving?.walk?.last = index > 0 ? own.keys[index - 1] : nil
        if index == own.keys.count { peers[place].serving?.walk?.isThrough = true }
        guard !items.isEmpty else { return }
        sendServing(place, DirectoryMessage.snapshotItems(items).frame)
    }

    /// What changed after a version, as it is now: one frame, and up to where it leads.
    private mutating func delta(after from: UInt64) -> (frame: [UInt8], to: UInt64)? {
        if let last = lastDelta, last.from == from, last.version == own.version {
            return (last.frame, last.to)
        }
        guard let keys = own.changes(after: from) else { return nil }
        var seen: Set<DirectoryKey> = []
        var changes: [DirectoryChange] = []
        var (bytes, to) = (0, from)
        for key in keys where bytes < DirectoryLimits.chunkBytes {
            to += 1
            guard seen.insert(key).inserted else { continue }
            if let item = own.items[key] {
                changes.append(.put(item))
                bytes += 1 + item.encodedBytes
            } else {
                changes.append(.remove(key))
                bytes += 200
            }
        }
        let delta = DirectoryMessage.Delta(
            from: from, to: to, hasMore: to < own.version, changes: changes)
        let frame = DirectoryMessage.delta(delta).frame
        lastDelta = (from, own.version, to, frame)
        return (frame, to)
    }
}
