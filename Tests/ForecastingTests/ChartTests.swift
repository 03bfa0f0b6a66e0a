// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Forecasting
import Testing

struct ChartTests {
    @Test("columns are as high as their values, labels stand below theirs, and what would touch is left out")
    func columns() {
        let chart = BlockChart(values: [0, 8, 16, 0.01, 12], labels: [0: "a", 1: "b", 2: "cd", 4: "ef"], height: 2)
        #expect(chart.lines == ["16 │  █ ▄", "   │ ██▁█", " 0 └─────", "    a cd"])
    }

    @Test("a chart of nothing is empty")
    func nothing() {
        #expect(BlockChart(values: [0, 0], labels: [:], height: 1).lines == ["0 │  ", "0 └──", "   "])
    }
}
