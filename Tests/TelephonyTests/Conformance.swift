// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

@testable import Telephony

/// Holds a request as it arrived against the adapter's parameter table.
enum Conformance {
    static func faults(of request: StubProvider.Request) -> [String] {
        let words = request.path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard words.count >= 5, words[0].isEmpty, words[1] == "2010-04-01", words[2] == "Accounts" else {
            return ["the path is not the API's"]
        }
        var faults = TwilioOperation.accountSID.accepts(words[3]) ? [] : ["AccountSid is not allowed"]
        let rest = "/" + words[4...].joined(separator: "/")
        let template: String
        if rest.hasPrefix("/Calls/"), rest.hasSuffix(".json") {
            if !TwilioOperation.callSID.accepts(String(rest.dropFirst(7).dropLast(5))) {
                faults.append("Sid is not allowed")
            }
            template = "/Calls/{Sid}.json"
        } else {
            template = rest
        }
        guard let operation = TwilioOperation.all.first(where: { $0.method == request.method && $0.path == template })
        else { return faults + ["the operation is not in the table"] }
        return faults + Self.faults(of: request.query, against: operation.query)
            + Self.faults(of: request.form, against: operation.form)
    }

    private static func faults(of fields: [[String]], against parameters: [TwilioParameter]) -> [String] {
        var faults: [String] = []
        for field in fields {
            guard let parameter = parameters.first(where: { $0.name == field[0] }) else {
                faults.append("\(field[0]) is not in the table")
                continue
            }
            if !parameter.accepts(field[1]) { faults.append("\(field[0]) is not allowed") }
            if !parameter.mayRepeat, fields.count(where: { $0[0] == field[0] }) > 1 {
                faults.append("\(field[0]) is repeated")
            }
        }
        for parameter in parameters where parameter.isRequired && !fields.contains(where: { $0[0] == parameter.name }) {
            faults.append("\(parameter.name) is missing")
        }
        return faults
    }
}
