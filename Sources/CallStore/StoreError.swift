// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// What an operator asked for and the store cannot do.
public struct StoreError: Error, Sendable, CustomStringConvertible {
    /// The kind of refusal.
    public enum Code: Sendable, Hashable {
        /// Nothing goes by that name.
        case notFound
        /// Something goes by that name already.
        case alreadyExists
        /// The present state does not allow it.
        case notAllowed
        /// The database's schema is not the one that this program was built for.
        case schemaMismatch
    }

    /// The kind of refusal.
    public let code: Code
    /// One line for the operator: what is wrong and what to do.
    public let message: String

    /// Creates an error.
    public init(code: Code, message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { self.message }
}
