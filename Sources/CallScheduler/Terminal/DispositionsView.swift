// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore

/// A campaign's contacts by AAPOR disposition, and the outcome rates, as they are shown.
struct DispositionsView: Encodable, Sendable {
    /// One disposition.
    struct Line: Encodable, Sendable {
        let code: String
        let name: String
        let count: Int
        let final: Int
    }

    /// The rates, by the names of the Standard Definitions.
    struct Rates: Encodable, Sendable {
        let rr1: Double?
        let rr2: Double?
        let rr3: Double?
        let rr4: Double?
        let coop1: Double?
        let ref1: Double?
        let con1: Double?
        let e: Double?
    }

    let byCode: [Line]
    let unreportedInterviews: Int
    let isInterim: Bool
    let rates: Rates

    init(_ dispositions: CallStore.CampaignDispositions) {
        self.byCode = Disposition.allCases.sorted { $0.code < $1.code }.map {
            Line(
                code: $0.code,
                name: $0.title,
                count: dispositions.counts[$0] ?? 0,
                final: dispositions.final[$0] ?? 0
            )
        }
        self.unreportedInterviews = dispositions.unreportedInterviews
        self.isInterim = self.byCode.contains { $0.final < $0.count }
        let rates = dispositions.rates
        self.rates = Rates(
            rr1: rates.rr1,
            rr2: rates.rr2,
            rr3: rates.rr3,
            rr4: rates.rr4,
            coop1: rates.coop1,
            ref1: rates.ref1,
            con1: rates.con1,
            e: rates.e
        )
    }

    func print() {
        Console.table(
            ["AAPOR", "DISPOSITION", "#COUNT", "#FINAL"],
            self.byCode.filter { $0.count > 0 }.map { [$0.code, $0.name, String($0.count), String($0.final)] }
        )
        func line(_ name: String, _ rate: Double?, _ formula: String) {
            let padding = String(repeating: " ", count: 17 - name.count)
            Console.line("\(name)\(padding)\(Console.percent(rate))  \(formula)")
        }
        line("RR1 = RR2", self.rates.rr1, "interviews / (interviews + refusals + unknown)")
        line("RR3 = RR4", self.rates.rr3, "interviews / (interviews + refusals + e · unknown)")
        line("COOP1", self.rates.coop1, "interviews / (interviews + refusals)")
        line("REF1", self.rates.ref1, "refusals / (interviews + refusals + unknown)")
        line("CON1", self.rates.con1, "(interviews + refusals) / (interviews + refusals + unknown)")
        line("e", self.rates.e, "known eligible / (known eligible + known ineligible)")
        if self.isInterim { Console.line("interim rates: not all contacts are final") }
        if self.unreportedInterviews > 0 {
            Console.line(
                "\(self.unreportedInterviews) of the interviews were reported by nobody: the provider completed the call"
            )
        }
    }
}
