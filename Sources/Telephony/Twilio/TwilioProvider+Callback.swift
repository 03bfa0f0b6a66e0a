// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
import Crypto
import Foundation

extension TwilioProvider {
    static let signatureField = "x-twilio-signature"

    /// Whether the request carries an `X-Twilio-Signature`.
    public func isSigned(_ headers: [String: String]) -> Bool { headers[Self.signatureField] != nil }

    /// Verifies a status callback's signature, then reads it.
    /// - Parameter request: The request as it arrived.
    /// - Returns: The report; the same callback always gives the same event id.
    /// - Throws: ``CallbackError``.
    public func parseCallback(_ request: CallbackRequest) throws(CallbackError) -> CallEvent {
        let contentType = request.headers["content-type"]
        guard let signature = request.headers[Self.signatureField],
            TwilioSignature.verify(
                signature,
                url: self.configuration.callbackBaseURL + request.target,
                contentType: contentType,
                body: request.body,
                tokens: self.configuration.signingTokens
            )
        else { throw .forged }

        guard request.method == "POST" else { throw .malformed(reason: "the method is not POST") }
        let report = try CallbackFields(body: request.body, isJSON: TwilioSignature.isJSON(contentType))
        guard let mark = request.target.firstIndex(of: "?") else { throw .malformed(reason: "call_id is missing") }
        let query = FormFields(decoding: request.target[request.target.index(after: mark)...].utf8)
        guard let callIDText = query.first("call_id") else { throw .malformed(reason: "call_id is missing") }
        guard let callID = UUID(uuidString: callIDText) else { throw .malformed(reason: "call_id is not a UUID") }

        let callSID = try report.required("CallSid")
        guard TwilioOperation.callSID.accepts(callSID) else { throw .malformed(reason: "CallSid is not a call's id") }
        let rawStatus = try report.required("CallStatus")
        guard let status = CallStatus(twilio: rawStatus) else { throw .malformed(reason: "CallStatus is not known") }
        let sequence = try report.integer("SequenceNumber")
        return CallEvent(
            eventID: Self.eventID(callSID: callSID, sequence: sequence, rawStatus: rawStatus, callID: callID),
            callID: callID,
            providerCallID: callSID,
            status: status,
            sequence: sequence,
            occurredAt: report["Timestamp"].flatMap { InternetDate.parse($0) } ?? Date(),
            answeredBy: report["AnsweredBy"].flatMap { AnsweredBy(twilio: $0) },
            errorCode: report.errorCode,
            rawStatus: rawStatus
        )
    }

    /// The word in `CallStatus` when it is none of the API's: servers that speak it have words of their own.
    public func unknownStatus(in request: CallbackRequest) -> String? {
        let isJSON = TwilioSignature.isJSON(request.headers["content-type"])
        guard let report = try? CallbackFields(body: request.body, isJSON: isJSON), let word = report["CallStatus"],
            CallStatus(twilio: word) == nil
        else { return nil }
        return Self.printable(word)
    }

    /// Words consist of letters; anything else might be what nobody may print.
    private static func printable(_ word: String) -> String {
        let isWord =
            word.utf8.count <= 40
            && word.utf8.allSatisfy { byte in
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || byte == UInt8(ascii: "-")
                    || byte == UInt8(ascii: "_")
            }
        return isWord ? word : "(not a word)"
    }

    /// An id that a repeated callback has again: a UUID of version 8 (RFC 9562, section 5.8) made from what names the
    /// report.
    private static func eventID(callSID: String, sequence: Int?, rawStatus: String, callID: UUID) -> UUID {
        let name = [callSID, sequence.map { String($0) } ?? "", rawStatus, callID.lowercased].joined(separator: "|")
        var bytes = Array(SHA256.hash(data: Data(name.utf8)).prefix(16))
        bytes[6] = bytes[6] & 0x0F | 0x80
        bytes[8] = bytes[8] & 0x3F | 0x80
        return UUID(
            uuid: (
                bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7],
                bytes[8], bytes[9], bytes[10], bytes[11], bytes[12], bytes[13], bytes[14], bytes[15]
            )
        )
    }
}

/// The fields of a callback, from a form or from a flat JSON object.
private struct CallbackFields {
    private let value: (String) -> String?

    init(body: [UInt8], isJSON: Bool) throws(CallbackError) {
        guard isJSON else {
            let form = FormFields(decoding: body)
            self.value = { form.first($0) }
            return
        }
        guard let object = try? JSONDecoder().decode([String: Scalar].self, from: Data(body)) else {
            throw .malformed(reason: "the body is not a JSON object")
        }
        self.value = { object[$0]?.text }
    }

    subscript(_ name: String) -> String? { self.value(name) }

    func required(_ name: String) throws(CallbackError) -> String {
        guard let text = self.value(name), !text.isEmpty else { throw .malformed(reason: "\(name) is missing") }
        return text
    }

    func integer(_ name: String) throws(CallbackError) -> Int? {
        guard let text = self.value(name), !text.isEmpty else { return nil }
        guard let number = Int32(text), number >= 0 else {
            throw .malformed(reason: "\(name) is not a whole number")
        }
        return Int(number)
    }

    /// The provider's error code, else the SIP response where it tells of a failure.
    var errorCode: String? {
        if let code = self.value("ErrorCode"), Self.isNumber(code, digits: 1...6) { return code }
        guard let code = self.value("SipResponseCode"), Self.isNumber(code, digits: 3...3), code >= "300" else {
            return nil
        }
        return "sip_" + code
    }

    private static func isNumber(_ text: String, digits: ClosedRange<Int>) -> Bool {
        digits.contains(text.utf8.count)
            && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
}

/// A JSON value that has a plain text form; any other is read as absent.
struct Scalar: Decodable {
    let text: String?

    init(from decoder: any Decoder) throws {
        guard let container = try? decoder.singleValueContainer() else {
            self.text = nil
            return
        }
        if let text = try? container.decode(String.self) {
            self.text = text
        } else {
            self.text = (try? container.decode(Int.self)).map { String($0) }
        }
    }
}
