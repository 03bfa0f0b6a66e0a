// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import ArgumentParser
import CallModel
import CallQueues
import CallStore
import Foundation

struct DeadLettersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead-letters",
        abstract: "Look at what nobody could handle, send it again, or discard it.",
        subcommands: [List.self, Show.self, SendAgain.self, Discard.self]
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List dead letters with kind, age, call and reason, the oldest first; none is taken away."
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @OptionGroup var which: DeadLetterKindOption
        @Option(help: "Show no more than these, 1…65535.") var limit = 1000

        func run() async throws {
            guard 1...DeadLetterBox.mostAtOnce ~= self.limit else {
                throw UsageFault("limit: \(self.limit) is not in 1…\(DeadLetterBox.mostAtOnce)")
            }
            let kind = try self.which.chosen()
            let (letters, left) = try await DeadLetterBox.open(self.common.broker()) { box in
                var letters: [DeadLetter] = []
                var left = 0
                _ = try await box.walk { letter in
                    guard kind == nil || letter.kind == kind else { return .stays }
                    if letters.count < self.limit { letters.append(letter) } else { left += 1 }
                    return .stays
                }
                return (letters, left)
            }
            let views = await self.common.views(of: letters)
            if self.output.json {
                try Console.json(views)
                return
            }
            DeadLetterView.print(views)
            if left > 0 { Console.note("\(left) more: see --limit") }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show all that is known of a dead letter.")
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @Argument(help: "Its id, or how that begins, from 6 characters on.") var id: String
        @Flag(help: "Print its body as it is, whatever a stranger may have put there.") var body = false

        func run() async throws {
            let ids = try DeadLetterIDs([self.id])
            let letters = try await DeadLetterBox.open(self.common.broker()) { box in
                var letters: [DeadLetter] = []
                _ = try await box.walk { letter in
                    if ids.contain(letter) { letters.append(letter) }
                    return .stays
                }
                return letters
            }
            try ids.check(letters.map(\.id))
            if self.body {
                for letter in letters { FileHandle.standardOutput.write(Data(letter.body)) }
                return
            }
            let views = await self.common.views(of: letters)
            if self.output.json {
                try Console.json(views)
            } else {
                for view in views { view.printAll() }
            }
        }
    }

    struct SendAgain: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Send dead letters to where they were sent first; each is removed once the broker has it there."
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var choice: DeadLetterChoice

        func run() async throws {
            let outcome = try await self.choice.perform(.isSentAgain, self.common)
            Console.line("sent \(outcome.sentAgain) again")
            for fault in outcome.faults { Console.note("\(fault.id) stays: \(fault.reason)") }
            guard outcome.faults.isEmpty else {
                throw CheckFailed(message: "\(outcome.faults.count) could not be sent")
            }
        }
    }

    struct Discard: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove dead letters for good; a report that was refused has no other copy."
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var choice: DeadLetterChoice

        func run() async throws {
            guard !self.choice.all || self.choice.which.kind != nil else {
                throw UsageFault("all: say which --kind, since a report that was refused has no other copy")
            }
            let outcome = try await self.choice.perform(.isDiscarded, self.common)
            Console.line("discarded \(outcome.discarded)")
        }
    }
}

/// One kind of dead letters.
struct DeadLetterKindOption: ParsableArguments {
    @Option(
        name: .customLong("kind"),
        help: "Only those of this kind: unreadable, refused, not_placed or dropped_by_broker."
    )
    var kind: String?

    func chosen() throws -> DeadLetter.Kind? {
        guard let kind = self.kind else { return nil }
        guard let known = DeadLetter.Kind(rawValue: kind.replacing("-", with: "_")) else {
            let kinds = DeadLetter.Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw UsageFault("kind: '\(kind)' is none of \(kinds)")
        }
        return known
    }
}

/// Which dead letters are meant.
struct DeadLetterChoice: ParsableArguments {
    @Argument(help: "Their ids, or how these begin, from 6 characters on.") var ids: [String] = []
    @Flag(help: "All, or all of a kind.") var all = false
    @OptionGroup var which: DeadLetterKindOption

    func perform(_ fate: DeadLetterBox.Fate, _ common: CommonOptions) async throws -> DeadLetterBox.Outcome {
        guard self.ids.isEmpty == self.all else { throw UsageFault("give ids, or --all") }
        let kind = try self.which.chosen()
        let ids = try DeadLetterIDs(self.ids)
        let broker = try common.broker()
        if !self.all {
            // Before anything is done, all that was asked for is found; what was looked at is back once the box is closed.
            let found = try await DeadLetterBox.open(broker) { box in
                var found: [String] = []
                _ = try await box.walk { letter in
                    if ids.contain(letter) { found.append(letter.id) }
                    return .stays
                }
                return found
            }
            try ids.check(found)
        }
        return try await DeadLetterBox.open(broker) { box in
            try await box.walk { letter in
                let isMeant = self.all ? kind == nil || letter.kind == kind : ids.contain(letter)
                return isMeant ? fate : .stays
            }
        }
    }
}

/// Ids of dead letters as a person gives them.
private struct DeadLetterIDs {
    private let texts: [String]

    init(_ texts: [String]) throws {
        self.texts = texts.map { $0.lowercased() }
        for text in self.texts where text.count < 6 || !text.allSatisfy(\.isHexDigit) {
            throw UsageFault("'\(text)' is no id: 6 to 16 hexadecimal digits, as `dead-letters list` shows them")
        }
    }

    func contain(_ letter: DeadLetter) -> Bool { self.texts.contains { letter.id.hasPrefix($0) } }

    /// Each must name one letter, or copies of one.
    func check(_ found: [String]) throws {
        for text in self.texts {
            let matches = Set(found.filter { $0.hasPrefix(text) })
            if matches.isEmpty { throw UsageFault("there is no dead letter \(text)") }
            if matches.count > 1 { throw UsageFault("\(text) begins the ids of \(matches.count) dead letters") }
        }
    }
}
