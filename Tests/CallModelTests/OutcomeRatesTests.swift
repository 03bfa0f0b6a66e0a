// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Testing

struct OutcomeRatesTests {
    private static func isNear(_ value: Double?, _ expected: Double) -> Bool {
        value.map { abs($0 - expected) < 1e-12 } ?? false
    }

    @Test("the rates are those that one gets by hand")
    func byHand() {
        // 40 interviews, 10 refusals, 100 unknown, 25 ineligible: e = 50 / 75.
        let rates = OutcomeRates(counts: [
            .interview: 40, .refusal: 10, .answeringDevice: 20, .noAnswer: 50, .busy: 5, .technicalProblem: 5,
            .notAttempted: 20, .fax: 5, .nonWorkingNumber: 20,
        ])
        #expect(Self.isNear(rates.e, 2.0 / 3))
        #expect(Self.isNear(rates.rr1, 40.0 / 150))
        #expect(Self.isNear(rates.rr2, 40.0 / 150))
        // 40 / (50 + 2/3 · 100)
        #expect(Self.isNear(rates.rr3, 120.0 / 350))
        #expect(Self.isNear(rates.rr4, 120.0 / 350))
        #expect(Self.isNear(rates.coop1, 0.8))
        #expect(Self.isNear(rates.ref1, 10.0 / 150))
        #expect(Self.isNear(rates.con1, 50.0 / 150))
    }

    @Test("where there is nothing to divide by, there is no rate")
    func nothing() {
        let none = OutcomeRates(counts: [:])
        let rates = [none.rr1, none.rr3, none.coop1, none.ref1, none.con1, none.e]
        #expect(rates.allSatisfy { $0 == nil })
        let unknown = OutcomeRates(counts: [.noAnswer: 3])
        #expect(unknown.rr1 == 0)
        #expect(unknown.e == nil)
        #expect(unknown.rr3 == nil)
        #expect(OutcomeRates(counts: [.fax: 3]).e == 0)
    }

    @Test("codes are those of the Standard Definitions, each once, and their first digit tells the eligibility")
    func codes() {
        #expect(Set(Disposition.allCases.map(\.code)).count == Disposition.allCases.count)
        for disposition in Disposition.allCases {
            let expected: Disposition.Eligibility =
                switch disposition.code.first {
                case "1", "2": .eligible
                case "3": .unknown
                default: .ineligible
                }
            #expect(disposition.eligibility == expected, "\(disposition.code)")
        }
    }
}
