// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation

/// A call as the API describes it. Everything is optional: an answer that lacks a field is still an answer.
struct TwilioCall: Decodable {
    var sid: String?
    var status: String?
    var to: String?
    var from: String?
    var dateCreated: String?
    var startTime: String?
    var endTime: String?
    var answeredBy: String?
    var duration: Scalar?

    enum CodingKeys: String, CodingKey {
        case sid, status, to, from, duration
        case dateCreated = "date_created"
        case startTime = "start_time"
        case endTime = "end_time"
        case answeredBy = "answered_by"
    }

    /// The call's id, when it is one.
    var identifier: String? {
        guard let sid = self.sid, TwilioOperation.callSID.accepts(sid) else { return nil }
        return sid
    }

    /// The call in the words that all adapters share, or nil when it has no id or nothing tells how it stands.
    var providerCall: ProviderCall? { self.providerCall(otherwise: nil) }

    /// The same.
    /// - Parameter status: What is taken for the status of a call that has a word of its own for it and no end.
    /// - Returns: Nil when it has no id or nothing tells how it stands.
    func providerCall(otherwise status: CallStatus?) -> ProviderCall? {
        guard let identifier = self.identifier, let rawStatus = self.status, !rawStatus.isEmpty,
            let status = CallStatus(twilio: rawStatus) ?? self.statusByEnd ?? status
        else { return nil }
        return ProviderCall(
            providerCallID: identifier,
            status: status,
            rawStatus: rawStatus,
            createdAt: self.dateCreated.flatMap { InternetDate.parse($0) }
                ?? self.startTime.flatMap { InternetDate.parse($0) },
            endedAt: status.isFinal ? self.endTime.flatMap { InternetDate.parse($0) } : nil,
            answeredBy: self.answeredBy.flatMap { AnsweredBy(twilio: $0) }
        )
    }
}

extension TwilioCall {
    /// What can be told of a call whose status is none of the API's words; servers that speak it have words of their own.
    /// One that has an end is over, and was an answered one if anybody spoke or was heard.
    private var statusByEnd: CallStatus? {
        guard let end = self.endTime, !end.isEmpty else { return nil }
        let wasAnswered = self.answeredBy.flatMap { AnsweredBy(twilio: $0) } != nil
        let seconds = self.duration?.text.flatMap { Int($0) } ?? 0
        return wasAnswered || seconds > 0 ? .completed : .failed
    }
}

/// One page of a list of calls.
struct TwilioCallPage: Decodable {
    var calls: [TwilioCall]
    var nextPageURI: String?

    enum CodingKeys: String, CodingKey {
        case calls
        case nextPageURI = "next_page_uri"
    }

    /// What the link to the next page adds to a query.
    ///
    /// Only the page's number and token are taken from the link; host, path and filters stay ours, so that no answer
    /// can send the account's secret elsewhere.
    var nextPage: [(name: String, value: String)]? {
        guard let uri = self.nextPageURI, let mark = uri.firstIndex(of: "?") else { return nil }
        let fields = FormFields(decoding: uri[uri.index(after: mark)...].utf8)
        guard let page = fields.first("Page") else { return nil }
        return [("Page", page)] + (fields.first("PageToken").map { [("PageToken", $0)] } ?? [])
    }
}

/// The body of an error answer. Its message is not read: it quotes phone numbers.
struct TwilioFault: Decodable {
    var code: Int

    /// Reads a body, or returns nil when it is not the provider's.
    static func read(_ body: [UInt8]) -> TwilioFault? {
        try? JSONDecoder().decode(TwilioFault.self, from: Data(body))
    }
}

extension CallStatus {
    /// The status for the provider's word, from the API or a callback.
    init?(twilio word: String) {
        switch word {
        case "queued": self = .queued
        case "initiated": self = .initiated
        case "ringing": self = .ringing
        case "in-progress": self = .answered
        case "completed": self = .completed
        case "busy": self = .busy
        case "no-answer": self = .noAnswer
        case "failed": self = .failed
        case "canceled": self = .canceled
        default: return nil
        }
    }
}

extension AnsweredBy {
    /// The result for the provider's word; nil when detection did not run.
    init?(twilio word: String) {
        switch word {
        case "": return nil
        case "human": self = .human
        case "fax": self = .fax
        case "machine": self = .machine
        default: self = word.hasPrefix("machine_") ? .machine : .unknown
        }
    }
}
