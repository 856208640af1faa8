import AdminAPI

/// A report as Prometheus reads it. Names and labels are an interface: add, never rename.
package enum GatewayMetrics {
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    package static func text(_ report: StatusReport) -> String {
        var text = MetricsText()
        daemon(report.daemon, &text)
        for slice in report.slices {
            var writer = Writer(
                text: text, base: [("cluster", report.daemon.cluster), ("slice", slice.name)])
            self.slice(slice, &writer)
            slice.peers.forEach { peer($0, &writer) }
            slice.endpoints.forEach { endpoint($0, &writer) }
            decisions(slice, &writer)
            directory(slice, &writer)
            services(slice, &writer)
            text = writer.text
        }
        return text.text
    }

    /// Puts what all samples of one slice have in common before their own.
    private struct Writer {
        var text: MetricsText
        let base: MetricsText.Labels

        mutating func gauge(
            _ name: String, _ help: String, _ labels: MetricsText.Labels, _ value: Double?
        ) {
            guard let value else { return }
            text.add("slice_gateway_\(name)", .gauge, help, base + labels, value)
        }

        mutating func counter(
            _ name: String, _ help: String, _ labels: MetricsText.Labels, _ value: UInt64
        ) {
            text.add("slice_gateway_\(name)", .counter, help, base + labels, Double(value))
        }

        mutating func gauge(_ name: String, _ help: String, _ value: Double) {
            gauge(name, help, [], value)
        }

        mutating func counter(_ name: String, _ help: String, _ value: UInt64) {
            counter(name, help, [], value)
        }

        /// One sample for each key of a dictionary, in the order of keys.
        mutating func counters(
            _ name: String, _ help: String, by label: String, _ values: [String: UInt64]
        ) {
            for (key, value) in values.sorted(by: { $0.key < $1.key }) {
                counter(name, help, [(label, key)], value)
            }
        }
    }

    private static func daemon(_ daemon: DaemonStatus, _ text: inout MetricsText) {
        let base: MetricsText.Labels = [("cluster", daemon.cluster)]
        text.add(
            "slice_gateway_build_info", .gauge, "Always 1: which version this is.",
            base + [("version", daemon.version)], 1)
        text.add(
            "slice_gateway_uptime_seconds", .gauge, "Since the daemon started.", base,
            Double(daemon.uptimeSeconds))
        if let entries = daemon.auditEntries {
            text.add(
                "slice_gateway_audit_entries_total", .counter, "Entries of the audit log.", base,
                Double(entries))
            text.add(
                "slice_gateway_audit_writable", .gauge, "1 if the audit log can be written to.",
                base, daemon.auditProblem == nil ? 1 : 0)
        }
    }

    private static func slice(_ slice: SliceStatus, _ out: inout Writer) {
        out.gauge("slice_up", "1 if nothing is wrong with the slice.", slice.state == .up ? 1 : 0)
        out.gauge(
            "slice_problems", "How many things are wrong with it.", Double(slice.allProblems.count))
        out.gauge(
            "manifest_version", "Of the manifest in force; 0 if there is none.",
            Double(slice.manifestVersion))
        if slice.manifestVersion > 0 {
            out.gauge(
                "manifest_info", "Always 1: digests of the manifest and of the policies in force.",
                [("digest", slice.manifestDigest), ("policy_digest", slice.policyDigest ?? "")], 1)
        }
        out.counters(
            "dropped_packets_total", "Packets dropped, by reason.", by: "reason", slice.drops)
    }

    private static func peer(_ peer: PeerReport, _ out: inout Writer) {
        let labels: MetricsText.Labels = [("peer", peer.cluster)]
        out.gauge(
            "peer_session", "1 if there is a session with the peer.", labels,
            peer.hasSession ? 1 : 0)
        out.gauge(
            "peer_handshake_age_seconds", "Since the last handshake.", labels,
            peer.handshakeAgeSeconds)
        out.gauge(
            "peer_round_trip_seconds", "Of the last echo through the tunnel, if it is recent.",
            labels, peer.rttMilliseconds.map { $0 / 1000 })
        out.gauge(
            "peer_staged_packets", "Packets that wait for a session.", labels,
            Double(peer.stagedPackets))
        traffic("peer", "the peer", labels, peer.traffic, &out)
    }

    private static func endpoint(_ endpoint: EndpointReport, _ out: inout Writer) {
        let labels: MetricsText.Labels = [("endpoint", "\(endpoint.namespace)/\(endpoint.name)")]
        out.gauge(
            "endpoint_up", "1 if nothing is wrong with the endpoint.", labels,
            endpoint.state == .up ? 1 : 0)
        traffic("endpoint", "the endpoint", labels, endpoint.traffic, &out)
    }

    private static func traffic(
        _ prefix: String, _ whom: String, _ labels: MetricsText.Labels, _ traffic: TrafficReport,
        _ out: inout Writer
    ) {
        out.counter(
            "\(prefix)_received_bytes_total", "Bytes that came from \(whom).", labels,
            traffic.receivedBytes)
        out.counter(
            "\(prefix)_received_packets_total", "Packets that came from \(whom).", labels,
            traffic.receivedPackets)
        out.counter(
            "\(prefix)_transmitted_bytes_total", "Bytes that went to \(whom).", labels,
            traffic.transmittedBytes)
        out.counter(
            "\(prefix)_transmitted_packets_total", "Packets that went to \(whom).", labels,
            traffic.transmittedPackets)
    }

    private static func decisions(_ slice: SliceStatus, _ out: inout Writer) {
        for policy in slice.policies ?? [] {
            out.counter(
                "policy_decisions_total",
                "First packets of conversations a policy allowed, and all packets it denied.",
                [("policy", policy.name), ("action", policy.action)], policy.decided)
        }
    }

    private static func directory(_ slice: SliceStatus, _ out: inout Writer) {
        for peer in slice.directory ?? [] {
            let labels: MetricsText.Labels = [("peer", peer.cluster)]
            out.gauge(
                "directory_fresh", "1 if the cluster was heard of just now.", labels,
                peer.state == .fresh ? 1 : 0)
            out.gauge(
                "directory_age_seconds", "Since the cluster was heard of.", labels, peer.ageSeconds)
            out.gauge(
                "directory_endpoints", "Endpoints the cluster told of.", labels,
                Double(peer.endpoints))
            out.gauge(
                "directory_services", "Services the cluster told of.", labels,
                Double(peer.services))
            out.gauge(
                "directory_manifest_version", "Of the manifest in force there.", labels,
                peer.manifestVersion.map(Double.init))
        }
        if slice.directory != nil {
            out.gauge(
                "directory_disagreements", "Clusters that enforce another manifest or policies.",
                Double(slice.disagreements.count))
        }
        guard let names = slice.names else { return }
        out.counters("names_queries_total", "DNS queries, by type.", by: "type", names.queries)
        out.counters(
            "names_responses_total", "DNS responses, by code.", by: "code", names.responses)
        out.counter(
            "names_forwarded_total", "DNS queries that another server was asked.",
            names.forwarded)
        out.counter("names_dropped_total", "DNS queries that got no answer.", names.dropped)
    }

    private static func services(_ slice: SliceStatus, _ out: inout Writer) {
        for service in slice.services ?? [] {
            let labels: MetricsText.Labels = [("service", "\(service.namespace)/\(service.name)")]
            out.gauge(
                "service_members", "Endpoints that offer the service.", labels,
                Double(service.members.count))
            out.gauge(
                "service_healthy_members", "Those of them that are healthy and heard of.", labels,
                Double(service.members.count { $0.healthy && !$0.stale }))
        }
    }
}
