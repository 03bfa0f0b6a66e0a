// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

let hexDigits = Array("0123456789abcdef".utf8)

extension UUID {
    /// The id in lower case, as Postgres prints it and as messages, URLs and logs carry it.
    public var lowercased: String {
        String(unsafeUninitializedCapacity: 36) { text in
            self.writeLowercased(to: text)
            return 36
        }
    }

    /// Whether the id comes first in the order of bytes, which is Postgres' order.
    public func precedes(_ other: UUID) -> Bool {
        withUnsafeBytes(of: self.uuid) { own in
            withUnsafeBytes(of: other.uuid) { own.lexicographicallyPrecedes($0) }
        }
    }

    func appendLowercased(to bytes: inout [UInt8]) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 36) { text in
            self.writeLowercased(to: text)
            bytes.append(contentsOf: text)
        }
    }

    /// Reads 8-4-4-4-12 hexadecimal digits of either case.
    /// - Returns: Nil for everything else.
    init?(hexadecimal text: UnsafeRawBufferPointer) {
        guard text.count == 36 else { return nil }
        var uuid: uuid_t = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        let isRead = withUnsafeMutableBytes(of: &uuid) { bytes in
            var position = 0
            for index in 0..<16 {
                if Self.hasHyphen(before: index) {
                    guard text[position] == UInt8(ascii: "-") else { return false }
                    position += 1
                }
                guard let high = Self.digit(text[position]), let low = Self.digit(text[position + 1]) else {
                    return false
                }
                bytes[index] = high << 4 | low
                position += 2
            }
            return true
        }
        guard isRead else { return nil }
        self.init(uuid: uuid)
    }

    private func writeLowercased(to text: UnsafeMutableBufferPointer<UInt8>) {
        withUnsafeBytes(of: self.uuid) { bytes in
            var position = 0
            for (index, byte) in bytes.enumerated() {
                if Self.hasHyphen(before: index) {
                    text[position] = UInt8(ascii: "-")
                    position += 1
                }
                text[position] = hexDigits[Int(byte >> 4)]
                text[position + 1] = hexDigits[Int(byte & 15)]
                position += 2
            }
        }
    }

    private static func hasHyphen(before index: Int) -> Bool {
        index == 4 || index == 6 || index == 8 || index == 10
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x61...0x66: byte - 0x61 + 10
        case 0x41...0x46: byte - 0x41 + 10
        default: nil
        }
    }
}
