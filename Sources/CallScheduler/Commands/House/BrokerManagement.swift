// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// RabbitMQ's management API, looked at.
struct BrokerManagement {
    /// Its origin, without user and password.
    let place: String
    private let authorization: String

    /// What it tells of limits and alarms.
    struct Limits {
        var alarms: [String] = []
        /// By the queue's name: after how many deliveries a message is given up.
        var deliveryLimits: [String: Int] = [:]
        /// How long a delivery may be held, by where that is said, as far as it can be seen.
        var consumerTimeouts: [(place: String, timeout: Duration)] = []
    }

    private struct Fault: Error, CustomStringConvertible {
        let description: String
    }

    /// - Parameter text: A URL, or `@FILE`.
    /// - Throws: ``UsageFault``, which quotes nothing of it.
    init(_ text: String) throws {
        var text = text
        if text.hasPrefix("@") {
            let path = String(text.dropFirst())
            guard let content = try? String(contentsOfFile: path, encoding: .utf8) else {
                throw UsageFault("management: \(path) cannot be read")
            }
            text = content.trimmingCharacters(in: .whitespacesAndNewlines)
        }
        guard var parts = URLComponents(string: text), ["http", "https"].contains(parts.scheme), parts.host != nil
        else {
            throw UsageFault("management: is no URL like http://user:password@host:15672, or @FILE")
        }
        let credentials = "\(parts.user ?? "guest"):\(parts.password ?? "guest")"
        self.authorization = "Basic " + Data(credentials.utf8).base64EncodedString()
        (parts.user, parts.password, parts.path) = (nil, nil, "")
        self.place = parts.string ?? ""
    }

    func limits(virtualHost: String) async throws -> Limits {
        let client = HTTPClient()
        do {
            let limits = try await self.limits(virtualHost, client)
            try? await client.shutdown()
            return limits
        } catch {
            try? await client.shutdown()
            throw error
        }
    }

    private func limits(_ virtualHost: String, _ client: HTTPClient) async throws -> Limits {
        let overview = try await self.get("overview", client) as? [String: Any]
        let version = overview?["rabbitmq_version"] as? String ?? ""
        // https://www.rabbitmq.com/docs/quorum-queues#position-of-poison-messages: 20 from version 4.0 on.
        let unlessSet = (version.split(separator: ".").first.flatMap { Int($0) } ?? 0) >= 4 ? 20 : nil
        let nodes = try await self.get("nodes", client) as? [[String: Any]] ?? []
        let name = virtualHost.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        let queues = try await self.get("queues/\(name)", client) as? [[String: Any]] ?? []
        var limits = Limits()
        for node in nodes {
            let place = node["name"] as? String ?? "a node"
            for (key, what) in [("mem_alarm", "memory"), ("disk_free_alarm", "disk")] where node[key] as? Bool == true {
                limits.alarms.append("\(place) is short of \(what), and takes no messages")
            }
            let files = (node["config_files"] as? [String] ?? []).compactMap {
                try? String(contentsOfFile: $0, encoding: .utf8)
            }
            guard !files.isEmpty else { continue }
            let values = files.flatMap { $0.split(separator: "\n") }.compactMap {
                $0.wholeMatch(of: /\s*consumer_timeout\s*=\s*(\d+)\s*(#.*)?/).flatMap { Int($0.1) }
            }
            limits.consumerTimeouts.append((place, .milliseconds(values.last ?? 1_800_000)))
        }
        for queue in queues {
            guard let name = queue["name"] as? String, name.hasPrefix("dial.requests.") else { continue }
            let policy = queue["effective_policy_definition"] as? [String: Any] ?? [:]
            let arguments = queue["arguments"] as? [String: Any] ?? [:]
            let given = [policy["delivery-limit"], arguments["x-delivery-limit"]].compactMap { $0 as? Int }
            // A negative one is none.
            if let limit = given.min() ?? unlessSet, limit >= 0 { limits.deliveryLimits[name] = limit }
            if let timeout = [policy["consumer-timeout"], arguments["x-consumer-timeout"]].compactMap({ $0 as? Int })
                .min()
            {
                limits.consumerTimeouts.append((name, .milliseconds(timeout)))
            }
        }
        return limits
    }

    private func get(_ path: String, _ client: HTTPClient) async throws -> Any {
        var request = HTTPClientRequest(url: "\(self.place)/api/\(path)")
        request.headers.add(name: "Authorization", value: self.authorization)
        let response: HTTPClientResponse
        do {
            response = try await client.execute(request, timeout: .seconds(5))
        } catch let error as IOError {
            throw Fault(description: String(cString: strerror(error.errnoCode)).lowercased())
        } catch let error as HTTPClientError {
            throw Fault(description: error.shortDescription)
        }
        guard response.status == .ok else { throw Fault(description: "/api/\(path) answers \(response.status)") }
        return try JSONSerialization.jsonObject(
            with: Data(try await response.body.collect(upTo: 64 << 20).readableBytesView)
        )
    }
}
