// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ServiceLifecycle

/// Holds something open until everything after it has stopped.
struct ClosingService: Service {
    let close: @Sendable () async -> Void

    func run() async throws {
        try? await gracefulShutdown()
        await self.close()
    }
}
