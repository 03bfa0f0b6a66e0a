// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Dialing
import Foundation
import Selection
import Telephony
import TestBasics
import TestSupport
import Testing

/// What a dialer makes of what it cannot note.
@Suite(.timeLimit(.minutes(20)))
struct LookUpTests {
    @Test("a call that the provider knows is not given up because the database could not be asked, for however long")
    func databaseAway() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            _ = try await house.selector().pass()
            let provider = ScriptedProvider.silent(knowing: "CAfound")
            let clock = DialerTestClock()
            try await house.withDialer(provider: provider, clock: clock) { dialer in
                try await eventually("the attempt is unknown") {
                    try await house.count("status = 'unknown'", in: "call_attempts") == 1
                }
                try await house.scratch.execute("alter table call_attempts rename to away")
                // Each search comes when all is done that the one before it led to; the call's time is over by far.
                let start = clock.now
                try await eventually("it has been looked for again and again") {
                    clock.advance(by: .seconds(5))
                    return provider.searches > 8 && clock.now > start + .seconds(600)
                }
                #expect(try await house.publisher.queueStatus(CallTopology.callEvents).messagesReady == 0)
                #expect(dialer.heldCalls == 1)
                try await house.scratch.execute("alter table away rename to call_attempts")
                try await house.withRecorder {
                    try await eventually("it is found") {
                        clock.advance(by: .milliseconds(500))
                        return try await house.count(
                            "provider_call_id = 'CAfound' and outcome = 'completed' and error_code is null",
                            in: "call_attempts"
                        ) == 1
                    }
                }
            }
            #expect(provider.placements.count == 1)
        }
    }
}
