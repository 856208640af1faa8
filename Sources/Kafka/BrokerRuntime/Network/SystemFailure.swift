import Glibc
import NIOCore
import NIOPosix

/// Failures of sockets in the words of the system, without NIO's.
enum SystemFailure {
    static func words(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let last = error.connectionErrors.last { return words(last.error) }
            return "the name \(error.host) is not known"
        case let error as IOError: return text(error.errnoCode)
        case is SocketAddressError: return "the name is not known"
        case ChannelError.connectTimeout: return "no answer in time"
        case is ChannelError: return "the connection was closed"
        default: return "\(error)"
        }
    }

    private static func text(_ number: CInt) -> String {
        let text = String(cString: strerror(number))
        // "Connection refused" is to stand in the middle of a sentence.
        return text.prefix(1).lowercased() + text.dropFirst()
    }
}
