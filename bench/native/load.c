/* Load for the benchmark: many HTTP/1.1 connections, one thread, one request each at a time.
 *
 *   load tcp:HOST:PORT|unix:PATH CONNECTIONS SECONDS REQUEST_FILE [RATE]
 *
 * Without RATE the loop is closed: each connection asks again as soon as it has its answer. With RATE
 * it is open: requests come at random times (Poisson), and latency counts from the time they were
 * due, whether or not a connection was free then. The first tenth of the time is not counted into
 * latencies and rate, but into `all_calls`. Any answer that is not 2xx ends the run with code 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BUFFER 262144
#define MAX_SAMPLES 4000000
#define MAX_WAITING 1000000

struct connection {
    int fd, is_busy;
    double due;            /* when the request should have gone out */
    size_t sent;           /* bytes of the request that are out */
    size_t head_size;      /* bytes in `head` */
    long long body_left;   /* bytes of the answer's body still to come; -1: head is not whole */
    char head[8192];
};

static struct connection *connections;
static char *request, *scratch;
static size_t request_size;
static int poller, count;
static float *samples;
static size_t sample_count;
static double started, counted_from, ends, rate, next_due;
static double *waiting;
static size_t waiting_first, waiting_end;
static unsigned long long all_calls, calls;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void watch(struct connection *c, uint32_t events, int how) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, how, c->fd, &event)) fail("epoll_ctl");
}

static int connect_to(const char *target) {
    int fd;
    if (!strncmp(target, "unix:", 5)) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%s", target + 5);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof address)) fail(target);
    } else {
        struct sockaddr_in address = {.sin_family = AF_INET};
        char host[64];
        const char *colon = strrchr(target, ':');
        snprintf(host, sizeof host, "%.*s", (int)(colon - target - 4), target + 4);
        address.sin_port = htons(atoi(colon + 1));
        inet_pton(AF_INET, host, &address.sin_addr);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof address)) fail(target);
        int yes = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void send_on(struct connection *c) {
    while (c->sent < request_size) {
        ssize_t n = send(c->fd, request + c->sent, request_size - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN) fail("send");
            watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return;
        }
        c->sent += n;
    }
}

static void ask(struct connection *c, double due) {
    c->is_busy = 1;
    c->due = due;
    c->sent = c->head_size = 0;
    c->body_left = -1;
    send_on(c);
}

static void next_for(struct connection *c, double at) {
    c->is_busy = 0;
    if (at >= ends) return;
    if (!rate) ask(c, at);
    else if (waiting_first < waiting_end) ask(c, waiting[waiting_first++]);
}

static void answered(struct connection *c) {
    double at = now();
    all_calls++;
    if (at >= counted_from && at < ends) {
        calls++;
        if (sample_count < MAX_SAMPLES) samples[sample_count++] = (at - c->due) * 1e6;
    }
    next_for(c, at);
}

static void read_head(struct connection *c, char *end) {
    *end = 0;
    if (strncmp(c->head, "HTTP/1.1 2", 10)) {
        fprintf(stderr, "load: an answer that is not 2xx: %.300s\n", c->head);
        exit(1);
    }
    char *length = strcasestr(c->head, "\r\ncontent-length:");
    if (!length) {
        fprintf(stderr, "load: an answer without Content-Length: %.300s\n", c->head);
        exit(1);
    }
    c->body_left = atoll(length + 17) - (long long)(c->head_size - (end + 4 - c->head));
}

static void receive(struct connection *c) {
    for (;;) {
        int in_head = c->body_left < 0;
        char *into = in_head ? c->head + c->head_size : scratch;
        size_t room = in_head ? sizeof c->head - 1 - c->head_size : BUFFER;
        ssize_t n = recv(c->fd, into, room, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) fail("the connection was closed");
        if (in_head) {
            c->head_size += n;
            char *end = memmem(c->head, c->head_size, "\r\n\r\n", 4);
            if (!end) continue;
            read_head(c, end);
        } else {
            c->body_left -= n;
        }
        if (c->body_left == 0) {
            answered(c);
            return;
        }
        if ((size_t)n < room) return;
    }
}

static void arrivals(double at) {
    while (next_due <= at && next_due < ends) {
        int i = 0;
        while (i < count && connections[i].is_busy) i++;
        if (i < count) ask(&connections[i], next_due);
        else if (waiting_end < MAX_WAITING) waiting[waiting_end++] = next_due;
        next_due += -log(1 - drand48()) / rate;
    }
}

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void read_request(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    fseek(file, 0, SEEK_END);
    request_size = ftell(file);
    rewind(file);
    request = malloc(request_size);
    if (fread(request, 1, request_size, file) != request_size) fail(path);
    fclose(file);
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: load tcp:HOST:PORT|unix:PATH CONNECTIONS SECONDS REQUEST_FILE [RATE]\n");
        return 2;
    }
    count = atoi(argv[2]);
    double seconds = atof(argv[3]);
    read_request(argv[4]);
    rate = argc > 5 ? atof(argv[5]) : 0;
    srand48(getpid());
    scratch = malloc(BUFFER);
    samples = malloc(MAX_SAMPLES * sizeof *samples);
    waiting = malloc(MAX_WAITING * sizeof *waiting);
    connections = calloc(count, sizeof *connections);
    poller = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < count; i++) {
        connections[i].fd = connect_to(argv[1]);
        watch(&connections[i], EPOLLIN, EPOLL_CTL_ADD);
    }
    started = next_due = now();
    counted_from = started + seconds / 10;
    ends = started + seconds;
    for (int i = 0; !rate && i < count; i++) ask(&connections[i], started);
    struct epoll_event events[256];
    for (;;) {
        double at = now();
        int busy = 0;
        if (rate) arrivals(at);
        if (at >= ends) {
            for (int i = 0; i < count; i++) busy += connections[i].is_busy;
            if (!busy) break;
            if (at > ends + 30) fail("answers do not come");
        }
        double left = (rate && at < ends ? next_due : at < ends ? ends : at + 0.05) - at;
        if (left < 0) left = 0;
        struct timespec wait = {(time_t)left, (left - (time_t)left) * 1e9};
        int n = epoll_pwait2(poller, events, 256, &wait, NULL);
        if (n < 0 && errno != EINTR) fail("epoll_pwait2");
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                watch(c, EPOLLIN, EPOLL_CTL_MOD);
                send_on(c);
            }
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
        }
    }
    qsort(samples, sample_count, sizeof *samples, by_size);
    size_t last = sample_count ? sample_count - 1 : 0;
    printf("{\"all_calls\": %llu, \"calls\": %llu, \"seconds\": %.4f, \"p50_us\": %.1f, "
           "\"p99_us\": %.1f, \"max_us\": %.1f, \"late\": %zu}\n",
           all_calls, calls, ends - counted_from, sample_count ? samples[last / 2] : 0,
           sample_count ? samples[(size_t)(last * 0.99)] : 0, sample_count ? samples[last] : 0,
           waiting_end - waiting_first);
    return 0;
}
