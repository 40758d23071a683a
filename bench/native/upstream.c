/* What nginx and haproxy pass requests on to: an HTTP/1.1 server that gives each body back.
 *
 *   upstream unix:PATH|tcp:PORT ...
 *
 * Its answer has the fields that the router's has, so that all proxies carry the same bytes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <signal.h>
#include <unistd.h>

static const char HEAD[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
    "Pythonpool-Execution-Id: x-0123456789abcdef-00000001\r\n"
    "Pythonpool-Worker: bench-00000000\r\n"
    "Server-Timing: queue;dur=0.004, run;dur=0.001\r\n"
    "Date: Sat, 31 Jan 2026 12:00:00 GMT\r\n\r\n";

struct connection {
    int fd, is_listener;
    char *in, *out;
    size_t in_size, in_room, out_size, out_room, out_sent;
};

static int poller;

static void fail(const char *what) {
    fprintf(stderr, "upstream: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void watch(struct connection *c, unsigned events, int how) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, how, c->fd, &event)) fail("epoll_ctl");
}

static char *room_for(char *buffer, size_t *room, size_t wanted) {
    if (wanted <= *room) return buffer;
    while (*room < wanted) *room = *room ? *room * 2 : 65536;
    buffer = realloc(buffer, *room);
    if (!buffer) fail("memory");
    return buffer;
}

static void add_connection(int fd, int is_listener) {
    struct connection *c = calloc(1, sizeof *c);
    c->fd = fd;
    c->is_listener = is_listener;
    watch(c, EPOLLIN, EPOLL_CTL_ADD);
}

static void listen_on(const char *where) {
    int fd, yes = 1;
    if (!strncmp(where, "unix:", 5)) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%s", where + 5);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (bind(fd, (struct sockaddr *)&address, sizeof address)) fail(where);
    } else {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(where + 4))};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        if (bind(fd, (struct sockaddr *)&address, sizeof address)) fail(where);
    }
    if (listen(fd, 1024)) fail(where);
    add_connection(fd, 1);
}

static void drop(struct connection *c) {
    close(c->fd);
    free(c->in);
    free(c->out);
    free(c);
}

static int send_on(struct connection *c) {
    while (c->out_sent < c->out_size) {
        ssize_t n = send(c->fd, c->out + c->out_sent, c->out_size - c->out_sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return 1;
        }
        if (n < 0) return 0;
        c->out_sent += n;
    }
    c->out_size = c->out_sent = 0;
    return 1;
}

static void answer(struct connection *c) {
    for (;;) {
        char *end = memmem(c->in, c->in_size, "\r\n\r\n", 4);
        if (!end) return;
        char *length = memmem(c->in, end - c->in + 2, "\r\nContent-Length:", 17);
        if (!length) length = memmem(c->in, end - c->in + 2, "\r\ncontent-length:", 17);
        size_t head = end + 4 - c->in, body = length ? strtoull(length + 17, NULL, 10) : 0;
        if (c->in_size < head + body) return;
        c->out = room_for(c->out, &c->out_room, c->out_size + sizeof HEAD + 32 + body);
        c->out_size += sprintf(c->out + c->out_size, HEAD, body);
        memcpy(c->out + c->out_size, c->in + head, body);
        c->out_size += body;
        c->in_size -= head + body;
        memmove(c->in, c->in + head + body, c->in_size);
    }
}

static void serve(struct connection *c, unsigned events) {
    if (events & EPOLLOUT) {
        watch(c, EPOLLIN, EPOLL_CTL_MOD);
        if (!send_on(c)) { drop(c); return; }
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    c->in = room_for(c->in, &c->in_room, c->in_size + 65536);
    ssize_t n = recv(c->fd, c->in + c->in_size, c->in_room - c->in_size, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) { drop(c); return; }
    c->in_size += n;
    answer(c);
    if (c->out_size && !send_on(c)) drop(c);
}

int main(int argc, char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    umask(0);  /* nginx comes as another user */
    poller = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 1; i < argc; i++) listen_on(argv[i]);
    struct epoll_event events[256];
    for (;;) {
        int n = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->is_listener) {
                int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK);
                if (fd >= 0) add_connection(fd, 0);
            } else {
                serve(c, events[i].events);
            }
        }
    }
}
