// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Why the window must be open in just these zones for a contact.
struct ZoneWords {
    /// Of which all must be open.
    let zones: String
    /// From the file or by the country.
    let own: String
    let ownSource: String
    let byNumber: String
    let byPostalCode: String
    let byRegion: String
    /// What suffices in the campaign.
    let evidence: String

    var text: String {
        var words = self.origin
        if self.zones.contains(",") { words += "; it must be open in all of them" }
        return words
    }

    private var origin: String {
        let isEvidence = self.evidence != "country" && !(self.byNumber + self.byPostalCode + self.byRegion).isEmpty
        guard isEvidence else { return self.ownWords }
        let sources = self.sources
        let counting = Set(self.zones.split(separator: ","))
        let contradict = sources.contains { source in
            sources.contains {
                Set($0.zones.split(separator: ",")).isDisjoint(with: source.zones.split(separator: ","))
            }
        }
        guard !contradict else {
            return "since sources disagree: "
                + sources.map { "\($0.zones) \($0.words)" }.joined(separator: ", ")
        }
        let telling = sources.filter { source in
            source.isSufficient && counting.isSubset(of: Set(source.zones.split(separator: ",")))
        }
        return telling.isEmpty ? self.ownWords : telling.map(\.words).joined(separator: " and ")
    }

    private var ownWords: String {
        switch self.ownSource {
        case "file": "from its file"
        case "number": "by the country of its number"
        default: "the campaign's, because its own is not known"
        }
    }

    private struct Source {
        let zones: String
        let words: String
        let isSufficient: Bool
    }

    /// What is known; the country only where it contradicts, since otherwise it contains the others.
    private var sources: [Source] {
        let others = [
            Source(zones: self.byNumber, words: "by its number's prefix", isSufficient: true),
            Source(
                zones: self.byPostalCode,
                words: "by its postal code",
                isSufficient: self.evidence == "postal-code"
            ),
            Source(zones: self.byRegion, words: "by its region", isSufficient: self.evidence == "postal-code"),
        ].filter { !$0.zones.isEmpty }
        let own = Source(zones: self.own, words: self.ownWords, isSufficient: self.ownSource == "file")
        let names = Set(self.own.split(separator: ","))
        let contradicts = others.contains { names.isDisjoint(with: $0.zones.split(separator: ",")) }
        return (self.own.isEmpty || self.ownSource != "file" && !contradicts ? [] : [own]) + others
    }
}
