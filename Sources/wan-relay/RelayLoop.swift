import CLinux
import Glibc
import LinuxNet
import Packets
import Timing
import WanModel

/// One thread that waits for packets, deadlines, control lines and signals.
struct RelayLoop: ~Copyable {
    /// Packets read at one instant: few enough that what falls due meanwhile is hardly late.
    private static let batch = 64

    private var model: WanModel
    private var store: PacketStore
    private let tun: TunDevice
    private let control: ControlServer?
    private let timer: Int32
    private let signals: Int32
    private var armedFor: Instant?
    private var writeErrors: UInt64 = 0

    init(model: WanModel, tun: TunDevice, mtu: Int, control: ControlServer?) throws {
        let timer = clinux_timerfd()
        if timer < 0 { throw LinuxError("create", "timer", errno: -timer) }
        let signals = clinux_signalfd([SIGTERM, SIGINT, SIGHUP], 3)
        if signals < 0 { throw LinuxError("receive", "signals", errno: -signals) }
        store = PacketStore(model.queue, mtu: mtu)
        self.model = model
        self.tun = tun
        self.control = control
        self.timer = timer
        self.signals = signals
    }

    mutating func run(ready: String) throws {
        print(ready)
        fflush(nil)
        let fixed = [tun.fd, timer, signals].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        var polled = fixed
        while true {
            writeDue()
            // Under a flood the others are still looked at between batches.
            let patience: Int32 = readBatch() ? 0 : -1
            writeDue()
            arm()
            if let control, control.hasChanged {
                polled = fixed + control.polled
                control.hasChanged = false
            }
            let count = poll(&polled, nfds_t(polled.count), patience)
            if count < 0, errno != EINTR { throw LinuxError("wait", "for packets", errno: errno) }
            if polled[1].revents != 0 {
                var expirations: UInt64 = 0
                _ = read(timer, &expirations, 8)
                armedFor = nil
            }
            if polled[2].revents != 0, clinux_signalfd_next(signals) > 0 { break }
            if polled.count > 3, polled[3...].contains(where: { $0.revents != 0 }) {
                serveControl(polled[3...])
            }
        }
        print(model.stats() + "\nwrite errors \(writeErrors)")
        fflush(nil)
    }

    /// Whether there may be more to read.
    private mutating func readBatch() -> Bool {
        let now = MonotonicClock.now()
        var left = Self.batch
        while left > 0 {
            guard let reading = store.read(tun.fd) else { return errno == EINTR }
            left -= take(reading, at: now)
        }
        return true
    }

    /// Puts what was read on its link, as a whole if that is the same; how many packets it was.
    private mutating func take(_ reading: PacketStore.Reading, at now: Instant) -> Int {
        guard case .link(let from, let to) = model.route(.init(reading.packet)) else {
            store.giveBack(reading.name)
            return 1
        }
        do throws(PacketProblem) {
            let layout = try SegmentLayout(.init(reading.packet), reading.virtio)
            let load = WireLoad(packets: layout.count, bytes: layout.totalLength)
            if layout.count > 1, store.canKeep,
                model.offer(train: reading.name, load, from: from, to: to, at: now) != nil
            {
                store.describe(reading, header: layout.header)
                return layout.count
            }
            var segmenter = try Segmenter(reading.packet, reading.virtio)
            while let packet = segmenter.next() {
                offer(.init(packet), from: from, to: to, at: now)
            }
            store.giveBack(reading.name)
            return layout.count
        } catch {
            model.countStray(.malformed)
            store.giveBack(reading.name)
            return 1
        }
    }

    private mutating func offer(
        _ packet: UnsafeRawBufferPointer, from: Int, to: Int, at now: Instant
    ) {
        guard let name = store.add(packet) else { return model.countStray(.malformed) }
        switch model.offer(packet: name, length: packet.count, from: from, to: to, at: now) {
        case .drop: store.giveBack(name)
        case .deliver: break
        case .deliverTwice: store.addHolder(name)
        }
    }

    private mutating func writeDue() {
        let now = MonotonicClock.now()
        while let arrival = model.due(at: now) {
            if arrival.isDelivered, !store.write(arrival.packet, to: tun.fd) { writeErrors += 1 }
            store.giveBack(arrival.packet)
        }
    }

    private mutating func arm() {
        guard let deadline = model.nextDeadline else {
            if armedFor != nil { _ = clinux_timerfd_set(timer, 0, 0) }
            armedFor = nil
            return
        }
        guard deadline != armedFor else { return }
        armedFor = deadline
        let wait = deadline - MonotonicClock.now()
        // Zero would disarm it.
        _ = clinux_timerfd_set(timer, max(1, wait.count), 0)
    }

    private mutating func serveControl(_ polled: ArraySlice<pollfd>) {
        guard let control else { return }
        for client in control.serve(polled) {
            while let line = control.nextLine(of: client) {
                control.answer(answer(line), to: client)
            }
        }
    }

    private mutating func answer(_ line: [UInt8]) -> String {
        // What has arrived by now is not touched by what is asked now.
        writeDue()
        let now = MonotonicClock.now()
        do {
            switch try WanScript.statement(line) {
            case nil: return "ok"
            case .site, .limit: return "error: only a config file can say that"
            case .now(let command): try model.apply(command, at: now)
            case .at(let time, let command): try model.schedule(command, at: model.start + time)
            case .after(let time, let command): try model.schedule(command, at: now + time)
            case .show(json: false): return model.show() + "\nok"
            case .show(json: true): return model.showJSON() + "\nok"
            case .stats(json: false):
                return model.stats() + "\nwrite errors \(writeErrors)\nok"
            case .stats(json: true):
                return model.statsJSON().dropLast() + ",\"write_errors\":\(writeErrors)}\nok"
            }
            return "ok"
        } catch {
            return "error: \(error)"
        }
    }
}
