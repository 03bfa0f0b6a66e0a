// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import PhoneNumbers

/// Turns records into contacts, or says why not. Looks at each record by itself, so that several tasks may check.
struct ContactCheck: Sendable {
    /// What came of some records.
    struct Rows: Sendable {
        /// A row that cannot be used.
        struct Rejected: Sendable {
            let line: Int
            let reason: String
            let fields: [String]
        }

        var contacts = CallStore.StagedContacts()
        var rejected: [Rejected] = []
        /// Numbers in rejected rows that say that they must not be called.
        var barred: [PhoneNumber] = []
        /// Lines whose number is in no range that is known to be assigned.
        var unassigned: [Int] = []
        /// How many rows name a zone in a way that is not the database's.
        var renamedZones: [String: Int] = [:]
        var zonesFromFile = 0
        var zonesFromNumber = 0
        var zonesFromCampaign = 0
        var zonesByPrefix = 0
        var zonesByPostalCode = 0
        var zonesByRegion = 0

        mutating func append(_ other: Rows) {
            self.contacts.append(other.contacts)
            self.rejected += other.rejected
            self.barred += other.barred
            self.unassigned += other.unassigned
            self.renamedZones.merge(other.renamedZones, uniquingKeysWith: +)
            self.zonesFromFile += other.zonesFromFile
            self.zonesFromNumber += other.zonesFromNumber
            self.zonesFromCampaign += other.zonesFromCampaign
            self.zonesByPrefix += other.zonesByPrefix
            self.zonesByPostalCode += other.zonesByPostalCode
            self.zonesByRegion += other.zonesByRegion
        }
    }

    let columns: ContactColumns
    let plan: NumberPlan
    let zones: ZoneNames
    let countryZones: CountryZones
    let evidence: ZoneEvidence

    func rows(_ records: ArraySlice<CSVReader.Record>) -> Rows {
        var rows = Rows()
        for record in records {
            do throws(ContactColumns.Fault) {
                if let fault = record.fault { throw ContactColumns.Fault(reason: fault) }
                let (contact, isAssigned) = try self.contact(record.fields, &rows.renamedZones)
                if !isAssigned { rows.unassigned.append(record.line) }
                switch contact.timeZoneSource {
                case "file": rows.zonesFromFile += 1
                case "number": rows.zonesFromNumber += 1
                default: rows.zonesFromCampaign += 1
                }
                if contact.numberZones != nil { rows.zonesByPrefix += 1 }
                if contact.postalZones != nil { rows.zonesByPostalCode += 1 }
                if contact.regionZones != nil { rows.zonesByRegion += 1 }
                rows.contacts.append(contact)
            } catch {
                var reason = record.reject(error.reason)
                if let number = self.barred(record) {
                    rows.barred.append(number)
                    reason += "; its number is excluded from the campaign all the same"
                }
                rows.rejected.append(Rows.Rejected(line: record.line, reason: reason, fields: record.fields))
            }
        }
        return rows
    }

    /// The number of a row that is of no use otherwise, when it says that it must not be called.
    private func barred(_ record: CSVReader.Record) -> PhoneNumber? {
        guard record.fault == nil, let text = self.columns.numberToBar(record.fields) else { return nil }
        return try? self.plan.entry(text).phoneNumber
    }

    private func contact(
        _ fields: [String],
        _ renamed: inout [String: Int]
    ) throws(ContactColumns.Fault) -> (CallStore.NewContact, isAssigned: Bool) {
        let row = try self.columns.row(fields)
        let number: NumberPlan.Entry
        do {
            number = try self.plan.entry(row.phoneNumber)
        } catch {
            throw ContactColumns.Fault(reason: "phone_number \(error.reason)")
        }
        var zone = row.timeZone
        if let written = zone {
            let name = try self.zones.name(written)
            if name != written { renamed["\(written.prefix(60)) as \(name)", default: 0] += 1 }
            zone = name
        }
        let region = row.region ?? number.region
        let candidates = region.flatMap { self.countryZones.zones(of: $0) }
        if let region = row.region, candidates == nil {
            throw ContactColumns.Fault(reason: "region '\(region)' is no country that the tz database knows")
        }
        let isLocal = row.appointmentAt?.isLocal == true || row.appointmentUntil?.isLocal == true
        if isLocal, zone == nil, candidates?.contains(",") != false {
            throw ContactColumns.Fault(
                reason:
                    "appointment_at is a local time, and the contact's time zone is not known: add an offset such as "
                    + "+01:00, or the column time_zone"
            )
        }
        let own = zone ?? candidates
        let regionZones: String?
        if let part = row.regionPart {
            regionZones = try self.evidence.zones(ofRegion: part, beside: own)
        } else {
            regionZones = nil
        }
        let contact = CallStore.NewContact(
            externalID: row.externalID,
            phoneNumber: number.phoneNumber,
            email: row.email,
            language: row.language,
            hasPriorConsent: row.hasPriorConsent,
            doNotCall: row.doNotCall,
            timeZone: own,
            timeZoneSource: zone != nil ? "file" : candidates != nil ? "number" : nil,
            numberZones: self.evidence.zones(of: number.phoneNumber, region: number.region, beside: own),
            postalZones: row.postalCode.flatMap {
                self.evidence.zones(ofPostalCode: $0, region: region, isOfNumber: row.region == nil, beside: own)
            },
            regionZones: regionZones,
            region: region,
            cell: row.cell,
            appointmentAt: row.appointmentAt,
            appointmentUntil: row.appointmentUntil,
            consent: row.consent
        )
        return (contact, number.isAssigned)
    }
}
