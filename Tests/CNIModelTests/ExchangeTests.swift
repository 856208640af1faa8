import AdminAPI
import CNIModel
import Testing

@Suite struct ExchangeTests {
    @Test func request() {
        #expect(
            AdminExchange.request(.release(owner: "cni:n/c/e"))
                == Array(
                    """
                    DELETE /v1/owners/cni%3An%2Fc%2Fe HTTP/1.1\r
                    Host: slice-gateway\r
                    Connection: close\r
                    Content-Length: 0\r
                    \r

                    """.utf8))
        let text = String(
            decoding: AdminExchange.request(.collect, body: .array([])), as: UTF8.self)
        #expect(text.hasPrefix("POST /v1/collect HTTP/1.1\r\n"))
        #expect(text.hasSuffix("Content-Length: 2\r\n\r\n[]"))
    }

    static let whole = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\nx: y\r\n\r\n{\"a\":1}"

    /// Whatever of a reply comes before the connection ends is either all of it or an error.
    @Test func cutAnywhere() throws {
        #expect(try AdminExchange.reply(Array(Self.whole.utf8)) == .object(["a": .number(1)]))
        for length in 0..<Self.whole.utf8.count {
            #expect(throws: ExchangeProblem.self) {
                try AdminExchange.reply(Array(Self.whole.utf8.prefix(length)))
            }
        }
    }

    @Test(arguments: [
        "HTTP/1.0 200 OK\r\n\r\n{}", "HTTP/1.1 2000 OK\r\n\r\n{}", "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}", "HTTP/1.1 500 No\r\n\r\n{}", "\r\n\r\n{}",
        "HTTP/1.1 404 No\r\n\r\n{\"code\":1}",
    ])
    func broken(_ text: String) {
        #expect {
            try AdminExchange.reply(Array(text.utf8))
        } throws: {
            if case .broken? = $0 as? ExchangeProblem { true } else { false }
        }
    }

    @Test(arguments: [
        (APIError.Code.unavailable, 11), (.timeout, 11), (.invalidRequest, 7), (.notFound, 7),
        (.conflict, 100), (.limitReached, 100), (.internalError, 100), (.forbidden, 100),
    ])
    func refusals(_ code: APIError.Code, _ cni: Int) throws {
        let body = #"{"code":"\#(code.rawValue)","message":"m","hint":"h"}"#
        do throws(ExchangeProblem) {
            _ = try AdminExchange.reply(Array("HTTP/1.1 409 No\r\n\r\n\(body)".utf8))
            Issue.record("it is a refusal")
        } catch {
            guard case .refused(let refusal) = error else {
                Issue.record("\(error)")
                return
            }
            let failure = CNIError(refusal, target: "/run/netns/a")
            #expect(failure.code.rawValue == cni)
            #expect(
                String(decoding: failure.json("1.0.0").bytes, as: UTF8.self)
                    == #"{"cniVersion":"1.0.0","code":\#(cni),"msg":"the slice gateway: m","#
                    + #""details":"h"}"#)
        }
        let gone = APIError(.notFound, "open namespace /run/netns/a: no such file")
        #expect(CNIError(gone, target: "/run/netns/a").code == .unknownContainer)
    }
}
