// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

extension CallStore.CampaignFunnel {
    /// Which countries the provider does not call, in words.
    private var countryWords: String? {
        guard let rest = self.countryRests.first else { return nil }
        let countries = self.countryRests.map { "\($0.country) (code \($0.errorCode))" }.joined(separator: ", ")
        return "the provider refuses calls to \(countries); the next is tried at \(rest.restsUntil.formatted(.iso8601))"
    }

    /// What keeps calls from being made whoever works: people's own decisions, and the end of all stories.
    private var standstill: String? {
        if !self.status.hasPrefix("running") { return "the campaign is \(self.status)" }
        if let reason = self.trunkPaused { return "its trunk is paused: \(reason)" }
        if self.all == 0 { return "it has no contacts" }
        if let fault = self.fault { return fault }
        if self.all == self.over + self.excluded { return "every contact's story is over" }
        return nil
    }

    /// The first of the campaign's own rules that keeps calls from being made; nil when none does.
    public var obstacle: String? {
        if let standstill = self.standstill { return standstill }
        if self.headroom == 0 { return "the campaign's own cap, rate or target is reached for now" }
        if self.callable > 0, self.examined == self.callable, self.limited == self.examined {
            return "every contact that is due rests by a limit of its number, or waits for its day part"
        }
        if self.callable + self.queued + self.dialing > 0 { return nil }
        if self.cellFull > 0 { return "the quotas of the cells in which contacts are due are reached for now" }
        if self.countryParked > 0, let words = self.countryWords { return words }
        if self.windowClosed > 0 { return "the calling window is closed where \(self.windowClosed) contacts live" }
        if let next = self.nextDue {
            return "every contact rests; the next is due at \(next.formatted(.iso8601))"
                + (self.countryWords.map { "; \($0)" } ?? "")
        }
        return nil
    }

    /// Says whether calls are made, and if not, names the cause: what people act on.
    /// - Parameter house: Who works, and how.
    public mutating func judge(by house: CallStore.House) {
        let wanted = self.callable + self.queued + self.dialing
        if let standstill = self.standstill {
            self.verdict = "nothing more is dialed because \(standstill)"
        } else if wanted > 0, let cause = house.cause(trunk: self.trunk) ?? self.selectorCause(house) {
            self.verdict = "nothing more is dialed because \(cause)"
        } else if let obstacle = self.obstacle {
            let also = wanted > 0 ? nil : house.cause(trunk: self.trunk) ?? house.absence(of: .selector)
            self.verdict = "nothing more is dialed because \(obstacle)" + (also.map { "; moreover, \($0)" } ?? "")
        } else {
            self.verdict = self.progress(house)
        }
    }

    /// Contacts wait to be claimed, and nobody does.
    private func selectorCause(_ house: CallStore.House) -> String? {
        guard self.callable > 0, self.queued == 0, self.obstacle == nil else { return nil }
        return house.absence(of: .selector)
    }

    private func progress(_ house: CallStore.House) -> String {
        let dialers = house.dialers(of: self.trunk)
        let lines = dialers.reduce(0) { $0 + ($1.report.lines ?? 0) }
        let live = dialers.reduce(0) { $0 + ($1.report.live ?? 0) }
        let hindrance = house.hindrance.map { ", but \($0)" } ?? ""
        if self.queued > 0, lines > 0, live >= lines {
            return "\(self.queued) requests wait because all \(lines) lines of the trunk's dialers are taken"
                + hindrance
        }
        if self.dialing > 0 { return "calls are being made" + hindrance }
        if self.queued > 0 { return "calls are about to be made: \(self.queued) requests are queued" + hindrance }
        guard self.callable > 0 else { return "nobody is to be called now" }
        return "calls are about to be made: " + (house.nextPass ?? "contacts are due") + hindrance
    }
}
