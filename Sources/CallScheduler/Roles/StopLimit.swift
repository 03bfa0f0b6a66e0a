// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Foundation
import Logging

/// Ends the process at once when it is told to stop for the second time, or when draining takes too long. That is safe
/// at any instant: a crash would do no more.
final class StopLimit: Sendable {
    private static let exitCode: Int32 = 143
    /// Longer than an orderly stop takes, and shorter than supervisors wait before they kill.
    private static let limit = DispatchTimeInterval.seconds(8)

    private static let lastWords = DispatchTimeInterval.milliseconds(200)

    private let logger: Logger

    init(logger: Logger) {
        self.logger = logger
    }

    func watch() {
        let queue = DispatchQueue(label: "stop-limit")
        let count = Count()
        for number in [SIGTERM, SIGINT] {
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler {
                count.value += 1
                if count.value > 1 { _exit(Self.exitCode) }
                queue.asyncAfter(deadline: .now() + Self.limit) {
                    // What keeps it may be whoever does not read its log: that must not keep this, too.
                    Thread.detachNewThread { self.logger.warning("Could not stop in time and ends at once") }
                    queue.asyncAfter(deadline: .now() + Self.lastWords) { _exit(Self.exitCode) }
                }
                // The handler keeps its source alive for the life of the process.
                _ = source
            }
            source.resume()
        }
    }

    /// Touched on the queue only.
    private final class Count: @unchecked Sendable {
        var value = 0
    }
}
