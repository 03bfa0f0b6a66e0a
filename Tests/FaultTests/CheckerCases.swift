// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import Testing

@testable import ProviderSimulator

/// A way to make the checker say each thing that it can say.
extension CheckerTests {
    /// A way to break a promise.
    struct Case: Sendable, CustomTestStringConvertible {
        let breach: Breach
        let name: String
        let breakIt: @Sendable (inout Witnesses) throws -> Void

        init(_ breach: Breach, _ name: String, _ breakIt: @escaping @Sendable (inout Witnesses) throws -> Void) {
            self.breach = breach
            self.name = name
            self.breakIt = breakIt
        }

        var testDescription: String { "\(self.breach.invariant): \(self.name)" }
    }

    /// As if the provider had refused the first call, and its contact waited for another.
    static func refuse(_ witnesses: inout Witnesses) {
        witnesses.ledger[0].sid = nil
        witnesses.ledger[0].startedAt = nil
        witnesses.ledger[0].endedAt = nil
        witnesses.ledger[0].status = "refused"
        witnesses.attempts[0].providerCallID = nil
    }

    static func rest(_ witnesses: inout Witnesses, until due: Double?) {
        witnesses.contacts[0].state = "not_reached"
        witnesses.contacts[0].nextAttemptAt = due.map { Self.at($0) }
        witnesses.attempts[0].outcome = "busy"
        witnesses.ledger[0].status = "busy"
    }

    static let cases: [Case] = [
        Case(.overlapping, "two live calls to one number") {
            $0.ledger[1].to = $0.ledger[0].to
            $0.attempts[1].phoneNumber = $0.ledger[0].to
        },
        Case(.severalOpen, "two open attempts") { witnesses in
            for index in 0...1 {
                witnesses.attempts[index].endedAt = nil
                witnesses.attempts[index].phoneNumber = "+19990000001"
            }
        },
        Case(.askedWithoutCallID, "a request without an id") { $0.ledger[0].callID = nil },
        Case(.askedWithoutRow, "a request without a row") { $0.attempts.removeLast() },
        Case(.rowNotCommitted, "a request whose row was committed a moment later") { $0.ledger[0].row?.number = nil },
        Case(.rowCameLater, "a request before its row") { $0.attempts[0].startedAt = Self.at(0.5) },
        Case(.askedAgain, "asked twice for one call") { witnesses in
            var again = Self.call(Self.callID, to: "+19990000001", from: 10)
            again.sid = "CAagain"
            witnesses.ledger.append(again)
        },
        Case(.otherNumber, "another number") { $0.ledger[0].to = "+19990000009" },
        Case(.otherNumber, "another number at that time") { $0.ledger[0].row?.number = "+19990000009" },
        Case(.neverAsked, "an invented outcome") { $0.ledger.removeLast() },
        Case(.strangeID, "another call's id") { $0.attempts[0].providerCallID = "CA" + Self.otherCallID },
        Case(.hardlyWitnessed, "a witness who did not look") { witnesses in
            for index in 0...1 { witnesses.ledger[index].row = nil }
        },
        Case(.outsideWindow, "outside the window") { $0.campaigns[0].window = (13 * 3600, 20 * 3600) },
        Case(.outsideWindow, "outside a window over midnight") { $0.campaigns[0].window = (20 * 3600, 9 * 3600) },
        Case(.outsideWindow, "a moment after the window has closed") {
            $0.campaigns[0].window = (9 * 3600, 12 * 3600)
            $0.attempts[0].startedAt = Self.at(0)
        },
        Case(.excluded, "an excluded number") {
            $0.exclusions["+19990000001"] = Witnesses.Exclusion(at: Self.at(-0.02), transaction: 899)
        },
        Case(.notRunning, "a paused campaign") { $0.campaigns[0].changes.append((Self.at(-0.02), 999, "paused")) },
        Case(.notRunning, "a campaign that was never started") { $0.campaigns[0].changes.removeLast() },
        Case(.tooLongOnTheWay, "an old row") { $0.attempts[0].startedAt = Self.at(-5.1) },
        Case(.tooManyLive, "more live calls than slots") { $0.cap = 1 },
        Case(.beyondCap, "a call more than the cap") { Self.limit(&$0, "cap", 1) },
        Case(.beyondCap, "two calls begun together, where there was room for one") {
            $0.room.calls[0].transaction = 1200
            $0.room.places[0].transaction = 1200
            Self.limit(&$0, "cap", 1)
        },
        Case(.beyondCap, "a call more than a cap that was lowered a moment before") {
            Self.limit(&$0, "cap", 1, since: 1149)
        },
        Case(.beyondRate, "a call more than the minute's share") { Self.limit(&$0, "rate", 60) },
        Case(.beyondRate, "a call more than the hour's") {
            Self.limit(&$0, "rate", 1)
            $0.room.calls[0].startedAt = Self.at(-3590)
        },
        Case(.beyondQuota, "a call more than interviews are wanted") { Self.limit(&$0, "quota", 1) },
        Case(.beyondQuota, "a call when all interviews that are wanted are there") {
            Self.limit(&$0, "quota", 1)
            Self.complete(&$0)
        },
        Case(.beyondCellQuota, "a call more than interviews are wanted in a cell") { Self.limit(&$0, "cell north", 1) },
        Case(.erasedCalled, "a person who was erased a second before") { $0.erased["+19990000001"] = Self.at(-1) },
        Case(.erasedCameBack, "a person who was imported again") { $0.erasedAgain["+19990000001"] = "contacts" },
        Case(.otherNumber, "a row that has lost its number, of a person whom nobody has erased") {
            $0.attempts[0].phoneNumber = nil
        },
        Case(.tooManyAttempts, "too many attempts") { witnesses in
            witnesses.campaigns[0].maximumAttempts = 1
            witnesses.attempts[1].contactID = Self.contactID
        },
        Case(.miscounted, "an attempt that was not charged") { $0.contacts[0].attemptsCount = 0 },
        Case(.miscounted, "a charge without an attempt") { $0.contacts[0].attemptsCount = 2 },
        Case(.tooEarly, "too early again") { $0.attempts[1].contactID = Self.contactID },
        Case(.tooEarly, "a millisecond too early by the row, though the provider's call had ended long before") {
            $0.attempts[1].contactID = Self.contactID
            $0.attempts[0].endedAt = $0.attempts[1].startedAt.addingTimeInterval(-59.999)
            $0.ledger[0].endedAt = Self.at(-100)
        },
        Case(.tooEarly, "too early after the call's end, though the row ended before") {
            $0.attempts[1].contactID = Self.contactID
            $0.attempts[0].endedAt = Self.at(-100)
        },
        Case(.inProgress, "a stranded contact") { $0.contacts[0].state = "in_progress" },
        Case(.pendingNeverDue, "a contact that waits for nothing") { $0.contacts[0].state = "pending" },
        Case(.neverDue, "a contact that is never due") { Self.rest(&$0, until: nil) },
        Case(.dueTooLate, "a contact that is due in a hundred years") { Self.rest(&$0, until: 3_000_000_000) },
        Case(.dueTooLate, "a contact that is due a second after its interval") { Self.rest(&$0, until: 161) },
        Case(.dueThoughOver, "a contact that is over and due") { $0.contacts[0].nextAttemptAt = Self.at(101) },
        Case(.attemptOpen, "an attempt without end") {
            $0.attempts[0].endedAt = nil
            $0.attempts[0].status = "placed"
        },
        Case(.liveAtProvider, "a call that goes on at the provider") { $0.ledger[0].endedAt = nil },
        Case(.noOutcome, "no outcome") { $0.attempts[0].outcome = nil },
        Case(.otherOutcome, "another outcome") { $0.attempts[0].outcome = "busy" },
        Case(.otherOutcome, "a machine as an interview") { $0.ledger[0].answeredBy = "machine_start" },
        Case(.otherOutcome, "an interview as a machine") { $0.attempts[0].outcome = "answering_machine" },
        Case(.otherOutcome, "a refusal that nobody reported") { $0.attempts[0].outcome = "refused" },
        Case(.otherOutcome, "a refusal that was forgotten") { $0.attempts[0].surveyOutcome = "opt_out" },
        Case(.reachedNobody, "an outcome of a call that was refused") {
            Self.refuse(&$0)
            $0.attempts[0].errorCode = "20429"
        },
        Case(.knownAndLost, "a lost call that the provider knows") {
            $0.ledger[0].status = "failed"
            $0.attempts[0].outcome = "failed"
            $0.attempts[0].errorCode = "lost"
        },
        Case(.placedNotCounted, "a placed call that is not counted") {
            $0.attempts[0].isCounted = false
            $0.attempts[0].errorCode = "x"
        },
        Case(.placedNotCounted, "a call that we took back, of an interview all the same, that is not counted") {
            $0.ledger[0].status = "canceled"
            $0.ledger[0].hungUp = true
            $0.attempts[0].outcome = "refused"
            $0.attempts[0].surveyOutcome = "opt_out"
            $0.attempts[0].isCounted = false
            $0.attempts[0].errorCode = "canceled_by_us"
        },
        Case(.takenBackCounted, "a call that we took back unanswered, and charged") {
            $0.ledger[0].status = "canceled"
            $0.ledger[0].hungUp = true
            $0.attempts[0].outcome = "failed"
        },
        Case(.twoRows, "two rows for a call") { $0.attempts.append($0.attempts[0]) },
        Case(.stateWithoutCall, "a state that no call has brought") { $0.contacts[0].state = "refused" },
        Case(.notPublished, "a survey event that waits") { $0.surveyRows[0].isPublished = false },
        Case(.notedNotPublished, "a survey event that nobody got") { $0.surveyMessages.removeLast(2) },
        Case(.otherContact, "a survey event of somebody else") { witnesses in
            witnesses.surveyMessages[0].contactID = witnesses.surveyMessages[3].contactID
        },
        Case(.otherKind, "a survey event that tells another end than its row") {
            $0.surveyRows[0].kind = "refused"
        },
        Case(.unknownEvent, "a survey event under two ids") { $0.surveyMessages[0].eventID = CallID.make() },
        Case(.untold, "an end that nobody was told of") {
            $0.surveyRows.removeLast()
            $0.surveyMessages.removeLast(2)
        },
        Case(.otherEnd, "an end that is not the contact's") { Self.rest(&$0, until: 101) },
        Case(.otherEnd, "an end of nobody") { $0.contacts.removeLast() },
        Case(.toldTwice, "two ends of one contact") { witnesses in
            witnesses.attempts[1].contactID = Self.contactID
            witnesses.surveyRows[0].kind = "not_reached"
            witnesses.surveyRows[1].contactID = Self.contactID
        },
        Case(.toldTwice, "a refusal after a complete, without anybody's word") { witnesses in
            let (row, _) = try Self.survey(Self.contactID, Self.callID)
            witnesses.surveyRows.append(row)
            witnesses.surveyRows[2].kind = "refused"
            witnesses.contacts[0].state = "refused"
        },
        Case(.interviewForgotten, "an outcome that was taken and is gone") { $0.reported[Self.callID] = .completed },
        Case(.interviewForgotten, "a stronger outcome than the one in the row") {
            $0.reported[Self.callID] = .optOut
            $0.attempts[0].surveyOutcome = "refused"
        },
        Case(.optOutForgotten, "an opt-out that excludes nobody") {
            $0.reported[Self.callID] = .optOut
            $0.attempts[0].surveyOutcome = "opt_out"
            $0.attempts[0].outcome = "refused"
        },
        Case(.refusedSilently, "refused without a reason") { Self.refuse(&$0) },
        Case(.givenBackSilently, "given back without a reason") { $0.attempts[0].isCounted = false },
        Case(.deadLetter, "an unexplained dead letter") { $0.deadLetters = [Self.letter()] },
        Case(.deadLetter, "a dead letter of a call that was made") {
            $0.attempts[0].errorCode = "sip_503"
            $0.deadLetters = [Self.letter()]
        },
        Case(.deadLetter, "a request that was handed over too often") {
            Self.refuse(&$0)
            $0.attempts[0].isCounted = false
            $0.attempts[0].errorCode = "20429"
            $0.deadLetters = [Self.letter(reason: "delivery_limit")]
        },
        Case(.deadLetter, "a report of a call that was given back") {
            Self.refuse(&$0)
            $0.attempts[0].isCounted = false
            $0.attempts[0].errorCode = "20429"
            $0.deadLetters = [Self.letter(type: CallEvent.messageType)]
        },
    ]

    /// Another limit, from a transaction on.
    static func limit(_ witnesses: inout Witnesses, _ name: String, _ value: Int?, since transaction: UInt64 = 101) {
        witnesses.room.limits.append(
            Witnesses.Limit(campaignID: "k", name: name, value: value, transaction: transaction)
        )
    }

    /// The first call has ended as an interview before the second was allowed.
    static func complete(_ witnesses: inout Witnesses) {
        var (call, contact) = (witnesses.room.places[0], witnesses.room.places[0])
        (call.isOpen, call.transaction) = (false, 1130)
        contact = Witnesses.Place(transaction: 1130, contactID: contact.contactID, isComplete: true)
        witnesses.room.places += [call, contact]
    }

    static func letter(
        type: String = DialRequest.messageType,
        reason: String = "rejected"
    ) -> Witnesses.DeadLetter {
        Witnesses.DeadLetter(messageID: "m", type: type, callID: Self.callID, reason: reason)
    }
}
