// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A wire to the broker that a test can cut, hold up, or break on one side only.
final class Relay: @unchecked Sendable {  // Everything that changes is under the lock.
    private struct Link {
        let client: Int32
        let server: Int32
        var isFrozen = false
    }

    private let lock = NSCondition()
    private var links: [Int: Link] = [:]
    private var accepted = 0
    private var sentToBroker = 0
    private var isHeld = false
    private var isOver = false
    private let listener: Int32
    private let target: Int
    /// Where it listens.
    let port: Int

    /// - Parameter target: The broker's loopback port.
    /// - Throws: When there is no port to listen on.
    init(to target: Int) throws {
        self.target = target
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = Self.address(port: 0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && listen(listener, 64) == 0 && getsockname(listener, $0, &size) == 0
            }
        }
        guard isBound else { throw POSIXError(.EADDRINUSE) }
        self.listener = listener
        self.port = Int(UInt16(bigEndian: address.sin_port))
        Thread.detachNewThread { self.accept() }
    }

    /// Connections so far.
    var connections: Int { self.lock.withLock { self.accepted } }

    /// Bytes that clients have sent so far.
    var bytesToBroker: Int { self.lock.withLock { self.sentToBroker } }

    /// Breaks all connections off.
    func cut() {
        self.lock.withLock { for link in self.links.values { shutdown(link.client, Int32(SHUT_RDWR)) } }
    }

    /// Passes nothing on until released; nothing breaks.
    func hold(_ isHeld: Bool) {
        self.lock.withLock {
            self.isHeld = isHeld
            self.lock.broadcast()
        }
    }

    /// Breaks the connections off for the client; the broker does not hear of it.
    func loseHalf() {
        self.lock.withLock {
            for (id, link) in self.links {
                self.links[id]?.isFrozen = true
                shutdown(link.client, Int32(SHUT_RDWR))
            }
        }
    }

    /// Lets the broker hear of what it missed.
    func loseRest() {
        self.lock.withLock {
            for id in self.links.keys { self.links[id]?.isFrozen = false }
            self.lock.broadcast()
        }
    }

    /// Listens no more.
    func close() {
        self.lock.withLock { self.isOver = true }
        self.hold(false)
        self.loseRest()
        self.cut()
        shutdown(self.listener, Int32(SHUT_RDWR))
    }

    private static func address(port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    private func accept() {
        while true {
            let client = Glibc.accept(self.listener, nil, nil)
            guard client >= 0, !self.lock.withLock({ self.isOver }) else { break }
            let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = Self.address(port: self.target)
            let isConnected = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            let id = self.lock.withLock {
                self.accepted += 1
                self.links[self.accepted] = Link(client: client, server: server)
                return self.accepted
            }
            if !isConnected { shutdown(client, Int32(SHUT_RDWR)) }
            let ends = DispatchGroup()
            for (from, to) in [(client, server), (server, client)] {
                ends.enter()
                Thread.detachNewThread {
                    self.pump(id, from, to)
                    ends.leave()
                }
            }
            ends.notify(queue: .global()) {
                _ = self.lock.withLock { self.links.removeValue(forKey: id) }
                Glibc.close(client)
                Glibc.close(server)
            }
        }
        Glibc.close(self.listener)
    }

    private func pump(_ id: Int, _ from: Int32, _ to: Int32) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var isOpen = true
        while isOpen {
            let count = recv(from, &buffer, buffer.count, 0)
            self.lock.withLock {
                while self.isHeld || self.links[id]?.isFrozen == true { self.lock.wait() }
                if from == self.links[id]?.client, count > 0 { self.sentToBroker += count }
            }
            var sent = 0
            while sent < count, isOpen {
                let written = buffer.withUnsafeBytes {
                    send(to, $0.baseAddress?.advanced(by: sent), count - sent, Int32(MSG_NOSIGNAL))
                }
                isOpen = written > 0
                sent += written
            }
            if count <= 0 { isOpen = false }
        }
        shutdown(from, Int32(SHUT_RDWR))
        shutdown(to, Int32(SHUT_RDWR))
    }
}
