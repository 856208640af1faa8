import Addresses
import Glibc
import LinuxNet
import Noise
import Synchronization
import Timing
import Tunnel

// A device with many peers, without sockets: what it costs to hold, to look up, to keep time, and
// how many handshakes a core does. `tunnel-scale [PEERS [ALLOWED-IPS-A-PEER]]` prints a table.

let peerCount = CommandLine.arguments.count > 1 ? Int(CommandLine.arguments[1]) ?? 0 : 10_000
let prefixCount = CommandLine.arguments.count > 2 ? Int(CommandLine.arguments[2]) ?? 0 : 10
guard (1...65_536).contains(peerCount), (1...64).contains(prefixCount) else {
    print("usage: tunnel-scale [PEERS, at most 65536 [ALLOWED-IPS-A-PEER, at most 64]]")
    exit(2)
}

func say(_ what: String, _ value: Double, _ unit: String) {
    let text = value < 10 ? "\((value * 100).rounded() / 100)" : "\(Int(value.rounded()))"
    print(what + String(repeating: " ", count: max(1, 64 - what.count)) + text + " " + unit)
}

/// Seconds that the body takes.
func timed(_ body: () throws -> Void) rethrows -> Double {
    let start = MonotonicClock.now()
    try body()
    return Double((MonotonicClock.now() - start).count) / 1e9
}

/// As `timed`, over and over for half a second: how often a second.
func rate(_ body: () throws -> Void) rethrows -> Double {
    let start = MonotonicClock.now()
    var times = 0.0
    while MonotonicClock.now() - start < .milliseconds(500) {
        try body()
        times += 1
    }
    return times / (Double((MonotonicClock.now() - start).count) / 1e9)
}

/// Bytes that this process has in memory (proc(5), statm).
func resident() -> Double {
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var (size, pages) = (0, 0)
    _ = withUnsafeMutablePointer(to: &size) { size in
        withUnsafeMutablePointer(to: &pages) { pages in
            withVaList([size, pages]) { vfscanf(file, "%ld %ld", $0) }
        }
    }
    return Double(pages * sysconf(Int32(_SC_PAGESIZE)))
}

var clock = Instant(nanoseconds: 1_000_000_000)
var wall = WallTime(nanosecondsSince1970: 1_700_000_000_000_000_000)
@MainActor func now() -> Now { Now(clock, wall: wall) }
@MainActor func pass(_ time: Nanoseconds) {
    clock = clock + time
    wall = WallTime(nanosecondsSince1970: wall.nanosecondsSince1970 + time.count)
}

let hub = IPEndpoint("192.0.2.1:51820")!
func place(_ n: Int) -> IPEndpoint {
    IPEndpoint("198.18.\(n / 250 % 256).\(n % 250 + 1):\(1024 + n / 64_000)")!
}

// MARK: Many peers

var limits = Device.Limits()
limits.peers = peerCount + 1
limits.allowedIPs = peerCount * prefixCount + 1
let entropy = Entropy.seeded(1)
let empty = resident()
let device = Device(limits: limits, entropy: entropy)
let hubKey = PrivateKey(from: entropy)
let keys = (0..<peerCount).map { _ in PrivateKey(from: entropy) }
var change = DeviceChange()
change.privateKey = .set(hubKey)
for n in 0..<peerCount {
    var peer = PeerChange(keys[n].publicKey)
    peer.allowedIPs = (0..<prefixCount).map { i in
        let number = UInt32(n * prefixCount + i)
        return .init(IPPrefix(.v4(IPv4Address(0x0a00_0000 + number << 2)), length: 30)!)
    }
    change.peers.append(peer)
}
let ready = resident()
let configuring = try timed { try device.apply(change, now: now()) }
say("configuring \(peerCount) peers with \(peerCount * prefixCount) allowed IPs", configuring, "s")
say("memory of a peer, without a session", (resident() - ready) / Double(peerCount), "bytes")

// MARK: A session with each

@MainActor func deliver(_ from: Device, _ to: Device, _ source: IPEndpoint) {
    for effect in from.takeEffects() {
        switch effect {
        case .send(let message, _, _):
            message.withUnsafeBytes {
                to.handshakeMessage($0, from: source, underLoad: false, now: now())
            }
        case .retire(let retired): retired.free()
        case .note: break
        }
    }
}

@MainActor func spoke(_ key: PrivateKey) throws -> Device {
    var limits = Device.Limits()
    limits.peers = 4
    let device = Device(limits: limits, entropy: entropy)
    var change = DeviceChange()
    change.privateKey = .set(key)
    var peer = PeerChange(hubKey.publicKey)
    peer.endpoint = hub
    peer.allowedIPs = [.init(IPPrefix("10.0.0.0/8")!)]
    change.peers = [peer]
    try device.apply(change, now: now())
    return device
}

let before = resident()
var spokes: [Device] = []
for n in 0..<peerCount {
    let one = try spoke(keys[n])
    if spokes.count < 64 { spokes.append(one) }
    pass(.milliseconds(1))
    one.stage([[0x45]], for: 0, now: now())
    deliver(one, device, place(n))
    deliver(device, one, hub)
    _ = one.takeEffects()
}
let sessions = device.status().peers.filter { $0.lastHandshake != nil }.count
say("peers with a session", Double(sessions), "")
say(
    "memory of a session in the hub, at most",
    (resident() - before) / Double(peerCount), "bytes")

// MARK: Look-ups and timers

let routes = device.forwarding.pointee.routes.load(ordering: .relaxed)!
var found = 0
let addresses = (0..<65_536).map {
    // Spread over all of them, the same in every run (Knuth's multiplicative hash).
    IPv4Address(0x0a00_0000 + UInt32($0 &* 2_654_435_761 % (peerCount * prefixCount * 4)))
}
let lookups = rate {
    for address in addresses {
        if routes.pointee.allowedIPs.lookup(v4: address.value) >= 0 { found += 1 }
    }
}
precondition(found > 0)
say("look-up among \(peerCount * prefixCount) allowed IPs", 1e9 / lookups / 65_536, "ns")
say("all timers looked at once (4 times a second)", 1e6 / rate { device.tick(now: now()) }, "µs")
say("the next deadline", 1e6 / rate { _ = device.nextDeadline }, "µs")

// MARK: Handshakes

var turn = 0
let handshakes = rate {
    turn += 1
    let one = spokes[turn % spokes.count]
    pass(.seconds(6))
    one.stage([[0x45]], for: 0, now: now())
    one.packetEvent(.rekey(peer: 0), now: now())
    deliver(one, device, place(turn % spokes.count))
    deliver(device, one, hub)
    _ = one.takeEffects()
}
say("handshakes, both ends on one core", handshakes, "/s")

/// An initiation that costs the hub a Diffie-Hellman and leads to nothing.
let stranger = try spoke(PrivateKey(from: entropy))
stranger.stage([[0x45]], for: 0, now: now())
var bogus: [UInt8] = []
for case .send(let message, _, _) in stranger.takeEffects() { bogus = message }
@MainActor func flood(_ message: [UInt8], underLoad: Bool) -> Double {
    rate {
        for _ in 0..<100 {
            message.withUnsafeBytes {
                device.handshakeMessage($0, from: place(1), underLoad: underLoad, now: now())
            }
        }
        _ = device.takeEffects()
    } * 100
}
say("strangers' initiations refused, at leisure", flood(bogus, underLoad: false), "/s")
say("the same under load: a cookie each", flood(bogus, underLoad: true), "/s")
bogus[140] ^= 1
say("initiations with a wrong MAC1", flood(bogus, underLoad: true), "/s")
