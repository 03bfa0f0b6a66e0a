// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallStore
import Dialing
import Foundation
import Logging
import Observability
import Postgres
import Recording
import Selection
import Telephony
import Webhooks

/// Reads settings strictly: a value that is there must be right. All faults are reported together.
struct Settings {
    private let sources: SettingSources
    private(set) var faults: [String]

    /// Gathers faults; ``check()`` throws them together.
    /// - Parameters:
    ///   - overrides: `NAME=VALUE` from the command line.
    ///   - file: A file of `NAME=VALUE` lines.
    ///   - environment: The process's environment.
    init(overrides: [String], file: String?, environment: [String: String]) {
        self.sources = SettingSources(overrides: overrides, file: file, environment: environment)
        self.faults = self.sources.faults
    }

    /// The value, or nil when the setting is not given; an empty value counts as not given.
    func string(_ name: String) -> String? { self.sources.find(name)?.value }

    /// A setting whose value is in a file of its own.
    struct ValueFile: Sendable {
        let name: String
        let path: String
        let value: String
    }

    /// The settings with such files.
    var valueFiles: [ValueFile] {
        Setting.all.compactMap { setting in
            guard let found = self.sources.find(setting.name), let path = found.path else { return nil }
            return ValueFile(name: setting.name, path: path, value: found.value)
        }
    }

    /// Each setting, its value and where it came from, for people; secrets are masked.
    var table: [[String]] {
        Setting.all.map { setting in
            guard let found = self.sources.find(setting.name) else {
                return [setting.name, setting.isSecret ? "" : setting.defaultText, "default"]
            }
            return [setting.name, setting.isSecret ? "(secret)" : Self.withoutPassword(found.value), found.source]
        }
    }

    /// A URL that ought to hold no password, in case that it does.
    private static func withoutPassword(_ value: String) -> String {
        guard let scheme = value.firstRange(of: "://"), let end = value.lastIndex(of: "@"), scheme.upperBound <= end
        else {
            return value
        }
        return value[..<scheme.upperBound] + "***" + value[end...]
    }

    private mutating func number<Number: LosslessStringConvertible & Comparable>(
        _ name: String,
        _ range: ClosedRange<Number>,
        default value: Number
    ) -> Number {
        guard let text = self.string(name) else { return value }
        guard let number = Number(text), range.contains(number) else {
            self.faults.append("\(name): '\(text)' is not a number in \(range.lowerBound)…\(range.upperBound)")
            return value
        }
        return number
    }

    private mutating func required(_ name: String) -> String {
        guard let value = self.string(name) else {
            self.faults.append("\(name): is not set; it is \(Setting.all.first { $0.name == name }?.help ?? "needed")")
            return ""
        }
        return value
    }

    /// - Throws: ``ConfigurationFault`` with everything that is wrong.
    func check() throws {
        guard self.faults.isEmpty else { throw ConfigurationFault(faults: self.faults) }
    }

    mutating func logging() -> (level: Logger.Level, format: LogFormat) {
        let levelText = self.string("LOG_LEVEL") ?? "info"
        let formatText = self.string("LOG_FORMAT") ?? "text"
        let level = Logger.Level(rawValue: levelText.lowercased())
        let format = LogFormat(rawValue: formatText.lowercased())
        if level == nil { self.faults.append("LOG_LEVEL: '\(levelText)' is not a log level") }
        if format == nil { self.faults.append("LOG_FORMAT: '\(formatText)' is neither text nor json") }
        return (level ?? .info, format ?? .text)
    }

    mutating func database(applicationName: String) -> PostgresConfiguration? {
        let uri = self.string("DATABASE_URL") ?? "postgresql://localhost/call_scheduler"
        do {
            var configuration = try PostgresConfiguration(uri: uri)
            configuration.applicationName = applicationName
            configuration.maximumConnections = self.number("DATABASE_MAX_CONNECTIONS", 1...100, default: 8)
            configuration.statementTimeout = .seconds(
                self.number("DATABASE_STATEMENT_TIMEOUT_SECONDS", 1...3600, default: 60)
            )
            return configuration
        } catch {
            self.faults.append("DATABASE_URL: \(error.message)")
            return nil
        }
    }

    mutating func broker() -> AMQPConfiguration? {
        do {
            return try AMQPConfiguration(uri: self.string("AMQP_URL") ?? "amqp://guest:guest@localhost:5672/")
        } catch {
            self.faults.append("AMQP_URL: \(error.message)")
            return nil
        }
    }

    /// The key under which erased numbers are recognised; nil when it is not set, or at fault.
    mutating func suppressionKey() -> SuppressionKey? {
        guard let secret = self.string("SUPPRESSION_KEY"), !secret.isEmpty else { return nil }
        guard secret.utf8.count >= 16 else {
            self.faults.append("SUPPRESSION_KEY: has \(secret.utf8.count) characters; 16 are the least")
            return nil
        }
        return SuppressionKey(secret: secret)
    }

    mutating func health() -> (host: String, port: Int) {
        (self.string("HEALTH_HOST") ?? "127.0.0.1", self.number("HEALTH_PORT", 0...65_535, default: 0))
    }

    mutating func selector() -> SelectorConfiguration {
        var configuration = SelectorConfiguration()
        configuration.interval = .seconds(self.number("SELECTOR_INTERVAL_SECONDS", 0.1...86_400, default: 60))
        configuration.batchSize = self.number("SELECTOR_BATCH_SIZE", 1...5000, default: 50)
        configuration.queueDepth = self.number("SELECTOR_QUEUE_DEPTH", 1...100_000, default: 100)
        configuration.claimLease = .seconds(self.number("SELECTOR_CLAIM_TTL_SECONDS", 5.0...86_400, default: 300))
        return configuration
    }

    mutating func dialer() -> DialerConfiguration {
        let random = String(UInt32.random(in: 0...UInt32.max), radix: 36)
        var configuration = DialerConfiguration(
            id: self.string("DIALER_ID") ?? "\(ProcessInfo.processInfo.hostName)-\(random)"
        )
        if !(1...100 ~= configuration.id.utf8.count) {
            self.faults.append("DIALER_ID: must have 1 to 100 characters")
        }
        configuration.trunk = self.string("DIALER_TRUNK") ?? "default"
        configuration.maximumConcurrentCalls = self.number("DIALER_MAX_CONCURRENT_CALLS", 1...20_000, default: 10)
        configuration.callsPerSecond = self.number("DIALER_CALLS_PER_SECOND", 0.01...10_000, default: 1)
        configuration.margin = .seconds(self.number("DIALER_CALL_MARGIN_SECONDS", 1.0...3600, default: 60))
        configuration.failureBackOff = .seconds(
            self.number("DIALER_FAILURE_BACKOFF_SECONDS", 0.0...86_400, default: 60)
        )
        configuration.breakerThreshold = self.number("DIALER_BREAKER_FAILURES", 1...20, default: 5)
        configuration.breakerPause = .seconds(self.number("DIALER_BREAKER_PAUSE_SECONDS", 0.1...3600, default: 15))
        return configuration
    }

    mutating func recorder() -> RecorderConfiguration {
        var configuration = RecorderConfiguration()
        configuration.batchSize = self.number("RECORDER_BATCH_SIZE", 1...1000, default: 500)
        return configuration
    }

    mutating func webhooks() -> WebhookConfiguration {
        var configuration = WebhookConfiguration()
        configuration.host = self.string("WEBHOOK_HOST") ?? "127.0.0.1"
        configuration.port = self.number("WEBHOOK_PORT", 0...65_535, default: 8080)
        configuration.requestsAtOnce = self.number("WEBHOOK_REQUESTS_AT_ONCE", 1...10_000, default: 500)
        configuration.refusalsPerMinute = self.number("WEBHOOK_REFUSALS_PER_MINUTE", 0...10_000, default: 60)
        configuration.proxies = self.number("WEBHOOK_PROXIES", 0...5, default: 0)
        configuration.outcomeTokens = Self.outcomeTokens.compactMap { self.string($0) }.filter { !$0.isEmpty }
        for token in configuration.outcomeTokens {
            if let fault = Self.faultInOutcomeToken(token) { self.faults.append("WEBHOOK_OUTCOME_TOKEN: \(fault)") }
        }
        return configuration
    }

    /// The settings with tokens for interviews' outcomes.
    static let outcomeTokens = ["WEBHOOK_OUTCOME_TOKEN", "WEBHOOK_PREVIOUS_OUTCOME_TOKEN"]

    static func faultInOutcomeToken(_ token: String) -> String? {
        token.utf8.count < 16 ? "has \(token.utf8.count) characters; 16 are the least" : nil
    }

    mutating func provider() -> TwilioConfiguration? {
        let name = self.string("PROVIDER") ?? "twilio"
        guard name == "twilio" else {
            self.faults.append("PROVIDER: '\(name)' is unknown; twilio is known")
            return nil
        }
        let faultsBefore = self.faults.count
        let accountSID = self.required("TWILIO_ACCOUNT_SID")
        let authToken = self.required("TWILIO_AUTH_TOKEN")
        let publicURL = self.required("WEBHOOK_PUBLIC_URL")
        let timeout = self.number("TWILIO_REQUEST_TIMEOUT_SECONDS", 0.1...120, default: 30)
        guard self.faults.count == faultsBefore else { return nil }
        do {
            return try TwilioConfiguration(
                accountSID: accountSID,
                authToken: authToken,
                baseURL: self.string("TWILIO_BASE_URL") ?? "https://api.twilio.com",
                callbackBaseURL: publicURL,
                apiKeySID: self.string("TWILIO_API_KEY_SID"),
                apiKeySecret: self.string("TWILIO_API_KEY_SECRET"),
                previousAuthToken: self.string("TWILIO_PREVIOUS_AUTH_TOKEN"),
                requestTimeout: .seconds(timeout)
            )
        } catch {
            self.faults.append("\(error)")
            return nil
        }
    }
}

/// Settings that cannot be used: exit code 78.
struct ConfigurationFault: Error, CustomStringConvertible {
    let faults: [String]

    var description: String { self.faults.joined(separator: "\n") }
}
