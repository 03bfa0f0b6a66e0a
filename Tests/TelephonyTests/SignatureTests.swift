// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Testing

@testable import Telephony

@Suite("Signatures", .timeLimit(.minutes(20)))
struct SignatureTests {
    private static let url = "https://example.com/myapp.php?foo=1&bar=2"
    private static let form = Array(
        "CallSid=CA1234567890ABCDE&Caller=%2B14158675310&Digits=1234&From=%2B14158675310&To=%2B18005551212".utf8
    )
    private static let formType = "application/x-www-form-urlencoded"

    private func verify(
        _ signature: String,
        url: String = Self.url,
        contentType: String? = Self.formType,
        body: [UInt8] = Self.form,
        tokens: [String] = ["12345"]
    ) -> Bool {
        TwilioSignature.verify(signature, url: url, contentType: contentType, body: body, tokens: tokens)
    }

    @Test("the provider's documented example")
    func documented() {
        #expect(TwilioSignature.sign(url: Self.url, form: Self.form, token: "12345") == "L/OH5YylLD5NRKLltdqwSvS0BnU=")
        #expect(self.verify("L/OH5YylLD5NRKLltdqwSvS0BnU="))
    }

    @Test("an example that others published")
    func published() {
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2"
        let form = "To=%2B18005551212&Digits=1234&CallSid=CA1234567890ABCDE&Caller=%2B12349013030&From=%2B12349013030"
        #expect(
            TwilioSignature.sign(url: url, form: Array(form.utf8), token: "12345") == "0/KCTR6DLpKmkAf8muzZqo1nDgQ="
        )
    }

    @Test("a JSON body is covered by its hash in the signed URL, and by nothing less")
    func json() {
        let body = Array(#"{"CallSid":"CA1234567890ABCDE","Caller":"+12349013030"}"#.utf8)
        let hash = "5ccde7145dfb8f56479710896586cb9d5911809d83afbe34627818790db0aec9"
        let url = "https://example.com/cb?bodySHA256=\(hash)"
        let signature = TwilioSignature.sign(url: url, token: "12345")
        #expect(self.verify(signature, url: url, contentType: "application/json; charset=utf-8", body: body))
        #expect(!self.verify(signature, url: url, contentType: "application/json", body: body + [0x20]))
        let bare = TwilioSignature.sign(url: "https://example.com/cb", token: "12345")
        #expect(!self.verify(bare, url: "https://example.com/cb", contentType: "application/json", body: body))
    }

    @Test("fields are ordered by name, not by name and value run together")
    func order() {
        // Run together, "ToCity=PARIS" comes before "To=sip:…"; by name it comes after.
        let url = "https://example.com/cb"
        let text = url + "Tosip:a@example.org" + "ToCityPARIS"
        let code = HMAC<Insecure.SHA1>.authenticationCode(
            for: Data(text.utf8),
            using: SymmetricKey(data: Data("12345".utf8))
        )
        let signature = Data(code).base64EncodedString()
        for body in ["ToCity=PARIS&To=sip%3Aa%40example.org", "To=sip:a%40example.org&ToCity=PARIS"] {
            #expect(self.verify(signature, url: url, body: Array(body.utf8)))
        }
    }

    @Test("names are compared by bytes, values are not trimmed, and unknown fields count")
    func bytes() {
        let url = "https://example.com/cb"
        let text = url + "B b " + "a\u{e9}" + "bplus+"
        let code = HMAC<Insecure.SHA1>.authenticationCode(
            for: Data(text.utf8),
            using: SymmetricKey(data: Data("12345".utf8))
        )
        #expect(self.verify(Data(code).base64EncodedString(), url: url, body: Array("b=plus%2B&a=%C3%A9&B=+b+".utf8)))
    }

    @Test(
        "a port may be kept or dropped",
        arguments: [
            ("https://example.com/cb", "https://example.com:443/cb"),
            ("http://example.com/cb", "http://example.com:80/cb"),
            ("https://example.com:8443/cb?x=1", "https://example.com/cb?x=1"),
            ("http://example.com:8080/cb", "http://example.com:8080/cb"),
            ("https://[::1]:8443/cb", "https://[::1]/cb"), ("https://[::1]/cb", "https://[::1]:443/cb"),
            ("https://example.com?x=a:b", "https://example.com:443?x=a:b"),
        ]
    )
    func ports(ours: String, signed: String) {
        let signature = TwilioSignature.sign(url: signed, form: Self.form, token: "12345")
        #expect(self.verify(signature, url: ours))
    }

    @Test("a fragment is not signed")
    func fragment() {
        let signature = TwilioSignature.sign(url: Self.url, form: Self.form, token: "12345")
        #expect(self.verify(signature, url: Self.url + "#rc=5&rp=all"))
    }

    @Test("either of two tokens counts, an empty one never")
    func tokens() {
        let signature = TwilioSignature.sign(url: Self.url, form: Self.form, token: "old")
        #expect(self.verify(signature, tokens: ["new", "old"]))
        #expect(!self.verify(signature, tokens: ["new"]))
        let empty = TwilioSignature.sign(url: Self.url, form: Self.form, token: "")
        #expect(!self.verify(empty, tokens: [""]))
        #expect(!self.verify(signature, tokens: []))
    }

    @Test(
        "whatever differs from what was signed is forged",
        arguments: [
            ("https://example.com/myapp.php?foo=1&bar=3", "CallSid=1"),
            ("http://example.com/myapp.php?foo=1&bar=2", "CallSid=1"),
            ("https://example.com/myapp.php?foo=1&bar=2", "CallSid=2"),
            ("https://example.com/myapp.php?foo=1&bar=2", ""),
            ("https://example.com/myapp.php?foo=1&bar=2", "CallSid=1&X=1"),
            ("https://example.com:444/myapp.php?foo=1&bar=3", "CallSid=1"),
        ]
    )
    func forged(url: String, body: String) {
        let signature = TwilioSignature.sign(url: Self.url, form: Array("CallSid=1".utf8), token: "12345")
        #expect(!self.verify(signature, url: url, body: Array(body.utf8)))
    }

    @Test(
        "what is no signature is not one",
        arguments: ["", "x", "L/OH5YylLD5NRKLltdqwSvS0BnU", "AAAA", "L/OH5YylLD5NRKLltdqwSvS0BnV=", "%%%%"]
    )
    func garbage(signature: String) {
        #expect(!self.verify(signature))
    }
}

@Suite("Dates", .timeLimit(.minutes(20)))
struct InternetDateTests {
    @Test(
        "dates are read as mail and HTTP write them",
        arguments: [
            ("Fri, 18 Oct 2019 17:00:00 +0000", 1_571_418_000.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("1 Jan 1970 01:30:00 +0130", 0), ("Thu, 01 Jan 1970 00:00:00 -0100", 3_600),
            ("Thu, 29 Feb 2024 23:59:59 +0000", 1_709_251_199), ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Wed, 31 Dec 2025 23:59:60 +0000", 1_767_225_600),
        ]
    )
    func read(text: String, seconds: Double) {
        #expect(InternetDate.parse(text)?.timeIntervalSince1970 == seconds)
    }

    @Test(
        "anything else is no date",
        arguments: [
            "", "now", "2026-11-23T20:00:00Z", "Fri, 32 Oct 2019 17:00:00 +0000", "Fri, 18 Foo 2019 17:00:00 +0000",
            "Fri, 18 Oct 2019 24:00:00 +0000", "Fri, 18 Oct 2019 17:00 +0000", "Fri, 18 Oct 2019 17:00:00 PST",
            "Fri, 18 Oct 19 17:00:00 +0000", "Fri, 18 Oct 2019 17:00:00", "Fri, -1 Oct 2019 17:00:00 +0000",
        ]
    )
    func refuse(text: String) {
        #expect(InternetDate.parse(text) == nil)
    }

    @Test("a day is written in UTC")
    func day() {
        #expect(InternetDate.utcDay(of: Date(timeIntervalSince1970: 1_795_478_399)) == "2026-11-23")
        #expect(InternetDate.utcDay(of: Date(timeIntervalSince1970: 1_795_478_400)) == "2026-11-24")
    }
}
