// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestSupport

/// The life of calls, step by step.
enum Calls {
    static func claim(_ scratch: Scratch, _ campaign: UUID, _ limit: Int = 50) async throws -> [DialRequest] {
        try await scratch.store.claim(campaign: campaign, limit: limit, leaseDuration: .seconds(60)).requests
    }

    static func begin(_ scratch: Scratch, _ requests: [DialRequest]) async throws -> [UUID] {
        zip(requests, try await Self.verdicts(scratch, requests)).compactMap { request, verdict in
            if case .created = verdict { request.callID } else { nil }
        }
    }

    static func verdicts(_ scratch: Scratch, _ requests: [DialRequest]) async throws -> [CallStore.AttemptVerdict] {
        try await scratch.store.beginAttempts(
            requests.map { .init(callID: $0.callID, contactID: $0.contactID, expiresAt: $0.expiresAt) },
            dialerID: "d1",
            trunk: "default",
            margin: .seconds(10)
        )
    }

    static func end(_ scratch: Scratch, _ callIDs: [UUID], _ status: CallStatus) async throws {
        let events = callIDs.map { CallEvent(callID: $0, status: status, occurredAt: Date()) }
        _ = try await scratch.store.record(CallReport.merge(events))
    }

    /// Claims, dials and ends whatever can be called now.
    /// - Returns: How many calls were made.
    @discardableResult
    static func callAll(_ scratch: Scratch, _ campaign: UUID, _ status: CallStatus) async throws -> Int {
        let callIDs = try await Self.begin(scratch, try await Self.claim(scratch, campaign))
        try await Self.end(scratch, callIDs, status)
        return callIDs.count
    }
}
