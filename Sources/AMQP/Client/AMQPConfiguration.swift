// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Where one node of the broker listens.
public struct AMQPNode: Sendable, Equatable, CustomStringConvertible {
    /// Its host name or address.
    public let host: String
    /// Its port.
    public let port: Int

    /// Host and port.
    public var description: String {
        self.host.contains(":") ? "[\(self.host)]:\(self.port)" : "\(self.host):\(self.port)"
    }
}

/// Where the broker is and how to talk to it.
public struct AMQPConfiguration: Sendable {
    /// The nodes of the broker, one at least. A connection takes any of them, and another when that one fails.
    public let nodes: [AMQPNode]
    /// The virtual host.
    public let virtualHost: String
    /// Whether the connection is encrypted; the broker's certificate and name are verified then, always.
    public let usesTLS: Bool
    let user: String
    let password: String

    /// Shown in the management UI.
    public var connectionName: String = "amqp-client"
    /// A peer that is silent for twice this time is taken for dead.
    public var heartbeat: Duration = .seconds(10)
    /// Limit for TCP connection and handshake.
    public var connectTimeout: Duration = .seconds(10)
    /// Limit for the broker's answer to a declaration or subscription.
    public var rpcTimeout: Duration = .seconds(15)
    /// The authorities to trust, PEM.
    public var caCertificateFile: String = "/etc/ssl/certs/ca-certificates.crt"
    /// A client certificate, PEM, when the broker asks for one.
    public var clientCertificateFile: String?
    /// The client certificate's key, PEM, without a pass phrase.
    public var clientKeyFile: String?
    /// How often everything is declared again, so that what was deleted comes back; at once where its lack is noticed.
    public var declarationInterval: Duration = .seconds(10)
    /// Messages that may wait for their confirm at once.
    public var maximumUnconfirmed: Int = 1000
    /// A publish that is not confirmed by then fails.
    public var publishTimeout: Duration = .seconds(30)

    /// Reads an AMQP URI.
    ///
    /// Source: RabbitMQ URI specification; the query may hold `cacertfile`, `certfile`, `keyfile` and `heartbeat`. Beyond
    /// it, a cluster's nodes may be named one after the other: `amqp://user:password@one,two:5673,three/vhost`.
    /// - Parameter uri: `amqp://` or `amqps://`.
    /// - Throws: ``AMQPError`` with code `invalidConfiguration` that names the fault and never the password.
    public init(uri: String) throws(AMQPError) {
        func fault(_ message: String) -> AMQPError { AMQPError(code: .invalidConfiguration, message: message) }
        if let words = Self.strayPassword(in: uri) { throw fault(words) }
        let places = Self.places(in: uri)
        let first = places.texts.first ?? ""
        guard let components = URLComponents(string: places.before + first + places.after) else {
            throw fault("the AMQP URI cannot be read")
        }
        switch components.scheme?.lowercased() {
        case "amqp": self.usesTLS = false
        case "amqps": self.usesTLS = true
        default: throw fault("the AMQP URI must start with amqp:// or amqps://")
        }
        var nodes: [AMQPNode] = []
        for place in places.texts {
            guard let parts = URLComponents(string: "amqp://" + place), let host = parts.host, !host.isEmpty else {
                throw fault("the AMQP URI names no host" + (places.texts.count > 1 ? " between two commas" : ""))
            }
            let port = parts.port ?? (self.usesTLS ? 5671 : 5672)
            guard 1...65_535 ~= port else { throw fault("the AMQP URI's port is not in 1…65535") }
            nodes.append(AMQPNode(host: host.trimmingCharacters(in: ["[", "]"]), port: port))
        }
        self.nodes = nodes
        self.user = components.user ?? "guest"
        self.password = components.password ?? "guest"
        let path = components.percentEncodedPath
        if path.isEmpty || path == "/" {
            self.virtualHost = "/"
        } else {
            let name = path.dropFirst()
            guard !name.contains("/"), let decoded = String(name).removingPercentEncoding else {
                throw fault("the AMQP URI's virtual host must be one percent-encoded path segment")
            }
            self.virtualHost = decoded
        }
        guard self.virtualHost.utf8.count <= AMQPNames.longest else {
            throw fault("the AMQP URI's virtual host is longer than \(AMQPNames.longest) bytes")
        }
        guard ![self.virtualHost, self.user, self.password].contains(where: { $0.utf8.contains(0) }) else {
            throw fault("the AMQP URI holds a zero byte")
        }
        for item in components.queryItems ?? [] {
            guard let value = item.value, !value.isEmpty else {
                throw fault("the AMQP URI's parameter \(item.name) has no value")
            }
            switch item.name {
            case "cacertfile": self.caCertificateFile = value
            case "certfile": self.clientCertificateFile = value
            case "keyfile": self.clientKeyFile = value
            case "heartbeat":
                guard let seconds = Int(value), 1...3600 ~= seconds else {
                    throw fault("the AMQP URI's heartbeat is not in 1…3600 seconds")
                }
                self.heartbeat = .seconds(seconds)
            default: throw fault("the AMQP URI's parameter \(item.name) is unknown")
            }
        }
        guard (self.clientCertificateFile == nil) == (self.clientKeyFile == nil) else {
            throw fault("the AMQP URI's certfile and keyfile belong together")
        }
    }

    /// Host, port, virtual host and user; never the password.
    public var redactedDescription: String {
        "\(self.usesTLS ? "amqps" : "amqp")://\(self.user)@\(self.nodes.map(\.description).joined(separator: ","))"
            + " virtual host '\(self.virtualHost)'"
    }

    /// Why a URI is not what its writer meant: a part of its password would be taken for something else, and shown.
    private static func strayPassword(in uri: String) -> String? {
        guard let scheme = uri.range(of: "://") else { return nil }
        let rest = uri[scheme.upperBound...]
        let authority = rest.prefix { !"/?#".contains($0) }
        let after = rest[authority.endIndex...]
        let path = after.prefix { $0 != "?" && $0 != "#" }
        let isSplit = path.contains("@") || after.contains("#") || (!authority.contains("@") && after.contains("@"))
        guard authority.count(where: { $0 == "@" }) > 1 || isSplit else { return nil }
        return
            "the AMQP URI has an @ or a # where none can be: in a password, @ : / ? # and % are written %40 %3A %2F %3F "
            + "%23 and %25"
    }

    /// The part of a URI that names hosts and ports, cut at its commas, with what stands before and after it.
    private static func places(in uri: String) -> (before: String, texts: [String], after: String) {
        guard let scheme = uri.range(of: "://") else { return (uri, [""], "") }
        let rest = uri[scheme.upperBound...]
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        let start = rest[..<end].lastIndex(of: "@").map { rest.index(after: $0) } ?? rest.startIndex
        let texts = rest[start..<end].split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        return (String(uri[..<start]), texts, String(rest[end...]))
    }
}

/// Whoever prints it, or something that holds it, prints no secret.
extension AMQPConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Nodes, virtual host and user.
    public var description: String { self.redactedDescription }
    /// The same.
    public var debugDescription: String { self.description }
    /// Without children.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
