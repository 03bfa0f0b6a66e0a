// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestBasics
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct SystemdTests {
    /// The socket that systemd would listen on.
    private struct NotifySocket {
        let path: String
        private let descriptor: Int32

        init() throws {
            self.path = FileManager.default.temporaryDirectory.path + "/notify-" + UUID().uuidString.prefix(8)
            self.descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(self.path.utf8)) }
            let result = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                    bind(self.descriptor, generic, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            guard result == 0 else { throw POSIXError(.EADDRINUSE) }
        }

        /// What has arrived and was not read yet.
        func messages() -> [String] {
            var messages: [String] = []
            var buffer = [UInt8](repeating: 0, count: 256)
            while true {
                let count = recv(self.descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
                guard count > 0 else { return messages }
                messages.append(String(decoding: buffer[..<count], as: UTF8.self))
            }
        }

        func close() {
            _ = Glibc.close(self.descriptor)
            unlink(self.path)
        }
    }

    @Test("a role tells systemd that it is ready, that it lives, and that it stops")
    func notify() async throws {
        try await Scratch.run { scratch in
            let socket = try NotifySocket()
            defer { socket.close() }
            let environment = [
                "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL, "NOTIFY_SOCKET": socket.path,
                "WATCHDOG_USEC": "600000", "SELECTOR_INTERVAL_SECONDS": "0.5",
            ]
            let role = try RunningRole(["selector"], environment)
            var heard: [String] = []
            try await eventually("it is ready and lives") {
                heard += socket.messages()
                return heard.contains("READY=1") && heard.filter { $0 == "WATCHDOG=1" }.count >= 3
            }
            #expect(heard.filter { $0 == "READY=1" }.count == 1)
            await role.stop()
            heard = socket.messages()
            #expect(heard.last == "STOPPING=1", "\(heard)")
        }
    }

    @Test("systemd finds no fault in the units, and calls none of them exposed")
    func units() async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/units-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        // The program is not installed here; an instance stands for the template.
        try await Shell.run(
            """
            mkdir '\(folder)' && cd '\(Shell.root.path)/ops/systemd' && for unit in *.service; do \
            sed 's#/usr/bin/call-scheduler#/bin/true#' "$unit" >"\(folder)/${unit/@./@1.}"; done && cd '\(folder)' && \
            for unit in *.service; do faults=$(systemd-analyze verify --man=no "./$unit" 2>&1); \
            [[ -z $faults ]] || { echo "$unit: $faults"; exit 1; }; \
            systemd-analyze security --offline=yes --threshold=20 "./$unit" >/dev/null || { echo "$unit is exposed"; exit 1; }; \
            for line in DynamicUser=yes ProtectSystem=strict CapabilityBoundingSet=; do \
            grep -qx "$line" "$unit" || { echo "$unit has no line $line"; exit 1; }; done; done
            """
        )
        let count = try FileManager.default.contentsOfDirectory(atPath: folder).count
        #expect(count == 4)
    }
}
