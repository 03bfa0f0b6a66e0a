// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestBasics
import TestSupport
import Testing

/// What people have before them at a terminal.
@Suite(.timeLimit(.minutes(20)))
struct TerminalTests {
    @Test("on a terminal, status --watch redraws its picture with what has changed, until it is interrupted")
    func watch() async throws {
        try await Scratch.run { scratch in
            // `script` gives the command a terminal of its own.
            let program = try Product.folder.appendingPathComponent("call-scheduler").path
            let terminal = try RunningRole(
                ["-qefc", "exec '\(program)' status --watch --every 1", "/dev/null"],
                ["DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL],
                program: "/usr/bin/script"
            )
            let clear = "\u{1B}[H\u{1B}[2J"
            let outcome: Result<Void, any Error>
            do {
                try await eventually("it has drawn a picture") { terminal.log.contains("Ctrl-C ends it") }
                _ = try await Fixtures.runningCampaign(in: scratch.store, name: "newcomer", contacts: 7)
                try await eventually("it has drawn another, with the new campaign") {
                    let pictures = terminal.log.components(separatedBy: clear)
                    return pictures.count >= 3 && pictures.last?.contains("newcomer") == true
                }
                #expect(terminal.log.hasPrefix(clear))
                #expect(!terminal.log.components(separatedBy: clear)[1].contains("newcomer"))
                let drawn = terminal.log.components(separatedBy: clear).count
                try await eventually("it goes on") { terminal.log.components(separatedBy: clear).count > drawn }
                try await Shell.run("pkill -INT -P \(terminal.identifier)")
                try await eventually("it ends when it is interrupted") { !terminal.isRunning }
                #expect(terminal.end == .exit(130), "\(terminal.log.suffix(500))")
                outcome = .success(())
            } catch {
                print(terminal.log.suffix(2000))
                outcome = .failure(error)
            }
            await terminal.stop()
            try outcome.get()
        }
    }

    @Test("completions are made from the parser, and a shell completes with them", arguments: ["bash", "zsh", "fish"])
    func completions(shell: String) async throws {
        let script = try await Product.run(["--generate-completion-script", shell])
        #expect(script.exitCode == 0)
        for word in ["campaign", "forecast", "exclusions", "--watch", "--retry-jitter-percent"] {
            // Fish has no dashes before long options.
            #expect(script.output.contains(shell == "fish" ? word.replacing(/^--/, with: "") : word), "\(word)")
        }
        guard shell == "bash" else { return }
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: file) }
        try script.output.write(to: file, atomically: true, encoding: .utf8)
        let offered = try await Shell.output(
            """
            source '\(file.path)'; COMP_WORDS=(call-scheduler campaign fore) COMP_CWORD=2 COMP_LINE='call-scheduler campaign fore' \
            COMP_POINT=28; $(complete -p call-scheduler | sed 's/.*-F \\([^ ]*\\).*/\\1/') call-scheduler fore campaign; \
            echo "${COMPREPLY[@]}"
            """
        )
        #expect(offered.trimmingCharacters(in: .whitespacesAndNewlines) == "forecast")
    }
}
