// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// The provider's REST API, as far as calls go.
struct ProviderAPI: Sendable {
    let exchange: Exchange
    let configuration: SimulatorConfiguration
    var witness: ProviderSimulator.RowWitness?

    // MARK: Place

    func place(_ request: Request) async throws -> Response {
        guard self.isAuthorized(request) else { return Self.unauthorized }
        let fields = try await Self.form(request)
        var place = PlaceRequest(fields, receivedAt: Date())
        if let witness = self.witness, let callID = place.entry.callID { place.entry.row = await witness(callID) }
        do {
            try PlaceRequest.check(fields)
        } catch {
            await self.exchange.refuse(place, answered: error.status, fault: nil, reason: error.message)
            return Self.error(error.status, error.code, error.message)
        }
        if await self.exchange.isFull {
            await self.exchange.refuse(place, answered: 429, fault: nil, reason: "too many live calls")
            return Self.error(429, 10004, "Call concurrency limit exceeded", retryAfter: 1)
        }
        let fate = await self.exchange.nextFate(to: place.entry.to)
        return try await self.answer(place, fate)
    }

    private func answer(_ place: PlaceRequest, _ fate: Fate) async throws -> Response {
        func refuse(_ status: Int?, _ reason: String) async {
            await self.exchange.refuse(place, answered: status, fault: fate.fault, reason: reason)
        }
        switch fate.fault {
        case .apiDown:
            await refuse(nil, "connection broken off")
            return Self.broken
        case .refuse429:
            await refuse(429, "too many requests")
            return Self.error(429, 20429, "Too Many Requests", retryAfter: 1)
        case .refuse400:
            await refuse(400, "invalid number")
            return Self.error(400, 21211, "The 'To' number is not a valid phone number")
        case .serverErrorBefore:
            await refuse(500, "server error")
            return Self.error(500, 20500, "Internal Server Error")
        case .serverErrorAfter:
            _ = await self.exchange.place(place, fate: fate, answered: 500)
            return Self.error(500, 20500, "Internal Server Error")
        case .hangAfter:
            _ = await self.exchange.place(place, fate: fate, answered: nil)
            try await Task.sleep(for: .seconds(3600))
            return Self.broken
        case .resetAfter:
            _ = await self.exchange.place(place, fate: fate, answered: nil)
            return Self.broken
        case .slowAnswer:
            let sid = await self.exchange.place(place, fate: fate, answered: 201)
            try await Task.sleep(for: .seconds(self.configuration.slowAnswerSeconds))
            return try await self.created(sid)
        case .callbackLost, .callbackDuplicated, .callbackReordered, .callbackLate, nil:
            return try await self.created(await self.exchange.place(place, fate: fate, answered: 201))
        }
    }

    private func created(_ sid: String) async throws -> Response {
        guard let entry = await self.exchange.entry(sid: sid) else { return Self.notFound }
        return try Self.json(self.resource(entry), status: .created)
    }

    // MARK: Ask

    func fetch(_ request: Request, sid: String?) async throws -> Response {
        guard self.isAuthorized(request) else { return Self.unauthorized }
        guard let sid = Self.sid(sid), let entry = await self.exchange.entry(sid: sid) else { return Self.notFound }
        return try Self.json(self.resource(entry), status: .ok)
    }

    func list(_ request: Request) async throws -> Response {
        guard self.isAuthorized(request) else { return Self.unauthorized }
        let query = request.uri.queryParameters
        func value(_ name: String) -> String? { query[name[...]].map(String.init) }
        let day = value("StartTime>").flatMap(Self.day)
        let calls = await self.exchange.snapshot().calls.filter { call in
            guard call.sid != nil else { return false }
            if let to = value("To"), call.to != to { return false }
            if let from = value("From"), call.from != from { return false }
            if let status = value("Status"), call.status != status { return false }
            // A call that has not started has no start time, and no date filter finds it.
            if let day { return call.startedAt.map { $0 >= day } ?? false }
            return true
        }
        let size = min(1000, max(1, value("PageSize").flatMap { Int($0) } ?? 50))
        let page = max(0, value("Page").flatMap { Int($0) } ?? 0)
        let items = calls.reversed().dropFirst(page * size).prefix(size).map { self.resource($0) }
        let hasMore = calls.count > (page + 1) * size
        var next = URLComponents()
        next.path = request.uri.path
        next.queryItems =
            query.filter { $0.key != "Page" }.map { URLQueryItem(name: String($0.key), value: String($0.value)) }
            + [URLQueryItem(name: "Page", value: String(page + 1))]
        return try Self.json(
            CallPage(
                calls: Array(items),
                page: page,
                pageSize: size,
                uri: request.uri.string,
                nextPageURI: hasMore ? next.string ?? "" : nil
            ),
            status: .ok
        )
    }

    // MARK: Hang up

    func update(_ request: Request, sid: String?) async throws -> Response {
        guard self.isAuthorized(request) else { return Self.unauthorized }
        guard let sid = Self.sid(sid), await self.exchange.entry(sid: sid) != nil else { return Self.notFound }
        let status = try await Self.form(request).first { $0.0 == "Status" }?.1
        guard let status, ["canceled", "completed"].contains(status) else {
            return Self.error(400, 20001, "Status must be canceled or completed")
        }
        guard await self.exchange.hangUp(sid: sid, canceling: status == "canceled") else {
            return Self.error(400, 21220, "Call is not in-progress. Cannot redirect.")
        }
        guard let entry = await self.exchange.entry(sid: sid) else { return Self.notFound }
        return try Self.json(self.resource(entry), status: .ok)
    }

    // MARK: Parts

    private func resource(_ call: LedgerCall) -> CallResource {
        let sid = call.sid ?? ""
        let account = self.configuration.accountSID
        let base = "/2010-04-01/Accounts/\(account)/Calls/\(sid)"
        let isOver = call.endedAt != nil
        let seconds = call.answeredAt.flatMap { answered in
            call.endedAt.map { Int($0.timeIntervalSince(answered).rounded(.up)) }
        }
        let queued = (call.startedAt ?? Date()).timeIntervalSince(call.requestedAt)
        let fields: [String: String?] = [
            "sid": sid, "account_sid": account, "to": call.to, "to_formatted": call.to, "from": call.from,
            "from_formatted": call.from, "status": call.status, "direction": "outbound-api",
            "api_version": "2010-04-01", "date_created": InternetTime.text(call.requestedAt),
            "date_updated": InternetTime.text(call.endedAt ?? call.requestedAt),
            "start_time": call.startedAt.map { InternetTime.text($0) },
            "end_time": call.endedAt.map { InternetTime.text($0) },
            "duration": isOver ? String(seconds ?? 0) : nil, "answered_by": call.answeredBy,
            "queue_time": String(Int(max(0, queued) * 1000)), "price": nil, "price_unit": "USD",
            "parent_call_sid": nil, "phone_number_sid": nil, "group_sid": nil,
            "forwarded_from": nil, "caller_name": nil, "annotation": nil, "trunk_sid": "",
            "uri": base + ".json",
        ]
        return CallResource(fields: fields, subresources: ["events": base + "/Events.json"])
    }

    private func isAuthorized(_ request: Request) -> Bool {
        let credentials = "\(self.configuration.accountSID):\(self.configuration.authToken)"
        return request.headers[.authorization] == "Basic " + Data(credentials.utf8).base64EncodedString()
    }

    private static func sid(_ parameter: String?) -> String? {
        parameter.flatMap { $0.hasSuffix(".json") ? String($0.dropLast(5)) : nil }
    }

    private static func day(_ text: String) -> Date? {
        try? Date(text + "T00:00:00Z", strategy: .iso8601)
    }

    private static func form(_ request: Request) async throws -> [(String, String)] {
        let body = try await request.body.collect(upTo: 1 << 16)
        return FormCoding.decode(String(buffer: body))
    }

    static func json(_ value: some Encodable) throws -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(bytes: try Ledger.encode(value)))
        )
    }

    private static func json(_ value: some Encodable, status: HTTPResponse.Status) throws -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        return Response(
            status: status,
            headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(bytes: try encoder.encode(value)))
        )
    }

    private static func error(_ status: Int, _ code: Int, _ message: String, retryAfter: Int? = nil) -> Response {
        var headers: HTTPFields = [.contentType: "application/json"]
        if let retryAfter { headers[.retryAfter] = String(retryAfter) }
        let info = "https://www.twilio.com/docs/errors/\(code)"
        let text = "{\"code\":\(code),\"message\":\"\(message)\",\"more_info\":\"\(info)\",\"status\":\(status)}"
        return Response(
            status: .init(code: status),
            headers: headers,
            body: .init(byteBuffer: ByteBuffer(string: text))
        )
    }

    private static var unauthorized: Response { Self.error(401, 20003, "Authenticate") }
    private static var notFound: Response { Self.error(404, 20404, "The requested resource was not found") }

    /// An answer that breaks off: the body that was announced never comes.
    private static var broken: Response {
        Response(
            status: .created,
            headers: [.contentType: "application/json", .contentLength: "4096"],
            body: .init { _ in throw BrokenOff() }
        )
    }

    private struct BrokenOff: Error {}
}
