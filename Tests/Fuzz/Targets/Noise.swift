import Noise

extension FuzzTarget {
    static let noise = [
        message("noise-initiation", 0) { NoiseFuzz.initiation($0) },
        message("noise-response", 1) { NoiseFuzz.response($0) },
        message("noise-cookie", 2) { NoiseFuzz.cookieReply($0) },
        message("noise-transport", 3) { NoiseFuzz.transport($0) },
    ]

    private static func message(
        _ name: String, _ seed: Int, _ run: @escaping @Sendable (UnsafeRawBufferPointer) -> Bool
    ) -> FuzzTarget {
        FuzzTarget(
            name, maximumBytes: 512,
            seeds: { NoiseFuzz.seeds.indices.contains(seed) ? [NoiseFuzz.seeds[seed]] : [] }
        ) { _ = run($0) }
    }
}
