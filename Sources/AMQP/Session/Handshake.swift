// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ
import Foundation

/// Connects a fresh connection state and logs in.
struct Handshake {
    let connection: amqp_connection_state_t
    let configuration: AMQPConfiguration
    let node: AMQPNode

    func connect() throws(AMQPError) {
        let socket = try self.makeSocket()
        var connectLimit = self.configuration.connectTimeout.timeval
        var handshakeLimit = self.configuration.connectTimeout.timeval
        amqp_set_handshake_timeout(self.connection, &handshakeLimit)
        var callLimit = self.configuration.rpcTimeout.timeval
        amqp_set_rpc_timeout(self.connection, &callLimit)
        let status = amqp_socket_open_noblock(
            socket,
            self.node.host,
            Int32(self.node.port),
            &connectLimit
        )
        guard status != AMQP_STATUS_OK.rawValue else { return }
        let reason =
            status == AMQP_STATUS_SOCKET_ERROR.rawValue
            ? self.systemsWords ?? String(cString: amqp_error_string2(status))
            : String(cString: amqp_error_string2(status))
        let isTLS = [
            AMQP_STATUS_SSL_ERROR, AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED, AMQP_STATUS_SSL_PEER_VERIFY_FAILED,
            AMQP_STATUS_SSL_CONNECTION_FAILED, AMQP_STATUS_SSL_SET_ENGINE_FAILED,
        ].contains { $0.rawValue == status }
        // The library does not tell what OpenSSL dislikes about a certificate, except for its name.
        let isMistrusted = isTLS && status != AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED.rawValue
        let authorities = self.configuration.caCertificateFile
        throw AMQPError(
            code: isTLS ? .tls : .connectionFailed,
            message: "cannot connect to \(self.node): \(reason)"
                + (isMistrusted ? "; is its certificate expired, or not of an authority in \(authorities)?" : "")
        )
    }

    /// Why the node cannot be reached. The library only says that a socket error occurred.
    private var systemsWords: String? {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(self.node.host, String(self.node.port), &hints, &found) == 0, let address = found else {
            return nil
        }
        defer { freeaddrinfo(found) }
        let descriptor = socket(
            address.pointee.ai_family,
            Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue),
            0
        )
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var failure: Int32 = 0
        if Glibc.connect(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen) != 0 { failure = errno }
        if failure == EINPROGRESS {
            var watched = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard poll(&watched, 1, 1000) == 1 else { return nil }
            var size = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &size)
        }
        return failure == 0 ? nil : String(cString: strerror(failure)).lowercased()
    }

    private func makeSocket() throws(AMQPError) -> OpaquePointer {
        let socket =
            self.configuration.usesTLS
            ? amqp_ssl_socket_new(self.connection) : amqp_tcp_socket_new(self.connection)
        guard let socket else { throw AMQPError(code: .connectionFailed, message: "out of memory") }
        guard self.configuration.usesTLS else { return socket }
        amqp_ssl_socket_set_verify_peer(socket, 1)
        amqp_ssl_socket_set_verify_hostname(socket, 1)
        amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST)
        guard amqp_ssl_socket_set_cacert(socket, self.configuration.caCertificateFile) == AMQP_STATUS_OK.rawValue else {
            throw AMQPError(
                code: .tls,
                message: "the authorities in \(self.configuration.caCertificateFile) cannot be read"
            )
        }
        if let certificate = self.configuration.clientCertificateFile, let key = self.configuration.clientKeyFile {
            guard amqp_ssl_socket_set_key(socket, certificate, key) == AMQP_STATUS_OK.rawValue else {
                throw AMQPError(code: .tls, message: "the client certificate \(certificate) cannot be used")
            }
        }
        return socket
    }

    func logIn() throws(AMQPError) {
        let arena = Arena()
        var properties = arena.table([
            "connection_name": .string(self.configuration.connectionName),
            "product": .string("Swift AMQP client over librabbitmq"),
            "capabilities": .table([
                "authentication_failure_close": .bool(true),
                "basic.nack": .bool(true),
                "connection.blocked": .bool(true),
                "consumer_cancel_notify": .bool(true),
                "publisher_confirms": .bool(true),
            ]),
        ])
        let heartbeat = Int32(clamping: max(1, self.configuration.heartbeat.components.seconds))
        let reply = crmq_login_plain(
            self.connection,
            self.configuration.virtualHost,
            2047,
            131_072,
            heartbeat,
            &properties,
            self.configuration.user,
            self.configuration.password
        )
        switch reply.reply_type {
        case AMQP_RESPONSE_NORMAL:
            return
        case AMQP_RESPONSE_SERVER_EXCEPTION where reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD:
            let close = reply.reply.decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
            throw AMQPError(
                code: [403, 530].contains(close.reply_code) ? .accessRefused : .connectionFailed,
                replyCode: Int(close.reply_code),
                message: "\(self.node) refuses user '\(self.configuration.user)'"
                    + " on virtual host '\(self.configuration.virtualHost)': \(String(close.reply_text))"
            )
        default:
            throw AMQPError(
                code: .connectionFailed,
                message: "cannot log in to \(self.node): \(String(cString: amqp_error_string2(reply.library_error)))"
            )
        }
    }

    /// A broker that stops reading would block a write for good; the kernel gives up on it instead.
    func limitSilence(heartbeat: Int) {
        var milliseconds = Int32(clamping: heartbeat * 2000)
        setsockopt(
            amqp_get_sockfd(self.connection),
            Int32(IPPROTO_TCP),
            TCP_USER_TIMEOUT,
            &milliseconds,
            socklen_t(MemoryLayout<Int32>.size)
        )
    }
}

extension Duration {
    var timeval: Glibc.timeval {
        let parts = self.components
        return Glibc.timeval(tv_sec: Int(parts.seconds), tv_usec: Int(parts.attoseconds / 1_000_000_000_000))
    }
}
