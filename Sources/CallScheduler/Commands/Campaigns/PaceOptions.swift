// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// How fast and how far a campaign goes, beside others: what may change while it runs.
struct PaceOptions: ParsableArguments {
    @Option(help: "Higher goes first; default 0.") var priority: Int?
    @Option(help: "Its part of the trunk's lines among campaigns of the same priority, 1…1000; default 1.")
    var weight: Int?
    @Option(help: "Calls of this campaign at once, at most.") var maxConcurrentCalls: Int?
    @Option(help: "Calls of this campaign per hour, at most, spread evenly, 1…1000000.") var callsPerHour: Int?
    @Option(help: "The campaign ends with so many completed interviews, and never has more under way than are wanted.")
    var targetCompletes: Int?
    @Option(
        help: ArgumentHelp(
            "The same for the contacts of one cell (column cell of the contacts), like north=200. May be repeated.",
            valueName: "CELL=COMPLETES"
        )
    )
    var cellTarget: [String] = []

    func cellTargets(_ faults: inout [String]) -> [String: Int] {
        var targets: [String: Int] = [:]
        for text in self.cellTarget {
            guard let end = text.lastIndex(of: "="), let target = Int(text[text.index(after: end)...]) else {
                faults.append("cell-target: '\(text)' is not a cell and a number of completes, like north=200")
                continue
            }
            targets[String(text[..<end])] = target
        }
        return targets
    }
}
