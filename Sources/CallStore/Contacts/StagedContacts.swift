// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Postgres

extension CallStore {
    /// Contacts in the form in which they go to the database. Making it takes time, which whoever imports many spends
    /// while the database is busy with the contacts before.
    public struct StagedContacts: Sendable {
        /// Rows of the staging table, in COPY's text format.
        private(set) var bytes: [UInt8] = []
        /// How many.
        public private(set) var count = 0
        /// Their numbers.
        private(set) var numbers: [PhoneNumber] = []
        /// Whether one of them wants to be called at a time.
        private(set) var haveAppointments = false
        private var ids = TimeOrderedIDs()

        /// - Parameter contacts: The contacts.
        public init(_ contacts: [NewContact] = []) {
            for contact in contacts { self.append(contact) }
        }

        /// Adds a contact.
        /// - Parameter contact: The contact.
        public mutating func append(_ contact: NewContact) {
            self.count += 1
            self.numbers.append(contact.phoneNumber)
            self.field(self.ids.next())
            self.field(contact.externalID)
            self.field(contact.phoneNumber.e164)
            self.field(contact.email)
            self.field(contact.language)
            self.field(contact.hasPriorConsent.map { $0 ? "t" : "f" })
            self.field(contact.doNotCall ? "t" : "f")
            self.field(contact.timeZone)
            let hasEvidence = [contact.numberZones, contact.postalZones, contact.regionZones].contains { $0 != nil }
            self.field(hasEvidence ? "several" : contact.timeZoneSource)
            self.field(
                hasEvidence ? contact.timeZoneSource ?? (contact.timeZone == nil ? "campaign" : "file") : ""
            )
            self.field(contact.numberZones ?? "")
            self.field(contact.postalZones ?? "")
            self.field(contact.regionZones ?? "")
            self.field(contact.region)
            self.field(contact.cell)
            self.field(contact.appointmentAt?.text)
            self.field(contact.appointmentUntil?.text)
            self.field(contact.consent?.givenAt)
            self.field(contact.consent?.source)
            self.field(contact.consent?.proof, end: UInt8(ascii: "\n"))
            if contact.appointmentAt != nil { self.haveAppointments = true }
        }

        /// Adds others behind.
        /// - Parameter others: The others.
        public mutating func append(_ others: StagedContacts) {
            self.bytes += others.bytes
            self.count += others.count
            self.numbers += others.numbers
            self.haveAppointments = self.haveAppointments || others.haveAppointments
        }

        private mutating func field(_ value: String?, end: UInt8 = UInt8(ascii: "\t")) {
            PostgresCopyWriter.appendTextField(value, to: &self.bytes)
            self.bytes.append(end)
        }
    }
}
