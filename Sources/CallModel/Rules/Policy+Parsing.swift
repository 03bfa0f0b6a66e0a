// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

extension Policy {
    static let evidenceFields = ["source", "as_of", "confidence"]
    private static let required = [
        "name", "version", "title", "notice", "as_of", "regions", "purposes", "windows", "limits", "requires_consent",
        "max_attempts", "notes",
    ]
    private static let others = [
        "holidays", "ring_timeout_min_seconds", "caller_id", "consent_expires", "disclosure", "review_by",
        "zone_evidence",
    ]

    /// Reads a policy's document. Unknown fields are refused: a rule with a misspelt name must not be lost silently.
    /// - Parameter text: JSON as `policy.v1.schema.json` has it.
    /// - Returns: The policy.
    /// - Throws: ``Fault`` that names the place.
    public static func parse(_ text: String) throws(Fault) -> Policy {
        let root = try PolicyValue.document(text)
        let fields = Fields(
            try root.fields(Self.required + Self.others, required: Self.required)
        )
        let windows = try Self.windows(try fields["windows"])
        return Policy(
            name: try Self.name(try fields["name"]),
            version: try Self.version(try fields["version"]),
            title: try fields["title"].text(1...200),
            notice: try fields["notice"].text(),
            asOf: try fields["as_of"].date(),
            regions: try Self.regions(try fields["regions"]),
            purposes: try Self.purposes(try fields["purposes"]),
            windows: windows,
            holidays: try Self.holidays(fields.optional("holidays")),
            limitRules: try Self.limits(try fields["limits"]),
            ringTimeoutRule: try Self.ringTimeout(fields.optional("ring_timeout_min_seconds")),
            consentRule: try Self.consent(try fields["requires_consent"]),
            attemptsRule: try Self.attempts(try fields["max_attempts"]),
            callerIDRule: try Self.callerID(fields.optional("caller_id")),
            consentExpiryRule: try Self.consentExpiry(fields.optional("consent_expires")),
            disclosureRule: try Self.disclosure(fields.optional("disclosure")),
            reviewBy: try fields.optional("review_by")?.date(),
            zoneEvidenceRule: try Self.zoneEvidence(fields.optional("zone_evidence")),
            notes: try Self.notes(try fields["notes"]),
            week: try Self.week(windows, try fields["windows"]),
            document: text
        )
    }

    /// An object's fields; one that is asked for is there, because it was required.
    struct Fields {
        private let values: [String: PolicyValue]

        init(_ values: [String: PolicyValue]) { self.values = values }

        subscript(name: String) -> PolicyValue {
            get throws(Fault) {
                guard let value = self.values[name] else { throw Fault(path: "$.\(name)", reason: "is missing") }
                return value
            }
        }

        func optional(_ name: String) -> PolicyValue? { self.values[name] }

        func evidence() throws(Fault) -> Evidence {
            let confidence = try self["confidence"].text(among: Confidence.allCases.map(\.rawValue))
            return Evidence(
                source: try self["source"].text(),
                asOf: try self["as_of"].date(),
                confidence: Confidence(rawValue: confidence) ?? .unverified
            )
        }
    }

    static func rule(_ value: PolicyValue) throws(Fault) -> Fields {
        let names = ["value"] + Self.evidenceFields
        return Fields(try value.fields(names, required: names))
    }

    private static func name(_ value: PolicyValue) throws(Fault) -> String {
        let name = try value.text(1...40)
        guard name.wholeMatch(of: /[a-z][a-z0-9-]*/) != nil else {
            throw value.fault("'\(name)' is not lower-case letters, digits and -")
        }
        return name
    }

    private static func version(_ value: PolicyValue) throws(Fault) -> String {
        let version = try value.text()
        guard version.wholeMatch(of: /\d{4}-\d\d-\d\d(\.[2-9])?/) != nil, BlockedDates.date(version.prefix(10)) != nil
        else {
            throw value.fault(
                "'\(version.prefix(40))' is not a date like 2026-11-24, or 2026-11-24.2 for a second version"
            )
        }
        return version
    }

    private static func regions(_ value: PolicyValue) throws(Fault) -> [String] {
        var regions: [String] = []
        for element in try value.elements() {
            regions.append(try Self.region(element))
        }
        return regions
    }

    private static func purposes(_ value: PolicyValue) throws(Fault) -> [String] {
        var purposes: [String] = []
        for element in try value.elements(atLeast: 1) {
            purposes.append(try element.text(among: ["research", "marketing", "collection", "service"]))
        }
        return purposes
    }

    private static func windows(_ value: PolicyValue) throws(Fault) -> [Rule<String>] {
        var windows: [Rule<String>] = []
        for element in try value.elements(atLeast: 1) {
            let names = ["days", "from", "to"] + Self.evidenceFields
            let fields = Fields(try element.fields(names, required: names))
            let days = try fields["days"].text()
            // Read by itself first, so that the fault names the field.
            do { _ = try CallingWeek(windows: ["\(days) 00:00-23:00"], weekdays: []) } catch {
                throw try fields["days"].fault(error.reason)
            }
            let window = try Self.clocks(fields, in: element)
            windows.append(Rule(value: "\(days) \(window)", evidence: try fields.evidence()))
        }
        return windows
    }

    private static func clocks(_ fields: Fields, in element: PolicyValue) throws(Fault) -> String {
        for name in ["from", "to"] {
            let value = try fields[name]
            let text = try value.text()
            guard text.wholeMatch(of: /([01]\d|2[0-3]):[0-5]\d/) != nil else {
                throw value.fault("'\(text.prefix(40))' is not a time of day like 09:00")
            }
        }
        let window = "\(try fields["from"].text())-\(try fields["to"].text())"
        do { return try LocalTimeWindow(window).description } catch { throw element.fault(error.reason) }
    }

    private static func week(_ windows: [Rule<String>], _ value: PolicyValue) throws(Fault) -> CallingWeek {
        do { return try CallingWeek(windows: windows.map(\.value), weekdays: []) } catch {
            throw value.fault(error.reason)
        }
    }

    private static func holidays(_ value: PolicyValue?) throws(Fault) -> Holidays? {
        guard let value else { return nil }
        let required = ["region", "blocked"] + Self.evidenceFields
        let fields = Fields(try value.fields(required + ["windows_on"], required: required))
        var dates: [Holiday] = []
        for element in try fields["blocked"].elements() {
            let names = ["date", "name"]
            let fields = Fields(try element.fields(names, required: names))
            dates.append(Holiday(date: try fields["date"].date(), name: try fields["name"].text(1...200), window: nil))
        }
        for element in try fields.optional("windows_on")?.elements() ?? [] {
            let names = ["date", "name", "from", "to"]
            let fields = Fields(try element.fields(names, required: names))
            let window = try Self.clocks(fields, in: element)
            dates.append(
                Holiday(date: try fields["date"].date(), name: try fields["name"].text(1...200), window: window)
            )
        }
        return Holidays(region: try fields["region"].text(1...20), evidence: try fields.evidence(), dates: dates)
    }

    private static func limits(_ value: PolicyValue) throws(Fault) -> [Rule<NumberLimit>] {
        var limits: [Rule<NumberLimit>] = []
        for element in try value.elements() {
            let required = ["hours"] + Self.evidenceFields
            let fields = Fields(try element.fields(["attempts", "rest_after"] + required, required: required))
            let hours = try fields["hours"].integer(1...8784)
            let limit: NumberLimit
            switch (fields.optional("attempts"), fields.optional("rest_after")) {
            case (let attempts?, nil):
                limit = NumberLimit(attempts: try attempts.integer(1...100), hours: hours, outcomes: nil)
            case (nil, let outcomes?):
                limit = NumberLimit(attempts: 1, hours: hours, outcomes: try Self.outcomes(outcomes))
            default:
                throw element.fault("must have either attempts or rest_after")
            }
            limits.append(Rule(value: limit, evidence: try fields.evidence()))
        }
        return limits
    }

    private static func outcomes(_ value: PolicyValue) throws(Fault) -> [CallOutcome] {
        var outcomes: [CallOutcome] = []
        for element in try value.elements(atLeast: 1) {
            let name = try element.text(among: CallOutcome.allCases.map(\.rawValue))
            if let outcome = CallOutcome(rawValue: name) { outcomes.append(outcome) }
        }
        return outcomes
    }

    private static func ringTimeout(_ value: PolicyValue?) throws(Fault) -> Rule<Int>? {
        guard let value else { return nil }
        let fields = try Self.rule(value)
        return Rule(value: try fields["value"].integer(5...600), evidence: try fields.evidence())
    }

    private static func zoneEvidence(_ value: PolicyValue?) throws(Fault) -> Rule<ZoneEvidenceLevel>? {
        guard let value else { return nil }
        let fields = try Self.rule(value)
        let level = try fields["value"].text(among: ZoneEvidenceLevel.allCases.map(\.rawValue))
        return Rule(value: ZoneEvidenceLevel(rawValue: level) ?? .country, evidence: try fields.evidence())
    }

    private static func consent(_ value: PolicyValue) throws(Fault) -> Rule<Bool> {
        let fields = try Self.rule(value)
        return Rule(value: try fields["value"].bool(), evidence: try fields.evidence())
    }

    private static func attempts(_ value: PolicyValue) throws(Fault) -> Rule<Int> {
        let fields = try Self.rule(value)
        return Rule(value: try fields["value"].integer(1...15), evidence: try fields.evidence())
    }

    private static func notes(_ value: PolicyValue) throws(Fault) -> [String] {
        var notes: [String] = []
        for element in try value.elements() { notes.append(try element.text()) }
        return notes
    }
}
