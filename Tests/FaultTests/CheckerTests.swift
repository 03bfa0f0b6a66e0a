// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import Testing

@testable import ProviderSimulator

/// Breaks each promise on purpose, in a ledger or a table, and sees it caught: a checker that cannot fail shows nothing.
struct CheckerTests {
    private static let noon = Date(timeIntervalSince1970: 1_800_014_400)
    private static let callID = "01a20a9a-a5fd-7feb-8efb-3047fb28fa1f"
    private static let otherCallID = "01a20a9a-a5fd-7feb-8efb-3047fb28fa20"

    private static func at(_ seconds: Double) -> Date { Self.noon.addingTimeInterval(seconds) }

    private static func call(_ callID: String, to number: String, from start: Double) -> LedgerCall {
        LedgerCall(
            sid: "CA" + callID,
            callID: callID,
            to: number,
            from: "+15005550006",
            requestedAt: Self.at(start),
            answered: 201,
            startedAt: Self.at(start + 0.1),
            ringingAt: Self.at(start + 0.2),
            answeredAt: Self.at(start + 1),
            endedAt: Self.at(start + 5),
            status: "completed",
            parameters: []
        )
    }

    private static func attempt(_ callID: String, contact: String, number: String, from start: Double)
        -> Witnesses.Attempt
    {
        Witnesses.Attempt(
            callID: callID,
            contactID: contact,
            campaignID: "k",
            phoneNumber: number,
            attemptNumber: 1,
            dialerID: "d1",
            startedAt: Self.at(start - 0.01),
            endedAt: Self.at(start + 5.2),
            status: "ended",
            outcome: "completed",
            isCounted: true,
            providerCallID: "CA" + callID,
            errorCode: nil
        )
    }

    private static func contact(_ id: String, number: String) -> Witnesses.Contact {
        Witnesses.Contact(id: id, campaignID: "k", phoneNumber: number, state: "completed", attemptsCount: 1)
    }

    private static func survey(_ contact: String, _ callID: String) throws -> (Witnesses.Survey, SurveyEvent) {
        let eventID = CallID.make()
        let contactID = try #require(UUID(uuidString: contact))
        return (
            Witnesses.Survey(
                eventID: eventID.uuidString.lowercased(),
                kind: "completed",
                contactID: contact,
                callID: callID,
                isPublished: true
            ),
            SurveyEvent(
                eventID: eventID,
                kind: .completed,
                callID: try #require(UUID(uuidString: callID)),
                contactID: contactID,
                campaignID: contactID,
                externalContactID: nil,
                attempts: 1,
                occurredAt: Self.noon
            )
        )
    }

    private static let contactID = "01a20a90-0000-7000-8000-000000000001"
    private static let otherContactID = "01a20a90-0000-7000-8000-000000000002"

    /// Two calls to two contacts, and everything in order.
    private static func sound() throws -> Witnesses {
        var witnesses = Witnesses()
        witnesses.cap = 2
        witnesses.campaigns = [
            Witnesses.Campaign(
                id: "k",
                name: "survey",
                maximumAttempts: 2,
                retryInterval: 60,
                window: (9 * 3600, 20 * 3600),
                changes: [(Self.at(-100), "draft"), (Self.at(-90), "running")]
            )
        ]
        witnesses.ledger = [
            Self.call(Self.callID, to: "+19990000001", from: 0),
            Self.call(Self.otherCallID, to: "+19990000002", from: 1),
        ]
        witnesses.attempts = [
            Self.attempt(Self.callID, contact: Self.contactID, number: "+19990000001", from: 0),
            Self.attempt(Self.otherCallID, contact: Self.otherContactID, number: "+19990000002", from: 1),
        ]
        witnesses.contacts = [
            Self.contact(Self.contactID, number: "+19990000001"),
            Self.contact(Self.otherContactID, number: "+19990000002"),
        ]
        for (contact, callID) in [(Self.contactID, Self.callID), (Self.otherContactID, Self.otherCallID)] {
            let (row, message) = try Self.survey(contact, callID)
            witnesses.surveyRows.append(row)
            // Published twice, with one id: that is allowed.
            witnesses.surveyMessages += [message, message]
        }
        return witnesses
    }

    /// A promise, how it is broken, and a word of the verdict.
    struct Breach: Sendable, CustomTestStringConvertible {
        let invariant: String
        let word: String
        let name: String
        let breakIt: @Sendable (inout Witnesses) -> Void

        init(
            _ invariant: String,
            _ name: String,
            _ word: String,
            _ breakIt: @escaping @Sendable (inout Witnesses) -> Void
        ) {
            self.invariant = invariant
            self.name = name
            self.word = word
            self.breakIt = breakIt
        }

        var testDescription: String { "\(self.invariant): \(self.name)" }
    }

    static let breaches: [Breach] = [
        Breach("I1", "two live calls to one number", "same number was live") {
            $0.ledger[1].to = $0.ledger[0].to
            $0.attempts[1].phoneNumber = $0.ledger[0].to
        },
        Breach("I1", "two open attempts", "attempts are open") { witnesses in
            for index in 0...1 {
                witnesses.attempts[index].endedAt = nil
                witnesses.attempts[index].phoneNumber = "+19990000001"
            }
        },
        Breach("I2", "a request without a row", "without a row") { $0.attempts.removeLast() },
        Breach("I2", "a request before its row", "before the row") { $0.attempts[0].startedAt = Self.at(0.5) },
        Breach("I2", "asked twice for one call", "asked 2 times and placed 2") { witnesses in
            var again = Self.call(Self.callID, to: "+19990000001", from: 10)
            again.sid = "CAagain"
            witnesses.ledger.append(again)
        },
        Breach("I2", "another number", "another number") { $0.ledger[0].to = "+19990000009" },
        Breach("I3", "outside the window", "outside the window") {
            $0.campaigns[0].window = (13 * 3600, 20 * 3600)
        },
        Breach("I3", "after the window closed at midnight's other side", "outside the window") {
            $0.campaigns[0].window = (20 * 3600, 9 * 3600)
        },
        Breach("I3", "an excluded number", "was excluded") { $0.exclusions["+19990000001"] = Self.at(-2) },
        Breach("I3", "a paused campaign", "was paused") {
            $0.campaigns[0].changes.append((Self.at(-1.5), "paused"))
        },
        Breach("I3", "a campaign that was never started", "was draft") { $0.campaigns[0].changes.removeLast() },
        Breach("I4", "more live calls than slots", "more than 1") { $0.cap = 1 },
        Breach("I4", "too many attempts", "attempts, more than 1") { witnesses in
            witnesses.campaigns[0].maximumAttempts = 1
            witnesses.attempts[1].contactID = Self.contactID
        },
        Breach("I4", "too early again", "before the retry interval") { $0.attempts[1].contactID = Self.contactID },
        Breach("I5", "a stranded contact", "still in progress") { $0.contacts[0].state = "in_progress" },
        Breach("I5", "a contact that is never due", "never due") { $0.contacts[0].state = "not_reached" },
        Breach("I5", "an attempt without end", "is still placed") {
            $0.attempts[0].endedAt = nil
            $0.attempts[0].status = "placed"
        },
        Breach("I6", "no outcome", "no outcome is recorded") { $0.attempts[0].outcome = nil },
        Breach("I6", "another outcome", "recorded as busy") { $0.attempts[0].outcome = "busy" },
        Breach("I6", "a lost call that the provider knows", "recorded as lost") {
            $0.ledger[0].status = "failed"
            $0.attempts[0].outcome = "failed"
            $0.attempts[0].errorCode = "lost"
        },
        Breach("I6", "a placed call that is not counted", "not counted") {
            $0.attempts[0].isCounted = false
            $0.attempts[0].errorCode = "x"
        },
        Breach("I6", "two rows for a call", "two rows") { $0.attempts.append($0.attempts[0]) },
        Breach("I6", "a survey event that nobody got", "noted, not published") { $0.surveyMessages.removeLast(2) },
        Breach("I6", "a survey event under two ids", "an id that no row has") {
            $0.surveyMessages[0].eventID = CallID.make()
        },
        Breach("I6", "an end that nobody was told of", "no survey event") {
            $0.surveyRows.removeLast()
            $0.surveyMessages.removeLast(2)
        },
        Breach("I7", "refused without a reason", "does not say why") {
            $0.ledger[0].sid = nil
            $0.ledger[0].startedAt = nil
            $0.ledger[0].endedAt = nil
        },
        Breach("I7", "given back without a reason", "without a reason") { $0.attempts[0].isCounted = false },
        Breach("I7", "an unexplained dead letter", "no row says why") {
            $0.deadLetters = [
                Witnesses.DeadLetter(
                    messageID: "m",
                    type: "dial-request.v1",
                    callID: Self.callID,
                    reason: "rejected"
                )
            ]
        },
    ]

    @Test("sound witnesses have nothing to say")
    func soundness() throws {
        #expect(Checker(try Self.sound()).violations().map(\.description).isEmpty)
    }

    @Test("each broken promise is caught", arguments: Self.breaches)
    func caught(breach: Breach) throws {
        var witnesses = try Self.sound()
        breach.breakIt(&witnesses)
        let violations = Checker(witnesses).violations()
        #expect(
            violations.contains { $0.invariant == breach.invariant && $0.message.contains(breach.word) },
            "\(violations)"
        )
    }

    @Test("what was held up on its way is judged by when it was sent")
    func delays() throws {
        var witnesses = try Self.sound()
        witnesses.campaigns[0].changes.append((Self.at(0.2), "paused"))
        witnesses.ledger[0].requestedAt = Self.at(3)
        witnesses.attempts[1].startedAt = Self.at(0.1)
        witnesses.ledger[1].requestedAt = Self.at(0.15)
        #expect(Checker(witnesses).violations().map(\.invariant) == ["I3"])
        witnesses.delays = [DateInterval(start: Self.at(-0.5), end: Self.at(3))]
        #expect(Checker(witnesses).violations().map(\.description).isEmpty)
    }

    @Test("a violation's history has every witness in it, in order")
    func history() throws {
        var witnesses = try Self.sound()
        witnesses.exclusions["+19990000001"] = Self.at(2)
        let lines = witnesses.history(of: Self.callID).split(separator: "\n").map(String.init)
        let words = [
            "operator survey running", "row      attempt 1", "provider asked",
            "provider dials", "provider rings", "provider picked up", "operator excludes", "provider ends",
            "row      ended", "survey.completed",
        ]
        #expect(lines.count == words.count)
        for (line, word) in zip(lines, words) { #expect(line.contains(word), "\(line)") }
    }
}
