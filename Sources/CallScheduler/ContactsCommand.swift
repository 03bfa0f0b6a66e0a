// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation

struct ContactsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "contacts",
        abstract: "Load contacts, ask why one is called or is not, record consent, forget a person.",
        subcommands: [Import.self, Why.self, Consent.self, Erase.self]
    )

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Load contacts from a CSV file. Loading a file again adds nothing.",
            discussion: """
                The first line names the columns: phone_number, and any of external_contact_id, email, language, \
                has_prior_consent, do_not_call, time_zone. Rows that cannot be used are written to the rejects file \
                with line number and reason; the others are loaded.
                """
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @Argument(help: "The CSV file.") var file: String
        @Option(help: "The campaign.") var campaign: String
        @Option(help: "Where rejected rows go; FILE.rejects.csv unless told.") var rejects: String?

        func run() async throws {
            let file = try CSVFile(path: self.file)
            let summary = try await self.common.withStore { store in
                let campaign = try await store.campaign(named: self.campaign)
                guard ![.completed, .cancelled].contains(campaign.status) else {
                    throw UsageFault("campaign '\(self.campaign)' is \(campaign.status.rawValue): it takes no contacts")
                }
                let rejectsPath = self.rejects ?? self.file + ".rejects.csv"
                var loader = ContactLoader(
                    store: store,
                    campaign: campaign.id,
                    zones: try await store.timeZones(),
                    file: self.file,
                    rejectsPath: rejectsPath
                )
                return try await loader.load(file)
            }
            try self.print(summary)
        }

        private func print(_ summary: ContactLoader.Summary) throws {
            if self.output.json {
                try Console.json(summary)
                return
            }
            Console.line("read      \(summary.read)")
            Console.line("added     \(summary.added)  (of these excluded from the start: \(summary.excluded))")
            Console.line("present   \(summary.present)  (in the campaign already, or twice in the file)")
            Console.line("rejected  \(summary.rejected)")
            for example in summary.examples { Console.line("  \(self.file):\(example)") }
            if let rejects = summary.rejectsFile { Console.line("rejected rows are in \(rejects)") }
        }
    }
}

/// Loads contacts chunk by chunk: memory does not grow with the file.
struct ContactLoader {
    /// What came of it.
    struct Summary: Encodable, Sendable {
        var read = 0
        var added = 0
        var excluded = 0
        var present = 0
        var rejected = 0
        var rejectsFile: String?
        /// The first few faults, for the terminal.
        var examples: [String] = []
    }

    private static let chunkSize = 5000
    private static let exampleLimit = 5

    let store: CallStore
    let campaign: UUID
    let zones: Set<String>
    let file: String
    let rejectsPath: String
    private var summary = Summary()
    private var chunk: [CallStore.NewContact] = []
    private var columns: ContactColumns?
    private var rejects: CSVOutput?

    init(store: CallStore, campaign: UUID, zones: Set<String>, file: String, rejectsPath: String) {
        self.store = store
        self.campaign = campaign
        self.zones = zones
        self.file = file
        self.rejectsPath = rejectsPath
    }

    mutating func load(_ file: CSVFile) async throws -> Summary {
        var records = 0
        try await file.forEach { record in
            records += 1
            try await self.take(record)
        }
        guard records > 0 else { throw UsageFault("\(self.file): is empty; its first line must name the columns") }
        try await self.flush()
        try self.rejects?.close()
        return self.summary
    }

    private mutating func take(_ record: CSVReader.Record) async throws {
        guard let columns = self.columns else {
            if let fault = record.fault { throw UsageFault("\(self.file):\(record.line): the header \(fault)") }
            do {
                self.columns = try ContactColumns(header: record.fields)
            } catch {
                throw UsageFault("\(self.file):\(record.line): \(error)")
            }
            return
        }
        self.summary.read += 1
        if let fault = record.fault {
            try self.reject(record, reason: fault)
            return
        }
        do throws(ContactColumns.Fault) {
            let row = try columns.row(record.fields)
            if let zone = row.timeZone, !self.zones.contains(zone) {
                throw ContactColumns.Fault(reason: "time_zone '\(zone.prefix(60))' is not an IANA time zone")
            }
            self.chunk.append(
                CallStore.NewContact(
                    externalID: row.externalID,
                    phoneNumber: row.phoneNumber,
                    email: row.email,
                    language: row.language,
                    hasPriorConsent: row.hasPriorConsent,
                    doNotCall: row.doNotCall,
                    timeZone: row.timeZone
                )
            )
        } catch {
            try self.reject(record, reason: error.reason)
        }
        if self.chunk.count >= Self.chunkSize { try await self.flush() }
    }

    private mutating func flush() async throws {
        let count = try await self.store.addContacts(self.chunk, campaign: self.campaign)
        self.summary.added += count.added
        self.summary.excluded += count.excluded
        self.summary.present += self.chunk.count - count.added
        self.chunk.removeAll(keepingCapacity: true)
    }

    private mutating func reject(_ record: CSVReader.Record, reason: String) throws {
        if self.rejects == nil {
            self.rejects = try CSVOutput(path: self.rejectsPath)
            self.summary.rejectsFile = self.rejectsPath
            try self.rejects?.write(["line", "reason", "row"])
        }
        self.summary.rejected += 1
        if self.summary.examples.count < Self.exampleLimit {
            self.summary.examples.append("\(record.line): \(reason)")
        }
        try self.rejects?.write([String(record.line), reason, record.fields.joined(separator: ",")])
    }
}
