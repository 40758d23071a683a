/* Load for the benchmark: many HTTP/1.1 connections, one thread, one request each at a time.
 *
 *   load tcp:HOST:PORT|unix:PATH CONNECTIONS SECONDS REQUEST_FILE[,…] [rate=R] [refusals] [cpu=PID,…]
 *
 * Without a rate the loop is closed: each connection asks again as soon as it has its answer. With one
 * it is open: requests come at random times (Poisson, R a second), and latency counts from the time
 * they were due, whether or not a connection was free then. The first tenth of the time is not counted
 * into latencies and rate, but into `all_calls`; in a closed loop nothing is until each connection has
 * been answered once (accepting one costs more than a call), and the end is as much later. Latencies are
 * of all calls that were due from then on, also of those that are answered after the end; one that nobody
 * was free to make counts as until then.
 *
 * Of several request files each connection has one, in turn. Sixteen @ in a request are a number that
 * is another one each time it is sent. Answers have a length or are chunked. Any that is not 2xx ends
 * the run with code 1; with `refusals` 429 is counted apart.
 *
 * `cpu`: the CPU time of these processes in the time that is counted, and the calls in it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BUFFER 262144
#define MAX_SAMPLES 4000000
#define MAX_WAITING 1000000
#define NEVER 1e300
#define PATIENCE 60

struct connection {
    int fd, is_busy;
    struct request *request;
    double due;            /* when the request should have gone out */
    size_t sent;           /* bytes of the request that are out */
    size_t head_size;      /* bytes in `head` */
    int is_refused, is_known;
    enum { HEAD, LENGTH, SIZE_LINE, CHUNK, CHUNK_END, LAST_LINE } part;
    long long left;        /* bytes of the body, or of this chunk, still to come */
    char head[8192];
};

struct request {
    char *bytes, *number;  /* `number`: where the sixteen @ were, or NULL */
    size_t size;
};

struct latencies {
    float *values;
    size_t count;
};

static struct connection *connections;
static struct connection **idle;
static size_t idle_count;
static struct request *requests;
static int request_count, takes_refusals;
static char *scratch;
static int poller, count;
static struct latencies answers, refusals, early;
static unsigned long long number;
static double started, counted_from, ends, rate, next_due;
static double *waiting;
static size_t waiting_first, waiting_end;
static unsigned long long all_calls, calls, cpu_calls;
static int known_count;
static int processes[64], process_count;
static double cpu_before = -1;

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
    struct request *r = c->request;
    while (c->sent < r->size) {
        ssize_t n = send(c->fd, r->bytes + c->sent, r->size - c->sent, MSG_NOSIGNAL);
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
    c->part = HEAD;
    if (c->request->number) {
        char digits[17];
        snprintf(digits, sizeof digits, "%016llx", ++number);
        memcpy(c->request->number, digits, 16);
    }
    send_on(c);
}

static void next_for(struct connection *c, double at) {
    c->is_busy = 0;
    if (at < ends && !rate) ask(c, at);
    else if (at < ends && waiting_first < waiting_end) ask(c, waiting[waiting_first++]);
    else idle[idle_count++] = c;
}

static double cpu_seconds(void) {
    unsigned long long total = 0;
    for (int i = 0; i < process_count; i++) {
        char path[300];
        snprintf(path, sizeof path, "/proc/%d/task", processes[i]);
        DIR *tasks = opendir(path);
        if (!tasks) fail(path);
        for (struct dirent *task; (task = readdir(tasks));) {
            unsigned long long used;
            snprintf(path, sizeof path, "/proc/%d/task/%.200s/schedstat", processes[i], task->d_name);
            FILE *file = task->d_name[0] == '.' ? NULL : fopen(path, "r");
            if (!file) continue;
            if (fscanf(file, "%llu", &used) == 1) total += used;
            fclose(file);
        }
        closedir(tasks);
    }
    return total / 1e9;
}

static void add(struct latencies *to, double seconds) {
    if (to->count < MAX_SAMPLES) to->values[to->count++] = seconds * 1e6;
}

static void answered(struct connection *c) {
    double at = now();
    struct latencies *to = c->is_refused ? &refusals : &answers;
    all_calls += !c->is_refused;
    known_count += !c->is_known;
    c->is_known = 1;
    if (at >= counted_from && at < ends) calls += !c->is_refused;
    if (c->due >= counted_from) add(to, at - c->due);
    else if (!c->is_refused) add(&early, at - c->due);
    next_for(c, at);
}

static void wrong(const char *what, const char *said) {
    fprintf(stderr, "load: %s: %.600s\n", what, said);
    exit(1);
}

/* What follows the head is moved to the front of `head`; return how much that is. */
static size_t read_head(struct connection *c, char *end) {
    *end = 0;
    c->is_refused = takes_refusals && !strncmp(c->head, "HTTP/1.1 429", 12);
    if (strncmp(c->head, "HTTP/1.1 2", 10) && !c->is_refused) wrong("an answer that is not 2xx", c->head);
    char *length = strcasestr(c->head, "\r\ncontent-length:");
    if (length) {
        c->part = LENGTH;
        c->left = atoll(length + 17);
    } else if (strcasestr(c->head, "\r\ntransfer-encoding: chunked")) {
        c->part = SIZE_LINE;
        c->left = 0;
    } else {
        wrong("an answer without a length", c->head);
    }
    size_t rest = c->head_size - (end + 4 - c->head);
    memmove(c->head, end + 4, rest);
    return rest;
}

static long long least(long long a, long long b) { return a < b ? a : b; }

/* Take body bytes; 1 when the body is whole. */
static int read_body(struct connection *c, const char *at, size_t size) {
    const char *stop = at + size;
    if (c->part == LENGTH) {
        c->left -= size;
        return c->left == 0;
    }
    while (at < stop) {
        if (c->part == CHUNK) {
            long long n = least(c->left, stop - at);
            at += n;
            c->left -= n;
            if (!c->left) c->part = CHUNK_END;
        } else if (c->part == SIZE_LINE) {
            char digit = *at++;
            if (digit == '\n') c->part = c->left ? CHUNK : LAST_LINE;
            else if (digit != '\r') c->left = c->left * 16 + (digit <= '9' ? digit - '0' : (digit | 32) - 'a' + 10);
        } else if (*at++ == '\n') {
            if (c->part == LAST_LINE) return 1;
            c->part = SIZE_LINE;
            c->left = 0;
        }
    }
    return 0;
}

static void receive(struct connection *c) {
    for (;;) {
        int in_head = c->part == HEAD;
        char *into = in_head ? c->head + c->head_size : scratch;
        size_t room = in_head ? sizeof c->head - 1 - c->head_size : BUFFER, body = 0;
        ssize_t n = recv(c->fd, into, room, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) fail("the connection was closed");
        if (in_head) {
            c->head_size += n;
            char *end = memmem(c->head, c->head_size, "\r\n\r\n", 4);
            if (!end) continue;
            into = c->head;
            body = read_head(c, end);
        } else {
            body = n;
        }
        if (read_body(c, into, body)) {
            answered(c);
            return;
        }
        if ((size_t)n < room) return;
    }
}

static void arrivals(double at) {
    while (next_due <= at && next_due < ends) {
        if (idle_count) ask(idle[--idle_count], next_due);
        else if (waiting_end < MAX_WAITING) waiting[waiting_end++] = next_due;
        else { fprintf(stderr, "load: too many wait\n"); exit(1); }
        next_due += -log(1 - drand48()) / rate;
    }
}

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double quantile(const struct latencies *of, double part) {
    return of->count ? of->values[(size_t)((of->count - 1) * part)] : 0;
}

static void read_request(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    requests = realloc(requests, (request_count + 1) * sizeof *requests);
    struct request *r = &requests[request_count++];
    fseek(file, 0, SEEK_END);
    r->size = ftell(file);
    rewind(file);
    r->bytes = malloc(r->size);
    if (fread(r->bytes, 1, r->size, file) != r->size) fail(path);
    fclose(file);
    r->number = memmem(r->bytes, r->size, "@@@@@@@@@@@@@@@@", 16);
}

static void read_options(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: load tcp:HOST:PORT|unix:PATH CONNECTIONS SECONDS REQUEST_FILE[,…] "
                        "[rate=R] [refusals] [cpu=PID,…]\n");
        exit(2);
    }
    count = atoi(argv[2]);
    for (char *path = strtok(argv[4], ","); path; path = strtok(NULL, ",")) read_request(path);
    for (int i = 5; i < argc; i++) {
        if (!strncmp(argv[i], "rate=", 5)) rate = atof(argv[i] + 5);
        else if (!strcmp(argv[i], "refusals")) takes_refusals = 1;
        else if (!strncmp(argv[i], "cpu=", 4)) {
            for (char *pid = strtok(argv[i] + 4, ","); pid && process_count < 64; pid = strtok(NULL, ","))
                processes[process_count++] = atoi(pid);
        } else wrong("no such option", argv[i]);
    }
}

int main(int argc, char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    read_options(argc, argv);
    double seconds = atof(argv[3]);
    srand48(getpid());
    number = (unsigned long long)getpid() << 32;
    scratch = malloc(BUFFER);
    answers.values = malloc(MAX_SAMPLES * sizeof *answers.values);
    early.values = malloc(MAX_SAMPLES * sizeof *early.values);
    refusals.values = malloc(MAX_SAMPLES * sizeof *refusals.values);
    waiting = malloc(MAX_WAITING * sizeof *waiting);
    connections = calloc(count, sizeof *connections);
    idle = calloc(count, sizeof *idle);
    poller = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < count; i++) {
        connections[i].fd = connect_to(argv[1]);
        connections[i].request = &requests[i % request_count];
        watch(&connections[i], EPOLLIN, EPOLL_CTL_ADD);
        if (rate) idle[idle_count++] = &connections[i];
    }
    started = next_due = now();
    counted_from = rate ? started + seconds / 10 : NEVER;
    ends = rate ? started + seconds : NEVER;
    for (int i = 0; !rate && i < count; i++) ask(&connections[i], started);
    struct epoll_event events[256];
    for (;;) {
        double at = now();
        int busy = 0;
        if (rate) arrivals(at);
        if (cpu_before < 0 && at >= (rate ? counted_from : started + seconds / 10)
            && (rate || known_count == count)) {
            if (!rate) ends = at + seconds * 0.9;
            counted_from = at;
            cpu_before = cpu_seconds();
            cpu_calls = all_calls;
        }
        if (cpu_before < 0 && at > started + PATIENCE) wrong("some have no answer after", "60 s");
        if (at >= ends) {
            for (int i = 0; i < count; i++) busy += connections[i].is_busy;
            if (!busy) break;
            if (at > ends + 30) fail("answers do not come");
        }
        double left = (rate && at < ends ? next_due : ends == NEVER || at >= ends ? at + 0.05 : ends) - at;
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
    double cpu_after = cpu_seconds();
    for (size_t i = waiting_first; i < waiting_end; i++) add(&answers, ends - waiting[i]);
    if (!answers.count) answers = early;  /* each call is longer than all of the time */
    qsort(answers.values, answers.count, sizeof(float), by_size);
    qsort(refusals.values, refusals.count, sizeof(float), by_size);
    printf("{\"all_calls\": %llu, \"calls\": %llu, \"seconds\": %.4f, \"p50_us\": %.1f, "
           "\"p99_us\": %.1f, \"max_us\": %.1f, \"late\": %zu, \"refused\": %zu, "
           "\"refused_p50_us\": %.1f, \"refused_p99_us\": %.1f, \"cpu_seconds\": %.6f, "
           "\"cpu_calls\": %llu}\n",
           all_calls, calls, ends - counted_from, quantile(&answers, 0.5), quantile(&answers, 0.99),
           quantile(&answers, 1), waiting_end - waiting_first, refusals.count,
           quantile(&refusals, 0.5), quantile(&refusals, 0.99),
           cpu_before < 0 ? 0 : cpu_after - cpu_before, cpu_before < 0 ? 0 : all_calls - cpu_calls);
    return 0;
}
