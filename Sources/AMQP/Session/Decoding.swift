// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ
import Foundation

extension String {
    /// Text from the broker; bytes that are not UTF-8 are replaced.
    init(_ bytes: amqp_bytes_t) {
        self = String(decoding: UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len), as: UTF8.self)
    }
}

extension [UInt8] {
    init(_ bytes: amqp_bytes_t) {
        self = [UInt8](UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len))
    }
}

extension AMQPValue {
    init(_ field: amqp_field_value_t) {
        switch amqp_field_value_kind_t(UInt32(field.kind)) {
        case AMQP_FIELD_KIND_BOOLEAN: self = .bool(field.value.boolean != 0)
        case AMQP_FIELD_KIND_I8: self = .int8(field.value.i8)
        case AMQP_FIELD_KIND_U8: self = .uint8(field.value.u8)
        case AMQP_FIELD_KIND_I16: self = .int16(field.value.i16)
        case AMQP_FIELD_KIND_U16: self = .uint16(field.value.u16)
        case AMQP_FIELD_KIND_I32: self = .int32(field.value.i32)
        case AMQP_FIELD_KIND_U32: self = .uint32(field.value.u32)
        case AMQP_FIELD_KIND_I64: self = .int64(field.value.i64)
        case AMQP_FIELD_KIND_U64: self = .int64(Int64(clamping: field.value.u64))
        case AMQP_FIELD_KIND_F32: self = .float(field.value.f32)
        case AMQP_FIELD_KIND_F64: self = .double(field.value.f64)
        case AMQP_FIELD_KIND_DECIMAL:
            self = .decimal(decimals: field.value.decimal.decimals, value: field.value.decimal.value)
        case AMQP_FIELD_KIND_UTF8: self = .string(String(field.value.bytes))
        case AMQP_FIELD_KIND_BYTES: self = .bytes([UInt8](field.value.bytes))
        case AMQP_FIELD_KIND_ARRAY:
            let array = field.value.array
            self = .array(
                UnsafeBufferPointer(start: array.entries, count: Int(array.num_entries)).map { AMQPValue($0) }
            )
        case AMQP_FIELD_KIND_TABLE: self = .table(AMQPValue.table(field.value.table))
        case AMQP_FIELD_KIND_TIMESTAMP:
            self = .timestamp(Date(timeIntervalSince1970: TimeInterval(field.value.u64)))
        default: self = .null
        }
    }

    static func table(_ table: amqp_table_t) -> AMQPTable {
        var result: AMQPTable = [:]
        for entry in UnsafeBufferPointer(start: table.entries, count: Int(table.num_entries)) {
            result[String(entry.key)] = AMQPValue(entry.value)
        }
        return result
    }
}

extension AMQPMessage {
    /// A message from its content header; the body comes later.
    init(properties: amqp_basic_properties_t) {
        self.init(body: [])
        func has(_ flag: Int32) -> Bool { properties._flags & amqp_flags_t(flag) != 0 }
        if has(AMQP_BASIC_CONTENT_TYPE_FLAG) { self.contentType = String(properties.content_type) }
        if has(AMQP_BASIC_TYPE_FLAG) { self.type = String(properties.type) }
        if has(AMQP_BASIC_MESSAGE_ID_FLAG) { self.messageID = String(properties.message_id) }
        if has(AMQP_BASIC_CORRELATION_ID_FLAG) { self.correlationID = String(properties.correlation_id) }
        if has(AMQP_BASIC_TIMESTAMP_FLAG) {
            self.timestamp = Date(timeIntervalSince1970: TimeInterval(properties.timestamp))
        }
        self.isPersistent = has(AMQP_BASIC_DELIVERY_MODE_FLAG) && properties.delivery_mode == 2
        if has(AMQP_BASIC_EXPIRATION_FLAG), let milliseconds = Int64(String(properties.expiration)) {
            self.expiration = .milliseconds(milliseconds)
        }
        if has(AMQP_BASIC_APP_ID_FLAG) { self.appID = String(properties.app_id) }
        if has(AMQP_BASIC_HEADERS_FLAG) { self.headers = AMQPValue.table(properties.headers) }
    }

    /// The content header for the library.
    func properties(in arena: Arena) -> amqp_basic_properties_t {
        var properties = amqp_basic_properties_t()
        func set(_ flag: Int32) { properties._flags |= amqp_flags_t(flag) }
        if let contentType = self.contentType {
            set(AMQP_BASIC_CONTENT_TYPE_FLAG)
            properties.content_type = arena.bytes(contentType)
        }
        if let type = self.type {
            set(AMQP_BASIC_TYPE_FLAG)
            properties.type = arena.bytes(type)
        }
        if let messageID = self.messageID {
            set(AMQP_BASIC_MESSAGE_ID_FLAG)
            properties.message_id = arena.bytes(messageID)
        }
        if let correlationID = self.correlationID {
            set(AMQP_BASIC_CORRELATION_ID_FLAG)
            properties.correlation_id = arena.bytes(correlationID)
        }
        if let timestamp = self.timestamp {
            set(AMQP_BASIC_TIMESTAMP_FLAG)
            properties.timestamp = timestamp.wholeSeconds
        }
        set(AMQP_BASIC_DELIVERY_MODE_FLAG)
        properties.delivery_mode = self.isPersistent ? 2 : 1
        if let expiration = self.expiration {
            set(AMQP_BASIC_EXPIRATION_FLAG)
            properties.expiration = arena.bytes("\(expiration.wholeMilliseconds)")
        }
        if let appID = self.appID {
            set(AMQP_BASIC_APP_ID_FLAG)
            properties.app_id = arena.bytes(appID)
        }
        if !self.headers.isEmpty {
            set(AMQP_BASIC_HEADERS_FLAG)
            properties.headers = arena.table(self.headers)
        }
        return properties
    }
}

extension Date {
    /// Seconds since 1970 as AMQP counts them; what it cannot count becomes the nearest that it can.
    var wholeSeconds: UInt64 {
        UInt64(exactly: self.timeIntervalSince1970.rounded(.down)) ?? (self.timeIntervalSince1970 > 0 ? .max : 0)
    }
}

extension Duration {
    /// Milliseconds, cut off.
    var wholeMilliseconds: Int64 {
        let parts = self.components
        let (milliseconds, overflows) = parts.seconds.multipliedReportingOverflow(by: 1000)
        guard !overflows else { return parts.seconds > 0 ? .max : .min }
        let (sum, sumOverflows) = milliseconds.addingReportingOverflow(parts.attoseconds / 1_000_000_000_000_000)
        return sumOverflows ? milliseconds : sum
    }
}
