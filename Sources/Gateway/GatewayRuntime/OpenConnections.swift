import NIOCore

/// The connections of one server on one event loop: how many there are, and their end.
struct OpenConnections: Sendable {
    private final class State {
        var open: [ObjectIdentifier: any Channel] = [:]
        var isStopping = false
        var whenEmpty: EventLoopPromise<Void>?
    }

    enum Refusal: Error {
        case stopping, tooMany
    }

    private let loop: any EventLoop
    private let state: NIOLoopBound<State>

    static func on(_ loop: any EventLoop) async throws -> OpenConnections {
        try await loop.submit {
            OpenConnections(loop: loop, state: NIOLoopBound(State(), eventLoop: loop))
        }.get()
    }

    /// On the loop.
    func refusal(atMost maximum: Int) -> Refusal? {
        if state.value.isStopping { return .stopping }
        return state.value.open.count < maximum ? nil : .tooMany
    }

    /// On the loop: counts the connection until it is closed.
    func add(_ child: any Channel) {
        let key = ObjectIdentifier(child)
        state.value.open[key] = child
        child.closeFuture.whenComplete { [state] _ in
            let state = state.value
            state.open[key] = nil
            guard state.open.isEmpty else { return }
            state.whenEmpty?.succeed()
            state.whenEmpty = nil
        }
    }

    /// Admits none any more, tells all that it is time (`ChannelShouldQuiesceEvent`), and closes
    /// what is left after `grace`.
    func drain(grace: TimeAmount) async {
        let (loop, state) = (loop, state)
        let drained = loop.flatSubmit {
            state.value.isStopping = true
            if state.value.open.isEmpty { return loop.makeSucceededVoidFuture() }
            let promise = loop.makePromise(of: Void.self)
            state.value.whenEmpty = promise
            // A copy: closing takes from the original.
            for child in Array(state.value.open.values) {
                child.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
            }
            let cut = loop.scheduleTask(in: grace) {
                for child in Array(state.value.open.values) { child.close(promise: nil) }
            }
            return promise.futureResult.always { _ in cut.cancel() }
        }
        try? await drained.get()
    }
}
