// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation
import PhoneNumbers

/// A person's number as somebody typed it, in each of the forms in which it may be stored.
struct TypedNumber {
    /// As imports write it.
    let phoneNumber: PhoneNumber
    /// The forms that it had before, as +52 1 55 … in Mexico, and its digits just as they were typed, where these make
    /// another number: numbers were not always read by a number plan, and +49 (0)30 … was stored as it came.
    let otherForms: [PhoneNumber]

    /// - Parameters:
    ///   - text: The number.
    ///   - plan: By which it is read; one that takes unassigned numbers.
    /// - Throws: The reason, which never holds the number.
    init(_ text: String, plan: NumberPlan) throws(NumberPlan.Fault) {
        let asTyped = try? PhoneNumber(text)
        let number: PhoneNumber
        do {
            number = try plan.entry(text).phoneNumber
        } catch {
            guard error.mayBeNewer, let asTyped, !text.contains("(0") else { throw error }
            number = asTyped
        }
        let forms = Set([asTyped].compactMap(\.self) + plan.changes.formerForms(of: number))
        self.phoneNumber = number
        self.otherForms = forms.subtracting([number]).sorted { $0.e164 < $1.e164 }
    }
}

/// What digits are that have nothing in front.
struct BareNumberOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What numbers without + or 0 in front are: national or international; unless told, what could be both is refused.",
            valueName: "kind"
        ),
        transform: { text in
            guard let kind = NumberPlan.BareNumbers(rawValue: text) else {
                throw ValidationError("'\(text)' is neither national nor international")
            }
            return kind
        }
    )
    var bareNumbers: NumberPlan.BareNumbers?
}

/// How the number of a person is read that somebody types: the one way of all commands, which is that of imports.
struct NumberOptions: ParsableArguments {
    /// What is typed where a person is meant.
    enum Contact {
        case id(UUID)
        case number(TypedNumber)
    }

    @Option(help: ArgumentHelp("Where a number without a country code belongs, such as DE.", valueName: "country"))
    var country: String?
    @OptionGroup var bare: BareNumberOptions

    func number(_ text: String, _ store: CallStore) async throws -> TypedNumber {
        let plan = try Self.plan(self.country, self.bare, try await NumbersCommand.changes(store))
        do {
            return try TypedNumber(text, plan: plan)
        } catch {
            throw UsageFault("the phone number \(error.reason)")
        }
    }

    /// For commands that take something else there as well.
    /// - Returns: Nil when it is no number.
    func numberIfAny(_ text: String, _ store: CallStore) async throws -> TypedNumber? {
        let plan = try Self.plan(self.country, self.bare, try await NumbersCommand.changes(store))
        return try? TypedNumber(text, plan: plan)
    }

    func contact(_ text: String, _ store: CallStore) async throws -> Contact {
        if let id = UUID(uuidString: text) { return .id(id) }
        return .number(try await self.number(text, store))
    }

    /// A number to call from, which has its country code: `+49 (0)30 …` is not +49 030 ….
    static func callerID(_ text: String) throws(PhoneNumber.Fault) -> PhoneNumber {
        let asTyped = try PhoneNumber(text)
        return (try? NumberPlan(allowsUnassigned: true).entry(text).phoneNumber) ?? asTyped
    }

    /// A plan that takes numbers in ranges that are not known: nobody who asks for peace may be refused for them.
    static func plan(
        _ country: String?,
        _ bare: BareNumberOptions,
        _ changes: NumberChanges,
        allowsUnassigned: Bool = true
    ) throws -> NumberPlan {
        do {
            return try NumberPlan(
                country: country,
                allowsUnassigned: allowsUnassigned,
                bareNumbers: bare.bareNumbers,
                changes: changes
            )
        } catch {
            throw UsageFault("--country: \(error)")
        }
    }
}
