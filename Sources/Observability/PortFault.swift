// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
public import NIOCore

/// A port cannot be listened on.
public struct PortFault: Error, CustomStringConvertible {
    /// The setting that names the port.
    public let setting: String
    /// Where, why, and what to do.
    public let description: String

    /// Creates a fault.
    /// - Parameters:
    ///   - setting: The setting that names the port.
    ///   - host: The address.
    ///   - port: The port.
    ///   - cause: What the system said.
    public init(setting: String, host: String, port: Int, cause: IOError) {
        self.setting = setting
        let reason = String(cString: strerror(cause.errnoCode)).lowercased()
        let cure =
            switch cause.errnoCode {
            case EADDRINUSE: "another process listens there; end it, or give another port"
            case EACCES: "ports below 1024 are the system's; give another one"
            case EADDRNOTAVAIL: "this host does not have the address"
            default: "give another address or port"
            }
        self.description = "\(setting): cannot listen on \(host) port \(port): \(reason): \(cure)"
    }
}
