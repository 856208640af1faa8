import Glibc
import Logging
import NIOCore

/// Says that connections are refused, and why, but not once for each: whoever makes them may make
/// very many.
struct Refusals {
    private static let pause = TimeAmount.seconds(60)

    private let logger: Logger
    private var quietUntil: NIODeadline?

    init(_ logger: Logger) { self.logger = logger }

    mutating func say(_ level: Logger.Level, _ message: @autoclosure () -> Logger.Message) {
        let now = NIODeadline.now()
        if let quietUntil, now < quietUntil { return }
        quietUntil = now + Self.pause
        logger.log(level: level, message())
    }
}

/// What becomes of connections that the system does not let us have. (The channel itself waits a
/// second before it accepts again when files have run out.)
final class AcceptErrors: ChannelInboundHandler {
    typealias InboundIn = any Channel

    private let place: String
    private var refusals: Refusals

    init(_ place: String, logger: Logger) {
        self.place = place
        refusals = Refusals(logger)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? IOError, [EMFILE, ENFILE].contains(error.errnoCode) {
            let advice = "raise LimitNOFILE (ulimit -n)"
            refusals.say(
                .error,
                "no connection to \(place) can be accepted, as no more files may be open: \(advice)"
            )
        } else {
            refusals.say(.warning, "a connection to \(place) could not be accepted: \(error)")
        }
    }
}
