// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallStore
import Foundation
import PhoneNumbers

/// What is known of number plans beyond the library's tables.
struct NumbersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "numbers",
        abstract: "What has changed in number plans since the tables of libphonenumber.",
        subcommands: [Show.self, Update.self]
    )

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show which changes are known, and from where.")
        @OptionGroup var common: CommonOptions

        func run() async throws {
            let changes = try await self.common.withStore { try await NumbersCommand.changes($0) }
            let isShipped = changes.version == NumberChanges.shipped.version
            Console.line(
                "changes in number plans of \(changes.version), \(isShipped ? "of this program" : "installed")"
            )
        }
    }

    struct Update: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take the changes from a document such as Schemas/Numbers/changes-since.json, for all commands.",
            discussion: "The newer of the document and of what the program brings is used."
        )
        @OptionGroup var common: CommonOptions
        @Argument(help: "The document.", completion: .file()) var file: String

        func run() async throws {
            guard let data = FileManager.default.contents(atPath: self.file) else {
                throw UsageFault("\(self.file): cannot be read")
            }
            let changes: NumberChanges
            do {
                changes = try NumberChanges(json: data)
            } catch {
                throw UsageFault("\(self.file): \(error.reason)")
            }
            guard changes.version > NumberChanges.shipped.version else {
                throw UsageFault(
                    "\(self.file): is of \(changes.version), and this program's own of \(NumberChanges.shipped.version)"
                )
            }
            try await self.common.withStore { store in
                try await store.installNumberChanges(String(decoding: data, as: UTF8.self))
            }
            Console.line("changes in number plans of \(changes.version) are installed")
        }
    }

    /// Those that were installed, or those of the program if these are newer.
    static func changes(_ store: CallStore) async throws -> NumberChanges {
        guard let text = try await store.numberChanges() else { return .shipped }
        do {
            let installed = try NumberChanges(json: Data(text.utf8))
            return installed.version > NumberChanges.shipped.version ? installed : .shipped
        } catch {
            throw UsageFault("the changes in number plans that are installed cannot be read: \(error.reason)")
        }
    }
}
