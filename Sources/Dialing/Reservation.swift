// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import Foundation
import NIOConcurrencyHelpers

/// All that a request holds on its way to a call: a slot, a turn, what the circuit breakers have granted, and its message.
///
/// It is used up by exactly one way out: ``end(_:)``, ``adopt()`` or ``place()``. One that takes none of them, because the
/// process drains, gives slot, turn and grants back when its life ends, and leaves its message to the broker.
struct Reservation: ~Copyable {
    /// What becomes of a message of which no call comes.
    enum Settlement {
        /// It is done with.
        case ack
        /// It becomes a dead letter.
        case reject
    }

    /// The request.
    let request: DialRequest
    private let delivery: AMQPDelivery
    private let dialer: Dialer
    private var hasSlot = true
    private var turn: Pace.Turn?

    fileprivate init(_ request: DialRequest, _ delivery: AMQPDelivery, _ dialer: Dialer) {
        (self.request, self.delivery, self.dialer) = (request, delivery, dialer)
    }

    /// Waits for a turn.
    /// - Returns: False when the process drains meanwhile.
    fileprivate mutating func waitForTurn() async -> Bool {
        self.turn = await self.dialer.mayAsk()
        return self.turn != nil
    }

    /// No call comes of it: the next in line may have its turn now, whatever else is still to be done.
    mutating func returnTurn() {
        if let turn = self.turn { self.dialer.returnPermission(turn) }
        self.turn = nil
    }

    /// No call comes of it, and its message is done with.
    consuming func end(_ settlement: Settlement) {
        switch settlement {
        case .ack: self.dialer.ack(self.delivery)
        case .reject: self.dialer.reject(self.delivery)
        }
    }

    /// Its call is live already: the slot and the message are the held call's from now on.
    /// - Returns: The message.
    consuming func adopt() -> AMQPDelivery {
        self.returnTurn()
        self.hasSlot = false
        return self.delivery
    }

    /// Its call is placed now: the slot and the message are the held call's from now on, and the breaker hears how it went.
    /// - Returns: The message.
    consuming func place() -> AMQPDelivery {
        self.turn = nil
        self.hasSlot = false
        return self.delivery
    }

    deinit {
        if let turn = self.turn { self.dialer.returnPermission(turn) }
        if self.hasSlot { self.dialer.slots.release(self.request.callID) }
    }
}

extension Dialer {
    /// Waits for all that a request needs on its way to a call.
    /// - Returns: Nil when the process drains meanwhile, or when the call is held already and has its message now.
    func reserve(_ request: DialRequest, _ delivery: AMQPDelivery) async -> Reservation? {
        switch await self.slots.acquire(request.callID) {
        case .granted:
            var reservation = Reservation(request, delivery, self)
            guard await reservation.waitForTurn() else { return nil }
            return reservation
        case .alreadyHeld:
            self.attach(delivery, to: request.callID)
            return nil
        case .draining:
            return nil
        }
    }

    private func attach(_ delivery: AMQPDelivery, to callID: UUID) {
        self.held.update(callID) { $0.isAskedFor(now: self.clock.now()) }
        switch self.held.attach(delivery, to: callID) {
        case .attached:
            break
        case .duplicate, .notHeld:
            self.ack(delivery)
        }
    }

    fileprivate func returnPermission(_ turn: Pace.Turn) {
        self.tokens.giveBack(turn)
        self.breaker.withLockedValue { $0.unused(now: self.clock.now()) }
        self.permissions.withLockedValue { $0.unused(now: self.clock.now()) }
    }

    /// Takes a call of which nothing was placed out of what is held, with its slot.
    /// - Returns: Its message, as the broker has handed it out last; nil when it is not held any more.
    func letGo(_ callID: UUID) -> AMQPDelivery? {
        let call = self.held.remove(callID)
        self.slots.release(callID)
        return call?.delivery
    }
}
