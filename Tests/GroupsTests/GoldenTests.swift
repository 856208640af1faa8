import Testing

@Suite struct GoldenTests {
    @Test(arguments: [
        "eager", "cooperative", "initial-delay", "static", "static-leaves", "sessions",
        "rebalance-timeout", "leader-leaves", "size", "loading", "offsets", "expiration", "errors",
    ])
    func script(name: String) throws {
        try Golden.check(name)
    }
}
