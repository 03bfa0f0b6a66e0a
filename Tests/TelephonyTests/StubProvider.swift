// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

/// A provider on a real socket that does to each request what a test tells it to.
///
/// It speaks just enough HTTP by hand, because half of what it must do is what a proper server never does.
final class StubProvider: Sendable {
    struct Request: Sendable, Codable, Equatable {
        var method: String
        var path: String
        var query: [[String]]
        var form: [[String]]
        /// Which connection it came on, from 0.
        var connection = 0
        var headers: [String: String] = [:]

        enum CodingKeys: String, CodingKey {
            case method, path, query, form
        }

        func values(_ name: String) -> [String] {
            (self.query + self.form).filter { $0[0] == name }.map { $0[1] }
        }
    }

    enum Reaction: Sendable {
        /// Answers and keeps the connection.
        case answer(Int, headers: [(String, String)] = [], body: String)
        /// Answers and closes, without having said so.
        case answerAndClose(Int, body: String)
        /// Sends the head of an answer and never its body.
        case headOnly(Int)
        /// Never answers.
        case silence
        /// Closes without an answer.
        case close
        /// Resets the connection.
        case reset

        /// Whether nothing but the asker's time ends the wait for the answer.
        var isWithoutEnd: Bool {
            switch self {
            case .silence, .headOnly: true
            default: false
            }
        }

        static func fault(_ status: Int, code: Int, headers: [(String, String)] = []) -> Reaction {
            .answer(
                status,
                headers: headers,
                body: #"{"code":\#(code),"message":"about +14155550123","more_info":"","status":\#(status)}"#
            )
        }
    }

    typealias Script = @Sendable (Request) -> Reaction

    private let channel: any Channel
    private let state: NIOLockedValueBox<State>

    private struct State {
        var requests: [Request] = []
        var connections = 0
        var closed = 0
    }

    private init(channel: any Channel, state: NIOLockedValueBox<State>) {
        self.channel = channel
        self.state = state
    }

    /// Everything received, in order.
    var requests: [Request] { self.state.withLockedValue { $0.requests } }
    /// How many connections were opened.
    var connections: Int { self.state.withLockedValue { $0.connections } }
    /// How many connections are closed on both sides.
    var closedConnections: Int { self.state.withLockedValue { $0.closed } }

    var url: String { "http://127.0.0.1:\(self.channel.localAddress?.port ?? 0)" }

    /// Runs a provider for as long as the body takes.
    /// - Parameters:
    ///   - captures: Whether the requests are held against the parameter table and written down for
    ///     `ops/check-provider-requests`.
    ///   - script: What to do to each request.
    ///   - body: The test.
    /// - Returns: What the body returns.
    /// - Throws: What the body throws, or why the socket cannot be opened.
    static func run<Result: Sendable>(
        captures: Bool = true,
        script: @escaping Script,
        _ body: (StubProvider) async throws -> Result
    ) async throws -> Result {
        let state = NIOLockedValueBox(State())
        let record: @Sendable (Request) -> Void = { request in
            state.withLockedValue { $0.requests.append(request) }
            if captures { Capture.shared?.write(request) }
        }
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: false)
            .childChannelInitializer { channel in
                let number = state.withLockedValue { state in
                    defer { state.connections += 1 }
                    return state.connections
                }
                channel.closeFuture.whenComplete { _ in state.withLockedValue { $0.closed += 1 } }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        StubConnection(number: number, record: record, script: script)
                    )
                }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
        let result: Result
        do {
            result = try await body(StubProvider(channel: channel, state: state))
        } catch {
            try? await channel.close()
            throw error
        }
        try await channel.close()
        if captures {
            for request in state.withLockedValue({ $0.requests }) {
                #expect(Conformance.faults(of: request).isEmpty, "a request is outside the parameter table")
            }
        }
        return result
    }
}

private final class StubConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let number: Int
    private let record: @Sendable (StubProvider.Request) -> Void
    private let script: StubProvider.Script
    private var received: [UInt8] = []

    init(number: Int, record: @escaping @Sendable (StubProvider.Request) -> Void, script: @escaping StubProvider.Script)
    {
        self.number = number
        self.record = record
        self.script = script
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.received += Array(self.unwrapInboundIn(data).readableBytesView)
        // Whoever opens with a TLS handshake is hung up on.
        if self.received.first == 0x16 { context.close(promise: nil) }
        while let request = self.nextRequest() {
            self.record(request)
            self.react(self.script(request), context: context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func react(_ reaction: StubProvider.Reaction, context: ChannelHandlerContext) {
        switch reaction {
        case .answer(let status, let headers, let body):
            self.write(status, headers: headers, body: body, context: context)
        case .answerAndClose(let status, let body):
            self.write(status, headers: [], body: body, context: context)
            context.close(promise: nil)
        case .headOnly(let status):
            self.send("HTTP/1.1 \(status) Stub\r\nContent-Length: 100\r\n\r\n{", context: context)
        case .silence:
            break
        case .close:
            context.close(promise: nil)
        case .reset:
            let channel = context.channel as? any SocketOptionProvider
            _ = channel?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
            context.close(promise: nil)
        }
    }

    private func write(_ status: Int, headers: [(String, String)], body: String, context: ChannelHandlerContext) {
        var text = "HTTP/1.1 \(status) Stub\r\nContent-Type: application/json\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        self.send(text + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)", context: context)
    }

    private func send(_ text: String, context: ChannelHandlerContext) {
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }

    /// Takes one whole request off what was received.
    private func nextRequest() -> StubProvider.Request? {
        guard let end = self.received.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let lines = String(decoding: self.received[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2 {
                headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
            }
        }
        let length = headers["content-length"].flatMap { Int($0) } ?? 0
        guard self.received.count >= end.upperBound + length else { return nil }
        let body = String(decoding: self.received[end.upperBound..<end.upperBound + length], as: UTF8.self)
        self.received.removeFirst(end.upperBound + length)
        let words = lines[0].split(separator: " ")
        let target = words[1].split(separator: "?", maxSplits: 1)
        return StubProvider.Request(
            method: String(words[0]),
            path: String(target[0]),
            query: Self.pairs(target.count == 2 ? String(target[1]) : ""),
            form: Self.pairs(body),
            connection: self.number,
            headers: headers
        )
    }

    /// Foundation's decoder rather than the adapter's own, so that the two check each other.
    private static func pairs(_ text: String) -> [[String]] {
        text.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            return [parts[0], parts.count == 2 ? parts[1] : ""].map { $0.removingPercentEncoding ?? $0 }
        }
    }
}

/// The file that `CAPTURE_PROVIDER_REQUESTS` names: one captured request per line.
private final class Capture: Sendable {
    static let shared: Capture? = ProcessInfo.processInfo.environment["CAPTURE_PROVIDER_REQUESTS"].map {
        Capture(path: $0)
    }

    private let path: NIOLockedValueBox<String>

    private init(path: String) {
        self.path = NIOLockedValueBox(path)
    }

    func write(_ request: StubProvider.Request) {
        self.path.withLockedValue { path in
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            guard let line = try? encoder.encode(request) else { return }
            if !FileManager.default.fileExists(atPath: path) {
                _ = FileManager.default.createFile(atPath: path, contents: nil)
            }
            guard let file = FileHandle(forWritingAtPath: path) else { return }
            defer { try? file.close() }
            _ = try? file.seekToEnd()
            try? file.write(contentsOf: line + Data("\n".utf8))
        }
    }
}
