// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// One request to the provider, which cannot be built with a parameter that the API description does not allow.
struct TwilioRequest: Sendable {
    let operation: TwilioOperation
    let path: String
    let query: [(name: String, value: String)]
    let form: [(name: String, value: String)]

    /// Builds a request.
    /// - Parameters:
    ///   - operation: What is asked.
    ///   - accountSID: The account.
    ///   - callSID: The call, where the operation is about one.
    ///   - query: The query parameters, in order.
    ///   - form: The form parameters, in order.
    /// - Throws: ``TelephonyError`` that names the parameter at fault and never its value.
    init(
        _ operation: TwilioOperation,
        accountSID: String,
        callSID: String? = nil,
        query: [(name: String, value: String)] = [],
        form: [(name: String, value: String)] = []
    ) throws(TelephonyError) {
        try Self.check(
            [("AccountSid", accountSID)],
            against: [TwilioOperation.accountSID],
            of: operation,
            scope: .trunk
        )
        var path = "/2010-04-01/Accounts/\(accountSID)" + operation.path
        if let callSID {
            try Self.check([("Sid", callSID)], against: [TwilioOperation.callSID], of: operation, scope: .campaign)
            path = path.replacing("{Sid}", with: callSID)
        }
        try Self.check(query, against: operation.query, of: operation, scope: .campaign)
        try Self.check(form, against: operation.form, of: operation, scope: .campaign)
        self.operation = operation
        self.path = path
        self.query = query
        self.form = form
    }

    /// Path and query, as they follow the base URL.
    var target: String {
        self.query.isEmpty ? self.path : self.path + "?" + FormFields.encode(self.query)
    }

    private static func check(
        _ values: [(name: String, value: String)],
        against parameters: [TwilioParameter],
        of operation: TwilioOperation,
        scope: TelephonyError.Scope
    ) throws(TelephonyError) {
        func fault(_ name: String, _ reason: String) -> TelephonyError {
            TelephonyError(
                code: .misconfigured(scope),
                message: "parameter \(name) of \(operation.name) \(reason); the request was not sent"
            )
        }
        var seen: Set<String> = []
        for (name, value) in values {
            guard let parameter = parameters.first(where: { $0.name == name }) else {
                throw fault(name, "is not known")
            }
            guard seen.insert(name).inserted || parameter.mayRepeat else { throw fault(name, "is given twice") }
            guard parameter.accepts(value) else { throw fault(name, "has a value that is not allowed") }
        }
        for parameter in parameters where parameter.isRequired && !seen.contains(parameter.name) {
            throw fault(parameter.name, "is missing")
        }
    }
}
