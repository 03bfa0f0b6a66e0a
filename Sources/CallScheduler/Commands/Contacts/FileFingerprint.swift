// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation

/// Tells a file, and the way in which it is to be read, from others.
enum FileFingerprint {
    private static let edge = 1 << 20

    /// - Parameters:
    ///   - path: The file.
    ///   - size: Its size in bytes.
    ///   - options: What else makes a difference.
    /// - Returns: The SHA-256, in hex, of the options, the size, and the file's first and last MiB: reading a large file
    ///   twice would cost more than it could save.
    /// - Throws: When the file cannot be read.
    static func make(path: String, size: Int, options: [String]) throws -> String {
        var hash = SHA256()
        for option in options + [String(size)] { hash.update(data: Data("\(option.utf8.count):\(option)".utf8)) }
        guard let handle = FileHandle(forReadingAtPath: path) else { throw UsageFault("\(path): cannot be read") }
        defer { try? handle.close() }
        hash.update(data: try handle.read(upToCount: Self.edge) ?? Data())
        try handle.seek(toOffset: UInt64(max(0, size - Self.edge)))
        hash.update(data: try handle.read(upToCount: Self.edge) ?? Data())
        return hash.finalize().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
