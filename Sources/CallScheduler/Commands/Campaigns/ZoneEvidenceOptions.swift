// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel

/// What suffices to tell where contacts without a zone of their own are.
struct ZoneEvidenceOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What suffices to tell where a contact without a time zone of its own is: country (default: the window must be "
                + "open in all of its number's country), area-code (in the zones of its number's prefix) or postal-code "
                + "(in those of its postal_code, or of a region such as US-TX, as well). An area code is a proxy, not a safe "
                + "harbour: people keep their number when they move.",
            valueName: "EVIDENCE"
        )
    )
    var zoneEvidence: String?

    func level(_ faults: inout [String]) -> ZoneEvidenceLevel? {
        guard let text = self.zoneEvidence else { return nil }
        guard let level = ZoneEvidenceLevel(rawValue: text) else {
            let known = ZoneEvidenceLevel.allCases.map(\.rawValue).joined(separator: ", ")
            faults.append("zone-evidence: '\(text)' is not one of \(known)")
            return nil
        }
        return level
    }
}
