import SliceDNS
import Testing

/// The fuzzer's laws over what a seeded hand makes of good queries.
@Suite struct DNSFuzzTests {
    @Test func turnedBitsAndCuts() {
        var random = SplitMix(state: 99)
        let seeds = [
            query("A kafka.kafka.svc.slice.local do"), query("PTR 2.1.80.10.in-addr.arpa"),
            query("SRV _broker._tcp.kafka.kafka.svc.slice.local size=4096"),
            query("A example.com rd edns"), query("ANY slice.local"),
        ]
        for round in 0..<20_000 {
            var bytes = seeds[round % seeds.count]
            for _ in 0..<random.below(6) {
                bytes[random.below(bytes.count)] = UInt8(random.below(256))
            }
            if random.below(4) == 0 { bytes.removeLast(random.below(bytes.count)) }
            bytes.withUnsafeBytes { raw in
                DNSFuzz.query(raw)
                DNSFuzz.message(raw)
                DNSFuzz.stream(raw)
            }
        }
    }
}
