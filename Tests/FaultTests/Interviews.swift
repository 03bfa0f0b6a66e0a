// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import CallModel
import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import Postgres

@testable import struct ProviderSimulator.SeededGenerator

/// Conducts interviews, all the time, and reports what became of them: what is answered with 2xx must be kept for good.
final class Interviews: Sendable {
    private static let path = "/v1/calls/"

    private let house: FaultHouse
    private let seed: UInt64
    private let accepted = NIOLockedValueBox<[String: SurveyOutcomeReport.Outcome]>([:])

    init(house: FaultHouse, seed: UInt64) {
        self.house = house
        self.seed = seed
    }

    /// By call, the strongest word that was answered with 2xx.
    var reported: [String: SurveyOutcomeReport.Outcome] { self.accepted.withLockedValue(\.self) }

    func run(until isOver: () -> Bool) async {
        var random = SeededGenerator(seed: self.seed, words: ["interviews"])
        var done: Set<String> = []
        while !isOver() {
            do {
                // Calls that somebody has answered; some of them will be over when their outcome comes.
                let result = try await self.house.client.execute(
                    PostgresStatement(
                        """
                        select call_id::text from call_attempts
                        where answered_at > now() - interval '20 seconds' and survey_outcome is null
                            and answered_by is distinct from 'machine'
                        order by id desc limit 20
                        """,
                        prepared: false
                    ),
                    []
                )
                for row in try result.map({ $0 }) {
                    let callID = try row.decode(String.self, at: 0)
                    guard done.insert(callID).inserted else { continue }
                    let chance = Int.random(in: 0..<10, using: &random)
                    let pause = Int.random(in: 0...300, using: &random)
                    guard chance < 6 else { continue }
                    try await Task.sleep(for: .milliseconds(pause))
                    await self.report(callID, chance < 3 ? .completed : chance < 5 ? .refused : .optOut)
                }
            } catch {
                self.house.log.note("interviews: \(error)")
            }
            try? await Task.sleep(for: .milliseconds(200))
        }
    }

    /// Reports until it is taken or the interviewer's patience is over, as a client would.
    private func report(_ callID: String, _ outcome: SurveyOutcomeReport.Outcome) async {
        for _ in 0..<3 {
            var request = HTTPClientRequest(url: self.house.url(.webhooks) + Self.path + callID + "/outcome")
            request.method = .POST
            request.headers.add(name: "Authorization", value: "Bearer " + FaultHouse.outcomeToken)
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(string: #"{"outcome": "\#(outcome.rawValue)"}"#))
            let response = try? await HTTPClient.shared.execute(request, timeout: .seconds(5))
            if let response, 200..<300 ~= response.status.code {
                self.accepted.withLockedValue { accepted in
                    if outcome.rank > accepted[callID]?.rank ?? 0 { accepted[callID] = outcome }
                }
                self.house.log.count("an interview's \(outcome.rawValue) taken")
                return
            }
            // Nobody would ask a second time after this.
            if let response, 400..<500 ~= response.status.code {
                self.house.log.unexpected("an interview's word on call_id=\(callID) met \(response.status.code)")
                return
            }
            try? await Task.sleep(for: .milliseconds(300))
        }
    }
}
