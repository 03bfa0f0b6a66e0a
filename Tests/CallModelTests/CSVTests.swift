// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Testing

@Suite(.timeLimit(.minutes(20)))
struct CSVTests {
    private static func read(_ bytes: [UInt8], pieces: Int = 1) -> [CSVReader.Record] {
        var reader = CSVReader()
        var records: [CSVReader.Record] = []
        let size = max(1, (bytes.count + pieces - 1) / pieces)
        for start in stride(from: 0, to: bytes.count, by: size) {
            records += reader.read(bytes[start..<min(start + size, bytes.count)])
        }
        while let last = reader.finish() { records.append(last) }
        return records
    }

    @Test(
        "records are read as RFC 4180 has them",
        arguments: [
            ("a,b\nc,d\n", [["a", "b"], ["c", "d"]]), ("a,b\r\nc,d\r\n", [["a", "b"], ["c", "d"]]),
            ("a,b", [["a", "b"]]), ("\"a,1\",\"say \"\"hi\"\"\"\n", [["a,1", "say \"hi\""]]),
            ("\"two\nlines\",x\n", [["two\nlines", "x"]]), (",\n", [["", ""]]), ("\n\na\n\n", [["a"]]),
            ("\u{FEFF}a,b\n", [["a", "b"]]), ("\"\"\n", [[""]]), ("", []),
        ]
    )
    func records(text: String, expected: [[String]]) {
        let bytes = Array(text.utf8)
        #expect(Self.read(bytes).map(\.fields) == expected)
        for pieces in 1...max(1, bytes.count) {
            #expect(Self.read(bytes, pieces: pieces) == Self.read(bytes), "in \(pieces) pieces")
        }
    }

    @Test("a record knows the line that it starts on")
    func lines() {
        let records = Self.read(Array("a\n\n\"x\ny\"\nb\r\nc".utf8))
        #expect(records.map(\.line) == [1, 3, 5, 6])
    }

    @Test("what cannot be read says why, and the rest is read on")
    func faults() {
        let notUTF8 = Self.read([0x61, 0x2C, 0xFF, 0x0A, 0x62, 0x2C, 0x63, 0x0A])
        #expect(notUTF8.map(\.fault) == ["is not UTF-8", nil])
        let afterQuote = Self.read(Array("\"a\"b,c\nd,e\n".utf8))
        #expect(afterQuote.map(\.fault) == ["has text after a closing quote", nil])
        #expect(Self.read(Array("\"open\n".utf8)).map(\.fault) == ["has a quote that is never closed"])
        let endless = Self.read([0x22] + [UInt8](repeating: 0x61, count: 200_000))
        #expect(endless.first?.fault?.contains("longer than") == true)
    }

    @Test("no bytes whatever crash or stall the reader", arguments: 0..<40)
    func noise(seed: UInt64) {
        var random = Random(state: seed)
        let alphabet: [UInt8] = [0x22, 0x2C, 0x0A, 0x0D, 0x61, 0xFF, 0x00]
        let bytes = (0..<2500).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] }
        let records = Self.read(bytes)
        #expect(records == Self.read(bytes, pieces: 97), "seed \(seed)")
    }

    @Test(
        "a header must name known columns once, and the number",
        arguments: [
            (["phone_number"], nil), (["Phone_Number ", "EMAIL"], nil), (["email"], "no column phone_number"),
            (["phone_number", "phone"], "unknown column 'phone'"), (["phone_number", "phone_number"], "twice"),
        ] as [([String], String?)]
    )
    func header(columns: [String], fault: String?) {
        do {
            _ = try ContactColumns(header: columns)
            #expect(fault == nil)
        } catch {
            #expect(fault.map { error.reason.contains($0) } == true, "\(error.reason)")
        }
    }

    @Test(
        "columns may have other names, which the header must have; what is not understood is left out by option only",
        arguments: [
            (["Telefon", "E-Mail"], ["phone_number": "telefon", "email": "E-MAIL"], false, nil),
            (["Telefon", "Alter"], ["phone_number": "Telefon"], true, nil),
            (["Telefon", "Alter"], ["phone_number": "Telefon"], false, "--map 'COLUMN=Alter'"),
            (["Telefon"], [:], false, "--map 'phone_number=Telefon'"),
            (["Telefon"], [:], true, "--map 'phone_number=Telefon'"), (["Telefon", "", " "], [:], false, "--map"),
            (["Telefon", "", ""], ["phone_number": "Telefon"], false, nil),
            (["+493023125001", "Anna"], [:], false, "does not look like the names"),
            (["Anna", "a@b.c"], [:], true, "does not look like the names"),
            (["phone_number", "+493023125001"], [:], false, "unknown column (number 2)"),
            (["Anna", "Berlin"], ["phone_number": "Telefon"], false, "it has 2 column(s)"),
            (["phone_number\0"], [:], false, "zero bytes"),
            (["Telefon"], ["phone_number": "Handy"], false, "has no column 'Handy'; it has Telefon"),
            (["Telefon"], ["phone": "Telefon"], false, "no column 'phone'"),
            (["Telefon", "phone_number"], ["phone_number": "Telefon"], false, "twice"),
        ] as [([String], [String: String], Bool, String?)]
    )
    func map(header: [String], map: [String: String], ignoresOthers: Bool, fault: String?) {
        do {
            let columns = try ContactColumns(header: header, map: map, ignoresOthers: ignoresOthers)
            #expect(fault == nil)
            let others = header.dropFirst().map { $0.isEmpty ? "" : "a@b.c" }
            #expect(try columns.row(["030"] + others).phoneNumber == "030")
        } catch {
            #expect(fault.map { error.reason.contains($0) } == true, "\(error.reason)")
            for data in ["4930", "Anna", "a@b"] { #expect(!error.reason.contains(data), "\(error.reason)") }
        }
    }

    @Test("cells that spreadsheets add are empty, or their row is at fault")
    func padding() throws {
        let columns = try ContactColumns(header: ["phone_number", "", "language", "", ""])
        for fields in [["+49", "", "de", "", "", "", ""], ["+49", "", "de"], ["+49", " ", "de", "\0", ""]] {
            #expect(try columns.row(fields).language == "de")
        }
        #expect(try columns.row(["+49"]).language == nil)
        for fields in [["+49", "x", "de"], ["+49", "", "de", "", "", "x"]] {
            #expect(throws: ContactColumns.Fault.self) { try columns.row(fields) }
        }
    }

    @Test("a file without a header is read in the order that is told")
    func order() throws {
        let columns = try ContactColumns(order: ["-", "Phone_Number", "language"])
        let row = try columns.row(["x", "+49", "de"])
        #expect(row.phoneNumber == "+49" && row.language == "de")
        for order in [["language"], ["phone_number", "phone_number"], ["phone_number", "Name"]] {
            #expect(throws: ContactColumns.Fault.self) { try ContactColumns(order: order) }
        }
    }

    @Test("a row is read with its defaults, and refused with the column's name")
    func rows() throws {
        let columns = try ContactColumns(header: ContactColumns.names)
        let full = try columns.row(
            [
                "7", "+14155550101", "a@b.c", "de", "yes", "0", "Europe/Berlin", "us", "Männer 18-29/Nord",
                "2026-12-03 18:30", "2026-12-03T18:45+01:00", "2026-03-04", "web form", "form 12", "90210",
            ]
        )
        #expect(full.externalID == "7")
        #expect(full.hasPriorConsent == true)
        #expect(!full.doNotCall)
        #expect(full.timeZone == "Europe/Berlin")
        #expect(full.region == "US" && full.regionPart == nil && full.postalCode == "90210")
        let part = try columns.row(["", "+14155550101", "", "", "", "", "", "us-tx"])
        #expect(part.region == "US" && part.regionPart == "US-TX")
        #expect(full.cell == "Männer 18-29/Nord")
        #expect(full.appointmentAt?.text == "2026-12-03T18:30:00" && full.appointmentAt?.isLocal == true)
        #expect(full.appointmentUntil?.text == "2026-12-03T18:45:00+01:00" && full.appointmentUntil?.isLocal == false)
        #expect(full.consent == (try ConsentRecord(givenAt: "2026-03-04", source: "web form", proof: "form 12")))
        #expect(full.consent?.givenAt == "2026-03-04T00:00:00Z")
        let bare = try columns.row(["", "\u{A0}+14155550101 ", "", "", "", "", "", "", ""])
        #expect(bare.phoneNumber == "+14155550101")
        #expect(bare.externalID == nil)
        #expect(bare.timeZone == nil)
        #expect(bare.consent == nil)
        for (fields, reason) in [
            (["", "x", "", "", "", "", "", "", "", "", "", "", "", "", "", "more"], "fields"),
            (["", "x", "", "", "yes", "", "", "", "", "", "", "04.03.2026"], "consent_at"),
            (["", "x", "", "", "yes", "", "", "", "", "", "", "2026-02-30"], "consent_at"),
            (["", "x", "", "", "", "", "", "", "", "", "", "2026-03-04"], "without has_prior_consent"),
            (
                ["", "x", "", "", "yes", "", "", "", "", "", "", "", String(repeating: "s", count: 201)],
                "consent_source is longer"
            ),
            (["", "x", "", "", "", "", "", "", "", "2026-02-30T10:00"], "appointment_at"),
            (["", "x", "", "", "", "", "", "", "", "", "2026-02-20T10:00"], "without appointment_at"),
            (["", "x", "nobody", "", "", "", "", "", ""], "email"),
            (["", "x", "", "", "maybe", "", "", "", ""], "has_prior_consent"),
            (["", "x", "", "", "", "\0", "", "", ""], "do_not_call"),
            (["", "x", "", "", "", "", "", "Germany", ""], "region"),
            (["", "x", "", "", "", "", "", "US-", ""], "region"),
            (["", "x", "", "", "", "", "", "US-TXAS", ""], "region"),
            (["", "x", "", "", "", "", "", "", "a;b"], "cell may hold"),
            (["", "x", "", "", "", "", "", "", String(repeating: "ä", count: 51)], "cell is longer"),
            ([String(repeating: "7", count: 321), "x", "", "", "", "", "", "", ""], "external_contact_id is longer"),
        ] {
            let fault = #expect(throws: ContactColumns.Fault.self) { try columns.row(fields) }
            #expect(fault?.reason.contains(reason) == true, "\(fault?.reason ?? "")")
        }
    }
}
