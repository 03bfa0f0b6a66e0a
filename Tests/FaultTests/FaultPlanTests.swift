// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Observability
import TestBasics
import TestSupport
import Testing

@testable import ProviderSimulator

/// What the house under faults rests on, without servers: that its seed decides, and that it knows what has happened.
struct FaultPlanTests {
    @Test("a seed repeats every step, and another seed gives others")
    func repeatable() {
        func steps(_ seed: UInt64) -> [String] {
            ProcessPlan(seed: seed).prefix(200).map { "\($0)" }
                + [true, false].flatMap { ServerPlan(seed: seed, isLong: $0).prefix(200).map { "\($0)" } }
                + LimitPlan(seed: seed).prefix(200).map { "\($0)" }
                + OutsidePlan(seed: seed).prefix(200).map { step in
                    var random = step.random
                    return "\(step) \(random.next())"
                }
        }
        #expect(steps(7) == steps(7))
        #expect(steps(7) != steps(8))
    }

    @Test("every kind of fault comes once before any comes again", arguments: [true, false])
    func everyKind(isLong: Bool) {
        let processes = ProcessPlan(seed: 3).prefix(ProcessFault.deck.count).map(\.fault.name)
        let deck = ServerFault.deck(isLong: isLong)
        let servers = ServerPlan(seed: 3, isLong: isLong).prefix(deck.count).map(\.fault.name)
        let outside = OutsidePlan(seed: 3).prefix(OutsideFault.allCases.count + 6).map(\.fault.rawValue)
        let planned = Set(processes + servers + outside)
        let demanded = Demands.ofTheLog(isLong: isLong)
        #expect(planned.isSubset(of: demanded))
        #expect(demanded.subtracting(planned).allSatisfy { $0.hasPrefix("an interview's ") })
        #expect(Set(processes).count == processes.count && Set(servers).count == servers.count)
        #expect(servers.contains(ServerFault.lockedForLong.name) == isLong)
        #expect(Set(LimitPlan(seed: 3).prefix(4).map(\.limit)).count == 4)
    }

    @Test("only who cannot mount a disk is let off the one that runs full, and never where CI is set")
    func disk() {
        let name = ServerFault.fullDisk.name
        #expect(Demands.ofTheLog(isLong: false).contains(name))
        #expect(Demands.ofTheLog(isLong: false, hasDisk: false) == Demands.ofTheLog(isLong: false).subtracting([name]))
        #expect(
            FaultRun.mustFillDisk(mayMount: true, isCI: false) && FaultRun.mustFillDisk(mayMount: false, isCI: true)
        )
        #expect(!FaultRun.mustFillDisk(mayMount: false, isCI: false))
    }

    @Test("a run that has not seen every kind of fault says which")
    func demands() throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: file) }
        let log = FaultLog(file: file)
        let demanded = Demands.ofTheLog(isLong: true)
        for kind in demanded where kind != "died at dialer.committed" { log.count(kind) }
        #expect(log.missing(of: demanded) == ["died at dialer.committed"])
        log.count("died at dialer.committed")
        #expect(log.missing(of: demanded).isEmpty)
        var ledger = SimulatorConfiguration.Fault.allCases.filter { Fate.requestFaults.contains($0) }.map { fault in
            var call = CheckerTests.call("c", to: "+19990000001", from: 0)
            call.fault = fault.rawValue
            return call
        }
        #expect(
            Demands.missing(in: ledger) == [
                "the provider's callback_lost", "the provider's callback_duplicated",
                "the provider's callback_reordered",
                "the provider's callback_late",
            ]
        )
        let callbackFaults = ["callback_lost", "callback_duplicated", "callback_reordered", "callback_late"]
        ledger[0].callbacks = [
            LedgerCall.Callback(
                status: "ringing",
                sequence: 0,
                sentAt: Date(),
                attempt: 1,
                result: "204",
                faults: callbackFaults
            )
        ]
        #expect(Demands.missing(in: ledger).isEmpty)
    }

    @Test(
        "a process that gives up in mid-run is no supervisor's business, one that could not start is",
        arguments: [
            (Child.End.exit(69), Int32?.none, false, false, EndOfRole.gaveUp),
            (.exit(69), nil, false, true, .byItself), (.exit(69), SIGTERM, false, true, .byItself),
            (.exit(69), nil, true, true, .byItself), (.exit(70), nil, false, false, .byItself),
            (.exit(0), nil, false, true, .byItself), (.exit(0), SIGTERM, false, true, .asTold),
            (.signal(SIGKILL), SIGKILL, true, true, .asTold), (.signal(SIGKILL), nil, true, true, .atFailPoint),
            (.signal(SIGKILL), nil, false, true, .byItself), (.signal(SIGSEGV), nil, true, true, .byItself),
            (.exit(143), SIGTERM, false, true, .tooSlow), (.exit(143), nil, false, true, .byItself),
            (.signal(SIGTERM), SIGTERM, false, false, .asTold),
        ]
    )
    func ends(end: Child.End, signal: Int32?, isArmed: Bool, hasRun: Bool, meaning: EndOfRole) {
        #expect(EndOfRole(end, signal: signal, isArmed: isArmed, hasRun: hasRun) == meaning)
    }
}
