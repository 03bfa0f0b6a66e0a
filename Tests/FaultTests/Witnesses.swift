// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import ProviderSimulator

/// What the provider, the tables and the queues say about one run. Each was written by somebody else.
struct Witnesses: Sendable {
    struct Attempt: Sendable {
        var callID: String
        var contactID: String
        var campaignID: String
        /// Nil when its person was erased.
        var phoneNumber: String?
        var attemptNumber: Int
        var dialerID: String
        var startedAt: Date
        var endedAt: Date?
        var status: String
        var outcome: String?
        var isCounted: Bool
        var providerCallID: String?
        var errorCode: String?
        var surveyOutcome: String?
        /// What the statement that made the row could see.
        var snapshot: Snapshot
    }

    struct Contact: Sendable {
        var id: String
        var campaignID: String
        var phoneNumber: String?
        var state: String
        var attemptsCount: Int
        var nextAttemptAt: Date?
        var callID: String?
    }

    struct Campaign: Sendable {
        var id: String
        var name: String
        var maximumAttempts: Int
        var retryInterval: TimeInterval
        /// Seconds after midnight UTC, half-open; nil for any time.
        var window: (start: Int, end: Int)?
        /// Its states, oldest first.
        var changes: [(at: Date, transaction: UInt64, status: String)]
    }

    struct Exclusion: Sendable {
        var at: Date
        var transaction: UInt64
    }

    struct Survey: Sendable {
        var eventID: String
        var kind: String
        var contactID: String
        var callID: String
        var isPublished: Bool
    }

    struct DeadLetter: Sendable {
        var messageID: String
        var type: String
        var callID: String?
        /// Why the broker has it: `rejected`, `delivery_limit` …
        var reason: String
    }

    /// What a call or a contact takes of its campaign's room from a transaction on.
    struct Place: Sendable {
        var transaction: UInt64
        /// Nil for what is told of the contact.
        var callID: String?
        var contactID: String
        var isOpen = false
        var isCounted = false
        /// Whether the contact is an interview that counts.
        var isComplete = false
    }

    /// A limit from a transaction on; nil where it was lifted.
    struct Limit: Sendable {
        var campaignID: String
        /// `cap`, `rate`, `quota`, or `cell` with the cell's name.
        var name: String
        var value: Int?
        var transaction: UInt64
    }

    /// A call of a campaign with limits, and the snapshots between which it was allowed.
    struct AllowedCall: Sendable {
        var callID: String
        var contactID: String
        var campaignID: String
        var cell: String
        var startedAt: Date
        var transaction: UInt64
        var from: Snapshot
        var to: Snapshot
    }

    /// What the rules that look at other calls could see; changes in their order.
    struct Room: Sendable {
        var places: [Place] = []
        var limits: [Limit] = []
        var calls: [AllowedCall] = []
    }

    var ledger: [LedgerCall] = []
    var attempts: [Attempt] = []
    var contacts: [Contact] = []
    var campaigns: [Campaign] = []
    /// When all this was read, by the database's clock.
    var takenAt = Date.distantPast
    /// Excluded numbers.
    var exclusions: [String: Exclusion] = [:]
    var surveyRows: [Survey] = []
    var surveyMessages: [SurveyEvent] = []
    var deadLetters: [DeadLetter] = []
    /// By call, the strongest word of an interview that was answered with 2xx.
    var reported: [String: SurveyOutcomeReport.Outcome] = [:]
    /// The ids of the poison that the test itself has sent.
    var poison: Set<String> = []
    var room = Room()
    /// Numbers of persons who were forgotten, and when that was done, by this machine's clock.
    var erased: [String: Date] = [:]
    /// Those that stand in a table again, with its name.
    var erasedAgain: [String: String] = [:]
    /// The sum of the dialers' prefetch.
    var cap = 0
    /// When the test held up the way from a row to the provider: by the wire, or by freezing a dialer.
    var delays: [DateInterval] = []
    /// Whether the provider has looked into the database whenever it was asked.
    var isWatched = true
}
