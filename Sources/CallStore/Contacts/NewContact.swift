// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel

extension CallStore {
    /// A contact as read from a file, checked.
    public struct NewContact: Sendable {
        /// Its id in the system that it comes from.
        public var externalID: String?
        /// The number.
        public var phoneNumber: PhoneNumber
        /// The e-mail address.
        public var email: String?
        /// The language to interview in.
        public var language: String?
        /// Whether consent is on record; nil when nothing is said about it.
        public var hasPriorConsent: Bool?
        /// When, where and how consent was given.
        public var consent: ConsentRecord?
        /// Whether the contact must not be called.
        public var doNotCall: Bool
        /// The IANA zone, or several with commas between, in the order of their names; nil for the campaign's.
        public var timeZone: String?
        /// Where the zone comes from: `file` or `number`; nil without a zone.
        public var timeZoneSource: String?
        /// The zones by the number's prefix, in the same form; nil when it says nothing.
        public var numberZones: String?
        /// The zones by the postal code; nil when there is none, or it says nothing.
        public var postalZones: String?
        /// The zones by the part of the country that the file names; nil when it names none.
        public var regionZones: String?
        /// The country, ISO 3166 alpha-2.
        public var region: String?
        /// The quota cell.
        public var cell: String?
        /// When the person wants to be called.
        public var appointmentAt: AppointmentTime?
        /// Until when that is meant.
        public var appointmentUntil: AppointmentTime?

        /// Creates a contact.
        public init(
            externalID: String?,
            phoneNumber: PhoneNumber,
            email: String?,
            language: String?,
            hasPriorConsent: Bool?,
            doNotCall: Bool,
            timeZone: String?,
            timeZoneSource: String? = nil,
            numberZones: String? = nil,
            postalZones: String? = nil,
            regionZones: String? = nil,
            region: String? = nil,
            cell: String? = nil,
            appointmentAt: AppointmentTime? = nil,
            appointmentUntil: AppointmentTime? = nil,
            consent: ConsentRecord? = nil
        ) {
            self.externalID = externalID
            self.phoneNumber = phoneNumber
            self.email = email
            self.language = language
            self.hasPriorConsent = hasPriorConsent
            self.doNotCall = doNotCall
            self.timeZone = timeZone
            self.timeZoneSource = timeZoneSource
            self.numberZones = numberZones
            self.postalZones = postalZones
            self.regionZones = regionZones
            self.region = region
            self.cell = cell
            self.appointmentAt = appointmentAt
            self.appointmentUntil = appointmentUntil
            self.consent = consent
        }
    }
}
