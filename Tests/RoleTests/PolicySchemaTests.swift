// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import Schemas
import Testing

/// The policies' JSON Schema and the reader that the product uses say the same.
struct PolicySchemaTests {
    @Test("a shipped policy conforms to the schema", arguments: Schemas.policies.keys.sorted())
    func shipped(name: String) throws {
        let check = try SchemaCheck(schema: Schemas.policySchema)
        #expect(try check.faults(in: Array(try #require(Schemas.policies[name]).utf8)).isEmpty)
    }

    @Test("the schema takes each outcome after which a number may rest", arguments: CallOutcome.allCases)
    func outcomes(outcome: CallOutcome) throws {
        let document = try #require(Schemas.policies["fr"])
        let rest = #""rest_after": ["\#(outcome.rawValue)"]"#
        let changed = document.replacing(#""rest_after": ["refused"]"#, with: rest)
        #expect(changed.contains(outcome.rawValue))
        _ = try Policy.parse(changed)
        let check = try SchemaCheck(schema: Schemas.policySchema)
        #expect(try check.faults(in: Array(changed.utf8)).isEmpty)
    }

    @Test("the schema and the reader take and refuse the same periods of consent")
    func consentPeriods() throws {
        let document = try #require(Schemas.policies["es"])
        let check = try SchemaCheck(schema: Schemas.policySchema)
        for (period, isOne) in [
            ("P2Y", true), ("P6M", true), ("P90D", true), ("P1Y", true), ("P0Y", false), ("2Y", false), ("P2W", false),
            ("P1Y6M", false), ("two years", false), ("P-1Y", false),
        ] {
            let changed = document.replacing(#""value": "P2Y""#, with: #""value": "\#(period)""#)
            #expect(changed.contains(period))
            #expect(((try? Policy.parse(changed)) != nil) == isOne, "\(period)")
            #expect(try check.faults(in: Array(changed.utf8)).isEmpty == isOne, "\(period)")
        }
    }

    @Test(
        "what the schema refuses, the reader refuses",
        arguments: [
            (#""title""#, #""titel""#), (#""days": "1-5""#, #""days": "Mon""#), (#""from": "10:00""#, #""from": "10""#),
            (#""confidence": "primary""#, #""confidence": "sure""#), (#""attempts": 4"#, #""attempts": 0"#),
            (#""hours": 744"#, #""hours": 9000"#), (#""value": true"#, #""value": "yes""#),
            (#""value": 8"#, #""value": 16"#), (#""date": "2026-01-01""#, #""date": "01.01.2026""#),
            (#""regions": ["FR"]"#, #""regions": ["France"]"#), (#""purposes": ["marketing"]"#, #""purposes": []"#),
            (#""rest_after": ["refused"]"#, #""rest_after": ["declined"]"#),
            (##""forbidden": ["+331""##, ##""forbidden": ["06""##), (##""country": "FR""##, ##""country": "France""##),
            (##""allowed": ["+33162""##, ##""permitted": ["+33162""##),
            (##""disclosure": {"value": "Vous parlez avec une voix artificielle.""##, ##""disclosure": {"value": """##),
            (##""review_by": "2027-06-30""##, ##""review_by": "summer""##),
            (#""version": "2026-11-28""#, #""version": "v1""#), (#""name": "fr""#, #""name": "FR""#),
        ]
    )
    func refused(part: String, by: String) throws {
        let document = try #require(Schemas.policies["fr"])
        let changed = document.replacing(part, with: by)
        #expect(changed != document)
        #expect(throws: Policy.Fault.self) { try Policy.parse(changed) }
        let check = try SchemaCheck(schema: Schemas.policySchema)
        #expect(!(try check.faults(in: Array(changed.utf8)).isEmpty))
    }
}
