// Call Scheduler
// SPDX-License-Identifier: Apache-2.0
//
// What `bench-clients` does, by libpq and librabbitmq with nothing around them:
//   clients publish|consume|select|insert URL COUNT
// Prints one line of JSON. `publish` makes the queue that `consume` empties.
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <libpq-fe.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { WINDOW = 1000, PREFETCH = 1000, ACK_EVERY = 100, BODY = 300, ROWS = 500 };
#define QUEUE "bench.clients"

static void fail(const char *what) {
    fprintf(stderr, "clients: %s\n", what);
    exit(1);
}

static double seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void check(amqp_rpc_reply_t reply, const char *what) {
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) fail(what);
}

static amqp_connection_state_t open_broker(const char *url) {
    struct amqp_connection_info info;
    amqp_default_connection_info(&info);
    if (amqp_parse_url(strdup(url), &info) != AMQP_STATUS_OK) fail("not an AMQP URL");
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    if (!socket || amqp_socket_open(socket, info.host, info.port) != AMQP_STATUS_OK) fail("no broker");
    const char *vhost = info.vhost[0] ? info.vhost : "/";
    check(amqp_login(connection, vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password), "login");
    amqp_channel_open(connection, 1);
    check(amqp_get_rpc_reply(connection), "channel");
    amqp_table_entry_t quorum = {
        .key = amqp_cstring_bytes("x-queue-type"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value = {.bytes = amqp_cstring_bytes("quorum")}}};
    amqp_queue_declare(connection, 1, amqp_cstring_bytes(QUEUE), 0, 1, 0, 0, (amqp_table_t){1, &quorum});
    check(amqp_get_rpc_reply(connection), "queue");
    return connection;
}

static void publish(const char *url, long count, double *start, double *cpu) {
    amqp_connection_state_t connection = open_broker(url);
    amqp_confirm_select(connection, 1);
    check(amqp_get_rpc_reply(connection), "confirms");
    char body[BODY];
    memset(body, 'x', sizeof body);
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_TYPE_FLAG
            | AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TIMESTAMP_FLAG,
        .content_type = amqp_cstring_bytes("application/json"),
        .type = amqp_cstring_bytes("bench.v1"),
        .message_id = amqp_cstring_bytes("01989c5e-7b1c-7d60-8a3c-5a3f7d2e9b10"),
        .timestamp = (uint64_t)time(NULL),
        .delivery_mode = 2,
    };
    unsigned char *seen = calloc((size_t)count + 1, 1);
    uint64_t lowest = 1, settled = 0;
    *start = seconds();
    *cpu = cpu_seconds();
    for (long sent = 0; sent < count || settled < (uint64_t)count;) {
        if (sent < count && (uint64_t)sent - settled < WINDOW) {
            if (amqp_basic_publish(
                    connection, 1, amqp_empty_bytes, amqp_cstring_bytes(QUEUE), 1, 0, &properties,
                    (amqp_bytes_t){sizeof body, body}) != AMQP_STATUS_OK)
                fail("publish");
            sent++;
            continue;
        }
        amqp_frame_t frame;
        if (amqp_simple_wait_frame(connection, &frame) != AMQP_STATUS_OK) fail("confirm");
        if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD) fail("refused");
        const amqp_basic_ack_t *ack = frame.payload.method.decoded;
        for (uint64_t tag = ack->multiple ? lowest : ack->delivery_tag; tag <= ack->delivery_tag; tag++) {
            settled += !seen[tag];
            seen[tag] = 1;
        }
        if (ack->multiple) lowest = ack->delivery_tag + 1;
        amqp_maybe_release_buffers(connection);
    }
}

static void consume(const char *url, long count, double *start, double *cpu) {
    amqp_connection_state_t connection = open_broker(url);
    amqp_basic_qos(connection, 1, 0, PREFETCH, 0);
    *start = seconds();
    *cpu = cpu_seconds();
    amqp_basic_consume(connection, 1, amqp_cstring_bytes(QUEUE), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(connection), "consume");
    for (long received = 1; received <= count; received++) {
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(connection);
        check(amqp_consume_message(connection, &envelope, NULL, 0), "delivery");
        if ((received % ACK_EVERY == 0 || received == count) && amqp_basic_ack(connection, 1, envelope.delivery_tag, 1))
            fail("ack");
        amqp_destroy_envelope(&envelope);
    }
    amqp_channel_close(connection, 1, AMQP_REPLY_SUCCESS);
}

static PGresult *expect(PGconn *connection, PGresult *result, ExecStatusType status) {
    if (PQresultStatus(result) != status) fail(PQerrorMessage(connection));
    return result;
}

static PGconn *open_database(const char *url) {
    PGconn *connection = PQconnectdb(url);
    if (PQstatus(connection) != CONNECTION_OK) fail(PQerrorMessage(connection));
    return connection;
}

static void select_one(const char *url, long count, double *start, double *cpu) {
    PGconn *connection = open_database(url);
    PQclear(expect(connection, PQprepare(connection, "s", "select $1::int8", 1, NULL), PGRES_COMMAND_OK));
    uint64_t value = 0;
    const char *values[] = {(const char *)&value};
    int lengths[] = {8}, formats[] = {1};
    *start = seconds();
    *cpu = cpu_seconds();
    for (long index = 0; index < count; index++)
        PQclear(expect(connection, PQexecPrepared(connection, "s", 1, values, lengths, formats, 1), PGRES_TUPLES_OK));
}

static void put32(unsigned char **end, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) *(*end)++ = (unsigned char)(value >> shift);
}

static void insert(const char *url, long count, double *start, double *cpu) {
    PGconn *connection = open_database(url);
    PQclear(expect(connection, PQexec(connection, "create table bench_clients (id int8)"), PGRES_COMMAND_OK));
    const char *sql = "insert into bench_clients select unnest($1::int8[]) returning id";
    PQclear(expect(connection, PQprepare(connection, "i", sql, 1, NULL), PGRES_COMMAND_OK));
    unsigned char array[20 + ROWS * 12], *end = array;
    *start = seconds();
    *cpu = cpu_seconds();
    for (long done = 0; done < count; done += ROWS) {
        end = array;
        uint32_t header[] = {1, 0, 20, ROWS, 1};
        for (int index = 0; index < 5; index++) put32(&end, header[index]);
        for (uint32_t row = 0; row < ROWS; row++) {
            put32(&end, 8);
            put32(&end, 0);
            put32(&end, (uint32_t)done + row);
        }
        const char *values[] = {(const char *)array};
        int lengths[] = {(int)(end - array)}, formats[] = {1};
        PGresult *result = expect(
            connection, PQexecPrepared(connection, "i", 1, values, lengths, formats, 1), PGRES_TUPLES_OK);
        uint64_t sum = 0;
        for (int row = 0; row < PQntuples(result); row++) sum += (unsigned char)PQgetvalue(result, row, 0)[7];
        if (sum == 0) fail("no rows came back");
        PQclear(result);
    }
    PQclear(PQexec(connection, "drop table bench_clients"));
}

int main(int argument_count, char **arguments) {
    static const struct {
        const char *name;
        void (*run)(const char *, long, double *, double *);
    } modes[] = {{"publish", publish}, {"consume", consume}, {"select", select_one}, {"insert", insert}};
    if (argument_count != 4) fail("publish|consume|select|insert URL COUNT");
    for (size_t index = 0; index < sizeof modes / sizeof *modes; index++) {
        if (strcmp(modes[index].name, arguments[1])) continue;
        long count = atol(arguments[3]);
        double start = 0, cpu = 0;
        modes[index].run(arguments[2], count, &start, &cpu);
        printf(
            "{\"per_second\":%.0f,\"cpu_us\":%.3f}\n", (double)count / (seconds() - start),
            (cpu_seconds() - cpu) * 1e6 / (double)count);
        return 0;
    }
    fail("there is no such mode");
}
