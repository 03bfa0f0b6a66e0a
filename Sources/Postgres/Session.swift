// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CLibPQ
import ThreadEngine

/// One `PGconn`, driven without blocking libpq calls. Lives and dies on its connection's thread.
final class Session {
    /// Why a wait was interrupted.
    enum Interruption {
        case none, cancel, shutdown
    }

    /// After a cancel request, how long the server may take to obey.
    static let cancelGrace: Duration = .seconds(5)
    private static let cancelInterval: Duration = .seconds(1)

    let pointer: OpaquePointer
    private let inbox: Inbox<ConnectionWorker.Job>
    private let interruption: () -> Interruption
    let redactor: PasswordRedactor
    /// Where this is connected to.
    let endpoint: PostgresEndpoint
    /// What is prepared, by name on the server.
    var prepared: [String: PreparedSignature] = [:]
    /// Whether the server may no longer hold what is prepared, or in another shape.
    var hasStalePlans = false
    /// Whether a COPY is under way.
    var isCopying = false
    private(set) var isBroken = false
    private(set) var wasCancelled = false
    private var deadline: ContinuousClock.Instant?
    private var canceller: Canceller?
    private var cancelledAt: ContinuousClock.Instant = .now

    /// Connects to one place, or throws.
    init(
        configuration: PostgresConfiguration,
        endpoint: PostgresEndpoint,
        attributes: String,
        timeout: Duration,
        inbox: Inbox<ConnectionWorker.Job>,
        interruption: @escaping () -> Interruption
    ) throws(PostgresError) {
        self.inbox = inbox
        self.interruption = interruption
        self.redactor = configuration.redactor
        self.endpoint = endpoint
        self.deadline = .now + timeout
        let parameters = configuration.connectionParameters(endpoint, attributes)
        guard
            let pointer = CStrings.with(
                parameters.map(\.keyword),
                { keywords in
                    CStrings.with(parameters.map(\.value)) { values in PQconnectStartParams(keywords, values, 0) }
                }
            )
        else { throw PostgresError(.connectionFailed, "out of memory") }
        self.pointer = pointer
        // The default processor writes to stderr.
        PQsetNoticeProcessor(pointer, { _, _ in }, nil)
        do throws(PostgresError) {
            try self.connect()
            _ = PQsetnonblocking(pointer, 1)
            try self.configure(configuration.settings(version: PQserverVersion(pointer)))
        } catch {
            guard error.code != .closed else { throw error }
            let sqlState = error.sqlState
            throw PostgresError(.connectionFailed, "\(endpoint.name): \(error.message)", sqlState: sqlState)
        }
        self.deadline = nil
    }

    deinit {
        self.canceller?.wait()
        PQfinish(self.pointer)
    }

    /// Sleeps until woken or until the server says something, such as goodbye.
    func idle() {
        // What a COPY brings stays with the server until it is asked for: it would gather here, the whole table.
        guard !self.isCopying else {
            _ = self.inbox.wait(socket: -1, events: 0, milliseconds: -1)
            return
        }
        if self.inbox.wait(socket: PQsocket(self.pointer), events: POLLIN, milliseconds: -1) { _ = self.checkAlive() }
    }

    /// Starts a unit of work.
    func begin(deadline: ContinuousClock.Instant?) {
        self.deadline = deadline
        self.wasCancelled = false
    }

    /// Ends a unit of work: a cancel request must have arrived somewhere before the next statement is sent.
    func end() {
        self.deadline = nil
        self.canceller?.wait()
        self.canceller = nil
    }

    func lost(_ text: String? = nil, neverSent: Bool = false) -> PostgresError {
        self.isBroken = true
        let reason = text ?? String(cString: PQerrorMessage(self.pointer)).trimmedLine
        return PostgresError(
            .connectionLost,
            reason.isEmpty ? "the connection was lost" : self.redactor.redact(reason),
            neverSent: neverSent
        )
    }

    /// Whether the connection is still up, as far as the socket tells.
    func checkAlive() -> Bool {
        guard !self.isBroken, PQconsumeInput(self.pointer) == 1, PQstatus(self.pointer) == CONNECTION_OK else {
            self.isBroken = true
            return false
        }
        return true
    }

    var isInNoTransaction: Bool { PQtransactionStatus(self.pointer) == PQTRANS_IDLE }

    func abandon() { self.isBroken = true }

    /// Waits until the socket is ready, the deadline passes or somebody interrupts.
    func wait(_ events: Int32) throws(PostgresError) {
        while true {
            switch self.interruption() {
            case .none: break
            case .shutdown:
                self.isBroken = true
                throw PostgresError(.closed, "the client was closed")
            case .cancel: self.askToCancel()
            }
            var timeout: Int32 = self.wasCancelled ? Int32(Self.cancelInterval.milliseconds) : -1
            if let deadline {
                let remaining = ContinuousClock.now.duration(to: deadline).milliseconds
                guard remaining > 0 else {
                    self.isBroken = true
                    throw self.wasCancelled
                        ? PostgresError(.cancelled, "cancelled; the server did not obey, so the connection was closed")
                        : PostgresError(.timeout, "the server did not answer in time")
                }
                timeout = Int32(min(remaining, timeout < 0 ? 60_000 : Int64(timeout)))
            }
            // Asked each time: it changes while libpq tries hosts, and is -1 once libpq has given up.
            let socket = PQsocket(self.pointer)
            guard socket >= 0 else { throw self.lost() }
            if self.inbox.wait(socket: socket, events: events, milliseconds: timeout) { return }
        }
    }

    /// A request may be refused, or arrive before the statement has begun: it is repeated until the server has obeyed.
    private func askToCancel() {
        if !self.wasCancelled {
            self.wasCancelled = true
            self.deadline = min(self.deadline ?? .now + Self.cancelGrace, .now + Self.cancelGrace)
        } else {
            guard let canceller, canceller.isFinished, self.cancelledAt + Self.cancelInterval <= .now else { return }
        }
        self.cancelledAt = .now
        self.canceller = Canceller(pointer: self.pointer)
    }

    /// Sends all that is buffered, reading meanwhile, because a server that cannot write stops reading.
    func flush() throws(PostgresError) {
        while true {
            switch PQflush(self.pointer) {
            case 0: return
            case 1:
                try self.wait(POLLIN | POLLOUT)
                guard PQconsumeInput(self.pointer) == 1 else { throw self.lost() }
            default: throw self.lost()
            }
        }
    }

    /// The next result; nil is libpq's end of a statement's results.
    func nextResult() throws(PostgresError) -> ResultHandle? {
        while PQisBusy(self.pointer) == 1 {
            try self.wait(POLLIN)
            guard PQconsumeInput(self.pointer) == 1 else { throw self.lost() }
        }
        if let result = PQgetResult(self.pointer) { return ResultHandle(adopting: result) }
        guard PQstatus(self.pointer) == CONNECTION_OK else { throw self.lost() }
        return nil
    }
}
