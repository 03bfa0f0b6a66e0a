// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// One parameter that the adapter may send, with what the provider's API description says about its values.
struct TwilioParameter: Sendable {
    /// Which values are in order.
    enum Rule: Sendable {
        /// E.164: a plus sign and 7 to 15 digits.
        case phoneNumber
        /// An absolute http or https URL.
        case url(allowsUnderscoreInHost: Bool)
        /// A whole number.
        case integer(ClosedRange<Int>)
        /// One of a closed set.
        case oneOf(Set<String>)
        /// A prefix and 32 hexadecimal digits.
        case identifier(prefix: String)
        /// A UTC day, `YYYY-MM-DD`.
        case day
        /// Printable ASCII that the provider gave us to hand back.
        case opaque(maximumLength: Int)
    }

    let name: String
    let rule: Rule
    var isRequired = false
    var mayRepeat = false

    /// Whether a value is in order.
    func accepts(_ value: String) -> Bool {
        switch self.rule {
        case .phoneNumber:
            let digits = value.utf8.dropFirst()
            return value.utf8.first == UInt8(ascii: "+") && (7...15).contains(digits.count)
                && digits.first != UInt8(ascii: "0") && digits.allSatisfy(Self.isDigit)
        case .url(let allowsUnderscoreInHost):
            guard value.utf8.count <= 4_000, value.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
                let parts = URLComponents(string: value), parts.scheme == "https" || parts.scheme == "http",
                let host = parts.host, !host.isEmpty
            else { return false }
            return allowsUnderscoreInHost || !host.contains("_")
        case .integer(let range):
            return value.utf8.allSatisfy(Self.isDigit) && Int(value).map(range.contains) ?? false
        case .oneOf(let values):
            return values.contains(value)
        case .identifier(let prefix):
            return Self.isIdentifier(value, prefix: prefix)
        case .day:
            return value.utf8.count == 10 && InternetDate.parse(day: value) != nil
        case .opaque(let maximumLength):
            return (1...maximumLength).contains(value.utf8.count)
                && value.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        }
    }

    static func isIdentifier(_ value: String, prefix: String) -> Bool {
        let digits = value.utf8.dropFirst(prefix.utf8.count)
        return value.hasPrefix(prefix) && digits.count == 32
            && digits.allSatisfy { Self.isDigit($0) || (0x41...0x46).contains($0) || (0x61...0x66).contains($0) }
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte)
    }
}

/// One operation of the provider's API with every parameter that the adapter may send to it.
struct TwilioOperation: Sendable {
    let name: String
    let method: String
    /// Path below `/2010-04-01/Accounts/{AccountSid}`, a call's id written as `{Sid}`.
    let path: String
    var query: [TwilioParameter] = []
    var form: [TwilioParameter] = []

    static let accountSID = TwilioParameter(name: "AccountSid", rule: .identifier(prefix: "AC"), isRequired: true)
    static let callSID = TwilioParameter(name: "Sid", rule: .identifier(prefix: "CA"), isRequired: true)

    static let createCall = TwilioOperation(
        name: "CreateCall",
        method: "POST",
        path: "/Calls.json",
        form: [
            TwilioParameter(name: "To", rule: .phoneNumber, isRequired: true),
            TwilioParameter(name: "From", rule: .phoneNumber, isRequired: true),
            TwilioParameter(name: "Url", rule: .url(allowsUnderscoreInHost: true), isRequired: true),
            TwilioParameter(name: "Method", rule: .oneOf(["GET", "POST"])),
            TwilioParameter(name: "StatusCallback", rule: .url(allowsUnderscoreInHost: false)),
            TwilioParameter(name: "StatusCallbackMethod", rule: .oneOf(["GET", "POST"])),
            TwilioParameter(
                name: "StatusCallbackEvent",
                rule: .oneOf(["initiated", "ringing", "answered", "completed"]),
                mayRepeat: true
            ),
            TwilioParameter(name: "Timeout", rule: .integer(1...600)),
            TwilioParameter(name: "TimeLimit", rule: .integer(1...86_400)),
            TwilioParameter(name: "MachineDetection", rule: .oneOf(["Enable", "DetectMessageEnd"])),
        ]
    )

    static let fetchCall = TwilioOperation(name: "FetchCall", method: "GET", path: "/Calls/{Sid}.json")

    static let listCalls = TwilioOperation(
        name: "ListCall",
        method: "GET",
        path: "/Calls.json",
        query: [
            TwilioParameter(name: "To", rule: .phoneNumber),
            TwilioParameter(name: "From", rule: .phoneNumber),
            TwilioParameter(
                name: "Status",
                rule: .oneOf([
                    "queued", "ringing", "in-progress", "completed", "busy", "failed", "no-answer", "canceled",
                ])
            ),
            TwilioParameter(name: "StartTime>", rule: .day),
            TwilioParameter(name: "PageSize", rule: .integer(1...1_000)),
            TwilioParameter(name: "Page", rule: .integer(0...1_000_000)),
            TwilioParameter(name: "PageToken", rule: .opaque(maximumLength: 512)),
        ]
    )

    static let updateCall = TwilioOperation(
        name: "UpdateCall",
        method: "POST",
        path: "/Calls/{Sid}.json",
        form: [TwilioParameter(name: "Status", rule: .oneOf(["canceled", "completed"]), isRequired: true)]
    )

    static let all = [Self.createCall, Self.fetchCall, Self.listCalls, Self.updateCall]
}
