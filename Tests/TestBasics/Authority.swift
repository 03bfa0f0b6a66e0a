// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A private certificate authority, for servers of a test's own. Its files can be read by every user of the machine.
public struct Authority: Sendable {
    /// The folder of all files.
    public let folder: String
    /// The authority's certificate.
    public var certificate: String { self.folder + "/ca.pem" }

    /// A server's certificate and key.
    public struct Identity: Sendable {
        /// The certificate's file.
        public let certificate: String
        /// The key's file.
        public let key: String
    }

    /// Makes an authority.
    /// - Throws: When openssl fails.
    public init() async throws {
        self.folder = FileManager.default.temporaryDirectory.path + "/authority-" + UUID().uuidString
        try await Shell.run("install -d -m 755 '\(self.folder)'")
        try await Shell.run(
            """
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=Private authority' \
            -keyout '\(self.folder)/ca.key' -out '\(self.certificate)'
            """
        )
    }

    /// Issues a certificate.
    /// - Parameters:
    ///   - name: The files' name.
    ///   - host: The host's DNS name.
    ///   - isExpired: Whether its time has passed.
    /// - Returns: Its files.
    /// - Throws: When openssl fails.
    public func issue(_ name: String, host: String, isExpired: Bool = false) async throws -> Identity {
        let identity = Identity(certificate: "\(self.folder)/\(name).pem", key: "\(self.folder)/\(name).key")
        // `openssl ca` alone sets both ends of the time; it keeps books.
        let validity =
            isExpired ? "-startdate 20200101000000Z -enddate 20200201000000Z" : "-days 2"
        let settings = """
            [ca]
            default_ca = books
            [books]
            database = \(self.folder)/\(name).index
            new_certs_dir = \(self.folder)
            default_md = sha256
            rand_serial = yes
            policy = any
            unique_subject = no
            [any]
            commonName = supplied
            [server]
            subjectAltName = DNS:\(host)
            """
        try settings.write(toFile: "\(self.folder)/\(name).cnf", atomically: false, encoding: .utf8)
        try await Shell.run(
            """
            cd '\(self.folder)' && : >\(name).index && \
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=\(host)' -keyout \(name).key \
            -out \(name).csr && \
            openssl ca -batch -notext -config \(name).cnf -extensions server -cert ca.pem -keyfile ca.key \(validity) \
            -in \(name).csr -out \(name).pem && chmod 644 \(name).key
            """
        )
        return identity
    }

    /// Removes all files.
    public func remove() { try? FileManager.default.removeItem(atPath: self.folder) }
}
