// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// What conducted an interview says of its outcome (`survey-outcome.v1`). It wins over the provider's "completed", which
/// only means that somebody picked up.
public struct SurveyOutcomeReport: FlatMessage, Equatable {
    /// The message type and version, as in the AMQP `type` property.
    public static let messageType = "survey-outcome.v1"

    /// How the interview ended.
    public enum Outcome: String, Sendable, Codable, CaseIterable {
        /// The interview is complete.
        case completed
        /// The respondent declined it.
        case refused
        /// The respondent does not want to be called again, by anyone: the number is excluded at once.
        case optOut = "opt_out"

        /// Order of strength: of two reports about one call the stronger stands, in whatever order they arrive.
        public var rank: Int {
            switch self {
            case .completed: 1
            case .refused: 2
            case .optOut: 3
            }
        }
    }

    /// The report's own id.
    public var eventID: UUID
    /// The call in which the interview was held.
    public var callID: UUID
    /// How it ended.
    public var outcome: Outcome
    /// When it ended.
    public var occurredAt: Date

    /// Creates a report.
    public init(eventID: UUID = CallID.make(), callID: UUID, outcome: Outcome, occurredAt: Date) {
        self.eventID = eventID
        self.callID = callID
        self.outcome = outcome
        self.occurredAt = occurredAt
    }

    /// One report per call, the strongest, ordered by call id, so that two recorders lock rows in the same order.
    public static func merge(_ reports: some Sequence<SurveyOutcomeReport>) -> [SurveyOutcomeReport] {
        var strongest: [UUID: SurveyOutcomeReport] = [:]
        for report in reports where report.outcome.rank > strongest[report.callID]?.outcome.rank ?? 0 {
            strongest[report.callID] = report
        }
        return strongest.values.sorted { $0.callID.precedes($1.callID) }
    }

    enum CodingKeys: String, CodingKey {
        case eventID = "event_id"
        case callID = "call_id"
        case outcome
        case occurredAt = "occurred_at"
    }
}

extension SurveyOutcomeReport {
    /// Writes the fields.
    public func write(to writer: inout FlatJSONWriter) {
        writer.write("call_id", self.callID)
        writer.write("event_id", self.eventID)
        writer.write("occurred_at", self.occurredAt)
        writer.write("outcome", self.outcome.rawValue)
    }

    /// Leaves it to `JSONDecoder`: others write them, and few come.
    public static func read(from reader: inout FlatJSONReader) -> SurveyOutcomeReport? { nil }
}
