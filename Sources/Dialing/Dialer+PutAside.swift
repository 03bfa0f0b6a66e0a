// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallStore
import Foundation
import Logging
import Metrics
import Observability

extension Dialer {
    /// The statement that would make this one attempt fails, and would for ever: it must not hold a line. Its contact goes
    /// back and rests for a while. Only a request whose values are wrong is dead-lettered.
    func putAside(
        _ request: DialRequest,
        turn: Pace.Turn,
        delivery: AMQPDelivery,
        reason: String,
        isOfItsValues: Bool,
        logger: Logger
    ) async {
        self.metrics.putAside.increment()
        logger.error("A request's statement fails; it is put aside", metadata: .keys([.error: reason]))
        let wish = CallStore.AttemptRequest(
            callID: request.callID,
            contactID: request.contactID,
            expiresAt: request.expiresAt
        )
        do {
            try await self.store.putBack(wish, backOff: self.configuration.putAsideBackOff)
        } catch {
            // Then the claim's lease ends by itself, and the contact goes back without a rest.
            logger.warning("A contact waits for its claim's end", metadata: .keys([.error: "\(error)"]))
        }
        self.noCall(request.callID, turn)
        if isOfItsValues { self.reject(delivery) } else { self.ack(delivery) }
    }
}
