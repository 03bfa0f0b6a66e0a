// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// A call as the API shows it: texts and nulls, and where to ask for more.
struct CallResource: Encodable {
    private struct Key: CodingKey {
        let stringValue: String
        let intValue: Int? = nil

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    let fields: [String: String?]
    let subresources: [String: String]

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        for (name, value) in self.fields { try container.encode(value, forKey: Key(stringValue: name)) }
        try container.encode(self.subresources, forKey: Key(stringValue: "subresource_uris"))
    }
}

/// A page of calls.
struct CallPage: Encodable {
    let calls: [CallResource]
    let page: Int
    let pageSize: Int
    let uri: String
    let nextPageURI: String?

    enum CodingKeys: String, CodingKey {
        case calls
        case page
        case pageSize = "page_size"
        case uri
        case nextPageURI = "next_page_uri"
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(self.calls, forKey: .calls)
        try container.encode(self.page, forKey: .page)
        try container.encode(self.pageSize, forKey: .pageSize)
        try container.encode(self.uri, forKey: .uri)
        try container.encode(self.nextPageURI, forKey: .nextPageURI)
    }
}
