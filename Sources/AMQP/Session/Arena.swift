// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ
import Foundation

/// Memory for the arguments of one call into the library; given up together when the call has returned.
final class Arena {
    /// Enough for the properties of a message; what does not fit is allocated by itself.
    private static let blockSize = 4096

    private let block = UnsafeMutableRawPointer.allocate(byteCount: Arena.blockSize, alignment: 16)
    private var used = 0
    private var allocations: [UnsafeMutableRawPointer] = []

    deinit {
        self.reset()
        self.block.deallocate()
    }

    /// Gives everything up, for the next call.
    func reset() {
        self.used = 0
        guard !self.allocations.isEmpty else { return }
        for allocation in self.allocations { allocation.deallocate() }
        self.allocations.removeAll()
    }

    private func allocate(byteCount: Int) -> UnsafeMutableRawPointer {
        // Rounded up, so that tables and numbers are aligned too.
        let size = (byteCount + 15) & ~15
        guard size <= Self.blockSize - self.used else {
            let allocation = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 16)
            self.allocations.append(allocation)
            return allocation
        }
        defer { self.used += size }
        return self.block + self.used
    }

    func bytes(_ text: String) -> amqp_bytes_t {
        var text = text
        return text.withUTF8 { self.bytes(UnsafeRawBufferPointer($0)) }
    }

    func bytes(_ bytes: [UInt8]) -> amqp_bytes_t {
        bytes.withUnsafeBytes { self.bytes($0) }
    }

    func bytes(_ buffer: UnsafeRawBufferPointer) -> amqp_bytes_t {
        guard let base = buffer.baseAddress, !buffer.isEmpty else { return amqp_empty_bytes }
        let copy = self.allocate(byteCount: buffer.count)
        copy.copyMemory(from: base, byteCount: buffer.count)
        return amqp_bytes_t(len: buffer.count, bytes: copy)
    }

    func array<Element>(_ elements: [Element]) -> UnsafeMutablePointer<Element>? {
        guard !elements.isEmpty else { return nil }
        let copy = self.allocate(byteCount: elements.count * MemoryLayout<Element>.stride)
            .bindMemory(to: Element.self, capacity: elements.count)
        copy.initialize(from: elements, count: elements.count)
        return copy
    }

    func table(_ table: AMQPTable) -> amqp_table_t {
        guard !table.isEmpty else { return amqp_empty_table }
        let entries = table.sorted { $0.key < $1.key }.map { key, value in
            amqp_table_entry_t(key: self.bytes(key), value: self.value(value))
        }
        return amqp_table_t(num_entries: Int32(entries.count), entries: self.array(entries))
    }

    private func value(_ value: AMQPValue) -> amqp_field_value_t {
        var field = amqp_field_value_t()
        func kind(_ kind: amqp_field_value_kind_t) { field.kind = UInt8(kind.rawValue) }
        switch value {
        case .bool(let value):
            kind(AMQP_FIELD_KIND_BOOLEAN)
            field.value.boolean = value ? 1 : 0
        case .int8(let value):
            kind(AMQP_FIELD_KIND_I8)
            field.value.i8 = value
        case .uint8(let value):
            kind(AMQP_FIELD_KIND_U8)
            field.value.u8 = value
        case .int16(let value):
            kind(AMQP_FIELD_KIND_I16)
            field.value.i16 = value
        case .uint16(let value):
            kind(AMQP_FIELD_KIND_U16)
            field.value.u16 = value
        case .int32(let value):
            kind(AMQP_FIELD_KIND_I32)
            field.value.i32 = value
        case .uint32(let value):
            kind(AMQP_FIELD_KIND_U32)
            field.value.u32 = value
        case .int64(let value):
            kind(AMQP_FIELD_KIND_I64)
            field.value.i64 = value
        case .float(let value):
            kind(AMQP_FIELD_KIND_F32)
            field.value.f32 = value
        case .double(let value):
            kind(AMQP_FIELD_KIND_F64)
            field.value.f64 = value
        case .decimal(let decimals, let value):
            kind(AMQP_FIELD_KIND_DECIMAL)
            field.value.decimal = amqp_decimal_t(decimals: decimals, value: value)
        case .string(let value):
            kind(AMQP_FIELD_KIND_UTF8)
            field.value.bytes = self.bytes(value)
        case .bytes(let value):
            kind(AMQP_FIELD_KIND_BYTES)
            field.value.bytes = self.bytes(value)
        case .array(let values):
            kind(AMQP_FIELD_KIND_ARRAY)
            let fields = values.map { self.value($0) }
            field.value.array = amqp_array_t(num_entries: Int32(fields.count), entries: self.array(fields))
        case .table(let table):
            kind(AMQP_FIELD_KIND_TABLE)
            field.value.table = self.table(table)
        case .timestamp(let date):
            kind(AMQP_FIELD_KIND_TIMESTAMP)
            field.value.u64 = date.wholeSeconds
        case .null:
            kind(AMQP_FIELD_KIND_VOID)
        }
        return field
    }
}
