// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

extension CallStore {
    /// SQL in a `set`: the contact is neither claimed nor called any more.
    static let noClaim = "prior_state = null, call_id = null, lease_until = null"

    /// SQL in a `set`: the claimed contact `c` is what it was before.
    static let claimGivenBack = "state = c.prior_state, \(noClaim)"
}
