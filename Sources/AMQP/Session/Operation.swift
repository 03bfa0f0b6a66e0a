// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ
import DequeModule

/// Methods that are sent one after the other on one channel, each once the broker has answered the one before. Nobody
/// blocks meanwhile: a broker that takes its time, or takes nothing for now, holds up nothing else.
final class Operation {
    /// One method and its answer.
    struct Step {
        /// What is being done, for errors.
        let activity: String
        let method: Int
        let answers: [Int]
        /// Writes the method; its arguments live in the arena.
        let send: (amqp_connection_state_t, UInt16, Arena) -> Int32
        var receive: (amqp_method_t) -> Void = { _ in }
    }

    private var steps: Deque<Step>
    private(set) var current: Step?
    /// When the answer to the current step must have come.
    private(set) var deadline: ContinuousClock.Instant = .now
    let done: (Result<Void, AMQPError>) -> Void

    /// - Parameters:
    ///   - steps: What to do.
    ///   - done: Called exactly once: with success, or why a step failed.
    init(_ steps: [Step], done: @escaping (Result<Void, AMQPError>) -> Void) {
        self.steps = Deque(steps)
        self.done = done
    }

    /// - Returns: The next step; nil when all are done.
    func next(deadline: ContinuousClock.Instant) -> Step? {
        self.current = self.steps.popFirst()
        self.deadline = deadline
        return self.current
    }

    func isAnswered(by method: amqp_method_number_t) -> Bool {
        self.current?.answers.contains { UInt32($0) == UInt32(method) } ?? false
    }
}

extension Operation.Step {
    private static func step<Method>(
        _ activity: String,
        _ method: Int,
        _ answers: [Int],
        _ make: @escaping (Arena) -> Method
    ) -> Operation.Step {
        Operation.Step(activity: activity, method: method, answers: answers) { connection, channel, arena in
            var decoded = make(arena)
            return withUnsafeMutablePointer(to: &decoded) {
                amqp_send_method(connection, channel, amqp_method_number_t(method), $0)
            }
        }
    }

    static var open: Self {
        .step("opening a channel", Int(AMQP_CHANNEL_OPEN_METHOD), [Int(AMQP_CHANNEL_OPEN_OK_METHOD)]) { _ in
            amqp_channel_open_t(out_of_band: amqp_empty_bytes)
        }
    }

    static var confirmSelect: Self {
        .step("asking for confirms", Int(AMQP_CONFIRM_SELECT_METHOD), [Int(AMQP_CONFIRM_SELECT_OK_METHOD)]) { _ in
            amqp_confirm_select_t(nowait: 0)
        }
    }

    static func declare(_ exchange: AMQPTopology.Exchange) -> Self {
        let answers = [Int(AMQP_EXCHANGE_DECLARE_OK_METHOD)]
        return .step("declaring exchange '\(exchange.name)'", Int(AMQP_EXCHANGE_DECLARE_METHOD), answers) { arena in
            var method = amqp_exchange_declare_t()
            method.exchange = arena.bytes(exchange.name)
            method.type = arena.bytes(exchange.kind.rawValue)
            method.durable = exchange.durable ? 1 : 0
            return method
        }
    }

    static func look(atExchange name: String) -> Self {
        let answers = [Int(AMQP_EXCHANGE_DECLARE_OK_METHOD)]
        return .step("asking for exchange '\(name)'", Int(AMQP_EXCHANGE_DECLARE_METHOD), answers) { arena in
            var method = amqp_exchange_declare_t()
            method.exchange = arena.bytes(name)
            method.type = arena.bytes("direct")
            method.passive = 1
            return method
        }
    }

    static func declare(_ queue: AMQPTopology.Queue, _ receive: @escaping (AMQPQueueStatus) -> Void) -> Self {
        .declaration("declaring queue '\(queue.name)'", receive) { arena in
            var method = amqp_queue_declare_t()
            method.queue = arena.bytes(queue.name)
            method.durable = queue.durable ? 1 : 0
            method.exclusive = queue.exclusive ? 1 : 0
            method.auto_delete = queue.autoDelete ? 1 : 0
            method.arguments = arena.table(queue.arguments)
            return method
        }
    }

    static func declare(_ binding: AMQPTopology.Binding) -> Self {
        let activity = "binding queue '\(binding.queue)' to exchange '\(binding.exchange)'"
        return .step(activity, Int(AMQP_QUEUE_BIND_METHOD), [Int(AMQP_QUEUE_BIND_OK_METHOD)]) { arena in
            var method = amqp_queue_bind_t()
            method.queue = arena.bytes(binding.queue)
            method.exchange = arena.bytes(binding.exchange)
            method.routing_key = arena.bytes(binding.routingKey)
            return method
        }
    }

    static func status(of queue: String, _ receive: @escaping (AMQPQueueStatus) -> Void) -> Self {
        .declaration("asking for queue '\(queue)'", receive) { arena in
            var method = amqp_queue_declare_t()
            method.queue = arena.bytes(queue)
            method.passive = 1
            return method
        }
    }

    private static func declaration(
        _ activity: String,
        _ receive: @escaping (AMQPQueueStatus) -> Void,
        _ make: @escaping (Arena) -> amqp_queue_declare_t
    ) -> Self {
        let answers = [Int(AMQP_QUEUE_DECLARE_OK_METHOD)]
        var step = Self.step(activity, Int(AMQP_QUEUE_DECLARE_METHOD), answers, make)
        step.receive = { answer in
            let status = answer.decoded.assumingMemoryBound(to: amqp_queue_declare_ok_t.self).pointee
            receive(
                AMQPQueueStatus(messagesReady: Int(status.message_count), consumers: Int(status.consumer_count))
            )
        }
        return step
    }

    static func purge(_ queue: String, _ receive: @escaping (Int) -> Void) -> Self {
        let answers = [Int(AMQP_QUEUE_PURGE_OK_METHOD)]
        var step = Self.step("purging queue '\(queue)'", Int(AMQP_QUEUE_PURGE_METHOD), answers) { arena in
            var method = amqp_queue_purge_t()
            method.queue = arena.bytes(queue)
            return method
        }
        step.receive = { answer in
            receive(Int(answer.decoded.assumingMemoryBound(to: amqp_queue_purge_ok_t.self).pointee.message_count))
        }
        return step
    }

    static func delete(_ queue: String) -> Self {
        let answers = [Int(AMQP_QUEUE_DELETE_OK_METHOD)]
        return .step("deleting queue '\(queue)'", Int(AMQP_QUEUE_DELETE_METHOD), answers) { arena in
            var method = amqp_queue_delete_t()
            method.queue = arena.bytes(queue)
            return method
        }
    }

    static func get(_ queue: String, _ receive: @escaping (amqp_basic_get_ok_t?) -> Void) -> Self {
        let answers = [Int(AMQP_BASIC_GET_OK_METHOD), Int(AMQP_BASIC_GET_EMPTY_METHOD)]
        var step = Self.step("getting from queue '\(queue)'", Int(AMQP_BASIC_GET_METHOD), answers) { arena in
            var method = amqp_basic_get_t()
            method.queue = arena.bytes(queue)
            return method
        }
        step.receive = { answer in
            let isThere = UInt32(answer.id) == UInt32(AMQP_BASIC_GET_OK_METHOD)
            receive(isThere ? answer.decoded.assumingMemoryBound(to: amqp_basic_get_ok_t.self).pointee : nil)
        }
        return step
    }

    /// Prefetch and subscription.
    static func subscription(_ subscriber: Subscriber, tag: String) -> [Self] {
        let activity = "consuming from queue '\(subscriber.queue)'"
        let limit = Self.step(activity, Int(AMQP_BASIC_QOS_METHOD), [Int(AMQP_BASIC_QOS_OK_METHOD)]) { _ in
            amqp_basic_qos_t(prefetch_size: 0, prefetch_count: UInt16(clamping: subscriber.prefetch), global: 0)
        }
        let answers = [Int(AMQP_BASIC_CONSUME_OK_METHOD)]
        let consume = Self.step(activity, Int(AMQP_BASIC_CONSUME_METHOD), answers) { arena in
            var method = amqp_basic_consume_t()
            method.queue = arena.bytes(subscriber.queue)
            method.consumer_tag = arena.bytes(tag)
            method.exclusive = subscriber.exclusive ? 1 : 0
            if let priority = subscriber.priority {
                method.arguments = arena.table(["x-priority": .int32(Int32(clamping: priority))])
            }
            return method
        }
        return [.open, limit, consume]
    }

    static func cancel(tag: String) -> Self {
        .step("cancelling a consumer", Int(AMQP_BASIC_CANCEL_METHOD), [Int(AMQP_BASIC_CANCEL_OK_METHOD)]) { arena in
            amqp_basic_cancel_t(consumer_tag: arena.bytes(tag), nowait: 0)
        }
    }
}
