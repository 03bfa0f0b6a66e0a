// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation
import PhoneNumbers

extension ExclusionsCommand {
    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Exclude the numbers of a CSV file with the column phone_number and, if wanted, reason.",
            discussion: """
                Files are read as those of contacts are. A row or a column that cannot be read might hold the number \
                that must not be called: nothing is imported then.
                """
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var scope: ExclusionScope
        @OptionGroup var options: FileOptions
        @Argument(help: "The CSV file, or a pipe.", completion: .file()) var file: String
        @Option(help: "Why, for rows without a reason of their own.") var reason: String?

        func run() async throws {
            let until = try self.scope.end()
            let result = try await self.common.withStore { store in
                let lists = try await self.read(try await NumbersCommand.changes(store))
                let campaign = try await self.scope.id(store)
                var sum = (added: 0, contacts: 0)
                for (reason, numbers) in lists {
                    for start in stride(from: 0, to: numbers.count, by: 5000) {
                        let chunk = numbers[start..<min(start + 5000, numbers.count)]
                        let part = try await store.addExclusions(
                            chunk.map(\.phoneNumber),
                            otherForms: chunk.flatMap(\.otherForms),
                            reason: reason,
                            source: "import",
                            campaign: campaign,
                            expiresAt: until
                        )
                        sum.added += part.added
                        sum.contacts += part.contacts
                    }
                }
                return sum
            }
            Console.line("added \(result.added) number(s), took out \(result.contacts) contact(s)")
        }

        /// - Returns: The file's numbers by the reason that they are given.
        private func read(_ changes: NumberChanges) async throws -> [String?: [TypedNumber]] {
            let plan = try NumberOptions.plan(self.options.country, self.options.bare, changes)
            let map = try self.options.columns()
            var columns = try self.options.named(ExclusionColumns.init(order:))
            var lists: [String?: [TypedNumber]] = [:]
            var faults: [String] = []
            try await CSVFile(path: self.file, format: try self.options.format()).forEach { record in
                do {
                    if let fault = record.fault { throw RowFault(reason: fault) }
                    guard let columns else {
                        columns = try ExclusionColumns(
                            header: record.fields,
                            map: map,
                            ignoresOthers: self.options.ignoreOtherColumns
                        )
                        return
                    }
                    let row = try columns.row(record.fields)
                    lists[row.reason ?? self.reason, default: []].append(try Self.number(row.phoneNumber, plan))
                } catch let fault as RowFault {
                    let place = "\(self.file):\(record.line): "
                    guard columns != nil else { throw UsageFault(place + fault.reason) }
                    faults.append(place + record.reject(fault.reason))
                }
            }
            guard columns != nil else {
                throw UsageFault("\(self.file): is empty; its first line must name the columns")
            }
            guard faults.isEmpty else {
                throw UsageFault(
                    faults.prefix(20).joined(separator: "\n")
                        + "\nnothing was imported: \(faults.count) row(s) at fault"
                )
            }
            return lists
        }

        private static func number(_ text: String, _ plan: NumberPlan) throws(RowFault) -> TypedNumber {
            do {
                return try TypedNumber(text, plan: plan)
            } catch {
                throw RowFault(reason: "phone_number \(error.reason)")
            }
        }
    }
}
