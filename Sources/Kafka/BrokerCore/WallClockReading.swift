/// What the wall clock showed when the present step began.
final class WallClockReading {
    var nowMs: Int64
    init(_ nowMs: Int64) { self.nowMs = nowMs }
}
