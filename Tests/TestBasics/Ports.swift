// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Loopback ports for servers of a test's own.
public enum Ports {
    private struct None: Error {}

    /// Below the range that the system hands to outgoing connections, so that none of those takes one.
    private static let range = 15_000..<31_000

    /// A port that nobody listens on, and that nobody else is given before all others have been: a file that
    /// `free_ports` in `ops/lib.sh` uses too says where to go on.
    /// - Returns: The port.
    /// - Throws: When the file cannot be written, or all ports are in use.
    public static func free() throws -> Int {
        let descriptor = open("/tmp/call-scheduler-\(getuid()).ports", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        // With the file the lock goes; nobody holds it for longer than this takes.
        defer { close(descriptor) }
        while flock(descriptor, LOCK_EX) != 0, errno == EINTR {}
        var text = [UInt8](repeating: 0, count: 16)
        let count = pread(descriptor, &text, text.count, 0)
        let last = Int(String(decoding: text[..<max(0, count)], as: UTF8.self).filter(\.isNumber))
        var port = last.flatMap { Self.range.contains($0) ? $0 : nil } ?? Int.random(in: Self.range)
        for _ in Self.range {
            port = port + 1 == Self.range.upperBound ? Self.range.lowerBound : port + 1
            guard Self.isFree(port) else { continue }
            let line = Array("\(port)\n".utf8)
            guard pwrite(descriptor, line, line.count, 0) == line.count else { break }
            return port
        }
        throw None()
    }

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
