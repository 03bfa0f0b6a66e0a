// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import ContactFiles
import Foundation
import PhoneNumbers

/// Dates from the command line and from a file.
struct DateArguments: ParsableArguments {
    @Argument(help: "Dates, YYYY-MM-DD, in the contacts' local time.") var dates: [String] = []
    @Option(
        help: "A file of dates: iCalendar (repeats: three years ahead), or CSV with the date in its first column.",
        completion: .file()
    )
    var file: String?

    func read() throws -> [String] {
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
                let read = try DateFile(Array(data), today: Date.now.formatted(.iso8601.year().month().day()))
                dates += read.dates
                if let until = read.repeatsUntil {
                    Console.note("\(file): events that repeat were read up to \(until); load it again before then")
                }
            } catch {
                throw UsageFault("\(file): \(error)")
            }
        }
        guard !dates.isEmpty else { throw UsageFault("no dates: name some, or a --file that holds some") }
        return Set(dates).sorted()
    }

    static func show(_ count: Int, isBlocked: Bool, _ ranges: [String]) {
        Console.line("\(count) dates \(isBlocked ? "blocked" : "freed"); blocked now:")
        for range in ranges { Console.line("  \(range)") }
        if ranges.isEmpty { Console.line("  none") }
    }
}

/// Dates of one campaign.
struct CampaignDates: ParsableArguments {
    @OptionGroup var common: CommonOptions
    @Argument(help: "The campaign.") var name: String
    @OptionGroup var dates: DateArguments

    func perform(isBlocked: Bool) async throws {
        let chosen = try self.dates.read()
        let (kept, blocked) = try await self.common.withStore { store in
            let kept = try await store.setBlocked(isBlocked, dates: chosen, campaign: self.name)
            return (kept, try await store.blockedDates(campaign: self.name))
        }
        if !isBlocked, kept > 0 { Console.note("\(kept) of the dates stay blocked: the campaign's policy blocks them") }
        DateArguments.show(chosen.count - (isBlocked ? 0 : kept), isBlocked: isBlocked, blocked)
    }
}

/// Dates of one region.
struct RegionDates: ParsableArguments {
    @OptionGroup var common: CommonOptions
    @Argument(help: "The region, an ISO 3166 code such as FR.") var region: String
    @OptionGroup var dates: DateArguments

    func perform(isBlocked: Bool) async throws {
        let region = self.region.uppercased()
        guard region.utf8.count == 2, region.utf8.allSatisfy({ 0x41...0x5A ~= $0 }) else {
            throw UsageFault("'\(self.region)' is not a region's ISO 3166 code such as FR")
        }
        // One that was blocked by mistake can be freed.
        if isBlocked, !NumberPlan.regions.contains(region), !(try CountryZones().countries.contains(region)) {
            throw UsageFault("'\(self.region)' is no country: nobody would be held back by its dates")
        }
        let chosen = try self.dates.read()
        let blocked = try await self.common.withStore { store in
            try await store.setBlocked(isBlocked, dates: chosen, region: region)
            return try await store.blockedDatesByRegion().filter { $0.region == region }.map(\.dates)
        }
        DateArguments.show(chosen.count, isBlocked: isBlocked, blocked)
    }
}

/// Dates on which a region's contacts are not called, whatever the campaign.
struct HolidaysCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "holidays",
        abstract: "Dates on which nobody in a region is called, by any campaign.",
        subcommands: [Block.self, Unblock.self, List.self]
    )

    struct Block: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Call nobody in a region on these dates. Acts at once, also on what is queued."
        )
        @OptionGroup var arguments: RegionDates
        func run() async throws { try await self.arguments.perform(isBlocked: true) }
    }

    struct Unblock: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Call in a region on these dates again.")
        @OptionGroup var arguments: RegionDates
        func run() async throws { try await self.arguments.perform(isBlocked: false) }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show the dates of all regions.")
        @OptionGroup var common: CommonOptions

        func run() async throws {
            let dates = try await self.common.withStore { try await $0.blockedDatesByRegion() }
            Console.table(["REGION", "DATES"], dates.map { [$0.region, $0.dates] })
        }
    }
}

extension CampaignCommand {
    struct Block: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Call nobody on these dates, such as holidays. Acts at once, also on what is queued."
        )
        @OptionGroup var arguments: CampaignDates
        func run() async throws { try await self.arguments.perform(isBlocked: true) }
    }

    struct Unblock: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Call on these dates again.")
        @OptionGroup var arguments: CampaignDates
        func run() async throws { try await self.arguments.perform(isBlocked: false) }
    }
}
