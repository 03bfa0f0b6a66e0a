// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import Recording
import Selection
import Telephony
import TestBasics
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct RecorderTests {
    @Test("the end of a contact's story is published once it is committed, and noted as published")
    func surveyEvents() async throws {
        try await House.run { house in
            let topic = try await Self.listen(house)
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 3)
            _ = try await house.selector().pass()
            let provider = ScriptedProvider()
            try await house.withRecorder {
                try await house.withDialer(provider: provider) { _ in
                    try await eventually("placements") { provider.placements.count == 3 }
                    for request in provider.placements { try await house.report(.completed, request.callID) }
                    try await eventually("all are published") {
                        try await house.count("published_at is not null", in: "survey_events") == 3
                    }
                }
            }
            #expect(try await house.publisher.queueStatus(topic).messagesReady == 3)
            let delivery = try await house.publisher.get(topic)
            #expect(delivery?.routingKey == "survey.completed")
            #expect(delivery?.message.type == SurveyEvent.messageType)
        }
    }

    /// A queue that gets what is told of surveys.
    private static func listen(_ house: House) async throws -> String {
        let topic = "test.survey"
        var topology = CallTopology.surveys()
        topology.queue(topic, kind: .classic, durable: false)
        topology.bind(queue: topic, exchange: CallTopology.surveyEvents, routingKey: "survey.*")
        try await house.publisher.declare(topology)
        return topic
    }

    @Test("events that a crash left in the outbox are published by the next recorder")
    func outbox() async throws {
        try await House.run { house in
            try await house.scratch.execute(
                """
                insert into survey_events (kind, call_id, contact_id, campaign_id, attempts, occurred_at)
                select 'completed', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, now() - interval '1 hour'
                from generate_series(1, 5)
                """
            )
            let topic = try await Self.listen(house)
            try await house.withRecorder {
                try await eventually("the outbox is empty") {
                    try await house.count("published_at is null", in: "survey_events") == 0
                }
            }
            #expect(try await house.publisher.queueStatus(topic).messagesReady == 5)
        }
    }

    @Test("poison is dead-lettered, and what the database refuses does not hold up the rest")
    func poison() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            _ = try await house.selector().pass()
            let provider = ScriptedProvider()
            try await house.withDialer(provider: provider) { _ in
                try await eventually("the placement") { provider.placements.count == 1 }
                let callID = provider.placements[0].callID
                var event = CallEvent(callID: callID, status: .ringing, occurredAt: Date())
                event.providerCallID = "zero\0byte"
                let bad = CallMessages.publication(of: event)
                var garbage = AMQPMessage(body: Array("{".utf8))
                garbage.type = CallEvent.messageType
                for message in [garbage, bad.message] {
                    try await house.publisher.publish(message, exchange: bad.exchange, routingKey: bad.routingKey)
                }
                try await house.report(.completed, callID)
                try await house.withRecorder {
                    try await eventually("the good one is recorded") {
                        try await house.count("outcome = 'completed'", in: "call_attempts") == 1
                    }
                    try await eventually("the others are dead") {
                        try await house.publisher.queueStatus(CallTopology.dead).messagesReady == 2
                    }
                }
            }
        }
    }
}
