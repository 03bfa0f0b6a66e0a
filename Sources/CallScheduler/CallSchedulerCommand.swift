// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation

/// The root of the command line.
@main
struct CallSchedulerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "call-scheduler",
        abstract: "Decides whom to phone for voice surveys, when, and how many at once.",
        discussion: Setting.discussion,
        version: "0.1.0",
        groupedSubcommands: [
            CommandGroup(
                name: "Roles:",
                subcommands: [
                    SelectorCommand.self, DialerCommand.self, RecorderCommand.self, WebhooksCommand.self,
                    AllCommand.self,
                ]
            ),
            CommandGroup(
                name: "Campaigns:",
                subcommands: [
                    CampaignCommand.self, PolicyCommand.self, ContactsCommand.self, CallsCommand.self,
                    ExclusionsCommand.self,
                    HolidaysCommand.self, StatusCommand.self, ReportCommand.self, PauseCommand.self, ResumeCommand.self,
                    TrunkCommand.self,
                ]
            ),
            CommandGroup(
                name: "Operation:",
                subcommands: [
                    MigrateCommand.self, DoctorCommand.self, AuditCommand.self, RecoverCommand.self,
                    RetentionCommand.self, DeadLettersCommand.self,
                    NumbersCommand.self, ProviderSimulatorCommand.self, VerifyLedgerCommand.self,
                ]
            ),
        ]
    )

    static func main() async {
        do {
            var command = try Self.parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            Failure.exit(with: error, usage: { Self.exit(withError: $0) })
        }
    }
}
