// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import DequeModule
import Foundation
import NIOConcurrencyHelpers

/// Work on its way to the one thread that owns a connection of a C library which is not thread-safe: anybody appends, the
/// thread takes, and waits for work and for its socket at once.
public final class Inbox<Work: Sendable>: Sendable {
    private struct State {
        var work: Deque<Work> = []
        /// Whether the thread has been, or is just being, woken for what is there.
        var isWoken = false
        var isShut = false
    }

    private let state = NIOLockedValueBox(State())
    private let wakeup = Wakeup()
    private let refuse: @Sendable (Work) -> Void

    /// - Parameter refuse: Tells whoever waits for some work that nobody will do it.
    public init(refuse: @escaping @Sendable (Work) -> Void) {
        self.refuse = refuse
    }

    /// Whether no work waits.
    public var isEmpty: Bool { self.state.withLockedValue { $0.work.isEmpty } }

    /// Adds work and wakes the thread.
    /// - Returns: False when the inbox is shut; the work was refused then.
    @discardableResult
    public func append(_ work: Work) -> Bool {
        let (isAccepted, wakes) = self.state.withLockedValue { state -> (Bool, Bool) in
            guard !state.isShut else { return (false, false) }
            state.work.append(work)
            defer { state.isWoken = true }
            return (true, !state.isWoken)
        }
        if !isAccepted { self.refuse(work) }
        if wakes { self.wakeup.wake() }
        return isAccepted
    }

    /// Takes all work.
    public func takeAll() -> Deque<Work> {
        // Always: whoever appended may write only now what an earlier turn has served already, and a descriptor that stays
        // readable would keep the thread spinning.
        self.wakeup.drain()
        return self.state.withLockedValue { state in
            state.isWoken = false
            defer { state.work = [] }
            return state.work
        }
    }

    /// Takes the oldest work. The thread takes until there is none before it waits.
    /// - Parameter note: Called with it before anybody else can see that it is gone from the inbox.
    /// - Returns: Nil when there is none.
    public func takeFirst(_ note: (Work) -> Void) -> Work? {
        self.state.withLockedValue { state in
            guard let work = state.work.popFirst() else { return nil }
            note(work)
            return work
        }
    }

    /// Takes back what the thread has not taken yet.
    public func withdraw(where matches: (Work) -> Bool) -> Work? {
        self.state.withLockedValue { state in
            state.work.firstIndex(where: matches).map { state.work.remove(at: $0) }
        }
    }

    /// Refuses everything, what waits and what comes.
    public func shut() {
        let left = self.state.withLockedValue { state in
            state.isShut = true
            defer { state.work = [] }
            return state.work
        }
        for work in left { self.refuse(work) }
    }

    /// Wakes the thread although there is no work: something else that it looks at has changed.
    public func wake() {
        self.wakeup.wake()
    }

    /// Waits, on the thread, for work or for a socket.
    /// - Parameters:
    ///   - socket: The socket; -1 for none.
    ///   - events: What to wait for, of poll(2).
    ///   - milliseconds: At most; negative for as long as it takes.
    /// - Returns: Whether the socket is ready.
    public func wait(socket: Int32, events: Int32, milliseconds: Int32) -> Bool {
        let (isWoken, isReady) = self.wakeup.wait(socket: socket, events: events, milliseconds: milliseconds)
        if isWoken { self.state.withLockedValue { $0.isWoken = false } }
        return isReady
    }
}
