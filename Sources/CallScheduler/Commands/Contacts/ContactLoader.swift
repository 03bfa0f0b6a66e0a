// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation

/// Loads contacts chunk by chunk: memory does not grow with the file. While the database takes one chunk, the next is
/// read and checked.
struct ContactLoader {
    /// What came of it.
    struct Summary: Encodable, Sendable {
        let importID: String
        var resumedAfterLine: Int?
        var read = 0
        var added = 0
        var excluded = 0
        var present = 0
        var repeated = 0
        var erased = 0
        var barred = 0
        var withdrawn = 0
        var appointed = 0
        var notAppointed = 0
        var unassigned = 0
        /// The first few of those.
        var unassignedLines: [Int] = []
        var rejected = 0
        /// Zones that are written otherwise in the database, and how often.
        var renamedZones: [String: Int] = [:]
        var zonesFromFile = 0
        var zonesFromNumber = 0
        var zonesFromCampaign = 0
        var zonesByPrefix = 0
        var zonesByPostalCode = 0
        var zonesByRegion = 0
        /// What it costs to know no better where the campaign's contacts are.
        var zoneCost: ZoneCost?
        var rejectsFile: String?
        /// The first few faults, for the terminal.
        var examples: [String] = []
    }

    private static let exampleLimit = 5

    let store: CallStore
    let file: ContactFile
    let rejectsPath: String
    let spreadsheets: SpreadsheetOptions
    private var current: CallStore.ContactImport
    private var examples: [String] = []
    private var unassignedLines: [Int] = []
    private var renamedZones: [String: Int] = [:]
    private var bar: ProgressBar

    init(
        store: CallStore,
        file: ContactFile,
        rejectsPath: String,
        _ spreadsheets: SpreadsheetOptions,
        resuming current: CallStore.ContactImport
    ) {
        self.store = store
        self.file = file
        self.rejectsPath = rejectsPath
        self.spreadsheets = spreadsheets
        self.current = current
        self.bar = ProgressBar(total: file.size)
    }

    mutating func load() async throws -> Summary {
        let resumed = self.current.progress.linesDone
        if resumed > 0 {
            Console.note("resuming after line \(resumed): the rows up to there were imported before the interruption")
        }
        let rejects = try RejectsFile(
            path: self.rejectsPath,
            kept: self.current.progress.rejectsBytes,
            self.spreadsheets
        )
        defer { self.bar.clear() }
        try await self.copyChunks(rejects)
        let rejectsFile = try rejects.close()
        try await self.store.finishImport(self.current)
        let progress = self.current.progress
        return Summary(
            importID: self.current.id.lowercased,
            resumedAfterLine: resumed > 0 ? resumed : nil,
            read: progress.read,
            added: progress.added,
            excluded: progress.excluded,
            present: progress.present,
            repeated: progress.repeated,
            erased: progress.erased,
            barred: progress.barred,
            withdrawn: progress.withdrawn,
            appointed: progress.appointed,
            notAppointed: progress.notAppointed,
            unassigned: progress.unassigned,
            unassignedLines: self.unassignedLines,
            rejected: progress.rejected,
            renamedZones: self.renamedZones,
            zonesFromFile: progress.zonesFromFile,
            zonesFromNumber: progress.zonesFromNumber,
            zonesFromCampaign: progress.zonesFromCampaign,
            zonesByPrefix: progress.zonesByPrefix,
            zonesByPostalCode: progress.zonesByPostalCode,
            zonesByRegion: progress.zonesByRegion,
            rejectsFile: rejectsFile,
            examples: self.examples
        )
    }

    private mutating func copyChunks(_ rejects: RejectsFile) async throws {
        let file = self.file
        var upcoming = Task { try await file.next() }
        while let chunk = try await upcoming.value {
            upcoming = Task { try await file.next() }
            do {
                try await self.commit(chunk, rejects)
            } catch {
                upcoming.cancel()
                throw error
            }
        }
    }

    private mutating func commit(_ chunk: ContactFile.Chunk, _ rejects: RejectsFile) async throws {
        for row in chunk.rows.rejected {
            rejects.add(line: row.line, reason: row.reason, fields: row.fields)
            if self.examples.count < Self.exampleLimit { self.examples.append("\(row.line): \(row.reason)") }
        }
        // Both before the checkpoint that counts on them.
        try await self.store.bar(chunk.rows.barred, in: self.current)
        try rejects.flush()
        var progress = self.current.progress
        progress.linesDone = chunk.lastLine
        progress.rejectsBytes = rejects.size
        progress.read += chunk.read
        progress.rejected += chunk.rows.rejected.count
        progress.unassigned += chunk.rows.unassigned.count
        self.unassignedLines += chunk.rows.unassigned.prefix(Self.exampleLimit - self.unassignedLines.count)
        self.renamedZones.merge(chunk.rows.renamedZones, uniquingKeysWith: +)
        progress.zonesFromFile += chunk.rows.zonesFromFile
        progress.zonesFromNumber += chunk.rows.zonesFromNumber
        progress.zonesFromCampaign += chunk.rows.zonesFromCampaign
        progress.zonesByPrefix += chunk.rows.zonesByPrefix
        progress.zonesByPostalCode += chunk.rows.zonesByPostalCode
        progress.zonesByRegion += chunk.rows.zonesByRegion
        self.current = try await self.store.addContacts(chunk.rows.contacts, to: self.current, progress: progress)
        self.bar.show(bytes: chunk.bytesRead, rows: progress.read)
    }
}
