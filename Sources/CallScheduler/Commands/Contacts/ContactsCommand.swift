// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation
import PhoneNumbers

struct ContactsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "contacts",
        abstract: "Load contacts and look at them, ask why one is called or is not, make appointments, record consent, "
            + "forget a person.",
        subcommands: [
            Import.self, List.self, Imports.self, UndoImport.self, Why.self, Appoint.self, Consent.self, Erase.self,
        ]
    )

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Load contacts from a CSV file. Loading a file again adds nobody.",
            discussion: """
                The first line names the columns: phone_number, and any of external_contact_id, email, language, \
                has_prior_consent, do_not_call, time_zone, region, cell, appointment_at, appointment_until, consent_at, \
                consent_source, consent_proof, postal_code. Rows that cannot be used are written to the \
                rejects file with line number and reason; the others are loaded. Of contacts that are there, the \
                stricter word counts: do_not_call takes them out, has_prior_consent=false withdraws their consent. An \
                import that was interrupted goes on where it was when the same command is run again.
                """
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @OptionGroup var options: ContactFileOptions
        @Argument(help: "The CSV file, or a pipe.", completion: .file()) var file: String
        @Option(help: "The campaign.") var campaign: String
        @Option(
            help: "Where rejected rows go; FILE.rejects.csv unless told, rejects.csv for a pipe.",
            completion: .file()
        ) var rejects: String?

        private static let exampleLimit = 20

        func run() async throws {
            let file = try ContactFile(path: self.file, format: try self.options.file.format())
            let rejectsPath = self.rejects ?? (file.size == nil ? "rejects.csv" : self.file + ".rejects.csv")
            let fingerprint = try file.size.map { size in
                try FileFingerprint.make(path: self.file, size: size, options: self.options.words + [rejectsPath])
            }
            var settings = try self.common.settings()
            let key = settings.suppressionKey()
            try settings.check()
            let summary = try await self.common.withStore { store in
                let campaign = try await store.campaign(named: self.campaign)
                guard ![.completed, .cancelled].contains(campaign.status) else {
                    throw UsageFault("campaign '\(self.campaign)' is \(campaign.status.rawValue): it takes no contacts")
                }
                let plan = try self.options.plan(try await NumbersCommand.changes(store))
                let columns = try await file.readHeader(self.options.file)
                let zones = try await store.timeZones()
                let countryZones = try Self.countryZones(known: zones)
                let check = ContactCheck(
                    columns: columns,
                    plan: plan,
                    zones: ZoneNames(known: zones),
                    countryZones: countryZones,
                    evidence: ZoneEvidence(countries: countryZones)
                )
                let current = try await store.beginImport(
                    campaign: campaign.id,
                    fileName: self.file,
                    fileSize: file.size,
                    fingerprint: fingerprint,
                    key: key
                )
                await file.begin(check, after: current.progress.linesDone)
                let spreadsheets = self.options.spreadsheets
                var loader = ContactLoader(
                    store: store,
                    file: file,
                    rejectsPath: rejectsPath,
                    spreadsheets,
                    resuming: current
                )
                var summary = try await loader.load()
                summary.zoneCost = ZoneCost(try await store.zoneFacts(campaign: self.campaign))
                for words in try await store.databaseLacks().words { Console.note(words) }
                return summary
            }
            try self.print(summary)
        }

        static func countryZones(known: Set<String>) throws -> CountryZones {
            do {
                return try CountryZones(known: known)
            } catch {
                throw UsageFault(error.description)
            }
        }

        private func print(_ summary: ContactLoader.Summary) throws {
            if self.output.json {
                try Console.json(summary)
                return
            }
            Console.line(
                "import    \(summary.importID)  (`contacts undo-import` takes it back while nobody of it was called)"
            )
            Console.line("read      \(summary.read)")
            Console.line("added     \(summary.added)  (of these excluded from the start: \(summary.excluded))")
            Console.line("present   \(summary.present)  (in the campaign already)")
            Console.line("repeated  \(summary.repeated)  (twice in the file)")
            if summary.barred > 0 {
                Console.line("barred    \(summary.barred)  (contacts that were there: now do_not_call, and taken out)")
            }
            if summary.withdrawn > 0 {
                Console.line(
                    "withdrawn \(summary.withdrawn)  (contacts without consent: withdrawn by the file, or before)"
                )
            }
            if summary.erased > 0 {
                Console.line("erased    \(summary.erased)  (persons who asked to be forgotten: left out)")
            }
            if summary.appointed + summary.notAppointed > 0 {
                Console.line(
                    "appointed \(summary.appointed)  (and \(summary.notAppointed) that are past, or of contacts that are "
                        + "called no more)"
                )
            }
            if summary.unassigned > 0 {
                let lines = summary.unassignedLines.map(String.init).joined(separator: ", ")
                Console.line(
                    "unknown   \(summary.unassigned)  (numbers in no range that is known to be assigned, such as in line "
                        + "\(lines); --assigned-only rejects them)"
                )
            }
            Console.line("rejected  \(summary.rejected)")
            for example in summary.examples { Console.line("  \(self.file):\(example)") }
            Console.line(
                "time zone \(summary.zonesFromFile) from the file, \(summary.zonesFromNumber) from number or region, "
                    + "\(summary.zonesFromCampaign) the campaign's, for want of a country"
            )
            if summary.zonesByPrefix + summary.zonesByPostalCode + summary.zonesByRegion > 0 {
                Console.line(
                    "evidence  \(summary.zonesByPrefix) by the number's prefix, \(summary.zonesByPostalCode) by postal code, "
                        + "\(summary.zonesByRegion) by a region such as US-TX (`campaign set --zone-evidence` says what suffices)"
                )
            }
            if let cost = summary.zoneCost { Console.line("          \(cost.words)") }
            for (names, rows) in summary.renamedZones.sorted(by: { $0.value > $1.value }).prefix(Self.exampleLimit) {
                Console.line("          \(names), in \(rows) row(s)")
            }
            if let rejects = summary.rejectsFile { Console.line("rejected rows are in \(rejects)") }
        }
    }
}
