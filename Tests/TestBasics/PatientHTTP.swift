// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import AsyncHTTPClient
import NIOCore

extension HTTPClient {
    /// One for all tests that gives nobody up because the machine is slow: not a connection that is long in the making, nor
    /// who waits in line for one. It tries again while it is refused, so that whoever only looks whether somebody is there
    /// takes ``shared``.
    public static let patient: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(600)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()
}
