// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CLibPQ
import Foundation
import NIOConcurrencyHelpers

/// One place where the server may be: a host, by one of its addresses.
struct PostgresEndpoint: Sendable, Hashable {
    let host: String?
    let address: String?
    let port: String?

    /// For messages.
    var name: String { "\(self.host ?? self.address ?? "localhost"):\(self.port ?? "5432")" }

    /// Keywords for `PQconnectStartParams`; an address keeps the host's name beside it, for TLS and the password file.
    var parameters: [String: String?] { ["host": self.host, "hostaddr": self.address, "port": self.port] }

    /// Each address of the host. Without one of those libpq is left to say what is wrong with the name.
    /// - Parameter resolve: The addresses of a name, the first first.
    /// - Returns: One place for each, or the host by its name.
    func resolved(by resolve: (String) -> [String]) -> [PostgresEndpoint] {
        guard self.address == nil, let host = self.host, !host.hasPrefix("/"), !host.hasPrefix("@") else {
            return [self]
        }
        var endpoints: [PostgresEndpoint] = []
        for address in resolve(host) {
            let endpoint = PostgresEndpoint(host: host, address: address, port: self.port)
            if !endpoints.contains(endpoint) { endpoints.append(endpoint) }
        }
        return endpoints.isEmpty ? [self] : endpoints
    }

    /// What the system says of a name.
    /// - Parameter host: The name.
    /// - Returns: Its addresses, in the order of RFC 6724; none when it has none.
    static func addresses(of host: String) -> [String] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &found) == 0 else { return [] }
        defer { freeaddrinfo(found) }
        var addresses: [String] = []
        var next = found
        while let entry = next?.pointee {
            next = entry.ai_next
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let size = socklen_t(text.count)
            guard getnameinfo(entry.ai_addr, entry.ai_addrlen, &text, size, nil, 0, NI_NUMERICHOST) == 0 else {
                continue
            }
            addresses.append(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        return addresses
    }
}

extension PostgresEndpoint {
    /// Takes libpq's lists apart: libpq tries the hosts of a list one after the other, and has no bound for one of them when
    /// it must not block.
    static func list(host: String?, address: String?, port: String?) throws(PostgresError) -> [PostgresEndpoint] {
        let hosts = Self.split(host)
        let addresses = Self.split(address)
        let ports = Self.split(port)
        let count = max(1, addresses.isEmpty ? hosts.count : addresses.count)
        guard hosts.isEmpty || hosts.count == count else {
            throw PostgresError(.invalidConfiguration, "\(hosts.count) hosts have \(count) addresses")
        }
        guard ports.count <= 1 || ports.count == count else {
            throw PostgresError(.invalidConfiguration, "\(count) hosts have \(ports.count) ports")
        }
        return (0..<count).map { index in
            PostgresEndpoint(
                host: hosts.isEmpty ? nil : hosts[index],
                address: addresses.isEmpty ? nil : addresses[index],
                port: ports.isEmpty ? nil : ports.count == 1 ? ports[0] : ports[index]
            )
        }
    }

    /// An empty entry stands for the default.
    private static func split(_ list: String?) -> [String?] {
        guard let list, !list.isEmpty else { return [] }
        return list.split(separator: ",", omittingEmptySubsequences: false).map { $0.isEmpty ? nil : String($0) }
    }
}

/// Where all connections of a client begin to look: at the place that served last, or after one that has become useless.
final class HostRotation: Sendable {
    private struct State {
        var last: PostgresEndpoint?
        var isLeft = false
    }

    private let state = NIOLockedValueBox(State())

    /// All of them, the most promising first.
    func order(_ endpoints: [PostgresEndpoint]) -> [PostgresEndpoint] {
        let state = self.state.withLockedValue { $0 }
        guard let last = state.last, let index = endpoints.firstIndex(of: last) else { return endpoints }
        let start = state.isLeft ? (index + 1) % endpoints.count : index
        return Array(endpoints[start...] + endpoints[..<start])
    }

    func connected(to endpoint: PostgresEndpoint) {
        self.state.withLockedValue { $0 = State(last: endpoint) }
    }

    /// Others may have found a better place already.
    func leave(_ endpoint: PostgresEndpoint) {
        self.state.withLockedValue { if $0.last == endpoint { $0.isLeft = true } }
    }
}
