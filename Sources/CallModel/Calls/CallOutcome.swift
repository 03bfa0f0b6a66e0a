// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// How an attempt ended, as stored in `call_attempts.outcome`.
public enum CallOutcome: String, Sendable, Codable, CaseIterable {
    /// Answered by a person, as far as is known, and ended regularly.
    case completed
    /// The respondent declined the interview.
    case refused
    /// Nobody answered.
    case noAnswer = "no_answer"
    /// The line was busy.
    case busy
    /// The call could not be completed, was canceled, or its end could not be learned.
    case failed
    /// A machine or fax picked up; "completed" at the provider, but no interview.
    case answeringMachine = "answering_machine"
    /// The called party, or what guards its line, declined the call without a conversation, where the provider says so.
    case rejected
    /// Somebody was there who wants to be called another time, as the interview reports.
    case callback

    /// The outcome of a call with this final status; nil while the call is not over.
    /// - Parameters:
    ///   - status: The provider's final status.
    ///   - answeredBy: The result of machine detection, if it ran.
    public init?(status: CallStatus, answeredBy: AnsweredBy?) {
        switch status {
        case .queued, .initiated, .ringing, .answered: return nil
        case .completed:
            switch answeredBy {
            case .machine, .fax: self = .answeringMachine
            case .human, .unknown, nil: self = .completed
            }
        case .busy: self = .busy
        case .noAnswer: self = .noAnswer
        case .failed, .canceled, .lost: self = .failed
        }
    }
}
