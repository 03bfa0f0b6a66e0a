// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Testing

/// A suite that needs the machine to itself: of all that have this trait, one runs at a time.
struct AloneTrait: SuiteTrait, TestScoping {
    private static let turn = Turn()

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        await Self.turn.take()
        do {
            try await function()
        } catch {
            await Self.turn.giveBack()
            throw error
        }
        await Self.turn.giveBack()
    }

    /// One at a time, in the order in which they came.
    private actor Turn {
        private var isTaken = false
        private var waiting: [CheckedContinuation<Void, Never>] = []

        func take() async {
            if self.isTaken {
                await withCheckedContinuation { self.waiting.append($0) }
            } else {
                self.isTaken = true
            }
        }

        func giveBack() {
            if self.waiting.isEmpty {
                self.isTaken = false
            } else {
                self.waiting.removeFirst().resume()
            }
        }
    }
}

extension Trait where Self == AloneTrait {
    /// The suite runs when no other of those that break servers and have many processes does.
    static var alone: AloneTrait { AloneTrait() }
}
