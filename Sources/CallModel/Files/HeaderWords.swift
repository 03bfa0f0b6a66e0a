// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// The first line of a file: names of columns, which messages may show, or a person's data, which they may not.
struct HeaderWords {
    /// What names of columns are made of where people keep lists of phone numbers.
    private static let usual = [
        "phone", "tel", "mobil", "handy", "cell", "gsm", "msisdn", "ruf", "nummer", "number", "numero", "número",
        "numéro",
        "fono", "celular", "name", "nom", "mail", "kunde", "client", "contact", "kontakt", "adres", "address", "ort",
        "city",
        "land", "country", "zone", "zeit", "language", "sprache", "reason", "grund", "date", "datum", "_id", "телефон",
        "номер", "имя", "电话", "手机", "電話", "전화", "هاتف", "τηλ",
    ]
    private static let digitsOfANumber = 5

    /// The cells, white space around them taken off.
    let header: [String]
    /// Whether they are names of columns.
    let areNames: Bool
    private let known: Set<String>

    init(_ header: [String], known: Set<String>) {
        let known = Set(known.map { $0.lowercased() })
        self.header = header
        self.known = known
        let words = header.map { $0.lowercased() }
        self.areNames =
            words.contains(where: known.contains)
            || !words.contains(where: Self.isData)
                && words.contains { word in word == "id" || Self.usual.contains { word.contains($0) } }
    }

    /// All names, or how many there are.
    var all: String {
        guard self.areNames else { return "\(self.header.count) column(s)" }
        return self.header.indices.map { self.shown($0) ?? "…" }.map { $0.filter { $0 != "'" } }.joined(separator: ", ")
    }

    /// - Returns: A name in quotes; nil when it may be a person's data.
    func shown(_ index: Int) -> String? {
        let word = self.header[index]
        guard self.areNames, !Self.isData(word) || self.known.contains(word.lowercased()) else { return nil }
        return "'\(word.prefix(60))'"
    }

    private static func isData(_ word: String) -> Bool {
        word.contains("@") || word.count(where: \.isNumber) >= Self.digitsOfANumber
    }
}
