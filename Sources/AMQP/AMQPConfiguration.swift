// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Where the broker is and how to talk to it.
public struct AMQPConfiguration: Sendable {
    /// The broker's host name or address.
    public let host: String
    /// The broker's port.
    public let port: Int
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
    /// Messages that may wait for their confirm at once.
    public var maximumUnconfirmed: Int = 1000
    /// A publish that is not confirmed by then fails.
    public var publishTimeout: Duration = .seconds(30)

    /// Reads an AMQP URI.
    ///
    /// Source: RabbitMQ URI specification; the query may hold `cacertfile`, `certfile`, `keyfile` and `heartbeat`.
    /// - Parameter uri: `amqp://` or `amqps://`.
    /// - Throws: ``AMQPError`` with code `invalidConfiguration` that names the fault and never the password.
    public init(uri: String) throws(AMQPError) {
        func fault(_ message: String) -> AMQPError { AMQPError(code: .invalidConfiguration, message: message) }
        guard let components = URLComponents(string: uri) else { throw fault("the AMQP URI cannot be read") }
        switch components.scheme?.lowercased() {
        case "amqp": self.usesTLS = false
        case "amqps": self.usesTLS = true
        default: throw fault("the AMQP URI must start with amqp:// or amqps://")
        }
        guard let host = components.host, !host.isEmpty else { throw fault("the AMQP URI names no host") }
        self.host = host
        let port = components.port ?? (self.usesTLS ? 5671 : 5672)
        guard 1...65_535 ~= port else { throw fault("the AMQP URI's port is not in 1…65535") }
        self.port = port
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
    }

    /// Host, port, virtual host and user; never the password.
    public var redactedDescription: String {
        "\(self.usesTLS ? "amqps" : "amqp")://\(self.user)@\(self.host):\(self.port) virtual host '\(self.virtualHost)'"
    }
}
