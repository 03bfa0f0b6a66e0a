// swift-tools-version: 6.1
// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let roles = Target.Dependency.product(name: "Roles", package: "call-scheduler")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let locks = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let tracing = Target.Dependency.product(name: "Tracing", package: "swift-distributed-tracing")

// A package of its own, so that nobody who builds the product builds what measures it.
let package = Package(
    name: "call-scheduler-bench",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "call-scheduler", path: "../.."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        // Its default trait wants jemalloc and interposers, which count nothing here.
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .executableTarget(
            name: "bench-roles",
            dependencies: [roles, arguments, histogram, lifecycle, locks, logging, metrics, signals, tracing],
            path: "Sources/BenchRoles",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "bench-clients",
            dependencies: [roles, arguments, logging],
            path: "Sources/BenchClients",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "InProcess",
            dependencies: [roles, logging, .product(name: "Benchmark", package: "benchmark")],
            path: "Benchmarks/InProcess",
            swiftSettings: settings,
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]
        ),
    ]
)
