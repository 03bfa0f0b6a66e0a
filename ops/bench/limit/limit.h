// Call Scheduler
// SPDX-License-Identifier: Apache-2.0
//
// What the two halves of `limit` share.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct options {
    const char *database_url;
    const char *amqp_url;
    const char *statements; // a directory with NAME.sql for each statement
    const char *campaign;
    const char *trunk;
    long calls;
    int connections;
    int batch;
};

double now_seconds(void);
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Each makes its half of the work for all calls, checks it, and returns its seconds. `prepare_…` connects before the
// clock starts.
void prepare_database(const struct options *options);
double run_database(const struct options *options);
void prepare_broker(const struct options *options);
double run_broker(const struct options *options);
