// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Metrics
import NIOConcurrencyHelpers

/// Keeps the figures of one process and writes them as Prometheus reads them.
///
/// A backend of swift-metrics. Figures that nothing has counted yet are shown as 0 if they have no labels, so that a rate
/// over the first event is seen. Source: Prometheus' text exposition format, version 0.0.4.
public final class MetricsRegistry: MetricsFactory, Sendable {
    /// A figure with its labels.
    private struct Key: Hashable {
        let name: String
        let labels: String
    }

    private let figures = NIOLockedValueBox<[Key: Figure]>([:])
    private let updates = NIOLockedValueBox<[@Sendable () -> Void]>([])

    /// Creates a registry without any figure.
    public init() {}

    private func figure(_ label: String, _ dimensions: [(String, String)], _ kind: Metric.Kind) -> Figure {
        let labels = dimensions.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",")
        return self.figures.withLockedValue { figures in
            let key = Key(name: label, labels: labels)
            if let figure = figures[key] { return figure }
            let figure = Figure(kind)
            figures[key] = figure
            return figure
        }
    }

    private static func escaped(_ value: String) -> String {
        value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }

    /// A counter.
    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        self.figure(label, dimensions, .counter)
    }

    /// A histogram, or a gauge when only the last value counts.
    public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        self.figure(label, dimensions, aggregate ? .histogram : .gauge)
    }

    /// A gauge that can be raised and lowered.
    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        self.figure(label, dimensions, .gauge)
    }

    /// A histogram of seconds.
    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        self.figure(label, dimensions, .histogram)
    }

    /// Figures stay for the life of the process: a counter that vanished would look like a restart.
    public func destroyCounter(_ handler: any CounterHandler) {}
    /// Stays, as above.
    public func destroyRecorder(_ handler: any RecorderHandler) {}
    /// Stays, as above.
    public func destroyMeter(_ handler: any MeterHandler) {}
    /// Stays, as above.
    public func destroyTimer(_ handler: any TimerHandler) {}

    /// Has figures brought up to date before they are read: those that somebody else keeps.
    public func beforeExposition(_ update: @escaping @Sendable () -> Void) {
        self.updates.withLockedValue { $0.append(update) }
    }

    /// All figures, each name with its help and type, in the order of the names.
    public func exposition() -> String {
        for update in self.updates.withLockedValue(\.self) { update() }
        let figures = self.figures.withLockedValue { $0 }
        let byName = Dictionary(grouping: figures) { $0.key.name }
        var lines: [String] = []
        for name in byName.keys.sorted() {
            let series = (byName[name] ?? []).sorted { $0.key.labels < $1.key.labels }
            guard let kind = series.first?.value.kind else { continue }
            if let metric = Metric.all.first(where: { $0.name == name }) {
                lines.append("# HELP \(name) \(metric.meaning)")
            }
            lines.append("# TYPE \(name) \(kind.rawValue)")
            for (key, figure) in series { lines += figure.lines(name: name, labels: key.labels) }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
