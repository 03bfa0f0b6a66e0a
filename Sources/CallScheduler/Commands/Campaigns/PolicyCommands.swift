// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation

struct PolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy",
        abstract: "Look at calling rules as data, and check documents of your own.",
        discussion: """
            A policy bundles windows, holidays, limits per number, ring timeout, attempts, consent, caller IDs and what \
            an interview begins with, each with its source. A campaign names one (campaign create --policy NAME, campaign policy) and can only be stricter. \
            The shipped ones are no legal advice.
            """,
        subcommands: [List.self, Show.self, Check.self]
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List shipped and installed policies.")
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let entries = try await self.common.withStore { try await $0.policies() }
            if self.output.json {
                try Console.json(entries.map(PolicyListView.init))
                return
            }
            Console.table(
                ["NAME", "VERSION", "#CAMPAIGNS", "REVIEW BY", "TITLE"],
                entries.map { entry in
                    [
                        entry.policy.name, entry.policy.version, String(entry.campaigns),
                        (entry.policy.reviewBy ?? "–") + (entry.isOverdue ? ", overdue" : ""), entry.policy.title,
                    ]
                }
            )
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show a policy's rules with their sources.")
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @Argument(help: "The policy.") var name: String

        func run() async throws {
            let policy = try await self.common.withStore { try await $0.policy(named: self.name) }
            if self.output.json {
                Console.line(policy.document)
            } else {
                PolicyText.print(policy)
            }
        }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check a document of your own. Exit code 64 with the place at fault."
        )
        @Argument(help: "The JSON document.", completion: .file()) var file: String

        func run() throws {
            PolicyText.print(try PolicyOptions.read(self.file))
        }
    }
}

/// The options of a command that puts a campaign under a policy.
struct PolicyOptions: ParsableArguments {
    @Option(help: "Calling rules to be under, by name: policy list shows them. Settings that are looser are tightened.")
    var policy: String?
    @Option(help: ArgumentHelp("The same from a document of your own.", valueName: "FILE.json"), completion: .file())
    var policyFile: String?

    func validate() throws {
        guard self.policy == nil || self.policyFile == nil else {
            throw ValidationError("name either a --policy or a --policy-file")
        }
    }

    /// The policy that is named, if one is.
    func resolved(in store: CallStore) async throws -> Policy? {
        if let file = self.policyFile { return try Self.read(file) }
        guard let name = self.policy else { return nil }
        return try await store.policy(named: name)
    }

    static func read(_ file: String) throws -> Policy {
        guard let data = FileManager.default.contents(atPath: file) else { throw UsageFault("\(file): cannot be read") }
        do {
            return try Policy.parse(String(decoding: data, as: UTF8.self))
        } catch {
            throw UsageFault("\(file): \(error)")
        }
    }
}

extension CampaignCommand {
    struct ApplyPolicy: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "policy",
            abstract: "Put a campaign that is not running under a policy, or under its newest version."
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var options: PolicyOptions
        @Argument(help: "The campaign.") var name: String

        func run() async throws {
            let (policy, rules) = try await self.common.withStore { store in
                guard let policy = try await self.options.resolved(in: store) else {
                    throw UsageFault("policy: is missing; name a --policy or a --policy-file")
                }
                try await store.apply(policy, toCampaign: self.name, actor: HostUser.name)
                return (policy, try await store.effectiveRules(campaign: self.name))
            }
            Console.line("campaign \(self.name) is under policy \(policy.label) and calls \(rules.week)")
            Console.line(policy.notice)
        }
    }
}
