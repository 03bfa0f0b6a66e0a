// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import Foundation
import NIOCore
import Telephony
import Webhooks

extension DoctorCommand {
    /// Whether proxies stand in front of the webhooks of which the settings say nothing: what was seen, by the figures of
    /// the process whose health endpoint these settings name, and what must be so, because we speak no TLS ourselves.
    static func examineProxies(
        _ webhooks: WebhookConfiguration,
        provider: TwilioConfiguration?,
        health: (host: String, port: Int)
    ) async -> Finding? {
        guard webhooks.proxies == 0 else { return nil }
        let advice = "set WEBHOOK_PROXIES to the number of proxies that append to X-Forwarded-For"
        if let seen = await Self.unexpectedForwarding(health), seen > 0 {
            return Finding(
                check: "webhooks",
                ok: false,
                finding: "\(seen) request(s) came through a proxy (X-Forwarded-For), and WEBHOOK_PROXIES is 0",
                advice: advice
            )
        }
        guard let provider, provider.isCalledBackOverTLS else { return nil }
        return Finding(
            check: "webhooks",
            ok: true,
            finding:
                "WEBHOOK_PUBLIC_URL is https, which a proxy must take in front of the webhooks; WEBHOOK_PROXIES is 0",
            advice: advice
        )
    }

    /// The figure, when somebody tells it.
    private static func unexpectedForwarding(_ health: (host: String, port: Int)) async -> Int? {
        guard health.port > 0 else { return nil }
        let host = health.host.contains(":") ? "[\(health.host)]" : health.host
        let client = HTTPClient()
        let request = HTTPClientRequest(url: "http://\(host):\(health.port)/metrics")
        let text = try? await client.execute(request, timeout: .seconds(2)).body.collect(upTo: 4 << 20)
        try? await client.shutdown()
        return text.flatMap { Self.unexpectedForwarding(in: String(buffer: $0)) }
    }

    static func unexpectedForwarding(in metrics: String) -> Int? {
        let name = "call_scheduler_webhook_unexpected_forwarding_total "
        return metrics.split(separator: "\n").first { $0.hasPrefix(name) }
            .flatMap { Double($0.dropFirst(name.count)) }.map { Int($0) }
    }
}
