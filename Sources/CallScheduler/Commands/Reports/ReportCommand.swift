// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation

struct ReportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "A campaign in figures: contacts by state and AAPOR disposition, attempts by outcome, and the rates."
    )
    @OptionGroup var common: CommonOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The campaign; all of them unless named.") var campaign: String?

    func run() async throws {
        let views = try await self.common.withStore { store in
            var campaigns: [CallStore.Campaign] = []
            if let name = self.campaign {
                campaigns.append(try await store.campaign(named: name))
            } else {
                campaigns = try await store.campaigns()
            }
            var views: [ReportView] = []
            for campaign in campaigns {
                views.append(
                    ReportView(
                        campaign,
                        try await store.report(campaign: campaign.id),
                        try await store.dispositions(campaign: campaign.id),
                        try await store.appointments(campaign: campaign.id)
                    )
                )
            }
            return views
        }
        if self.output.json {
            if self.campaign != nil, let view = views.first {
                try Console.json(view)
            } else {
                try Console.json(views)
            }
            return
        }
        for view in views { view.print() }
    }
}

/// A report as it is shown.
struct ReportView: Encodable, Sendable {
    /// Contacts by state, and how many of them are not final.
    struct Contacts: Encodable, Sendable {
        let total: Int
        let open: Int
        let exhausted: Int
        let byState: [String: Int]
    }

    /// Attempts by outcome.
    struct Attempts: Encodable, Sendable {
        let open: Int
        let notPlaced: Int
        let byOutcome: [String: Int]
    }

    /// How appointments stand.
    struct Appointments: Encodable, Sendable {
        let open: Int
        let kept: Int
        let unanswered: Int
        let missed: Int
    }

    let campaign: String
    let status: String
    let contacts: Contacts
    let attempts: Attempts
    let reachRate: Double?
    let completionRate: Double?
    /// Nil where only the overview is wanted.
    let dispositions: DispositionsView?
    /// The same.
    let appointments: Appointments?

    init(
        _ campaign: CallStore.Campaign,
        _ report: CallStore.CampaignReport,
        _ dispositions: CallStore.CampaignDispositions? = nil,
        _ appointments: CallStore.AppointmentCounts? = nil
    ) {
        self.campaign = campaign.settings.name
        self.status = campaign.status.rawValue
        self.contacts = Contacts(
            total: report.total,
            open: report.open,
            exhausted: report.exhausted,
            byState: Dictionary(uniqueKeysWithValues: ContactState.allCases.map { ($0.rawValue, report[$0]) })
        )
        self.attempts = Attempts(
            open: report.openAttempts,
            notPlaced: report.notPlaced,
            byOutcome: Dictionary(
                uniqueKeysWithValues: CallOutcome.allCases.map { ($0.rawValue, report.attempts[$0] ?? 0) }
            )
        )
        self.reachRate = report.reachRate
        self.completionRate = report.completionRate
        self.dispositions = dispositions.map(DispositionsView.init)
        self.appointments = appointments.map {
            Appointments(open: $0.open, kept: $0.kept, unanswered: $0.unanswered, missed: $0.missed)
        }
    }

    func print() {
        Console.line("campaign \(self.campaign) (\(self.status))")
        Console.table(
            ["CONTACTS", "#COUNT"],
            [["total", String(self.contacts.total)]]
                + ContactState.allCases.map { [$0.rawValue, String(self.contacts.byState[$0.rawValue] ?? 0)] }
                + [
                    ["  of not_reached: attempts used up", String(self.contacts.exhausted)],
                    ["not final yet", String(self.contacts.open)],
                ]
        )
        Console.table(
            ["ATTEMPTS", "#COUNT"],
            CallOutcome.allCases.map { [$0.rawValue, String(self.attempts.byOutcome[$0.rawValue] ?? 0)] }
                + [
                    ["live now", String(self.attempts.open)],
                    ["refused by the provider", String(self.attempts.notPlaced)],
                ]
        )
        Console.line(
            "reach rate       \(Console.percent(self.reachRate))  (contacts reached / contacts that may be called)"
        )
        Console.line("completion rate  \(Console.percent(self.completionRate))")
        if let counts = self.appointments, counts.open + counts.kept + counts.unanswered + counts.missed > 0 {
            Console.line(
                "appointments     \(counts.open) to come, \(counts.kept) kept, \(counts.unanswered) without an answer, "
                    + "\(counts.missed) missed"
            )
        }
        self.dispositions?.print()
    }
}
