// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import PhoneNumbers

/// How a file of numbers is to be read.
struct FileOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What stands between fields: a character, or 'tab'; unless told, the one of , ; tab | that the header has.",
            valueName: "character"
        )
    )
    var delimiter: String?

    @Option(
        help: ArgumentHelp(
            "utf-8, utf-16, utf-16le, utf-16be, windows-1252 or latin-1; unless told, UTF-8, or UTF-16 if it shows.",
            valueName: "name"
        )
    )
    var encoding: String?

    @Option(help: ArgumentHelp("Which column of the file is which of ours; repeatable.", valueName: "ours=theirs"))
    var map: [String] = []

    @Option(
        name: .customLong("columns"),
        parsing: .unconditional,
        help: ArgumentHelp(
            "For a file without a header: what its columns are, in their order; - leaves one out.",
            valueName: "name,-,…"
        )
    )
    var order: String?

    @Flag(help: "Leave out columns that are not understood.")
    var ignoreOtherColumns = false

    @Option(help: ArgumentHelp("Where numbers without a country code belong, such as DE.", valueName: "country"))
    var country: String?

    @OptionGroup var bare: BareNumberOptions

    func format() throws -> CSVFile.Format {
        var format = CSVFile.Format(hasHeader: self.order == nil)
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
                throw UsageFault(
                    "--encoding: '\(name)' is none of utf-8, utf-16, utf-16le, utf-16be, windows-1252 and latin-1"
                )
            }
            format.encoding = encoding
        }
        return format
    }

    /// What makes a difference to what is read.
    var words: [String] {
        [self.delimiter ?? "", self.encoding ?? "", self.country ?? "", "\(self.ignoreOtherColumns)", self.order ?? ""]
            + [self.bare.bareNumbers?.rawValue ?? ""] + self.map
    }

    /// The columns that the options name; nil when the file's header does.
    func named<Columns>(_ make: ([String]) throws(RowFault) -> Columns) throws -> Columns? {
        guard let order = self.order else { return nil }
        guard self.map.isEmpty else { throw UsageFault("--columns and --map cannot go together") }
        do {
            return try make(order.split(separator: ",", omittingEmptySubsequences: false).map(String.init))
        } catch {
            throw UsageFault(error.reason)
        }
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
}
