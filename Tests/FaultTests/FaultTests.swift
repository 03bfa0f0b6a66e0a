// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestBasics
import Testing

/// The house under faults. `FAULT_SEED` and `FAULT_MINUTES` choose another run than the quick one.
@Suite(.serialized, .alone)
struct FaultTests {
    @Test("no invariant breaks under crashes, faults and bad input")
    func faults() async throws {
        let environment = ProcessInfo.processInfo.environment
        let seed = environment["FAULT_SEED"].flatMap { UInt64($0) } ?? 1
        let minutes = environment["FAULT_MINUTES"].flatMap { Double($0) } ?? 1.25
        let house = try await FaultHouse.start(
            name: TestRun.name + "-faults",
            scenario: FaultRun.scenario(seed: seed)
        )
        let run = FaultRun(seed: seed, duration: .seconds(minutes * 60), house: house)
        do {
            try await run.run()
        } catch {
            try? await house.stop()
            throw error
        }
        try await house.stop()
    }
}
