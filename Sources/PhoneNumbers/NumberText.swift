// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// A telephone number as somebody wrote it, or as a spreadsheet has changed it: what can be mended is mended, and what
/// has lost digits, or could be two numbers, is refused.
struct NumberText {
    /// Without what is not seen, and without what a spreadsheet has put around it.
    let text: String

    /// - Throws: ``NumberPlan/Fault`` when no number can be read from the text, whatever the plan.
    init(_ text: String) throws(NumberPlan.Fault) {
        var clean = Self.visible(text)
        // A formula, or the mark of a text, with which a list keeps a spreadsheet from changing its numbers.
        if clean.first == "=" { clean.removeFirst() }
        if clean.count > 2, clean.first == "\"", clean.last == "\"" { clean = clean.dropFirst().dropLast() }
        if let first = clean.first, "'’`".contains(first) { clean.removeFirst() }
        while clean.last?.isWhitespace == true { clean.removeLast() }
        while clean.first?.isWhitespace == true { clean.removeFirst() }
        guard !clean.isEmpty else { throw NumberPlan.Fault(reason: "is empty") }
        // Looked for before it is matched: most texts have neither, and matching takes longer than all the rest.
        if clean.contains(where: { "eE".contains($0) }),
            clean.wholeMatch(of: /[+-]?[0-9]+([.,][0-9]+)?[eE][+-]?[0-9]+/) != nil
        {
            throw NumberPlan.Fault(
                reason: "was made a floating-point number by a spreadsheet, such as 4.9E+11, and has lost digits: "
                    + "export it again from a column that is formatted as text"
            )
        }
        if clean.contains(where: { ".,".contains($0) }),
            let match = clean.wholeMatch(of: /(\+?[0-9]{7,})[.,]([0-9]{1,2})/)
        {
            guard match.2.allSatisfy({ $0 == "0" }) else {
                throw NumberPlan.Fault(reason: "is a decimal fraction")
            }
            clean = match.1
        }
        self.text = String(clean)
    }

    /// Whether a number can be read without asking any of this: a plus sign and digits.
    static func isPlain(_ text: String) -> Bool {
        text.utf8.first == UInt8(ascii: "+")
            && text.utf8.dropFirst().allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    /// Without the marks of writing direction and the like that come with a copied number, and with ordinary spaces.
    private static func visible(_ text: String) -> Substring {
        var scalars = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .format: continue
            case .spaceSeparator: scalars.append(" ")
            default: scalars.append(scalar)
            }
        }
        return String(scalars)[...]
    }

    /// The digits, in whatever script.
    var digits: String {
        self.text.compactMap { $0.isNumber ? $0.wholeNumberValue.map(String.init) : nil }.joined()
    }

    var hasPlus: Bool { self.text.contains { $0 == "+" || $0 == "\u{FF0B}" } }

    var hasLetters: Bool { self.text.contains(where: \.isLetter) }

    /// Splits at what stands between two numbers in one cell.
    /// - Returns: What is before it, and the digits behind it; none for a text that has no such mark.
    var parts: [(first: String, others: Int)] {
        var parts: [(first: String, others: Int)] = []
        for index in self.text.indices where "/\\;,|&\n\r".contains(self.text[index]) {
            let others = self.text[self.text.index(after: index)...].count(where: \.isNumber)
            // A comma or a semicolon with a few digits behind it is an extension, of which the library tells.
            let least = "/\\|&".contains(self.text[index]) ? 1 : 5
            if others >= least { parts.append((String(self.text[..<index]), others)) }
        }
        return parts
    }
}
