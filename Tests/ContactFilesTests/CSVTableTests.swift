// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import ContactFiles
import TestBasics
import Testing

/// Lists in the shapes in which spreadsheets and other programs write them.
@Suite(.timeLimit(.minutes(20)))
struct CSVTableTests {
    private static let expected = [["phone_number", "name"], ["+493023125001", "Müller"], ["+493023125002", "b"]]

    private static func read(
        _ bytes: [UInt8],
        _ encoding: TextDecoder.Encoding? = nil,
        hasHeader: Bool = true,
        piece: Int = .max
    ) throws -> [CSVReader.Record] {
        var table = CSVTable(encoding: encoding, hasHeader: hasHeader)
        var records: [CSVReader.Record] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            records += try table.read(Array(rest.prefix(piece)))
            rest = rest.dropFirst(piece)
        }
        return records + table.finish()
    }

    private static func utf16(_ text: String, isBigEndian: Bool) -> [UInt8] {
        text.utf16.flatMap { unit in
            let bytes = [UInt8(unit >> 8), UInt8(unit & 0xFF)]
            return isBigEndian ? bytes : bytes.reversed()
        }
    }

    @Test(
        "a list is the same list in every shape, however it is cut into pieces",
        arguments: [
            "phone_number,name\n+493023125001,Müller\n+493023125002,b\n",
            "phone_number,name\r+493023125001,Müller\r+493023125002,b\r",
            "phone_number,name\r\n+493023125001,Müller\r\n+493023125002,b",
            "\u{FEFF}\"phone_number\",\"name\"\r\n\"+493023125001\",\"Müller\"\r\n\"+493023125002\",\"b\"\r\n",
            "phone_number\tname\n+493023125001\tMüller\n+493023125002\tb\n",
            "phone_number;name\n+493023125001;Müller\n+493023125002;b\n",
            "sep=;\r\nphone_number;name\r\n+493023125001;Müller\r\n+493023125002;b\r\n",
            "\u{FEFF}SEP=,\nphone_number,name\n+493023125001,Müller\n+493023125002,b\n",
            "\"sep=|\"\nphone_number|name\n+493023125001|Müller\n+493023125002|b\n",
            "sep=\t\r\nphone_number\tname\r\n+493023125001\tMüller\r\n+493023125002\tb\r\n",
            "phone_number,name\n+493023125001,Müller\nphone_number,name\n+493023125002,b\n",
            "phone_number,name\n+493023125001,Müller\n\u{FEFF}phone_number,name\n+493023125002,b\n",
            ",\n  ,\nphone_number,name\n\n+493023125001,Müller\n,\n\"\",\n+493023125002,b\n,\n,\n",
            "phone_number,name\n+493023125001,Müller\n+493023125002,b\n\0\0\0\0\0\0\0\0",
        ]
    )
    func shapes(text: String) throws {
        let utf8 = Array(text.utf8)
        for piece in [1, 2, 3, 7, .max] {
            let records = try Self.read(utf8, piece: piece)
            #expect(records.map(\.fields) == Self.expected && records.allSatisfy { $0.fault == nil }, "\(records)")
            for isBigEndian in [true, false] where !text.hasPrefix(",") {
                let bytes = Self.utf16(text, isBigEndian: isBigEndian)
                let encoding = isBigEndian ? TextDecoder.Encoding.utf16BigEndian : .utf16LittleEndian
                for encoding in [nil, encoding, .utf16] {
                    let fields = try Self.read(bytes, encoding, piece: piece).map(\.fields)
                    #expect(fields == Self.expected, "\(isBigEndian) \(piece)")
                }
            }
        }
        let western = text.unicodeScalars.compactMap { $0.value < 0x100 ? UInt8($0.value) : nil }
        #expect(try Self.read(western, .windows1252).map(\.fields) == Self.expected)
    }

    @Test("a mark tells the encoding, whatever is said; what is no text is said to be something else")
    func marks() throws {
        let marked = Array("\u{FEFF}phone_number,name\n+493023125001,Müller\n+493023125002,b\n".utf8)
        for encoding in TextDecoder.Encoding.allCases {
            #expect(try Self.read(marked, encoding).map(\.fields) == Self.expected)
        }
        let records = try Self.read([0x61, 0x0A, 0xFC, 0x0A, 0x62, 0x0A])
        #expect(records.map(\.fault) == [nil, "is not UTF-8; is it --encoding windows-1252?", nil])
    }

    @Test(
        "a workbook, or what else is no list, is recognised and told what to do",
        arguments: [
            ("PK\u{3}\u{4}\u{14}\0\u{6}\0", "workbook"), ("%PDF-1.7", "PDF"), ("<HTML><table>", "web page"),
            ("<?xml version=", "XML"),
        ]
    )
    func kinds(beginning: String, word: String) {
        for piece in [1, .max] {
            let fault = #expect(throws: TextDecoder.Fault.self) { try Self.read(Array(beginning.utf8), piece: piece) }
            #expect(fault?.description.contains(word) == true, "\(fault?.description ?? "")")
        }
        let old: [UInt8] = [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]
        #expect(throws: TextDecoder.Fault.self) { try Self.read(old) }
        #expect(throws: TextDecoder.Fault.self) { try Self.read([0x1F, 0x8B, 0x08, 0x00, 0x00]) }
    }

    @Test("a row may end early; not one that the file's end has cut, nor one that a line break has")
    func short() throws {
        let records = try Self.read(Array("phone_number,a,do_not_call\n+493023125001\n+493023125002,x\n+4930231".utf8))
        #expect(records.map(\.fields.count) == [3, 1, 2, 1])
        #expect(records.map { $0.fault != nil } == [false, false, false, true])
        for end in ["", "\n", "\n+493023125009,y,\n"] {
            let broken = try Self.read(Array("phone_number,a,do_not_call\n+493023125001,Anna\nMaier,true\(end)".utf8))
            #expect(broken[1].fault?.contains("line break") == true, "\(broken)")
            #expect(broken.count == 3 || broken[3].fault == nil)
        }
    }

    @Test("without a header, a row that is there twice is not taken for one")
    func noHeader() throws {
        let rows = Array("+493023125001,a\n+493023125001,a\n".utf8)
        #expect(try Self.read(rows, hasHeader: false).count == 2)
    }

    @Test("a quote that is never closed costs its own line, wherever it is, and the reject says where it went on")
    func unclosed() throws {
        let rows = (0..<3000).map { "+49893023125\(1000 + $0),id-\($0)" }
        for (at, end) in [(0, "\n"), (1500, "\n"), (2998, "\n"), (2999, "\n"), (2999, "")] {
            var lines = rows
            lines[at] = "+493023125130,\"a note that goes on"
            let text = "phone_number,id\n" + lines.joined(separator: "\n") + end
            for piece in [1000, .max] {
                let records = try Self.read(Array(text.utf8), piece: piece)
                let faults = records.filter { $0.fault != nil }
                #expect(faults.map(\.line) == [at + 2] && records.count == 3001, "\(faults)")
                #expect(faults.first?.fault?.contains("never closed") == true)
                let good = records.dropFirst().filter { $0.fault == nil }.map { $0.fields.joined(separator: ",") }
                #expect(good == rows.enumerated().filter { $0.offset != at }.map(\.element))
            }
        }
    }

    @Test("a quote that another one seems to close, lines later, loads no half row and hides none")
    func closedLater() throws {
        let text =
            "phone_number,id\n+49893023125001,\"open\n+49893023125002,b\n+49893023125003,\"c\"\n+49893023125004,d\n"
        let records = try Self.read(Array(text.utf8))
        #expect(records.map(\.line) == [1, 2, 3, 4, 5])
        #expect(records.map { $0.fault != nil } == [false, true, false, false, false])
        let both = "phone_number,id\n+49893023125001,\"\n+49893023125002,b\n+49893023125003,\"\n+49893023125004,d\n"
        let hidden = try Self.read(Array(both.utf8))
        #expect(hidden.map { $0.fault != nil } == [false, true, false])
        #expect(hidden[1].reject("x") == "x (takes 3 lines of the file)")
        let note = "phone_number,id\n+49893023125001,\"one\ntwo, 030 1234567\n\"\n"
        #expect(try Self.read(Array(note.utf8)).count == 2)
        let stray = try Self.read(Array("phone_number,id,x\n+49893023125001,\"one\ntwo, 030 1234567\" z,y\n".utf8))
        #expect(stray.map(\.lines) == [1, 2] && stray[1].fault != nil)
    }

    @Test("what is longer than any row is left out to the end of its line, not to the middle")
    func long() throws {
        let long = String(repeating: "9", count: CSVReader.maximumRecordSize * 2)
        for (quote, piece) in [("", 977), ("", .max), ("\"", 977), ("\"", .max)] {
            let text = "phone_number\n+493023125001\n\(quote)\(long)\n+493023125002\n"
            let records = try Self.read(Array(text.utf8), piece: piece)
            #expect(
                records.filter { $0.fault == nil }.map(\.fields) == [
                    ["phone_number"], ["+493023125001"], ["+493023125002"],
                ]
            )
            #expect(records.filter { $0.fault != nil }.map(\.line) == [3])
            #expect(records.last?.line == 4)
        }
    }

    @Test("no bytes whatever crash the table, and where they are cut does not matter", arguments: 0..<60)
    func noise(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let alphabet: [UInt8] = [0x22, 0x22, 0x2C, 0x0A, 0x0D, 0x61, 0x31, 0xFF, 0x00, 0xEF, 0xBB, 0xBF]
        let bytes =
            Array("a,b\n".utf8) + (0..<2500).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] }
        let whole = try Self.read(bytes)
        #expect(try Self.read(bytes, piece: Int.random(in: 1..<50, using: &random)) == whole, "seed \(seed)")
        #expect(whole.map(\.line) == whole.map(\.line).sorted())
    }
}
