// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Makes broken input out of good input, in the ways in which input breaks.
enum Mutation {
    /// Bytes that mean something to one parser or another.
    private static let telling: [UInt8] =
        Array("\"\\{}[],:;&=%+-.eE0019\r\n\t \u{0}'`<>".utf8) + [0x80, 0xC3, 0xED, 0xFF]

    static func mutate(_ good: [UInt8], using random: inout some RandomNumberGenerator) -> [UInt8] {
        var bytes = good
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let place = bytes.isEmpty ? 0 : Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<8, using: &random) {
            case 0: bytes = Array(bytes.prefix(place))
            case 1 where !bytes.isEmpty: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2 where !bytes.isEmpty: bytes[place] = Self.telling.randomElement(using: &random) ?? 0
            case 3: bytes.insert(Self.telling.randomElement(using: &random) ?? 0, at: place)
            case 4 where !bytes.isEmpty:
                let end = min(bytes.count, place + Int.random(in: 1...20, using: &random))
                bytes.removeSubrange(place..<end)
            case 5:
                let end = min(bytes.count, place + Int.random(in: 0...30, using: &random))
                bytes.insert(contentsOf: bytes[place..<end], at: place)
            case 6:
                let run = Int.random(in: 1...300, using: &random)
                bytes.insert(
                    contentsOf: [UInt8](repeating: Self.telling[run % Self.telling.count], count: run),
                    at: place
                )
            default:
                bytes.insert(contentsOf: (0..<8).map { _ in UInt8.random(in: 0...255, using: &random) }, at: place)
            }
        }
        return bytes
    }
}
