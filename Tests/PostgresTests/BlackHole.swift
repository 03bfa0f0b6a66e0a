// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestBasics

/// A port that takes connections and never answers, or does not even take them.
final class BlackHole {
    enum Kind: CaseIterable {
        /// The connection is made, and then nothing is said.
        case silent
        /// Requests to connect are dropped, as a firewall or a host that is off does.
        case dropping
    }

    struct NoSocket: Error {}

    let port: Int
    private var descriptors: [Int32]

    /// - Parameters:
    ///   - kind: What it does.
    ///   - address: Where, of loopback.
    ///   - port: Which port; 0 for any.
    /// - Throws: `NoSocket`.
    init(_ kind: Kind, address: String = "127.0.0.1", port: Int = 0) throws {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(address, "\(port)", &hints, &found) == 0, let place = found?.pointee else { throw NoSocket() }
        defer { freeaddrinfo(found) }
        let listener = socket(place.ai_family, place.ai_socktype, 0)
        self.descriptors = [listener]
        var bound = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let isListening = withUnsafeMutablePointer(to: &bound) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
                bind(listener, place.ai_addr, place.ai_addrlen) == 0
                    && listen(listener, kind == .silent ? 100 : 0) == 0 && getsockname(listener, name, &size) == 0
            }
        }
        guard isListening else { throw NoSocket() }
        // The port is at the same place in both families.
        self.port = withUnsafeBytes(of: &bound) { Int($0[2]) << 8 | Int($0[3]) }
        _ = fcntl(listener, F_SETFL, O_NONBLOCK)
        guard kind == .dropping else { return }
        // Fills the queue; the kernel drops what comes then.
        for _ in 0..<3 {
            let client = socket(place.ai_family, place.ai_socktype, 0)
            _ = fcntl(client, F_SETFL, O_NONBLOCK)
            _ = withUnsafePointer(to: &bound) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(client, $0, size) }
            }
            self.descriptors.append(client)
        }
    }

    /// How many have connected, since the last time that this was asked.
    func visitors() -> Int {
        var count = 0
        while case let visitor = accept(self.descriptors[0], nil, nil), visitor >= 0 {
            // Closed, it would be an answer.
            self.descriptors.append(visitor)
            count += 1
        }
        return count
    }

    deinit { for descriptor in self.descriptors { close(descriptor) } }
}
