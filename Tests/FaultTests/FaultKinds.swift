// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Observability
import ProviderSimulator

/// Something that is done to a process of ours.
enum ProcessFault: Sendable, Equatable {
    case kill(Role)
    case terminate(Role)
    case freeze(Role)
    /// Dies at a place in the code.
    case failPoint(FailPoint)

    /// Each kind once.
    static let deck: [ProcessFault] =
        Role.allCases.map { .kill($0) } + Role.allCases.map { .terminate($0) } + Role.allCases.map { .freeze($0) }
        + FailPoint.allCases.map { .failPoint($0) }

    /// What is counted when it has had its effect.
    var name: String {
        switch self {
        case .kill(let role): "\(role.rawValue) killed"
        case .terminate(let role): "\(role.rawValue) told to drain"
        case .freeze(let role): "\(role.rawValue) frozen"
        case .failPoint(let point): "died at \(point.rawValue)"
        }
    }
}

/// Something that is done to a server or to the way to it.
enum ServerFault: Sendable, Equatable {
    case crash(Servers.Kind)
    case restart(Servers.Kind)
    case freeze(Servers.Kind)
    case diskAlarm
    /// Every transaction may only read, as on a standby.
    case readOnly
    /// Somebody holds the table of attempts for longer than some roles' statements may take.
    case locked
    /// The same, for longer than anybody's may: for more than a minute.
    case lockedForLong
    /// The disk on which the tables are is full.
    case fullDisk
    /// A role may not do anything with the tables.
    case revoked(Role)
    /// No recorder runs, and what waits for one is lost with all other messages.
    case unrecorded
    /// A queue is deleted under the roles, with what is in it.
    case deleted(Queue)
    /// Some connections break.
    case cut(Wire)
    /// Nothing goes through, and new connections are refused.
    case away(Wire)
    /// Nothing goes through, and nobody is told.
    case hold(Wire)

    /// Each kind once.
    /// - Parameter isLong: Whether the run is long enough for what takes a minute.
    /// - Returns: The cards.
    static func deck(isLong: Bool) -> [ServerFault] {
        Servers.Kind.allCases.flatMap { [.crash($0), .restart($0), .freeze($0)] }
            + [.diskAlarm, .readOnly, .locked, .fullDisk, .unrecorded] + (isLong ? [.lockedForLong] : [])
            + Role.allCases.map { .revoked($0) } + Queue.allCases.map { .deleted($0) }
            + Wire.allCases.flatMap { [.cut($0), .away($0), .hold($0)] }
    }

    /// What is counted when it has had its effect.
    var name: String {
        switch self {
        case .crash(let kind): "\(kind.rawValue) killed"
        case .restart(let kind): "\(kind.rawValue) restarted"
        case .freeze(let kind): "\(kind.rawValue) frozen"
        case .diskAlarm: "broker's disk alarm"
        case .readOnly: "database read-only"
        case .locked: "attempts locked, and statements ended for it"
        case .lockedForLong: "attempts locked for over a minute"
        case .fullDisk: "the database's disk full"
        case .revoked(let role): "rights of the \(role.rawValue) taken away"
        case .unrecorded: "the broker emptied without a recorder"
        case .deleted(let queue): "\(queue.rawValue) deleted"
        case .cut(let wire): "\(wire.rawValue) connections broken"
        case .away(let wire): "\(wire.rawValue) away"
        case .hold(let wire): "\(wire.rawValue) held up"
        }
    }
}

/// What must have happened in a run, each at least once: a run without it would show less than it says.
enum Demands {
    /// What the test does itself, as its log counts it.
    /// - Parameters:
    ///   - isLong: Whether the run is long enough for what takes a minute.
    ///   - hasDisk: Whether there is a disk that can be filled.
    /// - Returns: What the log must count.
    static func ofTheLog(isLong: Bool, hasDisk: Bool = true) -> Set<String> {
        Set(
            ProcessFault.deck.map(\.name)
                + ServerFault.deck(isLong: isLong).filter { hasDisk || $0 != .fullDisk }.map(\.name)
                + OutsideFault.allCases.map(\.rawValue)
                // Appointments have no part in the house; `AppointmentTests` shows what becomes of a callback.
                + SurveyOutcomeReport.Outcome.allCases.filter { $0 != .callback }
                .map { "an interview's \($0.rawValue) taken" }
        )
    }

    /// The provider's own faults, which only its ledger tells.
    static func missing(in ledger: [LedgerCall]) -> [String] {
        let faults = Set(ledger.compactMap(\.fault) + ledger.flatMap(\.callbacks).flatMap { $0.faults ?? [] })
        return SimulatorConfiguration.Fault.allCases.map(\.rawValue).filter { !faults.contains($0) }
            .map { "the provider's \($0)" }
    }
}

/// Something that people do, or that comes from outside.
enum OutsideFault: String, Sendable, CaseIterable {
    case pauseCampaign = "a campaign paused and resumed"
    case pauseAll = "everything paused and resumed"
    case exclude = "a number excluded"
    case changeLimits = "a cap or quota changed"
    case erase = "a person erased during an import"
    case poison = "poison sent"
    case duplicateRequest = "a request delivered again"
    case replayEvent = "an old report delivered again"
}

/// A queue that is deleted under the roles.
enum Queue: String, Sendable, CaseIterable {
    case requests = "dial.requests.default"
    case reports = "call.events"
}

/// A kind of process.
enum Role: String, Sendable, CaseIterable {
    case selector
    case dialer
    case recorder
    case webhooks
}

/// A way that can be cut.
enum Wire: String, Sendable, CaseIterable {
    case database
    case broker
    case provider
    case webhooks
}

/// Deals all cards in a random order before any comes again, so that a short run meets every kind of fault.
struct Deck<Card: Sendable>: Sendable {
    private let cards: [Card]
    private var left: [Card] = []

    init(_ cards: [Card]) {
        self.cards = cards
    }

    mutating func deal(using random: inout some RandomNumberGenerator) -> Card {
        if self.left.isEmpty { self.left = self.cards.shuffled(using: &random) }
        return self.left.removeLast()
    }
}
