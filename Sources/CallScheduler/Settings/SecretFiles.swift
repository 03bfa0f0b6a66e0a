// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Observability
import ServiceLifecycle
import Telephony
import Webhooks

/// Reads files with tokens again when they change, so that tokens are rotated without a restart.
struct SecretFiles: Service {
    private struct Watched {
        let file: Settings.ValueFile
        /// Takes the former value and the new one.
        let renew: @Sendable (String, String) throws -> Void
    }

    private static let interval = Duration.seconds(1)

    private let watched: [Watched]
    private let logger: Logger

    /// - Returns: nil when there is nothing to watch.
    init?(_ settings: RoleProcess.RoleSettings, outcomes: OutcomeTokens?, logger: Logger) {
        let provider = settings.provider
        self.watched = settings.valueFiles.compactMap { file in
            if let provider, let secret = TwilioConfiguration.RenewableSecret(rawValue: file.name) {
                return Watched(file: file) { try provider.renew(secret, $1) }
            }
            if let outcomes, Settings.outcomeTokens.contains(file.name) {
                return Watched(file: file) { former, value in
                    if let fault = Settings.faultInOutcomeToken(value) {
                        throw ConfigurationFault(faults: ["\(file.name): \(fault)"])
                    }
                    outcomes.renew(former, by: value)
                }
            }
            return nil
        }
        self.logger = logger
        if self.watched.isEmpty { return nil }
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var last = self.watched.map(\.file.value)
            while !Task.isCancelled {
                for (index, watched) in self.watched.enumerated() {
                    // A file that is not there, or empty, is being written.
                    guard let content = try? String(contentsOfFile: watched.file.path, encoding: .utf8) else {
                        continue
                    }
                    let value = content.trimmingCharacters(in: .whitespacesAndNewlines)
                    guard !value.isEmpty, value != last[index] else { continue }
                    self.renew(watched, last[index], value)
                    last[index] = value
                }
                // Looked at, not watched: mounted secrets are replaced by a link in a folder above them.
                try? await Task.sleep(for: Self.interval)
            }
        }
    }

    private func renew(_ watched: Watched, _ former: String, _ value: String) {
        do {
            try watched.renew(former, value)
            self.logger.notice(
                "A secret was renewed",
                metadata: .keys([.reason: "\(watched.file.name)_FILE has changed"])
            )
        } catch {
            self.logger.error(
                "A changed secret cannot be used; the former one stays",
                metadata: .keys([.error: "\(error)"])
            )
        }
    }
}
