// Call Scheduler
// SPDX-License-Identifier: Apache-2.0
//
// The database's half: one connection claims at a time, as one Selector does; the batch then goes through the other
// statements on the connection that claimed it. Everything is prepared and binary.
#include "limit.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UUID = 2950, INT8 = 20, FLOAT8 = 701, TEXT = 25, BOOL = 16, TIMESTAMPTZ = 1184 };
enum { UUIDS = 2951, INT8S = 1016, FLOAT8S = 1022, TEXTS = 1009, BOOLS = 1000, TIMESTAMPTZS = 1185 };

// What a parameter is, or where a column of the answer goes.
enum value {
    NONE,
    CAMPAIGN, LIMIT, LEASE, DIALER, TRUNK, MARGIN,
    CALL_IDS, CONTACT_IDS, EXPIRIES, PROVIDER_IDS, RAW_STATUSES, RANKS, NO_TEXTS, NO_TIMES, FALSES, EVENT_IDS,
};

struct reading {
    int column;
    enum value value;
};

// One row for each statement of a call's life, in their order: adapt this when the product's statements change.
static const struct statement {
    const char *name;
    enum value parameters[12];
    // The answer's columns that later statements need, `NONE` last. Rows without the first one are left out.
    struct reading readings[4];
} statements[] = {
    {"claim_contacts", {CAMPAIGN, LIMIT, LEASE, LIMIT}, {{0, CALL_IDS}, {1, CONTACT_IDS}, {4, EXPIRIES}}},
    {"begin_attempt", {CALL_IDS, CONTACT_IDS, EXPIRIES, DIALER, TRUNK, MARGIN}, {{0}}},
    {"mark_attempts_placed", {CALL_IDS, PROVIDER_IDS, RAW_STATUSES}, {{0}}},
    {"record_reports",
     {CALL_IDS, PROVIDER_IDS, RANKS, NO_TEXTS, RAW_STATUSES, NO_TEXTS, NO_TIMES, FALSES, NO_TIMES},
     {{5, EVENT_IDS}}},
    {"mark_events_published", {EVENT_IDS}, {{0}}},
};
enum { STATEMENTS = sizeof statements / sizeof *statements, LARGEST_BATCH = 5000 };

struct batch {
    int count;
    unsigned char call_ids[LARGEST_BATCH][16], contact_ids[LARGEST_BATCH][16], event_ids[LARGEST_BATCH][16];
    unsigned char expiries[LARGEST_BATCH][8];
    int events;
};

struct worker {
    const struct options *options;
    PGconn *connection;
    struct batch *batch;
    char *buffers[12];
    pthread_t thread;
};

static struct worker workers[16];
static pthread_mutex_t claiming = PTHREAD_MUTEX_INITIALIZER;
static long claimed;
static unsigned char campaign_id[16];

static void put32(char **at, uint32_t value) {
    value = htonl(value);
    memcpy(*at, &value, 4);
    *at += 4;
}

static void put64(char **at, uint64_t value) {
    put32(at, (uint32_t)(value >> 32));
    put32(at, (uint32_t)value);
}

static Oid type_of(enum value value) {
    switch (value) {
    case CAMPAIGN: return UUID;
    case LIMIT: return INT8;
    case LEASE: case MARGIN: return FLOAT8;
    case DIALER: case TRUNK: return TEXT;
    case CALL_IDS: case CONTACT_IDS: case EVENT_IDS: return UUIDS;
    case EXPIRIES: case NO_TIMES: return TIMESTAMPTZS;
    case PROVIDER_IDS: case RAW_STATUSES: case NO_TEXTS: return TEXTS;
    case RANKS: return INT8S;
    case FALSES: return BOOLS;
    case NONE: break;
    }
    return 0;
}

static Oid element_of(Oid type) {
    switch (type) {
    case UUIDS: return UUID;
    case INT8S: return INT8;
    case FLOAT8S: return FLOAT8;
    case TEXTS: return TEXT;
    case BOOLS: return BOOL;
    default: return TIMESTAMPTZ;
    }
}

static void put_double(char **at, double number) {
    uint64_t bits;
    memcpy(&bits, &number, 8);
    put64(at, bits);
}

static void put_text(char **at, const char *text) {
    size_t length = strlen(text);
    memcpy(*at, text, length);
    *at += length;
}

static void put_element(char **at, enum value value, const struct batch *batch, int index) {
    static const char hex[] = "0123456789abcdef";
    switch (value) {
    case CALL_IDS: put32(at, 16); memcpy(*at, batch->call_ids[index], 16); *at += 16; break;
    case CONTACT_IDS: put32(at, 16); memcpy(*at, batch->contact_ids[index], 16); *at += 16; break;
    case EVENT_IDS: put32(at, 16); memcpy(*at, batch->event_ids[index], 16); *at += 16; break;
    case EXPIRIES: put32(at, 8); memcpy(*at, batch->expiries[index], 8); *at += 8; break;
    case PROVIDER_IDS:
        put32(at, 34);
        put_text(at, "CA");
        for (int byte = 0; byte < 16; byte++) {
            *(*at)++ = hex[batch->call_ids[index][byte] >> 4];
            *(*at)++ = hex[batch->call_ids[index][byte] & 15];
        }
        break;
    case RAW_STATUSES: put32(at, 9); put_text(at, "completed"); break;
    case RANKS: put32(at, 8); put64(at, 10); break;
    case FALSES: put32(at, 1); *(*at)++ = 0; break;
    default: put32(at, UINT32_MAX); break; // null
    }
}

// Writes a parameter in binary and returns its length.
static int put_parameter(char *buffer, enum value value, const struct worker *worker) {
    const struct options *options = worker->options;
    const struct batch *batch = worker->batch;
    char *at = buffer;
    switch (value) {
    case CAMPAIGN: memcpy(at, campaign_id, 16); return 16;
    case LIMIT: put64(&at, (uint64_t)options->batch); return 8;
    case LEASE: put_double(&at, 300); return 8;
    case MARGIN: put_double(&at, 60); return 8;
    case DIALER: put_text(&at, "limit"); break;
    case TRUNK: put_text(&at, options->trunk); break;
    default: {
        int count = value == EVENT_IDS ? batch->events : batch->count;
        put32(&at, 1);
        put32(&at, value == NO_TEXTS || value == NO_TIMES);
        put32(&at, element_of(type_of(value)));
        put32(&at, (uint32_t)count);
        put32(&at, 1);
        for (int index = 0; index < count; index++) put_element(&at, value, batch, index);
    }
    }
    return (int)(at - buffer);
}

static void read_answer(const struct statement *statement, const PGresult *result, struct batch *batch) {
    if (statement->readings[0].value == NONE) return;
    bool claims = statement->readings[0].value == CALL_IDS;
    int count = 0;
    for (int row = 0; row < PQntuples(result); row++) {
        if (PQgetisnull(result, row, statement->readings[0].column)) continue;
        for (const struct reading *reading = statement->readings; reading->value != NONE; reading++) {
            const char *value = PQgetvalue(result, row, reading->column);
            switch (reading->value) {
            case CALL_IDS: memcpy(batch->call_ids[count], value, 16); break;
            case CONTACT_IDS: memcpy(batch->contact_ids[count], value, 16); break;
            case EXPIRIES: memcpy(batch->expiries[count], value, 8); break;
            case EVENT_IDS: memcpy(batch->event_ids[count], value, 16); break;
            default: fail("%s: a column of this kind cannot be read", statement->name);
            }
        }
        count++;
    }
    if (claims) batch->count = count;
    else batch->events = count;
}

static void execute(struct worker *worker, const struct statement *statement) {
    const char *values[12];
    int lengths[12], formats[12], count = 0;
    for (; statement->parameters[count] != NONE; count++) {
        values[count] = worker->buffers[count];
        lengths[count] = put_parameter(worker->buffers[count], statement->parameters[count], worker);
        formats[count] = 1;
    }
    PGresult *result = PQexecPrepared(worker->connection, statement->name, count, values, lengths, formats, 1);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        fail("%s: %s", statement->name, PQerrorMessage(worker->connection));
    read_answer(statement, result, worker->batch);
    PQclear(result);
}

static char *read_statement(const struct options *options, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.sql", options->statements, name);
    FILE *file = fopen(path, "r");
    if (!file) fail("there is no statement %s", path);
    char *text = calloc(1, 65536);
    if (!text || fread(text, 1, 65535, file) == 0) fail("%s cannot be read", path);
    fclose(file);
    return text;
}

static void prepare_worker(struct worker *worker, const struct options *options) {
    worker->options = options;
    worker->batch = calloc(1, sizeof *worker->batch);
    for (int index = 0; index < 12; index++) worker->buffers[index] = malloc((size_t)LARGEST_BATCH * 40 + 64);
    worker->connection = PQconnectdb(options->database_url);
    if (PQstatus(worker->connection) != CONNECTION_OK) fail("%s", PQerrorMessage(worker->connection));
    for (int index = 0; index < STATEMENTS; index++) {
        const struct statement *statement = &statements[index];
        Oid types[12];
        int count = 0;
        for (; statement->parameters[count] != NONE; count++) types[count] = type_of(statement->parameters[count]);
        char *text = read_statement(options, statement->name);
        PGresult *result = PQprepare(worker->connection, statement->name, text, count, types);
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            fail("%s: %s", statement->name, PQerrorMessage(worker->connection));
        PQclear(result);
        free(text);
    }
}

void prepare_database(const struct options *options) {
    int digits = 0;
    for (const char *at = options->campaign; *at && digits < 32; at++) {
        if (*at == '-') continue;
        unsigned value;
        if (sscanf((char[]){*at, 0}, "%1x", &value) != 1) fail("--campaign is not a UUID");
        campaign_id[digits / 2] = (unsigned char)(campaign_id[digits / 2] << 4 | value);
        digits++;
    }
    if (digits != 32) fail("--campaign is not a UUID");
    for (int index = 0; index < options->connections; index++) prepare_worker(&workers[index], options);
}

static void *work(void *argument) {
    struct worker *worker = argument;
    while (true) {
        pthread_mutex_lock(&claiming);
        bool is_done = claimed >= worker->options->calls;
        if (!is_done) {
            execute(worker, &statements[0]);
            if (worker->batch->count == 0)
                fail("%ld of %ld contacts were claimed, and no more are due", claimed, worker->options->calls);
            claimed += worker->batch->count;
        }
        pthread_mutex_unlock(&claiming);
        if (is_done) return NULL;
        for (int index = 1; index < STATEMENTS; index++) execute(worker, &statements[index]);
    }
}

double run_database(const struct options *options) {
    double start = now_seconds();
    for (int index = 0; index < options->connections; index++)
        pthread_create(&workers[index].thread, NULL, work, &workers[index]);
    for (int index = 0; index < options->connections; index++) pthread_join(workers[index].thread, NULL);
    return now_seconds() - start;
}
