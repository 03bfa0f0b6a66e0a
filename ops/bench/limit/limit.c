// Call Scheduler
// SPDX-License-Identifier: Apache-2.0
//
// The durable work of so many calls without the product's code: its statements, batches and rows at PostgreSQL, and as
// many messages of its sizes through RabbitMQ, both at once. Prints one JSON line.
//
//   limit --database-url URL --amqp-url URL --statements DIRECTORY --campaign ID --calls N
//         [--part both|database|broker] [--connections N] [--batch N] [--trunk NAME]
#include "limit.h"

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

double now_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("limit: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static struct options options = {.trunk = "default", .connections = 2, .batch = 500};
static double broker_seconds;

static void *broker_thread(void *unused) {
    (void)unused;
    broker_seconds = run_broker(&options);
    return NULL;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static const char *read_options(int count, char **arguments) {
    static const struct option names[] = {
        {"database-url", required_argument, NULL, 'd'}, {"amqp-url", required_argument, NULL, 'a'},
        {"statements", required_argument, NULL, 's'},   {"campaign", required_argument, NULL, 'k'},
        {"calls", required_argument, NULL, 'n'},        {"part", required_argument, NULL, 'p'},
        {"connections", required_argument, NULL, 'c'},  {"batch", required_argument, NULL, 'b'},
        {"trunk", required_argument, NULL, 't'},        {NULL, 0, NULL, 0},
    };
    const char *part = "both";
    int name;
    while ((name = getopt_long(count, arguments, "", names, NULL)) != -1) {
        switch (name) {
        case 'd': options.database_url = optarg; break;
        case 'a': options.amqp_url = optarg; break;
        case 's': options.statements = optarg; break;
        case 'k': options.campaign = optarg; break;
        case 'n': options.calls = atol(optarg); break;
        case 'p': part = optarg; break;
        case 'c': options.connections = atoi(optarg); break;
        case 'b': options.batch = atoi(optarg); break;
        case 't': options.trunk = optarg; break;
        default: exit(64);
        }
    }
    if (options.calls < 1 || options.connections < 1 || options.connections > 16 || options.batch < 1
        || options.batch > 5000)
        fail("--calls, --connections or --batch is out of range");
    if (strcmp(part, "both") && strcmp(part, "database") && strcmp(part, "broker")) fail("--part %s is unknown", part);
    return part;
}

int main(int count, char **arguments) {
    const char *part = read_options(count, arguments);
    bool has_database = strcmp(part, "broker") != 0, has_broker = strcmp(part, "database") != 0;
    if (has_database && (!options.database_url || !options.statements || !options.campaign))
        fail("--database-url, --statements and --campaign are needed");
    if (has_broker && !options.amqp_url) fail("--amqp-url is needed");
    signal(SIGPIPE, SIG_IGN);
    if (has_database) prepare_database(&options);
    if (has_broker) prepare_broker(&options);
    double cpu = cpu_seconds(), start = now_seconds(), database_seconds = 0;
    pthread_t thread;
    if (has_broker) pthread_create(&thread, NULL, broker_thread, NULL);
    if (has_database) database_seconds = run_database(&options);
    if (has_broker) pthread_join(thread, NULL);
    double seconds = now_seconds() - start;
    printf(
        "{\"part\":\"%s\",\"calls\":%ld,\"seconds\":%.3f,\"calls_per_second\":%.0f,\"database_seconds\":%.3f,"
        "\"broker_seconds\":%.3f,\"cpu_seconds\":%.3f}\n",
        part, options.calls, seconds, (double)options.calls / seconds, database_seconds, broker_seconds,
        cpu_seconds() - cpu);
    return 0;
}
