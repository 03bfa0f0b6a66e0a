// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The programs of the PostgreSQL server that is installed.
public enum PostgresPrograms {
    private struct Missing: Error, CustomStringConvertible {
        let description = "no PostgreSQL server is installed: run `ops/stack up`, which installs one"
    }

    /// The folder of the newest, as `postgres_programs` in `ops/lib.sh` finds it.
    public static var folder: String {
        get throws {
            let parent = "/usr/lib/postgresql"
            let versions = (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? []
            let folders = versions.sorted { (Double($0) ?? 0) > (Double($1) ?? 0) }.map { "\(parent)/\($0)/bin" }
            let whole = folders.first { folder in
                ["initdb", "postgres", "psql"].allSatisfy {
                    FileManager.default.isExecutableFile(atPath: "\(folder)/\($0)")
                }
            }
            guard let whole else { throw Missing() }
            return whole
        }
    }
}
