// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Who works with the command line.
enum HostUser {
    /// The user's name; of one who has become root by sudo, the name before. It is kept with what is changed, and proves
    /// nothing: whoever has the database's password may write there what they like.
    static let name = Self.name(
        userID: getuid(),
        account: getpwuid(getuid()).map { String(cString: $0.pointee.pw_name) },
        environment: ProcessInfo.processInfo.environment
    )

    static func name(userID: uid_t, account: String?, environment: [String: String]) -> String {
        // Only root can have been given it by sudo: others could make themselves anybody.
        if userID == 0, let user = environment["SUDO_USER"], !user.isEmpty { return user }
        return account ?? "uid \(userID)"
    }
}
