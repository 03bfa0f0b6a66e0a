// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Testing

@Suite(.timeLimit(.minutes(20)))
struct TextDecoderTests {
    private static func decode(_ bytes: [UInt8], _ encoding: TextDecoder.Encoding?, piece: Int) throws -> [UInt8] {
        var decoder = TextDecoder(encoding)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: piece) {
            text += try decoder.decode(Array(bytes[start..<min(start + piece, bytes.count)]))
        }
        return text + decoder.finish()
    }

    private static func utf16(_ text: String, isBigEndian: Bool) -> [UInt8] {
        ([0xFEFF] + Array(text.utf16)).flatMap { unit in
            let bytes = [UInt8(unit >> 8), UInt8(unit & 0xFF)]
            return isBigEndian ? bytes : bytes.reversed()
        }
    }

    @Test("text is the same in every encoding, however it is cut", arguments: 1...7)
    func encodings(piece: Int) throws {
        let text = "Müller;+49 30;😀;€\r\n"
        let utf8 = Array(text.utf8)
        #expect(try Self.decode(utf8, nil, piece: piece) == utf8)
        #expect(try Self.decode(utf8, .utf8, piece: piece) == utf8)
        for isBigEndian in [true, false] {
            let bytes = Self.utf16(text, isBigEndian: isBigEndian)
            #expect(try Self.decode(bytes, nil, piece: piece) == utf8)
            #expect(try Self.decode(bytes, .utf16, piece: piece) == utf8)
        }
        let western: [UInt8] = [0x4D, 0xFC, 0x6C, 0x80, 0x9F]
        #expect(try Self.decode(western, .windows1252, piece: piece) == Array("Mül€Ÿ".utf8))
        #expect(try Self.decode([0x41], nil, piece: piece) == [0x41])
        #expect(try Self.decode([], nil, piece: piece).isEmpty)
    }

    @Test("what is no character faults its row only, and the row is read on in the encoding's name")
    func faults() throws {
        let broken = Self.utf16("a,b\n", isBigEndian: false) + [0x00, 0xD8, 0x2C, 0x00, 0x63, 0x00, 0x0A, 0x00]
        var decoder = TextDecoder(nil)
        let text = try decoder.decode(broken)
        var reader = CSVReader(encoding: decoder.name)
        #expect(reader.read(text).map(\.fault) == [nil, "is not UTF-16"])
        #expect(try Self.decode(Self.utf16("a", isBigEndian: true) + [0x00], .utf16, piece: 64) == [0x61, 0xFF])
        #expect(try Self.decode([0x61, 0x81], .windows1252, piece: 64) == [0x61, 0xFF])
        #expect(throws: TextDecoder.Fault.self) { try Self.decode(Array("abc".utf8), .utf16, piece: 64) }
    }

    @Test("an encoding goes by its usual names")
    func names() {
        #expect(TextDecoder.Encoding(name: "UTF8") == .utf8)
        #expect(TextDecoder.Encoding(name: "Latin-1") == .windows1252)
        #expect(TextDecoder.Encoding(name: "utf-16") == .utf16)
        #expect(TextDecoder.Encoding(name: "ebcdic") == nil)
    }

    @Test(
        "the delimiter is the one that the header has most of, outside of quotes",
        arguments: [
            ("a,b\n", ","), ("a;b\n", ";"), ("a\tb\n", "\t"), ("a|b|c,d\n", "|"), ("phone_number\n", ","),
            ("\"a,b,c\";d\n", ";"), ("\r\n\na;b\n,,,,", ";"), ("a;b,c\n", ","),
        ]
    )
    func delimiter(text: String, delimiter: String) {
        #expect(CSVReader.delimiter(in: text.utf8) == delimiter.utf8.first)
        #expect(CSVReader.delimiter(inWhole: Array(text.utf8)) == delimiter.utf8.first)
        #expect(CSVReader.delimiter(in: "\n\"a,\n".utf8) == nil)
    }
}
