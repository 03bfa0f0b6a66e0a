// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestBasics
import Testing

@testable import Telephony

/// A server that has no room for one more connection until it is told to take those that wait.
private final class LateServer: Sendable {
    let port: UInt16
    private let listener: Int32
    private let fillers: [Int32]

    init() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        try Self.withAddress(&address) { try Self.check(bind(listener, $0, length)) }
        try Self.check(listen(listener, 0))
        try Self.withAddress(&address) { try Self.check(getsockname(listener, $0, &length)) }
        self.listener = listener
        self.port = UInt16(bigEndian: address.sin_port)
        // Linux keeps one connection more than the backlog says, and drops whoever comes then.
        var fillers: [Int32] = []
        for _ in 0..<3 {
            let filler = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            Self.withAddress(&address) { _ = connect(filler, $0, length) }
            fillers.append(filler)
        }
        self.fillers = fillers
    }

    /// Takes every connection that comes within a time, and what they send, until it is enough.
    func received(within time: Duration, until isEnough: ([String]) -> Bool = { _ in false }) -> [String] {
        for filler in self.fillers { close(filler) }
        var connections: [Int32] = []
        var texts: [Int32: [UInt8]] = [:]
        let end = ContinuousClock.now + time
        while ContinuousClock.now < end, !isEnough(texts.values.map { String(decoding: $0, as: UTF8.self) }) {
            var polled = ([self.listener] + connections).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            poll(&polled, nfds_t(polled.count), 50)
            for entry in polled where entry.revents != 0 {
                if entry.fd == self.listener {
                    connections.append(accept(self.listener, nil, nil))
                } else {
                    var bytes = [UInt8](repeating: 0, count: 65_536)
                    let count = recv(entry.fd, &bytes, bytes.count, 0)
                    if count > 0 { texts[entry.fd, default: []] += bytes[..<count] }
                    if count <= 0 { connections.removeAll { $0 == entry.fd } }
                }
            }
        }
        for connection in connections { close(connection) }
        return texts.values.map { String(decoding: $0, as: UTF8.self) }
    }

    deinit { close(self.listener) }

    private static func withAddress<Result>(
        _ address: inout sockaddr_in,
        _ body: (UnsafeMutablePointer<sockaddr>) throws -> Result
    ) rethrows -> Result {
        try withUnsafeMutablePointer(to: &address) {
            try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { try body($0) }
        }
    }

    private static func check(_ result: Int32) throws {
        guard result >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    }
}

@Suite(.timeLimit(.minutes(20)))
struct LeavingTests {
    @Test("a request whose connection is not up in time never leaves, also when the server takes it later")
    func lateConnection() async throws {
        let server = try LateServer()
        try await Fixture.withProvider(baseURL: "http://127.0.0.1:\(server.port)") { provider in
            var request = try Fixture.callRequest()
            request.leaveBefore = .now + .milliseconds(500)
            let error = await #expect(throws: TelephonyError.self) { try await provider.place(request) }
            #expect(error?.code == .tooLate)
            // The client's next attempt to connect comes after a second or three.
            let texts = server.received(within: .seconds(4))
            #expect(texts.allSatisfy { !$0.contains("To=") }, "the request has left")
        }
    }

    @Test("the same server does get a request that has the time to wait for it")
    func waitingConnection() async throws {
        let server = try LateServer()
        try await Fixture.withProvider(baseURL: "http://127.0.0.1:\(server.port)") { provider in
            let placing = Task {
                var request = try Fixture.callRequest()
                request.leaveBefore = .now + .seconds(600)
                return try await provider.place(request)
            }
            let texts = await withCheckedContinuation { continuation in
                // Its waiting would hold up a thread of the tasks.
                Thread.detachNewThread {
                    continuation.resume(
                        returning: server.received(within: .seconds(120)) { $0.contains { $0.contains("To=") } }
                    )
                }
            }
            #expect(texts.contains { $0.contains("To=") })
            placing.cancel()
            _ = await placing.result
        }
    }

    @Test("a request that leaves in time is waited for beyond that, and may be a ringing phone")
    func slowAnswer() async throws {
        let clock = TestClock()
        let start = clock.now
        try await StubProvider.run(script: { _ in .silence }) { stub in
            let timeout = Duration.seconds(120)
            try await Fixture.withProvider(baseURL: stub.url, requestTimeout: timeout, clock: clock) { provider in
                let placing = Task {
                    var request = try Fixture.callRequest()
                    request.leaveBefore = start + .seconds(10)
                    return try await provider.place(request)
                }
                try await eventually("it has left") { stub.requests.count == 1 }
                clock.advance(by: .seconds(10))
                try await eventually("it is waited for to the end of any request's time") {
                    clock.nextWake == start + timeout
                }
                clock.advance(to: start + timeout)
                let error = await #expect(throws: TelephonyError.self) { try await placing.value }
                #expect(error?.code == .unknown)
                #expect(stub.requests.count == 1)
            }
        }
    }

    @Test("a request whose time is over before it begins asks nobody")
    func tooLate() async throws {
        try await StubProvider.run(script: { _ in Fixture.created }) { stub in
            try await Fixture.withProvider(baseURL: stub.url) { provider in
                var request = try Fixture.callRequest()
                request.leaveBefore = .now - .milliseconds(1)
                let error = await #expect(throws: TelephonyError.self) { try await provider.place(request) }
                #expect(error?.code == .tooLate)
                #expect(stub.requests.isEmpty)
            }
        }
    }

    @Test("the body is handed out once, before its deadline, or never")
    func witness() async throws {
        let clock = TestClock()
        let (start, now) = (clock.now, { @Sendable in clock.now })
        let open = BodyWitness("To=x", deadline: start + .milliseconds(1), now: now)
        #expect(try await open.take() != nil)
        #expect(try await open.take() == nil)
        #expect(await !open.giveUp())
        let late = BodyWitness("To=x", deadline: start, now: now)
        await #expect(throws: BodyWitness.Late.self) { try await late.take() }
        #expect(await !late.wasTaken)
        let givenUp = BodyWitness("To=x", deadline: start + .milliseconds(1), now: now)
        #expect(await givenUp.giveUp())
        await #expect(throws: BodyWitness.Late.self) { try await givenUp.take() }
    }
}
