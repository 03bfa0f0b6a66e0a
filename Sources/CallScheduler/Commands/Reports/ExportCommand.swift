// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation

extension CampaignCommand {
    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write a campaign's contacts or attempts as CSV.",
            discussion: """
                A file appears only when it is whole; - is standard output. Times are in UTC, and disposition is the \
                AAPOR code. A cell with an external id such as =1+1 is a formula to a spreadsheet: --for-spreadsheets \
                makes it text.
                Contacts: \(CallStore.Export.contacts.columns.joined(separator: ", ")).
                Attempts: \(CallStore.Export.attempts.columns.joined(separator: ", ")).
                """
        )
        @OptionGroup var common: CommonOptions
        @Argument(help: "The campaign.") var name: String
        @Option(help: ArgumentHelp("Where the contacts go.", valueName: "FILE|-"), completion: .file()) var contacts:
            String?
        @Option(help: ArgumentHelp("Where the attempts go.", valueName: "FILE|-"), completion: .file()) var attempts:
            String?
        @Flag(help: "Leave only the last two digits of phone numbers.") var maskNumbers = false
        @OptionGroup var spreadsheets: SpreadsheetOptions

        func validate() throws {
            guard self.contacts != nil || self.attempts != nil else {
                throw ValidationError("name a file for --contacts or --attempts, or - for standard output")
            }
            guard self.contacts == nil || self.contacts != self.attempts else {
                throw ValidationError("--contacts and --attempts cannot go to the same place")
            }
        }

        func run() async throws {
            try await self.common.withStore { store in
                let campaign = try await store.campaign(named: self.name).id
                for (export, path) in [(CallStore.Export.contacts, self.contacts), (.attempts, self.attempts)] {
                    guard let path else { continue }
                    let count = try await self.write(export, of: campaign, to: path, store)
                    Console.note("\(count) \(export) written\(path == "-" ? "" : " to \(path)")")
                }
            }
        }

        private func write(
            _ export: CallStore.Export,
            of campaign: UUID,
            to path: String,
            _ store: CallStore
        ) async throws -> Int {
            let output = path == "-" ? CSVOutput(self.spreadsheets) : try CSVOutput(path: path, self.spreadsheets)
            let number = self.maskNumbers ? export.columns.firstIndex(of: "phone_number") : nil
            var count = 0
            do {
                try output.write(export.columns)
                try await store.export(export, campaign: campaign) { page in
                    for var row in page {
                        if let number { row[number] = PhoneNumber.masked(row[number]) }
                        try output.write(row)
                    }
                    count += page.count
                }
                try output.close()
            } catch {
                output.discard()
                throw error
            }
            return count
        }
    }
}
