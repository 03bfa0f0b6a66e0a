// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A request to place a call, checked as the API checks it.
struct PlaceRequest: Sendable {
    var entry: LedgerCall
    let ringTimeout: Double
    let timeLimit: Double
    let detectsMachines: Bool
    let callback: CallbackTarget?

    /// What the API answers to a request that it does not take.
    struct Refusal: Error {
        let status: Int
        let code: Int
        let message: String
    }

    /// - Throws: ``Refusal``.
    static func check(_ fields: [(String, String)]) throws(Refusal) {
        func value(_ name: String) -> String? { fields.first { $0.0 == name }.map(\.1) }
        func refuse(_ code: Int, _ message: String) -> Refusal { Refusal(status: 400, code: code, message: message) }
        guard let to = value("To"), !to.isEmpty else { throw refuse(21201, "No 'To' number is specified") }
        guard Self.isE164(to) else { throw refuse(21211, "The 'To' number is not a valid phone number") }
        guard let from = value("From"), !from.isEmpty else { throw refuse(21213, "'From' is missing") }
        guard Self.isE164(from) else { throw refuse(21212, "The 'From' number is not a valid phone number") }
        guard value("Url") != nil || value("Twiml") != nil || value("ApplicationSid") != nil else {
            throw refuse(21205, "Url parameter is required")
        }
        for name in ["Url", "StatusCallback"] {
            guard let text = value(name) else { continue }
            let url = URL(string: text)
            guard ["http", "https"].contains(url?.scheme ?? ""), url?.host != nil else {
                throw refuse(name == "Url" ? 21205 : 21609, "\(name) is not a valid URL")
            }
        }
        let events = fields.filter { $0.0 == "StatusCallbackEvent" }.map(\.1)
        guard events.allSatisfy({ ["initiated", "ringing", "answered", "completed"].contains($0) }) else {
            throw refuse(21626, "Invalid StatusCallbackEvents")
        }
        for (name, range) in [("Timeout", 1...600), ("TimeLimit", 1...86_400)] {
            guard let text = value(name) else { continue }
            guard let number = Int(text), range.contains(number) else {
                throw refuse(20001, "\(name) is not in \(range)")
            }
        }
    }

    /// - Parameters:
    ///   - fields: The form, as sent; need not be valid.
    ///   - receivedAt: When it had been read.
    init(_ fields: [(String, String)], receivedAt: Date) {
        func value(_ name: String) -> String? { fields.first { $0.0 == name }.map(\.1) }
        let target = value("StatusCallback").map { url in
            CallbackTarget(url: url, events: fields.filter { $0.0 == "StatusCallbackEvent" }.map(\.1))
        }
        let callID = target.flatMap { URLComponents(string: $0.url)?.queryItems }?
            .first { $0.name == "call_id" }?.value
        self.callback = target
        self.ringTimeout = value("Timeout").flatMap(Double.init) ?? 60
        self.timeLimit = value("TimeLimit").flatMap(Double.init) ?? 14_400
        self.detectsMachines = value("MachineDetection") != nil
        self.entry = LedgerCall(
            callID: callID,
            to: value("To") ?? "",
            from: value("From") ?? "",
            requestedAt: receivedAt,
            status: "queued",
            parameters: fields.map { [$0.0, $0.1] }
        )
    }

    private static func isE164(_ text: String) -> Bool {
        let digits = text.utf8.dropFirst()
        return text.hasPrefix("+") && 7...15 ~= digits.count && digits.first != UInt8(ascii: "0")
            && digits.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
    }
}
