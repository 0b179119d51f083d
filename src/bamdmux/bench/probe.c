/* probe: UDP over a link, for `bamdmux bench`. One line on stdout says what came of it.
 *
 *     probe sink PORT                               counts one burst: "received PACKETS NANOSECONDS"
 *     probe blast ADDRESS PORT BYTES MILLISECONDS   sends one, as fast as it can: "sent PACKETS"
 *     probe echo PORT                               sends everything back, and does not end
 *     probe ping ADDRESS PORT BYTES COUNT           one exchange after the other: "answered ANSWERS LOST P50 P99"
 *
 * `sink` and `echo` first say "ready BYTES", the room that their socket has. A burst is over when nothing has come for a while; its time is that from
 * its first packet to its last, so that only what arrived counts, and only while it arrived. `blast` calls
 * sendto() once for each packet, as programs do: what the link does not take is lost.
 *
 * Round trips are in nanoseconds, around sendto() and recv(), and so with the waking-up of both programs. An answer
 * that does not come is counted and not waited for any longer; one that comes too late is no answer.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

enum {
    LONGEST = 65507,      /* a datagram over IPv4 */
    ROOM_BYTES = 8 << 20, /* of the sockets that receive */
    BATCH = 64,           /* datagrams that the sink takes with one call */
    SINK_BYTES = 2048,    /* of each of them; the rest is not looked at */
    MAX_EXCHANGES = 1000000,
    FIRST_MS = 3000,      /* the sink's wait for a burst to begin */
    SILENCE_MS = 200,     /* and for its end */
    ANSWER_MS = 300,      /* far more than any wake-up takes */
    MOST_LOST = 5,        /* answers, then no more packets are sent: the link has broken down */
    LOOK_AT_CLOCK = 16,   /* packets that are sent between two looks at the clock */
};

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static long number(const char *text, long low, long high)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || value < low || value > high) {
        fprintf(stderr, "probe: %s is not within %ld to %ld\n", text, low, high);
        exit(2);
    }
    return value;
}

static struct sockaddr_in place(const char *address, const char *port)
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number(port, 1, 65535))};

    if (inet_pton(AF_INET, address, &place.sin_addr) != 1) {
        fprintf(stderr, "probe: %s is no address\n", address);
        exit(2);
    }
    return place;
}

static int udp_socket(void)
{
    int udp = socket(AF_INET, SOCK_DGRAM, 0);

    if (udp < 0)
        fail("socket");
    return udp;
}

/* A socket that has room for many packets, and not for the two hundred that it gets by default: they come while
 * its program has to wait for a processor, and it is the link that is measured. Root gets all of it. */
static int bound_to(const char *port)
{
    struct sockaddr_in here = place("0.0.0.0", port);
    int udp = udp_socket(), room = ROOM_BYTES;
    socklen_t length = sizeof room;

    if (setsockopt(udp, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
        setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (getsockopt(udp, SOL_SOCKET, SO_RCVBUF, &room, &length) < 0)
        fail("getsockopt");
    if (bind(udp, (struct sockaddr *)&here, sizeof here) < 0)
        fail("bind");
    printf("ready %d\n", room);
    fflush(stdout);
    return udp;
}

static int connected_to(const char *address, const char *port)
{
    struct sockaddr_in there = place(address, port);
    int udp = udp_socket();

    if (connect(udp, (struct sockaddr *)&there, sizeof there) < 0)
        fail("connect");
    return udp;
}

static void wait_at_most(int udp, int milliseconds)
{
    struct timeval limit = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000};

    if (setsockopt(udp, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0)
        fail("setsockopt");
}

/* Count a burst. What comes with the first call starts the clock and is not counted. */
static void sink(int udp)
{
    static char space[BATCH][SINK_BYTES];
    struct iovec parts[BATCH];
    struct mmsghdr messages[BATCH] = {0};
    int64_t first_ns = 0, last_ns = 0;
    long packets = 0;
    int count;

    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){space[i], SINK_BYTES};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    wait_at_most(udp, FIRST_MS);
    while ((count = recvmmsg(udp, messages, BATCH, MSG_WAITFORONE, NULL)) > 0) {
        last_ns = now_ns();
        if (first_ns == 0) {
            first_ns = last_ns;
            wait_at_most(udp, SILENCE_MS);
        } else {
            packets += count;
        }
    }
    printf("received %ld %lld\n", packets, (long long)(last_ns - first_ns));
}

static void blast(int udp, size_t bytes, long milliseconds)
{
    static const char packet[LONGEST];
    int64_t end = now_ns() + milliseconds * INT64_C(1000000);
    long packets = 0;

    do {
        for (int i = 0; i < LOOK_AT_CLOCK; i++)
            packets += send(udp, packet, bytes, 0) >= 0; /* what is refused (ENOBUFS) counts as not sent */
    } while (now_ns() < end);
    printf("sent %ld\n", packets);
}

static void echo(int udp)
{
    static char packet[LONGEST];

    for (;;) {
        struct sockaddr_in from;
        socklen_t from_length = sizeof from;
        ssize_t length = recvfrom(udp, packet, sizeof packet, 0, (struct sockaddr *)&from, &from_length);

        if (length >= 0)
            sendto(udp, packet, (size_t)length, 0, (struct sockaddr *)&from, from_length);
    }
}

static int by_value(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

/* The answer to packet number `wanted`; whether it came. Late ones to others are passed over. */
static int has_answer(int udp, char *packet, uint32_t wanted)
{
    uint32_t found;

    while (recv(udp, packet, LONGEST, 0) >= (ssize_t)sizeof found) {
        memcpy(&found, packet, sizeof found);
        if (found == wanted)
            return 1;
    }
    return 0;
}

static void ping(int udp, size_t bytes, long count)
{
    static char packet[LONGEST];
    static int64_t times[MAX_EXCHANGES];
    long answers = 0, lost = 0;

    wait_at_most(udp, ANSWER_MS);
    for (uint32_t exchange = 0; exchange < count && lost < MOST_LOST; exchange++) {
        int64_t begin = now_ns();

        memcpy(packet, &exchange, sizeof exchange);
        if (send(udp, packet, bytes, 0) >= 0 && has_answer(udp, packet, exchange))
            times[answers++] = now_ns() - begin;
        else
            lost++;
    }
    if (answers == 0) {
        fprintf(stderr, "probe: no answer to %ld packets\n", lost);
        exit(EXIT_FAILURE);
    }
    qsort(times, (size_t)answers, sizeof *times, by_value);
    printf("answered %ld %ld %lld %lld\n", answers, lost, (long long)times[answers / 2],
           (long long)times[answers * 99 / 100]);
}

int main(int argc, char **argv)
{
    const char *job = argc > 1 ? argv[1] : "";

    if (argc == 3 && strcmp(job, "sink") == 0)
        sink(bound_to(argv[2]));
    else if (argc == 3 && strcmp(job, "echo") == 0)
        echo(bound_to(argv[2]));
    else if (argc == 6 && strcmp(job, "blast") == 0)
        blast(connected_to(argv[2], argv[3]), (size_t)number(argv[4], 1, LONGEST), number(argv[5], 1, 60000));
    else if (argc == 6 && strcmp(job, "ping") == 0)
        ping(connected_to(argv[2], argv[3]), (size_t)number(argv[4], 4, LONGEST), number(argv[5], 1, MAX_EXCHANGES));
    else {
        fprintf(stderr, "usage: probe sink|echo PORT, or blast ADDRESS PORT BYTES MILLISECONDS, or "
                        "ping ADDRESS PORT BYTES COUNT\n");
        return 2;
    }
    return EXIT_SUCCESS;
}
