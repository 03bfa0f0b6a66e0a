// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import PhoneNumbers

/// How a file of contacts is to be read.
struct ContactFileOptions: ParsableArguments {
    @OptionGroup var file: FileOptions

    @Flag(help: "Reject numbers that are possible, but in no range that is known to be assigned.")
    var assignedOnly = false

    @Flag(help: ArgumentHelp("Taken for granted; once, only these were.", visibility: .hidden))
    var allowUnassigned = false

    @OptionGroup var spreadsheets: SpreadsheetOptions

    /// What makes a difference to what is imported, for the fingerprint.
    var words: [String] {
        ["\(self.assignedOnly)", "\(self.spreadsheets.forSpreadsheets)"] + self.file.words
    }

    func plan(_ changes: NumberChanges) throws -> NumberPlan {
        try NumberOptions.plan(self.file.country, self.file.bare, changes, allowsUnassigned: !self.assignedOnly)
    }
}
