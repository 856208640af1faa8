import BrokerCore
import Glibc

/// What Prometheus' client libraries tell of a process, from /proc.
enum ProcessMetrics {
    static func read() -> [NodeMetric] {
        var all: [NodeMetric] = []
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        all.append(
            NodeMetric(
                "process_cpu_seconds_total", .counter, [],
                Double(time.tv_sec) + Double(time.tv_nsec) / 1e9))
        func gauge(_ name: String, _ value: Double?) {
            if let value { all.append(NodeMetric("process_" + name, .gauge, [], value)) }
        }
        let pages = text("/proc/self/statm").split(separator: " ").compactMap { Double($0) }
        let pageBytes = Double(sysconf(CInt(_SC_PAGESIZE)))
        gauge("virtual_memory_bytes", pages.first.map { $0 * pageBytes })
        gauge("resident_memory_bytes", pages.dropFirst().first.map { $0 * pageBytes })
        gauge("open_fds", openFiles().map(Double.init))
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            gauge("max_fds", Double(limit.rlim_cur))
        }
        gauge("start_time_seconds", startTime)
        return all
    }

    private static func openFiles() -> Int? {
        // Linux 6.2 and later say how many there are; before they have to be counted.
        var status = stat()
        if stat("/proc/self/fd", &status) == 0, status.st_size > 0 { return Int(status.st_size) }
        guard let folder = opendir("/proc/self/fd") else { return nil }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        // Without `.`, `..` and the folder itself.
        return max(0, count - 3)
    }

    /// Read once: it does not change.
    private static let startTime: Double? = {
        // The name of the program, in parentheses, may hold anything: fields are counted behind it.
        let fields = text("/proc/self/stat").split(separator: ")").last?.split(separator: " ")
        guard let fields, fields.count > 19, let ticks = Double(fields[19]),
            let line = text("/proc/stat").split(separator: "\n").first(where: {
                $0.hasPrefix("btime ")
            }), let boot = Double(line.dropFirst(6))
        else { return nil }
        return boot + ticks / Double(sysconf(CInt(_SC_CLK_TCK)))
    }()

    private static func text(_ path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { break }
            bytes += chunk.prefix(count)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
