// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// A value in a field table, in the kinds that RabbitMQ knows.
///
/// Source: RabbitMQ's AMQP 0-9-1 errata, section 3.
public enum AMQPValue: Sendable, Equatable {
    /// Kind `t`.
    case bool(Bool)
    /// Kind `b`.
    case int8(Int8)
    /// Kind `B`.
    case uint8(UInt8)
    /// Kind `s`.
    case int16(Int16)
    /// Kind `u`.
    case uint16(UInt16)
    /// Kind `I`.
    case int32(Int32)
    /// Kind `i`.
    case uint32(UInt32)
    /// Kind `l`.
    case int64(Int64)
    /// Kind `f`.
    case float(Float)
    /// Kind `d`.
    case double(Double)
    /// Kind `D`: `value` divided by ten to the power of `decimals`.
    case decimal(decimals: UInt8, value: UInt32)
    /// Kind `S`.
    case string(String)
    /// Kind `x`, or kind `S` when it is not UTF-8.
    case bytes([UInt8])
    /// Kind `A`.
    case array([AMQPValue])
    /// Kind `F`.
    case table(AMQPTable)
    /// Kind `T`, whole seconds.
    case timestamp(Date)
    /// Kind `V`.
    case null
}

/// A field table: message headers or arguments.
public typealias AMQPTable = [String: AMQPValue]
