// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// A column chart of block characters, for a terminal.
public struct BlockChart: Sendable {
    /// The columns' heights, from 0.
    public let values: [Double]
    /// Texts below the columns, by the column that they begin at; one that would touch the text before it is left out.
    public let labels: [Int: String]
    /// Lines of the columns, at least 1.
    public let height: Int

    /// Creates a chart.
    /// - Parameters:
    ///   - values: The columns' heights, from 0.
    ///   - labels: Texts below the columns.
    ///   - height: Lines of the columns.
    public init(values: [Double], labels: [Int: String], height: Int = 8) {
        self.values = values
        self.labels = labels
        self.height = max(1, height)
    }

    private static let blocks = Array(" ▁▂▃▄▅▆▇█")

    /// The chart's lines: the columns from the top down, with the greatest value in front, the axis and the labels.
    public var lines: [String] {
        let most = self.values.max() ?? 0
        let scale = String(Int(most.rounded(.up)))
        // Whoever is above 0 shows.
        let eighths = self.values.map { value in
            value > 0 ? max(1, Int((value / most * Double(self.height * 8)).rounded())) : 0
        }
        let blank = String(repeating: " ", count: scale.count)
        var lines = (0..<self.height).reversed().map { row in
            let columns = String(eighths.map { Self.blocks[min(8, max(0, $0 - row * 8))] })
            return (row == self.height - 1 ? scale : blank) + " │" + columns
        }
        lines.append(
            String(repeating: " ", count: scale.count - 1) + "0 └" + String(repeating: "─", count: eighths.count)
        )
        var texts = ""
        for (column, text) in self.labels.sorted(by: { $0.key < $1.key })
        where (texts.isEmpty || column > texts.count) && column + text.count <= max(eighths.count, text.count) {
            texts += String(repeating: " ", count: column - texts.count) + text
        }
        lines.append(blank + "  " + texts)
        return lines
    }
}
