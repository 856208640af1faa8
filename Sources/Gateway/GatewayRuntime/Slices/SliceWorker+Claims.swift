import SliceAudit
import SliceDirectory
import SliceModel

// What peers claim that is not theirs goes into the audit log.
extension SliceWorker {
    /// Looks at what the directory refuses now. Once for each claim, until it is withdrawn.
    func auditClaims(_ running: Running) {
        guard let directory = running.membership.directory else { return }
        Task {
            guard let claims = await directory.status()?.refusedClaims else { return }
            let new = claims.filter { !running.membership.refusedClaims.contains($0) }
            running.membership.refusedClaims = Set(claims)
            for claim in new {
                let (subject, reason) = Self.words(for: claim)
                audit(.claimRefused, subject, reason)
            }
        }
    }

    private static func words(for claim: DirectoryProblem) -> (subject: String, reason: String) {
        switch claim.kind {
        case .claim(let key, _): ("\(key)@\(claim.cluster)", "\(claim)")
        // Without their number, which changes with each of them.
        case .claims: ("\(claim.cluster)", "more of its records are left out than are named")
        default: ("\(claim.cluster)", "\(claim)")
        }
    }
}
