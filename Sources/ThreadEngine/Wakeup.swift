// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CEventFD
import Foundation

/// An eventfd with which other threads wake the one that waits for a socket.
final class Wakeup: Sendable {
    private let descriptor: Int32

    init() {
        self.descriptor = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
    }

    deinit {
        close(self.descriptor)
    }

    func wake() {
        var one: UInt64 = 1
        _ = write(self.descriptor, &one, 8)
    }

    func drain() {
        var drained: UInt64 = 0
        _ = read(self.descriptor, &drained, 8)
    }

    /// Waits until woken or until the socket is ready; being woken is used up.
    func wait(socket: Int32, events: Int32, milliseconds: Int32) -> (isWoken: Bool, isReady: Bool) {
        var descriptors = [
            pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: socket, events: Int16(events), revents: 0),
        ]
        guard poll(&descriptors, 2, milliseconds) > 0 else { return (false, false) }
        let isWoken = descriptors[0].revents != 0
        if isWoken { self.drain() }
        return (isWoken, descriptors[1].revents != 0)
    }
}
