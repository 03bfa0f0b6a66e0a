// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Observability
import Tracing

/// What a client sends to `POST /v1/calls/{call_id}/outcome`.
private struct SurveyOutcomeBody: Decodable {
    let outcome: SurveyOutcomeReport.Outcome
    /// Repeated with a repeated request, if the client wants to; the outcome is idempotent either way.
    let eventID: UUID?
    let occurredAt: Date?
    let callbackAt: Date?
    let callbackUntil: Date?

    enum CodingKeys: String, CodingKey {
        case outcome
        case eventID = "event_id"
        case occurredAt = "occurred_at"
        case callbackAt = "callback_at"
        case callbackUntil = "callback_until"
    }
}

extension WebhookServer {
    /// Takes the word of whoever conducted the interview. Allowed before and after the provider's end, and as often as the
    /// sender likes.
    func surveyOutcome(_ request: Request, call: String) async -> Response {
        guard !self.outcomeTokens.accepted().isEmpty else {
            return Self.answer(.notFound, "reporting outcomes is not configured here: set WEBHOOK_OUTCOME_TOKEN\n")
        }
        guard self.isAuthorized(request.headers[.authorization]) else {
            return self.refuse(.unauthorized, result: .unauthorized, "the Authorization header holds no valid token")
        }
        guard let callID = UUID(uuidString: call) else {
            return self.refuse(.badRequest, result: .malformed, "call_id in the path is no UUID")
        }
        let body: ByteBuffer
        do {
            body = try await self.body(of: request)
        } catch {
            return self.refuseBody(error)
        }
        let content: SurveyOutcomeBody
        do {
            content = try MessageCoding.decode(SurveyOutcomeBody.self, from: Array(body.readableBytesView))
        } catch {
            let words = SurveyOutcomeReport.Outcome.allCases.map(\.rawValue).joined(separator: ", ")
            return self.refuse(.badRequest, result: .malformed, "\(error.reason); outcome is one of \(words)")
        }
        guard content.outcome == .callback || content.callbackAt == nil && content.callbackUntil == nil else {
            return self.refuse(.badRequest, result: .malformed, "callback_at is for the outcome callback only")
        }
        let report = SurveyOutcomeReport(
            eventID: content.eventID ?? CallID.make(),
            callID: callID,
            outcome: content.outcome,
            occurredAt: content.occurredAt ?? Date(),
            callbackAt: content.callbackAt,
            callbackUntil: content.callbackUntil
        )
        var logger = self.logger
        logger[.callID] = callID.lowercased
        let span = self.span(
            "report outcome",
            Self.header("traceparent", request),
            Self.header("tracestate", request),
            callID: callID
        )
        defer { span.end() }
        let batch: CallStore.RecordedBatch
        do {
            batch = try await self.commit(report)
        } catch {
            self.metrics.count(.unrecorded)
            logger.warning("An interview's outcome could not be recorded", metadata: .keys([.error: "\(error)"]))
            // Without a promise: a sender that does not come again may be heard all the same.
            self.broker.publishUnconfirmed(CallMessages.publication(of: report, context: span.context))
            return Self.comeAgain(.serviceUnavailable, after: 5)
        }
        guard batch.unknownCalls.isEmpty else {
            return self.refuse(.notFound, result: .unknownCall, "no call with this id was made here")
        }
        // Survey events that it brought are in the outbox, from which a recorder publishes them.
        self.metrics.count(.accepted)
        logger.debug("Took an interview's outcome", metadata: .keys([.outcome: report.outcome.rawValue]))
        return Response(status: .noContent)
    }

    /// Returns once the outcome, and an opt-out's exclusion, are on the database's disk.
    private func commit(_ report: SurveyOutcomeReport) async throws -> CallStore.RecordedBatch {
        try await withThrowingTaskGroup(of: CallStore.RecordedBatch?.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await self.store.record([report]) }
            group.addTask {
                // Whoever asks waits no longer; the database may be away without a word.
                try await Task.sleep(for: self.configuration.outcomeTimeout)
                return nil
            }
            guard let batch = try await group.next() ?? nil else { throw TooLate() }
            return batch
        }
    }

    private struct TooLate: Error, CustomStringConvertible {
        let description = "the database did not answer in time"
    }

    private static func header(_ name: String, _ request: Request) -> String? {
        HTTPField.Name(name).flatMap { request.headers[$0] }
    }

    /// Compares in a time that does not tell how much of a token was right.
    func isAuthorized(_ header: String?) -> Bool {
        let prefix = "Bearer "
        guard let header, header.hasPrefix(prefix) else { return false }
        let given = Array(header.utf8.dropFirst(prefix.utf8.count))
        var isValid = false
        for token in self.outcomeTokens.accepted() {
            let expected = Array(token.utf8)
            var difference = UInt8(given.count == expected.count ? 0 : 1)
            for index in expected.indices { difference |= expected[index] ^ (index < given.count ? given[index] : 0) }
            if difference == 0 { isValid = true }
        }
        return isValid
    }
}
