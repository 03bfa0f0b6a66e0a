// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestSupport
import Testing

/// What people are told when they look for a person, exclude one or forget one; their numbers are of those that Germany
/// keeps free for films.
@Suite(.timeLimit(.minutes(20)))
struct PersonCommandTests {
    private static let key = "kept outside the database"

    private static func contact(_ number: String) throws -> CallStore.NewContact {
        CallStore.NewContact(
            externalID: nil,
            phoneNumber: try PhoneNumber(number),
            email: nil,
            language: nil,
            hasPriorConsent: true,
            doNotCall: false,
            timeZone: nil
        )
    }

    /// A campaign `c` with contacts of these numbers.
    private static func with(
        _ numbers: [String],
        _ body:
            @Sendable (_ scratch: Scratch, _ run: @escaping @Sendable ([String]) async throws -> Product.Ended)
            async throws ->
            Void
    ) async throws {
        try await Scratch.run { scratch in
            var settings = CampaignSettings(name: "c", timeZone: "UTC")
            settings.requiresConsent = true
            let campaign = try await scratch.store.createCampaign(settings)
            _ = try await scratch.store.addContacts(try numbers.map(Self.contact), campaign: campaign)
            let environment = ["DATABASE_URL": scratch.databaseURL, "SUPPRESSION_KEY": Self.key]
            try await body(scratch) { try await Product.run($0, environment) }
        }
    }

    private static func file(_ content: Data, _ body: (String) async throws -> Void) async throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".csv")
        defer {
            for suffix in ["", ".rejects.csv"] { try? FileManager.default.removeItem(atPath: file.path + suffix) }
        }
        try content.write(to: file)
        try await body(file.path)
    }

    @Test(
        "every command finds a person by the number as it is written on a letter or a screen",
        arguments: [
            ("+49 (0)30 23125140", nil), ("0049 30 23125140", nil), ("+49-30-2312.5140", nil),
            ("\u{200E}+49\u{A0}30\u{202F}231\u{2011}25\u{2011}140", nil), ("(030) 231 25 140", "DE"),
            ("00493023125140", "DE"),
            ("+493023125140", "FR"),
        ] as [(String, String?)]
    )
    func forms(text: String, country: String?) async throws {
        let number = ["+493023125140"]
        try await Self.with(number + ["+493023125141"]) { scratch, run in
            let options = (country.map { ["--country", $0] } ?? []) + ["--", text]
            for (command, answer) in [
                (["contacts", "why"], "in campaign c"),
                (["contacts", "consent", "--withdrawn"], "withdrawn for 1 contact(s)\n"),
                (["contacts", "consent", "--given"], "given for 1 contact(s)\n"),
                (["exclusions", "add", "--until", "1d"], "added 1 number(s), took out 1 contact(s)"),
                (["exclusions", "remove"], "removed"), (["contacts", "erase"], "erased 1 contact(s)"),
            ] {
                let ended = try await run(command + options)
                #expect(
                    ended.exitCode == 0 && ended.output.contains(answer),
                    "\(command): \(ended.output)\(ended.errors)"
                )
            }
            let left = try await scratch.value("select array_agg(phone_number) from contacts", as: [String?].self)
            #expect(left.compactMap(\.self) == ["+493023125141"])
            #expect(try await scratch.store.exclusions().isEmpty)
            let again = try await run(["contacts", "erase"] + options)
            #expect(again.exitCode == 0 && again.output.contains("erased before"), "\(again.output)\(again.errors)")
        }
    }

    @Test("a number that was stored as it once came is found with the one that it is today, by every command")
    func formerForms() async throws {
        try await Self.with(["+5215512345678", "+4903023125140"]) { scratch, run in
            for typed in ["+52 1 55 1234 5678", "+49 (0)30 23125140"] {
                let why = try await run(["contacts", "why", typed])
                #expect(why.exitCode == 0, "\(why.errors)")
                #expect(
                    try await run(["exclusions", "add", typed, "--until", "1d"]).output.contains("added 1 number(s)")
                )
                #expect(try await scratch.store.exclusions().count == 2)
                #expect(try await run(["exclusions", "remove", typed]).exitCode == 0)
                #expect(try await scratch.store.exclusions().isEmpty)
                #expect(try await run(["contacts", "erase", typed]).output.contains("erased 1 contact(s)"))
            }
        }
    }

    @Test(
        "who is excluded by a number that has got a new form since is excluded by the new one, and the other way round"
    )
    func renumbered() async throws {
        try await Self.with(["+2290197000001", "+22997000002"]) { scratch, run in
            #expect(try await run(["exclusions", "add", "+22997000001"]).output.contains("took out 1 contact(s)"))
            #expect(
                try await run(["exclusions", "add", "+229 01 97 00 00 02"]).output.contains("took out 1 contact(s)")
            )
            try await Self.file(Data("phone_number\n+22997000001\n+2290197000002\n".utf8)) { path in
                let ended = try await run(["contacts", "import", path, "--campaign", "c"])
                #expect(ended.output.contains("added     1  (of these excluded from the start: 1)"), "\(ended.output)")
            }
        }
    }

    @Test("changes in number plans that are installed hold for every command, and only what is newer is installed")
    func numbersUpdate() async throws {
        let document = """
            {"version": "2099-01-01", "renumbered": [], "ranges": [
                {"region": "DE", "code": "49", "prefixes": ["1999"], "digits": 13, "source": "s", "read": "2098-12-31"}]}
            """
        try await Self.with([]) { scratch, run in
            let list = Data("phone_number\n+491999123456789\n+19992345678\n".utf8)
            let load: @Sendable () async throws -> String = {
                var output = ""
                try await Self.file(list) { path in
                    output = try await run(["contacts", "import", path, "--campaign", "c"]).output
                }
                return output
            }
            #expect(try await run(["numbers", "show"]).output.contains("of this program"))
            #expect(try await load().contains("unknown   2 "))
            try await Self.file(Data(document.utf8)) { path in
                let ended = try await run(["numbers", "update", path])
                #expect(ended.exitCode == 0, "\(ended.errors)")
            }
            #expect(try await run(["numbers", "show"]).output.contains("2099-01-01, installed"))
            #expect(try await load().contains("unknown   1 "))
            for (content, words) in [("{", "not JSON"), (document.replacing("2099", with: "1999"), "is of 1999-01-01")]
            {
                try await Self.file(Data(content.utf8)) { path in
                    let ended = try await run(["numbers", "update", path])
                    #expect(ended.exitCode == 64 && ended.errors.contains(words), "\(ended.errors)")
                }
            }
        }
    }

    @Test("nobody found is an error, with exit code 1, words that help, and no number in them")
    func nobody() async throws {
        try await Self.with(["+493023125140"]) { scratch, run in
            for (command, words) in [
                (["contacts", "why", "+49 30 23125199"], "no contact has this number"),
                (["contacts", "why", "+49 30 23125199", "--campaign", "c"], "no contact of campaign 'c'"),
                (["contacts", "why", UUID().uuidString], "no contact has this"),
                (["contacts", "erase", "+49 30 23125199"], "nothing was erased"),
                (["contacts", "erase", UUID().uuidString], "there is no contact"),
                (["exclusions", "remove", "+49 30 23125199"], "not on the exclusion list of all campaigns"),
                (
                    ["exclusions", "remove", "+49 30 23125199", "--campaign", "c"],
                    "not on the exclusion list of campaign 'c'"
                ),
            ] {
                let ended = try await run(command)
                #expect(ended.exitCode == 1 && ended.output.isEmpty, "\(command): \(ended.exitCode) \(ended.errors)")
                #expect(ended.errors.contains(words), "\(ended.errors)")
                #expect(!ended.errors.contains("23125"), "\(ended.errors)")
            }
            #expect(try await scratch.value("select count(*) from suppressed_numbers", as: Int.self) == 0)
            for (command, words) in [
                (["contacts", "why"], "--country"), (["contacts", "erase"], "--country"),
                (["contacts", "consent", "--given"], "--country"), (["exclusions", "add"], "--country"),
                (["exclusions", "remove"], "--country"),
            ] {
                let ended = try await run(command + ["030 23125140"])
                #expect(ended.exitCode == 64 && ended.errors.contains(words), "\(command): \(ended.errors)")
                #expect(!ended.errors.contains("23125"), "\(ended.errors)")
            }
        }
    }

    @Test("consent that is withdrawn before there is a contact is kept, and the import says so")
    func consentBeforehand() async throws {
        try await Self.with(["+493023125141"]) { scratch, run in
            let withdrawn = try await run(["contacts", "consent", "+493023125140", "--withdrawn"])
            #expect(withdrawn.exitCode == 0 && withdrawn.output.contains("no contact has this number yet"))
            let content = "phone_number,has_prior_consent\n+493023125140,yes\n+493023125142,yes\n+493023125141,no\n"
            try await Self.file(Data(content.utf8)) { path in
                let ended = try await run(["contacts", "import", path, "--campaign", "c"])
                #expect(ended.exitCode == 0, "\(ended.errors)")
                #expect(ended.output.contains("added     2  (of these excluded from the start: 1)"), "\(ended.output)")
                #expect(ended.output.contains("withdrawn 2 "), "\(ended.output)")
            }
            let callable = try await scratch.value(
                "select phone_number from contacts where state = 'pending'",
                as: String.self
            )
            #expect(callable == "+493023125142")
        }
    }

    @Test(
        "a second file that says do_not_call takes the contact out, and the import says so",
        arguments: [true, false]
    )
    func barred(isOneFile: Bool) async throws {
        try await Self.with([]) { scratch, run in
            let header = "phone_number,do_not_call,has_prior_consent\n"
            let (first, second) = (
                "+493023125140,false,yes\n+493023125141,,yes\n", "+493023125140,true,\n+493023125141,false,\n"
            )
            var output = ""
            for content in isOneFile ? [header + first + second] : [header + first, header + second] {
                try await Self.file(Data(content.utf8)) { path in
                    let ended = try await run(["contacts", "import", path, "--campaign", "c"])
                    #expect(ended.exitCode == 0, "\(ended.errors)")
                    output = ended.output
                }
            }
            #expect(output.contains("barred    1 ") && !output.contains("withdrawn"), "\(output)")
            let state = try await scratch.value(
                "select string_agg(concat_ws('|', state, excluded_reason), ' ' order by phone_number) from contacts",
                as: String.self
            )
            #expect(state == "excluded|do_not_call pending")
        }
    }

    @Test(
        "a list of exclusions is read as files of contacts are: with their options, and as strictly",
        arguments: [
            ("phone_number,reason\n+49 (0)30 23125140,a\n00493023125141,b\n", .utf8, [], 2, ""),
            ("phone_number;reason\n+493023125140;Kündigung\n", .isoLatin1, ["--encoding", "latin-1"], 1, ""),
            (
                "Telefon;Grund;Name\n030 23125140;Kündigung;Müller\n", .utf16,
                [
                    "--country", "DE", "--map", "phone_number=Telefon", "--map", "reason=Grund",
                    "--ignore-other-columns",
                ], 1, ""
            ),
            ("phone_number\treason\n+493023125140\t\n", .utf8, ["--delimiter", "tab"], 1, ""),
            (
                "phone_number,phone_number_2\n+493023125140,+493023125141\n", .utf8, [], nil,
                "unknown column 'phone_number_2'"
            ),
            ("phone_number,Phone_Number\n+493023125140,+493023125141\n", .utf8, [], nil, "twice"),
            ("reason\nx\n", .utf8, [], nil, "no column phone_number"),
            ("phone_number,reason\n+493023125140\n", .utf8, [], 1, ""),
            ("phone_number,reason\n+493023125140,a,b\n", .utf8, [], nil, "has 3 fields"),
            ("\u{FEFF}\"phone_number\";\"\"\r+493023125140;\r;\r", .utf8, [], 1, ""),
            ("phone_number,reason\n+493023125140,a\nphone_number,reason\n+493023125141,b\n", .utf8, [], 2, ""),
            ("+493023125140,a\n+493023125141,b\n", .utf8, ["--columns", "phone_number,reason"], 2, ""),
            ("+493023125140,Anna\n", .utf8, [], nil, "does not look like the names"),
            ("PK\u{3}\u{4}xxxx", .utf8, [], nil, "workbook"),
            ("phone_number\n+493023125140\n030 23125141\n", .utf8, [], nil, "--country"),
            ("phone_number\n+493023125140\n+49 30 23125141 ext. 5\n", .utf8, [], nil, "extension"),
            ("phone_number\n+493023125140\n\"+493023125141\n", .utf8, [], nil, "nothing was imported"),
            ("phone_number\n+493023125140\n+4930Müller\n", .isoLatin1, [], nil, "UTF-8"),
            ("", .utf8, [], nil, "is empty"),
        ] as [(String, String.Encoding, [String], Int?, String)]
    )
    func exclusionFiles(
        content: String,
        encoding: String.Encoding,
        options: [String],
        excluded: Int?,
        words: String
    ) async throws {
        let data = try #require(content.data(using: encoding))
        try await Self.with(["+493023125140", "+493023125141"]) { scratch, run in
            try await Self.file(data) { path in
                let ended = try await run(["exclusions", "import", path] + options)
                let out = try await scratch.value(
                    "select count(*) from contacts where state = 'excluded'",
                    as: Int.self
                )
                #expect(out == excluded ?? 0, "\(ended.output)\(ended.errors)")
                guard let excluded else {
                    #expect(ended.exitCode == 64 && ended.errors.contains(words), "\(ended.errors)")
                    #expect(!ended.errors.contains("23125"), "\(ended.errors)")
                    return
                }
                #expect(
                    ended.output == "added \(excluded) number(s), took out \(excluded) contact(s)\n",
                    "\(ended.errors)"
                )
                let reasons = try await scratch.store.exclusions().compactMap(\.reason)
                #expect(!content.contains("Kündigung") || reasons == ["Kündigung"], "\(reasons)")
            }
        }
    }
}
