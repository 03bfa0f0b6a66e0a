// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import Foundation

/// One message of the Recorder's queue.
struct RecorderInput: Sendable {
    let delivery: AMQPDelivery
    /// What the provider or a dialer says.
    let callEvent: CallEvent?
    /// What conducted the interview says.
    let surveyOutcome: SurveyOutcomeReport?

    /// The call that it is about.
    var callID: UUID? { self.callEvent?.callID ?? self.surveyOutcome?.callID }

    /// - Throws: `MessageFault` when it is poison.
    init(_ delivery: AMQPDelivery) throws(MessageFault) {
        self.delivery = delivery
        if delivery.message.type == SurveyOutcomeReport.messageType {
            self.callEvent = nil
            self.surveyOutcome = try CallMessages.decode(
                SurveyOutcomeReport.self,
                from: delivery,
                as: SurveyOutcomeReport.messageType
            )
        } else {
            self.callEvent = try CallMessages.decode(CallEvent.self, from: delivery, as: CallEvent.messageType)
            self.surveyOutcome = nil
        }
    }
}
