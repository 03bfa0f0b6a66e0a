// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import ArgumentParser
import CallStore
import Foundation
import Observability
import Postgres

/// Turns an error into one clear message and an exit code: 64 usage, 69 a server cannot be reached, 70 internal,
/// 78 bad configuration.
enum Failure {
    static func exit(with error: any Error, usage: (any Error) -> Never) -> Never {
        let (code, message) = Self.describe(error)
        guard let code else { usage(error) }
        for line in message.split(separator: "\n") {
            FileHandle.standardError.write(Data("call-scheduler: \(line)\n".utf8))
        }
        Foundation.exit(code)
    }

    /// - Returns: A nil code for what the argument parser reports itself.
    static func describe(_ error: any Error) -> (Int32?, String) {
        switch error {
        case let fault as ConfigurationFault: return (78, fault.description)
        case let fault as UsageFault: return (64, fault.message)
        case let fault as CheckFailed: return (1, fault.message)
        case let fault as NotLetIn: return (69, fault.message)
        case let fault as PortFault: return (69, fault.description)
        case let fault as NameTaken: return (69, fault.description)
        case let error as StoreError:
            return (error.code == .schemaMismatch ? 78 : 64, error.message)
        case let error as PostgresError: return Self.describe(error)
        case let error as AMQPError: return Self.describe(error)
        case is ValidationError, is ExitCode, is CleanExit: return (nil, "")
        default:
            // The parser's own errors are not public; what it does not know is ours.
            return String(reflecting: type(of: error)).hasPrefix("ArgumentParser.")
                ? (nil, "") : (70, "internal error: \(error)")
        }
    }

    private static func describe(_ error: PostgresError) -> (Int32, String) {
        switch error.sqlState {
        case "28P01", "28000", "3D000", "42501":
            return (78, "DATABASE_URL: \(error.message)")
        case "42P01":
            return (78, "the database has no schema, or an old one: run `call-scheduler migrate`")
        default: break
        }
        switch error.code {
        case .invalidConfiguration: return (78, "DATABASE_URL: \(error.message)")
        case .connectionFailed, .timeout: return (69, "PostgreSQL cannot be reached: \(error.message)")
        case .connectionLost, .commitUnknown: return (69, "PostgreSQL went away: \(error.message)")
        default: return (70, "PostgreSQL: \(error)")
        }
    }

    private static func describe(_ error: AMQPError) -> (Int32, String) {
        switch error.code {
        case .invalidConfiguration, .accessRefused: (78, "AMQP_URL: \(error.message)")
        case .topologyMismatch:
            (78, "RabbitMQ has it declared otherwise: \(error.message); delete it once it is empty, or restore it")
        case .tls: (78, "AMQP_URL: \(error.message)")
        case .connectionFailed, .timeout, .notConnected, .connectionLost:
            (69, "RabbitMQ cannot be reached: \(error.message)")
        default: (70, "RabbitMQ: \(error)")
        }
    }
}

/// What the operator asked for cannot be done as asked: exit code 64.
struct UsageFault: Error {
    let message: String

    init(_ message: String) {
        self.message = message
    }
}

/// A server lets a role do nothing just now: exit code 69, as if it were away.
struct NotLetIn: Error {
    let message: String
}

/// A check found something wrong: exit code 1.
struct CheckFailed: Error {
    let message: String
}
