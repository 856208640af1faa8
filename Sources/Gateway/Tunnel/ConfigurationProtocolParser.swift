import Addresses
import Noise

/// Requests out of a stream of bytes, fed in pieces of any size. Pure: it changes nothing, it
/// only says what was asked for.
package struct ConfigurationParser: Sendable {
    private enum State {
        /// At the first line of a request.
        case operation
        /// After `get=1`: only the blank line may follow.
        case get
        case device
        case peer
        /// Something was wrong: everything up to the blank line is dropped.
        case draining(ConfigurationRefusal)
        /// After a refusal that ends the connection: everything is dropped.
        case dead
    }

    private let limits: ConfigurationLimits
    /// The interface index behind a zone's name, for `fe80::1%eth0`, which is how `wg` writes
    /// what getnameinfo(3) gives it. Only a shell can know.
    private let zoneIndex: @Sendable (String) -> UInt32?
    private var state = State.operation
    private var line: [UInt8] = []
    private var lineOverflowed = false
    private var lineNumber = 0
    private var requestBytes = 0
    private var change = DeviceChange()

    package init(
        limits: ConfigurationLimits = ConfigurationLimits(),
        zoneIndex: @escaping @Sendable (String) -> UInt32? = { _ in nil }
    ) {
        self.limits = limits
        self.zoneIndex = zoneIndex
        line.reserveCapacity(256)
    }

    /// Whether a request has begun and not ended: a stream that ends now was truncated, and what
    /// it asked for must not be done.
    package var isInsideRequest: Bool {
        if case .operation = state { return !line.isEmpty || lineOverflowed }
        return true
    }

    /// Takes bytes up to the end of the next request, or all of them. `consumed` is at least 1
    /// unless `bytes` is empty; call again with the rest after the request was answered.
    package mutating func feed(
        _ bytes: UnsafeRawBufferPointer
    ) -> (consumed: Int, request: ConfigurationRequest?) {
        if case .dead = state { return (bytes.count, nil) }
        for (index, byte) in bytes.enumerated() {
            requestBytes += 1
            if requestBytes > limits.requestBytes {
                let refusal = ConfigurationRefusal(
                    .inputOutput, line: lineNumber + 1,
                    reason: "the request is longer than \(limits.requestBytes) bytes",
                    hangUp: true)
                return (index + 1, finish(.refused(refusal)))
            }
            guard byte == 0x0a else {
                if line.count < limits.lineBytes {
                    line.append(byte)
                } else {
                    lineOverflowed = true
                }
                continue
            }
            let request = endLine()
            wipeLine()
            if let request { return (index + 1, finish(request)) }
        }
        return (bytes.count, nil)
    }

    private mutating func finish(_ request: ConfigurationRequest) -> ConfigurationRequest {
        state = .operation
        if case .refused(let refusal) = request, refusal.hangUp { state = .dead }
        wipeLine()
        lineNumber = 0
        requestBytes = 0
        change = DeviceChange()
        return request
    }

    /// The line may have been a key.
    private mutating func wipeLine() {
        for index in line.indices { line[index] = 0 }
        line.removeAll(keepingCapacity: true)
        lineOverflowed = false
    }

    private mutating func endLine() -> ConfigurationRequest? {
        lineNumber += 1
        if case .operation = state { return operation() }
        // As wireguard-go's line scanner: a carriage return before the newline is not there.
        if line.last == 0x0d { line.removeLast() }
        if line.isEmpty, !lineOverflowed { return blankLine() }
        if lineOverflowed {
            // wireguard-go: the same number, at 64 KiB.
            refuse(.inputOutput, "the line is longer than \(limits.lineBytes) bytes")
            return nil
        }
        switch state {
        case .get: refuse(.invalid, "a get takes no lines")
        case .device, .peer: keyAndValue()
        case .operation, .draining, .dead: break
        }
        return nil
    }

    private mutating func operation() -> ConfigurationRequest? {
        if !lineOverflowed, line.elementsEqual("get=1".utf8) {
            state = .get
        } else if !lineOverflowed, line.elementsEqual("set=1".utf8) {
            state = .device
        } else {
            // wireguard-go closes without a word; `wg` makes EPROTO of that.
            return .refused(
                ConfigurationRefusal(
                    .protocolError, line: lineNumber, reason: "neither get=1 nor set=1",
                    hangUp: true))
        }
        return nil
    }

    private func blankLine() -> ConfigurationRequest {
        switch state {
        case .get: .get
        case .device, .peer: .set(change)
        case .draining(let refusal): .refused(refusal)
        case .operation, .dead:
            .refused(
                ConfigurationRefusal(
                    .protocolError, line: lineNumber, reason: "no request", hangUp: true))
        }
    }

    /// The first error is the one that is reported.
    private mutating func refuse(_ errno: ConfigurationErrno, _ reason: String) {
        if case .draining = state { return }
        change = DeviceChange()
        state = .draining(ConfigurationRefusal(errno, line: lineNumber, reason: reason))
    }

    private mutating func keyAndValue() {
        guard let equals = line.firstIndex(of: 0x3d) else {
            refuse(.protocolError, "no = in the line")
            return
        }
        let key = String(decoding: line[..<equals], as: UTF8.self)
        let value = line[(equals + 1)...]
        let taken: Bool?
        if key == "public_key" {
            taken = beginPeer(value)
        } else if case .peer = state, !change.peers.isEmpty {
            taken = Self.set(
                key, value, in: &change.peers[change.peers.count - 1], zoneIndex: zoneIndex)
        } else {
            taken = Self.set(key, value, in: &change)
        }
        switch taken {
        case true?: break
        case false?: refuse(.invalid, "invalid value of \(key)")
        case nil: refuse(.invalid, "no such key here")
        }
    }

    private mutating func beginPeer(_ value: ArraySlice<UInt8>) -> Bool? {
        guard let key = withKey(value, { PublicKey(bytes: $0) }) else { return false }
        guard change.peers.count < limits.peers else {
            refuse(.invalid, "more than \(limits.peers) peers in one request")
            return true
        }
        change.peers.append(PeerChange(key))
        state = .peer
        return true
    }

    /// Nil: there is no such key. False: the value is no good.
    private static func set(
        _ key: String, _ value: ArraySlice<UInt8>, in change: inout DeviceChange
    ) -> Bool? {
        switch key {
        case "private_key":
            if value.count == 64, value.allSatisfy({ $0 == 0x30 }) {
                change.privateKey = .clear
                return true
            }
            guard let key = withKey(value, { PrivateKey(bytes: $0) }) else { return false }
            change.privateKey = .set(key)
        case "listen_port":
            guard let port = number(value, UInt16.self) else { return false }
            change.listenPort = port
        case "fwmark":
            guard let mark = mark(value) else { return false }
            change.firewallMark = mark
        case "replace_peers":
            guard isTrue(value) else { return false }
            change.replacePeers = true
        default: return nil
        }
        return true
    }

    private static func set(
        _ key: String, _ value: ArraySlice<UInt8>, in peer: inout PeerChange,
        zoneIndex: (String) -> UInt32?
    ) -> Bool? {
        switch key {
        case "remove":
            guard isTrue(value) else { return false }
            peer.remove = true
        case "update_only":
            guard isTrue(value) else { return false }
            peer.updateOnly = true
        case "preshared_key":
            guard let key = withKey(value, { PresharedKey(bytes: $0) }) else { return false }
            peer.presharedKey = key
        case "endpoint":
            guard let endpoint = endpoint(value, zoneIndex) else { return false }
            peer.endpoint = endpoint
        case "persistent_keepalive_interval":
            guard let seconds = number(value, UInt16.self) else { return false }
            peer.persistentKeepalive = seconds
        case "replace_allowed_ips":
            guard isTrue(value) else { return false }
            // Lines take effect in order: what was given above this one goes too.
            peer.allowedIPs.removeAll()
            peer.replaceAllowedIPs = true
        case "allowed_ip":
            guard let allowed = allowedIP(value) else { return false }
            peer.allowedIPs.append(allowed)
        case "protocol_version":
            // The only one there is.
            return value.elementsEqual("1".utf8)
        default: return nil
        }
        return true
    }
}

/// Values.
extension ConfigurationParser {
    private static func isTrue(_ value: ArraySlice<UInt8>) -> Bool {
        value.elementsEqual("true".utf8)
    }

    /// Decimal digits and nothing else.
    private static func number<N: FixedWidthInteger>(
        _ value: some Collection<UInt8>, _: N.Type, radix: N = 10
    ) -> N? {
        guard !value.isEmpty else { return nil }
        var sum: N = 0
        for byte in value {
            guard let digit = hexDigit(byte), digit < radix else { return nil }
            let (product, over) = sum.multipliedReportingOverflow(by: radix)
            let (next, carry) = product.addingReportingOverflow(N(digit))
            if over || carry { return nil }
            sum = next
        }
        return sum
    }

    /// `wg` sends decimal. People write marks in hexadecimal, so `0x` is understood as well.
    private static func mark(_ value: ArraySlice<UInt8>) -> UInt32? {
        if value.starts(with: "0x".utf8) || value.starts(with: "0X".utf8) {
            return number(value.dropFirst(2), UInt32.self, radix: 16)
        }
        return number(value, UInt32.self)
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }

    /// `ADDRESS/LENGTH`, and before it `-` for "take it away". Host bits are cleared, as
    /// wireguard-go does by masking.
    private static func allowedIP(_ value: ArraySlice<UInt8>) -> PeerChange.AllowedIP? {
        let remove = value.first == 0x2d
        let text = remove ? value.dropFirst() : value
        // An address without a length is no prefix here.
        guard text.contains(0x2f), let string = String(validating: text, as: UTF8.self),
            let prefix = IPPrefix(string)
        else { return nil }
        return PeerChange.AllowedIP(prefix, remove: remove)
    }

    private static func endpoint(
        _ value: ArraySlice<UInt8>, _ zoneIndex: (String) -> UInt32?
    ) -> IPEndpoint? {
        guard var text = String(validating: value, as: UTF8.self) else { return nil }
        if let percent = text.firstIndex(of: "%"), let bracket = text.lastIndex(of: "]"),
            percent < bracket
        {
            let zone = text[text.index(after: percent)..<bracket]
            if !zone.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) {
                // IFNAMSIZ is 16 with its zero.
                guard zone.utf8.count < 16, let index = zoneIndex(String(zone)) else {
                    return nil
                }
                text.replaceSubrange(text.index(after: percent)..<bracket, with: "\(index)")
            }
        }
        guard var endpoint = IPEndpoint(text) else { return nil }
        // An IPv4 peer, in whatever family it was written.
        if case .v6(let address) = endpoint.address, let v4 = address.mappedIPv4 {
            endpoint = IPEndpoint(.v4(v4), port: endpoint.port)
        }
        return endpoint
    }
}

/// 64 hexadecimal digits of either case, decoded into a place that is wiped afterwards.
private func withKey<R>(
    _ value: ArraySlice<UInt8>, _ body: (UnsafeRawBufferPointer) -> R?
) -> R? {
    guard value.count == 64 else { return nil }
    return withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { key in
        key.initializeMemory(as: UInt8.self, repeating: 0)
        defer { for index in key.indices { key[index] = 0 } }
        var high: UInt8 = 0
        for (index, byte) in value.enumerated() {
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x41...0x46: digit = byte - 0x37
            case 0x61...0x66: digit = byte - 0x57
            default: return nil
            }
            if index % 2 == 0 {
                high = digit << 4
            } else {
                key[index / 2] = high | digit
            }
        }
        return body(UnsafeRawBufferPointer(key))
    }
}

/// For fuzzing: however the bytes are cut, the same requests come out; and what was understood
/// can be printed and understood again.
package enum ConfigurationFuzz {
    package static func fuzz(_ bytes: UnsafeRawBufferPointer) {
        let whole = parse(bytes, piece: Int.max)
        precondition(whole == parse(bytes, piece: 1))
        precondition(whole == parse(bytes, piece: 7))
    }

    private static func parse(_ bytes: UnsafeRawBufferPointer, piece: Int) -> [[UInt8]] {
        var limits = ConfigurationLimits()
        limits.lineBytes = 100
        limits.requestBytes = 4000
        limits.peers = 8
        var parser = ConfigurationParser(limits: limits, zoneIndex: { $0 == "eth0" ? 2 : nil })
        var seen: [[UInt8]] = []
        var offset = 0
        while offset < bytes.count {
            let end = offset + min(piece, bytes.count - offset)
            let (consumed, request) = parser.feed(
                UnsafeRawBufferPointer(rebasing: bytes[offset..<end]))
            precondition(consumed > 0 && consumed <= end - offset)
            offset += consumed
            switch request {
            case .get?: seen.append(Array("get".utf8))
            case .refused(let refusal)?: seen.append(Array("\(refusal)".utf8))
            case .set(let change)?:
                let text = ConfigurationText.request(change)
                seen.append(text)
                var again = ConfigurationParser()
                let (_, same) = text.withUnsafeBytes { again.feed($0) }
                guard case .set(let changeAgain)? = same else {
                    preconditionFailure("printed what cannot be parsed")
                }
                precondition(ConfigurationText.request(changeAgain) == text)
            case nil: break
            }
        }
        seen.append(Array("\(parser.isInsideRequest)".utf8))
        return seen
    }
}
