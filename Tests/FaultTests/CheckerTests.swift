// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import Testing

/// Breaks each promise on purpose, in a ledger or a table, and sees it caught: a checker that cannot fail shows nothing.
struct CheckerTests {
    @Test("sound witnesses have nothing to say")
    func soundness() throws {
        #expect(Checker(try Self.sound()).violations().map(\.description).isEmpty)
    }

    @Test("each broken promise is caught", arguments: Self.cases)
    func caught(broken: Case) throws {
        var witnesses = try Self.sound()
        try broken.breakIt(&witnesses)
        let violations = Checker(witnesses).violations()
        #expect(violations.contains { $0.breach == broken.breach }, "\(violations)")
    }

    @Test("everything that the checker can say has been made to be said")
    func everyBreach() {
        #expect(Set(Breach.allCases).subtracting(Self.cases.map(\.breach)).map(\.rawValue) == [])
    }

    @Test("what the statement could not see yet, and what was given back or told late, is no breach")
    func allowed() throws {
        var witnesses = try Self.sound()
        witnesses.campaigns[0].changes.append((Self.at(-0.02), 950, "paused"))
        witnesses.exclusions["+19990000002"] = Witnesses.Exclusion(at: Self.at(0), transaction: 1000)
        // The call was taken for lost, and its report came late.
        let (row, message) = try Self.survey(Self.contactID, Self.callID)
        witnesses.surveyRows.append(row)
        witnesses.surveyMessages.append(message)
        witnesses.surveyRows[2].kind = "not_reached"
        witnesses.surveyMessages[4].kind = .notReached
        #expect(Checker(witnesses).violations().map(\.description) == [])
        witnesses = try Self.sound()
        Self.rest(&witnesses, until: 160)
        Self.refuse(&witnesses)
        witnesses.attempts[0].outcome = "failed"
        witnesses.attempts[0].isCounted = false
        witnesses.attempts[0].errorCode = "20429"
        witnesses.contacts[0].attemptsCount = 0
        witnesses.surveyRows.removeFirst()
        witnesses.surveyMessages.removeFirst(2)
        witnesses.deadLetters = [Self.letter()]
        #expect(Checker(witnesses).violations().map(\.description) == [])
    }

    @Test("a limit counts that the statement could see, and what counts against it is what was taken then")
    func limits() throws {
        #expect(Checker(try Self.sound()).metLimits == ["cap": 1, "rate": 1, "quota": 1, "cell's quota": 1])
        // Lowered a moment later, and lifted or lowered while the statement was at work.
        for (name, value, transaction) in [("cap", 1, 1150), ("cap", nil, 1140), ("cap", 1, 1140)]
            as [(String, Int?, UInt64)]
        {
            var witnesses = try Self.sound()
            Self.limit(&witnesses, name, value, since: transaction)
            if transaction == 1140 { witnesses.room.calls[1].from = try #require(Snapshot("1120:1120:")) }
            #expect(Checker(witnesses).violations().map(\.description) == [], "\(name) \(transaction)")
        }
        // The first call is over, and the cap is free again; no interview came of it, or it was not charged.
        var witnesses = try Self.sound()
        var ended = witnesses.room.places[0]
        (ended.isOpen, ended.isCounted, ended.transaction) = (false, false, 1130)
        witnesses.room.places.append(ended)
        for name in ["cap", "quota", "cell north"] { Self.limit(&witnesses, name, 1) }
        Self.limit(&witnesses, "rate", 60)
        #expect(Checker(witnesses).violations().map(\.description) == [])
        // An erased person's rows have no number, and that is right.
        witnesses = try Self.sound()
        witnesses.attempts[0].phoneNumber = nil
        witnesses.contacts[0].phoneNumber = nil
        witnesses.erased["+19990000001"] = Self.at(50)
        #expect(Checker(witnesses).violations().map(\.description) == [])
    }

    @Test("what the test itself has held up does not count for the way to the provider")
    func delays() throws {
        var witnesses = try Self.sound()
        witnesses.attempts[0].startedAt = Self.at(-8)
        #expect(Checker(witnesses).violations().map(\.breach) == [.tooLongOnTheWay])
        // Two that overlap are counted once.
        witnesses.delays = [
            DateInterval(start: Self.at(-9), end: Self.at(-6)), DateInterval(start: Self.at(-7), end: Self.at(-4)),
        ]
        #expect(Checker(witnesses).violations().map(\.description) == [])
        witnesses.delays[1].end = Self.at(-6)
        #expect(Checker(witnesses).violations().map(\.breach) == [.tooLongOnTheWay])
    }

    @Test("a snapshot sees what was committed before it, and nothing that was open or unborn")
    func snapshots() throws {
        let snapshot = try #require(Snapshot("10:20:10,14"))
        #expect((8...21).filter { snapshot.sees($0) } == [8, 9, 11, 12, 13, 15, 16, 17, 18, 19])
        #expect(try #require(Snapshot("5:5:")).sees(4))
        for text in ["", "1:2", "1:2:x", "a:2:"] { #expect(Snapshot(text) == nil, "\(text)") }
    }

    @Test("a violation's history has every witness in it, in order")
    func history() throws {
        var witnesses = try Self.sound()
        witnesses.exclusions["+19990000001"] = Witnesses.Exclusion(at: Self.at(2), transaction: 1001)
        let lines = witnesses.history(of: Self.callID).split(separator: "\n").map(String.init)
        let words = [
            "operator survey running", "row      attempt 1", "provider asked",
            "provider sees the row", "provider dials", "provider rings", "provider picked up", "operator excludes",
            "provider ends",
            "row      ended", "survey.completed",
        ]
        #expect(lines.count == words.count)
        for (line, word) in zip(lines, words) { #expect(line.contains(word), "\(line)") }
    }
}
