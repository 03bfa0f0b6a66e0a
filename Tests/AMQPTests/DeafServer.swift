// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// Takes connections and closes them at once, without a word.
final class DeafServer: Sendable {
    let port: Int
    private let descriptor: Int32
    private let count = Mutex(0)

    /// How many connections it has had.
    var callers: Int { self.count.withLock { $0 } }

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                guard bind(descriptor, generic, length) == 0, listen(descriptor, 16) == 0,
                    getsockname(descriptor, generic, &length) == 0
                else { throw POSIXError(.EADDRINUSE) }
            }
        }
        self.port = Int(UInt16(bigEndian: address.sin_port))
        self.descriptor = descriptor
        Thread.detachNewThread { [self] in
            while true {
                let caller = accept(descriptor, nil, nil)
                guard caller >= 0 else { return }
                self.count.withLock { $0 += 1 }
                close(caller)
            }
        }
    }

    /// Ends it.
    func stop() { shutdown(self.descriptor, Int32(SHUT_RDWR)) }
}
