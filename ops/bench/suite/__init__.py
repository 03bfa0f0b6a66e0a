# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""The benchmarks; see `ops/bench/run --help`."""
