// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Takes passwords, and every part of one, out of libpq's messages, which quote pieces of what they were given.
struct PasswordRedactor: Sendable {
    /// What was given; empty when only the password itself is to be taken out.
    private let text: String
    /// Where a password may stand in it, as it may have been meant: more than libpq took for one.
    private let regions: [Range<String.Index>]
    private let secrets: [String]

    init(secret: String) {
        (self.text, self.regions) = ("", [])
        self.secrets = secret.isEmpty ? [] : [secret]
    }

    /// - Parameter uri: A URI or keywords and values.
    init(uri: String) {
        self.text = uri
        self.regions = Self.regions(in: uri)
        self.secrets = self.regions.map { String(uri[$0]) }.flatMap { [$0, $0.removingPercentEncoding ?? $0] }
    }

    func redact(_ message: String) -> String {
        guard !self.secrets.isEmpty else { return message }
        let pieces = message.split(separator: "\"", omittingEmptySubsequences: false).enumerated().map { index, piece in
            let isQuoted = !index.isMultiple(of: 2)
            let isSecret =
                self.secrets.contains { piece.contains($0) || (isQuoted && $0.contains(piece)) }
                || isQuoted && self.touches(String(piece))
            return isSecret ? "***" : String(piece)
        }
        return pieces.joined(separator: "\"")
    }

    /// Whether a piece of the text reaches into a password.
    private func touches(_ piece: String) -> Bool {
        guard !piece.isEmpty else { return false }
        return self.text.ranges(of: piece).contains { found in self.regions.contains { $0.overlaps(found) } }
    }

    private static func regions(in text: String) -> [Range<String.Index>] {
        var regions: [Range<String.Index>] = []
        let isURI = text.contains("://")
        // Up to the last @, because a password that is not encoded may itself hold @ / ? and #.
        if let scheme = text.firstRange(of: "://"), let end = text.lastIndex(of: "@"), scheme.upperBound < end,
            let colon = text[scheme.upperBound..<end].firstIndex(of: ":")
        {
            regions.append(text.index(after: colon)..<end)
        }
        var rest = text[...]
        while let key = rest.firstRange(of: "password") {
            rest = rest[key.upperBound...]
            let value = rest.drop { $0 == " " || $0 == "=" || $0 == "'" }
            // Where a value without quotes ends that has a blank in it, only its writer knows.
            let end = isURI ? value.firstIndex(of: "&") ?? value.endIndex : value.endIndex
            if value.startIndex < end { regions.append(value.startIndex..<end) }
        }
        return regions
    }

    /// Why a URI is not what its writer meant: a part of its password would be taken for a host or a database, and shown.
    static func fault(in uri: String) -> String? {
        guard let scheme = uri.firstRange(of: "://") else { return nil }
        let rest = uri[scheme.upperBound...]
        let authority = rest.prefix { !"/?".contains($0) }
        let after = rest[authority.endIndex...]
        let path = after.prefix { $0 != "?" }
        let parameters = after[path.endIndex...].dropFirst().split(separator: "&")
        let isSplit = path.contains("@") || parameters.contains { $0.contains("@") && !$0.contains("=") }
        guard authority.count(where: { $0 == "@" }) > 1 || isSplit else { return nil }
        return "there is an @ where none can be: in a password, @ : / ? # and % are written %40 %3A %2F %3F %23 and %25"
    }
}
