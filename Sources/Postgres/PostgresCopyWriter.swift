// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// Takes the data of a `COPY … FROM STDIN`, in the format that the statement names.
public final class PostgresCopyWriter: Sendable {
    private static let chunk = 65_536

    private struct State {
        var buffer: [UInt8] = []
        var isOver = false
    }

    private let state = NIOLockedValueBox(State())
    private let send: @Sendable ([UInt8]) async throws(PostgresError) -> Void

    init(send: @escaping @Sendable ([UInt8]) async throws(PostgresError) -> Void) { self.send = send }

    /// Adds data; waits while the server is slower. Rows need not be whole.
    /// - Parameter bytes: The data.
    /// - Throws: ``PostgresError``; a bad row is reported at the end of the copy.
    public func write(_ bytes: [UInt8]) async throws(PostgresError) {
        let full = try self.state.withLockedValue { state -> Result<[UInt8]?, PostgresError> in
            guard !state.isOver else { return .failure(PostgresError(.closed, "the COPY has ended")) }
            state.buffer.append(contentsOf: bytes)
            guard state.buffer.count >= Self.chunk else { return .success(nil) }
            defer { state.buffer = [] }
            return .success(state.buffer)
        }.get()
        if let full { try await self.send(full) }
    }

    /// Escapes a value for the text format.
    /// - Parameter value: The value; nil is null.
    /// - Returns: The field, without a separator.
    public static func textField(_ value: String?) -> [UInt8] {
        var field: [UInt8] = []
        Self.appendTextField(value, to: &field)
        return field
    }

    /// Escapes a value for the text format, at the end of what is there.
    /// - Parameters:
    ///   - value: The value; nil is null.
    ///   - field: Gets the field, without a separator.
    public static func appendTextField(_ value: String?, to field: inout [UInt8]) {
        guard var value else {
            field.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "N")])
            return
        }
        value.withUTF8 { bytes in
            var start = 0
            for index in bytes.indices {
                let escaped: UInt8
                switch bytes[index] {
                case UInt8(ascii: "\\"): escaped = UInt8(ascii: "\\")
                case UInt8(ascii: "\n"): escaped = UInt8(ascii: "n")
                case UInt8(ascii: "\r"): escaped = UInt8(ascii: "r")
                case UInt8(ascii: "\t"): escaped = UInt8(ascii: "t")
                default: continue
                }
                field.append(contentsOf: bytes[start..<index])
                field.append(UInt8(ascii: "\\"))
                field.append(escaped)
                start = index + 1
            }
            field.append(contentsOf: bytes[start...])
        }
    }

    func end() { self.state.withLockedValue { $0.isOver = true } }

    func finish() async throws(PostgresError) {
        let rest = self.state.withLockedValue { state in
            state.isOver = true
            defer { state.buffer = [] }
            return state.buffer
        }
        if !rest.isEmpty { try await self.send(rest) }
    }
}
