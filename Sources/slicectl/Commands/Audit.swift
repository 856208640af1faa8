import ArgumentParser
import LinuxNet
import SliceAudit

struct Audit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check and show what the gateway refused and did.",
        discussion: """
            Every line of the audit log names the digest of the one before it. So a line that was \
            changed, taken out or moved is found, and so is an end that was cut off, if somebody \
            has kept a head from then: keep one elsewhere now and then. Needs no daemon.

            EXAMPLE
              slicectl audit head > /mnt/elsewhere/gateway-1.head
              slicectl audit verify --head "$(cat /mnt/elsewhere/gateway-1.head)"
              slicectl audit show --slice payments -n 20
            """,
        subcommands: [AuditVerify.self, AuditShow.self, AuditHeadCommand.self])
}

struct AuditVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check the chain of an audit log.",
        discussion: """
            Looks at the file and at the older ones beside it (FILE.1 is the next older), and at \
            the head that the gateway keeps beside it (audit.head). Exit code 1, and the first \
            line that is wrong or which files are missing, unless all is as it was written.

            EXAMPLE
              slicectl audit verify
              slicectl audit verify audit.log --head 4711:5d1f... --head 12000:90ab...
            """)

    @Argument(help: "The log.", completion: .file()) var file = AuditPaths.standard

    @Option(
        help: ArgumentHelp(
            "A head that was kept: the log must hold that entry. May be repeated.",
            valueName: "sequence:hash"))
    var head: [String] = []

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func run() async throws {
        let heads = try head.map { text in
            guard let head = AuditHead(text) else {
                throw Failure.usage(
                    "--head takes SEQUENCE:HASH, not `\(text)`",
                    hint: "`slicectl audit head` prints one")
            }
            return head
        }
        var (files, report) = try AuditFiles.verify(file, heads: heads)
        // The gateway may have been writing just then, or putting a file aside.
        for _ in 0..<3 where [.torn, .noBeginning].contains(report.problem?.reason) {
            try await Task.sleep(for: .milliseconds(100))
            (files, report) = try AuditFiles.verify(file, heads: heads)
        }
        let view = AuditVerifyView(files: files, report: report)
        let console = global.console
        try console.result(view.document) { view.text(style: console.style) }
        if report.problem != nil { throw ExitCode(ExitStatus.failed.rawValue) }
    }
}

struct AuditShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the last entries of an audit log.",
        discussion: """
            Does not check the chain: see `slicectl audit verify`.

            EXAMPLE
              slicectl audit show
              slicectl audit show --slice payments -n 100 --json
            """)

    @Argument(help: "The log.", completion: .file()) var file = AuditPaths.standard

    @Option(
        name: [.customShort("n"), .customLong("lines")],
        help: ArgumentHelp("At most so many, the newest.", valueName: "count"))
    var count = 50

    @Option(help: ArgumentHelp("Only what concerns this slice.", valueName: "name"))
    var slice: String?

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    func validate() throws {
        guard (1...1_000_000).contains(count) else {
            throw ValidationError("-n takes 1 to 1000000")
        }
    }

    func run() async throws {
        let found = try AuditFiles.last(count, of: file, slice: slice)
        let view = AuditShowView(entries: found.entries, unreadable: found.unreadable)
        let console = global.console
        try console.result(view.document) { view.text(style: console.style) }
    }
}

struct AuditHeadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "head",
        abstract: "Print where an audit log ends, to be kept elsewhere.",
        discussion: """
            Reads the last entry; the chain is not checked. What `slicectl audit verify --head` \
            gets later must be what this printed.

            EXAMPLE
              slicectl audit head
            """)

    @Argument(help: "The log.", completion: .file()) var file = AuditPaths.standard

    @OptionGroup(title: "Options of every command") var global: GlobalOptions

    private struct Document: Encodable {
        var sequence: UInt64
        var hash: String
    }

    func run() async throws {
        guard let head = try AuditFiles.head(of: file) else {
            throw Failure(.failed, "noEntries", "\(file) ends with no entry of an audit log")
        }
        try global.console.result(
            Document(sequence: head.sequence, hash: "\(head.hash)")
        ) { "\(head)\n" }
    }
}
