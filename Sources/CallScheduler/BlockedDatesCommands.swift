// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation

/// Dates from the command line and from a file.
struct DateArguments: ParsableArguments {
    @OptionGroup var common: CommonOptions
    @Argument(help: "The campaign.") var name: String
    @Argument(help: "Dates, YYYY-MM-DD, in the contacts' local time.") var dates: [String] = []
    @Option(help: "A file of dates: iCalendar, or CSV with the date in its first column.") var file: String?

    func perform(isBlocked: Bool) async throws {
        var dates: [String] = []
        for text in self.dates {
            guard let date = BlockedDates.date(text) else {
                throw UsageFault("'\(text)' is not a date like 2026-12-25")
            }
            dates.append(date)
        }
        if let file = self.file {
            guard let data = FileManager.default.contents(atPath: file) else {
                throw UsageFault("\(file): cannot be read")
            }
            do {
                dates += try BlockedDates.parse(String(decoding: data, as: UTF8.self))
            } catch {
                throw UsageFault("\(file): \(error)")
            }
        }
        guard !dates.isEmpty else { throw UsageFault("no dates: name some, or a --file that holds some") }
        let chosen = Set(dates).sorted()
        let (kept, blocked) = try await self.common.withStore { store in
            let kept = try await store.setBlocked(isBlocked, dates: chosen, campaign: self.name)
            return (kept, try await store.blockedDates(campaign: self.name))
        }
        if !isBlocked, kept > 0 { Console.note("\(kept) of the dates stay blocked: the campaign's policy blocks them") }
        Console.line("\(chosen.count - (isBlocked ? 0 : kept)) dates \(isBlocked ? "blocked" : "freed"); blocked now:")
        for range in blocked { Console.line("  \(range)") }
        if blocked.isEmpty { Console.line("  none") }
    }
}

extension CampaignCommand {
    struct Block: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Call nobody on these dates, such as holidays. Acts at once, also on what is queued."
        )
        @OptionGroup var arguments: DateArguments
        func run() async throws { try await self.arguments.perform(isBlocked: true) }
    }

    struct Unblock: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Call on these dates again.")
        @OptionGroup var arguments: DateArguments
        func run() async throws { try await self.arguments.perform(isBlocked: false) }
    }
}
