// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation

/// A call, for people and for machines.
struct CallView: Encodable {
    let callID: String
    let attemptID: Int?
    let campaign: String
    let trunk: String
    let contactID: String
    let externalContactID: String?
    let phoneNumber: String?
    let attemptNumber: Int
    let dialerID: String?
    let status: String
    let outcome: String?
    let isCounted: Bool
    let claimed: Date
    let started: Date?
    let placed: Date?
    let rang: Date?
    let answered: Date?
    let cancelRequested: Date?
    let ended: Date?
    let deadline: Date

    init(_ call: CallStore.CallRecord, withNumber: Bool) {
        self.callID = call.callID.lowercased
        self.attemptID = call.attemptID
        self.campaign = call.campaign
        self.trunk = call.trunk
        self.contactID = call.contactID.lowercased
        self.externalContactID = call.externalID
        self.phoneNumber = call.phoneNumber.map { withNumber ? $0 : PhoneNumber.masked($0) }
        self.attemptNumber = call.attemptNumber
        self.dialerID = call.dialerID
        self.status = call.status
        self.outcome = call.outcome
        self.isCounted = call.isCounted
        self.claimed = call.times.claimed
        self.started = call.times.started
        self.placed = call.times.placed
        self.rang = call.times.rang
        self.answered = call.times.answered
        self.cancelRequested = call.times.cancelRequested
        self.ended = call.times.ended
        self.deadline = call.times.deadline
    }

    var outcomeInWords: String { (self.outcome ?? "") + (self.ended == nil || self.isCounted ? "" : ", not charged") }

    /// The steps that were taken, in the order of their times.
    var steps: [(at: Date, what: String)] {
        let steps: [(Date?, String)] = [
            (self.claimed, "claimed by a selector"),
            (self.started, "allowed: attempt \(self.attemptNumber) of the contact, by dialer \(self.dialerID ?? "?")"),
            (self.placed, "taken by the provider"), (self.rang, "rang"), (self.answered, "answered"),
            (self.cancelRequested, "we asked the provider to cancel it"), (self.ended, "ended: \(self.outcomeInWords)"),
        ]
        // The claim is by the selector's clock, and comes first whatever the database's says.
        let taken = steps.compactMap { step in step.0.map { (at: $0, what: step.1) } }
        return taken.prefix(1) + taken.dropFirst().sorted { $0.at < $1.at }
    }
}

/// A call with all that is known of it.
struct CallHistoryView: Encodable {
    let call: CallView
    let reports: Reports
    let allowedBy: Permission
    let events: [Event]
    let appointmentAt: Date?
    let appointmentUntil: Date?

    struct Reports: Encodable {
        let providerCallID: String?
        let providerStatus: String?
        let answeredBy: String?
        let errorCode: String?
        let interview: String?
        let interviewAt: Date?
    }

    struct Permission: Encodable {
        let policy: String?
        let hadConsent: Bool?
        let dayPart: Int?
        let rulesSince: Date?
        let window: String?
        let timeZone: String?
        let numberLimits: [String]?
        let requiresConsent: Bool?
        let maxAttempts: Int?
        let endsAt: Date?
        /// When it was on the contact's own clock, in each zone that it may be in.
        let localTimes: String?
        /// What it broke, judged again; empty when it kept all rules, nil when there is nothing to judge.
        let breaches: [String]?
    }

    struct Event: Encodable {
        let eventID: String
        let kind: String
        let occurredAt: Date
        let publishedAt: Date?
    }

    init(_ call: CallStore.CallRecord, _ history: CallStore.CallHistory, withNumber: Bool) {
        self.call = CallView(call, withNumber: withNumber)
        self.reports = Reports(
            providerCallID: call.reports.providerCallID,
            providerStatus: call.reports.providerStatus,
            answeredBy: call.reports.answeredBy,
            errorCode: call.reports.errorCode,
            interview: call.reports.interview,
            interviewAt: call.reports.interviewAt
        )
        self.allowedBy = Permission(
            policy: call.permission.policy,
            hadConsent: call.permission.hadConsent,
            dayPart: call.permission.dayPart,
            rulesSince: history.rules?.validFrom,
            window: history.rules?.week.description,
            timeZone: history.rules?.timeZone,
            numberLimits: history.rules?.limits.map(\.description),
            requiresConsent: history.rules?.requiresConsent,
            maxAttempts: history.rules?.maximumAttempts,
            endsAt: history.rules?.endsAt,
            localTimes: history.judgement?.localTimes,
            breaches: history.judgement?.breaches
        )
        self.events = history.events.map { event in
            Event(
                eventID: event.id.lowercased,
                kind: event.kind,
                occurredAt: event.occurredAt,
                publishedAt: event.publishedAt
            )
        }
        self.appointmentAt = history.appointment?.from
        self.appointmentUntil = history.appointment?.until
    }

    func print() {
        let external = self.call.externalContactID.map { ", external id \($0)" } ?? ""
        Console.line("call \(self.call.callID)" + (self.call.attemptID.map { ", attempt \($0)" } ?? ""))
        Console.line("contact \(self.call.contactID)\(external), \(self.call.phoneNumber ?? "erased")")
        Console.line("campaign \(self.call.campaign), trunk \(self.call.trunk)")
        Console.line()
        Console.table(
            ["AT", "STEP"],
            self.call.steps.map { [$0.at.formatted(Self.exact), $0.what] }
                + (self.call.ended == nil ? [[self.call.deadline.formatted(Self.exact), self.nextStep]] : [])
        )
        for (heading, rows) in [("ALLOWED BY", self.rules), ("REPORTED", self.words), ("EVENTS", self.told)]
        where !rows.isEmpty {
            Console.line()
            Console.table([heading, ""], rows)
        }
    }

    private static let exact = Date.ISO8601FormatStyle(includingFractionalSeconds: true)

    private var nextStep: String {
        self.call.attemptID == nil
            ? "the claim is given back, unless a dialer has begun it by then"
            : "looked up at the provider by then; it is \(self.call.status) now"
    }

    private var rules: [[String]] {
        guard self.call.attemptID != nil else { return [] }
        let rules = self.allowedBy
        var rows = [["policy", rules.policy ?? "none"]]
        if let since = rules.rulesSince {
            rows += [
                ["campaign's rules", "as of \(since.formatted(.iso8601))"],
                [
                    "calling window",
                    "\(rules.window ?? "") in \(rules.timeZone ?? ""), unless the contact has its own zone",
                ],
                ["attempts", "\(self.call.attemptNumber) of \(rules.maxAttempts ?? 0)"],
                ["limits per number", Self.list(rules.numberLimits ?? [])],
                ["consent", rules.requiresConsent == true ? "required" : "not asked for"],
                ["end", rules.endsAt?.formatted(.iso8601) ?? "none"],
            ]
        } else {
            rows.append(["campaign's rules", "not on record"])
        }
        rows.append(["consent on record", rules.hadConsent.map { $0 ? "yes" : "no" } ?? "not on record"])
        if let part = rules.dayPart { rows.append(["day part", "the campaign's number \(part)"]) }
        if let local = rules.localTimes { rows.append(["local time", local]) }
        if let breaches = rules.breaches {
            rows.append([
                "judged again", breaches.isEmpty ? "kept every rule" : "BROKE: " + breaches.joined(separator: "; "),
            ])
        }
        return rows
    }

    private var words: [[String]] {
        let words = [
            ("provider's id", self.reports.providerCallID), ("provider's last word", self.reports.providerStatus),
            ("answered by", self.reports.answeredBy), ("error", self.reports.errorCode),
            (
                "interview",
                self.reports.interview.map { word in
                    word + (self.reports.interviewAt.map { ", at \($0.formatted(Self.exact))" } ?? "")
                }
            ),
            ("wants to be called", self.appointmentAt.map { $0.formatted(.iso8601) }),
        ]
        return words.compactMap { word in word.1.map { [word.0, $0] } }
    }

    private var told: [[String]] {
        self.events.map { event in
            [
                "survey.\(event.kind)",
                "\(event.occurredAt.formatted(Self.exact)), "
                    + (event.publishedAt.map { "published at \($0.formatted(Self.exact))" } ?? "not published yet"),
            ]
        }
    }

    private static func list(_ values: [String]) -> String { values.isEmpty ? "none" : values.joined(separator: "; ") }
}
