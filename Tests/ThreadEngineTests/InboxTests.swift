// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import DequeModule
import Foundation
import TestBasics
import Testing

@testable import ThreadEngine

@Suite(.timeLimit(.minutes(20)))
struct InboxTests {
    /// What was refused, from whichever thread.
    private final class Refused: @unchecked Sendable {  // Everything is under the lock.
        private let lock = NSLock()
        private var work: [Int] = []
        var all: [Int] { self.lock.withLock { self.work.sorted() } }
        var count: Int { self.lock.withLock { self.work.count } }
        func add(_ one: Int) { self.lock.withLock { self.work.append(one) } }
    }

    private static func isReadable(_ inbox: Inbox<Int>, _ milliseconds: Int32 = 0) -> Bool {
        let start = ContinuousClock.now
        _ = inbox.wait(socket: -1, events: 0, milliseconds: milliseconds)
        return ContinuousClock.now - start < .milliseconds(Int(milliseconds))
    }

    @Test("a wake-up that is written late, when its work has been taken, leaves nothing readable behind")
    func lateWakeup() {
        let inbox = Inbox<Int> { _ in }
        // As by a thread that was stopped between its append and its write, while the work was taken.
        inbox.wake()
        #expect(inbox.takeAll().isEmpty)
        #expect(!Self.isReadable(inbox, 50))
        inbox.wake()
        #expect(Self.isReadable(inbox, 60_000))
        #expect(!Self.isReadable(inbox, 50), "to be woken is used up by the wait")
    }

    @Test("work that is appended wakes the thread, before and after it has waited")
    func wakes() {
        let inbox = Inbox<Int> { _ in }
        for round in 0..<3 {
            inbox.append(round)
            inbox.append(round + 1)
            #expect(Self.isReadable(inbox, 60_000))
            var noted: [Int] = []
            while inbox.takeFirst({ noted.append($0) }) != nil {}
            #expect(noted == [round, round + 1])
            inbox.append(7)
            #expect(Array(inbox.takeAll()) == [7])
            #expect(!Self.isReadable(inbox, 50))
        }
    }

    @Test("what is withdrawn is not taken; a shut inbox refuses what waits and what comes")
    func refuses() {
        let refused = Refused()
        let inbox = Inbox<Int> { refused.add($0) }
        for work in 1...4 { inbox.append(work) }
        #expect(inbox.withdraw { $0 == 2 } == 2)
        #expect(inbox.withdraw { $0 == 2 } == nil)
        #expect(inbox.takeFirst { _ in } == 1)
        inbox.shut()
        #expect(!inbox.append(5))
        #expect(inbox.isEmpty)
        #expect(refused.all == [3, 4, 5])
    }

    @Test("of work from many threads, while the inbox is shut, each is either taken or refused, once")
    func nothingLost() async {
        let refused = Refused()
        let taken = Refused()
        let offered = Refused()
        let inbox = Inbox<Int> { refused.add($0) }
        let (ended, end) = AsyncStream<Void>.makeStream()
        OwningThread.start("taker") {
            while taken.count < 5000 {
                _ = inbox.wait(socket: -1, events: 0, milliseconds: -1)
                for work in inbox.takeAll() { taken.add(work) }
            }
            inbox.shut()
            end.finish()
        }
        await withTaskGroup(of: Void.self) { group in
            for part in 0..<10 {
                // Until it is shut, and then some.
                group.addTask {
                    var (work, late) = (part, 0)
                    while late < 100 {
                        if !inbox.append(work) { late += 1 }
                        offered.add(work)
                        work += 10
                    }
                }
            }
        }
        for await _ in ended {}
        #expect((taken.all + refused.all).sorted() == offered.all.sorted())
        #expect(taken.count >= 5000 && refused.count >= 1000)
    }
}
