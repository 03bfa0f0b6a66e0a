// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What this process has used.
struct Usage: Codable {
    /// Processor time, user and system.
    let cpuSeconds: Double
    /// Memory in use now.
    let residentKiB: Int
    /// The most memory in use so far.
    let maximumResidentKiB: Int

    static var now: Usage {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        let pages = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ")
        return Usage(
            cpuSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            residentKiB: (pages.flatMap { $0.count > 1 ? Int($0[1]) : nil } ?? 0) * (sysconf(Int32(_SC_PAGESIZE)) / 1024),
            maximumResidentKiB: usage.ru_maxrss
        )
    }
}

/// Prints figures as one line of JSON.
func printFigures(_ figures: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = .sortedKeys
    FileHandle.standardOutput.write(try encoder.encode(figures) + Data("\n".utf8))
}
