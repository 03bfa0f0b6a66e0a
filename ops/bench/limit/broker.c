// Call Scheduler
// SPDX-License-Identifier: Apache-2.0
//
// The broker's half: the messages of a call's life, each flow with a thread and a connection of its own at either end, as
// the roles have them. Exchanges and queues are the product's, with its arguments.
#include "limit.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WINDOW = 1000, PREFETCH = 1000, ACK_EVERY = 200, HINTED = 61 };
#define ID "01989c5e-7b1c-7d60-8a3c-5a3f7d2e9b10"
#define FIVE "\"" ID "\",\"" ID "\",\"" ID "\",\"" ID "\",\"" ID "\","
#define IDS FIVE FIVE FIVE FIVE
#define TIME "2026-01-02T03:04:05.678Z"

enum queue { NO_QUEUE, QUORUM, HINTS };

// One row for each message of a call's life: adapt this when the product's messages change.
static const struct flow {
    const char *exchange, *kind, *routing_key, *queue;
    enum queue queue_kind;
    bool is_confirmed;
    // A hint names all calls of a batch that one dialer holds.
    long calls_per_message;
    const char *type, *body;
} flows[] = {
    {"dial", "direct", "default", "dial.requests.default", QUORUM, true, 1, "dial-request.v1",
     "{\"attempt_number\":1,\"call_id\":\"" ID "\",\"campaign_id\":\"" ID "\",\"claimed_at\":\"" TIME
     "\",\"contact_id\":\"" ID "\",\"due_at\":\"" TIME "\",\"expires_at\":\"" TIME "\"}"},
    {"call.events", "direct", "call.events", "call.events", QUORUM, true, 1, "call-event.v1",
     "{\"call_id\":\"" ID "\",\"event_id\":\"" ID "\",\"occurred_at\":\"" TIME
     "\",\"provider_call_id\":\"CA01989c5e7b1c7d608a3c5a3f7d2e9b10\",\"raw_status\":\"completed\","
     "\"status\":\"completed\"}"},
    {"survey.events", "topic", "survey.completed", NULL, NO_QUEUE, true, 1, "survey-event.v1",
     "{\"attempts\":1,\"call_id\":\"" ID "\",\"campaign_id\":\"" ID "\",\"contact_id\":\"" ID "\",\"event_id\":\"" ID
     "\",\"kind\":\"completed\",\"occurred_at\":\"" TIME "\"}"},
    {"call.ended", "direct", "limit", "call.ended.limit", HINTS, false, HINTED, "call-ended.v1",
     "{\"call_id\":\"" ID "\",\"call_ids\":[" IDS IDS IDS "\"" ID "\"]}"},
};
enum { FLOWS = sizeof flows / sizeof *flows };

struct end {
    const struct flow *flow;
    const struct options *options;
    amqp_connection_state_t connection;
    pthread_t thread;
};

static struct end publishers[FLOWS], consumers[FLOWS];

static long messages(const struct end *end) {
    return (end->options->calls + end->flow->calls_per_message - 1) / end->flow->calls_per_message;
}

static amqp_bytes_t bytes(const char *text) { return text ? amqp_cstring_bytes(text) : amqp_empty_bytes; }

static void check(amqp_rpc_reply_t reply, const char *what) {
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) return;
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) fail("%s: %s", what, amqp_error_string2(reply.library_error));
    if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *close = reply.reply.decoded;
        fail("%s: %.*s", what, (int)close->reply_text.len, (const char *)close->reply_text.bytes);
    }
    fail("%s: the broker has closed the connection", what);
}

static amqp_connection_state_t connect_to(const char *url) {
    char *copy = strdup(url);
    struct amqp_connection_info info;
    amqp_default_connection_info(&info);
    if (amqp_parse_url(copy, &info) != AMQP_STATUS_OK) fail("--amqp-url is not an AMQP URL");
    // A path of "/" alone stands for the default virtual host, as in the product.
    const char *vhost = info.vhost[0] ? info.vhost : "/";
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    if (!socket || amqp_socket_open(socket, info.host, info.port) != AMQP_STATUS_OK)
        fail("no broker at %s:%d", info.host, info.port);
    check(amqp_login(connection, vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password), "login");
    amqp_channel_open(connection, 1);
    check(amqp_get_rpc_reply(connection), "channel");
    free(copy);
    return connection;
}

static amqp_table_entry_t entry(const char *key, const char *text) {
    amqp_table_entry_t entry = {.key = bytes(key), .value = {.kind = AMQP_FIELD_KIND_UTF8, .value = {.bytes = bytes(text)}}};
    return entry;
}

static void declare(amqp_connection_state_t connection, const struct flow *flow) {
    amqp_table_entry_t entries[] = {
        entry("x-queue-type", "quorum"), entry("x-dead-letter-exchange", "dial.dead"),
        entry("x-dead-letter-strategy", "at-least-once"), entry("x-overflow", "reject-publish"),
    };
    amqp_table_t quorum = {4, entries}, dead = {1, entries};
    amqp_exchange_declare(connection, 1, bytes("dial.dead"), bytes("fanout"), 0, 1, 0, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(connection), "dial.dead");
    amqp_queue_declare(connection, 1, bytes("dial.dead"), 0, 1, 0, 0, dead);
    check(amqp_get_rpc_reply(connection), "dial.dead");
    amqp_exchange_declare(connection, 1, bytes(flow->exchange), bytes(flow->kind), 0, 1, 0, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(connection), flow->exchange);
    if (flow->queue_kind == NO_QUEUE) return;
    bool is_quorum = flow->queue_kind == QUORUM;
    amqp_queue_declare(
        connection, 1, bytes(flow->queue), 0, is_quorum, !is_quorum, !is_quorum, is_quorum ? quorum : amqp_empty_table);
    check(amqp_get_rpc_reply(connection), flow->queue);
    amqp_queue_bind(connection, 1, bytes(flow->queue), bytes(flow->exchange), bytes(flow->routing_key), amqp_empty_table);
    check(amqp_get_rpc_reply(connection), flow->queue);
}

// Which tags the broker has confirmed: it does so in any order, one by one or all up to a tag.
struct confirms {
    unsigned char *seen;
    uint64_t lowest, settled;
};

static void settle(struct confirms *confirms, uint64_t tag) {
    confirms->settled += !confirms->seen[tag];
    confirms->seen[tag] = 1;
}

static void await_confirm(amqp_connection_state_t connection, const struct flow *flow, struct confirms *confirms) {
    amqp_frame_t frame;
    int status = amqp_simple_wait_frame(connection, &frame);
    if (status != AMQP_STATUS_OK) fail("%s: %s", flow->exchange, amqp_error_string2(status));
    if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
        fail("%s: a message was returned or refused", flow->exchange);
    const amqp_basic_ack_t *ack = frame.payload.method.decoded;
    if (ack->multiple) {
        for (; confirms->lowest <= ack->delivery_tag; confirms->lowest++) settle(confirms, confirms->lowest);
    } else {
        settle(confirms, ack->delivery_tag);
    }
    amqp_maybe_release_buffers(connection);
}

static void *publish(void *argument) {
    struct end *end = argument;
    const struct flow *flow = end->flow;
    char id[48], trace[80];
    amqp_table_entry_t header = entry("traceparent", trace);
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_TYPE_FLAG
            | AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_APP_ID_FLAG
            | (flow->is_confirmed ? AMQP_BASIC_HEADERS_FLAG : 0),
        .content_type = bytes("application/json"),
        .delivery_mode = flow->is_confirmed ? 2 : 1,
        .type = bytes(flow->type),
        .timestamp = (uint64_t)time(NULL),
        .app_id = bytes("call-scheduler"),
    };
    struct confirms confirms = {calloc((size_t)messages(end) + 1, 1), 1, 0};
    long published = 0;
    while (published < messages(end) || (flow->is_confirmed && confirms.settled < (uint64_t)published)) {
        bool may_publish = published < messages(end)
            && (!flow->is_confirmed || (uint64_t)published - confirms.settled < WINDOW);
        if (!may_publish) {
            await_confirm(end->connection, flow, &confirms);
            continue;
        }
        snprintf(id, sizeof id, "01989c5e-7b1c-7d60-8a3c-%012lx", published);
        snprintf(trace, sizeof trace, "00-01989c5e7b1c7d608a3c%012lx-%016lx-01", published, published);
        header.value.value.bytes = bytes(trace);
        properties.message_id = bytes(id);
        properties.headers = (amqp_table_t){1, &header};
        int status = amqp_basic_publish(
            end->connection, 1, bytes(flow->exchange), bytes(flow->routing_key),
            flow->is_confirmed && flow->queue_kind != NO_QUEUE, 0, &properties, bytes(flow->body));
        if (status != AMQP_STATUS_OK) fail("%s: %s", flow->exchange, amqp_error_string2(status));
        published++;
    }
    free(confirms.seen);
    return NULL;
}

static void *consume(void *argument) {
    struct end *end = argument;
    for (long received = 1; received <= messages(end); received++) {
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(end->connection);
        check(amqp_consume_message(end->connection, &envelope, NULL, 0), end->flow->queue);
        bool is_due = received % ACK_EVERY == 0 || received == messages(end);
        if (is_due && amqp_basic_ack(end->connection, 1, envelope.delivery_tag, 1) != 0)
            fail("%s: cannot ack", end->flow->queue);
        amqp_destroy_envelope(&envelope);
    }
    // Waits until the acks have arrived: the broker handles a channel's methods in their order.
    amqp_channel_close(end->connection, 1, AMQP_REPLY_SUCCESS);
    return NULL;
}

void prepare_broker(const struct options *options) {
    for (int index = 0; index < FLOWS; index++) {
        struct end *publisher = &publishers[index], *consumer = &consumers[index];
        *publisher = (struct end){&flows[index], options, connect_to(options->amqp_url), 0};
        *consumer = (struct end){&flows[index], options, connect_to(options->amqp_url), 0};
        // An exclusive queue belongs to the connection that declares it.
        declare(consumer->connection, &flows[index]);
        if (flows[index].is_confirmed) {
            amqp_confirm_select(publisher->connection, 1);
            check(amqp_get_rpc_reply(publisher->connection), "confirms");
        }
        if (flows[index].queue_kind == NO_QUEUE) continue;
        amqp_basic_qos(consumer->connection, 1, 0, PREFETCH, 0);
        amqp_basic_consume(
            consumer->connection, 1, bytes(flows[index].queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
        check(amqp_get_rpc_reply(consumer->connection), flows[index].queue);
    }
}

double run_broker(const struct options *options) {
    (void)options;
    double start = now_seconds();
    for (int index = 0; index < FLOWS; index++) {
        pthread_create(&publishers[index].thread, NULL, publish, &publishers[index]);
        if (flows[index].queue_kind != NO_QUEUE)
            pthread_create(&consumers[index].thread, NULL, consume, &consumers[index]);
    }
    for (int index = 0; index < FLOWS; index++) {
        pthread_join(publishers[index].thread, NULL);
        if (flows[index].queue_kind != NO_QUEUE) pthread_join(consumers[index].thread, NULL);
    }
    return now_seconds() - start;
}
