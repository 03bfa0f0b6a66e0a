// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import Testing

@testable import ProviderSimulator

/// Witnesses of two calls, in which nothing is wrong.
extension CheckerTests {
    static let noon = Date(timeIntervalSince1970: 1_800_014_400)
    static let callID = "01a20a9a-a5fd-7feb-8efb-3047fb28fa1f"
    static let otherCallID = "01a20a9a-a5fd-7feb-8efb-3047fb28fa20"

    static func at(_ seconds: Double) -> Date { Self.noon.addingTimeInterval(seconds) }

    static func call(_ callID: String, to number: String, from start: Double) -> LedgerCall {
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
            answeredBy: "human",
            row: LedgerCall.Row(number: number, seenAt: Self.at(start + 0.001)),
            parameters: []
        )
    }

    static func attempt(
        _ callID: String,
        contact: String,
        number: String,
        from start: Double
    ) throws -> Witnesses.Attempt {
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
            errorCode: nil,
            surveyOutcome: nil,
            snapshot: try #require(Snapshot("900:1000:950"))
        )
    }

    static func contact(_ id: String, number: String) -> Witnesses.Contact {
        Witnesses.Contact(id: id, campaignID: "k", phoneNumber: number, state: "completed", attemptsCount: 1)
    }

    static func survey(_ contact: String, _ callID: String) throws -> (Witnesses.Survey, SurveyEvent) {
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

    static let contactID = "01a20a90-0000-7000-8000-000000000001"
    static let otherContactID = "01a20a90-0000-7000-8000-000000000002"

    /// Two calls to two contacts, and everything in order.
    static func sound() throws -> Witnesses {
        var witnesses = Witnesses()
        witnesses.cap = 2
        witnesses.takenAt = Self.at(100)
        witnesses.campaigns = [
            Witnesses.Campaign(
                id: "k",
                name: "survey",
                maximumAttempts: 2,
                retryInterval: 60,
                window: (9 * 3600, 20 * 3600),
                changes: [(Self.at(-100), 100, "draft"), (Self.at(-90), 101, "running")]
            )
        ]
        witnesses.ledger = [
            Self.call(Self.callID, to: "+19990000001", from: 0),
            Self.call(Self.otherCallID, to: "+19990000002", from: 1),
        ]
        witnesses.attempts = [
            try Self.attempt(Self.callID, contact: Self.contactID, number: "+19990000001", from: 0),
            try Self.attempt(Self.otherCallID, contact: Self.otherContactID, number: "+19990000002", from: 1),
        ]
        witnesses.contacts = [
            Self.contact(Self.contactID, number: "+19990000001"),
            Self.contact(Self.otherContactID, number: "+19990000002"),
        ]
        witnesses.room = try Self.room()
        for (contact, callID) in [(Self.contactID, Self.callID), (Self.otherContactID, Self.otherCallID)] {
            let (row, message) = try Self.survey(contact, callID)
            witnesses.surveyRows.append(row)
            // Published twice, with one id: that is allowed.
            witnesses.surveyMessages += [message, message]
        }
        return witnesses
    }

    /// Each limit used to the call: the second call is allowed while the first goes on.
    private static func room() throws -> Witnesses.Room {
        var room = Witnesses.Room()
        for (name, value) in [("cap", 2), ("rate", 120), ("quota", 2), ("cell north", 2)] {
            room.limits.append(Witnesses.Limit(campaignID: "k", name: name, value: value, transaction: 100))
        }
        for (callID, contact, start, transaction, snapshot) in [
            (Self.callID, Self.contactID, -0.01, 1100, "1000:1000:"),
            (Self.otherCallID, Self.otherContactID, 0.99, 1200, "1150:1150:"),
        ] as [(String, String, Double, UInt64, String)] {
            room.calls.append(
                Witnesses.AllowedCall(
                    callID: callID,
                    contactID: contact,
                    campaignID: "k",
                    cell: "north",
                    startedAt: Self.at(start),
                    transaction: transaction,
                    from: try #require(Snapshot(snapshot)),
                    to: try #require(Snapshot(snapshot))
                )
            )
            room.places.append(
                Witnesses.Place(
                    transaction: transaction,
                    callID: callID,
                    contactID: contact,
                    isOpen: true,
                    isCounted: true
                )
            )
        }
        return room
    }
}
