// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// The settings of a Dialer.
public struct DialerConfiguration: Sendable {
    /// Who this dialer is; the same after a restart, if its open calls shall be found again at once.
    public var id: String
    /// The trunk whose queue it consumes.
    public var trunk: String = "default"
    /// This dialer's live calls, never more, 1 to 20,000.
    public var maximumConcurrentCalls: Int = 10
    /// Calls placed per second, above 0.
    public var callsPerSecond: Double = 1
    /// Added to ring timeout and call length to make a call's deadline.
    public var margin: Duration = .seconds(60)
    /// How long a contact rests after a failure of the provider.
    public var failureBackOff: Duration = .seconds(60)
    /// How long a contact rests whose number the provider refused, and may not refuse for ever. From the third time on, a
    /// refusal is an attempt.
    public var refusedNumberRest: Duration = .seconds(86_400)
    /// How often the database is asked which held calls are over, when no hint has come.
    public var pollInterval: Duration = .seconds(5)
    /// How long placements in flight may take once the process drains.
    public var drainLimit: Duration = .seconds(4)
    /// Failures of the provider that open the circuit breaker once they are half of the last 20 answers, 1 to 20.
    public var breakerThreshold: Int = 5
    /// How long the open breaker waits before it probes.
    public var breakerPause: Duration = .seconds(15)

    /// How old the database's permission may be when the request leaves for the provider: a pause or an exclusion acts
    /// within a second, even on a process that was frozen between the two, or on one that waits for a connection. The
    /// window is checked with the same margin.
    public var permissionLifetime: Duration = .seconds(1)
    /// How long nothing is asked once permissions come too late to be used; doubled each time, up to a minute.
    public var outdatedPause: Duration = .seconds(1)

    /// How long a contact rests whose request was put aside because its statement fails.
    public var putAsideBackOff: Duration = .seconds(60)

    /// How long a request is kept, for people to look at, that the provider did not take.
    public var unplacedLifetime: Duration = .seconds(86_400)

    /// Creates settings with the defaults.
    /// - Parameter id: Who this dialer is.
    public init(id: String) {
        self.id = id
    }
}
