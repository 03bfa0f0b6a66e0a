// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import Foundation
import Logging
import TestBasics
import Testing

/// A broker of its own with a certificate of a private authority.
@Suite(.timeLimit(.minutes(20)))
struct TLSTests {
    @Test("the right certificate passes; a wrong host, an unknown authority and an expired one fail, and say so")
    func certificates() async throws {
        let authority = try await Authority()
        defer { authority.remove() }
        let stranger = try await Authority()
        defer { stranger.remove() }
        let good = try await authority.issue("server", host: "localhost")
        let expired = try await authority.issue("expired", host: "localhost", isExpired: true)
        let port = try Ports.free()
        let settings = authority.folder + "/rabbitmq.conf"
        try """
        listeners.ssl.1 = 127.0.0.1:\(port)
        ssl_options.cacertfile = \(authority.certificate)
        ssl_options.certfile = \(good.certificate)
        ssl_options.keyfile = \(good.key)
        ssl_options.verify = verify_none

        """.write(toFile: settings, atomically: false, encoding: .utf8)
        let name = TestRun.name + "-tls"
        try await Shell.stack("up --name \(name) --rabbitmq-conf '\(settings)'")
        do {
            try await Self.reach("amqps://guest:guest@localhost:\(port)/", authority)
            try await Self.fail("amqps://guest:guest@127.0.0.1:\(port)/", authority, "hostname verification failed")
            let words = "is its certificate expired, or not of an authority in"
            try await Self.fail("amqps://guest:guest@localhost:\(port)/", stranger, words)
            try await Shell.run(
                "cp '\(expired.certificate)' '\(good.certificate)' && cp '\(expired.key)' '\(good.key)'"
            )
            try await Shell.stack("ctl --name \(name) eval 'ssl:clear_pem_cache().'")
            try await Self.fail("amqps://guest:guest@localhost:\(port)/", authority, words)
        } catch {
            try? await Shell.stack("down --name \(name)")
            throw error
        }
        try await Shell.stack("down --name \(name)")
    }

    private static func connection(_ uri: String, _ authority: Authority) throws -> AMQPConnection {
        var logger = Logger(label: "amqp-tests")
        logger.logLevel = .critical
        return AMQPConnection(
            configuration: try AMQPConfiguration(uri: uri + "?cacertfile=" + authority.certificate),
            topology: .queue("q"),
            logger: logger
        )
    }

    private static func reach(_ uri: String, _ authority: Authority) async throws {
        let connection = try Self.connection(uri, authority)
        try await connection.waitUntilReady(timeout: .seconds(600))
        try await connection.publish(AMQPMessage(body: [1]), exchange: "", routingKey: "q")
        await connection.close()
    }

    private static func fail(_ uri: String, _ authority: Authority, _ words: String) async throws {
        let connection = try Self.connection(uri, authority)
        let error = await #expect(throws: AMQPError.self) {
            try await connection.waitUntilReady(timeout: .seconds(600))
        }
        #expect(error?.code == .tls, "\(String(describing: error))")
        #expect(error?.message.contains(words) == true, "\(String(describing: error))")
        #expect(error?.message.contains("guest:guest") == false)
        await connection.close()
    }
}
