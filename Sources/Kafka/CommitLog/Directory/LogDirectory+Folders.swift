// The folders of partitions: put away when they are deleted, aside when they are nobody's.
extension LogDirectory {
    /// Closes a log and puts its folder away. Its files can be removed later, with `removeFolder`.
    /// - Returns: where the folder is now.
    package func delete(_ log: PartitionLog, unique: String) throws(LogError) -> String {
        log.markClosed()
        logs[log.topicPartition] = nil
        return try putAway(log.topicPartition, unique: unique)
    }

    /// Puts aside the folders of partitions that are not assigned: they were, until this node was
    /// stopped. It is a broker that is up that deletes them; here whoever runs it decides.
    package func putStraysAside(
        unique: () -> String, isAssigned: (TopicPartition) -> Bool
    ) throws(LogError) {
        let found = try partitionsOnDisk().filter { !isAssigned($0) }
        for partition in found { try putAside(partition, unique: unique()) }
        if !found.isEmpty { try syncFolders() }
    }

    func putAside(_ partition: TopicPartition, unique: String) throws(LogError) {
        let name = PartitionDirectoryName.stray(partition, unique: unique)
        strays.append((partition, try rename(partition, to: name)))
    }

    /// Folders that were put aside since the last call, and where they are now.
    package func takeStrays() -> [(partition: TopicPartition, folder: String)] {
        defer { strays = [] }
        return strays
    }

    private func putAway(
        _ partition: TopicPartition, unique: String
    ) throws(LogError) -> String {
        let away = try rename(
            partition, to: PartitionDirectoryName.deleted(partition, unique: unique))
        try syncFolders()
        return away
    }

    private func rename(_ partition: TopicPartition, to name: String) throws(LogError) -> String {
        departed.insert(partition)
        highWatermarks[partition] = nil
        let away = DiskPath.join(path, name)
        try orGoOffline { () throws(DiskError) in
            try disk.rename(DiskPath.join(path, partition.description), to: away)
        }
        return away
    }

    func syncFolders() throws(LogError) {
        try orGoOffline { () throws(DiskError) in try disk.syncDirectory(path) }
    }

    /// Removes a folder that `delete` has put away.
    package func removeFolder(_ folder: String) throws(LogError) {
        try orGoOffline { () throws(DiskError) in try Self.removeTree(folder, disk) }
    }

    package func removeFile(_ file: DeletedFile) throws(LogError) {
        try orGoOffline { () throws(DiskError) in try disk.remove(file.path) }
    }

    /// Changes something of the directory, whose first error is its end.
    func orGoOffline(_ change: () throws(DiskError) -> Void) throws(LogError) {
        do {
            try change()
        } catch {
            goOffline(error)
            throw .storage(error)
        }
    }

    /// Partitions' folders hold files only.
    static func removeTree(_ folder: String, _ disk: any Disk) throws(DiskError) {
        for entry in try disk.list(folder) where !entry.isDirectory {
            try disk.remove(DiskPath.join(folder, entry.name))
        }
        try disk.removeDirectory(folder)
    }

    /// The partitions that have a folder here, but for the metadata log: that is the quorum's.
    private func partitionsOnDisk() throws(LogError) -> [TopicPartition] {
        try onDisk { () throws(DiskError) in try disk.list(path) }.compactMap { entry in
            guard entry.isDirectory,
                case .partition(let partition) = PartitionDirectoryName(entry.name),
                partition.topic != FileName.metadataTopic
            else { return nil }
            return partition
        }
    }

    /// Whose logs are not as a clean shutdown leaves them. After a crash those are not that nobody
    /// has opened since: a process may be told to stop before it has come to them.
    func notClosedCleanly() throws(LogError) -> [TopicPartition] {
        try partitionsOnDisk().filter {
            !opened.contains($0) && (!wasClosedCleanly || used.contains($0))
        }
    }
}
