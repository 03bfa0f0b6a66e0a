// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Schemas

/// Where prefixes of numbers and of postal codes belong, as time zones: all of those in which somebody with such a number
/// or code may be. A prefix that is not there says nothing.
public struct ZonePrefixes: Sendable {
    private struct Document: Decodable {
        struct Area: Decodable {
            let zones: [String]
            let prefixes: [String]
        }

        struct Numbers: Decodable {
            let region: String
            let code: String
            let source: String
            let read: String
            let areas: [Area]
        }

        struct Places: Decodable {
            let region: String
            let source: String
            let read: String
            let areas: [Area]
        }

        let version: String
        let numbers: [Numbers]
        let regions: [Places]
        let postalCodes: [Places]

        enum CodingKeys: String, CodingKey {
            case version, numbers, regions
            case postalCodes = "postal_codes"
        }
    }

    /// One prefix of numbers.
    struct Area: Sendable {
        let region: String
        let zones: [String]
    }

    /// What is known to this program.
    public static let shipped: ZonePrefixes = {
        do {
            return try ZonePrefixes(json: Data(Schemas.zonePrefixes.utf8))
        } catch {
            preconditionFailure("Schemas/Numbers: \(error)")
        }
    }()

    /// The day on which it was made.
    public let version: String
    /// By the digits after the plus sign.
    let numbers: [Int: Area]
    /// By the code of a part of a country, ISO 3166-2.
    let regions: [String: [String]]
    /// The countries whose parts are known.
    let dividedCountries: Set<String>
    /// By the first three digits.
    let postalCodes: [Int: [String]]
    private let longest: Int

    init(json: Data) throws {
        let document = try JSONDecoder().decode(Document.self, from: json)
        var numbers: [Int: Area] = [:]
        for plan in document.numbers {
            for area in plan.areas {
                for prefix in area.prefixes {
                    numbers[try Self.integer(plan.code + prefix)] = Area(region: plan.region, zones: area.zones)
                }
            }
        }
        var postalCodes: [Int: [String]] = [:]
        for area in document.postalCodes.flatMap(\.areas) {
            for prefix in area.prefixes {
                let ends = try prefix.split(separator: "-").map { try Self.integer(String($0)) }
                for code in ends[0]...ends[ends.count - 1] { postalCodes[code] = area.zones }
            }
        }
        var regions: [String: [String]] = [:]
        for country in document.regions {
            for area in country.areas {
                for part in area.prefixes { regions[country.region + "-" + part] = area.zones }
            }
        }
        self.regions = regions
        self.dividedCountries = Set(document.regions.map(\.region))
        self.version = document.version
        self.numbers = numbers
        self.postalCodes = postalCodes
        self.longest = numbers.keys.map { String($0).count }.max() ?? 0
    }

    private static func integer(_ digits: String) throws(NumberPlan.Fault) -> Int {
        guard let value = Int(digits) else { throw NumberPlan.Fault(reason: "'\(digits)' is no prefix") }
        return value
    }

    /// The longest prefix of a number that is known, or nil.
    func prefix(of e164: String) -> Int? {
        var value = 0
        var found: Int?
        for digit in e164.utf8.dropFirst().prefix(self.longest) {
            value = value * 10 + Int(digit) - 48
            if self.numbers[value] != nil { found = value }
        }
        return found
    }

    /// The first three digits of a United States postal code, with or without its last four, also of one whose zeros a
    /// spreadsheet has taken away.
    static func postalPrefix(_ text: String) -> Int? {
        let parts = text.split(omittingEmptySubsequences: false) { $0 == "-" || $0 == " " }
        guard (1...2).contains(parts.count), parts.count == 1 || parts[1].utf8.count == 4,
            parts.allSatisfy({ $0.utf8.allSatisfy { 48...57 ~= $0 } }), let value = Int(parts[0])
        else { return nil }
        return switch parts[0].utf8.count {
        case 3...5: value / 100
        case 7...9 where parts.count == 1: value / 1_000_000
        default: nil
        }
    }
}
