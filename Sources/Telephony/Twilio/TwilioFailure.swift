// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Sorts the provider's answers by what they allow us to do next.
///
/// The rule: only what proves that no call was placed may say so. A refusal proves it when it is the provider's own,
/// with its error body; a status that comes before any processing (401, 403, 407, 429) proves it by itself.
enum TwilioFailure {
    /// The number is at fault: invalid, unreachable, premium or forbidden.
    private static let rejected: Set<Int> = [13223, 13224, 13225, 21202, 21211, 21214, 21217]
    /// The account may not call the number's country.
    private static let country: Set<Int> = [13227, 21203, 21215, 21408, 32205]
    /// Too many requests or calls at once, or the provider's queue is full.
    private static let refusedForNow: Set<Int> = [10004, 20429, 22005, 86008]
    /// The account: secret, suspension, trial limits, an account that does not exist.
    private static let trunk: Set<Int> = [
        10001, 10002, 10005, 20003, 20005, 20006, 20008, 20403, 20404, 21470, 21471, 21472,
    ]
    /// What is the same in all of a campaign's requests: caller ID, answer URL, callback, times.
    private static let campaign: Set<Int> = [
        11100, 21205, 21206, 21207, 21208, 21209, 21210, 21212, 21213, 21218, 21402, 21403, 21420, 21502, 21609, 21626,
    ]

    static let notFound = 20404
    static let callNotInProgress = 21220

    /// Why a request to place a call did not return a call.
    static func placing(_ answer: TwilioAnswer, now: Date = Date()) -> TelephonyError {
        let fault = TwilioFault.read(answer.body)
        func error(_ code: TelephonyError.Code, _ message: String) -> TelephonyError {
            TelephonyError(
                code: code,
                providerCode: fault.map { String($0.code) },
                httpStatus: answer.status,
                message: message
            )
        }
        switch answer.status {
        case 429:
            return error(.refusedForNow(retryAfter: answer.retryAfter(now: now)), "the provider asks us to slow down")
        case 200...299:
            return error(.unknown, "the provider accepted the request, but its answer names no call")
        case 400...499:
            break
        default:
            return error(.unknown, "the provider's answer does not tell whether a call was placed")
        }
        guard let fault else {
            return [401, 403, 407].contains(answer.status)
                ? error(.misconfigured(.trunk), "the account or its secret is not accepted")
                : error(.unknown, "an answer that is not the provider's does not tell whether a call was placed")
        }
        switch fault.code {
        case let code where Self.rejected.contains(code):
            return error(.rejected, "the number cannot be called")
        case let code where Self.refusedForNow.contains(code):
            return error(.refusedForNow(retryAfter: answer.retryAfter(now: now)), "the provider's limit is reached")
        case let code where Self.trunk.contains(code):
            return error(.misconfigured(.trunk), "the account is not accepted")
        // An answer to authentication, unless the code says that it is about the call.
        case _ where answer.status == 401:
            return error(.misconfigured(.trunk), "the account or its secret is not accepted")
        case let code where Self.campaign.contains(code):
            return error(.misconfigured(.campaign), "the provider does not accept the campaign's caller ID or URLs")
        case let code where Self.country.contains(code):
            return error(.refused(.country), "the account may not call the number's country")
        // Blocked numbers, and every code that we do not know: one number does not tell about the others, and nothing is
        // used up for a request that the provider does not accept.
        default:
            return error(.refused(.number), "the provider does not take a call to this number")
        }
    }

    /// Why a request that places nothing was not answered as expected.
    static func asking(_ answer: TwilioAnswer, now: Date = Date()) -> TelephonyError {
        let fault = TwilioFault.read(answer.body)
        func error(_ code: TelephonyError.Code, _ message: String) -> TelephonyError {
            TelephonyError(
                code: code,
                providerCode: fault.map { String($0.code) },
                httpStatus: answer.status,
                message: message
            )
        }
        if answer.status == 429 || fault.map({ Self.refusedForNow.contains($0.code) }) == true {
            return error(.refusedForNow(retryAfter: answer.retryAfter(now: now)), "the provider asks us to slow down")
        }
        if [401, 403, 407].contains(answer.status) || fault.map({ Self.trunk.contains($0.code) }) == true {
            return error(.misconfigured(.trunk), "the account or its secret is not accepted")
        }
        if (300...399).contains(answer.status) || answer.status == 404 && fault == nil {
            return error(.misconfigured(.trunk), "the base URL does not lead to the provider's API")
        }
        return error(.providerDown, "the provider could not answer")
    }
}

/// An answer, read whole.
struct TwilioAnswer: Sendable {
    var status: Int
    var retryAfter: String?
    var body: [UInt8]

    /// The longest wait that is believed: beyond it, the value is more likely wrong than meant.
    private static let longestWait = 86_400

    /// How long the provider asks us to wait: seconds or a date (RFC 9110, section 10.2.3).
    func retryAfter(now: Date) -> Duration? {
        guard let text = self.retryAfter?.trimmingCharacters(in: .whitespaces) else { return nil }
        if let seconds = Int(text) {
            return seconds < 0 ? nil : .seconds(min(seconds, Self.longestWait))
        }
        guard let date = InternetDate.parse(text) else { return nil }
        let seconds = date.timeIntervalSince(now).rounded(.up)
        return .seconds(Int(min(max(seconds, 0), Double(Self.longestWait))))
    }
}
