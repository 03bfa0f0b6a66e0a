// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Benchmark
import CallModel
import Foundation

/// What each message costs in the processes themselves, without any server.
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
    let body = MessageCoding.encode(request)
    let events = (0..<500).map { number in
        CallEvent(
            callID: CallID.make(),
            providerCallID: "CA\(number)",
            status: .completed,
            sequence: 3,
            occurredAt: Date(),
            answeredBy: .human
        )
    }
    Benchmark("write a dial request") { benchmark in
        for _ in benchmark.scaledIterations { blackHole(MessageCoding.encode(request)) }
    }
    Benchmark("read a dial request") { benchmark in
        for _ in benchmark.scaledIterations { blackHole(try MessageCoding.decode(DialRequest.self, from: body)) }
    }
    Benchmark("merge 500 reports", configuration: .init(scalingFactor: .one)) { benchmark in
        for _ in benchmark.scaledIterations { blackHole(CallReport.merge(events)) }
    }
}
