/* A worker as the router sees one, as cheap as can be: it dials the link and gives bodies back.
 *
 *   worker LINK_PATH POOL SECRET NAME SLOTS [LINKS]
 *
 * Speaks what docs/concepts/protocols.md section 2 asks of an agent, as far as an echo needs it. With
 * LINKS it dials as often, under names of its own, and is that many workers.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { HELLO = 1, STATUS = 2, PING = 3, PONG = 4, CALL = 16, ACCEPT = 17, DATA = 19, END = 20,
       RESULT = 24, CANCEL = 26, CREDIT = 28 };
enum { MORE = 1, SLOT_FREE = 4 };
enum { MAX_PAYLOAD = 65536, WINDOW = 262144, HEADER = 13, RESULT_HEAD = 9, CALL_HEAD = 22 };

struct call {                 /* one whose body, or result, is longer than a frame */
    uint64_t number;
    char *body;
    size_t size, room, sent, credited;
    long window;
    struct call *next;
};

struct link {
    int fd, is_full;
    char *in, *out;
    size_t in_size, in_room, out_size, out_room, out_sent;
    struct call *calls;
};

static int poller;

static void fail(const char *what) {
    fprintf(stderr, "worker: %s: %s\n", what, strerror(errno));
    exit(1);
}

static char *room_for(char *buffer, size_t *room, size_t wanted) {
    if (wanted <= *room) return buffer;
    while (*room < wanted) *room = *room ? *room * 2 : 4096;
    buffer = realloc(buffer, *room);
    if (!buffer) fail("memory");
    return buffer;
}

static void put(struct link *l, int kind, uint64_t number, const void *head, size_t head_size,
                const void *body, size_t size) {
    l->out = room_for(l->out, &l->out_room, l->out_size + HEADER + head_size + size);
    char *at = l->out + l->out_size;
    uint32_t length = htobe32(9 + head_size + size);
    uint64_t big = htobe64(number);
    memcpy(at, &length, 4);
    at[4] = kind;
    memcpy(at + 5, &big, 8);
    memcpy(at + HEADER, head, head_size);
    if (size) memcpy(at + HEADER + head_size, body, size);
    l->out_size += HEADER + head_size + size;
}

static void put_result(struct link *l, uint64_t number, int more, uint32_t total, const char *body,
                       size_t size) {
    char head[RESULT_HEAD] = {SLOT_FREE | (more ? MORE : 0), 0, 0, 0, 1};
    uint32_t big = htobe32(total);
    memcpy(head + 5, &big, 4);
    put(l, RESULT, number, head, sizeof head, body, size);
}

static struct call **find(struct link *l, uint64_t number) {
    struct call **at = &l->calls;
    while (*at && (*at)->number != number) at = &(*at)->next;
    return at;
}

static void forget(struct call **at) {
    struct call *gone = *at;
    *at = gone->next;
    free(gone->body);
    free(gone);
}

static void deliver(struct link *l, struct call **at) {
    struct call *c = *at;
    while (c->sent < c->size && c->window > 0) {
        size_t size = c->size - c->sent;
        if (size > MAX_PAYLOAD) size = MAX_PAYLOAD;
        if (size > (size_t)c->window) size = c->window;
        put(l, DATA, c->number, "", 0, c->body + c->sent, size);
        c->sent += size;
        c->window -= size;
    }
    if (c->sent == c->size) {
        put(l, END, c->number, "", 0, "", 0);
        forget(at);
    }
}

static void gather(struct call *c, const char *payload, size_t size) {
    c->body = room_for(c->body, &c->room, c->size + size);
    memcpy(c->body + c->size, payload, size);
    c->size += size;
}

static void on_call(struct link *l, uint64_t number, const char *payload, size_t size) {
    const unsigned char *p = (const unsigned char *)payload;
    size_t head = CALL_HEAD + p[17] + p[18] + p[19] + (p[20] << 8 | p[21]);
    if (!(payload[0] & MORE)) {
        size_t body = size - head, first = body;
        if (first > MAX_PAYLOAD - RESULT_HEAD) first = MAX_PAYLOAD - RESULT_HEAD;
        put_result(l, number, 0, body, payload + head, first);
        return;
    }
    struct call *c = calloc(1, sizeof *c);
    c->number = number;
    c->next = l->calls;
    l->calls = c;
    gather(c, payload + head, size - head);
    put(l, ACCEPT, number, "", 0, "", 0);
}

static void on_frame(struct link *l, int kind, uint64_t number, const char *payload, size_t size) {
    struct call **at;
    if (kind == CALL) {
        on_call(l, number, payload, size);
    } else if (kind == PING) {
        put(l, PONG, number, "", 0, "", 0);
    } else if (kind == DATA && *(at = find(l, number))) {
        struct call *c = *at;
        gather(c, payload, size);
        c->credited += size;
        if (c->credited >= WINDOW / 4) {
            uint32_t big = htobe32(c->credited);
            put(l, CREDIT, number, &big, 4, "", 0);
            c->credited = 0;
        }
    } else if (kind == END && *(at = find(l, number))) {
        struct call *c = *at;
        size_t first = c->size < MAX_PAYLOAD - RESULT_HEAD ? c->size : MAX_PAYLOAD - RESULT_HEAD;
        put_result(l, number, 1, c->size, c->body, first);
        c->sent = first;
        c->window = WINDOW;
        deliver(l, at);
    } else if (kind == CREDIT && *(at = find(l, number))) {
        uint32_t big;
        memcpy(&big, payload, 4);
        (*at)->window += be32toh(big);
        deliver(l, at);
    } else if (kind == CANCEL && *(at = find(l, number))) {
        forget(at);
    }
}

static void watch(struct link *l, int is_full) {
    struct epoll_event event = {.events = EPOLLIN | (is_full ? EPOLLOUT : 0), .data.ptr = l};
    if (is_full == l->is_full) return;
    l->is_full = is_full;
    if (epoll_ctl(poller, EPOLL_CTL_MOD, l->fd, &event)) fail("epoll_ctl");
}

static void flush(struct link *l) {
    while (l->out_sent < l->out_size) {
        ssize_t n = send(l->fd, l->out + l->out_sent, l->out_size - l->out_sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            watch(l, 1);
            return;
        }
        if (n < 0) exit(0);
        l->out_sent += n;
    }
    l->out_size = l->out_sent = 0;
    watch(l, 0);
}

static void receive(struct link *l) {
    l->in = room_for(l->in, &l->in_room, l->in_size + 262144);
    ssize_t n = recv(l->fd, l->in + l->in_size, l->in_room - l->in_size, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) exit(0);
    l->in_size += n;
    size_t at = 0;
    while (l->in_size - at >= HEADER) {
        uint32_t length;
        uint64_t number;
        memcpy(&length, l->in + at, 4);
        length = be32toh(length);
        if (l->in_size - at < length + 4) break;
        memcpy(&number, l->in + at + 5, 8);
        on_frame(l, (unsigned char)l->in[at + 4], be64toh(number), l->in + at + HEADER, length - 9);
        at += length + 4;
    }
    l->in_size -= at;
    memmove(l->in, l->in + at, l->in_size);
    if (l->out_size) flush(l);
}

static void dial(const char *path, const char *pool, const char *secret, const char *name, int slots) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct link *l = calloc(1, sizeof *l);
    char hello[1024];
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(l->fd, (struct sockaddr *)&address, sizeof address)) fail(path);
    fcntl(l->fd, F_SETFL, O_NONBLOCK);
    int size = snprintf(hello, sizeof hello,
        "{\"protocol\": [1, 1], \"pool\": \"%s\", \"secret\": \"%s\", \"worker\": \"%s\", "
        "\"incarnation\": \"0123456789abcdef\", \"generation\": 1, \"slots\": %d, \"catalogue\": "
        "[{\"name\": \"echo\", \"description\": \"\", \"args_schema\": {}, \"result_schema\": {}, "
        "\"timeout_seconds\": null, \"idempotent\": false, \"streaming\": false}], "
        "\"state\": \"ready\", \"pid\": %d, \"started_at\": \"2026-01-31T12:00:00.000Z\"}",
        pool, secret, name, slots, getpid());
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = l};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, l->fd, &event)) fail("epoll_ctl");
    put(l, HELLO, 0, hello, size, "", 0);
    flush(l);
}

int main(int argc, char **argv) {
    if (argc < 6) {
        fprintf(stderr, "usage: worker LINK_PATH POOL SECRET NAME SLOTS [LINKS]\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    poller = epoll_create1(EPOLL_CLOEXEC);
    int links = argc > 6 ? atoi(argv[6]) : 1;
    for (int i = 0; i < links; i++) {
        char name[128];
        snprintf(name, sizeof name, links > 1 ? "%s-%08x" : "%s", argv[4], i);
        dial(argv[1], argv[2], argv[3], name, atoi(argv[5]));
    }
    puts("dialled");
    fflush(stdout);
    struct epoll_event events[256];
    for (;;) {
        int n = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct link *l = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) flush(l);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(l);
        }
    }
}
