// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// How a contact's case stands, in the words and with the codes of survey research.
///
/// Source: AAPOR, *Standard Definitions: Final Dispositions of Case Codes and Outcome Rates for Surveys*, telephone
/// surveys. The raw value is the precedence: of all that a contact's attempts have brought, the smallest one counts. A
/// number that is known not to be a person's goes before one of which nothing is known, and after one that was answered.
public enum Disposition: Int, Sendable, CaseIterable {
    /// 1.1: the interview took place.
    case interview = 1
    /// 2.11: the respondent declined, or opted out.
    case refusal = 2
    /// 3.14: a machine answered; whether it is an eligible person's is not known.
    case answeringDevice = 3
    /// 4.2: a fax answered.
    case fax = 4
    /// 4.3: the number does not work.
    case nonWorkingNumber = 5
    /// 3.13: nobody answered.
    case noAnswer = 6
    /// 3.12: always busy.
    case busy = 7
    /// 3.16: the call could not be completed, for reasons that say nothing of the number.
    case technicalProblem = 8
    /// 3.11: never called, also because the number is excluded.
    case notAttempted = 9

    /// The code in the Standard Definitions.
    public var code: String {
        switch self {
        case .interview: "1.1"
        case .refusal: "2.11"
        case .answeringDevice: "3.14"
        case .fax: "4.2"
        case .nonWorkingNumber: "4.3"
        case .noAnswer: "3.13"
        case .busy: "3.12"
        case .technicalProblem: "3.16"
        case .notAttempted: "3.11"
        }
    }

    /// What the Standard Definitions call it.
    public var title: String {
        switch self {
        case .interview: "complete interview"
        case .refusal: "refusal"
        case .answeringDevice: "telephone answering device"
        case .fax: "fax or data line"
        case .nonWorkingNumber: "non-working number"
        case .noAnswer: "no answer"
        case .busy: "always busy"
        case .technicalProblem: "technical phone problems"
        case .notAttempted: "not attempted"
        }
    }

    /// Whether a person who should be interviewed stands behind the number, as far as is known.
    public enum Eligibility: Sendable {
        /// Codes 1 and 2.
        case eligible
        /// Codes 3.
        case unknown
        /// Codes 4.
        case ineligible
    }

    /// Whether the case is known to be eligible.
    public var eligibility: Eligibility {
        switch self {
        case .interview, .refusal: .eligible
        case .fax, .nonWorkingNumber: .ineligible
        case .answeringDevice, .noAnswer, .busy, .technicalProblem, .notAttempted: .unknown
        }
    }
}
