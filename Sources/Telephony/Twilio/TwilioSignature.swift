// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation

/// The `X-Twilio-Signature` of a webhook.
///
/// Base64 of an HMAC-SHA1, keyed by the account's token, over the URL as the provider requested it (query included,
/// fragment not) and, for a form, every field's name and value, ordered by name in byte order. Ordering by the
/// concatenation of both, as one of the official libraries does, gives another result for names that begin alike.
/// Pairs that are equal are signed once by newer official libraries and each by others: both are right.
///
/// A body that is not a form is covered by its SHA-256 in the query parameter `bodySHA256`.
public enum TwilioSignature {
    /// Signs a form, or a URL alone.
    /// - Parameters:
    ///   - url: The URL as requested, without fragment.
    ///   - form: The raw form body; empty when the URL alone is signed.
    ///   - token: The account's token.
    /// - Returns: The header's value.
    public static func sign(url: String, form: [UInt8] = [], token: String) -> String {
        let code = HMAC<Insecure.SHA1>.authenticationCode(
            for: Self.bytes(url: url, Self.ordered(FormFields(decoding: form))),
            using: SymmetricKey(data: Data(token.utf8))
        )
        return Data(code).base64EncodedString()
    }

    /// Checks a request's signature in constant time.
    ///
    /// The provider keeps or drops the port depending on scheme and product, so both spellings of the URL are
    /// accepted. No spelling is accepted that leaves any part of the body unsigned.
    /// - Parameters:
    ///   - signature: The header's value.
    ///   - url: The URL as the provider knows it.
    ///   - contentType: The body's media type.
    ///   - body: The raw body.
    ///   - tokens: The tokens that are valid now.
    /// - Returns: Whether one of the tokens made this signature.
    public static func verify(
        _ signature: String,
        url: String,
        contentType: String?,
        body: [UInt8],
        tokens: [String]
    ) -> Bool {
        guard let received = Data(base64Encoded: signature), received.count == Insecure.SHA1.byteCount,
            received.base64EncodedString() == signature
        else {
            return false
        }
        let url = String(url.prefix { $0 != "#" })
        let fields: FormFields
        if let hash = Self.bodyHash(in: url) {
            guard Self.matches(hash: hash, body: body) else { return false }
            fields = FormFields(decoding: [])
        } else {
            guard !Self.isJSON(contentType) else { return false }
            fields = FormFields(decoding: body)
        }
        var accepted = false
        for spelling in Self.spellings(of: url) {
            for bytes in Self.readings(url: spelling, fields: fields) {
                for token in tokens where !token.isEmpty {
                    let key = SymmetricKey(data: Data(token.utf8))
                    // Every candidate is tried, so that the time taken does not tell which one matched.
                    let matches = HMAC<Insecure.SHA1>.isValidAuthenticationCode(
                        received,
                        authenticating: bytes,
                        using: key
                    )
                    accepted = matches || accepted
                }
            }
        }
        return accepted
    }

    static func isJSON(_ contentType: String?) -> Bool {
        contentType?.lowercased().hasPrefix("application/json") ?? false
    }

    /// The URL as it is, and the URL with its port dropped or, where it has none, the scheme's own port added.
    static func spellings(of url: String) -> [String] {
        guard let schemeEnd = url.range(of: "://") else { return [url] }
        let scheme = url[..<schemeEnd.lowerBound].lowercased()
        let rest = url[schemeEnd.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        let tail = rest[authority.endIndex...]
        let start = url[..<schemeEnd.upperBound]
        // In an IPv6 literal only a colon after the bracket begins a port.
        let afterHost = authority.lastIndex(of: "]").map { authority[$0...] } ?? authority
        if let colon = afterHost.lastIndex(of: ":") {
            return [url, "\(start)\(authority[..<colon])\(tail)"]
        }
        return [url, "\(start)\(authority):\(scheme == "https" ? 443 : 80)\(tail)"]
    }

    /// What is signed, with all pairs and, where some are equal, with each pair once.
    private static func readings(url: String, fields: FormFields) -> [[UInt8]] {
        let ordered = Self.ordered(fields)
        var distinct: [FormFields.Field] = []
        for field in ordered where field != distinct.last { distinct.append(field) }
        return (distinct.count == ordered.count ? [ordered] : [ordered, distinct]).map { Self.bytes(url: url, $0) }
    }

    private static func ordered(_ fields: FormFields) -> [FormFields.Field] {
        fields.fields.sorted { left, right in
            left.name == right.name
                ? left.value.lexicographicallyPrecedes(right.value)
                : left.name.lexicographicallyPrecedes(right.name)
        }
    }

    private static func bytes(url: String, _ fields: [FormFields.Field]) -> [UInt8] {
        var bytes = Array(url.utf8)
        for field in fields {
            bytes += field.name
            bytes += field.value
        }
        return bytes
    }

    private static func bodyHash(in url: String) -> String? {
        guard let mark = url.firstIndex(of: "?") else { return nil }
        return FormFields(decoding: url[url.index(after: mark)...].utf8).first("bodySHA256")
    }

    private static func matches(hash: String, body: [UInt8]) -> Bool {
        let computed = SHA256.hash(data: body).map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        return computed.joined() == hash.lowercased()
    }
}
