// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CLibPQ
import Foundation
import NIOConcurrencyHelpers

/// Sends one cancel request on a thread of its own: `PQcancel` blocks.
final class Canceller: Sendable {
    private let finished = ConditionLock(value: false)

    init(pointer: OpaquePointer) {
        guard let handle = PQgetCancel(pointer) else {
            self.finished.lock()
            self.finished.unlock(withValue: true)
            return
        }
        let address = UInt(bitPattern: handle)
        let finished = self.finished
        Thread.detachNewThread {
            if let handle = OpaquePointer(bitPattern: address) {
                var problem = [CChar](repeating: 0, count: 256)
                _ = PQcancel(handle, &problem, Int32(problem.count))
                PQfreeCancel(handle)
            }
            finished.lock()
            finished.unlock(withValue: true)
        }
    }

    /// Whether the request has been handed over, or could not be.
    var isFinished: Bool {
        guard self.finished.lock(whenValue: true, timeoutSeconds: 0) else { return false }
        self.finished.unlock()
        return true
    }

    /// Waits until the request has been handed over, within limits: a frozen server never takes it.
    func wait() {
        if self.finished.lock(whenValue: true, timeoutSeconds: 5) { self.finished.unlock() }
    }
}

/// Null-terminated arrays of C strings, as libpq takes them.
enum CStrings {
    static func with<R>(_ strings: [String], _ body: ([UnsafePointer<CChar>?]) -> R) -> R {
        let copies = strings.map { strdup($0) }
        defer { copies.forEach { free($0) } }
        return body(copies.map { UnsafePointer($0) } + [nil])
    }
}
