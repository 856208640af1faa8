import Addresses
import AdminAPI
import ConfigFile
import FoundationEssentials
import LinuxNet
import SliceModel

/// What the daemon must find again of a slice: one directory, `stateDirectory/slices/NAME`.
struct SliceState: Sendable {
    /// Which file of gateway.conf the slice came from, and what was made for it.
    struct Source: Codable, Equatable {
        var manifest: String
        var routerNamespace: String
    }

    /// An endpoint that was attached through the admin interface.
    struct Attachment: Codable, Equatable {
        var namespace: String
        var name: String
        var reference: String
        var interface: String?
        /// Which namespace it was. A process number alone may mean another process tomorrow.
        var device: UInt64
        var inode: UInt64
        var boot: String
        /// The kernel's own number of the namespace, never used again until the next boot.
        var cookie: UInt64?
        var labels: [String: String]?
        var owner: String?
    }

    let directory: String

    init(stateDirectory: String, slice: SliceName) {
        directory = "\(Self.directory(stateDirectory))/\(slice)"
    }

    static func directory(_ stateDirectory: String) -> String { "\(stateDirectory)/slices" }

    private var manifestPath: String { "\(directory)/manifest.yaml" }
    private var leasesPath: String { "\(directory)/leases.json" }
    private var attachmentsPath: String { "\(directory)/attachments.json" }
    private var sourcePath: String { "\(directory)/source.json" }
    private var servicesPath: String { "\(directory)/services.json" }
    private var incarnationPath: String { "\(directory)/incarnation" }
    private var directoryPath: String { "\(directory)/directory" }

    func create() throws(LinuxError) {
        try Directory.create(directory, mode: 0o700)
        try AtomicFile.removeLeftovers(in: directory)
    }

    // MARK: Manifest

    /// The newest accepted, if any was.
    func manifest() throws -> SliceManifest? {
        guard let bytes = try manifestDocument() else { return nil }
        return try bytes.withUnsafeBytes { bytes in
            try SliceManifest.parse(bytes, file: manifestPath)
        }
    }

    /// As it was signed.
    func manifestDocument() throws(LinuxError) -> [UInt8]? {
        try Self.read(manifestPath, limitBytes: ManifestLimits.document.bytes)
    }

    func store(manifest text: [UInt8]) throws(LinuxError) {
        try Self.put(manifestPath, text)
    }

    // MARK: Leases

    func leases(
        prefixes: [IPPrefix], limit: Int
    ) throws -> (book: AddressBook, dropped: [AddressBook.Lease]) {
        guard let bytes = try Self.read(leasesPath, limitBytes: 32 << 20) else {
            return (AddressBook(prefixes: prefixes, limit: limit), [])
        }
        return try bytes.withUnsafeBytes { bytes in
            try AddressBook.decode(bytes, file: leasesPath, prefixes: prefixes, limit: limit)
        }
    }

    func store(leases book: AddressBook) throws(LinuxError) {
        try Self.put(leasesPath, Array(book.fileText.utf8))
    }

    // MARK: Attachments and source

    func attachments() throws -> [Attachment] { try Self.json(attachmentsPath) ?? [] }

    func store(attachments: [Attachment]) throws { try Self.write(attachmentsPath, attachments) }

    // MARK: Services and directory

    /// What the command line made: services that this cluster offers, and those it does not see.
    struct Services: Codable, Equatable {
        var exports: [ExportServiceRequest]
        var hidden: [String]
    }

    func services() throws -> Services? { try Self.json(servicesPath) }

    func store(services: Services) throws { try Self.write(servicesPath, services) }

    /// Of the directory's last life; 0 if that is not known.
    func incarnation() -> UInt64 {
        let bytes = (try? Self.read(incarnationPath, limitBytes: 64)) ?? nil
        return bytes.flatMap { UInt64(String(decoding: $0.filter { $0 > 32 }, as: UTF8.self)) } ?? 0
    }

    func store(incarnation: UInt64) throws(LinuxError) {
        try Self.put(incarnationPath, Array("\(incarnation)\n".utf8))
    }

    /// What other clusters said last. Only a help: without it they are waited for.
    func directoryView() -> [UInt8]? {
        (try? Self.read(directoryPath, limitBytes: 256 << 20)) ?? nil
    }

    func store(directory bytes: [UInt8]) throws(LinuxError) {
        try Self.put(directoryPath, bytes)
    }

    func source() throws -> Source? { try Self.json(sourcePath) }

    func store(source: Source) throws { try Self.write(sourcePath, source) }

    func removeSource() { try? File.remove(sourcePath) }

    /// All slices of a state directory that something may have been made for.
    static func all(_ stateDirectory: String) -> [(slice: SliceName, source: Source)] {
        let names = (try? Directory.names(directory(stateDirectory))) ?? []
        return names.compactMap { name in
            guard let slice = SliceName(name),
                let source = try? SliceState(stateDirectory: stateDirectory, slice: slice).source()
            else { return nil }
            return (slice, source)
        }
    }

    /// What the slice of a manifest's file was called when it ran last.
    static func name(of manifest: String, in stateDirectory: String) -> SliceName? {
        all(stateDirectory).first { $0.source.manifest == manifest }?.slice
    }

    private static func json<T: Decodable>(_ path: String) throws -> T? {
        guard let bytes = try read(path, limitBytes: 32 << 20) else { return nil }
        do {
            return try JSONDecoder().decode(T.self, from: Data(bytes))
        } catch {
            throw SliceFailure("\(path) is damaged: mend it, or remove it and attach again")
        }
    }

    private static func write(_ path: String, _ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        try put(path, Array(encoder.encode(value)) + [10])
    }

    /// What is there already is not written again: a slice comes up on a full disk too.
    private static func put(_ path: String, _ bytes: [UInt8]) throws(LinuxError) {
        if let old = try? read(path, limitBytes: bytes.count), old == bytes { return }
        try AtomicFile.write(path, bytes, mode: 0o600)
    }

    private static func read(
        _ path: String, limitBytes: Int = 4 << 20
    ) throws(LinuxError) -> [UInt8]? {
        do throws(LinuxError) {
            return try File.read(path, limitBytes: limitBytes)
        } catch {
            if error.errno == 2 { return nil }
            throw error
        }
    }

    /// Changes with every start of the machine (random(4)).
    static let bootID: String = {
        let bytes = (try? File.read("/proc/sys/kernel/random/boot_id", limitBytes: 128)) ?? []
        return String(decoding: bytes.prefix { $0 > 32 }, as: UTF8.self)
    }()
}
