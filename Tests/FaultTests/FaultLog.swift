// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOConcurrencyHelpers

/// What the test has done, and when.
final class FaultLog: Sendable {
    private struct State {
        var counts: [String: Int] = [:]
        var delays: [DateInterval] = []
        var faults: [String] = []
    }

    private let state = NIOLockedValueBox(State())
    private let start = ContinuousClock.now
    private let file: URL

    init(file: URL) {
        self.file = file
        _ = FileManager.default.createFile(atPath: file.path, contents: nil)
    }

    /// How often each kind of fault was injected.
    var counts: [String: Int] { self.state.withLockedValue(\.counts) }
    /// When the way to the provider was held up.
    var delays: [DateInterval] { self.state.withLockedValue(\.delays) }
    /// What happened that must not.
    var unexpected: [String] { self.state.withLockedValue(\.faults) }

    /// What of this has not happened yet.
    func missing(of kinds: Set<String>) -> Set<String> { kinds.subtracting(self.counts.keys) }

    /// Counts a fault that has had its effect.
    func count(_ kind: String) {
        self.state.withLockedValue { $0.counts[kind, default: 0] += 1 }
        self.note(kind)
    }

    func delay(_ interval: DateInterval) { self.state.withLockedValue { $0.delays.append(interval) } }

    func unexpected(_ text: String) {
        self.state.withLockedValue { $0.faults.append(text) }
        self.note("UNEXPECTED " + text)
    }

    func note(_ text: String) {
        guard let handle = try? FileHandle(forWritingTo: self.file) else { return }
        defer { try? handle.close() }
        _ = try? handle.seekToEnd()
        try? handle.write(contentsOf: Data("\(Date().formatted(.iso8601)) \(text)\n".utf8))
    }
}
