// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// One request to place a call and everything that came of it, as the simulator witnessed it.
public struct LedgerCall: Sendable, Codable, Equatable {
    /// One callback.
    public struct Callback: Sendable, Codable, Equatable {
        /// The status it told.
        public var status: String
        /// Its sequence number.
        public var sequence: Int
        /// When it was sent, or would have been.
        public var sentAt: Date
        /// Which try this was, from 1; 0 when a fault swallowed it.
        public var attempt: Int
        /// The HTTP status it was answered with, `lost`, or the failure.
        public var result: String
        /// The faults that were played with it.
        public var faults: [String]?
    }

    /// What the caller's database held of the call when the request arrived.
    public struct Row: Sendable, Codable, Equatable {
        /// The number in the call's committed row; nil when there was none.
        public var number: String?
        /// When that was read, by the database's clock.
        public var seenAt: Date

        /// Creates what was seen.
        public init(number: String?, seenAt: Date) {
            self.number = number
            self.seenAt = seenAt
        }

        enum CodingKeys: String, CodingKey {
            case number
            case seenAt = "seen_at"
        }
    }

    /// The provider's id; nil when nothing was placed.
    public var sid: String?
    /// The caller's id of the call, from its callback URL.
    public var callID: String?
    /// The number asked for.
    public var to: String
    /// The caller ID.
    public var from: String
    /// When the request had been read.
    public var requestedAt: Date
    /// The HTTP status answered; nil when no answer was given.
    public var answered: Int?
    /// The fault that was played.
    public var fault: String?
    /// Why nothing was placed.
    public var refusal: String?
    /// When dialing began; the call is live from then on.
    public var startedAt: Date?
    /// When it rang.
    public var ringingAt: Date?
    /// When it was answered.
    public var answeredAt: Date?
    /// When it ended.
    public var endedAt: Date?
    /// The provider's word for how it stands.
    public var status: String
    /// Who answered, when machine detection was asked for.
    public var answeredBy: String?
    /// Whether a request ended it.
    public var hungUp = false
    /// Whether the caller took it back before anybody answered: such a call is not charged.
    public var wasTakenBack: Bool { self.hungUp && self.status == "canceled" }
    /// The caller's row, seen before anything was answered; nil when nobody looked, or could not.
    public var row: Row?
    /// The callbacks.
    public var callbacks: [Callback] = []
    /// All parameters of the request, as sent.
    public var parameters: [[String]]

    enum CodingKeys: String, CodingKey {
        case sid
        case callID = "call_id"
        case to
        case from
        case requestedAt = "requested_at"
        case answered
        case fault
        case refusal
        case startedAt = "started_at"
        case ringingAt = "ringing_at"
        case answeredAt = "answered_at"
        case endedAt = "ended_at"
        case status
        case answeredBy = "answered_by"
        case hungUp = "hung_up"
        case row
        case callbacks
        case parameters
    }
}

/// The ledger in figures.
public struct LedgerSummary: Sendable, Codable, Equatable {
    /// Requests to place a call.
    public var requests = 0
    /// Calls that were placed.
    public var placed = 0
    /// Calls that are live now.
    public var live = 0
    /// The most calls that were live at once.
    public var maximumLive = 0
    /// Times that a call began while another to the same number was live.
    public var doubleCalls = 0
    /// Callbacks that were delivered.
    public var callbacksDelivered = 0
    /// Tries to deliver a callback that failed.
    public var callbacksFailed = 0

    enum CodingKeys: String, CodingKey {
        case requests
        case placed
        case live
        case maximumLive = "maximum_live"
        case doubleCalls = "double_calls"
        case callbacksDelivered = "callbacks_delivered"
        case callbacksFailed = "callbacks_failed"
    }
}

/// The ledger as it is read over HTTP.
public struct Ledger: Sendable, Codable, Equatable {
    /// In figures.
    public var summary: LedgerSummary
    /// Every request, in the order of arrival.
    public var calls: [LedgerCall]

    /// Writes a ledger; times are seconds since 1970, to the microsecond.
    public static func encode(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .custom { date, encoder in
            var container = encoder.singleValueContainer()
            try container.encode((date.timeIntervalSince1970 * 1e6).rounded() / 1e6)
        }
        return try encoder.encode(value)
    }

    /// Reads a ledger.
    public static func decode(_ data: Data) throws -> Ledger {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .secondsSince1970
        return try decoder.decode(Ledger.self, from: data)
    }
}
