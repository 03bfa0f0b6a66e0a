// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Whom refusals are held against: an IPv4 address, or the /64 network of an IPv6 address, which one subscriber has whole
/// (RFC 6177, section 2) and can change addresses in at will.
enum ClientNetwork: Hashable, Sendable {
    case v4(UInt32)
    case v6(UInt64)
    /// What is no address, cut off.
    case other(String)

    /// Reads an address as a connection or a proxy tells it, with or without port, brackets and zone.
    init(_ text: String) {
        let text = text.trimmingCharacters(in: .whitespaces)
        let bare = text.hasPrefix("[") ? String(text.dropFirst().prefix { $0 != "]" }) : text
        let isWithPort = bare.count { $0 == ":" } == 1
        let address = String(bare.prefix { $0 != "%" && !(isWithPort && $0 == ":") })
        var four = in_addr()
        var six = in6_addr()
        if inet_pton(AF_INET, address, &four) == 1 {
            self = .v4(UInt32(bigEndian: four.s_addr))
        } else if inet_pton(AF_INET6, address, &six) == 1 {
            let bytes = withUnsafeBytes(of: &six) { Array($0) }
            let isMapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
            self =
                isMapped
                ? .v4(bytes[12...].reduce(0) { $0 << 8 | UInt32($1) })
                : .v6(bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) })
        } else {
            self = .other(String(text.prefix(45)))
        }
    }
}
