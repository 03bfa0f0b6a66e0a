// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// What a provider, or our own dialer, says about one call, in the words that all adapters share.
public enum CallStatus: String, Sendable, Codable, CaseIterable {
    /// Accepted by the provider, waiting for its calls-per-second queue.
    case queued
    /// Taken from the provider's queue; dialing has started.
    case initiated
    /// The phone rings.
    case ringing
    /// Somebody or something picked up.
    case answered
    /// The call was answered and has ended.
    case completed
    /// The line was busy.
    case busy
    /// Nobody answered within the ring timeout, or the call was declined.
    case noAnswer = "no_answer"
    /// The provider could not complete the call.
    case failed
    /// The call was hung up before it was answered.
    case canceled
    /// Nobody could tell how the call ended; counted as an attempt because the phone may have rung.
    case lost

    /// Whether the call is over.
    public var isFinal: Bool {
        switch self {
        case .queued, .initiated, .ringing, .answered: false
        case .completed, .busy, .noAnswer, .failed, .canceled, .lost: true
        }
    }

    /// Order of certainty: of two reports about one call the one with the higher rank stands, in whatever order they
    /// arrive. A late `completed` therefore beats a `no_answer` that came first, and anything beats `lost`.
    public var rank: Int {
        switch self {
        case .queued: 1
        case .initiated: 2
        case .ringing: 3
        case .answered: 4
        case .lost: 5
        case .canceled: 6
        case .failed: 7
        case .noAnswer: 8
        case .busy: 9
        case .completed: 10
        }
    }
}

/// Who or what picked up, as far as the provider's machine detection knows.
public enum AnsweredBy: String, Sendable, Codable, CaseIterable {
    /// A person.
    case human
    /// An answering machine or voicemail.
    case machine
    /// A fax.
    case fax
    /// Detection ran and could not tell.
    case unknown
}
