// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// A process that leads a group of its own, ends when this process does, however that ends, and has nothing open of what
/// this process has.
public final class Child: Sendable {
    /// How a process ended.
    public enum End: Sendable, Equatable {
        /// By itself, with this code.
        case exit(Int32)
        /// By this signal.
        case signal(Int32)
    }

    private struct CannotStart: Error, CustomStringConvertible {
        let program: String
        let code: Int32
        var description: String { "\(self.program) cannot be started: \(String(cString: strerror(self.code)))" }
    }

    /// Its process id, and that of its group.
    public let identifier: pid_t
    private let state: Watched

    /// Starts a process.
    /// - Parameters:
    ///   - program: The path of its program.
    ///   - arguments: Its arguments.
    ///   - environment: Its whole environment.
    ///   - output: The file that its standard output is appended to; made if it is not there.
    ///   - errors: The same for its standard error.
    /// - Throws: When it cannot be started.
    public init(
        _ program: String,
        _ arguments: [String],
        environment: [String: String],
        output: String,
        errors: String
    ) throws {
        guard access(program, X_OK) == 0 else { throw CannotStart(program: program, code: errno) }
        let state = Watched()
        // The kernel ends the child with the thread that has started it: that thread waits for it.
        let thread = Thread {
            let result = Self.spawn(program, arguments, environment, output, errors)
            state.started(result)
            guard case .success(let child) = result else { return }
            var information = siginfo_t()
            while waitid(P_PID, id_t(child), &information, WEXITED | WNOWAIT) < 0, errno == EINTR {}
            state.reap(child)
        }
        thread.start()
        self.identifier = try state.identifier().get()
        self.state = state
    }

    /// How it ended; nil while it runs.
    public var end: End? { self.state.end }

    /// Sends it a signal, if it runs.
    public func send(_ signal: Int32) { self.state.whileRunning { kill(self.identifier, signal) } }

    /// Ends it and all of its group by force.
    public func killGroup() { self.state.whileRunning { kill(-self.identifier, SIGKILL) } }

    /// Waits for its end.
    public func ended() async -> End {
        await withCheckedContinuation { continuation in self.state.whenEnded { continuation.resume(returning: $0) } }
    }

    /// Waits for its end, and ends it and its group by force when it takes too long.
    /// - Parameter limit: A bound for what hangs, far above what anything takes.
    /// - Returns: How it ended.
    public func ended(within limit: Duration) async -> End {
        let watch = Task {
            try await Task.sleep(for: limit)
            self.killGroup()
        }
        defer { watch.cancel() }
        return await self.ended()
    }

    private static func spawn(
        _ program: String,
        _ arguments: [String],
        _ environment: [String: String],
        _ output: String,
        _ errors: String
    ) -> Result<pid_t, any Error> {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        if errors == output {
            posix_spawn_file_actions_adddup2(&actions, 1, 2)
        } else {
            posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        }
        // What other threads open meanwhile gets the lowest numbers that are free.
        let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd"))?.compactMap { Int32($0) }
        for descriptor in 3...(open?.max() ?? 0) + 64 { posix_spawn_file_actions_addclose(&actions, descriptor) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)
        )
        let words = ["setpriv", "--pdeathsig", "KILL", "--", program] + arguments
        var argv = words.map { strdup($0) } + [nil]
        var envp = environment.map { strdup("\($0)=\($1)") } + [nil]
        defer { (argv + envp).forEach { free($0) } }
        var child: pid_t = 0
        let code = posix_spawn(&child, "/usr/bin/setpriv", &actions, &attributes, &argv, &envp)
        return code == 0 ? .success(child) : .failure(CannotStart(program: program, code: code))
    }
}

/// What the thread that waits for a process tells those that ask for it.
private final class Watched: @unchecked Sendable {
    // All is guarded by the condition. A process is reaped under it too: until then its id is nobody else's, and may be
    // signalled.
    private let condition = NSCondition()
    private var start: Result<pid_t, any Error>?
    private var result: Child.End?
    private var waiters: [@Sendable (Child.End) -> Void] = []

    func started(_ start: Result<pid_t, any Error>) {
        self.condition.withLock {
            self.start = start
            self.condition.broadcast()
        }
    }

    func identifier() -> Result<pid_t, any Error> {
        self.condition.withLock {
            while true {
                if let start = self.start { return start }
                self.condition.wait()
            }
        }
    }

    var end: Child.End? { self.condition.withLock { self.result } }

    func whileRunning(_ body: () -> Void) {
        self.condition.withLock {
            if self.result == nil { body() }
        }
    }

    func whenEnded(_ body: @escaping @Sendable (Child.End) -> Void) {
        let result = self.condition.withLock {
            if self.result == nil { self.waiters.append(body) }
            return self.result
        }
        if let result { body(result) }
    }

    func reap(_ child: pid_t) {
        let (end, waiters) = self.condition.withLock {
            var status: Int32 = 0
            while waitpid(child, &status, 0) < 0, errno == EINTR {}
            let end: Child.End = status & 0x7F == 0 ? .exit(status >> 8 & 0xFF) : .signal(status & 0x7F)
            self.result = end
            defer { self.waiters = [] }
            return (end, self.waiters)
        }
        for waiter in waiters { waiter(end) }
    }
}
