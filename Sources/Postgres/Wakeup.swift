// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CLibPQ
import Foundation
import NIOConcurrencyHelpers

/// An eventfd with which other threads wake a connection's thread.
final class Wakeup: Sendable {
    private let descriptor: Int32

    init() { self.descriptor = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC)) }

    deinit { close(self.descriptor) }

    func wake() {
        var one: UInt64 = 1
        _ = write(self.descriptor, &one, 8)
    }

    /// Waits; true when the socket is ready. Without a socket, waits to be woken only.
    func wait(socket: Int32, events: Int32, timeout: Int32) -> Bool {
        var descriptors = [
            pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: socket, events: Int16(events), revents: 0),
        ]
        guard poll(&descriptors, 2, timeout) > 0 else { return false }
        if descriptors[0].revents != 0 {
            var drained: UInt64 = 0
            _ = read(self.descriptor, &drained, 8)
        }
        return descriptors[1].revents != 0
    }
}

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
