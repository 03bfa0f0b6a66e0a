// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// Everything that a batch of events says about one call, merged so that the order of the events does not matter.
public struct CallReport: Sendable, Equatable {
    /// The call.
    public var callID: UUID
    /// The provider's id of the call, when an event had it.
    public var providerCallID: String?
    /// The strongest status.
    public var status: CallStatus
    /// The error code of the strongest event.
    public var errorCode: String?
    /// The provider's own word for the strongest status.
    public var rawStatus: String?
    /// The most certain result of machine detection.
    public var answeredBy: AnsweredBy?
    /// When the phone began to ring, if an event said so.
    public var ringingAt: Date?
    /// When the call was answered, if an event said so.
    public var answeredAt: Date?

    /// Creates the report that one event makes.
    public init(_ event: CallEvent) {
        self.callID = event.callID
        self.providerCallID = event.providerCallID
        self.status = event.status
        self.errorCode = event.errorCode
        self.rawStatus = event.rawStatus
        self.answeredBy = event.answeredBy
        self.ringingAt = event.status == .ringing ? event.occurredAt : nil
        self.answeredAt = event.status == .answered ? event.occurredAt : nil
    }

    /// Merges events into one report per call.
    /// - Parameter events: The events, in any order, with any duplicates.
    /// - Returns: The reports, ordered by call id, so that two recorders lock rows in the same order.
    public static func merge(_ events: some Sequence<CallEvent>) -> [CallReport] {
        var reports: [UUID: CallReport] = [:]
        for event in events {
            let report = CallReport(event)
            reports[event.callID] = reports[event.callID]?.merged(with: report) ?? report
        }
        return reports.values.sorted { $0.callID.precedes($1.callID) }
    }

    /// The report that both make; the operands may be exchanged.
    func merged(with other: CallReport) -> CallReport {
        var result = self
        if other.isStronger(than: self) {
            result.status = other.status
            result.errorCode = other.errorCode
            result.rawStatus = other.rawStatus
        }
        result.providerCallID = [self.providerCallID, other.providerCallID].compactMap(\.self).min()
        result.answeredBy = [self.answeredBy, other.answeredBy].compactMap(\.self).max { $0.rank < $1.rank }
        result.ringingAt = [self.ringingAt, other.ringingAt].compactMap(\.self).min()
        result.answeredAt = [self.answeredAt, other.answeredAt].compactMap(\.self).min()
        return result
    }

    private func isStronger(than other: CallReport) -> Bool {
        if self.status.rank != other.status.rank { return self.status.rank > other.status.rank }
        return (self.errorCode ?? "", self.rawStatus ?? "") > (other.errorCode ?? "", other.rawStatus ?? "")
    }
}

extension AnsweredBy {
    /// Order of certainty; of two results the higher stands.
    var rank: Int {
        switch self {
        case .unknown: 1
        case .human: 2
        case .fax: 3
        case .machine: 4
        }
    }
}
