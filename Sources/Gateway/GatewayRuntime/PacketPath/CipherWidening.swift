import LinuxNet
import Noise

/// When a packet thread's cipher goes over to its fast form, which takes more memory: at the first
/// batch, or after many rounds without one.
struct CipherWidening {
    private static let manyRounds: UInt32 = 1000

    /// As long as the cipher may widen.
    private var rounds: UInt32 = 0

    /// After each round of the thread that has the cipher.
    @inline(__always)
    mutating func noteRound(units: Int, bytes: Int, _ cipher: inout TransportCipher) {
        guard cipher.mayWiden else { return }
        rounds &+= 1
        guard InboundDuty.isHeavy(units: units, bytes: bytes) || rounds >= Self.manyRounds else {
            return
        }
        // Its start-up tries every cipher it has: pages that nobody needs again.
        ResidentMemory.releaseProgramPages()
        cipher.widen()
        ResidentMemory.releaseProgramPages()
    }
}
