/// `POST /v1/slices/{slice}/policies/explain`: what the policies in force say of conversations.
package struct ExplainRequest: Codable, Equatable, Sendable {
    package struct Query: Codable, Equatable, Sendable {
        /// An address, `NAMESPACE/ENDPOINT@CLUSTER`, or less of it: then the first that fits.
        package var from: String
        package var to: String
        /// `tcp/9092`, `udp/53`, `sctp/5000`, `icmp` or `other`.
        package var port: String

        package init(from: String, to: String, port: String) {
            self.from = from
            self.to = to
            self.port = port
        }
    }

    package static let maximumQueries = 10_000

    package var queries: [Query]

    package init(queries: [Query]) { self.queries = queries }
}

package struct ExplainReply: Codable, Equatable, Sendable {
    package enum Verdict: String, Codable, Sendable {
        case allow, deny
    }

    /// A policy that was looked at before and does not match.
    package struct Passed: Codable, Equatable, Sendable {
        package var policy: String
        package var reason: String

        package init(policy: String, reason: String) {
            self.policy = policy
            self.reason = reason
        }
    }

    /// One of the two gateways that decide: where the first packet leaves, and where it arrives.
    package struct End: Codable, Equatable, Sendable {
        package var cluster: String
        /// `leaves`, `arrives` or `leaves and arrives`.
        package var role: String
        /// Whether it is known to decide the same; absent of this gateway itself.
        package var agrees: Bool?
        /// What keeps one from knowing, or differs.
        package var note: String?

        package init(cluster: String, role: String, agrees: Bool? = nil, note: String? = nil) {
            self.cluster = cluster
            self.role = role
            self.agrees = agrees
            self.note = note
        }
    }

    package struct Answer: Codable, Equatable, Sendable {
        package var from: String
        package var to: String
        package var port: String
        package var verdict: Verdict
        package var rule: String
        package var passed: [Passed]
        package var unnamed: Int
        package var ends: [End]

        package init(
            from: String, to: String, port: String, verdict: Verdict, rule: String,
            passed: [Passed] = [], unnamed: Int = 0, ends: [End] = []
        ) {
            self.from = from
            self.to = to
            self.port = port
            self.verdict = verdict
            self.rule = rule
            self.passed = passed
            self.unnamed = unnamed
            self.ends = ends
        }
    }

    package var policyDigest: String
    package var answers: [Answer]

    package init(policyDigest: String, answers: [Answer]) {
        self.policyDigest = policyDigest
        self.answers = answers
    }
}

/// `POST /v1/slices/{slice}/policies/dry-run`: what another manifest would change. It need not be
/// signed, and nothing is changed.
package struct PolicyDryRunRequest: Codable, Equatable, Sendable {
    package var manifest: String

    package init(manifest: String) { self.manifest = manifest }
}

package struct PolicyDryRunReply: Codable, Equatable, Sendable {
    package struct Change: Codable, Equatable, Sendable {
        package var from: String
        package var to: String
        /// The first port of the stretch that changes.
        package var port: String
        package var verdict: ExplainReply.Verdict
        /// Not for all endpoints of the two namespaces.
        package var isPartial: Bool
        package var rule: String

        package init(
            from: String, to: String, port: String, verdict: ExplainReply.Verdict,
            isPartial: Bool, rule: String
        ) {
            self.from = from
            self.to = to
            self.port = port
            self.verdict = verdict
            self.isPartial = isPartial
            self.rule = rule
        }
    }

    /// A connection that is there now and would end.
    package struct Cut: Codable, Equatable, Sendable {
        package var from: String
        package var to: String
        package var port: String
        package var rule: String

        package init(from: String, to: String, port: String, rule: String) {
            self.from = from
            self.to = to
            self.port = port
            self.rule = rule
        }
    }

    package var slice: String
    package var version: UInt64
    package var policyDigest: String
    package var policyDigestNow: String
    package var changes: [Change]
    package var cuts: [Cut]
    /// There are more changes or cuts than are named.
    package var isCutOff: Bool
    package var warnings: [String]

    package init(
        slice: String, version: UInt64, policyDigest: String, policyDigestNow: String,
        changes: [Change] = [], cuts: [Cut] = [], isCutOff: Bool = false, warnings: [String] = []
    ) {
        self.slice = slice
        self.version = version
        self.policyDigest = policyDigest
        self.policyDigestNow = policyDigestNow
        self.changes = changes
        self.cuts = cuts
        self.isCutOff = isCutOff
        self.warnings = warnings
    }
}
