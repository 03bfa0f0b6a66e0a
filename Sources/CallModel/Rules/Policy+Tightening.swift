// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

extension Policy {
    /// What a campaign's settings become under this policy: never looser than the policy, never looser than they were.
    ///
    /// Windows are intersected, limits joined, the ring timeout raised to the minimum and attempts lowered to the bound.
    /// - Parameter settings: What the campaign itself settles.
    /// - Returns: The effective settings, and a line for each that the policy has tightened.
    public func tightened(by settings: CampaignSettings) -> (settings: CampaignSettings, changes: [String]) {
        var effective = settings
        var changes: [String] = []
        let week = settings.effectiveWeek.intersection(self.week)
        if week != settings.effectiveWeek {
            changes.append("window: \(settings.effectiveWeek) becomes \(week)")
        }
        effective.week = week
        let added = self.limits.filter { !settings.numberLimits.contains($0) }
        effective.numberLimits += added
        changes += added.map { "limits per number: \($0)" }
        if let minimum = self.ringTimeoutMinimum, settings.ringTimeoutSeconds < minimum {
            effective.ringTimeoutSeconds = minimum
            changes.append("ring timeout: \(settings.ringTimeoutSeconds) s becomes \(minimum) s")
        }
        if settings.maximumAttempts > self.maximumAttempts {
            effective.maximumAttempts = self.maximumAttempts
            changes.append("max attempts: \(settings.maximumAttempts) becomes \(self.maximumAttempts)")
        }
        if settings.zoneEvidence > self.weakestZoneEvidence {
            effective.zoneEvidence = self.weakestZoneEvidence
            changes.append(
                "zone evidence: \(settings.zoneEvidence.rawValue) becomes \(self.weakestZoneEvidence.rawValue)"
            )
        }
        let dates = self.blockedDates
        if let first = dates.first, let last = dates.last {
            changes.append("blocked dates: \(dates.count) from \(first) to \(last)")
        }
        if self.requiresConsent { changes.append("consent: only contacts with prior consent are called") }
        if let period = self.consentPeriod, self.requiresConsent || settings.requiresConsent {
            changes.append("consent: it counts for \(period) from its date, and without a date it does not")
        }
        if let disclosure = self.disclosure { changes.append("the interview must begin with: \(disclosure)") }
        return (effective, changes)
    }

    /// What tightening cannot mend.
    /// - Parameter settings: What the campaign itself settles.
    /// - Returns: A line for each fault, which names the option; empty when the policy can be applied.
    public func faults(for settings: CampaignSettings) -> [String] {
        var faults: [String] = []
        if settings.effectiveWeek.intersection(self.week).ranges.isEmpty {
            faults.append(
                "window: \(settings.effectiveWeek) lies wholly outside what policy \(self.label) allows, \(self.week)"
            )
        }
        if let fault = self.fault(ofCallerID: settings.callerID) { faults.append("caller-id: \(fault)") }
        if settings.zoneEvidence > self.weakestZoneEvidence {
            faults.append(
                "zone-evidence: policy \(self.label) forbids \(settings.zoneEvidence.rawValue); it allows "
                    + "\(self.weakestZoneEvidence.rawValue)"
            )
        }
        return faults
    }

    /// What speaks against a caller ID.
    /// - Parameter number: The number; nil while there is none.
    /// - Returns: The reason, with its source; nil when it may be shown.
    public func fault(ofCallerID number: PhoneNumber?) -> String? {
        guard let rule = self.callerIDRule, let reason = number.flatMap(rule.value.fault) else { return nil }
        return "\(reason): policy \(self.label), \(rule.evidence.source)"
    }
}

extension CampaignSettings {
    /// The windows of a week, whichever way they were settled.
    public var effectiveWeek: CallingWeek {
        self.week ?? CallingWeek(window: self.window, weekdays: self.callDays)
    }
}
