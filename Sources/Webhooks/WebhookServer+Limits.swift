// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird
import Logging
import Metrics

extension WebhookServer {
    /// Who asks, as far as the head of a request tells.
    enum Caller {
        /// Its token is valid.
        case known
        /// It brings a signature, right or wrong.
        case signed
        case stranger
    }

    /// An answer, and whether the request was from whom we wait for.
    struct Heard {
        let response: Response
        let isGenuine: Bool

        init(_ response: Response, isGenuine: Bool = false) {
            self.response = response
            self.isGenuine = isGenuine
        }
    }

    /// Handles a request unless there are too many, or too many bad ones from where it came.
    ///
    /// What is genuine is never limited: a stranger may come from the same address, through a proxy or a NAT, and reports
    /// that are turned away may be lost. A signature can be told only by reading the body; so whoever brings one is read.
    func limited(
        _ request: Request,
        _ context: WebhookContext,
        caller: Caller,
        _ handle: (_ bodyLimit: Duration) async -> Heard
    ) async -> Response {
        if self.configuration.proxies == 0, request.isForwarded { self.noteForwarding() }
        let address = request.clientAddress(proxies: self.configuration.proxies, connection: context.remoteAddress)
        let isLimited = !self.limits.mayAsk(address, now: self.now())
        if isLimited, caller == .stranger { return self.turnAway(.tooManyRequests, result: .limited, after: 60) }
        let heard: Heard
        if self.limits.enter() {
            defer { self.limits.leave() }
            heard = await handle(self.configuration.bodyTimeout)
        } else if caller != .stranger, self.limits.enterSigned() {
            defer { self.limits.leaveSigned() }
            // The provider sends head and body together.
            heard = await handle(min(.seconds(2), self.configuration.bodyTimeout))
        } else {
            return self.turnAway(.serviceUnavailable, result: .overloaded, after: 1)
        }
        guard !heard.isGenuine, (400...499).contains(heard.response.status.code) else { return heard.response }
        self.limits.refused(address, now: self.now())
        return isLimited ? self.turnAway(.tooManyRequests, result: .limited, after: 60) : heard.response
    }

    /// Refusals are then held against the proxy, and strangers behind it keep out those who are refused for a typing error.
    private func noteForwarding() {
        self.metrics.unexpectedForwarding.increment()
        guard self.limits.isFirstForwarding() else { return }
        self.logger.warning(
            "Requests come through a proxy (X-Forwarded-For) and WEBHOOK_PROXIES is 0: set it to the number of proxies"
        )
    }

    /// Without a log line: whoever floods us shall not flood the log.
    private func turnAway(_ status: HTTPResponse.Status, result: WebhookMetrics.Result, after seconds: Int) -> Response
    {
        self.metrics.count(result)
        return Self.comeAgain(status, after: seconds)
    }
}
