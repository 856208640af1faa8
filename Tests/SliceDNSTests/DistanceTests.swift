import SliceDNS
import SliceModel
import Testing

@Suite struct DistanceTests {
    private let east: ClusterName = name("east")

    @Test func oneSlowEchoIsNoNews() {
        var distances = Distances()
        let values: [UInt64] = [20_000, 20_500, 19_000, 40_000, 20_000, 20_000]
        let news = values.map { distances.measured(east, rttMicroseconds: $0) }
        #expect(news == [true, false, false, false, false, false])
        #expect(distances.rttMicroseconds(east) == 20_000)
        #expect(distances.rttMicroseconds(name("west")) == nil)
    }

    @Test func aLongerWayIsNewsAfterAWhile() {
        var distances = Distances()
        _ = distances.measured(east, rttMicroseconds: 20_000)
        let news = (0..<40).map { _ in distances.measured(east, rttMicroseconds: 60_000) }
        #expect(news.contains(true) && news.last == false)
        let told = distances.rttMicroseconds(east) ?? 0
        #expect((48_000...60_000).contains(told))
    }

    @Test func smallAndAbsurdNumbers() {
        var distances = Distances()
        let values: [UInt64] = [0, 150, 90, 0, .max, .max, 0]
        for value in values { _ = distances.measured(east, rttMicroseconds: value) }
        distances.keep([])
        #expect(distances.rttMicroseconds(east) == nil)
    }
}
