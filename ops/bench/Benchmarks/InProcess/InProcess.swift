// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Benchmark
import CallModel
import Foundation

let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration.metrics = [.wallClock, .throughput]
    Benchmark.defaultConfiguration.scalingFactor = .kilo
    let request = DialRequest(
        callID: CallID.make(),
        contactID: CallID.make(),
        campaignID: CallID.make(),
        attemptNumber: 1,
        claimedAt: Date(),
        expiresAt: Date().addingTimeInterval(300),
        dueAt: Date()
    )
    Benchmark("write a dial request") { benchmark in
        for _ in benchmark.scaledIterations { blackHole(MessageCoding.encode(request)) }
    }
}
