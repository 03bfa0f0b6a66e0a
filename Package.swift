// swift-tools-version: 6.2
// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

func product(_ name: String, _ package: String) -> Target.Dependency {
    .product(name: name, package: package)
}

let logging = product("Logging", "swift-log")
let tracing = product("Tracing", "swift-distributed-tracing")
let inMemoryTracing = product("InMemoryTracing", "swift-distributed-tracing")
let metrics = product("Metrics", "swift-metrics")
let locks = product("NIOConcurrencyHelpers", "swift-nio")
let nioCore = product("NIOCore", "swift-nio")
let nioPosix = product("NIOPosix", "swift-nio")
let nioHTTP1 = product("NIOHTTP1", "swift-nio")
let collections = product("DequeModule", "swift-collections")
let heap = product("HeapModule", "swift-collections")
let lifecycle = product("ServiceLifecycle", "swift-service-lifecycle")
let hummingbird = product("Hummingbird", "hummingbird")
let hummingbirdTesting = product("HummingbirdTesting", "hummingbird")
let httpClient = product("AsyncHTTPClient", "async-http-client")
let httpTypes = product("HTTPTypes", "swift-http-types")
let crypto = product("Crypto", "swift-crypto")
let arguments = product("ArgumentParser", "swift-argument-parser")
let unixSignals = product("UnixSignals", "swift-service-lifecycle")

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

let package = Package(
    name: "call-scheduler",
    products: [
        .executable(name: "call-scheduler", targets: ["CallScheduler"]),
        .library(name: "Postgres", targets: ["Postgres"]),
        .library(name: "AMQP", targets: ["AMQP"]),
        // For `ops/bench`, which measures the roles as they are.
        .library(
            name: "Roles",
            targets: [
                "AMQP", "CallModel", "CallQueues", "CallStore", "Dialing", "Observability", "Postgres", "Recording",
                "Selection",
                "Telephony",
            ]
        ),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .systemLibrary(
            name: "CLibPQ",
            pkgConfig: "libpq",
            providers: [.apt(["libpq-dev"])]
        ),
        .systemLibrary(
            name: "CRabbitMQ",
            pkgConfig: "librabbitmq",
            providers: [.apt(["librabbitmq-dev"])]
        ),
        .systemLibrary(
            name: "CIcal",
            pkgConfig: "libical",
            providers: [.apt(["libical-dev"])]
        ),
        .systemLibrary(name: "CEventFD"),
        .target(
            name: "CPhoneNumber",
            linkerSettings: [.linkedLibrary("phonenumber"), .linkedLibrary("protobuf")]
        ),
        .target(
            name: "Schemas",
            path: "Schemas",
            exclude: ["Postgres/current.sql"],
            resources: [
                .embedInCode("Postgres/0001_campaigns_contacts_attempts.sql"),
                .embedInCode("Postgres/0002_survey_outcomes.sql"),
                .embedInCode("Postgres/0003_retry_by_outcome.sql"),
                .embedInCode("Postgres/0004_weekly_windows.sql"),
                .embedInCode("Postgres/0005_number_limits.sql"),
                .embedInCode("Postgres/0006_contact_imports.sql"),
                .embedInCode("Postgres/0007_strata.sql"),
                .embedInCode("Postgres/0008_policies.sql"),
                .embedInCode("Postgres/0009_exclusions_and_consent.sql"),
                .embedInCode("Postgres/0010_shares_and_quotas.sql"),
                .embedInCode("Postgres/0011_day_parts.sql"),
                .embedInCode("Postgres/0012_evidence_and_erasure.sql"),
                .embedInCode("Postgres/0013_ringing.sql"),
                .embedInCode("Postgres/0014_fewer_index_entries.sql"),
                .embedInCode("Postgres/0015_rests_during_calls.sql"),
                .embedInCode("Postgres/0016_counters.sql"),
                .embedInCode("Postgres/0017_calls_in_the_cap.sql"),
                .embedInCode("Postgres/0018_excluded_interviews.sql"),
                .embedInCode("Postgres/0019_rules_at_dial.sql"),
                .embedInCode("Postgres/0020_words_of_persons.sql"),
                .embedInCode("Postgres/0021_number_changes.sql"),
                .embedInCode("Postgres/0022_canceled_by_us.sql"),
                .embedInCode("Postgres/0023_country_rests.sql"),
                .embedInCode("Postgres/0024_words_of_interviews.sql"),
                .embedInCode("Postgres/0025_unknown_zones.sql"),
                .embedInCode("Postgres/0026_roles.sql"),
                .embedInCode("Postgres/0027_operators.sql"),
                .embedInCode("Postgres/0028_appointments.sql"),
                .embedInCode("Postgres/0029_consent_with_proof.sql"),
                .embedInCode("Postgres/0030_zone_evidence.sql"),
                .embedInCode("Numbers/changes-since.json"),
                .embedInCode("Numbers/zones.json"),
                .embedInCode("Messages/dial-request.v1.json"),
                .embedInCode("Messages/call-event.v1.json"),
                .embedInCode("Messages/survey-event.v1.json"),
                .embedInCode("Messages/survey-outcome.v1.json"),
                .embedInCode("Policies/au.json"),
                .embedInCode("Policies/br.json"),
                .embedInCode("Policies/ca.json"),
                .embedInCode("Policies/cautious.json"),
                .embedInCode("Policies/de.json"),
                .embedInCode("Policies/es.json"),
                .embedInCode("Policies/fr.json"),
                .embedInCode("Policies/fr-research.json"),
                .embedInCode("Policies/gb.json"),
                .embedInCode("Policies/in.json"),
                .embedInCode("Policies/it.json"),
                .embedInCode("Policies/it-research.json"),
                .embedInCode("Policies/pt.json"),
                .embedInCode("Policies/us.json"),
                .embedInCode("Policies/us-strict.json"),
                .embedInCode("Policies/policy.v1.schema.json"),
            ],
            swiftSettings: settings
        ),
        module("ThreadEngine", ["CEventFD", locks, collections]),
        module("Postgres", ["CLibPQ", "ThreadEngine", logging, locks, collections]),
        module("AMQP", ["CRabbitMQ", "ThreadEngine", logging, locks, collections]),
        module("CallModel", []),
        module("ContactFiles", ["CallModel", "CIcal"]),
        module("Forecasting", ["CallModel"]),
        module("PhoneNumbers", ["CallModel", "CPhoneNumber", "Schemas"]),
        module("CallStore", ["CallModel", "Postgres", "Schemas", logging, locks, crypto]),
        module("CallQueues", ["AMQP", "CallModel", logging, tracing]),
        module("Telephony", ["CallModel", logging, httpClient, nioCore, nioHTTP1, crypto]),
        module("Observability", [logging, metrics, tracing, hummingbird, lifecycle, locks, nioCore]),
        module(
            "Selection",
            [
                "CallModel", "CallStore", "CallQueues", "AMQP", "Observability", logging, metrics, tracing, lifecycle,
                locks,
            ]
        ),
        module(
            "Dialing",
            [
                "CallModel", "CallStore", "CallQueues", "AMQP", "Telephony", "Observability", logging, metrics, tracing,
                lifecycle, locks, collections,
            ]
        ),
        module(
            "Recording",
            [
                "CallModel", "CallStore", "CallQueues", "AMQP", "Observability", "Postgres", logging, metrics, tracing,
                lifecycle, locks, collections,
            ]
        ),
        module(
            "Webhooks",
            [
                "CallModel", "CallQueues", "CallStore", "AMQP", "Telephony", "Observability", logging, metrics, tracing, lifecycle,
                locks, hummingbird, httpTypes, nioCore,
            ]
        ),
        module(
            "ProviderSimulator",
            [logging, heap, hummingbird, httpTypes, httpClient, nioCore, nioHTTP1, crypto, lifecycle]
        ),
        .executableTarget(
            name: "CallScheduler",
            dependencies: [
                "AMQP", "CallModel", "CallQueues", "CallStore", "ContactFiles", "Dialing", "Forecasting",
                "Observability", "PhoneNumbers",
                "Postgres", "ProviderSimulator", "Recording", "Selection", "Telephony", "Webhooks",
                arguments, crypto, httpClient, nioCore, nioHTTP1, lifecycle, locks, logging, metrics, tracing, unixSignals,
            ],
            swiftSettings: settings
        ),
        .target(
            name: "TestBasics",
            dependencies: [httpClient, nioCore],
            path: "Tests/TestBasics",
            swiftSettings: settings
        ),
        .target(
            name: "TestSupport",
            dependencies: [
                "AMQP", "CallModel", "CallStore", "Postgres", "ProviderSimulator", "TestBasics",
                httpClient, locks, logging, nioCore, nioHTTP1,
            ],
            path: "Tests/TestSupport",
            swiftSettings: settings
        ),
        tests("PostgresTests", ["Postgres", "TestBasics", logging, locks]),
        tests("ThreadEngineTests", ["ThreadEngine", "TestBasics", collections]),
        tests("AMQPTests", ["AMQP", "TestBasics", logging, httpClient, nioCore, nioHTTP1]),
        tests(
            "TelephonyTests",
            ["CallModel", "Telephony", "TestBasics", httpClient, nioCore, nioPosix, locks, logging, crypto]
        ),
        tests("CallModelTests", ["CallModel", "Schemas", "TestBasics"]),
        tests("ContactFilesTests", ["CallModel", "ContactFiles", "TestBasics"]),
        tests("ForecastingTests", ["CallModel", "Forecasting", "TestBasics"]),
        tests("PhoneNumbersTests", ["CallModel", "CPhoneNumber", "PhoneNumbers", "TestBasics"]),
        tests(
            "CallStoreTests",
            ["CallModel", "CallStore", "Postgres", "Schemas", "TestBasics", "TestSupport", logging]
        ),
        tests(
            "RoleTests",
            [
                "AMQP", "CallModel", "CallQueues", "CallStore", "Dialing", "Postgres", "Recording", "Observability",
                "Schemas",
                "Selection", "Telephony", "TestBasics", "TestSupport", "Webhooks", hummingbird, hummingbirdTesting,
                httpClient,
                httpTypes, inMemoryTracing, lifecycle, locks, logging, nioCore, nioHTTP1, tracing,
            ]
        ),
        tests("ProviderSimulatorTests", ["ProviderSimulator", "TestBasics", httpClient, nioCore, nioHTTP1, logging]),
        tests(
            "PipelineTests",
            [
                "AMQP", "CallModel", "CallQueues", "CallStore", "Observability", "Postgres", "ProviderSimulator",
                "TestBasics",
                "TestSupport", httpClient, logging, metrics, nioCore, nioHTTP1,
            ]
        ),
        tests(
            "FaultTests",
            [
                "AMQP", "CallModel", "CallQueues", "CallStore", "Observability", "Postgres", "ProviderSimulator",
                "Telephony", "TestBasics", "TestSupport", httpClient, locks, logging, nioCore, nioHTTP1, nioPosix,
            ]
        ),
    ],
    cxxLanguageStandard: .cxx17
)
