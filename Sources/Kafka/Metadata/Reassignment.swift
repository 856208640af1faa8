/// The lists of a partition on its way to other replicas (KIP-455): the wanted ones first, then
/// those that leave once the wanted are in sync.
package struct Reassignment: Equatable {
    package var replicas: [Int32]
    package var adding: [Int32]
    package var removing: [Int32]
    package var isr: [Int32]

    /// From where a partition is, perhaps itself on the way, to `target`.
    ///
    /// A replica that an unfinished reassignment was adding and that nobody wants any more goes at
    /// once, so that a cancellation leads back to where it all began; unless it is all that is in
    /// sync.
    package init(of partition: PartitionRegistration, to target: [Int32]) {
        let original = Self.original(partition)
        adding = target.filter { !original.contains($0) }
        removing = original.filter { !target.contains($0) }.sorted()
        let abandoned = partition.addingReplicas.filter { !target.contains($0) }
        let left = partition.isr.filter { !abandoned.contains($0) }
        if left.isEmpty {
            isr = partition.isr
            removing = (removing + abandoned).sorted()
        } else {
            isr = left
        }
        replicas = target + removing
        adding.sort()
    }

    /// Back to the replicas before the reassignment. Nil if none of those is in sync: then only an
    /// unclean election can go back.
    package static func cancelling(_ partition: PartitionRegistration) -> Reassignment? {
        let original = Self.original(partition)
        let isr = partition.isr.filter(original.contains)
        return isr.isEmpty
            ? nil : Reassignment(replicas: original, adding: [], removing: [], isr: isr)
    }

    /// The replicas before the reassignment began.
    package static func original(_ partition: PartitionRegistration) -> [Int32] {
        partition.replicas.filter { !partition.addingReplicas.contains($0) }
    }

    private init(replicas: [Int32], adding: [Int32], removing: [Int32], isr: [Int32]) {
        self.replicas = replicas
        self.adding = adding
        self.removing = removing
        self.isr = isr
    }
}
