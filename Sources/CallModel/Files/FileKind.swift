// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Files that people take for a list, by their first bytes.
enum FileKind {
    /// How many bytes must be known.
    static let length = 5

    private static let asCSV = "save it as 'CSV UTF-8' there"
    private static let kinds: [(beginning: [UInt8], advice: String)] = [
        (Array("PK\u{3}\u{4}".utf8), "is a workbook (.xlsx, .ods) or an archive, no text: \(asCSV), or unpack it"),
        ([0xD0, 0xCF, 0x11, 0xE0], "is a workbook of an old Excel (.xls), no text: \(asCSV)"),
        (Array("%PDF-".utf8), "is a PDF, no list: export the list as CSV where it comes from"),
        ([0x1F, 0x8B], "is compressed: unpack it first (gunzip)"),
        (Array("<html".utf8), "is a web page, which some programs call .xls: open it in a spreadsheet and \(asCSV)"),
        (Array("<tabl".utf8), "is a web page, which some programs call .xls: open it in a spreadsheet and \(asCSV)"),
        (Array("<!doc".utf8), "is a web page: export the list as CSV where it comes from"),
        (Array("<?xml".utf8), "is XML, which some programs call .xls: open it in a spreadsheet and \(asCSV)"),
        ([0xFF, 0xFE, 0x00, 0x00], "is UTF-32: save it as UTF-8"),
        ([0x00, 0x00, 0xFE, 0xFF], "is UTF-32: save it as UTF-8"),
    ]

    /// - Parameter bytes: The beginning of a file.
    /// - Returns: What it is, and what to do; nil when it may be a list.
    static func advice(_ bytes: [UInt8]) -> String? {
        let beginning = bytes.prefix(Self.length).map { byte in
            (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) && bytes.first == UInt8(ascii: "<")
                ? byte | 0x20 : byte
        }
        return Self.kinds.first { beginning.starts(with: $0.beginning) }?.advice
    }
}
