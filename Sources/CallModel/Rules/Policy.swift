// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Calling rules of a country or an organisation as data: a named, versioned document that campaigns can only tighten.
///
/// The document's form is `Schemas/Policies/policy.v1.schema.json`. What the scheduler cannot enforce stands in its notes.
public struct Policy: Sendable, Equatable {
    /// How well a rule is known.
    public enum Confidence: String, Sendable, CaseIterable {
        /// The law, or the regulator itself, was read.
        case primary
        /// Somebody else's account of it was read.
        case secondary
        /// Neither could be.
        case unverified
    }

    /// Where a rule comes from.
    public struct Evidence: Sendable, Equatable {
        /// Law and paragraph, or who says so.
        public let source: String
        /// When the source was read, `YYYY-MM-DD`.
        public let asOf: String
        /// How well the rule is known.
        public let confidence: Confidence
    }

    /// One value and where it comes from.
    public struct Rule<Value: Sendable & Equatable>: Sendable, Equatable {
        /// The value.
        public let value: Value
        /// Where it comes from.
        public let evidence: Evidence
    }

    /// A local date on which nobody is called, because it is a holiday or because its window would be shorter.
    public struct Holiday: Sendable, Equatable {
        /// `YYYY-MM-DD`.
        public let date: String
        /// What the day is called.
        public let name: String
        /// The shorter window that the rule leaves open; nil when it leaves none. The scheduler blocks the date wholly.
        public let window: String?
    }

    /// A country's holidays.
    public struct Holidays: Sendable, Equatable {
        /// Where they are kept.
        public let region: String
        /// Where the list comes from.
        public let evidence: Evidence
        /// The dates in the document's order.
        public let dates: [Holiday]
    }

    /// A short name, such as `fr`.
    public let name: String
    /// A date, with `.2` to `.9` for later versions of one day. Versions compare as text.
    public let version: String
    /// One line for people.
    public let title: String
    /// The words that this is no legal advice.
    public let notice: String
    /// When the document was written, `YYYY-MM-DD`.
    public let asOf: String
    /// ISO 3166-1 countries that it was written for; empty for any.
    public let regions: [String]
    /// What the cited rules were written for; all calls follow them here.
    public let purposes: [String]
    /// Windows as ``CallingWeek`` reads them.
    public let windows: [Rule<String>]
    /// Holidays, if the rules know any.
    public let holidays: Holidays?
    /// Limits per number, over all campaigns.
    public let limitRules: [Rule<NumberLimit>]
    /// Seconds that an unanswered phone must ring at least.
    public let ringTimeoutRule: Rule<Int>?
    /// Whether only contacts with prior consent may be called.
    public let consentRule: Rule<Bool>
    /// Attempts per contact, at most, 1 to 15.
    public let attemptsRule: Rule<Int>
    /// Which numbers may be shown as the caller's; nil when the rules name none.
    public let callerIDRule: Rule<CallerIDPrefixes>?
    /// After how long consent counts no more; nil when it does not end by itself.
    public let consentExpiryRule: Rule<ConsentPeriod>?
    /// What an interview must begin with.
    public let disclosureRule: Rule<String>?
    /// By when the document is to be looked at again, `YYYY-MM-DD`; nil when it does not say.
    public let reviewBy: String?
    /// The weakest evidence of where somebody is that may suffice.
    public let zoneEvidenceRule: Rule<ZoneEvidenceLevel>?
    /// What else a reader should know, and what is not enforced.
    public let notes: [String]
    /// When calling is allowed.
    public let week: CallingWeek
    /// The document as it was read.
    public let document: String

    /// Name and version, as attempts keep it: `fr@2026-11-24`.
    public var label: String { "\(self.name)@\(self.version)" }
    /// Dates on which nobody is called, in order, each once.
    public var blockedDates: [String] { Set(self.holidays?.dates.map(\.date) ?? []).sorted() }
    /// Limits per number, over all campaigns.
    public var limits: [NumberLimit] { self.limitRules.map(\.value) }
    /// Seconds that an unanswered phone must ring at least; nil when the rules name none.
    public var ringTimeoutMinimum: Int? { self.ringTimeoutRule?.value }
    /// Attempts per contact, at most.
    public var maximumAttempts: Int { self.attemptsRule.value }
    /// Whether only contacts with prior consent may be called.
    public var requiresConsent: Bool { self.consentRule.value }
    /// After how long consent counts no more, where it is required.
    public var consentPeriod: ConsentPeriod? { self.consentExpiryRule?.value }
    /// What an interview must begin with.
    public var disclosure: String? { self.disclosureRule?.value }

    /// Whether the document was to be looked at again before a day.
    /// - Parameter day: `YYYY-MM-DD`.
    /// - Returns: False where the document does not say when.
    public func isOverdue(on day: String) -> Bool { self.reviewBy.map { $0 < day } ?? false }
    /// The weakest evidence of where somebody is that may suffice.
    public var weakestZoneEvidence: ZoneEvidenceLevel { self.zoneEvidenceRule?.value ?? .postalCode }

    /// What is wrong with a document, and where.
    public struct Fault: Error, Sendable, Equatable, CustomStringConvertible {
        /// The place as a JSON path, such as `$.windows[1].from`.
        public let path: String
        /// The reason.
        public let reason: String
        /// Both.
        public var description: String { "\(self.path): \(self.reason)" }
    }
}
