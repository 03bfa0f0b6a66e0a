// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ

/// What a session does by itself so that its users find what they have declared and subscribed to.
struct Upkeep {
    /// Whether everything has been declared once in this session's life.
    var isReady = false
    /// Consumers without a subscription, with the time to try again.
    var lost: [(subscriber: Subscriber, retryAt: ContinuousClock.Instant)] = []
    /// Why consumers have none.
    var consumerFaults: [ObjectIdentifier: AMQPError] = [:]
    /// Declarations that the broker refused.
    var refused: [AMQPError] = []
    /// How many times in a row it refused some.
    var refusals = 0
    var isDeclaring = false
    /// Whether something is known to be missing.
    var isWanted = false
    var declaredAt = ContinuousClock.now
    /// Those who wait for the next declaration.
    var waiters: [Answer<Void>] = []

    /// When everything is declared again.
    func nextDeclaration(items: Int, interval: Duration) -> ContinuousClock.Instant {
        if self.isWanted { return self.declaredAt + .seconds(1) }
        // A connection with very many of them spares the broker.
        let usual = max(interval, .milliseconds(20 * items))
        return self.declaredAt + (self.refusals > 0 ? min(usual, .seconds(1 << min(self.refusals - 1, 10))) : usual)
    }
}

/// One thing to declare.
enum Declaration {
    case exchange(AMQPTopology.Exchange)
    case queue(AMQPTopology.Queue)
    case binding(AMQPTopology.Binding)

    /// - Parameter look: Gets what the broker says of a queue.
    /// - Returns: What declares it.
    func step(_ look: @escaping (String, AMQPQueueStatus) -> Void) -> Operation.Step {
        switch self {
        case .exchange(let exchange): .declare(exchange)
        case .queue(let queue): .declare(queue) { look(queue.name, $0) }
        case .binding(let binding): .declare(binding)
        }
    }
}

extension Session {
    /// Declares, in an order in which bindings find their ends.
    /// - Parameters:
    ///   - declarations: What to declare.
    ///   - refused: What the broker has refused so far.
    ///   - done: Gets what the broker refused, or why nobody knows.
    func declare(
        _ declarations: some Collection<Declaration>,
        refused: [AMQPError] = [],
        done: @escaping (Result<[AMQPError], AMQPError>) -> Void
    ) {
        guard !declarations.isEmpty else {
            done(.success(refused))
            return
        }
        guard let channel = self.makeChannel({ _ in .call }) else {
            done(.failure(Self.noChannel))
            return
        }
        // A refusal closes the channel, and what comes after it needs another one.
        var answered = 0
        let steps = declarations.map { declaration in
            var step = declaration.step { [unowned self] in self.compare($1, of: $0) }
            let receive = step.receive
            step.receive = { answer in
                answered += 1
                receive(answer)
            }
            return step
        }
        let operation = Operation([.open] + steps) { [unowned self] result in
            self.close(channel)
            guard case .failure(let error) = result else {
                done(.success(refused))
                return
            }
            guard error.replyCode != nil, self.failure == nil else {
                done(.failure(error))
                return
            }
            self.declare(Array(declarations.dropFirst(answered + 1)), refused: refused + [error], done: done)
        }
        self.perform(operation, on: channel)
    }

    /// Declares everything, and then again whenever that is due.
    /// - Parameter done: Gets what the broker refused, or why nobody knows.
    func declareAll(done: @escaping (Result<[AMQPError], AMQPError>) -> Void = { _ in }) {
        self.upkeep.isDeclaring = true
        self.upkeep.isWanted = false
        self.upkeep.declaredAt = .now
        let waiters = self.upkeep.waiters
        self.upkeep.waiters.removeAll()
        self.declare(self.topology().declarations) { [unowned self] result in
            self.upkeep.isDeclaring = false
            switch result {
            case .success(let refused):
                self.upkeep.refused = refused
                self.upkeep.refusals = refused.isEmpty ? 0 : self.upkeep.refusals + 1
                for index in self.upkeep.lost.indices { self.upkeep.lost[index].retryAt = .now }
                for waiter in waiters { waiter.give(.success(())) }
            case .failure(let error):
                for waiter in waiters { waiter.give(.failure(error)) }
            }
            self.tellFaults()
            done(result)
        }
    }

    /// Does what is due: declares, and subscribes again.
    func tendUpkeep(now: ContinuousClock.Instant) {
        guard self.upkeep.isReady, !self.isBlocked else { return }
        let due = self.upkeep.lost.filter { $0.retryAt <= now }
        if !due.isEmpty {
            self.upkeep.lost.removeAll { $0.retryAt <= now }
            for (subscriber, _) in due { self.subscribe(subscriber) }
        }
        guard !self.upkeep.isDeclaring else { return }
        let topology = self.topology()
        let interval = self.configuration.declarationInterval
        if self.upkeep.nextDeclaration(items: topology.count, interval: interval) <= now { self.declareAll() }
    }

    /// Whether something is due soon, or an answer is waited for.
    var isWaiting: Bool {
        !self.operations.isEmpty || !self.upkeep.lost.isEmpty || self.upkeep.isWanted
            || !self.allPublishers.allSatisfy {
                $0.window.count == 0 && !$0.isRetired
            }
    }

    /// Somebody waits until all is declared again.
    func declareAgain(_ answer: Answer<Void>) {
        self.upkeep.waiters.append(answer)
        self.declareSoon()
    }

    /// In a second: a broker that still clears up after a quorum queue (seen with RabbitMQ 3.10) may take a new one of the
    /// same name along.
    private func declareSoon() {
        guard !self.upkeep.isWanted else { return }
        self.upkeep.isWanted = true
        self.upkeep.declaredAt = .now
    }

    func isMissing(queue: String) {
        if self.topology().queues.contains(where: { $0.name == queue }) { self.declareSoon() }
    }

    func isMissing(exchange: String, _ error: AMQPError) {
        guard error.code == .notFound else { return }
        if self.topology().exchanges.contains(where: { $0.name == exchange }) { self.declareSoon() }
    }

    func subscribeLater(_ subscriber: Subscriber, _ error: AMQPError) {
        self.upkeep.lost.append((subscriber, .now + .seconds(1)))
        self.setFault(error, of: subscriber)
    }

    func setFault(_ error: AMQPError?, of subscriber: Subscriber) {
        let id = ObjectIdentifier(subscriber)
        guard error != nil || self.upkeep.consumerFaults[id] != nil else { return }
        self.upkeep.consumerFaults[id] = error
        self.tellFaults()
    }

    /// A consumer wants no subscription any more.
    func forget(_ subscriber: Subscriber) {
        self.upkeep.lost.removeAll { $0.subscriber === subscriber }
        self.setFault(nil, of: subscriber)
    }

    private func tellFaults() {
        self.report(.faults(self.upkeep.refused + self.upkeep.consumerFaults.values.sorted { $0.message < $1.message }))
    }
}
