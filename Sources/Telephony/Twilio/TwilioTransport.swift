// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// Sends one request once, and knows afterwards whether the provider can have read it.
struct TwilioTransport: Sendable {
    /// Why there is no answer.
    struct Failure: Error {
        /// Whether the provider can have read the request whole.
        var wasSent: Bool
        /// The request had not left when its time was over.
        var isLate = false
        /// What happened, from a closed set of words.
        var reason: String
    }

    let client: HTTPClient
    let baseURL: String
    /// Asked anew for each request: secrets may be renewed.
    let authorization: @Sendable () -> String
    let timeout: Duration
    let clock: TransportClock

    /// A list page of the largest size stays well below this.
    private static let largestAnswer = 4 << 20

    /// Sends a request. If it has a body and has not left by the deadline, it never leaves.
    func send(
        _ request: TwilioRequest,
        leaveBefore deadline: ContinuousClock.Instant? = nil
    ) async throws(Failure) -> TwilioAnswer {
        let witness = BodyWitness(FormFields.encode(request.form), deadline: deadline, now: self.clock.now)
        var message = HTTPClientRequest(url: self.baseURL + request.target)
        message.method = .init(rawValue: request.operation.method)
        message.headers.add(name: "Authorization", value: self.authorization())
        message.headers.add(name: "Accept", value: "application/json")
        message.headers.add(name: "User-Agent", value: "call-scheduler")
        if !request.form.isEmpty {
            message.headers.add(name: "Content-Type", value: "application/x-www-form-urlencoded")
            message.body = .stream(WitnessedBody(witness: witness), length: .known(Int64(witness.length)))
        }
        do {
            return try await self.exchange(message, witness: witness)
        } catch {
            let (wasTaken, isLate) = await (witness.wasTaken, witness.isLate)
            throw Failure(wasSent: wasTaken, isLate: isLate, reason: isLate ? "tooLate" : Self.reason(error))
        }
    }

    private struct TooLate: Error {}

    /// The client's own deadline ends with the answer's head; the body must not take for ever either.
    private func exchange(_ message: HTTPClientRequest, witness: BodyWitness) async throws -> TwilioAnswer {
        let client = self.client
        let timeout = self.timeout
        let clock = self.clock
        let end = clock.now() + timeout
        return try await withThrowingTaskGroup(of: TwilioAnswer.self) { group in
            group.addTask {
                let response = try await client.execute(message, timeout: TimeAmount(timeout))
                let body = try await response.body.collect(upTo: Self.largestAnswer)
                return TwilioAnswer(
                    status: Int(response.status.code),
                    retryAfter: response.headers.first(name: "Retry-After"),
                    body: Array(body.readableBytesView)
                )
            }
            group.addTask {
                if let deadline = witness.deadline, deadline < end {
                    try await clock.sleep(deadline)
                    if await witness.giveUp() { throw TooLate() }
                }
                try await clock.sleep(end)
                throw HTTPClientError.deadlineExceeded
            }
            defer { group.cancelAll() }
            guard let answer = try await group.next() else { throw HTTPClientError.deadlineExceeded }
            return answer
        }
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as HTTPClientError: error.shortDescription
        case is CancellationError: "Cancelled"
        case let error as IOError: String(cString: strerror(error.errnoCode)).lowercased()
        default: String(describing: type(of: error))
        }
    }
}

/// Holds a request's body and remembers whether the HTTP client has taken it.
///
/// The client takes the body only once a connection is up and the head was handed to it. As long as it has not, no
/// server can have had the request whole, whatever the error says: that is what tells "nothing was placed" from "a
/// phone may be ringing". It is also the last moment at which the request can be kept from leaving: after its deadline
/// the body is not handed out any more, and a head without its body places nothing.
actor BodyWitness {
    nonisolated let length: Int
    nonisolated let deadline: ContinuousClock.Instant?
    private let body: ByteBuffer
    private let now: @Sendable () -> ContinuousClock.Instant
    private(set) var wasTaken = false
    private(set) var isLate = false

    init(
        _ body: String,
        deadline: ContinuousClock.Instant?,
        now: @escaping @Sendable () -> ContinuousClock.Instant
    ) {
        self.now = now
        self.body = ByteBuffer(string: body)
        self.length = body.utf8.count
        self.deadline = deadline
    }

    /// - Throws: ``Late`` past the deadline; the client then gives the connection up.
    func take() throws -> ByteBuffer? {
        guard !self.wasTaken else { return nil }
        if let deadline = self.deadline, self.now() >= deadline { self.isLate = true }
        guard !self.isLate else { throw Late() }
        self.wasTaken = true
        return self.body
    }

    /// Keeps the body from being taken.
    /// - Returns: False when it was taken before.
    func giveUp() -> Bool {
        if !self.wasTaken { self.isLate = true }
        return self.isLate
    }

    /// The body was asked for past its deadline.
    struct Late: Error {}
}

/// The body as the HTTP client reads it: once. A client that would want to repeat it gets nothing.
struct WitnessedBody: AsyncSequence, Sendable {
    let witness: BodyWitness

    struct Iterator: AsyncIteratorProtocol {
        let witness: BodyWitness

        mutating func next() async throws -> ByteBuffer? {
            try await self.witness.take()
        }
    }

    func makeAsyncIterator() -> Iterator {
        Iterator(witness: self.witness)
    }
}
