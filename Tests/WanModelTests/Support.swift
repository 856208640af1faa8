import Addresses
import Timing
import WanModel

let threeSites = [
    Site(name: "west", prefixes: [IPPrefix("10.81.1.0/24")!, IPPrefix("fd81:1::/64")!]),
    Site(name: "central", prefixes: [IPPrefix("10.81.2.0/24")!, IPPrefix("fd81:2::/64")!]),
    Site(name: "east", prefixes: [IPPrefix("10.81.3.0/24")!, IPPrefix("fd81:3::/64")!]),
]
let west = 0
let central = 1
let east = 2

/// Not zero: a model that took its own clock's origin for zero would show.
let start = Instant(nanoseconds: 7_000_000_000)

func instant(_ milliseconds: Int64) -> Instant { start + .milliseconds(milliseconds) }

func wan(_ script: String = "", seed: UInt64 = 42, limits: WanModel.Limits = .init()) throws
    -> WanModel
{
    var model = try WanModel(sites: threeSites, seed: seed, limits: limits, start: start)
    for line in try WanScript(script).lines {
        switch line.statement {
        case .now(let command): try model.apply(command, at: start)
        case .at(let time, let command), .after(let time, let command):
            try model.schedule(command, at: start + time)
        default: break
        }
    }
    return model
}

/// One packet's journey as the outside sees it.
struct Step: Hashable {
    var packet: Int32
    var at: Instant
    var isDelivered: Bool
}

/// Offers packets at their times and takes what is due in between, like the shell does.
struct Rig {
    var model: WanModel
    var fates: [Fate] = []
    var steps: [Step] = []

    mutating func drain(until now: Instant) {
        while let a = model.due(at: now) {
            steps.append(Step(packet: a.packet, at: a.arrival, isDelivered: a.isDelivered))
        }
    }

    mutating func offer(
        _ packet: Int, length: Int = 100, from: Int = west, to: Int = east, at now: Instant
    ) {
        drain(until: now)
        fates.append(
            model.offer(packet: Int32(packet), length: length, from: from, to: to, at: now))
    }

    mutating func finish() {
        while let next = model.nextDeadline { drain(until: next) }
    }

    var delivered: [Int32] { steps.filter(\.isDelivered).map(\.packet) }
}

/// The first pair of packets of one link that changed places, or nil: order was kept.
func firstOvertaking(_ packets: [Int32]) -> (Int32, Int32)? {
    zip(packets, packets.dropFirst()).first { $0 > $1 }
}

/// Whether every packet offered was delivered, lost or is in flight, and every copy counted.
func isConserved(_ c: LinkCounters, inFlight: Int) -> Bool {
    c.offeredPackets + c.duplicated == c.deliveredPackets + c.dropped + UInt64(inFlight)
}
