// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// The settings of a Recorder.
public struct RecorderConfiguration: Sendable {
    /// Reports recorded in one transaction at most; also the prefetch, 1 to 1,000.
    public var batchSize: Int = 500
    /// How often survey events are looked for that were recorded and not published.
    public var outboxInterval: Duration = .seconds(10)

    /// Creates settings with the defaults.
    public init() {}
}
