// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation

/// A dead letter as people and machines see it; without its body, which may hold anything.
struct DeadLetterView: Encodable, Sendable {
    let id: String
    let kind: String
    let reason: String
    let callID: String?
    let since: Date?
    let ageSeconds: Int?
    let queue: String?
    let exchange: String?
    let routingKey: String
    let messageType: String?
    let messageID: String?
    let bodySize: Int

    /// - Parameters:
    ///   - letter: The letter.
    ///   - errorCode: What the call's attempt says of the provider's refusal.
    ///   - now: The present.
    init(_ letter: DeadLetter, errorCode: String?, now: Date) {
        self.id = letter.id
        self.kind = letter.kind.rawValue
        self.reason = letter.reason + (letter.kind == .notPlaced ? errorCode.map { ": " + $0 } ?? "" : "")
        self.callID = letter.callID?.lowercased
        self.since = letter.since
        self.ageSeconds = letter.since.map { max(0, Int(now.timeIntervalSince($0))) }
        self.queue = letter.queue.map(Self.printable)
        self.exchange = letter.exchange.map(Self.printable)
        self.routingKey = Self.printable(letter.routingKey)
        self.messageType = letter.messageType.map(Self.printable)
        self.messageID = letter.messageID.map(Self.printable)
        self.bodySize = letter.body.count
    }

    /// Strangers can name things so that a terminal obeys.
    private static func printable(_ text: String) -> String {
        String(text.unicodeScalars.prefix(200).map { $0.properties.generalCategory == .control ? "?" : Character($0) })
    }

    private var age: String {
        guard let seconds = self.ageSeconds else { return "–" }
        return switch seconds {
        case ..<120: "\(seconds) s"
        case ..<7200: "\(seconds / 60) min"
        case ..<172_800: "\(seconds / 3600) h"
        default: "\(seconds / 86_400) d"
        }
    }

    static func print(_ views: [DeadLetterView]) {
        guard !views.isEmpty else {
            Console.line("no dead letters")
            return
        }
        Console.table(
            ["ID", "KIND", "#AGE", "CALL", "REASON"],
            views.map { [$0.id, $0.kind, $0.age, $0.callID ?? "–", $0.reason] }
        )
        Console.line()
        let kinds = Dictionary(grouping: views, by: \.kind).sorted { $0.key < $1.key }
        Console.line("\(views.count) in all: " + kinds.map { "\($0.value.count) \($0.key)" }.joined(separator: ", "))
    }

    func printAll() {
        for (name, value) in [
            ("id", self.id), ("kind", self.kind), ("reason", self.reason), ("call", self.callID ?? "–"),
            ("since", self.since.map { $0.formatted(.iso8601) } ?? "–"), ("age", self.age),
            ("queue", self.queue ?? "–"), ("exchange", self.exchange ?? "–"), ("routing key", self.routingKey),
            ("type", self.messageType ?? "–"), ("message id", self.messageID ?? "–"),
            ("body", "\(self.bodySize) bytes"),
        ] {
            Console.line(name.padding(toLength: 13, withPad: " ", startingAt: 0) + value)
        }
        Console.line()
    }
}

extension CommonOptions {
    /// Where the broker is.
    func broker() throws -> AMQPConfiguration {
        var settings = try self.settings()
        let broker = settings.broker()
        try settings.check()
        guard let broker else { throw ConfigurationFault(faults: settings.faults) }
        return broker
    }

    /// Letters with what the database knows of their calls. Dead letters can be looked at while it is away, too.
    func views(of letters: [DeadLetter]) async -> [DeadLetterView] {
        let calls = letters.filter { $0.kind == .notPlaced }.compactMap(\.callID)
        var codes: [UUID: String] = [:]
        if !calls.isEmpty {
            do {
                codes = try await self.withStore { try await $0.errorCodes(of: calls) }
            } catch {
                Console.note("what the provider answered is not shown: \(Failure.describe(error).1)")
            }
        }
        let now = Date()
        return letters.map { letter in
            DeadLetterView(letter, errorCode: letter.callID.flatMap { codes[$0] }, now: now)
        }
    }
}
