// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// What a policy says of the call itself: who calls, with whose consent, and how it begins.
extension Policy {
    static func callerID(_ value: PolicyValue?) throws(Fault) -> Rule<CallerIDPrefixes>? {
        guard let value else { return nil }
        let names = ["countries"] + Self.evidenceFields
        let fields = Fields(try value.fields(names, required: names))
        var countries: [CallerIDPrefixes.Country] = []
        for element in try fields["countries"].elements(atLeast: 1) {
            let fields = Fields(try element.fields(["country", "allowed", "forbidden"], required: ["country"]))
            let allowed = try Self.prefixes(fields.optional("allowed"))
            let forbidden = try Self.prefixes(fields.optional("forbidden"))
            guard !allowed.isEmpty || !forbidden.isEmpty else { throw element.fault("has no prefixes") }
            if let both = allowed.first(where: forbidden.contains) {
                throw element.fault("\(both) is both allowed and forbidden")
            }
            countries.append(
                .init(country: try Self.region(try fields["country"]), allowed: allowed, forbidden: forbidden)
            )
        }
        return Rule(value: CallerIDPrefixes(countries: countries), evidence: try fields.evidence())
    }

    private static func prefixes(_ value: PolicyValue?) throws(Fault) -> [String] {
        guard let value else { return [] }
        var prefixes: [String] = []
        for element in try value.elements(atLeast: 1) {
            let prefix = try element.text()
            guard prefix.wholeMatch(of: /\+[1-9]\d{0,13}/) != nil else {
                throw element.fault("'\(prefix.prefix(40))' is not the beginning of a number like +336")
            }
            prefixes.append(prefix)
        }
        return prefixes
    }

    static func region(_ value: PolicyValue) throws(Fault) -> String {
        let region = try value.text()
        guard region.wholeMatch(of: /[A-Z]{2}/) != nil else {
            throw value.fault("'\(region.prefix(40))' is not an ISO country such as FR")
        }
        return region
    }

    static func consentExpiry(_ value: PolicyValue?) throws(Fault) -> Rule<ConsentPeriod>? {
        guard let value else { return nil }
        let fields = try Self.rule(value)
        let text = try fields["value"].text()
        guard let period = ConsentPeriod(text) else {
            throw try fields["value"].fault("'\(text.prefix(40))' is not a period like P2Y, P6M or P90D")
        }
        return Rule(value: period, evidence: try fields.evidence())
    }

    static func disclosure(_ value: PolicyValue?) throws(Fault) -> Rule<String>? {
        guard let value else { return nil }
        let fields = try Self.rule(value)
        return Rule(value: try fields["value"].text(), evidence: try fields.evidence())
    }
}
