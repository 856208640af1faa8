/// A figure for who watches: a name that Kafka's dashboards know, with its labels.
package struct NodeMetric: Sendable, Equatable {
    package enum Kind: String, Sendable {
        case gauge, counter
        /// Quantiles of a window of time, and sum and count of all of it.
        case summary
    }

    package var name: String
    package var kind: Kind
    package var labels: [(name: String, value: String)]
    package var value: Double
    /// Of a summary: `_sum` or `_count`.
    package var suffix: String

    package init(
        _ name: String, _ kind: Kind = .gauge, _ labels: [(name: String, value: String)] = [],
        _ value: Double, suffix: String = ""
    ) {
        self.name = name
        self.kind = kind
        self.labels = labels
        self.value = value
        self.suffix = suffix
    }

    package static func == (a: Self, b: Self) -> Bool {
        a.name == b.name && a.kind == b.kind && a.value == b.value && a.suffix == b.suffix
            && a.labels.elementsEqual(b.labels) { $0 == $1 }
    }
}

/// Prometheus' text format, version 0.0.4.
package enum PrometheusText {
    package static func render(_ metrics: [NodeMetric]) -> String {
        var text = ""
        var last = ""
        // Figures of one name have to stand together.
        for metric in metrics.sorted(by: { $0.name < $1.name }) {
            if metric.name != last {
                if let family = MetricCatalogue.byName[metric.name] {
                    text += "# HELP \(metric.name) \(family.help)\n"
                }
                text += "# TYPE \(metric.name) \(metric.kind.rawValue)\n"
                last = metric.name
            }
            text += metric.name
            text += metric.suffix
            if !metric.labels.isEmpty {
                text += "{"
                text += metric.labels.map { "\($0.name)=\"\(escaped($0.value))\"" }
                    .joined(separator: ",")
                text += "}"
            }
            text += " \(number(metric.value))\n"
        }
        return text
    }

    private static func escaped(_ value: String) -> String {
        value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
            .replacing("\n", with: "\\n")
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        return Int64(exactly: value).map { String($0) } ?? String(value)
    }
}
