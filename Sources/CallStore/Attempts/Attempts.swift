// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation
import Postgres

extension CallStore {
    /// What a Dialer needs to place one call. Exists only for an attempt whose row is committed.
    public struct AttemptDetails: Sendable {
        /// The contact's number.
        public let phoneNumber: PhoneNumber
        /// The campaign's caller ID.
        public let callerID: PhoneNumber
        /// The campaign's answer URL.
        public let answerURL: String
        /// How long the phone rings.
        public let ringTimeout: Duration
        /// The longest call after the answer.
        public let maximumCallDuration: Duration
        /// Whether the provider shall tell people from machines.
        public let detectsMachines: Bool
        /// When the call must have ended.
        public let deadline: Date
        /// When the database was asked, by this process's clock: what it allowed holds for about a second.
        public let askedAt: ContinuousClock.Instant
    }

    /// An open attempt that somebody has to watch.
    public struct OpenAttempt: Sendable {
        /// The call.
        public let callID: UUID
        /// Its campaign.
        public let campaignID: UUID
        /// The number that is being called.
        public let phoneNumber: PhoneNumber
        /// The caller ID that it is called with.
        public let callerID: PhoneNumber
        /// The provider's id, when known.
        public let providerCallID: String?
        /// The attempt's status.
        public let status: String
        /// When the row was made.
        public let startedAt: Date
        /// When the call must have ended.
        public let deadline: Date
        /// How long the phone rings.
        public let ringTimeout: Duration
        /// The database's clock at the time of the question.
        public let now: Date
    }

    /// What became of a request to create an attempt.
    public enum AttemptVerdict: Sendable {
        /// The row is committed: place the call now, once.
        case created(AttemptDetails)
        /// The row exists and the call is not over: adopt it, never place it.
        case exists(OpenAttempt)
        /// The claim no longer holds, or the call is over: nothing to do.
        case stale
        /// The claim was given back, for this reason.
        case notAllowed(String)
        /// The row exists and could not be taken over just now, or the server did not answer: ask again.
        case undecided
        /// The statement fails for this request and for no other of its batch; asking again changes nothing when its
        /// values are wrong.
        case failed(reason: String, isOfItsValues: Bool)
    }

    /// One wish to create an attempt.
    public struct AttemptRequest: Sendable {
        /// The claim's id.
        public let callID: UUID
        /// The claimed contact.
        public let contactID: UUID
        /// After this instant the request must not be dialed.
        public let expiresAt: Date

        /// Creates a wish.
        public init(callID: UUID, contactID: UUID, expiresAt: Date) {
            self.callID = callID
            self.contactID = contactID
            self.expiresAt = expiresAt
        }
    }

    /// Creates attempts for claims that still hold and calls that are still allowed; gives the other claims back.
    /// - Parameters:
    ///   - requests: The wishes.
    ///   - dialerID: Who will place and watch the calls.
    ///   - trunk: The dialer's trunk; a paused trunk places nothing.
    ///   - margin: Added to ring timeout and call length to make the deadline.
    ///   - now: The time from which on the permissions age.
    /// - Returns: A verdict for each request, in order. One whose statement fails does not keep the others from theirs.
    /// - Throws: `PostgresError`; nothing was created then, or it is found as existing later.
    public func beginAttempts(
        _ requests: [AttemptRequest],
        dialerID: String,
        trunk: String,
        margin: Duration,
        now: @Sendable () -> ContinuousClock.Instant = { .now }
    ) async throws -> [AttemptVerdict] {
        guard !requests.isEmpty else { return [] }
        var verdicts: [UUID: AttemptVerdict] = [:]
        let begun = try await Self.isolating(requests) { requests in
            try await self.begin(requests, dialerID: dialerID, trunk: trunk, margin: margin, askedAt: now())
        }
        for (request, error) in begun.failed {
            let fault = (error as? PostgresError).flatMap { $0.mayConcernOneOnly ? $0 : nil }
            verdicts[request.callID] =
                fault.map { .failed(reason: "\($0)", isOfItsValues: $0.isOfItsValues) } ?? .undecided
        }
        for batch in begun.done { verdicts.merge(batch) { first, _ in first } }
        return requests.map { verdicts[$0.callID] ?? .stale }
    }

    private func begin(
        _ requests: [AttemptRequest],
        dialerID: String,
        trunk: String,
        margin: Duration,
        askedAt: ContinuousClock.Instant
    ) async throws -> [UUID: AttemptVerdict] {
        let result = try await self.client.execute(
            Self.beginAttempt,
            [
                requests.map(\.callID), requests.map(\.contactID), requests.map(\.expiresAt),
                dialerID, trunk, margin.inSeconds,
            ]
        )
        var verdicts: [UUID: AttemptVerdict] = [:]
        var adopted: [UUID] = []
        for index in 0..<result.count {
            let row = result[index]
            let callID: UUID = try row.decode(named: "call_id")
            switch try row.decode(String.self, named: "verdict") {
            case "created": verdicts[callID] = .created(try Self.details(row, askedAt: askedAt))
            case "exists": adopted.append(callID)
            case "stale": verdicts[callID] = .stale
            case let reason: verdicts[callID] = .notAllowed(reason)
            }
        }
        do {
            for attempt in try await self.adopt(adopted, dialerID: dialerID) {
                verdicts[attempt.callID] = .exists(attempt)
            }
        } catch {
            // What was created must be placed now: it would look like somebody else's the next time.
            for callID in adopted { verdicts[callID] = .undecided }
        }
        return verdicts
    }

    /// Gives a claim back that cannot be dialed because its statement fails. A claim that has an attempt stays.
    /// - Parameters:
    ///   - request: The request.
    ///   - backOff: How long the contact rests.
    /// - Throws: `PostgresError`.
    public func putBack(_ request: AttemptRequest, backOff: Duration) async throws {
        try await self.client.execute(Self.putBackClaim, [request.callID, request.contactID, backOff.inSeconds])
    }

    /// Takes over open attempts.
    /// - Returns: Those that are still open.
    /// - Throws: `PostgresError`.
    public func adopt(_ callIDs: [UUID], dialerID: String) async throws -> [OpenAttempt] {
        guard !callIDs.isEmpty else { return [] }
        return try await self.client.execute(Self.adoptAttempts, [callIDs, dialerID]).map(Self.openAttempt)
    }

    /// The open attempts of one dialer, to seed its slots after a restart under the same id.
    /// - Throws: `PostgresError`.
    public func openAttempts(dialerID: String) async throws -> [OpenAttempt] {
        try await self.client.execute(Self.attemptsOfDialer, [dialerID]).map(Self.openAttempt)
    }

    /// Which of these calls are over.
    /// - Throws: `PostgresError`.
    public func endedCalls(among callIDs: [UUID]) async throws -> [UUID] {
        guard !callIDs.isEmpty else { return [] }
        return try await self.client.execute(Self.endedAmong, [callIDs]).map { try $0.decode(named: "call_id") }
    }

    /// Open calls that must not ring any more: their campaign was paused, cancelled or ended, their trunk paused, their
    /// window closed, or the number excluded. It is noted that they are canceled: a call that ends so, and was not
    /// answered, is not charged.
    /// - Returns: The subset of `callIDs` that has not been answered and should be canceled at the provider.
    /// - Throws: `PostgresError`.
    public func callsToCancel(among callIDs: [UUID]) async throws -> [UUID] {
        guard !callIDs.isEmpty else { return [] }
        return try await self.client.execute(Self.cancelAmong, [callIDs]).map { try $0.decode(named: "call_id") }
    }

    /// Which of the provider's calls belong to an attempt already, and to which call.
    /// - Parameter calls: The provider's id and the number that was called, each.
    /// - Returns: The attempt's call by the provider's id.
    /// - Throws: `PostgresError`.
    public func boundCalls(among calls: [(providerCallID: String, number: String)]) async throws -> [String: UUID] {
        guard !calls.isEmpty else { return [:] }
        let rows = try await self.client.execute(Self.boundAmong, [calls.map(\.providerCallID), calls.map(\.number)])
        let pairs = try rows.map {
            (try $0.decode(String.self, named: "provider_call_id"), try $0.decode(UUID.self, named: "call_id"))
        }
        return Dictionary(pairs) { first, _ in first }
    }

    /// The error codes of those of these calls that have one.
    /// - Throws: `PostgresError`.
    public func errorCodes(of callIDs: [UUID]) async throws -> [UUID: String] {
        let rows = try await self.client.execute(Self.errorCodesAmong, [callIDs])
        let pairs = try rows.map {
            (try $0.decode(UUID.self, named: "call_id"), try $0.decode(String.self, named: "error_code"))
        }
        return Dictionary(pairs) { first, _ in first }
    }

    /// Stores the provider's ids of accepted calls.
    /// - Throws: `PostgresError`.
    public func markPlaced(_ calls: [(callID: UUID, providerCallID: String, rawStatus: String)]) async throws {
        guard !calls.isEmpty else { return }
        try await self.client.execute(
            Self.markAttemptsPlaced,
            [calls.map(\.callID), calls.map(\.providerCallID), calls.map(\.rawStatus)]
        )
    }

    /// Notes that nobody knows whether the phone rings. Only a report or a look-up resolves it.
    /// - Throws: `PostgresError`.
    public func markUnknown(callID: UUID, errorCode: String) async throws {
        try await self.client.execute(Self.markAttemptUnknown, [callID, errorCode])
    }

    /// Closes an attempt for which the provider definitely placed nothing, and gives its contact back uncharged.
    /// - Parameters:
    ///   - callID: The call.
    ///   - errorCode: Why; stored with the attempt.
    ///   - backOff: How long the contact rests.
    /// - Returns: False when the attempt was not waiting for the provider's answer any more; nothing has changed then.
    /// - Throws: `PostgresError`.
    @discardableResult
    public func revertAttempt(callID: UUID, errorCode: String, backOff: Duration) async throws -> Bool {
        try await self.client.execute(
            Self.revertUnplaced,
            [callID, errorCode, backOff.inSeconds]
        ).count > 0
    }

    private static func details(
        _ row: PostgresRow,
        askedAt: ContinuousClock.Instant
    ) throws -> AttemptDetails {
        AttemptDetails(
            phoneNumber: try PhoneNumber(row.decode(named: "phone_number")),
            callerID: try PhoneNumber(row.decode(named: "caller_id")),
            answerURL: try row.decode(named: "answer_url"),
            ringTimeout: .seconds(try row.decode(Int.self, named: "ring_timeout_seconds")),
            maximumCallDuration: .seconds(try row.decode(Int.self, named: "max_call_seconds")),
            detectsMachines: try row.decode(named: "detects_machines"),
            deadline: try row.decode(named: "deadline_at"),
            askedAt: askedAt
        )
    }

    private static func openAttempt(_ row: PostgresRow) throws -> OpenAttempt {
        OpenAttempt(
            callID: try row.decode(named: "call_id"),
            campaignID: try row.decode(named: "campaign_id"),
            phoneNumber: try PhoneNumber(row.decode(named: "phone_number")),
            callerID: try PhoneNumber(row.decode(named: "caller_id")),
            providerCallID: try row.decode(named: "provider_call_id"),
            status: try row.decode(named: "status"),
            startedAt: try row.decode(named: "started_at"),
            deadline: try row.decode(named: "deadline_at"),
            ringTimeout: .seconds(try row.decode(Int.self, named: "ring_timeout_seconds")),
            now: try row.decode(named: "asked_at")
        )
    }
}
