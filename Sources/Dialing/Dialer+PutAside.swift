// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallStore
import Foundation
import Logging
import Metrics
import Observability

extension Dialer {
    /// The statement that would make this one attempt fails, and would for ever: it must not hold a line. Its contact goes
    /// back and rests for a while. Only a request whose values are wrong is dead-lettered.
    func putAside(
        _ reservation: consuming Reservation,
        reason: String,
        isOfItsValues: Bool,
        logger: Logger
    ) async {
        self.metrics.putAside.increment()
        logger.error("A request's statement fails; it is put aside", metadata: .keys([.error: reason]))
        let wish = Self.wish(reservation.request)
        do {
            try await self.store.putBack(wish, backOff: self.configuration.putAsideBackOff)
        } catch {
            // Then the claim's lease ends by itself, and the contact goes back without a rest.
            logger.warning("A contact waits for its claim's end", metadata: .keys([.error: "\(error)"]))
        }
        reservation.end(isOfItsValues ? .reject : .ack)
    }
}
