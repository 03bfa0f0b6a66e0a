// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import Foundation
import Schemas
import Selection
import Telephony
import TestBasics
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct ContractTests {
    @Test("the messages that the roles really send satisfy their schemas and hold no personal data")
    func realMessages() async throws {
        try await House.run { house in
            let copies = ["copy.dial", "copy.events", "copy.surveys"]
            var topology = AMQPTopology()
            for copy in copies { topology.queue(copy, kind: .classic, durable: false) }
            topology.bind(queue: copies[0], exchange: CallTopology.dialExchange, routingKey: "default")
            topology.bind(queue: copies[1], exchange: CallTopology.callEvents, routingKey: CallTopology.callEvents)
            topology.bind(queue: copies[2], exchange: CallTopology.surveyEvents, routingKey: "#")
            try await house.publisher.declare(topology)
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 5) { $0.maximumAttempts = 1 }
            _ = try await house.selector().pass()
            let provider = ScriptedProvider()
            try await house.withRecorder {
                try await house.withDialer(provider: provider) { _ in
                    try await eventually("placements") { provider.placements.count == 5 }
                    for (index, request) in provider.placements.enumerated() {
                        try await house.report(index.isMultiple(of: 2) ? .completed : .busy, request.callID)
                    }
                    let outcome = SurveyOutcomeReport(
                        callID: provider.placements[0].callID,
                        outcome: .completed,
                        occurredAt: Date()
                    )
                    let publication = CallMessages.publication(of: outcome)
                    try await house.publisher.publish(
                        publication.message,
                        exchange: publication.exchange,
                        routingKey: publication.routingKey
                    )
                    try await eventually("survey events") {
                        try await house.count("published_at is not null", in: "survey_events") == 5
                    }
                }
            }
            for copy in copies {
                var seen = 0
                while let delivery = try await house.publisher.get(copy) {
                    seen += 1
                    let type = try #require(delivery.message.type)
                    let schema = try #require(Schemas.messages[type])
                    let faults = try SchemaCheck(schema: schema).faults(in: delivery.message.body)
                    #expect(faults.isEmpty, "\(type): \(faults)")
                    #expect(delivery.message.contentType == "application/json")
                    #expect(delivery.message.messageID != nil)
                    #expect(delivery.message.timestamp != nil)
                    #expect(!String(decoding: delivery.message.body, as: UTF8.self).contains("+1999"))
                }
                #expect(seen == (copy == "copy.events" ? 6 : 5), "\(copy)")
            }
        }
    }

    @Test(
        "the check itself can fail",
        arguments: [
            "{}", #"{"event_id":"x","call_id":"x","status":"completed","occurred_at":"today"}"#,
            #"{"event_id":"01890a5d-ac96-774b-bcce-b302099a8057","call_id":"01890a5d-ac96-774b-bcce-b302099a8057","status":"gone","occurred_at":"2026-11-23T10:00:00.000Z"}"#,
        ]
    )
    func checkFails(body: String) throws {
        let schema = try #require(Schemas.messages[CallEvent.messageType])
        #expect(try !SchemaCheck(schema: schema).faults(in: Array(body.utf8)).isEmpty)
    }
}

/// Checks JSON against the part of JSON Schema that the project's schemas use; an unknown keyword is an error.
struct SchemaCheck {
    private let schema: [String: Any]

    private struct Unknown: Error {
        let keyword: String
    }

    init(schema: String) throws {
        let object = try JSONSerialization.jsonObject(with: Data(schema.utf8))
        self.schema = object as? [String: Any] ?? [:]
    }

    func faults(in body: [UInt8]) throws -> [String] {
        try Self.faults(in: JSONSerialization.jsonObject(with: Data(body)), schema: self.schema, path: "$")
    }

    private static func faults(in value: Any, schema: [String: Any], path: String) throws -> [String] {
        var faults: [String] = []
        for (keyword, rule) in schema {
            switch (keyword, rule) {
            case ("$schema", _), ("$id", _), ("title", _), ("description", _):
                continue
            case ("type", let type as String):
                if !Self.isType(value, type) { faults.append("\(path) is no \(type)") }
            case ("required", let names as [String]):
                let present = (value as? [String: Any] ?? [:]).keys
                faults += names.filter { !present.contains($0) }.map { "\(path).\($0) is missing" }
            case ("properties", let properties as [String: [String: Any]]):
                for (name, content) in value as? [String: Any] ?? [:] {
                    guard let property = properties[name] else { continue }
                    faults += try Self.faults(in: content, schema: property, path: "\(path).\(name)")
                }
            case ("additionalProperties", false as Bool):
                let known = schema["properties"] as? [String: Any] ?? [:]
                faults += (value as? [String: Any] ?? [:]).keys.filter { known[$0] == nil }
                    .map { "\(path).\($0) is unknown" }
            case ("items", let item as [String: Any]):
                for (index, element) in (value as? [Any] ?? []).enumerated() {
                    faults += try Self.faults(in: element, schema: item, path: "\(path)[\(index)]")
                }
            case ("minItems", let bound as Int):
                if (value as? [Any] ?? []).count < bound { faults.append("\(path) has too few") }
            case ("pattern", let pattern as String):
                let isMatch = (value as? String ?? "").range(of: pattern, options: .regularExpression) != nil
                if !isMatch { faults.append("\(path) is not like \(pattern)") }
            case ("format", "date" as String):
                if BlockedDates.date(value as? String ?? "") == nil { faults.append("\(path) is no date") }
            case ("enum", let allowed as [String]):
                if !allowed.contains(value as? String ?? "") { faults.append("\(path) is none of \(allowed)") }
            case ("format", "uuid" as String):
                if UUID(uuidString: value as? String ?? "") == nil { faults.append("\(path) is no UUID") }
            case ("format", "date-time" as String):
                let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
                if (try? Date(value as? String ?? "", strategy: style)) == nil { faults.append("\(path) is no time") }
            case ("minimum", let bound as Int):
                if (value as? Int ?? .min) < bound { faults.append("\(path) is below \(bound)") }
            case ("maximum", let bound as Int):
                if (value as? Int ?? .max) > bound { faults.append("\(path) is above \(bound)") }
            case ("minLength", let bound as Int):
                if (value as? String ?? "").count < bound { faults.append("\(path) is too short") }
            case ("maxLength", let bound as Int):
                if (value as? String ?? "").count > bound { faults.append("\(path) is too long") }
            default:
                throw Unknown(keyword: keyword)
            }
        }
        return faults
    }

    private static func isType(_ value: Any, _ type: String) -> Bool {
        switch type {
        case "object": value is [String: Any]
        case "string": value is String
        case "array": value is [Any]
        case "boolean": value is Bool
        case "integer": value is Int
        default: false
        }
    }
}
