// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import Crypto
import Foundation
import NIOCore
import NIOHTTP1

/// Where a call's callbacks go and which ones are wanted.
struct CallbackTarget: Sendable {
    let url: String
    let events: Set<String>
    let retries: Int
    let retriesOnServerError: Bool

    /// - Parameters:
    ///   - url: With connection overrides in its fragment, e.g. `#rc=5&rp=all`.
    ///   - events: The `StatusCallbackEvent` parameters; none means `completed`.
    init(url: String, events: [String]) {
        let parts = url.split(separator: "#", maxSplits: 1).map(String.init)
        self.url = parts[0]
        self.events = events.isEmpty ? ["completed"] : Set(events)
        var retries = 1
        var policy = "ct"
        for pair in (parts.count > 1 ? parts[1] : "").split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1).map(String.init)
            guard sides.count == 2 else { continue }
            if sides[0] == "rc" { retries = min(5, Int(sides[1]) ?? 1) }
            if sides[0] == "rp" { policy = sides[1] }
        }
        self.retries = retries
        self.retriesOnServerError = policy.contains("all") || policy.contains("5xx")
    }

    func wants(_ status: String) -> Bool {
        switch status {
        case "initiated", "ringing": self.events.contains(status)
        case "in-progress": self.events.contains("answered")
        default: self.events.contains("completed")
        }
    }
}

/// One callback, ready to be signed.
struct Callback: Sendable {
    let target: CallbackTarget
    let status: String
    let sequence: Int
    let key: String
    /// What its faults are drawn by: the same in every run of a scenario, as the provider's ids are not.
    let draw: String
    let fields: [(String, String)]

    init(entry: LedgerCall, request: Int, status: String, sequence: Int, sip: Int?, target: CallbackTarget) {
        let sid = entry.sid ?? ""
        var fields = [
            ("CallSid", sid), ("From", entry.from), ("To", entry.to), ("CallStatus", status),
            ("ApiVersion", "2010-04-01"), ("Direction", "outbound-api"),
            ("Timestamp", InternetTime.text(Date())), ("CallbackSource", "call-progress-events"),
            ("SequenceNumber", String(sequence)), ("Called", entry.to), ("Caller", entry.from),
        ]
        if let sip { fields.append(("SipResponseCode", String(sip))) }
        if let answeredBy = entry.answeredBy { fields.append(("AnsweredBy", answeredBy)) }
        if let endedAt = entry.endedAt {
            let seconds = entry.answeredAt.map { Int(endedAt.timeIntervalSince($0).rounded(.up)) } ?? 0
            fields.append(("CallDuration", String(seconds)))
            fields.append(("Duration", String((seconds + 59) / 60)))
        }
        self.fields = fields
        self.target = target
        self.status = status
        self.sequence = sequence
        self.key = sid + "|" + String(sequence)
        self.draw = [entry.to, String(request), String(sequence)].joined(separator: "|")
    }
}

/// Sends callbacks, with the faults that the configuration asks for.
struct CallbackSender: Sendable {
    let client: HTTPClient
    let accountSID: String
    let authToken: String

    func send(
        _ callback: Callback,
        configuration: SimulatorConfiguration,
        note: @Sendable (LedgerCall.Callback) async -> Void
    ) async {
        var random = SeededGenerator(seed: configuration.seed, words: ["callback", callback.draw])
        var faults: [String] = []
        func strikes(_ fault: SimulatorConfiguration.Fault) -> Bool {
            let strikes = Double.random(in: 0..<1, using: &random) < configuration.faults[fault.rawValue] ?? 0
            if strikes { faults.append(fault.rawValue) }
            return strikes
        }
        var record = LedgerCall.Callback(
            status: callback.status,
            sequence: callback.sequence,
            sentAt: Date(),
            attempt: 0,
            result: "lost"
        )
        guard !strikes(.callbackLost) else {
            record.faults = faults
            await note(record)
            return
        }
        if strikes(.callbackReordered) { try? await Task.sleep(for: .milliseconds(700)) }
        if strikes(.callbackLate) { try? await Task.sleep(for: .seconds(configuration.lateCallbackSeconds)) }
        let copies = strikes(.callbackDuplicated) ? 2 : 1
        if !faults.isEmpty { record.faults = faults }
        for _ in 0..<copies {
            for attempt in 1...(1 + callback.target.retries) {
                record.attempt = attempt
                record.sentAt = Date()
                record.result = await self.post(callback)
                await note(record)
                let isAnswered = Int(record.result) != nil
                let isServerError = record.result.hasPrefix("5")
                guard !isAnswered || isServerError && callback.target.retriesOnServerError else { break }
                try? await Task.sleep(for: .milliseconds(200 << attempt))
            }
        }
    }

    /// - Returns: The HTTP status, or why there is none.
    private func post(_ callback: Callback) async -> String {
        let fields = callback.fields + [("AccountSid", self.accountSID)]
        var request = HTTPClientRequest(url: callback.target.url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/x-www-form-urlencoded")
        request.headers.add(name: "X-Twilio-Signature", value: self.signature(callback.target.url, fields))
        request.headers.add(name: "I-Twilio-Idempotency-Token", value: callback.key)
        request.body = .bytes(ByteBuffer(string: FormCoding.encode(fields)))
        do {
            let response = try await self.client.execute(request, timeout: .seconds(15))
            return String(response.status.code)
        } catch {
            return "failed: \((error as? HTTPClientError)?.shortDescription ?? String(describing: type(of: error)))"
        }
    }

    /// HMAC-SHA1 over the URL and the fields sorted by name; HTTPS URLs are signed without a port.
    ///
    /// Source: Twilio, "Validating requests".
    func signature(_ url: String, _ fields: [(String, String)]) -> String {
        var signed = url
        if var components = URLComponents(string: url), components.scheme == "https", components.port != nil {
            components.port = nil
            signed = components.string ?? url
        }
        for (name, value) in fields.sorted(by: { $0.0 < $1.0 }) { signed += name + value }
        let code = HMAC<Insecure.SHA1>.authenticationCode(
            for: Data(signed.utf8),
            using: SymmetricKey(data: Data(self.authToken.utf8))
        )
        return Data(code).base64EncodedString()
    }
}

/// `application/x-www-form-urlencoded`.
enum FormCoding {
    static func encode(_ fields: [(String, String)]) -> String {
        fields.map { Self.escape($0.0) + "=" + Self.escape($0.1) }.joined(separator: "&")
    }

    static func decode(_ text: String) -> [(String, String)] {
        text.split(separator: "&").map { pair in
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (Self.unescape(sides[0]), sides.count > 1 ? Self.unescape(sides[1]) : "")
        }
    }

    private static let literal = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._*".utf8)

    private static func escape(_ text: String) -> String {
        if text.utf8.allSatisfy(Self.literal.contains) { return text }
        return text.utf8.map { byte in
            Self.literal.contains(byte)
                ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }.joined()
    }

    private static func unescape(_ text: Substring) -> String {
        guard text.contains(where: { $0 == "+" || $0 == "%" }) else { return String(text) }
        return text.replacing("+", with: " ").removingPercentEncoding ?? String(text)
    }
}

/// RFC 2822 dates, as the API writes them.
enum InternetTime {
    private static let style = Date.VerbatimFormatStyle(
        format: """
            \(weekday: .abbreviated), \(day: .twoDigits) \(month: .abbreviated) \(year: .padded(4)) \
            \(hour: .twoDigits(clock: .twentyFourHour, hourCycle: .zeroBased)):\(minute: .twoDigits):\
            \(second: .twoDigits) +0000
            """,
        locale: Locale(identifier: "en_US_POSIX"),
        timeZone: .gmt,
        calendar: Calendar(identifier: .gregorian)
    )

    static func text(_ date: Date) -> String { date.formatted(Self.style) }
}
