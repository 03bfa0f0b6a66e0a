// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation

/// One call of a simulation.
public struct SimulatedCall: Sendable, Equatable {
    /// Who is called: a number from 0 in the order of the plan's groups.
    public let contact: Int
    /// Where the contact lives, IANA names.
    public let zones: [String]
    /// The attempt's number from 1, those before the start counted.
    public let attempt: Int
    /// When it is placed.
    public let start: Date
    /// When it ends.
    public let end: Date
    /// How it ends.
    public let outcome: CallOutcome
}

extension ForecastPlan {
    /// Simulates the campaign. A million contacts with some attempts each take seconds; nothing else is waited for.
    /// - Parameter observer: Called with every call as it is placed, in order of time.
    /// - Returns: What came of it; the same for the same plan.
    /// - Throws: ``ForecastFault`` with everything that is wrong with the plan.
    public func simulate(observing observer: ((SimulatedCall) -> Void)? = nil) throws(ForecastFault) -> Forecast {
        var simulation = try Simulation(self)
        return simulation.run(observing: observer)
    }
}
