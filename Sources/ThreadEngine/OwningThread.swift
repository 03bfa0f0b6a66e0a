// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A thread that owns a connection of a C library for as long as it runs. Its own, and not one of those that tasks share: the
/// library blocks.
public enum OwningThread {
    /// Starts a thread.
    /// - Parameters:
    ///   - name: As tools that list threads show it.
    ///   - body: What it does; the thread ends with it.
    public static func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
        let thread = Thread(block: body)
        thread.name = name
        thread.start()
    }
}
