import Addresses
import EstablishedTunnel
import Noise
import Timing
import Tunnel

extension FuzzTarget {
    static let device = FuzzTarget(
        "tunnel-device", maximumBytes: 2048, seeds: { DeviceScript.seeds }
    ) { DeviceScript().run($0) }
}

/// A device that hears hostile handshake messages, also from a peer that knows the right keys,
/// while time passes. It must keep its limits and go on answering.
private final class DeviceScript {
    private struct End {
        var device: Device
        var key: PrivateKey
        /// What it wants sent, oldest first.
        var sent: [[UInt8]] = []
    }

    private var near: End
    private var far: End
    private var now = Now(
        EstablishedTunnel.created, wall: WallTime(nanosecondsSince1970: 1_700_000_000_000_000_000))
    private var underLoad = false
    private var retired: [Retired] = []

    init() {
        near = Self.end(1)
        far = Self.end(2)
        configure(near.device, key: near.key, peer: far.key)
        configure(far.device, key: far.key, peer: near.key)
    }

    deinit {
        collect()
        for item in retired { item.free() }
    }

    private static func end(_ seed: UInt64) -> End {
        var limits = Device.Limits()
        limits.peers = 4
        limits.stagedPackets = 4
        let entropy = Entropy.seeded(seed)
        return End(device: Device(limits: limits, entropy: entropy), key: PrivateKey(from: entropy))
    }

    private func configure(_ device: Device, key: PrivateKey, peer: PrivateKey) {
        var change = DeviceChange()
        change.privateKey = .set(key)
        var peer = PeerChange(peer.publicKey)
        peer.endpoint = EstablishedTunnel.endpoint
        peer.persistentKeepalive = 25
        peer.allowedIPs = [IPPrefix("10.0.0.0/8")].compactMap {
            $0.map { PeerChange.AllowedIP($0) }
        }
        change.peers = [peer]
        guard (try? device.apply(change, now: now)) != nil else {
            preconditionFailure("the device refuses its configuration")
        }
    }

    /// Whole handshakes, begun by either end, under load and not.
    static let seeds: [[UInt8]] = {
        let begin = FuzzScript.step(4, 0, [1, 2, 3])
        let deliver = FuzzScript.step(6) + FuzzScript.step(2) + FuzzScript.step(6)
        let answer = FuzzScript.step(3, 4) + FuzzScript.step(2) + FuzzScript.step(6)
        return [
            begin + deliver, answer, FuzzScript.step(5) + answer + FuzzScript.step(3, 21) + answer,
            begin + deliver + FuzzScript.step(3, 255) + FuzzScript.step(3, 255) + deliver,
            FuzzScript.step(0, 0, [1, 0, 0, 0] + [UInt8](repeating: 7, count: 144)),
            FuzzScript.step(1, 0, [1, 0, 0, 0] + [UInt8](repeating: 7, count: 144)),
            FuzzScript.step(1, 0, [2, 0, 0, 0] + [UInt8](repeating: 7, count: 88)),
        ]
    }()

    func run(_ bytes: UnsafeRawBufferPointer) {
        var script = FuzzScript(bytes)
        var steps = 0
        while let step = script.next(), steps < 64 {
            steps += 1
            switch step.operation & 7 {
            case 0: hear(Array(step.bytes), step)
            case 1:
                // MAC1 made right: no fuzzer would guess it.
                var message = Array(step.bytes)
                guard message.count >= 32 else { break }
                message.withUnsafeMutableBytes {
                    MAC1.append(to: $0, key: StaticIdentity(near.key).mac1Key)
                }
                hear(message, step)
            case 2:
                // What the far end sent, with the step's bytes laid over it.
                guard !far.sent.isEmpty else { break }
                var message = far.sent.removeFirst()
                for (i, byte) in step.bytes.enumerated() where i < message.count {
                    message[i] ^= byte
                }
                hear(message, step)
            case 3: pass(.milliseconds(Int64(step.argument) * 250))
            case 4: near.device.stage([Array(step.bytes)], for: Int32(step.argument & 3), now: now)
            case 5: underLoad.toggle()
            case 6:
                guard !near.sent.isEmpty else { break }
                near.sent.removeFirst().withUnsafeBytes {
                    far.device.handshakeMessage(
                        $0, from: EstablishedTunnel.endpoint, underLoad: false, now: now)
                }
            default:
                far.device.stage([[]], for: 0, now: now)
            }
            collect()
        }
        precondition(near.device.status().peers.count == 1)
        precondition(near.device.publicKey == near.key.publicKey)
    }

    private func hear(_ message: [UInt8], _ step: FuzzScript.Step) {
        let source =
            step.operation & 8 == 0 ? EstablishedTunnel.endpoint : EstablishedTunnel.elsewhere
        let refusals = near.device.refusals.reduce(0, +)
        message.withUnsafeBytes {
            near.device.handshakeMessage($0, from: source, underLoad: underLoad, now: now)
        }
        precondition(near.device.refusals.reduce(0, +) - refusals <= 1, "refused twice")
    }

    private func pass(_ span: Nanoseconds) {
        now.instant = now.instant + span
        now.wall = WallTime(
            nanosecondsSince1970: now.wall.nanosecondsSince1970 + span.count)
        near.device.tick(now: now)
        far.device.tick(now: now)
    }

    private func collect() {
        collect(near.device.takeEffects(), into: &near.sent)
        collect(far.device.takeEffects(), into: &far.sent)
    }

    private func collect(_ effects: [Effect], into sent: inout [[UInt8]]) {
        precondition(effects.count < 64, "one step has too many effects")
        for effect in effects {
            switch effect {
            case .send(let bytes, _, _): if sent.count < 64 { sent.append(bytes) }
            case .retire(let item): retired.append(item)
            case .note: break
            }
        }
    }
}
