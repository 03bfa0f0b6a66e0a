// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation

extension TwilioProvider {
    /// Lists all calls from one number since an instant; see
    /// ``TelephonyProvider/listCalls(from:acceptedAfter:_:)``.
    /// - Parameters:
    ///   - callerID: The number that they were placed with.
    ///   - acceptedAfter: Calls accepted before this instant are not meant.
    ///   - handle: Gets one page after the other, of 1,000 calls at most.
    /// - Throws: ``TelephonyError``, never with ``TelephonyError/Code/unknown``, and what `handle` throws.
    public func listCalls(
        from callerID: PhoneNumber,
        acceptedAfter: Date,
        _ handle: ([ListedCall]) async throws -> Void
    ) async throws {
        // A queued call has no start time; one that is dialed between the two questions is in both lists.
        for filter in [("Status", "queued"), ("StartTime>", InternetDate.utcDay(of: acceptedAfter))] {
            let base: [(name: String, value: String)] = [("From", callerID.e164), filter, ("PageSize", "1000")]
            var next: [(name: String, value: String)]? = []
            while let page = next {
                let content = try await self.page(base + page)
                let calls = content.calls.filter { $0.from == callerID.e164 }.compactMap { item in
                    item.to.flatMap { to in item.providerCall.map { ListedCall(to: to, call: $0) } }
                }
                // The filter by day is coarser than what was asked for. What has no date is better listed than lost.
                try await handle(calls.filter { $0.call.createdAt.map { $0 >= acceptedAfter } ?? true })
                next = content.nextPage
            }
        }
    }
}
