// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import AMQP
public import CallModel
import Foundation
public import Tracing

/// Wraps the product's messages for the broker and unwraps them.
public enum CallMessages {
    /// A dial request, ready to be published to its trunk.
    public static func publication(
        of request: DialRequest,
        trunk: String,
        context: InstrumentationContext = .topLevel
    ) -> AMQPPublication {
        AMQPPublication(
            message: Self.message(request, type: DialRequest.messageType, id: request.callID, context),
            exchange: CallTopology.dialExchange,
            routingKey: trunk,
            mandatory: true
        )
    }

    /// A report about a call, ready to be published.
    public static func publication(of event: CallEvent, context: InstrumentationContext = .topLevel) -> AMQPPublication
    {
        AMQPPublication(
            message: Self.message(event, type: CallEvent.messageType, id: event.eventID, context),
            exchange: CallTopology.callEvents,
            routingKey: CallTopology.callEvents,
            mandatory: true
        )
    }

    /// What conducted an interview says of it, ready to be published; it goes where the reports about calls go.
    public static func publication(
        of report: SurveyOutcomeReport,
        context: InstrumentationContext = .topLevel
    ) -> AMQPPublication {
        AMQPPublication(
            message: Self.message(report, type: SurveyOutcomeReport.messageType, id: report.eventID, context),
            exchange: CallTopology.callEvents,
            routingKey: CallTopology.callEvents,
            mandatory: true
        )
    }

    /// The end of a contact's story, ready to be published; not mandatory, because nobody needs to listen.
    public static func publication(
        of event: SurveyEvent,
        context: InstrumentationContext = .topLevel
    ) -> AMQPPublication {
        AMQPPublication(
            message: Self.message(event, type: SurveyEvent.messageType, id: event.eventID, context),
            exchange: CallTopology.surveyEvents,
            routingKey: event.kind.routingKey,
            mandatory: false
        )
    }

    /// A hint to a dialer, ready to be published; lost when the dialer is gone.
    public static func publication(of hint: CallEndedHint, dialerID: String) -> AMQPPublication {
        var message = Self.message(hint, type: CallEndedHint.messageType, id: hint.callID, .topLevel)
        message.isPersistent = false
        return AMQPPublication(
            message: message,
            exchange: CallTopology.callEnded,
            routingKey: dialerID,
            mandatory: false
        )
    }

    /// Reads a delivered message.
    /// - Throws: `MessageFault` when it is poison.
    public static func decode<Message: FlatMessage>(
        _ type: Message.Type,
        from delivery: AMQPDelivery,
        as messageType: String
    ) throws(MessageFault) -> Message {
        try MessageCoding.decode(
            type,
            from: delivery.message.body,
            messageType: delivery.message.type,
            expectedType: messageType
        )
    }

    private static func message(
        _ content: some FlatMessage,
        type: String,
        id: UUID,
        _ context: InstrumentationContext = .topLevel
    ) -> AMQPMessage {
        var message = AMQPMessage(body: MessageCoding.encode(content))
        message.contentType = "application/json"
        message.type = type
        message.messageID = id.lowercased
        message.timestamp = Date()
        message.appID = "call-scheduler"
        Self.write(context, into: &message.headers)
        return message
    }
}
