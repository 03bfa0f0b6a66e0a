// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Foundation

/// Ends the process at once when it is told to stop for the second time.
final class SecondSignal: Sendable {
    private static let exitCode: Int32 = 143

    func watch() {
        let counter = DispatchQueue(label: "second-signal")
        for number in [SIGTERM, SIGINT] {
            let source = DispatchSource.makeSignalSource(signal: number, queue: counter)
            let count = Count()
            source.setEventHandler {
                count.value += 1
                if count.value > 1 { _exit(Self.exitCode) }
                // The handler keeps its source alive for the life of the process.
                _ = source
            }
            source.resume()
        }
    }

    /// Touched on the queue only.
    private final class Count {
        var value = 0
    }
}
