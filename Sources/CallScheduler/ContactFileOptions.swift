// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import PhoneNumbers

/// How a file of contacts is to be read.
struct ContactFileOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What stands between fields: a character, or 'tab'; unless told, the one of , ; tab | that the header has.",
            valueName: "character"
        )
    )
    var delimiter: String?

    @Option(
        help: ArgumentHelp(
            "utf-8, utf-16, windows-1252 or latin-1; unless told, UTF-8, or UTF-16 by its byte order mark.",
            valueName: "name"
        )
    )
    var encoding: String?

    @Option(help: ArgumentHelp("Which column of the file is which of ours; repeatable.", valueName: "ours=theirs"))
    var map: [String] = []

    @Flag(help: "Leave out columns that are not understood.")
    var ignoreOtherColumns = false

    @Option(help: ArgumentHelp("Where numbers without a country code belong, such as DE.", valueName: "country"))
    var country: String?

    @Flag(help: "Take numbers that are possible, though in no range that is known to be assigned.")
    var allowUnassigned = false

    /// What makes a difference to what is imported, for the fingerprint.
    var words: [String] {
        [self.delimiter ?? "", self.encoding ?? "", self.country ?? "", "\(self.ignoreOtherColumns)"]
            + ["\(self.allowUnassigned)"] + self.map
    }

    func format() throws -> CSVFile.Format {
        var format = CSVFile.Format()
        switch self.delimiter {
        case nil: break
        case "tab", "\\t": format.delimiter = UInt8(ascii: "\t")
        case let text?:
            guard let byte = text.utf8.first, text.utf8.count == 1, byte == 9 || (0x20...0x7E).contains(byte),
                byte != UInt8(ascii: "\"")
            else { throw UsageFault("--delimiter: '\(text)' is neither 'tab' nor one ASCII character") }
            format.delimiter = byte
        }
        if let name = self.encoding {
            guard let encoding = TextDecoder.Encoding(name: name) else {
                throw UsageFault("--encoding: '\(name)' is none of utf-8, utf-16, windows-1252 and latin-1")
            }
            format.encoding = encoding
        }
        return format
    }

    func columns() throws -> [String: String] {
        var map: [String: String] = [:]
        for entry in self.map {
            let parts = entry.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else {
                throw UsageFault("--map: '\(entry)' is not like phone_number=Telefon, our column = the file's")
            }
            guard map.updateValue(parts[1], forKey: parts[0].lowercased()) == nil else {
                throw UsageFault("--map: '\(parts[0])' is there twice")
            }
        }
        return map
    }

    func plan() throws -> NumberPlan {
        do {
            return try NumberPlan(country: self.country, allowsUnassigned: self.allowUnassigned)
        } catch {
            throw UsageFault("--country: \(error)")
        }
    }
}
