// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird

extension ProviderSimulator {
    /// The control endpoint: `POST /simulator/control/GATE/hold`, `/release`, `/pass?calls=N` and `/pass?to=NUMBER`, where
    /// GATE is `answer` or `end`. Each answers how many calls wait at each gate.
    static func addControl(to router: Router<BasicRequestContext>, exchange: Exchange, token: String) {
        router.post("/simulator/control/{gate}/{command}") { request, context in
            guard request.headers[.authorization] == "Bearer " + token else { return Response(status: .unauthorized) }
            guard let gate = context.parameters.get("gate").flatMap(CallControl.Gate.init) else {
                return Response(status: .notFound)
            }
            let query = request.uri.queryParameters
            switch context.parameters.get("command") {
            case "hold":
                await exchange.hold(gate)
            case "release":
                await exchange.release(gate)
            case "pass":
                if let count = query["calls"].flatMap({ Int($0) }), count > 0 {
                    await exchange.letThrough(count, gate)
                } else if let number = query["to"] {
                    await exchange.letThrough(to: String(number), gate)
                } else {
                    return Response(status: .badRequest)
                }
            default:
                return Response(status: .notFound)
            }
            return try ProviderAPI.json(await exchange.waiting)
        }
    }
}
