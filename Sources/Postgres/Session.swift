// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CLibPQ

/// One `PGconn`, driven without blocking libpq calls. Lives and dies on its connection's thread.
final class Session {
    /// Why a wait was interrupted.
    enum Interruption {
        case none, cancel, shutdown
    }

    /// After a cancel request, how long the server may take to obey.
    static let cancelGrace: Duration = .seconds(5)

    let pointer: OpaquePointer
    private let wakeup: Wakeup
    private let interruption: () -> Interruption
    let redactor: PasswordRedactor
    /// What is prepared, by name on the server.
    var prepared: [String: PreparedSignature] = [:]
    /// Whether a COPY is under way.
    var isCopying = false
    private(set) var isBroken = false
    private(set) var wasCancelled = false
    private var deadline: ContinuousClock.Instant?
    private var canceller: Canceller?

    /// Connects, or throws.
    init(
        configuration: PostgresConfiguration,
        wakeup: Wakeup,
        interruption: @escaping () -> Interruption
    ) throws(PostgresError) {
        self.wakeup = wakeup
        self.interruption = interruption
        self.redactor = configuration.redactor
        let parameters = configuration.connectionParameters
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
        self.deadline = .now + configuration.connectTimeout
        do throws(PostgresError) {
            try self.connect()
        } catch {
            let sqlState = error.sqlState
            throw PostgresError(.connectionFailed, "\(configuration.endpoint): \(error.message)", sqlState: sqlState)
        }
        self.deadline = nil
        _ = PQsetnonblocking(pointer, 1)
    }

    deinit {
        self.canceller?.wait()
        PQfinish(self.pointer)
    }

    /// Sleeps until woken or until the server says something, such as goodbye.
    func idle() {
        if self.wakeup.wait(socket: PQsocket(self.pointer), events: POLLIN, timeout: -1) { _ = self.checkAlive() }
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

    private func connect() throws(PostgresError) {
        guard PQstatus(self.pointer) != CONNECTION_BAD else { throw self.connectError() }
        var state = PGRES_POLLING_WRITING
        while true {
            switch state {
            case PGRES_POLLING_OK: return
            case PGRES_POLLING_READING: try self.wait(POLLIN)
            case PGRES_POLLING_WRITING: try self.wait(POLLOUT)
            default: throw self.connectError()
            }
            state = PQconnectPoll(self.pointer)
        }
    }

    /// libpq 15 has no SQLSTATE for a failed connection, only text; these are the permanent ones, in English as
    /// `lc_messages` of the servers that we know of and in the forms of the sources.
    private func connectError() -> PostgresError {
        let text = self.redactor.redact(String(cString: PQerrorMessage(self.pointer)).trimmedLine)
        let patterns = [
            ("password authentication failed", "28P01"), ("no password supplied", "28P01"),
            ("authentication failed", "28000"), ("pg_hba.conf", "28000"),
            ("is not permitted to log in", "28000"), ("permission denied for database", "42501"),
        ]
        if let (_, state) = patterns.first(where: { text.contains($0.0) }) {
            return PostgresError(.connectionFailed, text, sqlState: state)
        }
        if text.contains("FATAL"), text.contains("does not exist") {
            return PostgresError(.connectionFailed, text, sqlState: text.contains("role \"") ? "28000" : "3D000")
        }
        return PostgresError(.connectionFailed, text)
    }

    /// Waits until the socket is ready, the deadline passes or somebody interrupts.
    func wait(_ events: Int32) throws(PostgresError) {
        while true {
            switch self.interruption() {
            case .none: break
            case .shutdown:
                self.isBroken = true
                throw PostgresError(.closed, "the client was closed")
            case .cancel where !self.wasCancelled:
                self.wasCancelled = true
                self.canceller = Canceller(pointer: self.pointer)
                self.deadline = min(self.deadline ?? .now + Self.cancelGrace, .now + Self.cancelGrace)
            case .cancel: break
            }
            var timeout: Int32 = -1
            if let deadline {
                let remaining = ContinuousClock.now.duration(to: deadline).milliseconds
                guard remaining > 0 else {
                    self.isBroken = true
                    throw self.wasCancelled
                        ? PostgresError(.cancelled, "cancelled; the server did not obey, so the connection was closed")
                        : PostgresError(.timeout, "the server did not answer in time")
                }
                timeout = Int32(min(remaining, 60_000))
            }
            // Asked each time: it changes while libpq tries hosts, and is -1 once libpq has given up.
            let socket = PQsocket(self.pointer)
            guard socket >= 0 else { throw self.lost() }
            if self.wakeup.wait(socket: socket, events: events, timeout: timeout) { return }
        }
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
