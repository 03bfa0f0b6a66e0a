// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Outcome rates of a survey, 0 to 1; nil where there is nothing to divide by.
///
/// Source: AAPOR, *Standard Definitions*, chapter "Calculating rates from response distributions". In its letters: I
/// complete interviews, P partial ones, R refusals and break-offs, NC non-contacts of eligible cases, O other eligible
/// ones, U (UH + UO) cases of unknown eligibility, e the share of U that is estimated to be eligible. Cases that are
/// known to be ineligible are in no rate.
///
/// The scheduler knows no partial interviews and no break-offs (whoever conducts the interview reports it completed or
/// refused), and nobody tells it that an eligible person was out: P, NC and O are 0 here, RR2 equals RR1, and RR4 equals
/// RR3. Before the last case is final the rates are interim.
public struct OutcomeRates: Sendable, Equatable {
    /// RR1 = I / ((I + P) + (R + NC + O) + U): the smallest response rate.
    public let rr1: Double?
    /// RR2 = (I + P) / ((I + P) + (R + NC + O) + U).
    public let rr2: Double?
    /// RR3 = I / ((I + P) + (R + NC + O) + e U).
    public let rr3: Double?
    /// RR4 = (I + P) / ((I + P) + (R + NC + O) + e U).
    public let rr4: Double?
    /// COOP1 = I / ((I + P) + R + O): of those contacted, how many were interviewed.
    public let coop1: Double?
    /// REF1 = R / ((I + P) + (R + NC + O) + U).
    public let ref1: Double?
    /// CON1 = ((I + P) + R + O) / ((I + P) + R + O + NC + U): how many were contacted.
    public let con1: Double?
    /// e = eligible / (eligible + ineligible), of the cases of which it is known: proportional allocation (CASRO). It
    /// takes the unknown cases to be like the known ones; whoever knows better should say how.
    public let e: Double?

    /// Computes the rates.
    /// - Parameter counts: Cases by disposition.
    public init(counts: [Disposition: Int]) {
        func sum(_ eligibility: Disposition.Eligibility) -> Double {
            Double(counts.filter { $0.key.eligibility == eligibility }.values.reduce(0, +))
        }
        func share(_ part: Double, of whole: Double) -> Double? { whole > 0 ? part / whole : nil }
        let interviews = Double(counts[.interview] ?? 0)
        let refusals = Double(counts[.refusal] ?? 0)
        let known = sum(.eligible)
        let unknown = sum(.unknown)
        let e = share(known, of: known + sum(.ineligible))
        self.e = e
        self.rr1 = share(interviews, of: known + unknown)
        self.rr2 = self.rr1
        self.rr3 = e.flatMap { share(interviews, of: known + $0 * unknown) }
        self.rr4 = self.rr3
        self.coop1 = share(interviews, of: interviews + refusals)
        self.ref1 = share(refusals, of: known + unknown)
        self.con1 = share(interviews + refusals, of: known + unknown)
    }
}
